"""Polynomials with rational coefficients, in one normal form, so that equal ones compare equal.

A polynomial is a sum of monomials; a monomial is a product of powers of atoms. An atom is a symbol, an entry
of an array, a function of polynomials, or a sum that stands under a power which cannot be multiplied out.
The same polynomials serve indices, sizes and the bodies of sums; x^(-1) and x^(1/2) are allowed where x is
not 0 and where it is positive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

Atom = tuple[Any, ...]
"""("symbol", name), ("entry", array, indices), ("call", function, arguments) or ("sum", polynomial)."""
Monomial = tuple[tuple[Atom, Any], ...]
"""Pairs (atom, exponent), sorted."""

LARGEST = 99
"""The largest exponent that is read."""

CONDITION = "is_"
"""Functions whose names begin so are 0 or 1, and equal to their square."""


@dataclass(frozen=True, order=True, slots=True)
class Polynomial:
    """Pairs (monomial, coefficient), sorted, no coefficient 0."""

    items: tuple[tuple[Monomial, Any], ...]

    def __add__(self, other: Polynomial) -> Polynomial:
        return _collect([*self.items, *other.items])

    def __neg__(self) -> Polynomial:
        return Polynomial(tuple((monomial, -c) for monomial, c in self.items))

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        products: list[tuple[Monomial, Any]] = []
        for left, c in self.items:
            for right, d in other.items:
                monomial, sums = _times(left, right)
                products += reduce(Polynomial.__mul__, sums, Polynomial(((monomial, c * d),))).items if sums else [(monomial, c * d)]
        return _collect(products)

    def __pow__(self, exponent: Any) -> Polynomial:
        if isinstance(exponent, int) and exponent >= 0:
            return reduce(Polynomial.__mul__, [self] * exponent, ONE)
        if self == ONE:
            return ONE
        if len(self.items) == 1:
            (monomial, c) = self.items[0]
            if isinstance(exponent, int):
                return Polynomial(((tuple((atom, e * exponent) for atom, e in monomial), _plain(Fraction(c) ** exponent)),))
            if c == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                return _single(monomial[0][0], exponent)
        return _single(("sum", self), exponent)

    def __str__(self) -> str:
        ordered = sorted(self.items, key=lambda item: (item[1] < 0, not item[0]))
        text = " + ".join(_monomial_text(monomial, c) for monomial, c in ordered)
        return text.replace("+ -", "- ") or "0"

    @property
    def number(self) -> Any:
        """The value of a constant polynomial, else None."""
        return 0 if not self.items else self.items[0][1] if len(self.items) == 1 and not self.items[0][0] else None

    def atoms(self) -> Iterator[Atom]:
        """All atoms at any depth, outer ones first."""
        for monomial, _ in self.items:
            for atom, _ in monomial:
                yield atom
                for part in _parts(atom):
                    yield from part.atoms()

    def symbols(self) -> set[str]:
        """The names of the symbols at any depth."""
        return {atom[1] for atom in self.atoms() if atom[0] == "symbol"}

    def substitute(self, values: Mapping[str, Polynomial]) -> Polynomial:
        """Replace symbols by polynomials, everywhere and at once."""
        return self.replace({("symbol", name): value for name, value in values.items()})

    def replace(self, values: Mapping[Atom, Polynomial]) -> Polynomial:
        """Replace atoms by polynomials, everywhere and at once."""
        found, kept, changed = ZERO, [], False
        for monomial, c in self.items:
            factors = [_replaced(a, values) for a, _ in monomial]
            if all(new is None for new in factors):
                kept.append((monomial, c))
                continue
            changed = True
            rest = Polynomial(((tuple(pair for pair, new in zip(monomial, factors, strict=True) if new is None), c),))
            found += reduce(Polynomial.__mul__, (new**e for (_, e), new in zip(monomial, factors, strict=True) if new is not None), rest)
        return Polynomial(tuple(kept)) + found if changed else self


def _single(a: Atom, exponent: Any = 1) -> Polynomial:
    return Polynomial(((((a, exponent),), 1),))


ZERO = Polynomial(())
ONE = Polynomial((((), 1),))


def atom(*parts: Any) -> Polynomial:
    """The polynomial that is one atom."""
    return _single(parts)


def symbol(name: str) -> Polynomial:
    """The polynomial that is one symbol."""
    return atom("symbol", name)


def number(value: Any) -> Polynomial:
    """A constant."""
    return Polynomial((((), _plain(Fraction(value))),)) if value else ZERO


def _plain(value: Fraction) -> Any:
    return value.numerator if value.denominator == 1 else value


def _collect(items: Iterable[tuple[Monomial, Any]]) -> Polynomial:
    found: dict[Monomial, Any] = {}
    for monomial, c in items:
        found[monomial] = found.get(monomial, 0) + c
    return Polynomial(tuple(sorted((m, c if isinstance(c, int) else _plain(c)) for m, c in found.items() if c)))


def _times(left: Monomial, right: Monomial) -> tuple[Monomial, list[Polynomial]]:
    """The product of two monomials, and the sums in it that can be multiplied out after all."""
    if not left or not right:
        return left or right, []
    exponents = dict(left)
    for a, e in right:
        exponents[a] = 1 if a[0] == "call" and a[1].startswith(CONDITION) else exponents.get(a, 0) + e
    sums = []
    for a, e in list(exponents.items()):
        if not e:
            del exponents[a]
        elif a[0] == "sum" and e == int(e) and (e > 0 or len(a[1].items) == 1):
            sums.append(a[1] ** int(e))
            del exponents[a]
    return tuple(sorted(exponents.items())), sums


def _parts(a: Atom) -> tuple[Polynomial, ...]:
    return () if a[0] == "symbol" else (a[1],) if a[0] == "sum" else a[2]


def _replaced(a: Atom, values: Mapping[Atom, Polynomial]) -> Polynomial | None:
    """The atom with what `values` says in place, or None if that changes nothing."""
    if a in values:
        return values[a]
    parts = _parts(a)
    new = tuple(part.replace(values) for part in parts)
    if all(x is y for x, y in zip(parts, new, strict=True)):
        return None
    return new[0] if a[0] == "sum" else atom(a[0], a[1], new)


def _monomial_text(monomial: Monomial, c: Any) -> str:
    factors = [_atom_text(a) + ("" if e == 1 else f"^{e}" if isinstance(e, int) and e > 0 else f"^({e})") for a, e in monomial]
    return "*".join(([] if c == 1 and factors else ["-" + factors.pop(0)] if c == -1 and factors else [str(c)]) + factors)


def _atom_text(a: Atom) -> str:
    if a[0] == "symbol":
        return str(a[1])
    inside = ", ".join(str(part) for part in _parts(a))
    return f"({inside})" if a[0] == "sum" else f"{a[1]}[{inside}]" if a[0] == "entry" else f"{a[1]}({inside})"


_TOKEN = re.compile(r"\s*(\d+(?:/\d+)?|[A-Za-z_][\w']*|[-+*^()\[\],])")


@lru_cache(maxsize=65536)
def parse(text: str) -> Polynomial:
    """Read what `str` wrote.

    Raises:
        ValueError: it is no polynomial.
    """
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"no polynomial: {text!r} at {at}")
        tokens.append(match[1])
        at = match.end()
    tokens.append("")
    value = _sum(tokens)
    if tokens != [""]:
        raise ValueError(f"no polynomial: {text!r} before {tokens[0]!r}")
    return value


def _sum(tokens: list[str]) -> Polynomial:
    total, sign = ZERO, tokens.pop(0) if tokens[0] == "-" else "+"
    while True:
        product = _factor(tokens)
        while tokens[0] == "*":
            tokens.pop(0)
            product *= _factor(tokens)
        total = total + product if sign == "+" else total - product
        if tokens[0] not in ("+", "-"):
            return total
        sign = tokens.pop(0)


def _factor(tokens: list[str]) -> Polynomial:
    first = tokens.pop(0)
    value: Polynomial
    if first == "(":
        value = _list(tokens, ")")[0]
    elif first[:1].isdigit():
        value = number(first)
    elif not first or not (first[0].isalpha() or first[0] == "_"):
        raise ValueError(f"no polynomial: {first!r} where a factor should be")
    elif tokens[0] in ("[", "("):
        kind, end = ("entry", "]") if tokens.pop(0) == "[" else ("call", ")")
        value = atom(kind, first, tuple(_list(tokens, end)))
    else:
        value = symbol(first)
    if tokens[0] != "^":
        return value
    tokens.pop(0)
    exponent = _factor(tokens).number
    if exponent is None or abs(exponent) > LARGEST:
        raise ValueError(f"no polynomial: an exponent must be a number, at most {LARGEST}")
    return value**exponent


def _list(tokens: list[str], end: str) -> list[Polynomial]:
    found = [_sum(tokens)]
    while tokens[0] == ",":
        tokens.pop(0)
        found.append(_sum(tokens))
    if tokens.pop(0) != end:
        raise ValueError(f"no polynomial: {end!r} is missing")
    return found
