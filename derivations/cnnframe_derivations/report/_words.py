"""Words and numbers of a report, and strangers' texts made harmless."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from decimal import ROUND_CEILING, Context
from html import escape
from typing import Any

KINDS = {
    "contract": "Names, shapes and element types as declared, arguments untouched, no memory shared, the same bits twice.",
    "exact": "Forward and backward equal the formula and its derived gradient bit for bit, where all arithmetic is exact.",
    "bounded": "Each entry lies within a computed rounding bound of a value of more than 30 digits.",
    "symbolic": "The code itself, run on symbols, equals the derivative: true for all values at these shapes.",
    "proved": "The closed form of the gradient equals the derivative of the formula, for all shapes.",
    "exhaustive": "A pointwise function was run over the float32 numbers, and compared with float64.",
    "independent": "An oracle that shares nothing with the formula agrees: exact secants, a complex step, or differences.",
    "kinks": "At a kink the value lies between the one-sided limits and is the declared one; near it, it is the right one.",
    "extremes": "Where the derived gradient is finite the code is: huge and tiny numbers, empty and constant arrays.",
    "composed": "Graphs of several operations give the right gradients together.",
    "curvature": "The diagonal of the Gauss-Newton matrix goes back through the operation as the formula's squared derivatives say.",
    "canaries": "Deliberately broken copies of this backward pass were all refuted.",
}
"""What each kind of evidence says, in the order of the columns; other kinds come after them."""

STATES = {
    "verified": "held wherever it was looked at",
    "refuted": "a counterexample was found",
    "inconclusive": "not enough to say; the reason is given",
    "skipped": "does not apply; the reason is given, and it counts for nothing",
}

LONGEST = 2000
"""Characters of a stranger's text that are shown."""


def visible(text: Any, longest: int = LONGEST) -> str:
    """A text without characters that XML forbids, that cannot be encoded, or that turn the direction of writing; they are shown as escapes."""
    found = str(text)
    cut = f" ... {len(found) - longest} more characters" if len(found) > longest else ""
    return "".join(c if _plain(c) else c.encode("unicode_escape", "surrogatepass").decode() for c in found[:longest]) + cut


def _plain(c: str) -> bool:
    return c in "\n\t" or not (unicodedata.category(c) in ("Cc", "Cf", "Cs") or ord(c) & 0xFFFE == 0xFFFE)


def safe(text: Any) -> str:
    """A text for HTML, within elements and within attributes."""
    return escape(visible(text))


def count(number: int) -> str:
    """An integer with its digits in groups."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def times(number: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def listed(parts: Iterable[str]) -> str:
    """Parts as a sentence has them."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def order(kinds: Iterable[str]) -> list[str]:
    """Kinds of evidence, each once, those that are known first."""
    given = list(dict.fromkeys(kinds))
    return [*(k for k in KINDS if k in given), *(k for k in given if k not in KINDS)]


def rounded_up(number: float) -> str:
    """A number to two digits, never smaller than it is."""
    if not math.isfinite(number) or number == 0:
        return str(number)
    short = Context(prec=2, rounding=ROUND_CEILING).create_decimal(repr(number))
    digits, exponent = f"{short:e}".split("e") if not -3 < short.adjusted() < 3 else (f"{short.normalize():f}", "")
    digits = digits.removesuffix(".0")
    return f"{digits}e{int(exponent)}" if exponent else digits


def entry(number: float) -> str:
    """An entry of an array, short enough for a cell."""
    if not math.isfinite(number):
        return str(number)
    if number == int(number) and abs(number) < 1e7:
        return str(int(number)) if number or math.copysign(1, number) > 0 else "-0"
    whole = repr(number)
    return whole if len(whole) <= 7 else f"{number:.5g}"
