"""Training: the step, the seed, rates, what is refused, what is written."""

from __future__ import annotations

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


def test_weight_decay_by_layer_and_array():
    params = cf.Parameters.initialise(net(), seed=2, dtype=np.float64, initial={"bias": cf.Constant(1.0)})
    none = params.with_vector(np.zeros(params.vector.size))
    sgd = make("sgd", weight_decay={"dense1": 0.1, "dense2": 0.5, "dense2.W": 0.2, "dense1.b": 0.3})
    now, _ = sgd.step(params, none, sgd.init(params), 0.5)
    for name, kept in (("dense1.W", 0.95), ("dense2.W", 0.9), ("dense1.b", 0.85), ("dense2.b", 1.0)):
        np.testing.assert_allclose(now[name], kept * params[name])
    same = make("sgd", weight_decay={"dense1": 0.1, "dense2": 0.1}).step(params, none, sgd.init(params), 0.5)[0]
    assert same == make("sgd", weight_decay=0.1).step(params, none, sgd.init(params), 0.5)[0]
    assert make("sgd", weight_decay={"dense1": 1}).weight_decay == (("dense1", 1.0),)
    with pytest.raises(cf.UnknownNameError, match="weight_decay: no layer with parameters and no array is called 'dense3'"):
        trainer_of(make("sgd", weight_decay={"dense3": 0.1})).start()
    for bad in ({"dense1": -1}, {"dense1": "a"}, {1: 0.1}, "much", ((1, 2, 3),)):
        with pytest.raises(cf.HyperparameterError, match="weight_decay must be"):
            make("sgd", weight_decay=bad)


def trainer_of(optimizer):
    return cf.Trainer(net(), optimizer, 0.1)


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


def test_a_taken_run_folder_is_refused(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_text("{}")
    with pytest.raises(cf.RunError, match="holds another run already; choose a new name"):
        cf.RunFolder.create("net", tmp_path)
    with pytest.raises(cf.RunError, match="cannot be made"):
        cf.RunFolder.create("net", tmp_path / "checkpoint.safetensors")


def test_rates_by_table_and_by_steps():
    table = cf.training.StepTable([(2, 5e-4), (3, {"dense1": 2e-4, "dense2": 1e-4}), (1, 1e-5)])
    assert [table(epoch) for epoch in (0, 1, 2, 4, 5, 9)] == [5e-4, 5e-4, *[{"dense1": 2e-4, "dense2": 1e-4}] * 2, 1e-5, 1e-5]
    assert [cf.Decay(1.0, 0.5, every=2)(epoch) for epoch in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    for bad, message in (
        ([], "must be pairs"),
        ([(1, 2, 3)], "must be pairs"),
        ([(0, 0.1)], "at least 1; got 0"),
        ([(1, -0.1)], "at least 0"),
        ("ab", "pairs"),
    ):
        with pytest.raises(cf.HyperparameterError, match=message):
            cf.training.StepTable(bad)
    with pytest.raises(cf.UnknownNameError, match=r"nothing is given for 'dense2.W'"):
        trainer(rate=cf.training.StepTable([(1, {"dense1": 0.1})]))


def test_the_sum_of_a_batch_is_its_mean_times_its_size():
    penalised = cf.Graph.chain(make("dense", units=3), inputs="n 4", loss=make("squared_error"), penalties=[cf.Penalty(make("l2", strength=0.5))])
    for graph, batch in ((net(), 5), (net(), 1)):
        mean = trainer(graph, rate=0.05, batch_size=batch).fit(DATA, epochs=2)
        total = trainer(graph, rate=0.05 / batch, batch_size=batch, reduction="sum").fit(DATA, epochs=2)
        np.testing.assert_allclose(mean.parameters.vector, total.parameters.vector, rtol=1e-4, atol=1e-6)
        assert total.epochs[-1].train_loss == pytest.approx(mean.epochs[-1].train_loss, rel=1e-5)
    losses = [trainer(penalised, rate=0.0, batch_size=4, reduction=each).fit(DATA, DATA, epochs=1).epochs[0] for each in ("mean", "sum")]
    assert losses[0].train_loss == pytest.approx(losses[1].train_loss) == pytest.approx(losses[0].test_loss, rel=1e-5)


def test_a_fixed_order_is_that_of_the_examples():
    by_hand = trainer().start()
    for batch in (slice(0, 4), slice(4, 8), slice(8, 10)):
        by_hand = (
            trainer(batch_size=4, order="fixed")
            .fit({"x": X[batch], "t": T[batch]}, epochs=1, start=cf.training.State(by_hand.parameters, by_hand.optimizer, 0))
            .state
        )
    assert trainer(batch_size=4, order="fixed").fit(DATA, epochs=1).parameters == by_hand.parameters
    with pytest.raises(cf.HyperparameterError, match="order must be 'shuffled' or 'fixed'; got 'sorted'"):
        trainer(order="sorted")
    with pytest.raises(cf.HyperparameterError, match="reduction must be 'mean' or 'sum'"):
        trainer(reduction="max")


def test_images_are_changed_anew_in_each_epoch_and_by_the_seed_alone():
    seen = []

    def augment(images, rng):
        seen.append(rng.integers(1000))
        return images * 2

    before = X.copy()
    one = trainer(augment=augment, batch_size=5).fit(DATA, DATA, epochs=2)
    first, seen[:] = list(seen), []
    assert trainer(augment=augment, batch_size=5).fit(DATA, DATA, epochs=2) == one and seen == first
    assert len(set(first)) == 4 and np.array_equal(X, before)
    doubled = trainer(batch_size=5).fit({"x": X * 2, "t": T}, epochs=2)
    assert one.parameters == doubled.parameters
    with pytest.raises(cf.DataError, match=r"augment must return images of shape \(4, 4\)"):
        trainer(augment=lambda images, rng: images[:, :2]).fit(DATA, epochs=1)
    with pytest.raises(cf.GraphError, match="augment must be a function"):
        trainer(augment=3)


class Stored:
    """Examples elsewhere: they answer shape, dtype and arrays of indices, and count what was read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, indices):
        assert isinstance(indices, np.ndarray) and indices.ndim == 1
        self.most = max(self.most, len(indices))
        return self.array[indices]


def test_examples_may_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnframe.training._examples._ENTRIES", 8)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    stored = Stored(T)
    plain = trainer().fit(DATA, DATA, epochs=2)
    assert trainer().fit({"x": mapped, "t": stored}, {"x": mapped, "t": Stored(T)}, epochs=2) == plain
    assert stored.most == 4
    broken = X.copy()
    broken[7, 1] = np.inf
    with pytest.raises(cf.DataError, match="train: 'x' must be finite; example 7"):
        trainer().fit({"x": Stored(broken), "t": T}, epochs=1)
    job = trainer(net(loss="softmax_cross_entropy", targets="index"))
    with pytest.raises(cf.DataError, match=r"train: input 't' must hold indices from 0 to 2; got 3 at \(9,\)"):
        job.fit({"x": X, "t": Stored(np.array([0] * 9 + [3]))}, epochs=1)

    class Short(Stored):
        def __getitem__(self, indices):
            return self.array[indices][:1]

    with pytest.raises(cf.DataError, match=r"2 indices must give float32 of shape \(2, 4\); got float32 of shape \(1, 4\)"):
        trainer().fit({"x": Short(X), "t": T}, epochs=1)


def test_a_step_reads_no_more_than_its_batch(tmp_path):
    import tracemalloc

    images = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (40_000, 64))
    graph = cf.Graph.chain(make("dense", units=2), inputs="n 64", loss=make("squared_error"))
    data = {"x": images, "t": np.zeros((40_000, 2), np.float32)}
    job = trainer(graph, batch_size=500)
    job.fit({name: array[:500] for name, array in data.items()}, epochs=1)
    tracemalloc.start()
    job.fit(data, data, epochs=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes / 2, peak  # 10 MB; the indices and pieces of a million entries are the most of it


def test_gradient_norms_are_those_of_the_steps():
    history = trainer(batch_size=10).fit(DATA, epochs=1)
    start = trainer().start().parameters
    found = cf.Executor(net()).gradients(start, reduction="mean", **DATA).parameters
    wanted = {layer: np.hypot(*(np.linalg.norm(found[f"{layer}.{name}"]) for name in "Wb")) for layer in ("dense1", "dense2")}
    assert history.epochs[0].gradient_norms == pytest.approx(wanted, rel=1e-5) and history.epochs[0].rate == 0.05


class Curious(cf.Optimizer):
    """It asks for the curvature, and keeps what it is told."""

    name = "curious"

    def init(self, parameters):
        return None

    def prepare(self, parameters, state, curvature):
        return curvature(7)

    def step(self, parameters, gradients, state, rate):
        return parameters.with_vector(parameters.vector - np.float32(rate) * gradients.vector / (1 + state.vector)), state


def test_an_optimizer_may_ask_for_the_curvature(monkeypatch):
    from dataclasses import dataclass

    asked = []

    def curvature(self, params, *, reduction, **inputs):
        assert reduction == "mean"
        asked.append(inputs["x"])
        return params.with_vector(np.ones(params.vector.size, np.float32))

    monkeypatch.setattr(cf.Executor, "curvature", curvature)
    job = cf.Trainer(net(), dataclass(frozen=True)(Curious)(), 0.05, batch_size=4)
    history = job.fit(DATA, epochs=2)
    assert [len(x) for x in asked] == [7, 7] and not np.array_equal(asked[0], asked[1])
    assert set(history.state.optimizer.vector) == {1.0}
    halves = job.fit(DATA, epochs=1)
    assert job.fit(DATA, epochs=1, start=halves) == history


def test_mixtures_are_watched():
    graph = cf.Graph.chain(make("combine", maps=2, size=2), make("flatten"), make("dense", units=3), inputs="n 3 4 4", loss=make("squared_error"))
    images = RNG.normal(size=(10, 3, 4, 4)).astype(np.float32)
    history = trainer(graph).fit({"x": images, "t": T}, epochs=2)
    c = history.parameters["combine1.c"].astype(float)
    wanted = np.exp(c) / np.exp(c).sum(axis=0)
    np.testing.assert_allclose(history.epochs[-1].mixtures["combine1"], wanted, rtol=1e-5)
    assert history.epochs[0].mixtures != history.epochs[1].mixtures


def test_a_penalty_without_effect_is_told_of():
    def job(name, **more):
        layers = (make("combine", maps=2, size=2), make("flatten"), make("dense", units=3))
        graph = cf.Graph.chain(*layers, inputs="n 3 4 4", loss=make("squared_error"), penalties=[make(name, strength=0.1, **more)])
        return trainer(graph)

    with pytest.warns(UserWarning, match=r"penalty alpha_l1 on 'combine1.c' has no gradient.*which is a constant.*Choose another"):
        job("alpha_l1")
    for name in ("alpha_square", "alpha_entropy", "alpha_power"):
        job(name)
