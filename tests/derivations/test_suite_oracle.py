"""What is right at a case, and how far off code may be."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp
from suite_parts import (
    ANY,
    OPS,
    at,
    case,
    pointwise,
)

from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import exp, when
from cnnframe_derivations._numbers import Digits
from cnnframe_derivations._rounding import Rounded
from cnnframe_derivations.suite._cases import DTYPES
from cnnframe_derivations.suite._coverage import sample
from cnnframe_derivations.suite._oracle import ROUTES, TINY, UNIT, Oracle, Truth
from cnnframe_derivations.suite._values import FINE, LATTICES, PRECISION
from cnnframe_derivations.suite._verdict import OraclesDisagree, Skip


def test_units_are_those_of_the_element_types():
    for dtype in DTYPES:
        limits = np.finfo(dtype)
        assert UNIT[dtype] == limits.eps / 2 and TINY[dtype] == limits.smallest_normal
        assert 2.0 ** -PRECISION[dtype] == UNIT[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_allow_some_units_and_no_more(dtype):
    """The identity and a product, whose errors are known: 16 routes, and the rounding of the answer."""
    for cls, errors in ((pointwise("same", expr=lambda x: x), 0), (pointwise("squared", expr=lambda x: x * x), 4)):
        oracle = Oracle(case(cls(), {ELLIPSIS: (6,)}, dtype, lattice="real"))
        truth = oracle.forward["y"]
        assert not oracle.exact
        np.testing.assert_allclose(truth.bound, UNIT[dtype] * (ROUTES * errors + 2) * np.abs(truth.value) + ROUTES * TINY[dtype], rtol=1e-12)
        assert truth.bound.shape == truth.value.shape == oracle.gradients["x"].value.shape
    expected = ROUTES * UNIT[dtype] * np.sum(np.abs(oracle.cotangents["y"]) * 4 * oracle.arrays["x"] ** 2)
    assert oracle.forward_rounding == pytest.approx(float(expected), rel=1e-6)


def test_what_is_exact_depends_on_formula_lattice_and_type():
    for lattice in LATTICES:
        for cls, sizes in ((OPS["dense"], {"n": 2, "i": 3}), (OPS["relu"], ANY)):
            oracle = Oracle(case(sample(cls), sizes, lattice=lattice))
            assert oracle.exact is (lattice != "real")
            if oracle.exact:
                assert not any(truth.bound.any() for truth in (*oracle.forward.values(), *oracle.gradients.values()))
        assert not Oracle(case(OPS.make("logistic"), lattice=lattice)).exact
    apart_ = Oracle(case(OPS.make("scaled_tanh"), lattice="apart")).arrays["x"]
    assert np.abs(apart_).max() <= 2
    far = Oracle(case(OPS.make("dense", units=1), {"n": 2, "i": 3}, lattice="apart")).arrays["x"]
    assert np.diff(np.sort(far.ravel())).min() >= 4
    deep = {seed: Oracle(case(OPS.make("dense", units=1), {"n": 2, "i": 3}, lattice="deep", seed=seed)) for seed in range(4)}
    assert [oracle.deep for oracle in deep.values()] == ["x", "W", "b", "dy"]
    for oracle in deep.values():
        values = {**oracle.arrays, "dy": oracle.cotangents["y"]}
        assert [name for name, value in values.items() if np.abs(value).max() > 3] == [oracle.deep]
    fine = Oracle(case(OPS.make("relu"), lattice="fine")).arrays["x"]
    assert np.all(fine * 2**FINE == np.rint(fine * 2**FINE)) and np.abs(fine).max() <= 3
    for dtype, most in (("float32", 1e8), ("float64", 1e30)):
        assert most <= np.abs(Oracle(case(OPS.make("relu"), dtype=dtype, lattice="huge")).arrays["x"]).min()


def test_other_arrays_have_other_values_where_they_may():
    loss = OPS.make("squared_error")
    for seed in (0, 1):
        oracle = Oracle(case(loss, {"n": 3, "c": 2}, seed=seed))
        names = loss.declaration.differentiable
        for name, value in oracle.other_arrays.items():
            assert value.shape == oracle.arrays[name].shape and value.dtype == oracle.arrays[name].dtype
            assert np.array_equal(value, oracle.arrays[name]) is (name not in names)
        name = next(iter(names))
        assert np.array_equal(np.sort(oracle.other_arrays[name].ravel()), np.sort(oracle.arrays[name].ravel())) is bool(seed)


def test_kinks_are_where_a_small_step_turns_a_comparison():
    oracle = at(OPS["relu"], 0.0, 1.0, 2.0**-31, 2.0**-29, -(2.0**-31), 2.0**20)
    assert [oracle.on_a_kink("x", (entry,)) for entry in range(6)] == [True, False, True, False, True, False]
    at_one = pointwise("bent", expr=lambda x: when(x > 1024, x, 0))
    oracle = at(at_one, 1024.0, 1024 * (1 + 2.0**-31), 1024 * (1 + 2.0**-28))
    assert [oracle.on_a_kink("x", (entry,)) for entry in range(3)] == [True, True, False]
    assert not at(OPS["scaled_tanh"], 0.0).on_a_kink("x", (0,))
    assert len(at(OPS["relu"], 1.0).branches({"x": np.array([1.0])})) > 0


def test_differences_in_many_digits_are_the_derivative():
    for value in (0.5, -1.25, 3.0):
        assert at(OPS["logistic"], 9.0, value).difference_quotient("x", (1,)) == pytest.approx(math.exp(-value) / (1 + math.exp(-value)) ** 2, rel=1e-12)
        assert at(pointwise("cubed", expr=lambda x: x**3), value).difference_quotient("x", (0,)) == pytest.approx(3 * value**2, rel=1e-12)
    oracle = Oracle(case(OPS.make("dense", units=2), {"n": 3, "i": 2}, lattice="real"))
    for name, truth in oracle.gradients.items():
        for entry in np.ndindex(truth.value.shape):
            assert oracle.difference_quotient(name, entry) == pytest.approx(float(truth.value[entry]), rel=1e-12)


def test_what_cannot_be_judged_is_refused_and_not_bounded():
    root = pointwise("root", expr=lambda x: x ** sp.Rational(1, 2))
    for oracle in (at(root, 1.0, 0.0), at(root, 1.0, -1.0)):
        with pytest.raises(Skip, match="not finite"):
            oracle.gradients  # noqa: B018 # it is worked out where it is asked for
        with pytest.raises(Skip, match="not finite"):
            oracle.require_finite()
    at(root, 1.0, 2.0).require_finite()
    close = pointwise("close", expr=lambda x: when(exp(x) > 1, x + 1, 0))
    with pytest.raises(Skip, match="within rounding"):
        at(close, 0.0).forward  # noqa: B018 # as above
    with pytest.raises(Skip, match="within rounding"):
        at(close, 0.0).gradients  # noqa: B018 # as above
    assert at(close, 1.5).forward["y"].value == 2.5


def test_a_root_of_zero_is_no_disagreement_of_the_oracles():
    root = pointwise("root", expr=lambda x: x ** sp.Rational(1, 2))
    assert at(root, 1.0, 0.0).forward["y"].value.tolist() == [1.0, 0.0]


def test_two_systems_of_numbers_that_do_not_agree_are_our_fault(monkeypatch):
    """Off by a thousandth of the bound's unit is rounding; by more it is a mistake in one of them."""
    right = Digits.functions["exp"]
    for factor, agrees in ((1 + mpmath.mpf(10) ** -17, True), (1 + mpmath.mpf(10) ** -12, False)):
        monkeypatch.setitem(Digits.functions, "exp", lambda x, factor=factor: right(x) * factor)
        oracle = at(pointwise("exponential", expr=exp), 1.0, 2.0)
        if agrees:
            assert oracle.forward["y"].value[0] == pytest.approx(math.e)
        else:
            with pytest.raises(OraclesDisagree, match="in float64 and in 40 digits"):
                oracle.forward  # noqa: B018 # as above


def test_a_miss_is_told_from_a_hit_at_the_bound():
    truth = Truth(np.array([1.0, 2.0]), np.array([0.25, 0.0]))
    assert truth.first_miss([1.25, 2.0]) is None and truth.first_miss([0.75, 2.0]) is None
    assert truth.first_miss([1.26, 2.0]) == (0,) and truth.first_miss([1.0, 2.0000001]) == (1,)
    assert truth.first_miss([2.0, 2.5]) == (0,) and truth.first_miss([1.3, np.nan]) == (1,)
    assert truth.first_miss([np.inf, np.nan]) in ((0,), (1,))


def test_steps_beside_a_kink_are_taken_in_double_precision():
    bent = pointwise("bent", expr=lambda x: when(x > 1024, x, 0))()
    single = replace(case(bent, {ELLIPSIS: (1,)}), dtype="float32")
    oracle = Oracle.at(single, {"x": np.array([1024.0], np.float32)}, {"y": np.ones(1, np.float32)})
    assert oracle.on_a_kink("x", (0,))


def test_how_far_roundings_of_the_operands_move_answers():
    """Sums of |operand| |derivative| over all that is rounded; the entries of a function of one number are moved at once."""
    squared = at(pointwise("squared", expr=lambda x: x * x), 3.0, -0.5)
    outputs, gradients = squared.conditions()
    np.testing.assert_allclose(outputs["y"], [18.0, 0.5], rtol=1e-12)
    np.testing.assert_allclose(gradients["x"], [6.0, 1.0], rtol=1e-12)
    op = OPS.make("dense", units=1)
    arrays = {"x": np.array([[2.0, -3.0]]), "W": np.array([[5.0], [7.0]]), "b": np.array([-1.0])}
    arrays = {name: arrays[name] if arrays[name].shape == shape else arrays[name].T for name, shape in case(op, {"n": 1, "i": 2}).shapes.items()}
    found = Oracle.at(case(op, {"n": 1, "i": 2}), arrays, {"y": np.array([[4.0]])})
    outputs, gradients = found.conditions()
    np.testing.assert_allclose(outputs["y"], [[2 * (10 + 21) + 1]], rtol=1e-12)
    np.testing.assert_allclose(gradients["x"].ravel(), [20.0, 28.0], rtol=1e-12)
    np.testing.assert_allclose(gradients["W"].ravel(), [8.0, 12.0], rtol=1e-12)
    np.testing.assert_allclose(gradients["b"], [0.0], atol=1e-30)


def test_indices_are_not_rounded():
    found = Oracle(case(OPS.make("softmax_cross_entropy", targets="index"), {"n": 2, "c": 3}, lattice="real"))
    outputs, _ = found.conditions()
    z, t = found.arrays["z"], found.arrays["t"]
    chances = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert outputs["y"].sum() == pytest.approx(np.abs(z * (chances - np.eye(3)[t])).sum(), rel=1e-9)


def test_numbers_with_few_digits_left_are_no_disagreement():
    small = at(pointwise("third", expr=lambda x: x / 3), 1e-310, 3e-320, 7e-321, 5e-324)
    np.testing.assert_allclose(small.forward["y"].value, np.array([1e-310, 3e-320, 7e-321, 5e-324]) / 3, atol=5e-324)


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_systems_of_numbers_agree_within_their_own_rounding(dtype):
    """At 1 with an error of one unit: 16 for the routes and 4 for the values, in units of float64 whatever the element type."""
    oracle = at(pointwise("same", expr=lambda x: x), 1.0)
    oracle.case = replace(oracle.case, dtype=dtype)
    for value in (1.0, -1.0):
        for off, agrees in ((19.0, True), (-19.0, True), (22.0, False), (-22.0, False)):
            rounded = {"y": Rounded(np.array([value * (1 + off * 2.0**-53)]), np.ones(1))}
            digits = {"y": np.array([mpmath.mpf(value)], dtype=object)}
            if agrees:
                truth = oracle._bounded(rounded, digits, {"y": (1, 1)})["y"]
                assert truth.value.tolist() == [[value]] and truth.bound.tolist() == [[UNIT[dtype] * 18 + 16 * TINY[dtype]]]
            else:
                with pytest.raises(OraclesDisagree, match="y in float64 and in 40 digits do not agree"):
                    oracle._bounded(rounded, digits, {"y": (1, 1)})


def test_conditions_are_the_moves_of_each_operand_added_up():
    """y = W x + b moves by |W| |x| for each of the two, and |b|; the gradient of x, dy W, by |dy| |W|."""
    oracle = Oracle(case(OPS.make("dense", units=2), {"n": 3, "i": 2}, lattice="real"))
    x, w, b = (np.abs(oracle.arrays[name]) for name in ("x", "W", "b"))
    dy = np.abs(oracle.cotangents["y"])
    outputs, gradients = oracle.conditions()
    np.testing.assert_allclose(outputs["y"], 2 * x @ w.T + b, rtol=1e-12)
    np.testing.assert_allclose(gradients["x"].reshape(3, 2), dy @ w, rtol=1e-12)
    np.testing.assert_allclose(gradients["W"].reshape(2, 2), dy.T @ x, rtol=1e-12)
    assert not gradients["b"].any()
    outputs, gradients = at(pointwise("cubed", expr=lambda x: x**3), 2.0, -1.0).conditions()
    assert outputs["y"] == pytest.approx([24, 3]) and gradients["x"] == pytest.approx([24, 6])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_0_may_be_some_of_the_smallest_normal_numbers(dtype):
    oracle = at(pointwise("same", expr=lambda x: x), 1.0)
    oracle.case = replace(oracle.case, dtype=dtype)
    found = oracle._bounded({"y": Rounded(np.zeros(1), np.zeros(1))}, {"y": np.array([mpmath.mpf(0)], dtype=object)}, {"y": (1,)})["y"]
    assert found.bound.tolist() == [16 * TINY[dtype]]
