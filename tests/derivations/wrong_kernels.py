"""Wrong operations: each has the declaration and the formula of a right one, and one planted mistake.

`WRONG` holds them all. A mistake shows for some allowed input of moderate size, though often for few of them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from cnnframe import Op
from cnnframe_plugins._blocks import up
from cnnframe_plugins._simplex import log_softmax, softmax, softmax_pullback
from cnnframe_plugins._windows import Geometry
from cnnframe_plugins.activations import Identity, LeakyReLU, Logistic, ReLU, ScaledTanh, Softplus
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


@dataclass(frozen=True)
class Wrong:
    """One wrong operation and the kind of its mistake."""

    cls: type[Op]
    category: str


_FOUND: list[Wrong] = []
_KEPT: dict[Any, Any] = {}
"""What the operations with state keep from call to call."""
_CALLS = itertools.count(1)


def wrong(category: str) -> Any:
    """Make the class an operation and collect it."""

    def collect(cls: type[Op]) -> type[Op]:
        made = dataclass(frozen=True)(cls)
        _FOUND.append(Wrong(made, category))
        return made

    return collect


def changed(gradients: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The gradients, those that are named through a function."""
    return {name: changes[name](array) if name in changes else array for name, array in gradients.items()}


def only(dy: Any, *where: Any) -> Any:
    """The array with zeros everywhere but there."""
    kept = np.zeros_like(dy)
    kept[where] = dy[where]
    return kept


def turned(k: Any, dims: int) -> Any:
    """The kernel by 180 degrees."""
    return np.flip(k, tuple(range(-dims, 0)))


def space(dy: Any) -> tuple[int, ...]:
    """All axes but that of the maps."""
    return (0, *range(2, dy.ndim))


# Dense layers


@wrong("orientation")
class DenseTransposedWeight(Dense):
    """Lays the gradient of W out by columns."""

    name = "dense_transposed_weight"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), W=lambda dW: dW.T.copy().reshape(dW.shape))


@wrong("only sometimes")
class DenseSquareTransposed(Dense):
    """Multiplies by W instead of its transpose where both fit, that is if W is square."""

    name = "dense_square_transposed"

    def backward(self, dy, saved):
        W = saved[1]
        return changed(super().backward(dy, saved), x=lambda dx: dy @ W.T if W.shape[0] == W.shape[1] else dx)


@wrong("lost sum")
class DenseLostBiasSum(Dense):
    """Takes the gradient of b from the first pattern alone."""

    name = "dense_lost_bias_sum"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "b": dy[:1].sum(axis=0)}


@wrong("mean for sum")
class DenseMeanOverBatch(Dense):
    """Divides the gradient of W by the number of patterns."""

    name = "dense_mean_over_batch"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), W=lambda dW: dW / max(1, len(dy)))


@wrong("state")
class DenseStaleInput(Dense):
    """Keeps the last input of each shape, and takes that in place of what it saved."""

    name = "dense_stale_input"

    def forward(self, x, W, b):
        _KEPT["dense", x.shape, x.dtype] = x.copy()
        return super().forward(x, W, b)

    def backward(self, dy, saved):
        x, W = saved
        return super().backward(dy, (_KEPT["dense", x.shape, x.dtype], W))


@wrong("state")
class DenseAccumulates(Dense):
    """Adds to the gradient of W that an earlier call with the same `saved` returned."""

    name = "dense_accumulates"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        return y, (saved, np.zeros_like(W))

    def backward(self, dy, saved):
        kept, sum_so_far = saved
        gradients = super().backward(dy, kept)
        sum_so_far += gradients["W"]
        return {**gradients, "W": sum_so_far.copy()}


@wrong("state")
class DenseForgetsSaved(Dense):
    """Frees what it saved, so that a second call fails."""

    name = "dense_forgets_saved"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        return y, [saved]

    def backward(self, dy, saved):
        return super().backward(dy, saved.pop())


@wrong("state")
class DenseCounter(Dense):
    """Every seventh call is off by a thousandth."""

    name = "dense_counter"

    def backward(self, dy, saved):
        factor = 1.001 if next(_CALLS) % 7 == 0 else 1
        return changed(super().backward(dy, saved), x=lambda dx: dx * factor)


@wrong("ownership")
class DenseMutatesInput(Dense):
    """Centres x in place once it has been used, if it may write there."""

    name = "dense_mutates_input"

    def forward(self, x, W, b):
        y, _ = super().forward(x, W, b)
        kept = x.copy()
        if x.flags.writeable and x.size:
            x -= x.mean(axis=0)
        return y, (kept, W)


@wrong("ownership")
class DenseBorrowsInput(Dense):
    """Doubles x in place and halves it again; an array that is read-only cannot be lent."""

    name = "dense_borrows_input"

    def forward(self, x, W, b):
        x *= 2
        y = x @ W.T / 2 + b
        x /= 2
        return y, (x, W)


@wrong("ownership")
class DenseMutatesCotangent(Dense):
    """Clears dy once it has been used, if it may write there."""

    name = "dense_mutates_cotangent"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        if dy.flags.writeable:
            dy[...] = 0
        return gradients


@wrong("ownership")
class DenseMutatesSaved(Dense):
    """Scales the W that it saved, which is the caller's, if it may write there."""

    name = "dense_mutates_saved"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        if saved[1].flags.writeable:
            saved[1][...] *= 0.5
        return gradients


@wrong("index")
class DenseSwappedBatch(Dense):
    """Hands the patterns' gradients back in reverse order."""

    name = "dense_swapped_batch"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: dx[::-1].copy())


@wrong("only sometimes")
class DenseRolledFromFive(Dense):
    """Hands each pattern its neighbour's gradient if there are more than four."""

    name = "dense_rolled_from_five"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: np.roll(dx, int(len(dx) > 4), axis=0))


@wrong("cotangent")
class DenseMeanCotangent(Dense):
    """Takes the mean of dy for each of its entries, as if all were alike."""

    name = "dense_mean_cotangent"

    def backward(self, dy, saved):
        return super().backward(np.full_like(dy, dy.mean()) if dy.size else dy, saved)


@wrong("cotangent")
class DenseMemoryOrder(Dense):
    """Reads dy in the order of memory, right only for row-major arrays."""

    name = "dense_memory_order"

    def backward(self, dy, saved):
        return super().backward(dy.ravel(order="K").reshape(dy.shape), saved)


@wrong("cotangent")
class DenseStridedCotangent(Dense):
    """Loses the last unit of a dy that is neither row-major nor column-major."""

    name = "dense_strided_cotangent"

    def backward(self, dy, saved):
        plain = dy.flags.c_contiguous or dy.flags.f_contiguous
        return super().backward(dy if plain else only(dy, ..., slice(-1)), saved)


@wrong("precision")
class DenseSingleInside(Dense):
    """Multiplies in float32 and hands out float64."""

    name = "dense_single_inside"

    def forward(self, x, W, b):
        y = x.astype(np.float32) @ W.T.astype(np.float32)
        return y.astype(x.dtype) + b, (x, W)


@wrong("precision")
class DenseDoubleOut(Dense):
    """Returns float64 for float32."""

    name = "dense_double_out"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        return y.astype(np.float64), saved


@wrong("precision")
class DenseHalfForSingle(Dense):
    """Rounds the gradient of x to float16 if it is float32."""

    name = "dense_half_for_single"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: dx.astype(np.float16).astype(dx.dtype) if dx.dtype == np.float32 else dx)


@wrong("numerics")
class DenseNoise(Dense):
    """Adds relative noise of 1e-9."""

    name = "dense_noise"

    def backward(self, dy, saved):
        noise = np.random.default_rng()
        return changed(super().backward(dy, saved), W=lambda dW: dW * (1 + 1e-9 * noise.normal(size=dW.shape)).astype(dW.dtype))


@wrong("numerics")
class DenseOneEntry(Dense):
    """Is off by a millionth in the last entry of W's gradient."""

    name = "dense_one_entry"

    def backward(self, dy, saved):
        def off(dW):
            dW[-1, -1] *= 1 + 1e-6
            return dW

        return changed(super().backward(dy, saved), W=off)


@wrong("only sometimes")
class DenseClipped(Dense):
    """Clips the gradient of W to +-50."""

    name = "dense_clipped"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), W=lambda dW: np.clip(dW, -50, 50))


@wrong("only sometimes")
class DenseZeroIsAbsent(Dense):
    """Takes an input of exactly 0 for an absent one, and gives it no gradient."""

    name = "dense_zero_is_absent"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: np.where(saved[0] == 0, 0, dx))


@wrong("contract")
class DenseWantedAlone(Dense):
    """Asked for the gradient of W alone, leaves out the last pattern."""

    name = "dense_wanted_alone"

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        return super().backward(only(dy, slice(-1)) if set(wanted) == {"W"} else dy, saved, wanted)


@wrong("contract")
class DenseUnwantedBias(Dense):
    """Has no gradient of b unless that of x is wanted too."""

    name = "dense_unwanted_bias"

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        gradients = super().backward(dy, saved, wanted)
        return gradients if "x" in wanted else {name: array for name, array in gradients.items() if name != "b"}


@wrong("contract")
class DenseMissingKey(Dense):
    """Returns no gradient of b."""

    name = "dense_missing_key"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return {"x": gradients["x"], "W": gradients["W"]}


@wrong("contract")
class DenseExtraKey(Dense):
    """Returns a gradient of its output too."""

    name = "dense_extra_key"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "y": dy.copy()}


@wrong("contract")
class DenseKeptAxis(Dense):
    """Returns the gradient of b as one row."""

    name = "dense_kept_axis"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "b": dy.sum(axis=0, keepdims=True)}


@wrong("contract")
class DenseSqueezed(Dense):
    """Drops axes of size 1 from the gradient of x."""

    name = "dense_squeezed"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=np.squeeze)


@wrong("boundary")
class DenseRaisesOnEmpty(Dense):
    """Looks for the largest entry of dy first, which an empty batch does not have."""

    name = "dense_raises_on_empty"

    def backward(self, dy, saved):
        size = np.abs(dy).max()
        return super().backward(dy if size > 0 else np.zeros_like(dy), saved)


@wrong("sign")
class DenseSign(Dense):
    """Returns minus the gradient of b."""

    name = "dense_sign"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), b=np.negative)


# Convolutions


@wrong("orientation")
class ConvMissingRot180(Conv):
    """Spreads delta over the kernel without the rotation."""

    name = "conv_missing_rot180"

    def backward(self, dy, saved):
        windows, k, shape = saved
        upright = super().backward(dy, (windows, turned(k, self.dims), shape))
        return {**super().backward(dy, saved), "x": upright["x"]}


@wrong("orientation")
class ConvUnturnedKernelGradient(Conv):
    """Leaves out the last rotation of the kernel's gradient."""

    name = "conv_unturned_kernel_gradient"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: turned(dk, self.dims).copy())


@wrong("wrong forward, consistent backward")
class ConvUnflipped(Conv):
    """Flips the kernel for "correlation" and not for "convolution"; the gradients are those of this map."""

    name = "conv_unflipped"

    def forward(self, x, k, b):
        return super().forward(x, turned(k, self.dims), b)

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: turned(dk, self.dims).copy())


@wrong("wrong forward, consistent backward")
class ConvRot90(Conv):
    """Rotates the last two axes alone, so that the first of three spatial axes is not flipped."""

    name = "conv_rot90"

    def forward(self, x, k, b):
        return super().forward(x, np.flip(k, 2) if self.dims == 3 else k, b)

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: np.flip(dk, 2).copy() if self.dims == 3 else dk)


@wrong("wrong forward, consistent backward")
class ConvSwappedAxes(Conv):
    """Swaps the last two axes of a square kernel; the gradients are those of this map."""

    name = "conv_swapped_axes"

    def forward(self, x, k, b):
        return super().forward(x, self._swapped(k), b)

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: self._swapped(dk).copy())

    def _swapped(self, k):
        return k.swapaxes(-1, -2) if self.dims > 1 and self.size[-1] == self.size[-2] else k


@wrong("wrong forward, consistent backward")
class ConvPaddedBefore(Conv):
    """Puts all the padding before the map; the gradients are those of this map."""

    name = "conv_padded_before"

    def forward(self, x, k, b):
        wide = np.pad(x, ((0, 0), (0, 0), *((2 * p, 0) for p in self.padding)))
        return self._unpadded.forward(wide, k, b)

    def backward(self, dy, saved):
        cut = (..., *(slice(2 * p, None) for p in self.padding))
        return changed(self._unpadded.backward(dy, saved), x=lambda dx: dx[cut].copy())

    @property
    def _unpadded(self):
        return Conv(self.maps, self.size, self.dims, self.stride, 0, self.dilation, self.groups, self.orientation)


@wrong("boundary")
class ConvEdgePadding(Conv):
    """Repeats the border of the map where zeros belong."""

    name = "conv_edge_padding"

    def forward(self, x, k, b):
        wide = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding)), mode="edge")
        plain = Conv(self.maps, self.size, self.dims, self.stride, 0, self.dilation, self.groups, self.orientation)
        y, (windows, _, _) = plain.forward(wide, k, b)
        return y, (windows, k, x.shape)


@wrong("lost sum")
class ConvLostMapSum(Conv):
    """Takes the gradient of x from the first output map of each group alone."""

    name = "conv_lost_map_sum"

    def backward(self, dy, saved):
        first = only(dy, slice(None), slice(None, None, self.maps // self.groups))
        return {**super().backward(dy, saved), "x": super().backward(first, saved)["x"]}


@wrong("lost sum")
class ConvLostBatchSum(Conv):
    """Takes the kernel's gradient from the first pattern alone."""

    name = "conv_lost_batch_sum"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "k": super().backward(only(dy, slice(1)), saved)["k"]}


@wrong("only sometimes")
class ConvChunksOfFour(Conv):
    """Sums the kernel's gradient over chunks of four patterns and loses an incomplete one behind a full one."""

    name = "conv_chunks_of_four"

    def backward(self, dy, saved):
        whole = only(dy, slice(len(dy) // 4 * 4)) if len(dy) > 4 else dy
        return {**super().backward(dy, saved), "k": super().backward(whole, saved)["k"]}


@wrong("mean for sum")
class ConvMeanBias(Conv):
    """Takes the mean over the map for the sum in the gradient of b."""

    name = "conv_mean_bias"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "b": dy.mean(axis=tuple(range(2, dy.ndim))).sum(axis=0)}


@wrong("index")
class ConvOffByOne(Conv):
    """Puts the gradient of x one column too far right."""

    name = "conv_off_by_one"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: np.roll(dx, 1, axis=-1))


@wrong("only sometimes")
class ConvStrideTwo(Conv):
    """Spreads delta one entry too late if a stride is 2."""

    name = "conv_stride_two"

    def backward(self, dy, saved):
        axes = [2 + d for d, s in enumerate(self.stride) if s == 2]
        return changed(super().backward(dy, saved), x=lambda dx: np.roll(dx, [1] * len(axes), axes))


@wrong("only sometimes")
class ConvDilated(Conv):
    """Does not turn the kernel's gradient back if it is dilated."""

    name = "conv_dilated"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: turned(dk, self.dims).copy() if max(self.dilation) > 1 else dk)


@wrong("only sometimes")
class ConvGroups(Conv):
    """Hands each group the kernel gradient of its neighbour."""

    name = "conv_groups"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), k=lambda dk: np.roll(dk, self.maps // self.groups, axis=0))


@wrong("only sometimes")
class ConvGroupsInterleaved(Conv):
    """Deals the input maps out to the groups in turn; the gradients are those of this map."""

    name = "conv_groups_interleaved"

    def forward(self, x, k, b):
        y, (windows, _, shape) = super().forward(x[:, self._order(x)], k, b)
        return y, (windows, k, shape)

    def backward(self, dy, saved):
        def dealt_back(dx):
            back = np.empty_like(dx)
            back[:, self._order(dx)] = dx
            return back

        return changed(super().backward(dy, saved), x=dealt_back)

    def _order(self, x):
        return np.arange(x.shape[1]).reshape(-1, self.groups).T.ravel()


@wrong("only sometimes")
class ConvUnevenKernel(Conv):
    """Does not turn the kernel for the gradient of x if its height is not its width."""

    name = "conv_uneven_kernel"

    def backward(self, dy, saved):
        windows, k, shape = saved
        bent = turned(k, self.dims) if len(set(self.size)) > 1 else k
        return {**super().backward(dy, saved), "x": super().backward(dy, (windows, bent, shape))["x"]}


@wrong("only sometimes")
class ConvUnevenMap(Conv):
    """Writes the gradient of a map that is not square by columns."""

    name = "conv_uneven_map"

    def backward(self, dy, saved):
        uneven = len(set(saved[2][2:])) > 1
        return changed(super().backward(dy, saved), x=lambda dx: dx.swapaxes(2, -1).copy().reshape(dx.shape) if uneven else dx)


@wrong("boundary")
class ConvCorner(Conv):
    """Loses the last corner of the last map's gradient."""

    name = "conv_corner"

    def backward(self, dy, saved):
        def cut(dx):
            dx[(slice(-1, None), -1, *(-1,) * self.dims)] = 0
            return dx

        return changed(super().backward(dy, saved), x=cut)


@wrong("boundary")
class ConvLeftover(Conv):
    """Repeats the gradient of the first columns in those that the stride leaves over."""

    name = "conv_leftover"

    def backward(self, dy, saved):
        width = saved[2][-1] + 2 * self.padding[-1] - self.dilation[-1] * (self.size[-1] - 1) - 1
        rest = 0 if self.padding[-1] else width % self.stride[-1]

        def repeat(dx):
            if rest:
                dx[..., -rest:] = dx[..., :1]
            return dx

        return changed(super().backward(dy, saved), x=repeat)


@wrong("state")
class ConvGlobal(Conv):
    """Takes what the last call saved, whichever call that was."""

    name = "conv_global"

    def forward(self, x, k, b):
        y, _KEPT["conv"] = super().forward(x, k, b)
        return y, _KEPT["conv"]

    def backward(self, dy, saved):
        return super().backward(dy, _KEPT["conv"])


@wrong("state")
class ConvCachedKernel(Conv):
    """Keeps the first kernel of each shape and convolves with that for ever."""

    name = "conv_cached_kernel"

    def forward(self, x, k, b):
        return super().forward(x, _KEPT.setdefault(("kernel", self, k.shape, k.dtype), k.copy()), b)


@wrong("cotangent")
class ConvNonlinear(Conv):
    """Scales the gradient of b by the largest |dy|, which does not show where that is 1."""

    name = "conv_nonlinear"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), b=lambda db: db * np.abs(dy).max(initial=0))


@wrong("cotangent")
class ConvLargestOnly(Conv):
    """Carries back the largest |dy| of each pattern alone, which does not show for one-hot cotangents."""

    name = "conv_largest_only"

    def backward(self, dy, saved):
        size = np.abs(dy)
        largest = size.max(axis=tuple(range(1, dy.ndim)), keepdims=True)
        return super().backward(np.where(size == largest, dy, 0), saved)


@wrong("contract")
class ConvWantedAlone(Conv):
    """Asked for the gradient of x alone, does not turn the kernel."""

    name = "conv_wanted_alone"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        windows, k, shape = saved
        return super().backward(dy, (windows, turned(k, self.dims) if set(wanted) == {"x"} else k, shape), wanted)


@wrong("lost sum")
class ConvLinkedOverwrites(ConvLinked):
    """Gives an input map the gradient that its last output map sends back, not their sum."""

    name = "conv_linked_overwrites"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        for j, (_, maps) in enumerate(self._fans()):
            one = super().backward(only(dy, slice(None), j), saved)["x"]
            gradients["x"][:, maps] = one[:, maps]
        return gradients


@wrong("index")
class ConvLinkedByInput(ConvLinked):
    """Returns the kernels' gradients in the order of the input maps."""

    name = "conv_linked_by_input"

    def backward(self, dy, saved):
        order = sorted(range(self.links.count), key=lambda link: self.links.pairs[link])
        return changed(super().backward(dy, saved), k=lambda dk: dk[order])


@wrong("boundary")
class ConvLinkedUnlinked(ConvLinked):
    """Fills the gradient of an input map without links with ones."""

    name = "conv_linked_unlinked"

    def backward(self, dy, saved):
        unlinked = sorted(set(range(self.links.inputs)) - {i for i, _ in self.links.pairs})

        def fill(dx):
            dx[:, unlinked] = 1
            return dx

        return changed(super().backward(dy, saved), x=fill)


@wrong("only sometimes")
class ConvLinkedThirdFan(ConvLinked):
    """Adds the bias once too often to an output map with three links or more; the gradients are those of this map."""

    name = "conv_linked_third_fan"

    def forward(self, x, k, b):
        return super().forward(x, k, b * self._twice.astype(b.dtype))

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), b=lambda db: db * self._twice.astype(db.dtype))

    @property
    def _twice(self):
        return np.array([2 if len(links) > 2 else 1 for links, _ in self._fans()])


# Sub-sampling


@wrong("missing factor")
class SubsampleMissingBeta(Subsample):
    """Leaves beta out of the gradient of x."""

    name = "subsample_missing_beta"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "x": up(dy, self.size)}


@wrong("wrong forward, consistent backward")
class SubsampleMean(Subsample):
    """Takes the mean of a block for its sum; the gradients are those of this map."""

    name = "subsample_mean"

    def forward(self, x, beta, b):
        y, (d, _) = super().forward(x, beta / math.prod(self.size), b)
        return y, (d, beta)

    def backward(self, dy, saved):
        area = math.prod(self.size)
        return changed(super().backward(dy, saved), x=lambda dx: dx / area, beta=lambda dbeta: dbeta / area)


@wrong("lost sum")
class SubsampleLostBatchSum(Subsample):
    """Takes the gradient of beta from the last pattern alone."""

    name = "subsample_lost_batch_sum"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "beta": super().backward(only(dy, slice(-1, None)), saved)["beta"]}


@wrong("index")
class SubsampleTiled(Subsample):
    """Tiles whole maps where it should repeat entries."""

    name = "subsample_tiled"

    def backward(self, dy, saved):
        column = saved[1].reshape(-1, *(1,) * self.dims)
        return {**super().backward(dy, saved), "x": np.tile(column * dy, (1, 1, *self.size))}


@wrong("numerics")
class SubsampleRecovers(Subsample):
    """Saves y and recovers the down-sampled map as (y - b) / beta, which fails at beta = 0."""

    name = "subsample_recovers"

    def forward(self, x, beta, b):
        y, _ = super().forward(x, beta, b)
        return y, (y, beta, b)

    def backward(self, dy, saved):
        y, beta, b = saved
        shape = (-1, *(1,) * self.dims)
        with np.errstate(all="ignore"):
            d = (y - b.reshape(shape)) / beta.reshape(shape)
        return super().backward(dy, (d, beta))


@wrong("only sometimes")
class SubsampleBatchForMaps(Subsample):
    """Scales patterns, not maps, by beta in the gradient of x if there are as many of both."""

    name = "subsample_batch_for_maps"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        if len(dy) == dy.shape[1]:
            gradients["x"] = up(saved[1].reshape(-1, *(1,) * (1 + self.dims)) * dy, self.size)
        return gradients


@wrong("wrong forward, consistent backward")
class DecimateLate(Decimate):
    """Keeps the last sample of the map and every stride-th before it; the gradient is that of this map."""

    name = "decimate_late"

    def forward(self, x):
        kept = (..., *(slice((h - 1) % s, None, s) for h, s in zip(x.shape[2:], self.stride, strict=True)))
        return x[kept].copy(), (x.shape, kept)

    def backward(self, dy, saved):
        dx = np.zeros(saved[0], dy.dtype)
        dx[saved[1]] = dy
        return {"x": dx}


@wrong("ownership")
class DecimateView(Decimate):
    """Returns a view of x."""

    name = "decimate_view"

    def forward(self, x):
        return x[self._kept], x.shape


@wrong("precision")
class DecimateDoubleGradient(Decimate):
    """Returns a gradient of float64 for float32."""

    name = "decimate_double_gradient"

    def backward(self, dy, saved):
        dx = np.zeros(saved)
        dx[self._kept] = dy
        return {"x": dx}


@wrong("wrong forward, consistent backward")
class UpsampleTiles(Upsample):
    """Repeats the map as a whole, not entry by entry; the gradient is that of this map."""

    name = "upsample_tiles"

    def forward(self, x):
        return np.tile(x, (1, 1, *self.size)), x.shape

    def backward(self, dy, saved):
        blocks = [part for pair in zip(self.size, saved[2:], strict=True) for part in pair]
        return {"x": dy.reshape(*saved[:2], *blocks).sum(axis=tuple(range(2, 2 + 2 * self.dims, 2)))}


@wrong("mean for sum")
class UpsampleMean(Upsample):
    """Takes the mean of a block of dy for its sum."""

    name = "upsample_mean"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: dx / math.prod(self.size))


@wrong("ownership")
class UpsampleItself(Upsample):
    """Returns x itself if every block is one entry."""

    name = "upsample_itself"

    def forward(self, x):
        return (x, None) if set(self.size) == {1} else super().forward(x)


# Pooling


@wrong("sum for mean")
class MeanPoolSum(MeanPool):
    """Does not divide by the area; the gradient is that of this map."""

    name = "mean_pool_sum"

    def forward(self, x):
        y, shape = super().forward(x)
        return y * math.prod(self.size), shape

    def backward(self, dy, saved):
        return super().backward(dy * math.prod(self.size), saved)


@wrong("lost sum")
class MeanPoolOverwrites(MeanPool):
    """Gives an entry that several windows hold the share of one of them alone."""

    name = "mean_pool_overwrites"

    def backward(self, dy, saved):
        geometry = Geometry.plain(self.size, self.stride)
        dx = np.zeros(saved, dy.dtype)
        for tap in geometry.taps():
            dx[geometry.reads(tap, dy.shape[2:])] = dy / geometry.area
        return {"x": dx}


@wrong("missing factor")
class MeanPoolStrideArea(MeanPool):
    """Divides dy by the area of a stride, which is that of a window where windows do not overlap."""

    name = "mean_pool_stride_area"

    def backward(self, dy, saved):
        return super().backward(dy * (math.prod(self.size) / math.prod(self.stride)), saved)


@wrong("boundary")
class MeanPoolLastWindow(MeanPool):
    """Moves the last window to the border of the map if columns are left over; the gradient is not that of this map."""

    name = "mean_pool_last_window"

    def forward(self, x):
        y, shape = super().forward(x)
        y[..., -1:], _ = super().forward(x[..., -self.size[-1] :])
        return y, shape


@wrong("index")
class MaxPoolLastTie(MaxPool):
    """Gives the gradient to the last of equal maxima."""

    name = "max_pool_last_tie"

    def forward(self, x):
        geometry = Geometry.plain(self.size, self.stride)
        entries = geometry.windows(x).reshape(*x.shape[:2], *geometry.output(x.shape[2:]), geometry.area)
        last = geometry.area - 1 - np.flip(entries, -1).argmax(axis=-1)
        return entries.max(axis=-1), (last, x.shape)


@wrong("boundary")
class MaxPoolTiesShare(MaxPool):
    """Splits the gradient among equal maxima."""

    name = "max_pool_ties_share"

    def forward(self, x):
        return super().forward(x)[0], x

    def backward(self, dy, saved):
        geometry = Geometry.plain(self.size, self.stride)
        windows = geometry.windows(saved)
        inner = tuple(range(-self.dims, 0))
        best = (windows == windows.max(axis=inner, keepdims=True)).astype(dy.dtype)
        share = dy.reshape(*dy.shape, *(1,) * self.dims) * best / best.sum(axis=inner, keepdims=True)
        return {"x": geometry.scatter(saved.shape, share)}


@wrong("lost sum")
class MaxPoolOverwrites(MaxPool):
    """Gives an entry that wins in several windows the gradient of one of them alone."""

    name = "max_pool_overwrites"

    def backward(self, dy, saved):
        chosen, shape = saved
        geometry = Geometry.plain(self.size, self.stride)
        dx = np.zeros(shape, dy.dtype)
        for number, tap in enumerate(geometry.taps()):
            np.copyto(dx[geometry.reads(tap, dy.shape[2:])], dy, where=chosen == number)
        return {"x": dx}


@wrong("boundary")
class MaxPoolAboveZero(MaxPool):
    """Starts the search for a maximum at 0, so that windows of negative entries give 0."""

    name = "max_pool_above_zero"

    def forward(self, x):
        y, saved = super().forward(x)
        return np.maximum(y, 0), saved


@wrong("wrong forward, consistent backward")
class MaxPoolMagnitude(MaxPool):
    """Returns the entry of the largest magnitude; the gradient is that of this map."""

    name = "max_pool_magnitude"

    def forward(self, x):
        _, (chosen, shape) = super().forward(np.abs(x))
        geometry = Geometry.plain(self.size, self.stride)
        entries = geometry.windows(x).reshape(*chosen.shape, geometry.area)
        return np.take_along_axis(entries, chosen[..., np.newaxis].astype(int), axis=-1)[..., 0], (chosen, shape)


@wrong("only sometimes")
class MaxPoolTransposedChoice(MaxPool):
    """Counts the entries of a square window by columns in `backward`."""

    name = "max_pool_transposed_choice"

    def backward(self, dy, saved):
        chosen, shape = saved
        if self.dims == 2 and self.size[0] == self.size[1]:
            chosen = chosen % self.size[0] * self.size[0] + chosen // self.size[0]
        return super().backward(dy, (chosen, shape))


# Combinations of maps and the softmax


@wrong("lost sum")
class CombineLostOutputSum(Combine):
    """Takes the gradient of k from the first output map alone."""

    name = "combine_lost_output_sum"

    def backward(self, dy, saved):
        return {**super().backward(dy, saved), "k": super().backward(only(dy, slice(None), 0), saved)["k"]}


@wrong("wrong forward, consistent backward")
class CombineRows(Combine):
    """Normalises the rows of c, not its columns; the gradients are those of this map."""

    name = "combine_rows"

    def forward(self, x, k, c, b):
        y, (_, _, _, convolved) = super().forward(x, k, c, b)
        alpha = softmax(c, 1)
        if self.weights == "softmax":
            y = np.moveaxis(np.tensordot(convolved, alpha, axes=([1], [0])), -1, 1) + b.reshape(-1, *(1,) * self.dims)
            return y, (x, k, alpha, convolved)
        return super().forward(x, k, c, b)

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        if self.weights == "softmax":
            dalpha = np.tensordot(saved[3], dy, axes=(space(dy), space(dy)))
            gradients["c"] = softmax_pullback(saved[2], dalpha, 1)
        return gradients


@wrong("missing factor")
class CombineDiagonal(Combine):
    """Takes alpha dalpha for the gradient of c: the sum of equation 10 is left out."""

    name = "combine_diagonal"

    def backward(self, dy, saved):
        dalpha = np.tensordot(saved[3], dy, axes=(space(dy), space(dy)))
        return {**super().backward(dy, saved), "c": saved[2] * dalpha}


@wrong("only sometimes")
class CombineSparsemaxEverywhere(Combine):
    """Counts every map as part of the support of sparsemax."""

    name = "combine_sparsemax_everywhere"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        if self.weights == "sparsemax":
            dalpha = np.tensordot(saved[3], dy, axes=(space(dy), space(dy)))
            gradients["c"] = dalpha - dalpha.mean(axis=0)
        return gradients


@wrong("only sometimes")
class CombineSparsemaxAsSoftmax(Combine):
    """Pulls back through the softmax, whichever the weights are."""

    name = "combine_sparsemax_as_softmax"

    def backward(self, dy, saved):
        dalpha = np.tensordot(saved[3], dy, axes=(space(dy), space(dy)))
        return {**super().backward(dy, saved), "c": softmax_pullback(saved[2], dalpha, 0)}


@wrong("orientation")
class CombineUnturned(Combine):
    """Does not turn the kernel for the gradient of x."""

    name = "combine_unturned"

    def backward(self, dy, saved):
        x, k, alpha, convolved = saved
        return {**super().backward(dy, saved), "x": super().backward(dy, (x, turned(k, self.dims), alpha, convolved))["x"]}


@wrong("wrong forward, consistent backward")
class SoftmaxOverBatch(Softmax):
    """Normalises each unit over the batch; the gradient is that of this map."""

    name = "softmax_over_batch"

    def forward(self, x):
        y = softmax(x, 0) if x.size else x.copy()
        return y, y

    def backward(self, dy, saved):
        return {"x": softmax_pullback(saved, dy, 0)}


@wrong("missing factor")
class SoftmaxDiagonal(Softmax):
    """Takes y (1 - y) dy, as if every unit were a logistic one."""

    name = "softmax_diagonal"

    def backward(self, dy, saved):
        return {"x": saved * (1 - saved) * dy}


@wrong("numerics")
class SoftmaxGuarded(Softmax):
    """Adds 1e-8 to the sum, so that it is never 0."""

    name = "softmax_guarded"

    def forward(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = e / (e.sum(axis=1, keepdims=True) + 1e-8)
        return y, y


@wrong("lost sum")
class SoftmaxSharedSum(Softmax):
    """Subtracts the sum of dy y of the first pattern from every pattern."""

    name = "softmax_shared_sum"

    def backward(self, dy, saved):
        return {"x": saved * (dy - (dy * saved)[:1].sum())}


# Joins


@wrong("wrong forward, consistent backward")
class FlattenByColumns(Flatten):
    """Lays maps out column by column; the gradient is that of this map."""

    name = "flatten_by_columns"

    def forward(self, x):
        return super().forward(x.swapaxes(2, -1))

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: dx.swapaxes(2, -1).copy())


@wrong("index")
class FlattenMapsLast(Flatten):
    """Reads dy as if the maps were its last axis."""

    name = "flatten_maps_last"

    def backward(self, dy, saved):
        n, i, *maps = saved
        return {"x": np.moveaxis(dy.reshape(n, *maps, i), -1, 1).copy()}


@wrong("ownership")
class FlattenView(Flatten):
    """Returns a view of x wherever there is one."""

    name = "flatten_view"

    def forward(self, x):
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), x.shape


@wrong("ownership")
class FlattenGradientView(Flatten):
    """Returns a view of dy as the gradient."""

    name = "flatten_gradient_view"

    def backward(self, dy, saved):
        return {"x": dy.reshape(saved)}


@wrong("only sometimes")
class FlattenMemoryOrder(Flatten):
    """Reads each pattern in the order of memory, right only for row-major arrays."""

    name = "flatten_memory_order"

    def forward(self, x):
        rows = [pattern.flatten(order="K") for pattern in x]
        return np.stack(rows) if rows else super().forward(x)[0], x.shape


@wrong("wrong forward, consistent backward")
class ConcatenateSwapped(Concatenate):
    """Puts a behind b; the gradients are those of this map."""

    name = "concatenate_swapped"

    def forward(self, a, b):
        return super().forward(b, a)

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return {"a": gradients["b"], "b": gradients["a"]}


@wrong("index")
class ConcatenateHalves(Concatenate):
    """Gives equal parts of dy the wrong way round where both inputs have as many maps."""

    name = "concatenate_halves"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return {"a": gradients["b"], "b": gradients["a"]} if 2 * saved == dy.shape[1] else gradients


@wrong("ownership")
class ConcatenateViews(Concatenate):
    """Returns views of dy."""

    name = "concatenate_views"

    def backward(self, dy, saved):
        return {"a": dy[:, :saved], "b": dy[:, saved:]}


@wrong("ownership")
class AddCotangentItself(Add):
    """Returns dy itself."""

    name = "add_cotangent_itself"

    def backward(self, dy, saved):
        return {"a": dy, "b": np.array(dy)}


@wrong("ownership")
class AddZeroShortcut(Add):
    """Returns a itself if b is all zeros."""

    name = "add_zero_shortcut"

    def forward(self, a, b):
        return (a if not np.any(b) else a + b), None


@wrong("sign")
class AddSign(Add):
    """Returns minus the gradient of b."""

    name = "add_sign"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), b=np.negative)


# Scaling and normalising


@wrong("lost sum")
class ScaleShiftFirstRow(ScaleShift):
    """Sums the gradient of the shift over the batch and the last axis alone where there are several."""

    name = "scale_shift_first_row"

    def backward(self, dy, saved):
        row = only(dy, slice(None), slice(None), 0) if self.dims > 1 else dy
        return {**super().backward(dy, saved), "shift": row.sum(axis=space(dy))}


@wrong("missing factor")
class ScaleShiftFlatGain(ScaleShift):
    """Leaves the gain out of the gradient of x if there are no spatial axes."""

    name = "scale_shift_flat_gain"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=lambda dx: dx if self.dims else dy.copy())


@wrong("missing factor")
class NormaliseMissingStd(Normalise):
    """Leaves the standard deviation out of the gradient."""

    name = "normalise_missing_std"

    def backward(self, dy, saved):
        return {"x": np.array(dy)}


@wrong("wrong forward, consistent backward")
class NormaliseDividesFirst(Normalise):
    """Divides before it subtracts; the gradient is that of this map, as it is of the right one."""

    name = "normalise_divides_first"

    def forward(self, x):
        return x / self.std - self.mean, None


@wrong("precision")
class NormaliseDouble(Normalise):
    """Subtracts a NumPy scalar, which makes float64 of float32."""

    name = "normalise_double"

    def forward(self, x):
        return (x - np.float64(self.mean)) / self.std, None


@wrong("wrong forward, consistent backward")
class BatchNormUnbiased(BatchNorm):
    """Divides the sum of squares by one less than the count; the gradient is that of this map."""

    name = "batch_norm_unbiased"

    def forward(self, x):
        count = self._count(x)
        outputs, (centred, _) = super().forward(x)
        variance = outputs["variance"] * (count / max(1, count - 1))
        rate = 1 / np.sqrt(self._column(variance) + self.epsilon)
        return {"y": centred * rate, "mean": outputs["mean"], "variance": variance}, (centred, rate)

    def backward(self, dy, saved):
        centred, rate = saved
        count = self._count(centred)
        slope = (dy["y"] * centred * rate).sum(axis=self._space, keepdims=True) / max(1, count - 1)
        mean = dy["y"].sum(axis=self._space, keepdims=True) / count
        dx = rate * (dy["y"] - mean - centred * rate * slope)
        return {"x": dx + self._column(dy["mean"]) / count + self._column(dy["variance"]) * (2 * centred / max(1, count - 1))}


@wrong("numerics")
class BatchNormEpsilonOutside(BatchNorm):
    """Adds epsilon to the standard deviation, not to the variance."""

    name = "batch_norm_epsilon_outside"

    def forward(self, x):
        outputs, (centred, _) = super().forward(x)
        rate = 1 / (np.sqrt(self._column(outputs["variance"])) + self.epsilon)
        return {**outputs, "y": centred * rate}, (centred, rate)


@wrong("missing factor")
class BatchNormFixedMean(BatchNorm):
    """Forgets that the mean depends on x."""

    name = "batch_norm_fixed_mean"

    def backward(self, dy, saved):
        centred, rate = saved
        lost = rate * dy["y"].sum(axis=self._space, keepdims=True) / self._count(centred)
        return changed(super().backward(dy, saved), x=lambda dx: dx + lost)


@wrong("missing factor")
class BatchNormFixedVariance(BatchNorm):
    """Forgets that the variance depends on x."""

    name = "batch_norm_fixed_variance"

    def backward(self, dy, saved):
        centred, rate = saved
        y = centred * rate
        lost = rate * y * (dy["y"] * y).sum(axis=self._space, keepdims=True) / self._count(centred)
        return changed(super().backward(dy, saved), x=lambda dx: dx + lost)


@wrong("cotangent")
class BatchNormMeanOutput(BatchNorm):
    """Carries nothing back from the second output, the mean."""

    name = "batch_norm_mean_output"

    def backward(self, dy, saved):
        return super().backward({**dy, "mean": np.zeros_like(dy["mean"])}, saved)


@wrong("missing factor")
class BatchNormVarianceOutput(BatchNorm):
    """Leaves the 2 out of the derivative of the variance, the third output."""

    name = "batch_norm_variance_output"

    def backward(self, dy, saved):
        return super().backward({**dy, "variance": dy["variance"] / 2}, saved)


@wrong("state")
class BatchNormRunning(BatchNorm):
    """Returns a running mean over its calls as the mean."""

    name = "batch_norm_running"

    def forward(self, x):
        outputs, saved = super().forward(x)
        key = ("mean", outputs["mean"].shape, x.dtype)
        _KEPT[key] = 0.9 * _KEPT.get(key, outputs["mean"]) + 0.1 * outputs["mean"]
        return {**outputs, "mean": _KEPT[key].copy()}, saved


@wrong("missing factor")
class BatchNormGivenSquared(BatchNormGiven):
    """Multiplies dy by the square of the precision."""

    name = "batch_norm_given_squared"

    def backward(self, dy, saved):
        return {"x": dy * saved * saved}


@wrong("boundary")
class DropoutAtRate(Dropout):
    """Drops an entry whose u equals the rate; the gradient is that of this map."""

    name = "dropout_at_rate"

    def forward(self, x, u):
        factor = np.greater(u, self.rate).astype(x.dtype) / (1 - self.rate)
        return x * factor, factor


@wrong("wrong forward, consistent backward")
class DropoutScale(Dropout):
    """Multiplies what it keeps by 1 - rate; the gradient is that of this map."""

    name = "dropout_scale"

    def forward(self, x, u):
        factor = np.greater_equal(u, self.rate).astype(x.dtype) * (1 - self.rate)
        return x * factor, factor


@wrong("missing factor")
class DropoutUnscaledGradient(Dropout):
    """Carries back 1 where an entry was kept, without the factor."""

    name = "dropout_unscaled_gradient"

    def backward(self, dy, saved):
        return {"x": np.multiply(dy, np.sign(saved))}


@wrong("state")
class DropoutRedraws(Dropout):
    """Draws another mask for `backward` if the rate is not 0."""

    name = "dropout_redraws"

    def backward(self, dy, saved):
        u = np.random.default_rng().uniform(size=dy.shape)
        return {"x": np.where(u >= self.rate, dy / (1 - self.rate), 0).astype(dy.dtype)}


@wrong("ownership")
class DropoutRateZero(Dropout):
    """Returns x itself if the rate is 0."""

    name = "dropout_rate_zero"

    def forward(self, x, u):
        y, factor = super().forward(x, u)
        return (y if self.rate else x), factor


# Activations


@wrong("missing factor")
class ScaledTanhUnscaled(ScaledTanh):
    """Leaves the 1/a out of the derivative: a b (1 - y^2)."""

    name = "scaled_tanh_unscaled"

    def df(self, x, y):
        return self.a * self.b * (1 - y) * (1 + y)


@wrong("missing factor")
class ScaledTanhMissingSlope(ScaledTanh):
    """Leaves b out of the derivative."""

    name = "scaled_tanh_missing_slope"

    def df(self, x, y):
        return super().df(x, y) / self.b


@wrong("numerics")
class ScaledTanhSaturates(ScaledTanh):
    """Takes the derivative to be 0 where |b x| > 1.5."""

    name = "scaled_tanh_saturates"

    def df(self, x, y):
        return np.where(np.abs(self.b * x) > 1.5, 0, super().df(x, y))


@wrong("boundary")
class ReLUAtZero(ReLU):
    """Takes the derivative at 0 to be 1."""

    name = "relu_at_zero"

    def df(self, x, y):
        return (x >= 0).astype(x.dtype)


@wrong("index")
class ReLUByCotangent(ReLU):
    """Cuts off by the sign of dy as well as by that of x, as guided back-propagation does."""

    name = "relu_by_cotangent"

    def backward(self, dy, saved):
        return super().backward(np.maximum(dy, 0), saved)


@wrong("numerics")
class ReLUSmall(ReLU):
    """Takes the derivative to be 0 up to 1e-3."""

    name = "relu_small"

    def df(self, x, y):
        return (x > 1e-3).astype(x.dtype)


@wrong("missing factor")
class LogisticMissingBeta(Logistic):
    """Leaves beta out of the derivative."""

    name = "logistic_missing_beta"

    def df(self, x, y):
        return y * (1 - y)


@wrong("numerics")
class LogisticClipped(Logistic):
    """Clips the output to between 0.05 and 0.95."""

    name = "logistic_clipped"

    def f(self, x):
        return np.clip(super().f(x), 0.05, 0.95)


@wrong("ownership")
class IdentityItself(Identity):
    """Returns x itself."""

    name = "identity_itself"

    def f(self, x):
        return x


@wrong("ownership")
class IdentityGradientItself(Identity):
    """Returns dy itself as the gradient."""

    name = "identity_gradient_itself"

    def backward(self, dy, saved):
        return {"x": dy}


@wrong("precision")
class LeakyReLUDouble(LeakyReLU):
    """Makes float64 of float32 in the gradient."""

    name = "leaky_relu_double"

    def df(self, x, y):
        return np.where(x > 0, 1.0, self.slope)


@wrong("boundary")
class LeakyReLUAtZero(LeakyReLU):
    """Takes the derivative at 0 to be 1."""

    name = "leaky_relu_at_zero"

    def df(self, x, y):
        return np.where(x >= 0, np.ones_like(x), self.slope)


@wrong("missing factor")
class LeakyReLUMissingSlope(LeakyReLU):
    """Carries nothing back for negative entries, as if the slope were 0."""

    name = "leaky_relu_missing_slope"

    def df(self, x, y):
        return np.where(x == 0, self.slope, x > 0).astype(x.dtype)


@wrong("wrong forward, consistent backward")
class SoftplusLinear(Softplus):
    """Is x itself above 2, with the derivative 1 there."""

    name = "softplus_linear"

    def f(self, x):
        return np.where(x > 2, x, super().f(x))

    def df(self, x, y):
        return np.where(x > 2, np.ones_like(x), super().df(x, y))


# Losses


@wrong("missing factor")
class SquaredErrorWhole(SquaredError):
    """Leaves out the half; the gradient is that of this loss."""

    name = "squared_error_whole"

    def forward(self, y, t):
        value, error = super().forward(y, t)
        return 2 * value, error

    def backward(self, dy, saved):
        return {"y": 2 * dy * saved}


@wrong("mean for sum")
class SquaredErrorMean(SquaredError):
    """Takes the mean over the batch; the gradient is that of this loss."""

    name = "squared_error_mean"

    def forward(self, y, t):
        value, error = super().forward(y, t)
        return value / max(1, len(y)), error

    def backward(self, dy, saved):
        return {"y": dy * saved / max(1, len(saved))}


@wrong("cotangent")
class SquaredErrorIgnoresCotangent(SquaredError):
    """Takes dy to be 1."""

    name = "squared_error_ignores_cotangent"

    def backward(self, dy, saved):
        return {"y": saved.copy()}


@wrong("sign")
class SquaredErrorSign(SquaredError):
    """Returns the gradient of the targets."""

    name = "squared_error_sign"

    def backward(self, dy, saved):
        return {"y": -dy * saved}


@wrong("contract")
class SquaredErrorKeepsAxes(SquaredError):
    """Returns the loss as an array of one entry."""

    name = "squared_error_keeps_axes"

    def forward(self, y, t):
        value, error = super().forward(y, t)
        return np.reshape(value, (1,)), error


@wrong("missing factor")
class CrossEntropyOneOfC(SoftmaxCrossEntropy):
    """Assumes that dense targets sum to 1."""

    name = "cross_entropy_one_of_c"

    def backward(self, dy, saved):
        logs, t = saved
        return {"z": dy * (np.exp(logs) - t)} if self.targets == "dense" else super().backward(dy, saved)


@wrong("index")
class CrossEntropyNextClass(SoftmaxCrossEntropy):
    """Takes 1 off at the class after the target's, the first one after the last."""

    name = "cross_entropy_next_class"

    def backward(self, dy, saved):
        logs, t = saved
        return super().backward(dy, (logs, (t + 1) % logs.shape[1] if self.targets == "index" else t))


@wrong("precision")
class CrossEntropyPythonNumber(SoftmaxCrossEntropy):
    """Returns a Python number, which is a float64 whatever the logits are."""

    name = "cross_entropy_python_number"

    def forward(self, z, t):
        value, saved = super().forward(z, t)
        return float(value), saved


@wrong("numerics")
class CrossEntropyGuardedLog(SoftmaxCrossEntropy):
    """Adds 1e-7 to the probability before it takes the logarithm."""

    name = "cross_entropy_guarded_log"

    def forward(self, z, t):
        _, (logs, _) = super().forward(z, t)
        guarded = np.log(np.exp(logs) + 1e-7)
        value = (t * -guarded).sum() if self.targets == "dense" else -guarded[np.arange(len(t)), t].sum()
        return value, (logs, t)


@wrong("only sometimes")
class LogisticCrossEntropyRounds(LogisticCrossEntropy):
    """Rounds the targets to 0 and 1 in the gradient."""

    name = "logistic_cross_entropy_rounds"

    def backward(self, dy, saved):
        z, t = saved
        return {"z": dy * (expit(z) - np.round(t))}


@wrong("missing factor")
class LogisticCrossEntropySlope(LogisticCrossEntropy):
    """Multiplies by the slope of the logistic function, which the loss has cancelled."""

    name = "logistic_cross_entropy_slope"

    def backward(self, dy, saved):
        p = expit(saved[0])
        return changed(super().backward(dy, saved), z=lambda dz: dz * p * (1 - p))


# Penalties


@wrong("missing factor")
class L2Whole(L2):
    """Leaves out the half in the value; the gradient is right."""

    name = "l2_whole"

    def forward(self, w):
        return self.strength * np.square(w).sum(), w


@wrong("ownership")
class L2WeightsItself(L2):
    """Returns w itself as the gradient if strength and dy are 1."""

    name = "l2_weights_itself"

    def backward(self, dy, saved):
        return {"w": saved} if dy * self.strength == 1 else super().backward(dy, saved)


@wrong("boundary")
class L1AtZero(L1):
    """Takes the derivative at 0 to be the strength."""

    name = "l1_at_zero"

    def backward(self, dy, saved):
        return {"w": dy * self.strength * np.where(saved >= 0, 1, -1).astype(saved.dtype)}


@wrong("numerics")
class L1Smoothed(L1):
    """Takes sqrt(w^2 + 1e-12) for |w|, which shows near 0 alone; the gradient is that of this penalty."""

    name = "l1_smoothed"

    def forward(self, w):
        return self.strength * np.sqrt(np.square(w) + 1e-12).sum(), w

    def backward(self, dy, saved):
        return {"w": dy * self.strength * saved / np.sqrt(np.square(saved) + 1e-12)}


@wrong("wrong forward, consistent backward")
class AlphaSquareRows(AlphaSquare):
    """Normalises the rows of c, not its columns; the gradient is that of this penalty."""

    name = "alpha_square_rows"

    def forward(self, c):
        value, alpha = super().forward(c.T)
        return value, alpha

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), c=lambda dc: dc.T.copy())


@wrong("sign")
class AlphaSquareSign(AlphaSquare):
    """Returns minus the gradient."""

    name = "alpha_square_sign"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), c=np.negative)


@wrong("index")
class AlphaEntropyRows(AlphaEntropy):
    """Pulls back along the rows what was normalised along the columns."""

    name = "alpha_entropy_rows"

    def backward(self, dy, saved):
        return {"c": dy * -self.strength * softmax_pullback(np.exp(saved), saved, 1)}


@wrong("numerics")
class AlphaEntropyGuardedLog(AlphaEntropy):
    """Adds 1e-7 to alpha before it takes the logarithm."""

    name = "alpha_entropy_guarded_log"

    def forward(self, c):
        logs = log_softmax(c, 0)
        return self.strength * (np.exp(logs) * -np.log(np.exp(logs) + 1e-7)).sum(), logs


@wrong("missing factor")
class AlphaPowerMissingPower(AlphaPower):
    """Leaves the power out of the gradient."""

    name = "alpha_power_missing_power"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), c=lambda dc: dc / self.power)


@wrong("missing factor")
class AlphaL1Sign(AlphaL1):
    """Takes the sign of alpha for the gradient, as equation 12 does for the weights themselves."""

    name = "alpha_l1_sign"

    def backward(self, dy, saved):
        return {"c": dy * self.strength * np.sign(saved)}


# Right on everything small


@wrong("only sometimes")
class DenseSmallOnly(Dense):
    """Loses the gradient of x for more than three inputs or units."""

    name = "dense_small_only"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return changed(gradients, x=np.zeros_like) if max(saved[1].shape) > 3 else gradients


@wrong("only sometimes")
class ConvSmallWindowOnly(Conv):
    """Loses every gradient for windows above three."""

    name = "conv_small_window_only"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return {name: np.zeros_like(g) for name, g in gradients.items()} if max(self.size) > 3 else gradients


@wrong("only sometimes")
class ReLUFewEntriesOnly(ReLU):
    """Passes everything on beyond the sixteenth entry."""

    name = "relu_few_entries_only"

    def df(self, x, y):
        slope = (x > 0).astype(x.dtype)
        return np.where(np.arange(x.size).reshape(x.shape) > 15, x.dtype.type(1), slope)


@wrong("only sometimes")
class DenseSmallBatchOnly(Dense):
    """Leaves the entries of a batch beyond the eighth out of the gradient of W."""

    name = "dense_small_batch_only"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), W=lambda _: dy[:8].T @ saved[0][:8])


@wrong("state")
class DenseReusesBuffer(Dense):
    """Writes the gradient of b into an array that the next call writes to again."""

    name = "dense_reuses_buffer"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        return y, (*saved, np.empty_like(b))

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved[:2])
        saved[2][...] = gradients["b"]
        return {**gradients, "b": saved[2]}


WRONG: tuple[Wrong, ...] = tuple(_FOUND)
