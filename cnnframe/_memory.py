"""How the entries of an array lie in memory between two kernels."""

from __future__ import annotations

import abc
import ctypes
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from ._axes import Shape
from ._op import Array

Call = Callable[[], None]
"""What a run does, as often as it is called. One with a method `then` is asked there for a call that does the same and the next at once, so that the
interpreter's lock is not needed between them; it returns None where it knows none. One with a method `shares` is asked there for up to so many calls that
do together what it does, bit for bit, and may do it at the same time."""


def address(array: Array) -> int:
    """Where an array's numbers begin."""
    if array.flags.writeable and array.nbytes:
        # In a quarter of the time.
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type] # arrays are buffers, which their types do not say
    return int(array.__array_interface__["data"][0])


class MemoryLayout(abc.ABC):
    """An order of entries; equal ones have the same name.

    Attributes:
        name: by which it is known.
        together: how many entries of a batch lie side by side, so that parts of a batch are best as large, or multiples of it.
    """

    name: str
    together: int = 1

    @abc.abstractmethod
    def shape(self, plain: Shape) -> Shape:
        """The shape in memory of an array that has the shape `plain` for its users."""

    @abc.abstractmethod
    def pack(self, plain: Array, out: Array) -> None:
        """Write the entries of `plain` to `out`, in this order."""

    def pack_gradient(self, plain: Array, out: Array) -> None:
        """Write the entries of a gradient: what lies between them, if anything does, must add nothing to a sum."""
        self.pack(plain, out)

    @abc.abstractmethod
    def unpack(self, packed: Array, out: Array) -> None:
        """Write the entries of `packed`, in this order, to `out` as its users see them."""

    def packing(self, plain: Array, out: Array, *, gradient: bool = False) -> Call:
        """Return a call that does what `pack` or `pack_gradient` does, with contiguous arrays at their addresses for good.

        One with a method `take` is given another contiguous array in place of `plain` there, before a run.
        """
        return partial(self.pack_gradient if gradient else self.pack, plain, out)

    def unpacking(self, packed: Array, out: Array) -> Call:
        """Return a call that does what `unpack` does, likewise."""
        return partial(self.unpack, packed, out)

    def reaches(self, wanted: MemoryLayout) -> bool:  # noqa: ARG002 # overriding methods use it
        """Whether `rearranging` brings arrays from this layout to another; if not, they go by the plain one."""
        return False

    def rearranging(self, packed: Array, out: Array, wanted: MemoryLayout, plain: Shape) -> Call:
        """Return a call that writes an array, or a gradient, which has the shape `plain` for its users, in a layout that this one `reaches`."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryLayout) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Plain(MemoryLayout):
    """The order of the declaration's axes."""

    name = "plain"

    def shape(self, plain: Shape) -> Shape:
        """The same."""
        return plain

    def pack(self, plain: Array, out: Array) -> None:
        """Copy."""
        np.copyto(out, plain)

    def unpack(self, packed: Array, out: Array) -> None:
        """Copy."""
        np.copyto(out, packed)


class RowsFirst(MemoryLayout):
    """The rows of all maps and samples together, (rows, maps, *other axes of a map, n); of arrays that are no maps the batch last.

    What a product of matrices reads for one row of a convolution's output then lies in one piece, and what it makes does.
    """

    name = "rows_first"
    # Runs of samples are read by vectors of four numbers or more.
    together = 4

    def shape(self, plain: Shape) -> Shape:
        """Axis 2 before axis 1, and axis 0 behind all others."""
        return tuple(plain[axis] for axis in self.axes(len(plain)))

    def pack(self, plain: Array, out: Array) -> None:
        """Copy with the axes in this order."""
        np.copyto(out, plain.transpose(self.axes(plain.ndim)))

    def unpack(self, packed: Array, out: Array) -> None:
        """Copy with the axes in the plain order."""
        np.copyto(out, self.view(packed))

    def view(self, packed: Array) -> Array:
        """The same numbers with the axes in the plain order."""
        axes = self.axes(packed.ndim)
        return packed.transpose([axes.index(axis) for axis in range(packed.ndim)])

    @staticmethod
    def axes(count: int) -> tuple[int, ...]:
        """The axes of so many in this order."""
        return (2, 1, *range(3, count), 0) if count > 2 else tuple(reversed(range(count)))


PLAIN: Final = Plain()
ROWS_FIRST: Final = RowsFirst()
