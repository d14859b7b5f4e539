"""The report as one HTML page that stands alone: no script, nothing that is fetched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnnframe import Op

from ..pages._html import STYLE as PAGES
from ..pages._page import MEANING
from ..pages._render import inline
from ._marks import mark, shapes
from ._section import anchor, section
from ._style import STYLE
from ._words import KINDS, STATES, count, order, safe, times

if TYPE_CHECKING:
    from ..suite._verdict import Evidence, Report

TITLE = "Verification of backward passes"
VERDICTS = ("verified", "refuted", "inconclusive")
VERIFIED = """<b>Verified</b> means that the code is right on everything the evidence covers, and this page says what that is: which comparisons were made,
how many, and what was left out. It is no promise about anything else, and no tolerance was set by hand: code and mathematics agree bit for bit, or within a
bound that was computed."""
OTHERS = """<b>Refuted</b> comes with the smallest counterexample that was found and with a line that replays it. <b>Inconclusive</b> says why. What was
skipped counts for nothing."""


def page(
    reports: Sequence[Report],
    classes: Mapping[str, type[Op] | tuple[type[Op], ...]],
    *,
    skipped_plugins: Sequence[Any] = (),
    about: Mapping[str, str] | None = None,
) -> str:
    """The report on several operations.

    `classes` gives the mathematics: the operation classes by a report's `target`, or by its `name`. `about` is shown at the head as it is: profile, seed,
    versions.
    """
    body = [shapes(), f'<h1 id="top">{TITLE}</h1>', _tiles(reports), f"<p>{VERIFIED}</p>", f"<p>{OTHERS}</p>", _about(about or {})]
    body += [_attention(reports, skipped_plugins), _overview(reports), _how_to_read(reports)]
    body += [section(number, report, classes) + '\n<p class="up"><a href="#top">back to the overview</a></p>' for number, report in enumerate(reports)]
    # The plain asterisk stands as high as an exponent.
    text = "\n".join(part for part in body if part).replace("&#x0002A;", "&#x02217;")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<style>{PAGES}{STYLE}</style>
</head>
<body>
{text}
</body>
</html>
"""


def _tiles(reports: Sequence[Report]) -> str:
    counts = Counter[str](report.verdict for report in reports)
    tiles = (
        f'<li class="{verdict if counts[verdict] else "none"}"><b>{count(counts[verdict])}</b>{mark(verdict, said=False)} {verdict}</li>'
        for verdict in VERDICTS
    )
    total = f'<li class="soft"><b>{count(sum(r.checks for r in reports))}</b>comparisons in all</li>'
    return f'<ul class="tiles">{"".join(tiles)}{total}</ul>'


def _about(about: Mapping[str, str]) -> str:
    rows = "".join(f"<div><dt>{safe(key)}</dt><dd>{safe(value)}</dd></div>" for key, value in about.items())
    return f'<dl class="about">{rows}</dl>' if rows else ""


def _attention(reports: Sequence[Report], skipped_plugins: Sequence[Any]) -> str:
    """What is not verified, first."""
    rows = [
        f'<li>{mark(r.verdict)} <a href="#{anchor(number)}">{safe(r.name)}</a> {safe(r.why)}</li>'
        for verdict in ("refuted", "inconclusive")
        for number, r in enumerate(reports)
        if r.verdict == verdict
    ]
    rows += [f"<li>{mark('skipped')} plugin not loaded: {safe(skipped)}</li>" for skipped in skipped_plugins]
    return f'<h3>What needs a look</h3>\n<ul class="kinds attention">{"".join(rows)}</ul>' if rows else ""


def _overview(reports: Sequence[Report]) -> str:
    kinds = order(e.kind for r in reports for e in r.evidence)
    heads = "".join(f'<th scope="col" class="kind"><span>{safe(kind)}</span></th>' for kind in kinds)
    lines = [f'<thead><tr><th scope="col">operation</th><td></td>{heads}<th scope="col" class="kind"><span>comparisons</span></th></tr></thead>', "<tbody>"]
    for number, report in enumerate(reports):
        kernel = "" if report.kernel == "reference" else f' <span class="soft">by {safe(report.kernel)}</span>'
        of_kind: dict[str, Evidence] = {e.kind: e for e in report.evidence}
        cells = "".join(f"<td>{_state(of_kind.get(kind))}</td>" for kind in kinds)
        verdict = f'<td class="verdict {report.verdict}">{mark(report.verdict)} <span class="word">{report.verdict}</span></td>'
        row = f'<th scope="row"><a href="#{anchor(number)}">{safe(report.name)}</a>{kernel}</th>{verdict}{cells}<td>{count(report.checks)}</td>'
        lines.append(f"<tr>{row}</tr>")
    lines.append("</tbody>")
    legend = "".join(f"<li>{mark(state, said=False)} <b>{state}</b>: {said}</li>" for state, said in STATES.items())
    return (
        f'<h3>Operations and kinds of evidence</h3>\n<div class="wide"><table class="overview">{"".join(lines)}</table></div>\n<ul class="legend">{legend}</ul>'
    )


def _state(e: Evidence | None) -> str:
    if e is None:
        return '<span class="unseen">not gathered</span>'
    return mark(e.state, e.absent if e.state == "skipped" else times(e.checks, "comparison"))


def _how_to_read(reports: Sequence[Report]) -> str:
    known = [kind for kind in order(e.kind for r in reports for e in r.evidence) if kind in KINDS]
    rows = "".join(f"<dt>{kind}</dt><dd>{safe(KINDS[kind])}</dd>" for kind in known)
    return (
        f'<details><summary>What each kind of evidence says</summary>\n<dl class="words">{rows}</dl>\n'
        f"<p>What it means in a derivation that a gradient is proved: {inline(MEANING.replace('assumed above', 'assumed there'))}</p></details>"
    )
