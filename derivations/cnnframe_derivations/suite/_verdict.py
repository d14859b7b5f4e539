"""What a run of the suite says: findings, evidence, verdicts, and the report that holds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["verified", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Finding:
    """One refutation, at the smallest case that was found.

    Attributes:
        kind: the kind of evidence that found it.
        what: one sentence.
        case: the case, line by line, as a person reads it.
        replay: the case as `cnnframe verify NAME --case` takes it.
        certificate: why it refutes.
    """

    kind: str
    what: str
    case: tuple[str, ...]
    replay: str
    certificate: str

    def lines(self, name: str, target: str) -> list[str]:
        """The report of this refutation, in at most 25 lines; `target` is what the command line calls the operation."""
        shown = [self.what, *self.case]
        if len(shown) > 20:
            shown = [*shown[:20], f"... {len(shown) - 20} more lines"]
        return [
            f"{name}: refuted by {self.kind}",
            *(f"  {line}" for line in shown),
            f"  because {self.certificate}",
            f"  replay: cnnframe verify {target} --case '{self.replay}'",
        ]


class Refutation(AssertionError):
    """Raised within a check; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


class OraclesDisagree(Exception):
    """Our own oracles contradict each other: our bug, not the author's."""


class Skip(Exception):
    """A check does not apply to a case; the reason is counted."""


@dataclass
class Evidence:
    """What one kind of evidence has to say about one operation.

    Attributes:
        kind: its name.
        cases: cases that were drawn.
        checks: comparisons that were made and passed.
        compared: how many of them for each subject ("output", "gradient of 'x'", ...).
        asked: subjects that have to be compared at least once.
        skipped: reasons, with counts.
        doubt: why the evidence is not conclusive; empty if it is.
        finding: the refutation, if there is one.
    """

    kind: str
    cases: int = 0
    checks: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    doubt: str = ""
    finding: Finding | None = None

    def passed(self, subject: str) -> None:
        """Count one comparison that held."""
        self.checks += 1
        self.compared[subject] += 1

    @property
    def state(self) -> Verdict:
        """This kind's own verdict."""
        return "refuted" if self.finding else "inconclusive" if self.doubt else "verified"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        finding = self.finding
        return {
            "state": self.state,
            "cases": self.cases,
            "checks": self.checks,
            "compared": dict(sorted(self.compared.items())),
            "skipped": dict(sorted(self.skipped.items())),
            "doubt": self.doubt,
            "finding": None
            if finding is None
            else {"what": finding.what, "case": list(finding.case), "replay": finding.replay, "certificate": finding.certificate},
        }


@dataclass(frozen=True)
class Report:
    """The verdict on one operation, with all the evidence; `target` is what the command line calls the operation."""

    name: str
    evidence: tuple[Evidence, ...]
    target: str

    @property
    def verdict(self) -> Verdict:
        """Refuted by any kind of evidence, verified by all, else inconclusive."""
        states = [e.state for e in self.evidence]
        if "refuted" in states:
            return "refuted"
        return "verified" if states and all(state == "verified" for state in states) else "inconclusive"

    @property
    def finding(self) -> Finding | None:
        """The first refutation."""
        return next((e.finding for e in self.evidence if e.finding), None)

    @property
    def checks(self) -> int:
        """Comparisons made, over all kinds."""
        return sum(e.checks for e in self.evidence)

    @property
    def skipped(self) -> Counter[str]:
        """Reasons for skipped checks, over all kinds."""
        return sum((e.skipped for e in self.evidence), Counter())

    @property
    def why(self) -> str:
        """The reason in one line; empty when verified."""
        if self.finding:
            return self.finding.what
        reasons: dict[str, list[str]] = {}
        for evidence in self.evidence:
            if evidence.doubt:
                reasons.setdefault(evidence.doubt, []).append(evidence.kind)
        return "; ".join(f"{', '.join(kinds)}: {doubt}" for doubt, kinds in reasons.items())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "why": self.why,
            "checks": self.checks,
            "skipped": dict(sorted(self.skipped.items())),
            "evidence": {e.kind: e.to_dict() for e in self.evidence},
        }

    def __str__(self) -> str:
        if self.finding:
            return "\n".join(self.finding.lines(self.name, self.target))
        text = f"{self.name}: {self.verdict}" + (f" ({self.why})" if self.why else "")
        return f"{text}, {self.checks} checks"
