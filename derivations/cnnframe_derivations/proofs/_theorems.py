"""What is to be proved of an operation: that its arrays are read within range, and that its closed forms are the gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from cnnframe import FormulaError, Op
from cnnframe._hyper import Hyperparameter, Interval, hyperparameters
from cnnframe.algebra import Unproved

from .. import _terms
from .._claims import CLOSED, ClosedForms, closed_forms
from .._derive import COTANGENT, Derivation, derive_structure, distinct
from .._symbolic import ANY, Structure, Symbolic
from ._arithmetic import why_at_least_0
from ._polynomial import ONE, Polynomial, atom, number, symbol
from ._statement import Definition, Term, Theorem, Theory
from ._translate import Translator, indicator, name_indices

Shape = tuple[Polynomial, ...]


@dataclass(frozen=True)
class Subject:
    """One operation with the choices that decide its formula.

    Attributes:
        chosen: the choices.
        derivation: formula and gradients.
        theory: assumptions and definitions.
        shapes: shape of every array.
        quotients: name of each size that is a quotient rounded down, to what is divided by what.
        reads: by name of a definition, that its terms read within range; the right sides are empty.
        gradients: by input or parameter, derivative on the left and closed form on the right.
        closed: names in `reads` that are closed forms.
        unproved: by input or parameter, why the author gives no closed form.
        claimed: inputs and parameters whose closed form the author wrote.
    """

    chosen: Structure
    derivation: Derivation
    theory: Theory
    shapes: Mapping[str, Shape]
    quotients: Mapping[str, tuple[Polynomial, Polynomial]]
    reads: Mapping[str, Theorem]
    gradients: Mapping[str, Theorem]
    closed: frozenset[str]
    unproved: Mapping[str, str]
    claimed: frozenset[str]


def subject(cls: type[Op], chosen: Structure) -> Subject:
    """State what is to be proved.

    Raises:
        FormulaError: the formula or a claim cannot be read.
    """
    derivation = derive_structure(cls, chosen)
    claims = closed_forms(derivation)
    sizes = derivation.symbolic.symbols
    translate = Translator(sizes)
    program = derivation.program
    named = [*program.definitions, *derivation.adjoints, *claims.definitions]
    closed_names = [CLOSED + name for name in derivation.gradients]
    distinct(f"{cls.name}.claims", [*program.operands, *(COTANGENT + o for o in program.outputs), *(d.name for d in named), *closed_names])
    reserved = {s.name for s in sizes}
    shapes = {name: tuple(translate.polynomial(n, {}) for n in shape) for name, shape in program.operands.items()}
    shapes |= {d.name: tuple(translate.polynomial(n, {}) for n in d.shape) for d in named}
    shapes |= {COTANGENT + output: shapes[name] for output, name in program.outputs.items()}
    definitions = {d.name: translate.definition(d, reserved) for d in named}
    forms, unproved = _closed(derivation, claims, translate, reserved)
    facts = _facts(derivation.symbolic, translate, shapes)
    assume = tuple(dict.fromkeys(_assumptions(derivation.symbolic, translate)))
    integers = frozenset({s.name for s in sizes if s.is_integer} | set(translate.quotients))
    theory = Theory(integers, frozenset(s.name for s in sizes) - integers, assume, definitions, facts)
    reads = {d.name: _reading(theory, definitions[d.name]) for d in (*program.definitions, *claims.definitions)}
    claimed = frozenset(claims.forms) - set(unproved)
    closed = {CLOSED + name: Theorem(theory, free, right, ()) for name, (free, _, right) in forms.items() if name in claimed}
    gradients = {name: Theorem(theory, *form) for name, form in forms.items()}
    return Subject(chosen, derivation, theory, shapes, translate.quotients, reads | closed, gradients, frozenset(closed), unproved, claimed)


Form = tuple[tuple[tuple[str, Polynomial], ...], tuple[Term, ...], tuple[Term, ...]]


def _closed(derivation: Derivation, claims: ClosedForms, translate: Translator, reserved: set[str]) -> tuple[dict[str, Form], dict[str, str]]:
    """Derivative and closed form over the same indices; without a claim the closed form waits to be found."""
    forms: dict[str, Form] = {}
    unproved: dict[str, str] = {}
    for name in derivation.gradients:
        gradient, said = derivation.adjoint(name), claims.forms.get(name)
        if isinstance(said, Unproved):
            unproved[name] = said.why
            continue
        names = name_indices(gradient.index, reserved)
        left = tuple(translate.term(t, names, reserved) for t in gradient.terms)
        right = tuple(translate.term(t, names, reserved) for t in said.terms) if isinstance(said, _terms.Definition) else ()
        forms[name] = (translate.box(gradient.box, names), left, right)
    return forms, unproved


def _reading(theory: Theory, definition: Definition) -> Theorem:
    return Theorem(theory, definition.index, definition.terms, ())


def _assumptions(symbolic: Symbolic, translate: Translator) -> Iterator[Polynomial]:
    """What a declaration promises: sizes that are positive, the bounds of hyperparameters, axes that are not empty, quotients rounded down."""
    said = list(_bounds(symbolic, translate))
    yield from said
    known = tuple(said)
    for name, (above, below) in translate.quotients.items():
        if why_at_least_0(known, (), below - ONE) is None:
            raise FormulaError(f"{symbolic.op.name}: {above} is divided by {below}, which is not bound to be at least 1; bound it with at_least(1)")
        rest = above - below * symbol(name)
        yield from (rest, below - ONE - rest)
    for size in (size for shape in symbolic.outputs.values() for size in shape):
        axis = translate.polynomial(size, {}) - ONE
        if axis.number is None and not _may_be_empty(size):
            yield axis


def _bounds(symbolic: Symbolic, translate: Translator) -> Iterator[Polynomial]:
    for s in sorted(symbolic.symbols, key=str):
        if s.is_integer and s.is_nonnegative:
            yield symbol(s.name)
            if not _may_be_empty(s):
                yield symbol(s.name) - ONE
    for name, hyper in hyperparameters(type(symbolic.op)).items():
        given = getattr(symbolic.op, name)
        for part in given if isinstance(given, tuple) else (given,):
            if isinstance(part, sp.Expr) and part.is_integer:
                yield from _within(translate.polynomial(part, {}), hyper)


def _may_be_empty(size: Any) -> bool:
    """Whether an axis is the batch, or all axes in one."""
    return bool(size.is_Symbol and (size.name == ANY or not size.is_positive))


def _within(part: Polynomial, hyper: Hyperparameter) -> Iterator[Polynomial]:
    """The bounds of a hyperparameter that is an integer, as integers."""
    for bound in hyper.bounds:
        if isinstance(bound, Interval) and bound.low > -math.inf:
            yield part - number(math.ceil(bound.low) if bound.include_low else math.floor(bound.low) + 1)
        if isinstance(bound, Interval) and bound.high < math.inf:
            yield number(math.floor(bound.high) if bound.include_high else math.ceil(bound.high) - 1) - part


def _facts(symbolic: Symbolic, translate: Translator, shapes: Mapping[str, Shape]) -> dict[str, Definition]:
    """An array of class indices holds one class: over all classes, [it is this one] adds up to 1."""
    found = {}
    for name, values in symbolic.op.declaration.values.items():
        if values is not None and not isinstance(values, str):
            box = tuple((f"at{d}", size) for d, size in enumerate(shapes[name]))
            found[name] = one_hot(name, box, translate.polynomial(values(symbolic.known), {}))
    return found


def one_hot(array: str, box: tuple[tuple[str, Polynomial], ...], classes: Polynomial) -> Definition:
    """The fact that array[index] is one of 0 to classes - 1."""
    entry = atom("entry", array, tuple(symbol(v) for v, _ in box))
    return Definition(box, (Term((("class", classes),), (), (), indicator("zero", entry - symbol("class"))),))
