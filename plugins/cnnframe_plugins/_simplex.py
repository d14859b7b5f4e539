"""Softmax and sparsemax along one axis, their pullbacks, and their formulas (Bouvrie 2006, section 3.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnframe import Array
from cnnframe.algebra import define, exp, indices, total, when


def softmax(c: Array, axis: int) -> Array:
    """exp(c) over its sum, without overflow."""
    e = np.exp(c - c.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(c: Array, axis: int) -> Array:
    """The logarithm of the softmax; accurate where the softmax is close to 1 and where it underflows."""
    shifted = c - c.max(axis=axis, keepdims=True)
    rest = np.exp(shifted)
    # The largest entry contributes 1 to the sum; log1p of the others keeps what 1 + tiny would lose.
    np.put_along_axis(rest, np.expand_dims(c.argmax(axis=axis), axis), 0, axis)
    return shifted - np.log1p(rest.sum(axis=axis, keepdims=True))


def softmax_pullback(alpha: Array, dalpha: Array, axis: int) -> Array:
    """alpha (dalpha - sum of dalpha alpha): equation 10."""
    return alpha * (dalpha - (dalpha * alpha).sum(axis=axis, keepdims=True))


def sparsemax(c: Array) -> Array:
    """The nearest point of the simplex to each column of c (Martins and Astudillo 2016)."""
    shifted = c - c.max(axis=0, keepdims=True)
    ordered = np.flip(np.sort(shifted, axis=0), axis=0)
    sums = ordered.cumsum(axis=0)
    rank = np.arange(1, len(c) + 1, dtype=c.dtype)[:, np.newaxis]
    count = (sums - rank * ordered < 1).sum(axis=0, keepdims=True)
    tau = (np.take_along_axis(sums, count - 1, axis=0) - 1) / count.astype(c.dtype)
    return np.maximum(shifted - tau, 0)


def sparsemax_pullback(alpha: Array, dalpha: Array) -> Array:
    """On the support, dalpha less its mean over the support; 0 elsewhere."""
    support = (alpha > 0).astype(alpha.dtype)
    mean = (support * dalpha).sum(axis=0, keepdims=True) / support.sum(axis=0, keepdims=True)
    return support * (dalpha - mean)


def softmax_formula(c: Any) -> Any:
    """Each column of c (i, j) through the softmax, as named intermediates."""
    maps_in, maps_out = c.shape
    (k,) = indices("k")
    e = define("e", (maps_in, maps_out), lambda i, j: exp(c[i, j]))
    Z = define("Z", (maps_out,), lambda j: total(e[k, j], (k, maps_in)))
    return define("alpha", (maps_in, maps_out), lambda i, j: e[i, j] / Z[j])


def sparsemax_formula(c: Any) -> Any:
    """Each column of c (i, j) projected onto the simplex, by the support and the threshold tau.

    Entry i is in the support if what the larger entries exceed it by sums to less than 1.
    """
    maps_in, maps_out = c.shape
    (k,) = indices("k")

    def exceeds(i: Any, j: Any) -> Any:
        return total(when(c[k, j] > c[i, j], c[k, j] - c[i, j], 0), (k, maps_in))

    gap = define("gap", (maps_in, maps_out), exceeds, locally_constant=True)
    S = define("S", (maps_in, maps_out), lambda i, j: when(gap[i, j] < 1, 1, 0), locally_constant=True)
    count = define("count", (maps_out,), lambda j: total(S[k, j], (k, maps_in)), locally_constant=True)
    held = define("held", (maps_out,), lambda j: total(S[k, j] * c[k, j], (k, maps_in)))
    tau = define("tau", (maps_out,), lambda j: (held[j] - 1) / count[j])
    return define("alpha", (maps_in, maps_out), lambda i, j: S[i, j] * (c[i, j] - tau[j]))
