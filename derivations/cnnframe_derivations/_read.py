"""Read a formula, written with SymPy, into terms."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
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
    arrays = {name: array(name, shape) for name, shape in symbolic.shapes.items()}
    at = {name: tuple(sp.Dummy(letter, integer=True) for letter in index_letters(len(shape))) for name, shape in symbolic.outputs.items()}
    answer = called(f"{op.name}.formula", op.formula, at["y"] if op.single else at, **arrays)
    entries = {"y": answer} if op.single else answer
    if not isinstance(entries, Mapping) or set(entries) != set(symbolic.outputs):
        raise FormulaError(f"{op.name}.formula must give one expression for each output {sorted(symbolic.outputs)}; got {answer!r}")
    reader = Reader(f"{op.name}.formula", {**symbolic.shapes, **symbolic.operands}, symbolic.symbols)
    found = {}
    for name, entry in entries.items():
        box = list(zip(at[name], symbolic.outputs[name], strict=True)) or [(sp.Dummy("z", integer=True), sp.Integer(1))]
        found[name] = reader.definition(name, box, expression(f"{op.name}.formula", f"the entry of {name}", entry))
    taken = {*reader.operands, *reader.definitions}
    outputs = {name: f"{name}_out" if name in taken else name for name in found}
    last = [replace(definition, name=outputs[name]) for name, definition in found.items()]
    return Program(reader.operands, (*reader.definitions.values(), *last), outputs)


def expression(who: str, what: str, said: Any, wanted: str = "an expression") -> Any:
    """What was said, if it is a scalar expression.

    Raises:
        FormulaError: it is not.
    """
    try:
        found = sp.sympify(said, strict=True)
    except sp.SympifyError:
        found = None
    if not isinstance(found, sp.Expr):
        raise FormulaError(f"{who}: {what} must be {wanted}; got {said!r}")
    # Floats are the numbers that they hold: their arithmetic would round.
    return found.xreplace({number: sp.Rational(number) for number in found.atoms(sp.Float) if number.is_finite})


def called(who: str, method: Callable[..., Any], *args: Any, **arrays: Any) -> Any:
    """What a method of an operation answers; what it prints goes elsewhere.

    Raises:
        FormulaError: it raises.
    """
    try:
        with redirect_stdout(sys.stderr):
            return method(*args, **arrays)
    except FormulaError as error:
        raise FormulaError(f"{who}: {error}") from error
    except (Exception, SystemExit) as error:
        raise FormulaError(f"{who} raised {type(error).__name__}: {error}") from error


def index_letters(rank: int) -> list[str]:
    """Names for the indices of an output: batch, map, then space."""
    return ["n", "j", "u", "v", "w", *(f"u{d}" for d in range(5, rank))][:rank]


def array(name: str, shape: tuple[Any, ...]) -> Any:
    """An array to index; without axes, its one entry."""
    return _Array(name, shape=shape) if shape else _Array(name, shape=(1,))[0]


class _Array(sp.IndexedBase):
    """An array that says which one it is when the number of indices is wrong, where SymPy does not."""

    def __getitem__(self, at: Any) -> Any:
        count = len(at) if isinstance(at, (tuple, list, sp.Tuple)) else 1
        if count != len(self.shape):
            raise FormulaError(f"{self.label} has {len(self.shape)} axes; got {count} indices: {at}")
        return sp.IndexedBase.__getitem__(self, at)


class Reader:
    """Collects the definitions of one formula, or of what is said in addition to the definitions that are `known`."""

    def __init__(self, who: str, operands: Mapping[str, tuple[Any, ...]], symbols: Collection[Any], known: Iterable[Definition] = ()) -> None:
        self.who = who
        self.symbols = symbols
        self.operands = {name: shape or (sp.Integer(1),) for name, shape in operands.items()}
        self.known = {d.name: d for d in known}
        self.definitions = dict(self.known)
        self.labels: set[Any] = set()

    def definition(self, name: str, box: Iterable[tuple[Any, Any]], body: Any, *, locally_constant: bool = False) -> Definition:
        """name[index] = `body`, for indices and sizes in pairs."""
        sizes = {index: sp.sympify(size) for index, size in box}
        summed = [limit[0] for s in body.atoms(sp.Sum) for limit in s.limits]
        taken = next((index for index in summed if index in self.symbols), None)
        if taken is not None:
            raise FormulaError(f"{self.who} sums over {taken.name}, which is a hyperparameter or a size; take another letter")
        again = next((index for index in summed if index in sizes), None)
        if again is not None:
            raise FormulaError(f"{self.who} sums over {again.name}, which is an index of the entry itself; take another index from indices()")
        return Definition(name, tuple(sizes), tuple(sizes.values()), tuple(self.terms(body, sizes)), locally_constant)

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
            for condition in conditions:
                self._bound(condition, sizes)
            ge, eq = self._conditions(conditions)
            return [Term(t.bound, ge + t.ge, eq + t.eq, t.body) for t in self.terms(body, sizes)]
        if expression == 0:
            return []
        self._bound(expression, sizes)
        return [Term((), (), (), self._scalar(expression, sizes))]

    def _bound(self, expression: Any, sizes: Mapping[Any, Any]) -> None:
        """Refuse an index that nothing runs over: in a product with a sum over the same letter it would be taken for that."""
        arrays = {entry.base.label for entry in expression.atoms(sp.Indexed)} | {base.label for base in expression.atoms(sp.IndexedBase)}
        summed = {limit[0] for s in expression.atoms(sp.Sum) for limit in s.limits}
        stray = sorted(expression.atoms(sp.Symbol) - self.symbols - sizes.keys() - arrays - summed, key=str)
        if stray:
            raise FormulaError(f"{self.who}: nothing runs over the index {stray[0]} in {expression}; sum over it, or take an index of the entry")

    def _product(self, factors: Any, sizes: Mapping[Any, Any]) -> list[Term]:
        plain = [factor for factor in factors if not factor.has(*_SUMS)]
        self._bound(sp.Mul(*plain), sizes)
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
                raise FormulaError(f"{self.who}: a sum must run from 0; got {limit}")
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
                raise FormulaError(f"{self.who}: {condition} is a condition on values; write it with when(condition, value, otherwise)")
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
                    raise FormulaError(f"{self.who}: {condition} is no comparison of indices; use <, <=, >=, > or equal()")
        return tuple(ge), tuple(eq)

    def _scalar(self, expression: Any, sizes: Mapping[Any, Any]) -> Any:
        """A scalar body: definitions become operands, sums inside functions become definitions."""
        if isinstance(expression, tuple(FORBIDDEN)):
            raise FormulaError(f"{self.who} uses {expression.func.__name__}; write {FORBIDDEN[expression.func]}")
        if isinstance(expression, _SUMS):
            return self._intermediate(expression, sizes)
        if isinstance(expression, sp.IndexedBase):
            raise FormulaError(f"{self.who} uses the array {expression.label} without indices; write {expression.label}[...] for one entry")
        if isinstance(expression, sp.Indexed):
            return self._operand(expression, sizes)
        if not expression.args or not expression.has(sp.Indexed, sp.IndexedBase, *_SUMS, *FORBIDDEN):
            return expression
        return expression.func(*(self._scalar(part, sizes) for part in expression.args))

    def _operand(self, entry: Any, sizes: Mapping[Any, Any]) -> Any:
        base, name = entry.base, entry.base.label.name
        if any(index.has(sp.Indexed) for index in entry.indices):
            raise FormulaError(f"{self.who}: {entry} is indexed by the value of another array; use a sum with when(equal(...), ...)")
        if isinstance(base, Defined):
            if not name.isidentifier():
                raise FormulaError(f"{self.who}: an intermediate must be named by an identifier; got {name!r}")
            if name in self.operands:
                raise FormulaError(f"{self.who}: the intermediate {name!r} has the name of an array")
            if base.label not in self.labels:
                self.labels.add(base.label)
                found = self.definition(name, zip(base.index, base.sizes, strict=True), base.body, locally_constant=base.locally_constant)
                if not self.definitions.setdefault(name, found).same(found):
                    raise FormulaError(f"{self.who} defines two intermediates named {name!r}")
        elif name not in self.operands:
            raise FormulaError(f"{self.who} uses an array {name!r} that is not declared")
        rank = len(base.sizes if isinstance(base, Defined) else self.operands[name])
        if len(entry.indices) != rank:
            raise FormulaError(f"{self.who}: {name} has {rank} axes; got {len(entry.indices)} indices in {entry}")
        return sp.IndexedBase(name)[entry.indices]

    def _intermediate(self, expression: Any, sizes: Mapping[Any, Any]) -> Any:
        """Name a sum that stands inside a function, over the indices that it depends on."""
        index = tuple(sorted(expression.free_symbols & sizes.keys(), key=lambda i: (str(i), i.sort_key())))
        own = {i: fresh(i) for i in index}
        box = [(own[i], sizes[i]) for i in index] or [(sp.Dummy("z", integer=True), sp.Integer(1))]
        found = self.definition("", box, expression.xreplace(own))
        name = next((d.name for d in self.known.values() if d.same(found)), "")
        if not name:
            name = f"s{sum(n.startswith('s') for n in self.definitions)}"
            while name in self.operands or name in self.definitions:
                name += "_"
            self.definitions[name] = replace(found, name=name)
        return sp.IndexedBase(name)[index or (sp.Integer(0),)]
