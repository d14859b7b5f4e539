"""Examples that may lie anywhere: arrays, memory maps, and what answers like them; never read as a whole."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _inputs
from .._axes import BATCH
from .._errors import DataError
from .._graph import Graph
from .._op import Array

Examples = Mapping[str, Any]
"""Arrays by graph input, such as {"x": images, "t": targets}; the first axis of each is the example.

In place of an array may stand what answers `shape`, `dtype`, and indexing with an array of indices.
"""

_ENTRIES = 2**20
"""Entries that are looked at together when examples are checked."""


class Stored:
    """Examples that are no array: they give arrays for indices."""

    __slots__ = ("dtype", "ndim", "shape", "source", "who")

    def __init__(self, source: Any, who: str) -> None:
        """Take shape and element type; no entry is read."""
        self.source, self.who = source, who
        self.shape = tuple(int(size) for size in source.shape)
        self.ndim, self.dtype = len(self.shape), np.dtype(source.dtype)

    def __getitem__(self, chosen: Any) -> Array:
        indices = np.arange(self.shape[0])[chosen] if isinstance(chosen, slice) else chosen
        found = np.asarray(self.source[indices])
        if found.shape != (len(indices), *self.shape[1:]) or found.dtype != self.dtype:
            wanted = f"{self.dtype} of shape {(len(indices), *self.shape[1:])}"
            raise DataError(f"{self.who}: {len(indices)} indices must give {wanted}; got {found.dtype} of shape {found.shape}")
        return found


def _source(value: Any, who: str) -> Any:
    """An array, or what stands for one."""
    if isinstance(value, (np.ndarray, list, tuple)) or not all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__")):
        return _inputs.as_array(value, who)
    try:
        return Stored(value, who)
    except (TypeError, ValueError):  # of another library, whose element types NumPy does not know
        return _inputs.as_array(value, who)


def part(graph: Graph, arrays: Mapping[str, Any], chosen: Any) -> dict[str, Array]:
    """Some of the examples, and whole what has no axis for the batch."""
    return {name: array[chosen] if BATCH in graph.inputs[name] else array for name, array in arrays.items()}


def pieces(array: Any) -> Iterator[tuple[int, Array]]:
    """The array in pieces of bounded size, each with the index of its first entry."""
    if not array.ndim:
        yield 0, np.asarray(array)
        return
    rows = max(1, _ENTRIES // max(1, math.prod(array.shape[1:])))
    for first in range(0, array.shape[0], rows):
        yield first, np.asarray(array[first : first + rows])


def fingerprint(examples: Examples) -> str:
    """A checksum over names, shapes, element types and entries, to know the same examples again."""
    found = 0
    for name in sorted(examples):
        array = _source(examples[name], name)
        found = zlib.crc32(f"{name} {array.shape} {array.dtype.str}".encode(), found)
        for _, piece in pieces(array):
            found = zlib.crc32(np.ascontiguousarray(piece).data, found)
    return f"{found:08x}"


def checked(given: Examples, who: str, graph: Graph, needed: Sequence[str] | None, dtype: DTypeLike) -> tuple[dict[str, Any], int]:
    """Hold examples to what the graph needs, all of its inputs unless said otherwise, and count them."""
    if not isinstance(given, Mapping) or not given:
        got = "an empty one" if isinstance(given, Mapping) else type(given).__name__
        raise DataError(f"{who}: examples are a mapping of graph inputs to arrays, as {{'x': images, 't': targets}}; got {got}")
    needed = list(graph.inputs) if needed is None else needed
    _inputs.check_names(graph, given, needed)
    arrays = {name: _source(array, f"{who}: {name!r}") for name, array in given.items() if name in needed or who == "train"}
    sizes = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items() if BATCH in graph.inputs[name]}
    if len(set(sizes.values())) != 1 or not all(sizes.values()):
        raise DataError(f"{who}: arrays must have the same number of examples, at least one; got {', '.join(f'{n} {s}' for n, s in sizes.items()) or 'none'}")
    uses = _inputs.uses(graph)
    _inputs.check_arrays(arrays, uses, np.dtype(dtype))
    for name, array in arrays.items():
        for first, piece in pieces(array) if array.dtype.kind == "f" or uses[name].below is not None else ():
            _check_piece(f"{who}: {name!r}", piece, first)
            try:
                if uses[name].below is not None or uses[name].unit:
                    _inputs.check_values(name, piece, uses[name], first)
            except DataError as error:
                raise DataError(f"{who}: {error}") from None
    return arrays, next(iter(sizes.values()))


def _check_piece(who: str, piece: Array, first: int) -> None:
    if piece.dtype.kind == "f" and not np.isfinite(piece).all():
        where = first + int((np.argwhere(~np.isfinite(piece)).reshape(-1)[:1].tolist() or [0])[0])
        raise DataError(f"{who} must be finite; example {where} holds a NaN or an infinity; clean or drop it")
