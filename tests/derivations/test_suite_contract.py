"""Calls, the state of the process, refusals, and the promises that need no oracle."""

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
from dataclasses import dataclass

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
    refutation_of,
    second_gradient,
    second_output,
)

from cnnframe import Layer
from cnnframe._hyper import hyperparameters
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import gather
from cnnframe_derivations.suite._bench import BUDGETS
from cnnframe_derivations.suite._calls import BEAT, Subject, apart, quiet
from cnnframe_derivations.suite._oracle import Oracle, Truth
from cnnframe_derivations.suite._refusals import _bad_values, check_refusals
from cnnframe_derivations.suite._run import KINDS
from cnnframe_derivations.suite._state import State, written
from cnnframe_derivations.suite._verdict import Drawn, Evidence, Refutation


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


def test_what_is_no_number_must_be_so_both_times():
    alone = broken(
        "alone",
        Pair,
        backward=lambda self, dy, saved, wanted=frozenset({"a", "b"}): {n: dy * (1 + (n == "b")) * (1 if len(wanted) > 1 else np.nan) for n in wanted},
    )
    assert "asked for alone, another gradient of" in refutation_of(KINDS["contract"], alone, {"n": 3}).what


def test_watching_descriptors_leaves_none_open():
    def lowest_free():
        number = os.dup(0)
        os.close(number)
        return number

    before = lowest_free()
    with written(1), written(2):
        pass
    assert lowest_free() == before


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
