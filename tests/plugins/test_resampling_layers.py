"""Subsampling, decimation, upsampling and pooling: the paper's statements, NumPy's kron, and worked examples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import convolve

from cnnframe import ShapeError
from cnnframe_plugins.pooling import MaxPool, MeanPool
from cnnframe_plugins.subsample import Decimate, Subsample, Upsample

BLOCKS = {1: (3,), 2: (2, 3), 3: (2, 1, 3)}
MAPS = {1: (6,), 2: (4, 6), 3: (4, 2, 3)}


def whole(*shape: int) -> np.ndarray:
    """Whole numbers, so that sums are exact in any order."""
    return np.random.default_rng(shape).integers(-9, 10, shape).astype(float)


def test_subsample_worked_by_hand():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y, saved = Subsample(2).forward(x, np.array([2.0]), np.array([1.0]))
    assert y.tolist() == [[[[21.0, 37.0], [85.0, 101.0]]]]
    got = Subsample(2).backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), saved)
    assert got["x"].tolist() == [[[[2.0, 2.0, 4.0, 4.0], [2.0, 2.0, 4.0, 4.0], [6.0, 6.0, 8.0, 8.0], [6.0, 6.0, 8.0, 8.0]]]]
    assert got["beta"].tolist() == [10.0 + 2 * 18.0 + 3 * 42.0 + 4 * 50.0]
    assert got["b"].tolist() == [10.0]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_block_sums_are_a_ones_convolution_then_every_nth(dims):
    """Section 3.4: convolve with ones, then index 1:n:end."""
    x, size = whole(2, 3, *MAPS[dims]), BLOCKS[dims]
    y, _ = Subsample(size, dims).forward(x, np.ones(3), np.zeros(3))
    every = tuple(slice(None, None, s) for s in size)
    assert_array_equal(y, [[convolve(m, np.ones(size), "valid", "direct")[every] for m in maps] for maps in x])


def test_each_map_has_its_own_beta_and_b():
    x = whole(2, 3, 4, 4)
    beta, b = np.array([2.0, -1.0, 0.0]), np.array([1.0, 5.0, -3.0])
    plain, _ = Subsample(2).forward(x, np.ones(3), np.zeros(3))
    y, _ = Subsample(2).forward(x, beta, b)
    for j in range(3):
        assert_array_equal(y[:, j], beta[j] * plain[:, j] + b[j])


def test_a_map_that_is_no_whole_number_of_blocks_is_refused():
    with pytest.raises(ShapeError, match="axis 3 must be size1"):
        Subsample(2).sizes({"x": (1, 1, 4, 5)})


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_upsample_is_the_kronecker_product(dims):
    x, size = whole(2, 3, *MAPS[dims]), BLOCKS[dims]
    y, _ = Upsample(size, dims).forward(x)
    assert_array_equal(y, [[np.kron(m, np.ones(size)) for m in maps] for maps in x])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_up_and_down_are_adjoint(dims):
    """<down(x), y> = <x, up(y)>: why section 3.1.1 upsamples the sensitivities."""
    size, small = BLOCKS[dims], whole(2, 3, *MAPS[dims])
    large = whole(2, 3, *(m * s for m, s in zip(MAPS[dims], size, strict=True)))
    summed, _ = Subsample(size, dims).forward(large, np.ones(3), np.zeros(3))
    tiled, _ = Upsample(size, dims).forward(small)
    assert (summed * small).sum() == (large * tiled).sum()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_decimate_keeps_every_nth_sample(dims):
    x, stride = whole(2, 3, *MAPS[dims]), (2, 4, 1)[:dims]
    y, saved = Decimate(stride, dims).forward(x)
    every = (..., *(slice(None, None, s) for s in stride))
    assert_array_equal(y, x[every])
    dx = Decimate(stride, dims).backward(y, saved)["x"]
    assert_array_equal(dx[every], y)
    assert np.count_nonzero(dx) == np.count_nonzero(y)


def test_decimating_by_one_copies():
    x = whole(1, 1, 2, 2)
    assert not np.shares_memory(Decimate(1).forward(x)[0], x)


def windows(x, size, stride):
    """Every whole window of each map, by loops: (..., *output) of flat windows."""
    output = [(m - s) // t + 1 for m, s, t in zip(x.shape[2:], size, stride, strict=True)]
    found = np.empty((*x.shape[:2], *output, int(np.prod(size))))
    for u in np.ndindex(*output):
        cut = tuple(slice(v * t, v * t + s) for v, t, s in zip(u, stride, size, strict=True))
        found[(slice(None), slice(None), *u)] = x[(slice(None), slice(None), *cut)].reshape(*x.shape[:2], -1)
    return found


@pytest.mark.parametrize(("size", "stride"), [((3,), (2,)), ((2, 3), (1, 4)), ((2, 2), (3, 1)), ((2, 1, 2), (1, 2, 1))])
def test_pools_are_the_mean_and_the_maximum_of_each_window(size, stride):
    dims = len(size)
    x = whole(2, 3, *(7, 8, 4)[:dims])
    found = windows(x, size, stride)
    assert_allclose(MeanPool(size, stride, dims).forward(x)[0], found.mean(axis=-1), rtol=1e-15, atol=1e-15)
    assert_array_equal(MaxPool(size, stride, dims).forward(x)[0], found.max(axis=-1))


def test_mean_pool_is_subsample_with_beta_one_over_the_area():
    x = whole(2, 3, 4, 6)
    pooled, _ = MeanPool((2, 3), (2, 3)).forward(x)
    assert_allclose(pooled, Subsample((2, 3)).forward(x, np.full(3, 1 / 6), np.zeros(3))[0], atol=1e-14)


def test_overlapping_windows_add_their_gradients():
    layer = MeanPool(2, 1, dims=1)
    _, saved = layer.forward(np.zeros((1, 1, 3)))
    assert layer.backward(np.array([[[2.0, 4.0]]]), saved)["x"].tolist() == [[[1.0, 3.0, 2.0]]]
    layer = MaxPool(2, 1, dims=1)
    _, saved = layer.forward(np.array([[[1.0, 5.0, 2.0]]]))
    assert layer.backward(np.array([[[2.0, 4.0]]]), saved)["x"].tolist() == [[[0.0, 6.0, 0.0]]]


@pytest.mark.parametrize("layer", [MeanPool(2, 2), MaxPool(2, 2)])
def test_leftover_rows_and_columns_are_not_read(layer):
    x = np.ones((1, 1, 5, 3))
    x[..., 4, :] = x[..., :, 2] = np.nan
    y, saved = layer.forward(x)
    assert y.tolist() == [[[[1.0], [1.0]]]]
    dx = layer.backward(np.ones_like(y), saved)["x"]
    assert not dx[..., 4, :].any() and not dx[..., 2].any()


def test_of_equal_maxima_the_first_row_by_row_gets_the_gradient():
    x = np.array([[[[0.0, 7.0], [7.0, 7.0]], [[-0.0, 0.0], [0.0, 0.0]]]])
    _, saved = MaxPool(2, 2).forward(x)
    dx = MaxPool(2, 2).backward(np.array([[[[3.0]], [[4.0]]]]), saved)["x"]
    assert dx.tolist() == [[[[0.0, 3.0], [0.0, 0.0]], [[4.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("place", range(4))
def test_a_nan_in_a_window_comes_out(place):
    x = np.array([1.0, 4.0, 2.0, np.inf])
    x[place] = np.nan
    y, saved = MaxPool(4, 4, dims=1).forward(x.reshape(1, 1, 4))
    assert np.isnan(y).all()
    assert np.flatnonzero(MaxPool(4, 4, dims=1).backward(np.ones((1, 1, 1)), saved)["x"]).tolist() == [place]


def test_a_maximum_of_minus_infinity():
    y, saved = MaxPool(2, 2, dims=1).forward(np.full((1, 1, 2), -np.inf))
    assert y.tolist() == [[[-np.inf]]]
    assert MaxPool(2, 2, dims=1).backward(np.ones((1, 1, 1)), saved)["x"].tolist() == [[[1.0, 0.0]]]


def test_a_window_of_more_than_256_entries():
    x = np.zeros((1, 1, 20, 20))
    x[0, 0, 18, 17] = 1.0
    _, saved = MaxPool(20, 1).forward(x)
    assert_array_equal(MaxPool(20, 1).backward(np.ones((1, 1, 1, 1)), saved)["x"], x)
