"""What a run of the suite says: findings, evidence, verdicts, and the report that holds them."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["verified", "refuted", "inconclusive"]
State = Literal["verified", "refuted", "inconclusive", "skipped"]
"""What one kind of evidence says; skipped: it does not apply, and the reason is given."""

DECADES = 8
"""Columns of the histogram of errors: the last holds errors of a tenth of the bound and more, each before it a tenth of those, the first the rest."""


def plain(value: float) -> float | str:
    """A number for JSON, which has no infinities and nothing that is not a number: those become "inf", "-inf", "nan"."""
    return value if math.isfinite(value) else str(value)


@dataclass(frozen=True)
class Drawn:
    """An array of a counterexample: its name, shape, entries in C order, and the entry in question, if it is in this array."""

    name: str
    shape: tuple[int, ...]
    entries: tuple[float, ...]
    entry: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Finding:
    """One refutation, at the smallest case that was found.

    Attributes:
        kind: the kind of evidence that found it.
        what: one sentence.
        case: the case, line by line, as a person reads it.
        replay: the case as `cnnframe verify NAME --case` takes it; empty if no case is needed to see it.
        certificate: why it refutes.
        arrays: arguments and cotangents, and where one array is wrong, what it must be and what came ("expected", "got").
    """

    kind: str
    what: str
    case: tuple[str, ...]
    replay: str
    certificate: str
    arrays: tuple[Drawn, ...] = ()

    def lines(self, name: str, target: str) -> list[str]:
        """The report of this refutation, in at most 25 lines; `target` is what the command line calls the operation."""
        shown = [self.what, *self.case]
        if len(shown) > 20:
            shown = [*shown[:20], f"... {len(shown) - 20} more lines"]
        return [
            f"{name}: refuted by {self.kind}",
            *(f"  {line}" for line in shown),
            f"  because {self.certificate}",
            f"  replay: {self.command(target)}",
        ]

    def command(self, target: str) -> str:
        """What reproduces the finding: a command, or for a bare pair of functions a line of Python."""
        if ", " in target:
            return f"replay({target}, {self.replay!r})" if self.replay else f"verify({target})"
        return f"cnnframe verify {shlex.quote(target)}" + (f" --case {shlex.quote(self.replay)}" if self.replay else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        arrays = [{"name": a.name, "shape": list(a.shape), "entries": [plain(v) for v in a.entries], "entry": a.entry and list(a.entry)} for a in self.arrays]
        return {"kind": self.kind, "what": self.what, "case": list(self.case), "replay": self.replay, "certificate": self.certificate, "arrays": arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """What `to_dict` made."""
        arrays = tuple(
            Drawn(a["name"], tuple(a["shape"]), tuple(map(float, a["entries"])), None if a["entry"] is None else tuple(a["entry"])) for a in data["arrays"]
        )
        return cls(data["kind"], data["what"], tuple(data["case"]), data["replay"], data["certificate"], arrays)


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
        compared: how many of them for each subject ("output", "gradient of 'x'", ...), with the method in brackets where there are several.
        asked: subjects that have to be compared at least once.
        skipped: reasons, with counts.
        notes: what a reader should know of it, a line each.
        errors: for each subject a histogram of error / bound by powers of ten, `DECADES` columns.
        power: for each subject and element type the smallest relative error of any one entry that would have been seen.
        absent: why this kind does not apply to the operation; empty if it does.
        doubt: why the evidence is not conclusive; empty if it is.
        finding: the refutation, if there is one.
    """

    kind: str
    cases: int = 0
    checks: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    errors: dict[str, list[int]] = field(default_factory=dict)
    power: dict[str, float] = field(default_factory=dict)
    absent: str = ""
    doubt: str = ""
    finding: Finding | None = None

    def passed(self, subject: str, count: int = 1) -> None:
        """Count comparisons that held."""
        self.checks += count
        self.compared[subject] += count

    @property
    def state(self) -> State:
        """This kind's own verdict."""
        return "refuted" if self.finding else "inconclusive" if self.doubt else "skipped" if self.absent else "verified"

    def of(self, subject: str) -> int:
        """How many comparisons of a subject held, by all methods."""
        return sum(count for label, count in self.compared.items() if label.partition(" (")[0] == subject)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "kind": self.kind,
            "state": self.state,
            "cases": self.cases,
            "checks": self.checks,
            "compared": dict(sorted(self.compared.items())),
            "asked": sorted(self.asked),
            "skipped": dict(sorted(self.skipped.items())),
            "notes": list(self.notes),
            "errors": dict(sorted(self.errors.items())),
            "power": {subject: plain(seen) for subject, seen in sorted(self.power.items())},
            "absent": self.absent,
            "doubt": self.doubt,
            "finding": self.finding.to_dict() if self.finding else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """What `to_dict` made."""
        return cls(
            data["kind"],
            data["cases"],
            data["checks"],
            Counter(data["compared"]),
            set(data["asked"]),
            Counter(data["skipped"]),
            list(data["notes"]),
            dict(data["errors"]),
            {subject: float(seen) for subject, seen in data["power"].items()},
            data["absent"],
            data["doubt"],
            Finding.from_dict(data["finding"]) if data["finding"] else None,
        )


@dataclass(frozen=True)
class Report:
    """The verdict on one operation and kernel, with all the evidence.

    Attributes:
        name: the operation's name.
        evidence: one for each kind that was gathered.
        target: what the command line calls the operation; for a bare pair its arguments, "forward, backward, declaration".
        gradients: names of the inputs and parameters that it must give gradients of.
        kernel: the code that was judged; "reference" is the operation's own forward and backward.
    """

    name: str
    evidence: tuple[Evidence, ...]
    target: str
    gradients: tuple[str, ...] = ()
    kernel: str = "reference"

    @property
    def verdict(self) -> Verdict:
        """Refuted by any kind of evidence; verified if the code was compared throughout and no kind is in doubt; else inconclusive."""
        if any(e.finding for e in self.evidence):
            return "refuted"
        return "inconclusive" if self._doubts() else "verified"

    def _doubts(self) -> dict[str, list[str]]:
        """Reasons why this is no verification, with the kinds of evidence that give them."""
        reasons: dict[str, list[str]] = {}
        for evidence in self.evidence:
            if evidence.doubt:
                reasons.setdefault(evidence.doubt, []).append(evidence.kind)
        judges = [e for e in self.evidence if e.kind in ("exact", "bounded") and not e.absent]
        missing = [s for s in ("output", *(f"gradient of {name!r}" for name in self.gradients)) if not any(self._covers(e, s) for e in judges)]
        if missing and not reasons:
            reasons[f"never compared with the formula: {', '.join(missing)}"] = ["exact", "bounded"]
        if not self.evidence:
            reasons["no evidence applies"] = [e.kind for e in self.evidence]
        return reasons

    @staticmethod
    def _covers(evidence: Evidence, subject: str) -> bool:
        return any(label.startswith(subject) for label in evidence.compared)

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
        return "; ".join(f"{', '.join(kinds)}: {doubt}" for doubt, kinds in self._doubts().items())

    @property
    def power(self) -> float | None:
        """The largest, over all gradients, of the smallest relative errors of one entry that would have been seen; None if there is none."""
        best: dict[str, float] = {}
        for evidence in self.evidence:
            for subject, seen in evidence.power.items():
                best[subject] = min(seen, best.get(subject, seen))
        return max((seen for subject, seen in best.items() if "float64" in subject), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, as `report.schema.json` describes them."""
        return {
            "name": self.name,
            "kernel": self.kernel,
            "target": self.target,
            "gradients": list(self.gradients),
            "verdict": self.verdict,
            "why": self.why,
            "checks": self.checks,
            "power": None if self.power is None else plain(self.power),
            "skipped": dict(sorted(self.skipped.items())),
            "evidence": [e.to_dict() for e in self.evidence],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """What `to_dict` made."""
        return cls(data["name"], tuple(map(Evidence.from_dict, data["evidence"])), data["target"], tuple(data["gradients"]), data["kernel"])

    def __str__(self) -> str:
        if self.finding:
            return "\n".join(self.finding.lines(self.name, self.target))
        text = f"{self.name}: {self.verdict}" + (f" ({self.why})" if self.why else "")
        return f"{text}, {self.checks} checks"
