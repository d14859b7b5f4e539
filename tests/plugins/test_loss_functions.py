"""Losses against scipy.special, worked examples and exact values at saturated logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, log_expit, log_softmax, softmax, xlogy

from cnnframe import DataError
from cnnframe_plugins.losses import LogisticCrossEntropy, SoftmaxCrossEntropy, SquaredError


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


def test_squared_error_worked_by_hand():
    loss, saved = SquaredError().forward(np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[0.0, 4.0], [0.0, 2.0]]))
    assert loss == (1 + 4 + 0 + 9) / 2
    assert SquaredError().backward(np.float64(2.0), saved)["y"].tolist() == [[2.0, -4.0], [0.0, -6.0]]


def test_soft_targets_of_any_sum():
    z, t = drawn(3, 4), np.abs(drawn(4, 3)).T
    loss, saved = SoftmaxCrossEntropy().forward(z, t)
    assert_allclose(loss, -(t * log_softmax(z, axis=1)).sum(), rtol=1e-14)
    assert_allclose(SoftmaxCrossEntropy().backward(np.float64(1.0), saved)["z"], softmax(z, axis=1) * t.sum(axis=1, keepdims=True) - t, atol=1e-14)


def test_class_indices_are_one_of_c_targets():
    z, t = drawn(4, 3), np.array([2, 0, 1, 2])
    dense, saved = SoftmaxCrossEntropy().forward(z, np.eye(3)[t])
    index, saved_index = SoftmaxCrossEntropy("index").forward(z, t)
    assert_allclose(index, dense, rtol=1e-15)
    one = np.float64(1.5)
    assert_allclose(SoftmaxCrossEntropy("index").backward(one, saved_index)["z"], SoftmaxCrossEntropy().backward(one, saved)["z"], atol=1e-15)


def test_equal_logits_cost_log_c_each():
    assert SoftmaxCrossEntropy("index").forward(np.full((3, 4), 7.0), np.array([0, 1, 3]))[0] == pytest.approx(3 * math.log(4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("targets", ["dense", "index"])
def test_softmax_cross_entropy_of_saturated_logits(targets, dtype):
    z = np.array([[800, -800], [800, -800]], dtype=dtype)
    t = np.array([0, 1]) if targets == "index" else np.eye(2, dtype=dtype)
    loss_of = SoftmaxCrossEntropy(targets)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, saved = loss_of.forward(z, t)
        dz = loss_of.backward(dtype(1), saved)["z"]
    assert loss == 1600 and loss.dtype == dz.dtype == dtype
    assert dz.tolist() == [[0, 0], [1, -1]]


def test_a_tiny_loss_is_not_rounded_to_zero():
    loss, _ = SoftmaxCrossEntropy("index").forward(np.array([[50.0, 0.0]]), np.array([0]))
    assert_allclose(loss, math.log1p(math.exp(-50)), rtol=1e-14)
    loss, _ = LogisticCrossEntropy().forward(np.array([[50.0]]), np.array([[1.0]]))
    assert_allclose(loss, math.log1p(math.exp(-50)), rtol=1e-14)


@pytest.mark.parametrize(
    ("t", "told"),
    [
        (np.array([0, 3]), "from 0 to 2; got 3 at position 1"),
        (np.array([-1, 0]), "from 0 to 2; got -1 at position 0"),
        (np.array([0.0, 1.0]), "integers; got an array of float64"),
        (np.array([True, False]), "integers; got an array of bool"),
    ],
)
def test_class_indices_that_are_none_are_refused(t, told):
    with pytest.raises(DataError, match=told):
        SoftmaxCrossEntropy("index").forward(np.zeros((2, 3)), t)


def test_unsigned_class_indices():
    z, t = drawn(2, 3), np.array([2, 0], dtype=np.uint8)
    loss, saved = SoftmaxCrossEntropy("index").forward(z, t)
    assert_allclose(loss, -(log_softmax(z, axis=1)[[0, 1], [2, 0]]).sum(), rtol=1e-14)
    assert_allclose(SoftmaxCrossEntropy("index").backward(np.float64(1), saved)["z"].sum(axis=1), 0, atol=1e-15)


def test_logistic_cross_entropy_is_the_bernoulli_likelihood():
    z, t = 3 * drawn(3, 4), expit(drawn(4, 3)).T
    loss, saved = LogisticCrossEntropy().forward(z, t)
    assert_allclose(loss, -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum(), rtol=1e-14)
    assert_allclose(LogisticCrossEntropy().backward(np.float64(2), saved)["z"], 2 * (expit(z) - t), atol=1e-15)


def test_logistic_cross_entropy_is_least_where_the_probability_is_the_target():
    t = np.array([[0.125, 0.5, 0.875]])
    least, saved = LogisticCrossEntropy().forward(np.log(t / (1 - t)), t)
    assert_allclose(least, -(xlogy(t, t) + xlogy(1 - t, 1 - t)).sum(), rtol=1e-14)
    assert_allclose(LogisticCrossEntropy().backward(np.float64(1), saved)["z"], 0, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logistic_cross_entropy_of_saturated_logits(dtype):
    z = np.array([[800, -800], [800, -800]], dtype=dtype)
    t = np.array([[1, 0], [0, 1]], dtype=dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        loss, saved = LogisticCrossEntropy().forward(z, t)
        dz = LogisticCrossEntropy().backward(dtype(1), saved)["z"]
    assert loss == 1600 and loss.dtype == dz.dtype == dtype
    assert dz.tolist() == [[0, 0], [1, -1]]
