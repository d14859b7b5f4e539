"""Losses: each sums over the batch and is differentiated with respect to the prediction alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnframe import Loss
from cnnframe.algebra import indices, total


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared distance from the targets, summed over units and batch (section 2.1, equation 1).

    Axes: y (n, c), t (n, c).
    """

    name = "squared_error"
    inputs = {"y": "n c"}
    constants = {"t": "n c"}

    def forward(self, y, t):
        """Return the loss, and y - t for `backward`."""
        error = y - t
        return np.square(error).sum() / 2, error

    def backward(self, dy, saved):
        """Return dy (y - t)."""
        return {"y": dy * saved}

    def formula(self, at, y, t):
        """Equation 1, summed over the batch (section 2.1)."""
        n, c = indices("n c")
        return total((t[n, c] - y[n, c]) ** 2, (n, y.shape[0]), (c, y.shape[1])) / 2
