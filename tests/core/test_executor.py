"""The executor: gradients of whole graphs, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import cnnframe as cf

OPS = cf.load()
make = OPS.make


def n(name, op, wires, **parameters):
    return cf.Node(name, make(op) if isinstance(op, str) else op, wires, parameters)


DENSE4 = make("dense", units=4)
CONV = make("conv", maps=3, size=3, padding=1)
LOSS = make("squared_error")
TANH = make("scaled_tanh")


def graphs():
    """Name to nodes, input axes and penalties."""
    return {
        "fan-out and add": (
            [
                n("a", DENSE4, {"x": "x"}),
                n("f", TANH, {"x": "a"}),
                n("s", "add", {"a": "f", "b": "a"}),
                n("r", "add", {"a": "s", "b": "a"}),
                n("loss", LOSS, {"y": "r", "t": "t"}),
            ],
            {"x": "n 4"},
            (),
        ),
        "one array twice into one node": (
            [n("a", DENSE4, {"x": "x"}), n("s", "add", {"a": "a", "b": "a"}), n("loss", LOSS, {"y": "s", "t": "t"})],
            {"x": "n 4"},
            (),
        ),
        "shared parameters": (
            [n("a", DENSE4, {"x": "x"}, W="W"), n("f", TANH, {"x": "a"}), n("b", DENSE4, {"x": "f"}, W="W"), n("loss", LOSS, {"y": "b", "t": "t"})],
            {"x": "n 4"},
            (),
        ),
        "concatenate, batch norm with a statistic used": (
            [
                n("stem", CONV, {"x": "x"}),
                n("bn", "batch_norm", {"x": "stem"}),
                n("two", "concatenate", {"a": "bn", "b": "stem"}),
                n("flat", "flatten", {"x": "two"}),
                n("head", make("dense", units=2), {"x": "flat"}),
                n("loss", LOSS, {"y": "head", "t": "t"}),
                n("spread", make("concatenate", dims=0), {"a": "side", "b": "side"}),
                n("side", make("dense", units=3), {"x": "x2"}),
                n("aux", LOSS, {"y": "spread", "t": "t2"}),
            ],
            {"x": "n 2 3 3", "x2": "n 3"},
            (),
        ),
        "penalties": (
            [n("a", DENSE4, {"x": "x"}), n("loss", LOSS, {"y": "a", "t": "t"})],
            {"x": "n 4"},
            (cf.Penalty(make("l2", strength=0.3)), cf.Penalty(make("l1", strength=0.2), ("a.b",))),
        ),
        "bouvrie": (None, {}, ()),
    }


def build(name, batch=3):
    nodes, inputs, penalties = graphs()[name]
    if nodes is None:
        graph = cf.networks.bouvrie(OPS, maps=(2, 3), classes=2)
    else:
        output = "head" if "head" in {node.name for node in nodes} else ""
        graph = cf.Graph(tuple(nodes), inputs, output, penalties)
    rng = np.random.default_rng(0)
    params = cf.Parameters.initialise(graph, seed=3, dtype=np.float64)
    params = params.with_vector(params.vector + rng.normal(size=params.vector.size) * 0.1)
    arrays = {key: rng.normal(size=shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    return cf.Executor(graph), params, arrays


@pytest.mark.parametrize("name", graphs())
def test_gradients_against_central_differences(name):
    run, params, arrays = build(name)
    wanted = [key for key in arrays if key.startswith("x")]
    found = run.gradients(params, wanted_inputs=wanted, **arrays)
    assert found.loss == pytest.approx(run.loss(params, **arrays), rel=1e-12)
    rng = np.random.default_rng(1)
    for _ in range(4):
        direction = rng.normal(size=params.vector.size)
        up, down = (run.loss(params.with_vector(params.vector + e * direction), **arrays) for e in (1e-6, -1e-6))
        assert found.parameters.vector @ direction == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-7)
        for key in wanted:
            shift = rng.normal(size=arrays[key].shape)
            up, down = (run.loss(params, **{**arrays, key: arrays[key] + e * shift}) for e in (1e-6, -1e-6))
            assert (found.inputs[key] * shift).sum() == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-7)


def test_each_output_of_several_takes_gradients():
    """The variance alone, and the mean alone, of a batch norm as what the loss sees."""
    for output in ("mean", "variance"):

        @dataclass(frozen=True)
        class SumOfSquares(cf.Loss):
            """Half the sum of squares."""

            name = "half_squares"
            inputs = {"y": "i"}

            def forward(self, y):
                return np.square(y).sum() / 2, y

            def backward(self, dy, saved):
                return {"y": dy * saved}

            def formula(self, at, y):
                raise NotImplementedError

        graph = cf.Graph(
            (n("stem", CONV, {"x": "x"}), n("bn", "batch_norm", {"x": "stem"}), n("loss", SumOfSquares(), {"y": f"bn.{output}"})), {"x": "n 2 3 3"}, "bn"
        )
        run, params = cf.Executor(graph), cf.Parameters.initialise(graph, dtype=np.float64)
        x = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
        direction = np.random.default_rng(1).normal(size=params.vector.size)
        up, down = (run.loss(params.with_vector(params.vector + e * direction), x=x) for e in (1e-6, -1e-6))
        assert run.gradients(params, x=x).parameters.vector @ direction == pytest.approx((up - down) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", ["fan-out and add", "shared parameters", "bouvrie"])
def test_the_gradient_of_a_batch_is_the_sum_of_online_gradients(name):
    run, params, arrays = build(name, batch=4)
    whole = run.gradients(params, **arrays)
    parts = [run.gradients(params, **{key: array[i : i + 1] for key, array in arrays.items()}) for i in range(4)]
    np.testing.assert_allclose(whole.parameters.vector, sum(part.parameters.vector for part in parts), rtol=1e-11, atol=1e-12)
    assert whole.loss == pytest.approx(sum(part.loss for part in parts), rel=1e-12)


def test_mean_divides_the_data_and_not_the_penalties():
    run, params, arrays = build("penalties")
    penalty = run.penalty(params)
    assert penalty > 0
    total, mean = run.gradients(params, **arrays), run.gradients(params, reduction="mean", **arrays)
    assert mean.loss == pytest.approx((total.loss - penalty) / 3 + penalty)
    assert mean.loss == run.loss(params, reduction="mean", **arrays)
    bare = build("penalties")[0].graph
    plain = cf.Executor(cf.Graph(bare.nodes, bare.inputs, bare.output)).gradients(params, **arrays).parameters.vector
    np.testing.assert_allclose(mean.parameters.vector - plain / 3, total.parameters.vector - plain, rtol=1e-12)


@pytest.mark.parametrize("name", graphs())
def test_nothing_that_comes_in_is_changed(name):
    run, params, arrays = build(name)
    before, vector = {key: array.copy() for key, array in arrays.items()}, params.vector.copy()
    for array in arrays.values():
        array.flags.writeable = False
    first = run.gradients(params, wanted_inputs=["x"], **arrays)
    second = run.gradients(params, wanted_inputs=["x"], **arrays)
    assert np.array_equal(params.vector, vector) and all(np.array_equal(before[key], array) for key, array in arrays.items())
    assert first.parameters == second.parameters and np.array_equal(first.inputs["x"], second.inputs["x"])


def test_outputs_do_not_share_memory_with_inputs():
    @dataclass(frozen=True)
    class Same(cf.Layer):
        """Returns a view of its input."""

        name = "same_view"
        inputs = {"x": "..."}
        output = "..."

        def forward(self, x):
            return x[...], None

        def backward(self, dy, saved):
            return {"x": dy}

        def formula(self, at, x):
            return x[at]

    graph = cf.Graph.chain(Same(), inputs="n 2")
    x = np.ones((1, 2), np.float32)
    assert not np.shares_memory(cf.Executor(graph).predict(cf.Parameters.initialise(graph), x=x), x)


def test_forward_returns_what_was_asked_for():
    run, params, arrays = build("concatenate, batch norm with a statistic used")
    found = run.forward(params, ["bn.mean", "head"], x=arrays["x"])
    assert set(found) == {"bn.mean", "head"} and found["bn.mean"].shape == (3,)
    assert np.array_equal(run.predict(params, x=arrays["x"]), found["head"])
    with pytest.raises(cf.UnknownNameError, match="no output 'man'; did you mean 'mean'"):
        run.forward(params, ["bn.man"], x=arrays["x"])
    with pytest.raises(cf.UnknownNameError, match="no node is called 'haed'; did you mean 'head'"):
        run.forward(params, "haed", x=arrays["x"])


def test_the_plan_leaves_out_what_nobody_asks_for():
    run, params, arrays = build("bouvrie")
    plan = run.plan(params, **arrays)
    assert plan.steps[0].wanted == {"k", "b"} and len(plan.backward) == len(plan.steps)
    assert run.plan(params, **arrays) is plan
    assert run.plan(params, wanted_inputs=["x"], **arrays).steps[0].wanted == {"x", "k", "b"}
    text = plan.describe()
    assert text.startswith("batch 3, float64, 12 stages forward, 12 back") and "conv1 (3, 2, 12, 12)" in text


def test_layers_before_the_first_parameter_run_no_backward():
    graph = cf.Graph.chain(TANH, DENSE4, inputs="n 4", loss=LOSS)
    params = cf.Parameters.initialise(graph)
    x = np.ones((2, 4), np.float32)
    plan = cf.Executor(graph).plan(params, x=x, t=x)
    assert [step.node for step in plan.backward] == ["loss", "dense1"] and plan.backward[1].wanted == {"W", "b"}


def test_parameters_off_the_way_to_the_loss_have_gradient_zero():
    graph = cf.Graph((n("a", DENSE4, {"x": "x"}), n("side", DENSE4, {"x": "x"}), n("loss", LOSS, {"y": "a", "t": "t"})), {"x": "n 4"}, "a")
    x = np.ones((1, 4), np.float32)
    found = cf.Executor(graph).gradients(cf.Parameters.initialise(graph), x=x, t=x).parameters
    assert not found["side.W"].any() and found["a.W"].any()


X, T = np.ones((2, 4), np.float32), np.ones((2, 4), np.float32)
SMALL = cf.Graph.chain(DENSE4, inputs="n 4", loss=LOSS)
INDEXED = cf.Graph.chain(DENSE4, make("dropout", rate=0.5), inputs="n 4", loss=make("softmax_cross_entropy", targets="index"))


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"x": X}, cf.UnknownNameError, r"needs the input 't' with axes \(n, 4\); got x"),
        ({}, cf.UnknownNameError, r"needs the input 'x' with axes \(n, 4\); got none"),
        ({"x": X, "t": T, "tt": T}, cf.UnknownNameError, r"no input 'tt'; did you mean 't'"),
        ({"x": X[:, :3], "t": T}, cf.ShapeError, r"input 'x': axis 1 must be 4; got 3"),
        ({"x": X[0], "t": T}, cf.ShapeError, r"input 'x' has axes \(n, 4\), that is 2 of them; got shape \(4,\)"),
        ({"x": X, "t": T[:1]}, cf.ShapeError, r"input 't': axis 0 must be n = 2"),
        ({"x": X[:0], "t": T[:0]}, cf.DataError, r"at least one example"),
        ({"x": X.astype(float), "t": T}, cf.DTypeError, r"input 'x' is float64 and the parameters are float32; convert one: x.astype\(np.float32\)"),
        ({"x": X.astype(int), "t": T}, cf.DTypeError, r"input 'x' must be float32 or float64; got int64"),
        ({"x": "abc", "t": T}, cf.DTypeError, r"input 'x' must be float32 or float64"),
        ({"x": X, "t": np.where(T > 0, np.nan, T)}, cf.NonFiniteError, r"input 't' holds nan at \(0, 0\); clean the data"),
    ],
)
def test_refuses_inputs(arrays, error, message):
    params = cf.Parameters.initialise(SMALL)
    for call in (cf.Executor(SMALL).gradients, cf.Executor(SMALL).loss):
        with pytest.raises(error, match=message):
            call(params, **arrays)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"t": np.array([0, 4])}, cf.DataError, r"input 't' must hold indices from 0 to 3; got 4 at \(1,\)"),
        ({"t": np.array([-1, 0])}, cf.DataError, r"got -1 at \(0,\)"),
        ({"t": np.array([0.0, 1.0])}, cf.DTypeError, r"input 't' holds indices and must be of an integer type; got float64"),
        ({"dropout1.u": np.ones((2, 4), np.float32)}, cf.DataError, r"'dropout1.u' must hold numbers in \[0, 1\); got 1.0 at \(0, 0\)"),
        ({"dropout1.u": np.full((2, 4), np.nan, np.float32)}, cf.DataError, r"got nan at \(0, 0\)"),
    ],
)
def test_refuses_values_of_constants(change, error, message):
    good = {"x": X, "t": np.array([0, 3]), "dropout1.u": np.full((2, 4), 0.5, np.float32)}
    run, params = cf.Executor(INDEXED), cf.Parameters.initialise(INDEXED)
    run.loss(params, **good)
    with pytest.raises(error, match=message):
        run.loss(params, **{**good, **change})


def test_refuses_questions_without_an_answer():
    params = cf.Parameters.initialise(SMALL)
    run = cf.Executor(SMALL)
    with pytest.raises(cf.GraphError, match="'t' feeds constants alone"):
        run.gradients(params, wanted_inputs=["t"], x=X, t=T)
    with pytest.raises(cf.UnknownNameError, match="wanted_inputs: the network has no input 'y'"):
        run.gradients(params, wanted_inputs=["y"], x=X, t=T)
    with pytest.raises(cf.HyperparameterError, match="reduction must be 'sum' or 'mean'; got 'max'"):
        run.loss(params, reduction="max", x=X, t=T)
    bare = cf.Graph.chain(DENSE4, inputs="n 4")
    with pytest.raises(cf.GraphError, match="has no loss node"):
        cf.Executor(bare).gradients(cf.Parameters.initialise(bare), x=X)


def test_refuses_parameters_of_another_graph():
    run = cf.Executor(SMALL)
    for other, message in (
        (cf.Graph.chain(make("dense", units=3), inputs="n 4"), r"'dense1.W' must have shape \(4, 4\); got \(3, 4\)"),
        (cf.Graph.chain(TANH, make("conv", maps=1, size=1), inputs="n 1 2 2"), r"parameters lack 'dense1.W'"),
        (cf.Graph.chain(DENSE4, DENSE4, inputs="n 4"), r"those of another graph \(unknown here: dense2.W, dense2.b\)"),
    ):
        with pytest.raises(cf.ShapeError, match=message):
            run.predict(cf.Parameters.initialise(other), x=X)


@dataclass(frozen=True)
class Bad(cf.Layer):
    """Passes arrays on, spoiling what it is told to."""

    spoil: str = "nothing"

    name = "bad"
    inputs = {"x": "..."}
    output = "..."

    def forward(self, x):
        """Return x, or something else."""
        made = {"shape": lambda: x[:, :1], "type": lambda: x.astype(np.float64), "nan": lambda: x * np.nan, "list": x.tolist}
        return made.get(self.spoil, x.copy)(), None

    def backward(self, dy, saved):
        """Return dy, or something else."""
        return {"x": dy * np.inf if self.spoil == "gradient" else dy.copy()}

    def formula(self, at, x):
        """Return x."""
        return x[at]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        ("nan", cf.NonFiniteError, r"node 'bad1' \(bad\): output 'y' is the first array to hold nan at \(0, 0\)"),
        ("gradient", cf.NonFiniteError, r"node 'bad1' \(bad\): the gradient of 'x' is the first array to hold"),
        ("shape", cf.ContractError, r"node 'bad1': bad.forward must return 'y' with shape \(2, 4\).*got shape \(2, 1\)"),
        ("type", cf.ContractError, r"type float32; got.*float64"),
        ("list", cf.ContractError, r"type float32; got.*type list"),
    ],
)
def test_the_node_at_fault_is_named(spoil, error, message):
    graph = cf.Graph.chain(DENSE4, Bad(spoil), TANH, Bad(), inputs="n 4", loss=LOSS)
    params = cf.Parameters.initialise(graph)
    with pytest.raises(error, match=message):
        cf.Executor(graph).gradients(params, x=X, t=T)
    if spoil == "nan":
        with pytest.raises(error, match=message):
            cf.Executor(graph).predict(params, x=X)
        found = cf.Executor(graph, check_finite=False).gradients(params, x=X, t=T)
        assert np.isnan(found.loss)


def test_overflow_in_a_sum_is_not_finite():
    graph = cf.Graph.chain(DENSE4, inputs="n 4", loss=LOSS)
    params = cf.Parameters.initialise(graph, initial={"weight": cf.Constant(1e30)})
    with pytest.raises(cf.NonFiniteError, match=r"node 'loss' \(squared_error\): output 'y' is the first array to hold inf"):
        cf.Executor(graph).loss(params, x=X, t=T)


def test_evaluation_drops_nothing():
    @dataclass(frozen=True)
    class Noisy(cf.Layer):
        """Adds numbers from [0, 1) while it is trained."""

        name = "noisy"
        inputs = {"x": "..."}
        constants = {"u": "... -> [0, 1)"}
        output = "..."

        def for_evaluation(self):
            return make("identity")

        def forward(self, x, u):
            return x + u, None

        def backward(self, dy, saved):
            return {"x": dy.copy()}

        def formula(self, at, x, u):
            return x[at] + u[at]

    graph = cf.Graph.chain(DENSE4, Noisy(), inputs="n 4", loss=LOSS)
    used = graph.for_evaluation()
    assert dict(used.inputs) == {"x": "n 4", "t": "n 4"} and used["noisy1"].op.name == "identity"
    params = cf.Parameters.initialise(graph)
    assert np.array_equal(cf.Executor(used).predict(params, x=X), cf.Executor(graph).forward(params, "dense1", x=X)["dense1"])
