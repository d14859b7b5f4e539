"""Windows over spatial axes: the geometry that convolution and pooling share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnframe import Array


@dataclass(frozen=True)
class Geometry:
    """Size, stride, zero padding and dilation of a window, one value a spatial axis."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def plain(cls, size: tuple[int, ...], stride: tuple[int, ...]) -> Geometry:
        """Windows without padding or dilation."""
        return cls(size, stride, (0,) * len(size), (1,) * len(size))

    @property
    def spatial(self) -> tuple[int, ...]:
        """The spatial axes of an array with a batch and a map axis before them."""
        return tuple(range(2, 2 + len(self.size)))

    def windows(self, x: Array) -> Array:
        """View x (n, i, *map) as (n, i, *output, *window), zero-padded."""
        if any(self.padding):
            x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding)))
        reach = tuple(d * (s - 1) + 1 for s, d in zip(self.size, self.dilation, strict=True))
        view = sliding_window_view(x, reach, axis=self.spatial)
        steps = tuple(slice(None, None, s) for s in self.stride)
        taps = tuple(slice(None, None, d) for d in self.dilation)
        return view[(slice(None), slice(None), *steps, *taps)]

    def taps(self) -> Iterator[tuple[int, ...]]:
        """Every position within the window."""
        yield from np.ndindex(*self.size)

    def output(self, maps: Sequence[int]) -> tuple[int, ...]:
        """How many windows fit along each axis of a map of this size."""
        return tuple(
            (m + 2 * p - d * (size - 1) - 1) // s + 1 for m, size, s, p, d in zip(maps, self.size, self.stride, self.padding, self.dilation, strict=True)
        )

    def reads(self, tap: Sequence[int], output: Sequence[int]) -> tuple[slice, ...]:
        """The index of a padded (n, i, *map) that picks the entry under `tap` for every output position."""
        starts = [t * d for t, d in zip(tap, self.dilation, strict=True)]
        picked = [slice(start, start + s * (o - 1) + 1, s) for start, s, o in zip(starts, self.stride, output, strict=True)]
        return (slice(None), slice(None), *picked)

    def scatter(self, shape: Sequence[int], pieces: Array) -> Array:
        """Add pieces (n, i, *output, *window) back where `windows` read them; the adjoint of `windows`."""
        n, i, *maps = shape
        out = np.zeros((n, i, *(m + 2 * p for m, p in zip(maps, self.padding, strict=True))), pieces.dtype)
        output = pieces.shape[2 : 2 + len(self.size)]
        for tap in self.taps():
            out[self.reads(tap, output)] += pieces[(..., *tap)]
        return out[(slice(None), slice(None), *(slice(p, p + m) for p, m in zip(self.padding, maps, strict=True)))]

    @property
    def area(self) -> int:
        """How many entries a window has."""
        return math.prod(self.size)
