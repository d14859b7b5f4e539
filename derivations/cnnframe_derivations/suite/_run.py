"""Run every kind of evidence over an operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from types import ModuleType

from hypothesis.errors import Unsatisfiable

from cnnframe import FormulaError, Op

from .._target import operation
from . import bounded, canaries, composed, contract, curvature, exact, exhaustive, extremes, independent, kinks, proved, symbolic
from ._bench import Bench, Check, Settings, put
from ._cases import Case
from ._coverage import sample
from ._oracle import Oracle
from ._verdict import Evidence, Finding, OraclesDisagree, Refutation, Report

KINDS: dict[str, ModuleType] = {
    kind.KIND: kind for kind in (contract, exact, bounded, symbolic, proved, exhaustive, independent, kinks, extremes, composed, curvature, canaries)
}
"""Each is a module with `gather`, and with `CHECK` if it judges single cases; the cheapest and most exact first."""


def verify(cls: type[Op], run: Settings = Settings()) -> Report:  # noqa: B008 # an immutable value
    """Judge one operation by all kinds of evidence; the same settings give the same report.

    Raises:
        DeclarationError: `cls` is no finished operation class.
    """
    operation(getattr(cls, "__qualname__", repr(cls)), cls)
    return report(cls, [gather(kind, cls, run) for kind in KINDS])


def refutation(cls: type[Op], run: Settings = Settings()) -> Finding | None:  # noqa: B008 # an immutable value
    """The first refutation that any kind of evidence finds, the cheapest first; None if there is none."""
    return next((found for kind in KINDS if (found := gather(kind, cls, run).finding)), None)


def gather(kind: str, cls: type[Op], run: Settings = Settings()) -> Evidence:  # noqa: B008 # an immutable value
    """One kind of evidence for one operation."""
    return gather_from(bench_of(cls, run), Evidence(kind))


def gather_from(bench: Bench, evidence: Evidence) -> Evidence:
    """The same evidence with what a bench adds to it."""
    return doubtful(evidence, lambda: KINDS[evidence.kind].gather(bench, evidence))


def doubtful(evidence: Evidence, gather: Callable[[], object]) -> Evidence:
    """The evidence after it was gathered, with what went wrong in it; if nothing was compared, that is a doubt."""
    _caught(evidence, gather)
    if evidence.state == "verified" and not evidence.checks:
        evidence.doubt = "no check applied" + (f": {', '.join(evidence.skipped)}" if evidence.skipped else "")
    return evidence


def of_one_case(evidence: Evidence, gather: Callable[[], object]) -> Evidence:
    """The same of a single case, which some kinds of evidence have nothing to say of."""
    _caught(evidence, gather)
    if not evidence.checks and evidence.state == "verified":
        evidence.absent = ", ".join(evidence.skipped)
    return evidence


def _caught(evidence: Evidence, gather: Callable[[], object]) -> None:
    try:
        gather()
    except Refutation as refutation:
        evidence.finding = refutation.finding
    except (Exception, SystemExit) as error:  # noqa: BLE001 # one operation that cannot be judged must not end the run
        evidence.doubt = _doubt(error)


@lru_cache(maxsize=4)
def bench_of(cls: type[Op], run: Settings) -> Bench:
    """The cases of an operation; kept, since all kinds of evidence share them."""
    return Bench(cls, run)


def _doubt(error: BaseException) -> str:
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
    """Judge one case that a report printed, by all kinds of evidence that judge single cases.

    Raises:
        DataError: the text is no such case.
    """
    case = Case.from_replay(cls, text)
    found = []
    for kind, module in KINDS.items():
        if hasattr(module, "CHECK"):
            evidence = Evidence(kind)
            found.append(of_one_case(evidence, partial(_once, module.CHECK, case, evidence)))
    return report(cls, found)


def _once(check: Check, case: Case, evidence: Evidence) -> None:
    put(check, Oracle(check.prepare(case)), evidence)


def report(cls: type[Op], evidence: list[Evidence]) -> Report:
    """The verdict that evidence gives."""
    try:
        gradients = tuple(sample(cls).declaration.differentiable)
    except (Exception, SystemExit):  # noqa: BLE001 # why there is no instance is said by the evidence
        gradients = ()
    return Report(cls.name, tuple(evidence), target_of(cls), gradients)


def target_of(cls: type[Op]) -> str:
    """Where the command line finds a class."""
    return f"{cls.__module__}:{cls.__qualname__}"
