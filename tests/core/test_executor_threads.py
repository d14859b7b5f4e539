"""Executors that several threads ask, that are copied, and that live on in a forked child."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np
import pytest

import cnnframe as cf
from cnnframe._threads import _blas, at_once, products_on

OPS = cf.load()
make = OPS.make
GRAPH = cf.Graph.chain(make("dense", units=3), inputs="n 2", loss=make("squared_error"))


def question(graph, batch):
    rng = np.random.default_rng(batch)
    return cf.Parameters.initialise(graph, dtype=np.float64), {n: rng.normal(size=s) for n, s in graph.shapes(batch).items() if n in graph.inputs}


@dataclass(frozen=True)
class Calls(OPS["identity"]):
    """Calls somebody on the way."""

    name = "calls"

    def forward(self, x):
        HOOKS.pop()() if HOOKS else None
        return super().forward(x)


HOOKS = []


def test_threads_are_answered_one_after_the_other():
    graph = cf.Graph.chain(Calls(), make("dense", units=3), inputs="n 2")
    params, arrays = question(graph, 4)
    run = cf.Executor(graph, kernels=())
    wanted, others = run.predict(params, **arrays), []

    def another():
        thread = Thread(target=lambda: others.append(run.predict(params, x=-arrays["x"])))
        thread.start()
        # It waits for this call to end; if it did not, it would be through by then, and have written where this call reads.
        thread.join(0.3)
        threads.append(thread)

    threads: list[Thread] = []
    HOOKS.append(another)
    assert np.array_equal(run.predict(params, **arrays), wanted)
    threads[0].join()
    bias = params["dense1.b"]
    assert np.allclose(others[0] - bias, bias - wanted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own():
    program = """
import os, warnings
import numpy as np
import cnnframe as cf
import cnnframe._division as division
division.PAYS = 1
warnings.simplefilter("ignore", DeprecationWarning)
make = cf.load().make
graph = cf.Graph.chain(make("dense", units=3), inputs="n 2", loss=make("squared_error"))
params, x, t = cf.Parameters.initialise(graph, dtype=np.float64), np.ones((40, 2)), np.ones((40, 3))
run = cf.Executor(graph, threads=2, kernels=())
want = run.gradients(params, x=x, t=t).parameters.vector
assert run._pool is not None
child = os.fork()
found = run.gradients(params, x=x, t=t).parameters.vector
same = np.array_equal(found, want)
if child == 0:
    os._exit(0 if same else 3)
assert same and os.waitpid(child, 0)[1] == 0
"""
    # A child that waits for threads which it does not have would wait for ever.
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])  # noqa: S301 # its own
def test_copies_have_memory_and_threads_of_their_own(way, monkeypatch):
    monkeypatch.setattr("cnnframe._division.PAYS", 1)
    params, arrays = question(GRAPH, 40)
    run = cf.Executor(GRAPH, kernels=(), threads=2, check_finite=False)
    found = run.gradients(params, **arrays)
    other = way(run)
    assert (other.threads, other.kernels, other.check_finite, other.wait) == (2, (), False, False) and not other._works
    again = other.gradients(params, **arrays)
    assert again.loss == found.loss and np.array_equal(again.parameters.vector, found.parameters.vector)


def test_an_answer_without_gradients_forgets_its_inputs(monkeypatch):
    monkeypatch.setattr("cnnframe._placing.LARGE", 0)
    params, arrays = question(GRAPH, 5)
    run = cf.Executor(GRAPH, kernels=())
    for ask in (run.predict, run.loss):
        x = arrays["x"].copy()
        ask(params, x=x, **({"t": arrays["t"]} if ask == run.loss else {}))
        there = weakref.ref(x)
        del x
        assert there() is None


def test_an_answer_that_fails_forgets_its_inputs(monkeypatch):
    monkeypatch.setattr("cnnframe._placing.LARGE", 0)
    graph = cf.Graph.chain(Calls(), inputs="n 2")
    params = cf.Parameters.initialise(graph, dtype=np.float64)
    run = cf.Executor(graph, kernels=())
    x = np.ones((2, 2))
    run.predict(params, x=x)

    def fails():
        raise KeyboardInterrupt

    HOOKS.append(fails)
    with pytest.raises(KeyboardInterrupt):
        run.predict(params, x=x)
    there = weakref.ref(x)
    del x
    assert there() is None


class Asked:
    """Calls that are counted; the second waits until it is let go."""

    def __init__(self, first=lambda: None):
        self.counts = Counter()
        self.begun, self.go = Event(), Event()
        self.first = first

    def calls(self):
        return [self._zero, self._one, self._two]

    def _zero(self):
        self.counts[0] += 1
        self.begun.wait()
        self.first()
        return 0

    def _one(self):
        self.counts[1] += 1
        self.begun.set()
        self.go.wait()
        return 1

    def _two(self):
        self.counts[2] += 1
        self.go.set()
        return 2


def test_a_call_is_made_once_where_a_thread_is_refused_when_it_has_been_queued(monkeypatch):
    pool, started = ThreadPoolExecutor(2), []
    start = Thread.start

    def refused(thread):
        started.append(thread)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(Thread, "start", refused)
    asked = Asked()
    assert at_once(lambda: pool, asked.calls()) == [0, 1, 2] and len(started) == 2
    monkeypatch.undo()
    # The thread that there is comes to what was queued.
    pool.submit(lambda: None).result()
    pool.shutdown()
    assert asked.counts == {0: 1, 1: 1, 2: 1}


def test_when_a_call_fails_nobody_works_on():
    pool = ThreadPoolExecutor(1)

    def interrupted():
        asked.go.set()
        raise KeyboardInterrupt

    asked = Asked(interrupted)
    with pytest.raises(KeyboardInterrupt):
        at_once(lambda: pool, asked.calls())
    # What had been begun was waited for, and what nobody had begun is left.
    counts = Counter(asked.counts)
    pool.shutdown()
    assert asked.counts == counts and counts[1] == 1


@pytest.mark.parametrize("which", [1, 2])
def test_an_error_of_another_thread_is_raised_here(which):
    calls = [lambda: 0, lambda: 1, lambda: 2]
    calls[which] = lambda: 1 // 0
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        at_once(lambda: pool, calls)


@pytest.mark.skipif(not _blas(), reason="no library of matrix products whose threads can be set")
def test_whichever_thread_holds_products_back_the_next_one_can():
    library = _blas()[0]
    before = library.num_threads

    def held():
        with products_on(1):
            found.append(library.num_threads)

    found: list[int] = []
    for _ in range(2):
        held()
        other = Thread(target=held)
        other.start()
        other.join()
    assert found == [1] * 4 and library.num_threads == before


@pytest.mark.skipif(not _blas(), reason="no library of matrix products whose threads can be set")
def test_products_are_let_go_when_nobody_holds_them_back():
    library, inside, leave = _blas()[0], Event(), Event()
    before = library.num_threads

    def other():
        with products_on(1):
            inside.set()
            leave.wait()

    thread = Thread(target=other)
    with products_on(1):
        thread.start()
        inside.wait()
    # The first one has ended before the other.
    assert library.num_threads == 1
    leave.set()
    thread.join()
    assert library.num_threads == before
    with products_on(before), products_on(1):
        assert library.num_threads == 1
    assert library.num_threads == before
