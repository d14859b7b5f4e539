"""The parts of the suite, each held to its own promise by something small made by hand."""

from __future__ import annotations

import gc
import io
import math
import os
import random
import re
import signal
import sys
import threading
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import mpmath
import numpy as np
import pytest
import sympy as sp

import cnnframe as cf
from cnnframe import Activation, DataError, Layer, Links, PerAxis, at_least, between, multiple_of, one_of, positive
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import hyperparameters
from cnnframe.algebra import absolute, define, equal, exp, guard, indices, inside, tanh, total, when
from cnnframe_derivations import Settings, derive
from cnnframe_derivations._evaluate import Evaluation
from cnnframe_derivations._numbers import DIGITS, Digits, Floats, Magnitudes
from cnnframe_derivations._rounding import Rounded, Rounding
from cnnframe_derivations.suite import canaries, exact, exhaustive, extremes, gather, independent, kinks, replay, symbolic, verify
from cnnframe_derivations.suite._bench import BUDGETS, Bench, Check, put
from cnnframe_derivations.suite._box import Box, vary
from cnnframe_derivations.suite._calls import BEAT, Subject, apart, quiet
from cnnframe_derivations.suite._cases import DTYPES, LAYOUTS, Case, fits, floats, integers_in, least_sizes, letters_of
from cnnframe_derivations.suite._coverage import awkward, features, sample
from cnnframe_derivations.suite._oracle import ROUTES, TINY, UNIT, Oracle, Truth
from cnnframe_derivations.suite._refusals import _bad_values, check_refusals
from cnnframe_derivations.suite._ring import ONE, Domain, Near, Ring
from cnnframe_derivations.suite._run import KINDS, _doubt
from cnnframe_derivations.suite._scalar import Scalar, symbols
from cnnframe_derivations.suite._state import State, written
from cnnframe_derivations.suite._twin import Twin, differs, first_refutation
from cnnframe_derivations.suite._values import EXTREMES, FINE, LATTICES, PRECISION, exact_amplitude, fill, fraction_bits, magnitude
from cnnframe_derivations.suite._verdict import Drawn, Evidence, Finding, OraclesDisagree, Refutation, Report, Skip

OPS = cf.load()
ANY = {ELLIPSIS: (4,)}


def case(op, sizes=ANY, dtype="float64", layout="C", lattice="small", seed=1):
    """A case by hand."""
    return Case(op, {**op.declaration.known, **sizes}, dtype, layout, lattice, seed)


def pointwise(made, f=np.copy, df=np.ones_like, expr=lambda x: x, base=Activation, **hypers):
    """An activation from three functions."""
    body = {"name": made, "f": lambda self, x: f(x), "df": lambda self, x, y: df(x), "expr": lambda self, x: expr(x), **hypers}
    return dataclass(frozen=True)(type(made, (base,), body))


def evaluation_of(cls, sizes=ANY):
    op = sample(cls)
    return Evaluation(derive(op), op, {**op.declaration.known, **sizes})


def check(module, op, sizes=ANY, **more):
    """What one kind of evidence says about one case: nothing refuted, or the refutation is raised."""
    evidence = Evidence(module.KIND)
    module.CHECK.judge(Oracle(module.CHECK.prepare(case(op, sizes, **more))), evidence)
    return evidence


def refutation_of(module, op, sizes=ANY, **more):
    with pytest.raises(Refutation) as caught:
        check(module, op, sizes, **more)
    return caught.value.finding


# The rules for values


def drawn(rule, amplitude=3, shape=(50, 8), seed=0):
    return np.asarray(fill(rule, np.random.default_rng(seed), shape, amplitude), dtype=np.float64)


def test_lattices_hold_what_their_names_say():
    small = drawn("small")
    assert set(small.ravel()) == set(range(-3, 4))
    zeros = np.signbit(small[small == 0])
    assert zeros.any() and not zeros.all()
    assert set(drawn("wide", 5).ravel()) == set(range(-5, 6))
    assert set(drawn("signed").ravel()) == {-3, -2, -1, 1, 2, 3}
    fine = drawn("fine") * 2**FINE
    assert set(fine.ravel()) == set(range(-3, 4))
    for shape in ((5,), (6,), (3, 3)):
        apart_ = np.sort(drawn("apart", 1, shape).ravel())
        assert np.all(np.diff(apart_) >= 4) and np.all(np.abs(apart_) >= 2)
        assert {*(apart_ < 0)} == {True, False}
        assert np.abs(apart_).max() <= 4 * len(apart_)
        near = np.sort(drawn("apart", 0, shape).ravel())
        assert np.abs(near).max() <= 2 and np.all(np.diff(near) > 0) and np.all(near != 0)
    assert not np.array_equal(drawn("apart", 1, (6,), 1), drawn("apart", 1, (6,), 2))


def test_real_numbers_lie_within_two_or_a_known_multiple_of_it():
    widths = Counter(float(np.ceil(np.max(np.abs(drawn("real", seed=seed))))) for seed in range(60))
    assert set(widths) == {2, 12, 100}
    assert widths[2] > 30
    real = drawn("real")
    assert np.unique(real).size == real.size and real.min() < -1.9 and real.max() > 1.9


def test_extreme_values_are_where_their_names_say():
    for amplitude, dtype in ((24, np.float32), (53, np.float64)):
        limits = np.finfo(dtype)
        found = {rule: drawn(rule, amplitude) for rule in EXTREMES}
        for rule in ("saturated", "overflowing", "huge", "tiny", "denormal", "spike"):
            assert (found[rule] > 0).any() and (found[rule] < 0).any()
        assert set(np.abs(found["saturated"]).ravel()) == {300}
        assert set(np.abs(found["overflowing"]).ravel()) == {800}
        assert not found["zero"].any()
        assert set(found["constant"].ravel()) == {1.5}
        assert np.sum(np.abs(found["spike"]) > 100) == 1 and np.sum(found["spike"] == 1e4) == 1
        assert np.sum((np.abs(found["spike"]) >= 1) & (np.abs(found["spike"]) <= 2)) == found["spike"].size - 1
        largest, least = {24: (1e8, 1e-8), 53: (1e30, 1e-30)}[amplitude]
        assert np.all((np.abs(found["huge"]) >= largest) & (np.abs(found["huge"]) <= 2 * largest))
        assert np.all((np.abs(found["tiny"]) >= least) & (np.abs(found["tiny"]) <= 2 * least))
        denormal = np.abs(found["denormal"].astype(dtype))
        assert np.all((denormal > 0) & (denormal < limits.smallest_normal))
    assert drawn("spike", 24, ()).shape == ()


@dataclass(frozen=True)
class Weighted(Layer):
    """A weighted sum, a product of all that is given."""

    name = "weighted"
    inputs = {"x": "n i"}
    params = {"w": "i"}
    output = "n"

    def forward(self, x, w):
        return x @ w, (x, w)

    def backward(self, dy, saved):
        x, w = saved
        return {"x": dy[:, None] * w, "w": dy @ x}

    def formula(self, at, x, w):
        (n,) = at
        (i,) = indices("i")
        return total(w[i] * x[n, i], (i, x.shape[1]))


def test_the_largest_number_of_a_formula_is_bounded_by_that_of_its_terms():
    found = evaluation_of(Weighted, {"n": 2, "i": 5})
    assert magnitude(found, 7, "") == 5 * 7 * 7
    assert magnitude(found, 7, "x") == 5 * 7 * 3
    assert magnitude(found, 7, "w") == 5 * 7 * 3
    assert magnitude(found, 100, "dy") == 2 * 100 * 3
    several = evaluation_of(Weighted, {"n": 9, "i": 2})
    assert magnitude(several, 7, "") == 9 * 7 * 7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("deep", ["", "x", "w", "dy"])
def test_an_exact_amplitude_keeps_all_numbers_whole_and_leaves_little_room(dtype, deep):
    found = evaluation_of(Weighted, {"n": 2, "i": 5})
    amplitude = exact_amplitude(found, dtype, deep=deep)
    most = 2.0 ** (PRECISION[dtype] - 4)
    assert magnitude(found, amplitude, deep) <= most
    assert amplitude == most or magnitude(found, 4 * amplitude, deep) > most
    assert exact_amplitude(found, dtype, deep=deep, start=3) == 3
    places = exact_amplitude(found, dtype, deep=deep, start=3, places=FINE)
    assert places == (3 if PRECISION[dtype] - 4 > 2 * FINE + 6 else 0)


@pytest.mark.parametrize(
    ("expr", "places", "bits"),
    [
        (lambda x: x, 0, 0),
        (lambda x: x, 3, 3),
        (lambda x: x * x, 3, 6),
        (lambda x: x**3, 2, 6),
        (lambda x: x / 4, 0, 2),
        (lambda x: x / 4 + x * x, 1, 3),
        (lambda x: x / 3, 0, None),
        (lambda x: x + 1 / sp.Integer(8), 0, 3),
        (lambda x: x / 2**24, 0, 24),
        (lambda x: x / 2**25, 0, None),
        (lambda x: absolute(x) * x, 2, 4),
        (lambda x: when(x > 0, x, x * x), 2, 4),
        (lambda x: when(x * x * x > 1, x, 0), 2, 6),
        (lambda x: when(x > sp.Rational(1, 32), x, 0), 0, 5),
        (tanh, 0, None),
        (lambda x: 1 / x, 0, None),
    ],
)
def test_how_many_binary_places_a_formula_can_have(expr, places, bits):
    found = fraction_bits(evaluation_of(pointwise("places", expr=expr)), places)
    assert found == bits


def test_numbers_of_the_unit_interval_are_sixty_fourths():
    dropout = OPS.make("dropout", rate=0.5)
    drawn_ = case(dropout, {ELLIPSIS: (40,)}).arrays()
    (name,) = (name for name, values in dropout.declaration.values.items() if isinstance(values, str))
    assert set(64 * drawn_[name]) <= set(range(64)) and len(set(drawn_[name])) > 10
    assert fraction_bits(Evaluation(derive(dropout), dropout, {**dropout.declaration.known, ELLIPSIS: (4,)})) >= 6


# Cases


def test_values_and_cotangents_of_a_case_follow_from_its_seed():
    dense = OPS.make("dense", units=3)
    sizes = {"n": 4, "i": 5}
    wide = case(dense, sizes, lattice="wide")
    one, two = wide.arrays(1000, "W"), wide.arrays(1000)
    assert np.abs(one["W"]).max() > 3 and np.abs(one["x"]).max() <= 3 < np.abs(two["x"]).max()
    assert not np.array_equal(one["x"][:3, :3], one["W"][:3, :3])
    assert np.abs(wide.cotangents(1000, "dy")["y"]).max() > 3 >= np.abs(wide.cotangents(1000, "x")["y"]).max()
    assert np.abs(wide.arrays()["x"]).max() == 3 and np.abs(wide.cotangents()["y"]).max() == 3
    assert wide.cotangents()["y"].all()
    for seed in range(8):
        given = case(dense, sizes, seed=seed).cotangents()["y"]
        assert np.count_nonzero(given) == (1 if seed % 4 == 3 else given.size)
        assert given.dtype == np.float64
    for lattice in ("real", "huge"):
        cotangent = case(dense, sizes, lattice=lattice, dtype="float32").cotangents()["y"]
        assert cotangent.dtype == np.float32 and np.any(cotangent != np.rint(cotangent))
    index = case(OPS.make("softmax_cross_entropy", targets="index"), {"n": 40, "c": 3}).arrays()
    assert set(index["t"]) == {0, 1, 2}


def test_a_case_is_written_down_and_read_again():
    conv = OPS.make("conv_linked", links=Links(((0, 0), (1, 0)), 2, 1), size=2, dims=1)
    for op, sizes in (
        (conv, {"n": 1, "h0": 3}),
        (OPS.make("relu"), {ELLIPSIS: (2, 3)}),
        (OPS.make("conv", maps=2, size=(2, 1)), {"n": 1, "g": 1, "h0": 3, "h1": 2}),
    ):
        first = case(op, sizes, "float32", "strided", "fine", 12)
        again = Case.from_replay(type(op), first.replay)
        assert (again.op, again.known, again.dtype, again.layout, again.lattice, again.seed) == (first.op, first.known, "float32", "strided", "fine", 12)
        assert again.structure == first.structure and hash(again.structure) == hash(first.structure)
    line = case(OPS.make("dense", units=1), {"n": 1, "i": 1}).replay
    for old, new in (
        ('"float64"', '"float16"'),
        ('"C"', '"D"'),
        ('"small"', '"tall"'),
        ('"units": 1', '"units": 0'),
        ('"i": 1', '"i": "a"'),
        ('"seed"', '"seat"'),
        ("{", "["),
    ):
        with pytest.raises((DataError, cf.CnnframeError)):
            Case.from_replay(OPS["dense"], line.replace(old, new))
    for lattice in (*LATTICES, *EXTREMES):
        assert Case.from_replay(OPS["dense"], line.replace("small", lattice)).lattice == lattice


def test_structures_are_told_apart_by_class_and_by_text():
    one, two = case(OPS.make("relu"), {ELLIPSIS: (2,)}), case(OPS.make("relu"), {ELLIPSIS: (3,)})
    assert one.structure != two.structure and one.structure == replace(one, seed=9).structure
    assert one.structure != replace(one, op=OPS.make("identity")).structure
    assert one.structure != one.structure.text


def test_a_case_fits_that_costs_the_oracle_little():
    dense = OPS.make("dense", units=10)
    assert fits(case(dense, {"n": 40, "i": 2})) and not fits(case(dense, {"n": 41, "i": 2}))
    assert fits(case(dense, {"n": 100, "i": 2}), large=True) and not fits(case(dense, {"n": 101, "i": 2}), large=True)
    assert fits(case(dense, {"n": 20, "i": 10})) and not fits(case(dense, {"n": 21, "i": 10}))
    few = OPS.make("dense", units=1)
    assert fits(case(few, {"n": 120, "i": 10}), large=True) and not fits(case(few, {"n": 121, "i": 10}), large=True)
    assert fits(case(OPS.make("relu"), {ELLIPSIS: (400,)})) and not fits(case(OPS.make("relu"), {ELLIPSIS: (401,)}))


@dataclass(frozen=True)
class Settled(Activation):
    """Hyperparameters of every kind of bound."""

    count: Annotated[int, at_least(2)]
    open: Annotated[float, between(0, 1, include_low=False, include_high=False)]
    closed: Annotated[float, between(0, 1)] = 0.125
    few: Annotated[int, between(-1, 1)] = 0
    above: Annotated[int, between(0, 9, include_low=False)] = 1
    free: int = 0
    word: Annotated[str, one_of("a", "b")] = "a"
    axes: Annotated[PerAxis, at_least(1)] = (1, 1)

    name = "settled"

    def f(self, x):
        return x * 1

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


def test_hyperparameters_are_drawn_within_their_bounds():
    hypers = hyperparameters(Settled)
    steps = (0, 1, 2, 4)
    assert integers_in(hypers["count"], steps) == [2, 3, 4, 6]
    assert integers_in(hypers["few"], steps) == [-1, 0, 1]
    assert integers_in(hypers["above"], steps) == [1, 2, 3, 5]
    assert integers_in(hypers["free"], steps) == [-2, -1, 0, 2]
    assert set(floats(hypers["open"])) == {0.5, 0.25, 0.75, 0.9375}
    assert set(floats(hypers["closed"])) == {0.5, 1.0, 0.25, 0.75, 0.9375, 0.0, 0.125}
    assert floats(hypers["closed"])[-1] == 0.125


def test_the_simplest_instance_of_a_class():
    found = sample(Settled)
    assert (found.count, found.open) == (2, 0.5)
    assert sample(Settled, count=7).count == 7
    for cls in OPS.operations().values():
        assert isinstance(sample(cls), cls)


def test_the_smallest_sizes_leave_no_output_empty():
    for op in (OPS.make("conv", maps=1, size=(3, 2), stride=2), OPS.make("max_pool", size=3, stride=2, dims=1), OPS.make("dense", units=1)):
        known = dict(op.declaration.known)
        axes, letters = letters_of(op)
        assert letters == sorted(letters) and not set(letters) & op.declaration.known.keys()
        least = least_sizes(op, known, letters)
        assert min(math.prod(shape) for shape in case(op, {**known, **least}).outputs.values()) == 1
        for letter in letters:
            smaller = {**known, **least, letter: least[letter] - 1}
            assert least[letter] == 1 or min(axis(smaller) for shape in op.declaration.outputs.values() for axis in shape) < 1
        assert None not in axes


# The small box


@pytest.mark.parametrize("name", sorted(OPS.operations()))
def test_a_box_holds_different_cases_that_fit_from_the_simplest_on(name):
    box = Box(OPS[name])
    simple = list(box.simplest(40))
    spread = box.spread(30)
    assert simple and spread and len(spread) <= 30
    for found in (simple, spread):
        assert len({case.structure.text for case in found}) == len(found)
        assert all(fits(case) for case in found)
        assert {case.dtype for case in found} == set(DTYPES) or len(found) < 2
        assert all(type(case.op) is OPS[name] for case in found)
        [case.op.sizes(case.shapes) for case in found]
    entries = [sum(math.prod(shape) for shape in case.shapes.values()) for case in simple]
    assert entries[0] == min(filter(None, entries))
    assert np.mean(entries[:10]) <= np.mean(entries[-10:])
    assert max(math.prod(shape) for shape in simple[0].shapes.values()) == 1


def test_a_box_reaches_every_small_setting():
    found = Box(OPS["conv"]).spread(400)
    for name, least, most in (("size", 1, 3), ("stride", 1, 3), ("padding", 0, 2), ("dilation", 1, 3)):
        assert {value for case in found for value in getattr(case.op, name)} == set(range(least, most + 1)), name
    assert {case.op.orientation for case in found} == set(hyperparameters(OPS["conv"])["orientation"].choices)
    assert {case.op.maps // case.op.groups for case in found} == {1, 2, 3} == {case.op.groups for case in found}
    assert {case.known["n"] for case in found} >= {1, 2, 3}
    assert any(len(set(case.op.size)) > 1 for case in found)
    shapes = {case.known[ELLIPSIS] for case in Box(OPS["relu"]).spread(40)}
    assert shapes == {(1,), (3,), (2, 2), (2, 3), (), (0, 2), (5, 1), (2, 1, 3), (3, 3)}
    tables = {case.op.links for case in Box(OPS["conv_linked"]).spread(400)}
    assert len(tables) == 6
    rates = {case.op.beta for case in Box(OPS["logistic"]).spread(200)}
    assert {0.5, 1.0, 2.0} <= rates
    assert Box(OPS["dense"]).size == 3 * 3 * 4


def test_values_layout_and_type_go_round():
    first = case(OPS.make("relu"))
    found = [vary(first, number) for number in range(40)]
    assert {c.dtype for c in found} == set(DTYPES)
    assert {c.layout for c in found} == set(LAYOUTS)
    assert {c.lattice for c in found} == set(LATTICES) - {"real"}
    assert {(c.dtype, c.layout) for c in found} == {(dtype, layout) for dtype in DTYPES for layout in LAYOUTS}
    assert [c.seed for c in found] == list(range(40))


# Awkward settings


def met(op, sizes, **more):
    return set(features(case(op, sizes, **more)))


PLAIN = {"float64", "small values"}


def test_the_settings_of_a_case_are_named():
    dense = OPS.make("dense", units=1)
    assert met(dense, {"n": 2, "i": 1}) == PLAIN
    assert met(dense, {"n": 1, "i": 2}) == PLAIN | {"a batch of one", "i above 1"}
    assert met(dense, {"n": 4, "i": 4}) == PLAIN | {"i above 1"}
    assert met(dense, {"n": 5, "i": 5}) == PLAIN | {"a batch above four", "i above 1", "i above 4"}
    assert met(dense, {"n": 8, "i": 1}) == PLAIN | {"a batch above four"}
    assert met(dense, {"n": 9, "i": 1}) == PLAIN | {"a batch above four", "a batch above eight"}
    assert met(dense, {"n": 0, "i": 1}, layout="F") == {"an empty batch"}
    assert met(dense, {"n": 2, "i": 1}, dtype="float32", layout="strided", lattice="fine") == {"float32", "strided layout", "fine values"}
    assert met(OPS.make("dense", units=2), {"n": 2, "i": 1}) == PLAIN | {"units above 1"}
    assert met(OPS.make("dense", units=4), {"n": 2, "i": 1}) == PLAIN | {"units above 1", "units above 3"}
    assert met(OPS.make("dense", units=3), {"n": 2, "i": 1}) == PLAIN | {"units above 1"}
    assert met(OPS.make("relu"), {ELLIPSIS: (4, 4)}) == PLAIN
    assert met(OPS.make("relu"), {ELLIPSIS: (17,)}) == PLAIN | {"more than 16 entries"}
    assert met(OPS.make("relu"), {ELLIPSIS: (0,)}) == set()


def test_the_settings_of_windows_are_named():
    def of(h, **hyper):
        pool = OPS.make("max_pool", dims=len(h), **hyper)
        found = met(pool, {"n": 2, "i": 1, **{f"h{d}": size for d, size in enumerate(h)}})
        return found - PLAIN - {f"dims={len(h)}"}

    assert of((4,), size=2, stride=2) == {"nothing left over", "size above 1", "stride above 1"}
    assert of((5,), size=2, stride=2) == {"entries left over", "size above 1", "stride above 1"}
    assert of((4,), size=4, stride=3) == {"nothing left over", "size above 1", "size above 3", "stride above 1", "stride below size"}
    assert of((5,), size=2, stride=3) == {"nothing left over", "size above 1", "stride above 1", "stride above size"}
    assert of((5,), size=1, stride=1) == set()
    assert of((3, 3), size=(1, 2), stride=1) == {"size above 1", "size not the same on all axes", "stride below size"}
    assert of((2, 3), size=1, stride=1) == {"a map that is not square"}
    same = {"size above 1 and the same on all axes", "size above 1", "stride below size"}
    assert of((3, 3), size=2, stride=1) == same


def test_what_must_be_met_is_read_off_the_declaration():
    always = {"float64", "float32", "F layout", "strided layout", "reversed layout"}
    batch = {"an empty batch", "a batch of one", "a batch above four", "a batch above eight"}
    assert awkward(OPS["relu"]) == always | {"more than 16 entries"}
    assert awkward(OPS["dense"]) == always | batch | {"i above 1", "i above 4", "units above 1", "units above 3"}
    pool = awkward(OPS["max_pool"])
    assert pool >= always | batch | {"i above 1", "i above 4", "a map that is not square", "entries left over", "nothing left over"}
    assert pool >= {"size above 1", "size above 3", "size not the same on all axes", "size above 1 and the same on all axes", "stride above size"}
    assert pool >= {"dims=1", "dims=2", "dims=3"} and "h0 above 1" not in pool
    assert {feature for feature in awkward(Settled) if feature.startswith(("few", "word", "axes", "count", "open", "above"))} == {
        *("few above -1", "word='a'", "word='b'", "count above 2", "count above 4", "above above 1", "above above 3"),
        *("axes above 1", "axes above 3", "axes not the same on all axes", "axes above 1 and the same on all axes"),
    }
    assert not any("float" in feature and feature not in always for feature in awkward(OPS["logistic"]))


# Numbers and their errors


def rounded(*values, errors=None):
    return Rounded(np.array(values), np.array(errors or [0.0] * len(values)))


def test_errors_are_counted_in_units_of_what_was_rounded():
    system = Rounding(53)
    a, b, c = rounded(0.25), rounded(-0.5, errors=[3.0]), rounded(0.125)
    assert system.add([a, b, c]).error == 3.0 + 2 * (0.25 + 0.5 + 0.125)
    assert system.add([a, b, c]).value == -0.125
    assert system.multiply([a, b]).error == 0.25 * 3.0 + 0.125
    assert system.multiply([b, b]).error == 2 * 0.5 * 3.0 + 0.25
    assert system.multiply([a, a, c]).error == (0.0625 * 0.125) * 2
    squared = system.power(b, Fraction(2))
    assert (squared.value, squared.error) == (0.25, 2 * 0.5 * 3.0 + 4 * 0.25)
    assert system.power(rounded(2.0, errors=[1.0]), Fraction(6)).error == 6 * 2.0**5 + 6 * 2.0**6
    assert system.power(b, Fraction(1)).error == 3.0 + 4 * 0.5
    assert system.power(rounded(0.25, errors=[1.0]), Fraction(1, 2)).error == 1.0 + 4 * 0.5
    assert system.power(rounded(0.25, errors=[1.0]), Fraction(-1)).error == 16.0 + 4 * 4.0
    assert system.lift(Fraction(1, 4)).error == 0.25 and not system.lift(np.array([2, 3])).error.any()
    assert system.constant(0.5).error == 0 and system.constant(0.1).error == 0.1 and system.constant(-0.1).error == 0.1
    given = system.array(np.array([0.1]))
    assert given.error == 0 and given.value == 0.1


def test_errors_of_functions_are_those_of_argument_and_function():
    system = Rounding(53)
    x = rounded(0.75, errors=[3.0])
    slopes = {"exp": math.exp(0.75), "log": 4 / 3, "sin": math.cos(0.75), "cos": math.sin(0.75), "tanh": 1 - math.tanh(0.75) ** 2}
    slopes |= {"Logistic": math.exp(-0.75) / (1 + math.exp(-0.75)) ** 2, "Softplus": 1 / (1 + math.exp(-0.75))}
    for name, slope in slopes.items():
        found = system.function(name, x)
        size = max(abs(found.value[0]), 1.0) if name in ("tanh", "Logistic", "Softplus") else abs(found.value[0])
        assert found.error == pytest.approx(slope * 3.0 + slope * 0.75 + 4 * size, rel=1e-12)
    assert system.function("Abs", rounded(-0.75, errors=[3.0])).error == 3.0
    assert system.function("sign", x).error == 0


def test_a_sum_is_exact_only_for_whole_numbers_below_the_precision():
    system = Rounding(10)
    where = (np.array([0, 0, 1]),)
    both = [(where, rounded(3.0, 4.0, 0.5)), (where, rounded(1.0, 1.0, 0.25))]
    found = system.scatter((3,), both)
    assert found.value.tolist() == [9.0, 0.75, 0.0] and found.error.tolist() == [0.0, 0.75, 0.0]
    assert system.scatter((1,), [((np.array([0, 0, 0]),), rounded(0.5, 0.25, 1.0, errors=[1.0, 2.0, 0.0]))]).error == 3.0 + 2 * 1.75
    assert system.scatter((1,), [((np.array([0]),), rounded(1024.0))]).error == 0
    assert system.scatter((1,), [((np.array([0, 0]),), rounded(1023.0, 1.0))]).error == 1024
    assert system.scatter((1,), [((np.array([0, 0]),), rounded(1022.0, 1.0))]).error == 0
    assert system.add([rounded(1022.0), rounded(1.0)]).error == 0 and system.add([rounded(1023.0), rounded(1.0)]).error == 1024
    assert system.multiply([rounded(32.0), rounded(31.0)]).error == 0 and system.multiply([rounded(32.0), rounded(32.0)]).error == 1024
    assert system.add([rounded(1.0, errors=[1.0]), rounded(1.0)]).error == 3.0
    assert system.gather(rounded(1.0, 2.0, errors=[3.0, 4.0]), (np.array([1]),)).error == 4.0
    chosen = system.choose([np.array([False]), True], [rounded(1.0, errors=[5.0]), rounded(2.0, errors=[7.0])])
    assert chosen.value == 2.0 and chosen.error == 7.0


def test_a_comparison_is_in_doubt_only_near_a_tie_of_rounded_sides():
    for gap, doubt in ((0.0, True), (1e-6, True), (1e-3, False)):
        system = Rounding(53)
        holds = system.compare("StrictGreaterThan", rounded(1.0 + gap, errors=[1.0]), rounded(1.0))
        assert bool(holds[0]) is (gap > 0)
        assert system.ambiguous is doubt
    system = Rounding(53)
    system.compare("StrictGreaterThan", rounded(1.0, 3.0), rounded(1.0, 2.0))
    assert not system.ambiguous
    system.compare("LessThan", rounded(1.0, 3.0), rounded(1.0, 3.0, errors=[0.0, 1.0]))
    assert system.ambiguous


RELATIONS = {"Equality": "==", "Unequality": "!=", "GreaterThan": ">=", "LessThan": "<=", "StrictGreaterThan": ">", "StrictLessThan": "<"}


def test_floats_digits_and_magnitudes_agree_on_what_numbers_are():
    x = np.array([-1.5, -0.25, 0.5, 2.0])
    numbers = Digits().array(x)
    with mpmath.workdps(DIGITS):
        for name in ("exp", "tanh", "sin", "cos", "Logistic", "Softplus", "Abs", "sign"):
            np.testing.assert_allclose(Floats().function(name, x), [float(v) for v in Digits().function(name, numbers)], rtol=1e-14)
        for exponent in (2, 3, -1, Fraction(1, 2), Fraction(-3, 2), Fraction(2)):
            base = np.abs(x) if isinstance(exponent, Fraction) else x
            powers = Digits().power(Digits().array(base), exponent)
            np.testing.assert_allclose(Floats().power(base, exponent), [float(v) for v in powers], rtol=1e-14)
            np.testing.assert_allclose(Floats().power(base, exponent), base ** float(exponent), rtol=1e-14)
        third = Digits().lift(Fraction(1, 3))
        assert abs(third * 3 - 1) < 1e-39 and Digits().lift(np.array([2])).dtype == object
        for relation, word in RELATIONS.items():
            for left, right in ((1.0, 2.0), (2.0, 2.0), (3.0, 2.0)):
                holds = {"==": left == right, "!=": left != right, ">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[word]
                assert bool(Floats().compare(relation, left, right)) is holds
        for system, held in ((Floats(), x), (Digits(), numbers)):
            first = np.array([True, False, False, True])
            second = np.array([True, True, False, False])
            found = system.choose([first, second, True], [held, 2 * held, 0 * held])
            assert [float(v) for v in found] == [-1.5, -0.5, 0.0, 2.0]
            where = (np.array([0, 2, 2]),)
            assert [float(v) for v in system.scatter((3,), [(where, held[:3]), (where, held[1:])])] == [-1.75, 0.0, 2.75]
            assert float(system.add([held[0], held[1], held[2]])) == -1.25 and float(system.multiply([held[0], held[1], held[2]])) == 0.1875
            assert [float(v) for v in system.gather(held, (np.array([1, 3]),))] == [-0.25, 2.0]
    wide = Magnitudes()
    assert wide.lift(-2).tolist() == 2 and wide.constant(-0.5) == 0.5
    assert wide.array([-3.0]).tolist() == [3.0] and wide.power(np.array([2.0]), 3).tolist() == [8.0]
    assert wide.function("Abs", np.array([4.0])) == 4 and wide.function("sign", np.array([4.0])) == 1
    assert wide.choose([wide.compare("StrictGreaterThan", np.array([5.0]), np.array([7.0])), True], [np.array([2.0]), np.array([3.0])]) == 7
    with pytest.raises(cf.FormulaError, match="the function nothing cannot be evaluated; known: exp"):
        Floats().function("nothing", x)


# What is right at a case


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


def at(cls, *values):
    """The oracle of an activation at given numbers."""
    op = sample(cls)
    array = np.array(values, dtype=np.float64)
    return Oracle.at(case(op, {ELLIPSIS: array.shape}), {"x": array}, {"y": np.ones_like(array)})


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


# Calls


class Careless(Layer):
    """A layer of which each test spoils one method."""

    name = "careless"
    inputs = {"x": "n"}
    output = "n"

    def forward(self, x):
        return 2 * x, None

    def backward(self, dy, saved):
        return {"x": 2 * dy}

    def formula(self, at, x):
        return 2 * x[at]


def careless(forward=None, backward=None):
    body = {name: method for name, method in (("forward", forward), ("backward", backward)) if method}
    return dataclass(frozen=True)(type("Careless", (Careless,), body))()


def called(op, method="forward"):
    """A forward, or a backward, as a subject calls it."""
    oracle = Oracle(case(op, {"n": 3}))
    subject = Subject("kind", oracle)
    return subject.forward(oracle.arrays) if method == "forward" else subject.backward(oracle.cotangents, None)


def seterr(x):
    np.seterr(all="ignore")
    return 2 * x


def more_filters(x):
    warnings.simplefilter("ignore")
    return 2 * x


def other_stream(x):
    sys.stdout = io.StringIO()
    return 2 * x


def leave(x):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: list(2 * x), "must be a NumPy array or number; got list"),
        (lambda x: 2 * x[:2], r"must have shape \(3,\); got \(2,\)"),
        (lambda x: (2 * x).astype(np.float32), "element type of the arrays, float64; got float32"),
        (lambda x: np.ma.masked_array(2 * x), "must be a NumPy array or number; got MaskedArray"),
        (lambda x: x.__setitem__(0, 1), "raised ValueError: assignment destination is read-only; the arguments are read-only"),
        (lambda x: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (leave, "raised SystemExit: 3"),
        (lambda x: print("a word") or 2 * x, "printed 'a word"),
        (seterr, "changed NumPy's error settings"),
        (more_filters, "changed the warning filters"),
        (other_stream, "changed the standard streams"),
    ],
)
def test_a_call_that_does_not_answer_as_declared_is_refused(answer, said):
    for method in ("forward", "backward"):
        spoilt = {"forward": lambda self, x: (answer(x), None), "backward": lambda self, dy, saved: {"x": answer(dy)}}[method]
        op = careless(**{method: spoilt})
        oracle = Oracle(case(op, {"n": 3}))
        subject = Subject("kind", oracle)
        arrays = oracle.case.laid_out(oracle.arrays if method == "forward" else oracle.cotangents)
        call = {"forward": subject.forward, "backward": lambda arrays, subject=subject: subject.backward(arrays, None)}[method]
        with np.errstate(), warnings.catch_warnings(), pytest.raises(Refutation, match=said) as caught:
            call(arrays)
        finding = caught.value.finding
        assert finding.kind == "kind" and finding.replay == oracle.case.replay and finding.certificate
        assert {array.name for array in finding.arrays} == {"x", "dy"}


def test_a_first_call_may_change_settings_and_a_second_may_not():
    calls = []

    def forward(self, x):
        calls.append(1)
        return (seterr(x) if len(calls) < 2 else 2 * x), None

    outputs, _ = called(careless(forward))
    assert len(calls) == 2 and set(outputs) == {"y"}


def test_an_interrupt_is_the_codes_own_only_where_it_cannot_come_from_the_keyboard():
    def forward(self, x):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            called(careless(forward))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with pytest.raises(Refutation, match="raised KeyboardInterrupt"):
            called(careless(forward))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_refutation_shows_small_arrays_and_the_entry():
    oracle = Oracle(case(careless(), {"n": 64}))
    subject = Subject("kind", oracle)
    finding = subject.wrong("output", Truth(np.arange(64.0), np.zeros(64)), np.ones(64), (5,), "why").finding
    assert "entry (5,) of the output must be 5; got 1" in finding.what
    assert {array.name: array.entry for array in finding.arrays} == {"x": None, "dy": None, "expected": (5,), "got": (5,)}
    assert finding.arrays[2].entries == tuple(range(64)) and finding.arrays[2].shape == (64,)
    large = Subject("kind", Oracle(case(careless(), {"n": 65})))
    assert large.refuse("what", "why", got=np.ones(2)).finding.arrays == (Drawn("got", (2,), (1.0, 1.0)),)
    assert "the output must be 1; got 2" in subject.wrong("output", Truth(np.array(1.0), np.array(0.0)), 2.0, (), "why").finding.what


def test_who_watches_is_told_of_each_call():
    told = []
    token = BEAT.set(told.append)
    try:
        called(careless())
    finally:
        BEAT.reset(token)
    assert len(told) == 1 and told[0].startswith("kind: {")


def test_shared_memory_is_seen_between_any_two():
    subject = Subject("kind", Oracle(case(careless(), {"n": 3})))
    one, two = np.zeros(3), np.zeros(3)
    apart(subject, {"a": one}, {"b": two}, "output", "argument")
    for answers, given in (({"a": one, "c": two[:1]}, {"b": two}), ({"c": two}, {"a": one, "b": two[1:]})):
        with pytest.raises(Refutation, match="the output 'c' shares memory with the argument 'b'"):
            apart(subject, answers, given, "output", "argument")


def test_quiet_keeps_prints_and_warnings_to_itself(capsys):
    with quiet() as printed:
        print("out")
        print("err", file=sys.stderr)
        warnings.warn("not shown", stacklevel=1)
        np.float64(1) / np.float64(0)
    assert printed.getvalue() == "out\nerr\n"
    assert capsys.readouterr() == ("", "")


# The process


def other_environment():
    os.environ["CNNFRAME_TEETH"] = "1"


def replaced(module, name):
    return lambda: setattr(module, name, lambda *arguments: 0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("NumPy's error settings", lambda: np.seterr(all="raise")),
        ("NumPy's print options", lambda: np.set_printoptions(precision=2)),
        ("NumPy's global random state", lambda: np.random.seed(1)),  # noqa: NPY002 # it is this state that is changed
        ("Python's global random state", lambda: random.seed(1)),
        ("the current folder", lambda: os.chdir("/")),
        ("environment variables", other_environment),
        ("the recursion limit", lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1)),
        ("the warning filters", lambda: warnings.simplefilter("ignore")),
        ("the garbage collector", gc.disable),
        ("the garbage collector", lambda: gc.set_threshold(1, 2, 3)),
        ("functions of NumPy", replaced(np, "exp")),
        ("functions of NumPy's random module", replaced(np.random, "rand")),
    ],
)
def test_a_change_of_the_process_is_named_and_put_back(name, change):
    with warnings.catch_warnings():
        before = State()
        assert before.changed(State()) == []
        try:
            change()
            assert before.changed(State()) == [name]
        finally:
            before.restore()
        assert before.changed(State()) == []


def test_threads_and_handlers_that_are_left_are_named():
    before, done = State(), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert before.changed(State()) == ["the number of threads", "a signal handler"]
    finally:
        signal.signal(signal.SIGTERM, handler)
        done.set()
        thread.join()


def test_what_is_written_to_a_descriptor_is_caught(capfd):
    with written(1) as out, written(2) as err:
        os.write(1, b"one")
        os.write(2, b"two")
    assert (out, err) == ([b"one"], [b"two"])
    os.write(1, b"after")
    assert capfd.readouterr() == ("after", "")
    with written(1000) as nothing:
        pass
    assert nothing == []


# Refusals


def test_values_out_of_bounds_are_tried_at_every_end():
    hypers = hyperparameters(Settled)
    tried = {name: [v for v in _bad_values(hypers[name]) if isinstance(v, (int, float, str))] for name in hypers}
    assert tried["count"] == [1] and tried["free"] == []
    assert set(tried["few"]) == {-2, 2} and set(tried["above"]) == {-1, 0, 10}
    assert {v for v in tried["open"] if math.isfinite(v)} == {-1, 0, 1, 2} and {v for v in tried["closed"] if math.isfinite(v)} == {-1, 2}
    assert math.inf in tried["open"] and any(math.isnan(v) for v in tried["open"])
    assert tried["word"] == ["no such choice"] and tried["axes"] == [0]
    assert set(_bad_values(hyperparameters(OPS["conv"])["dims"])) >= {-1, 0, 4}
    assert all(any(type(v) is object for v in _bad_values(hyper)) for hyper in hypers.values())


def test_a_class_that_takes_what_it_must_not_is_a_doubt():
    good = Evidence("contract")
    check_refusals(Settled, good)
    assert good.checks > 15 and not good.doubt

    @dataclass(frozen=True)
    class Rude(Settled):
        def __post_init__(self):
            if self.count == 1:
                raise ValueError("no")
            Settled.__post_init__(self)

    doubtful = Evidence("contract")
    check_refusals(Rude, doubtful)
    assert doubtful.doubt == "count=1 must be refused with a HyperparameterError; got ValueError"


# Expressions and symbols


def pair(a=0.75, b=1.25):
    ring = Ring()
    return ring, *symbols(ring, "x", np.array([a, b]))


VALUES = [(0.75, 1.25), (2.5, -0.375), (-1.5, -2.25)]
OPERATIONS = [
    *(lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: -x, lambda x, y: +x, lambda x, y: x**3 * y),
    *(lambda x, y: x**-2 + y, lambda x, y: 2 - x, lambda x, y: 2 / x, lambda x, y: 3 * x + 0.5, lambda x, y: (x + y) ** 2 / (x - y), lambda x, y: abs(x) * y),
    *(lambda x, y: np.exp(x), lambda x, y: np.tanh(x * y), lambda x, y: np.sinh(x) - y, lambda x, y: np.cosh(x), lambda x, y: np.expm1(x)),
    *(lambda x, y: np.square(x), lambda x, y: np.exp2(x), lambda x, y: 2.0**x, lambda x, y: np.conjugate(x), lambda x, y: np.maximum(x, y) - x),
    *(
        lambda x, y: np.log1p(x * x),
        lambda x, y: np.sqrt(x * x + 1),
        lambda x, y: np.log2(x * x + 2),
        np.logaddexp,
        lambda x, y: np.sign(x) * y,
    ),
    *(lambda x, y: np.exp(x) ** 0.5 / y**4, lambda x, y: (x * x) ** 1.5 * y, lambda x, y: (4 * x * x + y**2) ** -0.5, lambda x, y: np.exp(2 * np.log(x * x))),
    *(lambda x, y: np.heaviside(x, 0.5) + y, lambda x, y: (x * x * y) ** 2 / (x * y), lambda x, y: 0 * x, lambda x, y: x**0 + y, lambda x, y: (x * x + 1) ** y),
]


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("number", range(len(OPERATIONS)))
def test_scalars_compute_as_numbers_do(number, values):
    """The value, the expression's value, its interval, and the derivative by differences."""
    ring, x, y = pair(*values)
    function = OPERATIONS[number]

    def plain(a, b):
        return float(np.asarray(function(np.float64(a), np.float64(b))))

    found = function(x, y)
    if not isinstance(found, Scalar):
        assert float(found) == plain(*values)
        return
    assert found.value == pytest.approx(plain(*values), rel=1e-12)
    assert ring.value(found.terms) == pytest.approx(found.value, rel=1e-12)
    bounds = ring.interval(found.terms)
    assert float(bounds.a) - 1e-12 <= found.value <= float(bounds.b) + 1e-12 and float(bounds.delta) < 1e-10
    gradient = ring.gradient(found.terms)
    for symbol in (0, 1):
        moved = [[v + sign * 1e-5 * (k == symbol) for k, v in enumerate(values)] for sign in (1, -1)]
        slope = (plain(*moved[0]) - plain(*moved[1])) / 2e-5
        assert ring.value(gradient.get(symbol, {})) == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert ring.vanishes((found - function(x, y)).terms)
    assert not ring.vanishes((found - function(x, y) + x / 1000).terms)


def test_functions_of_floats_alone_take_symbols():
    from scipy import special

    ring = Ring()
    x = symbols(ring, "x", np.array([0.25, 0.5]))
    plain = np.array([0.25, 0.5])
    for function in (special.expit, special.log_expit, special.logit, lambda v: special.xlogy(v, v), lambda v: special.xlog1py(v, v), np.log, np.sqrt):
        assert [scalar.value for scalar in function(x)] == pytest.approx(list(function(plain)), rel=1e-12)
    assert np.isfinite(x).tolist() == [True, True] and np.isfinite(x).dtype == bool
    assert np.isnan(x).tolist() == np.isinf(x).tolist() == [False, False]
    assert np.signbit(x - 0.375).tolist() == [True, False]
    mixed = np.array([x[0], 0.5, np.inf, np.nan], dtype=object).view(type(x))
    assert np.isfinite(mixed).tolist() == [True, True, False, False] and np.isnan(mixed).tolist() == [False, False, False, True]
    assert np.exp(mixed[1:2])[0] == math.exp(0.5)
    assert np.heaviside(x - 0.25 + 0.125, 0.5).tolist() == [1.0, 1.0] and np.heaviside(-x, 0.5).tolist() == [0.0, 0.0]
    out = np.empty(2, object).view(type(x))
    assert np.add(x, 1, out=out) is out and out[0].value == 1.25
    assert isinstance(np.concatenate([x, x]), type(x)) and isinstance(np.split(x, 2)[0], type(x))
    assert not x.flags.writeable and [ring.atoms[k].name for k in (0, 1)] == ["x[0]", "x[1]"]
    assert np.add.reduce(x).value == 0.75 and np.maximum.reduce(x).value == 0.5


def test_comparisons_go_by_value_and_are_counted_unless_they_hold_for_all():
    ring, x, y = pair()
    assert ring.branches == 0
    assert x < y and x <= y and y > x and y >= x and x != y and not x == y and not x > y and not x >= y and not y < x and not y <= x  # noqa: SIM201 # each operator is its own method
    assert ring.branches == 10
    assert np.exp(x) > 0 and np.exp(x) + 1 >= 0 and -np.exp(x) < 0 and not np.exp(x) <= 0
    same = x + 0
    assert x == same and x - x == 0 and x <= same and x >= same and not x < same and not x != same  # noqa: SIM202 # as above
    assert x < math.inf and x > -math.inf and not x > math.inf and x != math.inf
    assert ring.branches == 10
    assert bool(x) and abs(x) is not None
    _, a, b = pair(0.75, 0.75)
    with pytest.raises(Domain, match="equal"):
        assert a < b
    almost = pair(1.0, 1.0 + 2.0**-38)
    assert almost[1] < almost[2]
    too_near = pair(1.0, 1.0 + 2.0**-40)
    with pytest.raises(Domain):
        assert too_near[1] < too_near[2]


def test_what_is_not_defined_at_the_values_is_refused():
    _, x, y = pair(0.75, -1.25)
    _, a, b = pair(0.75, 0.75)
    refused = [
        *(lambda: np.log(y), lambda: np.sqrt(y), lambda: y**0.5, lambda: 1 / (a - b), lambda: (x - x) ** -1, lambda: np.log(x - x)),
        *(lambda: np.exp(1000 * x), lambda: (1e200 * x) * (1e200 * x), lambda: (x + y) ** 0.5, lambda: np.log(x + y), lambda: np.sqrt(x - x)),
    ]
    for number, function in enumerate(refused):
        with pytest.raises(Domain):
            pytest.fail(f"{number}: {function()}")
    ring = Ring()
    for bad in ("a", None, math.nan, math.inf, 1j, Decimal("0.5")):
        with pytest.raises(TypeError):
            ring.constant(bad)
    assert [ring.constant(v) for v in (True, 2, np.int64(3), 0.5, Fraction(4, 2))] == [1, 2, 3, Fraction(1, 2), 2]


def test_what_grows_too_large_is_given_up(monkeypatch):
    monkeypatch.setattr("cnnframe_derivations.suite._ring.MOST_PRODUCTS", 20)
    ring = Ring()
    values = symbols(ring, "x", np.arange(1.0, 6.0))
    assert isinstance(values.sum() * values[:4].sum(), Scalar)
    with pytest.raises(Skip, match="too large"):
        values[:2].sum() * values[:2].sum()


def test_signs_hold_for_all_values_or_are_not_told():
    ring, x, _ = pair()
    e = np.exp(x)
    for scalar, sign in (
        (e, 1),
        (-e, -1),
        (e + 2, 1),
        (-e - 2, -1),
        (e - 2, 0),
        (x, 0),
        (e * x, 0),
        ((e + 1) ** -1, 1),
        (e * np.sqrt(e + 3), 1),
        (x * x + 1, 0),
    ):
        assert ring.sign(scalar.terms) == sign


def test_constants_with_many_digits_are_noted_and_forgiven_within_their_rounding():
    for number, inexact in ((0.5, False), (0.1, True), (3.0, False), (2.0**24 + 0.5, False), (2.0**25 + 0.5, True), (np.float32(0.1), True), (2.0**-60, False)):
        ring = Ring()
        ring.constant(number)
        assert ring.inexact is inexact, number
    assert Ring(near=True).constant(0.5) != Near(Fraction(1, 2), 0.0) and isinstance(Ring(near=True).constant(0.1), Near)
    near = Ring(near=True)
    x = symbols(near, "x", np.array([0.75]))[0]
    third = 1 / 3
    assert near.vanishes((x * third * 3 - x).terms) and near.vanishes((x * (0.1 + 0.2) - x * 0.3).terms)
    assert not near.vanishes((x * third * 3 - x * (1 + 2.0**-48)).terms)
    strict, a, _ = pair()
    assert not strict.vanishes((a * third * 3 - a).terms) and strict.inexact
    assert 0 in near.interval((x * third * 3 - x).terms) and 0 not in near.interval((x * third * 3 - x * (1 + 2.0**-48)).terms)
    assert near.vanishes((np.exp(x * third) ** 3 - np.exp(x)).terms) and near.vanishes((x**third * x ** (2 / 3) - x).terms)
    assert not near.vanishes((x**third * x**0.66666 - x).terms)
    root = (2 * x + 1) ** third
    assert near.vanishes((root * root * root - 2 * x - 1).terms)
    slope = near.gradient((x**third).terms)[0]
    assert near.vanishes(near.add(slope, near.scale((third * x ** (third - 1)).terms, -1)))
    assert near.value(slope) == pytest.approx(third * 0.75 ** (third - 1))


def test_numbers_with_errors_carry_them_through_arithmetic():
    a, b = Near(Fraction(3), 0.5), Near(Fraction(-2), 0.25)
    assert a + b == Near(Fraction(1), 0.75) and a + 1 == 1 + a == Near(Fraction(4), 0.5) and -a == Near(Fraction(-3), 0.5)
    assert a * b == Near(Fraction(-6), 3 * 0.25 + 2 * 0.5 + 0.5 * 0.25) and a * -2 == -2 * a == Near(Fraction(-6), 1.0)
    assert a**2 == Near(Fraction(9), 2 * 9 * 0.5 / 3) and a**-1 == Near(Fraction(1, 3), (1 / 3) * 0.5 / 3)
    assert a and b and not Near(Fraction(1, 2), 0.5) and Near(Fraction(-3, 4), 0.5)


EQUAL = [
    *(lambda x, y: (x + y) ** 3 - x**3 - 3 * x * x * y - 3 * x * y * y - y**3, lambda x, y: (x * x - y * y) / (x - y) - x - y),
    *(
        lambda x, y: np.sqrt(x * x * y**4) - x * y * y,
        lambda x, y: np.log(np.exp(x) ** 3 * (1 + np.exp(y))) - 3 * x - np.log1p(np.exp(y)),
        lambda x, y: x**0.5 * x**1.5 - x * x,
    ),
    *(
        lambda x, y: np.log((1 + np.exp(x)) / np.exp(y)) + np.log(np.exp(y) / (1 + np.exp(x))),
        lambda x, y: np.exp(x + y) / np.exp(y) - np.exp(x),
        lambda x, y: np.exp(np.log(x) / 2) - np.sqrt(x),
    ),
    *(
        lambda x, y: np.sqrt(12 * x) - 2 * np.sqrt(3 * x),
        lambda x, y: np.log(12 * np.exp(x)) - 2 * np.log(2 * np.exp(y)) - np.log(3 * np.exp(x - 2 * y)),
        lambda x, y: (x / 2) ** 0.5 - np.sqrt(2 * x) / 2,
    ),
    *(
        lambda x, y: 1 / (1 + 1 / x) - x / (1 + x),
        lambda x, y: (x + y) ** -0.5 * (x + y) ** 1.5 - x - y,
        lambda x, y: (2 * x + 2 * y) ** 0.5 / (x + y) ** 0.5 - (8 * x) ** 0.5 / (4 * x) ** 0.5,
    ),
    *(lambda x, y: 1 / (x + 1 / (y + 1 / x)) - (x * y + 1) / (x * (x * y + 1) + x), lambda x, y: x**-2 / x**-3 - x, lambda x, y: np.sqrt(x + y) ** 2 - x - y),
    *(lambda x, y: (-x) ** 2 - x * x, lambda x, y: 1 / (y - x) ** 2 - 1 / (x - y) ** 2),
    *(
        lambda x, y: np.log(np.exp(x)) - x,
        lambda x, y: np.exp(x * y) ** 2 - np.exp(2 * x * y),
        lambda x, y: np.tanh(2 * x) - 2 * np.tanh(x) / (1 + np.tanh(x) ** 2),
    ),
]


@pytest.mark.parametrize("number", range(len(EQUAL)))
def test_identities_vanish_and_near_misses_do_not(number):
    ring, x, y = pair()
    found = EQUAL[number](x, y)
    assert not isinstance(found, Scalar) or ring.vanishes(found.terms)
    for off in (x, 1, np.exp(y), x / (x + y), 2.0**-30):
        other = found + off
        assert not ring.vanishes(other.terms if isinstance(other, Scalar) else {0: other})
        assert not isinstance(other, Scalar) or 0 not in ring.interval(other.terms)


# Differences


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


@pytest.mark.parametrize("kind", ["independent", "exact", "bounded", "symbolic", "composed", "extremes", "kinks"])
def test_what_is_compared_is_counted_for_each_gradient(kind):
    op, sizes = (
        (OPS.make("max_pool", size=2, stride=2, dims=1), {"n": 2, "i": 1, "h0": 4}) if kind == "kinks" else (OPS.make("dense", units=2), {"n": 2, "i": 3})
    )
    lattice = {"bounded": "real", "extremes": "constant"}.get(kind, "small")
    wanted = {f"gradient of {name!r}" for name in op.declaration.differentiable} | ({"output"} if kind in ("exact", "bounded", "extremes") else set())
    found = Counter()
    for seed in range(4):
        evidence = check(KINDS[kind], op, sizes, lattice=lattice, seed=seed)
        found += evidence.compared
        assert evidence.checks == evidence.compared.total()
    assert {label.partition(" (")[0] for label in found} == wanted
    if kind == "independent":
        assert {f"gradient of {name!r}" for name in "xWb"} == evidence.asked
        assert found["gradient of 'W' (exact secant)"] >= 12


# Kinks, extremes, single numbers, networks


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


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_can_be_held_must_come_out_right_far_out(dtype):
    naive = pointwise("naive", lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x)), OPS["softplus"]().expr)
    found = refutation_of(extremes, naive(), lattice="overflowing", dtype=dtype)
    assert "got inf" in found.what and found.certificate == f"the value in 40 digits fits in {dtype}"
    for rule in EXTREMES:
        evidence = check(extremes, OPS.make("softplus"), lattice=rule, dtype=dtype)
        kept = {"small entries keep their digits": 1} if rule == "denormal" else {}
        assert evidence.compared == {"output": 1, "gradient of 'x'": 1} | kept
        assert not evidence.skipped
    squares = pointwise("squares", np.square, lambda x: 2 * x, lambda x: x * x)
    evidence = check(extremes, squares(), lattice="huge", dtype="float64")
    assert evidence.checks == 2 and not evidence.skipped
    cubes = pointwise("cubes", lambda x: x**3 * x**4 * x**4, lambda x: 11 * x**10, lambda x: x**11)
    for rule, counted in (("huge", {"a value does not fit in the element type": 1 if dtype == "float64" else 2}), ("saturated", {})):
        assert check(extremes, cubes(), lattice=rule, dtype=dtype).skipped == counted
    off = pointwise("off", lambda x: x * x.dtype.type(1 + 64 * float(np.finfo(x.dtype).eps)), np.ones_like, lambda x: x)
    assert "exceeds the rounding of the largest entry" in refutation_of(extremes, off(), lattice="constant", dtype=dtype).certificate
    with pytest.raises(Skip, match="not extreme"):
        check(extremes, OPS.make("relu"))


@dataclass(frozen=True)
class Total(Layer):
    """The sum of each row."""

    name = "total"
    inputs = {"x": "n c"}
    output = "n"

    def forward(self, x):
        return x.sum(axis=1), x

    def backward(self, dy, saved):
        return {"x": np.broadcast_to(dy[:, None], saved.shape).copy()}

    def formula(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(x[n, k], (k, x.shape[1]))


def test_what_is_not_a_number_must_not_vanish():
    sizes = {"n": 2, "c": 3}
    evidence = Evidence("extremes")
    extremes.not_finite(Oracle(case(Total(), sizes, lattice="real")), evidence)
    assert evidence.checks == 2
    without_nan, without_infinity = lambda self, x: (np.nansum(x, axis=1), x), lambda self, x: (np.where(np.isinf(x), 0, x).sum(axis=1), x)
    for forward, said in ((without_nan, "a NaN in entry .* of 'x' vanishes"), (without_infinity, "an infinity in entry .* of 'x' vanishes")):
        cls = dataclass(frozen=True)(type("Lost", (Total,), {"name": "lost", "forward": forward}))
        with pytest.raises(Refutation, match=said):
            extremes.not_finite(Oracle(case(cls(), sizes, lattice="real")), Evidence("extremes"))
    branching = dataclass(frozen=True)(type("Branching", (OPS["relu"],), {"name": "branching", "full_range": False}))
    with pytest.raises(Skip, match="branches on values"):
        extremes.not_finite(Oracle(case(branching(), lattice="real")), Evidence("extremes"))


def swept(f, df, expr, *values):
    """What the exhaustive evidence says at some float32 numbers."""
    numbers = np.array(values, dtype=np.float32)
    return exhaustive._run(pointwise("swept", f, df, expr)(), iter([numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]]))


def test_single_numbers_are_judged_with_the_largest_error_and_where_it_is():
    numbers = [-2.0, -0.5, 0.25, 1.0, 1.5, 3.0]

    def up(x):
        return np.where(x == 1.5, np.nextafter(x, np.float32(9)), x)

    found = swept(up, np.ones_like, lambda x: x, *numbers)
    assert found == {"inputs": 6, "output": {"ulps": 1.0, "at": 1.5}, "gradient of 'x'": {"ulps": 0.0, "at": 0.0}}

    def far(x):
        return np.where(x == 1.5, x + 4 * np.spacing(x), x)

    with pytest.raises(Refutation, match=r"the output at x = 1.5 must be 1.5; got 1.50000048 \(float32\)"):
        swept(far, np.ones_like, lambda x: x, *numbers)
    with pytest.raises(Refutation, match=r"the gradient of 'x' at x = 3.0 must be 1; got nan"):
        swept(np.copy, lambda x: np.where(x == 3, np.nan, np.ones_like(x)), lambda x: x, *numbers)
    with pytest.raises(Refutation, match=r"at x = 1\.5"):
        swept(lambda x: np.where(x == 1.5, 2, np.where(x == 1, np.float32(1.001), x)), np.ones_like, lambda x: x, *numbers)


def test_single_numbers_keep_the_formulas_order_range_and_ends():
    falling = pointwise("late", np.tanh, lambda x: 1 - np.tanh(x) ** 2, tanh)
    grid = np.linspace(2.0, 2.001, 64, dtype=np.float32)
    assert exhaustive._run(falling(), iter([grid]))["inputs"] == 64
    for sign, word in ((1, "fall"), (-1, "rise")):

        def dented(x, sign=sign):
            y = np.tanh(x)
            return (sign * np.where(x == grid[40], y - 40 * np.spacing(y), y)).astype(x.dtype)

        with pytest.raises(Refutation) as caught:
            swept(dented, lambda x, sign=sign: (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype), lambda x, sign=sign: sign * tanh(x), *[*grid, *grid[:0]])
        assert f"the formula does not {word}, and the code has been at" in caught.value.finding.certificate
    with pytest.raises(Refutation, match="at x = inf must be 1; got 2"):
        swept(lambda x: np.where(np.isinf(x), np.float32(2), np.tanh(x)), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, math.inf)
    with pytest.raises(Refutation, match="must be nan; got 0"):
        swept(lambda x: np.where(np.isnan(x), np.float32(0), x), np.ones_like, lambda x: x, math.nan, 1.0, 2.0, 3.0)
    assert swept(
        lambda x: np.where(np.isnan(x), np.float32(0), np.maximum(x, 0)),
        lambda x: (x > 0).astype(x.dtype),
        lambda x: when(x > 0, x, 0),
        math.nan,
        1.0,
        2.0,
        3.0,
    )
    assert swept(np.copy, np.ones_like, lambda x: x, math.inf, -1.0, -math.inf, math.nan, 1.0, 3e38)["inputs"] == 6


def test_numbers_of_which_none_is_finite_are_judged_too():
    assert swept(np.copy, np.ones_like, lambda x: x, math.nan, math.inf)["inputs"] == 2


def test_a_sample_of_single_numbers_has_every_exponent_and_the_special_ones():
    found = exhaustive._sample()
    assert found.dtype == np.float32 and found.size > 50_000
    bits = found.view(np.uint32)
    assert np.unique(bits).size == bits.size
    assert set(bits >> 31) == {0, 1} and set((bits >> 23) & 255) == set(range(256))
    for number in (
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        1.0,
        np.finfo(np.float32).max,
        np.finfo(np.float32).smallest_subnormal,
        np.nextafter(np.float32(2), np.float32(0)),
    ):
        assert np.float32(number).view(np.uint32) in bits
    assert np.isnan(found).any() and np.nextafter(np.float32(2), np.float32(3)) in found
    first = next(exhaustive._all())
    assert first.dtype == np.float32 and np.array_equal(first.view(np.uint32), np.arange(exhaustive.CHUNK, dtype=np.uint32))
    starts = [int(chunk.view(np.uint32)[0]) for _, chunk in zip(range(3), exhaustive._all(), strict=False)]
    assert starts == [0, exhaustive.CHUNK, 2 * exhaustive.CHUNK] and exhaustive.ALL == 2**32


def test_a_kept_result_is_found_again_for_the_same_code_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = exhaustive._store(OPS.make("logistic")), exhaustive._store(OPS.make("logistic", beta=2.0))
    assert one != other and one.is_relative_to(tmp_path) and one == exhaustive._store(OPS.make("logistic"))
    known = {"inputs": 1, "output": {"ulps": 0.0, "at": 0.0}, "gradient of 'x'": {"ulps": 0.0, "at": 0.0}}
    assert exhaustive._read(one) is None and exhaustive._read(None) is None
    exhaustive._write(one, known)
    exhaustive._write(None, known)
    assert exhaustive._read(one) == known and [path.name for path in one.parent.iterdir()] == [one.name]
    one.write_text("{}")
    assert exhaustive._read(one) is None
    one.write_text("[")
    assert exhaustive._read(one) is None
    evidence = gather("exhaustive", OPS["identity"], Settings())
    assert evidence.cases == evidence.of("output") == evidence.of("gradient of 'x'") > 50_000 and len(evidence.notes) == 3


# Each kind of evidence by itself


EVERY = {
    "process left alone",
    "names, shapes and element types",
    "arguments and cotangents untouched, read-only or not",
    "no shared memory",
    "same bits twice",
    "interleaved calls apart",
    "linear in the cotangent",
}


def test_every_promise_of_the_contract_is_looked_at():
    found = check(KINDS["contract"], OPS.make("dense", units=3), {"n": 2, "i": 4})
    assert found.compared == Counter({*EVERY, "gradients on request", "batch entries apart"})
    assert set(check(KINDS["contract"], OPS.make("add")).compared) == EVERY | {"one array for two arguments"}
    assert set(check(KINDS["contract"], OPS.make("dense", units=3), {"n": 1, "i": 2}).compared) == EVERY | {"gradients on request"}
    assert set(check(KINDS["contract"], Total(), {"n": 2, "c": 2}).compared) == EVERY | {"batch entries apart"}
    assert gather("contract", OPS["dense"], Settings("smoke")).cases == BUDGETS["smoke"]["contract"] + 2


# Verdicts


def evidence_of(kind="exact", **more):
    found = Evidence(kind, **more)
    for subject in ("output", "gradient of 'x'"):
        found.passed(subject)
    return found


FOUND = Finding("exact", "what", (), "{}", "why")


def test_what_one_kind_says_goes_before_what_it_lacks():
    assert evidence_of(finding=FOUND, doubt="a", absent="b").state == "refuted"
    assert evidence_of(doubt="a", absent="b").state == "inconclusive"
    assert evidence_of(absent="b").state == "skipped" and evidence_of().state == "verified"
    counted = evidence_of()
    counted.passed("output (another way)", 3)
    assert (counted.checks, counted.of("output"), counted.of("gradient of 'x'"), counted.of("out")) == (5, 4, 1, 0)


def test_a_verdict_needs_every_part_compared_and_no_doubt():
    def verdict(*evidence, gradients=("x",)):
        found = Report("a", evidence, "a", gradients)
        return found.verdict, found.why

    good = evidence_of()
    assert verdict(good) == ("verified", "") == verdict(evidence_of("bounded"))
    assert verdict(good, Evidence("kinks", absent="no kink")) == ("verified", "")
    assert verdict(good, evidence_of("kinks", doubt="hm")) == ("inconclusive", "kinks: hm")
    assert verdict(evidence_of("bounded", doubt="hm"), evidence_of(doubt="hm")) == ("inconclusive", "bounded, exact: hm")
    assert verdict(good, evidence_of("kinks", doubt="hm", finding=FOUND)) == ("refuted", "what")
    for lonely in (evidence_of("contract"), evidence_of("symbolic"), evidence_of(absent="no lattice")):
        assert verdict(lonely)[0] == "inconclusive" and "never compared with the formula: output, gradient of 'x'" in verdict(lonely)[1]
    assert verdict(good, gradients=("x", "w"))[1] == "exact, bounded: never compared with the formula: gradient of 'w'"
    only_output = Evidence("exact")
    only_output.passed("output 'y'")
    assert verdict(only_output, gradients=())[0] == "verified" and verdict(only_output)[0] == "inconclusive"
    assert verdict(Evidence("exact", absent="b"))[0] == "inconclusive" and "no evidence applies" in verdict()[1]
    second = Finding("bounded", "other", (), "", "why")
    report = Report("a", (good, evidence_of(finding=FOUND), evidence_of(finding=second)), "a")
    assert report.finding is FOUND and report.checks == 6
    skipped = Report("a", (evidence_of(skipped=Counter({"s": 1})), evidence_of(skipped=Counter({"s": 2, "t": 1}))), "a").skipped
    assert skipped == {"s": 3, "t": 1}


def test_the_power_of_a_report_is_that_of_its_weakest_subject():
    one = evidence_of(power={"output, float64": 1e-3, "gradient of 'x', float64": 1e-9, "output, float32": 1.0})
    two = evidence_of(power={"output, float64": 1e-6})
    assert Report("a", (one, two), "a").power == 1e-6 == Report("a", (two, one), "a").power
    assert Report("a", (evidence_of(),), "a").power is None
    entries = (1.0, math.inf, -math.inf, math.nan)
    finding = Finding("exact", "w", ("l",), "{}", "c", (Drawn("x", (4,), entries, (1,)), Drawn("y", (), (2.0,))))
    report = Report("a", (evidence_of(finding=finding, power={"output, float64": math.inf}),), "t", ("x",), "k")
    data = report.to_dict()
    assert data["power"] == "inf" and data["evidence"][0]["finding"]["arrays"][0]["entries"] == [1.0, "inf", "-inf", "nan"]
    assert data["verdict"] == "refuted" and data["checks"] == 2 and data["gradients"] == ["x"] and data["kernel"] == "k"
    again = Report.from_dict(data)
    assert again.to_dict() == data and again.finding.arrays[1] == finding.arrays[1] and again.finding.arrays[0].entry == (1,)


def test_what_cannot_be_judged_is_a_doubt_that_says_why(monkeypatch):
    from hypothesis.errors import Unsatisfiable

    assert _doubt(OraclesDisagree("a")) == "our oracles disagree, which is a fault of the suite: a"
    assert _doubt(independent.Disagreement("b")) == "b" and _doubt(cf.FormulaError("c")) == "the formula cannot be used: c"
    assert _doubt(Unsatisfiable()) == "no case could be drawn from the declaration" and _doubt(KeyError("d")) == "KeyError: 'd'"
    monkeypatch.setattr(kinks, "gather", lambda bench, evidence: evidence.skipped.update(["one"]))
    assert gather("kinks", OPS["relu"]).doubt == "no check applied: one"
    monkeypatch.setattr(kinks, "gather", lambda bench, evidence: None)
    assert gather("kinks", OPS["relu"]).doubt == "no check applied"
    again = replay(OPS["dense"], case(OPS.make("dense", units=1), {"n": 2, "i": 1}).replay)
    assert {e.kind for e in again.evidence} == {kind for kind, module in KINDS.items() if hasattr(module, "CHECK")} and again.verdict == "verified"
    assert again.target == "cnnframe_plugins.dense:Dense" and again.gradients == ("x", "W", "b")
    assert {e.kind: e.absent for e in again.evidence}["kinks"] == ""


def test_a_failing_case_is_made_smaller_and_one_that_changes_is_said_to(monkeypatch):
    wrong = careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.size > 1)})
    bench = Bench(type(wrong), Settings("smoke"))
    with pytest.raises(Refutation) as caught:
        exact.gather(bench, Evidence("exact"))
    found = caught.value.finding
    assert '"sizes": {"n": 2}' in found.replay and '"C"' in found.replay and '"float64"' in found.replay
    monkeypatch.setattr("cnnframe_derivations.suite._bench.refuted", lambda check, case: None)
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(type(wrong), Settings("smoke")), Evidence("exact"))
    assert caught.value.finding.certificate == "the same case gave different answers when it was tried again"
    assert caught.value.finding.what


def test_a_bench_draws_by_profile_seed_and_type():
    first, same = (Bench(OPS["dense"], Settings("smoke", 3)) for _ in range(2))
    assert [c.replay for c in first.drawn] == [c.replay for c in same.drawn]
    assert [c.replay for c in first.drawn] != [c.replay for c in Bench(OPS["dense"], Settings("smoke", 4)).drawn]
    assert [c.seed for c in first.box] != [c.seed for c in Bench(OPS["dense"], Settings("smoke", 4)).box]
    assert first.seed(1) != first.seed(2) and first.seed(1) == same.seed(1) != Bench(OPS["relu"], Settings("smoke", 3)).seed(1)
    assert len(first.box) == BUDGETS["smoke"]["box"] and len(first.drawn) == BUDGETS["smoke"]["drawn"]
    assert first.some("contract") == first.drawn[: BUDGETS["smoke"]["contract"]] and first.missing == []
    single = Bench(OPS["dense"], Settings("quick", dtype="float32"))
    assert {c.dtype for c in (*single.box, *single.drawn)} == {"float32"} and single.missing == []
    both = Bench(OPS["dense"], Settings("quick"))
    assert both.missing == [] and {c.dtype for c in both.drawn} == set(DTYPES)
    counted = Counter(feature for c in (*both.box, *both.drawn) for feature in features(c))
    assert min(counted[feature] for feature in awkward(OPS["dense"])) >= 3
    assert both.oracle(both.box[0]) is both.oracle(replace(both.box[0]))
    assert both.exact and not Bench(OPS["softmax"], Settings("smoke")).exact


def test_putting_a_case_counts_it_and_the_reason_where_it_does_not_apply():
    evidence = Evidence("kind")

    def judge(oracle, found):
        raise Skip("no")

    assert put(Check(lambda oracle, found: None), None, evidence) is True and put(Check(judge), None, evidence) is False
    assert evidence.cases == 2 and evidence.skipped == {"no": 1}


def test_a_copy_is_judged_by_the_cases_of_its_original():
    original = Bench(OPS["dense"], Settings("smoke"))
    copy = dataclass(frozen=True)(type("Copy", (OPS["dense"],), {"backward": OPS["dense"].backward}))
    half = dataclass(frozen=True)(
        type("Half", (OPS["dense"],), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in OPS["dense"].backward(self, dy, saved).items()}})
    )
    twin = Twin(original, copy)
    for ours, theirs in ((twin.box, original.box), (twin.drawn, original.drawn)):
        assert [c.replay for c in ours] == [c.replay for c in theirs] and {type(c.op) for c in ours} == {copy}
    assert twin.exact is original.exact and twin.missing == original.missing
    oracle = twin.oracle(twin.box[0])
    assert oracle.hasty and oracle.case is twin.box[0] and oracle.forward is original.oracle(original.box[0]).forward
    assert not original.oracle(original.box[0]).hasty
    assert first_refutation(original, copy) is None and first_refutation(original, half).kind in ("contract", "exact")
    assert first_refutation(original, half, ("kinks", "bounded")).kind == "bounded" and first_refutation(original, half, ("kinks",)) is None
    count = len(original.box) + len(original.drawn)
    assert differs(original, copy) == (0, count)
    some, every = differs(original, half)
    assert 0 < some < every == count
    judged = twin.judge(exact.CHECK, twin.box, Evidence("exact"))
    assert judged == Counter(feature for c in twin.box if twin.oracle(c).exact for feature in features(c))


class Survivor:
    """A broken copy that is not broken."""

    def __init__(self, cls, line, after="r = a"):
        self.cls, self.line, self.after, self.id = cls, line, after, f"id{line}"


def test_broken_copies_that_pass_are_weighed(monkeypatch):
    dense = OPS["dense"]
    half = dataclass(frozen=True)(type("Half", (dense,), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in dense.backward(self, dy, saved).items()}}))
    near = dataclass(frozen=True)(
        type("Near", (dense,), {"backward": lambda self, dy, saved: {n: v + 0.0 for n, v in dense.backward(self, dy, saved).items()}})
    )

    def weigh(*copies, differ=(1, 9), zero=False):
        monkeypatch.setattr(canaries, "canaries", lambda cls, count: copies)
        monkeypatch.setattr(canaries, "differs", lambda bench, cls: differ)
        monkeypatch.setattr(canaries, "moot", lambda mutant: False)
        evidence = Evidence("canaries")
        canaries.gather(Bench(dense, Settings("smoke")), evidence)
        return evidence

    killed, passed, answer = Survivor(half, 3), Survivor(near, 4), Survivor(near, 0, "the gradient of 'x' is wrong")
    assert (weigh(killed).checks, weigh(killed).doubt, weigh(killed).cases) == (1, "", 1)
    assert weigh(killed, passed).notes == ["this change makes no difference beyond rounding: id4: r = a"] and not weigh(killed, passed).doubt
    assert weigh(killed, passed, passed).doubt.startswith("the evidence has no power here: broken copies pass: id4: r = a; id4")
    assert weigh(killed, killed, answer).doubt == "the evidence has no power here: broken copies pass: id0: the gradient of 'x' is wrong"
    nobody = weigh(killed, Survivor(near, 0, "the gradient of 'q' is wrong"))
    assert not nobody.doubt and nobody.skipped == {"a broken copy gives the same answers in every case": 1}
    same = weigh(passed, differ=(0, 9))
    assert same.skipped == {"a broken copy gives the same answers in every case": 1} and same.absent == "no broken copy could be made of it" and not same.notes


# Symbols


def test_values_for_symbols_have_no_ties_and_stay_small():
    for op, sizes in (
        (OPS.make("dense", units=2), {"n": 2, "i": 3}),
        (OPS.make("softmax_cross_entropy", targets="index"), {"n": 2, "c": 3}),
        (OPS.make("dropout", rate=0.5), ANY),
    ):
        first = case(op, sizes)
        for positive_ in (False, True):
            arrays, cotangents = symbolic._values(first, positive=positive_)
            assert {n: v.shape for n, v in arrays.items()} == first.shapes and {n: v.shape for n, v in cotangents.items()} == first.outputs
            real = [v for n, v in arrays.items() if op.declaration.values.get(n) is None]
            every = np.concatenate([np.ravel(v) for v in (*real, *cotangents.values())])
            assert np.unique(every).size == every.size and np.abs(every).max() < 3 and np.abs(every).min() > 0
            assert not positive_ or all(np.all(v > 0) for v in real)
            assert all(np.unique(np.abs(v)).size == v.size for v in real) or not positive_
        for name, value in arrays.items():
            if op.declaration.values.get(name) == "unit_interval":
                assert np.all((value > 0) & (value < 1) & (value * 16 % 2 == 1))
            elif op.declaration.values.get(name) is not None and value.dtype.kind == "i":
                assert np.all((value >= 0) & (value < 3))
    with pytest.raises(Skip, match="too large"):
        symbolic._values(case(OPS.make("relu"), {ELLIPSIS: (33,)}), positive=False)
    assert symbolic._values(case(OPS.make("relu"), {ELLIPSIS: (32,)}), positive=False)


def test_small_cases_that_show_much_are_chosen_for_symbols():
    assert symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (12,)})) and not symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (13,)}))
    assert not symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (0,)}))
    assert not symbolic._tiny(case(OPS.make("batch_norm", dims=0), {"n": 0, "i": 1}))
    evidence = gather("symbolic", OPS["dense"], Settings("quick"))
    assert evidence.cases == BUDGETS["quick"]["symbolic"] and evidence.checks == 3 * evidence.cases and not evidence.absent
    typed = pointwise("typed", lambda x: x.astype(float), expr=lambda x: x)
    assert gather("symbolic", typed, Settings("smoke")).absent.startswith("the code does not take symbols: the code does not take symbols: ")
    large = dataclass(frozen=True)(type("Large", (Total,), {"name": "large", "inputs": {"x": "n c"}}))
    monkey = Evidence("symbolic")
    bench = Bench(large, Settings("smoke"))
    bench.__dict__["box"] = bench.__dict__["drawn"] = ()
    symbolic.gather(bench, monkey)
    assert monkey.checks


def test_answers_to_symbols_are_looked_at_as_to_numbers():
    ring = Ring()
    x = symbols(ring, "x", np.array([0.75, 1.25]))
    found = symbolic._scalars(ring, np.array([x[0], 0.5], object), (2,))
    assert found[0] is x[0] and found[1].value == 0.5 and found[1].terms == {0: Fraction(1, 2)}
    assert symbolic._scalars(ring, x[0], ())[()] is x[0]
    for answer, shape, said in ((x, (3,), "another shape"), (np.array(["a", x[0]], object), (2,), "neither a symbol nor a number")):
        with pytest.raises(Skip, match=said):
            symbolic._scalars(ring, answer, shape)
    read, write = symbolic._Reader(ring), symbolic._Writer(ring)
    for scalar in (x[0] * x[1] ** 2 - x[0] / 3, np.exp(x[0] - 2 * x[1]) ** 2, np.log(1 + x[0]) / x[1], (2 * x[0] + x[1]) ** -0.5, 3 * np.sqrt(2 * x[0])):
        back = read(write(scalar.terms))
        assert ring.vanishes(ring.add(back, ring.scale(scalar.terms, -1))), scalar
    assert not ring.add(read(sp.Integer(0)), {})


def test_our_derivative_is_held_against_sympys(monkeypatch):
    right = Ring.gradient

    def wrong(self, terms):
        return {s: self.scale(t, 2) for s, t in right(self, terms).items()}

    monkeypatch.setattr(Ring, "gradient", wrong)
    with pytest.raises(OraclesDisagree, match="SymPy's derivative by"):
        check(symbolic, OPS.make("scaled_tanh"), {ELLIPSIS: (2,)})
    later = Evidence("symbolic")
    later.passed("gradient of 'x'")
    with pytest.raises(OraclesDisagree, match="SymPy's derivative by"):
        symbolic.check(case(OPS.make("scaled_tanh"), {ELLIPSIS: (2,)}), later)


def test_a_refutation_by_symbols_shows_both_expressions():
    wrong = pointwise("thrice", lambda x: x * x, lambda x: 3 * x, lambda x: x * x)
    found = refutation_of(symbolic, wrong(), {ELLIPSIS: (2,)})
    assert found.case[-2].startswith("backward gives 3*") and found.case[-3].startswith("the derivative of <dy, forward> by x[0] is 2*")
    assert found.case[-1].startswith("which is more by dy[0]*x[0]") or found.case[-1].startswith("which is more by ")
    arrays = {array.name: array for array in found.arrays}
    x, dy = arrays["x"].entries, arrays["dy"].entries
    assert arrays["expected"].entries == pytest.approx([2 * a * b for a, b in zip(x, dy, strict=True)])
    assert arrays["got"].entries == pytest.approx([3 * a * b for a, b in zip(x, dy, strict=True)])
    assert arrays["x"].entry == arrays["got"].entry == arrays["expected"].entry == (0,) and arrays["dy"].entry is None
    assert f"must be {2 * x[0] * dy[0]:.12g}"[:20] in found.what and "for all values," in found.certificate
    scalar = dataclass(frozen=True)(
        type("Scalarly", (Total,), {"name": "scalarly", "inputs": {"x": "c"}, "output": "", "forward": one_total, "backward": one_back, "formula": one_formula})
    )
    assert "entry (0,) of the gradient of 'x' must be" in refutation_of(symbolic, scalar(), {"c": 2}).what


def one_total(self, x):
    return x.sum(), x


def one_back(self, dy, saved):
    return {"x": 2 * dy + 0 * saved}


def one_formula(self, at, x):
    (k,) = indices("k")
    return total(x[k], (k, x.shape[0]))


# Bounds and exact answers


def test_the_power_and_the_errors_of_bounded_evidence():
    from cnnframe_derivations.suite import bounded

    evidence = Evidence("bounded")
    values, limits = np.array([1.0, 2.0, 0.0, 1e-9]), np.array([1e-3, 1e-3, 1e-3, 1e-3])
    here = case(OPS.make("relu"))
    bounded._measure(evidence, "output", here, values + np.array([0, 0.5e-3, 0.99e-5, 2e-9]), values, limits)
    assert evidence.errors == {"output": [1, 0, 1, 0, 0, 1, 0, 1]} and evidence.power == {"output, float64": 1e-3}
    bounded._measure(evidence, "output", here, values, values, limits / 100)
    assert evidence.errors == {"output": [5, 0, 1, 0, 0, 1, 0, 1]} and evidence.power == {"output, float64": 1e-5}
    bounded._measure(evidence, "output", here, values, values, limits)
    assert evidence.power == {"output, float64": 1e-5}
    found = check(bounded, OPS.make("softmax"), {"n": 2, "c": 3}, lattice="real")
    assert found.compared == {"output": 1, "gradient of 'x'": 1} and set(found.power) == {"output, float64", "gradient of 'x', float64"}
    assert sum(found.errors["output"]) == 6
    with pytest.raises(Skip, match="arithmetic is exact there"):
        check(bounded, OPS.make("relu"))
    wrong = pointwise("off", lambda x: np.tanh(x) * (1 + 1e-12), lambda x: 1 - np.tanh(x) ** 2, tanh)
    assert "exceeds the rounding bound" in refutation_of(bounded, wrong(), lattice="real").certificate


def test_what_exact_evidence_confirms_by_differences():
    wrong = pointwise("half", df=lambda x: np.full_like(x, 0.5))
    found = refutation_of(exact, wrong())
    assert "a difference quotient of the formula in 40 digits confirms" in found.certificate
    kinked = pointwise("zero", lambda x: np.maximum(x, 0), lambda x: np.where(x >= 0, 1.0, 0.0), lambda x: when(x > 0, x, 0))
    assert "the entry lies on a kink" in refutation_of(exact, kinked(), {ELLIPSIS: (12,)}).certificate
    shifted = pointwise("shifted", lambda x: x + 1)
    assert refutation_of(exact, shifted()).certificate == "all sums and products are exact here, so the two must be equal"
    found = check(exact, OPS.make("dense", units=2), {"n": 2, "i": 2})
    assert set(found.compared) == {"output", "gradient of 'x'", "gradient of 'W'", "gradient of 'b'"}
    assert found.power == {f"{label}, float64": 2.0**-52 for label in found.compared}
    empty = check(exact, OPS.make("dense", units=2), {"n": 0, "i": 2})
    assert set(empty.compared) == {"gradient of 'W'", "gradient of 'b'"} and not empty.power
    with pytest.raises(Skip, match="are not exact"):
        check(exact, OPS.make("softmax"), {"n": 2, "c": 2})
    evidence = gather("exact", OPS["dense"], Settings("smoke"))
    assert re.match(r"4 structures of the small box, 6 drawn; \d+ cases were exact", evidence.notes[0])


def test_answers_that_are_kept_from_call_to_call_are_seen():
    class Keeps(Careless):
        held = None

        def backward(self, dy, saved):
            if Keeps.held is None:
                Keeps.held = 2 * dy
            return {"x": Keeps.held.copy()}

    stale = dataclass(frozen=True)(Keeps)

    def forward(self, x):
        if Keeps.held is None:
            Keeps.held = 2 * x
        return Keeps.held.copy(), None

    Keeps.backward = Careless.backward
    Keeps.forward = forward
    found = refutation_of(exact, stale(), {"n": 3})
    assert "of the output must be" in found.what


# What a formula may say


def formula_of(formula, **declared):
    """An operation that is nothing but a declaration and a formula of x."""
    body = {
        "name": "formula_only",
        "inputs": {"x": "n"},
        "output": "n",
        "forward": lambda self, x: None,
        "backward": lambda self, dy, saved: {},
        "formula": formula,
    }
    return dataclass(frozen=True)(type("FormulaOnly", (Layer,), {**body, **declared}))()


def value_at(op, **arrays):
    """Outputs and gradients of a formula as the evaluation has them, and in many digits."""
    known = op.sizes({name: np.shape(value) for name, value in arrays.items()})
    found = Evaluation(derive(op), op, known)
    held = found.forward(Floats(), arrays)
    ones = {name: np.ones_like(value) for name, value in found.outputs(held).items()}
    with mpmath.workdps(DIGITS):
        digits = found.outputs(found.forward(Digits(), arrays))
    for name, value in found.outputs(held).items():
        np.testing.assert_allclose(value, digits[name].astype(float), rtol=1e-14)
    return found.outputs(held)["y"].tolist(), found.backward(Floats(), held, ones)["x"].tolist()


def test_formulas_are_evaluated_as_they_read():
    x = np.array([-1.0, 0.0, 0.5, 2.0])

    def entry(self, at, x):
        (n,) = at
        both = when(sp.And(x[n] > 0, x[n] < 1), 10 * x[n], 0)
        either = when(sp.Or(x[n] < 0, x[n] > 1), x[n], 0)
        return both + either + when(sp.Not(sp.Eq(x[n], 0)), 0, 100)

    assert value_at(formula_of(entry), x=x) == ([-1, 100, 5, 2], [1, 0, 10, 1])

    def weighed(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total((k + 1) ** 2 * x[k], (k, x.shape[0])) + n * x[n] + sp.Rational(1, 4) * x[n] + sp.Float(0.5)

    whole = sum((k + 1) ** 2 * v for k, v in enumerate(x))
    assert value_at(formula_of(weighed), x=x) == ([whole + (n + 0.25) * v + 0.5 for n, v in enumerate(x)], [4 * (k + 1) ** 2 + k + 0.25 for k in range(4)])

    def picked(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(equal_to(k * k, n) * x[k], (k, x.shape[0]))

    def equal_to(a, b):
        return sp.Piecewise((1, sp.Eq(a, b)), (0, True))

    assert value_at(formula_of(picked), x=x) == ([-1, 0, 0, 0], [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (lambda x, n: x[n] ** x[n], "an exponent must be a number or a hyperparameter"),
        (lambda x, n: sp.gamma(x[n]), "the function gamma cannot be evaluated"),
        (lambda x, n: x[n] * sp.pi, "pi cannot be evaluated in a formula"),
    ],
)
def test_formulas_that_cannot_be_evaluated_say_what(formula, said):
    with pytest.raises(cf.FormulaError, match=said):
        value_at(formula_of(lambda self, at, x: formula(x, at[0])), x=np.array([0.5, 2.0]))


def test_a_formula_that_reads_other_entries_of_the_batch_does_not_keep_it_apart():
    def others(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(x[k], (k, x.shape[0])) - x[n]

    assert not derive(formula_of(others)).batch_apart
    assert derive(formula_of(lambda self, at, x: 2 * x[at])).batch_apart
    assert not derive(formula_of(lambda self, at, x: x[(at[0] * 1,)] + x[(x.shape[0] - 1 - at[0],)])).batch_apart

    def through(self, at, x):
        (k,) = indices("k")
        return define("e", x.shape, lambda n: total(x[k], (k, x.shape[0])))[at]

    assert not derive(formula_of(through)).batch_apart
    assert not derive(formula_of(lambda self, at, x: x[at], inputs={}, params={"x": "n"})).batch_apart


def test_arrays_of_one_name_and_choices_that_change_are_refused():
    def twice(self, at, x):
        return define("bar_x", x.shape, lambda n: 2 * x[n])[at]

    with pytest.raises(cf.FormulaError, match="two arrays are called 'bar_x'"):
        derive(formula_of(twice))

    def moving(self, at, x):
        return define("e", x.shape, lambda n: x[n] ** 2, locally_constant=True)[at] * x[at]

    with pytest.raises(cf.FormulaError, match="is marked locally constant, and changes with x"):
        derive(formula_of(moving))

    def chosen(self, at, x):
        sign_ = define("e", x.shape, lambda n: when(x[n] > 0, 1, 0), locally_constant=True)
        return define("f", x.shape, lambda n: 3 * sign_[n], locally_constant=True)[at] * x[at]

    assert value_at(formula_of(chosen), x=np.array([2.0, -1.0])) == ([6, 0], [3, 0])


# What each kind refuses, and where it does not apply


def test_an_answer_that_is_the_argument_only_where_that_is_read_only_is_refused():
    def forward(self, x):
        return (x if not x.flags.writeable else x.copy()) * 1, None

    def backward(self, dy, saved):
        return {"x": dy if not dy.flags.writeable else dy.copy()}

    op = dataclass(frozen=True)(
        type("Once", (Careless,), {"backward": backward, "forward": lambda self, x: (x * 1, None), "formula": lambda self, at, x: x[at]})
    )()
    found = refutation_of(KINDS["contract"], op, {"n": 3})
    assert "the gradient of 'x' shares memory with the argument or cotangent 'dy'" in found.what
    kept = dataclass(frozen=True)(
        type(
            "Kept",
            (Careless,),
            {
                "backward": lambda self, dy, saved: {"x": 2 * dy},
                "forward": lambda self, x: (x if not x.flags.writeable else x.copy(), None),
                "formula": lambda self, at, x: x[at],
            },
        )
    )()
    assert "the output 'y' shares memory with the argument 'x'" in refutation_of(KINDS["contract"], kept, {"n": 3}).what


def broken(name="broken", base=Careless, **methods):
    return dataclass(frozen=True)(type("Broken", (base,), {"name": name, **methods}))()


def count_up(held=[0]):  # noqa: B006 # it is meant to last from call to call
    held[0] += 1
    return held[0]


def scribbles(self, dy, saved):
    np.add(dy, 1, out=dy) if dy.flags.writeable else None
    return {"x": 2 * dy}


def overwrites(self, x):
    np.negative(x, out=x) if x.flags.writeable else None
    return 2 * x, None


SHARED = np.zeros(4)


def reuses(self, dy, saved):
    np.multiply(dy, 2, out=SHARED[: dy.size])
    return {"x": SHARED[: dy.size]}


def reuses_forward(self, x):
    np.multiply(x, 2, out=SHARED[: x.size])
    return SHARED[: x.size], None


def prints_below(self, x):
    os.write(1, b"hello")
    return 2 * x, None


def seeds(self, x):
    np.random.seed(5)  # noqa: NPY002 # it is this state that is changed
    return 2 * x, None


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({"backward": scribbles}, "the cotangent 'y' was changed in place"),
        ({"forward": overwrites}, "the argument 'x' was changed in place"),
        ({"backward": lambda self, dy, saved: {"x": 2 * dy + count_up()}}, "gave another gradient of 'x'|changed the first answer"),
        ({"forward": lambda self, x: (2 * x + count_up(), None)}, "a second forward gave another output 'y'"),
        ({"backward": reuses}, "a backward of another cotangent changed the first answer, the gradient of 'x'|shares memory"),
        ({"forward": reuses_forward}, "a second forward changed the first answer|changed the first answer, output|gave another output"),
        ({"backward": lambda self, dy, saved: {"x": 2 * dy + 1}}, "a cotangent of zeros gives a gradient of 'x' that is not zero"),
        ({"backward": lambda self, dy, saved: {"x": dy * np.abs(dy)}}, "4 times the cotangent does not give 4 times the gradient of 'x'"),
        ({"backward": lambda self, dy, saved: {"x": np.clip(dy, -1e8, 1e8)}}, r"1.07374e\+09 times the cotangent"),
        ({"backward": lambda self, dy, saved: {"x": np.where(np.abs(dy) < 1e-8, 0, dy)}}, "9.31323e-10 times the cotangent"),
        ({"forward": prints_below}, "wrote b'hello' to a standard stream"),
        ({"forward": seeds}, "forward or backward changed NumPy's global random state"),
        ({"forward": lambda self, x: (2 * x + x.sum(), None)}, "changing entry . of the batch changes other entries of the output"),
        ({"backward": lambda self, dy, saved: {"x": 2 * dy + dy.sum()}}, "the cotangent of entry . alone gives other entries a gradient of 'x'"),
    ],
)
def test_a_broken_promise_is_named(methods, said):
    found = refutation_of(KINDS["contract"], broken(**methods), {"n": 4}, layout="strided", seed=2)
    assert re.search(said, found.what), found.what


@dataclass(frozen=True)
class Pair(Layer):
    """The sum of two arrays, one gradient for each."""

    name = "pair"
    inputs = {"a": "n", "b": "n"}
    output = "n"

    def forward(self, a, b):
        return a + 2 * b, None

    def backward(self, dy, saved, wanted=frozenset({"a", "b"})):
        return {name: dy * (1 + (name == "b")) for name in wanted}

    def formula(self, at, a, b):
        return a[at] + 2 * b[at]


def test_one_array_for_two_arguments_and_gradients_on_request_are_looked_at():
    sizes = {"n": 3}
    assert set(check(KINDS["contract"], Pair(), sizes).compared) >= {"one array for two arguments", "gradients on request"}
    alone = broken("alone", Pair, backward=lambda self, dy, saved, wanted=frozenset({"a", "b"}): {n: dy * (1 + (n == "b")) * (len(wanted) > 1) for n in wanted})
    assert "asked for alone, another gradient of" in refutation_of(KINDS["contract"], alone, sizes).what
    same = broken("same", Pair, forward=lambda self, a, b: (a + 2 * b if a is not b else 3 * a + 1, None))
    assert "one array for two arguments gives another output" in refutation_of(KINDS["contract"], same, sizes).what
    knows = broken("knows", Pair, forward=lambda self, a, b: (a + 2 * b, a is b), backward=lambda self, dy, saved: {"a": dy * (1 + saved), "b": 2 * dy})
    assert "one array for two arguments gives another gradient of" in refutation_of(KINDS["contract"], knows, sizes).what
    whole = broken("whole", Pair, backward=lambda self, dy, saved: {"a": 1 * dy, "b": 2 * dy})
    assert "gradients on request" not in check(KINDS["contract"], whole, sizes).compared


def test_hyperparameters_stay_as_they_are():
    def forward(self, x):
        object.__setattr__(self, "by", self.by + 1)
        return 2 * x, None

    body = {"name": "counting", "by": 1, "__annotations__": {"by": "int"}, "forward": forward}
    counting = dataclass(frozen=True)(type("Counting", (Careless,), body))()
    assert refutation_of(KINDS["contract"], counting, {"n": 2}).what == "forward or backward changed the operation's hyperparameters"


def test_code_that_refuses_what_it_declares_is_refuted():
    def forward(self, x):
        raise cf.ShapeError("not today")

    assert "forward refused arguments that fit its declaration: not today" in refutation_of(exact, broken(forward=forward), {"n": 2}).what


def test_too_few_judged_cases_are_a_doubt_but_in_the_profile_that_is_for_many_runs():
    from cnnframe_derivations.suite import bounded

    for profile, doubt in (("quick", "too few cases were judged with a thing"), ("smoke", "")):
        bench = Bench(OPS["softmax"], Settings(profile))
        bench.__dict__["missing"] = ["a thing"]
        evidence = Evidence("bounded")
        bounded.gather(bench, evidence)
        assert evidence.doubt == doubt and evidence.checks
    lost = Bench(OPS["softmax"], Settings("quick"))
    lost.judge = lambda check, cases, evidence: Counter(feature for c in cases for feature in features(c) if feature != "float32")
    evidence = Evidence("bounded")
    bounded.gather(lost, evidence)
    assert evidence.doubt == "too few cases were judged with float32"
    exactly = Bench(OPS["dense"], Settings("quick"))
    exactly.__dict__["missing"] = ["a thing"]
    found = [Evidence("exact"), Evidence("bounded")]
    exact.gather(exactly, found[0])
    bounded.gather(exactly, found[1])
    assert found[0].doubt == "too few cases were drawn with a thing" and not found[1].doubt
    asked = Bench(OPS["dense"], Settings("smoke"))
    asked.judge = lambda check, cases, evidence: evidence.asked.update({"a", "b"}) or evidence.passed("a (some way)")
    never = Evidence("independent")
    independent.gather(asked, never)
    assert never.doubt == "never compared: b"


def test_networks_find_what_one_call_does_not():
    from cnnframe_derivations.suite import composed

    def lends(self, x):
        return 2 * x, None

    held = {}

    def remembers(self, dy, saved):
        held["sum"] = held.get("sum", 0) + 1
        return {"x": 2 * dy * (1 if held["sum"] % 3 else 2)}

    for seed in range(4):
        evidence = check(composed, OPS.make("dense", units=2), {"n": 2, "i": 3}, seed=seed)
        assert evidence.compared == {f"gradient of {name!r} (network)": 1 for name in "xWb"}
        losses = check(composed, OPS.make("squared_error"), {"n": 2, "c": 3}, seed=seed)
        assert set(losses.compared) == {f"gradient of {name!r} (network)" for name in OPS["squared_error"].inputs}
    finding = refutation_of(composed, broken(forward=lends, backward=remembers), {"n": 3})
    assert "of the gradient of 'x' in a network must be" in finding.what and "uses in one network" in finding.certificate
    half = broken(backward=lambda self, dy, saved: {"x": dy})
    slight = pointwise("slight", lambda x: x * 3, lambda x: np.full_like(x, 3 * (1 + 2.0**-40)), lambda x: 3 * x)
    for op, sizes in ((half, {"n": 3}), (slight(), {ELLIPSIS: (2, 2)})):
        refuted = []
        for seed in range(12):
            # What flows back through two uses of opposite sign is 0, whatever the code does.
            try:
                check(composed, op, sizes, seed=seed)
            except Refutation as refutation:
                refuted.append((seed % 2, "in a network" in refutation.finding.what))
        assert len(refuted) >= 6 and set(refuted) == {(0, True), (1, True)}
    scalar = dataclass(frozen=True)(type("Alone", (Careless,), {"name": "alone", "inputs": {"x": ""}, "output": "", "formula": lambda self, at, x: 2 * x}))()
    with pytest.raises(Skip, match="without axes"):
        check(composed, scalar, {})
    assert gather("composed", OPS["dense"], Settings("smoke")).cases == 1


def test_what_claims_prove_is_counted(monkeypatch):
    from types import SimpleNamespace

    from cnnframe_derivations.suite import proved

    def judged(profile="quick", **more):
        found = {"proved": {"x": 2}, "obligations": 3, "stored": True, "unproved": [], "refused": [], "undecided": []}
        monkeypatch.setattr(proved, "outcomes", lambda cls: SimpleNamespace(**{**found, **more}))
        evidence = Evidence("proved")
        proved.gather(Bench(OPS["dense"], Settings(profile)), evidence)
        return evidence

    assert (
        judged().compared == {"gradient of 'x' (all shapes)": 2} and judged().notes == ["3 obligations, certificate checked"] and judged().state == "verified"
    )
    assert judged(stored=False).notes == ["3 obligations, proof searched for"]
    assert judged("smoke").absent == "this profile leaves it out" and not judged("smoke").checks
    assert judged(undecided=["no step\nmore"]).doubt == "nothing follows from what is declared: no step" and not judged(undecided=["no step"]).absent
    assert judged(proved={}).absent == "there is no gradient to prove"
    lacking = judged(proved={}, unproved=["a", "b"])
    assert lacking.absent == "nothing is proved: a; b" and lacking.skipped == {"a": 1, "b": 1}
    assert not judged(unproved=["a"]).absent
    with pytest.raises(Refutation, match="what is declared does not hold: c"):
        judged(refused=["c"])


def test_few_corners_of_expressions():
    ring, x, y = pair()
    near = Ring(near=True)
    a = symbols(near, "a", np.array([0.75]))[0]
    assert near.vanishes(((a * 0.1) ** 0.5 * (a * 0.1) ** 0.5 - a * 0.1).terms)
    assert np.square(x).terms == (x * x).terms and np.square(x).value == 0.75**2
    for function in (lambda: np.exp(np.exp(8 * x) * 2), lambda: (x * y - y * x) ** -1, lambda: (-x) ** 0.5, lambda: (-(x * y)) ** 0.5):
        with pytest.raises(Domain):
            function()
    assert ring.vanishes(((-x) ** 2 * (-1 * x) - (-(x**3))).terms) and ring.vanishes((((-x) * (-y)) ** 0.5 * (x * y) ** 0.5 - x * y).terms)
    both = pair(-0.75, -1.25)
    assert both[0].vanishes(((both[1] * both[2]) ** 2 - both[1] ** 2 * both[2] ** 2).terms)
    assert ((both[1] ** 2) ** 0.5).value == 0.75 and both[0].branches == 1
    assert both[0].vanishes(((both[1] ** 2) ** 0.5 + both[1]).terms)
    assert (x * y <= y * x) and ring.compare((x / (x + y) + y / (x + y)).terms, ONE, (1.0, 1.0)) == 0
    assert ring.branches == 0


def test_indices_that_are_squares_and_conditions_on_sizes_alone():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])

    def squares(self, at, x):
        (n,) = at
        return guard(x[n**2], inside(n**2, x.shape[0])) + x[n]

    assert value_at(formula_of(squares), x=x) == ([2, 4, 20, 8, 16], [2, 2, 1, 1, 2])

    def far(by):
        def formula(self, at, x):
            return x[at] + guard(3 * x[at], inside(by * x.shape[0] - 5, x.shape[0]))

        return formula

    assert value_at(formula_of(far(1)), x=x)[0] == (4 * x).tolist()
    assert value_at(formula_of(far(2)), x=x) == (x.tolist(), [1.0] * 5)


def test_what_symbols_cannot_decide_is_skipped():
    with pytest.raises(Skip, match="no entries to differentiate by"):
        check(symbolic, OPS.make("relu"), {ELLIPSIS: (0,)})
    with pytest.raises(Skip, match="not positive"):
        check(symbolic, pointwise("never", lambda x: np.sqrt(-1 - x * x))(), {ELLIPSIS: (2,)})
    unclear = pointwise("unclear", df=lambda x: 2 * np.log(x * x) / np.log((x * x) ** 2))
    with pytest.raises(Skip, match="neither shown to vanish nor"):
        check(symbolic, unclear(), {ELLIPSIS: (2,)})
    positive_only = pointwise("positive_only", np.log, lambda x: 1 / x)
    assert check(symbolic, positive_only(), {ELLIPSIS: (3,)}).compared == {"gradient of 'x' (for all values)": 1}


def test_single_numbers_stay_within_the_formulas_range():
    with pytest.raises(Refutation) as caught:
        swept(lambda x: np.tanh(x) * np.float32(1 + 1e-6), lambda x: 1 - np.tanh(x) ** 2, tanh, *np.linspace(10, 20, 8), *np.linspace(-20, -10, 8))
    assert caught.value.finding.certificate.startswith("the formula stays within ")
    assert "at x = -20.0" in caught.value.finding.what or "at x = 10.0" in caught.value.finding.what


@pytest.mark.parametrize("kind", ["exact", "contract"])
def test_what_networks_are_built_of_is_right(kind):
    from cnnframe_derivations.suite import composed

    for cls in (composed._Times, composed._Weighted):
        evidence = gather(kind, cls, Settings("smoke"))
        assert evidence.state == "verified", evidence


@dataclass(frozen=True)
class Chosen(Activation):
    """A choice without a default, one that may be left out, and a word."""

    way: Annotated[str, one_of("up", "down")]
    times: Annotated[float | None, positive] = 2.0
    flag: bool = False

    name = "chosen"

    def f(self, x):
        return x * (self.times or 1)

    def df(self, x, y):
        return np.full_like(x, self.times or 1)

    def expr(self, x):
        return x * self.times if self.times is not None else x


def test_choices_and_what_may_be_left_out_are_drawn_and_met():
    assert sample(Chosen).way == "up"
    assert {feature for feature in awkward(Chosen) if "=" in feature} == {"way='up'", "way='down'", "flag=False", "flag=True"}
    bench = Bench(Chosen, Settings("quick"))
    for found in (bench.drawn, bench.box):
        assert {c.op.way for c in found} == {"up", "down"} and {c.op.flag for c in found} == {False, True}
        assert {None, 2.0} <= {c.op.times for c in found}
    assert verify(Chosen, Settings("smoke")).finding is None
    assert "way='down'" in set(features(case(Chosen("down"))))


# Several outputs and inputs: what holds for the first must be looked at in all


@dataclass(frozen=True)
class Both(Layer):
    """Two outputs of two inputs."""

    name = "both"
    inputs = {"a": "n", "b": "n"}
    output = {"y": "n", "z": "n"}

    def forward(self, a, b):
        return {"y": a + 2 * b, "z": 3 * a}, None

    def backward(self, dy, saved):
        return {"a": dy["y"] + 3 * dy["z"], "b": 2 * dy["y"]}

    def formula(self, at, a, b):
        return {"y": a[at["y"]] + 2 * b[at["y"]], "z": 3 * a[at["z"]]}


@dataclass(frozen=True)
class BothCurved(Both):
    """The same of logistic functions, which no lattice makes exact."""

    name = "both_curved"

    def forward(self, a, b):
        a, b = np.tanh(a), np.tanh(b)
        return {"y": a + 2 * b, "z": 3 * a}, (1 - a * a, 1 - b * b)

    def backward(self, dy, saved):
        return {"a": (dy["y"] + 3 * dy["z"]) * saved[0], "b": 2 * dy["y"] * saved[1]}

    def formula(self, at, a, b):
        return {"y": tanh(a[at["y"]]) + 2 * tanh(b[at["y"]]), "z": 3 * tanh(a[at["z"]])}


def second_output(base, change):
    """A copy of which `change` spoils the output z."""

    def forward(self, a, b):
        made, saved = base.forward(self, a, b)
        return {**made, "z": change(made["z"])}, saved

    return broken("second_output", base, forward=forward)


def second_gradient(base, change):
    """A copy of which `change` spoils the gradient of b."""

    def backward(self, dy, saved):
        made = base.backward(self, dy, saved)
        return {**made, "b": change(made["b"])}

    return broken("second_gradient", base, backward=backward)


PAIRS = [
    ("exact", Both, "small"),
    ("bounded", BothCurved, "real"),
    ("extremes", BothCurved, "constant"),
    ("symbolic", Both, "small"),
    ("composed", Both, "small"),
]


@pytest.mark.parametrize(("kind", "cls", "lattice"), PAIRS)
def test_a_mistake_in_the_second_of_two_is_seen(kind, cls, lattice):
    module, sizes = KINDS[kind], {"n": 3}
    found = check(module, cls(), sizes, lattice=lattice, seed=2)
    whole = {"exact": 4, "bounded": 4, "extremes": 4, "symbolic": 2, "composed": 2}[kind]
    assert len(found.compared) == whole
    assert "of the gradient of 'b'" in refutation_of(module, second_gradient(cls, lambda value: 1.5 * value), sizes, lattice=lattice, seed=2).what
    if whole == 4:
        assert "of the output 'z'" in refutation_of(module, second_output(cls, lambda value: 1.5 * value), sizes, lattice=lattice, seed=2).what


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.astype(np.float32), "'z' must have the element type"),
        (lambda value: value[:2], "'z' must have shape"),
        (list, "'z' must be a NumPy array"),
        (lambda value: value + count_up(), "a second forward gave another output 'z'"),
        (lambda value: value + value.sum(), "changing entry . of the batch changes other entries of the output 'z'"),
    ],
)
def test_the_contract_holds_for_the_second_output_too(change, said):
    assert re.search(said, refutation_of(KINDS["contract"], second_output(Both, change), {"n": 3}).what)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value.astype(np.float32), "'b' must have the element type"),
        (lambda value: value + count_up(), "gradient of 'b'"),
        (lambda value: value + (not value.any()), "a cotangent of zeros gives a gradient of 'b' that is not zero"),
        (lambda value: value * np.abs(value), "times the cotangent does not give 4 times the gradient of 'b'"),
        (lambda value: value + value.sum(), "alone gives other entries a gradient of 'b'"),
    ],
)
def test_the_contract_holds_for_the_second_gradient_too(change, said):
    assert re.search(said, refutation_of(KINDS["contract"], second_gradient(Both, change), {"n": 3}).what)


def test_a_nan_must_reach_the_second_output_from_the_second_input():
    clean = second_output(BothCurved, np.nan_to_num)
    with pytest.raises(Refutation, match=r"a NaN in entry .* of 'a' vanishes"):
        extremes.not_finite(Oracle(case(clean, {"n": 3}, lattice="real")), Evidence("extremes"))

    def forward(self, a, b):
        return BothCurved.forward(self, a, np.nan_to_num(b))

    with pytest.raises(Refutation, match=r"a NaN in entry .* of 'b' vanishes"):
        extremes.not_finite(Oracle(case(broken("cleaned", BothCurved, forward=forward), {"n": 3}, lattice="real")), Evidence("extremes"))
    evidence = Evidence("extremes")
    extremes.not_finite(Oracle(case(BothCurved(), {"n": 3}, lattice="real")), evidence)
    assert evidence.checks == 8


def test_numbers_of_one_name_or_two_outputs_are_told_apart_in_a_network():
    from cnnframe_derivations.suite import composed

    swapped = broken("swapped", Both, backward=lambda self, dy, saved: {"a": dy["z"] + 3 * dy["y"], "b": 2 * dy["y"]})
    seen = []
    for seed in range(6):
        try:
            check(composed, swapped, {"n": 3}, seed=seed)
        except Refutation as refutation:
            seen.append(refutation.finding.what)
    assert len(seen) >= 3 and all("gradient of 'a' in a network" in what for what in seen)


# Corners


def test_steps_beside_a_kink_are_taken_in_double_precision():
    bent = pointwise("bent", expr=lambda x: when(x > 1024, x, 0))()
    single = replace(case(bent, {ELLIPSIS: (1,)}), dtype="float32")
    oracle = Oracle.at(single, {"x": np.array([1024.0], np.float32)}, {"y": np.ones(1, np.float32)})
    assert oracle.on_a_kink("x", (0,))


def test_wide_values_leave_the_same_room_in_every_array():
    for dtype in DTYPES:
        for lattice in ("wide", "deep"):
            for seed in range(4):
                oracle = Oracle(case(OPS.make("dense", units=2), {"n": 2, "i": 3}, dtype, lattice=lattice, seed=seed))
                values = {**oracle.arrays, "dy": oracle.cotangents["y"]}
                reach = max(float(np.abs(value).max()) for value in values.values())
                most = 2.0 ** (PRECISION[dtype] - 4)
                assert magnitude(oracle.evaluation, reach, oracle.deep) <= most
                assert magnitude(oracle.evaluation, 16 * reach, oracle.deep) > most


def test_a_box_with_a_few_more_than_asked_for_is_spread_too():
    found = Box(OPS["dense"]).spread(10)
    assert len(found) == 10 and {c.op.units for c in found} == {1, 2, 3}
    assert len(Box(OPS["dense"]).spread(36)) == 36 == len(Box(OPS["dense"]).spread(40))


def test_what_is_skipped_is_counted():
    bent = pointwise("bent", lambda x: np.maximum(x, 0) ** 1.5, np.ones_like, lambda x: when(x > 0, x, 0) ** sp.Rational(3, 2))
    oracle = at(bent, 2.0**-10, 2.0**-11, 1e-4)
    evidence = Evidence("independent")
    independent.check(oracle, evidence)
    assert evidence.skipped == {"differences reach across a kink or have too large an error": 3} and not evidence.checks
    assert evidence.asked == {"gradient of 'x'"}


def test_results_are_kept_in_the_home_folder_if_nothing_else_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert exhaustive._store(OPS.make("logistic")).is_relative_to(tmp_path / ".cache" / "cnnframe" / "exhaustive")


def test_the_unit_interval_is_not_left_by_values_for_symbols():
    for seed in range(12):
        arrays, _ = symbolic._values(case(OPS.make("dropout", rate=0.5), {ELLIPSIS: (12,)}, seed=seed), positive=bool(seed % 2))
        (name,) = (name for name, values in OPS.make("dropout", rate=0.5).declaration.values.items() if isinstance(values, str))
        assert arrays[name].min() > 0 and arrays[name].max() < 1
        index, _ = symbolic._values(case(OPS.make("softmax_cross_entropy", targets="index"), {"n": 8, "c": 3}, seed=seed), positive=False)
        assert set(index["t"]) <= {0, 1, 2}


def test_small_cotangents_reach_their_amplitude():
    dense = OPS.make("dense", units=6)
    for lattice, amplitude in (("wide", 1000), ("small", 3)):
        found = case(dense, {"n": 12, "i": 2}, lattice=lattice, seed=2)
        assert np.abs(found.cotangents(amplitude, "x")["y"]).max() == 3 == np.abs(found.arrays(amplitude, "dy")["x"]).max()


def test_plain_numbers_among_symbols_are_asked_as_numbers():
    ring = Ring()
    x = symbols(ring, "x", np.array([0.5]))
    mixed = np.array([x[0], 0.0, -1.0], dtype=object).view(type(x))
    assert np.signbit(mixed).tolist() == [False, False, True]
    assert np.heaviside(mixed[1:], 0.25).tolist() == [0.25, 0.0]
    assert [np.sqrt(mixed[:1])[0].value, np.sqrt(np.array([x[0], 4.0], object).view(type(x)))[1]] == [math.sqrt(0.5), 2.0]


def test_what_is_no_number_must_be_so_both_times():
    alone = broken(
        "alone",
        Pair,
        backward=lambda self, dy, saved, wanted=frozenset({"a", "b"}): {n: dy * (1 + (n == "b")) * (1 if len(wanted) > 1 else np.nan) for n in wanted},
    )
    assert "asked for alone, another gradient of" in refutation_of(KINDS["contract"], alone, {"n": 3}).what


def test_bounded_evidence_judges_every_case_that_is_not_exact():
    budget = BUDGETS["smoke"]
    assert gather("bounded", OPS["softmax"], Settings("smoke")).cases == budget["bounded"] + budget["box"] + budget["drawn"]
    bench = Bench(OPS["dense"], Settings("smoke"))
    real = sum(not bench.oracle(c).exact for c in (*bench.box, *bench.drawn))
    assert gather("bounded", OPS["dense"], Settings("smoke")).cases == budget["bounded"] + real
    assert gather("exact", OPS["dense"], Settings("smoke")).cases == budget["box"] + budget["drawn"]


def test_values_for_symbols_have_both_signs():
    for positive_ in (False, True):
        found = [symbolic._values(case(OPS.make("dense", units=2), {"n": 2, "i": 3}, seed=seed), positive=positive_) for seed in range(4)]
        assert {bool(v < 0) for _, cotangents in found for v in cotangents["y"].ravel()} == {True, False}
        assert {bool(v < 0) for arrays, _ in found for v in arrays["x"].ravel()} == ({False} if positive_ else {True, False})


@pytest.mark.parametrize("sign", [1, -1])
def test_single_numbers_may_fall_back_by_what_a_library_is_off_by(sign):
    grid = np.linspace(2.0, 2.00001, 40, dtype=np.float32)

    def dented(units):
        def f(x):
            y = np.tanh(x)
            return (sign * np.where(x == grid[30], y.max() - units * np.spacing(y), y)).astype(x.dtype)

        return lambda: swept(f, lambda x: (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype), lambda x: sign * tanh(x), *grid)

    assert dented(3)()["inputs"] == 40
    with pytest.raises(Refutation, match="the output at x"):
        dented(8)()


def test_an_estimate_allows_for_the_rounding_of_code_that_takes_another_route():
    there = probe(pointwise("exponential", np.exp, np.exp, exp), 1.0)
    assert there._complex_step("x", (0,)).error >= ROUTES * UNIT["float64"] * math.e
    assert there._five_points("x", (0,)).error >= 4 * ROUTES * UNIT["float64"] * math.e / independent.STEP


def test_a_refutation_stays_where_nothing_smaller_is_found(monkeypatch):
    wrong = type(careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.size > 1)}))
    monkeypatch.setattr(Bench, "_simpler", lambda self, case: iter(()))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke")), Evidence("exact"))
    assert '"n": 2' in caught.value.finding.replay
    monkeypatch.setattr("cnnframe_derivations.suite._bench._shrunk", lambda *arguments: None)
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke")), Evidence("exact"))
    assert "must be" in caught.value.finding.what and replay(wrong, caught.value.finding.replay).verdict == "refuted"


def test_a_level_has_all_digits_of_its_sum():
    from itertools import product

    from cnnframe_derivations.suite._box import _level

    radices = (2, 3, 1, 2)
    levels = [list(_level(radices, level)) for level in range(7)]
    assert sorted(digits for level in levels for digits in level) == sorted(product(*map(range, radices)))
    assert all(sum(digits) == number for number, level in enumerate(levels) for digits in level) and [len(level) for level in levels] == [1, 3, 4, 3, 1, 0, 0]
    assert list(_level((), 0)) == [()] and list(_level((), 1)) == []


def test_broken_copies_that_are_refuted_are_evidence(monkeypatch):
    half = dataclass(frozen=True)(
        type("Half", (OPS["dense"],), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in OPS["dense"].backward(self, dy, saved).items()}})
    )
    monkeypatch.setattr(canaries, "canaries", lambda cls, count: [Survivor(half, 3)])
    evidence = Evidence("canaries")
    canaries.gather(Bench(OPS["dense"], Settings("smoke")), evidence)
    assert (evidence.state, evidence.absent, evidence.checks) == ("verified", "", 1)


def test_right_code_is_not_refuted_by_a_replay_with_an_empty_batch():
    empty = case(OPS.make("dense", units=1), {"n": 0, "i": 1})
    assert replay(OPS["dense"], empty.replay).finding is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exact_amplitude_is_exact_however_little_room_there_is(dtype):
    for sizes in ({"n": 2, "i": 5}, {"n": 1, "i": 1}, {"n": 7, "i": 3}):
        found = evaluation_of(Weighted, sizes)
        for places in range(20):
            amplitude = exact_amplitude(found, dtype, places=places)
            room = 2.0 ** (PRECISION[dtype] - 4 - fraction_bits(found, places))
            assert (magnitude(found, amplitude, "") <= room) if amplitude else magnitude(found, 3, "") > room
            assert amplitude == 0 or amplitude >= 3


def test_watching_descriptors_leaves_none_open():
    def lowest_free():
        number = os.dup(0)
        os.close(number)
        return number

    before = lowest_free()
    with written(1), written(2):
        pass
    assert lowest_free() == before


def test_what_no_graph_takes_is_skipped_in_networks():
    from cnnframe_derivations.suite import composed

    @dataclass(frozen=True)
    class Columns(Layer):
        name = "columns"
        inputs = {"x": "n c", "s": "c"}
        output = "n c"

        def forward(self, x, s):
            return x + s, None

        def backward(self, dy, saved):
            return {"x": 1 * dy, "s": dy.sum(axis=0)}

        def formula(self, at, x, s):
            return x[at] + s[at[1]]

    with pytest.raises(Skip, match="the graph refuses it: "):
        check(composed, Columns(), {"n": 2, "c": 3})


def test_roots_of_sums_that_begin_with_a_minus_and_exponents_that_differ():
    ring, x, y = pair(-2.5, -3.5)
    for inside_ in (-x - 1, -x - y, -2 * x - 3 * y - 1):
        root = inside_**0.5
        assert ring.value(root.terms) == pytest.approx(math.sqrt(inside_.value)) and ring.vanishes((root * root - inside_).terms)
        assert ring.vanishes((inside_**-0.5 * inside_ - root).terms)
    near = Ring(near=True)
    a = symbols(near, "a", np.array([0.75]))[0]
    third = 1 / 3
    assert near.vanishes((a**third - a ** (third + 2.0**-53)).terms)
    assert not near.vanishes((a**third - a ** (third + 6 * 2.0**-52)).terms)


def test_equations_may_have_any_factor_before_an_index():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])

    def doubled(self, at, x):
        (k,) = indices("k")
        return total(guard(x[k], [equal(k, 2 * at[0])]), (k, x.shape[0]))

    assert value_at(formula_of(doubled), x=x) == ([1, 4, 16, 0, 0], [1, 0, 1, 0, 1])


def test_equations_may_give_an_index_that_is_no_entry():
    def halved(self, at, x):
        (k,) = indices("k")
        return total(guard(x[k], [equal(2 * k, at[0])]), (k, x.shape[0]))

    assert value_at(formula_of(halved), x=np.array([1.0, 2.0, 4.0])) == ([1, 0, 2], [1, 1, 0])


def test_roots_are_those_of_their_number():
    assert Floats().power(8.0, Fraction(1, 3)) == pytest.approx(2) and Floats().power(9.0, Fraction(1, 2)) == 3
    assert Floats().power(9.0, Fraction(3, 2)) == pytest.approx(27) and Floats().power(4.0, -1) == 0.25


@pytest.mark.parametrize("kind", ["exact", "contract"])
def test_an_answer_that_is_an_argument_is_refused_by_each_kind_that_looks(kind):
    same = {"formula": lambda self, at, x: x[at]}
    lent = broken("lent", forward=lambda self, x: (x, None), backward=lambda self, dy, saved: {"x": dy * 1}, **same)
    assert "the output 'y' shares memory with the argument 'x'" in refutation_of(KINDS[kind], lent, {"n": 3}).what
    back = broken("back", forward=lambda self, x: (x * 1, None), backward=lambda self, dy, saved: {"x": dy}, **same)
    assert "the gradient of 'x' shares memory with the argument or cotangent" in refutation_of(KINDS[kind], back, {"n": 3}).what
    saved = broken(
        "saved",
        forward=lambda self, x: (x * 1, x),
        backward=lambda self, dy, saved: {"x": np.multiply(dy, 1, out=saved) if saved.flags.writeable else saved},
        **same,
    )
    assert "of 'x' shares memory" in refutation_of(KINDS[kind], saved, {"n": 3}).what


def test_values_far_from_0_are_compared_within_their_size():
    _, x, y = pair(1024.0, 1024.0 + 2.0**-31)
    with pytest.raises(Domain, match="equal"):
        assert x < y
    _, small, large = pair(2.0**-20, 2.0**-20 + 2.0**-50)
    assert small < large


def test_code_may_be_off_by_a_few_units_at_infinity():
    def near_one(units):
        return lambda x: np.where(np.isinf(x), np.sign(x) * np.float32(1 - units * UNIT["float32"]), np.tanh(x)).astype(x.dtype)

    assert swept(near_one(8), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)["inputs"] == 4
    with pytest.raises(Refutation, match="at x = inf"):
        swept(near_one(40), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)


def test_a_finding_is_shown_in_double_precision_where_it_is_there_too():
    wrong = type(careless(backward=lambda self, dy, saved: {"x": 3 * dy}))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke", dtype="float32")), Evidence("exact"))
    assert '"float64"' in caught.value.finding.replay and '"n": 1' in caught.value.finding.replay
    single = type(careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.dtype == np.float32)}))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(single, Settings("smoke")), Evidence("exact"))
    assert '"float32"' in caught.value.finding.replay and '"n": 1' in caught.value.finding.replay


@dataclass(frozen=True)
class Divided(Activation):
    """A multiple that is declared before what divides it."""

    many: Annotated[int, at_least(1), multiple_of("few")]
    few: Annotated[int, at_least(1)] = 1

    name = "divided"

    def f(self, x):
        return x * (self.many // self.few)

    def df(self, x, y):
        return np.full_like(x, self.many // self.few)

    def expr(self, x):
        return x * self.many / self.few


def test_hyperparameters_are_made_in_an_order_that_bounds_allow():
    bench = Bench(Divided, Settings("quick"))
    for found in (bench.drawn, bench.box):
        assert {c.op.few for c in found} >= {1, 2, 3} and {c.op.many // c.op.few for c in found} >= {1, 2}
        assert all(c.op.many % c.op.few == 0 for c in found)
    axes = Box(Settled).spread(40)
    assert len(axes) == 40 and {len(c.op.axes) for c in axes} == {2} and {c.op.count for c in axes} == {2, 3, 4}
    assert {len(c.op.axes) for c in Bench(Settled, Settings("smoke")).drawn} == {2}


def test_what_has_one_axis_need_not_differ_between_axes():
    made = dataclass(frozen=True)(type("OneAxis", (OPS["max_pool"],), {"name": "one_axis", "dims": 1, "__annotations__": {"dims": Annotated[int, one_of(1)]}}))
    found = awkward(made)
    assert "size above 1" in found and not any("all axes" in feature for feature in found)


def test_roots_of_what_is_positive_for_all_values_decide_nothing():
    ring, x, _ = pair()
    assert ring.vanishes(((np.exp(x) ** 2) ** 0.5 - np.exp(x)).terms) and ring.branches == 0
    assert ring.vanishes(((x**2) ** 0.5 - x).terms) and ring.branches == 1
    near = Ring(near=True)
    a = symbols(near, "a", np.array([0.75]))[0]
    third = 1 / 3
    assert near.vanishes((a**third - a ** (third + 3 * 2.0**-52)).terms)


def test_bounds_of_rounded_constants_hold_all_that_they_may_have_been():
    near = Ring(near=True)
    x = symbols(near, "x", np.array([0.75]))[0]
    for scalar in (x * 0.1, x**0.1, 0.1 * x**0.3 + 1):
        width = float(near.interval(scalar.terms).delta)
        assert 2.0**-58 < width < 2.0**-45
    assert float(near.interval((x * 0.5).terms).delta) < 1e-40
