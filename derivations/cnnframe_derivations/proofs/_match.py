"""Guess how the points of one term correspond to those of another, from where both read their arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations, product

from ._polynomial import Atom, Monomial, Polynomial, symbol
from ._statement import Term

Map = dict[str, Polynomial]
TRIES = 200
"""How many ways to pair the factors of two bodies are looked at."""
MARK = "@"
"""Put before the second term's indices while both are in one equation; no symbol begins so."""


def unify(a: Term, b: Term) -> Iterator[tuple[Map, Map]]:
    """Maps (b's indices in those of a, a's in those of b) under which the bodies become multiples of each other."""
    mine = [v for v, _ in a.bound]
    marked = {v: symbol(MARK + v) for v, _ in b.bound}
    other = replace(b.substitute(marked), bound=tuple((MARK + v, size) for v, size in b.bound))
    unknown = [MARK + v for v, _ in b.bound]
    for pairing in islice(_pair_monomials(a.body.items[0][0], other.body.items[0][0]), TRIES):
        reads = [p - q for p, q in pairing]
        there = _solve([*reads, *other.eq], unknown)
        back = _solve([*reads, *a.eq], mine)
        for idle in _idle(a, other, there, back):
            yield (
                {v.removeprefix(MARK): p for v, p in _close(there, idle).items()},
                {v: _unmark(p, unknown) for v, p in _close(back, {str(p): symbol(v) for v, p in idle.items()}).items()},
            )


def _unmark(p: Polynomial, unknown: Sequence[str]) -> Polynomial:
    return p.substitute({v: symbol(v.removeprefix(MARK)) for v in unknown})


def _close(found: Map, idle: Map) -> Map:
    return {**{v: p.substitute(idle) for v, p in found.items()}, **idle}


def _idle(a: Term, other: Term, there: Map, back: Map) -> Iterator[Map]:
    """Ways to pair the indices that no array is read at."""
    mine = [(v, size) for v, size in a.bound if v not in back]
    theirs = [(v, size) for v, size in other.bound if v not in there]
    if len(mine) != len(theirs):
        return
    for order in islice(permutations(mine), 24):
        if all(size == n for (_, size), (_, n) in zip(order, theirs, strict=True)):
            yield {w: symbol(v) for (v, _), (w, _) in zip(order, theirs, strict=True)}


def _solve(equations: Sequence[Polynomial], unknown: Sequence[str]) -> Map:
    """Solve one equation after the other for an unknown with factor 1 or -1, or a common factor that divides."""
    found: Map = {}
    open_ = [e for e in equations if e.items]
    while True:
        step = next(((v, value) for e in open_ for v in unknown if v not in found and (value := _isolate(e, v)) is not None), None)
        if step is None:
            return found
        v, value = step
        found = {w: p.substitute({v: value}) for w, p in found.items()} | {v: value}
        open_ = [e for e in (p.substitute({v: value}) for p in open_) if e.items]


def _isolate(e: Polynomial, v: str) -> Polynomial | None:
    """The value of v by e = 0, if that is a polynomial with integer coefficients."""
    here = ("symbol", v)
    with_v = [(m, c) for m, c in e.items if any(a == here for a, _ in m)]
    if len(with_v) != 1 or dict(with_v[0][0])[here] != 1:
        return None
    monomial, c = with_v[0]
    factor = Polynomial(((tuple(pair for pair in monomial if pair[0] != here), c),))
    rest = Polynomial(tuple(item for item in e.items if item != with_v[0]))
    if v in rest.symbols():
        return None
    value = -rest * factor**-1
    whole = all(x > 0 for m, _ in value.items for _, x in m) and all(c == int(c) for _, c in value.items)
    return value if whole else None


def _pair_monomials(left: Monomial, right: Monomial) -> Iterator[list[tuple[Polynomial, Polynomial]]]:
    """Pairs of polynomials, indices mostly, that must be equal for the monomials to be."""
    groups: dict[tuple[object, ...], tuple[list[Atom], list[Atom]]] = {}
    for side, monomial in enumerate((left, right)):
        for a, exponent in monomial:
            groups.setdefault((*_kind(a), exponent), ([], []))[side].append(a)
    if any(len(mine) != len(theirs) for mine, theirs in groups.values()):
        return
    choices = [[list(zip(mine, order, strict=True)) for order in permutations(theirs)] for mine, theirs in groups.values()]
    for choice in product(*choices):
        parts = [list(islice(_pair_atoms(x, y), 6)) for pairs in choice for x, y in pairs]
        for combined in product(*parts):
            yield [pair for part in combined for pair in part]


def _kind(a: Atom) -> tuple[object, ...]:
    if a[0] == "symbol":
        return a
    return (a[0], a[1], len(a[2])) if a[0] in ("entry", "call") else (a[0], len(a[1].items))


def _pair_atoms(x: Atom, y: Atom) -> Iterator[list[tuple[Polynomial, Polynomial]]]:
    if x[0] == "symbol":
        yield []
    elif x[0] == "entry":
        yield list(zip(x[2], y[2], strict=True))
    else:
        parts = zip(x[2], y[2], strict=True) if x[0] == "call" else [(x[1], y[1])]
        for combined in product(*(list(islice(_pair_sums(p, q), 6)) for p, q in parts)):
            yield [pair for part in combined for pair in part]


def _pair_sums(p: Polynomial, q: Polynomial) -> Iterator[list[tuple[Polynomial, Polynomial]]]:
    """Pair the monomials of two values; what has no entries of arrays in it is an index, and compared as one."""
    (mine, index), (theirs, other) = _apart(p), _apart(q)
    if len(mine) != len(theirs):
        return
    for order in islice(permutations(theirs), 24):
        if all(c == d for (_, c), (_, d) in zip(mine, order, strict=True)):
            for combined in product(*(list(islice(_pair_monomials(m, n), 6)) for (m, _), (n, _) in zip(mine, order, strict=True))):
                yield [(index, other), *(pair for part in combined for pair in part)]


def _apart(p: Polynomial) -> tuple[list[tuple[Monomial, object]], Polynomial]:
    """The monomials of a value with entries in them, and the rest."""
    index = tuple(item for item in p.items if all(a[0] == "symbol" for a, _ in item[0]))
    return [item for item in p.items if item not in index], Polynomial(index)
