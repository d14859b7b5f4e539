"""Refusals, and the promises that need no oracle."""

from __future__ import annotations

import math
import os
import random
import re
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from suite_parts import (
    OPS,
    Both,
    Careless,
    Settled,
    Total,
    broken,
    careless,
    case,
    check,
    count_up,
    first_gradient,
    refutation_of,
    second_gradient,
    second_output,
)

from cnnframe import Activation, Layer
from cnnframe._hyper import hyperparameters
from cnnframe.algebra import indices, total
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import contract, gather
from cnnframe_derivations.suite._bench import BUDGETS
from cnnframe_derivations.suite._calls import Subject
from cnnframe_derivations.suite._oracle import Oracle, Truth
from cnnframe_derivations.suite._refusals import _bad_values, check_refusals
from cnnframe_derivations.suite._run import KINDS
from cnnframe_derivations.suite._state import undisturbed
from cnnframe_derivations.suite._verdict import Evidence, Refutation


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
    assert gather("contract", Rude, Settings("glance")).doubt == doubtful.doubt

    @dataclass(frozen=True)
    class Anything(Activation):
        name = "anything"
        some: str = ""

        def __post_init__(self):
            """Hold nothing to anything."""

    unbounded = Evidence("contract")
    check_refusals(Anything, unbounded)
    assert unbounded.doubt.startswith("some=<object object") and "must be refused with a HyperparameterError" in unbounded.doubt


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


def complains_below(self, x):
    os.write(2, b"help")
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
        ({"forward": reuses_forward}, "the second output 'y' shares memory with the first answer"),
        ({"backward": lambda self, dy, saved: {"x": 2 * dy + 1}}, "a cotangent of zeros gives a gradient of 'x' that is not zero"),
        ({"backward": lambda self, dy, saved: {"x": dy * np.abs(dy)}}, "4 times the cotangent does not give 4 times the gradient of 'x'"),
        ({"backward": lambda self, dy, saved: {"x": np.clip(dy, -1e8, 1e8)}}, r"1.07374e\+09 times the cotangent"),
        ({"backward": lambda self, dy, saved: {"x": np.where(np.abs(dy) < 1e-8, 0, dy)}}, "9.31323e-10 times the cotangent"),
        ({"forward": prints_below}, "wrote b'hello' to a standard stream"),
        ({"forward": complains_below}, "wrote b'help' to a standard stream"),
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
        (lambda value: value.astype(np.float32), "'NAME' must have the element type"),
        (lambda value: value + count_up(), "gradient of 'NAME'"),
        (lambda value: value + (not value.any()), "a cotangent of zeros gives a gradient of 'NAME' that is not zero"),
        (lambda value: value * np.abs(value), "times the cotangent does not give 4 times the gradient of 'NAME'"),
        (lambda value: value + value.sum(), "alone gives other entries a gradient of 'NAME'"),
    ],
)
def test_the_contract_holds_for_every_gradient(change, said):
    for name, spoilt in (("a", first_gradient(Both, change)), ("b", second_gradient(Both, change))):
        found = refutation_of(KINDS["contract"], spoilt, {"n": 3})
        assert re.search(said.replace("NAME", name), found.what), found.what


def test_what_is_no_number_must_be_so_both_times():
    alone = broken(
        "alone",
        Pair,
        backward=lambda self, dy, saved, wanted=frozenset({"a", "b"}): {n: dy * (1 + (n == "b")) * (1 if len(wanted) > 1 else np.nan) for n in wanted},
    )
    assert "asked for alone, another gradient of" in refutation_of(KINDS["contract"], alone, {"n": 3}).what


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


def in_one_buffer(like, value, held={}):  # noqa: B006 # it is meant to last from call to call
    """An array of one value, the same memory at each call of a shape and element type."""
    buffer = held.setdefault((value, like.shape, like.dtype), np.empty_like(np.asarray(like, order="C")))
    buffer[...] = value
    return buffer


def test_answers_of_two_calls_in_one_memory_are_refused_even_if_they_are_equal():
    ones = {"formula": lambda self, at, x: x[at] * 0 + 1, "backward": lambda self, dy, saved: {"x": np.zeros_like(dy)}}
    right = broken("right", forward=lambda self, x: (np.ones_like(x), None), **ones)
    assert "same bits twice" in check(KINDS["contract"], right, {"n": 3}).compared
    lent = broken("lent", **ones | {"forward": lambda self, x: (in_one_buffer(x, 1), None)})
    assert "the second output 'y' shares memory with the first answer 'y'" in refutation_of(KINDS["contract"], lent, {"n": 3}).what
    back = broken("back", **ones | {"forward": lambda self, x: (np.ones_like(x), None), "backward": lambda self, dy, saved: {"x": in_one_buffer(dy, 0)}})
    assert "the second gradient of 'x' shares memory with the first answer 'x'" in refutation_of(KINDS["contract"], back, {"n": 3}).what


def holds_last(self, x):
    HELD["x"] = x.copy()
    return x * x, None


HELD = {}


def counts(self, dy, saved):
    saved[0] += 1
    return {"x": (2 if saved[0] < 3 else 3) * dy}


SQUARE = {"formula": lambda self, at, x: x[at] ** 2}


SAME = {"formula": lambda self, at, x: x[at]}
SAME_BACK = {**SAME, "backward": lambda self, dy, saved: {"x": 1 * dy}}


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        (
            {"forward": lambda self, x: (1 * x, None), "backward": lambda self, dy, saved: {"x": dy if np.all(dy == 1) else 1 * dy}, **SAME},
            "the gradient of 'x' shares memory with the argument or cotangent 'y'",
        ),
        ({"forward": lambda self, x: (x if x.flags.writeable else x.copy(), None), **SAME_BACK}, "the output 'y' shares memory with the argument 'x'"),
        (
            {"forward": lambda self, x: (1 * x, None), "backward": lambda self, dy, saved: {"x": dy if dy.flags.writeable else dy.copy()}, **SAME},
            "the gradient of 'x' shares memory with the argument or cotangent 'y'",
        ),
        ({"backward": lambda self, dy, saved: {"x": 2 * dy + 0.25 * (np.abs(dy) > 100)}}, "1.07374e+09 times the cotangent does not give"),
        ({"backward": lambda self, dy, saved: {"x": 2 * np.abs(dy)}}, "-0.5 times the cotangent does not give -0.5 times the gradient of 'x'"),
        (
            {"forward": lambda self, x: (y := 2 * x, y), "backward": lambda self, dy, saved: {"x": np.multiply(dy, 2, out=saved)}},
            "the gradient of 'x' shares memory with the output 'y'",
        ),
        (
            {"forward": holds_last, "backward": lambda self, dy, saved: {"x": 2 * HELD["x"] * dy}, **SQUARE},
            "a forward of other arrays in between changed the gradient of 'x'",
        ),
        ({"forward": lambda self, x: (2 * x, [0]), "backward": counts}, "a second backward gave another gradient of 'x'"),
        (
            {"forward": lambda self, x: (y := 2 * x, y), "backward": lambda self, dy, saved: {"x": 2 * dy + 0 * np.add(saved, 1, out=saved)}},
            "backward changed output 'y'",
        ),
        ({"keeps_digits": ("y", "z", "a")}, "keeps_digits names 'a', 'z'"),
        (
            {"batch_apart": True, "forward": lambda self, x: (x + x.sum(), None), "formula": lambda self, at, x: x[at] + whole_sum(x)},
            "batch_apart is declared, and the formula does not",
        ),
    ],
)
def test_promises_of_later_calls_are_looked_at_too(methods, said):
    found = refutation_of(KINDS["contract"], broken(**methods), {"n": 4}, seed=2)
    assert said in found.what, found.what


def whole_sum(x):
    (k,) = indices("k")
    return total(x[k], (k, x.shape[0]))


def test_promises_that_hold_are_no_refutation():
    both = broken(keeps_digits=("x", "y"), batch_apart=True)
    assert "batch entries apart" in check(KINDS["contract"], both, {"n": 4}).compared


def test_what_is_not_a_number_agrees_with_the_like_alone():
    oracle = Oracle(case(careless(), {"n": 2}))
    subject, nowhere = Subject("contract", oracle), Truth(np.zeros(2), np.zeros(2))
    nan, numbers = np.array([np.nan, 1.0]), np.array([2.0, 1.0])
    contract._agree(subject, {"x": nan}, {"x": nan.copy()}, {"x": nowhere}, "the gradient of")
    for got, wanted in ((numbers, nan), (nan, numbers)):
        with pytest.raises(Refutation):
            contract._agree(subject, {"x": got}, {"x": wanted}, {"x": nowhere}, "the gradient of")


def test_the_same_result_is_one_within_twice_its_bound_and_what_underflows():
    subject = Subject("contract", Oracle(case(careless(), {"n": 3})))

    def agree(off, **more):
        truth = {"x": Truth(np.zeros(3), np.array([0.25, 0.0, 1.0]))}
        contract._agree(subject, {"x": np.array([4.0, 5.0, 6.0]) + off}, {"x": np.array([4.0, 5.0, 6.0])}, truth, "gradient of", **more)

    for fine, more in (([0.5, 0, 2], {}), ([-0.5, 0, -2], {}), ([0.75, 0.25, 2.25], {"lost": 0.25}), ([9, 0, 2], {"where": np.arange(3) > 0})):
        agree(fine, **more)
    for wrong, more in (
        *(([0.5, 0, 2.01], {}), ([0.51, 0, 2], {}), ([-0.51, 0, 2], {}), ([0, 1e-12, 0], {}), ([0, 0.26, 0], {"lost": 0.25})),
        *(([0, 0, 9], {"where": np.arange(3) > 0}), ([0, 1e-12, 0], {"where": np.arange(3) > 0}), ([0, np.nan, 0], {}), ([np.inf, 0, 0], {})),
    ):
        with pytest.raises(Refutation, match="gradient of 'x'"):
            agree(wrong, **more)


def test_small_cotangents_may_underflow_where_arithmetic_is_not_exact():
    """2^-30 times the cotangent: what is lost below the smallest normal number is no mistake, and more is."""
    tiny = 2.0**-126

    def flushes(below):
        return lambda self, dy, saved: {"x": np.where(np.abs(2 * dy) < below, dy.dtype.type(0), 2 * dy)}

    for lattice, refused in (("real", False), ("small", True)):
        op = broken(backward=flushes(8 * tiny), forward=lambda self, x: (2 * x, None))
        oracle = Oracle(case(op, {"n": 3}, "float32", lattice=lattice))
        oracle.cotangents = {"y": np.full(3, 2.0**-95, np.float32)}
        kept = Subject("contract", oracle)
        first = kept.backward(oracle.cotangents, None)
        evidence = Evidence("contract")
        if refused:
            assert oracle.exact
            with pytest.raises(Refutation, match=r"9\.31323e-10 times the cotangent"):
                contract._linear(kept, oracle.cotangents, None, first, evidence)
        else:
            contract._linear(kept, oracle.cotangents, None, first, evidence)
            assert evidence.compared == {"linear in the cotangent": 1}
    large = broken(backward=flushes(64 * tiny), forward=lambda self, x: (2 * x, None))
    oracle = Oracle(case(large, {"n": 3}, "float32", lattice="real"))
    oracle.cotangents = {"y": np.full(3, 2.0**-91.5, np.float32)}
    with pytest.raises(Refutation, match=r"9\.31323e-10 times the cotangent"):
        contract._linear(Subject("contract", oracle), oracle.cotangents, None, {"x": 2 * oracle.cotangents["y"]}, Evidence("contract"))


def test_the_largest_of_the_drawn_cases_are_judged_too():
    sizes = (1, 9, 2, 7, 3, 8)
    cases = [case(careless(), {"n": n}) for n in sizes]
    judged = []
    bench = SimpleNamespace(cls=type(careless()), drawn=cases, some=lambda kind: cases[:2], judge=lambda check, found, evidence: judged.extend(found))
    contract.gather(bench, Evidence("contract"))
    assert [c.known["n"] for c in judged] == [1, 9, 9, 8]


def test_what_a_first_call_imports_may_change_settings_and_a_second_call_may_not(monkeypatch):
    """A module that is imported may draw random numbers as it is loaded, once."""
    import sys
    import types

    def forward(self, x):
        if "made_up_by_a_test" not in sys.modules:
            monkeypatch.setitem(sys.modules, "made_up_by_a_test", types.ModuleType("made_up_by_a_test"))
            os.write(1, b"loaded")
            np.random.random_sample()  # noqa: NPY002 # it is this state that is changed
        return 2 * x, None

    assert "process left alone" in check(KINDS["contract"], broken(forward=forward), {"n": 2}).compared


@pytest.mark.parametrize("seed", range(3))
def test_one_entry_of_a_batch_is_moved_and_the_others_looked_at(seed):
    """Whichever entry the seed names: what reaches a neighbour alone is seen."""
    neighbour = broken(forward=lambda self, x: (2 * x + (np.roll(x, 1) > 2**40), None))
    oracle = Oracle(case(neighbour, {"n": 3}, seed=seed))
    subject = Subject("contract", oracle)
    arrays, outputs = {"x": np.full(3, 2.0**40)}, {"y": np.full(3, 2.0**41)}
    with pytest.raises(Refutation, match=f"changing entry {seed % 3} of the batch changes other entries"):
        contract._batch_entriesapart(subject, arrays, oracle.cotangents, outputs, Evidence("contract"))
    back = broken(backward=lambda self, dy, saved: {"x": 2 * dy + (np.roll(dy, 1) != 0)})
    oracle = Oracle(case(back, {"n": 3}, seed=seed))
    arrays = {"x": np.ones(3)}
    with pytest.raises(Refutation, match=f"the cotangent of entry {seed % 3} alone gives other entries"):
        contract._batch_entriesapart(Subject("contract", oracle), arrays, {"y": np.ones(3)}, {"y": 2 * np.ones(3)}, Evidence("contract"))


def test_arguments_that_code_unlocks_first_are_looked_at_too():
    def scribble(array):
        if not array.flags.writeable:
            array.setflags(write=True)
            array += 1

    forward = broken(forward=lambda self, x: (2 * x + 0 * (scribble(x) or 0), None))
    assert "the argument 'x' was changed in place" in refutation_of(KINDS["contract"], forward, {"n": 3}).what
    backward = broken(backward=lambda self, dy, saved: {"x": 2 * dy + 0 * (scribble(dy) or 0)})
    assert "the cotangent 'y' was changed in place" in refutation_of(KINDS["contract"], backward, {"n": 3}).what


@pytest.mark.parametrize("spoilt", ["a", "b"])
def test_each_gradient_is_asked_for_alone(spoilt):
    def backward(self, dy, saved, wanted=frozenset({"a", "b"})):
        return {n: dy * (1 + (n == "b")) * (1 if len(wanted) > 1 or n != spoilt else 2) for n in wanted}

    found = refutation_of(KINDS["contract"], broken("alone", Pair, backward=backward), {"n": 3})
    assert f"asked for alone, another gradient of '{spoilt}'" in found.what


@pytest.mark.parametrize(("seed", "module"), [(np.random.seed, "NumPy"), (random.seed, "Python")])
def test_seeding_shows_even_where_the_state_is_that_of_the_seed_already(seed, module):
    def forward(self, x):
        seed(5)
        return 2 * x, None

    with undisturbed():
        seed(5)
        found = refutation_of(KINDS["contract"], broken(forward=forward), {"n": 2})
    assert f"changed {module}'s global random state" in found.what


def test_what_code_changes_in_the_process_is_put_back():
    def forward(self, x):
        os.environ["CHANGED_BY_A_TEST"] = "1"
        return 2 * x, None

    assert "changed environment variables" in refutation_of(KINDS["contract"], broken(forward=forward), {"n": 2}).what
    assert "CHANGED_BY_A_TEST" not in os.environ


def test_a_single_number_among_batches_has_no_entries_to_move():
    scaled = broken(
        "scaled",
        inputs={"x": "n", "s": ""},
        forward=lambda self, x, s: (x * s, (x, s)),
        backward=lambda self, dy, saved: {"x": dy * saved[1], "s": (dy * saved[0]).sum()},
        formula=lambda self, at, x, s: x[at] * s,
    )
    assert "batch entries apart" in check(KINDS["contract"], scaled, {"n": 3}).compared
