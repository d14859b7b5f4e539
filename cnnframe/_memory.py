"""How the entries of an array lie in memory between two kernels."""

from __future__ import annotations

import abc
from typing import Final

import numpy as np

from ._axes import Shape
from ._op import Array


class MemoryLayout(abc.ABC):
    """An order of entries; equal ones have the same name."""

    name: str

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
        np.copyto(out, np.moveaxis(plain, 0, -1) if plain.ndim else plain)

    def unpack(self, packed: Array, out: Array) -> None:
        """Copy with the last axis moved to the front."""
        np.copyto(out, np.moveaxis(packed, -1, 0) if packed.ndim else packed)


PLAIN: Final = Plain()
BATCH_LAST: Final = BatchLast()
