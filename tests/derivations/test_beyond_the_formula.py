"""What an operation promises beyond its formula is held against its code, and nothing more is asked of one that promises less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from cnnframe import Activation, Layer, bias
from cnnframe.algebra import softplus, when
from cnnframe_derivations import Settings, verify
from cnnframe_derivations.suite import replay
from cnnframe_derivations.suite._values import LINE, fill


@dataclass(frozen=True)
class Soft(Activation):
    """log(1 + exp(x)) as it is written: off by the rounding of 1."""

    name = "soft"

    def f(self, x):
        return np.where(x > 30, x, np.log(1 + np.exp(np.minimum(x, 30))))

    def df(self, x, y):
        return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))

    def expr(self, x):
        return softplus(x)


@dataclass(frozen=True)
class Positive(Activation):
    """The positive part by a comparison, which no NaN passes."""

    name = "positive"

    def f(self, x):
        return np.where(x > 0, x, 0)

    def df(self, x, y):
        return (x > 0).astype(x.dtype)

    def expr(self, x):
        return when(x > 0, x, 0)


@dataclass(frozen=True)
class Half(Layer):
    """x / 2 + b, by a square root of a square; right but for what it promises."""

    name = "half"
    inputs = {"x": "n c"}
    params = {"b": bias("c")}
    output = "n c"

    def forward(self, x, b):
        y = x / 2 + b
        return np.where(np.isinf(np.square(y)), np.inf, np.where(np.abs(y) < np.finfo(y.dtype).tiny, 0, y)).astype(x.dtype), None

    def backward(self, dy, saved):
        return {"x": dy / 2, "b": dy.sum(axis=0)}

    def formula(self, at, x, b):
        n, c = at
        return x[n, c] / 2 + b[c]


def promising(cls, **promises):
    return dataclass(frozen=True)(type(cls.__name__, (cls,), {"name": cls.name, "__module__": __name__, **promises}))


@pytest.mark.parametrize("cls", [Soft, Positive])
def test_nothing_is_asked_that_is_not_promised(cls):
    assert verify(cls).verdict == "verified"


@pytest.mark.parametrize(
    ("cls", "promises", "certificate"),
    [
        (Soft, {"keeps_digits": ("y",)}, "it promises to keep its digits"),
        (Half, {"keeps_digits": ("y",)}, "it promises to keep its digits"),
        (Positive, {"full_range": True}, "what is not a number must not become one"),
        (Half, {"full_range": True}, "fits in"),
    ],
)
def test_a_promise_that_is_not_kept_is_refuted_and_replayed(cls, promises, certificate):
    broken = promising(cls, **promises)
    report = verify(broken, Settings("smoke" if cls is not Positive else "quick"))
    assert report.verdict == "refuted"
    assert certificate in report.finding.certificate
    if report.finding.replay:
        assert replay(broken, report.finding.replay).verdict == "refuted"


def test_a_promise_of_what_is_no_array_is_refused():
    report = verify(promising(Soft, keeps_digits=("z",)), Settings("glance"))
    assert report.verdict == "refuted"
    assert "keeps_digits names 'z'" in report.finding.what


def test_the_line_has_a_number_near_every_size():
    values = fill("line", np.random.default_rng(0), (LINE,), 24)
    assert (np.histogram(values, np.arange(-40, 41))[0] > 0).all()
    assert {int(k) for k in np.floor(np.log2(np.abs(values)))} >= set(range(-58, 7, 2))
