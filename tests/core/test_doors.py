"""What comes in at the public doors is refused in the project's own words."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe import data, networks, targets
from cnnframe.cli._app import make_app

OPS = cf.load()
make = OPS.make
NAN = float("nan")
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
T = targets.one_hot(np.arange(6) % 3, 3, -1, 1)
DATA = {"x": X, "t": T}
BAD = np.where(np.arange(24).reshape(6, 4) == 6, np.float32(NAN), X)
RAGGED = [[1], [1, 2]]
GRAPH = cf.Graph.chain(make("dense", units=3), inputs="n 4", loss=make("squared_error"))
PARAMS = cf.Parameters.initialise(GRAPH)
RUN = cf.Executor(GRAPH)
L2 = make("l2", strength=0.1)
RELU = make("relu")


def trainer(**more):
    return cf.Trainer(**{"graph": GRAPH, "optimizer": make("sgd"), "rate": 0.1, "batch_size": 2, **more})


def chain(inputs="n 4", **more):
    return cf.Graph.chain(make("dense", units=3), inputs=inputs, **more)


NODES = (cf.Node("a", RELU, {"x": "x"}),)


def graph(nodes=NODES, inputs=None, output=""):
    return cf.Graph(nodes, {"x": "n 4"} if inputs is None else inputs, output)


DOORS = [
    (lambda: cf.Penalty(L2, "dense1.W"), cf.GraphError, "must be a tuple of names .* got 'dense1.W'"),
    (lambda: chain(penalties=[cf.Penalty(L2, ("dens.W",))]), cf.UnknownNameError, "did you mean 'dense1.W'"),
    (lambda: chain(penalties=[3]), cf.GraphError, "penalties must be made of penalties and regularizers; got 3"),
    (lambda: chain(penalties="l2"), cf.GraphError, "penalties must be a list"),
    (lambda: RUN.predict(PARAMS, x=BAD), cf.NonFiniteError, r"input 'x' holds nan at \(1, 2\)"),
    (lambda: RUN.loss(PARAMS, x=X, t=T * NAN), cf.NonFiniteError, "input 't' holds nan"),
    (lambda: RUN.predict(PARAMS, x=RAGGED), cf.DataError, "input 'x' must be an array; got rows of different lengths"),
    (lambda: RUN.predict(None, x=X), cf.ShapeError, "must be Parameters, .* got None"),
    (lambda: RUN.predict({}, x=X), cf.ShapeError, "must be Parameters, .* got {}"),
    (lambda: RUN.penalty(None), cf.ShapeError, "must be Parameters"),
    (lambda: RUN.forward(PARAMS, 3, x=X), cf.UnknownNameError, "outputs must be names; got 3"),
    (lambda: cf.Executor(None), cf.GraphError, "must be a Graph; got None"),
    *[
        (lambda call=call, given=given: call(given), cf.DataError, message)
        for call in (lambda d: trainer().predict(PARAMS, d), lambda d: trainer().evaluate(PARAMS, d), lambda d: trainer().fit(d, epochs=1))
        for given, message in (
            ({}, "got an empty one"),
            (None, "got NoneType"),
            ((X, T), "got tuple"),
            ({"x": X[:0], "t": T[:0]}, "at least one; got x 0"),
            ({"x": RAGGED, "t": T}, "'x' must be an array"),
            ({"x": BAD, "t": T}, "'x' must be finite; example 1"),
        )
    ],
    (lambda: trainer().predict(PARAMS, {3: X}), cf.UnknownNameError, "no input 3"),
    (lambda: trainer().fit(DATA, epochs=1, start=PARAMS), cf.DataError, "start must be a history or its state"),
    (lambda: trainer(rate={"dense1": NAN}), cf.HyperparameterError, "rate of 'dense1.W' must be finite"),
    (lambda: trainer(rate={3: 1}), cf.UnknownNameError, "is called 3"),
    (lambda: cf.Decay("a", 0.5), cf.HyperparameterError, "rate must be finite and at least 0; got 'a'"),
    (lambda: cf.Decay({"a": -1}, 0.5), cf.HyperparameterError, "got -1"),
    (lambda: cf.Decay(0.1, "a"), cf.HyperparameterError, "factor must be a number"),
    (lambda: PARAMS.spread(NAN), cf.HyperparameterError, "rate of the network must be finite"),
    (lambda: PARAMS.spread({"dense1": "a"}), cf.HyperparameterError, "got 'a'"),
    (lambda: PARAMS.replace(3), cf.UnknownNameError, "must be a mapping"),
    (lambda: trainer(dtype="int32"), cf.DTypeError, "dtype must be float32 or float64; got int32"),
    (lambda: trainer(dtype="foo"), cf.DTypeError, "got foo"),
    (lambda: trainer(dtype=None), cf.DTypeError, "got None"),
    (lambda: trainer(initial={"foo": cf.Constant(1.0)}), cf.UnknownNameError, "'foo' is no parameter array"),
    (lambda: trainer(initial={"weight": 1.0}), cf.HyperparameterError, "needs an initialiser"),
    (lambda: trainer(seed=1.5), cf.HyperparameterError, "seed must be an integer of at least 0"),
    (lambda: cf.Parameters.initialise(GRAPH, seed=-1), cf.HyperparameterError, "seed must be an integer"),
    (lambda: data.split(*data.digits(), seed=0.5), cf.HyperparameterError, "seed must be an integer"),
    (lambda: data.split(*data.digits(), test="a"), cf.DataError, "got 'a'"),
    (lambda: data.digits16(dtype="foo"), cf.DTypeError, "got foo"),
    (lambda: targets.one_hot([1], 3, "a"), cf.DataError, "low must be a number"),
    (lambda: networks.network(None), cf.UnknownNameError, "no network is called None"),
    (lambda: networks.bouvrie(OPS, maps=3), cf.HyperparameterError, "maps must be two integers"),
    (lambda: networks.code([1], "foo"), cf.HyperparameterError, "got 'foo'"),
    (lambda: graph(None), cf.GraphError, "nodes must be a tuple of nodes"),
    (lambda: graph((3,)), cf.GraphError, "nodes must be made of Node"),
    (lambda: graph(inputs="n 4"), cf.GraphError, "inputs must be a mapping"),
    (lambda: graph(output=3), cf.GraphError, "output must be the name"),
    (lambda: graph(inputs={"x": "n 4", "z": "n"}), cf.GraphError, "no node reads the graph input 'z'"),
    (lambda: cf.Node("a", RELU, "x"), cf.GraphError, "node 'a': inputs must be a mapping"),
    (lambda: chain("n 0 4"), cf.GraphError, "graph input 'x': an axis must be at least 1; got 'n 0 4'$"),
    (lambda: chain("n -1 4"), cf.GraphError, "graph input 'x': an axis must be at least 1"),
    (lambda: chain("n n 4"), cf.GraphError, "graph input 'x': one axis is the batch"),
    (lambda: GRAPH[0], cf.UnknownNameError, "no node 0; known: dense1, loss"),
    (lambda: GRAPH.for_evaluation({"foo": RELU}), cf.UnknownNameError, "no node 'foo'"),
    (lambda: GRAPH.for_evaluation({"dense1": RELU}), cf.GraphError, "must have the parameters of dense"),
]


@pytest.mark.parametrize(("call", "error", "message"), DOORS)
def test_refuses_in_its_own_words(call, error, message):
    with pytest.raises(cf.CnnframeError, match=message) as found:
        call()
    assert type(found.value) is error


def test_a_regularizer_is_a_penalty():
    assert chain(penalties=[L2]) == chain(penalties=L2) == chain(penalties=[cf.Penalty(L2)])


def test_a_history_is_a_start():
    first = trainer().fit(DATA, epochs=1)
    on, alone = trainer().fit(DATA, epochs=1, start=first), trainer().fit(DATA, epochs=1, start=first.state)
    assert on.epochs == (*first.epochs, *alone.epochs) and on.parameters == alone.parameters


def test_copies():
    for value in (GRAPH, GRAPH["dense1"], PARAMS):
        assert pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value)  # noqa: S301 # our own
    assert not pickle.loads(pickle.dumps(PARAMS)).vector.flags.writeable  # noqa: S301 # our own
    assert PARAMS.get("nothing", 1) == 1 and PARAMS.get("dense1.b") is PARAMS["dense1.b"]


def test_batch_normalisation_wants_statistics_for_evaluation():
    net = cf.Graph.chain(make("dense", units=3), make("batch_norm", dims=0), make("dense", units=3), inputs="n 4", loss=make("squared_error"))
    job = trainer(graph=net, batch_size=3)
    wanted = "batch_norm1 keeps statistics of the batch; for evaluation give a replacement, such as {'batch_norm1': batch_norm_given(dims=0)}"
    with pytest.raises(cf.GraphError, match=re.escape(wanted)):
        job.fit(DATA, DATA, epochs=1, on_step=lambda *_: pytest.fail("a step was made"))
    with pytest.raises(cf.GraphError, match=re.escape(wanted)):
        net.for_evaluation()
    params = job.fit(DATA, epochs=2).parameters
    run, mean, variance = cf.Executor(net), np.zeros(3, np.float32), np.zeros(3, np.float32)
    for part in (slice(0, 3), slice(3, 6)):
        found = run.forward(params, ["batch_norm1.mean", "batch_norm1.variance"], x=X[part])
        mean, variance = mean + found["batch_norm1.mean"] / 2, variance + found["batch_norm1.variance"] / 2
    given = {"batch_norm1.mean": mean, "batch_norm1.precision": 1 / np.sqrt(variance + np.float32(1e-5))}
    replacements = {"batch_norm1": make("batch_norm_given", dims=0)}
    used = cf.Executor(net.for_evaluation(replacements))
    one, three = (used.predict(params, x=X[:count], **given) for count in (1, 3))
    np.testing.assert_allclose(one[0], three[0], rtol=1e-6)
    evaluator = trainer(graph=net, replacements=replacements)
    np.testing.assert_array_equal(evaluator.predict(params, {"x": X[:3], **given}), three)
    assert evaluator.evaluate(params, {**DATA, **given}).count == 6
    assert len(evaluator.fit(DATA, {**DATA, **given}, epochs=1).epochs) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--batch-size", "0"], "batch_size must be an integer of at least 1; got 0"), (["--rate", "inf"], "got inf"), (["--rate", "nan"], "got nan")],
)
def test_the_command_line_makes_no_folder_for_what_it_refuses(tmp_path, arguments, message):
    found = CliRunner().invoke(make_app(), ["train", "bouvrie", *arguments, "--run-folder", str(tmp_path / "run")])
    assert found.exit_code == 2 and message in found.stderr and found.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_interrupt_says_where_the_run_is(tmp_path, monkeypatch):
    def stop(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cnnframe.training._trainer.Trainer._evaluated", stop)
    folder = tmp_path / "run"
    found = CliRunner().invoke(make_app(), ["train", "bouvrie", "--epochs", "1", "--batch-size", "256", "--run-folder", str(folder)])
    assert found.exit_code == 130 and f"stopped in epoch 1, after step 6; saved in {folder}" in found.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_takes_one_line():
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [sys.executable, "-c", "from cnnframe.cli import main; main()", "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert found.returncode == 2 and found.stderr.startswith("error: ") and found.stderr.count("\n") == 1
