"""A border of one value around each map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, PerAxis, at_least, one_of
from cnnframe.algebra import guard, inside


@dataclass(frozen=True)
class Pad(Layer):
    """Surround each map with a border of one value, the background (LeCun et al. 1989 take -1).

    Axes: x (n, maps, *map), y (n, maps, *map + 2 * size).

    Attributes:
        size: width of the border on each side.
        value: what the border holds.
        dims: number of spatial dimensions.
    """

    size: Annotated[PerAxis, at_least(0)]
    value: float = 0.0
    dims: Annotated[int, one_of(1, 2, 3)] = 2

    name = "pad"
    batch_apart = True
    inputs = {"x": "n i {h}"}
    output = "n i {h + 2*size}"

    def forward(self, x):
        """Return y; `backward` needs nothing."""
        y = np.full((*x.shape[:2], *(h + 2 * s for h, s in zip(x.shape[2:], self.size, strict=True))), self.value, x.dtype)
        y[self._within(y.shape)] = x
        return y, None

    def backward(self, dy, saved):
        """Return dy without its border."""
        return {"x": dy[self._within(dy.shape)].copy()}

    def _within(self, shape):
        return (..., *(slice(s, whole - s) for s, whole in zip(self.size, shape[2:], strict=True)))

    def formula(self, at, x):
        """The entry of the map that lies there, or the value."""
        n, j, *u = at
        p = [v - s for v, s in zip(u, self.size, strict=True)]
        return self.value + guard(x[(n, j, *p)] - self.value, inside(p, x.shape[2:]))

    def onnx(self, build, x):
        """One node; the batch and the maps have no border."""
        widths = [0, 0, *self.size]
        return build.node("Pad", x, [*widths, *widths], self.value, mode="constant")

    def claims(self, at, dy, x):
        """Delta where the map lies."""
        n, j, *p = at["x"]
        return {"x": dy[(n, j, *(q + s for q, s in zip(p, self.size, strict=True)))]}
