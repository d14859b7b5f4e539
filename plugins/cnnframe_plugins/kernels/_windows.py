"""Subsampling and pooling, in whatever layout the map lies: window by window, one pass for each entry of a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnframe import PLAIN, ROWS_FIRST, Array, Arrays, Buffer, Call, Chain, Kernel, MemoryLayout, Op

from .._windows import Geometry
from ..pooling import MaxPool, MeanPool
from ..subsample import Subsample


class _Windowed(Kernel):
    """What the three share: taps over a map, whose batch may be the first axis, or its rows."""

    keeps = frozenset()

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # any chain
        """Maps as they come, if it knows the layout."""
        known = given if given == ROWS_FIRST else PLAIN
        return known, known

    def __init__(self, chain: Chain, taken: MemoryLayout, left: MemoryLayout) -> None:
        """Work out the windows."""
        super().__init__(chain, taken, left)
        self.op: Any = chain.ops[0]
        self.geometry = Geometry.plain(self.op.size, getattr(self.op, "stride", self.op.size))
        self.made = left.shape(chain.outputs["y"])

    @property
    def apart(self) -> bool:
        """Whether every entry of a map is in one window."""
        axes = zip(self.chain.given[0]["x"][2:], self.chain.outputs["y"][2:], self.geometry.size, self.geometry.stride, strict=True)
        return all(size == stride and entries == places * size for entries, places, size, stride in axes)

    def pieces(self, x: Array) -> list[Array]:
        """For each entry of a window the view of x that has it for every window."""
        maps = ROWS_FIRST.view(x) if self.taken == ROWS_FIRST else x
        output = self.chain.outputs["y"][2:]
        found = [maps[self.geometry.reads(tap, output)] for tap in self.geometry.taps()]
        # In the order of memory again, in which NumPy goes through what it is given first.
        return [piece.transpose(ROWS_FIRST.axes(piece.ndim)) for piece in found] if self.taken == ROWS_FIRST else found


def _total(pieces: Sequence[Array], out: Array) -> None:
    """Write the sum of arrays, from the first to the last."""
    if len(pieces) == 1:
        np.copyto(out, pieces[0])
        return
    np.add(*pieces[:2], out=out)
    for piece in pieces[2:]:
        np.add(out, piece, out=out)


class SubsampleKernel(_Windowed):
    """u = beta down(x) + b; the down-sampled map is kept (section 3.2)."""

    name = "numpy_subsample"
    products = False

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A subsampling layer."""
        return int(type(ops[0]) is Subsample)

    def buffers(self) -> Mapping[str, Buffer]:
        """The down-sampled map, and room for a product."""
        return {"down": Buffer(self.made, self.chain.dtype, kept=True), "room": Buffer(self.made, self.chain.dtype)}

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        given, y, down, room = arrays.given[0], arrays.outputs["y"], arrays.buffers["down"], arrays.buffers["room"]
        pieces = self.pieces(given["x"])
        column = (-1, *(1,) * (y.ndim - 2))
        axes = tuple(axis for axis in range(y.ndim) if axis != 1)
        beta, b = given["beta"].reshape(column), given["b"].reshape(column)

        def forward() -> None:
            _total(pieces, down)
            np.multiply(down, beta, out=y)
            np.add(y, b, out=y)

        if not self.chain.learns:
            return forward, None
        dy, into = arrays.cotangents["y"], arrays.gradients[0]
        targets = self.pieces(into["x"]) if "x" in into else []

        def backward() -> None:
            if "b" in into:
                np.add.reduce(dy, axis=axes, out=into["b"])
            if "beta" in into:
                np.multiply(dy, down, out=room)
                np.add.reduce(room, axis=axes, out=into["beta"])
            if targets:
                np.multiply(dy, beta, out=room)
                for target in targets:
                    np.copyto(target, room)

        return forward, backward


class MeanPoolKernel(_Windowed):
    """The mean of each window."""

    name = "numpy_mean_pool"
    products = False

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A mean pooling layer."""
        return int(type(ops[0]) is MeanPool)

    def buffers(self) -> Mapping[str, Buffer]:
        """Room for a share."""
        return {"room": Buffer(self.made, self.chain.dtype)}

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        y, room, area = arrays.outputs["y"], arrays.buffers["room"], self.geometry.area
        pieces = self.pieces(arrays.given[0]["x"])

        def forward() -> None:
            _total(pieces, y)
            np.divide(y, area, out=y)

        if not self.chain.learns:
            return forward, None
        dy, dx = arrays.cotangents["y"], arrays.gradients[0]["x"]
        targets, apart = self.pieces(dx), self.apart

        def backward() -> None:
            np.divide(dy, area, out=room)
            if apart:
                for target in targets:
                    np.copyto(target, room)
                return
            dx.fill(0)
            for target in targets:
                np.add(target, room, out=target)

        return forward, backward


class MaxPoolKernel(_Windowed):
    """The maximum of each window; its place is kept, of equal ones the first."""

    name = "numpy_max_pool"
    products = False

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A max pooling layer."""
        return int(type(ops[0]) is MaxPool)

    def buffers(self) -> Mapping[str, Buffer]:
        """Which entry of each window is the maximum, and room for comparisons."""
        number = np.min_scalar_type(self.geometry.area - 1)
        return {
            "chosen": Buffer(self.made, number, kept=True),
            "better": Buffer(self.made, np.bool_),
            "finite": Buffer(self.made, np.bool_),
            "room": Buffer(self.made, self.chain.dtype),
        }

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        y, buffers = arrays.outputs["y"], arrays.buffers
        chosen, better, finite, room = (buffers[name] for name in ("chosen", "better", "finite", "room"))
        first, *others = self.pieces(arrays.given[0]["x"])

        def forward() -> None:
            np.copyto(y, first)
            chosen.fill(0)
            for number, piece in enumerate(others, 1):
                # Larger, or the first NaN: a NaN is not <= anything, equals not itself, and is replaced by nothing.
                np.less_equal(piece, y, out=better)
                np.logical_not(better, out=better)
                np.equal(y, y, out=finite)
                np.logical_and(better, finite, out=better)
                np.copyto(y, piece, where=better)
                np.copyto(chosen, number, where=better)

        if not self.chain.learns:
            return forward, None
        dy, dx = arrays.cotangents["y"], arrays.gradients[0]["x"]
        targets, apart = self.pieces(dx), self.apart

        def backward() -> None:
            dx.fill(0)
            for number, target in enumerate(targets):
                np.equal(chosen, number, out=better)
                if apart:
                    np.copyto(target, dy, where=better)
                    continue
                room.fill(0)
                np.copyto(room, dy, where=better)
                np.add(target, room, out=target)

        return forward, backward
