"""The computed bounds: honest code stays within them, and a small error in one entry does not."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

import cnnframe as cf
from cnnframe_derivations._numbers import DIGITS, Digits, Floats
from cnnframe_derivations._rounding import Rounded, Rounding
from cnnframe_derivations.suite._cases import Case
from cnnframe_derivations.suite._oracle import UNIT, Oracle

OPS = cf.load()


def test_a_sum_in_any_order_stays_within_its_bound():
    rng = np.random.default_rng(0)
    system = Rounding(53)
    for size in (2, 10, 300):
        values = rng.normal(size=size) * 10.0 ** rng.integers(-8, 8, size)
        places = np.zeros(size, dtype=int)
        total = system.scatter((1,), [(places, system.array(values))])
        exact = sum(Fraction(v) for v in values)
        for _ in range(50):
            computed = 0.0
            for value in rng.permutation(values):
                computed += value
            assert abs(Fraction(computed) - exact) <= Fraction(UNIT["float64"]) * Fraction(float(total.error[0]))


def test_integers_beyond_the_precision_are_not_called_exact():
    whole = np.array([2.0**13, 3.0])
    for digits, exact in ((24, False), (53, True)):
        system = Rounding(digits)
        product = system.multiply([system.array(whole), system.array(whole)])
        assert bool(product.error[0] == 0) is exact
        assert product.error[1] == 0


def test_cancellation_widens_the_bound_and_not_the_value():
    system = Rounding(53)
    big = system.multiply([system.array(np.array([1e8])), system.array(np.array([1.1]))])
    difference = system.add([big, Rounded(-big.value, big.error)])
    assert difference.value[0] == 0
    assert difference.error[0] >= 2e8


def test_integers_are_exact_until_they_meet_a_fraction():
    system = Rounding(53)
    whole = system.array(np.array([3.0, -4.0]))
    assert not system.multiply([whole, whole]).error.any()
    assert not system.add([whole, whole]).error.any()
    assert system.multiply([whole, system.array(np.array([0.1, 0.1]))]).error.all()


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "cos", "Logistic", "Softplus"])
def test_functions_agree_in_floats_and_digits_within_the_bound(name):
    x = np.array([0.1, 0.5, 1.0, 2.0, 7.5])
    rounded = Rounding(53).function(name, Rounding(53).array(x))
    with mpmath.workdps(DIGITS):
        digits = Digits().function(name, Digits().array(x))
        exact = np.array([float(v) for v in digits])
    assert np.all(np.abs(Floats().function(name, x) - exact) <= UNIT["float64"] * (rounded.error + np.abs(exact)))


def test_logistic_and_softplus_are_right_far_out():
    for x, y in ((-800.0, 0.0), (800.0, 1.0)):
        assert Floats().function("Logistic", np.array([x]))[0] == y
    assert Floats().function("Softplus", np.array([800.0]))[0] == 800.0
    with mpmath.workdps(DIGITS):
        far = Digits().function("Logistic", Digits().array(np.array([-800.0])))[0]
        assert abs(far / mpmath.exp(-800) - 1) < 1e-30


def test_an_ambiguous_comparison_is_noted():
    system = Rounding(53)
    third = system.multiply([system.array(np.array([1.1])), system.array(np.array([3.0]))])
    system.compare("StrictGreaterThan", third, system.array(np.array([3.3])))
    assert system.ambiguous
    clear = Rounding(53)
    clear.compare("StrictGreaterThan", clear.array(np.array([0.0])), clear.array(np.array([0.0])))
    assert not clear.ambiguous


@pytest.mark.parametrize(("name", "hyper"), [("softmax", {}), ("scaled_tanh", {}), ("batch_norm", {"dims": 1}), ("combine", {"maps": 2, "size": 1, "dims": 1})])
def test_the_bound_would_show_a_relative_error_of_one_in_1e11(name, hyper):
    """The power of the bounded evidence, in numbers: entries that are not small by cancellation cannot be off by 1e-11 of themselves."""
    op = OPS.make(name, **hyper)
    known = {**op.declaration.known, "n": 3, "i": 2, "c": 3, "h0": 3, "...": (2, 3)}
    oracle = Oracle(Case(op, known, "float64", "C", "real", 5))
    for truth in [*oracle.forward.values(), *oracle.gradients.values()]:
        seen = np.abs(truth.value) > 0.1
        assert seen.any()
        assert np.all(truth.bound[seen] < 1e-11 * np.abs(truth.value[seen]))


def test_a_miss_is_the_entry_farthest_outside():
    op = OPS.make("scaled_tanh")
    oracle = Oracle(Case(op, {"...": (4,)}, "float64", "C", "real", 1))
    truth = oracle.forward["y"]
    assert truth.first_miss(truth.value) is None
    off = truth.value.copy()
    off[1] += 1e-13
    off[2] += 1e-9
    assert truth.first_miss(off) == (2,)
    off[3] = np.nan
    assert truth.first_miss(off) == (3,)
