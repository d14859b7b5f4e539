"""What the tests of the suite's own parts share: cases by hand, operations to spoil, and what one kind says of one case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Activation, Layer, PerAxis, at_least, between, one_of
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import indices, tanh, total
from cnnframe_derivations import derive
from cnnframe_derivations._evaluate import Evaluation
from cnnframe_derivations.suite._cases import Case
from cnnframe_derivations.suite._coverage import sample
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._verdict import Evidence, Refutation

OPS = cf.load()


ANY = {ELLIPSIS: (4,)}


def case(op, sizes=ANY, dtype="float64", layout="C", lattice="small", seed=1):
    """A case by hand."""
    return Case(op, {**op.declaration.known, **sizes}, dtype, layout, lattice, seed)


def pointwise(made, f=np.copy, df=np.ones_like, expr=lambda x: x, base=Activation, **hypers):
    """An activation from three functions."""
    body = {"name": made, "f": lambda self, x: f(x), "df": lambda self, x, y: df(x), "expr": lambda self, x: expr(x), **hypers}
    return dataclass(frozen=True)(type(made, (base,), body))


def evaluation_of(cls, sizes=ANY):
    op = sample(cls)
    return Evaluation(derive(op), op, {**op.declaration.known, **sizes})


def check(module, op, sizes=ANY, **more):
    """What one kind of evidence says about one case: nothing refuted, or the refutation is raised."""
    evidence = Evidence(module.KIND)
    module.CHECK.judge(Oracle(module.CHECK.prepare(case(op, sizes, **more))), evidence)
    return evidence


def refutation_of(module, op, sizes=ANY, **more):
    with pytest.raises(Refutation) as caught:
        check(module, op, sizes, **more)
    return caught.value.finding


@dataclass(frozen=True)
class Settled(Activation):
    """Hyperparameters of every kind of bound."""

    count: Annotated[int, at_least(2)]
    open: Annotated[float, between(0, 1, include_low=False, include_high=False)]
    closed: Annotated[float, between(0, 1)] = 0.125
    few: Annotated[int, between(-1, 1)] = 0
    above: Annotated[int, between(0, 9, include_low=False)] = 1
    free: int = 0
    word: Annotated[str, one_of("a", "b")] = "a"
    axes: Annotated[PerAxis, at_least(1)] = (1, 1)

    name = "settled"

    def f(self, x):
        return x * 1

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


def at(cls, *values):
    """The oracle of an activation at given numbers."""
    op = sample(cls)
    array = np.array(values, dtype=np.float64)
    return Oracle.at(case(op, {ELLIPSIS: array.shape}), {"x": array}, {"y": np.ones_like(array)})


class Careless(Layer):
    """A layer of which each test spoils one method."""

    name = "careless"
    inputs = {"x": "n"}
    output = "n"

    def forward(self, x):
        return 2 * x, None

    def backward(self, dy, saved):
        return {"x": 2 * dy}

    def formula(self, at, x):
        return 2 * x[at]


def careless(forward=None, backward=None):
    body = {name: method for name, method in (("forward", forward), ("backward", backward)) if method}
    return dataclass(frozen=True)(type("Careless", (Careless,), body))()


@dataclass(frozen=True)
class Total(Layer):
    """The sum of each row."""

    name = "total"
    inputs = {"x": "n c"}
    output = "n"

    def forward(self, x):
        return x.sum(axis=1), x

    def backward(self, dy, saved):
        return {"x": np.broadcast_to(dy[:, None], saved.shape).copy()}

    def formula(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(x[n, k], (k, x.shape[1]))


def broken(name="broken", base=Careless, **methods):
    return dataclass(frozen=True)(type("Broken", (base,), {"name": name, **methods}))()


def count_up(held=[0]):  # noqa: B006 # it is meant to last from call to call
    held[0] += 1
    return held[0]


@dataclass(frozen=True)
class Both(Layer):
    """Two outputs of two inputs."""

    name = "both"
    inputs = {"a": "n", "b": "n"}
    output = {"y": "n", "z": "n"}

    def forward(self, a, b):
        return {"y": a + 2 * b, "z": 3 * a}, None

    def backward(self, dy, saved):
        return {"a": dy["y"] + 3 * dy["z"], "b": 2 * dy["y"]}

    def formula(self, at, a, b):
        return {"y": a[at["y"]] + 2 * b[at["y"]], "z": 3 * a[at["z"]]}


@dataclass(frozen=True)
class BothCurved(Both):
    """The same of logistic functions, which no lattice makes exact."""

    name = "both_curved"

    def forward(self, a, b):
        a, b = np.tanh(a), np.tanh(b)
        return {"y": a + 2 * b, "z": 3 * a}, (1 - a * a, 1 - b * b)

    def backward(self, dy, saved):
        return {"a": (dy["y"] + 3 * dy["z"]) * saved[0], "b": 2 * dy["y"] * saved[1]}

    def formula(self, at, a, b):
        return {"y": tanh(a[at["y"]]) + 2 * tanh(b[at["y"]]), "z": 3 * tanh(a[at["z"]])}


def second_output(base, change):
    """A copy of which `change` spoils the output z."""

    def forward(self, a, b):
        made, saved = base.forward(self, a, b)
        return {**made, "z": change(made["z"])}, saved

    return broken("second_output", base, forward=forward)


def second_gradient(base, change):
    """A copy of which `change` spoils the gradient of b."""

    def backward(self, dy, saved):
        made = base.backward(self, dy, saved)
        return {**made, "b": change(made["b"])}

    return broken("second_gradient", base, backward=backward)


def first_gradient(base, change):
    """A copy of which `change` spoils the gradient of a."""

    def backward(self, dy, saved):
        made = base.backward(self, dy, saved)
        return {**made, "a": change(made["a"])}

    return broken("first_gradient", base, backward=backward)
