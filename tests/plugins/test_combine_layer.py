"""Learned combinations of maps: SciPy, the softmax of section 3.3, and sparsemax worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.signal import convolve
from scipy.special import softmax

from cnnframe_plugins._simplex import sparsemax
from cnnframe_plugins.combine import Combine


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize(("maps", "size"), [((6,), (3,)), ((4, 5), (2, 3)), ((3, 4, 2), (1, 2, 2))])
def test_output_is_the_weighted_sum_of_convolutions(maps, size):
    x, k, c, b = drawn(2, 3, *maps), drawn(3, *size), drawn(3, 2), drawn(2)
    y, _ = Combine(2, size, len(size)).forward(x, k, c, b)
    alpha = softmax(c, axis=0)
    want = [[sum(alpha[i, j] * convolve(one[i], k[i], "valid", "direct") for i in range(3)) + b[j] for j in range(2)] for one in x]
    assert_allclose(y, want, atol=1e-12)


def test_gradients_by_the_equations_of_section_3_3():
    """dE/dalpha and equation 10 as printed; the kernels are shared, so theirs sum over the output maps."""
    x, k, c, b, dy = drawn(2, 3, 4, 5), drawn(3, 2, 2), drawn(3, 4), drawn(4), drawn(2, 4, 3, 4)
    layer = Combine(4, 2)
    _, saved = layer.forward(x, k, c, b)
    got = layer.backward(dy, saved)
    alpha = softmax(c, axis=0)
    dalpha = np.array([[sum((dy[n, j] * convolve(x[n, i], k[i], "valid")).sum() for n in range(2)) for j in range(4)] for i in range(3)])
    assert_allclose(got["c"], alpha * (dalpha - (dalpha * alpha).sum(axis=0)), atol=1e-12)
    mixed = np.einsum("ij,njuv->niuv", alpha, dy)
    dk = [sum(np.rot90(convolve(x[n, i], np.rot90(mixed[n, i], 2), "valid"), 2) for n in range(2)) for i in range(3)]
    dx = [[convolve(mixed[n, i], np.rot90(k[i], 2), "full") for i in range(3)] for n in range(2)]
    assert_allclose(got["k"], dk, atol=1e-12)
    assert_allclose(got["x"], dx, atol=1e-12)
    assert_allclose(got["b"], dy.sum(axis=(0, 2, 3)), atol=1e-12)


def ones_through(weights: str, c: np.ndarray) -> np.ndarray:
    """Maps of one entry, 1 in map i for pattern i: the output is alpha."""
    count = len(c)
    x = np.eye(count, dtype=c.dtype).reshape(count, count, 1, 1)
    k = np.ones((count, 1, 1), dtype=c.dtype)
    y, _ = Combine(c.shape[1], 1, weights=weights).forward(x, k, c, np.zeros(c.shape[1], dtype=c.dtype))
    return y[:, :, 0, 0]


@pytest.mark.parametrize("weights", ["softmax", "sparsemax"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 800.0])
def test_weights_are_on_the_simplex_and_shifts_change_nothing(weights, scale):
    c = scale * drawn(5, 4)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        alpha = ones_through(weights, c)
        shifted = ones_through(weights, c + 3.0)
    assert (alpha >= 0).all()
    assert_allclose(alpha.sum(axis=0), 1, atol=1e-14)
    assert_allclose(shifted, alpha, atol=1e-12)


@pytest.mark.parametrize("weights", ["softmax", "sparsemax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_weights_choose_one_map(weights, dtype):
    alpha = ones_through(weights, np.array([[800.0, -800.0], [-800.0, 800.0]], dtype=dtype))
    assert alpha.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert alpha.dtype == dtype


@pytest.mark.parametrize(
    ("column", "alpha"),
    [
        ([0.0, 0.0], [0.5, 0.5]),
        ([0.5, 0.0], [0.75, 0.25]),
        ([1.0, 0.0], [1.0, 0.0]),
        ([9.0, 0.0, 3.0], [1.0, 0.0, 0.0]),
        ([0.0, 0.5, 0.5, -2.0], [0.0, 0.5, 0.5, 0.0]),
        ([0.25, 0.5, 0.75], [1 / 12, 1 / 3, 7 / 12]),
        ([4.0], [1.0]),
    ],
)
def test_sparsemax_worked_by_hand(column, alpha):
    assert_allclose(sparsemax(np.array(column)[:, np.newaxis])[:, 0], alpha, atol=1e-15)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    c = drawn(4, 3)
    for j, column in enumerate(c.T):
        nearest = minimize(
            lambda p, column=column: ((p - column) ** 2).sum(),
            np.full(4, 0.25),
            jac=lambda p, column=column: 2 * (p - column),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones(4)},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        assert_allclose(sparsemax(c)[:, j], nearest.x, atol=1e-6)


def test_sparsemax_gives_no_gradient_to_a_map_that_is_out():
    x, k, c = drawn(2, 3, 3, 3), drawn(3, 2, 2), np.array([[0.5, 5.0], [0.0, 0.0], [-3.0, 1.0]])
    layer = Combine(2, 2, weights="sparsemax")
    _, saved = layer.forward(x, k, c, np.zeros(2))
    dc = layer.backward(drawn(2, 2, 2, 2), saved)["c"]
    assert (dc != 0).tolist() == [[True, False], [True, False], [False, False]]
    assert_allclose(dc.sum(axis=0), 0, atol=1e-14)
