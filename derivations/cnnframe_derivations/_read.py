"""Read a formula, written with SymPy, into terms."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import sympy as sp

from cnnframe import FormulaError
from cnnframe._symbols import Defined, Guarded

from ._symbolic import Symbolic
from ._terms import Definition, Program, Term, fresh

FORBIDDEN = {
    sp.Max: "when(a > b, a, b)",
    sp.Min: "when(a < b, a, b)",
    sp.Heaviside: "when(x > 0, 1, 0)",
    sp.floor: "a sum over the quotient with guards",
    sp.Product: "a sum of logarithms or a written-out product",
}
"""SymPy differentiates these at their kinks by conventions of its own, or not at all."""

_SUMS = (sp.Sum, Guarded)


def read(symbolic: Symbolic) -> Program:
    """Call the formula of a symbolic instance and read what it returns.

    Raises:
        FormulaError: the formula raises, or holds something that has no meaning here.
    """
    op = symbolic.op
    arrays = {name: _array(name, shape) for name, shape in symbolic.shapes.items()}
    at = {name: tuple(sp.Dummy(letter, integer=True) for letter in index_letters(len(shape))) for name, shape in symbolic.outputs.items()}
    try:
        with redirect_stdout(sys.stderr):
            answer = op.formula(at["y"] if op.single else at, **arrays)
    except (Exception, SystemExit) as error:
        raise FormulaError(f"{op.name}.formula raised {type(error).__name__}: {error}") from error
    entries = {"y": answer} if op.single else answer
    if not isinstance(entries, Mapping) or set(entries) != set(symbolic.outputs):
        raise FormulaError(f"{op.name}.formula must give one expression for each output {sorted(symbolic.outputs)}; got {answer!r}")
    reader = _Reader(op.name, {**symbolic.shapes, **symbolic.operands})
    found = []
    for name, entry in entries.items():
        index, shape = at[name] or (sp.Dummy("z", integer=True),), symbolic.outputs[name] or (sp.Integer(1),)
        found.append((name, index, shape, reader.terms(sp.sympify(entry), dict(zip(index, shape, strict=True)))))
    taken = {*reader.operands, *reader.definitions}
    outputs = {name: f"{name}_out" if name in taken else name for name, *_ in found}
    last = [Definition(outputs[name], index, shape, tuple(terms)) for name, index, shape, terms in found]
    return Program(reader.operands, (*reader.definitions.values(), *last), outputs)


def index_letters(rank: int) -> list[str]:
    """Names for the indices of an output: batch, map, then space."""
    return ["n", "j", "u", "v", "w", *(f"u{d}" for d in range(5, rank))][:rank]


def _array(name: str, shape: tuple[Any, ...]) -> Any:
    return sp.IndexedBase(name, shape=shape) if shape else sp.IndexedBase(name, shape=(1,))[0]


class _Reader:
    """Collects the definitions of one formula."""

    def __init__(self, who: str, operands: Mapping[str, tuple[Any, ...]]) -> None:
        self.who = who
        self.operands = {name: shape or (sp.Integer(1),) for name, shape in operands.items()}
        self.definitions: dict[str, Definition] = {}
        self.labels: dict[str, Any] = {}

    def define(self, name: str, index: tuple[Any, ...], shape: tuple[Any, ...], body: Any, *, locally_constant: bool) -> None:
        sizes = dict(zip(index, map(sp.sympify, shape), strict=True))
        terms = tuple(self.terms(body, sizes))
        self.definitions[name] = Definition(name, index, tuple(sizes.values()), terms, locally_constant)

    def terms(self, expression: Any, sizes: Mapping[Any, Any]) -> list[Term]:
        """The terms of `expression`, within the indices that `sizes` binds."""
        if isinstance(expression, sp.Add):
            return [term for part in expression.args for term in self.terms(part, sizes)]
        if isinstance(expression, sp.Mul) and expression.has(*_SUMS):
            return self._product(expression.args, sizes)
        if isinstance(expression, sp.Pow) and expression.base.has(*_SUMS) and expression.exp.is_Integer and 0 < expression.exp <= 4:
            return self._product([expression.base] * int(expression.exp), sizes)
        if isinstance(expression, sp.Sum):
            return self._sum(expression, sizes)
        if isinstance(expression, Guarded):
            body, *conditions = expression.args
            ge, eq = self._conditions(conditions)
            return [Term(t.bound, ge + t.ge, eq + t.eq, t.body) for t in self.terms(body, sizes)]
        if expression == 0:
            return []
        return [Term((), (), (), self._scalar(expression, sizes))]

    def _product(self, factors: Any, sizes: Mapping[Any, Any]) -> list[Term]:
        plain = [factor for factor in factors if not factor.has(*_SUMS)]
        found = [Term((), (), (), self._scalar(sp.Mul(*plain), sizes))]
        for factor in factors:
            if factor.has(*_SUMS):
                parts = self.terms(factor, sizes)
                found = [left.times(right) for left in found for right in parts]
        return found

    def _sum(self, expression: Any, sizes: Mapping[Any, Any]) -> list[Term]:
        body, limits = expression.function, expression.limits
        rename, bound = {}, []
        for limit in limits:
            if len(limit) != 3 or limit[1] != 0:
                raise FormulaError(f"{self.who}.formula: a sum must run from 0; got {limit}")
            index = limit[0]
            if index in sizes:
                rename[index] = fresh(index)
            bound.append((rename.get(index, index), sp.expand(limit[2] + 1)))
        inner = self.terms(body.xreplace(rename) if rename else body, {**sizes, **dict(bound)})
        return [Term(tuple(bound) + t.bound, t.ge, t.eq, t.body) for t in (t.renamed(i for i, _ in bound) for t in inner)]

    def _conditions(self, conditions: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        ge, eq = [], []
        for condition in conditions:
            if condition.has(sp.Indexed):
                raise FormulaError(f"{self.who}.formula: {condition} is a condition on values; write it with when(condition, value, otherwise)")
            match condition:
                case sp.Equality():
                    eq.append(condition.lhs - condition.rhs)
                case sp.GreaterThan():
                    ge.append(condition.lhs - condition.rhs)
                case sp.LessThan():
                    ge.append(condition.rhs - condition.lhs)
                case sp.StrictGreaterThan():
                    ge.append(condition.lhs - condition.rhs - 1)
                case sp.StrictLessThan():
                    ge.append(condition.rhs - condition.lhs - 1)
                case sp.And():
                    more_ge, more_eq = self._conditions(condition.args)
                    ge += more_ge
                    eq += more_eq
                case _:
                    raise FormulaError(f"{self.who}.formula: {condition} is no comparison of indices; use <, <=, >=, > or equal()")
        return tuple(ge), tuple(eq)

    def _scalar(self, expression: Any, sizes: Mapping[Any, Any]) -> Any:
        """A scalar body: definitions become operands, sums inside functions become definitions."""
        if isinstance(expression, tuple(FORBIDDEN)):
            raise FormulaError(f"{self.who}.formula uses {expression.func.__name__}; write {FORBIDDEN[expression.func]}")
        if isinstance(expression, _SUMS):
            return self._intermediate(expression, sizes)
        if isinstance(expression, sp.IndexedBase):
            raise FormulaError(f"{self.who}.formula uses the array {expression.label} without indices; write {expression.label}[...] for one entry")
        if isinstance(expression, sp.Indexed):
            return self._operand(expression, sizes)
        if not expression.args or not expression.has(sp.Indexed, sp.IndexedBase, *_SUMS, *FORBIDDEN):
            return expression
        return expression.func(*(self._scalar(part, sizes) for part in expression.args))

    def _operand(self, entry: Any, sizes: Mapping[Any, Any]) -> Any:
        base, name = entry.base, entry.base.label.name
        if any(index.has(sp.Indexed) for index in entry.indices):
            raise FormulaError(f"{self.who}.formula: {entry} is indexed by the value of another array; use a sum with when(equal(...), ...)")
        if isinstance(base, Defined):
            if name in self.operands:
                raise FormulaError(f"{self.who}.formula: the intermediate {name!r} has the name of an array")
            if self.labels.setdefault(name, base.label) != base.label:
                raise FormulaError(f"{self.who}.formula defines two intermediates named {name!r}")
            if name not in self.definitions:
                self.define(name, base.index, base.sizes, base.body, locally_constant=base.locally_constant)
        elif name not in self.operands:
            raise FormulaError(f"{self.who}.formula uses an array {name!r} that is not declared")
        rank = len(base.sizes if isinstance(base, Defined) else self.operands[name])
        if len(entry.indices) != rank:
            raise FormulaError(f"{self.who}.formula: {name} has {rank} axes; got {len(entry.indices)} indices in {entry}")
        return sp.IndexedBase(name)[entry.indices]

    def _intermediate(self, expression: Any, sizes: Mapping[Any, Any]) -> Any:
        """Name a sum that stands inside a function, over the indices that it depends on."""
        index = tuple(sorted(expression.free_symbols & sizes.keys(), key=str))
        name = f"s{sum(n.startswith('s') for n in self.definitions)}"
        while name in self.operands or name in self.definitions:
            name += "_"
        own = {i: fresh(i) for i in index}
        shape = tuple(sizes[i] for i in index) or (sp.Integer(1),)
        self.define(name, tuple(own.values()) or (sp.Dummy("z", integer=True),), shape, expression.xreplace(own), locally_constant=False)
        return sp.IndexedBase(name)[index or (sp.Integer(0),)]
