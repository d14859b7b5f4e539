"""Statements of a function: each named once, and said again by its name."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cnnframe import PerAxis
from cnnframe._hyper import MultipleOf, hyperparameters

from .._derive import COTANGENT
from .._symbolic import ANY, Symbolic, quotient
from ..proofs._polynomial import ONE, Polynomial, symbol

_WORD = re.compile(r"(?<![\w.\"'])[A-Za-z_]\w*")
OWN = "\0"
"""Stands for its own name in the lines of a statement."""
LONG = 24
"""Characters from which on a size gets a name."""


def words(text: str) -> set[str]:
    """The names in a piece of code that are no attributes."""
    return set(_WORD.findall(text))


@dataclass(frozen=True)
class Statement:
    """Lines that give a name its value, with comments before them; without a name they give a gradient."""

    name: str
    lines: tuple[str, ...]
    gradient: str = ""
    comments: tuple[str, ...] = ()


@dataclass
class Writer:
    """Collects statements and hands out names."""

    taken: set[str]
    statements: list[Statement] = field(default_factory=list)
    _known: dict[tuple[str, ...], str] = field(default_factory=dict)

    def name(self, hint: str) -> str:
        """A name that nothing else has."""
        base = re.sub(r"\W", "_", hint)
        found, number = base, 2
        while found in self.taken or keyword.iskeyword(found):
            found = f"{base}{number}"
            number += 1
        self.taken.add(found)
        return found

    def let(self, hint: str, *lines: str, comments: Iterable[str] = ()) -> str:
        """The name of what these lines compute; the same lines have the same name."""
        said = lines if any(OWN in line for line in lines) else (f"{OWN} = {lines[0]}", *lines[1:])
        if said not in self._known:
            self._known[said] = self.name(hint)
            own = tuple(line.replace(OWN, self._known[said]) for line in said)
            self.statements.append(Statement(self._known[said], own, comments=tuple(comments)))
        return self._known[said]

    def rename(self, name: str, hint: str) -> str:
        """Another name for what was said last, if that is its own."""
        if not self.statements or self.statements[-1].name != name:
            return name
        new = self.name(hint)
        last = self.statements.pop()
        pattern = re.compile(rf"\b{name}\b")
        self.statements.append(replace(last, name=new, lines=tuple(pattern.sub(new, line) for line in last.lines)))
        self._known = {said: new if known == name else known for said, known in self._known.items()}
        return new

    def short(self, hint: str, text: str) -> str:
        """The text itself, or a name for it where it is long."""
        return text if len(text) < LONG else self.let(hint, text)

    def users(self, gradients: Iterable[str]) -> dict[int, frozenset[str]]:
        """For each statement the gradients that it is for."""
        needs = {s.name: k for k, s in enumerate(self.statements) if s.name}
        found: dict[int, set[str]] = {k: set() for k in range(len(self.statements))}
        for gradient in gradients:
            waiting = [k for k, s in enumerate(self.statements) if s.gradient == gradient]
            while waiting:
                k = waiting.pop()
                if gradient not in found[k]:
                    found[k].add(gradient)
                    waiting += [needs[word] for line in self.statements[k].lines for word in words(line) if word in needs]
        return {k: frozenset(names) for k, names in found.items()}


class Sizes:
    """How sizes and hyperparameters are written, and where their values come from."""

    def __init__(self, symbolic: Symbolic, shapes: Mapping[str, tuple[Polynomial, ...]], quotients: Collection[str], arrays: Mapping[str, str]) -> None:
        taken = {*arrays.values(), "self", "saved", "wanted", "np", "real", "gradients"}
        self.texts: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self.replaced: dict[str, Polynomial] = {}
        self._hypers(symbolic, taken)
        for name in sorted(s.name for s in symbolic.symbols):
            if name not in self.texts:
                self._letter(name, shapes, arrays, taken)
        for name in quotients:
            array, axis = next((a, k) for a in arrays for k, n in enumerate(shapes[a]) if a.startswith(COTANGENT) and n == symbol(name) + ONE)
            out = f"out{name.removeprefix('quotient')}"
            self.replaced[name] = symbol(out) - ONE
            self._local(out, f"{arrays[array]}.shape[{axis}]", taken)

    def _local(self, name: str, value: str, taken: set[str]) -> None:
        own = name
        while own in taken or keyword.iskeyword(own):
            own += "_"
        taken.add(own)
        self.texts[name] = own
        self.lines[own] = value

    def _hypers(self, symbolic: Symbolic, taken: set[str]) -> None:
        cls: Any = type(symbolic.op)
        for name, hyper in hyperparameters(cls).items():
            value = getattr(symbolic.op, name)
            divisor = next((b.name for b in hyper.bounds if isinstance(b, MultipleOf)), None)
            if hyper.kind is PerAxis:
                for d in range(len(value)):
                    self._local(f"{name}{d}", f"self.{name}[{d}]", taken)
            elif divisor:
                self._local(quotient(name, divisor), f"self.{name} // self.{divisor}", taken)
            elif hasattr(value, "source"):
                self.texts |= {f"{name}_{part}": f"self.{name}.{part}" for part in ("count", "inputs", "outputs")}
            else:
                self.texts[name] = f"self.{name}"
        self.hypers = set(self.texts)

    def _letter(self, name: str, shapes: Mapping[str, tuple[Polynomial, ...]], arrays: Mapping[str, str], taken: set[str]) -> None:
        places = [(a, k, n) for a in arrays for k, n in enumerate(shapes[a]) if symbol(name).items[0][0][0][0] in set(n.atoms())]
        for array, axis, size in places:
            if size == symbol(name):
                self._local(name, f"{arrays[array]}.size" if name == ANY else f"{arrays[array]}.shape[{axis}]", taken)
                return
        for array, axis, size in places:
            if len(size.items) == 1:
                rest = size * symbol(name) ** -1
                if rest.symbols() <= self.hypers:
                    self._local(name, f"{arrays[array]}.shape[{axis}] // {bracketed(self.text(rest))}", taken)
                    return

    def text(self, p: Polynomial) -> str:
        """A polynomial of sizes and indices as code."""
        p = p.substitute(self.replaced)
        ordered = sorted(p.items, key=lambda item: (item[1] < 0, not item[0]))
        text = ""
        for monomial, c in ordered:
            factors = [f"{self.texts.get(a[1], a[1])}" + (f"**{e}" if e != 1 else "") for a, e in monomial]
            shown = " * ".join([*([str(abs(c))] if abs(c) != 1 or not factors else []), *factors])
            sign = "-" if c < 0 else "+"
            text = (f"-{shown}" if c < 0 else shown) if not text else f"{text} {sign} {shown}"
        return text or "0"

    def product(self, parts: Iterable[Polynomial]) -> str:
        """The product of sizes as code."""
        texts = [self.text(p) for p in parts]
        return " * ".join(bracketed(t) if " + " in t or " - " in t else t for t in texts if t != "1") or "1"


def bracketed(text: str) -> str:
    """Text in brackets unless it is one name."""
    return text if re.fullmatch(r"[\w.]+", text) else f"({text})"


def cut(start: str, stop: str, step: str) -> str:
    """A slice, spaced as the formatter does."""
    parts = [start, stop, *([step] if step else [])]
    if all(re.fullmatch(r"-?\w*", part) for part in parts):
        return ":".join(parts)
    text = " : ".join(parts) if step else f"{start} : {stop}"
    return text.strip().replace(" :  : ", " :: ").replace(":  :", "::").replace("  ", " ")


def tuple_text(parts: Iterable[Any]) -> str:
    """A tuple as code."""
    listed = [str(part) for part in parts]
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"
