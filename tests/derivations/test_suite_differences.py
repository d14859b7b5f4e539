"""Differences of the code itself, and what holds at kinks."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from suite_parts import (
    ANY,
    OPS,
    Both,
    BothCurved,
    at,
    case,
    check,
    pointwise,
    refutation_of,
)

from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import absolute, exp, when
from cnnframe_derivations import Settings, derive
from cnnframe_derivations.suite import exact, gather, independent, kinks
from cnnframe_derivations.suite._calls import Subject
from cnnframe_derivations.suite._oracle import ROUTES, UNIT, Oracle
from cnnframe_derivations.suite._verdict import Evidence, Skip


def test_difference_formulas_are_exact_up_to_their_degree():
    for degree, weights in independent._WEIGHTS.items():
        for power in range(degree + 1):
            assert sum((weight * Fraction(step) ** power for step, weight in weights.items()), Fraction(0)) == (power == 1)
    assert sorted(independent._WEIGHTS) == list(independent._WEIGHTS) == [1, 2, 4]


@pytest.mark.parametrize(
    ("expr", "degree"),
    [
        (lambda x: x, 1),
        (lambda x: 3 * x + 1, 1),
        (lambda x: x * x, 2),
        (lambda x: x * x * x + x, 3),
        (lambda x: (x + 1) ** 2 * x, 3),
        (lambda x: when(x > 0, x, x * x), 2),
        (lambda x: when(x > 0, 2, 3), 0),
        (exp, None),
        (lambda x: x ** sp.Rational(3, 2), None),
        (lambda x: 1 / x, None),
        (lambda x: x * exp(x), None),
        (lambda x: when(x > 0, exp(x), x), None),
        (lambda x: sp.Integer(3), 0),
        (lambda x: exp(when(x > 0, 2, 3)), 0),
    ],
)
def test_the_degree_of_a_formula(expr, degree):
    assert independent.degree_in(derive(pointwise("power", expr=expr)()).program, "x") == degree


def probe(cls, *values):
    oracle = at(cls, *values)
    return independent._Probe(oracle, Subject("independent", oracle))


def test_estimates_hold_the_derivative_within_a_small_error():
    logistic = pointwise("smooth", lambda x: 1 / (1 + np.exp(-x)), lambda x: x, lambda x: 1 / (1 + exp(-x)))
    for value in (-3.0, -0.5, 0.25, 2.0):
        slope = math.exp(-value) / (1 + math.exp(-value)) ** 2
        there = probe(logistic, 1.0, value)
        for estimate, width in ((there._complex_step("x", (1,)), 1e-12), (there._five_points("x", (1,)), 1e-7), (there.derivative("x", (1,)), 1e-12)):
            assert abs(estimate.value - slope) <= estimate.error < width
        assert there.derivative("x", (1,)).method == "complex step"
        assert there._five_points("x", (1,)).error > 0
    cubed = pointwise("cubed", lambda x: x**3, lambda x: x, lambda x: x**3)
    found = Oracle(case(cubed(), {ELLIPSIS: (2,)}))
    estimate = independent._Probe(found, Subject("independent", found)).derivative("x", (1,))
    assert (estimate.method, estimate.error) == ("exact secant", 0.0)
    assert estimate.value == 3 * found.arrays["x"][1] ** 2 * found.cotangents["y"][1]


def test_no_estimate_reaches_across_a_kink_or_through_code_that_takes_no_complex_numbers():
    bent = pointwise("bent", lambda x: np.maximum(x, 0) ** 1.5, lambda x: x, lambda x: when(x > 0, x, 0) ** sp.Rational(3, 2))
    assert probe(bent, 2.0**-10).derivative("x", (0,)) is None and probe(bent, 1.0).derivative("x", (0,)).method == "five-point difference"
    real_only = pointwise("real_only", lambda x: np.exp(x.astype(np.float64)), lambda x: x, exp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert probe(real_only, 0.5).derivative("x", (0,)).method == "five-point difference"
    parts = pointwise("parts", lambda x: np.exp(np.abs(x)), lambda x: x, exp)
    assert probe(parts, 0.5).derivative("x", (0,)).method == "five-point difference"
    steep = pointwise("steep", lambda x: np.exp(1000 * x.real), lambda x: x, lambda x: exp(1000 * x))
    assert probe(steep, 0.125).derivative("x", (0,)) is None
    refuses = pointwise("refuses", lambda x: np.exp(x) if x.dtype == np.float64 else 1 / 0, lambda x: x, exp)
    assert probe(refuses, 0.5).derivative("x", (0,)).method == "five-point difference"


def test_entries_are_probed_in_another_order_for_another_seed():
    few, many = np.zeros((2, 2)), np.zeros((4, 5))
    assert set(independent._entries(few, 1)) == set(np.ndindex(2, 2)) and independent._entries(np.zeros(0), 1) == []
    assert len(set(independent._entries(many, 1))) == independent.ENTRIES
    assert len({tuple(independent._entries(many, seed)) for seed in range(5)}) == 5


def test_differences_that_disagree_alone_leave_the_verdict_open(monkeypatch):
    monkeypatch.setattr(exact, "check", lambda oracle, evidence: None)
    monkeypatch.setattr("cnnframe_derivations.suite.bounded.check", lambda oracle, evidence: None)
    wrong = pointwise("half", df=lambda x: np.full_like(x, 0.5))
    with pytest.raises(independent.Disagreement, match=r"gives .* for entry .* of the gradient of 'x', the code"):
        check(independent, wrong(), dtype="float64")
    evidence = gather("independent", wrong)
    assert evidence.state == "inconclusive" and "and the formula agrees with the code" in evidence.doubt


def test_a_gradient_at_a_kink_must_be_the_formulas_own():
    wrong = pointwise("wrong_at_zero", lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, np.where(x == 0, 0.5, 0.0)), lambda x: when(x > 0, x, 0))
    found = refutation_of(kinks, wrong(), {ELLIPSIS: (8,)})
    assert "of the gradient of 'x' at a kink must be 0; got 0.5" in found.what
    assert "the one-sided derivatives of its own output entry" in found.certificate and "are 0 and 1" in found.certificate
    evidence = check(kinks, OPS.make("relu"), {ELLIPSIS: (8,)})
    zeros = int(np.sum(Oracle(case(OPS.make("relu"), {ELLIPSIS: (8,)})).arrays["x"] == 0))
    assert evidence.compared == {"gradient of 'x' (kinks)": min(zeros, kinks.ENTRIES)} and zeros > 0


def test_a_formula_that_lies_outside_its_own_derivatives_at_a_kink_is_a_doubt():
    def between_sides(x):
        return when(x > 0, x, when(x < 0, -x, 5 * x))

    odd = pointwise("odd_at_zero", np.abs, lambda x: np.where(x == 0, 5.0, np.sign(x)), between_sides)
    evidence = check(kinks, odd(), {ELLIPSIS: (8,)})
    assert evidence.doubt.startswith("at a kink the formula itself gives 5 for the gradient of 'x', though the one-sided derivatives") and not evidence.checks
    for expr, reason in ((lambda x: when(x > 0, exp(x), 1), "not piecewise polynomial"), (lambda x: when(x > 0, x * x, 0), "not piecewise linear")):
        with pytest.raises(Skip, match=reason):
            check(kinks, pointwise("bent", expr=expr)(), {ELLIPSIS: (8,)})


def test_what_is_skipped_is_counted():
    bent = pointwise("bent", lambda x: np.maximum(x, 0) ** 1.5, np.ones_like, lambda x: when(x > 0, x, 0) ** sp.Rational(3, 2))
    oracle = at(bent, 2.0**-10, 2.0**-11, 1e-4)
    evidence = Evidence("independent")
    independent.check(oracle, evidence)
    assert evidence.skipped == {"differences reach across a kink or have too large an error": 3} and not evidence.checks
    assert evidence.asked == {"gradient of 'x'"}


def test_an_estimate_allows_for_the_rounding_of_code_that_takes_another_route():
    there = probe(pointwise("exponential", np.exp, np.exp, exp), 1.0)
    assert there._complex_step("x", (0,)).error >= ROUTES * UNIT["float64"] * math.e
    assert there._five_points("x", (0,)).error >= 4 * ROUTES * UNIT["float64"] * math.e / independent.STEP


def weighted_probe(cls, values, weights):
    """A probe of an activation with these cotangents."""
    array = np.array(values)
    oracle = Oracle.at(case(cls(), {ELLIPSIS: array.shape}), {"x": array}, {"y": np.array(weights)})
    return independent._Probe(oracle, Subject("independent", oracle))


def test_estimates_are_of_the_weighted_sum():
    smooth = pointwise("smooth", np.exp, np.exp, exp)
    there = weighted_probe(smooth, [0.5, -1.0], [-3.0, 7.0])
    for estimate in (there._complex_step("x", (1,)), there._five_points("x", (1,))):
        assert estimate.value == pytest.approx(7 * math.exp(-1), rel=1e-8)
    two = Oracle(case(BothCurved(), {"n": 2}, lattice="real"))
    both = independent._Probe(two, Subject("independent", two))
    slope = 1 - np.tanh(two.arrays["a"][1]) ** 2
    wanted = slope * (two.cotangents["y"][1] + 3 * two.cotangents["z"][1])
    for estimate in (both._complex_step("a", (1,)), both._five_points("a", (1,))):
        assert estimate.value == pytest.approx(wanted, rel=1e-8)


def test_estimates_allow_for_rounding_where_the_formulas_bound_is_0():
    """A polynomial of whole numbers is exact, and differences of it are not."""
    fifth = pointwise("fifth", lambda x: x**5, lambda x: x, lambda x: x**5)
    oracle = Oracle(case(fifth(), {ELLIPSIS: (6,)}))
    assert oracle.exact
    there = independent._Probe(oracle, Subject("independent", oracle))
    x, w = oracle.arrays["x"], oracle.cotangents["y"]
    entry = int(np.argmax(np.abs(x)))
    slope, size = abs(5 * x[entry] ** 4 * w[entry]), float(np.sum(np.abs(x**5 * w)))
    assert there.derivative("x", (entry,)).method == "complex step"
    assert there._complex_step("x", (entry,)).error == pytest.approx(16 * 2.0**-53 * slope, rel=1e-3, abs=0)
    assert 64 * 2.0**-53 * size / independent.STEP <= there._five_points("x", (entry,)).error < 1e-4 * (1 + slope)


def test_what_the_code_is_off_by_is_told_with_both_numbers(monkeypatch):
    monkeypatch.setattr(exact, "check", lambda oracle, evidence: None)
    wrong = pointwise("wrong", lambda x: 3 * x, lambda x: np.full_like(x, 5), lambda x: 3 * x)
    with pytest.raises(independent.Disagreement) as caught:
        check(independent, wrong(), {ELLIPSIS: (1,)}, dtype="float64", seed=1)
    weight = Oracle(case(wrong(), {ELLIPSIS: (1,)}, seed=1)).cotangents["y"][0]
    assert f"exact secant gives {3 * weight:.12g} for entry (0,) of the gradient of 'x', the code {5 * weight:.12g}" in str(caught.value)


def test_cases_for_differences_are_in_double_precision_and_away_from_kinks():
    relu, dense, logistic = (OPS.make("relu"), ANY), (OPS.make("dense", units=1), {"n": 2, "i": 1}), (OPS.make("logistic"), ANY)
    found = [[independent.prepare(case(op, sizes, "float32", lattice="wide", seed=seed)) for seed in (0, 1)] for op, sizes in (relu, dense, logistic)]
    assert [[c.lattice for c in pair_] for pair_ in found] == [["apart", "apart"], ["real", "small"], ["real", "small"]]
    assert {c.dtype for pair_ in found for c in pair_} == {"float64"}


def test_a_steep_function_has_complex_steps_though_its_differences_are_too_inexact():
    steep = pointwise("steep", lambda x: np.exp(1000 * x), lambda x: x, lambda x: exp(1000 * x))
    there = probe(steep, 0.125)
    assert there._five_points("x", (0,)) is None
    assert there.derivative("x", (0,)).method == "complex step" and there.derivative("x", (0,)).value == pytest.approx(1000 * math.exp(125))


@pytest.mark.parametrize("x", [-24.0, -3.0, 0.5, 24.0])
def test_code_that_is_not_analytic_has_no_complex_step_however_little_shows_of_it(x):
    """log(1 + exp(x)) by way of |x|, which forgets an imaginary part: by 4e-11 at 24, which no difference sees."""
    there = probe(OPS["softplus"], x)
    assert there._complex_step("x", (0,)) is None
    estimate = there.derivative("x", (0,))
    assert estimate.method == "five-point difference" and abs(estimate.value - 1 / (1 + math.exp(-x))) <= estimate.error


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: x / np.sqrt(1 + x * x),
        lambda x: np.where(np.real(x) > 0, x, 0) + np.log(1 + np.exp(-np.where(np.real(x) > 0, x, -x))),
        lambda x: x + np.log(1 + np.exp(-x - 9) * np.exp(9)),
        np.tan,
        np.arctan,
    ],
)
def test_code_that_is_analytic_has_complex_steps(f):
    for x in (-24.0, -0.25, 3.0):
        assert probe(pointwise("analytic", f, lambda x: x, exp), x)._analytic


def test_kinks_are_evidence_where_a_case_has_one():
    found = gather("kinks", OPS["relu"], Settings("smoke"))
    assert (found.state, found.absent) == ("verified", "") and found.checks
    far = pointwise("far", lambda x: np.where(x > 1024, x, 0), lambda x: (x > 1024).astype(x.dtype), lambda x: when(x > 1024, x, 0))
    assert gather("kinks", far, Settings("smoke")).absent == "no case has a kink in an input or parameter"
    curved = pointwise("curved", lambda x: x * np.abs(x), lambda x: 2 * np.abs(x), lambda x: x * absolute(x))
    assert gather("kinks", curved, Settings("smoke")).absent == "no case has a kink in an input or parameter (the formula is not piecewise linear)"
    assert gather("kinks", OPS["identity"], Settings("smoke")).absent == "the formula does not branch on values"


@dataclass(frozen=True)
class OneBent(Both):
    """Two outputs, of which one has a kink."""

    name = "one_bent"

    def forward(self, a, b):
        return {"y": np.maximum(a, 0) + 2 * b, "z": 3 * a}, a

    def backward(self, dy, saved):
        return {"a": np.where(saved > 0, dy["y"], 0) + 3 * dy["z"], "b": 2 * dy["y"]}

    def formula(self, at, a, b):
        return {"y": when(a[at["y"]] > 0, a[at["y"]], 0) + 2 * b[at["y"]], "z": 3 * a[at["z"]]}


def test_outputs_without_a_kink_are_passed_over():
    found = sum((check(kinks, OneBent(), {"n": 6}, seed=seed).compared for seed in range(3)), Counter())
    assert set(found) == {"gradient of 'a' (kinks)"}


def test_a_complex_step_allows_for_two_roundings_of_the_gradient():
    there = probe(pointwise("exponential", np.exp, np.exp, exp), 1.0)
    assert there._complex_step("x", (0,)).error >= 2 * there.oracle.gradients["x"].bound[0]


def test_complex_steps_allow_for_what_underflows_under_a_large_cotangent():
    """exp(-700) times a step of 1e-30 is below the smallest number: the step sees 0, and no more is known than how large the cotangent is."""
    there = weighted_probe(pointwise("exponential", np.exp, np.exp, exp), [-700.0], [1e13])
    estimate = there._complex_step("x", (0,))
    assert abs(estimate.value - 1e13 * math.exp(-700)) <= estimate.error < 1e-270


def test_a_derivative_of_0_is_found_by_differences():
    flat = pointwise("flat", lambda x: np.exp(x) - x, lambda x: np.exp(x) - 1, lambda x: exp(x) - x)
    estimate = probe(flat, 0.0)._five_points("x", (0,))
    assert abs(estimate.value) <= estimate.error < 1e-8


def test_differences_of_the_identity_are_off_by_sixty_four_roundings_of_the_largest_sum():
    """2 x at 3: the largest sum is met at four steps above, and divided by the step."""
    oracle = Oracle(case(pointwise("same")(), {ELLIPSIS: (1,)}))
    oracle.arrays, oracle.cotangents = {"x": np.array([3.0])}, {"y": np.array([2.0])}
    there = independent._Probe(oracle, Subject("independent", oracle))
    assert oracle.exact and there._five_points("x", (0,)) == independent._Estimate(2.0, 64 * 2.0**-53 * 2 * (3 + 2.0**-8) * 2**10, "five-point difference")
    oracle.arrays = {"x": np.array([-3.0])}
    assert there._five_points("x", (0,)).error == 64 * 2.0**-53 * 2 * (3 + 2.0**-8) * 2**10


def test_differences_that_are_off_by_a_ten_thousandth_are_none():
    """Of the identity at x they are off by 64 x / 2^43, and the derivative is 1."""
    limit = 2e-4 * 2**43 / 64
    for factor, told in ((0.9, True), (1.1, False)):
        assert (probe(pointwise("same"), factor * limit)._five_points("x", (0,)) is not None) is told


def test_a_complex_step_is_off_by_twice_the_bound_and_sixteen_roundings():
    there = probe(pointwise("exponential", np.exp, np.exp, exp), 1.0, 2.0)
    bound = there.oracle.gradients["x"].bound[1]
    assert there._complex_step("x", (1,)).error == pytest.approx(2 * bound + 16 * 2.0**-53 * math.e**2, rel=1e-9, abs=0)


def test_code_that_is_wrong_to_the_other_oracle_too_is_refuted():
    wrong = pointwise("half", df=lambda x: np.full_like(x, 0.5))
    assert "of the gradient of 'x' must be" in refutation_of(independent, wrong(), dtype="float64", lattice="small", seed=1).what
    slow = pointwise("slow", np.exp, lambda x: np.exp(x) * 2, exp)
    assert "of the gradient of 'x' must be" in refutation_of(independent, slow(), dtype="float64").what


def test_a_complex_step_that_is_not_finite_is_none():
    lost = pointwise("lost", lambda x: np.exp(x) * (np.nan if np.iscomplexobj(x) else 1), lambda x: x, exp)
    assert probe(lost, 0.5)._complex_step("x", (0,)) is None and probe(lost, 0.5).derivative("x", (0,)).method == "five-point difference"


def test_secants_do_not_reach_across_a_kink():
    """From 0 to 1 the rectifier rises, and at 0 its derivative is 0."""
    oracle = Oracle(case(OPS.make("relu"), {ELLIPSIS: (2,)}))
    oracle.arrays, oracle.cotangents = {"x": np.array([0.0, 3.0])}, {"y": np.ones(2)}
    there = independent._Probe(oracle, Subject("independent", oracle))
    weights = independent._WEIGHTS[1]
    assert there._secant("x", (0,), weights) is None and there._secant("x", (1,), weights) == independent._Estimate(1.0, 0.0, "exact secant")
