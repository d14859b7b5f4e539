"""Two ways to write the same formula: LaTeX, and Unicode for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi rho sigma tau phi chi psi omega"
GREEK = dict(zip(LETTERS.split(), "αβγδεζηθικμνξρστφχψω", strict=True))
DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
NUMBERED = re.compile(r"_\{\w*\}$")
WIDE = 75
"""How many characters of a formula fit on a line of a page."""


class Style(Protocol):
    """How the parts of a formula are written."""

    le: str
    mapsto: str
    times: str
    delta: str
    where: str
    comma: str
    gap: str
    width: int
    tall: bool

    def word(self, name: str) -> str:
        """A name of several letters, upright."""

    def letter(self, name: str) -> str:
        """A name of one letter, or of a Greek one."""

    def numbered(self, base: str, number: str) -> str:
        """A name with a number."""

    def bar(self, base: str) -> str:
        """A name with a bar."""

    def of(self, base: str, upper: str) -> str:
        """A name with another name above."""

    def entry(self, base: str, indices: Sequence[str]) -> str:
        """An entry of an array."""

    def total(self, index: str, size: str, last: str) -> str:
        """The sign of a sum over an index from 0 to below `size`, which is to `last`."""

    def fraction(self, above: str, below: str, *, simple: bool) -> str:
        """A fraction; `simple` if neither part needs brackets around it."""

    def power(self, base: str, exponent: Any) -> str:
        """A power."""

    def root(self, base: str, *, bare: bool) -> str:
        """A square root; `bare` if its base needs no brackets."""

    def call(self, function: str, arguments: Sequence[str]) -> str:
        """A function of arguments."""

    def floor(self, above: str, below: str) -> str:
        """A quotient rounded down."""

    def partial(self, name: str) -> str:
        """The derivative of the objective with respect to something."""

    def product(self, factors: Sequence[str]) -> str:
        """A product."""

    def parts(self, text: str) -> list[str]:
        """A piece that is too long for a line, in parts."""

    def length(self, text: str) -> int:
        """How wide something will be, roughly."""


class Latex:
    """LaTeX, for amsmath."""

    le = r"\le"
    mapsto = r"\mapsto"
    times = r"\times"
    delta = r"\delta"
    where = r"\text{where }"
    comma = r"\quad\text{and }"
    gap = r"\;"
    tall = True
    width = WIDE

    def word(self, name: str) -> str:
        return rf"\mathrm{{{name.replace(' ', '~')}}}"

    def letter(self, name: str) -> str:
        return "\\" + name if name in GREEK else name

    def numbered(self, base: str, number: str) -> str:
        return f"{base}_{{{number}}}"

    def bar(self, base: str) -> str:
        return rf"\bar{{{base}}}"

    def of(self, base: str, upper: str) -> str:
        return f"{base}^{{{upper}}}"

    def entry(self, base: str, indices: Sequence[str]) -> str:
        # A name that ends in a number has a subscript already, and TeX takes no second one.
        whole = f"{{{base}}}" if NUMBERED.search(base) else base
        return f"{whole}_{{{','.join(indices)}}}" if indices else base

    def total(self, index: str, size: str, last: str) -> str:
        return rf"\sum_{{{index}=0}}^{{{last}}}"

    def fraction(self, above: str, below: str, *, simple: bool) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def power(self, base: str, exponent: Any) -> str:
        return f"{base}^{{{exponent}}}"

    def root(self, base: str, *, bare: bool) -> str:
        return rf"\sqrt{{{base}}}"

    def call(self, function: str, arguments: Sequence[str]) -> str:
        name = "\\" + function if function in {"exp", "log", "tanh"} else rf"\operatorname{{{function}}}"
        return f"{name}({', '.join(arguments)})"

    def floor(self, above: str, below: str) -> str:
        return rf"\left\lfloor \frac{{{above}}}{{{below}}} \right\rfloor"

    def partial(self, name: str) -> str:
        return rf"\frac{{\partial E}}{{\partial {name}}}"

    def product(self, factors: Sequence[str]) -> str:
        return r" \, ".join(factors)

    def parts(self, text: str) -> list[str]:
        return _split(text, r"\,", relations=False)

    def length(self, text: str) -> int:
        return round(_width(text))


SCRIPT = 0.65
"""How wide a character is in a subscript, or over a sum."""


def _width(text: str) -> float:
    """How wide LaTeX of ours will be, in characters."""
    total, at = 0.0, 0
    while at < len(text):
        command = re.match(r"\\([a-zA-Z]+)|\\.", text[at:])
        if command:
            at += command.end()
            match command[1]:
                case "frac":
                    above, at = _group(text, at)
                    below, at = _group(text, at)
                    total += max(_width(above), _width(below))
                case "sum":
                    below, at = _group(text, at + 1)
                    above, at = _group(text, at + 1)
                    total += max(2.5, SCRIPT * _width(below), SCRIPT * _width(above))
                case "le" | "ne" | "mapsto" | "quad":
                    total += 2.5
                case "exp" | "log" | "tanh":
                    total += len(command[1])
                case "mathrm" | "operatorname" | "text" | "bar":
                    pass
                case name:
                    total += 1 if name else 0.5
        elif text[at] in "_^":
            script, at = _group(text, at + 1)
            total += SCRIPT * _width(script)
        else:
            total += 0 if text[at] in "{} &" else 2.5 if text[at] in "+=<>-" else 1
            at += 1
    return total


def _group(text: str, at: int) -> tuple[str, int]:
    """What stands in braces from a place on, and where that ends."""
    if text[at] != "{":
        return text[at], at + 1
    depth = 0
    for end in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if not depth:
            return text[at + 1 : end], end + 1
    return text[at + 1 :], len(text)


class Text:
    """Unicode, for a terminal: indices in square brackets."""

    le = "≤"
    mapsto = "↦"
    times = "\N{MULTIPLICATION SIGN}"
    delta = "δ"
    where = "where "
    comma = "   and "
    gap = ""
    tall = False
    width = 84

    def word(self, name: str) -> str:
        return name.replace(" ", "_")

    def letter(self, name: str) -> str:
        return GREEK.get(name, name)

    def numbered(self, base: str, number: str) -> str:
        return base + number.translate(DIGITS)

    def bar(self, base: str) -> str:
        return "".join(letter + "\N{COMBINING OVERLINE}" for letter in base)

    def of(self, base: str, upper: str) -> str:
        return f"{base}({upper})"

    def entry(self, base: str, indices: Sequence[str]) -> str:
        return f"{base}[{', '.join(indices)}]" if indices else base

    def total(self, index: str, size: str, last: str) -> str:
        return f"Σ({index}<{size})" if " " not in size or " " in last else f"Σ({index}≤{last})"

    def fraction(self, above: str, below: str, *, simple: bool) -> str:
        return f"{above}/{below}" if simple and " " not in above else f"{above} / {below if simple else f'({below})'}"

    def power(self, base: str, exponent: Any) -> str:
        return f"{base}²" if exponent == 2 else f"{base}^{exponent}" if isinstance(exponent, int) else f"{base}^({exponent})"

    def root(self, base: str, *, bare: bool) -> str:
        return f"√{base}" if bare else f"√({base})"

    def call(self, function: str, arguments: Sequence[str]) -> str:
        return f"{function}({', '.join(arguments)})"

    def floor(self, above: str, below: str) -> str:
        return f"⌊({above}) / {below}⌋"

    def partial(self, name: str) -> str:
        return f"∂E/∂{name}"

    def product(self, factors: Sequence[str]) -> str:
        return " ".join(factors)

    def parts(self, text: str) -> list[str]:
        return _split(text, "", relations=len(text) > self.width or text.startswith(("[", "([", "+ [")))

    def length(self, text: str) -> int:
        return len(text)


def _split(text: str, before: str, *, relations: bool) -> list[str]:
    """Break at blanks that stand outside of brackets and before a sign; where it has to be, before a relation within one bracket too."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        follows = text[at + 1 :]
        divided = follows.startswith("/") or text.startswith("/", at - 1)
        relation = relations and depth == 1 and follows.startswith(("= ", "> ", "≤ ", "≠ "))
        if sign == " " and ((not depth and not divided and follows.startswith(before)) or relation):
            found.append(text[start:at])
            start = at + 1
    return [*found, text[start:]]


LATEX, TEXT = Latex(), Text()
