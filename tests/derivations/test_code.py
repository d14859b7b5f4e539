"""Code that is made from formulas: held to the suite, to the code written by hand, and to itself by its other schedule."""

from __future__ import annotations

import math
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

import cnnframe as cf
from cnnframe import Layer, Op, at_least, positive
from cnnframe._call import backward as call_backward
from cnnframe._call import takes_wanted
from cnnframe.algebra import exp, indices, log, sqrt, total, when
from cnnframe_derivations import verify
from cnnframe_derivations._symbolic import default_structure, structure
from cnnframe_derivations.code import CodeError, _generate, backward_function, source
from cnnframe_derivations.proofs._prove import structures
from cnnframe_derivations.suite._cases import cases
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._run import Settings
from cnnframe_derivations.suite._verdict import Skip

OPS = {name: cls for name, cls in cf.load().items() if isinstance(cls, type) and issubclass(cls, Op)}
assert len(OPS) >= 33


def twin(cls):
    """The operation without the backward that was written for it."""

    def forward(self, **arrays):
        return cls.forward(self, **arrays)[0], tuple(arrays[name] for name in self.declaration.arguments)

    body = {"name": cls.name, "forward": forward, "backward": Op.backward, "__module__": __name__}
    return dataclass(frozen=True)(type(f"Generated{cls.__name__}", (cls,), body))


@pytest.mark.parametrize("name", OPS)
def test_the_suite_does_not_refute_it(name):
    # This profile draws too few cases to verify, and any wrong one of them refutes.
    report = verify(twin(OPS[name]), Settings("glance"))
    assert report.verdict != "refuted", report


@pytest.mark.parametrize("name", ["dense", "l1", "softmax"])
def test_the_suite_verifies_it(name):
    report = verify(twin(OPS[name]), Settings("quick"))
    assert report.verdict == "verified", report


@pytest.mark.parametrize(("name", "chosen"), [(name, chosen) for name, cls in OPS.items() for chosen in structures(cls)])
def test_every_structure_has_code_that_compiles_and_fits_the_line(name, chosen):
    text = source(OPS[name], chosen)
    compile(text, name, "exec")
    assert text.count("def backward(self, dy, saved, wanted=") == 1
    assert all(len(line) <= 160 for line in text.splitlines())


@pytest.mark.parametrize("name", OPS)
def test_it_equals_the_code_written_by_hand(name):
    @seed(7)
    @settings(max_examples=12, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(OPS[name]))
    def compare(case):
        oracle = Oracle(case)
        arrays, cotangents = case.laid_out(oracle.arrays), case.laid_out(oracle.cotangents)
        dy = cotangents["y"] if case.op.single else cotangents
        with np.errstate(all="ignore"):
            wanted = case.op.backward(dy, case.op.forward(**arrays)[1])
            got = backward_function(case.op)(dy, tuple(arrays.values()))
        assert list(got) == list(case.op.declaration.differentiable)
        for key, value in got.items():
            assert value.dtype == case.dtype and value.shape == case.shapes[key]
            if oracle.exact:
                np.testing.assert_array_equal(value, wanted[key])
            else:
                try:
                    truth = oracle.gradients[key]
                except Skip:
                    continue
                assert truth.first_miss(value) is None

    compare()


@pytest.mark.parametrize("name", OPS)
def test_both_schedules_agree_on_the_lattice(name):
    @seed(11)
    @settings(max_examples=6, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(OPS[name]))
    def compare(case):
        oracle = Oracle(case)
        dy = oracle.cotangents["y"] if case.op.single else oracle.cotangents
        found = []
        for schedule in ("gather", "scatter"):
            try:
                found.append(backward_function(case.op, schedule)(dy, tuple(oracle.arrays.values())))
            except CodeError:
                assert schedule == "gather"
        if oracle.exact and len(found) == 2:
            for key, value in found[0].items():
                np.testing.assert_array_equal(value, found[1][key])

    compare()


def test_a_schedule_that_there_is_not():
    with pytest.raises(CodeError, match=r'^schedule is "auto", "gather" or "scatter"; got \'both\'$'):
        source(OPS["dense"], default_structure(OPS["dense"]), "both")


def test_a_stride_cannot_be_gathered():
    with pytest.raises(CodeError, match=r"^conv, gradient of 'x': bar_x: .*stride0\*u.* = 0 cannot be solved for an index that is summed over$"):
        source(OPS["conv"], default_structure(OPS["conv"]), "gather")


@dataclass(frozen=True)
class Cumulate(Layer):
    """The sum of all entries before and at each: a guard that neither zeros nor cropping realise."""

    name = "cumulate"
    inputs = {"x": "n h"}
    output = "n h"

    def forward(self, x):
        return x.cumsum(axis=1), (x,)

    def formula(self, at, x):
        n, u = at
        (v,) = indices("v")
        return total(x[n, v], (v, x.shape[1]), where=[v <= u])


def test_a_guard_that_cannot_be_realised_is_named():
    op = Cumulate()
    with pytest.raises(CodeError, match=r"^cumulate, gradient of 'x': bar_x: the guard .* >= 0 does not follow, and neither zeros .* nor cropping realise it$"):
        op.backward(np.ones((2, 3)), (np.ones((2, 3)),))


@dataclass(frozen=True)
class Diagonal(Layer):
    """A vector times the diagonal of a matrix."""

    name = "diagonal"
    inputs = {"x": "n i"}
    params = {"A": "i i"}
    output = "n i"

    def forward(self, x, A):
        return x * np.diagonal(A), (x, A)

    def formula(self, at, x, A):
        return x[at] * A[at[1], at[1]]


def test_a_gradient_on_a_diagonal_is_refused():
    with pytest.raises(CodeError, match=r"^diagonal, gradient of 'A': bar_A: only the entries where . = . get something, a diagonal"):
        source(Diagonal, default_structure(Diagonal))


@dataclass(frozen=True)
class Amplify(Layer):
    """Any axes times one number."""

    name = "amplify"
    inputs = {"x": "..."}
    params = {"a": ""}
    output = "..."

    def forward(self, x, a):
        return a * x, (x, a)

    def formula(self, at, x, a):
        return a * x[at]


def test_a_sum_over_any_axes():
    assert verify(Amplify).verdict == "verified"


@dataclass(frozen=True)
class Guarded(Layer):
    """x log x where x > 0, and 0 elsewhere."""

    name = "guarded"
    inputs = {"x": "..."}
    output = "..."

    def forward(self, x):
        safe = np.where(x > 0, x, 1)
        return np.where(x > 0, x * np.log(safe), 0), (x,)

    def formula(self, at, x):
        return when(x[at] > 0, x[at] * log(x[at]), 0)


def test_a_branch_that_is_not_taken_neither_warns_nor_counts():
    x = np.array([-1.0, 0.0, 1.0, np.e])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Guarded().backward(np.ones(4), (x,))["x"]
    np.testing.assert_allclose(found, [0, 0, 1, 2])


@pytest.mark.parametrize("name", ["softmax", "softmax_cross_entropy", "alpha_l1", "alpha_square", "alpha_entropy", "alpha_power", "combine"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_large_logits_do_not_overflow(name, dtype):
    given = {"strength": 0.5} if name.startswith("alpha") else {"maps": 2, "size": 2} if name == "combine" else {}
    op = cf.load().make(name, **given)
    logits = np.array([[800.0, -800.0], [-800.0, 790.0], [0.0, 800.0]], dtype)
    rng = np.random.default_rng(0)
    arrays = {n: logits for n in op.inputs if n != "x" or name == "softmax"}
    if name == "softmax_cross_entropy":
        arrays["t"] = np.eye(3, 2, dtype=dtype)
    if name == "combine":
        arrays = {"x": rng.normal(size=(2, 3, 4, 4)), "k": rng.normal(size=(3, 2, 2)), "c": logits, "b": np.zeros(2)}
    arrays = {n: v.astype(dtype) for n, v in arrays.items()}
    y, saved = op.forward(**arrays)
    dy = np.ones(np.shape(y), dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = backward_function(op)(dy, tuple(arrays[n] for n in op.declaration.arguments))
    wanted = op.backward(dy, saved)
    for key, value in got.items():
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value, wanted[key], rtol=1e-4, atol=1e-4)


def test_exponentials_that_are_no_ratios_are_left_alone():
    @dataclass(frozen=True)
    class Partition(Layer):
        """The sum of exponentials, which does change when they are divided."""

        name = "partition"
        inputs = {"x": "n c"}
        output = "n"

        def forward(self, x):
            return np.exp(x).sum(axis=1), (x,)

        def formula(self, at, x):
            (k,) = indices("k")
            return total(exp(x[at[0], k]), (k, x.shape[1]))

    x = np.array([[1.0, 2.0]])
    np.testing.assert_allclose(Partition().backward(np.ones(1), (x,))["x"], np.exp(x))


@dataclass(frozen=True)
class Scaled(Layer):
    """A layer with a formula and no backward."""

    by: Annotated[int, at_least(1)] = 2

    name = "scaled"
    inputs = {"x": "n i"}
    params = {"g": "i"}
    output = "n i"

    def forward(self, x, g):
        return self.by * g * x, (x, g)

    def formula(self, at, x, g):
        return self.by * g[at[1]] * x[at]


X, G = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])


def test_an_operation_without_backward():
    found = Scaled().backward(np.ones((2, 3)), (X, G))
    np.testing.assert_array_equal(found["x"], np.broadcast_to(2 * G, (2, 3)))
    np.testing.assert_array_equal(found["g"], 2 * X.sum(axis=0))
    assert takes_wanted(Scaled)
    alone = call_backward(Scaled(), {"y": np.ones((2, 3))}, (X, G), frozenset({"g"}), {"g": G.shape})
    assert list(alone) == ["g"]
    assert verify(Scaled).verdict == "verified"


@dataclass(frozen=True)
class Decayed(Layer):
    """The sum of each row, times powers and functions of a hyperparameter."""

    scale: Annotated[float, positive] = 1.5

    name = "decayed"
    inputs = {"x": "n i"}
    output = "n"

    def forward(self, x):
        return (self.scale**2 * self.scale**0.5 * math.exp(-self.scale)) * x.sum(axis=1), (x,)

    def formula(self, at, x):
        (i,) = indices("i")
        return self.scale**2 * sqrt(self.scale) * exp(-self.scale) * total(x[at[0], i], (i, x.shape[1]))


def test_numbers_take_the_element_type_and_a_row_is_spread_once():
    """NumPy's own numbers made float64 of float32, and an axis was added twice before an entry was spread over it."""
    x, dy = np.ones((2, 3), np.float32), np.ones(2, np.float32)
    found = backward_function(Decayed(2.0))(dy, (x,))["x"]
    assert found.dtype == np.float32 and found.shape == (2, 3)
    np.testing.assert_allclose(found, 4 * math.sqrt(2) * math.exp(-2), rtol=1e-6)
    assert verify(Decayed).verdict == "verified"


@pytest.mark.parametrize(("saved", "got"), [(X, "ndarray"), ((X,), "a tuple of 1"), (None, "NoneType"), ([X, G], "list")])
def test_a_wrong_saved_is_named(saved, got):
    with pytest.raises(
        cf.ContractError, match=rf"^scaled has no backward of its own, so its forward must save the tuple of its arguments \(x, g\); got {got}$"
    ):
        Scaled().backward(np.ones((2, 3)), saved)


def test_an_identity_shares_no_memory():
    for name, count in {"identity": 1, "add": 2, "flatten": 1, "concatenate": 2}.items():
        op = cf.load().make(name)
        arrays = tuple(np.ones((2, 3, 4, 4)) for _ in range(count))
        dy = np.ones(np.shape(op.forward(*arrays)[0]))
        found = list(backward_function(op)(dy, arrays).values())
        for k, value in enumerate(found):
            assert not any(np.shares_memory(value, other) for other in (dy, *arrays, *found[:k]))


def test_the_same_source_every_time():
    text = source(OPS["combine"], default_structure(OPS["combine"]))
    _generate._gradients.cache_clear()
    assert source(OPS["combine"], structure(OPS["combine"](maps=2, size=2))) == text


RUFF = shutil.which("ruff")


@pytest.mark.skipif(RUFF is None, reason="ruff is not installed")
@pytest.mark.parametrize("name", ["dense", "conv", "subsample", "combine", "max_pool", "logistic", "softmax_cross_entropy"])
def test_the_source_is_formatted(name):
    text = source(OPS[name], default_structure(OPS[name]))
    command = [RUFF, "format", "--line-length", "160", "--stdin-filename", "generated.py", "-"]
    assert subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout == text
