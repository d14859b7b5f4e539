"""Sums of products, two arrays at a time, in the order that costs least at sizes of everyday."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import prod
from typing import Any

from ._views import Operand, aligned, spec
from ._writer import OWN, Sizes, Writer, bracketed, tuple_text

PRODUCT = 24.0
"""How many multiplications a matrix product does in the time of one outside of it."""

ROOM = 110
"""Characters that fit into a line beside a name and an indent."""


@dataclass
class Contraction:
    """Contracts the operands of one piece."""

    sizes: Sizes
    writer: Writer
    nominal: Mapping[str, float]
    texts: Mapping[str, str]
    taps: Collection[str]
    small: Collection[str] = ()
    _known: dict[Any, tuple[float, tuple[int, int] | None]] = field(default_factory=dict)

    def run(self, operands: Sequence[Operand], keep: Sequence[str]) -> list[Operand]:
        """The operands that are left once everything but `keep` has been summed over."""
        current = self._alone(list(operands), keep)
        while pair := self._best(tuple((frozenset(o.labels), o.windows) for o in current), frozenset(keep))[1]:
            left, right = (current[k] for k in pair)
            others = [o for k, o in enumerate(current) if k not in pair]
            gone = (set(left.labels) | set(right.labels)) - set(keep) - {v for o in others for v in o.labels}
            current = self._alone([*others, self._pair(left, right, gone, keep)], keep)
        return current

    def cost(self, operands: Sequence[tuple[frozenset[str], bool]], keep: frozenset[str]) -> float:
        """What the cheapest order costs, with the product of what is left."""
        return self._best(tuple(operands), keep)[0]

    def _best(self, operands: tuple[tuple[frozenset[str], bool], ...], keep: frozenset[str]) -> tuple[float, tuple[int, int] | None]:
        if (operands, keep) not in self._known:
            self._known[operands, keep] = self._cheapest(operands, keep)
        return self._known[operands, keep]

    def _cheapest(self, operands: tuple[tuple[frozenset[str], bool], ...], keep: frozenset[str]) -> tuple[float, tuple[int, int] | None]:
        waiting = frozenset().union(*(labels for labels, _ in operands)) - keep
        alone = {v for v in waiting if sum(v in labels for labels, _ in operands) == 1}
        if alone:
            summed = sum(self._size(labels) for labels, _ in operands if labels & alone)
            rest, pair = self._best(tuple((labels - alone, wide and not labels & alone) for labels, wide in operands), keep)
            return summed + rest, pair
        if not waiting:
            union = frozenset().union(*(labels for labels, _ in operands))
            return self._size(union), None
        best: tuple[float, tuple[int, int] | None] = (float("inf"), None)
        for a, b in combinations(range(len(operands)), 2):
            (left, left_windows), (right, right_windows) = operands[a], operands[b]
            if not left & right & waiting and len(operands) > 2:
                continue
            others = [o for k, o in enumerate(operands) if k not in (a, b)]
            both = left | right
            gone = (both & waiting) - frozenset().union(*(labels for labels, _ in others)) if others else both & waiting
            shared = left & right
            cost = self._size(both)
            if gone and left - shared and right - shared:
                cost = cost / PRODUCT + self._size(left) * (3 if left_windows else 1) + self._size(right) * (3 if right_windows else 1)
            elif left_windows or right_windows:
                cost *= 3
            rest, _ = self._best((*others, (both - gone, False)), keep)
            if cost + rest < best[0]:
                best = (cost + rest, (a, b))
        return best

    def _size(self, labels: Collection[str]) -> float:
        return prod(self.nominal[v] for v in labels)

    def _alone(self, operands: list[Operand], keep: Collection[str]) -> list[Operand]:
        """Sum each operand over what only it has."""
        found = []
        for k, o in enumerate(operands):
            others = {v for n, other in enumerate(operands) if n != k for v in other.labels}
            own = [axis for axis, v in enumerate(o.labels) if v not in keep and v not in others]
            if own:
                number = real(o)
                if all(o.labels[axis] in self.small for axis in own) and len(own) < len(o.labels):
                    found.append(self._over_taps(number, own))
                    continue
                axes = str(own[0]) if len(own) == 1 else f"({', '.join(map(str, own))})"
                text = f"{_atom(number)}.sum({'' if len(own) == len(o.labels) else f'axis={axes}'})"
                labels = tuple(v for axis, v in enumerate(o.labels) if axis not in own)
                found.append(Operand(self.writer.let("part", text), labels, fresh=True))
                continue
            found.append(o)
        return found

    def _over_taps(self, o: Operand, own: Sequence[int]) -> Operand:
        """The sum over axes that are few entries long: slice by slice, which NumPy does faster than along them."""
        kept = [v for axis, v in enumerate(o.labels) if axis not in own]
        names = [loop_name(o.labels[axis], self.writer, self.sizes) for axis in own]
        sizes = [self.texts[o.labels[axis]] for axis in own]
        base = o if o.whole else replace(o, text=self.writer.let("part", o.text), whole=True)
        inside = ", ".join(names[own.index(axis)] if axis in own else ":" for axis in range(len(o.labels)))
        lines = [f"{OWN} = np.zeros({tuple_text(self.texts[v] for v in kept)}, real)", over(names, sizes), f"    {OWN} += {base.indexed(inside)}"]
        return Operand(self.writer.let("part", *lines), tuple(kept), fresh=True)

    def _pair(self, left: Operand, right: Operand, gone: Collection[str], keep: Sequence[str]) -> Operand:
        left, right = real(left), real(right)
        # What is looped over later goes first: each of its slices is then in one piece.
        ahead = next((v for v in keep if v in left.labels or v in right.labels), "")
        matrices = len(left.labels) == len(right.labels) == 2
        if set(right.labels) & set(self.taps) - set(left.labels) or (matrices and ahead in right.labels and ahead not in left.labels):
            left, right = right, left
        batch = [v for v in left.labels if v in right.labels and v not in gone]
        summed = [v for v in left.labels if v in right.labels and v in gone]
        lone_left = [v for v in left.labels if v not in right.labels]
        lone_right = [v for v in right.labels if v not in left.labels]
        if not gone:
            order = list(dict.fromkeys([*left.labels, *right.labels]))
            text = f"{_atom(aligned(left, order))} * {_atom(aligned(right, order))}"
            return Operand(self.writer.let("part", text), tuple(order), fresh=True)
        if not lone_left or not lone_right:
            order = [*batch, *lone_left, *lone_right]
            text = f'np.einsum("{spec([left.labels, right.labels], order)}", {left.text}, {right.text})'
            return Operand(self.writer.let("part", text), tuple(order), fresh=True)
        order = [*batch, *lone_left, *lone_right]
        if not batch and len(left.labels) == len(right.labels) == 2:
            rows = left if left.labels[1] in gone else replace(left, text=f"{_atom(left)}.T", whole=True)
            columns = right if right.labels[0] in gone else replace(right, text=f"{_atom(right)}.T", whole=True)
            return Operand(f"{_atom(rows)} @ {_atom(columns)}", tuple(order), fresh=True, whole=False)
        if not batch:
            axes = [[o.labels.index(v) for v in summed] for o in (left, right)]
            return Operand(self.writer.let("part", f"np.tensordot({left.text}, {right.text}, axes=({axes[0]}, {axes[1]}))"), tuple(order), fresh=True)
        first, second = self._matrices(left, batch, lone_left, summed), self._matrices(right, batch, lone_right, summed)
        a = first[0] if first[1] else f"{first[0]}.mT"
        b = f"{second[0]}.mT" if second[1] else second[0]
        shape = ", ".join(self.texts[v] for v in order)
        return Operand(self.writer.let("part", f"({a} @ {b}).reshape({shape})"), tuple(order), fresh=True)

    def _matrices(self, o: Operand, batch: Sequence[str], own: Sequence[str], summed: Sequence[str]) -> tuple[str, bool]:
        """A stack of matrices, and whether the summed index runs along their rows; memory decides which copy is cheaper."""
        along = o.labels[-1] in summed and not o.windows
        if o.windows:
            # The axis behind all others of the array is the last one that is no tap.
            along = next((v for v in reversed(o.labels) if v not in self.taps), o.labels[-1]) in summed
        groups = [batch, own, summed] if along else [batch, summed, own]
        order = [v for group in groups for v in group]
        shape = ", ".join(" * ".join(bracketed(self.texts[v]) if len(group) > 1 else self.texts[v] for v in group) for group in groups)
        laid = aligned(o, order).text
        if len(laid) + len(shape) > ROOM:
            laid = self.writer.let("moved", laid)
        return self.writer.let("matrices", f"{laid}.reshape({shape})"), along


def loop_name(v: str, writer: Writer, sizes: Sizes) -> str:
    """An index as a name of the code, that nothing else has."""
    found = v.replace("'", "_")
    while found in writer.taken or found in sizes.lines:
        found += "_"
    return found


def over(names: Sequence[str], sizes: Sequence[str]) -> str:
    """The line that loops over some indices."""
    return f"for {names[0]} in range({sizes[0]}):" if len(names) == 1 else f"for {', '.join(names)} in np.ndindex({', '.join(sizes)}):"


def _atom(o: Operand) -> str:
    return o.text if o.whole else f"({o.text})"


def real(o: Operand) -> Operand:
    """An operand of truth values as one of numbers."""
    return replace(o, text=f"np.where({o.text}, real(1), real(0))", mask=False, whole=True, fresh=True) if o.mask else o
