"""What a piece costs on most days, to choose between schedules and between forms of one gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..proofs._polynomial import Polynomial
from ._contract import Contraction
from ._emit import Emitter
from ._pieces import INDEX, Piece, radix

USUAL = {"n": 32.0, "h": 14.0, "p": 7.0, "s": 3.0}
"""Sizes of everyday by the first letter; a stride, a dilation or a group is 1, everything else 8."""


def usual(symbols: Mapping[str, Any], quotients: Iterable[str]) -> dict[str, float]:
    """A size of everyday for each symbol."""
    found = {name: USUAL.get(name[0], 8.0) for name in symbols}
    found |= {name: 1.0 for name in found if name.startswith(("stride", "dilation", "groups", "step", "padding"))}
    return found | dict.fromkeys(quotients, 9.0)


@dataclass
class Costs:
    """Counts multiplications and copies."""

    emitter: Emitter

    def piece(self, piece: Piece) -> float:
        """The cheapest order of contraction, and a copy for each array that gets zeros around it."""
        loops, shapes = set(piece.loops), self.emitter.rules.shapes
        nominal = {v: self.emitter.nominal_size(size) for v, size in piece.loops.items()}
        operands = []
        for factor in piece.factors:
            labels = frozenset(v for _, read in factor.reads for e in read.at for v in e.symbols() & loops)
            wide = any(
                len(e.symbols() & loops) > 1 and (read.array.startswith(INDEX) or radix(e, piece.loops, size) is None)
                for _, read in factor.reads
                for e, size in zip(read.at, shapes.get(read.array, read.at), strict=True)
            )
            operands.append((labels, wide))
        copies = sum(2 * self._entries(shapes[read.array]) for read, _ in piece.pads)
        keep = frozenset({v for v, _ in piece.free if v in loops} | {v for e in piece.named.values() for v in e.symbols() & loops})
        return copies + (Contraction(self.emitter.sizes, self.emitter.writer, nominal, {}, ()).cost(operands, keep) if operands else 1.0)

    def _entries(self, shape: Sequence[Polynomial]) -> float:
        total = 1.0
        for size in shape:
            total *= self.emitter.nominal_size(size)
        return total
