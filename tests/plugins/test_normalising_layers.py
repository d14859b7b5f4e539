"""Scaling, fixed and batch normalisation, dropout."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cnnframe import HyperparameterError
from cnnframe_plugins.batch_norm import BatchNorm, BatchNormGiven
from cnnframe_plugins.dropout import Dropout
from cnnframe_plugins.scaling import Normalise, ScaleShift
from cnnframe_plugins.subsample import Subsample

MAPS = [(), (4,), (3, 2), (2, 3, 2)]


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize("maps", MAPS)
def test_each_map_is_scaled_and_shifted_by_its_own(maps):
    x, gain, shift = drawn(2, 3, *maps), drawn(3), drawn(3)
    y, _ = ScaleShift(len(maps)).forward(x, gain, shift)
    for i in range(3):
        assert_allclose(y[:, i], gain[i] * x[:, i] + shift[i], atol=1e-15)


def test_scale_shift_is_subsample_with_blocks_of_one():
    x, gain, shift, dy = drawn(2, 3, 3, 2), drawn(3), drawn(3), drawn(2, 3, 3, 2)
    scaled, saved = ScaleShift().forward(x, gain, shift)
    summed, saved_sub = Subsample(1).forward(x, gain, shift)
    assert_allclose(scaled, summed, atol=1e-15)
    got, want = ScaleShift().backward(dy, saved), Subsample(1).backward(dy, saved_sub)
    for mine, theirs in (("x", "x"), ("gain", "beta"), ("shift", "b")):
        assert_allclose(got[mine], want[theirs], atol=1e-14)


def test_normalise_worked_by_hand():
    y, saved = Normalise(mean=2.0, std=4.0).forward(np.array([2.0, 10.0, -2.0]))
    assert y.tolist() == [0.0, 2.0, -1.0]
    assert Normalise(2.0, 4.0).backward(np.array([1.0, 2.0, -8.0]), saved)["x"].tolist() == [0.25, 0.5, -2.0]


def test_normalise_refuses_a_deviation_of_zero():
    with pytest.raises(HyperparameterError, match="std"):
        Normalise(0.0, 0.0)


@pytest.mark.parametrize("maps", MAPS)
def test_batch_norm_is_the_mean_and_variance_of_numpy(maps):
    x = 3 + 2 * drawn(4, 3, *maps)
    axes = (0, *range(2, 2 + len(maps)))
    y, _ = BatchNorm(epsilon=0.25, dims=len(maps)).forward(x)
    assert_allclose(y["mean"], x.mean(axis=axes), atol=1e-13)
    assert_allclose(y["variance"], x.var(axis=axes), atol=1e-13)
    want = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 0.25)
    assert_allclose(y["y"], want, atol=1e-13)


def test_a_normalised_map_has_mean_zero_and_variance_one():
    y, _ = BatchNorm(epsilon=1e-12).forward(5 + 3 * drawn(4, 2, 3, 3))
    assert_allclose(y["y"].mean(axis=(0, 2, 3)), 0, atol=1e-13)
    assert_allclose(y["y"].var(axis=(0, 2, 3)), 1, atol=1e-10)


def test_a_constant_map_gives_zero_and_finite_gradients():
    y, saved = BatchNorm().forward(np.full((2, 1, 2, 2), 7.0))
    assert not y["y"].any() and y["mean"] == 7.0 and y["variance"] == 0.0
    dx = BatchNorm().backward({"y": drawn(2, 1, 2, 2), "mean": drawn(1), "variance": drawn(1)}, saved)["x"]
    assert np.isfinite(dx).all()


def test_gradients_through_mean_and_variance_worked_by_hand():
    """x = (1, 3, 8): mean 4, variance 26/3; d mean = 1/3, d variance = 2 (x - 4) / 3."""
    _, saved = BatchNorm(dims=0).forward(np.array([[1.0], [3.0], [8.0]]))
    nothing = {"y": np.zeros((3, 1)), "mean": np.zeros(1), "variance": np.zeros(1)}
    assert_allclose(BatchNorm(dims=0).backward({**nothing, "mean": np.array([6.0])}, saved)["x"], [[2.0], [2.0], [2.0]])
    assert_allclose(BatchNorm(dims=0).backward({**nothing, "variance": np.array([3.0])}, saved)["x"], [[-6.0], [-2.0], [8.0]])


def test_the_gradient_ignores_shift_and_scale_of_the_map():
    """y does not change when a map is shifted, nor (but for epsilon) scaled: its gradient is orthogonal to both."""
    x = drawn(5, 2, 3, 2)
    _, saved = BatchNorm(epsilon=1e-14).forward(x)
    dx = BatchNorm(epsilon=1e-14).backward({"y": drawn(5, 2, 3, 2)[::-1], "mean": np.zeros(2), "variance": np.zeros(2)}, saved)["x"]
    assert np.abs(dx).max() > 0.1
    assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-12)
    assert_allclose((dx * x).sum(axis=(0, 2, 3)), 0, atol=1e-12)


def test_an_empty_batch_has_statistics_of_zero():
    y, saved = BatchNorm().forward(np.zeros((0, 2, 3, 3)))
    assert y["y"].shape == (0, 2, 3, 3)
    assert y["mean"].tolist() == y["variance"].tolist() == [0.0, 0.0]
    dx = BatchNorm().backward({"y": np.zeros((0, 2, 3, 3)), "mean": np.ones(2), "variance": np.ones(2)}, saved)["x"]
    assert dx.shape == (0, 2, 3, 3)


@pytest.mark.parametrize("maps", MAPS)
def test_given_the_statistics_of_the_batch_it_is_batch_norm(maps):
    x = drawn(3, 2, *maps)
    y, _ = BatchNorm(dims=len(maps)).forward(x)
    given, saved = BatchNormGiven(len(maps)).forward(x, y["mean"], 1 / np.sqrt(y["variance"] + 1e-5))
    assert_allclose(given, y["y"], atol=1e-13)
    dx = BatchNormGiven(len(maps)).backward(np.ones_like(x), saved)["x"]
    for i in range(2):
        assert_allclose(dx[:, i], 1 / np.sqrt(y["variance"][i] + 1e-5))


def test_dropout_worked_by_hand():
    x, u = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.75, 0.25, 0.2])
    y, saved = Dropout(0.25).forward(x, u)
    assert_allclose(y, [0, 2 / 0.75, 3 / 0.75, 0])
    assert_allclose(Dropout(0.25).backward(np.array([1.0, 3.0, -3.0, 1.0]), saved)["x"], [0, 4, -4, 0])


def test_dropout_keeps_the_mean():
    u = (np.arange(1000) + 0.5) / 1000
    y, _ = Dropout(0.3).forward(np.ones(1000), u)
    assert y.mean() == pytest.approx(1, abs=1e-12)
    assert np.count_nonzero(y) == 700


def test_dropout_at_rate_zero_and_in_evaluation_is_the_identity():
    x = drawn(3, 4)
    assert_array_equal(Dropout(0.0).forward(x, np.zeros((3, 4)))[0], x)
    assert_array_equal(Dropout(0.5).for_evaluation().forward(x)[0], x)


@pytest.mark.parametrize("rate", [1.0, -0.1])
def test_dropout_refuses_rates_outside_its_bounds(rate):
    with pytest.raises(HyperparameterError, match="rate"):
        Dropout(rate)
