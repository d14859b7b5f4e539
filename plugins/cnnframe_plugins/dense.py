"""Fully connected layers (Bouvrie 2006, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cnnframe import Layer, Param, at_least, bias
from cnnframe.algebra import indices, total


@dataclass(frozen=True)
class Dense(Layer):
    """Multiply by a weight matrix and add a bias: u = W x + b (equation 2).

    Axes: x (n, i), W (units, i), b (units,), y (n, units).

    Attributes:
        units: number of outputs.
    """

    units: Annotated[int, at_least(1)]

    name = "dense"
    batch_apart = True
    inputs = {"x": "n i"}
    params = {"W": Param("units i", fan_in="i", fan_out="units"), "b": bias("units")}
    output = "n units"

    def forward(self, x, W, b):
        """Return y, and x and W for `backward`."""
        return x @ W.T + b, (x, W)

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        """Return the wanted gradients: W^T delta, delta x^T and delta (equations 3 to 5)."""
        x, W = saved
        gradients = {}
        if "x" in wanted:
            gradients["x"] = dy @ W
        if "W" in wanted:
            gradients["W"] = dy.T @ x
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=0)
        return gradients

    def formula(self, at, x, W, b):
        """The weighted sum of one unit (equation 2)."""
        n, unit = at
        (i,) = indices("i")
        return b[unit] + total(W[unit, i] * x[n, i], (i, x.shape[1]))

    def onnx(self, build, x, W, b):
        """One matrix product."""
        return build.node("Gemm", x, W, b, transB=1)

    def claims(self, at, dy, x, W, b):
        """W^T delta, delta x^T and delta; the last two sum over the batch (equations 4, 5 and 3)."""
        batch, units = dy.shape
        pattern, unit = indices("pattern unit")

        def dx(n, i):
            return total(W[unit, i] * dy[n, unit], (unit, units))

        def dW(j, i):
            return total(dy[pattern, j] * x[pattern, i], (pattern, batch))

        def db(j):
            return total(dy[pattern, j], (pattern, batch))

        return {"x": dx(*at["x"]), "W": dW(*at["W"]), "b": db(*at["b"])}
