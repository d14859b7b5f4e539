"""Convolution against SciPy, and against what stride, padding, dilation, groups and links mean."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.signal import convolve, correlate

from cnnframe import ROWS_FIRST, Links
from cnnframe._served import chain_of, served
from cnnframe_plugins.conv import Conv, ConvLinked
from cnnframe_plugins.conv_unit_bias import ConvUnitBias
from cnnframe_plugins.kernels._conv import ConvKernel
from cnnframe_plugins.pad import Pad
from cnnframe_plugins.subsample import Decimate

MAPS = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
SIZES = {1: (3,), 2: (2, 3), 3: (2, 3, 1)}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def valid(x, k, filtered=convolve):
    """The definition: each output map sums over the input maps its 'valid' convolutions."""
    return np.stack([np.stack([sum(filtered(maps[i], k[j, i], "valid", "direct") for i in range(len(maps))) for j in range(len(k))]) for maps in x])


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("orientation", "filtered"), [("convolution", convolve), ("correlation", correlate)])
def test_conv_is_scipys(dims, orientation, filtered):
    x, k, b = drawn(2, 3, *MAPS[dims]), drawn(4, 3, *SIZES[dims]), drawn(4)
    y, _ = Conv(4, SIZES[dims], dims, orientation=orientation).forward(x, k, b)
    assert_allclose(y, valid(x, k, filtered) + b.reshape(-1, *(1,) * dims), atol=1e-12)


def test_the_kernel_is_flipped():
    y, _ = Conv(1, (1, 2)).forward(np.array([[[[1.0, 10.0, 100.0]]]]), np.array([[[[2.0, 3.0]]]]), np.zeros(1))
    assert y.tolist() == [[[[23.0, 230.0]]]]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_stride_is_decimation_after_unit_stride(dims):
    x, k, b, stride = drawn(2, 2, *MAPS[dims]), drawn(3, 2, *SIZES[dims]), drawn(3), (2, 3, 1)[:dims]
    dense, _ = Conv(3, SIZES[dims], dims).forward(x, k, b)
    kept, _ = Decimate(stride, dims).forward(dense)
    strided, _ = Conv(3, SIZES[dims], dims, stride).forward(x, k, b)
    assert_allclose(strided, kept, atol=1e-12)


def test_padding_is_convolution_of_the_padded_map():
    x, k, b = drawn(2, 2, 4, 5), drawn(3, 2, 2, 3), drawn(3)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    assert_allclose(Conv(3, (2, 3), padding=(1, 2)).forward(x, k, b)[0], Conv(3, (2, 3)).forward(padded, k, b)[0], atol=1e-12)


def test_dilation_is_convolution_with_a_kernel_that_has_holes():
    x, k, b = drawn(2, 2, 6, 7), drawn(3, 2, 2, 3), drawn(3)
    holed = np.zeros((3, 2, 3, 5))
    holed[:, :, ::2, ::2] = k
    assert_allclose(Conv(3, (2, 3), dilation=2).forward(x, k, b)[0], Conv(3, (3, 5)).forward(x, holed, b)[0], atol=1e-12)


def test_groups_do_not_see_each_other():
    x, k, b = drawn(2, 4, 5, 6), drawn(6, 2, 2, 3), drawn(6)
    y, _ = Conv(6, (2, 3), groups=2).forward(x, k, b)
    parts = [Conv(3, (2, 3)).forward(x[:, 2 * g : 2 * g + 2], k[3 * g : 3 * g + 3], b[3 * g : 3 * g + 3])[0] for g in range(2)]
    assert_allclose(y, np.concatenate(parts, axis=1), atol=1e-12)


def test_gradients_as_the_paper_computes_them():
    """Kernel gradient by section 3.1.1, input gradient by the 'full' convolution of section 3.2.1 with its missing sum."""
    x, k, b, dy = drawn(2, 3, 5, 6), drawn(4, 3, 2, 3), drawn(4), drawn(2, 4, 4, 4)
    conv = Conv(4, (2, 3))
    _, saved = conv.forward(x, k, b)
    got = conv.backward(dy, saved)
    dk = [[sum(np.rot90(convolve(x[n, i], np.rot90(dy[n, j], 2), "valid"), 2) for n in range(2)) for i in range(3)] for j in range(4)]
    dx = [[sum(convolve(dy[n, j], np.rot90(k[j, i], 2), "full") for j in range(4)) for i in range(3)] for n in range(2)]
    assert_allclose(got["k"], dk, atol=1e-12)
    assert_allclose(got["x"], dx, atol=1e-12)
    assert_allclose(got["b"], dy.sum(axis=(0, 2, 3)), atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_linking_all_maps_is_conv(dims):
    x, k, b, options = drawn(2, 2, *MAPS[dims]), drawn(3, 2, *SIZES[dims]), drawn(3), {"stride": 2, "padding": 1}
    conv, linked = Conv(3, SIZES[dims], dims, **options), ConvLinked(Links.all(2, 3), SIZES[dims], dims, **options)
    y, saved = conv.forward(x, k, b)
    y_linked, saved_linked = linked.forward(x, k.reshape(6, *SIZES[dims]), b)
    assert_allclose(y_linked, y, atol=1e-12)
    dense, sparse = conv.backward(y, saved), linked.backward(y, saved_linked)
    for name in ("x", "k", "b"):
        assert_allclose(sparse[name].reshape(dense[name].shape), dense[name], atol=1e-11)


def test_links_choose_the_input_maps():
    x, k, b = drawn(2, 3, 4, 5), drawn(3, 2, 2), drawn(2)
    y, _ = ConvLinked(Links.from_rows(["XO", "OX", "OX"]), 2).forward(x, k, b)
    first = [convolve(x[n, 0], k[0], "valid") + b[0] for n in range(2)]
    second = [convolve(x[n, 1], k[1], "valid") + convolve(x[n, 2], k[2], "valid") + b[1] for n in range(2)]
    assert_allclose(y, np.stack([first, second], axis=1), atol=1e-12)


def test_a_map_that_no_link_uses_gets_no_gradient():
    layer = ConvLinked(Links.from_rows(["X", "O"]), 1)
    _, saved = layer.forward(drawn(1, 2, 2, 2), drawn(1, 1, 1), np.zeros(1))
    assert not layer.backward(np.ones((1, 1, 2, 2)), saved)["x"][:, 1].any()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_bias_for_every_unit_is_added_to_the_linked_convolution(dims):
    links = Links.from_rows(["XXO", "OXX"])
    x, k = drawn(2, 2, *MAPS[dims]), drawn(4, *SIZES[dims])
    without, _ = ConvLinked(links, SIZES[dims], dims, 2, 1).forward(x, k, np.zeros(3))
    b = drawn(*without.shape[1:])
    op = ConvUnitBias(links, SIZES[dims], dims, 2, 1)
    y, saved = op.forward(x, k, b)
    assert_allclose(y, without + b, atol=1e-12)
    dy = drawn(*y.shape, seed=1)
    gradients = op.backward(dy, saved)
    shared = ConvLinked(links, SIZES[dims], dims, 2, 1)
    others = shared.backward(dy, shared.forward(x, k, np.zeros(3))[1])
    assert_allclose(gradients["b"], dy[0] + dy[1])
    assert np.array_equal(gradients["x"], others["x"]) and np.array_equal(gradients["k"], others["k"])


def test_a_border_of_one_value():
    x = drawn(2, 3, 2, 4)
    y, saved = Pad((1, 2), -1.0).forward(x)
    assert np.array_equal(y, np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), constant_values=-1.0))
    dy = drawn(2, 3, 4, 8)
    assert np.array_equal(Pad((1, 2), -1.0).backward(dy, saved)["x"], dy[:, :, 1:3, 2:6])
    assert Pad(0).forward(x)[0].tolist() == x.tolist()


@pytest.mark.parametrize("many", [0, 2**13])
@pytest.mark.parametrize("batch", [1, 7, 8])
@pytest.mark.parametrize(
    ("shape", "layer", "gathers"),
    [
        ((6, 14, 14), Conv(16, 5), {1, 7}),
        ((1, 14, 14), Conv(20, 3, padding=1), {1, 7, 8}),
        ((16, 5, 5), Conv(120, 5), ()),
        ((16, 5, 5), Conv(120, 5, orientation="correlation", groups=4), ()),
        ((2, 9, 9), Conv(40, 5, dilation=2), ()),
        ((2, 9, 9), Conv(4, (3, 2), stride=(2, 1), dilation=(3, 1), groups=2), ()),
        ((2, 9, 7), Conv(4, 3, stride=(1, 2), dilation=(2, 3), padding=(2, 1)), ()),
        ((2, 8, 8), Conv(4, (2, 3), stride=(2, 4), padding=(1, 2), groups=2), ()),
        ((3, 9), Conv(4, 3, padding=1, dims=1), {1, 7, 8}),
        ((3, 9), Conv(4, 3, stride=2, dims=1), ()),
        ((2, 5, 4, 3), Conv(4, 2, groups=2, orientation="correlation", dims=3), {1, 7}),
    ],
)
def test_each_way_to_convolve_gives_the_same_numbers(batch, shape, layer, gathers, many, monkeypatch):
    monkeypatch.setattr("cnnframe_plugins.kernels._conv.MANY", many)
    monkeypatch.setattr("cnnframe_plugins.kernels._conv.NEAR", 1000)
    rng = np.random.default_rng(batch)
    shapes = {"x": (batch, *shape), **layer.parameter_shapes(layer.sizes({"x": (batch, *shape)}))}
    arrays = {name: rng.integers(-3, 4, size).astype(np.float32) for name, size in shapes.items()}
    kernel = ConvKernel(chain_of(layer, shapes, np.dtype(np.float32)), ROWS_FIRST, ROWS_FIRST)
    assert kernel.gathers == (batch in gathers) and (kernel.whole == (not many) or math.prod(shapes["k"]) > 2**13)
    fast = served(Conv, ConvKernel)(*(getattr(layer, field.name) for field in fields(layer)))
    (y, saved), (wanted, kept) = fast.forward(**arrays), layer.forward(**arrays)
    np.testing.assert_array_equal(y, wanted)
    dy = rng.integers(-3, 4, y.shape).astype(np.float32)
    found, right = fast.backward(dy, saved), layer.backward(dy, kept)
    assert found.keys() == right.keys()
    for name, gradient in found.items():
        np.testing.assert_array_equal(gradient, right[name])
