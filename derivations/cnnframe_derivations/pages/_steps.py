"""Follow a proof, and gather its steps into what a reader wants to be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ..proofs import _kernel
from ..proofs._polynomial import ONE, Polynomial, parse, symbol
from ..proofs._statement import Term, Theorem

SIMPLE = ("unfold", "eliminate", "count", "know")
"""Rules that rewrite one term; the others are told one by one."""
LEFT, RIGHT, BOTH = "left", "right", "both"


@dataclass(frozen=True)
class Event:
    """One step: what it took, by number, and what it put in place."""

    step: Mapping[str, Any]
    taken: Mapping[int, Term]
    new: Mapping[int, Term]

    @property
    def rule(self) -> str:
        """The rule's name."""
        return str(self.step["rule"])

    @property
    def term(self) -> Term:
        """The term that the step is about."""
        return self.taken[self.step["term"]]

    @property
    def equation(self) -> Polynomial:
        """Of `eliminate`: what is 0."""
        found: Polynomial = self.term.eq[self.step["eq"]]
        return found


@dataclass
class Chapter:
    """Steps that are told together.

    Attributes:
        side: where the terms come from.
        kind: `simplify`, or the one rule.
        terms: what has become of these terms at the end of it.
        live: all terms that are left then.
    """

    side: str
    kind: str
    events: list[Event] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    live: list[Term] = field(default_factory=list)


def follow(theorem: Theorem, steps: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Let the checker's rules compute what each step gives."""
    live = dict(enumerate(theorem.start()))
    numbers = count(len(live))
    events = []
    for step in steps:
        before = dict(live)
        new = {next(numbers): t for t in _kernel.apply(theorem, live, step)}
        events.append(Event(step, {k: t for k, t in before.items() if k not in live}, new))
        live.update(new)
    return events


def chapters(theorem: Theorem, events: Sequence[Event]) -> list[Chapter]:
    """The derivative simplified, the closed form simplified, then what follows in its order."""
    start = dict(enumerate(theorem.start()))
    on_left = sum(len(t.body.items) for t in theorem.left)
    side = {number: LEFT if number < on_left else RIGHT for number in start}
    live = dict(start)
    found = [Chapter(LEFT, "simplify"), Chapter(RIGHT, "simplify")]
    first = True
    for event in events:
        kind = "simplify" if event.rule in SIMPLE else event.rule
        sides = {side[number] for number in event.taken}
        where = sides.pop() if len(sides) == 1 else BOTH
        first = first and kind == "simplify"
        if first:
            found[where == RIGHT].events.append(event)
        else:
            if len(found) == 2 or found[-1].kind != kind:
                found.append(Chapter(BOTH, kind))
            found[-1].events.append(event)
        side |= dict.fromkeys(event.new, where)
        for number in event.taken:
            del live[number]
        live |= event.new
        if not first:
            found[-1].terms = found[-1].live = list(live.values())
        else:
            for chapter in found:
                chapter.terms = [t for number, t in live.items() if side[number] == chapter.side]
    return [chapter for chapter in found if chapter.events]


def goals(theorem: Theorem, event: Event) -> Iterator[tuple[Term, bool, Polynomial, Any]]:
    """What a step had to show: at the points of which term, whether equal to 0 or at least 0, what, and its multipliers."""
    step, t = event.step, event.term
    match event.rule:
        case "merge":
            a = event.taken[step["into"]]
            there, back = ({v: parse(text) for v, text in step[way].items()} for way in ("map", "back"))
            said = [*_map_goals(a, t, there, back), *_map_goals(t, a, back, there)]
            yield from ((*goal, proof) for goal, proof in zip(said, step["proofs"], strict=True))
        case "insert":
            fact, at = theorem.theory.facts[step["fact"]], [parse(index) for index in step["at"]]
            wanted = [g for p, (_, size) in zip(at, fact.index, strict=True) for g in (p, size - ONE - p)]
            yield from ((t, False, goal, proof) for goal, proof in zip(wanted, step["proofs"], strict=True))
        case "count":
            yield t, False, dict(t.bound)[step["symbol"]], step["proof"]
        case "know":
            yield t, step["equal"], parse(step["condition"]), step["proof"]
        case "empty":
            yield t, False, -ONE, step["proof"]


def _map_goals(a: Term, b: Term, there: Mapping[str, Polynomial], back: Mapping[str, Polynomial]) -> Iterator[tuple[Term, bool, Polynomial]]:
    for v, size in b.bound:
        yield a, False, there[v]
        yield a, False, size.substitute(there) - ONE - there[v]
    yield from ((a, False, c.substitute(there)) for c in b.ge)
    yield from ((a, True, c.substitute(there)) for c in b.eq)
    yield from ((a, True, back[v].substitute(there) - symbol(v)) for v, _ in a.bound)


def renaming(there: Mapping[str, Polynomial]) -> bool:
    """Whether a map only gives indices other names."""
    return all(p == symbol(name) for p in there.values() for name in [next(iter(p.symbols()), "")])
