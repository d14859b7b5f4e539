"""Write the checker's polynomials, terms and equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..proofs._polynomial import CONDITION, ONE, ZERO, Atom, Polynomial, symbol
from ..proofs._statement import Box, Term
from ._names import Names

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Writer:
    """Writes with the names of one scope."""

    names: Names
    short: Mapping[Polynomial, str] = field(default_factory=dict)

    def index(self, p: Polynomial) -> str:
        """An integer: common factors outside, what is subtracted last."""
        if p in self.short:
            return self.short[p]
        return _joined([self._factored(sign, part) for sign, part in self._groups(p)]) or "0"

    def _groups(self, p: Polynomial) -> list[tuple[int, tuple[str, Polynomial] | Polynomial]]:
        """The monomials, those with a size or hyperparameter in common as that and the rest."""
        shared: dict[str, list[Any]] = {}
        for monomial, c in p.items:
            for (kind, name, *_), e in monomial:
                if kind == "symbol" and e == 1 and name in self.names.theory.integers:
                    shared.setdefault(name, []).append((monomial, c))
        best = max(sorted(shared), key=lambda name: len(shared[name]), default=None)
        if best is None or len(shared[best]) < 2 or len(p.items) == 1:
            ordered = sorted(p.items, key=lambda item: (item[1] < 0, not item[0], not any(a[1] in self.names.indices for a, _ in item[0])))
            return [(1 if c > 0 else -1, Polynomial(((monomial, abs(c)),))) for monomial, c in ordered]
        inside = Polynomial(tuple(sorted((tuple(pair for pair in m if pair[0] != ("symbol", best)), c) for m, c in shared[best])))
        rest = Polynomial(tuple(item for item in p.items if item not in shared[best]))
        positive = any(c > 0 for _, c in inside.items)
        group = (1, (best, inside)) if positive else (-1, (best, -inside))
        others = self._groups(rest) if rest.items else []
        return sorted([group, *others], key=lambda part: part[0] < 0)

    def _factored(self, sign: int, part: tuple[str, Polynomial] | Polynomial) -> tuple[int, str]:
        if isinstance(part, Polynomial):
            return sign, self.monomial(*part.items[0])
        name, inside = part
        return sign, self.names.style.product([self.names.symbol(name), f"({self.index(inside)})"])

    def value(self, p: Polynomial) -> str:
        """A value; conditions in it as brackets, each once where that can be."""
        return _joined(self.summands(p)) or "0"

    def summands(self, p: Polynomial) -> list[tuple[int, str]]:
        """Signs and absolute values of the summands of a value."""
        conditions = sorted({a for m, _ in p.items for a, _ in m if a[0] == "call" and a[1].startswith(CONDITION)})
        if not conditions or len(p.items) == 1:
            ordered = sorted(p.items, key=lambda item: (item[1] < 0, not item[0]))
            return [(1 if c > 0 else -1, self.monomial(monomial, abs(c))) for monomial, c in ordered]
        return [(sign, self.names.style.product([*brackets, rest] if rest != "1" or not brackets else brackets)) for sign, brackets, rest in self._cases(p)]

    def _cases(self, p: Polynomial, held: tuple[tuple[Atom, bool], ...] = ()) -> list[tuple[int, list[str], str]]:
        """A value in cases: p = [c] p(c = 1) + [not c] p(c = 0), since conditions are 0 or 1."""
        conditions = sorted({a for m, _ in p.items for a, _ in m if a[0] == "call" and a[1].startswith(CONDITION)})
        if not conditions:
            parts = self.summands(p)
            text = _joined(parts) if len(parts) == 1 else f"({_joined(parts)})"
            return [(parts[0][0], self._brackets(held), parts[0][1]) if len(parts) == 1 else (1, self._brackets(held), text)] if parts else []
        branches = {c: (p.replace({c: ONE}), p.replace({c: ZERO})) for c in conditions}
        # A condition without which nothing is left makes one case, not two.
        best = min(conditions, key=lambda c: (all(b.items for b in branches[c]), sum(len(b.items) for b in branches[c]), c))
        yes, no = branches[best]
        return [*self._cases(yes, (*held, (best, True))), *self._cases(no, (*held, (best, False)))]

    def _brackets(self, held: Sequence[tuple[Atom, bool]]) -> list[str]:
        """Brackets of conditions that hold or do not; x <= y and y <= x are x = y."""
        left, found = list(held), []
        while left:
            condition, holds = left.pop(0)
            (difference,) = condition[2]
            opposite = (("call", condition[1], (-difference,)), False)
            if condition[1] == CONDITION + "positive" and not holds and opposite in left:
                left.remove(opposite)
                condition, holds = ("call", CONDITION + "zero", (difference,)), True
            found.append(self.condition(condition, holds=holds))
        return found

    def condition(self, a: Atom, *, holds: bool = True) -> str:
        """A condition on values."""
        (difference,) = a[2]
        zero = a[1] == CONDITION + "zero"
        sign = ("=" if holds else r"\ne" if self.names.style.le != "≤" else "≠") if zero else ">" if holds else self.names.style.le
        right = Polynomial(tuple((m, -c) for m, c in difference.items if c < 0))
        return f"[{self.value(difference + right)} {sign} {self.value(right)}]"

    def monomial(self, monomial: Any, c: Any) -> str:
        """A product of powers, c > 0."""
        c = Fraction(c)
        above: list[tuple[Atom, Any]] = []
        below: list[tuple[Atom, Any]] = []
        exponents = self._whole(monomial)
        for a, e in sorted(exponents.items(), key=lambda pair: (pair[0][1] in self.names.indices, *_rank(pair[0]))):
            # A sum that stands alone under a fraction line needs no brackets.
            (above if e > 0 else below).append((a, abs(e)))
        top = [str(c.numerator)] * (c.numerator != 1) + [self._power(a, e, bare=False) for a, e in above]
        lone = len(below) == 1 and c.denominator == 1 and below[0][1] == 1
        bottom = [str(c.denominator)] * (c.denominator != 1) + [self._power(a, e, bare=lone) for a, e in below]
        style = self.names.style
        if not bottom:
            return style.product(top) or "1"
        simple = len(bottom) == 1 and not (lone and below[0][0][0] == "sum")
        if len(top) > 2 and style.tall:
            return style.product([style.fraction(top[0] if c.numerator != 1 else "1", style.product(bottom), simple=simple), *top[c.numerator != 1 :]])
        return style.fraction(style.product(top) or "1", style.product(bottom), simple=simple)

    def _whole(self, monomial: Any) -> dict[Atom, Any]:
        """Factors with exponents; a hyperparameter that another one divides, times that one, is itself again."""
        found = dict(monomial)
        for a, e in monomial:
            whole, _, divisor = str(a[1]).partition("_per_") if a[0] == "symbol" else ("", "", "")
            if divisor and found.get(("symbol", divisor)) == e:
                del found[a], found["symbol", divisor]
                found["symbol", whole] = e
        return found

    def _power(self, a: Atom, e: Any, *, bare: bool) -> str:
        text = self.atom(a)
        if a[0] == "sum" and not (bare and e == 1):
            text = f"({text})"
        if e == HALF:
            return self.names.style.root(self.atom(a), bare=a[0] != "sum")
        return text if e == 1 else self.names.style.power(text, e)

    def atom(self, a: Atom) -> str:
        """A symbol, an entry, a call or a sum."""
        if a[0] == "symbol":
            return self.names.symbol(a[1])
        if a[0] == "entry":
            return self.entry(a[1], a[2])
        if a[0] == "sum":
            return self.value(a[1])
        if a[1].startswith(CONDITION):
            return self.condition(a)
        if a[1] == "pow":
            base = self.value(a[2][0])
            return self.names.style.power(base if len(a[2][0].items) == 1 and a[2][0].items[0][0][0][0][0] == "entry" else f"({base})", self.value(a[2][1]))
        return self.names.style.call(a[1], [self.value(part) for part in a[2]])

    def entry(self, name: str, indices: Sequence[Polynomial]) -> str:
        """An entry of an array; of an axis with one entry the index is left out."""
        single = self.names.single(name)
        shown = [p for d, p in enumerate(indices) if not (d < len(single) and single[d])]
        return self.names.style.entry(self.names.array(name), [self.index(p) for p in shown])

    def total(self, v: str, size: Polynomial) -> str:
        """The sign of a sum."""
        return self.names.style.total(self.names.symbol(v), self.index(size), self.index(size - ONE))

    def term(self, t: Term, known: Iterable[Polynomial] = ()) -> tuple[int, list[str]]:
        """A term as its sign and pieces between which a line may end."""
        signs = [self.total(v, size) for v, size in t.bound if size != ONE]
        conditions = self.conditions(t, known)
        common, rest = self._common(t.body)
        summands = self.summands(rest)
        sign = summands[0][0] if len(summands) == 1 else 1
        if len(summands) == 1:
            body = [self.names.style.product([common, summands[0][1]]) if common else summands[0][1]]
        else:
            pieces = [(text if k == 0 and s > 0 else f"{'+' if s > 0 else '-'} {text}") for k, (s, text) in enumerate(summands)]
            first = self.names.style.product([common, f"({pieces[0]}"]) if common else f"({pieces[0]}"
            body = [first, *pieces[1:-1], f"{pieces[-1]})"] if signs or conditions or common else pieces
        return sign, [*signs, *body, *conditions]

    def _common(self, p: Polynomial) -> tuple[str, Polynomial]:
        """What all monomials of a body have in common, written, and the body without it."""
        shared = [pair for pair in p.items[0][0] if all(pair in m for m, _ in p.items)] if len(p.items) > 1 else []
        if not shared:
            return "", p
        rest = Polynomial(tuple(sorted((tuple(pair for pair in m if pair not in shared), c) for m, c in p.items)))
        return self.monomial(tuple(shared), 1), rest

    def conditions(self, t: Term, known: Iterable[Polynomial] = ()) -> list[str]:
        """The conditions of a term as brackets, without what is known already or holds for every index."""
        gap = self.names.style.gap
        given = {*known, *(c for v, size in t.bound for c in (symbol(v), size - ONE - symbol(v)))}
        found = [f"{gap}[{text}]" for text in self.ranges([c for c in dict.fromkeys(t.ge) if c not in given and not self.plain(c)])]
        return found + [f"{gap}[{self.equality(e)}]" for e in dict.fromkeys(t.eq) if not self._idle(e, t.bound)]

    def _idle(self, e: Polynomial, bound: Box) -> bool:
        return any(size == ONE and e == symbol(v) for v, size in bound)

    def plain(self, c: Polynomial) -> bool:
        """Whether c >= 0 because nothing in it is negative."""
        integers = {s for s in self.names.theory.integers if symbol(s) in self.names.theory.assume}
        return all(x > 0 and all(a[0] == "symbol" and (a[1] in integers or a[1] in self.names.indices) for a, _ in m) for m, x in c.items)

    def ranges(self, ge: Iterable[Polynomial]) -> list[str]:
        """Conditions c >= 0, the two ends of a range as one."""
        waiting, found, le = list(ge), [], self.names.style.le
        while waiting:
            low = waiting.pop(0)
            within = {a[1] for a in low.atoms()} & set(self.names.indices)
            high = next((c for c in waiting if within and not {a[1] for a in (low + c).atoms()} & set(self.names.indices)), None)
            if high is None:
                less = Polynomial(tuple((m, -c) for m, c in low.items if c < 0))
                greater, strict = low + less, less.items and low.items and dict(low.items).get((), 0) == -1 and len(less.items) > 1
                found.append(f"{self.index(less - ONE)} < {self.index(greater)}" if strict else f"{self.index(less)} {le} {self.index(greater)}")
            else:
                waiting.remove(high)
                found.append(f"0 {le} {self.index(low)} < {self.index(low + high + ONE)}")
        return found

    def equality(self, e: Polynomial) -> str:
        """e = 0, with one index alone on a side if one is."""
        alone = [(m, c) for m, c in e.items if len(m) == 1 and abs(c) == 1 and m[0][0][1] in self.names.indices and m[0][1] == 1]
        if len(e.items) == 2 and all(item in alone for item in e.items):
            right = Polynomial(tuple((m, -c) for m, c in e.items if c < 0))
        elif alone:
            right = Polynomial((min(alone, key=lambda item: list(self.names.indices).index(item[0][0][0][1])),))
            right = right if right.items[0][1] > 0 else -right
            e = e if dict(e.items)[right.items[0][0]] < 0 else -e
        else:
            right = Polynomial(tuple((m, -c) for m, c in e.items if c < 0))
        return f"{self.index(e + right)} = {self.index(right)}"

    def mapping(self, there: Iterable[tuple[str, Polynomial]]) -> str:
        """A change of index."""
        return ", ".join(f"{self.names.symbol(v)} {self.names.style.mapsto} {self.index(p)}" for v, p in there)


def _joined(parts: Sequence[tuple[int, str]]) -> str:
    text = "".join(f" {'+' if sign > 0 else '-'} {part}" for sign, part in parts)
    return text.removeprefix(" + ") if not text.startswith(" - ") else f"-{text[3:]}"


def _rank(a: Atom) -> tuple[int, str]:
    """Numbers and sizes first, then functions and conditions, then deltas, then other arrays."""
    kinds = {"symbol": 0, "sum": 1, "call": 2, "entry": 4}
    return (3 if a[0] == "entry" and a[1].startswith("d_") else kinds[a[0]], str(a))
