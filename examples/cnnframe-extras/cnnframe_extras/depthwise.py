"""A layer with a parameter and two hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, Param, at_least
from cnnframe.algebra import conv2, indices, plane, spread, total


@dataclass(frozen=True)
class Depthwise(Layer):
    """Correlate each channel of a signal with a kernel of its own: y[n, i, u] = sum over a of x[n, i, u + step a] k[i, a].

    Axes: x (n, channels, length), k (channels, size), y (n, channels, length - step (size - 1)).

    Attributes:
        size: entries of a kernel.
        step: distance between kernel entries, in entries of the signal.

    Raises:
        ShapeError: the kernel is longer than the signal.
    """

    size: Annotated[int, at_least(1)]
    step: Annotated[int, at_least(1)] = 1

    name = "depthwise"
    inputs = {"x": "n i h"}
    params = {"k": Param("i size", fan_in="size", fan_out="size")}
    output = "n i (h - step*(size - 1))"

    def forward(self, x, k):
        """Return y, and x and k for `backward`."""
        length = x.shape[2] - self.step * (self.size - 1)
        y = np.zeros((*x.shape[:2], length), x.dtype)
        for a in range(self.size):
            y += k[:, a, None] * x[:, :, self.step * a : self.step * a + length]
        return y, (x, k)

    def backward(self, dy, saved):
        """Return the gradients: dy spread back along the kernel, and dy correlated with x."""
        x, k = saved
        length = dy.shape[2]
        dx, dk = np.zeros_like(x), np.zeros_like(k)
        for a in range(self.size):
            seen = slice(self.step * a, self.step * a + length)
            dx[:, :, seen] += k[:, a, None] * dy
            dk[:, a] = (dy * x[:, :, seen]).sum(axis=(0, 2))
        return {"x": dx, "k": dk}

    def formula(self, at, x, k):
        """The sum over the kernel's entries."""
        n, i, u = at
        (a,) = indices("a")
        return total(x[n, i, u + self.step * a] * k[i, a], (a, self.size))

    def onnx(self, build, x, k):
        """One node: ONNX calls a correlation a convolution, too."""
        return build.node("Conv", x, k[:, np.newaxis], dilations=[self.step], group=len(k))

    def claims(self, at, dy, x, k):
        """The 'full' convolution of dy with the kernel, and the correlation of x with dy."""
        m, u = indices("m u")

        def dx(n, i, p):
            return conv2(plane(dy, n, i), spread(plane(k, i), [self.step]), "full")[p]

        def dk(i, a):
            return total(dy[m, i, u] * x[m, i, u + self.step * a], (m, dy.shape[0]), (u, dy.shape[2]))

        return {"x": dx(*at["x"]), "k": dk(*at["k"])}
