"""Losses: each sums over the batch and is differentiated with respect to the prediction alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import DataError, Loss, one_of
from cnnframe.algebra import equal, indices, log, logistic, softplus, total, when

from ._expit import expit
from ._simplex import exponentials, log_softmax, softmax


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared distance from the targets, summed over units and batch (section 2.1, equation 1).

    Axes: y (n, c), t (n, c).
    """

    name = "squared_error"
    batch_apart = True
    inputs = {"y": "n c"}
    constants = {"t": "n c"}

    def forward(self, y, t):
        """Return the loss, and y - t for `backward`."""
        error = y - t
        return np.square(error).sum() / 2, error

    def backward(self, dy, saved):
        """Return dy (y - t)."""
        return {"y": dy * saved}

    def formula(self, at, y, t):
        """Equation 1, summed over the batch (section 2.1)."""
        n, c = indices("n c")
        return total((t[n, c] - y[n, c]) ** 2, (n, y.shape[0]), (c, y.shape[1])) / 2

    def claims(self, at, dy, y, t):
        """y - t (section 2.2)."""
        return {"y": dy * (y[at["y"]] - t[at["y"]])}


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """The cross-entropy between targets and the softmax of the logits, summed over the batch (section 4.3).

    Axes: z (n, c), the logits; t (n, c) if dense, of any sum, or (n,) if class indices.

    Attributes:
        targets: "dense" for a weight on each class, such as a one-of-c code; "index" for the number of the class.

    Raises:
        DataError: class indices that are no integers or outside 0 to c - 1.
    """

    targets: Annotated[str, one_of("dense", "index")] = "dense"

    name = "softmax_cross_entropy"
    batch_apart = True
    inputs = {"z": "n c"}

    @property
    def constants(self):
        """The targets, whose axes depend on their kind."""
        return {"t": "n c"} if self.targets == "dense" else {"t": "n -> c"}

    def forward(self, z, t):
        """Return the loss, and log(softmax(z)) and t for `backward`."""
        logs = log_softmax(z, 1)
        if self.targets == "dense":
            return (t * -logs).sum(), (logs, t)
        check_classes(t, z.shape[1])
        return -np.take_along_axis(logs, t[:, np.newaxis], axis=1).sum() + 0, (logs, t)

    def backward(self, dy, saved):
        """Return dy (softmax(z) times the sum of t, less t)."""
        logs, t = saved
        dz = np.exp(logs)
        if self.targets == "dense":
            dz = dz * t.sum(axis=1, keepdims=True) - t
        else:
            dz[np.arange(len(t)), t] -= 1
        return {"z": dy * dz}

    def probabilities(self, z):
        """Return the probability of each class (n, c) that logits stand for."""
        return softmax(z, 1)

    def formula(self, at, z, t):
        """Minus the logarithm of the softmax, weighted by the targets."""
        batch, classes = z.shape
        n, c = indices("n c")
        _, Z = exponentials(z)
        weight = t[n, c] if self.targets == "dense" else when(equal(t[n], c), 1, 0)
        return total(weight * (log(Z[n]) - z[n, c]), (n, batch), (c, classes))

    def claims(self, at, dy, z, t):
        """softmax(z) times the sum of t, less t; for an index, softmax(z) less 1 at the class."""
        (n, c), (k,) = at["z"], indices("k")
        e, Z = exponentials(z)
        y = e[n, c] / Z[n]
        if self.targets == "dense":
            return {"z": dy * (y * total(t[n, k], (k, z.shape[1])) - t[n, c])}
        return {"z": dy * (y - when(equal(t[n], c), 1, 0))}


@dataclass(frozen=True)
class LogisticCrossEntropy(Loss):
    """The cross-entropy between targets and the logistic function of the logits, summed over units and batch (section 4.3).

    Axes: z (n, c), the logits; t (n, c), the targets, which are probabilities.
    """

    name = "logistic_cross_entropy"
    keeps_digits = ("z",)
    batch_apart = True
    inputs = {"z": "n c"}
    constants = {"t": "n c"}

    def forward(self, z, t):
        """Return the loss, and z and t for `backward`."""
        # The two large terms go first: softplus(z) alone would absorb a loss that is small.
        return (np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z)))).sum(), (z, t)

    def backward(self, dy, saved):
        """Return dy (logistic(z) - t)."""
        z, t = saved
        return {"z": dy * (expit(z) - t)}

    def probabilities(self, z):
        """Return the probability of each class (n, c) by itself; those of an example need not sum to 1."""
        return expit(z)

    def formula(self, at, z, t):
        """-t log p - (1 - t) log(1 - p) with p = logistic(z), which is softplus(z) - t z."""
        n, c = indices("n c")
        return total(softplus(z[n, c]) - t[n, c] * z[n, c], (n, z.shape[0]), (c, z.shape[1]))

    def claims(self, at, dy, z, t):
        """logistic(z) - t."""
        return {"z": dy * (logistic(z[at["z"]]) - t[at["z"]])}


def check_classes(t, classes):
    """Refuse class indices that are no integers or out of their range.

    Raises:
        DataError: with the first one.
    """
    if t.dtype.kind not in "iu":
        raise DataError(f"softmax_cross_entropy: class indices must be integers; got an array of {t.dtype}; convert it with astype(int)")
    outside = np.flatnonzero((t < 0) | (t >= classes))
    if outside.size:
        first = outside[0]
        raise DataError(
            f"softmax_cross_entropy: class indices must be from 0 to {classes - 1}; got {t[first]} at position {first}; check the coding of the labels"
        )
