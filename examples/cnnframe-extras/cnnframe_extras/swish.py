"""An activation: a function, its derivative, and the function once more as an expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scipy.special import expit

from cnnframe import Activation, positive
from cnnframe.algebra import logistic


@dataclass(frozen=True)
class Swish(Activation):
    """x / (1 + exp(-beta x)): close to 0 on the left, close to x on the right, smooth between.

    Attributes:
        beta: how sharp the turn at 0 is.
    """

    beta: Annotated[float, positive] = 1.0

    name = "swish"

    def f(self, x):
        """Return x times the logistic function of beta x, without overflow."""
        return x * expit(self.beta * x)

    def df(self, x, y):
        """Return s + beta x s (1 - s), where s is the logistic function of beta x."""
        s = expit(self.beta * x)
        return s + self.beta * x * s * expit(-self.beta * x)

    def expr(self, x):
        """The function of a scalar."""
        return x * logistic(self.beta * x)

    def derivative(self, x, y):
        """The derivative of a scalar x, where y = f(x)."""
        return self.beta * y + logistic(self.beta * x) * (1 - self.beta * y)
