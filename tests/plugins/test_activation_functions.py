"""Activations against scipy.special and the paper, at ordinary and at saturating arguments."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from cnnframe._served import served
from cnnframe_plugins.activations import Identity, LeakyReLU, Logistic, ReLU, ScaledTanh, Softplus
from cnnframe_plugins.kernels._pointwise import PointwiseKernel
from cnnframe_plugins.softmax import Softmax

X = np.linspace(-6, 6, 25)


def slope(activation, x):
    return activation.df(x, activation.f(x))


def test_logistic_is_the_papers():
    assert_allclose(Logistic(2.5).f(X), 1 / (1 + np.exp(-2.5 * X)), rtol=1e-14)
    assert_allclose(slope(Logistic(2.5), X), 2.5 * expit(2.5 * X) * expit(-2.5 * X), rtol=1e-9)
    assert Logistic().f(np.zeros(1)).tolist() == [0.5]


def test_logistic_is_half_a_tanh_shifted():
    assert_allclose(Logistic(3.0).f(X), 0.5 + 0.5 * np.tanh(1.5 * X), atol=1e-15)


def test_scaled_tanh_meets_one_at_one():
    assert_allclose(ScaledTanh().f(np.array([1.0, -1.0])), [1, -1], atol=3e-6)
    assert_allclose(slope(ScaledTanh(2.0, 3.0), X), 6 / np.cosh(3 * X) ** 2, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_are_never_negative(dtype):
    x = np.linspace(-40, 40, 4001, dtype=dtype)
    for a in np.linspace(0.5, 9.5, 91).tolist():
        assert (slope(ScaledTanh(a, 2 / 3), x) >= 0).all()
        assert (slope(Logistic(a), x) >= 0).all()


def test_softplus_and_its_slope():
    assert_allclose(Softplus().f(X), np.log1p(np.exp(X)), rtol=1e-14)
    assert_allclose(slope(Softplus(), X), expit(X), rtol=1e-15)
    assert_allclose(Softplus().f(X) - Softplus().f(-X), X, atol=1e-14)


def test_rectifiers_and_their_slope_at_zero():
    x = np.array([-2.0, 0.0, 3.0])
    assert ReLU().f(x).tolist() == [0.0, 0.0, 3.0]
    assert slope(ReLU(), x).tolist() == [0.0, 0.0, 1.0]
    assert LeakyReLU(0.25).f(x).tolist() == [-0.5, 0.0, 3.0]
    assert slope(LeakyReLU(0.25), x).tolist() == [0.25, 0.25, 1.0]


def test_identity_copies():
    y = Identity().f(X)
    assert y.tolist() == X.tolist() and not np.shares_memory(y, X)
    assert slope(Identity(), X).tolist() == [1.0] * len(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("activation", "values", "slopes"),
    [
        (Logistic(), [0, 1], [0, 0]),
        (Logistic(2.0), [0, 1], [0, 0]),
        (ScaledTanh(1.0, 1.0), [-1, 1], [0, 0]),
        (Softplus(), [0, 800], [0, 1]),
        (ReLU(), [0, 800], [0, 1]),
        (LeakyReLU(0.5), [-400, 800], [0.5, 1]),
        (Identity(), [-800, 800], [1, 1]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_saturated_arguments(activation, values, slopes, dtype):
    x = np.array([-800, 800], dtype=dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, saved = activation.forward(x)
        dx = activation.backward(np.ones_like(x), saved)["x"]
    assert y.tolist() == values and dx.tolist() == slopes
    assert y.dtype == dx.dtype == dtype


@pytest.mark.parametrize("activation", [Logistic(), ScaledTanh(), Softplus(), ReLU(), LeakyReLU(), Identity()], ids=lambda a: a.name)
def test_nan_comes_out(activation):
    assert np.isnan(activation.f(np.array([np.nan]))).all()


def test_softmax_rows_sum_to_one_and_shifts_change_nothing():
    x = np.random.default_rng(0).normal(size=(4, 5))
    y, _ = Softmax().forward(x)
    assert_allclose(y.sum(axis=1), 1, atol=1e-15)
    assert_allclose(y, np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-14)
    assert_allclose(Softmax().forward(x + 700.0)[0], y, rtol=1e-12)


def test_softmax_pulls_back_through_equation_8():
    """d alpha_k / d c_i = [k = i] alpha_i - alpha_i alpha_k."""
    x, dy = np.random.default_rng(1).normal(size=(2, 3, 4))
    y, saved = Softmax().forward(x)
    jacobian = [np.diag(row) - np.outer(row, row) for row in y]
    assert_allclose(Softmax().backward(dy, saved)["x"], np.einsum("nk,nki->ni", dy, np.array(jacobian)), atol=1e-15)


def test_softmax_of_saturated_logits():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, saved = Softmax().forward(np.array([[800.0, -800.0, -800.0], [-800.0, -800.0, -800.0]]))
        dx = Softmax().backward(np.array([[1.0, 2.0, 3.0], [3.0, 0.0, 0.0]]), saved)["x"]
    assert_allclose(y, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)
    assert_allclose(dx, [[0, 0, 0], [2 / 3, -1 / 3, -1 / 3]], rtol=1e-15)


@pytest.mark.parametrize("activation", [Logistic(), Logistic(0.25), ScaledTanh()])
def test_kernels_of_smooth_activations_take_complex_numbers(activation):
    """A magnitude in place of a sign would hide the derivative from whoever looks for it by a small imaginary part."""
    x = np.array([[-30.0, -2.0, -0.5, 0.25, 3.0, 30.0]])
    fast = served(type(activation), PointwiseKernel)(*(getattr(activation, field.name) for field in fields(activation)))
    y, _ = fast.forward(x=x + 1e-30j)
    assert_allclose(y.real, activation.f(x), rtol=1e-14)
    assert_allclose(y.imag / 1e-30, slope(activation, x), rtol=1e-9, atol=1e-14)
