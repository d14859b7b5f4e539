"""An operation whose sizes and numeric hyperparameters are symbols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import sympy as sp

from cnnframe import BATCH, FormulaError, Links, Op, PerAxis
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import Hyperparameter, Interval, MultipleOf, OneOf, hyperparameters

Structure = tuple[tuple[str, Any], ...]
"""The hyperparameters that decide which formula it is: dimensions, choices, flags."""

ANY = "any"
"""The size of the one axis that stands for `...`."""


@dataclass(frozen=True)
class Symbolic:
    """A symbolic instance with the shapes of its arrays.

    Attributes:
        op: the instance.
        known: hyperparameters and letters as they occur in axes, to symbols.
        shapes: name of each argument to its symbolic shape.
        outputs: name of each output to its symbolic shape.
        operands: arrays that a hyperparameter brings along (a table of links), to their shapes.
    """

    op: Any
    known: Mapping[str, Any]
    shapes: Mapping[str, tuple[Any, ...]]
    outputs: Mapping[str, tuple[Any, ...]]
    operands: Mapping[str, tuple[Any, ...]]

    @cached_property
    def symbols(self) -> frozenset[Any]:
        """All symbols for sizes and hyperparameters: those that an expression may hold beside its indices."""
        found = [size for shape in (*self.shapes.values(), *self.outputs.values(), *self.operands.values()) for size in shape]
        for name in hyperparameters(type(self.op)):
            value = getattr(self.op, name)
            found += value if isinstance(value, tuple) else vars(value).values() if isinstance(value, SimpleNamespace) else [value]
        symbols = frozenset(s for e in found if isinstance(e, sp.Expr) and not isinstance(e, sp.IndexedBase) for s in e.free_symbols)
        twice = sorted(name for name, count in Counter(s.name for s in symbols).items() if count > 1)
        if twice:
            raise FormulaError(f"{self.op.name}: two sizes or hyperparameters are called {twice[0]}; give one of them another name")
        return symbols


def structure(op: Op) -> Structure:
    """The structural hyperparameters of a concrete operation."""
    given = {name: getattr(op, name) for name in hyperparameters(type(op))}
    return tuple((name, given[name] if given[name] in choices else ...) for name, choices in structural(type(op)).items())


def default_structure(cls: type[Op]) -> Structure:
    """The structure that the defaults choose, or the first choice where there is no default."""
    hypers = hyperparameters(cls)
    chosen = {name: choices[0] if hypers[name].required else hypers[name].default for name, choices in structural(cls).items()}
    return tuple((name, choice if choice in structural(cls)[name] else ...) for name, choice in chosen.items())


def structural(cls: type[Op]) -> dict[str, tuple[Any, ...]]:
    """What each hyperparameter that decides the formula may be; `...` stands for a number that is given.

    Raises:
        FormulaError: a string may be anything.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for name, hyper in hyperparameters(cls).items():
        none = (None,) if hyper.optional else ()
        if hyper.choices is not None and hyper.kind is not PerAxis:
            found[name] = (*hyper.choices, *none)
        elif hyper.kind is str:
            raise FormulaError(f"{cls.name}: the formula cannot be read for every string; say which with {name}: Annotated[str, one_of(...)]")
        elif hyper.optional:
            found[name] = (None, ...)
    return found


def symbolic(cls: type[Op], chosen: Structure, given: Mapping[str, Any] | None = None) -> Symbolic:
    """Make the symbolic instance of `cls` with this structure; no bound is checked, for symbols have no value.

    Hyperparameters are numbers where `given` says so, by the names of their symbols.
    """
    hypers, fixed = hyperparameters(cls), dict(chosen)
    op = object.__new__(cls)
    operands: dict[str, tuple[Any, ...]] = {}
    values: dict[str, Any] = {}
    for name in _divisors_first(hypers):
        value = fixed.get(name, ...)
        if value is ...:
            value = _links(name, operands) if hypers[name].kind is Links else _symbol(name, hypers[name], fixed.get("dims", 2), values)
        values[name] = value
    for name in hypers:
        value = _number(values[name], given) if given else values[name]
        object.__setattr__(op, name, value)
    declaration = op.declaration
    known = dict(declaration.known)
    for expressions in [*declaration.arguments.values(), *declaration.outputs.values()]:
        for axis in expressions:
            if axis is None:
                known[ELLIPSIS] = (size(ANY),)
            else:
                known |= {letter: size(letter) for letter in sorted(axis.names()) if letter not in known}
    shapes = {name: _shape(expressions, known) for name, expressions in declaration.arguments.items()}
    outputs = {name: _shape(expressions, known) for name, expressions in declaration.outputs.items()}
    return Symbolic(op, known, shapes, outputs, operands)


def size(letter: str) -> Any:
    """The symbol of a size; only a batch may be empty."""
    return sp.Symbol(letter, integer=True, nonnegative=True) if letter == BATCH else sp.Symbol(letter, integer=True, positive=True)


def _shape(axes: Any, known: Mapping[str, Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for axis in axes:
        found += known[ELLIPSIS] if axis is None else [sp.sympify(axis(known))]
    return tuple(found)


def _symbol(name: str, hyper: Hyperparameter, dims: int, values: Mapping[str, Any]) -> Any:
    low = max([min(b.values) for b in hyper.bounds if isinstance(b, OneOf)] + [b.low for b in hyper.bounds if isinstance(b, Interval)], default=float("-inf"))
    strict = any(isinstance(b, Interval) and not b.include_low and b.low == 0 for b in hyper.bounds)
    sign = {"positive": True} if low > 0 or strict else {"nonnegative": True} if low == 0 else {}
    if hyper.kind is float:
        return sp.Symbol(name, real=True, **sign)
    if hyper.kind is PerAxis:
        return tuple(sp.Symbol(f"{name}{d}", integer=True, **sign) for d in range(dims))
    for bound in hyper.bounds:
        if isinstance(bound, MultipleOf):
            divisor = values[bound.name]
            return divisor * sp.Symbol(quotient(name, bound.name), integer=True, **(sign if divisor.is_positive else {}))
    return sp.Symbol(name, integer=True, **sign)


def _divisors_first(hypers: Mapping[str, Hyperparameter]) -> list[str]:
    """The names in an order in which each comes after what divides it."""
    order: list[str] = []

    def place(name: str) -> None:
        for bound in hypers[name].bounds:
            if isinstance(bound, MultipleOf) and bound.name not in order and bound.name != name:
                place(bound.name)
        if name not in order:
            order.append(name)

    for name in hypers:
        place(name)
    return order


def _number(value: Any, given: Mapping[str, Any]) -> Any:
    """A symbolic hyperparameter with numbers in the place of its symbols, as Python's."""
    if isinstance(value, tuple):
        return tuple(_number(part, given) for part in value)
    if not isinstance(value, sp.Expr):
        return value
    number = value.xreplace({s: sp.sympify(given[s.name]) for s in value.free_symbols})
    return int(number) if number.is_integer and value.is_integer else float(number)


def quotient(name: str, divisor: str) -> str:
    """The name of the symbol for a hyperparameter divided by the one that divides it."""
    return f"{name}_per_{divisor}"


def _links(name: str, operands: dict[str, tuple[Any, ...]]) -> Any:
    table = {part: sp.Symbol(f"{name}_{part}", integer=True, positive=True) for part in ("count", "inputs", "outputs")}
    ends = {"source": (table["count"], table["inputs"]), "target": (table["count"], table["outputs"])}
    for part, shape in ends.items():
        operands[f"{name}_{part}"] = shape
    return SimpleNamespace(**table, **{part: sp.IndexedBase(f"{name}_{part}", shape=shape) for part, shape in ends.items()})


def numbers(op: Op, known: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every symbol of the symbolic instance, by name: settled letters and hyperparameters."""
    values = {name: value for name, value in known.items() if name != ELLIPSIS}
    if ELLIPSIS in known:
        values[ANY] = 1
        for part in known[ELLIPSIS]:
            values[ANY] *= part
    for name, hyper in hyperparameters(type(op)).items():
        value = getattr(op, name)
        if hyper.kind is float:
            values[name] = value
        elif isinstance(value, Links):
            values |= {f"{name}_count": value.count, f"{name}_inputs": value.inputs, f"{name}_outputs": value.outputs}
        for bound in hyper.bounds:
            if isinstance(bound, MultipleOf):
                values[quotient(name, bound.name)] = value // getattr(op, bound.name)
    return values


def brought(op: Op) -> dict[str, Any]:
    """The arrays that hyperparameters bring along, by operand name."""
    found = {}
    for name in hyperparameters(type(op)):
        value = getattr(op, name)
        if isinstance(value, Links):
            found |= {f"{name}_source": value.source, f"{name}_target": value.target}
    return found
