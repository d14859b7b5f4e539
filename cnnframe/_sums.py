"""Sums over boxes of indices with guards: what formulas and maps are made of.

SymPy is imported when a formula is read and not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def indices(letters: str, dims: int | None = None) -> tuple[Any, ...]:
    """Integer index symbols: one for each letter, or `dims` of them for one letter (`a0`, `a1`, ...)."""
    import sympy as sp

    names = letters.split() if dims is None else [f"{letters}{d}" for d in range(dims)]
    return tuple(sp.Symbol(name, integer=True) for name in names)


def fresh(letter: str, count: int) -> tuple[Any, ...]:
    """Integer index symbols that no one else has, so that a sum over them captures nothing."""
    import sympy as sp

    return tuple(sp.Dummy(f"{letter}{d}", integer=True) for d in range(count))


def total(body: Any, *over: tuple[Any, Any], where: Iterable[Any] = ()) -> Any:
    """The sum of `body` over pairs (index, size), each index from 0, restricted to where every condition holds.

    Conditions are comparisons of affine expressions of indices and sizes.
    """
    import sympy as sp

    guarded = guard(body, where)
    return sp.Sum(guarded, *((index, 0, size - 1) for index, size in over)) if over else guarded


def guard(body: Any, where: Iterable[Any]) -> Any:
    """`body` where every condition on the indices holds, and 0 elsewhere."""
    import sympy as sp

    from ._symbols import Guarded

    conditions = [condition for condition in where if condition not in (True, sp.true)]
    if any(condition in (False, sp.false) for condition in conditions):
        return sp.Integer(0)
    return Guarded(body, *conditions) if conditions else sp.sympify(body)


def inside(index: Any, size: Any) -> list[Any]:
    """The conditions 0 <= index < size; for sequences, those of each pair."""
    if isinstance(index, Sequence):
        return [condition for one, n in zip(index, size, strict=True) for condition in inside(one, n)]
    return [index >= 0, index <= size - 1]


def equal(left: Any, right: Any) -> Any:
    """The condition left == right, on indices or on values."""
    import sympy as sp

    return sp.Eq(left, right)
