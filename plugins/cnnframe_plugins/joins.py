"""Layers that join or lay out arrays and compute nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, one_of
from cnnframe.algebra import equal, indices, total


@dataclass(frozen=True)
class Flatten(Layer):
    """Concatenate the features of all maps into one long input vector, map by map and row by row (section 2).

    Axes: x (n, maps, *map), y (n, maps * entries of a map).

    Attributes:
        dims: number of spatial dimensions.
    """

    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "flatten"
    batch_apart = True
    inputs = {"x": "n i {h}"}

    @property
    def output(self):
        """The batch, and all other axes in one."""
        return "n i" + "".join(f"*h{d}" for d in range(self.dims))

    def forward(self, x):
        """Return y, and the shape of x for `backward`."""
        # A reshape alone would share memory with x.
        return x.copy(order="C").reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, dy, saved):
        """Return dy as maps."""
        return {"x": dy.copy(order="C").reshape(saved)}

    def formula(self, at, x):
        """The entry whose row-major position is the output's."""
        n, q = at
        (i,) = indices("i")
        p = indices("p", self.dims)
        return total(x[(n, i, *p)], *zip((i, *p), x.shape[1:], strict=True), where=[equal(q, _position(i, p, x.shape[2:]))])

    def onnx(self, build, x):
        """One node."""
        return build.node("Flatten", x, axis=1)

    def claims(self, at, dy, x):
        """Delta at the row-major position of the entry."""
        n, i, *p = at["x"]
        return {"x": dy[n, _position(i, p, x.shape[2:])]}


@dataclass(frozen=True)
class Concatenate(Layer):
    """Put the maps of b behind those of a; for more than two inputs, one after the other.

    Axes: a (n, maps a, *map), b (n, maps b, *map), y (n, maps a + maps b, *map).

    Attributes:
        dims: number of spatial dimensions.
    """

    dims: Annotated[int, one_of(0, 1, 2, 3)] = 2

    name = "concatenate"
    batch_apart = True
    inputs = {"a": "n i {h}", "b": "n j {h}"}
    output = "n i+j {h}"

    def forward(self, a, b):
        """Return y, and the number of maps in a for `backward`."""
        return np.concatenate([a, b], axis=1), a.shape[1]

    def backward(self, dy, saved):
        """Return each input's part of dy."""
        return {"a": dy[:, :saved].copy(), "b": dy[:, saved:].copy()}

    def formula(self, at, a, b):
        """The entry of a, or of b, that the output map is."""
        n, m, *u = at
        i, j = indices("i j")
        first = total(a[(n, i, *u)], (i, a.shape[1]), where=[equal(m, i)])
        return first + total(b[(n, j, *u)], (j, b.shape[1]), where=[equal(m, a.shape[1] + j)])

    def onnx(self, build, a, b):
        """One node."""
        return build.node("Concat", a, b, axis=1)

    def claims(self, at, dy, a, b):
        """Each input's part of delta."""
        n, j, *p = at["b"]
        return {"a": dy[at["a"]], "b": dy[(n, a.shape[1] + j, *p)]}


@dataclass(frozen=True)
class Add(Layer):
    """The sum of two arrays of one shape; for more than two inputs, one after the other.

    Axes: a, b and y have any axes, the same ones.
    """

    name = "add"
    batch_apart = True
    inputs = {"a": "...", "b": "..."}
    output = "..."

    def forward(self, a, b):
        """Return a + b; `backward` needs nothing."""
        return a + b, None

    def backward(self, dy, saved):
        """Return dy twice."""
        return {"a": np.array(dy), "b": np.array(dy)}

    def formula(self, at, a, b):
        """The sum of the entries."""
        return a[at] + b[at]

    def onnx(self, build, a, b):
        """One node."""
        return build.node("Add", a, b)

    def claims(self, at, dy, a, b):
        """Delta twice."""
        return {"a": dy[at["a"]], "b": dy[at["b"]]}


def _position(i, p, shape):
    """The row-major position of entry `p` of map i, among all maps of this shape."""
    for index, size in zip(p, shape, strict=True):
        i = i * size + index
    return i
