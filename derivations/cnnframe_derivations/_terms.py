"""Terms: sums over the integer points of a box, restricted by affine conditions, of a scalar body.

A formula is a program of named definitions; each is a list of terms over indexed operands. The derivative
of a term with respect to an operand X at p removes one factor X[e] and adds the equation e = p, so that
derivatives are terms again and nothing has to be solved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp


@dataclass(frozen=True)
class Term:
    """sum over `bound` where every ge >= 0 and every eq == 0, of body.

    Attributes:
        bound: pairs (index, size); the index runs from 0 to size - 1.
        ge: expressions that are at least 0.
        eq: expressions that are 0.
        body: a scalar expression over entries of operands, indices, sizes and hyperparameters.
    """

    bound: tuple[tuple[Any, Any], ...]
    ge: tuple[Any, ...]
    eq: tuple[Any, ...]
    body: Any

    @cached_property
    def atoms(self) -> tuple[Any, ...]:
        """The operand entries in the body, in an order that does not depend on hashing."""
        found = sorted(self.body.atoms(sp.Indexed), key=lambda atom: (str(atom.base.label), str(atom.indices)))
        return tuple(found)

    def substitute(self, mapping: Mapping[Any, Any]) -> Term:
        """Replace symbols everywhere; the bound indices must not occur in the mapping's values."""
        mapping = dict(mapping)
        bound = tuple((mapping.get(index, index), size.xreplace(mapping)) for index, size in self.bound)
        return Term(bound, _replace(self.ge, mapping), _replace(self.eq, mapping), self.body.xreplace(mapping))

    def renamed(self, taken: Iterable[Any]) -> Term:
        """Give bound indices that are `taken` fresh names."""
        taken = set(taken)
        clash = {index: fresh(index) for index, _ in self.bound if index in taken}
        return self.substitute(clash) if clash else self

    def times(self, other: Term) -> Term:
        """The product of two sums, as one sum."""
        other = other.renamed(index for index, _ in self.bound)
        return Term(self.bound + other.bound, self.ge + other.ge, self.eq + other.eq, self.body * other.body)


@dataclass(frozen=True)
class Definition:
    """name[index] = sum of terms, for every index within `shape`.

    `locally_constant` ones, such as the choice of a maximum, have no derivative of their own.
    """

    name: str
    index: tuple[Any, ...]
    shape: tuple[Any, ...]
    terms: tuple[Term, ...]
    locally_constant: bool = False

    @property
    def box(self) -> tuple[tuple[Any, Any], ...]:
        """Pairs (index, size)."""
        return tuple(zip(self.index, self.shape, strict=True))

    def _repr_latex_(self) -> str:
        from ._latex import of_definition

        return f"$${of_definition(self)}$$"

    def entry(self) -> Any:
        """name[index] as an expression."""
        return sp.IndexedBase(self.name)[self.index]

    def same(self, other: Definition) -> bool:
        """Whether both say the same in the same words: their names and the names of their indices do not count."""
        return self.locally_constant == other.locally_constant and self._numbered == other._numbered

    @cached_property
    def _numbered(self) -> tuple[Any, Any]:
        """Shape and terms with indices that are numbered."""
        own = _numbers(self.index, 0)
        found = Counter()
        for term in self.terms:
            said = term.substitute({**own, **_numbers((index for index, _ in term.bound), len(own))})
            found[said.bound, frozenset(said.ge), frozenset(said.eq), said.body] += 1
        return self.shape, found


@dataclass(frozen=True)
class Program:
    """Definitions in an order in which each comes before its use.

    Attributes:
        operands: the arrays that are given, with their shapes.
        definitions: the intermediates, then the outputs.
        outputs: name of each output to the name of its definition.
    """

    operands: Mapping[str, tuple[Any, ...]]
    definitions: tuple[Definition, ...]
    outputs: Mapping[str, str]

    def __getitem__(self, name: str) -> Definition:
        return next(d for d in self.definitions if d.name == name)

    def shape(self, name: str) -> tuple[Any, ...]:
        """The shape of an operand or of a definition."""
        return self.operands[name] if name in self.operands else self[name].shape


def fresh(symbol: Any) -> Any:
    """A new symbol that prints like `symbol`."""
    return sp.Dummy(symbol.name, **symbol.assumptions0)


def differentiate(term: Term, name: str, at: tuple[Any, ...]) -> list[Term]:
    """The derivative of `term` with respect to entry `at` of operand `name`."""
    atoms = term.atoms
    stand_in = {atom: sp.Dummy(str(atom.base.label), real=True) for atom in atoms}
    back = {dummy: atom for atom, dummy in stand_in.items()}
    body = term.body.xreplace(stand_in)
    found = []
    for atom in atoms:
        if str(atom.base.label) != name:
            continue
        slope = sp.diff(body, stand_in[atom]).xreplace(back)
        if slope != 0:
            where = tuple(e - p for e, p in zip(atom.indices, at, strict=True))
            found.append(replace(term, eq=term.eq + where, body=slope))
    return found


def _replace(expressions: tuple[Any, ...], mapping: dict[Any, Any]) -> tuple[Any, ...]:
    return tuple(expression.xreplace(mapping) for expression in expressions)


def _numbers(indices: Iterable[Any], start: int) -> dict[Any, Any]:
    return {index: sp.Symbol(f"#{number}", integer=True) for number, index in enumerate(indices, start)}
