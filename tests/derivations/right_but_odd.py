"""Right operations by unusual routes: none of them may ever be refuted.

`RIGHT_BUT_ODD` holds them all: known maps with other sums, other algebra, other memory or other element types inside, and small
new maps that a third party might write. Each is right for every allowed input within ordinary rounding. Those with `rounds = True`
round where the plain route is exact on integers, so that equality of bits is not to be asked of them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.signal import correlate
from scipy.sparse import csr_array
from scipy.special import expit, log_expit, logsumexp
from scipy.special import log_softmax as scipy_log_softmax

from cnnframe import Activation, Layer, Loss, Op, positive
from cnnframe.algebra import absolute, define, exp, indices, log, sqrt, total, when
from cnnframe_plugins._simplex import exponentials, log_softmax, softmax, softmax_formula, softmax_rule
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
from cnnframe_plugins.regularizers import L1, L2, AlphaEntropy, AlphaPower, AlphaSquare
from cnnframe_plugins.scaling import Normalise, ScaleShift
from cnnframe_plugins.softmax import Softmax
from cnnframe_plugins.subsample import Decimate, Subsample, Upsample

_FOUND: list[type[Op]] = []


def right(cls: Any) -> Any:
    """Make the class an operation and collect it."""
    made = dataclass(frozen=True)(cls)
    _FOUND.append(made)
    return made


def exact_sum(terms: Any) -> float:
    """The sum of the entries, rounded once; where that cannot be told, as NumPy sums."""
    values = np.asarray(terms, np.float64).ravel()
    if not np.isfinite(values).all():
        return float(values.sum())
    try:
        return math.fsum(values)
    except OverflowError:
        return float(values.sum())


def exact_sums(terms: Any, axes: tuple[int, ...], dtype: Any) -> Any:
    """`exact_sum` over some of the axes."""
    kept = [axis for axis in range(terms.ndim) if axis not in axes]
    moved = np.transpose(terms, (*kept, *axes))
    out = np.empty(moved.shape[: len(kept)], dtype)
    for at in np.ndindex(out.shape):
        out[at] = exact_sum(moved[at])
    return out


def neumaier(terms: Any) -> Any:
    """The sum over the first axis with the improved compensation of Neumaier."""
    sums, lost = np.zeros(terms.shape[1:], terms.dtype), np.zeros(terms.shape[1:], terms.dtype)
    for term in terms:
        new = sums + term
        lost += np.where(np.abs(sums) >= np.abs(term), (sums - new) + term, (term - new) + sums)
        sums = new
    return np.where(np.isfinite(lost), sums + lost, sums)


def column(values: Any, dims: int) -> Any:
    """One value a map, against (n, maps, *map)."""
    return values.reshape(-1, *(1,) * dims)


def space(array: Any) -> tuple[int, ...]:
    """All axes but that of the maps."""
    return (0, *range(2, array.ndim))


def maps_last(array: Any) -> Any:
    """Batch and space in one axis, the maps in the other."""
    return np.moveaxis(array, 1, -1).reshape(math.prod(array.shape[axis] for axis in space(array)), array.shape[1])


def sigmoid(z: Any) -> Any:
    """The logistic function by two tails; it may step back by the last digit where z is negative."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


@functools.lru_cache(maxsize=256)
def readings(maps: tuple[int, ...], geometry: Geometry) -> tuple[Any, Any, tuple[int, ...]]:
    """For each output position and window entry the flat position of the map that is read, whether it is inside, and the output's shape."""
    output = geometry.output(maps)
    places, inside = [], []
    for u in np.ndindex(*output):
        for a in geometry.taps():
            at = [s * v + d * e - p for s, v, d, e, p in zip(geometry.stride, u, geometry.dilation, a, geometry.padding, strict=True)]
            inside.append(all(0 <= q < m for q, m in zip(at, maps, strict=True)))
            places.append(np.ravel_multi_index(at, maps) if inside[-1] else 0)
    shape = (math.prod(output), geometry.area)
    found = np.array(places, np.intp).reshape(shape), np.array(inside, bool).reshape(shape)
    for array in found:
        array.setflags(write=False)
    return (*found, output)


# Activations


@right
class ReLUChoice(ReLU):
    """0 where x <= 0, so that a NaN passes."""

    name = "relu_choice"

    def f(self, x):
        return np.where(x <= 0, 0, x)

    def df(self, x, y):
        return np.where(x > 0, np.ones_like(x), 0)


@right
class ReLUMask(ReLU):
    """Times a mask, which gives -0 for negative entries; the infinite one is taken to the largest finite one first, for the product's sake."""

    name = "relu_mask"

    def f(self, x):
        return np.maximum(x, np.finfo(x.dtype).min) * (x > 0).astype(x.dtype)


@right
class ReLUNegatedMinimum(ReLU):
    """Minus the smaller of -x and 0, with the sign of the positive part."""

    name = "relu_negated_minimum"

    def f(self, x):
        return -np.minimum(-x, 0)

    def df(self, x, y):
        return np.sign(np.fmax(x, 0))


@right
class ReLUStacked(ReLU):
    """The largest along an axis that is made for it; the mask is kept as bytes, not x and y."""

    name = "relu_stacked"

    def forward(self, x):
        both = np.stack([np.zeros_like(x), x])
        return both.max(axis=0), np.greater(both[1], both[0]).astype(np.uint8)

    def backward(self, dy, saved):
        return {"x": np.where(saved, dy, 0)}

    def f(self, x):
        return np.maximum(x, 0)


@right
class LeakyReLUParts(LeakyReLU):
    """The positive part plus slope times the negative part."""

    name = "leaky_relu_parts"

    def f(self, x):
        return np.maximum(x, 0) + self.slope * np.minimum(x, 0)

    def df(self, x, y):
        return np.where(x > 0, 1, self.slope).astype(x.dtype)


@right
class ScaledTanhByExpm1(ScaledTanh):
    """By exp(-2 |b x|) - 1; the derivative as 4 a b e / (1 + e)^2, which keeps its digits where the other one cancels."""

    name = "scaled_tanh_by_expm1"

    def f(self, x):
        e = np.expm1(-2 * np.minimum(np.abs(self.b * x), 30))
        return np.copysign(self.a * (-e / (e + 2)), x)

    def df(self, x, y):
        e = np.exp(-2 * np.minimum(np.abs(self.b * x), 400))
        return 4 * self.a * self.b * e / np.square(1 + e)


@right
class LogisticTwoTails(Logistic):
    """By exp(-|beta x|), each side of 0 with a form of its own."""

    name = "logistic_two_tails"

    def f(self, x):
        return sigmoid(self.beta * x)

    def df(self, x, y):
        e = np.exp(-np.abs(self.beta * x))
        return self.beta * e / np.square(1 + e)


@right
class SoftplusByLogExpit(Softplus):
    """Minus the logarithm of the logistic function of -x."""

    name = "softplus_by_log_expit"

    def f(self, x):
        return -log_expit(-x)

    def df(self, x, y):
        return sigmoid(x)


@right
class SoftplusInDouble(Softplus):
    """In the longest type there is, rounded once."""

    name = "softplus_in_double"

    def f(self, x):
        wide = np.asarray(x, np.longdouble)
        return np.asarray(np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide)))).astype(x.dtype)

    def df(self, x, y):
        return np.asarray(sigmoid(np.asarray(x, np.longdouble))).astype(x.dtype)


# Dense layers


@right
class DenseFsum(Dense):
    """Each entry by a sum that rounds once."""

    name = "dense_fsum"

    def forward(self, x, W, b):
        y = exact_sums(x[:, np.newaxis] * W, (2,), x.dtype)
        return y + b, (x, W)

    def backward(self, dy, saved):
        x, W = saved
        return {
            "x": exact_sums(dy[:, :, np.newaxis] * W, (1,), dy.dtype),
            "W": exact_sums(dy[:, :, np.newaxis] * x[:, np.newaxis], (0,), dy.dtype),
            "b": exact_sums(dy, (0,), dy.dtype),
        }


@right
class DenseBlocks(Dense):
    """Matrix products of blocks of three, the last block first."""

    name = "dense_blocks"

    def forward(self, x, W, b):
        return self._product(x, W.T) + b, {"left": x, "right": W, "names": ("x", "W")}

    def backward(self, dy, saved):
        x, W = saved["left"], saved["right"]
        return {"b": dy.sum(axis=0), "W": self._product(dy.T, x), "x": self._product(dy, W)}

    @staticmethod
    def _product(a, b):
        out = np.zeros((a.shape[0], b.shape[1]), a.dtype)
        for start in reversed(range(0, a.shape[1], 3)):
            for row in range(0, a.shape[0], 3):
                out[row : row + 3] += a[row : row + 3, start : start + 3] @ b[start : start + 3]
        return out


@right
class DenseLongDouble(Dense):
    """In the longest type there is, rounded once; the products of NumPy itself, not those of a library."""

    name = "dense_long_double"

    def forward(self, x, W, b):
        return (x.astype(np.longdouble) @ W.T.astype(np.longdouble) + b).astype(x.dtype), (x, W)

    def backward(self, dy, saved):
        x, W = (part.astype(np.longdouble) for part in saved)
        wide = dy.astype(np.longdouble)
        return {name: array.astype(dy.dtype) for name, array in (("x", wide @ W), ("W", wide.T @ x), ("b", wide.sum(axis=0)))}


@right
class DenseStrided(Dense):
    """Returns reversed and interleaved parts of arrays of its own."""

    name = "dense_strided"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        roomy = np.full((*y.shape, 2), np.nan, y.dtype)
        roomy[..., 1] = y
        return roomy[..., 1], saved

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        return {name: array[::-1].copy()[::-1] for name, array in super().backward(dy, saved, wanted).items()}


@right
class DenseLazy(Dense):
    """Saves functions that compute a gradient when it is asked for, and computes no other."""

    name = "dense_lazy"

    def forward(self, x, W, b):
        rules = {"x": functools.partial(np.einsum, "uj,nu->nj", W), "W": functools.partial(np.einsum, "nj,nu->uj", x), "b": lambda dy: np.einsum("nu->u", dy)}
        return np.einsum("nj,uj->nu", x, W, optimize=True) + b, rules

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        return {name: rule(dy) for name, rule in saved.items() if name in wanted}


# Convolutions


@right
class ConvIndexTable(Conv):
    """Gathers by a table of positions that is kept for each shape, and scatters by `np.add.at`."""

    name = "conv_index_table"

    def forward(self, x, k, b):
        places, inside, output = self._readings(x.shape[2:])
        flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        taken = np.where(inside, flat[:, :, places], 0)
        fan, out = k.shape[1], self.maps // self.groups
        taken = taken.reshape(x.shape[0], self.groups, fan, *places.shape)
        y = np.einsum("ngiot,gjit->ngjo", taken, self._laid(k, fan, out), optimize=True)
        return y.reshape(x.shape[0], self.maps, *output) + column(b, self.dims), (taken, k, x.shape)

    def backward(self, dy, saved):
        taken, k, shape = saved
        places, inside, _ = self._readings(shape[2:])
        fan, out = k.shape[1], self.maps // self.groups
        delta = dy.reshape(shape[0], self.groups, out, places.shape[0])
        dk = np.einsum("ngiot,ngjo->gjit", taken, delta, optimize=True).reshape(k.shape)
        pieces = np.einsum("ngjo,gjit->ngiot", delta, self._laid(k, fan, out), optimize=True)
        dx = np.zeros((*shape[:2], math.prod(shape[2:])), dy.dtype)
        np.add.at(dx, (slice(None), slice(None), places[inside]), pieces.reshape(*shape[:2], *places.shape)[:, :, inside])
        return {"x": dx.reshape(shape), "k": self._turned(dk), "b": dy.sum(axis=space(dy))}

    def _readings(self, maps):
        return readings(tuple(maps), Geometry(self.size, self.stride, self.padding, self.dilation))

    def _turned(self, k):
        return np.flip(k, tuple(range(-self.dims, 0))) if self.orientation == "convolution" else k

    def _laid(self, k, fan, out):
        return self._turned(k).reshape(self.groups, out, fan, math.prod(self.size))


@right
class ConvPlaneByPlane(Conv):
    """Correlates plane by plane with SciPy, every position first and the stride afterwards; a dilated kernel is left to the standard code."""

    name = "conv_plane_by_plane"

    def forward(self, x, k, b):
        y, saved = super().forward(x, k, b)
        if any(d != 1 for d in self.dilation):
            return y, saved
        padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding)))
        kernels = np.flip(k, tuple(range(-self.dims, 0))) if self.orientation == "convolution" else k
        fan, out = k.shape[1], self.maps // self.groups
        every = tuple(slice(None, None, s) for s in self.stride)
        y = np.zeros_like(y)
        for n, j, i in np.ndindex(x.shape[0], self.maps, fan):
            y[n, j] += correlate(padded[n, j // out * fan + i], kernels[j, i], "valid", "direct")[every]
        return y + column(b, self.dims), saved


@right
class ConvStrideTricks(Conv):
    """Windows by strides of memory, and two patterns at a time; gradients of the blocks are added up."""

    name = "conv_stride_tricks"

    def forward(self, x, k, b):
        padded = np.ascontiguousarray(np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding))))
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        steps = padded.strides
        strides = (*steps[:2], *(s * t for s, t in zip(self.stride, steps[2:], strict=True)), *(d * t for d, t in zip(self.dilation, steps[2:], strict=True)))
        windows = as_strided(padded, (*x.shape[:2], *geometry.output(x.shape[2:]), *self.size), strides, writeable=False)
        kernels = np.flip(k, tuple(range(-self.dims, 0))) if self.orientation == "convolution" else k
        y = np.empty((x.shape[0], self.maps, *windows.shape[2 : 2 + self.dims]), x.dtype)
        u, a = "uvw"[: self.dims], "abc"[: self.dims]
        fan, out = k.shape[1], self.maps // self.groups
        for group in range(self.groups):
            maps_in, maps_out = slice(group * fan, (group + 1) * fan), slice(group * out, (group + 1) * out)
            for start in range(0, x.shape[0], 2):
                piece = windows[start : start + 2, maps_in]
                y[start : start + 2, maps_out] = np.einsum(f"ni{u}{a},ji{a}->nj{u}", piece, kernels[maps_out], optimize="greedy")
        return y + column(b, self.dims), (windows, k, x.shape)

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        windows, k, shape = saved
        parts = [
            super(ConvStrideTricks, self).backward(dy[start : start + 2], (windows[start : start + 2], k, (min(2, shape[0] - start), *shape[1:])), wanted)
            for start in range(0, shape[0], 2)
        ]
        if not parts:
            return super().backward(dy, saved, wanted)
        return {name: np.concatenate([part[name] for part in parts]) if name == "x" else sum(part[name] for part in parts) for name in wanted}


@right
class ConvLinkedTaps(ConvLinked):
    """Link by link and kernel entry by kernel entry, into slices."""

    name = "conv_linked_taps"

    def forward(self, x, k, b):
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding)))
        output = geometry.output(x.shape[2:])
        y = np.zeros((x.shape[0], self.links.outputs, *output), x.dtype)
        for link, (i, j) in enumerate(self.links.pairs):
            for tap in geometry.taps():
                y[:, j] += padded[geometry.reads(tap, output)][:, i] * k[(link, *self._entry(tap))]
        return y + column(b, self.dims), (padded, k, x.shape)

    def backward(self, dy, saved):
        padded, k, shape = saved
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        wide, dk = np.zeros_like(padded), np.zeros_like(k)
        for link, (i, j) in enumerate(self.links.pairs):
            for tap in geometry.taps():
                at = geometry.reads(tap, dy.shape[2:])
                wide[at][:, i] += dy[:, j] * k[(link, *self._entry(tap))]
                dk[(link, *self._entry(tap))] = np.vdot(padded[at][:, i], dy[:, j])
        inner = tuple(slice(p, p + m) for p, m in zip(self.padding, shape[2:], strict=True))
        # A part of a larger array, whose border nobody sees.
        return {"x": wide[(slice(None), slice(None), *inner)], "k": dk, "b": dy.sum(axis=space(dy))}

    def _entry(self, tap):
        return tuple(size - 1 - t for size, t in zip(self.size, tap, strict=True)) if self.orientation == "convolution" else tap


@right
class CombineEinsum(Combine):
    """Products of three arrays by index notation, in the order that NumPy finds best."""

    name = "combine_einsum"

    def forward(self, x, k, c, b):
        y, (x, k, alpha, convolved) = super().forward(x, k, c, b)
        turned = np.flip(k, tuple(range(1, 1 + self.dims)))
        u, a = "uvw"[: self.dims], "pqr"[: self.dims]
        windows = Geometry.plain(self.size, (1,) * self.dims).windows(x)
        y = np.einsum(f"ni{u}{a},i{a},ij->nj{u}", windows, turned, alpha, optimize=True)
        return y + column(b, self.dims), (x, k, alpha, convolved)


# Pooling and sizes


@right
class MaxPoolSorted(MaxPool):
    """Sorts each window for its largest entry, or its NaN, and then looks for the first such."""

    name = "max_pool_sorted"

    def forward(self, x):
        windows = Geometry.plain(self.size, self.stride).windows(x)
        flat = windows.reshape(*windows.shape[: 2 + self.dims], math.prod(self.size))
        # NumPy sorts NaN behind all numbers.
        top = np.sort(flat, axis=-1, kind="stable")[..., -1:]
        chosen = ((flat == top) | np.isnan(flat) & np.isnan(top)).argmax(axis=-1)
        return np.take_along_axis(flat, chosen[..., np.newaxis], -1)[..., 0], (chosen, x.shape)


@right
class MaxPoolBincount(MaxPool):
    """Finds the flat position of each maximum, and adds up by `np.bincount`, in float64."""

    name = "max_pool_bincount"

    def forward(self, x):
        places, _, output = readings(tuple(x.shape[2:]), Geometry.plain(self.size, self.stride))
        flat = x.reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))
        # NumPy takes the first NaN for the largest, and else the first maximum.
        winner = places[np.arange(len(places)), flat[:, places].argmax(axis=-1)]
        y = np.take_along_axis(flat, winner, 1)
        return y.reshape(*x.shape[:2], *output), (winner, x.shape)

    def backward(self, dy, saved):
        winner, shape = saved
        plane = math.prod(shape[2:])
        where = (winner + plane * np.arange(len(winner))[:, np.newaxis]).ravel()
        return {"x": np.bincount(where, dy.ravel(), math.prod(shape)).astype(dy.dtype).reshape(shape)}


@functools.lru_cache(maxsize=256)
def pooling_matrix(maps: tuple[int, ...], geometry: Geometry, dtype: str) -> Any:
    """Output positions by entries of the map: 1 where the window holds the entry."""
    places, _, _ = readings(maps, geometry)
    starts = np.arange(len(places) + 1) * geometry.area
    return csr_array((np.ones(places.size, dtype), places.ravel(), starts), shape=(len(places), math.prod(maps)))


@right
class MeanPoolSparse(MeanPool):
    """A sparse matrix for each shape, and its transpose."""

    name = "mean_pool_sparse"

    def forward(self, x):
        geometry = Geometry.plain(self.size, self.stride)
        matrix = pooling_matrix(tuple(x.shape[2:]), geometry, x.dtype.str)
        flat = x.reshape(math.prod(x.shape[:2]), math.prod(x.shape[2:]))
        return (matrix @ flat.T).T.reshape(*x.shape[:2], *geometry.output(x.shape[2:])) / geometry.area, x.shape

    def backward(self, dy, saved):
        geometry = Geometry.plain(self.size, self.stride)
        matrix = pooling_matrix(tuple(saved[2:]), geometry, dy.dtype.str)
        flat = dy.reshape(math.prod(dy.shape[:2]), math.prod(dy.shape[2:]))
        return {"x": (matrix.T @ flat.T).T.reshape(saved) / geometry.area}


@right
class MeanPoolFsum(MeanPool):
    """A loop over the outputs, each by a sum that rounds once."""

    name = "mean_pool_fsum"

    def forward(self, x):
        geometry = Geometry.plain(self.size, self.stride)
        windows = geometry.windows(x)
        return exact_sums(windows, tuple(range(2 + self.dims, 2 + 2 * self.dims)), x.dtype) / geometry.area, x.shape


@right
class SubsampleBincount(Subsample):
    """Labels each entry with its block and counts, in float64."""

    name = "subsample_bincount"

    def forward(self, x, beta, b):
        n, maps, *shape = x.shape
        blocks = tuple(m // s for m, s in zip(shape, self.size, strict=True))
        label = np.zeros(shape, np.intp)
        for axis, (m, s, count) in enumerate(zip(shape, self.size, blocks, strict=True)):
            label = label * count + (np.arange(m) // s).reshape([-1 if d == axis else 1 for d in range(len(shape))])
        area = math.prod(blocks)
        which = (np.arange(n * maps)[:, np.newaxis] * area + label.ravel()).ravel()
        d = np.bincount(which, x.ravel(), n * maps * area).astype(x.dtype).reshape(n, maps, *blocks)
        return column(beta, self.dims) * d + column(b, self.dims), (d, beta)


@right
class UpsampleKronecker(Upsample):
    """A Kronecker product with ones; back by sums over axes that a reshape makes."""

    name = "upsample_kronecker"

    def forward(self, x):
        return np.kron(x, np.ones((1, 1, *self.size), x.dtype)), x.shape

    def backward(self, dy, saved):
        split = [part for m, s in zip(saved[2:], self.size, strict=True) for part in (m, s)]
        return {"x": dy.reshape(*saved[:2], *split).sum(axis=tuple(range(3, 3 + 2 * self.dims, 2)))}


@right
class DecimateCompress(Decimate):
    """Keeps by masks, axis by axis; back by `np.put` into a flat array."""

    name = "decimate_compress"

    def forward(self, x):
        y, numbers = x, np.arange(x.size).reshape(x.shape)
        for axis, stride in enumerate(self.stride, start=2):
            kept = np.arange(x.shape[axis]) % stride == 0
            y, numbers = np.compress(kept, y, axis), np.compress(kept, numbers, axis)
        return y, (numbers, x.shape)

    def backward(self, dy, saved):
        numbers, shape = saved
        dx = np.zeros(math.prod(shape), dy.dtype)
        np.put(dx, numbers, dy)
        return {"x": dx.reshape(shape)}


@right
class FlattenIterated(Flatten):
    """Entry after entry through an iterator."""

    name = "flatten_iterated"

    def forward(self, x):
        return np.fromiter(x.flat, x.dtype, x.size).reshape(x.shape[0], math.prod(x.shape[1:])), x.shape

    def backward(self, dy, saved):
        return {"x": np.fromiter(dy.flat, dy.dtype, dy.size).reshape(saved)}


@right
class ConcatenateAppend(Concatenate):
    """Appends, and splits again, in column-major order."""

    name = "concatenate_append"

    def forward(self, a, b):
        return np.append(a, b, axis=1), (a.shape, b.shape, "nothing else")

    def backward(self, dy, saved):
        a, b = np.split(dy, [saved[0][1]], axis=1)
        return {"b": b.copy(order="F"), "a": a.copy(order="F")}


@right
class AddReduced(Add):
    """Sums along an axis that is made for it."""

    name = "add_reduced"

    def forward(self, a, b):
        return np.add.reduce(np.stack([b, a], axis=-1), axis=-1), np.array([1, 1], a.dtype)

    def backward(self, dy, saved):
        return {name: np.multiply(dy, one) for name, one in zip("ab", saved, strict=True)}


# Scaling and statistics


@right
class ScaleShiftNeumaier(ScaleShift):
    """Sums with compensation, and only what is wanted."""

    name = "scale_shift_neumaier"

    def backward(self, dy, saved, wanted=frozenset({"x", "gain", "shift"})):
        x, gain = saved
        rules = {
            "shift": lambda: neumaier(maps_last(dy)),
            "gain": lambda: neumaier(maps_last(dy * x)),
            "x": lambda: np.einsum("ni...,i->ni...", dy, gain),
        }
        return {name: rules[name]() for name in sorted(wanted)}


@right
class NormaliseInPlace(Normalise):
    """Works in a copy of its own, in place; back in float64."""

    name = "normalise_in_place"

    def forward(self, x):
        y = np.array(x)
        y -= self.mean
        y /= self.std
        return y, {"unused": y.shape}

    def backward(self, dy, saved):
        return {"x": np.asarray(np.divide(dy, np.float64(self.std))).astype(dy.dtype)}


@right
class BatchNormWelford(BatchNorm):
    """Mean and variance by one pass over the patterns, after Welford."""

    name = "batch_norm_welford"
    rounds = True

    def forward(self, x):
        mean, spread, count = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype), 0
        for entries in maps_last(x):
            count += 1
            before = entries - mean
            mean = mean + before / count
            spread = spread + before * (entries - mean)
        variance = spread / max(1, count)
        centred = x - column(mean, self.dims)
        rate = 1 / np.sqrt(column(variance, self.dims) + self.epsilon)
        return {"y": centred * rate, "mean": mean, "variance": variance}, (centred, rate)


@right
class BatchNormRecomputes(BatchNorm):
    """Saves x alone and computes all statistics again; takes the mean twice and averages in the longest type."""

    name = "batch_norm_recomputes"
    rounds = True

    def forward(self, x):
        mean, variance, _, y = self._again(x)
        return {"variance": variance.astype(x.dtype), "mean": mean.astype(x.dtype), "y": y.astype(x.dtype)}, x

    def backward(self, dy, saved):
        _, _, rate, y = self._again(saved)
        inner = dy["y"] - self._mean(dy["y"]) - y * self._mean(dy["y"] * y)
        through = column(dy["mean"], self.dims) + column(dy["variance"], self.dims) * 2 * y / rate
        return {"x": (rate * inner + through / self._count(saved)).astype(saved.dtype)}

    def _mean(self, x):
        return column(x.sum(axis=space(x), dtype=np.longdouble) / self._count(x), self.dims)

    def _again(self, x):
        mean = self._mean(x)
        mean = mean + self._mean(x - mean)
        variance = self._mean(np.square(x - mean))
        rate = 1 / np.sqrt(variance + self.epsilon)
        return mean.ravel(), variance.ravel(), rate, (x - mean) * rate


@right
class BatchNormGivenByColumns(BatchNormGiven):
    """Maps last, in one table; returned in an order that is neither by rows nor by columns."""

    name = "batch_norm_given_by_columns"

    def forward(self, x, mean, precision):
        return np.moveaxis((np.moveaxis(x, 1, -1) - mean) * precision, -1, 1), precision.copy()

    def backward(self, dy, saved):
        return {"x": np.moveaxis(np.moveaxis(dy, 1, -1) * saved, -1, 1)}


@right
class DropoutPacked(Dropout):
    """Saves one bit an entry; divides what it keeps."""

    name = "dropout_packed"

    def forward(self, x, u):
        kept = np.asarray(u >= self.rate)
        return x * kept.astype(x.dtype) / (1 - self.rate), (np.packbits(kept), kept.shape)

    def backward(self, dy, saved):
        bits, shape = saved
        kept = np.unpackbits(bits, count=math.prod(shape)).reshape(shape)
        return {"x": dy * kept.astype(dy.dtype) / (1 - self.rate)}


# Softmax, losses and penalties


@right
class SoftmaxUnshiftedLong(Softmax):
    """Exponentials in the longest type, with a shift only of rows whose entries even that cannot hold."""

    name = "softmax_unshifted_long"

    def forward(self, x):
        wide = x.astype(np.longdouble)
        top = wide.max(axis=1, keepdims=True)
        low = wide.min(axis=1, keepdims=True)
        # Where float64 is the longest type, 600 is the limit; in any case exponentials must not underflow either.
        e = np.exp(wide - np.where((top < 600) & (low > -600), 0, top))
        y = (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)
        return y, y.copy()


@right
class SoftmaxPairwise(Softmax):
    """y_i times the sum over k of y_k (dy_i - dy_k)."""

    name = "softmax_pairwise"

    def backward(self, dy, saved):
        differences = dy[:, :, np.newaxis] - dy[:, np.newaxis]
        return {"x": saved * np.einsum("nk,nik->ni", saved, differences)}


@right
class SoftmaxInDouble(Softmax):
    """Through the logarithm, in float64, with SciPy; y is not saved."""

    name = "softmax_in_double"

    def forward(self, x):
        logs = log_softmax(x.astype(np.float64), 1)
        return np.exp(logs).astype(x.dtype), logs

    def backward(self, dy, saved):
        y = np.exp(saved)
        return {"x": (y * dy - y * np.einsum("nk,nk->n", y, dy)[:, np.newaxis]).astype(dy.dtype)}


@right
class CrossEntropyByDifferences(SoftmaxCrossEntropy):
    """The logarithm of the sum of exp(z_k - z_c) for each class c; the gradient from the same numbers."""

    name = "cross_entropy_by_differences"

    def forward(self, z, t):
        # The check of the targets is that of the standard code.
        super().forward(z, t)
        differences = z[:, np.newaxis] - z[:, :, np.newaxis]
        # An infinite logit less itself.
        differences[:, np.arange(z.shape[1]), np.arange(z.shape[1])] = 0
        losses = logsumexp(differences, axis=2)
        if self.targets == "dense":
            return (t * losses).sum(), (losses, t.copy())
        return losses[np.arange(len(t)), t].sum(), (losses, (np.arange(z.shape[1]) == t[:, np.newaxis]).astype(z.dtype))

    def backward(self, dy, saved):
        losses, weight = saved
        return {"z": dy * (np.exp(-losses) * weight.sum(axis=1, keepdims=True) - weight)}


@right
class LogisticCrossEntropyTails(LogisticCrossEntropy):
    """-t log p - (1 - t) log(1 - p) by SciPy's logarithms; the gradient as (1 - t) p - t (1 - p)."""

    name = "logistic_cross_entropy_tails"

    def forward(self, z, t):
        return -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum(), (expit(z), expit(-z), t)

    def backward(self, dy, saved):
        p, q, t = saved
        return {"z": dy * ((1 - t) * p - t * q)}


@right
class SquaredErrorFsum(SquaredError):
    """A sum that rounds once; saves much and uses little."""

    name = "squared_error_fsum"

    def forward(self, y, t):
        error = t - y
        return y.dtype.type(exact_sum(error * error / 2)), {"error": error, "square": error**2, "t": t.copy(), "y": y.copy()}

    def backward(self, dy, saved, wanted=frozenset({"y"})):
        return {"y": -saved["error"] * dy} if "y" in wanted else {}


@right
class L1BySigns(L1):
    """The sum of w times its sign, by an iterator."""

    name = "l1_by_signs"

    def forward(self, w):
        signs = np.where(w > 0, 1, np.where(w < 0, -1, w)).astype(w.dtype)
        return np.asarray(self.strength * np.sum(w * signs))[()], signs

    def backward(self, dy, saved):
        return {"w": self.strength * (saved * dy)}


@right
class L2ByNorm(L2):
    """The square of the norm, which is a root that rounds."""

    name = "l2_by_norm"
    rounds = True

    def forward(self, w):
        return np.asarray(self.strength * np.linalg.norm(w.ravel()) ** 2 / 2, w.dtype)[()], w.copy()


@right
class AlphaEntropyPairwise(AlphaEntropy):
    """alpha_i times the sum over k of alpha_k (log alpha_i - log alpha_k); the claim leaves out a 1 that cancels."""

    name = "alpha_entropy_pairwise"

    def backward(self, dy, saved):
        alpha = np.exp(saved)
        differences = saved[:, np.newaxis] - saved
        return {"c": -dy * self.strength * alpha * np.einsum("kj,ikj->ij", alpha, differences)}

    def claims(self, at, dy, c):
        alpha = softmax_formula(c)
        return {"c": dy * -self.strength * softmax_rule(alpha, lambda i, j: log(alpha[i, j]), *at["c"])}


@right
class AlphaSquarePairwise(AlphaSquare):
    """alpha_i times the sum over k of alpha_k (alpha_i - alpha_k), of the softmax in float64."""

    name = "alpha_square_pairwise"

    def forward(self, c):
        alpha = softmax(c.astype(np.float64), 0)
        return c.dtype.type(-self.strength * np.vdot(alpha, alpha)), (alpha, c.dtype)

    def backward(self, dy, saved):
        alpha, dtype = saved
        inner = np.einsum("kj,ikj->ij", alpha, alpha[:, np.newaxis] - alpha)
        return {"c": (-2 * dy * self.strength * alpha * inner).astype(dtype)}


@right
class AlphaPowerByLogsumexp(AlphaPower):
    """The sum of powers as the exponential of SciPy's logarithm of a sum, column by column."""

    name = "alpha_power_by_logsumexp"

    def forward(self, c):
        logs = scipy_log_softmax(c, axis=0)
        columns = [np.exp(logsumexp(self.power * logs[:, j])) for j in range(c.shape[1])]
        return np.asarray(self.strength * sum(columns), c.dtype)[()], logs


# Small operations that are new


@right
class HardTanh(Activation):
    """x between -limit and limit, and the nearer of the two beyond; the derivative at both is taken to be 1."""

    limit: Annotated[float, positive] = 1.0

    name = "hard_tanh"

    def f(self, x):
        return np.clip(x, -self.limit, self.limit)

    def df(self, x, y):
        return (np.abs(x) <= self.limit).astype(x.dtype)

    def expr(self, x):
        return when(x > self.limit, self.limit, when(x < -self.limit, -self.limit, x))

    def derivative(self, x, y):
        return when(x > self.limit, 0, when(x < -self.limit, 0, 1))


@right
class Gaussian(Activation):
    """exp(-x^2); beyond 40 it is 0 in any element type, and no square overflows."""

    name = "gaussian"

    def f(self, x):
        near = np.clip(x, -40, 40)
        return np.exp(-near * near)

    def df(self, x, y):
        return -2 * np.clip(x, -40, 40) * y

    def expr(self, x):
        return exp(-(x**2))

    def derivative(self, x, y):
        return -2 * x * y


@right
class Softsign(Activation):
    """x / (1 + |x|); an infinite entry gives its sign."""

    name = "softsign"

    def f(self, x):
        size = np.minimum(np.abs(x), np.finfo(x.dtype).max)
        return np.copysign(size / (1 + size), x)

    def df(self, x, y):
        share = 1 / (1 + np.abs(x))
        return share * share

    def expr(self, x):
        return x / (1 + absolute(x))

    def derivative(self, x, y):
        return 1 / (1 + absolute(x)) ** 2


@right
class LogSoftmax(Layer):
    """x less the logarithm of the sum of its row's exponentials."""

    name = "log_softmax"
    inputs = {"x": "n c"}
    output = "n c"

    def forward(self, x):
        y = log_softmax(x, 1)
        return y, y.copy()

    def backward(self, dy, saved):
        return {"x": dy - np.exp(saved) * dy.sum(axis=1, keepdims=True)}

    def formula(self, at, x):
        _, Z = exponentials(x)
        return x[at] - log(Z[at[0]])

    def claims(self, at, dy, x):
        (n, c), (k,) = at["x"], indices("k")
        e, Z = exponentials(x)
        return {"x": dy[n, c] - e[n, c] / Z[n] * total(dy[n, k], (k, x.shape[1]))}


@right
class RootMeanSquare(Layer):
    """Divide each row by the root of the mean of its squares."""

    epsilon: Annotated[float, positive] = 1e-3

    name = "root_mean_square"
    inputs = {"x": "n c"}
    output = "n c"

    def forward(self, x):
        # In units of the largest entry, so that no square overflows.
        top = np.maximum(np.abs(x).max(axis=1, initial=0, keepdims=True), 1)
        rate = 1 / np.sqrt(np.square(x / top).mean(axis=1, keepdims=True) + np.square(math.sqrt(self.epsilon) / top))
        y = x / top * rate
        return y, (y.copy(), rate / top)

    def backward(self, dy, saved):
        y, rate = saved
        return {"x": rate * (dy - y * (dy * y).mean(axis=1, keepdims=True))}

    def formula(self, at, x):
        n, _ = at
        (k,) = indices("k")
        square = define("square", (x.shape[0],), lambda m: total(x[m, k] ** 2, (k, x.shape[1])) / x.shape[1])
        return x[at] / sqrt(square[n] + self.epsilon)


@right
class Product(Layer):
    """The product of two arrays of one shape, entry by entry."""

    name = "product"
    inputs = {"a": "...", "b": "..."}
    output = "..."

    def forward(self, a, b):
        return a * b, (a, b)

    def backward(self, dy, saved):
        a, b = saved
        return {"a": dy * b, "b": dy * a}

    def formula(self, at, a, b):
        return a[at] * b[at]

    def claims(self, at, dy, a, b):
        return {"a": dy[at["a"]] * b[at["a"]], "b": dy[at["b"]] * a[at["b"]]}


@right
class Minimum(Layer):
    """The smaller of two entries; of equal ones that of a gets the gradient."""

    name = "minimum"
    inputs = {"a": "...", "b": "..."}
    output = "..."

    def forward(self, a, b):
        return np.minimum(a, b), a <= b

    def backward(self, dy, saved):
        return {"a": np.where(saved, dy, 0), "b": np.where(saved, 0, dy)}

    def formula(self, at, a, b):
        return when(a[at] <= b[at], a[at], b[at])


@right
class Length(Layer):
    """The length of each row, with epsilon^2 added to its square."""

    epsilon: Annotated[float, positive] = 0.5

    name = "length"
    full_range = True
    inputs = {"x": "n c"}
    output = "n"

    def forward(self, x):
        # In units of the largest entry, so that no square overflows.
        top = np.maximum(np.abs(x).max(axis=1, initial=0, keepdims=True), self.epsilon)
        y = top[:, 0] * np.sqrt(np.square(x / top).sum(axis=1) + np.square(self.epsilon / top[:, 0]))
        return y, x / y[:, np.newaxis]

    def backward(self, dy, saved):
        return {"x": dy[:, np.newaxis] * saved}

    def formula(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return sqrt(total(x[n, k] ** 2, (k, x.shape[1])) + self.epsilon**2)


@right
class Poisson(Loss):
    """exp(z) - t z, summed: the cost of counts t whose rate is exp(z), up to a constant."""

    name = "poisson"
    inputs = {"z": "n c"}
    constants = {"t": "n c"}

    def forward(self, z, t):
        rate = np.exp(z)
        return (rate - t * z).sum(), rate - t

    def backward(self, dy, saved):
        return {"z": saved * dy}

    def formula(self, at, z, t):
        n, c = indices("n c")
        return total(exp(z[n, c]) - t[n, c] * z[n, c], (n, z.shape[0]), (c, z.shape[1]))

    def claims(self, at, dy, z, t):
        return {"z": dy * (exp(z[at["z"]]) - t[at["z"]])}


RIGHT_BUT_ODD: tuple[type[Op], ...] = tuple(_FOUND)
