"""The rules for values, and when arithmetic on them is exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import sympy as sp
from suite_parts import (
    OPS,
    case,
    evaluation_of,
    pointwise,
)

from cnnframe import Layer
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import absolute, indices, tanh, total, when
from cnnframe_derivations import derive
from cnnframe_derivations._evaluate import Evaluation
from cnnframe_derivations.suite._cases import DTYPES
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._values import EXTREMES, FINE, LINE, PRECISION, _most, exact_amplitude, fill, fraction_bits, magnitude


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
        assert all(np.unique(np.abs(found[rule])).size > found[rule].size / 2 for rule in ("huge", "tiny", "denormal"))
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
    drawn_ = case(dropout, {ELLIPSIS: (1000,)}).arrays()
    (name,) = (name for name, values in dropout.declaration.values.items() if isinstance(values, str))
    assert set(64 * drawn_[name]) == set(range(64))
    assert fraction_bits(Evaluation(derive(dropout), dropout, {**dropout.declaration.known, ELLIPSIS: (4,)})) >= 6


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


def test_small_cotangents_reach_their_amplitude():
    dense = OPS.make("dense", units=6)
    for lattice, amplitude in (("wide", 1000), ("small", 3)):
        found = case(dense, {"n": 12, "i": 2}, lattice=lattice, seed=2)
        assert np.abs(found.cotangents(amplitude, "x")["y"]).max() == 3 == np.abs(found.arrays(amplitude, "dy")["x"]).max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exact_amplitude_is_exact_however_little_room_there_is(dtype):
    for sizes in ({"n": 2, "i": 5}, {"n": 1, "i": 1}, {"n": 7, "i": 3}):
        found = evaluation_of(Weighted, sizes)
        for places in range(20):
            amplitude = exact_amplitude(found, dtype, places=places)
            room = 2.0 ** (PRECISION[dtype] - 4 - fraction_bits(found, places))
            assert (magnitude(found, amplitude, "") <= room) if amplitude else magnitude(found, 3, "") > room
            assert amplitude == 0 or amplitude >= 3


def test_one_large_number_is_among_small_ones_however_few_there_are():
    assert [float(drawn("spike", 24, (1,), seed)[0]) for seed in range(6)] == [1e4] * 6
    assert drawn("spike", 24, (0,)).shape == (0,)
    offset = drawn("offset", 24)
    assert np.all((np.abs(offset - 300) >= 1) & (np.abs(offset - 300) <= 2)) and (offset > 300).any() and (offset < 300).any()
    for amplitude, least in ((24, 1e30), (53, 1e250)):
        vast = drawn("vast", amplitude)
        assert np.all((np.abs(vast) >= least) & (np.abs(vast) <= 2 * least)) and (vast > 0).any() and (vast < 0).any()


def test_the_line_has_a_number_near_every_size():
    values = drawn("line", 24, (LINE,))
    assert np.array_equal(np.sort(values), np.sort(-values)) and np.all(values != np.rint(values)) and np.abs(values).max() < 112
    assert np.all(np.histogram(values, np.arange(-40, 41))[0] >= 1)
    assert np.all(np.histogram(values, [*range(-112, -36, 4), *range(40, 116, 4)])[0][[*range(18), *range(19, 37)]] >= 1)
    powers = np.floor(np.log2(values[(values > 0) & (values < 1)])).astype(int)
    assert set(powers) >= set(range(-58, 0, 2)) and powers.min() >= -60
    assert not np.array_equal(values, drawn("line", 24, (LINE,), 1)) and drawn("line", 24, (2, LINE)).shape == (2, LINE)


def test_fewer_numbers_of_the_line_are_some_of_them():
    values = drawn("line", 24, (LINE - 1,))
    assert 40 < np.sum(values == 0) < 100 and 70 < np.abs(values).max() < 110
    assert 0 < np.abs(values[values != 0]).min() < 2.0**-20 and (values > 1).any() and (values < -1).any()
    assert np.sum((values != 0) & (np.abs(values) <= 1)) > 15


def test_draws_from_the_unit_interval_have_six_binary_places():
    dropout = OPS.make("dropout", rate=0.5)
    assert fraction_bits(Evaluation(derive(dropout), dropout, {**dropout.declaration.known, ELLIPSIS: (4,)})) == 6


def test_binary_places_of_a_sum_are_the_most_of_its_parts():
    assert (_most([]), _most([0, 0]), _most([0, 3, 2]), _most([0, None])) == (0, 0, 3, None)
