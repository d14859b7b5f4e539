"""Run every kind of evidence over an operation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Flaky, Unsatisfiable

from cnnframe import FormulaError, Op

from .._target import operation
from . import contract, exact, independent
from ._cases import Case, cases
from ._coverage import awkward, features
from ._provider import BACKEND
from ._refusals import check_refusals
from ._verdict import Evidence, Finding, OraclesDisagree, Refutation, Report, Skip

SUITE_VERSION = 1
"""Part of every seed: raise it when what is drawn changes."""

KINDS: dict[str, ModuleType] = {"contract": contract, "exact": exact, "independent": independent}

BUDGETS = {
    "smoke": {"contract": 4, "exact": 8, "independent": 2},
    "quick": {"contract": 30, "exact": 100, "independent": 15},
    "ci": {"contract": 60, "exact": 300, "independent": 30},
    "thorough": {"contract": 500, "exact": 3000, "independent": 300},
}
"""Cases for each kind of evidence, by profile; `smoke` is for many differently seeded runs, and covers too little to verify."""

ROUNDS = 8
"""How often a budget is spent again to reach settings that were not drawn often enough."""

OFTEN = 3
"""In how many cases an awkward setting has to be met."""


class Settings(NamedTuple):
    """What may vary from run to run: the profile, and a number that enters every seed."""

    profile: str = "quick"
    seed: int = 0


def verify(cls: type[Op], run: Settings = Settings()) -> Report:  # noqa: B008 # an immutable value
    """Judge one operation by all kinds of evidence; the same settings give the same report.

    Raises:
        DeclarationError: `cls` is no finished operation class.
    """
    operation(getattr(cls, "__qualname__", repr(cls)), cls)
    return Report(cls.name, tuple(gather(kind, cls, run) for kind in KINDS), target_of(cls))


def gather(kind: str, cls: type[Op], run: Settings = Settings()) -> Evidence:  # noqa: B008 # an immutable value
    """One kind of evidence for one operation."""
    evidence = Evidence(kind)
    search = _Search(KINDS[kind].check, cls, evidence)
    try:
        if kind == "contract":
            check_refusals(cls, evidence)
        missing = search.run(kind, run, awkward(cls) if kind == "exact" else set())
        evidence.doubt = evidence.doubt or _gaps(evidence, missing)
    except Refutation as refutation:
        evidence.finding = refutation.finding
    except Flaky:
        evidence.finding = replace(search.last, certificate="the same case gave different answers when it was tried again") if search.last else None
        evidence.doubt = "" if search.last else "drawing the same case again gave another"
    except Exception as error:  # noqa: BLE001 # one operation that cannot be judged must not end the run
        evidence.doubt = _doubt(error)
    return evidence


def _gaps(evidence: Evidence, missing: list[str]) -> str:
    """What the evidence does not cover."""
    if missing:
        return f"too few cases were drawn with {', '.join(missing)}"
    if not evidence.checks:
        return "no check applied" + (f": {', '.join(evidence.skipped)}" if evidence.skipped else "")
    compared = {label.partition(" (")[0] for label in evidence.compared}
    never = sorted(evidence.asked - compared)
    return f"never compared: {', '.join(never)}" if never else ""


def _doubt(error: Exception) -> str:
    match error:
        case OraclesDisagree():
            return f"our oracles disagree, which is a fault of the suite: {error}"
        case independent.Disagreement():
            return str(error)
        case FormulaError():
            return f"the formula cannot be used: {error}"
        case Unsatisfiable():
            return "no case could be drawn from the declaration"
        case _:
            return f"{type(error).__name__}: {error}"


def replay(cls: type[Op], text: str) -> Report:
    """Judge one case that a report printed, by all kinds of evidence.

    Raises:
        DataError: the text is no such case.
    """
    case = Case.from_replay(cls, text)
    found = []
    for kind, module in KINDS.items():
        evidence = Evidence(kind)
        try:
            _judge(module.check, case, evidence)
        except Refutation as refutation:
            evidence.finding = refutation.finding
        except Exception as error:  # noqa: BLE001 # as above
            evidence.doubt = _doubt(error)
        found.append(evidence)
    return Report(cls.name, tuple(found), target_of(cls))


def target_of(cls: type[Op]) -> str:
    """Where the command line finds a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


class _Search:
    """Draws cases until they cover what they have to, or a check refutes one."""

    def __init__(self, check: Callable[[Case, Evidence], None], cls: type[Op], evidence: Evidence) -> None:
        self.check = check
        self.cls = cls
        self.evidence = evidence
        self.seen: Counter[str] = Counter()
        self.last: Finding | None = None

    def run(self, kind: str, run: Settings, wanted: set[str]) -> list[str]:
        """Spend the budget, again while awkward settings are rare; return those that still are."""
        missing: list[str] = []
        for number in range(1 if run.profile == "smoke" else ROUNDS):
            self._spend(BUDGETS[run.profile][kind], _seed(self.cls, kind, run.seed, number))
            missing = sorted(feature for feature in wanted if self.seen[feature] < OFTEN)
            if not missing:
                break
        return missing

    def _spend(self, budget: int, number: int) -> None:
        @seed(number)
        @settings(
            backend=BACKEND,
            max_examples=budget,
            database=None,
            deadline=None,
            derandomize=False,
            report_multiple_bugs=False,
            print_blob=False,
            verbosity=Verbosity.quiet,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(cases(self.cls))
        def explore(case: Case) -> None:
            try:
                judged = _judge(self.check, case, self.evidence)
            except Refutation as refutation:
                self.last = refutation.finding
                raise
            if judged:
                self.seen.update(features(case))

        explore()


def _judge(check: Callable[[Case, Evidence], None], case: Case, evidence: Evidence) -> bool:
    """Put a case to a check; return whether it applied."""
    evidence.cases += 1
    try:
        check(case, evidence)
    except Skip as skip:
        evidence.skipped[str(skip)] += 1
        return False
    return True


def _seed(cls: type[Op], *parts: Any) -> int:
    text = "/".join(map(str, [cls.name, SUITE_VERSION, *parts]))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
