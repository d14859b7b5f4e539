"""Convolution as products of kernels and windows, one for each row of the output (Bouvrie 2006, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnframe import ROWS_FIRST, Array, Arrays, Buffer, Call, Chain, Kernel, MemoryLayout, Op

from .._windows import Geometry
from ..conv import Conv
from ._dense import product
from ._rows import Rows

FEW = 8
"""From this batch on the runs of samples are long enough to be added one by one."""

LARGER, LARGER_OF_FEW = 1.5, 3.0
"""How many times as large as the output the input may be for its gradient to be gathered, and of few samples."""

NEAR = 2**15
"""Entries of products that are made before they are added up."""

SHORT, MANY = 256, 2**13
"""Of rows with fewer columns, and kernels with more weights, all are one product: one for each would take less time than adding them up."""


class ConvKernel(Kernel):
    """Windows are copied once and serve both the output and the kernel's gradient; the input's is gathered likewise, or scattered row by row."""

    name = "numpy_conv"
    keeps = frozenset()

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A convolution."""
        return int(type(ops[0]) is Conv)

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # it has its own
        """Rows first."""
        return ROWS_FIRST, ROWS_FIRST

    @classmethod
    def examples(cls) -> Sequence[tuple[Op, Mapping[str, tuple[int, ...]]]]:
        """So many weights that all rows are one product, whose gradient is gathered, or scattered."""
        return [
            (Conv(maps=64, size=3, padding=1), {"x": (1, 16, 2, 2)}),
            (Conv(maps=64, size=3, stride=2, orientation="correlation"), {"x": (2, 16, 5, 4)}),
        ]

    def __init__(self, chain: Chain, taken: MemoryLayout, left: MemoryLayout) -> None:
        """Work out the sizes."""
        super().__init__(chain, taken, left)
        self.op: Any = chain.ops[0]
        op = self.op
        self.batch, maps_in, *space = chain.given[0]["x"]
        output = Geometry(op.size, op.stride, op.padding, op.dilation).output(space)
        self.each = op.maps // op.groups
        weights = self.each * math.prod(op.size) * maps_in // op.groups
        self.whole = (output[0] == 1 or math.prod(output[1:]) * self.batch < SHORT) and weights > MANY
        # A map that is a single row of rows.
        one, none = ((1,), (0,)) if self.whole else ((), ())
        self.size, self.space, self.padding = (*one, *op.size), (*one, *space), (*none, *op.padding)
        stride, dilation, self.output = (*one, *op.stride), (*one, *op.dilation), (*one, *output)
        self.extents = tuple(d * (k - 1) for d, k in zip(dilation, self.size, strict=True))
        padded = tuple(m + 2 * p for m, p in zip(self.space, self.padding, strict=True))
        around = tuple(m + e for m, e in zip(self.space, self.extents, strict=True))
        self.rows = Rows(maps_in, op.groups, self.size, stride, dilation, padded, self.output, self.batch)
        self.back = Rows(op.maps, op.groups, self.size, (1,) * len(self.size), dilation, around, self.space, self.batch)

    def buffers(self) -> Mapping[str, Buffer]:
        """The windows, the padded input, kernels as they lie over rows of windows, and arrays whose maps have to lie in one piece."""
        dtype, op, rows = self.chain.dtype, self.op, self.rows
        found = {"windows": Buffer(rows.shape, dtype, kept=True)}
        kernel = (op.maps, self.size[0], rows.fan, *self.size[1:])
        if not self._straight:
            found["kernel"] = Buffer(kernel, dtype, kept=True)
        if any(op.padding):
            found["padded"] = self._maps(rows.maps, rows.space)
        if self.whole:
            found["made"] = self._maps(op.maps, self.output)
        if "k" in self.chain.wanted[0]:
            if not self._straight:
                found["slope"] = Buffer(kernel, dtype)
            found["parts"] = Buffer((min(self.output[0], max(1, NEAR // (self.each * rows.terms))), self.each, rows.terms), dtype)
        if "x" in self.chain.wanted[0] and self.gathers:
            found["bordered"] = self._maps(op.maps, self.back.space)
            found["around"] = Buffer(self.back.shape, dtype)
            found["turned"] = Buffer((op.groups, rows.fan, self.size[0], self.each, *self.size[1:]), dtype)
            if self.whole:
                found["gathered"] = self._maps(rows.maps, self.space)
        elif "x" in self.chain.wanted[0]:
            found["spread"] = Buffer(rows.shape, dtype)
            found["products"] = Buffer((rows.terms, math.prod(self.output[1:]) * self.batch), dtype)
        return found

    @property
    def _straight(self) -> bool:
        """Whether kernels lie over the windows as they are stored."""
        return self.whole and bool(self.op.orientation == "correlation")

    @property
    def gathers(self) -> bool:
        """Whether the gradient of the input is a convolution of the sensitivities, which must not be much larger than the first."""
        if set(self.rows.stride) != {1} or any(p > e for p, e in zip(self.padding, self.extents, strict=True)):
            return False
        return math.prod(self.space) <= (LARGER_OF_FEW if self.batch < FEW else LARGER) * math.prod(self.output)

    def _maps(self, maps: int, space: Sequence[int]) -> Buffer:
        first, *others = space
        return Buffer((first, maps, *others, self.batch), self.chain.dtype)

    def _view(self, array: Array) -> Array:
        """View an array with rows first as the products take it."""
        return np.moveaxis(array, 0, 1)[None] if self.whole else array

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        op, buffers = self.op, arrays.buffers
        x, y, k, b = self._view(arrays.given[0]["x"]), self._view(arrays.outputs["y"]), arrays.given[0]["k"], arrays.given[0]["b"]
        source, made, oriented = buffers.get("padded", x), buffers.get("made", y), self._oriented(k)
        inner, kernel = source[self._places(self.padding, self.space)], buffers.get("kernel", oriented)
        fills = self.rows.fills(source, buffers["windows"])
        weights = kernel.reshape(op.groups, self.each, -1)
        products = [(weights[g], read, into) for g, read, into in self.rows.pairs(buffers["windows"], made)]
        column = b.reshape(-1, *(1,) * (y.ndim - 2))

        def forward() -> None:
            if source is not x:
                source.fill(0)
                np.copyto(inner, x)
            for into, view in fills:
                np.copyto(into, view)
            if kernel is not oriented:
                np.copyto(kernel, oriented)
            for weight, read, into in products:
                np.matmul(weight, read, out=into)
            np.add(made, column, out=y)

        return forward, self._backward(arrays) if self.chain.learns else None

    @staticmethod
    def _places(starts: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
        """Where in an array with a border something is."""
        first, *others = (slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
        return (first, slice(None), *others)

    def _oriented(self, k: Array) -> Array:
        """View kernels (maps, fan, *size) as they lie over the windows, (maps, rows, fan, *others)."""
        turned = k if self.op.orientation == "correlation" else np.flip(k, tuple(range(2, k.ndim)))
        return turned[:, None] if self.whole else turned.swapaxes(1, 2)

    def _backward(self, arrays: Arrays) -> Call:
        """The gradients: of the kernel more products with the windows (section 3.1.1)."""
        wanted, into, dy = self.chain.wanted[0], arrays.gradients[0], self._view(arrays.cotangents["y"])
        made = arrays.buffers.get("made", dy)
        kernel = arrays.buffers.get("kernel", self._oriented(arrays.given[0]["k"])).reshape(self.op.groups, self.each, self.size[0], -1, *self.size[1:])
        flat = made.reshape(*made.shape[:2], -1)
        weigh = self._weigh(arrays, made) if "k" in wanted else None
        bring = None if "x" not in wanted else (self._gather if self.gathers else self._scatter)(arrays, kernel, made)

        def backward() -> None:
            if made is not dy:
                np.copyto(made, dy)
            if "b" in into:
                # A sum over two axes that takes a third of the time of a reduction.
                np.einsum("rmc->m", flat, out=into["b"])
            if weigh is not None:
                weigh()
            if bring is not None:
                bring()

        return backward

    def _weigh(self, arrays: Arrays, dy: Array) -> Call:
        """The gradient of the kernel: a product for each row, some of which are made before they are added up."""
        parts, dk = arrays.buffers["parts"], self._oriented(arrays.gradients[0]["k"])
        slope = arrays.buffers.get("slope", dk)
        totals, most, one = slope.reshape(self.op.groups, self.each, -1), len(parts), self.output[0] == 1
        pairs = [
            (totals[g], cotangent[start : start + most], read[start : start + most].transpose(0, 2, 1))
            for g, read, cotangent in self.rows.pairs(arrays.buffers["windows"], dy)
            for start in range(0, len(read), most)
        ]
        times = product(math.prod(self.output[1:]) * self.batch)

        def weigh() -> None:
            if not one:
                slope.fill(0)
            for total, cotangent, read in pairs:
                room = total[None] if one else parts[: len(read)]
                times(cotangent, read, out=room)
                if not one:
                    np.add(room[0], total, out=room[0])
                    np.add.reduce(room, axis=0, out=total)
            if slope is not dk:
                np.copyto(dk, slope)

        return weigh

    def _gather(self, arrays: Arrays, kernel: Array, dy: Array) -> Call:
        """The full convolution of the sensitivities with the turned kernels (section 3.1.1)."""
        op, dx = self.op, self._view(arrays.gradients[0]["x"])
        bordered, around, turned = (arrays.buffers[name] for name in ("bordered", "around", "turned"))
        made = arrays.buffers.get("gathered", dx)
        inner = bordered[self._places([e - p for e, p in zip(self.extents, self.padding, strict=True)], self.output)]
        oriented = np.flip(kernel, (2, *range(4, kernel.ndim))).swapaxes(1, 3)
        fills, weights = self.back.fills(bordered, around), turned.reshape(op.groups, self.rows.fan, -1)
        products = [(weights[g], read, into) for g, read, into in self.back.pairs(around, made)]

        def gather() -> None:
            bordered.fill(0)
            np.copyto(inner, dy)
            for into, view in fills:
                np.copyto(into, view)
            np.copyto(turned, oriented)
            for weight, read, into in products:
                np.matmul(weight, read, out=into)
            if made is not dx:
                np.copyto(dx, made)

        return gather

    def _scatter(self, arrays: Arrays, kernel: Array, dy: Array) -> Call:
        """Products for windows, row by row, then an addition for each entry of a kernel's row (the adjoint of the forward pass)."""
        dx, spread, room = self._view(arrays.gradients[0]["x"]), arrays.buffers["spread"], arrays.buffers["products"]
        target = arrays.buffers.get("padded", dx)
        inner, spills = target[self._places(self.padding, self.space)], self.rows.spills(spread, target)
        weights = kernel.reshape(self.op.groups, self.each, -1)
        pairs = [(weights[g].T, cotangent, into) for g, into, cotangent in self.rows.pairs(spread, dy)]
        alone = self.rows.alone[0]

        def scatter() -> None:
            spread.fill(0)
            for weight, cotangent, into in pairs:
                if alone:
                    np.matmul(weight, cotangent, out=into)
                    continue
                for one, row in zip(cotangent, into, strict=True):
                    np.matmul(weight, one, out=room)
                    np.add(row, room, out=row)
            target.fill(0)
            for place, piece in spills:
                np.add(place, piece, out=place)
            if target is not dx:
                np.copyto(dx, inner)

        return scatter
