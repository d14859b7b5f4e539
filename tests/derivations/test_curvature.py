"""The evidence about curvature: what is wrong is refused, and the routes are those that formulas allow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import _curvature
from cnnframe._curvature import Route, Routes
from cnnframe.algebra import first_maximum, indices, total
from cnnframe_derivations._rounding import Rounding
from cnnframe_derivations.diagonal import rule
from cnnframe_derivations.suite import Settings, _curved, curvature, gather
from cnnframe_derivations.suite._cases import Case
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._values import PRECISION
from cnnframe_derivations.suite._verdict import Evidence, OraclesDisagree, Skip

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


def test_an_output_that_does_not_depend_adds_no_room():
    one = _curved._bound(np.ones((1, 1)), np.array([[0.3]]), np.zeros((1, 1)), "float64")
    two = _curved._bound(np.ones((2, 1)), np.array([[0.3], [0.0]]), np.zeros((2, 1)), "float64")
    assert one == two > 0


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
