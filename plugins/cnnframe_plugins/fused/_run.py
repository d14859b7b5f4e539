"""A kernel on settled buffers."""

from __future__ import annotations

from typing import Any

from ._compiler import Kernel, results


class Run:
    """Calling it runs a kernel on all blocks of its arrays, without the interpreter's lock, and costs a microsecond more than the kernel.

    It has no threads of its own: a caller that has several gives each a run on a part of the batch.
    """

    __slots__ = ("_arguments", "_call", "_held")

    def __init__(self, kernel: Kernel, table: int, blocks: int, held: tuple[Any, ...]) -> None:
        """Take the address of a table, how many blocks there are, and the arrays that must live as long."""
        self._call = kernel.call
        self._arguments = (*results(), table, 0, blocks)
        self._held = held

    def __call__(self) -> None:
        """Run it."""
        self._call(*self._arguments)
