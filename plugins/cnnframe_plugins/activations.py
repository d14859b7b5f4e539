"""Activation functions (Bouvrie 2006, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Activation, between, positive
from cnnframe.algebra import logistic, softplus, tanh, when

from ._expit import expit


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
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return a tanh(b x)."""
        return self.a * np.tanh(self.b * x)

    def df(self, x, y):
        """Return a b (1 - (y / a)^2)."""
        # In factors: a - y^2 / a is below 0 for some y that round to a.
        t = y / self.a
        return self.a * self.b * (1 - t) * (1 + t)

    def expr(self, x):
        """The function of a scalar."""
        return self.a * tanh(self.b * x)

    def derivative(self, x, y):
        """a b (1 - (y / a)^2)."""
        return self.a * self.b * (1 - (y / self.a) ** 2)


@dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0); the derivative at 0 is taken to be 0."""

    name = "relu"
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return max(x, 0)."""
        return np.maximum(x, 0)

    def df(self, x, y):
        """Return 1 where x > 0 and 0 elsewhere."""
        return (x > 0).astype(x.dtype)

    def expr(self, x):
        """The function of a scalar."""
        return when(x > 0, x, 0)

    def onnx(self, build, x):
        """One node."""
        return build.node("Relu", x)

    def derivative(self, x, y):
        """1 where x > 0."""
        return when(x > 0, 1, 0)


@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(-beta x)), the sigmoid (section 2.1).

    Attributes:
        beta: slope of the argument.
    """

    beta: Annotated[float, positive] = 1.0

    name = "logistic"
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return 1 / (1 + exp(-beta x)), without overflow."""
        return expit(self.beta * x)

    def df(self, x, y):
        """Return beta y (1 - y)."""
        return self.beta * y * (1 - y)

    def expr(self, x):
        """The function of a scalar."""
        return logistic(self.beta * x)

    def derivative(self, x, y):
        """beta y (1 - y)."""
        return self.beta * y * (1 - y)


@dataclass(frozen=True)
class Identity(Activation):
    """x itself, for an output layer that is linear."""

    name = "identity"
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return a copy of x."""
        return np.array(x)

    def df(self, x, y):
        """Return 1."""
        return np.ones_like(x)

    def expr(self, x):
        """The function of a scalar."""
        return x

    def derivative(self, x, y):
        """1."""
        return 1


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """x where x > 0 and slope x elsewhere; the derivative at 0 is taken to be `slope`.

    Attributes:
        slope: the derivative for x <= 0; with a slope of 0 it would be `relu`.
    """

    slope: Annotated[float, between(0, 1, include_low=False)] = 0.01

    name = "leaky_relu"
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return x or slope x."""
        return np.where(x > 0, x, self.slope * x)

    def df(self, x, y):
        """Return 1 where x > 0 and slope elsewhere."""
        return np.where(x > 0, np.ones_like(x), self.slope)

    def expr(self, x):
        """The function of a scalar."""
        return when(x > 0, x, self.slope * x)

    def derivative(self, x, y):
        """1 where x > 0, else the slope."""
        return when(x > 0, 1, self.slope)


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(x)), a smooth `relu`."""

    name = "softplus"
    keeps_digits = ("y",)
    full_range = True

    def f(self, x):
        """Return log(1 + exp(x)), without overflow."""
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    def df(self, x, y):
        """Return 1 / (1 + exp(-x))."""
        return expit(x)

    def expr(self, x):
        """The function of a scalar."""
        return softplus(x)

    def derivative(self, x, y):
        """1 / (1 + exp(-x))."""
        return logistic(x)
