"""What is drawn of chains: cases that fit, of all sizes and kinds that matter, and small ones where something fails."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import islice
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
from suite_parts import OPS

import cnnframe as cf
from cnnframe import BATCH, Activation, at_least, multiple_of
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import Hyperparameter, MultipleOf, hyperparameters
from cnnframe_derivations.suite import _joined_cases as cases_
from cnnframe_derivations.suite._cases import DTYPES, LAYOUTS, SMALL_SHAPES, Case
from cnnframe_derivations.suite._joined import WANTED, Joined
from cnnframe_derivations.suite._joined_cases import ChainCase, drawn
from cnnframe_derivations.suite._joined_oracle import ChainOracle
from cnnframe_derivations.suite._values import LATTICES

CONV, RELU, LEAKY, TANH, MAX, MEAN, FLAT, DENSE, SHIFT = (
    OPS[name] for name in ("conv", "relu", "leaky_relu", "scaled_tanh", "max_pool", "mean_pool", "flatten", "dense", "scale_shift")
)
POOLED = (CONV, RELU, MAX)


@cache
def some(kinds, count=400, small=False):
    return tuple(islice(drawn(kinds, 5, small=small), count))


def seeds(count, call):
    """What a call answers for each of so many seeds, where it can answer."""
    found = []
    for seed in range(count):
        try:
            found.append(call(np.random.default_rng(seed)))
        except cf.CnnframeError:
            continue
    return found


class Dice:
    """Falls as it is told."""

    def __init__(self, *falls):
        self.falls = list(falls)

    def integers(self, most):
        fall = self.falls.pop(0)
        assert 0 <= fall < most
        return fall


def case_of(*ops, lattice="small", seed=2, wanted="all", dtype="float64", layout="C", **sizes):
    known = {**ops[0].declaration.known, **sizes}
    return ChainCase(Joined(ops, known, dtype, wanted), known, dtype, layout, lattice, seed)


def test_cases_of_all_kinds_are_drawn():
    drawn_ = some(POOLED)
    for seen, wanted in (
        (Counter(case.known[BATCH] for case in drawn_), {0, 1, 2, 3, 5, 9, 17, 33}),
        (Counter(case.layout for case in drawn_), set(LAYOUTS)),
        (Counter(case.dtype for case in drawn_), set(DTYPES)),
        (Counter(case.lattice for case in drawn_), set(LATTICES)),
        (Counter(case.op.wanted for case in drawn_), set(WANTED)),
        (Counter(case.op.ops[0].dims for case in drawn_), {1, 2, 3}),
        (Counter(case.op.ops[0].groups for case in drawn_), {1, 2, 3}),
        (Counter(case.op.ops[0].orientation for case in drawn_), {"correlation", "convolution"}),
    ):
        assert set(seen) >= wanted and min(seen[one] for one in wanted) >= 10, seen
    assert sum(case.known[BATCH] > 16 for case in drawn_) >= 40
    assert sum(case.op.ops[0].maps >= 32 for case in drawn_) >= 5
    assert sum(case.op.ops[2].size == case.op.ops[2].stride for case in drawn_) >= 100
    assert sum(case.op.ops[2].size != case.op.ops[2].stride for case in drawn_) >= 100
    assert sum(len(set(case.op.ops[0].size)) > 1 for case in drawn_) >= 20
    assert sum(case.known["g"] > 1 for case in drawn_) >= 100
    assert len({case.seed for case in drawn_}) > 350
    assert all(case.known is case.op.known and case.dtype == case.op.dtype for case in drawn_)
    # All operations of a chain have the dimensions of the first.
    assert all(case.op.ops[0].dims == case.op.ops[2].dims for case in drawn_)


def test_lattices_come_in_turn():
    assert [case.lattice for case in some(POOLED)[:12]] == [*LATTICES, *LATTICES]


def test_what_is_drawn_follows_from_the_number():
    assert [case.replay for case in islice(drawn(POOLED, 5), 20)] == [case.replay for case in some(POOLED)[:20]]
    assert [case.replay for case in islice(drawn(POOLED, 6), 20)] != [case.replay for case in some(POOLED)[:20]]


def test_a_chain_without_parameters_is_asked_for_all_or_for_nothing():
    bare, rich = Counter(case.op.wanted for case in some((RELU, TANH), 60)), Counter(case.op.wanted for case in some((DENSE, TANH), 60))
    assert set(bare) == {"all", "nothing"} and min(bare.values()) >= 3
    assert set(rich) == set(WANTED) and min(rich.values()) >= 3


def test_small_cases_are_small():
    small = some(POOLED, 60, small=True)
    assert {case.known[BATCH] for case in small} == {1, 2}
    assert {case.known["g"] for case in small} == {1}
    assert {case.op.ops[0].maps // case.op.ops[0].groups for case in small} == {1, 2}
    assert max(max(case.op.ops[0].size) for case in small) == 2 and max(max(case.op.ops[2].stride) for case in small) == 2
    assert max(case.weight for case in small) < 200 < max(case.weight for case in some(POOLED))
    assert set(Counter(case.lattice for case in small)) == set(LATTICES)


def test_no_case_is_too_large_for_many_digits():
    for case in (*some(POOLED), *some((DENSE, TANH), 60)):
        most = max(int(np.prod(shape)) for shape in (*case.shapes.values(), *case.op.outputs.values()))
        assert most <= 900 and cases_._work(case.op) <= 3000 and all(case.outputs.values())
    assert not any(case.known[ELLIPSIS] == () for case in some((RELU, TANH), 60))
    assert {case.known[ELLIPSIS] for case in some((RELU, TANH), 60)} == set(SMALL_SHAPES) - {()}


@pytest.mark.parametrize(
    ("size", "others", "work", "fits"),
    [(900, 1, 100, True), (901, 1, 100, False), (1, 900, 100, True), (1, 901, 100, False), (9, 9, 3000, True), (9, 9, 3001, False)],
)
def test_sizes_and_work_have_their_limits(monkeypatch, size, others, work, fits):
    monkeypatch.setattr(cases_, "_work", lambda op: work)
    assert cases_._fits(SimpleNamespace(shapes={"x": (size,), "b": (1,)}, outputs={"y": (others,), "z": (2,)}, op=None)) is fits


def test_what_makes_a_number_without_axes_is_not_drawn(monkeypatch):
    monkeypatch.setattr(cases_, "_work", lambda op: 1)
    for outputs, fits in (({"y": ()}, False), ({"y": (2,), "z": ()}, False), ({"y": (0, 2)}, True)):
        assert cases_._fits(SimpleNamespace(shapes={"x": (3,)}, outputs=outputs, op=None)) is fits


@dataclass(frozen=True)
class Gained(cf.Layer):
    """Times one number."""

    name = "gained"
    inputs = {"x": "n c"}
    params = {"g": ""}
    output = "n c"

    def forward(self, x, g):
        return x * g, (x, g)

    def backward(self, dy, saved):
        x, g = saved
        return {"x": dy * g, "g": (dy * x).sum()}

    def formula(self, at, x, g):
        return x[at] * g


def test_work_is_counted_in_products():
    # 2 x 4 x 3 x 3 entries of 3 x 2 x 3 products each, then 2 x 4 x 2 x 2 and as many again without any.
    conv, pool, flat = CONV(maps=4, size=(2, 3)), MEAN(size=2, stride=1), FLAT(dims=2)
    assert cases_._work(case_of(conv, pool, flat, n=2, g=3, h0=4, h1=5).op) == 72 * 18 + 32 + 32
    assert cases_._work(case_of(DENSE(units=5), RELU(), n=3, i=7).op) == 3 * 5 * 7 + 15
    assert cases_._work(case_of(RELU(), Gained(), **{ELLIPSIS: (2, 3)}).op) == 12
    assert cases_._work(case_of(DENSE(units=5), RELU(), n=0, i=7).op) == 0


def test_arrays_have_a_margin_above_the_smallest_that_fits():
    op = CONV(maps=2, size=(3, 1), stride=(2, 1), dilation=(2, 1))
    found = seeds(600, lambda rng: cases_._sizes(op, rng, small=False))
    few, many = ([known for known in found if (known[BATCH] > 16) is large] for large in (False, True))
    assert {known[BATCH] for known in found} == {0, 1, 2, 3, 5, 9, 17, 33}
    # A window of three entries, two apart, takes five.
    assert {known["h0"] for known in few} == set(range(5, 14)) and {known["h1"] for known in few} == set(range(1, 10))
    assert {known["g"] for known in few} == {1, 2, 3, 5}
    assert {known["h0"] for known in many} == set(range(5, 10)) and {known["g"] for known in many} == {1, 2}
    small = seeds(200, lambda rng: cases_._sizes(op, rng, small=True))
    assert {known[BATCH] for known in small} == {1, 2} and {known["h0"] for known in small} == {5, 6, 7} and {known["g"] for known in small} == {1}
    assert all({"n", "g", "h0", "h1", "maps", "size0"} <= set(known) for known in (*found, *small))
    shapes = seeds(200, lambda rng: cases_._sizes(RELU(), rng, small=False))
    assert {known[ELLIPSIS] for known in shapes} == set(SMALL_SHAPES) and all(set(known) == {ELLIPSIS} for known in shapes)
    assert not any(ELLIPSIS in known for known in found)


def values(op, name, found=(), windows=(), small=False, count=400):
    """What is drawn for a hyperparameter."""
    hyper = name if isinstance(name, Hyperparameter) else hyperparameters(op)[name]
    return Counter(seeds(count, lambda rng: cases_._value(hyper, rng, dict(found), list(windows), small=small)))


def test_numbers_are_small_and_now_and_then_wide():
    assert set(values(DENSE, "units")) == {1, 2, 3, 32} and set(values(DENSE, "units", small=True)) == {1, 2}
    assert 15 <= values(DENSE, "units")[32] <= 80
    assert set(values(CONV, "maps", {"groups": 2})) == {2, 4, 6, 64} and set(values(CONV, "maps", {"groups": 3}, small=True)) == {3, 6}
    slopes = set(values(LEAKY, "slope"))
    assert len(slopes) > 3 and max(slopes) <= 1 and set(values(LEAKY, "slope", small=True)) == slopes
    assert set(values(CONV, "orientation", small=True)) == set(values(CONV, "orientation")) == {"convolution", "correlation"}
    maybe = Hyperparameter("count", int, (MultipleOf("groups"),), None, optional=True)
    assert set(values(None, maybe, {"groups": 2})) == {None, 64} and set(values(None, maybe, {"groups": 2}, small=True)) == {None}


def test_windows_have_an_entry_for_each_axis_and_are_often_as_small_as_can_be():
    for dims in (1, 2, 3):
        found = values(CONV, "size", {"dims": dims})
        assert {len(size) for size in found} == {dims} and {entry for size in found for entry in size} == {1, 2, 3}
        assert set(values(CONV, "size", {"dims": dims}, small=True)) <= {size for size in found if max(size) <= 2}
    assert {len(size) for size in values(CONV, "size")} == {2}
    # One in six is, and one in 27 of the others by chance.
    assert 40 <= values(CONV, "size", {"dims": 3})[1, 1, 1] <= 130
    assert {entry for padding in values(CONV, "padding", {"dims": 2}) for entry in padding} == {0, 1, 2}


def test_a_window_is_often_the_one_before_if_it_may_be():
    found = values(MAX, "stride", {"dims": 2}, [(1, 2), (3, 2)])
    assert 160 <= found[3, 2] <= 280 and found[1, 2] < 60 and len(found) > 6
    for before in ((0, 0), (0, 2)):
        assert (0 not in {entry for stride in values(MAX, "stride", {"dims": 2}, [before]) for entry in stride}) is True
    windows = []
    first = cases_._value(hyperparameters(MAX)["size"], np.random.default_rng(3), {"dims": 2}, windows, small=False)
    assert windows == [first]


def test_operations_are_drawn_with_all_their_settings():
    found = seeds(300, lambda rng: cases_._operation(CONV, rng, {}, small=False))
    assert len(found) > 200 and {op.dims for op in found} == {1, 2, 3} and {op.groups for op in found} >= {1, 2, 3}
    assert all(len(op.size) == len(op.stride) == op.dims and op.maps % op.groups == 0 for op in found)
    settled = seeds(100, lambda rng: cases_._operation(MAX, rng, {"dims": 1, "unknown": 7}, small=False))
    assert len(settled) == 100 and {op.dims for op in settled} == {1}
    assert 30 <= sum(op.size == op.stride for op in settled) <= 90
    assert {cases_._operation(DENSE, np.random.default_rng(seed), {"dims": 2}, small=True).units for seed in range(40)} == {1, 2}


def test_the_next_operation_takes_what_the_one_before_makes():
    tight = (2, 3, 1, 2)
    found = seeds(60, lambda rng: cases_._next(MAX, tight, rng, 2, small=False))
    # The only windows that fit are one row high; one draw would seldom have one.
    assert len(found) >= 55
    for op, known in found:
        assert op.dims == 2 and op.output_shapes(known)["y"][:2] == (2, 3) and op.size[0] == 1 and op.size[1] <= 2
    assert {op.size for op, _ in found} >= {(1, 1), (1, 2)}
    with pytest.raises(cases_._NoneFits):
        cases_._next(DENSE, (2, 2, 2), np.random.default_rng(0), None, small=False)
    small = seeds(60, lambda rng: cases_._next(DENSE, (2, 3), rng, None, small=True))
    assert {op.units for op, _ in small} == {1, 2} and len(small) == 60
    op, known = cases_._next(DENSE, (2, 3), np.random.default_rng(0), None, small=True)
    assert (known["n"], known["i"]) == (2, 3)


def test_one_setting_is_changed_and_windows_that_were_equal_to_it():
    op = MAX(size=2, stride=2, dims=2)
    rng = np.random.default_rng(0)
    assert cases_._changed(op, rng, now=False, small=False) is op and cases_._changed(RELU(), rng, now=True, small=False) == RELU()
    # No new operation, the first setting that is not dims, no lowest window, (3, 1); then the stride follows, or does not.
    assert cases_._changed(op, Dice(1, 0, 1, 2, 0, 1), now=True, small=False) == MAX(size=(3, 1), stride=(3, 1), dims=2)
    assert cases_._changed(op, Dice(1, 0, 1, 2, 0, 0), now=True, small=False) == MAX(size=(3, 1), stride=(2, 2), dims=2)
    assert cases_._changed(op, Dice(1, 1, 1, 0, 2, 0), now=True, small=False) == MAX(size=(2, 2), stride=(1, 3), dims=2)
    apart = MAX(size=2, stride=1, dims=2)
    assert cases_._changed(apart, Dice(1, 0, 1, 2, 0, 1), now=True, small=False) == MAX(size=(3, 1), stride=(1, 1), dims=2)
    names = [name for name in hyperparameters(CONV) if name != "dims"]
    conv = CONV(maps=1, size=2, stride=2, padding=1, dilation=1, groups=1)
    # Groups, which are 1 as well, stay what they are, and so do windows.
    more = cases_._changed(conv, Dice(1, names.index("maps"), 1, 1, 1), now=True, small=False)
    assert more == CONV(maps=2, size=2, stride=2, padding=1, dilation=1, groups=1)
    assert cases_._changed(LEAKY(slope=0.25), Dice(2, 0, 0, 0), now=True, small=False).slope != 0.25


def test_an_operation_that_is_drawn_anew_keeps_its_dimensions():
    for op in (MAX(size=2, stride=2, dims=1), MAX(size=2, stride=2, dims=3), SHIFT(dims=1)):
        found = seeds(80, lambda rng, op=op: cases_._changed(op, rng, now=True, small=False))
        assert {one.dims for one in found} == {op.dims}
    assert len({one.slope for one in seeds(80, lambda rng: cases_._changed(LEAKY(slope=0.25), rng, now=True, small=False))}) > 3
    small = seeds(200, lambda rng: cases_._changed(MAX(size=2, stride=2, dims=1), rng, now=True, small=True))
    assert len(set(small)) == 4 and max(one.size[0] for one in small) == 2


def test_the_smallest_sizes_are_those_at_which_every_output_has_entries():
    conv = CONV(maps=2, size=(3, 1), stride=1, padding=(0, 2), dilation=(2, 1))
    assert cases_._least(conv) == {"n": 1, "g": 1, "h0": 5, "h1": 1} and cases_._least(RELU()) == {}


def test_what_is_rare_is_found_near_what_was_taken():
    asked, met = Counter(), set()

    def taken(case):
        asked["all"] += 1
        conv, _, pool = case.op.ops
        if case.op.text in met:
            return False
        met.add(case.op.text)
        return conv.orientation == "correlation" and conv.groups == 1 and set(conv.dilation) == {1} and pool.size == pool.stride == (2,) * conv.dims

    found = list(islice(drawn(POOLED, 1, taken), 60))
    # By chance alone not one in 200 is.
    assert len(found) == 60 and asked["all"] < 12 * 60
    assert len({case.op.ops for case in found}) > 4 and len({json.dumps(case.known) for case in found}) > 30


def test_nothing_is_drawn_any_more_when_none_has_been_taken_for_long():
    asked = []
    assert list(drawn((DENSE, TANH), 0, asked.append, patience=40)) == []
    assert 20 <= len(asked) <= 42
    asked.clear()
    assert len(list(drawn((DENSE, TANH), 0, lambda case: asked.append(case) or len(asked) <= 30, patience=40))) == 30
    assert 50 <= len(asked) <= 72
    assert list(drawn((FLAT, MAX), 0, patience=40)) == []


def test_real_numbers_of_every_other_case_are_an_eighth():
    for lattice, seed, by in (("real", 3, 8), ("real", 2, 1), ("small", 3, 1), ("small", 2, 1), ("real", 5, 8), ("wide", 3, 1)):
        case = case_of(DENSE(units=2), TANH(), lattice=lattice, seed=seed, dtype="float32", n=3, i=2)
        whole = Case.arrays(case)
        for name, value in case.arrays().items():
            assert np.array_equal(value * np.float32(by), whole[name]) and value.dtype == "float32"
    index = case_of(OPS["softmax_cross_entropy"](targets="index"), lattice="real", seed=3, n=4, c=3).arrays()
    assert index["t"].dtype.kind == "i" and np.abs(index["z"]).max() < 100


def test_plain_values_are_integers_up_to_three():
    arrays = case_of(DENSE(units=9), TANH(), n=9, i=9).arrays()
    assert {int(v) for v in np.unique(np.concatenate([a.ravel() for a in arrays.values()]))} == set(range(-3, 4))


@dataclass(frozen=True)
class Counted(Activation):
    """The identity, with numbers that may be missing or large."""

    count: Annotated[int | None, at_least(1)] = None
    groups: Annotated[int, at_least(1)] = 1
    times: Annotated[int, multiple_of("groups")] = 1

    name = "counted"

    def f(self, x):
        return x * 1

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


def test_the_settings_that_a_case_meets_are_told_by_operation():
    case = case_of(CONV(maps=32, size=(2, 1)), RELU(), MAX(size=2, stride=2), layout="F", wanted="parameters", n=17, g=1, h0=4, h1=3)
    assert case.met >= {
        "parameters",
        "a batch above 16",
        "conv1: maps from 32 on",
        "conv1: F layout",
        "conv1: size not the same on all axes",
        "relu1: float64",
        "max_pool1: small values",
        "max_pool1: entries left over",
    }
    assert not any(setting.startswith(("conv1: groups", "relu1: maps", "max_pool1: stride from")) for setting in case.met)
    other = case_of(CONV(maps=31, size=(2, 1)), RELU(), MAX(size=1, stride=2), n=16, g=1, h0=4, h1=3)
    assert "all" in other.met and not {"a batch above 16", "conv1: maps from 32 on", "parameters"} & other.met
    behind = case_of(RELU(), DENSE(units=33), RELU(), DENSE(units=32), **{ELLIPSIS: (17, 2)})
    assert {"dense1: units from 32 on", "dense2: units from 32 on", "relu2: float64"} <= behind.met and "a batch above 16" not in behind.met
    counted = case_of(Counted(), Counted(count=32), **{ELLIPSIS: (2,)})
    assert "counted2: count from 32 on" in counted.met and not any("from 32 on" in setting for setting in counted.met if "counted1" in setting)


def test_a_case_is_shown_with_its_operations_and_what_is_wanted():
    shown = {wanted: case_of(DENSE(units=2), TANH(), wanted=wanted, n=1, i=1).shown for wanted in WANTED}
    assert shown["all"] == "Dense(units=2) -> ScaledTanh()"
    assert shown["parameters"] == shown["all"] + ", gradients of parameters alone" and shown["nothing"] == shown["all"] + ", forward alone"


def test_the_weight_of_a_case_is_the_number_of_its_entries():
    assert case_of(DENSE(units=2), TANH(), DENSE(units=3), n=4, i=5).weight == 4 * 5 + 2 * 5 + 2 + 3 * 2 + 3 + 4 * 3


READ = (MEAN, FLAT, DENSE)


def written(**changed):
    case = case_of(MEAN(size=2, stride=1), FLAT(dims=2), DENSE(units=2), wanted="parameters", layout="strided", lattice="deep", seed=7, n=2, i=3, h0=3, h1=4)
    return case, json.dumps({**json.loads(case.replay), **changed})


def test_a_case_that_is_read_is_the_one_that_was_written():
    case, text = written()
    again = ChainCase.read(READ, text)
    assert (again.op.ops, again.known, again.dtype, again.layout, again.lattice, again.seed, again.op.wanted) == (
        case.op.ops,
        case.known,
        "float64",
        "strided",
        "deep",
        7,
        "parameters",
    )
    assert again.replay == case.replay and again.op.dtype == "float64"
    truths, others = ChainOracle(case), ChainOracle(again)
    assert all(np.array_equal(truths.gradients[name].value, others.gradients[name].value) for name in truths.gradients)
    for case in some(POOLED)[:40]:
        assert ChainCase.read(POOLED, case.replay).replay == case.replay
    # Neither takes what the other does.
    flat = case_of(FLAT(dims=2), DENSE(units=2), n=2, i=1, h0=2, h1=2)
    assert ChainCase.read((FLAT, DENSE), flat.replay).op.ops == flat.op.ops
    assert ChainCase.read(READ, written(values="saturated")[1]).lattice == "saturated"


@pytest.mark.parametrize(
    "changed",
    [
        {"dtype": "float16"},
        {"layout": "G"},
        {"values": "some"},
        {"wanted": "some"},
        {"seed": "7"},
        {"seed": -1},
        {"seed": 1.0},
        {"sizes": {"n": 2, "i": 3, "h0": 3}},
        {"sizes": {"n": 2, "i": 3, "h0": 1, "h1": 4}},
        {"sizes": {"n": -2, "i": 3, "h0": 3, "h1": 4}},
        {"sizes": {"n": 2, "i": 0, "h0": 3, "h1": 4}},
        {"sizes": {"n": "2", "i": 3, "h0": 3, "h1": 4}},
        {"sizes": [2, 3, 3, 4]},
        {"hyperparameters": [{"size": [2, 2], "stride": [1, 1], "dims": 2}, {"dims": 2}]},
        {"hyperparameters": [{"size": [2, 2], "stride": [1, 1], "dims": 2}, {"dims": 2}, {"units": 0}]},
        {"hyperparameters": [{"size": [2, 2], "stride": [1, 1], "dims": 2}, {"dims": 2}, {"units": 2, "unknown": 1}]},
        {"hyperparameters": [{"size": [2, 2], "stride": [1, 1], "dims": 2}, {"dims": 1}, {"units": 2}]},
        {"hyperparameters": None},
    ],
)
def test_a_text_that_is_no_case_is_refused(changed):
    _, text = written(**changed)
    with pytest.raises(cf.DataError, match="--case is not a case that a report printed"):
        ChainCase.read(READ, text)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", "null"])
def test_a_text_that_says_nothing_is_refused(text):
    with pytest.raises(cf.DataError, match="--case is not a case that a report printed"):
        ChainCase.read(READ, text)
