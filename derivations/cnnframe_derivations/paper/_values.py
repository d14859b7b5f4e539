"""The value of both sides of a theorem for sizes and arrays that are given: slow, obvious, in exact numbers if the arrays are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from ..proofs._polynomial import ONE, Atom, Polynomial, symbol
from ..proofs._statement import Term, Theorem

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "f": lambda u: u * u + u,
    "f'": lambda u: 2 * u + 1,
    "exp": math.exp,
    "log": math.log,
    "is_positive": lambda x: int(x > 0),
    "is_zero": lambda x: int(x == 0),
}
"""In examples the unknown activation is u^2 + u."""


class Values:
    """One theorem at one choice of sizes, scalars and arrays."""

    def __init__(self, theorem: Theorem, numbers: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        self.theorem = theorem
        self.numbers = dict(numbers)
        self.arrays = {name: np.asarray(entries, dtype=object) for name, entries in arrays.items()}
        self._defined: dict[tuple[str, tuple[int, ...]], Any] = {}

    def entries(self) -> Iterator[tuple[tuple[int, ...], Any, Any]]:
        """Each entry with the value of the left side there and that of the right."""
        names = [v for v, _ in self.theorem.free]
        sizes = [int(self.value(size, self.numbers)) for _, size in self.theorem.free]
        for at in product(*map(range, sizes)):
            here = {**self.numbers, **dict(zip(names, at, strict=True))}
            yield at, self.sum(self.theorem.left, here), self.sum(self.theorem.right, here)

    def sum(self, terms: Sequence[Term], here: Mapping[str, Any]) -> Any:
        """The sum of terms where free indices have the values `here`."""
        return sum((self.value(t.body, at) for t in terms for at in self.points(t, here)), 0)

    def points(self, t: Term, here: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The points of a term; each condition is looked at as soon as its indices have values."""
        conditions = [(c, True) for c in t.eq] + [(c, False) for c in t.ge]
        yield from self._points(list(t.bound), conditions, dict(here))

    def _points(self, bound: list[tuple[str, Polynomial]], conditions: list[tuple[Polynomial, bool]], here: dict[str, Any]) -> Iterator[dict[str, Any]]:
        waiting = []
        for c, equal in conditions:
            if not c.symbols() <= here.keys():
                waiting.append((c, equal))
            elif (value := self.value(c, here)) < 0 or (equal and value):
                return
        if not bound:
            yield here
            return
        (v, size), *rest = bound
        for value in self._range(v, int(self.value(size, here)), waiting, here):
            yield from self._points(rest, waiting, {**here, v: value})

    def _range(self, v: str, size: int, waiting: list[tuple[Polynomial, bool]], here: dict[str, Any]) -> Iterator[int]:
        """The values that are left to an index; one at most if an equation gives it."""
        for c, equal in waiting:
            if equal and c.symbols() - here.keys() == {v} and (c.substitute({v: symbol(v) + ONE}) - c) in (ONE, -ONE):
                at_0 = self.value(c, {**here, v: 0})
                value = -at_0 * (self.value(c, {**here, v: 1}) - at_0)
                yield from (int(value),) if 0 <= value < size else ()
                return
        yield from range(size)

    def value(self, p: Polynomial, here: Mapping[str, Any]) -> Any:
        """The value of a polynomial."""
        total: Any = 0
        for monomial, c in p.items:
            factor = c
            for a, exponent in monomial:
                factor *= self._power(self._atom(a, here), exponent)
            total += factor
        return total

    @staticmethod
    def _power(base: Any, exponent: Any) -> Any:
        return (Fraction(base) if isinstance(base, int) and exponent < 0 else base) ** (float(exponent) if isinstance(exponent, Fraction) else exponent)

    def _atom(self, a: Atom, here: Mapping[str, Any]) -> Any:
        if a[0] == "symbol":
            return here[a[1]]
        if a[0] == "sum":
            return self.value(a[1], here)
        parts = [self.value(part, here) for part in a[2]]
        return self.entry(a[1], tuple(map(int, parts))) if a[0] == "entry" else FUNCTIONS[a[1]](*parts)

    def entry(self, name: str, at: tuple[int, ...]) -> Any:
        """One entry of an array or of a definition."""
        if name in self.arrays:
            return self.arrays[name][at]
        if (name, at) not in self._defined:
            definition = self.theorem.theory.definitions[name]
            here = {**self.numbers, **dict(zip((v for v, _ in definition.index), at, strict=True))}
            self._defined[name, at] = self.sum(definition.terms, here)
        return self._defined[name, at]
