"""What a theorem says: terms, named definitions, assumptions.

A term is the sum of a body over the integer points of a box at which conditions hold. A theorem says that, for
all integers that satisfy the assumptions and all real arrays, two lists of terms have the same value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from ._polynomial import ONE, Polynomial, symbol

Box = tuple[tuple[str, Polynomial], ...]
"""Pairs (index, size); each index runs from 0 to size - 1."""
Values = Mapping[str, Polynomial]


class Refused(Exception):
    """A statement is not well formed, or a proof does not show what it should; the message says where and why."""


@dataclass(frozen=True)
class Term:
    """sum over `bound` where every ge >= 0 and every eq == 0, of `body`."""

    bound: Box
    ge: tuple[Polynomial, ...]
    eq: tuple[Polynomial, ...]
    body: Polynomial

    def substitute(self, values: Values) -> Term:
        """Replace symbols that are not bound here by polynomials without bound indices."""
        bound = tuple((v, size.substitute(values)) for v, size in self.bound)
        return Term(bound, tuple(c.substitute(values) for c in self.ge), tuple(c.substitute(values) for c in self.eq), self.body.substitute(values))

    def apart(self, taken: Collection[str]) -> Term:
        """The same sum, its bound indices renamed where they are `taken`."""
        used = {*taken, *(v for v, _ in self.bound)}
        fresh: dict[str, str] = {}
        for v, _ in self.bound:
            if v in taken:
                fresh[v] = next(name for k in count(1) if (name := v.rstrip("'") + "'" * k) not in used)
                used.add(fresh[v])
        renamed = self.substitute({v: symbol(name) for v, name in fresh.items()})
        return replace(renamed, bound=tuple((fresh.get(v, v), size) for v, size in renamed.bound))

    def monomials(self) -> list[Term]:
        """One term for each monomial of the body."""
        return [replace(self, body=Polynomial((item,))) for item in self.body.items]


@dataclass(frozen=True)
class Definition:
    """array[index] = sum of terms, for all integers `index`; a fact says so of the number 1, within its box."""

    index: Box
    terms: tuple[Term, ...]

    def at(self, values: Sequence[Polynomial], taken: Collection[str]) -> list[Term]:
        """Its terms at these indices, their bound indices not `taken`."""
        names = [v for v, _ in self.index]
        if len(names) != len(values):
            raise Refused(f"{len(values)} indices where a definition has {len(names)}")
        return [t.apart({*taken, *names}).substitute(dict(zip(names, values, strict=True))) for t in self.terms]


@dataclass(frozen=True)
class Theory:
    """What a theorem may use.

    Attributes:
        integers: symbols of sizes and hyperparameters that are integers.
        scalars: symbols of hyperparameters that are real numbers.
        assume: polynomials of the integers that are at least 0.
        definitions: named arrays.
        facts: named sums that are 1.
    """

    integers: frozenset[str]
    scalars: frozenset[str]
    assume: tuple[Polynomial, ...]
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    facts: Mapping[str, Definition] = field(default_factory=dict)

    def close(self) -> None:
        """Refuse definitions and assumptions with symbols that mean nothing, and definitions that come back to themselves."""
        if both := self.integers & self.scalars:
            raise Refused(f"{', '.join(sorted(both))} cannot be both an integer and a real number")
        for c in self.assume:
            integral(c, self.integers)
        for definition in (*self.definitions.values(), *self.facts.values()):
            for t in (*definition.terms, Term((), (), (), ONE)):
                Theorem(self, definition.index, (), ()).well_formed(t)
        reads = {name: {a[1] for t in d.terms for a in t.body.atoms() if a[0] == "entry"} & set(self.definitions) for name, d in self.definitions.items()}
        while reads:
            settled = {name for name, read in reads.items() if not read & set(reads)}
            if not settled:
                raise Refused(f"definitions refer to themselves: {', '.join(sorted(reads))}")
            reads = {name: read for name, read in reads.items() if name not in settled}


@dataclass(frozen=True)
class Theorem:
    """For every integer `free` within its size: the sum of `left` is the sum of `right`."""

    theory: Theory
    free: Box
    left: tuple[Term, ...]
    right: tuple[Term, ...]

    def _repr_latex_(self) -> str:
        from .._latex import of_theorem

        return f"$${of_theorem(self)}$$"

    def start(self) -> list[Term]:
        """left - right, one term for each monomial."""
        negated = [replace(t, body=-t.body) for t in self.right]
        return [m for t in (*self.left, *negated) for m in t.monomials()]

    def well_formed(self, t: Term) -> None:
        """Refuse a symbol that is both free and bound, one that is neither, and a condition or a size that is no integer."""
        free, bound = [v for v, _ in self.free], [v for v, _ in t.bound]
        outer = {*self.theory.integers, *self.theory.scalars}
        scope = {*outer, *free, *bound}
        if len(scope) < len(outer) + len(free) + len(bound):
            raise Refused(f"a symbol is bound twice, or both free and bound, among {', '.join([*free, *bound])}")
        for _, size in (*self.free, *t.bound):
            integral(size, self.theory.integers)
        for c in (*t.ge, *t.eq):
            integral(c, scope - self.theory.scalars)
        if unknown := t.body.symbols() - scope:
            raise Refused(f"{', '.join(sorted(unknown))} in {t.body} is neither an index nor a hyperparameter")

    def known(self, t: Term) -> list[Polynomial]:
        """All that is at least 0 at the points of a term; multipliers refer to its places."""
        box = [c for v, size in (*self.free, *t.bound) for c in (symbol(v), size - ONE - symbol(v))]
        return [*box, *t.ge, *self.theory.assume]

    def taken(self, t: Term) -> set[str]:
        """Symbols that mean something in a term."""
        return {*self.indices(t), *self.theory.scalars}

    def indices(self, t: Term) -> set[str]:
        """Symbols that are integers in a term."""
        return {*self.theory.integers, *(v for v, _ in self.free), *(v for v, _ in t.bound)}


def integral(c: Polynomial, symbols: Collection[str]) -> None:
    """Refuse what need not be an integer: a fraction, an entry of an array, a symbol that is no integer."""
    if not whole(c) or not c.symbols() <= set(symbols) or any(coefficient != int(coefficient) for _, coefficient in c.items):
        raise Refused(f"{c} is no polynomial of integers with integer coefficients")


def whole(c: Polynomial) -> bool:
    """Whether this is a polynomial of symbols in the plain sense: it has a value everywhere."""
    return all(a[0] == "symbol" and isinstance(e, int) and e > 0 for monomial, _ in c.items for a, e in monomial)
