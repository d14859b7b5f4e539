"""The findings as an HTML page and as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from ..pages._html import document, math
from ..pages._render import inline
from ._finding import Finding
from ._plain import plain, sentence
from ._told import proof_html, refusal_html

TITLE = "Notes on Convolutional Neural Networks, equation by equation"
ABOUT = """J. Bouvrie's note of 2006 calls itself rough and warns of errors. Here each of its formulas, and each claim in words that can be
checked, is held against what follows from its own forward formulas. A proof holds for all sizes that satisfy the assumptions and for all real
arrays; its steps were found by a search and accepted by a checker that does not trust it. A refutation is an example in small numbers. What a
proof cannot be about, such as rounding, is computed, and it says by which means."""
CLASSES = {"right": "right", "right under a condition": "right", "wrong": "wrong", "vacuous": "wrong"}
COLOURS = {"right": "green", "right under a condition": "yellow", "wrong": "bold red", "vacuous": "bold magenta"}


def table(findings: Sequence[Finding]) -> Any:
    """Where, verdict, claim, and what holds instead."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=TITLE, title_justify="left", show_lines=True, expand=True)
    for name, width in (("where", 2), ("section", 1), ("verdict", 2), ("claim", 5), ("what holds", 5)):
        drawn.add_column(name, ratio=width, min_width=len(name))
    for finding in findings:
        holds = "\n".join(part for part in (sentence(finding.condition), plain(finding.corrected)) if part)
        verdict = Text(finding.verdict, COLOURS[finding.verdict])
        drawn.add_row(Text(finding.where), finding.section, verdict, Text(sentence(finding.words)), Text(holds))
    return drawn


def page(findings: Sequence[Finding]) -> str:
    """The whole audit."""
    counts = Counter[str](finding.verdict for finding in findings)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in CLASSES)
    body = [f"<h1>{TITLE}</h1>", f'<p class="soft">{ABOUT}</p>', f"<p>{len(findings)} findings: {said}.</p>", _contents(findings)]
    body += [part for number, finding in enumerate(findings) for part in _finding(number, finding)]
    # The plain asterisk stands as high as an exponent.
    return document(TITLE, "\n".join(body).replace("&#x0002A;", "&#x02217;"))


def _contents(findings: Iterable[Finding]) -> str:
    rows = (
        f'<tr><td><a href="#f{number}">{escape(f.where)}</a></td><td>{f.section}</td><td>{_verdict(f)}</td><td>{inline(f.condition)}</td></tr>'
        for number, f in enumerate(findings)
    )
    return "<table>\n<tr><th>where</th><th>section</th><th>verdict</th><th></th></tr>\n" + "\n".join(rows) + "\n</table>"


def _verdict(finding: Finding) -> str:
    return f'<span class="{CLASSES[finding.verdict]}">{finding.verdict}</span>'


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield f'<h2 id="f{number}">{escape(finding.where)} <span class="soft">in section {finding.section}:</span> {_verdict(finding)}</h2>'
    yield f'<p class="soft">{escape(finding.how)}</p>'
    yield math(finding.printed, block=True)
    yield f"<p>{inline(finding.words)}</p>"
    if finding.condition:
        yield f'<p class="{CLASSES[finding.verdict]}">{inline(finding.condition)}</p>'
    if finding.corrected:
        yield f'<div class="claim">{math(finding.corrected, block=True)}</div>'
    yield from map(refusal_html, finding.refusals.values())
    yield from map(proof_html, finding.proofs.values())
    if finding.facts:
        rows = (
            f'<tr><td>{inline(fact.says)}</td><td class="{"right" if fact.holds else "wrong"}">{"true" if fact.holds else "false"}</td>'
            f"<td>{escape(fact.value)}</td><td>{escape(fact.how)}</td></tr>"
            for fact in finding.facts
        )
        yield "<table>\n<tr><th>computed</th><th></th><th></th><th>by</th></tr>\n" + "\n".join(rows) + "\n</table>"
