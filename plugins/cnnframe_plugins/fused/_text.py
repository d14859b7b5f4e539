"""Indented source text, and how loops over maps and columns are cut into tiles of registers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Numbers side by side in a sum, and zeros: each operation in the source costs Numba a millisecond.
_SUM: Final = re.compile(r"(\+|,) (\d+) \+ (\d+)(?![\d.]| \*| //)")
_ONE: Final = re.compile(r" \* 1(?![\d.])")
_ZERO: Final = re.compile(r" \+ 0(?![\d.]| \*| //)|(?<=[(,=] )0 \+ (?=\w)|(?<=\()0 \+ (?=\w)")


class Text:
    """Lines of source, indented by the blocks they are in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def __call__(self, *lines: str) -> None:
        """Add lines at the present depth."""
        self.lines.extend("    " * self.depth + folded(line) for line in lines)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A block under `head`, such as a loop; it must not stay empty."""
        self(head)
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def repeat(self, name: str, count: int, start: int = 0, step: int = 1) -> Iterator[None]:
        """A loop of `count` rounds, or, if there is one, an assignment."""
        if count == 1:
            self(f"{name} = {start}")
            yield
        else:
            with self.block(f"for {name} in range({start}, {start + count * step}, {step}):"):
                yield

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


def turned(t: Text, names: list[str]) -> list[str]:
    """Write the transpose of a square of vectors, as many as they have lanes, and return the names of its rows."""
    # As many rounds of pairs as there are halvings: rows r and r + half become rows 2r and 2r + 1.
    half, number = len(names) // 2, 0
    for _ in range(len(names).bit_length() - 1):
        made = [""] * len(names)
        for row in range(half):
            low, high = f"z{number}", f"z{number + 1}"
            t(f"{low} = zip_low({names[row]}, {names[row + half]})", f"{high} = zip_high({names[row]}, {names[row + half]})")
            made[2 * row], made[2 * row + 1] = low, high
            number += 2
        names = made
    return names


Tiles = list[tuple[int, int, int]]
"""Start, width and number of equal tiles in a row."""


def cut(total: int, width: int) -> Tiles:
    """Cut `total` into the fewest tiles of at most `width`, as equal as they can be."""
    count = -(-total // width)
    small, larger = divmod(total, count)
    found = []
    if larger:
        found.append((0, small + 1, larger))
    if count > larger:
        found.append((larger * (small + 1), small, count - larger))
    return found


def best_tile(columns: int, maps: int, registers: int, *, maps_limit: int = 12) -> tuple[int, int]:
    """Vectors of columns by maps whose sums are in registers, beside the vectors they read and a weight, at least work.

    A sum that does not find a register costs more than all else: it waits for memory in each round.
    """

    def cost(tile: tuple[int, int]) -> tuple[float, int]:
        total = 0.0
        for _, w, n in cut(columns, tile[0]):
            for _, c, m in cut(maps, tile[1]):
                # A product takes half a cycle and four to come out; a load takes half a cycle.
                total += n * m * (max(w * c, w + c, 8) + 0.5)
        return total, tile[0] + tile[1]

    choices = [(w, c) for w in range(1, columns + 1) for c in range(1, min(maps, maps_limit) + 1) if w * c + w + 1 <= registers]
    return min(choices, key=cost)


def folded(line: str) -> str:
    """A statement with the numbers in its sums added up."""
    before = ""
    while before != line:
        before, line = line, _SUM.sub(lambda found: f"{found[1]} {int(found[2]) + int(found[3])}", line)
    return _ZERO.sub("", _ONE.sub("", line))
