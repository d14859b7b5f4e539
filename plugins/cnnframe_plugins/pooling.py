"""Pooling over windows that may overlap or leave gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, PerAxis, at_least, one_of
from cnnframe.algebra import conv2, crop, equal, first_maximum, indices, ones, plane, spread, total

from ._windows import Geometry

OUTPUT = "n i {(h - size)//stride + 1}"


@dataclass(frozen=True)
class MeanPool(Layer):
    """The mean of each window of a map; `subsample` with beta = 1/area where the stride is the size (section 3.2).

    Leftover rows and columns that no whole window reaches are not read. Axes: x (n, maps, *map), y (n, maps, *output).

    Attributes:
        size: size of a window.
        stride: distance between windows.
        dims: number of spatial dimensions.

    Raises:
        ShapeError: the window is larger than the map.
    """

    size: Annotated[PerAxis, at_least(1)]
    stride: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "mean_pool"
    batch_apart = True
    inputs = {"x": "n i {h}"}
    output = OUTPUT

    def forward(self, x):
        """Return y, and the shape of x for `backward`."""
        geometry = Geometry.plain(self.size, self.stride)
        output = geometry.output(x.shape[2:])
        y = np.zeros((*x.shape[:2], *output), x.dtype)
        for tap in geometry.taps():
            y += x[geometry.reads(tap, output)]
        y /= geometry.area
        return y, x.shape

    def backward(self, dy, saved):
        """Return dy / area, added up over the windows that hold an entry."""
        geometry = Geometry.plain(self.size, self.stride)
        dx = np.zeros(saved, dy.dtype)
        share = dy / geometry.area
        for tap in geometry.taps():
            dx[geometry.reads(tap, dy.shape[2:])] += share
        return {"x": dx}

    def formula(self, at, x):
        """The sum over the window, divided by its area."""
        n, j, *u = at
        a = indices("a", self.dims)
        read = [stride * v + e for stride, v, e in zip(self.stride, u, a, strict=True)]
        return total(x[(n, j, *read)], *zip(a, self.size, strict=True)) / math.prod(self.size)

    def onnx(self, build, x):
        """One node; a window that does not fit is left out, as here."""
        return build.node("AveragePool", x, kernel_shape=self.size, strides=self.stride)

    def claims(self, at, dy, x):
        """The sum of delta over the windows that hold the entry, divided by their area."""
        n, j, *p = at["x"]
        delta = spread(plane(dy, n, j), self.stride)
        return {"x": crop(conv2(delta, ones(self.size), "full"), (0,) * self.dims, x.shape[2:])[p] / math.prod(self.size)}


@dataclass(frozen=True)
class MaxPool(Layer):
    """The maximum of each window of a map; of equal ones the first, row by row, gets the gradient.

    Leftover rows and columns that no whole window reaches are not read. A window with a NaN gives NaN, and its
    first NaN gets the gradient. Axes: x (n, maps, *map), y (n, maps, *output).

    Attributes:
        size: size of a window.
        stride: distance between windows.
        dims: number of spatial dimensions.

    Raises:
        ShapeError: the window is larger than the map.
    """

    size: Annotated[PerAxis, at_least(1)]
    stride: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "max_pool"
    full_range = True
    batch_apart = True
    inputs = {"x": "n i {h}"}
    output = OUTPUT

    def forward(self, x):
        """Return y, and which entry of each window is the maximum for `backward`."""
        geometry = Geometry.plain(self.size, self.stride)
        output = geometry.output(x.shape[2:])
        first, *others = [x[geometry.reads(tap, output)] for tap in geometry.taps()]
        y = first.copy()
        chosen = np.zeros(y.shape, np.min_scalar_type(geometry.area - 1))
        for number, piece in enumerate(others, start=1):
            # Larger, or the first NaN: a NaN is not <= anything, and nothing replaces one.
            better = ~(piece <= y) & ~np.isnan(y)
            np.copyto(y, piece, where=better)
            chosen[better] = number
        return y, (chosen, x.shape)

    def backward(self, dy, saved):
        """Return dy at each window's maximum."""
        chosen, shape = saved
        geometry = Geometry.plain(self.size, self.stride)
        dx = np.zeros(shape, dy.dtype)
        for number, tap in enumerate(geometry.taps()):
            dx[geometry.reads(tap, dy.shape[2:])] += np.where(chosen == number, dy, 0)
        return {"x": dx}

    def formula(self, at, x):
        """The entry that a one-hot choice selects in the window."""
        n, j, *u = at
        a = indices("a", self.dims)
        choice = self._choice(x)
        return total(choice[(n, j, *u, *a)] * x[(n, j, *self._read(u, a))], *zip(a, self.size, strict=True))

    def onnx(self, build, x):
        """One node; a window that does not fit is left out, as here."""
        return build.node("MaxPool", x, kernel_shape=self.size, strides=self.stride)

    def claims(self, at, dy, x):
        """Delta of each window whose choice is the entry."""
        n, j, *p = at["x"]
        u, a = indices("u", self.dims), indices("a", self.dims)
        chosen = [equal(q, read) for q, read in zip(p, self._read(u, a), strict=True)]
        over = zip((*u, *a), (*dy.shape[2:], *self.size), strict=True)
        return {"x": total(self._choice(x)[(n, j, *u, *a)] * dy[(n, j, *u)], *over, where=chosen)}

    def _choice(self, x):
        """One-hot over each window, by axes (n, maps, *output, *window)."""

        def entry(n, j, *where):
            return x[(n, j, *self._read(where[: self.dims], where[self.dims :]))]

        output = [(h - size) // stride + 1 for h, size, stride in zip(x.shape[2:], self.size, self.stride, strict=True)]
        return first_maximum("choice", (*x.shape[:2], *output), self.size, entry)

    def _read(self, u, a):
        """The entry of the map at position `a` of window `u`."""
        return [stride * v + e for stride, v, e in zip(self.stride, u, a, strict=True)]
