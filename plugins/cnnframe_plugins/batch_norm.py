"""Batch normalisation, without the affine part that `scale_shift` is (Ioffe and Szegedy 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import GraphError, Layer, one_of, positive
from cnnframe.algebra import define, indices, sqrt, total


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise each map to mean 0 and variance 1 over batch and space, by the batch's own statistics.

    The variance is the biased one, the mean of the squares. Mean and variance are outputs too, for the running
    averages that the caller keeps; gradients flow through them. An empty batch has mean 0 and variance 0.
    Entries so large that their squares overflow make the variance infinite.
    Axes: x (n, maps, *map), y like x, mean (maps,), variance (maps,).

    Attributes:
        epsilon: added to the variance.
        dims: number of spatial dimensions.
    """

    epsilon: Annotated[float, positive] = 1e-5
    dims: Annotated[int, one_of(0, 1, 2, 3)] = 2

    name = "batch_norm"
    inputs = {"x": "n i {h}"}
    output = {"y": "n i {h}", "mean": "i", "variance": "i"}

    def forward(self, x):
        """Return y, mean and variance, and the centred maps and 1 / sqrt(variance + epsilon) for `backward`."""
        count = self._count(x)
        mean = x.sum(axis=self._space) / count
        centred = x - self._column(mean)
        variance = np.square(centred).sum(axis=self._space) / count
        rate = 1 / np.sqrt(self._column(variance) + self.epsilon)
        return {"y": centred * rate, "mean": mean, "variance": variance}, (centred, rate)

    def backward(self, dy, saved):
        """Return the gradient that the cotangents of y, mean and variance give together."""
        centred, rate = saved
        count = self._count(centred)
        y = centred * rate
        mean = dy["y"].sum(axis=self._space, keepdims=True) / count
        slope = (dy["y"] * y).sum(axis=self._space, keepdims=True) / count
        dx = rate * (dy["y"] - mean - y * slope)
        return {"x": dx + self._column(dy["mean"]) / count + self._column(dy["variance"]) * (2 * centred / count)}

    def for_evaluation(self):
        """Refuse: with the statistics of a batch, what one example gives depends on the others.

        Raises:
            GraphError: always; the graph puts the node's name in front and for "node".
        """
        given = "batch_norm_given()" if self.dims == 2 else f"batch_norm_given(dims={self.dims})"
        raise GraphError(f"keeps statistics of the batch; for evaluation give a replacement, such as {{node: {given}}} and pass its mean and precision")

    @property
    def _space(self):
        return (0, *range(2, 2 + self.dims))

    def _column(self, values):
        return values.reshape(-1, *(1,) * self.dims)

    def _count(self, x):
        """Entries of a map in the batch; 1 for an empty batch, whose sums are 0."""
        return max(1, math.prod(x.shape[axis] for axis in self._space))

    def formula(self, at, x):
        """The normalised entry, and the statistics (Ioffe and Szegedy 2015, algorithm 1)."""
        mu, var = self._statistics(x)
        centred = x[at["y"]] - mu[at["y"][1]]
        return {
            "y": centred / sqrt(var[at["y"][1]] + self.epsilon),
            "mean": mu[at["mean"]],
            "variance": var[at["variance"]],
        }

    def claims(self, at, dy, x):
        """rate (delta - mean of delta - y times the mean of delta o y), and what comes through the statistics."""
        n, i, *p = at["x"]
        mu, var = self._statistics(x)
        rate = 1 / sqrt(var[i] + self.epsilon)
        count = x.shape[0] * math.prod(x.shape[2:])

        def centred(n, *p):
            return x[(n, i, *p)] - mu[i]

        def delta(n, *p):
            return dy["y"][(n, i, *p)]

        def y(n, *p):
            return rate * centred(n, *p)

        def mean(entry):
            m, *q = indices("m", self.dims + 1)
            return total(entry(m, *q), (m, x.shape[0]), *zip(q, x.shape[2:], strict=True)) / count

        through_y = rate * (delta(n, *p) - mean(delta) - y(n, *p) * mean(lambda *at: delta(*at) * y(*at)))
        return {"x": through_y + dy["mean"][i] / count + dy["variance"][i] * 2 * centred(n, *p) / count}

    def _statistics(self, x):
        """Mean and variance of each map, as named intermediates."""
        maps, space = x.shape[1], (x.shape[0], *x.shape[2:])
        m, *p = indices("m", self.dims + 1)
        count = math.prod(space)
        over = list(zip((m, *p), space, strict=True))
        mu = define("mu", (maps,), lambda i: total(x[(m, i, *p)], *over) / count)
        return mu, define("var", (maps,), lambda i: total((x[(m, i, *p)] - mu[i]) ** 2, *over) / count)


@dataclass(frozen=True)
class BatchNormGiven(Layer):
    """Normalise each map by statistics that are given: what `batch_norm` becomes once training is over.

    Axes: x (n, maps, *map), mean (maps,), precision (maps,), y like x. The precision is what the centred maps are
    multiplied by, 1 / sqrt(variance + epsilon).

    Attributes:
        dims: number of spatial dimensions.
    """

    dims: Annotated[int, one_of(0, 1, 2, 3)] = 2

    name = "batch_norm_given"
    batch_apart = True
    inputs = {"x": "n i {h}"}
    constants = {"mean": "i", "precision": "i"}
    output = "n i {h}"

    def forward(self, x, mean, precision):
        """Return y, and the precision for `backward`."""
        rate = self._column(precision)
        return (x - self._column(mean)) * rate, rate

    def backward(self, dy, saved):
        """Return dy times the precision."""
        return {"x": dy * saved}

    def _column(self, values):
        return values.reshape(-1, *(1,) * self.dims)

    def formula(self, at, x, mean, precision):
        """The centred entry, scaled."""
        return (x[at] - mean[at[1]]) * precision[at[1]]

    def onnx(self, build, x, mean, precision):
        """A difference and a product; the statistics are arrays of the file, or inputs of it."""
        rows = [-1, *(1,) * self.dims]
        mean, precision = (build.node("Reshape", values, rows) for values in (mean, precision))
        return build.node("Mul", build.node("Sub", x, mean), precision)

    def claims(self, at, dy, x, mean, precision):
        """Delta times the precision."""
        return {"x": dy[at["x"]] * precision[at["x"][1]]}
