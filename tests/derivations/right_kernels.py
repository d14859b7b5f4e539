"""Right operations that the standard ones are not: the same maps by other routes, and maps that a third party might write.

`RIGHT` holds them all. Those with `doubtful = True` are right for ordinary entries and lose digits, or overflow, for others.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import expit, logsumexp

from cnnframe import Activation, Layer, Loss, Op, Param, at_least, one_of, positive
from cnnframe.algebra import absolute, define, exp, indices, log, logistic, sqrt, tanh, total, when
from cnnframe_plugins._simplex import log_softmax, softmax
from cnnframe_plugins._windows import Geometry
from cnnframe_plugins.activations import LeakyReLU, Logistic, ReLU, ScaledTanh, Softplus
from cnnframe_plugins.batch_norm import BatchNorm, BatchNormGiven
from cnnframe_plugins.combine import Combine
from cnnframe_plugins.conv import Conv, ConvLinked
from cnnframe_plugins.dense import Dense
from cnnframe_plugins.dropout import Dropout
from cnnframe_plugins.joins import Add, Concatenate, Flatten
from cnnframe_plugins.losses import LogisticCrossEntropy, SoftmaxCrossEntropy, SquaredError
from cnnframe_plugins.pooling import MaxPool, MeanPool
from cnnframe_plugins.regularizers import L1, L2, AlphaEntropy, AlphaL1, AlphaPower, AlphaSquare
from cnnframe_plugins.scaling import Normalise, ScaleShift
from cnnframe_plugins.softmax import Softmax
from cnnframe_plugins.subsample import Decimate, Subsample, Upsample

_FOUND: list[type[Op]] = []


def right(cls: Any) -> Any:
    """Make the class an operation and collect it."""
    made = dataclass(frozen=True)(cls)
    _FOUND.append(made)
    return made


def column(values: Any, dims: int) -> Any:
    """One value a map, against (n, maps, *map)."""
    return values.reshape(-1, *(1,) * dims)


def space(array: Any) -> tuple[int, ...]:
    """All axes but that of the maps."""
    return (0, *range(2, array.ndim))


def compensated(terms: Any, start: Any) -> Any:
    """Kahan's sum of arrays."""
    sum_so_far, lost = start.copy(), np.zeros_like(start)
    for term in terms:
        corrected = term - lost
        new = sum_so_far + corrected
        lost = (new - sum_so_far) - corrected
        sum_so_far = new
    return sum_so_far


def pairwise(terms: list[Any]) -> Any:
    """The sum of a list of arrays by halves."""
    middle = len(terms) // 2
    return terms[0] if len(terms) == 1 else pairwise(terms[:middle]) + pairwise(terms[middle:])


# Dense layers


@right
class DenseEinsum(Dense):
    """By index notation, whatever is wanted."""

    name = "dense_einsum"

    def forward(self, x, W, b):
        return np.einsum("ni,ui->nu", x, W) + b, (x, W)

    def backward(self, dy, saved):
        x, W = saved
        return {"x": np.einsum("nu,ui->ni", dy, W), "W": np.einsum("nu,ni->ui", dy, x), "b": np.einsum("nu->u", dy)}


@right
class DenseOuter(Dense):
    """Outer products, summed from the last pattern to the first."""

    name = "dense_outer"

    def backward(self, dy, saved):
        x, W = saved
        dW, db = np.zeros_like(W), np.zeros(self.units, dy.dtype)
        for one, delta in zip(x[::-1], dy[::-1], strict=True):
            dW += np.outer(delta, one)
            db += delta
        return {"x": np.stack([W.T @ delta for delta in dy]) if len(dy) else np.zeros_like(x), "W": dW, "b": db}


@right
class DenseInDouble(Dense):
    """Computes in float64 and rounds once."""

    name = "dense_in_double"

    def forward(self, x, W, b):
        y = x.astype(np.float64) @ W.T.astype(np.float64) + b
        return y.astype(x.dtype), (x.astype(np.float64), W.astype(np.float64))

    def backward(self, dy, saved):
        gradients = super().backward(dy.astype(np.float64), saved)
        return {name: array.astype(dy.dtype) for name, array in gradients.items()}


@right
class DenseKahan(Dense):
    """Sums over units and patterns with compensation."""

    name = "dense_kahan"

    def forward(self, x, W, b):
        start = np.zeros((len(x), self.units), x.dtype)
        return compensated((np.outer(x[:, i], W[:, i]) for i in range(x.shape[1])), start) + b, (x, W)

    def backward(self, dy, saved):
        x, W = saved
        dx = compensated((np.outer(dy[:, u], W[u]) for u in range(self.units)), np.zeros_like(x))
        dW = compensated((np.outer(dy[n], x[n]) for n in range(len(x))), np.zeros_like(W))
        return {"x": dx, "W": dW, "b": compensated(dy, np.zeros(self.units, dy.dtype))}


@right
class DensePairwise(Dense):
    """Sums by halves, the bias first."""

    name = "dense_pairwise"

    def forward(self, x, W, b):
        first = np.zeros((len(x), 1), x.dtype) + b
        return pairwise([first, *(np.outer(x[:, i], W[:, i]) for i in range(x.shape[1]))]), (x, W)


@right
class DenseByColumns(Dense):
    """Returns arrays in column-major order."""

    name = "dense_by_columns"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        return np.asfortranarray(y), saved

    def backward(self, dy, saved):
        return {name: np.asfortranarray(array) for name, array in super().backward(dy, saved).items()}


# Convolutions


@right
class ConvLoops(Conv):
    """Explicit loops over output positions and kernel entries."""

    name = "conv_loops"

    def forward(self, x, k, b):
        y = np.zeros((len(x), self.maps, *self._geometry.output(x.shape[2:])), x.dtype)
        for at, read, j, i, weight in self._terms(x.shape, k):
            y[(slice(None), j, *at)] += x[(slice(None), i, *read)] * k[weight]
        return y + column(b, self.dims), (x, k)

    def backward(self, dy, saved):
        x, k = saved
        dx, dk = np.zeros_like(x), np.zeros_like(k)
        for at, read, j, i, weight in self._terms(x.shape, k):
            dx[(slice(None), i, *read)] += dy[(slice(None), j, *at)] * k[weight]
            dk[weight] += (dy[(slice(None), j, *at)] * x[(slice(None), i, *read)]).sum()
        return {"x": dx, "k": dk, "b": dy.sum(axis=space(dy))}

    @property
    def _geometry(self):
        return Geometry(self.size, self.stride, self.padding, self.dilation)

    def _terms(self, shape, k):
        """Output position, position read, output map, input map and kernel entry of each product."""
        fan, out = k.shape[1], self.maps // self.groups
        for at, tap in itertools.product(np.ndindex(*self._geometry.output(shape[2:])), np.ndindex(*self.size)):
            read = tuple(u * s + t * d - p for u, s, t, d, p in zip(at, self.stride, tap, self.dilation, self.padding, strict=True))
            if not all(0 <= r < h for r, h in zip(read, shape[2:], strict=True)):
                continue
            entry = tuple(s - 1 - t for s, t in zip(self.size, tap, strict=True)) if self.orientation == "convolution" else tap
            for j, i in itertools.product(range(self.maps), range(fan)):
                yield at, read, j, j // out * fan + i, (j, i, *entry)


@right
class ConvEinsum(Conv):
    """One matrix product a group over flattened windows."""

    name = "conv_einsum"

    def forward(self, x, k, b):
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        windows = geometry.windows(x)
        rows = windows.reshape(len(x), self.groups, k.shape[1], math.prod(geometry.output(x.shape[2:])), geometry.area)
        y = np.einsum("ngips,goisx->ngop", rows, self._flat(k)[..., np.newaxis])
        return y.reshape(len(x), self.maps, *geometry.output(x.shape[2:])) + column(b, self.dims), (rows, windows.shape, x.shape, k)

    def backward(self, dy, saved):
        rows, windows, shape, k = saved
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        delta = dy.reshape(len(dy), self.groups, self.maps // self.groups, rows.shape[3])
        dk = np.einsum("ngop,ngips->gois", delta, rows).reshape(k.shape)
        pieces = np.einsum("ngop,gois->ngips", delta, self._flat(k)).reshape(windows)
        return {"x": geometry.scatter(shape, pieces), "k": self._turned(dk).copy(), "b": dy.sum(axis=space(dy))}

    def _turned(self, k):
        return np.flip(k, tuple(range(2, k.ndim))) if self.orientation == "convolution" else k

    def _flat(self, k):
        return self._turned(k).reshape(self.groups, self.maps // self.groups, k.shape[1], -1)


@right
class ConvGathered(Conv):
    """Collects the gradient of x at each entry from the outputs that read it, where the standard one scatters."""

    name = "conv_gathered"

    def backward(self, dy, saved):
        _, k, shape = saved
        dx = np.zeros(shape, dy.dtype)
        fan, out = k.shape[1], self.maps // self.groups
        for tap in np.ndindex(*self.size):
            entry = tuple(s - 1 - t for s, t in zip(self.size, tap, strict=True)) if self.orientation == "convolution" else tap
            piece = dy
            for axis, (h, t, d, p, s) in enumerate(zip(shape[2:], tap, self.dilation, self.padding, self.stride, strict=True), 2):
                place = np.arange(h) + p - d * t
                there = (place % s == 0) & (place >= 0) & (place // s < dy.shape[axis])
                mask = there.reshape(-1, *(1,) * (dy.ndim - 1 - axis))
                piece = np.where(mask, np.take(piece, np.where(there, place // s, 0), axis=axis), 0)
            for g in range(self.groups):
                mixed = np.tensordot(piece[:, g * out : (g + 1) * out], k[(slice(g * out, (g + 1) * out), slice(None), *entry)], axes=([1], [0]))
                dx[:, g * fan : (g + 1) * fan] += np.moveaxis(mixed, -1, 1)
        return {**super().backward(dy, saved), "x": dx}


@right
class ConvInDouble(Conv):
    """Computes in float64 and rounds once."""

    name = "conv_in_double"

    def forward(self, x, k, b):
        y, saved = super().forward(*(array.astype(np.float64) for array in (x, k, b)))
        return y.astype(x.dtype), saved

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        gradients = super().backward(dy.astype(np.float64), saved, wanted)
        return {name: array.astype(dy.dtype) for name, array in gradients.items()}


@right
class ConvPatternByPattern(Conv):
    """One pattern after the other, the gradients summed from the last to the first."""

    name = "conv_pattern_by_pattern"

    def forward(self, x, k, b):
        done = [super(ConvPatternByPattern, self).forward(x[n : n + 1], k, b) for n in range(len(x))]
        if not done:
            return super().forward(x, k, b)[0], (x, k, [])
        return np.concatenate([y for y, _ in done]), (x, k, [kept for _, kept in done])

    def backward(self, dy, saved):
        x, k, kept = saved
        dx, dk, db = np.zeros_like(x), np.zeros_like(k), np.zeros(self.maps, dy.dtype)
        for n in reversed(range(len(x))):
            one = super().backward(dy[n : n + 1], kept[n])
            dx[n], dk, db = one["x"][0], dk + one["k"], db + one["b"]
        return {"x": dx, "k": dk, "b": db}


@right
class ConvLinkedDense(ConvLinked):
    """A dense convolution whose kernel is 0 where there is no link."""

    name = "conv_linked_dense"

    def forward(self, x, k, b):
        full = np.zeros((self.links.outputs, self.links.inputs, *self.size), k.dtype)
        for link, (i, j) in enumerate(self.links.pairs):
            full[j, i] = k[link]
        return self._conv.forward(x, full, b)

    def backward(self, dy, saved):
        gradients = self._conv.backward(dy, saved)
        return {**gradients, "k": np.stack([gradients["k"][j, i] for i, j in self.links.pairs])}

    @property
    def _conv(self):
        return Conv(self.links.outputs, self.size, self.dims, self.stride, self.padding, self.dilation, 1, self.orientation)


# Sub-sampling and pooling


@right
class SubsampleReduceAt(Subsample):
    """Sums blocks with `np.add.reduceat` and repeats entries with `np.repeat`."""

    name = "subsample_reduce_at"

    def forward(self, x, beta, b):
        d = x
        for axis, size in enumerate(self.size, 2):
            d = np.add.reduceat(d, np.arange(0, d.shape[axis], size), axis=axis)
        return column(beta, self.dims) * d + column(b, self.dims), (d, beta)

    def backward(self, dy, saved):
        d, beta = saved
        dx = column(beta, self.dims) * dy
        for axis, size in enumerate(self.size, 2):
            dx = np.repeat(dx, size, axis=axis)
        return {"x": dx, "beta": (d * dy).sum(axis=space(dy)), "b": dy.sum(axis=space(dy))}


@right
class SubsampleByOnes(Subsample):
    """Correlates with ones and keeps every size-th entry; scales each entry before it is summed."""

    name = "subsample_by_ones"

    def forward(self, x, beta, b):
        inner = tuple(range(-self.dims, 0))
        windows = sliding_window_view(column(beta, self.dims) * x, self.size, axis=tuple(range(2, x.ndim)))
        kept = windows[(slice(None), slice(None), *(slice(None, None, s) for s in self.size))]
        return np.tensordot(kept, np.ones(self.size, x.dtype), axes=(inner, tuple(range(self.dims)))) + column(b, self.dims), (x, beta)

    def backward(self, dy, saved):
        x, beta = saved
        spread = np.kron(dy, np.ones((1, 1, *self.size), dy.dtype))
        return {"x": spread * column(beta, self.dims), "beta": (spread * x).sum(axis=space(x)), "b": dy.sum(axis=space(dy))}


@right
class DecimateTake(Decimate):
    """Takes by index arrays that are kept from call to call, since they depend on sizes alone."""

    name = "decimate_take"

    def forward(self, x):
        return x[self._index(x.shape)], x.shape

    def backward(self, dy, saved):
        dx = np.zeros(saved, dy.dtype)
        np.add.at(dx, self._index(saved), dy)
        return {"x": dx}

    def _index(self, shape):
        return _every(shape, self.stride)


@functools.cache
def _every(shape, stride):
    return np.ix_(np.arange(shape[0]), np.arange(shape[1]), *(np.arange(0, h, s) for h, s in zip(shape[2:], stride, strict=True)))


@right
class UpsampleRepeat(Upsample):
    """Repeats with `np.repeat`; sums blocks axis by axis."""

    name = "upsample_repeat"

    def forward(self, x):
        y = x.copy()
        for axis, size in enumerate(self.size, 2):
            y = np.repeat(y, size, axis=axis)
        return y, None

    def backward(self, dy, saved):
        dx = np.array(dy)
        for axis, size in enumerate(self.size, 2):
            dx = dx.reshape(*dx.shape[:axis], dx.shape[axis] // size, size, *dx.shape[axis + 1 :]).sum(axis=axis + 1)
        return {"x": dx}


@right
class MeanPoolReciprocal(MeanPool):
    """Multiplies by 1 / area."""

    name = "mean_pool_reciprocal"

    def forward(self, x):
        windows = Geometry.plain(self.size, self.stride).windows(x)
        return windows.sum(axis=tuple(range(-self.dims, 0))) * (1 / math.prod(self.size)), x.shape

    def backward(self, dy, saved):
        geometry = Geometry.plain(self.size, self.stride)
        share = (dy * (1 / geometry.area)).reshape(*dy.shape, *(1,) * self.dims)
        return {"x": geometry.scatter(saved, np.broadcast_to(share, (*dy.shape, *self.size)))}


@right
class MeanPoolCumulative(MeanPool):
    """Differences of cumulative sums, axis by axis, which cancel."""

    name = "mean_pool_cumulative"
    doubtful = True

    def forward(self, x):
        y = x / math.prod(self.size)
        for axis, (size, stride) in enumerate(zip(self.size, self.stride, strict=True), 2):
            sums = np.cumsum(np.concatenate([np.zeros_like(np.take(y, [0], axis)), y], axis), axis)
            start = np.arange(0, y.shape[axis] - size + 1, stride)
            y = np.take(sums, start + size, axis) - np.take(sums, start, axis)
        return y, x.shape


@right
class MaxPoolArgmax(MaxPool):
    """Loops over the windows and asks each for its first maximum."""

    name = "max_pool_argmax"

    def forward(self, x):
        winners = {}
        y = np.empty((*x.shape[:2], *Geometry.plain(self.size, self.stride).output(x.shape[2:])), x.dtype)
        for at in np.ndindex(*y.shape):
            corner = [u * s for u, s in zip(at[2:], self.stride, strict=True)]
            window = x[(*at[:2], *(slice(c, c + size) for c, size in zip(corner, self.size, strict=True)))]
            place = np.unravel_index(window.argmax(), window.shape)
            winners[at] = (*at[:2], *(c + p for c, p in zip(corner, place, strict=True)))
            y[at] = x[winners[at]]
        return y, (winners, x.shape)

    def backward(self, dy, saved):
        winners, shape = saved
        dx = np.zeros(shape, dy.dtype)
        for at, winner in winners.items():
            dx[winner] += dy[at]
        return {"x": dx}


# Combinations of maps and the softmax


@right
class CombineKernels(Combine):
    """A convolution whose kernels are alpha_ij k_i; what it gives for them is carried on to alpha and k."""

    name = "combine_kernels"

    def forward(self, x, k, c, b):
        alpha = super().forward(x, k, c, b)[1][2]
        kernels = np.einsum("ij,i...->ji...", alpha, k)
        y, saved = Conv(self.maps, self.size, self.dims).forward(x, kernels, b)
        return y, (k, alpha, saved)

    def backward(self, dy, saved):
        k, alpha, kept = saved
        gradients = Conv(self.maps, self.size, self.dims).backward(dy, kept)
        dalpha = np.einsum("jip,ip->ij", gradients["k"].reshape(*alpha.T.shape, -1), k.reshape(len(k), -1))
        if self.weights == "softmax":
            jacobian = np.einsum("ij,ik->ikj", alpha, np.eye(len(alpha), dtype=alpha.dtype)) - np.einsum("ij,kj->ikj", alpha, alpha)
        else:
            s = (alpha > 0).astype(alpha.dtype)
            jacobian = np.einsum("ij,ik->ikj", s, np.eye(len(s), dtype=s.dtype)) - np.einsum("ij,kj->ikj", s, s) / s.sum(axis=0)
        dk = np.einsum("ij,ji...->i...", alpha, gradients["k"])
        return {"x": gradients["x"], "k": dk, "c": np.einsum("ikj,kj->ij", jacobian, dalpha), "b": gradients["b"]}


@right
class SoftmaxJacobian(Softmax):
    """The exponential of the logarithm of the softmax, and the whole Jacobian."""

    name = "softmax_jacobian"

    def forward(self, x):
        y = np.exp(log_softmax(x, 1))
        return y, y.copy()

    def backward(self, dy, saved):
        y = saved
        jacobian = y[:, :, np.newaxis] * (np.eye(y.shape[1], dtype=y.dtype) - y[:, np.newaxis, :])
        return {"x": np.einsum("nij,nj->ni", jacobian, dy)}


# Joins, scaling, normalising


@right
class FlattenRows(Flatten):
    """Flattens pattern by pattern."""

    name = "flatten_rows"

    def forward(self, x):
        y = np.empty((x.shape[0], math.prod(x.shape[1:])), x.dtype)
        for n, maps in enumerate(x):
            y[n] = maps.flatten()
        return y, x.shape

    def backward(self, dy, saved):
        dx = np.empty(saved, dy.dtype)
        for n, row in enumerate(dy):
            dx[n] = row.reshape(saved[1:])
        return {"x": dx}


@right
class ConcatenateFilled(Concatenate):
    """Fills an empty array; selects with index arrays."""

    name = "concatenate_filled"

    def forward(self, a, b):
        y = np.empty((a.shape[0], a.shape[1] + b.shape[1], *a.shape[2:]), a.dtype)
        y[:, a.shape[1] :] = b
        y[:, : a.shape[1]] = a
        return y, a.shape[1]

    def backward(self, dy, saved):
        return {"b": np.take(dy, range(saved, dy.shape[1]), axis=1), "a": np.take(dy, range(saved), axis=1)}


@right
class AddReversed(Add):
    """b + a; what it saves is not used."""

    name = "add_reversed"

    def forward(self, a, b):
        return np.add(b, a), (a, b)

    def backward(self, dy, saved):
        return {"a": dy + 0.0, "b": 1 * dy}


@right
class ScaleShiftEinsum(ScaleShift):
    """By index notation."""

    name = "scale_shift_einsum"

    def forward(self, x, gain, shift):
        return np.einsum("ni...,i->ni...", x, gain) + column(shift, self.dims), (x, gain)

    def backward(self, dy, saved):
        x, gain = saved
        return {"x": np.einsum("ni...,i->ni...", dy, gain), "gain": np.einsum("nip,nip->i", *self._rows(dy, x)), "shift": dy.sum(axis=space(dy))}

    def _rows(self, *arrays):
        return [array.reshape(*array.shape[:2], math.prod(array.shape[2:])) for array in arrays]


@right
class NormaliseReciprocal(Normalise):
    """Multiplies by 1 / std."""

    name = "normalise_reciprocal"

    def forward(self, x):
        return (x - self.mean) * (1 / self.std), None

    def backward(self, dy, saved):
        return {"x": dy * (1 / self.std)}


@right
class BatchNormGivenAffine(BatchNormGiven):
    """x times the precision less the mean times the precision, which cancels for a large mean."""

    name = "batch_norm_given_affine"
    doubtful = True

    def forward(self, x, mean, precision):
        rate = self._column(precision)
        return x * rate - self._column(mean * precision), rate


@right
class BatchNormClosedForm(BatchNorm):
    """The gradient as one fraction: (N dy - sum of dy - y sum of dy y) rate / N."""

    name = "batch_norm_closed_form"

    def backward(self, dy, saved):
        centred, rate = saved
        count = self._count(centred)
        y = centred * rate
        delta = dy["y"]
        dx = (rate / count) * (count * delta - delta.sum(axis=self._space, keepdims=True) - y * (delta * y).sum(axis=self._space, keepdims=True))
        return {"x": dx + (self._column(dy["mean"]) + 2 * centred * self._column(dy["variance"])) / count}


@right
class BatchNormStages(BatchNorm):
    """The chain rule step by step: rate, variance, centred maps, mean."""

    name = "batch_norm_stages"

    def backward(self, dy, saved):
        centred, rate = saved
        count = self._count(centred)
        drate = (dy["y"] * centred).sum(axis=self._space, keepdims=True)
        dvariance = drate * -0.5 * rate**3 + self._column(dy["variance"])
        dcentred = dy["y"] * rate + dvariance * 2 * centred / count
        dmean = self._column(dy["mean"]) - dcentred.sum(axis=self._space, keepdims=True)
        return {"x": dcentred + dmean / count}


@right
class BatchNormMoments(BatchNorm):
    """The variance as the mean of squares less the squared mean, which cancels."""

    name = "batch_norm_moments"
    doubtful = True

    def forward(self, x):
        count = self._count(x)
        mean = x.sum(axis=self._space) / count
        variance = np.maximum(np.square(x).sum(axis=self._space) / count - np.square(mean), 0)
        centred, rate = x - self._column(mean), 1 / np.sqrt(self._column(variance) + self.epsilon)
        return {"y": centred * rate, "mean": mean, "variance": variance}, (centred, rate)


@right
class DropoutWhere(Dropout):
    """Chooses, and divides dy where x was kept."""

    name = "dropout_where"

    def forward(self, x, u):
        kept = ~(u < self.rate)
        return np.where(kept, x / (1 - self.rate), 0), kept

    def backward(self, dy, saved):
        return {"x": np.where(saved, dy / (1 - self.rate), 0)}


# Activations


@right
class LogisticByTanh(Logistic):
    """(1 + tanh(beta x / 2)) / 2, with the derivative beta y (1 - y)."""

    name = "logistic_by_tanh"
    # It is off by the rounding of 1, and does not promise better.
    keeps_digits = ()

    def f(self, x):
        return 0.5 * (1 + np.tanh(0.5 * self.beta * x))


@right
class LogisticRaw(Logistic):
    """1 / (1 + exp(-beta x)), infinite exponentials included, with the derivative as the product of both tails."""

    name = "logistic_raw"

    def f(self, x):
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-self.beta * x))

    def df(self, x, y):
        return self.beta * self.f(x) * self.f(-x)


@right
class ScaledTanhBySech(ScaledTanh):
    """a b / cosh(b x)^2."""

    name = "scaled_tanh_by_sech"

    def df(self, x, y):
        with np.errstate(over="ignore"):
            return self.a * self.b / np.cosh(self.b * x) ** 2


@right
class ScaledTanhByTanh(ScaledTanh):
    """a b (1 - tanh(b x)^2), with the hyperbolic tangent taken again."""

    name = "scaled_tanh_by_tanh"

    def df(self, x, y):
        return self.a * self.b * (1 - np.tanh(self.b * x) ** 2)


@right
class ReLUByHalves(ReLU):
    """(x + |x|) / 2, with a Heaviside step."""

    name = "relu_by_halves"

    def f(self, x):
        return (x + np.abs(x)) / 2

    def df(self, x, y):
        return np.heaviside(x, 0).astype(x.dtype)


@right
class LeakyReLUByMaximum(LeakyReLU):
    """The larger of x and slope x, as the slope is at most 1."""

    name = "leaky_relu_by_maximum"

    def f(self, x):
        return np.maximum(x, self.slope * x)

    def df(self, x, y):
        return self.slope + (1 - self.slope) * (x > 0).astype(x.dtype)


@right
class SoftplusByLogaddexp(Softplus):
    """log(exp(0) + exp(x)), with the derivative (1 + tanh(x / 2)) / 2."""

    name = "softplus_by_logaddexp"

    def f(self, x):
        return np.logaddexp(0, x)

    def df(self, x, y):
        return (1 + np.tanh(x / 2)) / 2


# Losses and penalties


@right
class SquaredErrorDot(SquaredError):
    """An inner product, as an array without axes."""

    name = "squared_error_dot"

    def forward(self, y, t):
        error = (y - t).ravel()
        return np.asarray(0.5 * np.dot(error, error)), (y, t)

    def backward(self, dy, saved):
        y, t = saved
        return {"y": dy * y - dy * t}


@right
class CrossEntropyByLogsumexp(SoftmaxCrossEntropy):
    """The logarithm of the sum of exponentials less the logits, with class indices as one-hot rows."""

    name = "cross_entropy_by_logsumexp"

    def forward(self, z, t):
        dense = t if self.targets == "dense" else np.eye(z.shape[1], dtype=z.dtype)[t]
        return (dense * (logsumexp(z, axis=1, keepdims=True) - z)).sum(), (z, dense)

    def backward(self, dy, saved):
        z, dense = saved
        return {"z": dy * (softmax(z, 1) * dense.sum(axis=1, keepdims=True) - dense)}


@right
class LogisticCrossEntropyByLogaddexp(LogisticCrossEntropy):
    """t log(1 + exp(-z)) + (1 - t) log(1 + exp(z))."""

    name = "logistic_cross_entropy_by_logaddexp"

    def forward(self, z, t):
        return (t * np.logaddexp(0, -z) + (1 - t) * np.logaddexp(0, z)).sum(), (z, t)

    def backward(self, dy, saved):
        z, t = saved
        return {"z": dy * ((1 - t) * expit(z) - t * expit(-z))}


@right
class L2Dot(L2):
    """An inner product."""

    name = "l2_dot"

    def forward(self, w):
        flat = w.ravel()
        return self.strength * np.dot(flat, flat) * 0.5, w


@right
class L1ByMaximum(L1):
    """The sum of the larger of w and -w."""

    name = "l1_by_maximum"

    def forward(self, w):
        return self.strength * np.maximum(w, -w).sum(), w

    def backward(self, dy, saved):
        return {"w": dy * self.strength * ((saved > 0).astype(saved.dtype) - (saved < 0).astype(saved.dtype))}


@right
class AlphaL1Constant(AlphaL1):
    """strength times the number of maps, as each column of alpha sums to 1; the gradient is 0."""

    name = "alpha_l1_constant"

    def forward(self, c):
        return c.dtype.type(self.strength * c.shape[1]), c.shape

    def backward(self, dy, saved):
        return {"c": np.zeros(saved, dy.dtype)}


@right
class AlphaSquareJacobian(AlphaSquare):
    """The whole Jacobian of each column."""

    name = "alpha_square_jacobian"

    def backward(self, dy, saved):
        columns = [(np.diag(a) - np.outer(a, a)) @ (-2 * self.strength * a) for a in saved.T]
        return {"c": dy * np.stack(columns, axis=1)}


@right
class AlphaEntropyByPotential(AlphaEntropy):
    """The logarithm of the sum of exponentials less the mean of c under alpha, which cancels for large c."""

    name = "alpha_entropy_by_potential"
    doubtful = True

    def forward(self, c):
        alpha = softmax(c, 0)
        return self.strength * (logsumexp(c, axis=0) - (alpha * c).sum(axis=0)).sum(), (c, alpha)

    def backward(self, dy, saved):
        c, alpha = saved
        return {"c": dy * self.strength * alpha * ((alpha * c).sum(axis=0) - c)}


@right
class AlphaPowerDirect(AlphaPower):
    """Powers of alpha itself."""

    name = "alpha_power_direct"

    def forward(self, c):
        alpha = softmax(c, 0)
        return self.strength * (alpha**self.power).sum(), alpha

    def backward(self, dy, saved):
        powers = saved**self.power
        return {"c": dy * self.strength * self.power * (powers - saved * powers.sum(axis=0))}


# Operations of a third party


@right
class GatedLinear(Layer):
    """x logistic(z)."""

    name = "gated_linear"
    inputs = {"x": "...", "z": "..."}
    output = "..."

    def forward(self, x, z):
        gate = expit(z)
        return x * gate, (x, gate)

    def backward(self, dy, saved):
        x, gate = saved
        return {"x": dy * gate, "z": dy * x * gate * (1 - gate)}

    def formula(self, at, x, z):
        return x[at] * logistic(z[at])


@right
class Swish(Activation):
    """x logistic(x)."""

    name = "swish"

    def f(self, x):
        return x * expit(x)

    def df(self, x, y):
        s = expit(x)
        return s * (1 + x * (1 - s))

    def expr(self, x):
        return x * logistic(x)


@right
class Gelu(Activation):
    """The Gaussian error linear unit, by its approximation with tanh."""

    name = "gelu"

    def f(self, x):
        return 0.5 * x * (1 + self._tanh(x))

    def df(self, x, y):
        t = self._tanh(x)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)

    def _tanh(self, x):
        return np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))

    def expr(self, x):
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@right
class Elu(Activation):
    """x where x > 0 and scale (exp(x) - 1) elsewhere."""

    scale: Annotated[float, positive] = 1.0

    name = "elu"

    def f(self, x):
        return np.where(x > 0, x, self.scale * np.expm1(np.minimum(x, 0)))

    def df(self, x, y):
        return np.where(x > 0, np.ones_like(x), self.scale * np.exp(np.minimum(x, 0)))

    def expr(self, x):
        return when(x > 0, x, self.scale * (exp(x) - 1))


@right
class Absolute(Activation):
    """|x|; the derivative at 0 is taken to be 0."""

    name = "absolute"

    def f(self, x):
        return np.abs(x)

    def df(self, x, y):
        return np.sign(x)

    def expr(self, x):
        return absolute(x)


@right
class Maximum(Layer):
    """The larger of two entries; of equal ones that of a gets the gradient."""

    name = "maximum"
    inputs = {"a": "...", "b": "..."}
    output = "..."

    def forward(self, a, b):
        return np.maximum(a, b), a >= b

    def backward(self, dy, saved):
        return {"a": np.where(saved, dy, 0), "b": np.where(saved, 0, dy)}

    def formula(self, at, a, b):
        return when(a[at] >= b[at], a[at], b[at])


@right
class Huber(Loss):
    """Half the squared error up to delta, linear beyond."""

    delta: Annotated[float, positive] = 1.0

    name = "huber"
    inputs = {"y": "n c"}
    constants = {"t": "n c"}

    def forward(self, y, t):
        error = y - t
        size = np.abs(error)
        return np.where(size <= self.delta, error * error / 2, self.delta * (size - self.delta / 2)).sum(), error

    def backward(self, dy, saved):
        return {"y": dy * np.clip(saved, -self.delta, self.delta)}

    def formula(self, at, y, t):
        n, c = indices("n c")
        e = y[n, c] - t[n, c]
        below = when(e < -self.delta, self.delta * (-e - self.delta / 2), e**2 / 2)
        return total(when(e > self.delta, self.delta * (e - self.delta / 2), below), (n, y.shape[0]), (c, y.shape[1]))


@right
class Hinge(Loss):
    """max(0, 1 - t y), summed; the derivative at the kink is taken to be 0."""

    name = "hinge"
    inputs = {"y": "n c"}
    constants = {"t": "n c"}

    def forward(self, y, t):
        margin = 1 - t * y
        return np.maximum(margin, 0).sum(), (margin, t)

    def backward(self, dy, saved):
        margin, t = saved
        return {"y": np.where(margin > 0, -dy * t, 0)}

    def formula(self, at, y, t):
        n, c = indices("n c")
        margin = 1 - t[n, c] * y[n, c]
        return total(when(margin > 0, margin, 0), (n, y.shape[0]), (c, y.shape[1]))


@right
class SquaredHinge(Loss):
    """max(0, 1 - t y)^2, summed."""

    name = "squared_hinge"
    inputs = {"y": "n c"}
    constants = {"t": "n c"}

    def forward(self, y, t):
        margin = np.maximum(1 - t * y, 0)
        return np.square(margin).sum(), (margin, t)

    def backward(self, dy, saved):
        margin, t = saved
        return {"y": -2 * dy * t * margin}

    def formula(self, at, y, t):
        n, c = indices("n c")
        margin = 1 - t[n, c] * y[n, c]
        return total(when(margin > 0, margin**2, 0), (n, y.shape[0]), (c, y.shape[1]))


@right
class LayerNorm(Layer):
    """Normalise each position over the maps."""

    epsilon: Annotated[float, positive] = 1e-5
    dims: Annotated[int, one_of(0, 1, 2)] = 1

    name = "layer_norm"
    inputs = {"x": "n i {h}"}
    output = "n i {h}"

    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        rate = 1 / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + self.epsilon)
        return centred * rate, (centred * rate, rate)

    def backward(self, dy, saved):
        y, rate = saved
        return {"x": rate * (dy - dy.mean(axis=1, keepdims=True) - y * (dy * y).mean(axis=1, keepdims=True))}

    def formula(self, at, x):
        n, _, *u = at
        maps = x.shape[1]
        (i,) = indices("i")
        outer = (x.shape[0], *x.shape[2:])
        mu = define("mu", outer, lambda m, *p: total(x[(m, i, *p)], (i, maps)) / maps)
        var = define("var", outer, lambda m, *p: total((x[(m, i, *p)] - mu[(m, *p)]) ** 2, (i, maps)) / maps)
        return (x[at] - mu[(n, *u)]) / sqrt(var[(n, *u)] + self.epsilon)


@right
class LocalResponse(Layer):
    """Divide each entry by a power of the sum of squares of the maps beside it (Krizhevsky et al. 2012)."""

    radius: Annotated[int, at_least(0)] = 1
    start: Annotated[float, positive] = 2.0
    scale: Annotated[float, at_least(0)] = 0.5
    power: Annotated[float, positive] = 0.75

    name = "local_response"
    inputs = {"x": "n i h"}
    output = "n i h"

    def forward(self, x):
        level = self.start + self.scale * self._near(x * x)
        return x * level**-self.power, (x, level)

    def backward(self, dy, saved):
        x, level = saved
        spread = self._near(dy * x * level ** (-self.power - 1))
        return {"x": dy * level**-self.power - 2 * self.scale * self.power * x * spread}

    def _near(self, x):
        """Sum over the maps at most `radius` away; its own adjoint."""
        maps = np.arange(x.shape[1])
        near = (np.abs(maps[:, np.newaxis] - maps) <= self.radius).astype(x.dtype)
        return np.einsum("ij,njh->nih", near, x)

    def formula(self, at, x):
        n, i, h = at
        (j,) = indices("j")
        near = total(x[n, j, h] ** 2, (j, x.shape[1]), where=[j >= i - self.radius, j <= i + self.radius])
        return x[at] / (self.start + self.scale * near) ** self.power


@right
class Depthwise(Layer):
    """Correlate each map of one axis with a kernel of its own."""

    size: Annotated[int, at_least(1)]

    name = "depthwise"
    inputs = {"x": "n i h"}
    params = {"k": Param("i size", fan_in="size", fan_out="size")}
    output = "n i (h-size+1)"

    def forward(self, x, k):
        windows = sliding_window_view(x, self.size, axis=2)
        return np.einsum("niua,ia->niu", windows, k), (windows, k)

    def backward(self, dy, saved):
        windows, k = saved
        wide = np.pad(dy, ((0, 0), (0, 0), (self.size - 1, self.size - 1)))
        dx = np.einsum("niha,ia->nih", sliding_window_view(wide, self.size, axis=2), k[:, ::-1])
        return {"x": dx, "k": np.einsum("niu,niua->ia", dy, windows)}

    def formula(self, at, x, k):
        n, i, u = at
        (a,) = indices("a")
        return total(x[n, i, u + a] * k[i, a], (a, self.size))


@right
class Bilinear(Layer):
    """x^T W z, one number a pattern."""

    name = "bilinear"
    inputs = {"x": "n i", "z": "n j"}
    params = {"W": Param("i j", fan_in="i j", fan_out="i")}
    output = "n"

    def forward(self, x, z, W):
        return ((x @ W) * z).sum(axis=1), (x, z, W)

    def backward(self, dy, saved):
        x, z, W = saved
        return {"x": dy[:, np.newaxis] * (z @ W.T), "z": dy[:, np.newaxis] * (x @ W), "W": (dy[:, np.newaxis] * x).T @ z}

    def formula(self, at, x, z, W):
        (n,) = at
        i, j = indices("i j")
        return total(x[n, i] * W[i, j] * z[n, j], (i, x.shape[1]), (j, z.shape[1]))


@right
class Cosine(Layer):
    """The cosine of the angle between two vectors, with epsilon added to their squared lengths."""

    epsilon: Annotated[float, positive] = 1e-3

    name = "cosine"
    inputs = {"a": "n i", "b": "n i"}
    output = "n"

    def forward(self, a, b):
        ra, rb = (1 / np.sqrt((v * v).sum(axis=1, keepdims=True) + self.epsilon) for v in (a, b))
        y = (a * ra * b * rb).sum(axis=1)
        return y, (a, b, ra, rb, y[:, np.newaxis].copy())

    def backward(self, dy, saved):
        a, b, ra, rb, y = saved
        delta = dy[:, np.newaxis]
        return {"a": delta * ra * (b * rb - y * a * ra), "b": delta * rb * (a * ra - y * b * rb)}

    def formula(self, at, a, b):
        (n,) = at
        (i,) = indices("i")
        product, first, second = (total(u[n, i] * v[n, i], (i, a.shape[1])) for u, v in ((a, b), (a, a), (b, b)))
        return product / (sqrt(first + self.epsilon) * sqrt(second + self.epsilon))


@right
class LogSumExpPool(Layer):
    """The logarithm of the sum of exponentials over a map, a smooth maximum."""

    dims: Annotated[int, one_of(1, 2)] = 2

    name = "log_sum_exp_pool"
    inputs = {"x": "n i {h}"}
    output = "n i"

    def forward(self, x):
        y = logsumexp(x.reshape(*x.shape[:2], math.prod(x.shape[2:])), axis=2)
        return y, (x, y.copy())

    def backward(self, dy, saved):
        x, y = saved
        outer = (..., *(np.newaxis,) * self.dims)
        return {"x": dy[outer] * np.exp(x - y[outer])}

    def formula(self, at, x):
        n, i = at
        p = indices("p", self.dims)
        return log(total(exp(x[(n, i, *p)]), *zip(p, x.shape[2:], strict=True)))


@right
class ProductOfFour(Layer):
    """The sum over a map of the products of four arrays: of a high degree, so that sums of integers soon round."""

    name = "product_of_four"
    inputs = {"a": "n i h", "b": "n i h", "c": "n i h", "d": "n i h"}
    output = "n i"

    def forward(self, a, b, c, d):
        return (a * b * c * d).sum(axis=2), (a, b, c, d)

    def backward(self, dy, saved):
        a, b, c, d = saved
        delta = dy[:, :, np.newaxis]
        return {"a": delta * (b * c * d), "b": delta * (a * c * d), "c": delta * (a * b * d), "d": delta * (a * b * c)}

    def formula(self, at, a, b, c, d):
        (h,) = indices("h")
        return total(a[(*at, h)] * b[(*at, h)] * c[(*at, h)] * d[(*at, h)], (h, a.shape[2]))


RIGHT: tuple[type[Op], ...] = tuple(_FOUND)
