"""What an equation of the paper is written down with: sizes, arrays, a forward formula, and what is said of its gradient."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from cnnframe.algebra import Map

from .._derive import ADJOINT, COTANGENT, reverse
from .._read import Reader, array
from .._terms import Definition, Program
from ..proofs._polynomial import ONE, Polynomial, symbol
from ..proofs._statement import Theorem, Theory
from ..proofs._translate import Translator, name_indices

Entry = Callable[..., Any]
"""A function from indices, whose names are taken from it, to the entry there."""


@dataclass(frozen=True)
class Claim:
    """Two expressions that are said to be equal, as a theorem.

    Attributes:
        theorem: what is derived on the left, what is said on the right.
        of: the array with respect to which the left side is a derivative of E, if it is one.
        behind: what comes out of the forward formula, and the array that is the derivative of E with respect to it, if E is not that itself.
        shapes: the shape of every array and named intermediate.
        forward: names of the intermediates of the forward formula.
        adjoints: names of what the derivation adds to them; a search puts these in at once.
        example: a value for each size.
    """

    theorem: Theorem
    of: str
    behind: tuple[str, str]
    shapes: Mapping[str, tuple[Polynomial, ...]]
    forward: tuple[str, ...]
    adjoints: tuple[str, ...]
    example: Mapping[str, int]


class f(sp.Function):  # type: ignore[misc] # noqa: N801 # SymPy is untyped; it prints a function by its class's name
    """An activation function of which nothing is known but that it has a derivative."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        """Return f'."""
        return slope(self.args[0])


slope = type("f'", (sp.Function,), {"nargs": 1, "__doc__": "The derivative of f."})


class Setting:
    """The sizes and arrays of one equation, and what is assumed of them."""

    def __init__(self) -> None:
        self.example: dict[str, int] = {}
        self.arrays: dict[str, tuple[Any, ...]] = {}
        self.assumptions: list[Any] = []
        self.scalars: set[str] = set()

    def sizes(self, **example: int) -> Any:
        """Integers of at least 1, with the values that they have in examples."""
        self.example |= example
        found = tuple(sp.Symbol(name, integer=True, positive=True) for name in example)
        return found if len(found) > 1 else found[0]

    def real(self, name: str) -> Any:
        """A real number."""
        self.scalars.add(name)
        return sp.Symbol(name, real=True)

    def array(self, name: str, *shape: Any) -> Any:
        """An array of any real numbers."""
        self.arrays[name] = tuple(sp.sympify(size) for size in shape)
        return array(name, self.arrays[name])

    def assume(self, *conditions: Any) -> None:
        """Add conditions a >= b or a <= b on sizes.

        Raises:
            TypeError: one of them is something else, or never true.
        """
        for condition in conditions:
            if not isinstance(condition, (sp.GreaterThan, sp.LessThan)):
                raise TypeError(f"an assumption must be a >= b or a <= b; got {condition}")
        self.assumptions += conditions

    @property
    def symbols(self) -> set[Any]:
        """The symbols of sizes and real numbers."""
        return {sp.Symbol(name, integer=True, positive=True) for name in self.example} | {sp.Symbol(name, real=True) for name in self.scalars}

    def reader(self, known: Iterable[Definition] = ()) -> Reader:
        """Something that reads formulas with these sizes and arrays."""
        return Reader("the paper", self.arrays, self.symbols, known)

    def given(self, u: Any, delta: Any) -> Layer:
        """The error E depends on the intermediate `u`, and its derivative with respect to u is `delta`.

        Raises:
            ValueError: they differ in shape.
        """
        if tuple(u.sizes) != tuple(delta.shape):
            raise ValueError(f"{u.label} has the shape {u.sizes}, {delta.label} has {delta.shape}")
        reader = self.reader()
        reader.terms(u[u.index], dict(zip(u.index, u.sizes, strict=True)))
        return Layer(self, reader, u.label.name, delta.label.name)

    def error(self, value: Any) -> Layer:
        """The error E is `value`, a number."""
        reader = self.reader()
        reader.definitions["E"] = reader.definition("E", [(sp.Dummy("z", integer=True), 1)], sp.sympify(value))
        return Layer(self, reader, "E", "")

    def same(self, left: Entry | Map, right: Entry | Map, shape: Iterable[Any] = ()) -> Claim:
        """Two expressions are equal at every entry of an array of this shape; that of `right`, if that is a map."""
        shape = right.shape if isinstance(right, Map) else tuple(shape)
        index = _indices(right if isinstance(left, Map) else left, len(shape))
        reader = self.reader()
        sides = [reader.definition(side, zip(index, shape, strict=True), _at(m, index)) for side, m in (("left", left), ("right", right))]
        return self.claim(reader, (), sides[0], sides[1], tuple(reader.definitions), "", ("", ""))

    def claim(
        self,
        reader: Reader,
        adjoints: tuple[Definition, ...],
        left: Definition,
        right: Definition,
        forward: tuple[str, ...],
        of: str,
        behind: tuple[str, str],
    ) -> Claim:
        """Put a theorem together out of what was read."""
        translate, reserved = Translator(self.symbols), {*self.example, *self.scalars}
        named = [*reader.definitions.values(), *adjoints]
        assume = [c for name in self.example for c in (symbol(name), symbol(name) - ONE)]
        assume += [translate.polynomial(c.gts - c.lts, {}) for c in self.assumptions]
        definitions = {d.name: translate.definition(d, reserved) for d in named}
        theory = Theory(frozenset(self.example), frozenset(self.scalars), tuple(assume), definitions)
        names = name_indices(right.index, reserved)
        left = Definition(left.name, right.index, left.shape, tuple(t.substitute(dict(zip(left.index, right.index, strict=True))) for t in left.terms))
        sides = [tuple(translate.term(t, names, reserved) for t in side.terms) for side in (left, right)]
        shapes = {**reader.operands, **{d.name: d.shape for d in named}}
        return Claim(
            Theorem(theory, translate.box(right.box, names), *sides),
            of,
            behind,
            {name: tuple(translate.polynomial(n, {}) for n in shape) for name, shape in shapes.items()},
            forward,
            tuple(d.name for d in adjoints),
            dict(self.example),
        )


@dataclass(frozen=True)
class Layer:
    """A forward formula with what is known of the derivative of E behind it.

    Attributes:
        setting: sizes and arrays.
        reader: the formula, read.
        output: the name of what comes out of it.
        sensitivity: the name of the derivative of E with respect to that, or nothing if it is E.
    """

    setting: Setting
    reader: Reader
    output: str
    sensitivity: str

    def gradient(self, wrt: Any, said: Entry) -> Claim:
        """The derivative of E with respect to the array `wrt` is `said`, at every entry."""
        name = wrt.label.name
        program = Program(self.reader.operands, tuple(self.reader.definitions.values()), {self.output: self.output})
        adjoints = tuple(self._named(adjoint) for adjoint in reverse(program, (name,))[0])
        derived = next(d for d in adjoints if d.name == ADJOINT + name)
        reader = self.setting.reader(program.definitions)
        index = _indices(said, len(derived.shape))
        right = reader.definition("said", zip(index, derived.shape, strict=True), sp.sympify(said(*index)))
        forward = tuple(d.name for d in program.definitions)
        return self.setting.claim(reader, adjoints, derived, right, forward, name, (self.output, self.sensitivity))

    def _named(self, adjoint: Definition) -> Definition:
        """The adjoint with the paper's name for the derivative of E with respect to the output; that of E is 1."""
        return replace(adjoint, terms=tuple(replace(t, body=t.body.xreplace({a: self._sensitive(a) for a in t.atoms})) for t in adjoint.terms))

    def _sensitive(self, entry: Any) -> Any:
        if str(entry.base.label) != COTANGENT + self.output:
            return entry
        return sp.IndexedBase(self.sensitivity)[entry.indices] if self.sensitivity else sp.Integer(1)


def _at(m: Entry | Map, index: tuple[Any, ...]) -> Any:
    return sp.sympify(m[index] if isinstance(m, Map) else m(*index))


def _indices(entry: Entry | Map, rank: int) -> tuple[Any, ...]:
    """Indices with the names that a function gives them; what it takes as `*p` is p0, p1, ..."""
    names: list[str] = []
    for parameter in inspect.signature(entry).parameters.values() if not isinstance(entry, Map) else ():
        several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{parameter.name}{d}" for d in range(rank - len(names))] if several else [parameter.name]
    return tuple(sp.Dummy(name, integer=True) for name in names or [f"p{d}" for d in range(rank)])
