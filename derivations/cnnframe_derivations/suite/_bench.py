"""The cases of one operation, made once for all kinds of evidence, and the search for the smallest that fails."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky, Unsatisfiable

from cnnframe import Activation, Op
from cnnframe._axes import ELLIPSIS

from ._box import Box, vary
from ._cases import DTYPES, Case, cases
from ._coverage import awkward, features, sample
from ._oracle import Oracle
from ._provider import BACKEND
from ._values import LINE
from ._verdict import Evidence, Refutation, Skip

SUITE_VERSION = 2
"""Part of every seed: raise it when what is drawn changes."""

_SHARES = {
    "box": (1, 4, 20, 150, 3000),
    "drawn": (3, 6, 28, 200, 2000),
    "contract": (1, 3, 9, 60, 500),
    "bounded": (1, 2, 8, 40, 400),
    "independent": (1, 2, 7, 30, 300),
    "kinks": (1, 2, 6, 30, 300),
    "extremes": (1, 2, 4, 20, 200),
    "symbolic": (0, 1, 3, 8, 40),
    "composed": (1, 1, 2, 8, 60),
    "curvature": (1, 2, 8, 16, 120),
    "canaries": (0, 0, 10, 40, 1000),
    "exhaustive": (0, 0, 1, 1, 1),
    "proved": (0, 0, 1, 1, 1),
}
BUDGETS = {name: {kind: share[number] for kind, share in _SHARES.items()} for number, name in enumerate(("glance", "smoke", "quick", "ci", "thorough"))}
"""Cases for each kind of evidence, by profile."""

THIN = ("glance", "smoke")
"""Profiles for many differently seeded runs, which cover too little to verify."""

ROUNDS = 24
"""How often the budget is drawn again to reach settings that were not drawn often enough."""

OFTEN = 3
"""In how many cases an awkward setting has to be met."""

SIMPLEST = 150
"""Structures, from the simplest, in which a smaller failing case is looked for."""


class Settings(NamedTuple):
    """What may vary from run to run: the profile, a number that enters every seed, and one element type instead of both."""

    profile: str = "quick"
    seed: int = 0
    dtype: str = ""


class Check(NamedTuple):
    """One kind of evidence as it is put to a case: what it makes of the case first, and the check."""

    judge: Callable[[Oracle, Evidence], None]
    prepare: Callable[[Case], Case] = lambda case: case


class Bench:
    """The cases of one operation with their oracles."""

    def __init__(self, cls: type[Op], run: Settings) -> None:
        self.cls = cls
        self.run = run
        self.budget = BUDGETS[run.profile]
        self._oracles: dict[str, Oracle] = {}

    @cached_property
    def box(self) -> tuple[Case, ...]:
        """Structures of the small box; where it has few, they come again with other values."""
        spread = Box(self.cls).spread(self.budget["box"])
        shift = 1009 * self.run.seed
        return tuple(self._typed(vary(spread[number % len(spread)], number + shift)) for number in range(self.budget["box"])) if spread else ()

    @cached_property
    def drawn(self) -> tuple[Case, ...]:
        """Cases drawn by Hypothesis, and more with awkward settings while those are rare."""
        found = self._some_more(0)
        for number in range(1, 1 if self.run.profile in THIN else ROUNDS):
            met = self._met(found)
            if not self._rare(met):
                break
            for case in self._some_more(number):
                if not self._rare(met).isdisjoint(features(case)):
                    found.append(case)
                    met.update(features(case))
        return tuple(found)

    @cached_property
    def line(self) -> tuple[Case, ...]:
        """For a function of one number, a case of each element type with numbers of all sizes."""
        if not issubclass(self.cls, Activation):
            return ()
        op = sample(self.cls)
        known = {**op.declaration.known, ELLIPSIS: (LINE,)}
        return tuple(Case(op, known, dtype, "C", "line", self.seed("line") % 2**14) for dtype in ((self.run.dtype,) if self.run.dtype else DTYPES))

    @cached_property
    def missing(self) -> list[str]:
        """Awkward settings that were met too seldom."""
        return [] if self.run.profile in THIN else sorted(self._rare(self._met(self.drawn)))

    def _some_more(self, number: int) -> list[Case]:
        # What is rare is mostly a size that small cases do not have.
        large, count = number % 2 == 1, self.budget["drawn"] // (2 if number else 1)
        return [self._typed(case) for case in _draw(self.cls, count, self.seed(number), large=large)]

    def _met(self, drawn: Iterable[Case]) -> Counter[str]:
        """In how many cases each setting is met."""
        return Counter(feature for case in (*self.box, *drawn) for feature in features(case))

    def _rare(self, met: Counter[str]) -> set[str]:
        return {feature for feature in self._wanted if met[feature] < OFTEN}

    @cached_property
    def _wanted(self) -> set[str]:
        others = set(DTYPES) - {self.run.dtype} if self.run.dtype else set()
        return awkward(self.cls) - others

    def _typed(self, case: Case) -> Case:
        return replace(case, dtype=self.run.dtype) if self.run.dtype else case

    def some(self, kind: str) -> tuple[Case, ...]:
        """As many of the drawn cases as a kind of evidence may have."""
        return self.drawn[: self.budget[kind]]

    @cached_property
    def exact(self) -> bool:
        """Whether arithmetic is exact for some of the cases."""
        return any(self.oracle(case).exact for case in (*self.box[:12], *self.drawn[:12]))

    def oracle(self, case: Case) -> Oracle:
        """The truth about a case."""
        if case.replay not in self._oracles:
            self._oracles[case.replay] = Oracle(case)
        return self._oracles[case.replay]

    def seed(self, *parts: Any) -> int:
        """A number that depends on the operation, the suite's version, the run, and the parts."""
        return seed_of(self.cls.name, SUITE_VERSION, self.run.seed, *parts)

    def judge(self, check: Check, cases: Iterable[Case], evidence: Evidence) -> Counter[str]:
        """Put cases to a check; return which settings were judged.

        Raises:
            Refutation: at the smallest case that was found.
        """
        judged: Counter[str] = Counter()
        for case in cases:
            try:
                if put(check, self.oracle(check.prepare(case)), evidence):
                    judged.update(features(case))
            except Refutation as refutation:
                raise self._smaller(check, case, refutation) from None
        return judged

    def _smaller(self, check: Check, case: Case, first: Refutation) -> Refutation:
        again = refuted(check, case)
        if again is None:
            changed = "the same case gave different answers when it was tried again"
            return Refutation(replace(first.finding, certificate=changed))
        for simple in self._simpler(case):
            found = refuted(check, simple)
            if found is not None:
                return found
        return _shrunk(self.cls, check, case, self.budget["drawn"], self.seed(0)) or again

    def _simpler(self, case: Case) -> Iterator[Case]:
        """The simplest structures, with plain values and with those of the case."""
        for number, simple in enumerate(Box(self.cls).simplest(SIMPLEST)):
            if number % 3 == 0 or number < 60:
                yield replace(simple, dtype="float64", layout="C", lattice="small" if case.lattice != "real" else "real", seed=number)
            yield replace(simple, dtype=case.dtype, layout=case.layout, lattice=case.lattice, seed=number + 1)


def seed_of(*parts: Any) -> int:
    """A number that depends on the parts."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "big")


def put(check: Check, oracle: Oracle, evidence: Evidence) -> bool:
    """Put a case to a check; return whether it applied."""
    evidence.cases += 1
    try:
        check.judge(oracle, evidence)
    except Skip as skip:
        evidence.skipped[str(skip)] += 1
        return False
    return True


def refuted(check: Check, case: Case) -> Refutation | None:
    """The refutation of a case, if there is one."""
    try:
        put(check, Oracle(check.prepare(case)), Evidence(""))
    except Refutation as refutation:
        return refutation
    except Exception:  # noqa: BLE001 # in the search for a smaller case, what cannot be judged is none
        return None
    return None


def _draw(cls: type[Op], count: int, number: int, *, large: bool) -> list[Case]:
    found: list[Case] = []

    @_settings(count)
    @seed(number)
    @given(cases(cls, large=large))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found[:count]


def _shrunk(cls: type[Op], check: Check, case: Case, count: int, number: int) -> Refutation | None:
    """Draw the same cases again, and let Hypothesis shrink the one that fails."""
    last: list[Refutation] = []

    @_settings(count)
    @seed(number)
    @given(cases(cls))
    def explore(drawn: Case) -> None:
        found = refuted(check, drawn) or refuted(check, replace(drawn, dtype=case.dtype, layout=case.layout, lattice=case.lattice))
        if found:
            last.append(found)
            raise found

    with suppress(Refutation, Flaky, Unsatisfiable):
        explore()
    return last[-1] if last else None


def _settings(count: int) -> Any:
    return settings(
        backend=BACKEND,
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
