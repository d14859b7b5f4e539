"""How the entries of an array lie in memory between two kernels."""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from ._axes import Shape
from ._op import Array

Call = Callable[[], None]
"""What a run does, as often as it is called. One with a method `then` is asked there for a call that does the same and the next at once, so that the
interpreter's lock is not needed between them; it returns None where it knows none."""


def address(array: Array) -> int:
    """Where an array's numbers begin."""
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
        """Return a call that does what `pack` or `pack_gradient` does, with contiguous arrays at their addresses for good."""
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


class BatchLast(MemoryLayout):
    """The batch behind all other axes, (maps, *map, n): what a matrix product of kernels and windows makes, in long runs."""

    name = "batch_last"

    def shape(self, plain: Shape) -> Shape:
        """Axis 0 moved to the end."""
        return (*plain[1:], *plain[:1])

    def pack(self, plain: Array, out: Array) -> None:
        """Copy with axis 0 moved to the end."""
        np.copyto(out, plain.transpose(*range(1, plain.ndim), 0) if plain.ndim else plain)

    def unpack(self, packed: Array, out: Array) -> None:
        """Copy with the last axis moved to the front."""
        np.copyto(out, packed.transpose(-1, *range(packed.ndim - 1)) if packed.ndim else packed)


PLAIN: Final = Plain()
BATCH_LAST: Final = BatchLast()
