"""One pass over the flat vector of parameters: gradient descent with momentum and weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from . import _simd
from ._compiler import Kernel, build
from ._layout import address

_SOURCE: Final = """

@njit
def stepped(p, g, v, numbers, i, decays, moves):
    w, slope = load(p, i), load(g, i)
    if decays:
        slope = add(slope, mul(spread(numbers, 1), w))
    step = neg(mul(spread(numbers, 0), slope))
    if moves:
        step = add(mul(spread(numbers, 2), load(v, i)), step)
    return add(w, step), step


def update(table, first, last):
    p, g, v, numbers = pointer(table, 0), pointer(table, 1), pointer(table, 2), pointer(table, 3)
    rows, moves, tail = number(table, 4), number(table, 5), pointer(table, 6)
    for row in range(first, last):
        start, stop = number(rows, 3 * row), number(rows, 3 * row + 1)
        decays = number(rows, 3 * row + 2) if get(numbers, 1) != 0 else 0
        whole = stop - (stop - start) % {lanes}
        for i in range(start, whole, {lanes}):
            w, step = stepped(p, g, v, numbers, i, decays > 0, moves > 0)
            store(p, i, w)
            if moves > 0:
                store(v, i, step)
        if whole < stop:
            # The last entries go through a vector of their own, so that nothing beyond them is touched.
            t, s, u = tail, shift(tail, {lanes}), shift(tail, {twice})
            for i in range(whole, stop):
                put(t, i - whole, get(p, i))
                put(s, i - whole, get(g, i))
                if moves > 0:
                    put(u, i - whole, get(v, i))
            w, step = stepped(t, s, u, numbers, 0, decays > 0, moves > 0)
            store(t, 0, w)
            store(u, 0, step)
            for i in range(whole, stop):
                put(p, i, get(t, i - whole))
                if moves > 0:
                    put(v, i, get(u, i - whole))
"""


@dataclass(frozen=True)
class Step:
    """An update with its arrays, which it holds."""

    kernel: Kernel
    table: int
    parts: int
    numbers: Any
    held: tuple[Any, ...]

    def __call__(self, rate: float, decay: float = 0.0, momentum: float = 0.0) -> None:
        """Change the parameters, and the velocity if there is one."""
        self.numbers[0], self.numbers[1], self.numbers[2] = rate, decay, momentum
        self.kernel(self.table, 0, self.parts)


@dataclass(frozen=True)
class Update:
    """v <- momentum v - rate (g + decay p), p <- p + v, in place, with the roundings of the same in NumPy.

    Attributes:
        dtype: of all arrays.
        parts: start, stop, and whether it decays, of each part of the vector; the others stay as they are.
    """

    dtype: str
    parts: tuple[tuple[int, int, bool], ...]

    @classmethod
    def of(cls, dtype: str, parts: Sequence[tuple[int, int, bool]]) -> Update:
        """Join neighbours that are treated alike."""
        found: list[tuple[int, int, bool]] = []
        for start, stop, decays in sorted(parts):
            if found and found[-1][1] == start and found[-1][2] == decays:
                found[-1] = (found[-1][0], stop, decays)
            elif stop > start:
                found.append((start, stop, decays))
        return cls(dtype, tuple(found))

    @cached_property
    def _kernel(self) -> Kernel:
        lanes = _simd.width(self.dtype)
        return build(_SOURCE.format(lanes=lanes, twice=2 * lanes), ("update",), self.dtype, lanes)["update"]

    def bind(self, p: Any, g: Any, v: Any | None = None) -> Step:
        """Settle the arrays; the result is called with rate, decay and momentum as often as one likes.

        Without v there is no momentum.
        """
        end = max((stop for _, stop, _ in self.parts), default=0)
        for array in (p, g, *(() if v is None else (v,))):
            if array.dtype != self.dtype or not array.flags.c_contiguous or array.size < end:
                raise ValueError(f"update: arrays must be contiguous, of {self.dtype}, and hold {end} entries or more")
        # Three numbers, then room for the last entries of a part.
        numbers = np.zeros(4 + 3 * _simd.width(self.dtype), self.dtype)
        where = address(numbers)
        rows = np.array(self.parts, np.int64).reshape(-1, 3)
        table = np.array([address(p), address(g), 0 if v is None else address(v), where, address(rows), v is not None, where + 4 * numbers.itemsize], np.int64)
        return Step(self._kernel, address(table), len(self.parts), numbers, (p, g, v, rows, table))

    def __call__(self, p: Any, g: Any, v: Any | None, rate: float, decay: float = 0.0, momentum: float = 0.0) -> None:
        """Change p, and v unless it is None; then there is no momentum."""
        self.bind(p, g, v)(rate, decay, momentum)
