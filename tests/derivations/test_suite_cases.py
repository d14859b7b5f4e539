"""What is drawn, and the small box: structures, settings, and whether they were met."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pytest
from suite_parts import (
    OPS,
    Settled,
    broken,
    case,
)

import cnnframe as cf
from cnnframe import Activation, DataError, Links, at_least, between, multiple_of, one_of, positive
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import hyperparameters
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import verify
from cnnframe_derivations.suite._bench import BUDGETS, SIMPLEST, Bench, Check
from cnnframe_derivations.suite._box import Box, vary
from cnnframe_derivations.suite._cases import (
    DTYPES,
    LARGE_SHAPES,
    LAYOUTS,
    SMALL_SHAPES,
    Case,
    _links,
    _sizes,
    _value,
    fits,
    floats,
    integers_in,
    lay_out,
    least_sizes,
    letters_of,
)
from cnnframe_derivations.suite._coverage import _of_bounds, _of_windows, _rests, awkward, features, sample
from cnnframe_derivations.suite._values import EXTREMES, LATTICES, LINE
from cnnframe_derivations.suite._verdict import Evidence, Skip


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
        ('"seed": ', '"seed": -1'),
        ('"seed": ', '"seed": 0.5e'),
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
    assert sample(OPS["conv_linked"]).links == Links.all(1, 1)
    for cls in OPS.operations().values():
        assert isinstance(sample(cls), cls)
    both = dataclass(frozen=True, kw_only=True)(type("Both", (Settled,), {"__annotations__": {"many": Annotated[int, at_least(3), at_least(2)]}}))
    assert sample(both).many == 3


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


def test_settings_that_bounds_rule_out_need_not_be_met():
    hint = {"some": Annotated[int, between(3, 5)]}
    op = dataclass(frozen=True, kw_only=True)(type("Bounded", (Activation,), {"name": "bounded_above", "__annotations__": hint}))
    assert _of_bounds("some", hyperparameters(op)["some"], many_dims=True) == {"some above 3"}


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
    assert of((4, 4), size=2, stride=(1, 3)) >= {"stride below size", "stride above size", "stride not the same on all axes"}
    one_axis = of((4, 4), size=2, stride=(1, 2))
    assert "stride below size" in one_axis and "stride above size" not in one_axis
    assert "entries left over" in of((4, 5), size=2, stride=2) and "nothing left over" in of((4, 4), size=2, stride=2)
    for pair, named in (((1, 2), ["stride below size"]), ((3, 2), ["stride above size"]), ((2, 2), []), ((None, 2), []), ((2, None), [])):
        assert list(_of_windows(*pair)) == named
    conv = {p: met(OPS.make("conv", maps=1, size=1, padding=p, dims=1), {"n": 2, "g": 1, "h0": 3}) for p in (0, 2, 3)}
    assert {p: {f for f in found if "padding" in f} for p, found in conv.items()} == {
        0: set(),
        2: {"padding above 0"},
        3: {"padding above 0", "padding above 2"},
    }


def test_what_is_left_over_is_counted_wherever_a_size_is_divided():
    pool = OPS.make("max_pool", size=2, stride=3, dims=1)
    (axis,) = (axis for axis in pool.declaration.outputs["y"] if "//" in str(axis))
    assert [list(_rests(axis, {**pool.declaration.known, "n": 1, "i": 1, "h0": size})) for size in (2, 3, 4, 5)] == [[0], [1], [2], [0]]
    single = OPS.make("max_pool", size=2, stride=1, dims=1)
    assert not any(list(_rests(axis, {**single.declaration.known, "n": 1, "i": 1, "h0": 4})) for axis in single.declaration.outputs["y"])


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
    # A mean over four is exact, and one over three is not: some are enough.
    some = Bench(OPS["mean_pool"], Settings("quick"))
    assert {some.oracle(c).exact for c in some.box[:12]} == {True, False} and some.exact
    assert Settings() == ("quick", 0, "")


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


def test_a_box_with_a_few_more_than_asked_for_is_spread_too():
    found = Box(OPS["dense"]).spread(10)
    assert len(found) == 10 and {c.op.units for c in found} == {1, 2, 3}
    assert len(Box(OPS["dense"]).spread(36)) == 36 == len(Box(OPS["dense"]).spread(40))


def test_a_level_has_all_digits_of_its_sum():
    from itertools import product

    from cnnframe_derivations.suite._box import _level

    radices = (2, 3, 1, 2)
    levels = [list(_level(radices, level)) for level in range(7)]
    assert sorted(digits for level in levels for digits in level) == sorted(product(*map(range, radices)))
    assert all(sum(digits) == number for number, level in enumerate(levels) for digits in level) and [len(level) for level in levels] == [1, 3, 4, 3, 1, 0, 0]
    assert list(_level((), 0)) == [()] and list(_level((), 1)) == []


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


def test_a_map_of_one_axis_need_not_be_square():
    found = awkward(type(broken(inputs={"x": "n c h0"}, output="n c h0")))
    assert not any("square" in feature for feature in found) and "c above 4" in found
    assert "a map that is not square" in awkward(type(broken(inputs={"x": "n c h0 h1"}, output="n c h0 h1")))


@pytest.mark.parametrize(("most", "named"), [(0, set()), (1, {0}), (3, {0}), (4, {0, 2}), (9, {0, 2})])
def test_what_bounds_allow_to_be_large_must_be_met_large(most, named):
    made = type("Few", (Settled,), {"__annotations__": {"many": Annotated[int, between(0, most)]}})
    found = awkward(dataclass(frozen=True, kw_only=True)(made))
    assert {feature for feature in found if feature.startswith("many")} == {f"many above {bound}" for bound in named}


def test_the_simplest_instance_has_numbers_and_words_of_the_right_kind():
    hints = {"whole": Annotated[int, at_least(7)], "part": Annotated[float, between(5, 9)], "neither": Annotated[int, between(-4, 0)]}
    made = sample(dataclass(frozen=True, kw_only=True)(type("Kinds", (Settled,), {"__annotations__": hints})))
    assert (made.whole, made.part, made.neither) == (7, 5, -4) and isinstance(made.whole, int)


def test_the_simplest_number_is_one_that_bounds_allow():
    for bound, value in (((0, 0.4), 0.25), ((0, 0.75), 0.5), ((1, 3), 2), ((-1, 0.2), 0.0)):
        made = type("Bound", (Settled,), {"__annotations__": {"part": Annotated[float, between(*bound, include_low=False)]}})
        assert sample(dataclass(frozen=True, kw_only=True)(made)).part == value


def test_digits_name_a_structure():
    """The hyperparameters' digits, then those of the sizes in the order of their letters, from the smallest on."""
    dense = Box(OPS["dense"])
    assert dense.radices == [3, 4, 3]
    found = dense.case((2, 3, 1))
    assert (found.op.units, found.known["i"], found.known["n"]) == (3, 4, 2)
    assert (found.dtype, found.layout, found.lattice, found.seed) == ("float64", "C", "small", 0)
    pool = Box(OPS["max_pool"])
    assert pool.order[0] == "dims" and pool.radices == [3] * 7 + [4] * 4 + [3]
    found = pool.case((1, 1, 2, 0, 0, 1, 2, 1, 2, 3, 2, 0))
    assert (found.op.dims, found.op.size, found.op.stride) == (2, (2, 3), (1, 2))
    assert [found.known[letter] for letter in ("h0", "h1", "i", "n")] == [3, 5, 4, 3]
    assert pool.case((1, 1, 2, 0, 0, 1, 2, 1, 2, 3, 2, 1)) is None
    line = pool.case((0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0))
    assert (line.op.size, line.known["h0"]) == ((2,), 5) and pool.case((0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1)) is None
    shapes = [Box(OPS["relu"]).case((first, second)).known[ELLIPSIS] for first in range(3) for second in range(3)]
    assert shapes == [(1,), (3,), (2, 2), (2, 3), (), (0, 2), (5, 1), (2, 1, 3), (3, 3)]
    tied = Box(Divided).case((2, 1, 1, 0))
    assert (tied.op.few, tied.op.many, tied.known[ELLIPSIS]) == (3, 6, (2, 3))
    chosen = [Box(Chosen).case(digits).op for digits in ((1, 1, 0, 0, 0), (0, 0, 1, 0, 0))]
    assert [(op.way, op.times, op.flag) for op in chosen] == [("down", 2.0, False), ("up", None, True)]


def test_the_simplest_structures_come_first_and_values_go_round():
    found = list(Box(OPS["dense"]).simplest(5))
    assert [(c.op.units, c.known["i"], c.known["n"]) for c in found] == [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (1, 1, 3)]
    assert [c.seed for c in found] == [0, 1, 2, 3, 4]
    assert len(list(Box(OPS["dense"]).simplest(100))) == 36 == len(Box(OPS["dense"]).spread(40)) and len(Box(OPS["dense"]).spread(35)) == 35
    seventh = vary(found[0], 7)
    assert (seventh.dtype, seventh.layout, seventh.lattice, seventh.seed, seventh.op) == ("float32", "reversed", "deep", 7, found[0].op)
    fourth = vary(found[0], 4)
    assert (fourth.dtype, fourth.layout, fourth.lattice) == ("float64", "strided", "apart")


@dataclass(frozen=True)
class Spare(Activation):
    """A multiple that may be left out."""

    few: Annotated[int, at_least(1)] = 1
    many: Annotated[int | None, multiple_of("few")] = None

    name = "spare"

    def f(self, x):
        return x * 1

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


def test_what_may_be_left_out_has_one_digit_and_no_divisor():
    box = Box(Spare)
    assert box.radices == [3, 1, 3, 3]
    assert box.case((2, 0, 0, 0)).op == Spare(3)
    assert {c.op.many is None for c in Bench(Spare, Settings("quick")).drawn} == {True, False}
    assert verify(Spare, Settings("smoke")).finding is None
    assert {feature for feature in features(case(Spare(1, 3))) if "many" in feature} == {"many above -2", "many above 0"}
    assert not any("many" in feature for feature in features(case(Spare(1))))


def test_a_function_of_one_number_has_a_case_for_each_type():
    relu = Bench(OPS["relu"], Settings())
    assert [(c.dtype, c.layout, c.lattice, c.known[ELLIPSIS]) for c in relu.line] == [(dtype, "C", "line", (LINE,)) for dtype in ("float64", "float32")]
    assert len({c.seed for c in relu.line}) == 1 and 0 <= relu.line[0].seed < 2**14
    assert [c.dtype for c in Bench(OPS["relu"], Settings(dtype="float32")).line] == ["float32"]
    assert Bench(OPS["dense"], Settings()).line == ()


def test_what_is_met_too_seldom_is_drawn_again_and_then_said(monkeypatch):
    """Of a setting that no case has, the bench says so; one that few have is drawn for."""
    monkeypatch.setattr("cnnframe_derivations.suite._bench.awkward", lambda cls: {"never", "float32", "float64", "a batch of one"})
    monkeypatch.setitem(BUDGETS, "quick", {**BUDGETS["quick"], "box": 8, "drawn": 12})
    bench = Bench(OPS["dense"], Settings("quick"))
    assert bench.missing == ["never"] and Bench(OPS["dense"], Settings("smoke")).missing == []
    assert Bench(OPS["dense"], Settings("quick", dtype="float64")).missing == ["never"]
    first = bench._some_more(0)
    assert bench.drawn == tuple(first) and len(first) == BUDGETS["quick"]["drawn"]
    rounds = []
    monkeypatch.setattr(Bench, "_some_more", lambda self, number: rounds.append(number) or [first[number % len(first)]])
    monkeypatch.setattr(Bench, "_rare", lambda self, met: {"nothing has this"})
    assert Bench(OPS["dense"], Settings("quick")).drawn == (first[0],) and rounds == list(range(24))
    monkeypatch.setattr(Bench, "_rare", lambda self, met: set(features(first[1])))
    again = Bench(OPS["dense"], Settings("quick")).drawn
    assert again[:2] == (first[0], first[1]) and rounds == [*range(24), *range(24)]
    monkeypatch.setattr(Bench, "_met", lambda self, found: Counter(feature for case in found for feature in features(case)))
    monkeypatch.setattr(Bench, "_rare", lambda self, met: {"float32", "float64"} if met["float32"] + met["float64"] < 3 else set())
    assert Bench(OPS["dense"], Settings("quick")).drawn == tuple(first[:3])
    # What is enough is not added to, though another case of the round has it too.
    monkeypatch.setattr(Bench, "_some_more", lambda self, number: [first[number]] if number == 0 else first[1:])
    assert Bench(OPS["dense"], Settings("quick")).drawn == tuple(first[:3])


def test_more_cases_are_large_ones_every_other_time(monkeypatch):
    """Every second round has no small case: most of what is rare is a size."""
    monkeypatch.setitem(BUDGETS, "quick", {**BUDGETS["quick"], "drawn": 120})
    bench = Bench(OPS["dense"], Settings("quick"))
    sizes = [[max(case.known[letter] for letter in "ni") for case in bench._some_more(number)] for number in range(4)]
    assert [len(found) for found in sizes] == [BUDGETS["quick"]["drawn"] // part for part in (1, 2, 2, 2)]
    large = [sum(size > 6 for size in found) / len(found) for found in sizes]
    assert min(large[1], large[3]) > 2 * max(large[0], large[2])


def test_every_case_is_judged_and_what_was_judged_is_counted():
    bench = Bench(OPS["dense"], Settings("smoke"))
    cases = [case(OPS.make("dense", units=1), {"n": n, "i": 1}) for n in (1, 2, 9)]

    def judge(oracle, evidence):
        if oracle.case.known["n"] == 2:
            raise Skip("two")

    evidence = Evidence("kind")
    judged = bench.judge(Check(judge, lambda c: replace(c, seed=5)), cases, evidence)
    assert judged == {"float64": 2, "small values": 2, "a batch of one": 1, "a batch above four": 1, "a batch above eight": 1}
    assert evidence.cases == 3 and evidence.skipped == {"two": 1}


@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (2, 0), (2, 3, 2)])
def test_layouts_hold_the_same_values_in_memory_of_their_own(shape):
    value = np.arange(math.prod(shape), dtype=np.float64).reshape(shape) + 1
    laid = {layout: lay_out(value, layout) for layout in LAYOUTS}
    for found in laid.values():
        assert np.array_equal(found, value) and found.dtype == value.dtype and found.shape == shape
        assert not found.flags.writeable and not np.shares_memory(found, value)
    assert laid["C"].flags.c_contiguous and laid["F"].flags.f_contiguous
    if value.size:
        assert laid["strided"].strides == tuple(2 * s for s in value.strides)
        assert laid["reversed"].strides == tuple(-s for s in value.strides)


class Drawing:
    """Draws by numbers of its own."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, strategy):
        return strategy.elements[int(self.rng.integers(len(strategy.elements)))]


def test_tables_of_links_are_drawn_with_every_output_linked():
    tables = [_links(Drawing(seed)) for seed in range(60)]
    assert {table.inputs for table in tables} == {1, 2, 3} == {table.outputs for table in tables}
    for table in tables:
        assert {j for _, j in table.pairs} == set(range(table.outputs)) and {i for i, _ in table.pairs} <= set(range(table.inputs))
    shares = {len(table.pairs) / (table.inputs * table.outputs) for table in tables if table.inputs > 1}
    assert 1.0 in shares and min(shares) < 0.5 and len(shares) > 4


def test_sizes_are_drawn_from_the_smallest_on():
    for dims, room in ((1, 6), (2, 4), (3, 2)):
        pool = OPS.make("max_pool", size=2, stride=1, dims=dims)
        drawn_ = [_sizes(Drawing(seed), pool, large=seed % 2 > 0) for seed in range(120)]
        assert {known["h0"] for known in drawn_} == set(range(2, 2 + room))
        assert {known["i"] for known in drawn_[::2]} == {1, 2, 3} and {known["i"] for known in drawn_[1::2]} == {1, 2, 3, 5, 9}
        assert {known["n"] for known in drawn_[::2]} == {0, 1, 2, 3, 5, 6} and {known["n"] for known in drawn_[1::2]} == {0, 1, 2, 3, 5, 6, 9, 17}
    shapes = [[_sizes(Drawing(seed), OPS.make("relu"), large=large)[ELLIPSIS] for seed in range(60)] for large in (False, True)]
    assert set(shapes[0]) == set(SMALL_SHAPES) and set(shapes[1]) == set(LARGE_SHAPES)


def test_settings_are_drawn_within_what_was_drawn_before():
    hypers = hyperparameters(OPS["conv"])
    for dims, large, most in ((1, True, 5), (2, True, 5), (3, True, 3), (2, False, 3)):
        sizes = [_value(Drawing(seed), hypers["size"], {"dims": dims}, large=large) for seed in range(40)]
        assert {len(size) for size in sizes} == {dims} and {v for size in sizes for v in size} == set(range(1, most + 1))
    for groups, large, times in ((1, False, {1, 2, 3}), (2, False, {1, 2}), (1, True, {1, 2, 3, 8}), (2, True, {1, 2, 3, 8}), (3, True, {1, 2})):
        assert {_value(Drawing(seed), hypers["maps"], {"groups": groups}, large=large) for seed in range(40)} == {groups * factor for factor in times}
    assert {_value(Drawing(seed), hypers["groups"], {}, large=False) for seed in range(40)} == {1, 2, 3}
    assert {_value(Drawing(seed), hypers["groups"], {}, large=True) for seed in range(60)} == {1, 2, 3, 5, 9}
    assert {_value(Drawing(seed), hypers["orientation"], {}, large=False) for seed in range(20)} == set(hypers["orientation"].choices)
    times = [_value(Drawing(seed), hyperparameters(Chosen)["times"], {}, large=False) for seed in range(60)]
    assert None in times and len(set(times)) > 4


def test_a_smaller_case_is_looked_for_among_many_simple_ones():
    wide = case(OPS.make("max_pool", size=2, stride=2), {"n": 3, "i": 2, "h0": 5, "h1": 5}, "float32", "F", "wide")
    found = list(Bench(OPS["max_pool"], Settings("smoke"))._simpler(wide))
    assert len({c.structure.text for c in found}) == SIMPLEST
    kinds = Counter((c.dtype, c.layout, c.lattice) for c in found)
    assert kinds["float32", "F", "wide"] == SIMPLEST and kinds["float64", "C", "small"] > SIMPLEST / 2 and len(kinds) == 2
    assert {c.lattice for c in Bench(OPS["max_pool"], Settings("smoke"))._simpler(replace(wide, lattice="real"))} == {"real"}


@dataclass(frozen=True)
class Many(Divided):
    """A multiple that is at least four."""

    many: Annotated[int, at_least(4), multiple_of("few")]

    name = "many"


def test_multiples_are_small_factors_of_what_divides_them():
    assert Box(Many).case((0, 0, 0, 0)) is None and Box(Many).case((1, 1, 0, 0)).op == Many(4, 2)
    assert {c.op.free for c in Box(Settled).spread(60)} == {-2, -1, 0}
