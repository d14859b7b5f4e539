"""The evidence about curvature: what is wrong is refused, and the routes are those that formulas allow."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated

import mpmath
import numpy as np
import pytest
import suite_parts
import sympy as sp

import cnnframe as cf
from cnnframe import _curvature
from cnnframe._curvature import Route, Routes
from cnnframe.algebra import exp, first_maximum, indices, tanh, total, when
from cnnframe_derivations._rounding import Rounding
from cnnframe_derivations.diagonal import rule
from cnnframe_derivations.suite import Settings, _curved, curvature, gather
from cnnframe_derivations.suite._cases import DTYPES, Case
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._values import PRECISION
from cnnframe_derivations.suite._verdict import Evidence, OraclesDisagree, Refutation, Skip

OPS = cf.load()


def a_case(name, given, lattice):
    """A small case of an operation of the box."""
    op = OPS.make(name, **given)
    return Case(op, {**op.declaration.known, "n": 3, "i": 2, "c": 4}, "float64", "C", lattice, 1)


@dataclass(frozen=True)
class Centred(cf.Layer):
    """A gain of what lies above a given value: affine in the input, and linear in nothing that is squared."""

    name = "centred"
    inputs = {"x": "n i"}
    params = {"g": cf.gain("i")}
    constants = {"m": "i"}
    output = "n i"

    def forward(self, x, g, m):
        return g * (x - m), (x - m, g)

    def backward(self, dy, saved):
        centred, g = saved
        return {"x": dy * g, "g": (dy * centred).sum(axis=0)}

    def formula(self, at, x, g, m):
        return g[at[1]] * (x[at] - m[at[1]])


@dataclass(frozen=True)
class Difference(cf.Layer):
    """Neighbours, one less the other: linear, but the second derivative's sign is lost in the square."""

    name = "difference"
    inputs = {"x": "n h"}
    output = "n h-1"

    def forward(self, x):
        return x[:, 1:] - x[:, :-1], x.shape

    def backward(self, dy, saved):
        dx = np.zeros(saved, dy.dtype)
        dx[:, 1:] += dy
        dx[:, :-1] -= dy
        return {"x": dx}

    def formula(self, at, x):
        n, u = at
        return x[n, u + 1] - x[n, u]


@dataclass(frozen=True)
class Twice(cf.Layer):
    """An entry reaches an output on two ways, whose derivatives add up before they are squared."""

    name = "twice"
    inputs = {"x": "n i"}
    params = {"w": cf.gain("i")}
    output = "n"

    def forward(self, x, w):
        return (x * w).sum(axis=1) + x.sum(axis=1), (x, w)

    def backward(self, dy, saved):
        x, w = saved
        return {"x": dy[:, None] * (w + 1), "w": (dy[:, None] * x).sum(axis=0)}

    def formula(self, at, x, w):
        i, k = indices("i k")
        return total(x[at[0], i] * w[i], (i, x.shape[1])) + total(x[at[0], k], (k, x.shape[1]))


@dataclass(frozen=True)
class LoudestGain(cf.Layer):
    """The largest of a row, times a gain: what is chosen by x may not be chosen by its square."""

    name = "loudest_gain"
    inputs = {"x": "n i"}
    params = {"g": cf.gain("")}
    output = "n"

    def forward(self, x, g):
        first = x.argmax(axis=1)
        return g * x[np.arange(len(x)), first], (x, first, g)

    def backward(self, dy, saved):
        x, first, g = saved
        dx = np.zeros_like(x)
        dx[np.arange(len(x)), first] = g * dy
        return {"x": dx, "g": (dy * x[np.arange(len(x)), first]).sum()}

    def formula(self, at, x, g):
        n, k = at[0], indices("k")[0]
        choice = first_maximum("choice", (x.shape[0],), (x.shape[1],), lambda m, i: x[m, i])
        return g * total(choice[n, k] * x[n, k], (k, x.shape[1]))


@dataclass(frozen=True)
class Square(cf.Layer):
    """x^2 by a formula that is a product: not linear in x, whatever it looks like."""

    scale: Annotated[float, cf.positive] = 1.5

    name = "square"
    inputs = {"x": "n i"}
    output = "n i"

    def forward(self, x):
        return self.scale * x * x, x

    def backward(self, dy, saved):
        return {"x": 2 * self.scale * saved * dy}

    def formula(self, at, x):
        return self.scale * x[at] * x[at]


ODD = [Centred, Difference, Twice, LoudestGain, Square]


def evidence(cls, seed=0):
    return gather("curvature", cls, Settings("quick", seed))


@pytest.mark.parametrize("cls", ODD, ids=lambda cls: cls.name)
def test_right_code_of_awkward_forms_is_right(cls):
    found = evidence(cls)
    assert found.state == "verified" and {f"curvature of {name!r}" for name in (*cls.inputs, *cls.params)} <= set(found.compared)


def kinds(op):
    routes = rule(op).at(op.sizes({name: (3,) * len(axes) for name, axes in op.declaration.arguments.items()}))
    return {name: (route.kind, set(route.squared)) for name, route in routes.items()}


def test_routes_follow_from_formulas():
    assert kinds(OPS.make("dense", units=3)) == {"x": ("squared", {"W"}), "W": ("squared", {"x"}), "b": ("squared", set())}
    assert kinds(Centred()) == {"x": ("squared", {"g"}), "g": ("formula", set())}
    assert kinds(Difference()) == {"x": ("formula", set())}
    assert kinds(Twice()) == {"x": ("formula", set()), "w": ("squared", {"x"})}
    assert kinds(LoudestGain()) == {"x": ("squared", {"g"}), "g": ("formula", set())}
    assert kinds(Square()) == {"x": ("apart", set())}
    assert kinds(OPS.make("scaled_tanh")) == {"x": ("apart", set())}
    assert kinds(OPS.make("subsample", size=1))["beta"] == ("formula", set())


def misled(monkeypatch, **changes):
    """Routes with some exchanged for wrong ones."""

    def wrong(op):
        right = rule(op)
        return Routes(lambda known: {**right.at(known), **changes}, right.generated)

    monkeypatch.setattr(_curvature, "routes", wrong)


WRONG = {
    "linear, it is said": (OPS["softmax"], {"x": Route("squared")}),
    "one entry reaches one, it is said": (OPS["softmax"], {"x": Route("apart")}),
    "an affine offset taken for linear": (Centred, {"g": Route("squared", frozenset({"x", "m"}))}),
    "the sign of a term": (Difference, {"x": Route("squared")}),
    "two ways that add up": (Twice, {"x": Route("squared", frozenset({"w"}))}),
    "the wrong operand squared": (OPS["dense"], {"x": Route("squared", frozenset({"x"}))}),
    "nothing squared": (OPS["conv"], {"k": Route("squared"), "x": Route("squared")}),
    "a choice by what is squared": (LoudestGain, {"x": Route("squared", frozenset({"g", "x"}))}),
    "a factor that is not squared": (OPS["mean_pool"], {"x": Route("squared")}),
    "a sum squared entry by entry": (OPS["subsample"], {"beta": Route("squared", frozenset({"x"}))}),
    "a bias that counts once for each example": (OPS["dense"], {"b": Route("squared", factor=0.5)}),
    "a bias that is one entry's": (OPS["conv"], {"b": Route("apart")}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_routes_are_refused(monkeypatch, name):
    cls, changes = WRONG[name]
    misled(monkeypatch, **changes)
    found = evidence(cls)
    assert found.state == "refuted" and "curvature of" in found.finding.what


@pytest.mark.parametrize(("lattice", "said"), [("small", "must be equal to it, since all is made of integers$"), ("real", r"must be within [\d.e-]+ of it$")])
def test_a_refutation_says_how_near_the_answer_must_be(monkeypatch, lattice, said):
    misled(monkeypatch, x=Route("squared"))
    with pytest.raises(Refutation) as caught:
        curvature.check(Oracle(a_case("dense", {"units": 2}, lattice)), Evidence("curvature"))
    assert re.search(said, caught.value.finding.certificate) and "of the curvature of 'x' must be" in caught.value.finding.what


def test_wrong_generated_code_is_refused(monkeypatch):
    def half(op):
        right = rule(op)
        return Routes(right.at, lambda above, arguments, wanted: {n: a / 2 for n, a in right.generated(above, arguments, wanted).items()})

    monkeypatch.setattr(_curvature, "routes", half)
    assert evidence(OPS["squared_error"]).state == "refuted" and evidence(OPS["softmax"]).state == "refuted"


@dataclass(frozen=True)
class Signed(cf.Layer):
    """A gain whose backward is right for negative inputs alone in another way than for their squares."""

    name = "signed"
    inputs = {"x": "n i"}
    params = {"g": cf.gain("i")}
    output = "n i"

    def forward(self, x, g):
        return x * g, (x, g, x.min(initial=0) < 0)

    def backward(self, dy, saved):
        x, g, negative = saved
        # Squares are never negative, and then it forgets the gain.
        return {"x": dy * (g if negative or not (x >= 0).all() or not x.any() else 1), "g": (dy * x).sum(axis=0)}

    def formula(self, at, x, g):
        return x[at] * g[at[1]]


def test_code_that_is_wrong_on_squares_is_refused():
    assert evidence(Signed).state == "refuted"


def test_a_loss_keeps_its_square_and_not_the_square_of_its_slope():
    (found,) = [evidence(OPS["logistic_cross_entropy"])]
    assert found.state == "verified" and not found.skipped


def test_no_false_alarm():
    for name in ("max_pool", "softplus", "leaky_relu", "l1"):
        assert not evidence(OPS[name], 100).finding


def test_an_operation_without_a_route_is_skipped_with_the_reason(monkeypatch):
    def none(op):
        raise cf.FormulaError("no schedule writes it")

    monkeypatch.setattr(_curvature, "routes", none)
    found = evidence(OPS["relu"])
    assert found.state == "skipped" and "no schedule writes it" in found.absent


def test_replaced_forms_stay_apart():
    case = replace(OPS.make("dense", units=3))
    assert rule(case).at(case.sizes({"x": (2, 3), "W": (3, 3)}))["x"].factor == 1.0


def test_integers_leave_no_room_and_other_numbers_some():
    """Where all is made of integers that the element type holds, the bound is 0, in a loss as in a layer."""
    for name, given in (("squared_error", {}), ("dense", {"units": 2})):
        exact = _curved.curved(oracle := Oracle(a_case(name, given, "small")), {n: np.abs(v) for n, v in oracle.cotangents.items()})
        assert all((truth.bound == 0).all() for truth in exact.values())
        rounded = _curved.curved(oracle := Oracle(a_case("softmax_cross_entropy", {}, "real")), oracle.cotangents)
        assert all((truth.bound > 0).all() and (truth.bound < 1e-10 * (1 + truth.value)).all() for truth in rounded.values())


@pytest.mark.parametrize("place", [0, -1])
def test_derivatives_that_do_not_add_up_to_the_gradient_are_a_fault_of_the_suite(place, monkeypatch):
    right = _curved._rounded

    def off(*given):
        found = right(*given)
        key = next(iter(found))
        value = found[key].value.copy()
        value.ravel()[place] += 0.5
        return {**found, key: replace(found[key], value=value)}

    oracle = Oracle(a_case("dense", {"units": 2}, "real"))
    above = {n: np.abs(v) for n, v in oracle.cotangents.items()}
    _curved.curved(oracle, above)
    monkeypatch.setattr(_curved, "_rounded", off)
    with pytest.raises(OraclesDisagree, match="one by one do not add up to its gradient"):
        _curved.curved(oracle, above)


def test_a_second_derivative_that_no_difference_confirms_is_a_fault_of_the_suite(monkeypatch):
    oracle = Oracle(a_case("softmax_cross_entropy", {}, "real"))
    right = _curved._quotient
    monkeypatch.setattr(_curved, "_quotient", lambda *given: 1.001 * right(*given))
    with pytest.raises(OraclesDisagree, match="difference quotient"):
        _curved.curved(oracle, oracle.cotangents)


def test_an_output_that_does_not_depend_adds_no_room():
    one = _curved._bound(np.ones((1, 1)), np.array([[0.3]]), np.zeros((1, 1)), "float64")
    two = _curved._bound(np.ones((2, 1)), np.array([[0.3], [0.0]]), np.zeros((2, 1)), "float64")
    assert one == two > 0


def test_bounds_count_the_roundings_of_squares_and_sums():
    """In units u of the element type: 16 for each route times the size of a term, of which one counts five and each other one more."""
    for dtype in ("float32", "float64"):
        u = 2.0 ** -PRECISION[dtype]
        one, none = np.ones((1, 1)), np.zeros((1, 1))
        assert _curved._bound(3 * one, one / 2, none, dtype) == 3 * 16 * 5 * u / 4
        assert _curved._bound(np.ones((3, 1)), np.full((3, 1), 0.5), np.zeros((3, 1)), dtype) == 3 * 16 * 7 * u / 4
        # A slope of 2 that is off by 3 units may come as 2 + 16 * 3 u, and its square is of terms of size 5.
        assert _curved._bound(one, 2 * one, 3 * one, dtype) == pytest.approx(2 * 2 * 48 * u + (48 * u) ** 2 + 16 * 5 * u * 25, rel=1e-14, abs=0)
        assert _curved._bound(one, none, 3 * one, dtype) == pytest.approx((48 * u) ** 2 + 16 * 5 * u * 9, rel=1e-14, abs=0)
        # Columns are bounded one by one: the first is made of integers.
        assert [bound > 0 for bound in _curved._bound(np.ones((2, 1)), np.array([[1.0, 1.0], [2.0, 0.5]]), np.zeros((2, 2)), dtype)] == [False, True]
        assert _curved._bound(one / 2, one, none, dtype) > 0
        # Partial sums may be 2^6 times as large.
        most = {"float32": 2**8, "float64": 2**23}[dtype]
        assert _curved._bound(one, most * one, none, dtype) == 0 < _curved._bound(one, 2 * most * one, none, dtype)
        assert _curved._bound(np.full((2, 1), 2.0), np.full((2, 1), float(most)), np.zeros((2, 1)), dtype) > 0


def test_a_case_with_too_many_pairs_or_without_a_value_is_skipped():
    relu = OPS["relu"]()
    for size, fits in ((38, True), (39, False)):
        oracle = Oracle(Case(relu, {"...": (size,)}, "float64", "C", "small", 1))
        if fits:
            assert _curved.curved(oracle, oracle.cotangents)["x"].value.shape == (size,)
        else:
            with pytest.raises(Skip, match="more than 1500 pairs"):
                _curved.curved(oracle, oracle.cotangents)


def at_numbers(cls, *values):
    """The diagonal of an activation at these numbers, below a diagonal of ones."""
    oracle = suite_parts.at(cls, *values)
    return _curved.curved(oracle, oracle.cotangents)


def test_where_the_formula_is_not_finite_or_decided_nothing_is_asked():
    root = suite_parts.pointwise("root", expr=lambda x: x ** sp.Rational(1, 2))
    assert at_numbers(root, 4.0)["x"].value == 1 / 16
    for value in (0.0, -1.0):
        with pytest.raises(Skip, match="not finite"):
            at_numbers(root, 4.0, value)
    # A number near 0 that may be off has a root that may be off by any factor.
    flat = suite_parts.pointwise("flat", expr=lambda x: tanh(x) ** sp.Rational(3, 2))
    assert at_numbers(flat, 4.0)["x"].value > 0
    with pytest.raises(Skip, match="not finite"):
        at_numbers(flat, 4.0, 0.0)
    close = suite_parts.pointwise("close", expr=lambda x: when(exp(x) > 1, x + 1, 0))
    assert at_numbers(close, 1.5)["x"].value == 1
    with pytest.raises(Skip, match="within rounding"):
        at_numbers(close, 1.5, 0.0)


def test_outputs_add_what_each_hands_down():
    """y = a + 2 b and z = 3 a, of integers and of logistic functions."""
    oracle = Oracle(Case(suite_parts.Both(), {"n": 3}, "float64", "C", "small", 1))
    above = {"y": np.array([1.0, 2.0, 0.0]), "z": np.array([1.0, 2.0, 3.0])}
    found = _curved.curved(oracle, above)
    assert found["a"].value.tolist() == [10, 20, 27] and found["b"].value.tolist() == [4, 8, 0]
    assert not found["a"].bound.any() and not found["b"].bound.any()
    oracle = Oracle(Case(suite_parts.BothCurved(), {"n": 3}, "float32", "C", "real", 1))
    found = _curved.curved(oracle, above)
    for name, factors in (("a", [10, 20, 27]), ("b", [4, 8, 0])):
        slope = 1 - np.tanh(oracle.arrays[name].astype(np.float64)) ** 2
        assert found[name].value == pytest.approx(factors * slope**2, rel=1e-13)
        assert (found[name].bound < 0.03).all() and (found[name].bound > 0).tolist() == [True, True, name == "a"]


@dataclass(frozen=True)
class Mixed(suite_parts.Both):
    """A sum of a number and the logistic function of another: one derivative is exact, and one is not."""

    name = "mixed"
    output = "n"

    def forward(self, a, b):
        return a + np.tanh(b), 1 - np.tanh(b) ** 2

    def backward(self, dy, saved):
        return {"a": 1 * dy, "b": dy * saved}

    def formula(self, at, a, b):
        return a[at] + tanh(b[at])


def test_derivatives_are_worked_out_in_many_digits_unless_all_are_exact():
    oracle = Oracle(Case(Mixed(), {"n": 24}, "float64", "C", "real", 1))
    found = _curved.curved(oracle, {"y": np.ones(24)})
    with mpmath.workdps(40):
        wanted = [float((1 - mpmath.tanh(mpmath.mpf(b)) ** 2) ** 2) for b in oracle.arrays["b"]]
    assert found["b"].value.tolist() == wanted and (found["a"].value == 1).all()


def a_loss():
    """A loss with the second derivative p (1 - p) of each entry, over the batch."""
    oracle = Oracle(a_case("logistic_cross_entropy", {}, "real"))
    above = {name: np.ones_like(value) for name, value in oracle.cotangents.items()}
    p = 1 / (1 + np.exp(-oracle.arrays["z"]))
    return oracle, above, p * (1 - p)


def test_the_second_derivative_of_a_loss_is_held_to_differences():
    oracle, above, wanted = a_loss()
    found = _curved.curved(oracle, above)["z"]
    assert found.value == pytest.approx(wanted, rel=1e-12) and (found.bound < 1e-12).all()
    for entry in np.ndindex(wanted.shape):
        assert _curved._quotient(oracle, "z", entry, above) == pytest.approx(wanted[entry], rel=1e-14)
    doubled = {name: 2 * value for name, value in above.items()}
    assert _curved._quotient(oracle, "z", (1, 2), doubled) == pytest.approx(2 * wanted[1, 2], rel=1e-14)
    _curved._confirm(oracle, "z", wanted, above)
    for factor in (1 + 1e-6, 1 - 1e-6, 0, -1):
        with pytest.raises(OraclesDisagree, match="derived second derivative"):
            _curved._confirm(oracle, "z", wanted * factor, above)
    evaluation, rounder = _curved._evaluation(oracle.case.structure), Rounding(PRECISION["float64"])
    error = evaluation.backward(rounder, evaluation.forward(rounder, oracle.arrays), above)["z"].error.reshape(wanted.shape)
    u = 2.0**-53
    assert found.bound == pytest.approx(u * (16 * error + 2 * found.value) + 16 * 2.0**-1022, rel=1e-12, abs=0)
    # Two entries are probed.
    wrong = 0
    for entry in np.ndindex(wanted.shape):
        spoilt = wanted.copy()
        spoilt[entry] *= 2
        try:
            _curved._confirm(oracle, "z", spoilt, above)
        except OraclesDisagree:
            wrong += 1
    assert wrong == _curved.PROBES == 2


def test_derivatives_that_are_nearly_0_need_not_have_digits():
    oracle, above, _ = a_loss()
    oracle.arrays = {**oracle.arrays, "z": np.full((3, 4), 70.0)}
    _curved._confirm(oracle, "z", np.full((3, 4), np.exp(-70.0)), above)
    with pytest.raises(OraclesDisagree):
        _curved._confirm(oracle, "z", np.full((3, 4), 1e-16), above)


def test_no_difference_is_taken_at_a_kink():
    penalty = OPS.make("l1", strength=0.5)
    oracle = Oracle(Case(penalty, {**penalty.declaration.known, "...": (2,)}, "float64", "C", "small", 1))
    (name,) = oracle.arrays
    nonsense = np.full(2, 9.0)
    oracle.arrays = {name: np.ones(2)}
    with pytest.raises(OraclesDisagree):
        _curved._confirm(oracle, name, nonsense, oracle.cotangents)
    oracle.arrays = {name: np.zeros(2)}
    assert _curved._confirm(oracle, name, nonsense, oracle.cotangents) is None


def test_cases_are_of_few_forms_each_with_several(monkeypatch):
    """Of eight cases two forms, of three one; the first that come."""
    monkeypatch.setattr(curvature, "structure", lambda op: op.units)
    cases = [a_case("dense", {"units": units}, "small") for units in (1, 2, 3, 1, 2, 1, 2, 1, 2, 1)]
    for most, chosen in ((8, [1, 2] * 4), (11, [*([1, 2] * 4), 1]), (12, [1, 2, 3, *([1, 2] * 3), 1]), (3, [1, 1, 1])):
        assert [case.op.units for case in curvature._of_few_forms(cases, most)] == chosen


def test_derivatives_one_by_one_must_add_up_to_the_gradient():
    oracle = Oracle(a_case("dense", {"units": 2}, "real"))
    rounder = Rounding(PRECISION["float64"])
    evaluation = _curved._evaluation(oracle.case.structure)
    slopes = evaluation.backward(rounder, evaluation.forward(rounder, oracle.arrays), {})
    _curved._agree(oracle, slopes)
    for key, slope in slopes.items():
        with pytest.raises(OraclesDisagree, match=f"by {key[1]!r} one by one"):
            _curved._agree(oracle, {**slopes, key: replace(slope, value=slope.value * (1 + 1e-6))})


def test_where_nothing_has_a_gradient_there_is_nothing_to_propagate_to():
    @dataclass(frozen=True)
    class Given(cf.Layer):
        name = "given"
        inputs = {}
        constants = {"c": "n i"}
        output = "n i"

        def forward(self, c):
            return 2 * c, None

        def backward(self, dy, saved):
            return {}

        def formula(self, at, c):
            return 2 * c[at]

    op = Given()
    with pytest.raises(Skip, match="nothing to propagate to"):
        curvature.check(Oracle(Case(op, {"n": 2, "i": 2}, "float64", "C", "small", 1)), Evidence("curvature"))


def test_half_of_the_cases_are_integers_and_half_of_those_of_each_type():
    first = a_case("dense", {"units": 1}, "wide")
    found = [curvature._varied(first, number, "") for number in range(8)]
    assert [case.lattice for case in found] == ["small", "real"] * 4
    assert [case.dtype for case in found] == [*DTYPES[:1] * 2, *DTYPES[1:] * 2] * 2
    assert {curvature._varied(first, number, "float32").dtype for number in range(4)} == {"float32"}


def test_a_diagonal_that_is_no_integer_is_rounded_though_nothing_was_off():
    oracle = Oracle(a_case("squared_error", {}, "small"))
    for above, bound in ((0.3, 2.0**-53 * 2 * 0.3), (1e-310, 16 * 2.0**-1022), (3.0, 0.0)):
        found = _curved.curved(oracle, {name: np.full_like(value, above) for name, value in oracle.cotangents.items()})
        assert all((truth.value == above).all() and truth.bound == pytest.approx(bound, rel=1e-12, abs=0) for truth in found.values())


@dataclass(frozen=True)
class Rooted(Mixed):
    """One of the derivatives is 1, and the other is not known at 0."""

    name = "rooted"

    def formula(self, at, a, b):
        return a[at] + tanh(b[at]) ** sp.Rational(3, 2)


def test_one_derivative_that_is_not_finite_is_enough_to_ask_nothing():
    for b, asked in ((1.0, True), (0.0, False)):
        oracle = Oracle(Case(Rooted(), {"n": 1}, "float64", "C", "real", 1))
        oracle.arrays = {"a": np.ones(1), "b": np.full(1, b)}
        if asked:
            assert _curved.curved(oracle, {"y": np.ones(1)})["a"].value == 1
        else:
            with pytest.raises(Skip, match="not finite"):
                _curved.curved(oracle, {"y": np.ones(1)})
