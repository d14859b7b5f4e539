"""By which way the diagonal goes back to each argument of an operation, as its formula shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sympy as sp

from cnnframe import Op
from cnnframe._curvature import Route

from .._derive import Derivation, derive_structure
from .._evaluate import _body
from .._numbers import Floats
from .._symbolic import Structure, numbers
from .._terms import Term, fresh
from ._paths import one_path, settled
from ._squares import begins, indices_of, is_bit, slopes


@dataclass(frozen=True)
class Way:
    """How one argument is reached.

    Attributes:
        kind: see `cnnframe._curvature.Route`.
        squared: as there.
        kept: as there.
        factor: as there, as an expression of hyperparameters and sizes.
    """

    kind: str
    squared: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    factor: Any = sp.S.One

    def route(self, op: Op, known: Mapping[str, Any]) -> Route:
        """With numbers for an operation at given sizes."""
        factor = 1.0 if self.factor == 1 else float(_body(self.factor)(Floats(), numbers(op, known), {}))
        return Route(self.kind, self.squared, self.kept, factor)


GENERATED = Way("formula")


@cache
def ways(cls: type[Op], chosen: Structure) -> dict[str, Way]:
    """The way to each input and parameter."""
    derivation = derive_structure(cls, chosen)
    return {name: GENERATED if begins(cls) else _way(derivation, name) for name in derivation.gradients}


def _way(derivation: Derivation, name: str) -> Way:
    program = derivation.program
    at = indices_of(program.shape(name))
    found: list[tuple[Term, dict[Any, Any]]] = []
    for defined in program.outputs.values():
        definition = program[defined]
        own = {index: fresh(index) for index in definition.index}
        box = {own[index]: size for index, size in definition.box}
        found += [(slope.substitute(own), box) for slope in slopes(derivation, definition, name, at)]
        if sum(its is box for _, its in found) > 1:
            return _one_entry(derivation, found, at)
    monomials = [_monomial(derivation, slope, name, {*at, *box}) for slope, box in found]
    first = monomials[0] if monomials else None
    if first is not None and all(other == first for other in monomials):
        return first
    return _one_entry(derivation, found, at)


def _monomial(derivation: Derivation, slope: Term, name: str, ends: set[Any]) -> Way | None:
    """The way through squared arguments, if a derivative is a number times a product of entries of other arguments, with one summand at most."""
    if not one_path(derivation, slope, ends):
        return None
    read: set[str] = set()
    factor = sp.Integer(1)
    for part in sp.Mul.make_args(slope.body):
        label = str(part.base.label) if isinstance(part, sp.Indexed) else ""
        if label in derivation.symbolic.shapes:
            read.add(label)
        elif not is_bit(derivation, part):
            factor *= part
    indices = ends | {index for index, _ in slope.bound}
    kept = _chosen_by(derivation, slope)
    if name in read or factor.has(sp.Indexed) or factor.free_symbols & indices or read & kept:
        return None
    return Way("squared", frozenset(read), frozenset(kept), factor)


def _chosen_by(derivation: Derivation, slope: Term) -> set[str]:
    """The arguments that the choices in a derivative are made by."""
    program, found, waiting = derivation.program, set[str](), [str(atom.base.label) for atom in slope.atoms]
    inner = {d.name: d for d in program.definitions}
    seen = set()
    while waiting:
        label = waiting.pop()
        if label in inner and label not in seen:
            seen.add(label)
            read = {str(atom.base.label) for term in inner[label].terms for atom in term.atoms}
            found |= read & derivation.symbolic.shapes.keys()
            waiting += read
    return found


def _one_entry(derivation: Derivation, found: list[tuple[Term, dict[Any, Any]]], at: tuple[Any, ...]) -> Way:
    """The way by the derivative itself, if each entry of the argument reaches no more than one of the output."""
    if not found or any(box is not found[0][1] or slope.eq != found[0][0].eq for slope, box in found):
        return GENERATED
    slope, box = found[0]
    # What one of them is multiplied by says nothing of the others.
    if box.keys() <= settled(derivation, replace(slope, body=sp.Integer(1)), at, tuple(box.items())):
        return Way("apart")
    return GENERATED
