"""Concrete sizes that satisfy the assumptions, and the values of terms there: witnesses and counterexamples.

Slow and plain on purpose: every point of a box is visited, in integers and exact fractions where no function forces many digits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any
from zlib import crc32

import mpmath

from ._polynomial import CONDITION, ONE, Atom, Polynomial, symbol
from ._statement import Term, Theorem, Theory

Sizes = dict[str, int]
Quotients = Mapping[str, tuple[Polynomial, Polynomial]]
Checks = list[tuple[Polynomial, bool]]
TRIES = 4000
"""How many draws of sizes are made."""
LARGEST = (2, 3, 2, 4, 3, 5, 2, 8)
"""The largest sizes of successive draws; most are small, for small ones are shown."""
WORLDS = 3
"""How many seeds of numbers there are."""
KINKED = 2
"""The seed of numbers with zeros and ties."""
VISITS = 200_000
"""How many points of a term are visited before it is left alone."""

REALS = mpmath.MPContext()
REALS.dps = 50
"""What is no fraction has so many decimal digits."""

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": REALS.exp,
    "log": REALS.log,
    "tanh": REALS.tanh,
    "cosh": REALS.cosh,
    "sinh": REALS.sinh,
    "sin": REALS.sin,
    "cos": REALS.cos,
    "atan": REALS.atan,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "pow": REALS.power,
    "logistic": lambda x: 1 / (1 + REALS.exp(-x)),
    "softplus": lambda x: REALS.log(1 + REALS.exp(x)),
}


def sizes_that_fit(theory: Theory, quotients: Quotients) -> Iterator[Sizes]:
    """Sizes at which every assumption holds: a plain one first, then draws, the same ones each time."""
    names = sorted(theory.integers - set(quotients))
    least = {name: 1 if symbol(name) - ONE in theory.assume else 0 if symbol(name) in theory.assume else -2 for name in names}
    source = random.Random(0)  # noqa: S311 # draws of test cases, not secrets
    for attempt in range(TRIES):
        largest = LARGEST[attempt % len(LARGEST)]
        drawn = {name: 2 if not attempt else source.randint(least[name], largest) for name in names}
        if attempt % 2:
            # Maps are larger than windows in most operations.
            drawn |= {name: drawn[name] + 3 for name in names if name[:1] in ("h", "w") and (len(name) == 1 or name[1:].isdigit())}
        sizes = complete(theory, quotients, drawn)
        if sizes is not None:
            yield sizes


def complete(theory: Theory, quotients: Quotients, sizes: Sizes) -> Sizes | None:
    """The sizes with their quotients, or None if an assumption fails."""
    sizes = {name: value for name, value in sizes.items() if name not in quotients}
    for name, (above, below) in quotients.items():
        divisor = value(below, sizes)
        if divisor <= 0:
            return None
        sizes[name] = value(above, sizes) // divisor
    return sizes if all(value(c, sizes) >= 0 for c in theory.assume) else None


def value(p: Polynomial, at: Mapping[str, int]) -> int:
    """The value of a polynomial of integers, as the checker computes it, but fast: it is asked at every point of a box."""
    total = 0
    for monomial, c in p.items:
        term = c
        for (_, name, *_), exponent in monomial:
            term *= at[name] ** exponent
        total += term
    return int(total)


def smaller(sizes: Sizes, still: Callable[[Sizes], bool], again: Callable[[Sizes], Sizes | None]) -> Sizes:
    """The smallest sizes in reach for which something is still true."""
    shrunk = True
    while shrunk:
        shrunk = False
        for name in sorted(sizes):
            for less in range(min(1, sizes[name]), sizes[name]):
                tried = again({**sizes, name: less})
                # A quotient is made anew from the others, so that asking for less of it changes nothing.
                if tried is not None and tried != sizes and still(tried):
                    sizes, shrunk = tried, True
                    break
    return sizes


def points(theorem: Theorem, t: Term, sizes: Sizes, at: Mapping[str, int] | None = None) -> Iterator[Sizes]:
    """Every point of a term: values of its bound indices, and of the free ones unless they are given."""
    box = [*(() if at is not None else theorem.free), *t.bound]
    conditions = [(c, False) for c in t.ge] + [(c, True) for c in t.eq]
    names = {v for v, _ in box}
    order: list[tuple[str, Polynomial]] = []
    left = list(box)
    while left:
        # The index that completes a condition soonest goes first.
        ready = [len((c.symbols() & names) - {v for v, _ in order}) for c, _ in conditions]
        nearest = min((n for n in ready if n), default=0)
        wanted = next((c.symbols() for (c, _), n in zip(conditions, ready, strict=True) if n == nearest and n), set())
        pick = next((pair for pair in left if pair[0] in wanted), left[0])
        order.append(pick)
        left.remove(pick)
    checks = _checks(conditions, order, names)
    yield from _visit(order, checks, 0, {**sizes, **(at or {})}, [VISITS])


def _checks(conditions: Sequence[tuple[Polynomial, bool]], order: Sequence[tuple[str, Polynomial]], names: set[str]) -> list[Checks]:
    """The conditions that can be looked at once so many indices are set."""
    checks: list[Checks] = [[] for _ in range(len(order) + 1)]
    for c, equal in conditions:
        mine = c.symbols() & names
        checks[next(k for k in range(len(order) + 1) if mine <= {v for v, _ in order[:k]})].append((c, equal))
    return checks


def _visit(order: Sequence[tuple[str, Polynomial]], checks: Sequence[Checks], depth: int, at: Sizes, budget: list[int]) -> Iterator[Sizes]:
    budget[0] -= 1
    if budget[0] < 0 or not all(value(c, at) == 0 if equal else value(c, at) >= 0 for c, equal in checks[depth]):
        return
    if depth == len(order):
        yield dict(at)
        return
    v, size = order[depth]
    for k in range(value(size, at)):
        yield from _visit(order, checks, depth + 1, {**at, v: k}, budget)


class World:
    """Arrays of small numbers, the same ones each time, at one choice of sizes."""

    def __init__(self, theory: Theory, sizes: Sizes, seed: int = 0) -> None:
        self.theory = theory
        self.sizes = sizes
        self.seed = seed
        self._entries: dict[Any, Any] = {}
        self.visited = 0
        """How many points were visited: what it has cost so far."""

    def sum(self, theorem: Theorem, terms: Sequence[Term], at: Mapping[str, int]) -> Any:
        """The value of terms at a free index."""
        found: Any = 0
        for t in terms:
            for p in points(theorem, t, self.sizes, at):
                self.visited += 1
                found += self.scalar(t.body, p)
        return found

    def scalar(self, p: Polynomial, at: Mapping[str, int]) -> Any:
        """The value of a body."""
        total: Any = 0
        for monomial, c in p.items:
            term: Any = c
            for a, exponent in monomial:
                if not term:
                    # Nothing that follows matters, and conditions are mostly 0.
                    break
                term *= _power(self.atom(a, at), exponent)
            total += term
        return total

    def atom(self, a: Atom, at: Mapping[str, int]) -> Any:
        """The value of an atom."""
        kind, name = a[0], a[1]
        if kind == "symbol":
            return _exact(at[name]) if name in at else self._drawn("hyperparameter", name, low=1)
        if kind == "sum":
            return self.scalar(name, at)
        if kind == "entry":
            return self.entry(name, tuple(self._index(part, at) for part in a[2]))
        inside = tuple(self.scalar(part, at) for part in a[2])
        if name.startswith(CONDITION):
            return int(inside[0] == 0 if name == f"{CONDITION}zero" else inside[0] > 0)
        if name in FUNCTIONS:
            return FUNCTIONS[name](*inside) if name in ("abs", "sign") else FUNCTIONS[name](*map(_real, inside))
        return self._drawn("function", name, inside)

    def _index(self, p: Polynomial, at: Mapping[str, int]) -> int:
        try:
            return value(p, at)
        except KeyError:
            # An entry of another array is part of it.
            return int(self.scalar(p, at))

    def entry(self, name: str, index: tuple[int, ...]) -> Any:
        """The entry of an array: of a definition by its terms, of another by drawing."""
        key = (name, index)
        if key not in self._entries:
            definition = self.theory.definitions.get(name)
            if definition is not None:
                at = {v: k for (v, _), k in zip(definition.index, index, strict=True)}
                self._entries[key] = self.sum(Theorem(self.theory, definition.index, (), ()), definition.terms, at)
            elif name in self.theory.facts:
                ((_, classes),) = self.theory.facts[name].terms[0].bound
                self._entries[key] = crc32(repr((self.seed, key)).encode()) % value(classes, self.sizes)
            else:
                self._entries[key] = self._drawn(name, *index)
        return self._entries[key]

    def _drawn(self, *key: Any, low: int = -4) -> int:
        # One world has positive numbers alone, for roots and logarithms, and one has zeros and ties, for kinks.
        spread = [max(-1, low), 0, 1] if self.seed == KINKED else [k for k in range(1 if self.seed % 2 else low, 6) if k]
        return spread[crc32(repr((self.seed, key)).encode()) % len(spread)]

    def free(self, theorem: Theorem) -> Iterator[Sizes]:
        """Every free index."""
        ranges = [range(value(size, self.sizes)) for _, size in theorem.free]
        for index in product(*ranges):
            yield {v: k for (v, _), k in zip(theorem.free, index, strict=True)}


def differ(left: Any, right: Any) -> bool:
    """Whether two values are not the same number, many digits within what their rounding can be."""
    if isinstance(left, (int, Fraction)) and isinstance(right, (int, Fraction)):
        return left != right
    if isinstance(left, float) or isinstance(right, float):
        return abs(float(left) - float(right)) > 1e-9 * max(1.0, abs(float(left)), abs(float(right)))
    return bool(abs(left - right) > REALS.mpf(10) ** (REALS.dps // -2) * max(1, abs(left), abs(right)))


def _real(value: Any) -> Any:
    return REALS.mpf(value.numerator) / value.denominator if isinstance(value, (int, Fraction)) else value


def _exact(value: float) -> int | Fraction:
    return value if isinstance(value, int) else Fraction(value)


def _power(base: Any, exponent: int | Fraction) -> Any:
    if isinstance(exponent, Fraction):
        return _real(base) ** _real(exponent)
    # Integers are many times faster than fractions, until one divides.
    return Fraction(base) ** exponent if exponent < 0 and isinstance(base, int) else base**exponent
