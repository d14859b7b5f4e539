"""Windows that are copied along the rows of maps alone, with the batch innermost.

What a row of a convolution's output reads is then one piece of memory, and the next row reads most of it too. Rows stand for the
first axis of a map, however many axes it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnframe import Array


@dataclass(frozen=True)
class Rows:
    """The windows of a convolution along the rows of an array (rows, maps, *other axes, n) without padding.

    Attributes:
        maps: of the input.
        groups: of maps.
        size, stride, dilation: of the kernel by axis.
        space: the size of an input map.
        output: of an output map.
        batch: the number of samples.
    """

    maps: int
    groups: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    space: tuple[int, ...]
    output: tuple[int, ...]
    batch: int

    @property
    def fan(self) -> int:
        """Maps of a group."""
        return self.maps // self.groups

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the windows: rows that one window meets lie behind each other, those of each remainder by the dilation together."""
        apart = self.dilation[0]
        return (self.groups, apart, -(-self.space[0] // apart), self.fan, *self.size[1:], *self.output[1:], self.batch)

    @property
    def terms(self) -> int:
        """Products that are added up in an entry of the output."""
        return math.prod(self.size) * self.fan

    @property
    def alone(self) -> tuple[bool, ...]:
        """For each axis, whether nothing of the input is read for two entries of the output."""
        axes = zip(self.output, self.stride, self.dilation, self.size, strict=True)
        return tuple(places == 1 or stride > dilation * (size - 1) for places, stride, dilation, size in axes)

    def fills(self, x: Array, windows: Array) -> list[tuple[Array, Array]]:
        """Pairs of a part of the windows and the view of x that belongs there."""
        row, maps, *others, batch = x.strides
        taps = (step * d for step, d in zip(others, self.dilation[1:], strict=True))
        moves = (step * s for step, s in zip(others, self.stride[1:], strict=True))
        strides = (self.fan * maps, self.dilation[0] * row, maps, *taps, *moves, batch)
        found = []
        for first in range(min(self.dilation[0], len(x))):
            count = len(x[first :: self.dilation[0]])
            into = windows[:, first, :count]
            found.append((into, as_strided(x[first:], into.shape, strides)))
        return found

    def spills(self, windows: Array, x: Array) -> list[tuple[Array, Array]]:
        """Pairs of a view of x and the part of the windows that is to be added there: the adjoint of `fills`."""
        if all(self.alone[1:]):
            return [(view, piece) for piece, view in self.fills(x, windows)]
        found = []
        for first in range(min(self.dilation[0], len(x))):
            rows = x[first :: self.dilation[0]]
            for tap in np.ndindex(*self.size[1:]):
                starts = (t * d for t, d in zip(tap, self.dilation[1:], strict=True))
                places = [slice(a, a + s * (o - 1) + 1, s) for a, s, o in zip(starts, self.stride[1:], self.output[1:], strict=True)]
                for g in range(self.groups):
                    own = slice(g * self.fan, (g + 1) * self.fan)
                    found.append((rows[(slice(None), own, *places)], windows[(g, first, slice(len(rows)), slice(None), *tap)]))
        return found

    def pairs(self, windows: Array, y: Array) -> Iterator[tuple[int, Array, Array]]:
        """Group, windows (rows, terms, columns) and output (rows, maps, columns), for rows that lie alike."""
        flat = y.reshape(*y.shape[:2], -1)
        each, columns = flat.shape[1] // self.groups, flat.shape[2]
        read = windows.reshape(*windows.shape[:3], -1)
        stride, apart = self.stride[0], self.dilation[0]
        phases = apart // math.gcd(stride, apart)
        for g in range(self.groups):
            for phase in range(min(phases, len(flat))):
                made = flat[phase::phases, g * each : (g + 1) * each]
                start, first = divmod(phase * stride, apart)
                part = read[g, first, start:]
                row, entry = part.strides
                yield g, as_strided(part, (len(made), self.terms, columns), (phases * stride // apart * row, columns * entry, entry)), made
