"""A layer of a formula and a forward alone: cnnframe makes its backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.special import expit

from cnnframe import Layer, Param, at_least, bias
from cnnframe.algebra import indices, logistic, total


@dataclass(frozen=True)
class Gated(Layer):
    """A convolution that sees the past alone, times a gate between 0 and 1: y = (k * x + b) logistic(g * x).

    Output u is the sum of k[i, j, a] x[n, j, u + size - 1 - a] over a and the channels j, and so is the gate's argument, with g.
    Axes: x (n, channels in, length), k and g (channels, channels in, size), b (channels,), y (n, channels, length - size + 1).

    Attributes:
        channels: number of output channels.
        size: entries of a kernel.

    Raises:
        ShapeError: the kernel is longer than the signal.
    """

    channels: Annotated[int, at_least(1)]
    size: Annotated[int, at_least(1)]

    name = "gated"
    inputs = {"x": "n j h"}
    params = {
        "k": Param("channels j size", fan_in="j size", fan_out="channels size"),
        "g": Param("channels j size", fan_in="j size", fan_out="channels size"),
        "b": bias("channels"),
    }
    output = "n channels h-size+1"

    def forward(self, x, k, g, b):
        """Return y, and what was given, for the backward that is made."""
        windows = np.lib.stride_tricks.sliding_window_view(x, self.size, axis=2)[..., ::-1]
        value, gate = (np.moveaxis(np.tensordot(windows, kernel, axes=([1, 3], [1, 2])), -1, 1) for kernel in (k, g))
        return (value + b[:, None]) * expit(gate), (x, k, g, b)

    def formula(self, at, x, k, g, b):
        """The value times the gate."""
        n, i, u = at
        j, a = indices("j a")

        def seen(kernel):
            return total(kernel[i, j, a] * x[n, j, u + self.size - 1 - a], (j, x.shape[1]), (a, self.size))

        return (seen(k) + b[i]) * logistic(seen(g))
