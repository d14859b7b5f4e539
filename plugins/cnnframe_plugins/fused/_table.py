"""The table of addresses that a kernel is given, and what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ._text import Text

if TYPE_CHECKING:
    from ._loops import Loops

PARAMETERS: Final = ("k", "b", "beta", "shift")
GRADIENTS: Final = ("dk", "db", "dbeta", "dshift")
PLACES: Final = ("x", *PARAMETERS, "y", "saved", "scratch", "links", "dy", "dx", *GRADIENTS, "moved", "adds")
"""Besides addresses of arrays there is one of two numbers, by how many bytes parameters and their gradients have moved, and whether these are added up."""


def at(name: str) -> int:
    """The place of an address in the table."""
    return PLACES.index(name)


def forward_pointers(t: Text, s: Loops) -> None:
    """Read what a convolution's forward pass reads and writes."""
    pointers(t, {"x0": "x", "k": "k", "b": "b", "y0": "y", "saved": "saved", "scratch": "scratch"} | ({"beta": "beta", "above": "shift"} if s.summed else {}))


def backward_pointers(t: Text, s: Loops) -> None:
    """Read what its backward pass reads and writes."""
    names = {"x0": "x", "k": "k", "y0": "y", "saved": "saved", "dy0": "dy", "dx0": "dx", "scratch": "scratch"}
    pointers(t, names | {name: name for name in s.sums} | {"dk": "dk"} | ({"beta": "beta"} if s.summed else {}))


def pointers(t: Text, names: Mapping[str, str]) -> None:
    """Read where arrays lie, each by the name of its place in the table."""
    t(f"moved = number(table, {at('moved')})")
    for name, place in names.items():
        found = f"pointer(table, {at(place)})"
        moves = [number for number, places in enumerate((PARAMETERS, GRADIENTS)) if place in places]
        t(f"{name} = behind({found}, number(moved, {moves[0]}))" if moves else f"{name} = {found}")


def cleared(t: Text, ranges: Mapping[str, str]) -> None:
    """Let gradients begin at 0, each in a range, unless they are added to what is there."""
    t("nothing = total(splat(0.0))")
    with t.block(f"if number(table, {at('adds')}) == 0:"):
        for name, entries in ranges.items():
            with t.block(f"for i in {entries}:"):
                t(f"put({name}, i, nothing)")
