"""Search for a proof. Nothing here is trusted: every step goes through the checker as it is found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any

from . import _kernel
from ._arithmetic import why_0, why_at_least_0
from ._match import unify
from ._polynomial import ONE, Atom, Polynomial, symbol
from ._statement import Term, Theorem

DEPTH = 6
"""How many rounds of unfolding are tried on what does not cancel."""


@dataclass
class Found:
    """Terms that are left over, and the steps that led there; a proof if none are."""

    theorem: Theorem
    live: dict[int, Term]
    steps: list[dict[str, Any]] = field(default_factory=list)
    next: int = 0

    def copy(self) -> Found:
        """The same state, to try something on."""
        return Found(self.theorem, dict(self.live), list(self.steps), self.next)

    def take(self, step: dict[str, Any]) -> list[int]:
        """Apply a step and return the numbers of the new terms."""
        new = _kernel.apply(self.theorem, self.live, step)
        self.steps.append(step)
        numbers = list(range(self.next, self.next + len(new)))
        self.live.update(zip(numbers, new, strict=True))
        self.next += len(new)
        return numbers


def search(theorem: Theorem, eager: Iterable[str] = ()) -> Found:
    """Look for a proof; definitions named in `eager` are unfolded wherever they occur."""
    terms = theorem.start()
    state = Found(theorem, dict(enumerate(terms)), next=len(terms))
    eager = {*eager, *(name for name, d in theorem.theory.definitions.items() if _plain(d.terms))}
    for number in list(state.live):
        _simplify(state, number, eager)
    _cancel(state)
    for _ in range(DEPTH):
        if not state.live:
            break
        _drop_empty(state)
        once = (s for s in _attempts(state, eager))
        twice = (t for s in _attempts(state, eager) for t in _attempts(s, eager))
        better = next((s for s in chain(once, twice) if len(s.live) < len(state.live)), None)
        if better is None:
            break
        state = better
    return state


def _plain(terms: tuple[Term, ...]) -> bool:
    return len(terms) == 1 and not (terms[0].bound or terms[0].ge or terms[0].eq)


def _simplify(state: Found, number: int, eager: set[str]) -> list[int]:
    """Unfold, solve equations, and sum over idle indices, until nothing of that is left to do."""
    step = _next(state.theorem, state.live[number], number, eager)
    if step is None:
        return [number]
    return [last for new in state.take(step) for last in _simplify(state, new, eager)]


def _next(theorem: Theorem, t: Term, number: int, eager: set[str]) -> dict[str, Any] | None:
    """The first of: a definition to unfold, an equation to solve, an index to count; None if nothing is left to do."""
    step = _unfolding(theorem, t, eager) or _solution(theorem, t) or _idle(theorem, t)
    return step and {"term": number, **step}


def _unfolding(theorem: Theorem, t: Term, eager: set[str]) -> dict[str, Any] | None:
    factors = {a for a, _ in t.body.items[0][0]}
    for a in dict.fromkeys(t.body.atoms()):
        if a[0] == "entry" and a[1] in eager and (a in factors or _plain(theorem.theory.definitions[a[1]].terms)):
            return {"rule": "unfold", "entry": _entry(a)}
    return None


def _solution(theorem: Theorem, t: Term) -> dict[str, Any] | None:
    for v, size in t.bound:
        if size == ONE and symbol(v) not in t.eq:
            known = theorem.known(t)
            return {"rule": "know", "condition": v, "equal": True, "proof": [known.index(symbol(v)), known.index(-symbol(v))]}
    bound, free = [v for v, _ in t.bound], [v for v, _ in theorem.free]
    solvable = [(v, place) for place, c in enumerate(t.eq) for v in sorted(c.symbols()) if _unit(c, v)]
    inner = [(bound.index(v), place) for v, place in solvable if v in bound]
    if inner:
        first, place = min(inner)
        return {"rule": "eliminate", "symbol": bound[first], "eq": place}
    for v, place in solvable:
        others = (*t.ge, *(c for k, c in enumerate(t.eq) if k != place), t.body)
        if v in free and any(v in part.symbols() for part in others):
            return {"rule": "eliminate", "symbol": v, "eq": place}
    return None


def _idle(theorem: Theorem, t: Term) -> dict[str, Any] | None:
    for v, size in t.bound:
        if not any(v in part.symbols() for part in (*t.ge, *t.eq, t.body)):
            rest = replace(t, bound=tuple(pair for pair in t.bound if pair[0] != v))
            proof = why_at_least_0(tuple(theorem.known(rest)), t.eq, _kernel.counted(rest, size))
            if proof is not None:
                return {"rule": "count", "symbol": v, "proof": proof}
    return None


def _entry(a: Atom) -> str:
    return str(Polynomial(((((a, 1),), 1),)))


def _unit(c: Polynomial, v: str) -> bool:
    return (c.substitute({v: symbol(v) + ONE}) - c) in (ONE, -ONE)


def _cancel(state: Found) -> None:
    """Merge terms until no two are multiples of each other."""
    for first in sorted(state.live):
        number: int | None = first
        while number in state.live:
            t = state.live[number]
            steps = (merge(state.theorem, t, state.live[other], number, other) for other in sorted(state.live) if other > number)
            step = next((s for s in steps if s is not None), None)
            number = None if step is None else next(iter(state.take(step)), None)


def merge(theorem: Theorem, a: Term, b: Term, into: int, term: int) -> dict[str, Any] | None:
    """The step that adds b to a, if they are multiples of each other."""
    for there, back in unify(a, b):
        if [m for m, _ in b.body.substitute(there).items] != [m for m, _ in a.body.items]:
            continue
        proofs = _obligations(theorem, a, b, there, back)
        if proofs is None:
            continue
        more = _obligations(theorem, b, a, back, there)
        if more is None:
            continue
        maps = {way: {v: str(p) for v, p in values.items()} for way, values in (("map", there), ("back", back))}
        return {"rule": "merge", "into": into, "term": term, **maps, "proofs": [*proofs, *more]}
    return None


def _obligations(theorem: Theorem, a: Term, b: Term, there: Mapping[str, Polynomial], back: Mapping[str, Polynomial]) -> list[Any] | None:
    known = tuple(theorem.known(a))
    proofs: list[Any] = []
    goals: list[tuple[bool, Polynomial]] = []
    for v, size in b.bound:
        goals += [(False, there[v]), (False, size.substitute(there) - ONE - there[v])]
    goals += [(False, c.substitute(there)) for c in b.ge]
    goals += [(True, c.substitute(there)) for c in b.eq]
    goals += [(True, back[v].substitute(there) - symbol(v)) for v, _ in a.bound]
    for equal, goal in goals:
        proof = (why_0 if equal else why_at_least_0)(known, a.eq, goal)
        if proof is None:
            return None
        proofs.append(proof)
    return proofs


def _drop_empty(state: Found) -> None:
    for number, t in list(state.live.items()):
        proof = why_at_least_0(tuple(state.theorem.known(t)), t.eq, -ONE)
        if proof is not None:
            state.take({"rule": "empty", "term": number, "proof": proof})


def _attempts(state: Found, eager: set[str]) -> Iterator[Found]:
    """States in which a named sum has been put in place of its name, or a fact has been used, in some of the terms."""
    definitions = state.theorem.theory.definitions
    present: dict[tuple[str, Any], list[tuple[int, Atom]]] = {}
    for number, t in state.live.items():
        for a, exponent in t.body.items[0][0]:
            if a[0] == "entry" and a[1] in definitions and a[1] not in eager:
                present.setdefault((a[1], -exponent), []).append((number, a))
    for _, places in sorted(present.items()):
        yield _with(state, [{"rule": "unfold", "term": number, "entry": _entry(a)} for number, a in places], eager)
    for name, fact in state.theorem.theory.facts.items():
        for number, t in state.live.items():
            for at in product(*([symbol(v) for v, n in (*state.theorem.free, *t.bound) if n == size] for _, size in fact.index)):
                goals = [g for value, (_, size) in zip(at, fact.index, strict=True) for g in (value, size - ONE - value)]
                proofs = [why_at_least_0(tuple(state.theorem.known(t)), t.eq, goal) for goal in goals]
                if None not in proofs:
                    yield _with(state, [{"rule": "insert", "term": number, "fact": name, "at": [str(v) for v in at], "proofs": proofs}], eager)


def _with(state: Found, steps: Sequence[dict[str, Any]], eager: set[str]) -> Found:
    """What comes of some steps, each on a term of its own, and of all that follows from them."""
    tried = state.copy()
    for step in steps:
        if step["term"] in tried.live:
            for new in tried.take(step):
                _simplify(tried, new, eager)
    _cancel(tried)
    return tried
