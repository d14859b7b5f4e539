"""What things are called on a page: capital letters for sizes, upright words for hyperparameters, letters for indices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .._derive import ADJOINT, COTANGENT
from .._symbolic import ANY
from ..proofs._polynomial import ONE
from ..proofs._statement import Theory
from ..proofs._theorems import Shape
from ._style import GREEK, Style

QUOTIENT = "quotient"
"""How the symbols of quotients that are rounded down begin."""
PER = "_per_"
WORDS = {"pattern": "n", "group": "g", "link": "l", "class": "c", "unit": "u", "source": "s", "at": "n"}
"""Letters for indices that formulas call by a word."""
PLAIN = "ijmnqrstuvwpabcdfghkl"
NUMBERED = "wcdfghtabsuvmn"


@dataclass(frozen=True)
class Names:
    """The names of one operation; `scope` adds those of the indices of one equation or proof.

    Attributes:
        arrays: all arrays, with their shapes.
        outputs: the outputs' names.
        hypers: names of hyperparameters, which stay small letters.
    """

    style: Style
    theory: Theory
    arrays: Mapping[str, Shape]
    outputs: tuple[str, ...]
    hypers: frozenset[str] = frozenset()
    indices: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def symbol(self, name: str) -> str:
        """A size, a hyperparameter or an index."""
        letter, number = self.indices[name] if name in self.indices else self._size(name)
        base = self.style.letter(letter) if len(letter.rstrip("'")) == 1 or letter in GREEK else self.style.word(letter)
        return self.style.numbered(base, number) if number else base

    def _size(self, name: str) -> tuple[str, str]:
        stem, number = _split(name)
        if number == "0" and f"{stem}1" not in self.theory.integers:
            number = ""
        if stem == QUOTIENT:
            return "Q", number
        if PER in stem:
            return stem[0].upper(), number
        if stem in self.hypers or name in self.theory.scalars:
            return stem.replace("_", " "), number
        if name == ANY:
            return "entries", ""
        return (stem.upper() if len(stem) == 1 else stem.replace("_", " ")), number

    def array(self, name: str) -> str:
        """The name of an array: delta for what is given of an output, a bar for the adjoint of an intermediate."""
        if name.startswith(COTANGENT):
            output = name.removeprefix(COTANGENT)
            return self.style.delta if self.outputs == (output,) else self.style.of(self.style.delta, self.array(output))
        if name.startswith(ADJOINT):
            return self.style.bar(self.array(name.removeprefix(ADJOINT)))
        stem, number = _split(name) if re.fullmatch(r"[a-zA-Z]\d", name) else (name, "")
        base = self.style.letter(stem) if len(stem) == 1 or stem in GREEK else self.style.word(stem.replace("_", " "))
        return self.style.numbered(base, number) if number else base

    def single(self, array: str) -> list[bool]:
        """For each axis of an array, whether it has one entry, whose index is then not written."""
        return [size == ONE for size in self.arrays.get(array, ())]

    def scope(self, indices: Iterable[str]) -> Names:
        """The same names, and letters for these indices: their own where no one else has them."""
        # Letters of arrays are taken, so that no index looks like one; E is the objective.
        used = {(name, numbered) for name in (*self.arrays, *self.theory.scalars) for numbered in (False, True) if len(name) == 1} | {("e", False)}
        families: dict[str, list[str]] = {}
        for name in dict.fromkeys(indices):
            families.setdefault(_family(name), []).append(name)
        found: dict[str, tuple[str, str]] = {}
        for own in (True, False):
            for family, members in families.items():
                if members[0] in found:
                    continue
                numbered = len(members) > 1
                wanted = _wanted(family) if own else next((x for x in (NUMBERED if numbered else PLAIN) if (x, numbered) not in used), "i'")
                if wanted is None or (wanted, numbered) in used:
                    continue
                used.add((wanted, numbered))
                for name in members:
                    found[name] = (wanted, _split(name.rstrip("'"))[1] if numbered else "")
        return replace(self, indices=found)


def _split(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)_?(\d*)", name)
    return (match[1], match[2]) if match else (name, "")


def _family(name: str) -> str:
    """Indices that differ in a number alone; those of a named intermediate have one each."""
    strokes = name[len(name.rstrip("'")) :]
    stem, number = _split(name.rstrip("'"))
    return name if "_" in name or not number else stem + strokes


def _wanted(family: str) -> str | None:
    stem = _split(family.rstrip("'"))[0] if "_" not in family else ""
    return WORDS.get(stem, stem if len(stem) == 1 else None)
