"""Convolution as one matrix product of kernels and windows, the batch innermost, so that nothing is transposed (Bouvrie 2006, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnnframe import BATCH_LAST, Array, Arrays, Buffer, Call, Chain, Kernel, MemoryLayout, Op

from .._windows import Geometry
from ..conv import Conv
from ._dense import product

FEW = 8
"""From this batch on its runs are long enough to be moved one by one."""

MOVE = 2500
"""Entries that are moved in the time of one strided addition of few."""


class ConvKernel(Kernel):
    """Windows are copied once and serve both the output and the kernel's gradient; the input's is scattered, tap by tap, or of few samples gathered."""

    name = "numpy_conv"
    keeps = frozenset()

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A convolution."""
        return int(type(ops[0]) is Conv)

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # it has its own
        """The batch last."""
        return BATCH_LAST, BATCH_LAST

    def __init__(self, chain: Chain, taken: MemoryLayout, left: MemoryLayout) -> None:
        """Work out the sizes."""
        super().__init__(chain, taken, left)
        self.op: Any = chain.ops[0]
        op = self.op
        self.geometry = Geometry(op.size, op.stride, op.padding, op.dilation)
        self.batch, self.maps_in, *maps = chain.given[0]["x"]
        self.maps = tuple(maps)
        self.padded = tuple(m + 2 * p for m, p in zip(maps, op.padding, strict=True))
        self.output = self.geometry.output(maps)
        self.fan = self.maps_in // op.groups

    def buffers(self) -> Mapping[str, Buffer]:
        """The windows, the padded input, and the kernel as it lies over the map, where that is another way."""
        dtype, op = self.chain.dtype, self.op
        windows = (self.maps_in, *self.op.size, *self.output, self.batch)
        kernel = (op.maps, self.fan, *op.size)
        found = {"windows": Buffer(windows, dtype, kept=True)}
        if self._flips:
            found["kernel"] = Buffer(kernel, dtype, kept=True)
        if any(self.op.padding):
            found["padded"] = Buffer((self.maps_in, *self.padded, self.batch), dtype)
        if self._flips and "k" in self.chain.wanted[0]:
            found["slope"] = Buffer(kernel, dtype)
        if "x" in self.chain.wanted[0] and self._gathers:
            extents = (d * (k - 1) for d, k in zip(op.dilation, op.size, strict=True))
            found["bordered"] = Buffer((op.maps, *(m + e for m, e in zip(self.maps, extents, strict=True)), self.batch), dtype)
            found["around"] = Buffer((op.maps, *op.size, *self.maps, self.batch), dtype)
            found["turned"] = Buffer((self.maps_in, op.maps // op.groups, *op.size), dtype)
        elif "x" in self.chain.wanted[0]:
            found["pieces"] = Buffer(windows, dtype)
        return found

    @property
    def _flips(self) -> bool:
        """Whether the kernel lies turned over the map, so that a turned copy is what is multiplied."""
        return bool(self.op.orientation == "convolution")

    @property
    def _turn(self) -> tuple[Any, ...]:
        """Turns a kernel (maps, fan, *size) by 180 degrees."""
        return (..., *(slice(None, None, -1) for _ in range(self.op.dims)))

    @property
    def _gathers(self) -> bool:
        """Whether the gradient of the input is gathered by a second convolution: scattering moves runs of a batch, and these are short."""
        reach = zip(self.op.padding, self.op.dilation, self.op.size, strict=True)
        if self.batch >= FEW or set(self.op.stride) != {1} or any(p > d * (k - 1) for p, d, k in reach):
            return False
        copied = self.op.maps * math.prod(self.maps) * self.batch
        scattered = self.maps_in * math.prod(self.output) * self.batch
        return copied < 3 * scattered + MOVE

    @property
    def _apart(self) -> bool:
        """Whether no two windows have an entry in common."""
        extents = (d * (k - 1) + 1 for d, k in zip(self.op.dilation, self.op.size, strict=True))
        return all(stride >= extent or places == 1 for stride, extent, places in zip(self.op.stride, extents, self.output, strict=True))

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        op, buffers = self.op, arrays.buffers
        x, k, b, y = arrays.given[0]["x"], arrays.given[0]["k"], arrays.given[0]["b"], arrays.outputs["y"]
        source = buffers.get("padded", x)
        inner = source[(slice(None), *(slice(p, p + m) for p, m in zip(op.padding, self.maps, strict=True)))]
        windows, kernel, view = buffers["windows"], buffers.get("kernel", k), self._windows(source)
        column = b.reshape(-1, 1)
        groups = range(op.groups)
        rows = self._split(windows.reshape(self.maps_in * self.geometry.area, -1), self.fan * self.geometry.area)
        weights = self._split(kernel.reshape(op.maps, -1), op.maps // op.groups)
        flat = y.reshape(op.maps, -1)
        made = self._split(flat, op.maps // op.groups)

        def forward() -> None:
            if source is not x:
                source.fill(0)
                np.copyto(inner, x)
            np.copyto(windows, view)
            if kernel is not k:
                np.copyto(kernel, k[self._turn])
            for g in groups:
                np.matmul(weights[g], rows[g], out=made[g])
            np.add(flat, column, out=flat)

        return forward, self._backward(arrays, kernel, rows, weights) if self.chain.wanted[0] else None

    def _backward(self, arrays: Arrays, kernel: Array, rows: Sequence[Array], weights: Sequence[Array]) -> Call:
        """The gradients: of the kernel one more product with the windows (section 3.1.1)."""
        op, wanted, into = self.op, self.chain.wanted[0], arrays.gradients[0]
        dy = arrays.cotangents["y"].reshape(op.maps, -1)
        cotangents = self._split(dy, op.maps // op.groups)
        slope = arrays.buffers.get("slope", into.get("k"))
        slopes = [] if slope is None else self._split(slope.reshape(op.maps, -1), op.maps // op.groups)
        times = product(dy.shape[1])
        bring = None if "x" not in wanted else self._gather(arrays, kernel) if self._gathers else self._scatter(arrays, weights, cotangents)

        def backward() -> None:
            if "b" in into:
                np.add.reduce(dy, axis=1, out=into["b"])
            if "k" in into:
                for cotangent, row, part in zip(cotangents, rows, slopes, strict=True):
                    times(cotangent, row.T, out=part)
                if slope is not into["k"]:
                    np.copyto(into["k"], slope[self._turn])
            if bring is not None:
                bring()

        return backward

    def _windows(self, x: Array, places: Sequence[int] = ()) -> Array:
        """View x (maps, *padded, n) as (maps, *size, *places, n); places are those of the output unless given, with a stride of 1."""
        maps, *space, batch = x.strides
        taps = [d * step for d, step in zip(self.op.dilation, space, strict=True)]
        moves = space if places else [s * step for s, step in zip(self.op.stride, space, strict=True)]
        return as_strided(x, (len(x), *self.op.size, *(places or self.output), self.batch), (maps, *taps, *moves, batch))

    def _gather(self, arrays: Arrays, kernel: Array) -> Call:
        """The full convolution of the sensitivities with the turned kernels (section 3.1.1), as one more product of kernels and windows."""
        op, dx, dy = self.op, arrays.gradients[0]["x"], arrays.cotangents["y"]
        bordered, around, turned = (arrays.buffers[name] for name in ("bordered", "around", "turned"))
        before = [d * (k - 1) - p for d, k, p in zip(op.dilation, op.size, op.padding, strict=True)]
        inner = bordered[(slice(None), *(slice(b, b + n) for b, n in zip(before, self.output, strict=True)))]
        view = self._windows(bordered, self.maps)
        each = op.maps // op.groups
        pairs = [(turned[g * self.fan : (g + 1) * self.fan], kernel[g * each : (g + 1) * each][self._turn].swapaxes(0, 1)) for g in range(op.groups)]
        weights = self._split(turned.reshape(self.maps_in, -1), self.fan)
        rows = self._split(around.reshape(op.maps * self.geometry.area, -1), each * self.geometry.area)
        made = self._split(dx.reshape(self.maps_in, -1), self.fan)

        def gather() -> None:
            bordered.fill(0)
            np.copyto(inner, dy)
            np.copyto(around, view)
            for into, pair in pairs:
                np.copyto(into, pair)
            for weight, row, target in zip(weights, rows, made, strict=True):
                np.matmul(weight, row, out=target)

        return gather

    def _scatter(self, arrays: Arrays, weights: Sequence[Array], cotangents: Sequence[Array]) -> Call:
        """One matrix product, then one strided addition for each kernel entry (the adjoint of `_windows`)."""
        dx, pieces = arrays.gradients[0]["x"], arrays.buffers["pieces"]
        target = arrays.buffers.get("padded", dx)
        inner = target[(slice(None), *(slice(p, p + m) for p, m in zip(self.op.padding, self.maps, strict=True)))]
        parts = self._split(pieces.reshape(self.maps_in * self.geometry.area, -1), self.fan * self.geometry.area)
        places = [(target[self.geometry.reads(tap, self.output)[1:]], pieces[(slice(None), *tap)]) for tap in self.geometry.taps()]
        if self._apart:
            places = [(self._windows(target), pieces)]

        def scatter() -> None:
            for weight, cotangent, part in zip(weights, cotangents, parts, strict=True):
                np.matmul(weight.T, cotangent, out=part)
            target.fill(0)
            for place, piece in places:
                np.add(place, piece, out=place)
            if target is not dx:
                np.copyto(dx, inner)

        return scatter

    @staticmethod
    def _split(array: Any, rows: int) -> list[Array]:
        """Blocks of rows."""
        return [array[start : start + rows] for start in range(0, math.ceil(len(array) / rows) * rows, rows)]
