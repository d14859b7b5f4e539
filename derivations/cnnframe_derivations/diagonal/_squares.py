"""What the diagonal of a Gauss-Newton matrix becomes on its way back through one operation, by algebra, once for all sizes.

Through a layer: h_x[p] is the sum over the entries q of the output of (d y[q] / d x[p])^2 h_y[q]. From a loss or a penalty:
the second derivative with respect to each entry. Both are sums of terms again, as gradients are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import sympy as sp

from cnnframe import Loss, Op, Regularizer

from .._derive import COTANGENT, Derivation, derive_structure
from .._symbolic import Structure
from .._terms import Definition, Term, fresh
from ._paths import contradictory, one_path

DIAGONAL = "diagonal_"
"""Put before an argument's name: the diagonal that reaches it."""

Indices = tuple[Any, ...]


def begins(cls: type[Op]) -> bool:
    """Whether an operation is one at which the diagonal begins: its own second derivative counts, not the square of its first."""
    return issubclass(cls, (Loss, Regularizer))


@cache
def squares(cls: type[Op], chosen: Structure) -> Derivation:
    """The derivation of a class, with the diagonal for each argument in the place of its gradient.

    The diagonal that comes from above is called as the cotangent is.

    Raises:
        FormulaError: the formula cannot be read.
    """
    derivation = derive_structure(cls, chosen)
    found = {name: (_second if begins(cls) else _squared)(derivation, name) for name in derivation.gradients}
    inner: tuple[Definition, ...] = ()
    if begins(cls):
        own = set(derivation.gradients.values())
        inner = tuple(_said_out(derivation, d) for d in derivation.adjoints if d.name not in own)
        found = {name: _said_out(derivation, d) for name, d in found.items()}
    return replace(derivation, adjoints=(*inner, *found.values()), gradients={name: d.name for name, d in found.items()})


def slopes(derivation: Derivation, of: Definition, name: str, at: Indices) -> list[Term]:
    """The derivative of a definition's entry, at the definition's indices, with respect to entry `at` of an argument, through all that it reads."""
    known = {d.name: d for d in (*derivation.program.definitions, *derivation.adjoints)}
    found: list[Term] = []
    for term in of.terms:
        stand_in = {atom: sp.Dummy(str(atom.base.label), real=True) for atom in term.atoms}
        back = {dummy: atom for atom, dummy in stand_in.items()}
        body = term.body.xreplace(stand_in)
        for atom, dummy in stand_in.items():
            read = str(atom.base.label)
            inner = known.get(read)
            if read != name and (inner is None or inner.locally_constant):
                continue
            slope = sp.diff(body, dummy).xreplace(back)
            if slope == 0:
                continue
            if inner is None:
                found.append(replace(term, eq=term.eq + tuple(e - p for e, p in zip(atom.indices, at, strict=True)), body=slope))
                continue
            for part in slopes(derivation, inner, name, at):
                here = part.renamed(index for index, _ in part.bound).substitute(dict(zip(inner.index, atom.indices, strict=True)))
                found.append(Term(term.bound + here.bound, term.ge + here.ge, term.eq + here.eq, slope * here.body))
    return found


def indices_of(shape: Indices) -> Indices:
    """Fresh indices for an entry of an argument."""
    return tuple(sp.Dummy("pqrst"[d] if d < 5 else f"p{d}", integer=True) for d in range(len(shape)))


def _squared(derivation: Derivation, name: str) -> Definition:
    """The sum over all outputs of the squared derivative, times what comes from above."""
    program = derivation.program
    shape = program.shape(name)
    at = indices_of(shape)
    sizes = dict(zip(at, shape, strict=True))
    terms: list[Term] = []
    for output, defined in program.outputs.items():
        definition = program[defined]
        own = {index: fresh(index) for index in definition.index}
        box = tuple((own[index], size) for index, size in definition.box)
        given = sp.IndexedBase(COTANGENT + output)[tuple(own.values())]
        parts = [slope.substitute(own) for slope in slopes(derivation, definition, name, at)]
        for number, left in enumerate(parts):
            if one_path(derivation, left, {*at, *own.values()}):
                terms.append(Term(box + left.bound, left.ge, left.eq, given * left.body**2))
            else:
                terms.append(_product(box, given, left, left))
            terms += [_product(box, 2 * given, left, right) for right in parts[number + 1 :] if not contradictory(left, right)]
    return Definition(DIAGONAL + name, at, shape, tuple(tidy(derivation, term, sizes) for term in terms))


def _product(box: Any, weight: Any, left: Term, right: Term) -> Term:
    """Two derivatives of one entry of the output, each with sums of its own, multiplied."""
    right = right.renamed(index for index, _ in right.bound)
    return Term(box + left.bound + right.bound, left.ge + right.ge, left.eq + right.eq, weight * left.body * right.body)


def _second(derivation: Derivation, name: str) -> Definition:
    """The derivative of each of the gradient's entries with respect to the entry that it is for."""
    gradient = derivation.adjoint(name)
    at = indices_of(gradient.shape)
    sizes, same = dict(zip(at, gradient.shape, strict=True)), dict(zip(gradient.index, at, strict=True))
    terms = tuple(tidy(derivation, slope.substitute(same), sizes) for slope in slopes(derivation, gradient, name, at))
    return Definition(DIAGONAL + name, at, gradient.shape, terms)


def _said_out(derivation: Derivation, definition: Definition) -> Definition:
    """The same with what it reads of other adjoints written out, but for sums: products in it may cancel what would underflow."""
    adjoints = {d.name: d for d in derivation.adjoints}
    sizes, waiting, terms = dict(definition.box), list(definition.terms), []
    while waiting:
        term = tidy(derivation, waiting.pop(0), sizes)
        parts: list[Term] = []
        for factor in sp.Mul.make_args(term.body):
            inner = adjoints.get(str(factor.base.label)) if isinstance(factor, sp.Indexed) else None
            parts = [tidy(derivation, t, dict(inner.box)) for t in inner.terms] if inner else []
            if inner and parts and not any(t.bound or t.ge or t.eq for t in parts):
                at, rest = dict(zip(inner.index, factor.indices, strict=True)), term.body / factor
                waiting = [replace(term, body=rest * t.body.xreplace(at)) for t in parts] + waiting
                break
        else:
            terms.append(term)
    return replace(definition, terms=tuple(terms))


def tidy(derivation: Derivation, term: Term, free: dict[Any, Any]) -> Term:
    """The same sum with fewer indices: of two that are equal and have one range, one is enough; 0 and 1 are their own squares."""
    while True:
        equations = tuple(e for e in dict.fromkeys(map(sp.expand, term.eq)) if e != 0)
        term = replace(term, eq=equations)
        sizes = {**free, **dict(term.bound)}
        step = next(((v, w) for e in equations if (pair := _same(e, sizes)) for v, w in (pair, pair[::-1]) if v not in free), None)
        step = step or next(((v, sp.Integer(0)) for v, size in term.bound if size == 1), None)
        if step is None:
            break
        gone, kept = step
        term = Term(tuple(pair for pair in term.bound if pair[0] != gone), term.ge, term.eq, term.body).substitute({gone: kept})
    body = sp.factor_terms(term.body)
    values = {power: power.base for power in body.atoms(sp.Pow) if power.exp.is_Integer and power.exp > 0 and is_bit(derivation, power.base)}
    values |= {power: _in_parts(derivation, power) for power in body.atoms(sp.Pow) if power.exp.is_Integer and power.exp < 0}
    return replace(term, body=body.xreplace(values))


def _in_parts(derivation: Derivation, power: Any) -> Any:
    """A quotient by an intermediate that is a product, as one by its factors: what they cancel need not be divided by, which may underflow."""
    name = str(power.base.base.label) if isinstance(power.base, sp.Indexed) else ""
    definition = next((d for d in derivation.program.definitions if d.name == name), None)
    if definition is None or len(definition.terms) != 1:
        return power
    (term,) = definition.terms
    if term.bound or term.ge or term.eq or not term.body.is_Mul or not all(part.as_base_exp()[0].is_Indexed for part in term.body.args):
        return power
    return term.body.xreplace(dict(zip(definition.index, power.base.indices, strict=True))) ** power.exp


def _same(equation: Any, sizes: dict[Any, Any]) -> tuple[Any, Any] | None:
    """Two indices with one range that an equation says are equal."""
    if len(equation.free_symbols) != 2 or not equation.free_symbols <= sizes.keys():
        return None
    one, other = sorted(equation.free_symbols, key=str)
    return (one, other) if equation in (one - other, other - one) and sizes[one] == sizes[other] else None


def is_bit(derivation: Derivation, entry: Any) -> bool:
    """Whether an entry is 0 or 1: that of a table of links, or of a choice."""
    if not isinstance(entry, sp.Indexed):
        return False
    name = str(entry.base.label)
    if name in derivation.symbolic.operands:
        return True
    definition = next((d for d in derivation.program.definitions if d.name == name), None)
    if definition is None or len(definition.terms) != 1 or definition.terms[0].bound:
        return False
    body = definition.terms[0].body
    return isinstance(body, sp.Piecewise) and {value for value, _ in body.args} <= {sp.Integer(0), sp.Integer(1)}
