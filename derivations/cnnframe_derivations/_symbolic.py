"""An operation whose sizes and numeric hyperparameters are symbols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import sympy as sp

from cnnframe import BATCH, Links, Op, PerAxis
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import Hyperparameter, Interval, MultipleOf, hyperparameters

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
        return frozenset(s for e in found if isinstance(e, sp.Expr) and not isinstance(e, sp.IndexedBase) for s in e.free_symbols)


def structure(op: Op) -> Structure:
    """The structural hyperparameters of a concrete operation."""
    found = []
    for name, hyper in hyperparameters(type(op)).items():
        value = getattr(op, name)
        if hyper.choices is not None or hyper.kind is str:
            found.append((name, value))
        elif hyper.optional:
            found.append((name, None if value is None else ...))
    return tuple(found)


def default_structure(cls: type[Op]) -> Structure:
    """The structure that the defaults choose, or the first choice where there is no default."""
    found: list[tuple[str, Any]] = []
    for name, hyper in hyperparameters(cls).items():
        if hyper.choices is not None:
            found.append((name, hyper.choices[0] if hyper.required else hyper.default))
        elif hyper.optional:
            found.append((name, None if hyper.default is None else ...))
    return tuple(found)


def symbolic(cls: type[Op], chosen: Structure) -> Symbolic:
    """Make the symbolic instance of `cls` with this structure; no bound is checked, for symbols have no value."""
    hypers, fixed = hyperparameters(cls), dict(chosen)
    op = object.__new__(cls)
    operands: dict[str, tuple[Any, ...]] = {}
    values: dict[str, Any] = {}
    for name, hyper in sorted(hypers.items(), key=lambda item: any(isinstance(b, MultipleOf) for b in item[1].bounds)):
        value = fixed.get(name, ...)
        if value is ...:
            value = _links(name, operands) if hyper.kind is Links else _symbol(name, hyper, fixed.get("dims", 2), values)
        values[name] = value
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
    low = max((b.low for b in hyper.bounds if isinstance(b, Interval)), default=float("-inf"))
    strict = any(isinstance(b, Interval) and not b.include_low and b.low == 0 for b in hyper.bounds)
    sign = {"positive": True} if low > 0 or strict else {"nonnegative": True} if low == 0 else {}
    if hyper.kind is float:
        return sp.Symbol(name, real=True, **sign)
    if hyper.kind is PerAxis:
        return tuple(sp.Symbol(f"{name}{d}", integer=True, **sign) for d in range(dims))
    for bound in hyper.bounds:
        if isinstance(bound, MultipleOf):
            return values[bound.name] * sp.Symbol(quotient(name, bound.name), integer=True, positive=True)
    return sp.Symbol(name, integer=True, **sign)


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
