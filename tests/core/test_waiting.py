"""Kernels that have to be prepared: who serves until then, when it changes, and what is said."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Kernel
from cnnframe._preparing import Preparation, tell

OPS = cf.load()
make = OPS.make
PLAIN = tuple(kernel for kernel in OPS.kernels if not kernel.compiles)
GRAPH = cf.Graph.chain(make("dense", units=4), make("relu"), make("dense", units=3), inputs="n 5", loss=make("squared_error"))


def slow(failure=""):
    """A kernel that doubles, which tells it from others, and is prepared when its event is set."""

    class Slow(Kernel):
        name = "slow"
        rank = 99
        compiles = True
        go = threading.Event()
        through = set()
        asked = []

        @classmethod
        def matches(cls, ops):
            return int(ops[0].name == "relu")

        def ready(self):
            return self.chain.given[0]["x"] in self.through

        def prepare(self):
            self.asked.append(self.chain.given[0]["x"])
            assert self.go.wait(20)
            if failure == "raises":
                raise ArithmeticError("no luck")
            if not failure:
                self.through.add(self.chain.given[0]["x"])
            return failure

        def bind(self, arrays):
            x, y = arrays.given[0]["x"], arrays.outputs["y"]
            return (lambda: np.multiply(np.maximum(x, 0), 2, out=y)), lambda: arrays.gradients[0]["x"].fill(0)

    return Slow


def question(batch=3):
    rng = np.random.default_rng(batch)
    return cf.Parameters.initialise(GRAPH, dtype=np.float64), {"x": rng.normal(size=(batch, 5)), "t": rng.normal(size=(batch, 3))}


def test_others_serve_until_a_kernel_is_ready_and_then_it_does():
    kernel = slow()
    params, arrays = question()
    run, others = cf.Executor(GRAPH, kernels=(*PLAIN, kernel)), cf.Executor(GRAPH, kernels=PLAIN)
    want = others.predict(params, x=arrays["x"])
    for _ in range(3):
        assert np.array_equal(run.predict(params, x=arrays["x"]), want)
    text = run.plan(params, **arrays).describe()
    assert text.count("slow: 1 kernel is being compiled; until then others serve, whose answers differ by roundings") == 1
    first = run.gradients(params, **arrays)
    work = run.work(params, **arrays)
    assert run.work(params, **arrays) is work
    kernel.go.set()
    work.until.wait()
    assert "slow " in run.plan(params, **arrays).describe()
    assert run.work(params, **arrays).until is None
    after = run.gradients(params, **arrays)
    assert after.loss != first.loss == others.gradients(params, **arrays).loss
    assert np.array_equal(after.parameters.vector, cf.Executor(GRAPH, kernels=(*PLAIN, kernel), wait=True).gradients(params, **arrays).parameters.vector)


def test_who_waits_is_served_by_it_from_the_first_answer_on_and_hears_how_far_it_is():
    kernel = slow()
    kernel.go.set()
    params, arrays = question()
    heard = []
    run = cf.Executor(GRAPH, kernels=(*PLAIN, kernel), wait=lambda done, of: heard.append((done, of)))
    answers = [run.gradients(params, **arrays).loss for _ in range(3)]
    assert len(set(answers)) == 1 and answers[0] != cf.Executor(GRAPH, kernels=PLAIN).gradients(params, **arrays).loss
    assert heard[-1] == (1, 1) and heard == sorted(set(heard)) and len(kernel.asked) == 1


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(("failure", "reason"), [("the compiler said no", "the compiler said no"), ("raises", "ArithmeticError: no luck")])
def test_a_kernel_that_cannot_be_prepared_is_passed_over_with_its_reason_and_not_tried_again(failure, reason, wait):
    kernel = slow(failure)
    params, arrays = question()
    run = cf.Executor(GRAPH, kernels=(*PLAIN, kernel), wait=wait)
    want = cf.Executor(GRAPH, kernels=PLAIN).gradients(params, **arrays)
    if wait:
        kernel.go.set()
    first = run.gradients(params, **arrays)
    if not wait:
        until = run.work(params, **arrays).until
        kernel.go.set()
        until.wait()
    again = run.gradients(params, **arrays)
    assert first.loss == again.loss == want.loss
    assert f"slow does not serve stage 2: {reason}" in run.plan(params, **arrays).describe()
    run.gradients(params, **question(4)[1])
    assert len(kernel.asked) == 1


@pytest.mark.parametrize("wait", [True, False])
def test_where_no_thread_can_be_had_others_serve(wait, monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    params, arrays = question(40)
    monkeypatch.setattr("cnnframe._division.PAYS", 1)
    want = cf.Executor(GRAPH, kernels=PLAIN, threads=3).gradients(params, **arrays)
    monkeypatch.setattr(threading.Thread, "start", refused)
    run = cf.Executor(GRAPH, kernels=(*PLAIN, slow()), threads=3, wait=wait)
    for _ in range(2):
        found = run.gradients(params, **arrays)
        # Parts are computed one after the other, and added up as they were.
        assert found.loss == want.loss and np.array_equal(found.parameters.vector, want.parameters.vector)
    assert "no thread can be started to prepare it" in run.plan(params, **arrays).describe()


def test_a_trainer_waits_so_that_a_training_can_be_repeated(monkeypatch, capsys):
    kernel = slow()
    kernel.go.set()
    monkeypatch.setattr("cnnframe._executor.installed_kernels", lambda: (*PLAIN, kernel))
    _, arrays = question(20)
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    trainer = cf.Trainer(GRAPH, make("sgd"), rate=0.01, batch_size=8)
    first = trainer.fit(arrays, epochs=2)
    kernel.through.clear()
    half = cf.Trainer(GRAPH, make("sgd"), rate=0.01, batch_size=8).fit(arrays, epochs=1)
    resumed = cf.Trainer(GRAPH, make("sgd"), rate=0.01, batch_size=8).fit(arrays, epochs=1, start=half)
    assert np.array_equal(first.parameters.vector, resumed.parameters.vector)
    assert "cnnframe: compiling 1 kernel for this network, once; they are kept on disk\n" in capsys.readouterr().err


def test_on_a_terminal_progress_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for done in range(3):
        tell(done, 2)
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.endswith("\rcnnframe: compiled 2 of 2 kernels for this network, once; they are kept on disk\n")


def test_all_are_prepared_by_few_threads():
    kernel = slow()
    kernel.go.set()
    names = {thread.name for thread in threading.enumerate()}
    made = []
    for batch in range(1, 8):
        plan = cf.Executor(GRAPH, kernels=(kernel,)).plan
        chain = plan(question(batch)[0], **question(batch)[1]).stages[1].chain
        made.append(kernel(chain))
    preparation = Preparation(made, 3)
    preparation.wait()
    assert preparation.finished and preparation.done == 7 and not preparation.failed
    assert len(kernel.through) == 7 and len({thread.name for thread in threading.enumerate()} - names) <= 3


def test_waiting_is_true_false_or_a_function():
    with pytest.raises(cf.HyperparameterError, match="wait must be True, False or a function of two numbers; got 'yes'"):
        cf.Executor(GRAPH, wait="yes")
