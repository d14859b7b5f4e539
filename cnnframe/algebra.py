"""What a formula is written with: index letters, sums, guards, named intermediates, scalar functions.

Everything here is SymPy underneath, which is imported when a formula is read and not before. Scalars are
plain SymPy expressions, so a formula may also call SymPy's own functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def indices(letters: str, dims: int | None = None) -> tuple[Any, ...]:
    """Integer index symbols: one for each letter, or `dims` of them for one letter (`a0`, `a1`, ...)."""
    import sympy as sp

    names = letters.split() if dims is None else [f"{letters}{d}" for d in range(dims)]
    return tuple(sp.Symbol(name, integer=True) for name in names)


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


def define(name: str, shape: Sequence[Any], entry: Callable[..., Any], *, locally_constant: bool = False) -> Any:
    """A named intermediate array; `entry` gives the entry at its indices.

    A locally constant one (a choice among inputs) has no derivative of its own.
    """
    from ._symbols import defined

    return defined(name, tuple(shape), entry, locally_constant=locally_constant)


def first_maximum(name: str, shape: Sequence[Any], window: Sequence[Any], entry: Callable[..., Any]) -> Any:
    """One-hot choice of the first largest of `entry(*outer, *inner)` over the window's indices.

    The result has axes (*shape, *window). It is locally constant wherever the maximum is unique.
    """
    from ._symbols import first_maximum as choose

    return choose(name, tuple(shape), tuple(window), entry)


def when(condition: Any, value: Any, otherwise: Any) -> Any:
    """`value` where the condition on values holds, else `otherwise`."""
    import sympy as sp

    return sp.Piecewise((value, condition), (otherwise, True))


def exp(x: Any) -> Any:
    """The exponential."""
    import sympy as sp

    return sp.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    import sympy as sp

    return sp.log(x)


def sqrt(x: Any) -> Any:
    """The square root."""
    import sympy as sp

    return sp.sqrt(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    import sympy as sp

    return sp.tanh(x)


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    from ._symbols import Logistic

    return Logistic(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    from ._symbols import Softplus

    return Softplus(x)


def absolute(x: Any) -> Any:
    """The absolute value, whose derivative at 0 is taken to be 0."""
    import sympy as sp

    return sp.Piecewise((x, x > 0), (-x, x < 0), (0, True))
