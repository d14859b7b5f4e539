"""The diagonal of the Gauss-Newton matrix: against SymPy on tiny networks over every operation, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import sympy as sp
from plain_formulas import Written

import cnnframe as cf
from cnnframe import _curvature, _generated

OPS = cf.load()
make = OPS.make
TABLE = cf.Links(((0, 0), (1, 0), (1, 1)), 2, 2)


def drawn(shape, seed, low=-1.0):
    return np.random.default_rng([seed, *shape]).uniform(low, 1.0, shape)


def propagated(graph, params, inputs, scale=1.0):
    """The recursion with derivatives by SymPy, one node after the other."""
    values = {name: np.asarray(array) for name, array in inputs.items()}
    written = {}
    for node in graph.nodes:
        given = {name: values[source] for name, source in graph.wires.sources[node.name].items()}
        given |= {name: params[array] for name, array in node.parameters.items()}
        written[node.name] = Written(node.op, given)
        for name, array in graph.wires.outputs[node.name].items():
            values[array] = written[node.name].numbers(name)
    above, found = {}, {name: np.zeros(array.shape) for name, array in params.items()}
    for node in reversed(graph.nodes):
        its = written[node.name]
        for name in node.op.declaration.differentiable:
            if isinstance(node.op, cf.Op) and node.name in graph.losses:
                handed = scale * np.maximum(its.seconds("y", name), 0)
            else:
                handed = np.zeros(its.arrays[name].shape)
                for output, array in graph.wires.outputs[node.name].items():
                    if array in above:
                        handed = handed + (np.ravel(above[array]) @ its.slopes(output, name) ** 2).reshape(handed.shape)
            target, table = (node.parameters[name], found) if name in node.parameters else (graph.wires.sources[node.name][name], above)
            table[target] = table.get(target, 0) + handed
    for op, name in graph.penalised():
        (arg,) = op.inputs
        shape = params[name].shape
        # A formula over arrays of any axes sees one.
        flat = params[name].reshape(-1) if None in op.declaration.inputs[arg] else params[name]
        found[name] = found[name] + np.maximum(Written(op, {arg: flat}).seconds("y", arg), 0).reshape(shape)
    return found


def compared(graph, inputs, *, reduction="sum", initial=None):
    """The executor's diagonal beside SymPy's; the batch is the first axis of x."""
    params = cf.Parameters.initialise(graph, seed=1, dtype=np.float64, initial=initial)
    params = params.with_vector(params.vector + drawn(params.vector.shape, 2) / 2)
    got = cf.Executor(graph).curvature(params, reduction=reduction, **inputs)
    scale = 1.0 if reduction == "sum" else 1 / len(inputs["x"])
    wanted = propagated(graph, params, inputs, scale)
    for name, array in got.items():
        assert (array >= 0).all()
        np.testing.assert_allclose(array, wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)
    return got


def behind(op, axes, shape, **more):
    """A gain and a shift for each map, the operation, the squared error; with what is fed."""
    dims = len(shape) - 2
    outputs = dict.fromkeys(op.inputs, "stem")
    nodes = [cf.Node("stem", make("scale_shift", dims=dims), {"x": "x"}), cf.Node("op", op, {**outputs, **{name: name for name in op.constants}})]
    output = next(iter(op.output)) if not op.single else "y"
    graph_inputs = {"x": axes, **{name: text for name, (text, _) in more.items()}}
    known = op.sizes({**dict.fromkeys(op.inputs, shape), **{name: array.shape for name, (_, array) in more.items()}})
    made = op.output_shapes(known)[output]
    last = "op"
    if len(made) > 2:
        nodes.append(cf.Node("flat", make("flatten", dims=len(made) - 2), {"x": "op"}))
        last = "flat"
    nodes.append(cf.Node("loss", make("squared_error"), {"y": last, "t": "t"}))
    classes = int(np.prod(made[1:]))
    graph = cf.Graph(nodes, {**graph_inputs, "t": f"n {classes}"})
    return graph, {"x": drawn(shape, 3), "t": drawn((shape[0], classes), 4), **{name: array for name, (_, array) in more.items()}}


FLAT, LINE, PLANE = ("n 3", (2, 3)), ("n 2 5", (2, 2, 5)), ("n 2 4 3", (1, 2, 4, 3))
LAYERS = {
    "dense": (make("dense", units=2), *FLAT),
    "conv": (make("conv", maps=2, size=2, dims=1, stride=2, padding=1), *LINE),
    "conv in groups": (make("conv", maps=4, size=(2, 1), groups=2, orientation="correlation"), *PLANE),
    "conv_linked": (make("conv_linked", links=TABLE, size=2, dims=1, dilation=2), *LINE),
    "conv_unit_bias": (make("conv_unit_bias", links=TABLE, size=3, dims=1), *LINE),
    "pad": (make("pad", dims=1, size=1, value=0.5), *LINE),
    "combine": (make("combine", maps=2, size=2, dims=1), *LINE),
    "combine by sparsemax": (make("combine", maps=2, size=2, dims=1, weights="sparsemax"), *LINE),
    "subsample": (make("subsample", size=2), "n 2 4 4", (1, 2, 4, 4)),
    "decimate": (make("decimate", stride=2, dims=1), *LINE),
    "upsample": (make("upsample", size=2, dims=1), *LINE),
    "mean_pool": (make("mean_pool", size=3, stride=2, dims=1), *LINE),
    "max_pool": (make("max_pool", size=3, stride=1, dims=1), *LINE),
    "flatten": (make("flatten", dims=1), *LINE),
    "concatenate": (make("concatenate", dims=1), *LINE),
    "add": (make("add"), *FLAT),
    "scale_shift": (make("scale_shift", dims=1), *LINE),
    "normalise": (make("normalise", mean=0.5, std=2.5), *FLAT),
    "batch_norm": (make("batch_norm", dims=0), *FLAT),
    "softmax": (make("softmax"), *FLAT),
    **{name: (make(name), *FLAT) for name in ("scaled_tanh", "logistic", "relu", "leaky_relu", "softplus", "identity")},
}
FED = {
    "batch_norm_given": (make("batch_norm_given", dims=1), *LINE, {"mean": ("2", drawn((2,), 5)), "precision": ("2", drawn((2,), 6, 0.5))}),
    "dropout": (make("dropout", rate=0.5), *FLAT, {"u": ("n 3", drawn((2, 3), 7, 0.0))}),
}
LOSSES = {
    "squared_error": (make("squared_error"), drawn((2, 3), 8)),
    "softmax_cross_entropy": (make("softmax_cross_entropy", targets="dense"), np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])),
    "softmax_cross_entropy by index": (make("softmax_cross_entropy", targets="index"), np.array([2, 0])),
    "logistic_cross_entropy": (make("logistic_cross_entropy"), np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])),
}
PENALTIES = ("l1", "l2", "alpha_l1", "alpha_square", "alpha_entropy", "alpha_power")


@pytest.mark.parametrize("name", [*LAYERS, *FED])
def test_through_every_layer(name):
    op, axes, shape, more = (*LAYERS[name], {}) if name in LAYERS else FED[name]
    graph, inputs = behind(op, axes, shape, **more)
    compared(graph, inputs)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_from_every_loss(name, reduction):
    loss, t = LOSSES[name]
    graph = cf.Graph.chain(make("dense", units=3), inputs="n 2", loss=loss)
    compared(graph, {"x": drawn((2, 2), 9), "t": t}, reduction=reduction)


@pytest.mark.parametrize("name", PENALTIES)
def test_of_every_penalty(name):
    penalty = make(name, strength=0.75)
    op = make("combine", maps=2, size=2, dims=1) if name.startswith("alpha") else make("dense", units=2)
    graph, inputs = behind(op, *(LINE if name.startswith("alpha") else FLAT))
    graph = replace(graph, penalties=(cf.Penalty(penalty),))
    plain = cf.Executor(replace(graph, penalties=())).curvature(cf.Parameters.initialise(graph, dtype=np.float64), **inputs)
    got = compared(graph, inputs, reduction="mean")
    assert set(got) == set(plain)


def test_nothing_is_left_out():
    covered = {op.name for op, *_ in (*LAYERS.values(), *FED.values(), *LOSSES.values())} | set(PENALTIES)
    assert covered == set(OPS.operations())


def test_fan_out_sharing_and_two_losses():
    nodes = [
        cf.Node("a", make("dense", units=2), {"x": "x"}, {"W": "W"}),
        cf.Node("f", make("scaled_tanh"), {"x": "a"}),
        cf.Node("b", make("dense", units=2), {"x": "f"}, {"W": "W"}),
        cf.Node("s", make("add"), {"a": "b", "b": "f"}),
        cf.Node("twice", make("add"), {"a": "s", "b": "s"}),
        cf.Node("one", make("squared_error"), {"y": "twice", "t": "t"}),
        cf.Node("two", make("logistic_cross_entropy"), {"z": "a", "t": "u"}),
    ]
    graph = cf.Graph(nodes, {"x": "n 2", "t": "n 2", "u": "n 2"}, output="twice")
    compared(graph, {"x": drawn((3, 2), 10), "t": drawn((3, 2), 11), "u": np.ones((3, 2))})


def gauss_newton(graph, params, inputs, outputs, hessian):
    """The diagonal of the matrix itself, by SymPy: nothing between the layers is left out."""
    symbols = {name: np.array([sp.Symbol(f"{name}_{k}".replace(".", "_"), real=True) for k in range(a.size)]).reshape(a.shape) for name, a in params.items()}
    point = {s: sp.Rational(float(v)) for name, a in params.items() for s, v in zip(symbols[name].flat, a.flat, strict=True)}
    found = {name: np.zeros(a.shape) for name, a in params.items()}
    for x in inputs["x"]:
        made = outputs(symbols, [sp.Rational(float(v)) for v in x])
        weights = np.array(sp.Matrix(hessian(made)).xreplace(point).evalf(), dtype=float)
        for name, a in params.items():
            for at in np.ndindex(a.shape):
                slope = np.array([float(sp.diff(y, symbols[name][at]).xreplace(point)) for y in made])
                found[name][at] += slope @ weights @ slope
    return found


def dense(W, b, x):
    return [sum(w * v for w, v in zip(row, x, strict=True)) + shift for row, shift in zip(W, b, strict=True)]


def test_one_hidden_layer_and_the_squared_error_are_exact():
    """The Hessian of the loss is diagonal, and only one operation mixes entries behind the first weights."""
    graph = cf.Graph.chain(make("dense", units=2), make("scaled_tanh", a=1.5, b=0.5), make("dense", units=2), inputs="n 2", loss=make("squared_error"))
    inputs = {"x": drawn((2, 2), 12), "t": drawn((2, 2), 13)}
    params = cf.Parameters.initialise(graph, seed=3, dtype=np.float64)

    def outputs(p, x):
        hidden = [sp.Rational(3, 2) * sp.tanh(v / 2) for v in dense(p["dense1.W"], p["dense1.b"], x)]
        return dense(p["dense2.W"], p["dense2.b"], hidden)

    wanted = gauss_newton(graph, params, inputs, outputs, lambda made: np.eye(len(made)).tolist())
    got = cf.Executor(graph).curvature(params, **inputs)
    for name, array in got.items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-10)


def test_behind_the_softmax_the_last_layer_is_exact_and_no_other():
    graph = cf.Graph.chain(
        make("dense", units=2), make("scaled_tanh", a=1.5, b=0.5), make("dense", units=2), inputs="n 2", loss=make("softmax_cross_entropy", targets="index")
    )
    inputs = {"x": drawn((2, 2), 14), "t": np.array([0, 1])}
    params = cf.Parameters.initialise(graph, seed=4, dtype=np.float64)

    def outputs(p, x):
        hidden = [sp.Rational(3, 2) * sp.tanh(v / 2) for v in dense(p["dense1.W"], p["dense1.b"], x)]
        return dense(p["dense2.W"], p["dense2.b"], hidden)

    def hessian(made):
        total = sum(map(sp.exp, made))
        p = [sp.exp(z) / total for z in made]
        return [[p[i] * (int(i == j) - p[j]) for j in range(2)] for i in range(2)]

    wanted = gauss_newton(graph, params, inputs, outputs, hessian)
    got = cf.Executor(graph).curvature(params, **inputs)
    for name in ("dense2.W", "dense2.b"):
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-10)
    assert not np.allclose(got["dense1.W"], wanted["dense1.W"], rtol=1e-2)


def test_a_large_batch_in_parts_is_the_sum_of_its_examples():
    graph = cf.Graph.chain(
        make("conv", maps=8, size=5),
        make("relu"),
        make("subsample", size=2),
        make("flatten"),
        make("dense", units=3),
        inputs="n 1 20 20",
        loss=make("squared_error"),
    )
    params = cf.Parameters.initialise(graph, seed=5, dtype=np.float64)
    x, t = drawn((150, 1, 20, 20), 15), drawn((150, 3), 16)
    executor = cf.Executor(graph)
    whole = executor.curvature(params, x=x, t=t)
    parts = sum(executor.curvature(params, x=x[k : k + 25], t=t[k : k + 25]).vector for k in range(0, 150, 25))
    np.testing.assert_allclose(whole.vector, parts, rtol=1e-12)
    np.testing.assert_allclose(executor.curvature(params, x=x, t=t, reduction="mean").vector, parts / 150, rtol=1e-12)


def test_float32_stays():
    graph = cf.Graph.chain(make("dense", units=3), make("relu"), inputs="n 2", loss=make("squared_error"))
    found = cf.Executor(graph).curvature(cf.Parameters.initialise(graph), x=np.ones((2, 2), np.float32), t=np.ones((2, 3), np.float32))
    assert found.dtype == np.float32 and found["dense1.b"].max() == 2.0


@dataclass(frozen=True)
class Bent(cf.Loss):
    """A loss that bends downwards for y > 0."""

    name = "bent"
    inputs = {"y": "n c"}

    def forward(self, y):
        return np.asarray((-(y**3)).sum(), y.dtype), y

    def backward(self, dy, saved):
        return {"y": -3 * dy * saved**2}

    def formula(self, at, y):
        from cnnframe.algebra import indices, total

        n, c = indices("n c")
        return -total(y[n, c] ** 3, (n, y.shape[0]), (c, y.shape[1]))


def test_where_a_loss_bends_downwards_is_0():
    graph = cf.Graph(
        [
            cf.Node("a", make("normalise", mean=0.0, std=1.0), {"x": "x"}),
            cf.Node("s", make("scale_shift", dims=0), {"x": "a"}),
            cf.Node("l", Bent(), {"y": "s"}),
        ],
        {"x": "n 2"},
    )
    params = cf.Parameters.initialise(graph, dtype=np.float64)
    found = cf.Executor(graph).curvature(params, x=np.array([[1.0, -1.0]]))
    assert found["s.gain"].tolist() == [0.0, 6.0] and found["s.shift"].tolist() == [0.0, 6.0]


def test_a_graph_without_a_loss():
    graph = cf.Graph.chain(make("dense", units=2), inputs="n 2")
    with pytest.raises(cf.GraphError, match="no loss"):
        cf.Executor(graph).curvature(cf.Parameters.initialise(graph), x=np.zeros((1, 2), np.float32))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"x": np.zeros((2, 3))}, cf.ShapeError, "x"),
        ({"x": np.zeros((0, 2)), "t": np.zeros((0, 2))}, cf.DataError, "at least one example"),
        ({"x": np.full((2, 2), np.nan)}, cf.NonFiniteError, "x"),
        ({"z": np.zeros((2, 2))}, cf.UnknownNameError, "z"),
        ({"reduction": "median"}, cf.HyperparameterError, "reduction"),
    ],
)
def test_wrong_arguments(change, error, said):
    graph = cf.Graph.chain(make("dense", units=2), inputs="n 2", loss=make("squared_error"))
    params = cf.Parameters.initialise(graph, dtype=np.float64)
    with pytest.raises(error, match=said):
        cf.Executor(graph).curvature(params, **{"x": np.zeros((2, 2)), "t": np.zeros((2, 2)), **change})


def test_an_overflow_names_the_node():
    graph = cf.Graph.chain(make("dense", units=2), inputs="n 2", loss=make("squared_error"))
    params = cf.Parameters.initialise(graph)
    with pytest.raises(cf.NonFiniteError, match=r"node 'dense1' \(dense\): the curvature of 'W'"):
        cf.Executor(graph).curvature(params, x=np.full((1, 2), 1e30, np.float32), t=np.zeros((1, 2), np.float32))


def test_what_cannot_be_written_names_the_node(monkeypatch):
    def refuse(op):
        raise cf.FormulaError("its guard cannot be scheduled")

    monkeypatch.setattr(_generated, "curvature_of", refuse)
    _curvature.routes.cache_clear()
    graph = cf.Graph.chain(make("dense", units=2), inputs="n 2", loss=make("squared_error"))
    with pytest.raises(cf.FormulaError, match=r"node 'loss' \(squared_error\) has no curvature: its guard cannot be scheduled; take an optimizer"):
        cf.Executor(graph).curvature(cf.Parameters.initialise(graph), x=np.ones((1, 2), np.float32), t=np.ones((1, 2), np.float32))


def test_without_anyone_who_reads_formulas(monkeypatch):
    monkeypatch.setattr(_generated, "_offered", lambda group: None)
    _curvature.routes.cache_clear()
    with pytest.raises(cf.PluginError, match="nothing is installed that reads the curvature of relu"):
        _curvature.propagate(make("relu"), {"x": np.ones(2)}, {"y": np.ones(2)}, frozenset({"x"}))
