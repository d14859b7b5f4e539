"""Tell a proof: each chapter as a step of sentences and formulas, all of them read off the proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..proofs._polynomial import ONE, ZERO, Polynomial, parse, symbol
from ..proofs._statement import Term, Theorem
from ._blocks import Details, Formula, Sentence, Steps
from ._equation import equation, indices_of, one
from ._formula import Writer
from ._names import Names
from ._steps import RIGHT, Chapter, Event, chapters, follow, goals, renaming
from ._style import TEXT

FEW = 4
"""Up to how many pairs of terms are written out; the others are counted."""
Told = list[Sentence | Formula]


class Story:
    """One proof with the names for it."""

    def __init__(self, names: Names, theorem: Theorem, steps: Sequence[Mapping[str, Any]], name: str) -> None:
        self.theorem, self.name = theorem, name
        self.events = follow(theorem, steps)
        terms = [*theorem.left, *theorem.right, *(t for event in self.events for t in event.new.values())]
        self.names = names.scope([*(v for v, _ in theorem.free), *indices_of(terms)])
        self.writer = Writer(self.names)
        box = [c for v, size in theorem.free for c in (symbol(v), size - ONE - symbol(v))]
        self.known = [*box, *theorem.theory.assume]

    @property
    def gradient(self) -> str:
        """dE/dX at the free indices."""
        return self.names.style.partial(self.writer.entry(self.name, [symbol(v) for v, _ in self.theorem.free]))

    def derivative(self) -> Formula:
        """The left side, as differentiation gives it."""
        return Formula(equation(self.writer, self.gradient, self.theorem.left, self.known))

    def claim(self) -> Formula:
        """The right side."""
        return Formula(equation(self.writer, self.gradient, self.theorem.right, self.known), claim=True)

    def steps(self) -> Steps:
        """The proof."""
        told: list[Told] = [[Sentence("By the chain rule, with a bracket for the entries that read the one in question:"), self.derivative()]]
        told += [self._chapter(chapter) for chapter in chapters(self.theorem, self.events)]
        told[-1].append(Sentence("No term is left: the two sides are equal, for all sizes."))
        return Steps(told)

    def _chapter(self, chapter: Chapter) -> Told:
        match chapter.kind:
            case "simplify":
                return self._simplify(chapter)
            case "merge":
                return self._merge(chapter)
            case "insert":
                return [*(s for event in chapter.events for s in self._insert(event)), *self._left_over(chapter)]
            case "split":
                conditions = self._list(self.writer.ranges([parse(e.step["condition"])])[0] for e in chapter.events)
                return [Sentence(f"The points at which {conditions} and the others are summed apart."), *self._left_over(chapter)]
            case _:
                return [Sentence("The conditions of a term contradict each other, so it has no points:"), *(self._sum(e.term) for e in chapter.events)]

    def _simplify(self, chapter: Chapter) -> Told:
        right = chapter.side == RIGHT
        text = "The closed form, treated alike. " if right else ""
        unfolded = dict.fromkeys(parse(e.step["entry"]).items[0][0][0][0][1] for e in chapter.events if e.rule == "unfold")
        if unfolded:
            text += f"The definition{'s' * (len(unfolded) > 1)} of {self._list(self.names.array(n) for n in unfolded)} "
            text += "are put in. " if len(unfolded) > 1 else "is put in. "
        dropped, replaced = self._solved(chapter.events)
        if dropped:
            each = self._list(dropped)
            text += f"The equation{'s' * (len(dropped) > 1)} {each} {'each fix' if len(dropped) > 1 else 'fixes'} a summation index"
            text += "; these drop out, and their ranges stay as conditions. " if len(dropped) > 1 else "; it drops out, and its range stays as a condition. "
        if replaced:
            text += f"In what is left, {self._list(replaced)} {'are' if len(replaced) > 1 else 'is'} used. "
        counted = {e.step["symbol"]: dict(e.term.bound)[e.step["symbol"]] for e in chapter.events if e.rule == "count"}
        if counted:
            sizes = self._list(self.writer.index(size) for size in counted.values())
            one_by_one = "the sums over them are factors" if len(counted) > 1 else "the sum over it is a factor"
            text += f"Nothing depends on {self._list(self.names.symbol(v) for v in counted)}: {one_by_one} {sizes}. "
        if not text or (right and text.endswith("alike. ")):
            text += "Axes with one entry have the index 0. "
        if chapter.live:
            taken = {number for e in chapter.events for number in e.taken}
            new = [t for e in chapter.events for number, t in e.new.items() if number not in taken]
            return [Sentence(f"{text.strip()} The terms that come of it:"), self._sum(*new)]
        terms = [one(t) for t in chapter.terms] if right else chapter.terms
        return [Sentence(text.strip()), Formula(equation(self.writer, self.gradient, terms, self.known))]

    def _solved(self, events: Sequence[Event]) -> tuple[list[str], list[str]]:
        """Equations that made a summation index drop out, and those that were used for another index."""
        dropped: dict[str, None] = {}
        replaced: dict[str, None] = {}
        for event in events:
            if event.rule == "eliminate":
                v, e = event.step["symbol"], event.equation
                sizes = dict(event.term.bound)
                if sizes.get(v) == ONE:
                    continue
                slope = e.substitute({v: symbol(v) + ONE}) - e
                text = f"{self.names.symbol(v)} = {self.writer.index(symbol(v) - e * slope)}"
                (dropped if v in sizes else replaced)[text] = None
        return list(dropped), list(replaced)

    def _merge(self, chapter: Chapter) -> Told:
        events = chapter.events
        lone = len(events) == 1
        moved = [e for e in events if not renaming(_map(e))]
        found: Told = []
        text = "" if lone else f"{len(events)} pairs of terms are the same sum up to the names of indices and a factor. "
        if lone and not moved:
            there = self.writer.mapping((v, p) for v, p in _map(events[0]).items() if p != symbol(v) and not self._same(v, p))
            text += "The two are the same sum" + (f", with other names for the indices: ${there}$. " if there else ", letter by letter. ")
        elif moved and lone:
            text += "A change of index takes the one sum to the other:"
        elif moved:
            text += "Of these, the following need a change of index:"
        if text:
            found.append(Sentence(text.strip()))
        for event in moved[:FEW]:
            found += self._moved(event, lone=lone)
        if len(moved) > FEW:
            found.append(Sentence(f"and {len(moved) - FEW} more of the kind."))
        shown = sum(1 for event in events for _ in goals(self.theorem, event))
        if shown:
            verb = "inequality or equation was" if shown == 1 else "inequalities and equations were"
            found.append(Sentence(f"Points of each go to points of the other, and the two maps undo each other: {shown} {verb} checked for it."))
        return [*found, *self._left_over(chapter)]

    def _same(self, v: str, p: Polynomial) -> bool:
        return self.names.symbol(v) == self.writer.index(p)

    def _moved(self, event: Event, *, lone: bool) -> Told:
        there, back = _map(event), {v: parse(text) for v, text in event.step["back"].items()}
        maps = [self.writer.mapping((v, p) for v, p in way.items() if p != symbol(v)) for way in (there, back)]
        both = f"${maps[0]}$" if maps[0] == maps[1] else f"${maps[0]}$ and back ${maps[1]}$"
        # The term with the map's indices is what the change of index is made in.
        rows = [] if lone else [self._sum(_positive(event.term))]
        return [*rows, Sentence(both + (", which is its own inverse." if maps[0] == maps[1] else "."))]

    def _insert(self, event: Event) -> Told:
        fact = self.theorem.theory.facts[event.step["fact"]]
        at = [parse(index) for index in event.step["at"]]
        entry = self.writer.entry(event.step["fact"], at)
        (t,) = fact.at(at, self.theorem.taken(event.term))
        rows = equation(Writer(self.names.scope([*self.names.indices, *indices_of([t])])), "1", [t])
        return [Sentence(f"${entry}$ is one of the classes, so a term may be multiplied by"), Formula(rows)]

    def _left_over(self, chapter: Chapter) -> Told:
        if not chapter.live:
            return []
        return [Sentence("What is left of the derivative minus the closed form:"), Formula(equation(self.writer, "0", chapter.live, self.known))]

    def _sum(self, *terms: Term) -> Formula:
        return Formula(equation(self.writer, "", terms, self.known))

    def _list(self, parts: Any) -> str:
        items = [f"${part}$" for part in parts]
        return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def in_full(names: Names, theorem: Theorem, steps: Sequence[Mapping[str, Any]]) -> Details:
    """Every step as the checker takes it, with its multipliers, in the terminal's notation."""
    story = Story(replace(names, style=TEXT), theorem, steps, "")
    return Details(f"The {len(steps)} steps as the checker takes them, with multipliers", [line for event in story.events for line in _said(story, event)])


def _said(story: Story, event: Event) -> Iterator[str]:
    w, step = story.writer, event.step
    match event.rule:
        case "unfold":
            yield f"put in the definition of {w.value(parse(step['entry']))}"
        case "eliminate":
            yield f"solve {w.equality(event.equation)} for {story.names.symbol(step['symbol'])}"
        case "count":
            yield f"sum over {story.names.symbol(step['symbol'])}, on which nothing depends"
        case "know":
            yield f"add what holds: {w.index(parse(step['condition']))} {'=' if step['equal'] else '≥'} 0"
        case "merge":
            yield f"same sum: {w.mapping(_map(event).items()) or 'letter by letter'}"
        case rule:
            yield f"{rule} {step.get('condition', '')}".strip()
    for t, equal, goal, proof in goals(story.theorem, event):
        yield f"    {w.index(goal)} {'=' if equal else '≥'} 0: {_why(story, t, goal, proof)}"


def _why(story: Story, t: Term, goal: Polynomial, proof: Any) -> str:
    w = story.writer
    if goal == ZERO:
        return "identical"
    if isinstance(proof, list):
        return " and ".join(_why(story, t, g, one) for g, one in zip((goal, -goal), proof, strict=True))
    if isinstance(proof, int):
        return "known"
    ge = [*story.theorem.known(t), -goal - ONE]
    parts = [" · ".join([str(c)] * (str(c) != "1" or not places) + [f"({w.index(ge[k])})" for k in places]) for c, places in proof.get("ge", ())]
    parts += [f"({w.index(parse(factor))}) · ({w.index(t.eq[k])})" for factor, k in proof.get("eq", ())]
    total = " + ".join(parts) or "0"
    return f"otherwise -1 = {total}" if proof.get("refute") else f"= {total}"


def _map(event: Event) -> dict[str, Polynomial]:
    return {v: parse(text) for v, text in event.step["map"].items()}


def _positive(t: Term) -> Term:
    return one(t) if t.body.items[0][1] < 0 else t
