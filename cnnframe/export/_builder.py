"""What an operation says itself with in ONNX: values that flow between nodes, and a list of nodes that grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from .._errors import ExportError
from .._op import Array

OPSET: Final = 18
"""The version of ONNX's operators that is written: old enough for every runtime since 2023, with all that is needed."""


@dataclass(frozen=True)
class Value:
    """An array that is known when the file runs.

    Attributes:
        name: its name in the file.
        shape: its axes, None where the size depends on the batch; no shape for what lies between the nodes of one operation.
    """

    name: str
    shape: tuple[int | None, ...] | None = None


@dataclass
class Made:
    """One node of the file."""

    kind: str
    operands: list[str]
    results: list[str]
    attributes: dict[str, Any]


@dataclass
class Builder:
    """Collects ONNX nodes; an operation's `onnx` method is handed one.

    Attributes:
        dtype: the element type of the network, float32 or float64.
        nodes: the nodes so far, in an order in which each follows what it reads.
        stored: the arrays that the file holds, by name.
        given: the names of those that are parameters or other arrays of the network as they are.
    """

    dtype: np.dtype[Any]
    nodes: list[Made] = field(default_factory=list)
    stored: dict[str, Array] = field(default_factory=dict)
    given: set[str] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)
    _known: dict[int, tuple[str, Array]] = field(default_factory=dict)
    _renamed: dict[str, str] = field(default_factory=dict)
    _prefix: str = ""

    def node(self, kind: str, *operands: Value | Array | float | Sequence[int] | None, results: int = 1, **attributes: Any) -> Any:
        """Add a node and return its result, or a tuple of them if there are several.

        Args:
            kind: an operator of ONNX's default domain, such as "Conv".
            operands: values; arrays and numbers, which the file will hold; None for one that is left out. A float, and an array
                of floats, gets the element type of the network; integers, and lists of them, become int64.
            results: how many results the node has.
            attributes: the operator's attributes.
        """
        place = self.unique(f"{self._prefix}/{kind}")
        names = [self._operand(operand, place, number) for number, operand in enumerate(operands)]
        while names and not names[-1]:
            names.pop()
        made = [place if number == 0 else self.unique(f"{place}.{number}") for number in range(results)]
        self.nodes.append(Made(kind, names, made, {name: value for name, value in attributes.items() if value is not None}))
        values = tuple(Value(name) for name in made)
        return values[0] if results == 1 else values

    def enter(self, node: str) -> None:
        """Put what follows under the name of a node of the graph."""
        self._prefix = node

    def unique(self, name: str) -> str:
        """The name, or with a number behind it if it is taken; from then on taken."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found

    def know(self, name: str, array: Array) -> None:
        """Store an array under its own name when it is used."""
        if id(array) not in self._known:
            self._known[id(array)] = (self.unique(name), array)

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names for the graph's own arrays."""
        self._taken.update(names)

    def settle(self, value: Any, name: str, start: int, who: str) -> None:
        """Give the result of an operation its name in the graph; its nodes are those from `start` on.

        Raises:
            ExportError: it is no value.
        """
        if not isinstance(value, Value):
            raise ExportError(f"{who}.onnx must return what build.node returned, or a dict of that by output; got {value!r}")
        made = self.nodes[start:]
        if value.name in self._renamed or not any(value.name in node.results for node in made):
            self.nodes.append(Made("Identity", [self._renamed.get(value.name, value.name)], [name], {}))
            return
        self._renamed[value.name] = name
        for node in made:
            node.operands = [name if each == value.name else each for each in node.operands]
            node.results = [name if each == value.name else each for each in node.results]

    def _operand(self, operand: Any, place: str, number: int) -> str:
        if operand is None:
            return ""
        if isinstance(operand, Value):
            return operand.name
        if id(operand) in self._known:
            name, array = self._known[id(operand)]
            self.given.add(name)
        else:
            array = np.asarray(operand)
            if array.dtype.kind not in "fiub":
                raise ExportError(f"{place}: operand {number} must be a value, an array of numbers or None; got {operand!r}")
            array = array.astype(self.dtype) if array.dtype.kind == "f" else array.astype(np.int64) if array.dtype.kind in "iu" else array
            name = self.unique(f"{place}.operand{number}")
        self.stored[name] = array
        return name
