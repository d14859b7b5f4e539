"""What formulas and closed forms are written with: sums, guards, named intermediates, maps, scalar functions.

Everything here is SymPy underneath, which is imported when a formula is read and not before. Scalars are
plain SymPy expressions, so a formula may also call SymPy's own functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._maps import Map, conv2, crop, down, every, kron, ones, pad, plane, rot180, spread, sum_all
from ._sums import equal, guard, indices, inside, total

__all__ = [
    "Map",
    "Unproved",
    "absolute",
    "conv2",
    "crop",
    "define",
    "down",
    "equal",
    "every",
    "exp",
    "first_maximum",
    "guard",
    "indices",
    "inside",
    "kron",
    "log",
    "logistic",
    "ones",
    "pad",
    "plane",
    "rot180",
    "sign",
    "softplus",
    "spread",
    "sqrt",
    "sum_all",
    "tanh",
    "total",
    "unproved",
    "when",
]


@dataclass(frozen=True)
class Unproved:
    """Stands for a closed form that is not stated.

    Attributes:
        why: the reason, as a sentence's end.
    """

    why: str


def unproved(why: str) -> Unproved:
    """In `claims`, instead of a closed form: there is none to prove, and why."""
    return Unproved(why)


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


def sign(x: Any) -> Any:
    """1, -1, or 0 at 0: the derivative of `absolute`."""
    import sympy as sp

    return sp.Piecewise((1, x > 0), (-1, x < 0), (0, True))
