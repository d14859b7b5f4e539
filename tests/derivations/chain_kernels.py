"""NumPy kernels for chains of operations: one that is right, and copies with one mistake each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

import cnnframe as cf
from cnnframe import ROWS_FIRST, Buffer, Kernel

OPS = cf.load()
CONV, RELU, TANH, MEAN, MAX, DENSE, SHIFT = (OPS[name] for name in ("conv", "relu", "scaled_tanh", "mean_pool", "max_pool", "dense", "scale_shift"))


class Chained(Kernel):
    """A convolution of maps, a function of its own, and pooling in windows that neither overlap nor leave gaps.

    Its parts are methods, so that a copy can have a mistake in one.
    """

    name = "chained"
    functions = (RELU, TANH)
    pools = (MEAN, MAX)

    @classmethod
    def matches(cls, ops):
        rest = [type(op) for op in ops]
        if rest[:1] != [CONV] or len(rest) < 2 or rest[1] not in cls.functions:
            return 0
        return 3 if rest[2:3] and rest[2] in cls.pools else 2

    @classmethod
    def declines(cls, chain):
        conv = chain.ops[0]
        if conv.dims != 2 or conv.groups != 1 or set(conv.dilation) != {1} or conv.orientation != "correlation":
            return "correlations of maps without groups and dilation alone"
        if len(chain.ops) > 2 and chain.ops[2].stride != chain.ops[2].size:
            return "windows that neither overlap nor leave gaps alone"
        return ""

    def buffers(self):
        n, _, h, w = self.chain.given[0]["x"]
        (ph, pw), maps = self.chain.ops[0].padding, self.chain.given[0]["k"][0]
        rows, columns = self.chain.given[1]["x"][2:]
        inner, dtype = (n, maps, rows, columns), self.chain.dtype
        return {
            "padded": Buffer((n, self.chain.given[0]["x"][1], h + 2 * ph, w + 2 * pw), dtype, kept=True),
            "u": Buffer(inner, dtype, kept=True),
            "v": Buffer(inner, dtype, kept=True),
            "dv": Buffer(inner, dtype),
        }

    def bind(self, arrays):
        self.a = arrays
        return self.forward, self.backward if self.chain.learns else None

    def plain(self, array, shape):
        """A view with the batch first."""
        return ROWS_FIRST.view(array) if self.taken == ROWS_FIRST else array.reshape(shape)

    @property
    def x(self):
        return self.plain(self.a.given[0]["x"], self.chain.given[0]["x"])

    def taps(self):
        conv = self.chain.ops[0]
        (kh, kw), (sh, sw) = conv.size, conv.stride
        rows, columns = self.chain.given[1]["x"][2:]
        for p, q in itertools.product(range(kh), range(kw)):
            yield p, q, (slice(None), slice(None), slice(p, p + sh * rows, sh), slice(q, q + sw * columns, sw))

    def windows(self):
        """Each place in a window, and the entries that are there."""
        op, (rows, columns) = self.chain.ops[2], self.chain.outputs["y"][2:]
        (h, w) = op.size
        for p, q in itertools.product(range(h), range(w)):
            yield p, q, (slice(None), slice(None), slice(p, h * rows, h), slice(q, w * columns, w))

    def pad(self):
        padded, (ph, pw) = self.a.buffers["padded"], self.chain.ops[0].padding
        padded[...] = 0
        padded[:, :, ph : padded.shape[2] - ph, pw : padded.shape[3] - pw] = self.x

    def correlate(self):
        padded, u = self.a.buffers["padded"], self.a.buffers["u"]
        u[...] = self.a.given[0]["b"][:, None, None]
        for p, q, at in self.taps():
            u[...] += np.einsum("nihw,ji->njhw", padded[at], self.a.given[0]["k"][:, :, p, q])

    def value(self, u):
        op = self.chain.ops[1]
        return np.maximum(u, 0) if type(op) is RELU else (op.a * np.tanh(op.b * u)).astype(u.dtype)

    def slope(self, u, v):
        op = self.chain.ops[1]
        return (u > 0).astype(u.dtype) if type(op) is RELU else (op.b / op.a * (op.a - v) * (op.a + v)).astype(u.dtype)

    def forward(self):
        self.pad()
        self.correlate()
        u, v = self.a.buffers["u"], self.a.buffers["v"]
        v[...] = self.value(u)
        self.end(u, v, self.plain(self.a.outputs["y"], self.chain.outputs["y"]))

    def end(self, u, v, y):
        self.pool(v, y)

    def pool(self, v, y):
        if len(self.chain.ops) == 2:
            y[...] = v
        elif type(self.chain.ops[2]) is MEAN:
            y[...] = 0
            for _, _, at in self.windows():
                y[...] += v[at]
            y[...] /= np.asarray(np.prod(self.chain.ops[2].size), y.dtype)
        else:
            y[...] = -np.inf
            for _, _, at in self.windows():
                y[...] = np.where(np.isnan(v[at]) | (v[at] > y), v[at], y)

    def unpool(self, dy, v, dv):
        if len(self.chain.ops) == 2:
            dv[...] = dy
            return
        dv[...] = 0
        if type(self.chain.ops[2]) is MEAN:
            for _, _, at in self.windows():
                dv[at] = dy / np.asarray(np.prod(self.chain.ops[2].size), dy.dtype)
            return
        most, taken = np.full(dy.shape, -np.inf, dy.dtype), np.full(dy.shape, -1)
        for number, (_, _, at) in enumerate(self.windows()):
            better = v[at] > most
            most, taken = np.where(better, v[at], most), np.where(better, number, taken)
        for number, (_, _, at) in enumerate(self.windows()):
            dv[at] = np.where(taken == number, dy, 0)

    def backward(self):
        b = self.a.buffers
        dy = self.plain(self.a.cotangents["y"], self.chain.outputs["y"])
        self.unpool(dy, b["v"], b["dv"])
        b["dv"][...] *= self.slope(b["u"], b["v"])
        self.parameters(b["dv"], self.a.gradients[0])
        if "x" in self.chain.wanted[0]:
            self.input(b["dv"], self.plain(self.a.gradients[0]["x"], self.chain.given[0]["x"]))

    def parameters(self, du, into):
        into["b"][...] = du.sum(axis=(0, 2, 3))
        for p, q, at in self.taps():
            into["k"][:, :, p, q] = np.einsum("nihw,njhw->ji", self.a.buffers["padded"][at], du)

    def input(self, du, dx):
        back, (ph, pw) = np.zeros_like(self.a.buffers["padded"]), self.chain.ops[0].padding
        for p, q, at in self.taps():
            back[at] += np.einsum("njhw,ji->nihw", du, self.a.given[0]["k"][:, :, p, q])
        dx[...] = back[:, :, ph : back.shape[2] - ph, pw : back.shape[3] - pw]


class RowsAhead(Chained):
    """Right, with the rows before all other axes."""

    name = "rows_ahead"

    @classmethod
    def layouts(cls, chain, given):
        return ROWS_FIRST, ROWS_FIRST


class AsItLies(Chained):
    """Right, in whatever layout the array lies."""

    name = "as_it_lies"

    @classmethod
    def layouts(cls, chain, given):
        return given, given


class FromTheInput(Chained):
    """Right, with the derivative from the argument."""

    name = "from_the_input"

    def slope(self, u, v):
        op = self.chain.ops[1]
        if type(op) is RELU:
            return (v > 0).astype(u.dtype)
        return (op.a * op.b / np.cosh(np.minimum(np.abs(op.b * u), 60)) ** 2).astype(u.dtype)


class ByProducts(Chained):
    """Right, by a matrix product for each sample, summed up in another order, and with a rational tanh in float32."""

    name = "by_products"

    def correlate(self):
        padded, u, k = self.a.buffers["padded"], self.a.buffers["u"], self.a.given[0]["k"]
        u[...] = 0
        for p, q, at in reversed(list(self.taps())):
            for n in range(len(u)):
                u[n] += np.tensordot(k[:, :, p, q], padded[at][n], axes=(1, 0))
        u[...] += self.a.given[0]["b"][:, None, None]

    def value(self, u):
        op = self.chain.ops[1]
        if type(op) is RELU:
            return np.where(u > 0, u, np.where(np.isnan(u), u, 0)).astype(u.dtype)
        e = np.exp(-2 * np.abs(op.b * u)).astype(u.dtype)
        return (np.sign(u) * op.a * (1 - e) / (1 + e)).astype(u.dtype)


class ReadsAgain(Chained):
    """Right: reads its input again on its way back, as it says."""

    name = "reads_again"
    keeps = frozenset({"inputs"})

    def backward(self):
        self.a.buffers["padded"].fill(7)
        self.pad()
        Chained.backward(self)


class SumAndReLU(Kernel):
    """Right: the sum of two arrays, where it is positive."""

    name = "sum_and_relu"
    keeps = frozenset({"outputs"})
    back = 1

    @classmethod
    def matches(cls, ops):
        return 2 if [type(op) for op in ops[:2]] == [OPS["add"], RELU] else 0

    def bind(self, arrays):
        a, b, y = arrays.given[0]["a"], arrays.given[0]["b"], arrays.outputs["y"]

        def forward():
            np.maximum(a + b, 0, out=y)

        def backward():
            for name in self.chain.wanted[0]:
                np.multiply(arrays.cotangents["y"], y > 0, out=arrays.gradients[0][name])
            arrays.gradients[0]["b"][...] *= np.asarray(self.back, y.dtype)

        return forward, backward if self.chain.learns else None


class HalfOfOne(SumAndReLU):
    """The second of two inputs gets half of its gradient."""

    name = "half_of_one"
    back = 0.5


class NaNIsNothing(Chained):
    """Right where the formula chooses: what is not above 0 is 0, whatever it is."""

    name = "nan_is_nothing"

    def value(self, u):
        return np.where(u > 0, u, 0).astype(u.dtype) if type(self.chain.ops[1]) is RELU else Chained.value(self, u)


class Layer(Kernel):
    """Right: a dense layer with one of two functions."""

    name = "layer"

    @classmethod
    def matches(cls, ops):
        kinds = [type(op) for op in ops[:2]]
        return 2 if len(kinds) == 2 and kinds[0] is DENSE and kinds[1] in (RELU, TANH) else 0

    def buffers(self):
        return {"v": Buffer(self.chain.outputs["y"], self.chain.dtype, kept=True)}

    def bind(self, arrays):
        dense, v, act = arrays.given[0], arrays.buffers["v"], self.chain.ops[1]

        def forward():
            u = dense["x"] @ dense["W"].T + dense["b"]
            v[...] = np.maximum(u, 0) if type(act) is RELU else act.a * np.tanh(act.b * u)
            arrays.outputs["y"][...] = v

        def backward():
            slope = v > 0 if type(act) is RELU else act.b / act.a * (act.a - v) * (act.a + v)
            du = (arrays.cotangents["y"] * slope).astype(v.dtype)
            into = arrays.gradients[0]
            into["W"][...], into["b"][...] = du.T @ dense["x"], du.sum(axis=0)
            if "x" in into:
                into["x"][...] = du @ dense["W"]

        return forward, backward if self.chain.learns else None


@dataclass(frozen=True)
class Both(cf.Layer):
    """Two outputs: twice what comes in, and the squares."""

    name = "both"
    inputs = {"x": "n c"}
    output = {"twice": "n c", "square": "n c"}

    def forward(self, x):
        return {"twice": 2 * x, "square": x * x}, x

    def backward(self, dy, saved):
        return {"x": 2 * dy["twice"] + 2 * saved * dy["square"]}

    def formula(self, at, x):
        return {"twice": 2 * x[at["twice"]], "square": x[at["square"]] ** 2}


class ShiftAndBoth(Kernel):
    """Right: two outputs of what is scaled and shifted."""

    name = "shift_and_both"
    least = 1

    @classmethod
    def matches(cls, ops):
        return 2 if [type(op) for op in ops[:2]] == [SHIFT, Both] and ops[0].dims == 0 else 0

    def bind(self, arrays):
        given, dy = arrays.given[0], arrays.cotangents

        def forward():
            v = given["x"] * given["gain"] + given["shift"]
            arrays.outputs["twice"][...], arrays.outputs["square"][...] = 2 * v, v * v

        def backward():
            v = given["x"] * given["gain"] + given["shift"]
            dv, into = 2 * dy["twice"] + self.least * 2 * v * dy["square"], arrays.gradients[0]
            into["gain"][...], into["shift"][...] = (dv * given["x"]).sum(axis=0), dv.sum(axis=0)
            if "x" in into:
                into["x"][...] = dv * given["gain"]

        return forward, backward if self.chain.learns else None


class OneOfTwoOutputs(ShiftAndBoth):
    """What comes back from the second output is lost."""

    name = "one_of_two_outputs"
    least = 0


RIGHT = (Chained, RowsAhead, AsItLies, FromTheInput, ByProducts, ReadsAgain)


class SlopeAtTheValue(Chained):
    """The derivative is taken at the value instead of the argument."""

    def slope(self, u, v):
        return Chained.slope(self, v, self.value(v))


class SlopeAtTheGradient(Chained):
    """The derivative of the function is left out."""

    def slope(self, u, v):
        return np.ones_like(u)


class PoolsFirst(Chained):
    """Pools before the function."""

    def end(self, u, v, y):
        self.pool(u, y)
        y[...] = self.value(y)


class BiasLost(Chained):
    """The gradient of the bias is that of the last sample."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        into["b"][...] = du[-1:].sum(axis=(0, 2, 3))


class LeftOverRow(Chained):
    """A row that no window reads hands back what its neighbour does."""

    def unpool(self, dy, v, dv):
        Chained.unpool(self, dy, v, dv)
        if len(self.chain.ops) > 2 and v.shape[2] % self.chain.ops[2].size[0]:
            dv[:, :, -1] = dv[:, :, -2]


class BeyondABlock(Chained):
    """Of a batch above sixteen what lies beyond is not added to the kernel's gradient."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        if len(du) > 16:
            Chained.parameters(self, np.concatenate([du[:16], np.zeros_like(du[16:])]), into)


class OneShort(Chained):
    """float32 is computed with a tanh that is good to five digits."""

    def value(self, u):
        v = Chained.value(self, u)
        return v * np.float32(1 + 1e-5) if u.dtype == np.float32 and type(self.chain.ops[1]) is TANH else v


class Stale(Chained):
    """The border of zeros is written once, and the memory belongs to others in between."""

    def pad(self):
        padded, (ph, pw) = self.a.buffers["padded"], self.chain.ops[0].padding
        if not hasattr(self, "done"):
            padded[...] = 0
            self.done = True
        padded[:, :, ph : padded.shape[2] - ph, pw : padded.shape[3] - pw] = self.x


class AddsUp(Chained):
    """The gradient of the kernel is added to what the step before left in memory of its own."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        self.sums = getattr(self, "sums", 0) + into["k"]
        into["k"][...] = self.sums


class WritesItsInput(Chained):
    """The function's value is kept in the place of the input, where that has room."""

    def forward(self):
        Chained.forward(self)
        v, x = self.a.buffers["v"], self.a.given[0]["x"].reshape(-1)
        if x.size >= v.size:
            x[: v.size] = v.reshape(-1)


class WritesItsCotangent(Chained):
    """The cotangent is multiplied where it lies."""

    def backward(self):
        Chained.backward(self)
        self.a.cotangents["y"][...] *= 2


class ReadsWhatIsGone(ReadsAgain):
    """Says that it reads its output, and reads its input."""

    keeps = frozenset({"outputs"})


class ScratchForKept(Chained):
    """What backward reads lies in memory that is its own only while it runs."""

    def buffers(self):
        return {**Chained.buffers(self), "v": Buffer(Chained.buffers(self)["v"].shape, self.chain.dtype)}


class WithoutTheInput(Chained):
    """Where the gradient of the input is not wanted, that of the bias is lost."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        if "x" not in self.chain.wanted[0]:
            into["b"][...] = 0


class ForwardAlone(Chained):
    """Where no gradient is wanted, there is no function."""

    def value(self, u):
        return Chained.value(self, u) if self.chain.learns else u


class StrideForTwo(Chained):
    """The input's gradient is right for one stride of both axes."""

    def input(self, du, dx):
        Chained.input(self, du, dx)
        (sh, sw) = self.chain.ops[0].stride
        if sh != sw:
            dx[...] = np.flip(dx, axis=-1)


class MeanOfAll(Chained):
    """Divides by the square of the window's first side."""

    def pool(self, v, y):
        Chained.pool(self, v, y)
        if len(self.chain.ops) > 2 and type(self.chain.ops[2]) is MEAN:
            (h, w) = self.chain.ops[2].size
            y[...] *= np.asarray(w / h, y.dtype)


class LastOfEqual(Chained):
    """Of equal entries of a window the last gets the gradient."""

    def unpool(self, dy, v, dv):
        if len(self.chain.ops) > 2 and type(self.chain.ops[2]) is MAX:
            dv[...] = 0
            most, taken = np.full(dy.shape, -np.inf, dy.dtype), np.full(dy.shape, -1)
            for number, (_, _, at) in enumerate(self.windows()):
                better = v[at] >= most
                most, taken = np.where(better, v[at], most), np.where(better, number, taken)
            for number, (_, _, at) in enumerate(self.windows()):
                dv[at] = np.where(taken == number, dy, 0)
        else:
            Chained.unpool(self, dy, v, dv)


class LosesNaN(Chained):
    """What is not a number becomes 0."""

    def value(self, u):
        return np.nan_to_num(Chained.value(self, u), posinf=np.inf, neginf=-np.inf)


class Overflows(Chained):
    """tanh as a quotient of exponentials that overflow."""

    def value(self, u):
        op = self.chain.ops[1]
        if type(op) is RELU:
            return Chained.value(self, u)
        e = np.exp(2 * op.b * u).astype(u.dtype)
        return (op.a * (e - 1) / (e + 1)).astype(u.dtype)


class OneLayout(AsItLies):
    """Wrong where rows are first."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        if self.taken == ROWS_FIRST:
            into["b"][...] /= 2


class HalfPrecision(Chained):
    """The sum of the bias' gradient is kept in half the digits."""

    def parameters(self, du, into):
        Chained.parameters(self, du, into)
        short = np.float32 if du.dtype == np.float64 else np.float16
        into["b"][...] = du.astype(short).sum(axis=(0, 2, 3))


WRONG = (
    SlopeAtTheValue,
    SlopeAtTheGradient,
    PoolsFirst,
    BiasLost,
    LeftOverRow,
    BeyondABlock,
    OneShort,
    Stale,
    AddsUp,
    WritesItsInput,
    WritesItsCotangent,
    ReadsWhatIsGone,
    ScratchForKept,
    WithoutTheInput,
    ForwardAlone,
    StrideForTwo,
    MeanOfAll,
    LastOfEqual,
    LosesNaN,
    Overflows,
    OneLayout,
    HalfPrecision,
)
for wrong in WRONG:
    wrong.name = wrong.__name__
