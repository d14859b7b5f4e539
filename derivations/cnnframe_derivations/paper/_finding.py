"""What was found of one equation of the paper, and what holds the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..proofs import _kernel
from ..proofs._arithmetic import why_at_least_0
from ..proofs._search import search
from ..proofs._statement import Refused, Term, Theorem
from ._speech import Claim
from ._values import Values

Verdict = Literal["right", "right under a condition", "wrong", "vacuous"]


@dataclass(frozen=True)
class Proof:
    """A theorem that the checker accepts; the proof is looked for when it is first asked for.

    Attributes:
        says: the theorem in words.
        claim: the statement, for all sizes and all real arrays.
    """

    says: str
    claim: Claim

    @property
    def theorem(self) -> Theorem:
        """The statement alone."""
        return self.claim.theorem

    @cached_property
    def steps(self) -> Sequence[Mapping[str, Any]]:
        """The proof.

        Raises:
            Refused: there is none, or an array is not read within its range.
        """
        found = search(self.theorem, self.claim.adjoints)
        if found.live:
            raise Refused(f"{self.says}: not proved; left over: {'; '.join(str(t.body) for t in found.live.values())}")
        _reads_in_range(self.claim)
        return tuple(found.steps)

    @cached_property
    def points(self) -> Sequence[Mapping[str, int]]:
        """A point of each of its sums, at the sizes of the claim's example."""
        theorem = self.theorem
        return [_point(theorem, t, self.claim.example) for t in (*theorem.left, *theorem.right)]

    def check(self) -> None:
        """Follow the steps, and see that the theorem is about something.

        Raises:
            Refused: a step does not hold, or the assumptions contradict each other.
        """
        _kernel.check(self.theorem, self.steps)
        _kernel.witnessed(self.theorem, self.claim.example, self.points)


@dataclass(frozen=True)
class Counterexample:
    """Sizes and arrays at which two sides differ.

    Attributes:
        numbers: the value of each size and scalar.
        arrays: the value of each array.
        derived: the left side, as an array.
        printed: the right side.
        entry: where the two differ.
    """

    numbers: Mapping[str, Any]
    arrays: Mapping[str, Any]
    derived: Any
    printed: Any
    entry: tuple[int, ...]


@dataclass(frozen=True)
class Refusal:
    """A statement that is false; what shows it is worked out when it is first asked for.

    Attributes:
        says: the statement in words.
        claim: derived on the left, as printed on the right.
        numbers: sizes and scalars at which the sides differ.
        arrays: arrays for which they do.
    """

    says: str
    claim: Claim
    numbers: Mapping[str, Any]
    arrays: Mapping[str, Any]

    @cached_property
    def left_over(self) -> tuple[Term, ...]:
        """Terms of the difference that a search does not cancel.

        Raises:
            ValueError: a proof was found.
        """
        found = search(self.claim.theorem, self.claim.adjoints)
        if not found.live:
            raise ValueError(f"{self.says}: proved")
        return tuple(found.live.values())

    @cached_property
    def counterexample(self) -> Counterexample:
        """Numbers at which the sides differ.

        Raises:
            ValueError: they are equal there.
        """
        entries = list(Values(self.claim.theorem, self.numbers, self.arrays).entries())
        differ = [at for at, left, right in entries if left != right]
        if not differ:
            raise ValueError(f"{self.says}: both sides are equal here")
        derived, printed = ({at: pair[side] for at, *pair in entries} for side in (0, 1))
        return Counterexample(self.numbers, {name: np.asarray(a) for name, a in self.arrays.items()}, _array(derived), _array(printed), differ[0])

    def check(self) -> None:
        """See that a search does not prove the statement, and that its two sides differ.

        Raises:
            ValueError: a proof was found, or the sides are equal.
        """
        _ = self.left_over, self.counterexample


@dataclass(frozen=True)
class Fact:
    """Something that is computed, not proved by the checker.

    Attributes:
        says: the statement.
        how: by which means.
        value: what came out.
        holds: whether the statement is true.
    """

    says: str
    how: str
    value: str
    holds: bool


@dataclass(frozen=True)
class Finding:
    """One formula or claim of the paper.

    LaTeX stands between dollar signs in sentences.

    Attributes:
        where: the number of the equation, or a name for a display that has none.
        section: of the paper.
        printed: LaTeX, as in the paper.
        words: what the claim is, and what there is to say of it.
        verdict: whether it holds.
        condition: under which it holds, or what is wrong with it.
        corrected: LaTeX of what holds instead.
        proofs: theorems by name; those of the claim, or of its correction if it is wrong.
        refusals: readings of the claim that are false, by name.
        facts: what was computed.
    """

    where: str
    section: str
    printed: str
    words: str
    verdict: Verdict
    condition: str = ""
    corrected: str = ""
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a verdict that nothing holds."""
        wrong = bool(self.refusals) or any(not fact.holds for fact in self.facts)
        held = bool(self.proofs) or any(fact.holds for fact in self.facts)
        if not held or (self.verdict == "wrong" and not (wrong and self.corrected)) or (self.verdict == "right") == bool(self.condition):
            raise ValueError(f"{self.where}: nothing holds the verdict {self.verdict!r}")

    def check(self) -> None:
        """Prove what is said to be proved, and refute what is said to be false.

        Raises:
            Refused: there is no proof.
            ValueError: there is one of what is said to be false, or its sides are equal.
        """
        for held in (*self.proofs.values(), *self.refusals.values()):
            held.check()

    @property
    def how(self) -> str:
        """By which means the verdict was reached."""
        means = ["proved for all sizes"] if self.proofs else []
        means += ["refuted by an example" if self.verdict == "wrong" else "variants refuted by examples"] if self.refusals else []
        return ", ".join(dict.fromkeys([*means, *(fact.how for fact in self.facts)]))


def proved(says: str, claim: Claim) -> Proof:
    """A theorem that has to be proved; every array must be read within its range."""
    return Proof(says, claim)


def refuted(says: str, claim: Claim, sizes: Mapping[str, int] | None = None, numbers: Mapping[str, Any] | None = None, **arrays: Any) -> Refusal:
    """A claim that a search must not prove, and whose two sides must differ for these arrays."""
    return Refusal(says, claim, {**(sizes or claim.example), **(numbers or {})}, arrays)


def _reads_in_range(claim: Claim) -> None:
    """Forward formula and closed form read every array within its range, for all sizes."""
    theorem, definitions = claim.theorem, claim.theorem.theory.definitions
    sides = [(theorem.free, theorem.right), *((definitions[name].index, definitions[name].terms) for name in claim.forward)]
    for free, terms in sides:
        reading = Theorem(theorem.theory, free, terms, ())
        proofs = [why_at_least_0(tuple(reading.known(t)), t.eq, goal) for t, goal in _kernel.accesses(reading, claim.shapes)]
        _kernel.bounded(reading, claim.shapes, [proof for proof in proofs if proof is not None])


def _point(theorem: Theorem, t: Term, sizes: Mapping[str, int]) -> dict[str, int]:
    """The first point of a term at these sizes."""
    open_ = Term((*theorem.free, *t.bound), t.ge, t.eq, t.body)
    point = next(Values(theorem, sizes, {}).points(open_, sizes), None)
    if point is None:
        raise Refused(f"{t.body} has no point at {dict(sizes)}")
    return {v: value for v, value in point.items() if v not in sizes}


def _array(entries: Mapping[tuple[int, ...], Any]) -> Any:
    shape = [1 + max(axis) for axis in zip(*entries, strict=True)]
    found = np.empty(shape, dtype=object)
    for at, value in entries.items():
        found[at] = value
    return found
