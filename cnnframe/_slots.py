"""Where each array of a network lies in the vector of all its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ._axes import Shape
from ._errors import ShapeError, UnknownNameError, nearest
from ._op import Array

if TYPE_CHECKING:
    from ._graph import Graph


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one array lies in the vector, what it is for, and the nodes that use it."""

    start: int
    stop: int
    shape: Shape
    role: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The slots of all arrays, by name, in the order in which they lie."""

    slots: Mapping[str, Slot]
    size: int

    @classmethod
    def of(cls, graph: Graph) -> Layout:
        """The layout for a graph: its arrays in the order of its nodes."""
        slots: dict[str, Slot] = {}
        start = 0
        for name, array in graph.arrays.items():
            stop = start + math.prod(array.shape)
            slots[name] = Slot(start, stop, array.shape, array.role, array.nodes)
            start = stop
        return cls(slots, start)

    def slot(self, name: str) -> Slot:
        """The slot called `name`.

        Raises:
            UnknownNameError: there is none.
        """
        if name not in self.slots:
            raise UnknownNameError(f"no parameter array is called {name!r}; {nearest(str(name), self.slots)}")
        return self.slots[name]

    def refuse(self, other: Layout) -> NoReturn:
        """Say how another layout differs from this one.

        Raises:
            ShapeError: with what is missing, unknown, or of another shape.
        """
        for name, slot in self.slots.items():
            if name not in other.slots:
                raise ShapeError(f"the parameters lack {name!r}; initialise them for this graph: Parameters.initialise(graph)")
            if other.slots[name].shape != slot.shape:
                raise ShapeError(f"parameter {name!r} must have shape {slot.shape}; got {other.slots[name].shape}; initialise the parameters for this graph")
        extra = ", ".join(name for name in other.slots if name not in self.slots)
        raise ShapeError(
            f"the parameters are those of another graph ({'unknown here: ' + extra if extra else 'other order or roles'}); initialise them for this one"
        )

    def views(self, vector: Array) -> dict[str, Array]:
        """The part of `vector` that belongs to each array, in its shape."""
        return {name: vector[slot.start : slot.stop].reshape(slot.shape) for name, slot in self.slots.items()}
