"""Activation functions (Bouvrie 2006, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Activation, positive
from cnnframe.algebra import tanh, when


@dataclass(frozen=True)
class ScaledTanh(Activation):
    """a tanh(b x); the defaults are LeCun's, with f(1) close to 1 (section 2.1).

    Attributes:
        a: the output lies between -a and a.
        b: slope of the argument.
    """

    a: Annotated[float, positive] = 1.7159
    b: Annotated[float, positive] = 2 / 3

    name = "scaled_tanh"

    def f(self, x):
        """Return a tanh(b x)."""
        return self.a * np.tanh(self.b * x)

    def df(self, x, y):
        """Return b (a - y^2 / a)."""
        return self.b * (self.a - y * y / self.a)

    def expr(self, x):
        """The function of a scalar."""
        return self.a * tanh(self.b * x)


@dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0); the derivative at 0 is taken to be 0."""

    name = "relu"

    def f(self, x):
        """Return max(x, 0)."""
        return np.maximum(x, 0)

    def df(self, x, y):
        """Return 1 where x > 0 and 0 elsewhere."""
        return (x > 0).astype(x.dtype)

    def expr(self, x):
        """The function of a scalar."""
        return when(x > 0, x, 0)
