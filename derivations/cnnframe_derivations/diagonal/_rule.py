"""What the core asks for: by which routes the diagonal goes back through an operation, and code for what has no other route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from cnnframe import Op
from cnnframe._curvature import Routes
from cnnframe._op import Array

from .._symbolic import Structure, structure
from ..code import loaded, source
from ._routes import ways
from ._squares import squares


def rule(op: Op) -> Routes:
    """The routes through an operation.

    Raises:
        FormulaError: the formula cannot be read.
    """
    cls, chosen = type(op), structure(op)
    found = ways(cls, chosen)

    def generated(diagonals: Any, arguments: tuple[Array, ...], wanted: frozenset[str]) -> dict[str, Array]:
        return _compiled(cls, chosen, wanted)(op, diagonals, arguments, wanted)

    return Routes(lambda known: {name: way.route(op, known) for name, way in found.items()}, generated)


def diagonal_source(cls: type[Op], chosen: Structure, wanted: frozenset[str]) -> str:
    """NumPy source of the diagonals for some arguments, as a function that is called like `backward`.

    Raises:
        FormulaError: the formula cannot be read, or a sum cannot be scheduled; the message names the guard.
    """
    derivation = squares(cls, chosen)
    needed = {name: defined for name, defined in derivation.gradients.items() if name in wanted}
    return source(cls, chosen, instead=replace(derivation, gradients=needed))


@cache
def _compiled(cls: type[Op], chosen: Structure, wanted: frozenset[str]) -> Callable[..., dict[str, Any]]:
    return loaded(diagonal_source(cls, chosen, wanted), f"diagonal of {cls.name}")
