"""Evaluate a program point by point: slow, obvious, and in any system of numbers.

The domain of a term is listed: every point of its box at which the conditions hold. The entries of its
operands are looked up there, the body is computed, and the results are added up where they belong. No
equation is solved: an equation that names an index of the result says where to add.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy as sp

from cnnframe import FormulaError, Op

from ._derive import COTANGENT, Derivation
from ._numbers import System
from ._symbolic import brought, numbers
from ._terms import Definition, Term

Points = dict[Any, Any]


@dataclass(frozen=True)
class _Domain:
    """The points of one term: index vectors, the array of each operand and where its entries are, where each result goes.

    Places count through an array in the order of its last axis first; `all_in_order` says that the results are the
    entries of the array, each once, as they lie.
    """

    points: Points
    entries: Mapping[Any, tuple[str, Any]]
    target: Any
    all_in_order: bool


@dataclass(frozen=True)
class _Condition:
    """expression >= 0, or == 0; `indices` are those of the listed box that it depends on."""

    expression: Any
    inequality: bool
    indices: frozenset[Any]


class Evaluation:
    """One operation at one set of shapes; domains are listed once and serve every system of numbers."""

    def __init__(self, derivation: Derivation, op: Op, known: Mapping[str, Any]) -> None:
        self.derivation = derivation
        self.op = op
        self.values = numbers(op, known)
        self.brought = brought(op)
        self._domains: dict[tuple[str, int], _Domain] = {}
        self.shapes = {name: self._shape(shape) for name, shape in derivation.program.operands.items()}
        for definition in [*derivation.program.definitions, *derivation.adjoints]:
            self.shapes[definition.name] = self._shape(definition.shape)
        for output, definition_name in derivation.program.outputs.items():
            self.shapes[COTANGENT + output] = self.shapes[definition_name]

    def _shape(self, shape: Iterable[Any]) -> tuple[int, ...]:
        return tuple(max(int(_integer(size, self.values, {})), 0) for size in shape)

    def forward(self, system: System, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Every operand and definition of the formula, by name."""
        return self.follow(system, {name: system.array(np.reshape(value, self.shapes[name])) for name, value in {**arrays, **self.brought}.items()})

    def follow(self, system: System, held: dict[str, Any]) -> dict[str, Any]:
        """The same where the operands are numbers of the system already; the dict is added to."""
        for definition in self.derivation.program.definitions:
            held[definition.name] = self._define(definition, system, held)
        return held

    def backward(self, system: System, held: Mapping[str, Any], cotangents: Mapping[str, Any]) -> dict[str, Any]:
        """The gradient of every input and parameter, given what `forward` returned."""
        return self.pull(system, held, {name: system.array(np.reshape(value, self.shapes[COTANGENT + name])) for name, value in cotangents.items()})

    def pull(self, system: System, held: Mapping[str, Any], cotangents: Mapping[str, Any]) -> dict[str, Any]:
        """The same where the cotangents are numbers of the system already."""
        held = {**held, **{COTANGENT + output: value for output, value in cotangents.items()}}
        for definition in self.derivation.adjoints:
            held[definition.name] = self._define(definition, system, held)
        return {name: held[adjoint] for name, adjoint in self.derivation.gradients.items()}

    def outputs(self, held: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name, out of what `forward` returned."""
        return {output: held[name] for output, name in self.derivation.program.outputs.items()}

    def _define(self, definition: Definition, system: System, held: Mapping[str, Any]) -> Any:
        pieces = []
        for number, term in enumerate(definition.terms):
            domain = self._domain(definition, number, term)
            if not len(domain.target):
                continue
            entries = {atom: system.gather(held[name], where) for atom, (name, where) in domain.entries.items()}
            values = _body(term.body)(system, self.values, {**domain.points, **entries})
            if domain.all_in_order and len(definition.terms) == 1:
                return system.reshape(self.shapes[definition.name], values)
            pieces.append((domain.target, values))
        return system.scatter(self.shapes[definition.name], pieces)

    def _domain(self, definition: Definition, number: int, term: Term) -> _Domain:
        key = (definition.name, number)
        if key not in self._domains:
            self._domains[key] = self._list(definition, term)
        return self._domains[key]

    def _list(self, definition: Definition, term: Term) -> _Domain:
        target, box, conditions = _schedule(definition.box, term)
        points = self._within(definition, target, self._points(box, conditions))
        count = len(next(iter(points.values()))) if points else 1
        goes = self._places(definition.name, tuple(target.get(i, i) for i in definition.index), points, count)
        entries = {}
        for atom in term.atoms:
            name = atom.base.label.name
            entries[atom] = (name, self._places(name, atom.indices, points, count))
        all_in_order = count == math.prod(self.shapes[definition.name]) and bool((goes == np.arange(count)).all())
        return _Domain(points, entries, goes, all_in_order)

    def _points(self, box: tuple[tuple[Any, Any], ...], conditions: tuple[_Condition, ...]) -> Points:
        """Every point of the box at which the conditions hold; each condition cuts as soon as its indices are listed."""
        points: Points = {}
        count = 1
        waiting = list(conditions)
        for index, size in box:
            n = max(int(_integer(size, self.values, {})), 0)
            points = {i: np.repeat(v, n) for i, v in points.items()}
            points[index] = np.arange(count * n) % max(n, 1)
            count *= n
            for condition in [c for c in waiting if c.indices <= points.keys()]:
                waiting.remove(condition)
                keep = np.broadcast_to(self._holds(condition, points), (count,))
                points = {i: v[keep] for i, v in points.items()}
                count = int(keep.sum())
        if not all(self._holds(condition, points) for condition in waiting):
            return {sp.Dummy("none"): np.zeros(0, dtype=np.int64)}
        return points

    def _within(self, definition: Definition, target: Mapping[Any, Any], points: Points) -> Points:
        """The points at which every index that an equation gives is one of an entry."""
        for index, size in zip(definition.index, self.shapes[definition.name], strict=True):
            if index in target:
                at = np.asarray(_integer(target[index], self.values, points))
                keep = (at >= 0) & (at < size)
                if not np.all(keep):
                    points = {i: v[np.broadcast_to(keep, v.shape)] for i, v in points.items()} or {sp.Dummy("none"): np.zeros(0, dtype=np.int64)}
        return points

    def _holds(self, condition: _Condition, points: Points) -> Any:
        value = _integer(condition.expression, self.values, points)
        return value >= 0 if condition.inequality else value == 0

    def _places(self, name: str, indices: tuple[Any, ...], points: Points, count: int) -> Any:
        """Where entries lie in an array that is laid out in a row."""
        places: Any = np.zeros(count, dtype=np.int64)
        for axis, (index, size) in enumerate(zip(indices, self.shapes[name], strict=True)):
            at = np.asarray(_integer(index, self.values, points))
            if count and not (at.min() >= 0 and at.max() < size):
                entry = f"{name}[{', '.join(map(str, indices))}]"
                wrong = np.extract((at < 0) | (at >= size), at)
                raise FormulaError(f"{self.op.name}.formula reads {entry} out of range: index {int(wrong[0])} of axis {axis}, which has size {size}")
            places = places * size + at
        return places


@cache
def _schedule(box: tuple[tuple[Any, Any], ...], term: Term) -> tuple[Mapping[Any, Any], tuple[tuple[Any, Any], ...], tuple[_Condition, ...]]:
    """Where results go, which box is listed, and which conditions cut it; the same for all sizes."""
    target: dict[Any, Any] = {}
    used = set().union(term.body.free_symbols, *(ge.free_symbols for ge in term.ge))
    cuts = [(ge, True) for ge in term.ge]
    for eq in term.eq:
        taken = used.union(target, *(other.free_symbols for other in term.eq if other is not eq))
        index = next((i for i, _ in box if i not in taken and eq.coeff(i) in (1, -1)), None)
        if index is None:
            cuts.append((eq, False))
        else:
            target[index] = sp.expand(index - eq / eq.coeff(index))
    listed = tuple(pair for pair in box if pair[0] not in target) + term.bound
    indices = {index for index, _ in listed}
    return target, listed, tuple(_Condition(e, inequality, frozenset(e.free_symbols & indices)) for e, inequality in cuts)


def _integer(expression: Any, values: Mapping[str, Any], points: Points) -> Any:
    """An index expression, for all points at once; integers throughout."""
    return _index_program(expression)(values, points)


@cache
def _index_program(expression: Any) -> Any:
    """Compile an index expression to a closure over Python integers and integer vectors."""
    expression = sp.sympify(expression)
    if expression.is_Integer:
        number = int(expression)
        return lambda values, points: number
    if expression.is_Symbol:
        name = expression.name
        return lambda values, points: points[expression] if expression in points else values[name]
    if expression.func is sp.floor:
        numerator, denominator = (_index_program(part) for part in expression.args[0].as_numer_denom())
        return lambda values, points: numerator(values, points) // denominator(values, points)
    parts = [_index_program(part) for part in expression.args]
    if expression.is_Add:
        return lambda values, points: sum((part(values, points) for part in parts[1:]), parts[0](values, points))
    if expression.is_Mul and all(part.is_integer for part in expression.args):

        def product(values: Mapping[str, Any], points: Points) -> Any:
            value = parts[0](values, points)
            for part in parts[1:]:
                value = value * part(values, points)
            return value

        return product
    if expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
        return lambda values, points: parts[0](values, points) ** int(expression.exp)
    raise FormulaError(f"{expression} is no integer expression of indices and sizes")


@cache
def _body(expression: Any) -> Any:
    """Compile a body to a closure over a system of numbers, hyperparameters and sizes, and what is known at the points."""
    if isinstance(expression, sp.Indexed):
        return lambda system, values, known: known[expression]
    if not expression.args:
        return _number(expression)
    if expression.is_Add or expression.is_Mul:
        parts = [_body(part) for part in expression.args]
        if expression.is_Add:
            return lambda system, values, known: system.add([part(system, values, known) for part in parts])
        return lambda system, values, known: system.multiply([part(system, values, known) for part in parts])
    if expression.is_Pow:
        return _power(expression)
    if isinstance(expression, sp.Piecewise):
        conditions = [_condition(condition) for _, condition in expression.args]
        branches = [_body(value) for value, _ in expression.args]
        return lambda system, values, known: system.choose(
            [condition(system, values, known) for condition in conditions], [branch(system, values, known) for branch in branches]
        )
    if isinstance(expression, sp.Function) and len(expression.args) == 1:
        name, argument = type(expression).__name__, _body(expression.args[0])
        return lambda system, values, known: system.function(name, argument(system, values, known))
    raise FormulaError(f"{expression.func.__name__} cannot be evaluated in a formula")


def _number(expression: Any) -> Any:
    """A body without parts: a number, an index, a size or a hyperparameter."""
    if expression.is_Rational:
        number = int(expression) if expression.is_Integer else Fraction(int(expression.p), int(expression.q))
        return lambda system, values, known: system.lift(number)
    if expression.is_Float:
        real = float(expression)
        return lambda system, values, known: system.constant(real)
    if expression.is_Symbol:
        name = expression.name

        def symbol(system: System, values: Mapping[str, Any], known: Mapping[Any, Any]) -> Any:
            if expression in known:
                return system.lift(known[expression])
            value = values[name]
            return system.constant(value) if isinstance(value, float) else system.lift(value)

        return symbol
    raise FormulaError(f"{expression} cannot be evaluated in a formula")


def _power(expression: Any) -> Any:
    base, exponent = _body(expression.base), expression.exp
    if exponent.is_Rational:
        rational = Fraction(int(exponent.p), int(exponent.q))
        return lambda system, values, known: system.power(base(system, values, known), rational)
    if exponent.has(sp.Indexed):
        raise FormulaError(f"{expression}: an exponent must be a number or a hyperparameter")

    def power(system: System, values: Mapping[str, Any], known: Mapping[Any, Any]) -> Any:
        number = exponent.xreplace({s: sp.Rational(Fraction(values[s.name])) for s in exponent.free_symbols})
        return system.power(base(system, values, known), Fraction(int(number.p), int(number.q)))

    return power


def _condition(condition: Any) -> Any:
    if condition in (True, sp.true):
        return lambda system, values, known: True
    if condition in (False, sp.false):
        return lambda system, values, known: False
    if isinstance(condition, (sp.And, sp.Or)):
        parts = [_condition(part) for part in condition.args]
        join = np.logical_and if isinstance(condition, sp.And) else np.logical_or
        return lambda system, values, known: join.reduce(np.broadcast_arrays(*(part(system, values, known) for part in parts)))
    if isinstance(condition, sp.Not):
        inner = _condition(condition.args[0])
        return lambda system, values, known: np.logical_not(inner(system, values, known))
    name = type(condition).__name__
    left, right = (_body(sp.sympify(side)) for side in condition.args)
    return lambda system, values, known: system.compare(name, left(system, values, known), right(system, values, known))
