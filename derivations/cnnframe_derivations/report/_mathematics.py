"""The mathematics of one operation: its formula, and folded away the derivation of its gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cnnframe import Op

from .._symbolic import default_structure
from ..pages import page
from ..pages._blocks import Block, Details, Heading
from ..pages._render import fragment
from ..pages._style import LATEX
from ._words import listed, safe, visible

if TYPE_CHECKING:
    from ..suite._verdict import Report

UNDER = 4
"""The level of the headings within a derivation."""

REPEATED = "What proved means"
"""Said once for all operations, at the head of the page."""


def mathematics(report: Report, classes: Mapping[str, type[Op] | tuple[type[Op], ...]]) -> str:
    """The formula and the derivation of the operation that a report is of; one sentence if they are not to be had, or if it is of a chain of operations."""
    cls = classes.get(report.target, classes.get(report.name))
    if isinstance(cls, tuple):
        names = listed([kind.name for kind in cls])
        return f'<p class="soft">A chain of operations, {safe(names)}: the formulas and derived gradients of each, one after the other.</p>'
    if cls is None:
        return '<p class="soft">The class is not at hand, so its formula is not shown.</p>'
    try:
        found = _shown(cls)
    except (Exception, SystemExit) as error:  # noqa: BLE001 # a stranger's formula may raise anything, and the rest of the report is to be read all the same
        return f'<p class="doubt">The mathematics could not be derived: {safe(type(error).__name__)}: {safe(error)}</p>'
    # A docstring may hold any character.
    return visible(found, len(found))


def _shown(cls: type[Op]) -> str:
    made = page(cls, default_structure(cls))
    said, formula, *rest = _groups(made.blocks(LATEX))
    choices = listed([f"{name} = {value}" for name, value in made.report.structure.items()] or [""])
    inside = "\n".join(fragment(group) for group in rest if not (isinstance(group[0], Heading) and group[0].text == REPEATED))
    verdicts: dict[str, list[str]] = {}
    for name, outcome in made.report.gradients.items():
        verdicts.setdefault(outcome.verdict, []).append(name)
    told = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in verdicts.items())
    return "\n".join(
        [
            fragment(said[1:]),
            f"<h3>The formula{f' for {safe(choices)}' if choices else ''}</h3>",
            fragment(formula[1:]),
            f'<details class="derivation"><summary>The gradients, derived from the formula{f" ({safe(told)})" if told else ""}</summary>\n{inside}\n</details>',
        ]
    )


def _groups(blocks: Iterator[Block]) -> list[list[Block]]:
    """Blocks from one heading to the next; the checker's own notation is left out."""
    found: list[list[Block]] = []
    for block in blocks:
        if isinstance(block, Heading):
            found.append([replace(block, level=UNDER)])
        elif not isinstance(block, Details):
            found[-1].append(block)
    return found
