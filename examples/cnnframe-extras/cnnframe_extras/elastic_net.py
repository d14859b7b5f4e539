"""A penalty on weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Regularizer, at_least, between
from cnnframe.algebra import absolute, indices, total


@dataclass(frozen=True)
class ElasticNet(Regularizer):
    """strength times the sum of ratio |w| + (1 - ratio) w^2 / 2; the derivative of |w| at 0 is taken to be 0.

    Axes: w has any axes.

    Attributes:
        strength: weight of the penalty.
        ratio: 1 for the 1-norm alone, 0 for weight decay alone.
    """

    strength: Annotated[float, at_least(0)]
    ratio: Annotated[float, between(0, 1)] = 0.5

    name = "elastic_net"
    inputs = {"w": "..."}

    def forward(self, w):
        """Return the penalty, and w for `backward`."""
        return self.strength * (self.ratio * np.abs(w) + (1 - self.ratio) / 2 * np.square(w)).sum(), w

    def backward(self, dy, saved):
        """Return dy strength (ratio sign(w) + (1 - ratio) w)."""
        return {"w": dy * self.strength * (self.ratio * np.sign(saved) + (1 - self.ratio) * saved)}

    def formula(self, at, w):
        """The sum over all entries."""
        (p,) = indices("p")
        return self.strength * total(self.ratio * absolute(w[p]) + (1 - self.ratio) / 2 * w[p] ** 2, (p, w.shape[0]))
