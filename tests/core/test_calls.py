"""What the code of an operation returns is held to its declaration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Layer, _call, _generated

X = np.arange(6.0).reshape(2, 3)
W = np.arange(12.0).reshape(4, 3)
SHAPES = {"x": X.shape, "W": W.shape}
BOTH = frozenset(SHAPES)


def layer(forward=None, backward=None, output="n o"):
    """A layer with one of its methods planted."""

    def right(self, x, W):
        return x @ W.T, (x, W)

    def gradients(self, dy, saved):
        x, W = saved
        return {"x": dy @ W, "W": dy.T @ x}

    body = {
        "name": "mine",
        "inputs": {"x": "n i"},
        "params": {"W": "o i"},
        "output": output,
        "forward": forward or right,
        "backward": backward or gradients,
        "formula": lambda self, at, x, W: None,
    }
    return dataclass(frozen=True)(type("Mine", (Layer,), body))()


SEVERAL = {"y": "n o", "z": "n"}


def test_one_output_is_called_y():
    op = layer()
    outputs, saved = _call.forward(op, {"W": W, "x": X})
    assert list(outputs) == ["y"]
    np.testing.assert_array_equal(outputs["y"], X @ W.T)
    dy = np.ones((2, 4))
    found = _call.backward(op, {"y": dy}, saved, BOTH, SHAPES)
    assert found.keys() == BOTH
    np.testing.assert_array_equal(found["x"], dy @ W)
    np.testing.assert_array_equal(found["W"], dy.T @ X)


def test_several_outputs_go_by_name_both_ways():
    seen = {}

    def backward(self, dy, saved):
        seen["dy"] = dy
        return {"x": X, "W": W}

    op = layer(lambda self, x, W: ({"z": x[:, 0], "y": x @ W.T}, "kept"), backward, SEVERAL)
    outputs, saved = _call.forward(op, {"x": X, "W": W})
    assert set(outputs) == {"y", "z"} and saved == "kept"
    given = {"y": np.ones((2, 4)), "z": np.ones(2)}
    _call.backward(op, given, saved, BOTH, SHAPES)
    assert seen["dy"] == given and seen["dy"] is not given


def test_only_the_wanted_gradients_come_back():
    found = _call.backward(layer(), {"y": np.ones((2, 4))}, (X, W), frozenset({"W"}), SHAPES)
    assert list(found) == ["W"]
    assert _call.backward(layer(), {"y": np.ones((2, 4))}, (X, W), frozenset(), SHAPES) == {}


def test_wanted_is_passed_to_those_who_take_it():
    seen = []

    def takes(self, dy, saved, wanted):
        seen.append(wanted)
        return {"x": X} if "x" in wanted else {}

    assert _call.takes_wanted(type(layer(backward=takes))) and not _call.takes_wanted(type(layer()))
    assert list(_call.backward(layer(backward=takes), {"y": np.ones((2, 4))}, None, frozenset({"x"}), SHAPES)) == ["x"]
    assert seen == [frozenset({"x"})]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(X, "ndarray"), ((X,), "tuple"), ((X, 1, 2), "tuple"), (None, "NoneType"), ([X, None], "list"), ({"y": X}, "dict")],
    ids=["array", "one", "three", "none", "list", "dict"],
)
@pytest.mark.parametrize("output", ["n o", SEVERAL], ids=["single", "several"])
def test_refuses_a_forward_that_returns_no_pair(answer, kind, output):
    with pytest.raises(cf.ContractError, match=rf"^mine\.forward must return \(output, saved\); got {kind}$"):
        _call.forward(layer(lambda self, x, W: answer, output=output), {"x": X, "W": W})


@pytest.mark.parametrize(
    ("outputs", "got"),
    [
        ({"y": X}, r"\['y'\]"),
        ({"y": X, "z": X, "a": X}, r"\['a', 'y', 'z'\]"),
        ({"y": X, "Z": X}, r"\['Z', 'y'\]"),
        ({}, r"\[\]"),
        (X, "ndarray"),
        ((X, X), "tuple"),
        ({"y": X, 1: X}, r"\[.*1.*\]"),
    ],
    ids=["missing", "foreign", "renamed", "empty", "array", "tuple", "number"],
)
def test_refuses_outputs_that_are_not_the_declared_ones(outputs, got):
    with pytest.raises(cf.ContractError, match=rf"^mine\.forward must return a dict of outputs \['y', 'z'\]; got {got}$"):
        _call.forward(layer(lambda self, x, W: (outputs, None), output=SEVERAL), {"x": X, "W": W})


GRADIENTS = {
    "array": (X, r"must return a dict of gradients by name; got ndarray$"),
    "tuple": ((X, W), r"must return a dict of gradients by name; got tuple$"),
    "none": (None, r"must return a dict of gradients by name; got NoneType$"),
    "missing": ({"x": X}, r"returned no gradient for 'W'; got \['x'\]$"),
    "foreign": ({"x": X, "W": W, "b": X}, r"returned a gradient for 'b', which is no input or parameter; known: W, x$"),
    "nearly": ({"x": X, "w": W}, r"returned a gradient for 'w', which is no input or parameter; did you mean 'W'\?$"),
    "number": ({"x": X, "W": W, 3: X}, r"returned a gradient for 3, which is no input or parameter; known: W, x$"),
    "transposed": ({"x": X, "W": W.T}, r"^mine\.backward: the gradient of 'W' must have shape \(4, 3\); got \(3, 4\)$"),
    "broadcast": ({"x": X[:1], "W": W}, r"the gradient of 'x' must have shape \(2, 3\); got \(1, 3\)$"),
    "scalar": ({"x": 0.0, "W": W}, r"the gradient of 'x' must have shape \(2, 3\); got \(\)$"),
    "absent": ({"x": None, "W": W}, r"the gradient of 'x' must have shape \(2, 3\); got \(\)$"),
    "ragged": ({"x": [[1.0], [1.0, 2.0]], "W": W}, r"the gradient of 'x' must have shape \(2, 3\)"),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_refuses_gradients(case):
    answer, message = GRADIENTS[case]
    with pytest.raises(cf.ContractError, match=r"^mine\.backward") as caught:
        _call.backward(layer(backward=lambda self, dy, saved: answer), {"y": np.ones((2, 4))}, None, BOTH, SHAPES)
    caught.match(message)


def test_a_gradient_for_a_constant_is_foreign():
    loss = cf.load().make("squared_error")
    planted = dataclass(frozen=True)(
        type("Mine", (type(loss),), {"name": "mine", "backward": lambda self, dy, saved: dict.fromkeys((*loss.inputs, *loss.constants), X)})
    )()
    (constant,) = loss.constants
    with pytest.raises(cf.ContractError, match=rf"^mine\.backward returned a gradient for '{constant}', which is no input or parameter"):
        _call.backward(planted, {"y": np.float64(1)}, None, frozenset(loss.inputs), dict.fromkeys(loss.inputs, X.shape))


def test_what_an_operation_raises_itself_is_not_hidden():
    def broken(self, x, W):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match=r"^mine$"):
        _call.forward(layer(broken), {"x": X, "W": W})


def bare():
    """A layer without a backward of its own."""
    return dataclass(frozen=True)(type("Bare", (type(layer()),), {"name": "bare", "backward": cf.Op.backward}))()


def test_without_a_backward_and_without_a_generator(monkeypatch):
    monkeypatch.setattr(_generated, "_generator", lambda: None)
    with pytest.raises(cf.PluginError, match=r"^bare has no backward, and nothing is installed that makes one from its formula"):
        _call.backward(bare(), {"y": np.ones((2, 4))}, (X, W), BOTH, SHAPES)


def test_a_generator_is_told_what_is_wanted(monkeypatch):
    seen = []

    def generate(op):
        return lambda dy, saved, wanted: seen.append((op.name, wanted)) or {"x": X, "W": W}

    monkeypatch.setattr(_generated, "_generator", lambda: generate)
    assert _call.takes_wanted(type(bare()))
    assert list(_call.backward(bare(), {"y": np.ones((2, 4))}, (X, W), frozenset({"W"}), SHAPES)) == ["W"]
    assert set(bare().backward(np.ones((2, 4)), (X, W))) == BOTH
    assert seen == [("bare", frozenset({"W"})), ("bare", BOTH)]
