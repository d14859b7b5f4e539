"""What the page says of one operation."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cnnframe import Op

from ._arrays import arrays
from ._histogram import histogram
from ._marks import mark
from ._mathematics import mathematics
from ._words import count, listed, order, rounded_up, safe, times

if TYPE_CHECKING:
    from ..suite._verdict import Evidence, Finding, Report

FLOATS = re.compile(r"\bfloat\d+\b")
REST = "other comparisons"


def section(number: int, report: Report, classes: Mapping[str, type[Op] | tuple[type[Op], ...]]) -> str:
    """One operation and kernel, from the verdict to the last note."""
    kernel = "" if report.kernel == "reference" else f' <span class="soft">by {safe(report.kernel)}</span>'
    parts = [f'<section id="{anchor(number)}" class="operation">', f"<h2>{safe(report.name)}{kernel} {badge(report.verdict)}</h2>"]
    if report.verdict == "inconclusive":
        parts.append(f'<p class="doubt">{safe(report.why)}</p>')
    first, *others = [e.finding for e in _ordered(report) if e.finding] or [None]
    if first:
        parts.append(_finding(first, report))
    parts += [f"<details><summary>{_said(f)}</summary>\n{_finding(f, report)}</details>" for f in others if f]
    parts.append(mathematics(report, classes))
    parts += [_table(report), _power(report), _errors(report), _kinds(report), "</section>"]
    return "\n".join(part for part in parts if part)


def anchor(number: int) -> str:
    """The name of a section; an operation's own name may hold anything."""
    return f"operation-{number}"


def badge(verdict: str) -> str:
    """A verdict in words, with its mark."""
    return f'<span class="badge {safe(verdict)}">{mark(verdict, said=False)} {safe(verdict)}</span>'


def _said(finding: Finding) -> str:
    return f"<b>Refuted by {safe(finding.kind)}:</b> {safe(finding.what)}"


def _finding(finding: Finding, report: Report) -> str:
    replay = f"cnnframe verify {shlex.quote(report.target)}" + (f" --case {shlex.quote(finding.replay)}" if finding.replay else "")
    lines = [
        '<div class="finding">',
        f"<p>{_said(finding)}</p>",
        f"<p>Because {safe(finding.certificate)}.</p>",
        arrays(finding.arrays),
    ]
    if finding.case:
        text = "\n".join(map(str, finding.case))
        lines.append(f"<details{'' if finding.arrays else ' open'}><summary>The case in words</summary><pre>{safe(text)}</pre></details>")
    lines += ['<p class="soft">To see it again:</p>', f'<pre class="replay">{safe(replay)}</pre>', "</div>"]
    return "\n".join(line for line in lines if line)


def subjects(report: Report) -> list[str]:
    """Outputs and gradients: those that are there to be compared, and those that were."""
    seen = [_subject(label) for e in report.evidence for label in [*sorted(e.asked), *sorted(e.compared)]]
    outputs = [s for s in seen if s == "output" or s.startswith("output '")] or ["output"]
    gradients = [f"gradient of {name!r}" for name in report.gradients]
    return list(dict.fromkeys([*outputs, *gradients, *(s for s in seen if s.startswith("gradient of "))]))


def _subject(label: str) -> str:
    return label.partition(" (")[0]


def _ordered(report: Report) -> list[Evidence]:
    return [e for kind in order(e.kind for e in report.evidence) for e in report.evidence if e.kind == kind]


def _table(report: Report) -> str:
    """How many comparisons of each output and gradient held, for each kind of evidence."""
    evidence = [e for e in _ordered(report) if e.checks or e.state != "skipped"]
    if not evidence:
        return ""
    rows = subjects(report)
    powers = sorted({dtype for e in evidence for label in e.power for dtype in FLOATS.findall(label)}, reverse=True)
    heads = "".join(f'<th scope="col">{mark(e.state)}<span>{safe(e.kind)}</span></th>' for e in evidence)
    heads += "".join(f'<th scope="col" class="power">relative error seen, {safe(p)}</th>' for p in powers)
    lines = [f"<thead><tr><td></td>{heads}</tr></thead>", "<tbody>"]
    for row in rows:
        cells = "".join(_cell(e, row) for e in evidence) + "".join(_seen(report, row, p) for p in powers)
        lines.append(f'<tr><th scope="row">{safe(row)}</th>{cells}</tr>')
    others = [sum(n for label, n in e.compared.items() if _subject(label) not in rows) for e in evidence]
    lines.append(_sums(REST, others, len(powers)))
    lines.append(_sums("all", [e.checks for e in evidence], len(powers), "all"))
    lines.append("</tbody>")
    return f'<h3>Comparisons that held</h3>\n<div class="wide"><table class="counts">{"".join(lines)}</table></div>'


def _cell(e: Evidence, subject: str) -> str:
    number = e.of(subject)
    if not number and subject in e.asked and e.state != "skipped":
        return '<td class="never">0 <span class="unseen">although it should have been compared</span></td>'
    return f"<td>{count(number)}</td>" if number else _none("not compared")


def _none(said: str) -> str:
    return f'<td class="soft">\N{EN DASH}<span class="unseen"> {said}</span></td>'


def _sums(name: str, numbers: list[int], empty: int, kind: str = "") -> str:
    cells = "".join(f"<td>{count(n)}</td>" if n else _none("none") for n in numbers)
    return f'<tr class="{kind or "rest"}"><th scope="row">{safe(name)}</th>{cells}{"<td></td>" * empty}</tr>'


def _best(report: Report, subject: str, dtype: str) -> float | None:
    """The smallest relative error that any kind would have seen in an array."""
    found = [p for e in report.evidence for label, p in e.power.items() if dtype in label and _of(label) == subject and not math.isnan(p)]
    return min(found, default=None)


def _of(label: str) -> str:
    """The subject of a label of `Evidence.power`, which names an element type besides."""
    return _subject(FLOATS.sub("", label).replace("()", "")).rstrip(" ,:")


def _seen(report: Report, subject: str, dtype: str) -> str:
    power = _best(report, subject, dtype)
    return _none("not known") if power is None else f"<td>{_bound(power)}</td>"


def _bound(power: float) -> str:
    return _scientific(rounded_up(power)) if power else "any"


def _scientific(number: str) -> str:
    digits, _, exponent = number.partition("e")
    raised = exponent.replace("-", "\N{MINUS SIGN}")
    return f"{digits} \N{MULTIPLICATION SIGN} 10<sup>{raised}</sup>" if exponent else digits


def _named(rows: list[str]) -> str:
    """Outputs and gradients in a sentence."""
    gradients = [row.removeprefix("gradient of ").strip("'") for row in rows if row.startswith("gradient of ")]
    outputs = [row.removeprefix("output").strip(" '") for row in rows if not row.startswith("gradient of ")]
    parts = [f"the output{f' <code>{safe(name)}</code>' if name else ''}" for name in outputs]
    if gradients:
        parts.append(f"the gradient{'s' if len(gradients) > 1 else ''} of {listed(f'<code>{safe(name)}</code>' for name in gradients)}")
    return listed(parts)


def _power(report: Report) -> str:
    """The statement of power: only what the numbers say."""
    power = report.power
    if power is None or report.verdict == "refuted":
        return ""
    rows = subjects(report)
    known = [row for row in rows if _best(report, row, "float64") is not None]
    if not math.isfinite(power) or not known:
        return ""
    unknown = [row for row in rows if row not in known]
    size = f"more than {_bound(power)}" if power else "any size"
    each = f"For each of {_named(known)} there" if len(known) > 1 else f"For {_named(known)} there"
    text = f"{each} was a case in float64 in which a relative error of {size}, in any one entry that is not 0, would have been seen."
    if unknown:
        text += f" For {_named(unknown)} there is no such figure."
    return f'<p class="statement">{text}</p>'


def _errors(report: Report) -> str:
    rows = subjects(report)
    found = [
        (e.kind, label, columns)
        for e in _ordered(report)
        for label, columns in sorted(e.errors.items(), key=lambda item: _place(item[0], rows))
        if any(columns)
    ]
    if not found:
        return ""
    several = len({kind for kind, _, _ in found}) > 1
    figures = "\n".join(histogram(f"{kind}: {label}" if several else label, columns) for kind, label, columns in found)
    return f'<h3>Errors against their bounds</h3>\n<div class="figures">{figures}</div>'


def _place(label: str, rows: list[str]) -> tuple[int, str]:
    subject = _of(label)
    return (rows.index(subject) if subject in rows else len(rows), label)


def _kinds(report: Report) -> str:
    skips = sum(report.skipped.values())
    title = "What each kind did" + (f" ({count(skips)} skipped)" if skips else "")
    return f"<h3>{title}</h3>\n" + '<ul class="kinds two">' + "\n".join(f"<li>{''.join(_kind(e))}</li>" for e in _ordered(report)) + "</ul>"


def _kind(e: Evidence) -> Iterator[str]:
    yield f"{mark(e.state, said=False)}<b>{safe(e.kind)}</b> <span class='{e.state}'>{e.state}</span>"
    done = [times(n, what) for n, what in ((e.cases, "case"), (e.checks, "comparison")) if n]
    if done:
        yield f' <span class="soft">{", ".join(done)}</span>'
    if e.doubt:
        yield f'<p class="doubt">{safe(e.doubt)}</p>'
    elif e.absent:
        yield f'<span class="soft">: {safe(e.absent)}</span>'
    # Counts of outputs and gradients are in the table; what is told here is by which method, and what else was compared.
    told = Counter[str]()
    for label, n in sorted(e.compared.items()):
        subject, _, method = label.partition(" (")
        if method or not subject.startswith(("output", "gradient of ")):
            told[method.removesuffix(")") or subject] += n
    if told:
        yield f'<p class="soft">{"; ".join(f"{safe(what)}: {count(n)}" for what, n in told.items())}</p>'
    yield from (f'<p class="skip">skipped {count(n)}: {safe(reason)}</p>' for reason, n in sorted(e.skipped.items()))
    yield from (f"<p>{safe(note)}</p>" for note in e.notes)
