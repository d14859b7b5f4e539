"""Layers that change the size of a map without a window that overlaps (Bouvrie 2006, sections 3.1.1 and 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, PerAxis, algebra, at_least, bias, gain, one_of
from cnnframe.algebra import crop, indices, kron, ones, plane, spread, sum_all, total

from ._blocks import down, up


@dataclass(frozen=True)
class Subsample(Layer):
    """Sum over size-by-size blocks, times beta, plus b: u = beta down(x) + b (section 3.2).

    Axes: x (n, maps, *map), beta (maps,), b (maps,), y (n, maps, *map / size). The down-sampled map is saved
    for the gradient of beta, as the paper advises (section 3.2.1).

    Attributes:
        size: size of a block.
        dims: number of spatial dimensions.

    Raises:
        ShapeError: the map is not a whole number of blocks.
    """

    size: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "subsample"
    batch_apart = True
    inputs = {"x": "n i {size*p}"}
    params = {"beta": gain("i"), "b": bias("i")}
    output = "n i {p}"

    def forward(self, x, beta, b):
        """Return y, and the down-sampled map and beta for `backward`."""
        d = down(x, self.size)
        column = (-1, *(1,) * self.dims)
        return beta.reshape(column) * d + b.reshape(column), (d, beta)

    def backward(self, dy, saved, wanted=frozenset({"x", "beta", "b"})):
        """Return the wanted gradients: up(beta delta), the sum of delta d, the sum of delta (section 3.2.1)."""
        d, beta = saved
        space = (0, *range(2, 2 + self.dims))
        gradients = {}
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=space)
        if "beta" in wanted:
            gradients["beta"] = (dy * d).sum(axis=space)
        if "x" in wanted:
            gradients["x"] = up(beta.reshape(-1, *(1,) * self.dims) * dy, self.size)
        return gradients

    def formula(self, at, x, beta, b):
        """Sum over the block, scaled and shifted for each map (section 3.2)."""
        n, j, *p = at
        a = indices("a", self.dims)
        block = [size * v + e for size, v, e in zip(self.size, p, a, strict=True)]
        return beta[j] * total(x[(n, j, *block)], *zip(a, self.size, strict=True)) + b[j]

    def onnx(self, build, x, beta, b):
        """A convolution of each map by itself, with blocks of beta side by side."""
        blocks = np.broadcast_to(beta.reshape(-1, 1, *(1,) * self.dims), (len(beta), 1, *self.size))
        return build.node("Conv", x, blocks, b, kernel_shape=self.size, strides=self.size, group=len(beta))

    def claims(self, at, dy, x, beta, b):
        """beta up(delta), the sum of delta o d with d = down(x), and the sum of delta (sections 3.1.1 and 3.2.1)."""
        (pattern,), batch = indices("pattern"), x.shape[0]

        def dx(n, j, *p):
            return beta[j] * kron(plane(dy, n, j), ones(self.size))[p]

        def dbeta(j):
            d = algebra.down(plane(x, pattern, j), self.size)
            return total(sum_all(plane(dy, pattern, j) * d), (pattern, batch))

        def db(j):
            return total(sum_all(plane(dy, pattern, j)), (pattern, batch))

        return {"x": dx(*at["x"]), "beta": dbeta(*at["beta"]), "b": db(*at["b"])}


@dataclass(frozen=True)
class Decimate(Layer):
    """Keep every stride-th sample of a map, the first one included, and throw away the others (section 3.2).

    Axes: x (n, maps, *map), y (n, maps, *output).

    Attributes:
        stride: distance between the samples that are kept.
        dims: number of spatial dimensions.
    """

    stride: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "decimate"
    batch_apart = True
    inputs = {"x": "n i {h}"}
    output = "n i {(h - 1)//stride + 1}"

    def forward(self, x):
        """Return y, and the shape of x for `backward`."""
        return x[self._kept].copy(), x.shape

    def backward(self, dy, saved):
        """Return dy where the samples were, and 0 between them."""
        dx = np.zeros(saved, dy.dtype)
        dx[self._kept] = dy
        return {"x": dx}

    @property
    def _kept(self):
        return (slice(None), slice(None), *(slice(None, None, s) for s in self.stride))

    def formula(self, at, x):
        """The sample at a multiple of the stride."""
        n, j, *u = at
        return x[(n, j, *(stride * v for stride, v in zip(self.stride, u, strict=True)))]

    def onnx(self, build, x):
        """A slice with steps."""
        axes = list(range(2, 2 + self.dims))
        return build.node("Slice", x, [0] * self.dims, [2**62] * self.dims, axes, list(self.stride))

    def claims(self, at, dy, x):
        """Delta with zeros between its entries, and behind them where samples are left over."""
        n, j, *p = at["x"]
        return {"x": crop(spread(plane(dy, n, j), self.stride), (0,) * self.dims, x.shape[2:])[p]}


@dataclass(frozen=True)
class Upsample(Layer):
    """Tile each entry of a map over a block: up(x), the Kronecker product with ones (section 3.1.1).

    Axes: x (n, maps, *map), y (n, maps, *map * size).

    Attributes:
        size: size of a block.
        dims: number of spatial dimensions.
    """

    size: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "upsample"
    batch_apart = True
    inputs = {"x": "n i {p}"}
    output = "n i {size*p}"

    def forward(self, x):
        """Return y; `backward` needs nothing."""
        return up(x, self.size), None

    def backward(self, dy, saved):
        """Return down(dy)."""
        return {"x": down(dy, self.size)}

    def formula(self, at, x):
        """The entry whose block holds the output position."""
        n, j, *q = at
        u = indices("source", self.dims)
        held = [condition for size, v, w in zip(self.size, u, q, strict=True) for condition in (w >= size * v, w <= size * v + size - 1)]
        return total(x[(n, j, *u)], *zip(u, x.shape[2:], strict=True), where=held)

    def onnx(self, build, x):
        """An axis of length 1 behind each axis of the map, expanded to the block, and both made one."""
        maps = x.shape[2:]
        apart = build.node("Reshape", x, [0, x.shape[1], *(part for m in maps for part in (m, 1))])
        tiled = build.node("Expand", apart, [1, 1, *(part for s in self.size for part in (1, s))])
        return build.node("Reshape", tiled, [0, x.shape[1], *(m * s for m, s in zip(maps, self.size, strict=True))])

    def claims(self, at, dy, x):
        """down(delta)."""
        n, j, *p = at["x"]
        return {"x": algebra.down(plane(dy, n, j), self.size)[p]}
