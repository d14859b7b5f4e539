"""Whole equations, in lines that fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..proofs._polynomial import Polynomial, symbol
from ..proofs._statement import Term
from ._formula import Writer
from ._style import Style

SHORT, LONG = 10, 26
"""How long an index must be to get a name in an equation: one that occurs more than once, and any."""


@dataclass(frozen=True)
class Rows:
    """A formula in lines; `left` is its left side, if it is an equation."""

    left: str
    lines: list[str]


def equation(w: Writer, left: str, terms: Sequence[Term], known: Iterable[Polynomial] = ()) -> Rows:
    """`left` = the sum of terms, in lines that fit."""
    known, style = list(known), w.names.style
    short = _abbreviations(w, terms)
    writer = replace(w, short=short)
    lines: list[str] = []
    line, start = "", f"{left} = "
    for place, t in enumerate(sorted(terms, key=lambda t: len(t.body.items) == 1 and t.body.items[0][1] < 0)):
        sign, pieces = writer.term(t, known)
        pieces[0] = ("- " if sign < 0 else "+ " if place else "") + pieces[0]
        if place and style.length(start + " ".join([line, *pieces])) > style.width:
            lines, line = [*lines, line], ""
        for piece in _fitting(pieces, style, style.width - style.length(start)):
            if line and style.length(f"{start}{line} {piece}") > style.width:
                lines, line = [*lines, line], ""
            line = f"{line} {piece}" if line else piece.removeprefix(style.gap)
    lines.append(line or "0")
    where = [f"{name} = {w.index(p)}" for p, name in short.items()]
    if where and style.length(together := style.where + style.comma.join(where)) <= style.width:
        return Rows(left, [*lines, together])
    return Rows(left, [*lines, *((style.where if k == 0 else style.comma) + text for k, text in enumerate(where))])


def _fitting(pieces: Iterable[str], style: Style, width: int) -> Iterator[str]:
    """The pieces, those that fit on no line in parts, and of these what still does not in smaller ones."""
    for piece in pieces:
        parts = [piece] if style.length(piece) <= width else style.parts(piece)
        for part in parts:
            yield from [part] if style.length(part) <= width else style.parts(part)


def sides(w: Writer, left: Sequence[Term], right: Sequence[Term]) -> Rows:
    """An equation of two sums."""
    first, *more = equation(w, "", right).lines
    return Rows("", [*equation(w, "", left).lines, f"= {first}", *more])


def _index_is(w: Writer, e: Polynomial, p: Polynomial) -> bool:
    """Whether e = 0 says that p is an index."""
    return any(d == symbol(v) or d == -symbol(v) for d in (e - p, e + p) for v in w.names.indices)


def _abbreviations(w: Writer, terms: Sequence[Term]) -> dict[Polynomial, str]:
    """Names for long indices of entries that occur more than once, or are very long."""
    times: Counter[Polynomial] = Counter()
    for t in terms:
        read = [p for a in t.body.atoms() if a[0] == "entry" for p in a[2]]
        times.update(p for p in read if len(p.items) > 2)
        met = [c for c in t.ge if any(_index_is(w, e, c) for e in t.eq)]
        for p in dict.fromkeys([*read, *met]):
            times[p] += (p in t.ge) + any(_index_is(w, e, p) for e in t.eq)
    style = w.names.style
    long = [p for p, n in times.items() if len(p.items) > 2 and style.length(w.index(p)) > (SHORT if n > 1 else LONG)]
    letter = style.letter(next(name for name in ("xi", "rho", "phi") if name not in w.names.arrays))
    return {p: style.numbered(letter, str(k)) if len(long) > 1 else letter for k, p in enumerate(long)}


def one(t: Term) -> Term:
    """A term with the sign turned."""
    return Term(t.bound, t.ge, t.eq, -t.body)


def indices_of(terms: Iterable[Term]) -> list[str]:
    """All bound indices."""
    return list(dict.fromkeys(v for t in terms for v, _ in t.bound))
