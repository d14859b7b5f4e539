"""Calls of the code under judgement, and the state of the process that they leave."""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
from suite_parts import (
    OPS,
    careless,
    case,
)

from cnnframe_derivations.suite._bench import Bench, Settings
from cnnframe_derivations.suite._calls import BEAT, Subject, apart, quiet
from cnnframe_derivations.suite._oracle import Oracle, Truth
from cnnframe_derivations.suite._state import State, undisturbed, written
from cnnframe_derivations.suite._verdict import Drawn, Refutation


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


@pytest.mark.parametrize("name", ["dense", "conv", "subsample", "batch_norm", "concatenate", "scale_shift"])
def test_gradients_come_in_the_declared_order(name):
    """Which of two wrong gradients is met first must not depend on how Python orders a set."""
    oracle = Oracle(Bench(OPS[name], Settings("smoke")).box[0])
    subject = Subject("kind", oracle)
    order = list(oracle.case.op.declaration.differentiable)
    assert list(subject.backward(oracle.cotangents, subject.forward(oracle.arrays)[1])) == order
    assert list(subject.curvature(oracle.arrays, {n: np.ones_like(v) for n, v in oracle.cotangents.items()})) == order


@pytest.mark.parametrize("name", ["x", "W", "b"])
def test_a_curvature_of_another_shape_is_refused(name, monkeypatch):
    oracle = Oracle(Bench(OPS["dense"], Settings("smoke")).box[0])
    monkeypatch.setattr(
        "cnnframe_derivations.suite._calls.propagate",
        lambda op, arrays, above, wanted: {n: np.zeros((7,) if n == name else np.shape(arrays[n])) for n in wanted},
    )
    with pytest.raises(Refutation, match=f"curvature of '{name}'"):
        Subject("kind", oracle).curvature(oracle.arrays, {n: np.ones_like(v) for n, v in oracle.cotangents.items()})


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


def test_quiet_does_not_show_warnings_in_another_way(monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *given, **more: shown.append(given))
    with quiet():
        warnings.warn("not shown", stacklevel=1)
    assert not shown


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


def test_a_thread_that_someone_else_began_may_end():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, daemon=True)
    thread.start()
    before = State()
    done.set()
    thread.join()
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


def test_watching_descriptors_leaves_none_open():
    def lowest_free():
        number = os.dup(0)
        os.close(number)
        return number

    before = lowest_free()
    with written(1), written(2):
        pass
    assert lowest_free() == before


def fails():
    random.seed(3)
    raise KeyError


def test_random_states_are_put_back():
    with undisturbed():
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 # it is this state that is looked at
        with undisturbed():
            random.seed(3)
            np.random.seed(3)  # noqa: NPY002 # as above
            assert (random.getstate(), np.random.get_state()[1].tolist()) != before  # noqa: NPY002 # as above
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002 # as above
        with pytest.raises(KeyError), undisturbed():
            fails()
        assert random.getstate() == before[0]
