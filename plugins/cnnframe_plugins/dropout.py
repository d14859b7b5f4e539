"""Dropout with the caller's random numbers (Srivastava et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, between
from cnnframe.algebra import when

from .activations import Identity


@dataclass(frozen=True)
class Dropout(Layer):
    """Set each entry to 0 with probability `rate` and divide the others by 1 - rate, which keeps the mean.

    Axes: x, u and y have any axes, the same ones; u holds uniform numbers from [0, 1), and an entry is kept
    where u >= rate.

    Attributes:
        rate: the probability of dropping an entry.
    """

    rate: Annotated[float, between(0, 1, include_high=False)]

    name = "dropout"
    batch_apart = True
    inputs = {"x": "..."}
    constants = {"u": "... -> [0, 1)"}
    output = "..."

    def forward(self, x, u):
        """Return y, and the factors for `backward`."""
        factor = np.greater_equal(u, self.rate).astype(x.dtype) / (1 - self.rate)
        return x * factor, factor

    def backward(self, dy, saved):
        """Return dy where the entry was kept, scaled alike."""
        return {"x": np.multiply(dy, saved)}

    def for_evaluation(self):
        """Return the identity: once training is over nothing is dropped."""
        return Identity()

    def formula(self, at, x, u):
        """The entry, scaled if it is kept."""
        return x[at] * when(u[at] >= self.rate, 1, 0) / (1 - self.rate)

    def claims(self, at, dy, x, u):
        """Delta where the entry is kept, scaled alike."""
        return {"x": dy[at["x"]] * when(u[at["x"]] >= self.rate, 1, 0) / (1 - self.rate)}
