"""What a search may try on terms that do not cancel: unfold a sum, use a fact, read off an index, sum apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, permutations, product
from typing import Any

from ._arithmetic import why_0, why_at_least_0
from ._match import unify
from ._polynomial import ONE, Atom, Polynomial, symbol
from ._state import Found, cancel, drop_empty, entry, goals, settle
from ._statement import Refused, Term, Theorem, integral

MAPS = 8
"""How many ways for two terms to correspond are looked at for a condition that stands between them."""


def attempts(state: Found, eager: set[str]) -> Iterator[Found]:
    """States in which a named sum has been put in place of its name, or a fact has been used, in some of the terms."""
    definitions = state.theorem.theory.definitions
    present: dict[tuple[str, Any], list[tuple[int, Atom]]] = {}
    for number, t in state.live.items():
        for a, exponent in t.body.items[0][0]:
            if a[0] == "entry" and a[1] in definitions and a[1] not in eager:
                present.setdefault((a[1], -exponent), []).append((number, a))
    for _, places in sorted(present.items()):
        yield _with(state, [{"rule": "unfold", "term": number, "entry": entry(a)} for number, a in places], eager)
    for name, fact in state.theorem.theory.facts.items():
        for number, t in state.live.items():
            for at in product(*([symbol(v) for v, n in (*state.theorem.free, *t.bound) if n == size] for _, size in fact.index)):
                goals = [g for value, (_, size) in zip(at, fact.index, strict=True) for g in (value, size - ONE - value)]
                proofs = [why_at_least_0(tuple(state.theorem.known(t)), t.eq, goal) for goal in goals]
                if None not in proofs:
                    yield _with(state, [{"rule": "insert", "term": number, "fact": name, "at": [str(v) for v in at], "proofs": proofs}], eager)


def pins(state: Found, eager: set[str]) -> Iterator[Found]:
    """States in which an index that conditions leave one value has that value: 0 <= n q + r - n u < n, so u = q."""
    for number, t in state.live.items():
        known = tuple(state.theorem.known(t))
        for v, _ in t.bound:
            for c in t.ge:
                slope = c.substitute({v: symbol(v) + ONE}) - c
                if len(slope.items) != 1 or v in slope.symbols():
                    continue
                ratio = (c - slope * symbol(v)) * slope**-1
                whole = [(m, k) for m, k in ratio.items if k == int(k) and all(e > 0 for _, e in m)]
                goal = symbol(v) + Polynomial(tuple(whole))
                proof = why_0(known, t.eq, goal)
                if proof is not None:
                    yield _with(state, [{"rule": "know", "term": number, "condition": str(goal), "equal": True, "proof": proof}], eager)


def _with(state: Found, steps: Sequence[dict[str, Any]], eager: set[str]) -> Found:
    """What comes of some steps, each on a term of its own, and of all that follows from them."""
    tried = state.copy()
    for step in steps:
        if step["term"] in tried.live:
            for new in tried.take(step):
                settle(tried, new, eager)
    cancel(tried)
    return tried


def splits(state: Found, eager: set[str]) -> Iterator[Found]:
    """States in which a term is summed apart at a condition under which another one would be a multiple of it."""
    for a, b in permutations(sorted(state.live), 2):
        for on, equal in _between(state.theorem, state.live[a], state.live[b]):
            tried = state.copy()
            parts = tried.take({"rule": "split", "term": a, "condition": str(on)})
            if equal:
                # At most 0 by what is known, at least 0 here: an equation, which can be solved.
                t = tried.live[parts[0]]
                proof = why_0(tuple(tried.theorem.known(t)), t.eq, on)
                if proof is None:
                    continue
                parts = [*tried.take({"rule": "know", "term": parts[0], "condition": str(on), "equal": True, "proof": proof}), parts[1]]
            for part in parts:
                settle(tried, part, eager)
            cancel(tried)
            drop_empty(tried)
            yield tried


def _between(theorem: Theorem, a: Term, b: Term) -> Iterator[tuple[Polynomial, bool]]:
    """The first thing that keeps each map from taking points of a to points of b, and whether it is an equation."""
    known = tuple(theorem.known(a))
    for there, back in islice(unify(a, b), MAPS):
        missing = goals(a, b, there, back)
        try:
            for _, goal in missing:
                integral(goal, theorem.indices(a))
        except Refused:
            continue
        first = next(((equal, goal) for equal, goal in missing if (why_0 if equal else why_at_least_0)(known, a.eq, goal) is None), None)
        if first is not None:
            equal, goal = first
            sides = [goal] if not equal else [side for side in (goal, -goal) if why_at_least_0(known, a.eq, -side) is not None]
            yield from ((side, equal) for side in sides)
