"""Sources of activations are found on disk by all that they are made from."""

from __future__ import annotations

import importlib.util
import sys

import pytest

import cnnframe as cf
from cnnframe_plugins.fused import _known

HEAD = """
from dataclasses import dataclass
import os
import numpy as np
import sympy
import helpers_of_an_activation as helpers
from cnnframe import Activation
from cnnframe.algebra import tanh
from helpers_of_an_activation import twice

GAIN = 1.5
TABLE = {"gain": 1.5}
SHAPE = sympy.Lambda(sympy.Symbol("t"), 1 / (1 + sympy.Symbol("t")))
POLY = np.poly1d([0.25, 0.5, 0])

def inner(x, power=2):
    return GAIN * x**power

@dataclass(frozen=True)
class Bent(Activation):
    name = "bent"
    slope = 0.5

    def f(self, x):
        return np.tanh(x)

    def df(self, x, y):
        return 1 - y * y

    def own(self, x):
        return x + 1

    def expr(self, x):
        return EXPRESSION
"""
HELPERS = """
def twice(x):
    return 2 * x
"""


def made(folder, monkeypatch, expression, head=HEAD, helpers=HELPERS):
    """The activation of a module that is written and imported anew."""
    for name, text in (("helpers_of_an_activation", helpers), ("module_of_an_activation", head.replace("EXPRESSION", expression))):
        path = folder / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        # Without a cache of bytecode, which a second text within the same second would be taken from.
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 # the module's own text
    return module.Bent()


def key(*given, **more):
    return _known.recall(made(*given, **more), "float32")[0]


@pytest.mark.parametrize(
    ("expression", "before", "after"),
    [
        ("tanh(GAIN * x)", "GAIN = 1.5", "GAIN = 2.5"),
        ("inner(x)", "GAIN = 1.5", "GAIN = 2.5"),
        ("inner(x)", "GAIN * x**power", "GAIN - x**power"),
        ("inner(x)", "power=2", "power=3"),
        ("twice(x)", "2 * x", "3 * x"),
        ("self.own(x)", "x + 1", "x + 2"),
        ("self.slope * x", "slope = 0.5", "slope = 0.25"),
        ("(lambda u: u + GAIN)(x)", "GAIN = 1.5", "GAIN = 2.5"),
        ("tanh(x) + 1", "tanh(x) + 1", "tanh(x) + 2"),
    ],
)
def test_whatever_an_expression_comes_from_is_part_of_the_name(expression, before, after, tmp_path, monkeypatch):
    first = key(tmp_path, monkeypatch, expression)
    assert first is not None and first == key(tmp_path, monkeypatch, expression)
    changed = [text.replace("EXPRESSION", expression).replace(before, after) for text in (HEAD, HELPERS)]
    other = key(tmp_path, monkeypatch, expression, *changed)
    assert other is not None and other != first


def test_the_code_counts_and_not_the_file_that_it_was_in(tmp_path, monkeypatch):
    activation = made(tmp_path, monkeypatch, "tanh(x)")
    before = _known.recall(activation, "float32")[0]
    (tmp_path / "module_of_an_activation.py").write_text("# written anew")
    assert _known.recall(activation, "float32")[0] == before


@pytest.mark.parametrize(
    "expression",
    [
        "float(os.environ['GAIN']) * x",
        "TABLE['gain'] * x",
        "helpers.twice(x)",
        "__import__('math').pi * x",
        "self.inputs['x'] and x",
        "sympy.pi * x + os.sep",
        "SHAPE(x)",
        "POLY(x)",
    ],
)
def test_where_it_cannot_be_told_nothing_is_kept(expression, tmp_path, monkeypatch):
    assert key(tmp_path, monkeypatch, expression) is None


def test_what_an_activation_has_besides_its_fields_cannot_be_told(tmp_path, monkeypatch):
    activation = made(tmp_path, monkeypatch, "self.gain * x")
    object.__setattr__(activation, "gain", 2.0)
    assert _known.recall(activation, "float32")[0] is None


def test_sources_of_the_box_are_kept():
    ops = cf.load()
    activations = [ops.make(name) for name, cls in ops.operations().items() if issubclass(cls, cf.Activation)]
    names = {_known.recall(activation, dtype)[0] for activation in activations for dtype in ("float32", "float64")}
    assert None not in names and len(names) == 2 * len(activations) >= 12
