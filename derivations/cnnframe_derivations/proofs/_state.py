"""The state of a search, and the steps that need no choice. Every step goes through the checker as it is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from . import _kernel
from ._arithmetic import why_0, why_at_least_0
from ._match import unify
from ._polynomial import ONE, Atom, Polynomial, symbol
from ._statement import Term, Theorem


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


def plain(terms: tuple[Term, ...]) -> bool:
    """Whether a definition is a plain expression."""
    return len(terms) == 1 and not (terms[0].bound or terms[0].ge or terms[0].eq)


def settle(state: Found, number: int, eager: set[str]) -> list[int]:
    """Unfold, solve equations, and sum over idle indices, until nothing of that is left to do."""
    step = _next(state.theorem, state.live[number], number, eager)
    if step is None:
        return [number]
    return [last for new in state.take(step) for last in settle(state, new, eager)]


def _next(theorem: Theorem, t: Term, number: int, eager: set[str]) -> dict[str, Any] | None:
    """The first of: a definition to unfold, an equation to solve, an index to count; None if nothing is left to do."""
    step = _unfolding(theorem, t, eager) or _solution(theorem, t) or _idle(theorem, t)
    return step and {"term": number, **step}


def _unfolding(theorem: Theorem, t: Term, eager: set[str]) -> dict[str, Any] | None:
    factors = {a for a, _ in t.body.items[0][0]}
    for a in dict.fromkeys(t.body.atoms()):
        if a[0] == "entry" and a[1] in eager and (a in factors or plain(theorem.theory.definitions[a[1]].terms)):
            return {"rule": "unfold", "entry": entry(a)}
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


def entry(a: Atom) -> str:
    """An entry of an array as text."""
    return str(Polynomial(((((a, 1),), 1),)))


def _unit(c: Polynomial, v: str) -> bool:
    return (c.substitute({v: symbol(v) + ONE}) - c) in (ONE, -ONE)


def cancel(state: Found) -> None:
    """Merge terms until no two are multiples of each other."""
    seen: set[tuple[int, int]] = set()
    while True:
        for a, b in combinations(sorted(state.live), 2):
            if (a, b) not in seen:
                seen.add((a, b))
                step = merge(state.theorem, state.live[a], state.live[b], a, b)
                if step is not None:
                    state.take(step)
                    break
        else:
            return


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
    for equal, goal in goals(a, b, there, back):
        proof = (why_0 if equal else why_at_least_0)(known, a.eq, goal)
        if proof is None:
            return None
        proofs.append(proof)
    return proofs


def goals(a: Term, b: Term, there: Mapping[str, Polynomial], back: Mapping[str, Polynomial]) -> list[tuple[bool, Polynomial]]:
    """What must hold for `there` to take points of a to points of b and for `back` to undo it: pairs (is it 0, expression)."""
    box = [(False, goal) for v, size in b.bound for goal in (there[v], size.substitute(there) - ONE - there[v])]
    conditions = [(False, c.substitute(there)) for c in b.ge] + [(True, c.substitute(there)) for c in b.eq]
    return [*box, *conditions, *((True, back[v].substitute(there) - symbol(v)) for v, _ in a.bound)]


def drop_empty(state: Found) -> None:
    """Drop terms whose conditions contradict each other."""
    for number, t in list(state.live.items()):
        proof = why_at_least_0(tuple(state.theorem.known(t)), t.eq, -ONE)
        if proof is not None:
            state.take({"rule": "empty", "term": number, "proof": proof})
