"""The closed forms that an operation claims for its gradients, read into terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnnframe import FormulaError
from cnnframe.algebra import Map, Unproved

from ._derive import COTANGENT, Derivation
from ._read import Reader, array, called, expression
from ._terms import Definition

CLOSED = "closed_"
"""Put before the name of an input or parameter: the closed form of its gradient."""


@dataclass(frozen=True)
class ClosedForms:
    """What an operation claims.

    Attributes:
        forms: name of each gradient that something is said of, to its closed form or to why there is none.
        definitions: intermediates of the closed forms that the formula does not have, in order of evaluation.
    """

    forms: Mapping[str, Definition | Unproved]
    definitions: tuple[Definition, ...]


def closed_forms(derivation: Derivation) -> ClosedForms:
    """Call an operation's `claims` on symbols and read what it returns.

    The indices are those of the derived gradients. An intermediate that has the name of one of the formula's, and
    says the same, is that one.

    Raises:
        FormulaError: `claims` raises, or holds something that has no meaning here.
    """
    symbolic, program = derivation.symbolic, derivation.program
    op, who = symbolic.op, f"{derivation.name}.claims"
    wanted = {name: derivation.adjoint(name) for name in derivation.gradients}
    at = {name: gradient.index if symbolic.shapes[name] else () for name, gradient in wanted.items()}
    cotangents = {name: COTANGENT + name for name in symbolic.outputs}
    dy = {name: array(cotangents[name], shape) for name, shape in symbolic.outputs.items()}
    arrays = {name: array(name, shape) for name, shape in symbolic.shapes.items()}
    answer = called(who, op.claims, at, dy["y"] if op.single else dy, **arrays)
    if not isinstance(answer, Mapping):
        raise FormulaError(f"{who} must give a dict from names of inputs and parameters to expressions; got {answer!r}")
    if unknown := [name for name in answer if name not in wanted]:
        raise FormulaError(f"{who} claims a gradient of {unknown[0]!r}; there are gradients of {', '.join(wanted)}")
    operands = {**program.operands, **{cotangents[name]: shape for name, shape in symbolic.outputs.items()}}
    reader = Reader(who, operands, symbolic.symbols, program.definitions)
    forms = {name: said if isinstance(said, Unproved) else _closed(reader, wanted[name], name, said) for name, said in answer.items()}
    return ClosedForms(forms, tuple(d for name, d in reader.definitions.items() if name not in reader.known))


def _closed(reader: Reader, gradient: Definition, name: str, said: Any) -> Definition:
    """The closed form over the indices of the derived gradient."""
    if isinstance(said, Map):
        raise FormulaError(f"{reader.who}: the gradient of {name!r} is a map; write [...] for its entry at at[{name!r}]")
    entry = expression(reader.who, f"the gradient of {name!r}", said, "an expression or unproved(why)")
    return reader.definition(CLOSED + name, gradient.box, entry)
