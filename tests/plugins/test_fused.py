"""Generated kernels against the NumPy code of the operations they fuse, chained by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import cnnframe
from cnnframe import Activation, Graph, Links, Parameters
from cnnframe_plugins import SGD, Conv, ConvLinked, Dense, Flatten, Identity, LeakyReLU, Logistic, MaxPool, MeanPool, ReLU, ScaledTanh, Softplus, Subsample
from cnnframe_plugins.fused import CacheWarning, Declined, Layout, Stage, _cache, _compiler, _functions, _update, unavailable, why_not
from cnnframe_plugins.fused import compile as compile_stage
from cnnframe_plugins.fused._expression import activation_source
from cnnframe_plugins.fused._simd import width

pytest.importorskip("numba", reason="the extra `fast` is not installed")


@pytest.fixture(scope="session", autouse=True)
def folder(tmp_path_factory):
    """Kernels of this run, unless a folder is given."""
    given = os.environ.get(_cache.VARIABLE)
    os.environ[_cache.VARIABLE] = given or str(tmp_path_factory.mktemp("kernels"))
    assert unavailable() is None
    yield
    if given is None:
        del os.environ[_cache.VARIABLE]


TANH = ScaledTanh()


@dataclass(frozen=True)
class Case:
    """Operations, an input's shape, and whether results are compared bit by bit, on integers."""

    ops: tuple
    shape: tuple[int, ...]
    exact: bool = True
    dtype: str = "float32"
    dx: bool = True
    border: int = 0
    mode: str = ""

    def stage(self):
        return Stage(self.ops, self.shape, self.dtype, self.dx, self.border, self.mode)


CASES = {
    "conv relu mean": Case((Conv(3, 3), ReLU(), MeanPool(2, 2)), (11, 2, 7, 8)),
    "strided padded dilated groups": Case((Conv(4, 2, stride=(2, 3), padding=(1, 2), dilation=2, groups=2), ReLU()), (9, 2, 7, 8)),
    "correlation, max pool, ragged": Case((Conv(2, (2, 3), orientation="correlation"), ReLU(), MaxPool((2, 3), (2, 3))), (8, 1, 6, 9)),
    "links subsample tanh": Case((ConvLinked(Links.random(4, 5, 2, seed=0), 3, padding=1), TANH, Subsample(2), TANH), (13, 4, 6, 4), exact=False),
    "one dimension, identity": Case((Conv(3, 4, dims=1, stride=2), Identity()), (10, 2, 12)),
    "softplus twice, float64": Case((Conv(2, 3), Softplus(), MeanPool((3, 1), (3, 1)), Softplus()), (9, 1, 5, 5), exact=False, dtype="float64"),
    "flatten dense": Case((Flatten(), Dense(7), TANH), (21, 2, 3, 3), exact=False),
    "kernel as large as the map": Case((Conv(9, (3, 2)), ReLU()), (17, 3, 3, 2), dx=False),
}
FEW = {
    "conv relu max": Case((Conv(3, 3, padding=(0, 1)), ReLU(), MaxPool(2, 2)), (2, 2, 9, 11)),
    "few columns": Case((Conv(4, 3), ReLU(), MaxPool(2, 2)), (2, 2, 6, 9)),
    "few columns, padded, tanh subsample": Case((Conv(3, 3, padding=1), TANH, Subsample(2), TANH), (1, 2, 6, 4), exact=False, dtype="float64"),
    "links logistic mean": Case((ConvLinked(Links.random(3, 4, 2, seed=0), 2), Logistic(0.5), MeanPool((2, 1), (2, 1))), (1, 3, 5, 10), exact=False),
    "subsample tanh": Case((Conv(4, 3, groups=2), TANH, Subsample(2), TANH), (1, 2, 6, 12), exact=False),
    "no pooling, dilated": Case((Conv(2, 2, dilation=2), LeakyReLU(0.5)), (3, 1, 5, 13)),
    "dense softplus": Case((Dense(5), Softplus()), (3, 19), exact=False),
    "many maps of a picture": Case((Conv(37, 3),), (2, 3, 7, 21), dx=False),
    "softplus of a picture": Case((Conv(9, (2, 4), groups=3, padding=1), Softplus()), (2, 3, 5, 18), exact=False, dx=False),
    "max pool of a picture": Case((Conv(11, 5), ReLU(), MaxPool(2, 2)), (1, 2, 9, 23), dx=False),
    "kernel as large as the map": Case((Conv(9, (3, 2)), ReLU()), (1, 3, 3, 2)),
}
PICTURE = {
    "relu max": Case((Conv(12, 3, padding=1), ReLU(), MaxPool(2, 2)), (1, 3, 9, 35), dx=False),
    "as it is": Case((Conv(20, (5, 3), orientation="correlation"),), (1, 2, 11, 40), dx=False),
    "dilated": Case((Conv(24, 2, dilation=(1, 3)), LeakyReLU(0.5)), (1, 1, 7, 33), dx=False, dtype="float64"),
    "tanh subsample softplus": Case((Conv(18, 3), TANH, Subsample(2), Softplus()), (1, 2, 8, 26), exact=False, dx=False),
}
# Twice a vector's lanes, so that vectors go in pairs; a few input maps lie side by side as they are.
PAIR = 2 * width("float64")
ODD = 3 * PAIR - 1
WIDE = {
    "padded, relu, max": Case((Conv(PAIR, 3, padding=1), ReLU(), MaxPool(2, 2)), (3, PAIR // 2, 6, 5), dtype="float64", mode="maps", border=1),
    "few maps in, correlation": Case((Conv(PAIR, (3, 2), orientation="correlation"), ReLU()), (2, 3, 5, 9), dtype="float64", dx=False, mode="maps", border=2),
    "tanh subsample softplus": Case((Conv(PAIR, 3), TANH, Subsample(2), Softplus()), (2, PAIR, 6, 4), exact=False, dtype="float64", mode="maps"),
    "stride": Case((Conv(PAIR, 3, padding=1, stride=2), ReLU(), MaxPool(2, 2)), (2, PAIR, 8, 11), dtype="float64", mode="maps", border=1),
    "strides beyond the kernel": Case((Conv(PAIR, (2, 1), stride=(3, 2)),), (2, PAIR // 2, 9, 6), dtype="float64", mode="maps"),
    "a larger stride than a dilation": Case((Conv(PAIR, (3, 4), stride=(3, 4), dilation=2, padding=2),), (2, PAIR, 11, 12), dtype="float64", mode="maps"),
    "stride and dilation in step": Case((Conv(PAIR, 3, stride=2, dilation=(2, 4), padding=3), ReLU()), (1, PAIR, 9, 12), dtype="float64", mode="maps"),
    "dilation": Case((Conv(PAIR, 3, padding=2, dilation=(2, 1), orientation="correlation"),), (2, PAIR // 2, 6, 7), dtype="float64", mode="maps", border=1),
    "more padding than kernel": Case((Conv(PAIR, 1, padding=2, stride=(1, 2)), ReLU()), (2, PAIR // 2, 3, 4), dtype="float64", mode="maps"),
    "vectors that are not full": Case((Conv(ODD, 3, padding=1), ReLU(), MaxPool(2, 2)), (2, ODD, 5, 4), dtype="float64", mode="maps", border=1),
    "vectors that are not full, stride": Case((Conv(ODD, (2, 3), stride=2), Identity()), (2, ODD, 4, 5), dtype="float64", mode="maps"),
    "vectors that are not full, softplus subsample": Case(
        (Conv(ODD, 2), Softplus(), Subsample(2), TANH), (2, ODD, 5, 5), exact=False, dtype="float64", mode="maps"
    ),
    "only the last vector out is not full": Case((Conv(ODD, 2), Softplus()), (1, 3, 4, 4), exact=False, dx=False, dtype="float64", mode="maps"),
    "only the last vector in is not full": Case((Conv(3 * PAIR, 2),), (3, ODD, 3, 4), dtype="float64", mode="maps"),
    "many weights": Case((Conv(128, 3, padding=1), ReLU()), (3, 128, 4, 3), mode="maps"),
    "many weights, not full, subsample": Case((Conv(130, 3, stride=2), TANH, Subsample(2), TANH), (2, 126, 5, 5), exact=False, mode="maps"),
    "one dimension": Case((Conv(PAIR, 3, dims=1, stride=2), ReLU(), MaxPool(2, 2, dims=1)), (2, PAIR, 12), dtype="float64", mode="maps"),
    "one dimension, dilation": Case((Conv(ODD, 2, dims=1, dilation=3), Identity()), (3, PAIR // 2, 7), dtype="float64", mode="maps"),
    "few maps in, stride and dilation": Case((Conv(PAIR, 3, stride=2, dilation=2),), (2, 3, 9, 11), dtype="float64", dx=False, mode="maps"),
}


def chained(ops, x, params, dy):
    """Output, gradient of the input and of the parameters by the operations' own code."""
    saved = []
    for i, op in enumerate(ops):
        x, kept = op.forward(x, **{name: params[f"{i}.{name}"] for name in op.params})
        saved.append(kept)
    y, gradients = x, {}
    for i in reversed(range(len(ops))):
        found = ops[i].backward(dy, saved[i])
        gradients |= {f"{i}.{name}": found[name] for name in ops[i].params}
        dy = found["x"]
    return y, dy, gradients


def shapes(ops, shape):
    found = {}
    for i, op in enumerate(ops):
        sizes = op.sizes({"x": shape})
        found |= {f"{i}.{name}": of for name, of in op.parameter_shapes(sizes).items()}
        shape = op.output_shapes(sizes)["y"]
    return found, shape


def drawn(case, seed=0):
    rng = np.random.default_rng(seed)
    params, out = shapes(case.ops, case.shape)

    def draw(shape):
        values = rng.integers(-3, 4, shape) if case.exact else rng.standard_normal(shape) / 2
        return values.astype(case.dtype)

    return draw(case.shape), {name: draw(shape) for name, shape in params.items()}, draw(out)


def fused(case, x, params, dy):
    """The same as `chained` by a kernel, in buffers full of NaN."""
    kernel = compile_stage(case.stage())

    def room(size):
        return np.full(size, np.nan, case.dtype)

    flat = {name: room(layout.size(array.shape)) for name, layout, array in (("x", kernel.input_layout, x), ("dy", kernel.output_layout, dy))}
    kernel.input_layout.pack(x, flat["x"])
    kernel.output_layout.pack(dy, flat["dy"], gradient=True)
    if case.border:
        # Nobody writes to the border of a gradient.
        inner = kernel.output_layout._inner(flat["dy"], dy.shape)
        maps = inner.copy()
        flat["dy"][...] = np.nan
        inner[...] = maps
    y, dx, saved, scratch = room(flat["dy"].size), room(flat["x"].size), room(kernel.saved), room(kernel.scratch)
    gradients = {name: room(value.shape) for name, value in params.items()}
    assert kernel.parameters == {name: value.size for name, value in params.items()}
    given = [array.copy() for array in (flat["x"], *params.values())]
    kernel.forward(flat["x"], params, y, saved, scratch)
    kept = saved.copy(), y.copy()
    scratch[...] = np.nan
    kernel.backward(flat["dy"], flat["x"], y, params, saved, dx if case.dx else None, gradients, scratch)
    for before, after in zip((*given, *kept), (flat["x"], *params.values(), saved, y), strict=True):
        assert np.array_equal(before, after, equal_nan=True)
    out, back = np.empty_like(dy), np.empty_like(x)
    kernel.output_layout.unpack(y, out)
    kernel.input_layout.unpack(dx, back)
    return out, back if case.dx else None, gradients


def expected_of(case, x, params, dy):
    """What the chain computes, in float64 where that rounds."""
    if case.exact:
        return chained(case.ops, x, params, dy)
    return chained(case.ops, x.astype(np.float64), {key: value.astype(np.float64) for key, value in params.items()}, dy.astype(np.float64))


def compare(case, found, expected):
    """Bits, or as far apart as roundings in sums of this size take them."""
    for got, want in zip((found[0], found[1], *found[2].values()), (expected[0], expected[1], *(expected[2][name] for name in found[2])), strict=True):
        if got is None:
            continue
        if case.exact:
            np.testing.assert_array_equal(got, want)
        else:
            eps = np.finfo(case.dtype).eps
            np.testing.assert_allclose(got, want, rtol=40 * eps, atol=40 * eps * np.abs(want).max())


@pytest.mark.parametrize("name", CASES)
def test_vectors_across_the_batch_compute_what_the_chain_computes(name):
    case = CASES[name]
    x, params, dy = drawn(case)
    expected = expected_of(case, x, params, dy)
    assert compile_stage(case.stage()).input_layout.kind == "lanes"
    compare(case, fused(case, x, params, dy), expected)


@pytest.mark.parametrize("name", FEW)
def test_vectors_across_columns_compute_what_the_chain_computes(name):
    case = FEW[name]
    x, params, dy = drawn(case)
    expected = expected_of(case, x, params, dy)
    assert compile_stage(case.stage()).input_layout.kind == "plain"
    compare(case, fused(case, x, params, dy), expected)


@pytest.mark.parametrize("name", PICTURE)
def test_threads_share_the_maps_of_a_single_picture(name):
    case = PICTURE[name]
    x, params, dy = drawn(case)
    wanted = fused(case, x, params, dy)
    compare(case, wanted, expected_of(case, x, params, dy))
    kernel = compile_stage(case.stage())

    def ran(count):
        """All that is written, where so many share it and the last goes first."""
        made = {part: np.full(size, np.nan, case.dtype) for part, size in (("y", dy.size), ("saved", kernel.saved), ("scratch", kernel.scratch))}
        gradients = {key: np.full(value.shape, np.nan, case.dtype) for key, value in params.items()}
        y, saved, scratch = made.values()
        forward = kernel.bind_forward(None, params, y, saved, scratch)
        backward = kernel.bind_backward(dy.reshape(-1), None, y, params, saved, None, gradients, scratch)
        for run in (forward, backward):
            shares = run.shares(count)
            assert len(shares) == min(count, kernel.shares) > 1
            # The input is given to what has been shared already.
            run.take(x.reshape(-1))
            for share in reversed(shares):
                share()
            scratch.fill(np.nan)
        return [array.tobytes() for array in (y, saved, *gradients.values())]

    assert ran(2) == ran(3) == ran(9)
    assert ran(2)[0] == wanted[0].tobytes() and ran(2)[2:] == [array.tobytes() for array in wanted[2].values()]


@pytest.mark.parametrize("name", WIDE)
def test_vectors_across_maps_compute_what_the_chain_computes(name):
    case = WIDE[name]
    x, params, dy = drawn(case)
    expected = chained(case.ops, x, params, dy)
    compare(case, fused(case, x, params, dy), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("border", [0, 1, 3])
@pytest.mark.parametrize(
    ("lanes", "shape"),
    [
        (4, (3, 8, 1, 1)),
        (4, (2, 4, 3, 2)),
        (8, (1, 16, 7, 7)),
        (8, (2, 8, 2, 16)),
        (4, (1, 12, 5, 9)),
        (3, (2, 3, 4, 4)),
        (8, (3, 13, 3, 3)),
        (4, (2, 5, 1, 9)),
        (4, (2, 7, 6)),
    ],
)
def test_maps_pack_and_unpack(lanes, shape, border, dtype):
    """Maps of one dimension have no border, and lie as those of a single row do."""
    border = border if len(shape) == 4 else 0
    layout, array = Layout("maps", lanes, border), np.random.default_rng(0).normal(size=shape).astype(dtype)
    n, maps, *_, width = shape
    height = shape[2] if len(shape) == 4 else 1
    flat, back = np.full(layout.size(shape) + 3, np.nan, dtype), np.full(shape, np.nan, dtype)
    layout.pack(array, flat[:-3])
    wanted = np.pad(array.reshape(n, maps, height, width), [(0, 0), (0, -maps % lanes), (border, border), (border, border)])
    wanted = wanted.reshape(n, -1, lanes, height + 2 * border, width + 2 * border).transpose(0, 1, 3, 4, 2)
    np.testing.assert_array_equal(flat[:-3], wanted.reshape(-1))
    layout.unpack(flat[:-3], back)
    np.testing.assert_array_equal(back, array)
    assert np.isnan(flat[-3:]).all()


@pytest.mark.parametrize(("before", "after"), [(0, 1), (2, 0), (1, 3), (0, 0)])
def test_maps_move_between_borders_without_another_layout(before, after):
    from cnnframe_plugins.fused._kernel import Side

    array = np.random.default_rng(0).normal(size=(3, 8, 2, 5)).astype(np.float32)
    source, target = Side(Layout("maps", 4, before)), Side(Layout("maps", 4, after))
    flat, moved, wanted = (np.full(side.shape(array.shape), np.nan, np.float32) for side in (source, target, target))
    source.pack(array, flat)
    target.pack(array, wanted)
    assert source.reaches(target) and not source.reaches(cnnframe.PLAIN) and not source.reaches(Side(Layout("maps", 8, after)))
    source.rearranging(flat, moved, target, array.shape)()
    assert np.array_equal(moved, wanted)


def test_a_border_is_written_and_none_is_read():
    case = WIDE["padded, relu, max"]
    x, params, _ = drawn(case)
    kernel = compile_stage(case.stage())
    layout = kernel.output_layout
    flat, y = np.zeros(kernel.input_layout.size(x.shape)), np.full(layout.size(kernel.output), np.nan)
    kernel.input_layout.pack(x, flat)
    kernel.forward(flat, params, y, np.empty(kernel.saved), np.empty(kernel.scratch))
    n, maps, rows, columns = kernel.output
    whole = y.reshape(n, maps // layout.lanes, rows + 2, columns + 2, layout.lanes)
    assert not np.isnan(whole).any()
    whole[:, :, 1:-1, 1:-1] = 0
    assert not whole.any()


@dataclass(frozen=True)
class Reciprocal(Activation):
    """1 / x, which is no number where there is nothing."""

    name = "reciprocal"

    def f(self, x):
        return 1 / x

    def df(self, x, y):
        return -1 / (x * x)

    def expr(self, x):
        return 1 / x


@pytest.mark.parametrize("layers", [(Reciprocal(),), (Reciprocal(), MeanPool(2, 2)), (Reciprocal(), MaxPool(2, 2), Reciprocal())])
def test_there_are_zeros_behind_the_last_map_whatever_the_activation_makes_of_them(layers):
    case = Case((Conv(ODD, 3, padding=1), *layers), (2, ODD, 4, 4), exact=False, dtype="float64", mode="maps", border=1)
    x, params, dy = drawn(case)
    params["0.b"] += 100
    compare(case, fused(case, x, params, dy), chained(case.ops, x, params, dy))
    kernel = compile_stage(case.stage())
    flat, y = np.empty(kernel.input_layout.size(x.shape)), np.full(kernel.output_layout.size(kernel.output), np.nan)
    kernel.input_layout.pack(x, flat)
    kernel.forward(flat, params, y, np.empty(kernel.saved), np.empty(kernel.scratch))
    _, maps, rows, columns = kernel.output
    lanes = kernel.output_layout.lanes
    last = y.reshape(2, -1, rows + 2, columns + 2, lanes)[:, -1]
    assert maps % lanes and not last[..., maps % lanes :].any() and last[:, 1:-1, 1:-1, : maps % lanes].all()


RECIPROCALS = {
    "nothing": (),
    "mean": (MeanPool(2, 2),),
    "max": (MaxPool(2, 2), Reciprocal()),
    "rows alone": (MaxPool((2, 1), (2, 1)), Reciprocal()),
    "sum": (Subsample(2), Reciprocal()),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("then", RECIPROCALS)
def test_columns_that_fill_no_vector_add_nothing_whatever_the_activation_makes_of_them(then, dtype):
    # Beyond the last column there are windows of zeros, and 1 / 0.
    case = Case((Conv(2, 3), Reciprocal(), *RECIPROCALS[then]), (1, 1, 6, 12 if then != "nothing" else 13), exact=False, dtype=dtype, mode="rows")
    x, params, dy = drawn(case)
    x, params = 1 + abs(x), {name: np.abs(array) + 1 for name, array in params.items()}
    params["0.b"] *= 0
    compare(case, fused(case, x, params, dy), chained(case.ops, x, params, dy))


@dataclass(frozen=True)
class Gate(Activation):
    """x times the logistic function of x: what its derivative needs of x is in the value."""

    name = "gate"

    def f(self, x):
        return x / (1 + np.exp(-x))

    def df(self, x, y):
        s = 1 / (1 + np.exp(-x))
        return s + x * s * (1 - s)

    def expr(self, x):
        return x * cnnframe.algebra.logistic(x)

    def derivative(self, x, y):
        return y + cnnframe.algebra.logistic(x) * (1 - y)


def test_what_value_and_derivative_have_in_common_is_computed_once():
    source = activation_source(Gate(), "float64")
    assert source.reads == "xy" and any("v_logistic" in line for line in source.kept)
    assert not any("v_logistic" in line for line in source.derivative)
    assert activation_source(Softplus(), "float64").kept == ("return x",)
    for shape, layers in (((9, 2, 7, 8), (Conv(3, 3), Gate(), MeanPool(2, 2), Gate())), ((1, 3, 6, 21), (Conv(5, 2), Gate())), ((17, 6), (Dense(4), Gate()))):
        case = Case(layers, shape, exact=False, dtype="float64")
        x, params, dy = drawn(case)
        compare(case, fused(case, x, params, dy), chained(case.ops, x, params, dy))


def test_a_kernel_gives_the_same_bits_again():
    case = CASES["links subsample tanh"]
    x, params, dy = drawn(case)
    first = fused(case, x, params, dy)
    for _ in range(3):
        again = fused(case, x, params, dy)
        assert all(np.array_equal(first[2][name], again[2][name]) for name in params)
        assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])


def test_a_nan_and_an_infinity_stay_in_their_sample():
    case = CASES["conv relu mean"]
    x, params, dy = drawn(case)
    x[2, 0, 3, 3], x[10, 1, 0, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        want, _, _ = chained(case.ops, x, params, dy)
    got, _, _ = fused(case, x, params, dy)
    np.testing.assert_array_equal(got, want)
    assert np.isfinite(got[[i for i in range(11) if i not in (2, 10)]]).all()


def test_what_is_not_supported_is_declined_with_a_reason():
    assert "overlap" in why_not((Conv(2, 3), MaxPool(3, 2)), (8, 1, 9, 9), "float32")
    assert "3" in why_not((Conv(2, 2, dims=3),), (8, 1, 4, 4, 4), "float32")
    assert "float16" in why_not((Conv(2, 2),), (8, 1, 4, 4), "float16")
    assert "begins with" in why_not((MaxPool(2, 2),), (8, 1, 4, 4), "float32")
    assert "place" in why_not((Conv(2, 2), Conv(2, 2)), (8, 1, 4, 4), "float32")
    assert why_not((Conv(2, 2),), (8, 1, 4, 4), "float32") is None
    with pytest.raises(Declined, match=r"8 input maps and 33 output maps would leave too much of vectors of [0-9]+ empty"):
        compile_stage(Stage((Conv(33, 3),), (8, 8, 5, 5), mode="maps"))
    with pytest.raises(Declined, match="begins with"):
        compile_stage(Stage((MaxPool(2, 2),), (8, 1, 4, 4)))


@dataclass(frozen=True)
class Bump(Activation):
    """A third party's: branches, powers, and no derivative that is stated."""

    name = "bump"

    def f(self, x):
        return np.where(x > 1, x / np.sqrt(1 + x * x), np.exp(-x * x) + np.abs(x) ** 3)

    def df(self, x, y):
        return np.where(x > 1, (1 + x * x) ** -1.5, -2 * x * np.exp(-x * x) + 3 * x * np.abs(x))

    def expr(self, x):
        import sympy as sp

        return sp.Piecewise((x / sp.sqrt(1 + x**2), x > 1), (sp.exp(-(x**2)) + sp.Abs(x) ** 3, True))


@dataclass(frozen=True)
class Wave(Bump):
    """Of a function that has no vector source."""

    name = "wave"

    def expr(self, x):
        import sympy as sp

        return sp.sin(x)


def test_a_third_partys_activation_is_fused_like_ours():
    case = Case((Dense(3), Bump()), (8, 4), exact=False)
    x, params, dy = drawn(case)
    compare(case, fused(case, x, params, dy), chained(case.ops, x.astype(float), {name: v.astype(float) for name, v in params.items()}, dy.astype(float)))
    assert "sin" in why_not((Dense(3), Wave()), (8, 4), "float32")


REFERENCES = {
    "v_exp": np.exp,
    "v_tanh": np.tanh,
    "v_log": np.log,
    "v_logistic": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
    "v_softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_are_within_a_few_units_of_the_last_place(dtype):
    lanes = width(dtype)
    names = tuple(REFERENCES)
    body = [_functions.source(frozenset(names), dtype)]
    for name in names:
        body.append(f"\ndef {name}_all(table, first, last):\n    x, y = pointer(table, 0), pointer(table, 1)\n    for i in range(first, last):\n")
        body.append(f"        store(y, {lanes} * i, {name}(load(x, {lanes} * i)))\n")
    kernels = _compiler.Code(lambda: "".join(body), tuple(f"{name}_all" for name in names), dtype, lanes).build()
    rng = np.random.default_rng(0)
    scales = [10.0**e for e in (-300, -40, -8, -2, -1, 0, 1, 2, 4, 30)]
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, np.finfo(dtype).tiny, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal]
    x = np.concatenate([edges, *(rng.standard_normal(2000) * scale for scale in scales)]).astype(dtype)
    x = x[: len(x) // lanes * lanes]
    for name, reference in REFERENCES.items():
        y = np.empty_like(x)
        table = np.array([x.__array_interface__["data"][0], y.__array_interface__["data"][0]], np.int64)
        kernels[f"{name}_all"](table.__array_interface__["data"][0], 0, len(x) // lanes)
        with np.errstate(all="ignore"):
            want = reference(x.astype(np.longdouble))
            rounded = want.astype(dtype)
            wrong = ~((y == rounded) | (np.isnan(y) & np.isnan(rounded)))
            limit = 5 * np.finfo(dtype).eps / 2 * np.abs(want) + np.finfo(dtype).smallest_subnormal
            assert not (wrong & ~(np.abs(y - want) <= limit)).any(), name


@pytest.mark.parametrize("shape", [(3, 2, 5), (8, 7), (17, 1, 3, 3), (5, 8)])
def test_lanes_pack_and_unpack(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    layout = Layout("lanes", 4)
    flat, back = np.full(layout.size(shape), np.nan), np.empty(shape)
    layout.pack(x, flat)
    layout.unpack(flat, back)
    np.testing.assert_array_equal(back, x)
    lanes = flat.reshape(-1, int(np.prod(shape[1:])), 4)
    spare = -shape[0] % 4
    if spare:
        assert (lanes[-1, :, -spare:] == x[-1].reshape(-1, 1)).all()
        layout.pack(x, flat, gradient=True)
        assert (lanes[-1, :, -spare:] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.5, 0.01)])
def test_the_update_has_the_bits_of_the_optimizer(momentum, decay, dtype, monkeypatch):
    graph = Graph.chain(Conv(3, 3), ReLU(), Flatten(), Dense(5), inputs="n 1 5 5", loss=cnnframe.load().make("squared_error"))
    rule = SGD(momentum=momentum, weight_decay=decay)
    first = Parameters.initialise(graph, dtype=dtype)

    def trained(step):
        params, state, out = first, rule.init(first), None
        rng = np.random.default_rng(0)
        for number in range(4):
            gradient = np.round(rng.standard_normal(first.layout.size), 2)
            gradient[number] = -0.0
            params, state, out = *step(out, params, first.with_vector(gradient.astype(dtype)), state, np.float64(0.1)), (params, state)
        return params.vector.tobytes(), state.tobytes()

    def into(out, *given):
        # What was given in the beginning is no result of an earlier step: it must stay as it is.
        return rule.step_into(None if out is None or out[0] is first else out, *given)

    kept = first.vector.copy()
    want = trained(lambda out, *given: rule.step(*given))
    assert trained(into) == want
    monkeypatch.setattr("cnnframe_plugins.optimizers.SMALL", 0)
    for there in (False, True):
        monkeypatch.setattr(_update, "ready", lambda _, there=there: there)
        assert trained(into) == want
    assert np.array_equal(first.vector, kept)


def test_a_step_into_memory_lies_there_and_what_is_in_use_is_refused():
    graph = Graph.chain(Dense(2), inputs="n 3", loss=cnnframe.load().make("squared_error"))
    rule, params = SGD(momentum=0.5), Parameters.initialise(graph)
    state = rule.init(params)
    other, memory = rule.step(params, params, state, 0.1)
    after, velocity = rule.step_into((other, memory), params, params, state, 0.1)
    assert after.vector is other.vector and velocity is memory
    strange = Parameters.initialise(Graph.chain(Dense(4), inputs="n 1", loss=cnnframe.load().make("squared_error")))
    assert strange.vector.size == params.vector.size
    with pytest.raises(cnnframe.ShapeError, match="gradients like the 8 float32 parameters were wanted"):
        rule.step_into((other, memory), params, strange, state, 0.1)
    for out, message in (((params, memory), "memory of its own"), ((other, state), "state of an earlier step"), (("x", memory), "not needed any more")):
        with pytest.raises(cnnframe.ShapeError, match=message):
            rule.step_into(out, params, params, state, 0.1)


SMALL = "\ndef twice(table, first, last):\n    x = pointer(table, 0)\n    for i in range(first, last):\n        put(x, i, 2 * get(x, i))\n"


def doubled():
    _compiler._loaded.clear()
    x = np.ones(3)
    table = np.array([x.__array_interface__["data"][0]], np.int64)
    _compiler.Code(lambda: SMALL, ("twice",), "float64", 2).build()["twice"](table.__array_interface__["data"][0], 0, 3)
    return x.tolist()


def test_a_damaged_entry_of_the_cache_is_compiled_anew(tmp_path, monkeypatch):
    monkeypatch.setenv(_cache.VARIABLE, str(tmp_path))
    assert doubled() == [2, 2, 2]
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    monkeypatch.setattr(_compiler, "_compile", lambda *_: pytest.fail("compiled although it is kept"))
    assert doubled() == [2, 2, 2]
    monkeypatch.undo()
    monkeypatch.setenv(_cache.VARIABLE, str(tmp_path))
    for damage in (whole[:-1], whole[:60], b"", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]):
        entry.write_bytes(damage)
        assert _cache.read(entry.stem) is None
        assert not entry.exists()
        assert doubled() == [2, 2, 2]
        assert _cache.read(entry.stem) is not None


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path, monkeypatch):
    place = tmp_path / "file"
    place.write_text("no folder")
    monkeypatch.setenv(_cache.VARIABLE, str(place))
    with pytest.warns(CacheWarning, match=_cache.VARIABLE) as caught:
        assert doubled() == [2, 2, 2]
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doubled() == [2, 2, 2]


def test_writers_at_the_same_time_leave_a_whole_entry(tmp_path, monkeypatch):
    monkeypatch.setenv(_cache.VARIABLE, str(tmp_path))
    for block in (b"a" * 5000, b"b" * 9000):
        _cache.write("k", block)
        assert _cache.read("k") == block
    assert [path.name for path in tmp_path.iterdir()] == ["k.kernel"]


def test_a_warm_cache_needs_no_compiler():
    code = """
import sys
sys.modules["numba"] = None
import numpy as np
from cnnframe_plugins import Dense, ReLU
from cnnframe_plugins.fused import Stage, unavailable
from cnnframe_plugins.fused import compile as compile_stage
assert unavailable() is None, unavailable()
kernel = compile_stage(Stage((Dense(2), ReLU()), (1, 3)))
y = np.empty(2, np.float32)
kernel.forward(np.ones(3, np.float32), {"0.W": np.ones((2, 3), np.float32), "0.b": np.zeros(2, np.float32)}, y, np.empty(kernel.saved, np.float32),
               np.empty(kernel.scratch, np.float32))
assert y.tolist() == [3, 3]
"""
    compile_stage(Stage((Dense(2), ReLU()), (1, 3)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=60)
    assert done.returncode == 0, done.stderr
