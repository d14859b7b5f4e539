"""The SymPy classes behind `cnnframe.algebra`; loaded when a formula is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp


class Guarded(sp.Function):  # type: ignore[misc] # SymPy is untyped
    """Guarded(body, c1, c2, ...): body where every condition on the indices holds, 0 elsewhere; plain data."""

    def _latex(self, printer: Any, exp: Any = None) -> str:
        body, *conditions = self.args
        return rf"{printer._print(body)}\,\left[{', '.join(printer._print(c) for c in conditions)}\right]"


class Logistic(sp.Function):  # type: ignore[misc] # SymPy is untyped
    """1 / (1 + exp(-x)), with its derivative in terms of its value."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        """Return y (1 - y)."""
        return self * (1 - self)

    def _latex(self, printer: Any, exp: Any = None) -> str:
        text = rf"\sigma\left({printer._print(self.args[0])}\right)"
        return f"{text}^{{{exp}}}" if exp else text


class Softplus(sp.Function):  # type: ignore[misc] # SymPy is untyped
    """log(1 + exp(x))."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        """Return the logistic function of the same argument."""
        return Logistic(self.args[0])

    def _latex(self, printer: Any, exp: Any = None) -> str:
        text = rf"\log\left(1 + e^{{{printer._print(self.args[0])}}}\right)"
        return rf"\left({text}\right)^{{{exp}}}" if exp else text


class Defined(sp.IndexedBase):  # type: ignore[misc] # SymPy is untyped
    """A named intermediate: its index symbols, its sizes, and the entry at those indices."""

    index: tuple[Any, ...]
    sizes: tuple[Any, ...]
    body: Any
    locally_constant: bool


def defined(name: str, shape: tuple[Any, ...], entry: Callable[..., Any], *, locally_constant: bool) -> Any:
    """Make a named intermediate."""
    index = tuple(sp.Dummy(f"{name}_{d}", integer=True) for d in range(len(shape)))
    # A size-one axis stands for a scalar intermediate: SymPy has no array without axes.
    # The label is a Dummy, so that SymPy's caches never hand out another formula's intermediate of the same name.
    array = Defined(sp.Dummy(name), shape=shape or (1,))
    array.index, array.sizes, array.locally_constant = index or (sp.Dummy(f"{name}_0", integer=True),), shape or (1,), locally_constant
    array.body = sp.sympify(entry(*index))
    return array


def first_maximum(name: str, shape: tuple[Any, ...], window: tuple[Any, ...], entry: Callable[..., Any]) -> Any:
    """Make the one-hot array of the first largest entry of each window."""
    rank = len(shape)

    def beaten(*at: Any) -> Any:
        """How many entries of the window come before this one: larger, or as large and earlier."""
        outer, inner = at[:rank], at[rank:]
        other = tuple(sp.Dummy(f"o{d}", integer=True) for d in range(len(window)))
        mine, its = entry(*outer, *inner), entry(*outer, *other)
        mine_at, its_at = (_position(where, window) for where in (inner, other))
        tie = sp.Piecewise((1, its_at < mine_at), (0, True))
        first = sp.Piecewise((1, its > mine), (0, its < mine), (tie, True))
        return sp.Sum(first, *((o, 0, n - 1) for o, n in zip(other, window, strict=True)))

    count = defined(f"{name}_beaten", (*shape, *window), beaten, locally_constant=True)
    return defined(name, (*shape, *window), lambda *at: sp.Piecewise((1, sp.Eq(count[at], 0)), (0, True)), locally_constant=True)


def _position(where: tuple[Any, ...], window: tuple[Any, ...]) -> Any:
    position = sp.Integer(0)
    for index, size in zip(where, window, strict=True):
        position = position * size + index
    return position
