"""Kernels on settled buffers."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ._compiler import Code, Kernel, KernelError, results
from ._table import at

_SOURCE: Final = """

def series(table, first, last):
    for i in range(first, last):
        call_at(number(table, 4 * i), number(table, 4 * i + 1), number(table, 4 * i + 2), number(table, 4 * i + 3))
"""
SERIES: Final = Code(lambda: _SOURCE, ("series",), "float64", 4)
"""What runs kernels one after the other."""


class Run:
    """Calling it runs kernels on all blocks of their arrays, without the interpreter's lock, and costs a microsecond more than the kernels.

    It has no threads of its own: a caller that has several gives each a run on a part of the batch, or one of the `shares`.

    Attributes:
        kernels: each with the address of its table and how many blocks there are.
        held: the arrays that must live as long.
    """

    __slots__ = ("_arguments", "_call", "_taken", "held", "kernels")

    def __init__(self, kernels: tuple[tuple[Kernel, int, int], ...], held: tuple[Any, ...], first: int = 0) -> None:
        """Take kernels and arrays; of a single kernel the first blocks may be left to others."""
        self.kernels = kernels
        if len(kernels) > 1:
            rows = np.array([(kernel.address, table, 0, blocks) for kernel, table, blocks in kernels], np.int64)
            kernels = ((SERIES.build()["series"], address(rows), len(rows)),)
            held = (*held, rows)
        ((kernel, table, blocks),) = kernels
        self._call = kernel.call
        self._arguments = (*results(), table, first, blocks)
        self.held = held

    def __call__(self) -> None:
        """Run them."""
        self._call(*self._arguments)

    def take(self, x: Any) -> None:
        """Read another contiguous array as the input, of the same size and element type; of a stage's run, or where it was joined to others."""
        table, *_ = self.held
        table[..., at("x")] = address(x)
        self._taken = x

    def shares(self, count: int) -> list[Run]:
        """Runs of some blocks each that may go on at the same time, as many as are asked for and there is room for."""
        table, *_ = self.held
        if len(self.kernels) > 1 or table.ndim == 1:
            return [self]
        ((kernel, _, blocks),) = self.kernels
        count = min(count, len(table), blocks)
        return [Run(((kernel, address(row), blocks * (share + 1) // count),), self.held, blocks * share // count) for share, row in enumerate(table[:count])]

    def then(self, other: Any) -> Run | None:
        """Return a run of these kernels and another's; None if it is no run, or code is missing."""
        try:
            return Run((*self.kernels, *other.kernels), (*self.held, *other.held)) if isinstance(other, Run) else None
        except KernelError:
            return None


def address(array: Any) -> int:
    """Where an array's numbers begin."""
    return int(array.__array_interface__["data"][0])
