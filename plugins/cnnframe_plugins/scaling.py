"""Affine maps of single entries: learned for each map, or fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, bias, gain, one_of, positive
from cnnframe.algebra import indices, plane, sum_all, total


@dataclass(frozen=True)
class ScaleShift(Layer):
    """Multiply each map by its gain and add its shift, as `subsample` does with blocks of one entry (section 3.2).

    Axes: x (n, maps, *map), gain (maps,), shift (maps,), y like x.

    Attributes:
        dims: number of spatial dimensions.
    """

    dims: Annotated[int, one_of(0, 1, 2, 3)] = 2

    name = "scale_shift"
    keeps_digits = ("y",)
    batch_apart = True
    inputs = {"x": "n i {h}"}
    params = {"gain": gain("i"), "shift": bias("i")}
    output = "n i {h}"

    def forward(self, x, gain, shift):
        """Return y, and x and the gain for `backward`."""
        column = (-1, *(1,) * self.dims)
        return gain.reshape(column) * x + shift.reshape(column), (x, gain)

    def backward(self, dy, saved, wanted=frozenset({"x", "gain", "shift"})):
        """Return the wanted gradients."""
        x, gain = saved
        space = (0, *range(2, 2 + self.dims))
        gradients = {}
        if "x" in wanted:
            gradients["x"] = gain.reshape(-1, *(1,) * self.dims) * dy
        if "gain" in wanted:
            gradients["gain"] = (dy * x).sum(axis=space)
        if "shift" in wanted:
            gradients["shift"] = dy.sum(axis=space)
        return gradients

    def formula(self, at, x, gain, shift):
        """The scaled and shifted entry."""
        return gain[at[1]] * x[at] + shift[at[1]]

    def onnx(self, build, x, gain, shift):
        """A product and a sum."""
        column = (-1, *(1,) * self.dims)
        return build.node("Add", build.node("Mul", x, gain.reshape(column)), shift.reshape(column))

    def claims(self, at, dy, x, gain, shift):
        """gain delta, the sum of delta o x, and the sum of delta (section 3.2.1 with d = x)."""
        (pattern,), batch = indices("pattern"), x.shape[0]

        def dgain(j):
            return total(sum_all(plane(dy, pattern, j) * plane(x, pattern, j)), (pattern, batch))

        def dshift(j):
            return total(sum_all(plane(dy, pattern, j)), (pattern, batch))

        return {"x": gain[at["x"][1]] * dy[at["x"]], "gain": dgain(*at["gain"]), "shift": dshift(*at["shift"])}


@dataclass(frozen=True)
class Normalise(Layer):
    """Subtract a fixed mean and divide by a fixed standard deviation (section 2.1).

    Axes: x and y have any axes, the same ones.

    Attributes:
        mean: what is subtracted, the mean of the training data.
        std: what is divided by, their standard deviation.
    """

    mean: float
    std: Annotated[float, positive]

    name = "normalise"
    batch_apart = True
    inputs = {"x": "..."}
    output = "..."

    def forward(self, x):
        """Return y; `backward` needs nothing."""
        return (x - self.mean) / self.std, None

    def backward(self, dy, saved):
        """Return dy / std."""
        return {"x": np.divide(dy, self.std)}

    def formula(self, at, x):
        """The normalised entry."""
        return (x[at] - self.mean) / self.std

    def onnx(self, build, x):
        """A difference and a quotient."""
        return build.node("Div", build.node("Sub", x, self.mean), self.std)

    def claims(self, at, dy, x):
        """Delta divided by the standard deviation."""
        return {"x": dy[at["x"]] / self.std}
