"""What every standard operation promises: it is registered, takes an empty batch, and keeps float32 and its arguments."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import cnnframe
from cnnframe import Graph, Links, Node, Op, Regularizer, _axes, _call

EXAMPLES = [
    ("dense", {"units": 3}, {"x": (2, 4)}),
    ("conv", {"maps": 4, "size": (2, 3), "stride": (2, 1), "padding": (1, 0), "groups": 2}, {"x": (2, 4, 4, 5)}),
    ("conv_linked", {"links": Links.from_rows(["XXO", "OXX"]), "size": (2, 1)}, {"x": (2, 2, 3, 3)}),
    ("conv_unit_bias", {"links": Links.from_rows(["XXO", "OXX"]), "size": (2, 1), "padding": 1, "stride": 2}, {"x": (2, 2, 3, 3)}),
    ("pad", {"size": (1, 2), "value": -1.0}, {"x": (2, 3, 2, 2)}),
    ("combine", {"maps": 2, "size": 2}, {"x": (2, 3, 3, 4)}),
    ("combine", {"maps": 2, "size": 2, "dims": 1, "weights": "sparsemax"}, {"x": (2, 3, 4)}),
    ("subsample", {"size": (2, 3)}, {"x": (2, 3, 4, 3)}),
    ("decimate", {"stride": (2, 1)}, {"x": (2, 3, 4, 3)}),
    ("upsample", {"size": 1}, {"x": (2, 3, 2, 2)}),
    ("mean_pool", {"size": 2, "stride": 1}, {"x": (2, 3, 3, 2)}),
    ("max_pool", {"size": 2, "stride": 1}, {"x": (2, 3, 3, 2)}),
    ("max_pool", {"size": 1, "stride": 1}, {"x": (2, 3, 3, 2)}),
    ("flatten", {}, {"x": (2, 3, 2, 2)}),
    ("concatenate", {}, {"a": (2, 3, 2, 2), "b": (2, 1, 2, 2)}),
    ("add", {}, {"a": (2, 3), "b": (2, 3)}),
    ("scale_shift", {}, {"x": (2, 3, 2, 2)}),
    ("normalise", {"mean": 0.5, "std": 3.0}, {"x": (2, 3)}),
    ("batch_norm", {}, {"x": (2, 3, 2, 2)}),
    ("batch_norm_given", {}, {"x": (2, 3, 2, 2)}),
    ("dropout", {"rate": 0.3}, {"x": (2, 3)}),
    ("softmax", {}, {"x": (2, 3)}),
    ("scaled_tanh", {}, {"x": (2, 3)}),
    ("logistic", {"beta": 2.0}, {"x": (2, 3)}),
    ("relu", {}, {"x": (2, 3)}),
    ("leaky_relu", {}, {"x": (2, 3)}),
    ("softplus", {}, {"x": (2, 3)}),
    ("identity", {}, {"x": (2, 3)}),
    ("squared_error", {}, {"y": (2, 3)}),
    ("softmax_cross_entropy", {"targets": "dense"}, {"z": (2, 3)}),
    ("softmax_cross_entropy", {"targets": "index"}, {"z": (2, 3)}),
    ("logistic_cross_entropy", {}, {"z": (2, 3)}),
    ("l1", {"strength": 0.3}, {"w": (2, 3)}),
    ("l2", {"strength": 0.3}, {"w": (2, 3)}),
    ("alpha_l1", {"strength": 0.3}, {"c": (3, 2)}),
    ("alpha_square", {"strength": 0.3}, {"c": (3, 2)}),
    ("alpha_entropy", {"strength": 0.3}, {"c": (3, 2)}),
    ("alpha_power", {"strength": 0.3}, {"c": (3, 2)}),
]
REGISTRY = cnnframe.load(strict=True)
OPERATIONS = [(REGISTRY.make(name, **given), shapes) for name, given, shapes in EXAMPLES]
every = pytest.mark.parametrize(("op", "shapes"), OPERATIONS, ids=[op.name for op, _ in OPERATIONS])
choosy = pytest.mark.parametrize(("op", "shapes"), [(op, s) for op, s in OPERATIONS if _call.takes_wanted(type(op))], ids=lambda v: getattr(v, "name", ""))
batched = pytest.mark.parametrize(("op", "shapes"), [(op, s) for op, s in OPERATIONS if not isinstance(op, Regularizer)], ids=lambda v: getattr(v, "name", ""))


def arrays(op: Op, shapes, dtype=np.float64):
    """Fitting arguments, read-only."""
    rng, known = np.random.default_rng(0), op.sizes(shapes)
    found = {name: rng.normal(size=shape).astype(dtype) for name, shape in {**shapes, **op.parameter_shapes(known)}.items()}
    for name, axes in op.declaration.constants.items():
        shape, values = _axes.shape_of(axes, known, name), op.declaration.values[name]
        found[name] = rng.random(shape).astype(dtype) if values is None or isinstance(values, str) else rng.integers(0, values(known), shape)
    for array in found.values():
        array.flags.writeable = False
    return found


def run(op: Op, given, dtype=np.float64):
    """Outputs, cotangents and gradients."""
    outputs, saved = _call.forward(op, given)
    cotangents = {name: np.random.default_rng(1).normal(size=np.shape(y)).astype(dtype)[()] for name, y in outputs.items()}
    names = frozenset(op.declaration.differentiable)
    return outputs, cotangents, _call.backward(op, cotangents, saved, names, {name: given[name].shape for name in names})


def test_all_of_them_are_here():
    ours = {name for name in REGISTRY.operations() if REGISTRY.entry(name).cls.__module__.startswith("cnnframe_plugins")}
    assert ours == {op.name for op, _ in OPERATIONS}


@every
def test_a_graph_with_it_is_the_same_after_a_text(op, shapes):
    """A regularizer as a penalty of a dense layer; the others with identities before them, so that a loss has an output to judge."""
    regularizer = isinstance(op, Regularizer)
    if regularizer:
        first = REGISTRY.make("combine", maps=2, size=1) if op.role == "mixing" else REGISTRY.make("dense", units=2)
        graph = Graph.chain(first, inputs="n 3 1 1" if op.role == "mixing" else "n 3", penalties=[op])
    else:
        inputs = {f"in_{name}": " ".join(["n", *map(str, shape[1:])]) for name, shape in shapes.items()}
        before = [Node(name, REGISTRY.make("identity"), {"x": f"in_{name}"}) for name in shapes]
        node = Node("it", op, {**{name: name for name in shapes}, **{name: f"c_{name}" for name in op.constants}})
        graph = Graph((*before, node), inputs, next(iter(shapes)))
    again = Graph.from_toml(graph.to_toml(), REGISTRY)
    assert again == graph and again.to_dict() == graph.to_dict()


@every
def test_shapes_are_the_declared_ones(op, shapes):
    outputs, _, _ = run(op, arrays(op, shapes))
    assert {name: np.shape(y) for name, y in outputs.items()} == op.output_shapes(op.sizes(shapes))


@every
def test_float32_stays_float32(op, shapes):
    outputs, _, gradients = run(op, arrays(op, shapes, np.float32), np.float32)
    assert {name: value.dtype for name, value in {**outputs, **gradients}.items() if value.dtype != np.float32} == {}


@every
def test_nothing_returned_shares_memory(op, shapes):
    given = arrays(op, shapes)
    outputs, cotangents, gradients = run(op, given)
    returned = [np.asarray(value) for value in (*outputs.values(), *gradients.values())]
    passed = [np.asarray(value) for value in (*given.values(), *cotangents.values())]
    for position, one in enumerate(returned):
        assert not any(np.shares_memory(one, other) for other in (*passed, *returned[:position]))


@batched
def test_an_empty_batch(op, shapes):
    given = arrays(op, {name: (0, *shape[1:]) for name, shape in shapes.items()})
    with np.errstate(all="raise"):
        outputs, _, gradients = run(op, given)
    for name, value in gradients.items():
        assert value.shape == given[name].shape and not value.any()
    assert {name: np.shape(y) for name, y in outputs.items()} == op.output_shapes(op.sizes({name: given[name].shape for name in shapes}))


@choosy
def test_only_what_is_wanted_is_returned(op, shapes):
    given = arrays(op, shapes)
    y, saved = op.forward(**given)
    full = op.backward(y, saved)
    for name in op.declaration.differentiable:
        only = op.backward(y, saved, frozenset({name}))
        assert list(only) == [name]
        np.testing.assert_array_equal(only[name], full[name])


def test_loading_them_loads_no_sympy():
    code = "import sys, cnnframe; cnnframe.load(strict=True); sys.exit('sympy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
