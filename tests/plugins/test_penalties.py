"""Penalties: worked examples, section 3.3.1, and the finding that its penalty is a constant."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax
from scipy.stats import entropy

from cnnframe_plugins.regularizers import L1, L2, AlphaEntropy, AlphaL1, AlphaPower, AlphaSquare

ALPHA = [AlphaL1(0.5), AlphaSquare(0.5), AlphaEntropy(0.5), AlphaPower(0.5, 0.25)]
NAMES = [penalty.name for penalty in ALPHA]
ONE = np.float64(1)
C = np.random.default_rng(0).normal(size=(4, 3))


def test_l1_and_l2_worked_by_hand():
    w = np.array([[3.0, -4.0], [0.0, 1.0]])
    value, saved = L1(0.5).forward(w)
    assert value == 4.0
    assert L1(0.5).backward(2 * ONE, saved)["w"].tolist() == [[1.0, -1.0], [0.0, 1.0]]
    value, saved = L2(0.5).forward(w)
    assert value == 0.25 * 26
    assert L2(0.5).backward(2 * ONE, saved)["w"].tolist() == [[3.0, -4.0], [0.0, 1.0]]


def test_the_papers_penalty_is_a_constant():
    """Equation 11 under the softmax: strength times the number of output maps, whatever c is."""
    for c in (C, 0 * C, 200 * C):
        value, saved = AlphaL1(0.5).forward(c)
        assert value == pytest.approx(1.5)
        assert_allclose(AlphaL1(0.5).backward(ONE, saved)["c"], 0, atol=1e-16)


def test_penalties_that_act_against_scipy():
    alpha = softmax(C, axis=0)
    assert AlphaSquare(0.5).forward(C)[0] == pytest.approx(-0.5 * (alpha**2).sum())
    assert AlphaEntropy(0.5).forward(C)[0] == pytest.approx(0.5 * entropy(alpha).sum())
    assert AlphaPower(0.5, 0.25).forward(C)[0] == pytest.approx(0.5 * (alpha**0.25).sum())


@pytest.mark.parametrize("penalty", ALPHA, ids=NAMES)
def test_gradient_is_the_chain_of_equation_13(penalty):
    """d/dc_i = sum over k of (d/dalpha_k) ([k = i] alpha_i - alpha_i alpha_k), for each output map."""
    alpha = softmax(C, axis=0)
    outer = {
        "alpha_l1": np.sign(alpha),
        "alpha_square": -2 * alpha,
        "alpha_entropy": -np.log(alpha) - 1,
        "alpha_power": 0.25 * alpha**-0.75,
    }[penalty.name]
    want = [(np.diag(a) - np.outer(a, a)) @ g for a, g in zip(alpha.T, 0.5 * outer.T, strict=True)]
    _, saved = penalty.forward(C)
    assert_allclose(penalty.backward(3 * ONE, saved)["c"], 3 * np.array(want).T, atol=1e-14)


@pytest.mark.parametrize("penalty", ALPHA[1:], ids=NAMES[1:])
def test_penalties_that_act_are_least_for_one_map_alone(penalty):
    alone, spread = np.array([[50.0], [0.0], [0.0]]), np.zeros((3, 1))
    assert penalty.forward(alone)[0] < penalty.forward(np.array([[1.0], [0.0], [0.0]]))[0] < penalty.forward(spread)[0]


@pytest.mark.parametrize("penalty", ALPHA, ids=NAMES)
def test_shifts_of_a_column_change_nothing(penalty):
    assert penalty.forward(C + np.array([5.0, -3.0, 100.0]))[0] == pytest.approx(penalty.forward(C)[0], rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("penalty", "want"), list(zip(ALPHA, [1.0, -1.0, 0.0, 1.0], strict=True)), ids=NAMES)
def test_saturated_weights(penalty, want, dtype):
    c = np.array([[800, -800], [-800, 800]], dtype=dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, saved = penalty.forward(c)
        dc = penalty.backward(dtype(1), saved)["c"]
    assert value == want
    assert_allclose(dc, 0, atol=1e-170)
    assert value.dtype == dc.dtype == dtype


def test_the_power_sees_weights_that_underflow():
    """alpha = exp(-1000) is 0 in float64, its square root exp(-500) is not."""
    value, _ = AlphaPower(1.0, 0.5).forward(np.array([[0.0], [-1000.0]]))
    _, saved = AlphaPower(1.0, 0.5).forward(np.array([[0.0], [-1000.0]]))
    assert value == 1.0
    assert_allclose(AlphaPower(1.0, 0.5).backward(ONE, saved)["c"][1], 0.5 * np.exp(-500.0), rtol=1e-10)


@pytest.mark.parametrize("penalty", ALPHA, ids=NAMES)
def test_they_are_for_mixing_weights(penalty):
    assert penalty.role == "mixing"
    assert L1.role == L2.role == "weight"
