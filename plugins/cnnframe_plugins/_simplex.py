"""Softmax and sparsemax along one axis, their pullbacks, and their formulas (Bouvrie 2006, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
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


def exponentials(x: Any) -> tuple[Any, Any]:
    """exp(x) of x (n, c), and its sum Z over each row, as named intermediates."""
    batch, units = x.shape
    (k,) = indices("k")
    e = define("e", (batch, units), lambda n, c: exp(x[n, c]))
    return e, define("Z", (batch,), lambda n: total(e[n, k], (k, units)))


def softmax_rule(alpha: Any, slope: Callable[[Any, Any], Any], i: Any, j: Any) -> Any:
    """alpha_ij (s_ij - sum over k of s_kj alpha_kj), where s is the derivative with respect to alpha: equation 10."""
    (k,) = indices("k")
    return alpha[i, j] * (slope(i, j) - total(slope(k, j) * alpha[k, j], (k, alpha.shape[0])))


def sparsemax_rule(c: Any, slope: Callable[[Any, Any], Any], i: Any, j: Any) -> Any:
    """On the support, the derivative s with respect to alpha less its mean over the support."""
    (k,) = indices("k")
    S, count = _support(c)
    return S[i, j] * (slope(i, j) - total(S[k, j] * slope(k, j), (k, c.shape[0])) / count[j])


def sparsemax_formula(c: Any) -> Any:
    """Each column of c (i, j) projected onto the simplex, by the support and the threshold tau."""
    maps_in, maps_out = c.shape
    (k,) = indices("k")
    S, count = _support(c)
    held = define("held", (maps_out,), lambda j: total(S[k, j] * c[k, j], (k, maps_in)))
    tau = define("tau", (maps_out,), lambda j: (held[j] - 1) / count[j])
    return define("alpha", (maps_in, maps_out), lambda i, j: S[i, j] * (c[i, j] - tau[j]))


def _support(c: Any) -> tuple[Any, Any]:
    """Which entries are not 0, and how many of a column; those which the larger ones exceed by less than 1 in all."""
    maps_in, maps_out = c.shape
    (k,) = indices("k")

    def exceeds(i: Any, j: Any) -> Any:
        return total(when(c[k, j] > c[i, j], c[k, j] - c[i, j], 0), (k, maps_in))

    gap = define("gap", (maps_in, maps_out), exceeds)
    S = define("S", (maps_in, maps_out), lambda i, j: when(gap[i, j] < 1, 1, 0), locally_constant=True)
    return S, define("count", (maps_out,), lambda j: total(S[k, j], (k, maps_in)), locally_constant=True)
