"""Blocks as HTML, as LaTeX, and as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from textwrap import fill
from typing import Any

from ._blocks import Block, Details, Formula, Heading, Sentence, Steps
from ._equation import Rows
from ._html import document, math

COLUMNS = 92
HOLD, HELD = 40, chr(0xE000)
"""Formulas in a sentence that are no longer than this stay on one line; what stands for a blank in them meanwhile."""
SPECIAL = re.compile(r"[&%#_{}^~\\]")
ESCAPED = {"^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "\\": r"\textbackslash{}"}
CODE = re.compile(r"`([^`]+)`")


def html(title: str, blocks: Sequence[Block], *, home: str = "") -> str:
    """A page; `home` is a file to lead back to."""
    back = f'<p class="soft"><a href="{escape(home)}">All operations</a></p>\n' if home else ""
    return document(title, back + fragment(blocks))


def fragment(blocks: Iterable[Block]) -> str:
    """The inside of a page."""
    return "\n".join(_html(b) for b in blocks)


def latex(blocks: Sequence[Block]) -> str:
    """A whole document."""
    head = [r"\documentclass{article}", r"\usepackage[a4paper,margin=25mm]{geometry}", r"\usepackage{amsmath}", r"\allowdisplaybreaks"]
    return "\n".join([*head, r"\begin{document}", *(_latex(b) for b in blocks), r"\end{document}", ""])


def terminal(blocks: Iterable[Block]) -> Any:
    """Something that Rich prints."""
    from rich.console import Group
    from rich.text import Text

    found = []
    for b in blocks:
        match b:
            case Heading(level, text, badge):
                colour = {"proved": "green", "unproved": "yellow", "refused": "bold red"}.get(badge, "")
                found.append(Text.assemble("\n" if level > 1 else "", (_plain(text), "bold underline" if level == 1 else "bold"), "  ", (badge, colour)))
            case Details():
                pass
            case _:
                found.append(Text("\n".join(_lines(b))))
    return Group(*found)


def inline(text: str) -> str:
    """A sentence as HTML."""
    parts = text.split("$")
    return "".join(math(part) if k % 2 else CODE.sub(r"<code>\1</code>", escape(part)) for k, part in enumerate(parts))


def _html(b: Block) -> str:
    match b:
        case Heading(level, text, badge):
            mark = f' <span class="{badge}">{badge}</span>' if badge else ""
            return f"<h{level}>{inline(text)}{mark}</h{level}>"
        case Sentence(text):
            return f"<p>{inline(text)}</p>"
        case Formula(rows, claim):
            shown = math(aligned(rows), block=True)
            return f'<div class="claim">{shown}</div>' if claim else shown
        case Steps(steps):
            return '<ol class="steps">\n' + "\n".join(f"<li>{''.join(_html(part) for part in step)}</li>" for step in steps) + "\n</ol>"
        case Details(title, lines):
            return f"<details><summary>{escape(title)}</summary>\n<pre>{escape(chr(10).join(lines))}</pre></details>"


def aligned(rows: Rows) -> str:
    """A formula in LaTeX: its lines, those after the first indented."""
    first, *more = rows.lines
    if not more:
        return f"{rows.left} = {first}" if rows.left else first
    start = rf"{rows.left} & {{}} = {first}" if rows.left else rf" & {first}"
    indented = "".join(rf" \\ & \quad {line}" for line in more)
    return rf"\begin{{aligned}} {start}{indented} \end{{aligned}}"


def _latex(b: Block) -> str:
    match b:
        case Heading(level, text, badge):
            section = {1: "section", 2: "subsection"}.get(level, "subsubsection")
            return rf"\{section}*{{{_tex(text)}{f' ({badge})' if badge else ''}}}"
        case Sentence(text):
            return _tex(text) + "\n"
        case Formula(rows):
            return rf"\[ {aligned(rows)} \]"
        case Steps(steps):
            items = ["\\item " + "\n".join(_latex(part) for part in step) for step in steps]
            return "\n".join([r"\begin{enumerate}", *items, r"\end{enumerate}"])
        case Details():
            return ""


def _tex(text: str) -> str:
    """A sentence; its formulas stay as they are."""
    parts = text.split("$")
    return "".join(
        f"${part}$" if k % 2 else CODE.sub(r"\\texttt{\1}", SPECIAL.sub(lambda m: ESCAPED.get(m[0], "\\" + m[0]), part)) for k, part in enumerate(parts)
    )


def _plain(text: str) -> str:
    return text.replace("$", "").replace("`", "")


def _lines(b: Block, indent: str = "") -> list[str]:
    match b:
        case Sentence(text):
            kept = "".join(part.replace(" ", HELD) if k % 2 and len(part) <= HOLD else part for k, part in enumerate(text.split("$")))
            folded = fill(kept, COLUMNS, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
            return folded.replace(HELD, " ").replace("`", "").split("\n")
        case Formula(rows, claim):
            mark = "  ▌ " if claim else "    "
            first, *more = rows.lines
            return [f"{indent}{mark}{f'{rows.left} = ' if rows.left else ''}{first}", *(f"{indent}{mark}    {line}" for line in more)]
        case Steps(steps):
            found = []
            for number, step in enumerate(steps, start=1):
                lines = [line for part in step for line in _lines(part, "    ")]
                found += [f"{number:>2}. {lines[0].lstrip()}", *lines[1:]]
            return found
    return []
