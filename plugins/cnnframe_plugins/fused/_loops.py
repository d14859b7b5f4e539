"""Sizes of a stage's buffers, for vectors across the batch ("lanes"), across columns ("rows") or across maps ("maps").

A kernel goes through blocks: of as many samples as a vector has lanes, or of one sample. Buffers that one block needs
stay in cache: the input with its border of zeros, and the sensitivities of the convolution. Per entry of a row there
are `step` numbers, and a vector covers `span` columns: lanes and 1, or 1 and lanes.

Each entry is summed in the order bias, input map, kernel row, kernel column; gradients by block, then over lanes, and in "rows"
those of kernels over lanes, then by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ._expression import Source
from ._geometry import Chain, Linear
from ._text import Text, Tiles, best_tile, cut

TOGETHER: Final = 6
"""So many output maps of one picture have enough work in common to be computed apart from others."""

APART: Final = 1 << 17
"""So many weights and as many gradients of weights are too many for the second cache."""
SMALL: Final = 128
"""Entries of a map for which those are read again soon; the time that this takes goes with the weights, and that of products with both."""


@dataclass(frozen=True)
class Taps:
    """Which taps of one axis of a kernel add to an entry, and what they read.

    Entry e reads at e * stride + start + i * each by tap first + i * step, for i below count.
    """

    count: int
    stride: int = 1
    start: int = 0
    each: int = 1
    first: int = 0
    step: int = 1


@dataclass(frozen=True)
class Loops:
    """Sizes of all buffers, and what writes the source.

    Attributes:
        chain: the stage.
        first, second: sources of its activations.
        mode: "lanes", "rows" or "maps".
        lanes: entries of a vector.
        registers: of the CPU.
        dx: whether the gradient of the input is wanted.
        border: rows and columns of zeros around the output, in "maps".
    """

    chain: Chain
    first: Source | None
    second: Source | None
    mode: str
    lanes: int
    registers: int
    dx: bool
    border: int = 0

    @property
    def linear(self) -> Linear:
        """The convolution."""
        return self.chain.linear

    @property
    def summed(self) -> bool:
        """Whether the pooling is a sum, which is scaled and shifted."""
        return self.chain.pool is not None and self.chain.pool.kind == "sum"

    @property
    def sums(self) -> tuple[str, ...]:
        """The gradients that have a number for each output map."""
        return ("db", "dbeta", "dshift") if self.summed else ("db",)

    @property
    def step(self) -> int:
        """Numbers from one column to the next."""
        return 1 if self.mode == "rows" else self.lanes

    @property
    def span(self) -> int:
        """Columns that a vector covers."""
        return self.lanes if self.mode == "rows" else 1

    @property
    def inner(self) -> int:
        """Input maps side by side, in "maps": a vector of them, or all of a few whose gradient nobody wants."""
        return self.lanes if self.dx else min(self.lanes, self.linear.maps_in)

    @property
    def vectors_in(self) -> int:
        """How many times as many input maps there are, in "maps"; behind the last ones there may be zeros."""
        return -(-self.linear.maps_in // self.inner)

    @property
    def slices(self) -> int:
        """Maps, or vectors of them; behind the last map of a vector there may be zeros."""
        return -(-self.linear.maps // self.lanes) if self.mode == "maps" else self.linear.maps

    @property
    def full(self) -> bool:
        """Whether all vectors of maps are full, in "maps"."""
        return self.held_weights == self.linear.weights

    @property
    def held_weights(self) -> int:
        """Numbers that the weights take where they are brought into the order in which they are read, in "maps"."""
        return self.slices * self.lanes * self.vectors_in * self.inner * self.linear.size[0] * self.linear.size[1]

    @property
    def vectors(self) -> int:
        """Vectors in a row of the convolution's output."""
        return -(-self.linear.columns // self.span)

    @property
    def pooled_vectors(self) -> int:
        """Vectors in a row after the pooling."""
        return -(-self.chain.pool.columns // self.span) if self.chain.pool else 0

    @property
    def input_vectors(self) -> int:
        """Vectors in a row of the input."""
        return -(-self.linear.width // self.span)

    @property
    def copies(self) -> bool:
        """Whether the input is copied between borders first."""
        return self.mode == "rows" or (self.mode == "lanes" and self.linear.padding != (0, 0))

    @property
    def x_row(self) -> int:
        """Numbers in a row of the input as the convolution reads it."""
        _, width = self.linear.padded
        if self.mode != "rows":
            return width * (self.lanes if self.mode == "lanes" else self.inner)
        reach = (self.linear.size[1] - 1) * self.linear.dilation[1]
        return max(width, self.vectors * self.lanes + reach)

    @property
    def x_map(self) -> int:
        """Numbers in a map of the input as the convolution reads it."""
        return self.x_row * self.linear.padded[0]

    @property
    def y_row(self) -> int:
        """Numbers in a row of the activation's output."""
        if self.mode != "rows":
            return (self.linear.columns + 2 * self._around) * self.lanes
        pooled = self.chain.pool.size[1] * self.pooled_vectors if self.chain.pool else 0
        return max(self.vectors, pooled) * self.lanes

    @property
    def y_map(self) -> int:
        """Numbers in a map of the activation's output."""
        return self.y_row * (self.linear.rows + 2 * self._around)

    @property
    def _around(self) -> int:
        """The border of the activation's output, where that is the stage's."""
        return self.border if self.chain.pool is None else 0

    @property
    def y_start(self) -> int:
        """Where in a block of the activation's output the first entry is."""
        return self._around * (self.y_row + self.lanes)

    @property
    def out_size(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        last = self.chain.pool or self.linear
        return last.rows, last.columns

    def out_place(self, c: str, r: str, v: str) -> str:
        """Where in a block of the output a vector is."""
        (rows, wide), b = self.out_size, self.border
        row = (wide + 2 * b) * self.step
        return f"({c} * {rows + 2 * b} + {r}) * {row} + {v} * {self.lanes} + {b * (row + self.step)}"

    @property
    def windows(self) -> tuple[Taps, Taps]:
        """What the output reads of the input between its borders, by rows and columns."""
        rows, columns = (Taps(k, s, 0, d) for k, s, d in zip(self.linear.size, self.linear.stride, self.linear.dilation, strict=True))
        return rows, columns

    def phase(self, axis: int, first: int) -> Taps:
        """What entries first, first + stride, ... of the input read of the sensitivities between their borders, by taps of the flipped kernel, in "maps"."""
        linear = self.linear
        size, stride, dilation = linear.size[axis], linear.stride[axis], linear.dilation[axis]
        # Tap k of a kernel brings entry i to entry (i + padding - k dilation) / stride of the output.
        met = [k for k in reversed(range(size)) if (first + linear.padding[axis] - k * dilation) % stride == 0]
        places = [(first + linear.padding[axis] - k * dilation) // stride + self._edges(axis)[0] for k in met]
        if not met:
            return Taps(0)
        step, each = (met[0] - met[1], places[1] - places[0]) if len(met) > 1 else (1, 1)
        return Taps(len(met), 1, places[0], each, size - 1 - met[0], step)

    def _edges(self, axis: int) -> tuple[int, int]:
        """How many zeros the sensitivities need before and behind them, in "maps"."""
        linear = self.linear
        size, stride, dilation, padding = linear.size[axis], linear.stride[axis], linear.dilation[axis], linear.padding[axis]
        extent, total = ((linear.height, linear.rows), (linear.width, linear.columns))[axis]
        reached = [(i + padding - k * dilation) // stride for i in range(extent) for k in range(size) if (i + padding - k * dilation) % stride == 0]
        return (max(0, -min(reached, default=0)), max(0, max(reached, default=0) + 1 - total)) if self.dx else (0, 0)

    @property
    def left(self) -> int:
        """Columns of zeros before the sensitivities."""
        if self.mode == "maps":
            return self._edges(1)[0]
        return max(0, (self.linear.size[1] - 1) * self.linear.dilation[1] - self.linear.padding[1]) if self.dx else 0

    @property
    def d_start(self) -> int:
        """Where in a map of the sensitivities the first one is: behind columns of zeros, and in "maps" rows of them."""
        above = self._edges(0)[0] if self.mode == "maps" else 0
        return above * self.d_row + self.left * self.step

    @property
    def d_row(self) -> int:
        """Numbers in a row of the sensitivities, with zeros around and between them where the convolution strides."""
        if self.mode == "maps":
            return (self.linear.columns + sum(self._edges(1))) * self.lanes
        columns = (self.linear.columns - 1) * self.spread + 1
        if self.mode == "rows":
            columns = self.y_row
        if self.dx:
            columns = max(columns, self.linear.padding[1] + self.input_vectors * self.span)
        return (self.left + columns) * self.step

    @property
    def spread(self) -> int:
        """Columns from one sensitivity to the next."""
        return self.linear.stride[1] if self.dx and self.mode != "maps" else 1

    @property
    def d_map(self) -> int:
        """Numbers in a map of the sensitivities."""
        return self.d_row * (self.linear.rows + (sum(self._edges(0)) if self.mode == "maps" else 0))

    @property
    def out_block(self) -> int:
        """Numbers of a block of the output."""
        if self.mode == "maps":
            rows, wide = self.out_size
            return self.slices * self.lanes * (rows + 2 * self.border) * (wide + 2 * self.border)
        total = self.step
        for size in self.chain.shape[1:]:
            total *= size
        return total

    @property
    def in_block(self) -> int:
        """Numbers of a block of the input."""
        if self.mode == "maps":
            return self.vectors_in * self.inner * self.linear.padded[0] * self.linear.padded[1]
        return self.linear.maps_in * self.linear.height * self.linear.width * self.step

    @property
    def keeps_y(self) -> bool:
        """Whether the first activation's output lies in `saved`: if a pooling hides it, or in rows if it is read again, as whole vectors."""
        return self.chain.pool is not None or (self.mode == "rows" and self.first is not None and "y" in self.first.reads)

    @property
    def passes(self) -> bool:
        """Whether a row of the output is in scratch until it is copied: in rows, if it is not in `saved`."""
        return self.mode == "rows" and not self.keeps_y

    @property
    def reads_output(self) -> bool:
        """Whether `backward` reads the output itself."""
        last = self.first if self.chain.pool is None else self.second
        return last is not None and "y" in last.reads

    @property
    def apart(self) -> bool:
        """Whether gradients of inputs come when those of the weights are done, in "maps": of many weights, for small maps, no cache holds both."""
        return self.mode == "maps" and self.dx and self.linear.weights >= APART * max(1, self.linear.rows * self.linear.columns / SMALL)

    @property
    def near(self) -> bool:
        """Whether sensitivities are needed of some maps at a time, those of a tile."""
        return not self.dx and self.mode != "maps"

    @property
    def lane_sums(self) -> bool:
        """Whether gradients of kernels are summed up lane by lane until the end; in "rows" there is one vector for few samples or for one alone."""
        return self.mode == "lanes"

    @cached_property
    def share(self) -> int:
        """Output maps of a block: all, or of a single picture whose gradient nobody wants a few, so that threads share it."""
        linear = self.linear
        if self.mode != "rows" or self.chain.batch > 1 or self.dx or linear.links or linear.fan != linear.maps_in:
            return linear.maps
        return next(some for some in range(min(TOGETHER, linear.maps), linear.maps + 1) if linear.maps % some == 0)

    @property
    def shared(self) -> bool:
        """Whether a block is some output maps, and not some samples."""
        return self.share < self.linear.maps

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return self.linear.maps // self.share if self.shared else self.samples

    @property
    def samples(self) -> int:
        """Into how many blocks the batch falls: of as many samples as there are lanes, or of one."""
        return -(-self.chain.batch // (self.lanes if self.mode == "lanes" else 1))

    @property
    def d_at(self) -> str:
        """Where the sensitivities of map c begin, as source."""
        return f"{'(c - co)' if self.near else 'c'} * {self.d_map}"

    @cached_property
    def kernel_tile(self) -> tuple[int, int, int]:
        """Output maps, kernel rows and kernel columns whose sums are in registers, at least loads, with 8 sums in flight."""
        kh, kw = self.linear.size
        maps = 1 if self.linear.links else self.share * self.linear.fan // self.linear.maps_in
        best, least = (1, 1, 1), 1e9
        for width in sorted({kw, -(-kw // 2), -(-kw // 3), min(kw, self.registers - 3)}):
            for rows in range(1, kh + 1):
                for some in range(1, maps + 1):
                    if some * rows * width + some + 1 > self.registers:
                        continue
                    cost = 0.0
                    for _, c, n in cut(maps, some):
                        for _, r, k in cut(kh, rows):
                            for _, w, q in cut(kw, width):
                                cost += n * k * q * max(c * r * w, c + r * w, 8)
                    if cost < least:
                        best, least = (some, rows, width), cost
        return best

    @property
    def keeps_x(self) -> bool:
        """Whether what is kept of the first activation's input lies in `saved`."""
        return self.first is not None and "x" in self.first.reads

    @property
    def keeps_u(self) -> bool:
        """Whether what is kept of the second activation's input lies in `saved`."""
        return self.second is not None and "x" in self.second.reads

    @property
    def parts(self) -> dict[str, int]:
        """Where in a block of `saved` its parts begin, and at "end" its size."""
        found, total = {}, 0
        pooled = self.chain.pool.rows * self.pooled_vectors * self.lanes if self.chain.pool else 0
        for name, there, size in (("y", self.keeps_y, self.y_map), ("x", self.keeps_x, self.y_map), ("u", self.keeps_u, pooled)):
            if there:
                found[name], total = total, total + size * self.slices
        return {**found, "end": total}

    @property
    def scratch(self) -> dict[str, int]:
        """Where in the scratch of a thread its parts begin, and at "end" its size."""
        sizes = {
            "x": self.linear.maps_in * self.x_map if self.copies else 0,
            "d": (self.kernel_tile[0] if self.near else self.slices) * self.d_map,
            "dk": {"lanes": self.linear.weights * self.lanes, "rows": 0, "maps": self.held_weights}[self.mode],
            "db": 3 * self.slices * self.lanes,
            "k": self.held_weights if self.mode == "maps" and not self.apart else 0,
            "b": 3 * self.slices * self.lanes if self.mode == "maps" and self.linear.maps % self.lanes else 0,
            "y": self.slices * self.y_row if self.passes else 0,
        }
        found, total = {}, 0
        for name, size in sizes.items():
            found[name], total = total, total + -(-size // 16) * 16
        if self.apart:
            found["k"] = found["dk"]
        # What is read past the end of a row of the last map is not used, but must be there.
        return {**found, "end": total + 4 * self.lanes}

    def tile(self, columns: int, maps: int) -> tuple[int, int]:
        """Vectors of columns by maps in registers."""
        return best_tile(columns, 1 if self.linear.links else maps, self.registers)

    def pieces(self, total: int, width: int, columns: int) -> Tiles:
        """Tiles of vectors; in a row whose last vector is not full, the last tile stands alone, so that its place is known."""
        tiles = cut(total, width)
        if columns % self.span:
            start, size, count = tiles[-1]
            if count > 1:
                tiles[-1:] = [(start, size, count - 1), (start + (count - 1) * size, size, 1)]
        return tiles


@contextmanager
def sample(t: Text, s: Loops) -> Iterator[None]:
    """A loop over blocks of samples n; where blocks are of maps there is one sample."""
    if s.shared:
        t("n = 0")
        yield
    else:
        with t.block("for n in range(first, last):"):
            yield


@contextmanager
def maps_apart(t: Text, s: Loops) -> Iterator[tuple[int, str]]:
    """A loop over groups g, or over blocks of maps; how many maps each has, and which is the first."""
    if s.shared:
        t("g = 0")
        with t.block("for part in range(first, last):"):
            yield s.share, f"part * {s.share}"
    else:
        groups = 1 if s.linear.links else s.linear.maps_in // s.linear.fan
        each = s.linear.maps // groups
        with t.repeat("g", groups):
            yield each, f"g * {each}"


def copy_in(t: Text, s: Loops) -> None:
    """Copy a block of the input between borders that are zero already."""
    linear, (top, left) = s.linear, s.linear.padding
    with t.repeat("ci", linear.maps_in), t.repeat("h", linear.height):
        t(f"p = (ci * {linear.height} + h) * {linear.width * s.step}", f"q = ci * {s.x_map} + (h + {top}) * {s.x_row} + {left * s.step}")
        if s.mode == "lanes":
            with t.repeat("v", linear.width):
                t(f"store(X, q + v * {s.lanes}, load(x, p + v * {s.lanes}))")
            return
        whole, part = divmod(linear.width, s.lanes)
        if whole:
            with t.repeat("v", whole):
                t(f"store(X, q + v * {s.lanes}, load(x, p + v * {s.lanes}))")
        if part:
            t(f"store_part(X, q + {whole * s.lanes}, load_part(x, p + {whole * s.lanes}, {part}), {part})")


def zero(t: Text, name: str, count: int, lanes: int) -> None:
    """Fill a part of the scratch, which is a whole number of vectors, with zeros."""
    with t.block(f"for i in range(0, {-(-count // 16) * 16}, {lanes}):"):
        t(f"store({name}, i, splat(0.0))")


def columns(total: int, lanes: int) -> list[tuple[int, int, int]]:
    """First vector, number of vectors, and lanes of each, in a row of `total` columns: the whole ones and the last."""
    whole, part = divmod(total, lanes)
    return [piece for piece in ((0, whole, lanes), (whole, 1, part)) if piece[1] and piece[2]]
