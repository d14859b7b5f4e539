"""Scalar expressions in one normal form, so that equal ones can be told from different ones for all values.

An expression is a sum of terms, each a rational number times powers of atoms. An atom is a symbol, the exponential
of a product, the logarithm of an atom, a root of a number, or a sum that stands under a power. `Ring.vanishes`
multiplies by the sums in denominators; what is left is a polynomial in atoms that are taken for independent. An
expression that it calls zero is zero; one that it does not may still be, if atoms depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from mpmath.ctx_iv import MPIntervalContext

from ._verdict import Skip

Powers = tuple[tuple[int, Any], ...]
"""Pairs (atom, exponent), sorted by atom; exponents are integers and fractions."""
Terms = dict[int, Any]
"""Coefficients by the numbers of their monomials, none of them 0; never changed once made."""

MOST_PRODUCTS = 100_000
"""Products of terms that one case may cost."""

EXACT_BITS = {np.float32: 12}
"""A constant with no more bits is taken for what its author meant; one with more may have been rounded. 26 but for these types."""
UNITS = 4
"""How many units in the last place a rounded constant may be off: Python rounds 1 / 3 once and a * b / c several times."""

ROUNDED = 2**26
"""An exponent with such a denominator came from a constant that may have been rounded."""

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)
"""Roots and logarithms of numbers are split by these, so that the root of 8 is twice that of 2."""

_WIDE = MPIntervalContext()
"""Interval arithmetic of its own precision, whatever others set."""
_WIDE.dps = 50

ZERO: Terms = {}
UNIT = 0
"""The number of the empty monomial."""
ONE: Terms = {UNIT: 1}


class Domain(Skip):
    """A function is not defined, or not differentiable, at the case's values."""


@dataclass(frozen=True, slots=True)
class Near:
    """A number that rounding has moved by at most `error`; it counts as 0 if it may be."""

    value: Any
    error: float

    def __add__(self, other: Any) -> Near:
        return Near(self.value + value_of(other), self.error + error_of(other))

    def __neg__(self) -> Near:
        return Near(-self.value, self.error)

    def __mul__(self, other: Any) -> Near:
        crossed = abs(float(self.value)) * error_of(other) + abs(float(value_of(other))) * self.error
        return Near(self.value * value_of(other), crossed + self.error * error_of(other))

    def __pow__(self, exponent: int) -> Near:
        value = Fraction(self.value) ** exponent
        return Near(value, abs(exponent) * abs(float(value)) * self.error / abs(float(self.value)))

    def __bool__(self) -> bool:
        return abs(self.value) > self.error

    __radd__ = __add__
    __rmul__ = __mul__


def value_of(c: Any) -> Any:
    """A coefficient without its error."""
    return c.value if isinstance(c, Near) else c


def error_of(c: Any) -> float:
    """How far off a coefficient may be."""
    return c.error if isinstance(c, Near) else 0.0


def _plain(c: Any) -> Any:
    return c.numerator if isinstance(c, Fraction) and c.denominator == 1 else c


def _inverse(c: Any) -> Any:
    return c**-1 if isinstance(c, Near) else _plain(Fraction(1) / c)


def _factors(c: Any) -> list[tuple[Any, int]]:
    """Small primes, and what they leave of the numerator and the denominator, with their exponents."""
    if isinstance(c, Near):
        return [(c, 1)]
    found = []
    for part, sign in ((c.numerator, 1), (c.denominator, -1)):
        rest = part
        for prime in PRIMES:
            times = 0
            while rest % prime == 0:
                rest, times = rest // prime, times + 1
            found += [(prime, sign * times)] if times else []
        found += [(rest, sign)] if rest != 1 else []
    return found


@dataclass(frozen=True, slots=True)
class Atom:
    """What a power is taken of.

    Attributes:
        kind: "symbol", "exp" (of `of`, one monomial), "log" (of the atom in `of`), "number" or "sum" (of `of`).
        of: the argument, as terms.
        name: how a symbol is shown.
        value: at the case's values.
        symbols: the symbols that it depends on.
        positive: whether it is so for all values.
    """

    kind: str
    of: Terms
    name: str
    value: float
    symbols: frozenset[int]
    positive: bool


@dataclass
class Ring:
    """Arithmetic on expressions at one case.

    Attributes:
        near: take constants that may have been rounded for what they are, within an error.
        atoms: all that were met.
        monomials: the powers in each; products look them up by number, which is fast.
        branches: comparisons that the case's values have decided.
        inexact: whether a constant was met that may have been rounded.
    """

    near: bool = False
    atoms: list[Atom] = field(default_factory=list)
    monomials: list[Powers] = field(default_factory=lambda: [()])
    branches: int = 0
    inexact: bool = False
    _numbers: dict[Powers, int] = field(default_factory=lambda: {(): UNIT})
    _known: dict[Any, list[int]] = field(default_factory=dict)
    _merged: dict[tuple[int, int], tuple[int, Terms | None]] = field(default_factory=dict)
    _slopes: dict[int, dict[int, Terms]] = field(default_factory=dict)
    _exponents: list[Any] = field(default_factory=list)
    _products: int = 0

    # Numbers and atoms

    def constant(self, number: Any) -> Any:
        """A number of the code as a coefficient.

        Raises:
            TypeError: it is no real number.
        """
        if isinstance(number, (bool, np.bool_, int, np.integer)):
            return int(number)
        if isinstance(number, Fraction):
            return _plain(number)
        if not isinstance(number, (float, np.floating)) or not math.isfinite(number):
            raise TypeError(f"no symbolic arithmetic with {number!r}")
        exact = Fraction(float(number))
        digits = abs(exact.numerator)
        if digits and (digits // (digits & -digits)).bit_length() > EXACT_BITS.get(type(number), 26):
            self.inexact = True
            if self.near:
                return Near(exact, UNITS * float(np.spacing(abs(number))))
        return _plain(exact)

    def symbol(self, name: str, value: float) -> Terms:
        """A new symbol."""
        self.atoms.append(Atom("symbol", ONE, name, value, frozenset([len(self.atoms)]), positive=False))
        return self.single(len(self.atoms) - 1)

    def single(self, a: int) -> Terms:
        """The expression that is one atom."""
        return {self._number(((a, 1),)): 1}

    def _number(self, powers: Powers) -> int:
        """The number of a monomial."""
        found = self._numbers.get(powers)
        if found is None:
            found = self._numbers[powers] = len(self.monomials)
            self.monomials.append(powers)
        return found

    def _atom(self, kind: str, of: Terms) -> int:
        """The atom of this kind and argument, which is found again."""
        known = self._known.setdefault((kind, frozenset(of)), [])
        for number in known:
            if all(abs(value_of(of[m]) - value_of(c)) <= error_of(of[m]) + error_of(c) for m, c in self.atoms[number].of.items()):
                return number
        inside = self.value(of)
        if kind == "log" and inside <= 0:
            raise Domain("a logarithm is taken of a value that is not positive")
        try:
            value = math.exp(inside) if kind == "exp" else math.log(inside) if kind == "log" else inside
        except OverflowError as error:
            raise Domain("an exponential overflows") from error
        symbols = frozenset().union(*(self.atoms[a].symbols for m in of for a, _ in self.monomials[m]))
        positive = kind in ("exp", "number") or (kind == "sum" and self.sign(of) > 0)
        self.atoms.append(Atom(kind, of, "", value, symbols, positive))
        known.append(len(self.atoms) - 1)
        return known[-1]

    def value(self, terms: Terms) -> float:
        """At the case's values."""
        try:
            return sum((float(value_of(c)) * math.prod(self.atoms[a].value ** float(e) for a, e in self.monomials[m]) for m, c in terms.items()), 0.0)
        except (OverflowError, ZeroDivisionError) as error:
            raise Domain("a power overflows") from error

    def sign(self, terms: Terms) -> int:
        """1 or -1 if the expression is so for all values, by the signs of its terms alone; else 0."""
        signs = {1 if value_of(c) > 0 else -1 for c in terms.values()}
        if len(signs) != 1 or not all(self.atoms[a].positive for m in terms for a, _ in self.monomials[m]):
            return 0
        return signs.pop()

    # Arithmetic

    @staticmethod
    def add(left: Terms, right: Terms) -> Terms:
        """The sum."""
        if not left or not right:
            return left or right
        found = dict(left)
        for m, c in right.items():
            total = found.get(m, 0) + c
            if total:
                found[m] = _plain(total)
            else:
                del found[m]
        return found

    @staticmethod
    def scale(terms: Terms, c: Any) -> Terms:
        """The product with a coefficient."""
        return terms if isinstance(c, int) and c == 1 else {m: _plain(d * c) for m, d in terms.items()} if c else ZERO

    def multiply(self, left: Terms, right: Terms) -> Terms:
        """The product."""
        if len(left) == 1 and UNIT in left:
            return self.scale(right, left[UNIT])
        if len(right) == 1 and UNIT in right:
            return self.scale(left, right[UNIT])
        self._products += len(left) * len(right)
        if self._products > MOST_PRODUCTS:
            raise Skip("its expressions grow too large")
        found: Terms = {}
        for m, c in left.items():
            for n, d in right.items():
                key = (m, n)
                merged, factor = self._merged.get(key) or self._merge(key)
                if factor is None:
                    found[merged] = found.get(merged, 0) + c * d
                else:
                    for o, e in self.multiply({merged: c * d}, factor).items():
                        found[o] = found.get(o, 0) + e
        return {m: _plain(c) for m, c in found.items() if c}

    def _merge(self, key: tuple[int, int]) -> tuple[int, Terms | None]:
        """The product of two monomials, and a factor that sums with whole exponents make."""
        exponents = dict(self.monomials[key[0]])
        for a, e in self.monomials[key[1]]:
            exponents[a] = exponents.get(a, 0) + e
        found = self._merged[key] = self._whole(exponents)
        return found

    def _whole(self, exponents: Mapping[int, Any]) -> tuple[int, Terms | None]:
        """A monomial whose sums stand under exponents below 1, and whose numbers under those from 0 to 1; and a factor, if one is left."""
        kept, factors = [], []
        for a, exponent in exponents.items():
            e, kind = self._exponent(exponent), self.atoms[a].kind
            if kind in ("sum", "number") and (e >= 1 or (kind == "number" and e < 0)):
                factors.append(self.power(self.atoms[a].of, math.floor(e)))
                e = _plain(e - math.floor(e))
            if e:
                kept.append((a, e))
        return self._number(tuple(sorted(kept))), reduce(self.multiply, factors) if factors else None

    def _exponent(self, e: Any) -> Any:
        """The exponent; where constants are rounded, one that was met before and is as good as equal."""
        e = _plain(e)
        if not self.near or isinstance(e, int) or e.denominator < ROUNDED:
            return e
        found = next((met for met in [*self._exponents, round(e)] if abs(met - e) <= self._spread(e)), e)
        if found not in self._exponents:
            self._exponents.append(found)
        return found

    @staticmethod
    def _spread(e: Any) -> float:
        """How far off an exponent may be that rounded constants have gone into."""
        return 0.0 if e.denominator < ROUNDED else UNITS * 2.0**-52 * max(1.0, abs(float(e)))

    def _as_factor(self, e: Any) -> Any:
        """An exponent that becomes a coefficient, with its error where constants have one."""
        return Near(e, self._spread(e)) if self.near and self._spread(e) else e

    def power(self, base: Terms, exponent: Any) -> Terms:
        """The power with a rational exponent."""
        exponent = self._exponent(exponent)
        if isinstance(exponent, int) and exponent >= 0:
            return reduce(self.multiply, [base] * exponent, ONE)
        if not base:
            raise Domain("a power of 0 is no number, or has no derivative")
        c, common, rest = self._content(base)
        whole = isinstance(exponent, int)
        if not whole and value_of(c) * self.value(rest) * math.copysign(1, self.value({self._number(common): 1})) <= 0:
            raise Domain("a root is taken of a value that is not positive")
        if not whole and value_of(c) < 0:
            c, rest = -c, self.scale(rest, -1)
        found = {UNIT: c**exponent if isinstance(c, Near) else _plain(Fraction(c) ** exponent)} if whole else self._root(c, exponent)
        for a, e in common:
            found = self.multiply(found, self._atom_power(a, e, exponent))
        return found if rest == ONE else self.multiply(found, self._sum_power(rest, exponent))

    def _root(self, c: Any, exponent: Any) -> Terms:
        """A fractional power of a positive number."""
        return self._product({self._atom("number", {UNIT: base}): e * exponent for base, e in _factors(c)})

    def _atom_power(self, a: int, e: Any, exponent: Any) -> Terms:
        """(atom ** e) ** exponent, where an atom that may be negative keeps the sign of the case's value."""
        atom, product = self.atoms[a], _plain(e * exponent)
        if isinstance(exponent, int) or atom.positive or atom.value > 0:
            if not isinstance(exponent, int) and not atom.positive and e % 2 == 0:
                self.branches += 1
            return self._product({a: product})
        if isinstance(e, int) and e % 2 == 0:
            self.branches += 1
            return self._sum_power(self.scale(self.single(a), -1), product)
        raise Domain("a root is taken of a value that is not positive")

    def _sum_power(self, terms: Terms, exponent: Any) -> Terms:
        if isinstance(exponent, int) and (exponent >= 0 or len(terms) == 1):
            return self.power(terms, exponent)
        if not self.value(terms):
            raise Domain("a denominator is 0 at the case's values")
        return self._product({self._atom("sum", terms): exponent})

    def _product(self, exponents: Mapping[int, Any]) -> Terms:
        monomial, factor = self._whole(exponents)
        return {monomial: 1} if factor is None else self.multiply({monomial: 1}, factor)

    def _content(self, terms: Terms) -> tuple[Any, Powers, Terms]:
        """A number, a monomial and a sum whose product this is; the sum has no denominators, and 1 before its last monomial."""
        first, *others = [dict(self.monomials[m]) for m in terms]
        lowest = dict(first)
        for here in others:
            lowest = {a: min(lowest.get(a, 0), here.get(a, 0)) for a in {*lowest, *here}}
        common = tuple((a, e) for a, e in sorted(lowest.items()) if e)
        rest = self.multiply({self._number(tuple((a, -e) for a, e in common)): 1}, terms) if common else terms
        if not rest:
            raise Domain("a power of 0 is no number, or has no derivative")
        leading = max(rest, key=self.monomials.__getitem__)
        c = rest[leading]
        return c, common, {**self.scale(rest, _inverse(c)), leading: 1}

    def exp(self, terms: Terms) -> Terms:
        """The exponential: a product over the terms, where exp(c log a) is a ** c."""
        found = ONE
        for m, c in terms.items():
            exponent, powers = value_of(c), self.monomials[m]
            if len(powers) == 1 and powers[0][1] == 1 and self.atoms[powers[0][0]].kind == "log":
                found = self.multiply(found, self.power(self.atoms[powers[0][0]].of, exponent))
            else:
                found = self.multiply(found, self._product({self._atom("exp", {m: 1}): exponent}))
        return found

    def log(self, terms: Terms) -> Terms:
        """The logarithm: a sum over what is positive in the product, and the logarithm of the rest."""
        if not terms:
            raise Domain("a logarithm is taken of a value that is not positive")
        c, common, rest = self._content(terms)
        size = c if value_of(c) > 0 else -c
        found = self._collect(self.scale(self._log_of({UNIT: base}), e) for base, e in _factors(size))
        left = self.scale(rest, 1 if value_of(c) > 0 else -1)
        for a, e in common:
            atom = self.atoms[a]
            if atom.kind == "exp":
                found = self.add(found, self.scale(atom.of, self._as_factor(e)))
            elif atom.positive:
                found = self.add(found, self.scale(self._log_of(atom.of), e))
            else:
                left = self.multiply(left, self._product({a: e}))
        return found if left == ONE else self.add(found, self._log_of(left))

    def _log_of(self, terms: Terms) -> Terms:
        return self.single(self._atom("log", terms))

    # Derivatives

    def gradient(self, terms: Terms) -> dict[int, Terms]:
        """The derivatives with respect to all symbols that occur."""
        found: dict[int, list[Terms]] = {}
        for m, c in terms.items():
            for a, e in self.monomials[m]:
                for symbol, slope in self._slope(a).items():
                    found.setdefault(symbol, []).append(self.multiply({m: c * self._as_factor(e)}, slope))
        return {symbol: self._collect(parts) for symbol, parts in found.items()}

    def _slope(self, a: int) -> dict[int, Terms]:
        """The derivatives of an atom divided by the atom, which makes the power rule the same for all kinds."""
        if a not in self._slopes:
            atom = self.atoms[a]
            by_itself = {self._number(((a, -1),)): 1}
            if atom.kind == "symbol":
                found = {a: by_itself}
            elif atom.kind == "exp":
                found = self.gradient(atom.of)
            elif atom.kind == "log":
                argument = self.power(atom.of, -1)
                found = {s: self.multiply(by_itself, self.multiply(argument, d)) for s, d in self.gradient(atom.of).items()}
            else:
                found = {s: self.multiply(by_itself, d) for s, d in self.gradient(atom.of).items()}
            self._slopes[a] = found
        return self._slopes[a]

    # Decisions

    def vanishes(self, terms: Terms) -> bool:
        """Whether the expression is 0 for all values: no term is left once the sums are out of the denominators."""
        while terms:
            sums = {a for m in terms for a, e in self.monomials[m] if self.atoms[a].kind == "sum" and e < 0}
            if not sums:
                return False
            # The newest first: it may hold the others, and they do not hold it.
            a = max(sums)
            lowest = min(e for m in terms for b, e in self.monomials[m] if b == a)
            terms = self._collect(self._raise(m, c, a, -lowest) for m, c in terms.items())
        return True

    def _raise(self, m: int, c: Any, a: int, exponent: Any) -> Terms:
        exponents = dict(self.monomials[m])
        exponents[a] = exponents.get(a, 0) + exponent
        monomial, factor = self._whole(exponents)
        return {monomial: c} if factor is None else self.multiply({monomial: c}, factor)

    @staticmethod
    def _collect(parts: Iterable[Terms]) -> Terms:
        found: Terms = {}
        for part in parts:
            for m, c in part.items():
                found[m] = found.get(m, 0) + c
        return {m: _plain(c) for m, c in found.items() if c}

    def compare(self, left: Terms, right: Terms, sides: tuple[float, float]) -> int:
        """The sign of left - right: for all values, or by the case's values, which is counted as a branch.

        Raises:
            Domain: the two are equal at the case's values, and not for others.
        """
        difference = self.add(left, self.scale(right, -1))
        sign = self.sign(difference) if difference else 0
        if sign or not difference:
            return sign
        step = sides[0] - sides[1]
        if not abs(step) > 2.0**-40 * (abs(sides[0]) + abs(sides[1])):
            if self.vanishes(difference):
                return 0
            raise Domain("two values that are compared are equal")
        self.branches += 1
        return 1 if step > 0 else -1

    def interval(self, terms: Terms, known: dict[int, Any] | None = None) -> Any:
        """Bounds of the expression at the case's values; constants that may have been rounded are taken for all that they may have been."""
        known = {} if known is None else known
        total = _WIDE.mpf(0)
        for m, c in terms.items():
            product = _rational(value_of(c), error_of(c))
            for a, e in self.monomials[m]:
                if a not in known:
                    atom = self.atoms[a]
                    inside = _WIDE.mpf(atom.value) if atom.kind == "symbol" else self.interval(atom.of, known)
                    known[a] = _WIDE.exp(inside) if atom.kind == "exp" else _WIDE.log(inside) if atom.kind == "log" else inside
                if isinstance(e, int):
                    product *= known[a] ** e
                else:
                    product *= _WIDE.exp(_WIDE.log(known[a]) * _rational(e, self._spread(e) if self.near else 0.0))
            total += product
        return total


def _rational(number: Any, error: float) -> Any:
    exact = Fraction(number)
    return _WIDE.mpf(exact.numerator) / _WIDE.mpf(exact.denominator) + _WIDE.mpf([-error, error])
