"""Arrays larger than memory: mapped from files, and changed as they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError


def open_arrays(folder: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a folder by the names of their files, x.npy and t.npy as {"x": ..., "t": ...}; they are mapped, not loaded.

    `numpy.lib.format.open_memmap` writes such a file a piece at a time.

    Raises:
        DataError: there is none, one cannot be read, is truncated or holds Python objects, or they have different numbers of examples.
    """
    place = Path(folder)
    if not place.is_dir():
        raise DataError(f"open_arrays: {place} is no folder")
    found = {path.stem: map_array(path) for path in sorted(place.glob("*.npy")) if path.is_file()}
    if not found:
        raise DataError(f"open_arrays: {place} holds no file *.npy; save arrays as x.npy and t.npy there")
    counts = {name: array.shape[0] if array.ndim else 0 for name, array in found.items()}
    if len(set(counts.values())) != 1 or not all(counts.values()):
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(f"open_arrays: the arrays of {place} must have the same number of examples, at least one; got {told}")
    return found


def map_array(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file, mapped and read-only.

    Raises:
        DataError: it cannot be read, is truncated, or holds Python objects.
    """
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (ValueError, OSError, EOFError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError) as error:
        raise DataError(f"{path} is no array that can be mapped: {error}; save it with numpy.save(..., allow_pickle=False)") from None


@dataclass(frozen=True)
class Lazy:
    """An array whose entries are made when they are read: `rule(source[chosen])`, example by example the same.

    It answers `shape`, `dtype`, `len` and indexing by a number, a slice or an array of indices, which is what a trainer asks of examples.

    Attributes:
        source: what lies on the disk, such as mapped images of bytes.
        rule: a pure function of some examples, such as a `Preparation`.
    """

    source: Any
    rule: Callable[[Any], NDArray[Any]]

    def __post_init__(self) -> None:
        """Refuse what has no examples."""
        if not hasattr(self.source, "shape") or not self.source.shape or not self.source.shape[0] or not callable(self.rule):
            raise DataError(f"Lazy: an array with at least one example and a function are wanted; got {type(self.source).__name__} and {self.rule!r:.60}")

    @cached_property
    def _first(self) -> NDArray[Any]:
        return np.asarray(self.rule(self.source[:1]))

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples, and the axes of one after the rule."""
        return (int(self.source.shape[0]), *self._first.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type after the rule."""
        return self._first.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._first.ndim

    def __len__(self) -> int:
        return int(self.source.shape[0])

    def __getitem__(self, chosen: Any) -> NDArray[Any]:
        if isinstance(chosen, (int, np.integer)):
            return np.asarray(self[np.array([chosen])][0])
        found = self.source[chosen]
        return np.asarray(self.rule(found)) if len(found) else np.empty((0, *self.shape[1:]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 # NumPy calls it so
        """All of it, for whoever asks for that."""
        if copy is False:
            raise ValueError("Lazy: an array that is made when it is read cannot be had without a copy")
        return np.asarray(self[:], dtype)
