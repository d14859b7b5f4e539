"""Elementwise functions of one variable."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._op import Array, Op


class Activation(Op):
    """An elementwise function of one variable: give `f`, its derivative `df`, and `expr`; and, for a claim, `derivative`."""

    inputs: Any = {"x": "..."}
    output: Any = "..."
    batch_apart = True

    @abc.abstractmethod
    def f(self, x: Array) -> Array:
        """Return f(x), entry by entry."""

    @abc.abstractmethod
    def df(self, x: Array, y: Array) -> Array:
        """Return f'(x), entry by entry, where y = f(x)."""

    @abc.abstractmethod
    def expr(self, x: Any) -> Any:
        """Return f as an expression of a scalar x."""

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Return f(x), and x and f(x) for `backward`."""
        y = self.f(x)
        return y, (x, y)

    def backward(self, dy: Array, saved: Any) -> dict[str, Array]:
        """Return dy * f'(x)."""
        x, y = saved
        return {"x": np.multiply(dy, self.df(x, y))}

    def formula(self, at: Any, x: Any) -> Any:
        """Return f at the entry `at`."""
        return self.expr(x[at])

    def onnx(self, build: Any, /, x: Any) -> Any:
        """Return the nodes of `expr`; see `Op.onnx`."""
        from .export._expression import said

        return said(build, self.expr, x)

    def derivative(self, x: Any, y: Any) -> Any:
        """Return f' as an expression of the scalars x and y = f(x); nothing is claimed of it unless overridden."""
        raise NotImplementedError

    def claims(self, at: Any, dy: Any, x: Any) -> Mapping[str, Any]:
        """Return dy * f'(x), where `derivative` is given."""
        if type(self).derivative is Activation.derivative:
            return {}
        entry = x[at["x"]]
        return {"x": dy[at["x"]] * self.derivative(entry, self.expr(entry))}
