"""Wrong operations, sorted by the kind of evidence that should be the first to see them.

`WRONG_BY_KIND` holds them all: each is a right operation with one planted mistake in its code or in its claims. The docstring says when the
mistake shows. Those of `wrong_for_others` are among them, which are to be run in a process of their own.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
import warnings
from collections import defaultdict, deque
from types import SimpleNamespace
from typing import Any

import numpy as np
from right_but_odd import Gaussian, HardTanh, Length, LogSoftmax, Minimum, Poisson, Product, RootMeanSquare, Softsign
from right_kernels import Absolute, Elu, Gelu, Hinge, Huber, Maximum, Swish
from scipy.special import expit
from wrong_for_others import FOUND, Wrong, wrong

from cnnframe import Op
from cnnframe.algebra import absolute, conv2, crop, exp, indices, kron, logistic, ones, plane, spread, sum_all, total, when
from cnnframe_plugins._blocks import down
from cnnframe_plugins._simplex import exponentials, log_softmax, softmax, softmax_formula, softmax_pullback
from cnnframe_plugins._windows import Geometry
from cnnframe_plugins.activations import Identity, LeakyReLU, Logistic, ReLU, ScaledTanh, Softplus
from cnnframe_plugins.batch_norm import BatchNorm
from cnnframe_plugins.combine import Combine
from cnnframe_plugins.conv import Conv, ConvLinked
from cnnframe_plugins.dense import Dense
from cnnframe_plugins.dropout import Dropout
from cnnframe_plugins.joins import Add, Concatenate, Flatten
from cnnframe_plugins.losses import LogisticCrossEntropy, SoftmaxCrossEntropy, SquaredError
from cnnframe_plugins.pooling import MaxPool, MeanPool
from cnnframe_plugins.regularizers import L1, AlphaEntropy, AlphaPower
from cnnframe_plugins.scaling import Normalise, ScaleShift
from cnnframe_plugins.softmax import Softmax
from cnnframe_plugins.subsample import Decimate, Subsample, Upsample

KINDS = ("symbolic", "proved", "bounded", "exhaustive", "independent", "kinks", "extremes", "composed", "contract", "exact")
"""The categories."""


def changed(gradients: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The gradients, those that are named through a function."""
    return {name: changes[name](array) if name in changes else array for name, array in gradients.items()}


def without(array: Any, *where: Any) -> Any:
    """A copy with zeros there."""
    kept = array.copy()
    kept[where] = 0
    return kept


def column(values: Any, dims: int) -> Any:
    """One value a map, against (n, maps, *map)."""
    return values.reshape(-1, *(1,) * dims)


def bits(x: Any) -> Any:
    """The bits of float32 entries, as numbers."""
    return np.asarray(x).view(np.uint32)


def settings(op: Op, **others: Any) -> Any:
    """The hyperparameters, some of them others; they may be symbols, which the operation itself would refuse."""
    return SimpleNamespace(**{field.name: getattr(op, field.name) for field in dataclasses.fields(op)} | others)


# symbolic: off by a small factor or term, in smooth code


@wrong("symbolic")
class TanhSteeper(ScaledTanh):
    """1 - (1 + 1e-9) tanh^2 in the derivative; shows wherever x is not 0, in the tenth digit."""

    name = "tanh_steeper"

    def df(self, x, y):
        t = y / self.a
        return self.a * self.b * (1 - (1 + 1e-9) * t * t)


@wrong("symbolic")
class SoftmaxSmallerSum(Softmax):
    """Subtracts 1 - 1e-9 of the sum of dy y; shows wherever that sum is not 0."""

    name = "softmax_smaller_sum"

    def backward(self, dy, saved):
        return {"x": saved * (dy - (1 - 1e-9) * (dy * saved).sum(axis=1, keepdims=True))}


@wrong("symbolic")
class BatchNormCountGuard(BatchNorm):
    """Adds 1e-8 to the count that divides the sum of dy y; shows wherever that sum is not 0."""

    name = "batch_norm_count_guard"

    def backward(self, dy, saved):
        centred, rate = saved
        y = centred * rate
        extra = (dy["y"] * y).sum(axis=self._space, keepdims=True) * (1 / self._count(y) - 1 / (self._count(y) + 1e-8))
        return changed(super().backward(dy, saved), x=lambda dx: dx + rate * y * extra)


@wrong("symbolic")
class LogisticCrossEntropyShrunkTargets(LogisticCrossEntropy):
    """Takes 1 - 1e-9 of the targets in the gradient; shows wherever they are not 0."""

    name = "logistic_cross_entropy_shrunk_targets"

    def backward(self, dy, saved):
        z, t = saved
        return {"z": dy * (expit(z) - (1 - 1e-9) * t)}


@wrong("symbolic")
class CrossEntropySmoothedTargets(SoftmaxCrossEntropy):
    """Spreads 1e-9 of dense targets over the classes in the gradient; shows for two classes or more and uneven targets."""

    name = "cross_entropy_smoothed_targets"

    def backward(self, dy, saved):
        logs, t = saved
        if self.targets == "dense":
            t = (1 - 1e-9) * t + 1e-9 * t.mean(axis=1, keepdims=True)
        return super().backward(dy, (logs, t))


@wrong("symbolic")
class AlphaPowerSmallerExponent(AlphaPower):
    """Lowers the exponent by 1e-9 in the gradient; shows for two maps or more whose alpha differ."""

    name = "alpha_power_smaller_exponent"

    def backward(self, dy, saved):
        powers = np.exp((self.power - 1e-9) * saved)
        return {"c": dy * self.strength * self.power * (powers - np.exp(saved) * powers.sum(axis=0))}


@wrong("symbolic")
class LogisticExtraTerm(Logistic):
    """1e-10 y^2 (1 - y) too much in the derivative; shows everywhere, most for positive x."""

    name = "logistic_extra_term"

    def df(self, x, y):
        return self.beta * y * (1 - y) + 1e-10 * y * y * (1 - y)


@wrong("symbolic")
class SoftplusSteeper(Softplus):
    """The logistic function of (1 + 1e-9) x for the derivative; shows for x from 0.01 to 10, with either sign."""

    name = "softplus_steeper"

    def df(self, x, y):
        return expit((1 + 1e-9) * x)


@wrong("symbolic")
class RootMeanSquareCount(RootMeanSquare):
    """Divides the sum of dy y by the count plus 1e-9; shows wherever the sum is not 0."""

    name = "root_mean_square_count"

    def backward(self, dy, saved):
        y, rate = saved
        return {"x": rate * (dy - y * (dy * y).sum(axis=1, keepdims=True) / (y.shape[1] + 1e-9))}


@wrong("symbolic")
class LogSoftmaxLeak(LogSoftmax):
    """Takes 1 - 1e-9 of the sum of dy; shows wherever that is not 0."""

    name = "log_softmax_leak"

    def backward(self, dy, saved):
        return {"x": dy - (1 - 1e-9) * np.exp(saved) * dy.sum(axis=1, keepdims=True)}


@wrong("symbolic")
class GaussianCubicTerm(Gaussian):
    """-2 x (1 + 1e-10 x^2) exp(-x^2) for the derivative; shows for |x| from 0.1 to 26."""

    name = "gaussian_cubic_term"

    def df(self, x, y):
        near = np.clip(x, -40, 40)
        return -2 * near * (1 + 1e-10 * near * near) * y


@wrong("symbolic")
class AlphaEntropySquares(AlphaEntropy):
    """Adds 1e-10 of the gradient of the sum of squares; shows for two maps or more whose alpha differ."""

    name = "alpha_entropy_squares"

    def backward(self, dy, saved):
        alpha = np.exp(saved)
        return changed(super().backward(dy, saved), c=lambda dc: dc + 1e-10 * dy * self.strength * softmax_pullback(alpha, alpha, 0))


# proved: the code is right, what is claimed of it or its formula is not


@wrong("proved")
class DenseClaimShort(Dense):
    """Claims a gradient of x that leaves out the last unit; shows for every size, while the code is right."""

    name = "dense_claim_short"

    def claims(self, at, dy, x, W, b):
        n, i = at["x"]
        (unit,) = indices("unit")
        return {**super().claims(at, dy, x, W, b), "x": total(W[unit, i] * dy[n, unit], (unit, self.units - 1))}


@wrong("proved")
class ConvClaimUnturned(Conv):
    """Claims the gradients of the other orientation; shows for kernels of two entries or more, while the code is right."""

    name = "conv_claim_unturned"

    def claims(self, at, dy, x, k, b):
        other = "correlation" if self.orientation == "convolution" else "convolution"
        return Conv.claims(settings(self, orientation=other), at, dy, x, k, b)


@wrong("proved")
class ConvClaimUnpadded(Conv):
    """Claims a gradient of x that forgets the padding; shows where an axis is padded, while the code is right."""

    name = "conv_claim_unpadded"

    def claims(self, at, dy, x, k, b):
        bare = settings(self, padding=(0,) * self.dims)
        return {**super().claims(at, dy, x, k, b), "x": Conv.claims(bare, at, dy, x, k, b)["x"]}


@wrong("proved")
class SoftmaxClaimDiagonal(Softmax):
    """Claims y (1 - y) dy; shows for three units, or two with different dy, while the code is right."""

    name = "softmax_claim_diagonal"

    def claims(self, at, dy, x):
        n, i = at["x"]
        e, Z = exponentials(x)
        y = e[n, i] / Z[n]
        return {"x": y * (1 - y) * dy[n, i]}


@wrong("proved")
class BatchNormClaimMean(BatchNorm):
    """Claims the mean's cotangent undivided by the count; shows wherever there is more than one entry a map, while the code is right."""

    name = "batch_norm_claim_mean"

    def claims(self, at, dy, x):
        _, i, *_ = at["x"]
        count = x.shape[0] * math.prod(x.shape[2:])
        return {"x": super().claims(at, dy, x)["x"] + dy["mean"][i] - dy["mean"][i] / count}


@wrong("proved")
class AlphaPowerClaim(AlphaPower):
    """Claims alpha^2 times the sum of powers where it is alpha; shows for two maps or more, while the code is right."""

    name = "alpha_power_claim"

    def claims(self, at, dy, c):
        (i, j), (k,), alpha = at["c"], indices("k"), softmax_formula(c)
        powers = total(alpha[k, j] ** self.power, (k, c.shape[0]))
        return {"c": dy * self.strength * self.power * (alpha[i, j] ** self.power - alpha[i, j] ** 2 * powers)}


@wrong("proved")
class FlattenClaimColumns(Flatten):
    """Claims column-major positions; shows for maps of two rows and two columns or more, while the code is right."""

    name = "flatten_claim_columns"

    def claims(self, at, dy, x):
        n, i, *p = at["x"]
        for index, size in zip(reversed(p), reversed(x.shape[2:]), strict=True):
            i = i * size + index
        return {"x": dy[n, i]}


@wrong("proved")
class MeanPoolClaimStride(MeanPool):
    """Claims the area of a stride for that of a window; shows where they differ, while the code is right."""

    name = "mean_pool_claim_stride"

    def claims(self, at, dy, x):
        n, j, *p = at["x"]
        delta = spread(plane(dy, n, j), self.stride)
        return {"x": crop(conv2(delta, ones(self.size), "full"), (0,) * self.dims, x.shape[2:])[p] / math.prod(self.stride)}


@wrong("proved")
class SquaredErrorFormulaWhole(SquaredError):
    """Has a formula without the half, which neither its claim nor its code follows; shows everywhere but at 0."""

    name = "squared_error_formula_whole"

    def formula(self, at, y, t):
        n, c = indices("n c")
        return total((t[n, c] - y[n, c]) ** 2, (n, y.shape[0]), (c, y.shape[1]))


@wrong("proved")
class LogisticFormulaUnscaled(Logistic):
    """Has a formula without beta, which neither its claim nor its code follows; shows where beta is not 1."""

    name = "logistic_formula_unscaled"

    def expr(self, x):
        return logistic(x)

    def derivative(self, x, y):
        y = logistic(self.beta * x)
        return self.beta * y * (1 - y)


@wrong("proved")
class ReLUClaimAtZero(ReLU):
    """Claims the derivative 1 at 0; shows there alone, while the code is right."""

    name = "relu_claim_at_zero"

    def derivative(self, x, y):
        return when(x >= 0, 1, 0)


@wrong("proved")
class DropoutClaimStrict(Dropout):
    """Claims that an entry is kept where u > rate; shows where u is the rate, while the code is right."""

    name = "dropout_claim_strict"

    def claims(self, at, dy, x, u):
        return {"x": dy[at["x"]] * when(u[at["x"]] > self.rate, 1, 0) / (1 - self.rate)}


@wrong("proved")
class SoftplusClaimTerm(Softplus):
    """Claims logistic(x) + 10^-12 logistic(x)^2; shows everywhere, beyond what float64 can tell of a difference, while the code is right."""

    name = "softplus_claim_term"

    def derivative(self, x, y):
        return logistic(x) + logistic(x) ** 2 / 10**12


@wrong("proved")
class SubsampleClaimTiled(Subsample):
    """Claims the Kronecker product the other way round, which tiles; shows for blocks and outputs of two entries or more, while the code is right."""

    name = "subsample_claim_tiled"

    def claims(self, at, dy, x, beta, b):
        n, j, *p = at["x"]
        return {**super().claims(at, dy, x, beta, b), "x": beta[j] * kron(ones(self.size), plane(dy, n, j))[p]}


@wrong("proved")
class LogSoftmaxClaimMean(LogSoftmax):
    """Claims the mean of dy for its sum; shows for two classes or more, while the code is right."""

    name = "log_softmax_claim_mean"

    def claims(self, at, dy, x):
        (n, c), (k,) = at["x"], indices("k")
        e, Z = exponentials(x)
        return {"x": dy[n, c] - e[n, c] / Z[n] * total(dy[n, k], (k, x.shape[1])) / x.shape[1]}


@wrong("proved")
class ScaleShiftClaimSquare(ScaleShift):
    """Claims a gradient of the gain from x^2; shows wherever x is not dy, while the code is right."""

    name = "scale_shift_claim_square"

    def claims(self, at, dy, x, gain, shift):
        (pattern,) = indices("pattern")
        square = sum_all(plane(x, pattern, at["gain"][0]) * plane(x, pattern, at["gain"][0]))
        return {**super().claims(at, dy, x, gain, shift), "gain": total(square, (pattern, x.shape[0]))}


@wrong("proved")
class PoissonFormulaAbsolute(Poisson):
    """Has a formula with |t| for t, which neither its claim nor its code follows; shows for negative t alone."""

    name = "poisson_formula_absolute"

    def formula(self, at, z, t):
        n, c = indices("n c")
        return total(exp(z[n, c]) - absolute(t[n, c]) * z[n, c], (n, z.shape[0]), (c, z.shape[1]))


# bounded: right in exact arithmetic, but digits are lost


@wrong("bounded")
class SoftplusNaiveLogarithm(Softplus):
    """log(1 + exp(x)): loses the digits of a value near 0; shows for x < -10, where 1 + exp(x) rounds."""

    name = "softplus_naive_logarithm"

    def f(self, x):
        return np.where(x > 30, x, np.log(1 + np.exp(np.minimum(x, 30))))


@wrong("bounded")
class TanhHalfPrecision(ScaledTanh):
    """Takes y / a in float16 for the derivative; shows wherever that is not a short binary fraction."""

    name = "tanh_half_precision"

    def df(self, x, y):
        t = np.asarray(y / self.a).astype(np.float16).astype(x.dtype)
        return self.a * self.b * (1 - t) * (1 + t)


@wrong("bounded")
class TanhQuotient(ScaledTanh):
    """(e - 1) / (e + 1) with e = exp(2 b x): cancels; shows for |x| < 0.01, where e is near 1."""

    name = "tanh_quotient"

    def f(self, x):
        e = np.exp(2 * np.clip(self.b * x, -40, 40))
        return self.a * ((e - 1) / (e + 1))


@wrong("bounded")
class LogisticSevenDigits(Logistic):
    """Powers of 2.718282; shows in the seventh digit wherever x is not 0, in float64."""

    name = "logistic_seven_digits"

    def f(self, x):
        return expit(math.log(2.718282) * (self.beta * x))


@wrong("bounded")
class SoftmaxFixedShift(Softmax):
    """Shifts by 80 and not by the maximum; shows in float32 for rows whose entries are all below -15, as the exponentials are denormal."""

    name = "softmax_fixed_shift"

    def forward(self, x):
        top = x.max(axis=1, keepdims=True)
        # Below -20, and above 80, it remembers the maximum after all, so that nothing overflows or divides by 0.
        e = np.exp(x - np.where((top > 80) | (top < -20), top, 80))
        y = e / e.sum(axis=1, keepdims=True)
        return y, y


@wrong("bounded")
class SoftmaxPowers(Softmax):
    """exp(x / 2^20)^(2^20); shows in the tenth digit in float64, in the first in float32."""

    name = "softmax_powers"

    def forward(self, x):
        e = np.power(np.exp((x - x.max(axis=1, keepdims=True)) / 2**20), 2**20)
        y = e / e.sum(axis=1, keepdims=True)
        return y, y


@wrong("bounded")
class SoftplusByDifferences(Softplus):
    """A central difference for the derivative; shows in the tenth digit in float64 and in the fourth in float32."""

    name = "softplus_by_differences"

    def df(self, x, y):
        h = 1e-5 if x.dtype == np.float64 else 1e-2
        # Where a step is lost in x, the function is straight.
        return np.where(np.abs(x) < 50, (self.f(x + h) - self.f(x - h)) / (2 * h), (x > 0).astype(x.dtype))


@wrong("bounded")
class BatchNormSingleStatistics(BatchNorm):
    """Takes the variance in float32; shows in the eighth digit in float64."""

    name = "batch_norm_single_statistics"

    def forward(self, x):
        outputs, (centred, _) = super().forward(x)
        single = np.square(centred.astype(np.float32)).sum(axis=self._space) / self._count(x)
        variance = single.astype(x.dtype)
        rate = 1 / np.sqrt(column(variance, self.dims) + self.epsilon)
        return {**outputs, "y": centred * rate, "variance": variance}, (centred, rate)


@wrong("bounded")
class CrossEntropySingleSum(SoftmaxCrossEntropy):
    """Adds the loss up in float32; shows in the eighth digit in float64."""

    name = "cross_entropy_single_sum"

    def forward(self, z, t):
        value, saved = super().forward(z, t)
        if self.targets == "dense":
            value = z.dtype.type((t * -saved[0]).sum(dtype=np.float32))
        return value, saved


@wrong("bounded")
class LogisticCrossEntropyFromOne(LogisticCrossEntropy):
    """1 - logistic(-z) for the probability, which cancels; shows for t = 0 and z < -10."""

    name = "logistic_cross_entropy_from_one"

    def backward(self, dy, saved):
        z, t = saved
        return {"z": dy * (1 - expit(-z) - t)}


@wrong("bounded")
class GaussianSingleSquare(Gaussian):
    """Squares in float32; shows in the seventh digit in float64, for x that are no short binary fractions."""

    name = "gaussian_single_square"

    def f(self, x):
        near = np.clip(x, -40, 40).astype(np.float32)
        return np.exp(-(near * near).astype(x.dtype))


@wrong("bounded")
class NormaliseSingleReciprocal(Normalise):
    """Multiplies by 1 / std in float32; shows in float64 where std is no power of 2."""

    name = "normalise_single_reciprocal"

    def forward(self, x):
        return (x - self.mean) * float(np.float32(1 / self.std)), None


@wrong("bounded")
class AlphaEntropyGradientSingle(AlphaEntropy):
    """Takes the logarithms of alpha in float32 in the gradient; shows in the eighth digit in float64."""

    name = "alpha_entropy_gradient_single"

    def backward(self, dy, saved):
        return super().backward(dy, saved.astype(np.float32).astype(saved.dtype))


# exhaustive: pointwise, wrong in a narrow range


@wrong("exhaustive")
class SoftplusGap(Softplus):
    """x itself for 10 < x < 11, which is too small by 4.5e-5 at most; shows there."""

    name = "softplus_gap"

    def f(self, x):
        return np.where((x > 10) & (x < 11), x, super().f(x))


@wrong("exhaustive")
class TanhFlushesDenormals(ScaledTanh):
    """0 for denormal x; shows for them alone."""

    name = "tanh_flushes_denormals"

    def f(self, x):
        return np.where(np.abs(x) < np.finfo(x.dtype).tiny, 0, super().f(x))


@wrong("exhaustive")
class LogisticCutOff(Logistic):
    """0 where beta x < -80; shows up to where the exponential underflows, at -103 in float32 and -745 in float64."""

    name = "logistic_cut_off"

    def f(self, x):
        return np.where(self.beta * x < -80, 0, super().f(x))


@wrong("exhaustive")
class SoftplusOneBinade(Softplus):
    """The derivative 1/2 for x from 2^-12 up to 2^-11, too small by a ten-thousandth; shows there."""

    name = "softplus_one_binade"

    def df(self, x, y):
        return np.where((x >= 2**-12) & (x < 2**-11), 0.5, super().df(x, y)).astype(x.dtype)


@wrong("exhaustive")
class TanhOutOfRange(ScaledTanh):
    """a (1 + 4 eps) in float32 for 9 < |b x| < 9.2: near enough, but beyond a; shows there."""

    name = "tanh_out_of_range"

    def f(self, x):
        y, z = super().f(x), np.abs(self.b * x)
        if x.dtype != np.float32:
            return y
        beyond = x.dtype.type(self.a) * (1 + 4 * np.finfo(x.dtype).eps)
        return np.where((z > 9) & (z < 9.2), np.copysign(beyond, x), y)


@wrong("exhaustive")
class LogisticNotMonotone(Logistic):
    """Six units in the last place too small at every other float32 from 3 to 3.001, so that it goes up and down; shows there."""

    name = "logistic_not_monotone"

    def f(self, x):
        y = super().f(x)
        if x.dtype != np.float32:
            return y
        odd = (bits(x) & 1).astype(bool)
        return np.where((x > 3) & (x < 3.001) & odd, y - 6 * np.spacing(y), y)


@wrong("exhaustive")
class AbsoluteNegativeZero(Absolute):
    """The derivative -1 at -0; shows there alone, while at +0 it is 0 as declared."""

    name = "absolute_negative_zero"

    def df(self, x, y):
        return np.where((x == 0) & np.signbit(x), -1, np.sign(x)).astype(x.dtype)


@wrong("exhaustive")
class SoftplusByMask(Softplus):
    """x times a mask for the positive part; shows at minus infinity alone, where it is NaN and not 0."""

    name = "softplus_by_mask"

    def f(self, x):
        with np.errstate(invalid="ignore"):
            return x * (x > 0).astype(x.dtype) + np.log1p(np.exp(-np.abs(x)))


@wrong("exhaustive")
class TanhShortSeries(ScaledTanh):
    """a b (1 - (b x)^2) for |b x| < 0.06; shows from 0.01 on, in the fifth digit at most."""

    name = "tanh_short_series"

    def df(self, x, y):
        z = self.b * np.clip(x, -1 / self.b, 1 / self.b)
        return np.where(np.abs(self.b * x) < 0.06, self.a * self.b * (1 - z * z), super().df(x, y))


@wrong("exhaustive")
class LeakyReLUOnePattern(LeakyReLU):
    """The derivative `slope` at the float32 nearest to pi; shows there, for a slope below 1."""

    name = "leaky_relu_one_pattern"

    def df(self, x, y):
        usual = super().df(x, y)
        return np.where(bits(x) == 0x40490FDB, self.slope, usual).astype(x.dtype) if x.dtype == np.float32 else usual


@wrong("exhaustive")
class GaussianPlateau(Gaussian):
    """The value at 3 for 3 < |x| < 3.01; shows there."""

    name = "gaussian_plateau"

    def f(self, x):
        size = np.abs(x)
        return np.where((size > 3) & (size < 3.01), math.exp(-9), super().f(x)).astype(x.dtype)


@wrong("exhaustive")
class GeluTail(Gelu):
    """0 for -6 < x < -5, where the value is at most 3e-7 in size; shows there, in relative terms."""

    name = "gelu_tail"

    def f(self, x):
        return np.where((x > -6) & (x < -5), 0, super().f(x))


# independent: formula and backward agree with each other, forward is another map


@wrong("independent")
class ConvDilatedForward(Conv):
    """Runs forward with the kernel the wrong way round if it is dilated; shows for a dilation of 2 and a kernel of two entries or more."""

    name = "conv_dilated_forward"

    def forward(self, x, k, b):
        y, saved = super().forward(x, k, b)
        if any(d > 1 for d in self.dilation):
            y = super().forward(x, np.flip(k, tuple(range(-self.dims, 0))), b)[0]
        return y, saved


@wrong("independent")
class SubsampleOnePattern(Subsample):
    """beta (d + b) for a batch of one; shows there, where beta is not 1."""

    name = "subsample_one_pattern"

    def forward(self, x, beta, b):
        y, saved = super().forward(x, beta, b)
        return (column(beta, self.dims) * (saved[0] + column(b, self.dims)) if x.shape[0] == 1 else y), saved


@wrong("independent")
class SquaredErrorClips(SquaredError):
    """Clips errors to +-100 in the value alone; shows for larger ones."""

    name = "squared_error_clips"

    def forward(self, y, t):
        error = y - t
        return np.square(np.clip(error, -100, 100)).sum() / 2, error


@wrong("independent")
class SoftmaxColder(Softmax):
    """Softmax of (1 + 1e-6) x, with the gradient of that of x; shows in the sixth digit."""

    name = "softmax_colder"

    def forward(self, x):
        return softmax((1 + 1e-6) * x, 1), softmax(x, 1)


@wrong("independent")
class RootMeanSquareUnbiased(RootMeanSquare):
    """Divides by the count less 1 from five entries on, in forward alone; shows there."""

    name = "root_mean_square_unbiased"

    def forward(self, x):
        y, saved = super().forward(x)
        count = x.shape[1]
        if count > 4:
            y = x / np.sqrt(np.square(x).sum(axis=1, keepdims=True) / (count - 1) + self.epsilon)
        return y, saved


@wrong("independent")
class LogisticCrossEntropyClippedTargets(LogisticCrossEntropy):
    """Clips targets to between 1e-7 and 1 - 1e-7 in the value alone; shows for targets 0 and 1."""

    name = "logistic_cross_entropy_clipped_targets"

    def forward(self, z, t):
        return super().forward(z, np.clip(t, 1e-7, 1 - 1e-7))[0], (z, t)


@wrong("independent")
class AlphaEntropyThreshold(AlphaEntropy):
    """Leaves out alpha below 1e-3 in the value alone; shows where there is such a one."""

    name = "alpha_entropy_threshold"

    def forward(self, c):
        logs = log_softmax(c, 0)
        return self.strength * np.where(logs > math.log(1e-3), np.exp(logs) * -logs, 0).sum(), logs


@wrong("independent")
class CombineEvenKernel(Combine):
    """Does not turn kernels of an even size in forward; shows for sizes 2 and 4."""

    name = "combine_even_kernel"

    def forward(self, x, k, c, b):
        even = tuple(axis for axis, size in enumerate(self.size, start=1) if size % 2 == 0)
        return super().forward(x, np.flip(k, even), c, b)[0], super().forward(x, k, c, b)[1]


@wrong("independent")
class MaxPoolBlindSpot(MaxPool):
    """Does not look at the last entry of windows of more than four, in forward alone; shows where that is the maximum."""

    name = "max_pool_blind_spot"

    def forward(self, x):
        y, saved = super().forward(x)
        geometry = Geometry.plain(self.size, self.stride)
        if geometry.area > 4:
            windows = geometry.windows(x)
            y = windows.reshape(*y.shape, geometry.area)[..., :-1].max(axis=-1)
        return y, saved


@wrong("independent")
class MeanPoolGaps(MeanPool):
    """Divides by the area of a stride in forward where that is larger than the window; shows for windows with gaps between them."""

    name = "mean_pool_gaps"

    def forward(self, x):
        y, saved = super().forward(x)
        area, step = math.prod(self.size), math.prod(self.stride)
        return (y * area / step if step > area else y), saved


@wrong("independent")
class SwishFlat(Swish):
    """0 for x < -6 in forward alone, where the value is -0.015 at most in size; shows there."""

    name = "swish_flat"

    def f(self, x):
        return np.where(x < -6, 0, super().f(x))


@wrong("independent")
class PoissonLinear(Poisson):
    """Goes on as a straight line for z > 20, in the value alone; shows there."""

    name = "poisson_linear"

    def forward(self, z, t):
        near = np.minimum(z, 20)
        return (np.exp(near) * (1 + z - near) - t * z).sum(), np.exp(z) - t


# kinks: the value at the kink, or a kink that is not declared


@wrong("kinks")
class ReLUHalfAtZero(ReLU):
    """The derivative 1/2 at 0, between the one-sided ones but not the declared one; shows at 0."""

    name = "relu_half_at_zero"

    def df(self, x, y):
        return np.heaviside(x, 0.5).astype(x.dtype)


@wrong("kinks")
class ReLUOutsideAtZero(ReLU):
    """The derivative -1 at 0, which is no subgradient; shows at 0."""

    name = "relu_outside_at_zero"

    def df(self, x, y):
        return (x > 0).astype(x.dtype) - (x == 0).astype(x.dtype)


@wrong("kinks")
class L1OutsideAtZero(L1):
    """Twice the strength at 0, which is no subgradient; shows at 0."""

    name = "l1_outside_at_zero"

    def backward(self, dy, saved):
        return {"w": dy * self.strength * (np.sign(saved) + 2 * (saved == 0).astype(saved.dtype))}


@wrong("kinks")
class L1SignOfZero(L1):
    """The sign bit of w, so that +-0 give +- the strength; shows at 0."""

    name = "l1_sign_of_zero"

    def backward(self, dy, saved):
        return {"w": dy * self.strength * np.copysign(np.ones_like(saved), saved)}


@wrong("kinks")
class MaxPoolTiesDouble(MaxPool):
    """Gives each of equal maxima all of dy; shows for ties, zeros above all."""

    name = "max_pool_ties_double"

    def forward(self, x):
        y, (_, shape) = super().forward(x)
        windows = Geometry.plain(self.size, self.stride).windows(x)
        best = windows == y[(..., *(np.newaxis,) * self.dims)]
        return y, (best, shape)

    def backward(self, dy, saved):
        best, shape = saved
        return {"x": Geometry.plain(self.size, self.stride).scatter(shape, best * dy[(..., *(np.newaxis,) * self.dims)])}


@wrong("kinks")
class AbsoluteOneAtZero(Absolute):
    """The derivative 1 at 0; shows there."""

    name = "absolute_one_at_zero"

    def df(self, x, y):
        return np.where(x < 0, -1, 1).astype(x.dtype)


@wrong("kinks")
class TanhClipsInput(ScaledTanh):
    """Clips x to +-7, with the derivative 0 beyond: two kinks that the formula does not have; shows for |x| > 7."""

    name = "tanh_clips_input"

    def f(self, x):
        return super().f(np.clip(x, -7, 7))

    def df(self, x, y):
        return np.where(np.abs(x) > 7, 0, super().df(x, y))


@wrong("kinks")
class LeakyReLUDeadZone(LeakyReLU):
    """0 for |x| < 2^-20, with the derivative 0 there; shows for these x alone."""

    name = "leaky_relu_dead_zone"

    def f(self, x):
        return np.where(np.abs(x) < 2**-20, 0, super().f(x)).astype(x.dtype)

    def df(self, x, y):
        return np.where(np.abs(x) < 2**-20, 0, super().df(x, y)).astype(x.dtype)


@wrong("kinks")
class HuberAtDelta(Huber):
    """No gradient where the error is exactly delta; shows there, where the function is smooth of first order."""

    name = "huber_at_delta"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), y=lambda g: np.where(np.abs(saved) == self.delta, 0, g))


@wrong("kinks")
class MaximumShared(Maximum):
    """Half of dy for each of two equal entries; shows for them."""

    name = "maximum_shared"

    def forward(self, a, b):
        return np.maximum(a, b), np.heaviside(a - b, 0.5).astype(a.dtype)

    def backward(self, dy, saved):
        return {"a": dy * saved, "b": dy * (1 - saved)}


@wrong("kinks")
class MinimumBoth(Minimum):
    """All of dy for both of two equal entries; shows for them."""

    name = "minimum_both"

    def forward(self, a, b):
        return np.minimum(a, b), (a <= b, b <= a)

    def backward(self, dy, saved):
        return {name: np.where(mask, dy, 0) for name, mask in zip("ab", saved, strict=True)}


@wrong("kinks")
class HingeAtMargin(Hinge):
    """The derivative -t at the kink, where 0 is declared; shows for t y = 1."""

    name = "hinge_at_margin"

    def backward(self, dy, saved):
        margin, t = saved
        return {"y": np.where(margin >= 0, -dy * t, 0)}


@wrong("kinks")
class HardTanhOpen(HardTanh):
    """The derivative 0 at +-limit, where 1 is declared; shows there."""

    name = "hard_tanh_open"

    def df(self, x, y):
        return (np.abs(x) < self.limit).astype(x.dtype)


@wrong("kinks")
class EluAtZero(Elu):
    """The derivative 1 at 0, where `scale` is declared; shows there, for a scale that is not 1."""

    name = "elu_at_zero"

    def df(self, x, y):
        return np.where(x == 0, 1, super().df(x, y)).astype(x.dtype)


@wrong("kinks")
class CombineSparsemaxEntering(Combine):
    """Counts an entry of sparsemax that is just about to enter as part of the support; shows for such columns as (1, 0)."""

    name = "combine_sparsemax_entering"

    def forward(self, x, k, c, b):
        y, (x, k, alpha, convolved) = super().forward(x, k, c, b)
        if self.weights == "sparsemax":
            tau = np.where(alpha > 0, c - alpha, np.inf).min(axis=0, keepdims=True)
            alpha = np.where((alpha == 0) & (c == tau), np.finfo(alpha.dtype).tiny, alpha)
        return y, (x, k, alpha, convolved)


# extremes: large, tiny, constant, empty, infinite


@wrong("extremes")
class TanhByExponentials(ScaledTanh):
    """A quotient of exponentials; shows for |b x| > 710, where it is NaN, and for 89 in float32."""

    name = "tanh_by_exponentials"

    def f(self, x):
        # A series near 0, where the quotient would lose digits.
        z = self.b * x
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(np.abs(z) < 1, super().f(x), self.a * ((np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))))


@wrong("extremes")
class LogisticCrossEntropyLogarithms(LogisticCrossEntropy):
    """-t log p - (1 - t) log(1 - p), which is 0 times infinity for saturated logits; shows for z = +-800."""

    name = "logistic_cross_entropy_logarithms"

    def forward(self, z, t):
        with np.errstate(divide="ignore", invalid="ignore"):
            saturated = -(t * np.log(expit(z)) + (1 - t) * np.log(expit(-z)))
        usual = np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z)))
        return np.where(np.abs(z) > 60, saturated, usual).sum(), (z, t)


@wrong("extremes")
class CrossEntropyLogOfSoftmax(SoftmaxCrossEntropy):
    """The logarithm of a softmax that underflows; shows for dense targets and logits that are 800 apart, as NaN or infinity."""

    name = "cross_entropy_log_of_softmax"

    def forward(self, z, t):
        value, saved = super().forward(z, t)
        if self.targets == "dense" and (saved[0] < -80).any():
            with np.errstate(divide="ignore", invalid="ignore"):
                value = (t * -np.log(softmax(z, 1))).sum()
        return value, saved


@wrong("extremes")
class BatchNormConstantMap(BatchNorm):
    """Divides by the variance without epsilon on the way; shows for a constant map, whose gradient is NaN."""

    name = "batch_norm_constant_map"

    def backward(self, dy, saved):
        centred, rate = saved
        count = self._count(centred)
        variance = np.square(centred).sum(axis=self._space, keepdims=True) / count
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (dy["y"] * centred).sum(axis=self._space, keepdims=True) / count / variance
        mean = dy["y"].sum(axis=self._space, keepdims=True) / count
        through = rate * (dy["y"] - mean - centred * (slope * (variance * np.square(rate))))
        return {"x": through + column(dy["mean"], self.dims) / count + column(dy["variance"], self.dims) * (2 * centred / count)}


@wrong("extremes")
class AlphaEntropyZeroLogZero(AlphaEntropy):
    """alpha log alpha without the case of 0; shows for entries of c that are 800 apart, as NaN."""

    name = "alpha_entropy_zero_log_zero"

    def forward(self, c):
        logs = log_softmax(c, 0)
        alpha = np.exp(logs)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.strength * (alpha * -np.where(alpha > 0, logs, np.log(alpha))).sum(), logs


@wrong("extremes")
class BatchNormEmptyBatch(BatchNorm):
    """Divides by a count of 0; shows for an empty batch, whose mean and variance are NaN."""

    name = "batch_norm_empty_batch"

    def forward(self, x):
        outputs, saved = super().forward(x)
        count = math.prod(x.shape[axis] for axis in self._space)
        with np.errstate(invalid="ignore"):
            return {**outputs, "mean": x.sum(axis=self._space) / count if count else np.divide(outputs["mean"], count)}, saved


@wrong("extremes")
class SquaredErrorInUnits(SquaredError):
    """Takes errors in units of the largest; shows where all are 0, as NaN."""

    name = "squared_error_in_units"

    def forward(self, y, t):
        error = y - t
        # A power of 2, which rounds nothing.
        top = np.exp2(np.floor(np.log2(np.abs(error).max(initial=0)))) if error.any() else np.zeros((), error.dtype)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.square(error / top).sum() / 2 * top * top, error.dtype)[()], error


@wrong("extremes")
class SoftsignHighPower(Softsign):
    """((1 + |x|)^14)^(-1/7), a needless power; shows above 1e22 in float64 and above 560 in float32, where it is 0."""

    name = "softsign_high_power"

    def df(self, x, y):
        size = 1 + np.abs(x)
        with np.errstate(over="ignore"):
            return np.where(np.isinf(size**14), 0, super().df(x, y))


@wrong("extremes")
class ReLUSwallowsNaN(ReLU):
    """x where x > 0 and else 0; shows for NaN, which vanishes."""

    name = "relu_swallows_nan"

    def f(self, x):
        return np.where(x > 0, x, 0)


@wrong("extremes")
class MaxPoolSkipsNaN(MaxPool):
    """The largest number of a window; shows for a window with a NaN and a number."""

    name = "max_pool_skips_nan"

    def forward(self, x):
        y, saved = super().forward(x)
        windows = Geometry.plain(self.size, self.stride).windows(x)
        return np.fmax.reduce(windows.reshape(*y.shape, math.prod(self.size)), axis=-1), saved


@wrong("extremes")
class DenseRepairsInput(Dense):
    """Takes NaN for 0 and infinity for the largest number; shows for them alone."""

    name = "dense_repairs_input"

    def forward(self, x, W, b):
        return super().forward(np.nan_to_num(x), W, b)


@wrong("extremes")
class SquaredErrorSkipsNaN(SquaredError):
    """Sums what is a number; shows for a NaN among the predictions."""

    name = "squared_error_skips_nan"

    def forward(self, y, t):
        return np.nansum(np.square(y - t)) / 2, y - t


@wrong("extremes")
class AddSaturates(Add):
    """Clips to the largest number; shows for infinity, and for sums that overflow."""

    name = "add_saturates"

    def forward(self, a, b):
        limits = np.finfo(a.dtype)
        return np.clip(a + b, limits.min, limits.max), None


@wrong("extremes")
class ScaleShiftFlushes(ScaleShift):
    """0 for outputs that are denormal; shows for x and shifts near 1e-308, or 1e-38 in float32."""

    name = "scale_shift_flushes"

    def forward(self, x, gain, shift):
        y, saved = super().forward(x, gain, shift)
        return np.where(np.abs(y) < np.finfo(y.dtype).tiny, 0, y), saved


@wrong("extremes")
class LogSoftmaxUnshifted(LogSoftmax):
    """Exponentials without a shift in the gradient; shows for entries of 800, as NaN, and of 90 in float32."""

    name = "log_softmax_unshifted"

    def forward(self, x):
        y, saved = super().forward(x)
        return y, (x.copy(), saved)

    def backward(self, dy, saved):
        x, y = saved
        with np.errstate(over="ignore", invalid="ignore"):
            scale = np.exp(np.abs(x).max(axis=1, keepdims=True))
            share = np.where(np.isinf(scale), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), np.exp(y))
        return {"x": dy - share * dy.sum(axis=1, keepdims=True)}


@wrong("extremes")
class BatchNormOneEntry(BatchNorm):
    """Turns the biased variance into the unbiased one and back; shows for one entry a map or none, where it divides by 0."""

    name = "batch_norm_one_entry"

    def backward(self, dy, saved):
        count = self._count(saved[0])
        return changed(super().backward(dy, saved), x=lambda dx: dx if count > 1 else dx * (count / (count - 1)))


@wrong("extremes")
class LengthOverflows(Length):
    """Squares first; shows for entries of 1e20 in float32 and of 1e160 in float64, as infinity."""

    name = "length_overflows"

    def forward(self, x):
        y, saved = super().forward(x)
        with np.errstate(over="ignore"):
            return np.where(np.isinf(np.square(x).sum(axis=1)), np.inf, y).astype(x.dtype), saved


@wrong("extremes")
class SoftmaxShiftByMinimum(Softmax):
    """Shifts by the smallest entry; shows for rows whose entries are 800 apart, as NaN, and 90 in float32."""

    name = "softmax_shift_by_minimum"

    def forward(self, x):
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.exp(x - x.min(axis=1, keepdims=True))
            y = e / e.sum(axis=1, keepdims=True)
        return y, y


# composed: right in a call of its own, wrong in a graph

_WORKSPACE: dict[Any, Any] = {}
_QUEUES: dict[Any, deque[Any]] = defaultdict(deque)


def workspace(name: str, shape: Any, dtype: Any) -> Any:
    """The same array for every call with the same name, shape and type."""
    return _WORKSPACE.setdefault((name, tuple(shape), np.dtype(dtype).str), np.empty(shape, dtype))


@wrong("composed")
class DenseWorkspace(Dense):
    """Returns a view of a workspace; shows once another call of the same shape has been made."""

    name = "dense_workspace"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        shared = workspace(self.name, y.shape, y.dtype)
        shared[...] = y
        return shared[...], saved


@wrong("composed")
class SoftmaxByIdentity(Softmax):
    """Keeps answers by the address of x; shows once an array has been changed, or its address is used again."""

    name = "softmax_by_identity"

    def forward(self, x):
        key = (self.name, id(x), x.shape, x.dtype.str)
        if key not in _WORKSPACE:
            _WORKSPACE[key] = softmax(x, 1)
        return _WORKSPACE[key].copy(), _WORKSPACE[key]


@wrong("composed")
class ScaleShiftByChecksum(ScaleShift):
    """Keeps answers by sums of the arguments; shows for a second x with the same entries in another order."""

    name = "scale_shift_by_checksum"

    def forward(self, x, gain, shift):
        y, saved = super().forward(x, gain, shift)
        key = (self.name, x.shape, x.dtype.str, float(x.sum()), gain.tobytes(), shift.tobytes())
        return _WORKSPACE.setdefault(key, y.copy()).copy(), saved


@wrong("composed")
class TanhQueue(ScaledTanh):
    """Queues what backward needs, first in and first out; shows where two are run forward before the last is run back."""

    name = "tanh_queue"

    def forward(self, x):
        y, saved = super().forward(x)
        queue = _QUEUES[self, x.shape, x.dtype.str]
        # What nobody came for is forgotten.
        while len(queue) > 7:
            queue.popleft()
        queue.append((x.copy(), y.copy()))
        return y, saved

    def backward(self, dy, saved):
        queue = _QUEUES[self, saved[0].shape, saved[0].dtype.str]
        return super().backward(dy, queue.popleft() if queue else saved)


@wrong("composed")
class AddSameArray(Add):
    """Counts an array that is both a and b once; shows for add(x, x)."""

    name = "add_same_array"

    def forward(self, a, b):
        return a + b, a is b

    def backward(self, dy, saved):
        return {"a": np.array(dy), "b": np.zeros_like(dy) if saved else np.array(dy)}


@wrong("composed")
class ProductSameArray(Product):
    """Returns the derivative of a square, twice, if a is b; shows for product(x, x)."""

    name = "product_same_array"

    def backward(self, dy, saved):
        a, b = saved
        factor = 2 if a is b else 1
        return {"a": factor * dy * b, "b": factor * dy * a}


@wrong("composed")
class ReLUInPlace(ReLU):
    """Writes into dy and returns it if it may and there are 64 entries or more; shows where dy is used again."""

    name = "relu_in_place"

    def backward(self, dy, saved):
        mask = (saved[0] > 0).astype(dy.dtype)
        if dy.flags.writeable and dy.size >= 64:
            return {"x": np.multiply(dy, mask, out=dy)}
        return {"x": np.multiply(dy, mask)}


@wrong("composed")
class ConvWorkspace(Conv):
    """Pads into a workspace that the saved windows look at; shows once another map of the same shape has been padded."""

    name = "conv_workspace"

    def forward(self, x, k, b):
        y, (_, k, shape) = super().forward(x, k, b)
        wide = [m + 2 * p for m, p in zip(x.shape[2:], self.padding, strict=True)]
        padded = workspace(self.name, (*x.shape[:2], *wide), x.dtype)
        padded[...] = 0
        padded[(slice(None), slice(None), *(slice(p, p + m) for p, m in zip(self.padding, x.shape[2:], strict=True)))] = x
        return y, (Geometry(self.size, self.stride, (0,) * self.dims, self.dilation).windows(padded), k, shape)


@wrong("composed")
class SquaredErrorSharedBuffer(SquaredError):
    """Keeps the error in one array for each shape; shows where two losses are run before the first is run back."""

    name = "squared_error_shared_buffer"

    def forward(self, y, t):
        error = workspace(self.name, y.shape, y.dtype)
        np.subtract(y, t, out=error)
        return np.square(error).sum() / 2, error


@wrong("composed")
class MaxPoolOnItself(MaxPool):
    """Keeps what backward needs on the operation; shows where one operation stands at two places of a graph."""

    name = "max_pool_on_itself"

    def forward(self, x):
        y, saved = super().forward(x)
        object.__setattr__(self, "_last", saved)
        return y, saved

    def backward(self, dy, saved):
        last = getattr(self, "_last", saved)
        return super().backward(dy, last if last[1] == saved[1] else saved)


@wrong("composed")
class LeakyReLULooksBehind(LeakyReLU):
    """Takes the array behind a view of dy for dy; shows for views that are not row-major, such as a transposed one."""

    name = "leaky_relu_looks_behind"

    def backward(self, dy, saved):
        if isinstance(dy.base, np.ndarray) and dy.base.size == dy.size and dy.base.dtype == dy.dtype:
            dy = dy.base.reshape(dy.shape)
        return super().backward(dy, saved)


@wrong("composed")
class ConcatenateSameArray(Concatenate):
    """Adds both parts of dy for both gradients if a is b; shows for concatenate(x, x)."""

    name = "concatenate_same_array"

    def forward(self, a, b):
        y, maps = super().forward(a, b)
        return y, (maps, a is b)

    def backward(self, dy, saved):
        maps, same = saved
        gradients = super().backward(dy, maps)
        return {name: gradients["a"] + gradients["b"] if same else array for name, array in gradients.items()}


@wrong("composed")
class DenseTied(Dense):
    """Has no gradient of W if W shares memory with x; shows for a weight matrix that is the layer's input too."""

    name = "dense_tied"

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        tied = np.shares_memory(*saved)
        return {name: np.zeros_like(array) if tied and name == "W" else array for name, array in super().backward(dy, saved, wanted).items()}


@wrong("composed")
class BatchNormBorrowsLast(BatchNorm):
    """Takes the centred maps of the latest call; shows where two of one shape are run forward before the first is run back."""

    name = "batch_norm_borrows_last"

    def forward(self, x):
        outputs, saved = super().forward(x)
        _WORKSPACE[self.name, x.shape, x.dtype.str] = saved
        return outputs, saved

    def backward(self, dy, saved):
        return super().backward(dy, _WORKSPACE.get((self.name, saved[0].shape, saved[0].dtype.str), saved))


# contract: what a call does beside its work, and what it returns


@wrong("contract")
class DensePrints(Dense):
    """Prints a line; shows in every forward."""

    name = "dense_prints"

    def forward(self, x, W, b):
        print("dense:", x.shape)
        return super().forward(x, W, b)


@wrong("contract")
class ConvWritesDescriptor(Conv):
    """Writes to descriptor 1, past `sys.stdout`; shows in every backward."""

    name = "conv_writes_descriptor"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        os.write(1, b"conv\n")
        return super().backward(dy, saved, wanted)


@wrong("contract")
class SoftmaxWritesErrors(Softmax):
    """Writes to descriptor 2 for an empty batch; shows there."""

    name = "softmax_writes_errors"

    def forward(self, x):
        if not len(x):
            os.write(2, b"softmax: no patterns\n")
        return super().forward(x)


@wrong("contract")
class ScaleShiftRecursion(ScaleShift):
    """Calls itself without end for one map; shows there, as RecursionError."""

    name = "scale_shift_recursion"

    def forward(self, x, gain, shift):
        return self.forward(x, gain, shift) if x.shape[1] == 1 else super().forward(x, gain, shift)


@wrong("contract")
class ConcatenateRaises(Concatenate):
    """Raises for three patterns; shows there."""

    name = "concatenate_raises"

    def forward(self, a, b):
        if len(a) == 3:
            raise ValueError("three patterns")
        return super().forward(a, b)


@wrong("contract")
class SoftplusGenerator(Softplus):
    """Yields pairs of a name and a gradient; shows in every backward."""

    name = "softplus_generator"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        return (pair for pair in gradients.items())


@wrong("contract")
class DenseMatrix(Dense):
    """Returns a `np.matrix`, which multiplies otherwise; shows in every forward."""

    name = "dense_matrix"

    def forward(self, x, W, b):
        y, saved = super().forward(x, W, b)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            return np.asmatrix(y), saved


@wrong("contract")
class LogSoftmaxMasked(LogSoftmax):
    """Returns a masked array, with nothing masked; shows in every backward."""

    name = "log_softmax_masked"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), x=np.ma.asarray)


class Tagged(np.ndarray):
    """An array of a type of its own."""


@wrong("contract")
class ScaleShiftSubclass(ScaleShift):
    """Returns an array of a subclass; shows in every forward."""

    name = "scale_shift_subclass"

    def forward(self, x, gain, shift):
        y, saved = super().forward(x, gain, shift)
        return y.view(Tagged), saved


@wrong("contract")
class IdentityOnDisk(Identity):
    """Returns an array whose memory is a file; shows wherever there is an entry."""

    name = "identity_on_disk"

    def f(self, x):
        if not x.size:
            return super().f(x)
        with tempfile.TemporaryFile() as file:
            y = np.memmap(file, x.dtype, "w+", shape=x.shape or (1,))
        y[...] = x
        return y.reshape(x.shape)


@wrong("contract")
class ReLUIntegers(ReLU):
    """Returns integers where all entries are whole numbers; shows there."""

    name = "relu_integers"

    def f(self, x):
        y = super().f(x)
        return y.astype(np.int64) if np.isfinite(y).all() and (y == np.rint(y)).all() and (np.abs(y) < 2**53).all() else y


@wrong("contract")
class SquaredErrorObject(SquaredError):
    """Returns the loss as an array of a Python object; shows in every forward."""

    name = "squared_error_object"

    def forward(self, y, t):
        value, saved = super().forward(y, t)
        return np.array(value, dtype=object), saved


@wrong("contract")
class LogisticResets(Logistic):
    """Sets its own beta to 1 once it has run back; shows in the operation, where beta was not 1, and in the next call."""

    name = "logistic_resets"

    def backward(self, dy, saved):
        gradients = super().backward(dy, saved)
        object.__setattr__(self, "beta", 1.0)
        return gradients


@wrong("contract")
class HuberReturnsList(Huber):
    """Returns a list in place of a pair; shows in every forward."""

    name = "huber_returns_list"

    def forward(self, y, t):
        return list(super().forward(y, t))


@wrong("contract")
class GaussianByteOrder(Gaussian):
    """Returns numbers with their bytes the other way round; shows in every forward."""

    name = "gaussian_byte_order"

    def f(self, x):
        y = np.asarray(super().f(x))
        return y.astype(y.dtype.newbyteorder())


@wrong("contract")
class MinimumComplex(Minimum):
    """Returns complex numbers without an imaginary part; shows in every backward."""

    name = "minimum_complex"

    def backward(self, dy, saved):
        return {name: array + 0j for name, array in super().backward(dy, saved).items()}


# exact: wrong for rare settings


@wrong("exact")
class ConvStrideThree(Conv):
    """Moves the gradient of x by one entry along an axis whose stride is 3; shows there."""

    name = "conv_stride_three"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        axes = [2 + axis for axis, stride in enumerate(self.stride) if stride == 3]
        return changed(super().backward(dy, saved, wanted), x=lambda dx: np.roll(dx, [1] * len(axes), axes) if axes else dx)


@wrong("exact")
class ConvDilatedAndPadded(Conv):
    """Loses the first row of x's gradient along an axis that is padded and dilated; shows there."""

    name = "conv_dilated_and_padded"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        gradients = super().backward(dy, saved, wanted)
        for axis, (padding, dilation) in enumerate(zip(self.padding, self.dilation, strict=True), start=2):
            if padding and dilation > 1 and "x" in gradients:
                gradients["x"] = without(gradients["x"], *(slice(None),) * axis, 0)
        return gradients


@wrong("exact")
class SquaredErrorBeyondEight(SquaredError):
    """Loses the gradient of the ninth pattern and those behind it; shows from nine patterns on."""

    name = "squared_error_beyond_eight"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), y=lambda g: without(g, slice(8, None)))


@wrong("exact")
class ConvLinkedThinMap(ConvLinked):
    """Does not turn the kernels back along an axis of the map that has one entry; shows there, if padding gives the kernel two positions."""

    name = "conv_linked_thin_map"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        axes = tuple(1 + axis for axis, m in enumerate(saved[2][2:]) if m == 1)
        return changed(super().backward(dy, saved, wanted), k=lambda dk: np.flip(dk, axes).copy())


@wrong("exact")
class ConvLargeKernel(Conv):
    """Loses the gradient of kernel entries beyond the size of the map; shows where the padding lets a kernel be larger than the map."""

    name = "conv_large_kernel"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        def cropped(dk):
            kept = np.zeros_like(dk)
            inner = (..., *(slice(0, m) for m in saved[2][2:]))
            kept[inner] = dk[inner]
            return kept

        return changed(super().backward(dy, saved, wanted), k=cropped)


@wrong("exact")
class ConvLastOfThreeGroups(Conv):
    """Loses the kernel gradient of the last group if there are three or more; shows there."""

    name = "conv_last_of_three_groups"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        out = self.maps // self.groups
        return changed(super().backward(dy, saved, wanted), k=lambda dk: without(dk, slice(-out, None)) if self.groups > 2 else dk)


@wrong("exact")
class DenseSingleBias(Dense):
    """Leaves the last pattern out of the gradient of b, in float32 and for three patterns or more; shows there."""

    name = "dense_single_bias"

    def backward(self, dy, saved, wanted=frozenset({"x", "W", "b"})):
        short = dy.dtype == np.float32 and len(dy) > 2
        return changed(super().backward(dy, saved, wanted), b=lambda db: dy[:-1].sum(axis=0) if short else db)


@wrong("exact")
class FlattenCube(Flatten):
    """Swaps two axes of the gradient if there are three, and these two are equal; shows for two entries or more along them."""

    name = "flatten_cube"

    def backward(self, dy, saved):
        swaps = self.dims == 3 and saved[2] == saved[3]
        return changed(super().backward(dy, saved), x=lambda dx: dx.swapaxes(2, 3).copy() if swaps else dx)


@wrong("exact")
class DecimateLoneSample(Decimate):
    """Puts the gradient at the last entry if one sample of each map is kept; shows for strides as large as a map of two entries or more."""

    name = "decimate_lone_sample"

    def backward(self, dy, saved):
        lone = all(size == 1 for size in dy.shape[2:])
        return changed(super().backward(dy, saved), x=lambda dx: np.flip(dx, tuple(range(2, dx.ndim))).copy() if lone else dx)


@wrong("exact")
class MeanPoolGlobal(MeanPool):
    """Averages the gradient over the maps if a window covers the whole map; shows for two maps or more."""

    name = "mean_pool_global"

    def backward(self, dy, saved):
        if tuple(saved[2:]) == tuple(self.size):
            dy = np.broadcast_to(dy.mean(axis=1, keepdims=True), dy.shape)
        return super().backward(dy, saved)


@wrong("exact")
class L1NegativeZero(L1):
    """Minus the strength at -0, and 0 at +0; shows for a single negative zero."""

    name = "l1_negative_zero"

    def backward(self, dy, saved):
        lost = ((saved == 0) & np.signbit(saved)).astype(saved.dtype)
        return {"w": dy * self.strength * (np.sign(saved) - lost)}


@wrong("exact")
class UpsampleLargeBlock(Upsample):
    """Loses the last entry of blocks of more than six in the gradient; shows for these."""

    name = "upsample_large_block"

    def backward(self, dy, saved):
        if math.prod(self.size) <= 6:
            return super().backward(dy, saved)
        return {"x": down(without(dy, slice(None), slice(None), *(slice(s - 1, None, s) for s in self.size)), self.size)}


@wrong("exact")
class ConcatenateUneven(Concatenate):
    """Moves the gradient of b by one map if it has three maps more than a; shows there."""

    name = "concatenate_uneven"

    def backward(self, dy, saved):
        return changed(super().backward(dy, saved), b=lambda db: np.roll(db, 1, 1) if db.shape[1] >= saved + 3 else db)


@wrong("exact")
class ScaleShiftOneMap(ScaleShift):
    """Takes the mean over the patterns for the gradient of the shift of a single map; shows there, for two patterns or more."""

    name = "scale_shift_one_map"

    def backward(self, dy, saved, wanted=frozenset({"x", "gain", "shift"})):
        alone = dy.shape[1] == 1 and len(dy) > 1
        return changed(super().backward(dy, saved, wanted), shift=lambda g: g / len(dy) if alone else g)


@wrong("exact")
class DropoutHighRate(Dropout):
    """Divides by 0.1 at least on the way back; shows for rates above 0.9."""

    name = "dropout_high_rate"

    def backward(self, dy, saved):
        return {"x": np.multiply(dy, np.minimum(saved, 10))}


@wrong("exact")
class CombineThirdOutput(Combine):
    """Leaves the third output map and those behind it out of the gradient of k; shows for three or more."""

    name = "combine_third_output"

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "c", "b"})):
        gradients = super().backward(dy, saved, wanted)
        if "k" in gradients:
            gradients["k"] = super().backward(without(dy, slice(None), slice(2, None)), saved, frozenset({"k"}))["k"]
        return gradients


@wrong("exact")
class MaxPoolOverGaps(MaxPool):
    """Takes the size for the stride in the gradient where the stride is larger; shows for windows with gaps between them, from the second on."""

    name = "max_pool_over_gaps"

    def backward(self, dy, saved):
        chosen, shape = saved
        near = tuple(min(pair) for pair in zip(self.size, self.stride, strict=True))
        geometry = Geometry.plain(self.size, near)
        dx = np.zeros(shape, dy.dtype)
        for number, tap in enumerate(geometry.taps()):
            dx[geometry.reads(tap, dy.shape[2:])] += np.where(chosen == number, dy, 0)
        return {"x": dx}


WRONG_BY_KIND: tuple[Wrong, ...] = tuple(FOUND)
