"""Training: the step, the seed, rates, what is refused, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cnnframe as cf
from cnnframe.training import Evaluation

OPS = cf.load()
make = OPS.make
RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 4)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
T = cf.targets.one_hot(LABELS, 3, -1, 1)
DATA = {"x": X, "t": T}


def net(*layers, loss="squared_error", **more):
    return cf.Graph.chain(make("dense", units=5), make("scaled_tanh"), *layers, make("dense", units=3), inputs="n 4", loss=make(loss, **more))


def trainer(graph=None, momentum=0.0, **more):
    settings = {"rate": 0.05, "batch_size": 4, **more}
    return cf.Trainer(graph or net(), make("sgd", momentum=momentum), **settings)


def test_training_learns_and_is_the_same_each_time():
    first, second = (trainer(momentum=0.9).fit(DATA, DATA, epochs=8) for _ in range(2))
    assert first == second and first.parameters == second.parameters
    assert first.epochs[-1].train_loss < first.epochs[0].train_loss / 2
    assert [epoch.number for epoch in first.epochs] == list(range(1, 9))
    assert trainer(momentum=0.9, seed=1).fit(DATA, DATA, epochs=8) != first


def test_one_step_is_the_delta_rule_on_the_mean():
    fit = trainer(batch_size=10)
    start = fit.start().parameters
    run = cf.Executor(fit.graph)
    wanted = start.vector - np.float32(0.05) * run.gradients(start, **DATA).parameters.vector / 10
    np.testing.assert_allclose(fit.fit(DATA, epochs=1).parameters.vector, wanted, rtol=1e-5, atol=1e-7)


def test_momentum_and_weight_decay():
    graph = net()
    params = cf.Parameters.initialise(graph, seed=2, dtype=np.float64, initial={"bias": cf.Constant(1.0)})
    slope = params.with_vector(np.ones(params.vector.size))
    sgd = make("sgd", momentum=0.5, weight_decay=0.1)
    one, velocity = sgd.step(params, slope, sgd.init(params), 0.2)
    two, _ = sgd.step(one, slope, velocity, 0.2)
    np.testing.assert_allclose(one["dense1.W"], params["dense1.W"] - 0.2 * (1 + 0.1 * params["dense1.W"]))
    np.testing.assert_allclose(one["dense1.b"], 1 - 0.2)
    np.testing.assert_allclose(two["dense1.b"], 1 - 0.2 - 0.2 - 0.5 * 0.2)
    assert list(params["dense1.b"]) == [1.0] * 5


def test_equal_rates_give_identical_steps():
    plain = trainer(rate=0.05).fit(DATA, DATA, epochs=3)
    for rate in (
        {"dense1": 0.05, "dense2": 0.05},
        {"dense1": 0.05, "dense2.W": 0.05, "dense2.b": 0.05},
        np.full(plain.parameters.vector.size, 0.05),
        lambda epoch: 0.05,
        cf.Decay(0.05, 1.0),
        cf.Decay({"dense1": 0.05, "dense2": 0.05}, 1.0),
    ):
        assert trainer(rate=rate).fit(DATA, DATA, epochs=3).parameters == plain.parameters
    start = trainer().start().parameters
    frozen = trainer(rate={"dense1": 0.0, "dense2": 0.05}).fit(DATA, epochs=1).parameters
    assert np.array_equal(frozen["dense1.W"], start["dense1.W"]) and not np.array_equal(frozen["dense2.W"], start["dense2.W"])


def test_schedules_count_epochs_from_zero():
    asked = []
    trainer(rate=lambda epoch: asked.append(epoch) or 0.01).fit(DATA, epochs=3)
    assert asked == [0, 1, 2] and cf.Decay(0.1, 0.5)(2) == pytest.approx(0.025)


def test_going_on_is_as_if_it_had_not_stopped():
    job = trainer(net(make("dropout", rate=0.25)), momentum=0.9)
    whole = job.fit({"x": X, "t": T}, epochs=4)
    half = job.fit({"x": X, "t": T}, epochs=2)
    rest = job.fit({"x": X, "t": T}, epochs=2, start=half.state)
    assert rest.parameters == whole.parameters and half.epochs + rest.epochs == whole.epochs


def test_dropout_is_off_when_a_network_is_evaluated():
    job = trainer(net(make("dropout", rate=0.5)))
    history = job.fit(DATA, DATA, epochs=2)
    plain = trainer(net())
    named = history.parameters.replace({})
    assert job.evaluate(named, DATA) == plain.evaluate(named, DATA)
    assert trainer(net(make("dropout", rate=0.5))).fit(DATA, DATA, epochs=2) == history


def test_online_and_ragged_batches_reach_every_example():
    for size, steps in ((1, 10), (3, 4), (10, 1), (99, 1)):
        seen = []
        trainer(batch_size=size, rate=0.001).fit(DATA, epochs=1, on_step=lambda epoch, step, loss, seen=seen: seen.append((epoch, step)))
        assert seen == [(1, step) for step in range(1, steps + 1)]


def test_index_targets_and_evaluation():
    job = trainer(net(loss="softmax_cross_entropy", targets="index"))
    data = {"x": X, "t": LABELS}
    history = job.fit(data, data, epochs=2)
    found = job.evaluate(history.parameters, data)
    guessed = cf.targets.labels_of(job.predict(history.parameters, {"x": X}))
    assert found.wrong == (guessed != LABELS).sum() and found.error == found.wrong / 10 == history.epochs[-1].test_error
    assert found.loss == pytest.approx(cf.Executor(job.graph).loss(history.parameters, **data) / 10, rel=1e-5)


def test_targets_that_are_no_classes_have_no_error():
    data = {"x": X, "t": X[:, :3].copy()}
    job = trainer()
    assert job.fit(data, data, epochs=1).epochs[0].test_error is None
    assert job.fit(data, epochs=1).epochs[0].test_loss is None


def test_evaluation_in_pieces_is_the_whole(monkeypatch):
    graph = cf.Graph.chain(make("dense", units=3), inputs="n 4", loss=make("squared_error"), penalties=[cf.Penalty(make("l2", strength=0.5))])
    job = trainer(graph)
    params = job.start().parameters
    whole = job.evaluate(params, DATA)
    monkeypatch.setattr("cnnframe.training._trainer._PIECE", 3)
    pieces = job.evaluate(params, DATA)
    assert pieces.wrong == whole.wrong and pieces.loss == pytest.approx(whole.loss, rel=1e-5)
    assert whole.loss == pytest.approx(cf.Executor(graph).loss(params, reduction="mean", **DATA), rel=1e-5)
    assert isinstance(whole, Evaluation)


def test_divergence_names_epoch_and_step():
    with pytest.raises(cf.NonFiniteError, match=r"epoch 1, step \d+: .*; lower the rate"):
        trainer(rate=1e30).fit(DATA, epochs=3)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({}, cf.DataError, "train: examples are a mapping"),
        ([1], cf.DataError, "train: examples are a mapping of graph inputs to arrays.*got list"),
        ({"x": X}, cf.UnknownNameError, "needs the input 't'"),
        ({"x": X, "t": T, "z": T}, cf.UnknownNameError, "no input 'z'"),
        ({"x": X, "t": T[:9]}, cf.DataError, "train: arrays must have the same number of examples, at least one; got x 10, t 9"),
        ({"x": X[:0], "t": T[:0]}, cf.DataError, "at least one"),
        ({"x": np.where(np.arange(10)[:, None] == 7, np.nan, X).astype(np.float32), "t": T}, cf.DataError, "train: 'x' must be finite; example 7"),
        ({"x": X.astype(float), "t": T}, cf.DTypeError, "input 'x' is float64 and the parameters are float32"),
        ({"x": X[:, :2], "t": T}, cf.ShapeError, "input 'x': axis 1 must be 4; got 2"),
    ],
)
def test_refuses_data(data, error, message):
    with pytest.raises(error, match=message):
        trainer().fit(data, epochs=1)


def test_refuses_labels_out_of_range():
    job = trainer(net(loss="softmax_cross_entropy", targets="index"))
    with pytest.raises(cf.DataError, match=r"test: input 't' must hold indices from 0 to 2; got 3 at \(0,\)"):
        job.fit({"x": X, "t": LABELS}, {"x": X, "t": LABELS * 0 + 3}, epochs=1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch_size": 0}, cf.HyperparameterError, "batch_size must be an integer of at least 1; got 0"),
        ({"batch_size": 2.5}, cf.HyperparameterError, "got 2.5"),
        ({"seed": -1}, cf.HyperparameterError, "seed must be an integer of at least 0"),
        ({"rate": -1.0}, cf.HyperparameterError, "rate must be finite and at least 0 in epoch 1; got -1.0"),
        ({"rate": float("nan")}, cf.HyperparameterError, "rate must be finite"),
        ({"rate": "fast"}, cf.HyperparameterError, "rate must be finite"),
        ({"rate": np.ones(3)}, cf.ShapeError, r"one entry for each of 43 weights; got shape \(3,\)"),
        ({"rate": {"dense1": 1}}, cf.UnknownNameError, "nothing is given for 'dense2.W'"),
        ({"graph": cf.Graph.chain(make("relu"), inputs="n 4")}, cf.GraphError, "has no loss node"),
    ],
)
def test_refuses_settings(change, error, message):
    with pytest.raises(error, match=message):
        trainer(**change).fit(DATA, epochs=1)


def test_refuses_what_is_no_optimizer_and_no_epochs():
    with pytest.raises(cf.HyperparameterError, match="must be an Optimizer"):
        cf.Trainer(net(), "sgd", 0.1)
    with pytest.raises(cf.HyperparameterError, match="epochs must be an integer of at least 1; got 0"):
        trainer().fit(DATA, epochs=0)
    with pytest.raises(cf.HyperparameterError, match="factor must be"):
        cf.Decay(0.1, 1.5)
    with pytest.raises(cf.HyperparameterError, match="momentum"):
        make("sgd", momentum=1.0)


def test_run_folders_are_numbered(tmp_path):
    made = [cf.RunFolder.create("net", base=tmp_path / "runs").path.name for _ in range(3)]
    assert made == ["net-1", "net-2", "net-3"]


def test_a_run_is_written_whole(tmp_path, monkeypatch):
    job = trainer()
    folder = cf.RunFolder.create("net", tmp_path / "a" / "b")
    folder.write_network(job.graph, {"rate": 0.05}, {"cnnframe": "1"})
    history = job.fit(DATA, DATA, epochs=2, on_epoch=folder.write_history)
    stored = json.loads((folder.path / "network.json").read_text())
    assert cf.Graph.from_dict(stored["graph"], OPS) == job.graph and stored["recipe"] == {"rate": 0.05} and stored["versions"]["cnnframe"] == "1"
    written = (folder.path / "history.json").read_text()
    assert json.loads(written) == history.to_dict() and len(json.loads(written)["epochs"]) == 2

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(cf.RunError, match=r"history.json cannot be written: disk full"):
        folder.write_history(history)
    assert (folder.path / "history.json").read_text() == written
    assert sorted(path.name for path in folder.path.iterdir()) == ["history.json", "network.json"]


def test_a_taken_run_folder_is_refused(tmp_path):
    (tmp_path / "history.json").write_text("{}")
    with pytest.raises(cf.RunError, match="holds another run already; choose a new name"):
        cf.RunFolder.create("net", tmp_path)
    with pytest.raises(cf.RunError, match="cannot be made"):
        cf.RunFolder.create("net", tmp_path / "history.json")
    with pytest.raises(cf.RunError, match="cannot be written"):
        cf.RunFolder(tmp_path / "missing").write_network(net(), {})


def test_what_json_cannot_hold_is_not_written(tmp_path):
    folder = cf.RunFolder.create("net", tmp_path / "run")
    with pytest.raises(cf.RunError, match="cannot be written"):
        folder.write_network(net(), {"rate": float("nan")})
    assert not list(folder.path.iterdir())
