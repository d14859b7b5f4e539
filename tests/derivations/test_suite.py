"""The suite itself: verdicts, reports, replay, determinism, and the cases that it draws."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
from right_but_odd import RIGHT_BUT_ODD

import cnnframe as cf
from cnnframe import Activation, Layer, at_least
from cnnframe.algebra import indices, log, total
from cnnframe_derivations import Report, Settings, verify
from cnnframe_derivations.suite import gather, replay
from cnnframe_derivations.suite._cases import LAYOUTS, Case, lay_out
from cnnframe_derivations.suite._coverage import awkward
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._run import KINDS
from cnnframe_derivations.suite._values import exact_amplitude

OPS = cf.load()


@dataclass(frozen=True)
class LostBatchSum(Layer):
    """A dense layer whose bias gradient is that of the first entry of the batch."""

    units: Annotated[int, at_least(1)]

    name = "lost_batch_sum"
    inputs = {"x": "n i"}
    params = {"W": "units i", "b": "units"}
    output = "n units"

    def forward(self, x, W, b):
        return x @ W.T + b, (x, W)

    def backward(self, dy, saved):
        x, W = saved
        return {"x": dy @ W, "W": dy.T @ x, "b": dy[:1].sum(axis=0)}

    def formula(self, at, x, W, b):
        n, unit = at
        (i,) = indices("i")
        return b[unit] + total(W[unit, i] * x[n, i], (i, x.shape[1]))


def test_a_wrong_layer_is_refuted_with_a_small_case_in_few_lines():
    report = verify(LostBatchSum)
    assert report.verdict == "refuted"
    lines = str(report).splitlines()
    assert len(lines) <= 25
    assert "gradient of 'b'" in lines[1]
    sizes = json.loads(report.finding.replay)["sizes"]
    assert sizes == {"i": 1, "n": 2}


def test_the_replay_line_reproduces_the_finding():
    finding = verify(LostBatchSum).finding
    again = replay(LostBatchSum, finding.replay)
    assert again.verdict == "refuted"
    assert again.finding.what == finding.what


def test_the_same_seed_draws_the_same_cases_whatever_modules_are_loaded(tmp_path):
    """Hypothesis would mix the constants of a user's modules into what it draws."""
    (tmp_path / "full_of_numbers.py").write_text("\n".join(f"x{n} = {n}" for n in range(3, 4000, 7)))
    code = "import cnnframe, cnnframe_derivations as d; print(d.verify(cnnframe.load()['conv'], d.Settings('smoke')).to_dict())"
    found = {
        subprocess.run([sys.executable, "-c", first + code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for first in ("", "import full_of_numbers; ")
    }
    assert len(found) == 1


def test_the_same_settings_give_the_same_report_and_other_seeds_other_cases():
    first, second = (verify(OPS["dense"], Settings("smoke", seed=3)).to_dict() for _ in range(2))
    assert first == second
    third = verify(OPS["dense"], Settings("smoke", seed=4)).to_dict()
    assert third != first


def test_a_right_layer_is_verified_and_counts_are_shown():
    report = verify(OPS["dense"])
    assert report.verdict == "verified"
    assert {e.kind for e in report.evidence} == set(KINDS)
    exact = next(e for e in report.to_dict()["evidence"] if e["kind"] == "exact")
    assert all(exact["compared"][f"gradient of {name!r}"] > 10 for name in ("x", "W", "b"))
    assert exact["compared"]["output"] > 10


def test_a_formula_that_cannot_be_read_leaves_the_verdict_open():
    @dataclass(frozen=True)
    class Unreadable(Activation):
        name = "unreadable"

        def f(self, x):
            return np.copy(x)

        def df(self, x, y):
            return np.ones_like(x)

        def expr(self, x):
            return 1 / 0

    report = verify(Unreadable)
    assert report.verdict == "inconclusive"
    assert "formula raised ZeroDivisionError" in report.why


def test_an_operation_that_raises_is_refuted_and_named():
    @dataclass(frozen=True)
    class Raises(Activation):
        name = "raises"

        def f(self, x):
            raise RuntimeError("not today")

        def df(self, x, y):
            return np.ones_like(x)

        def expr(self, x):
            return x

    report = verify(Raises)
    assert report.verdict == "refuted"
    assert "forward raised RuntimeError: not today" in report.finding.what


@pytest.mark.parametrize("method", ["f", "df", "expr"])
def test_an_operation_that_exits_does_not_end_the_run(method):
    def leave(*arguments):
        sys.exit(0)

    body = {"f": lambda self, x: np.copy(x), "df": lambda self, x, y: np.ones_like(x), "expr": lambda self, x: x, method: leave}
    cls = dataclass(frozen=True)(type("Leaves", (Activation,), {"name": "leaves", **body}))
    report = verify(cls)
    assert report.verdict == ("inconclusive" if method == "expr" else "refuted")
    assert "SystemExit" in report.why


def test_where_the_formula_is_not_finite_nothing_is_judged():
    @dataclass(frozen=True)
    class Logarithm(Activation):
        name = "logarithm"

        def f(self, x):
            return np.log(x)

        def df(self, x, y):
            return 1 / x

        def expr(self, x):
            return log(x)

    report = verify(Logarithm)
    assert report.finding is None
    assert report.skipped["the formula or its gradient is not finite there"] > 10


def test_a_wrong_backward_with_a_formula_that_agrees_is_seen_by_differences_alone():
    """Formula and backward are those of 2 x, forward is 3 x: nothing but differences of forward knows."""

    @dataclass(frozen=True)
    class Apart(Activation):
        name = "apart"

        def f(self, x):
            return 3 * x

        def df(self, x, y):
            return np.full_like(x, 2)

        def expr(self, x):
            return 2 * x

    evidence = gather("independent", Apart)
    assert evidence.state == "refuted"


def test_a_fault_of_our_own_derivation_is_not_blamed_on_the_code(monkeypatch):
    monkeypatch.setattr(Oracle, "difference_quotient", lambda self, name, entry: 12345.0)
    evidence = gather("exact", LostBatchSum)
    assert evidence.finding is None
    assert "our oracles disagree" in evidence.doubt


def test_what_an_operation_prints_stays_off_the_report(capsys):
    @dataclass(frozen=True)
    class Prints(Activation):
        name = "prints"

        def f(self, x):
            print("hello")
            return np.copy(x)

        def df(self, x, y):
            return np.ones_like(x)

        def expr(self, x):
            return x

    verify(Prints, Settings("smoke"))
    assert capsys.readouterr().out == ""


def test_a_hyperparameter_that_is_not_refused_is_a_doubt():
    @dataclass(frozen=True)
    class Lenient(Activation):
        slope: Annotated[int, at_least(1)] = 1

        name = "lenient"

        def __post_init__(self):
            """Skip the check of the bounds."""

        def f(self, x):
            return x * self.slope

        def df(self, x, y):
            return np.full_like(x, self.slope)

        def expr(self, x):
            return x * self.slope

    evidence = gather("contract", Lenient)
    assert evidence.state == "inconclusive"
    assert "was accepted" in evidence.doubt


def test_no_evidence_is_no_verdict():
    assert Report("nothing", (), "nothing").verdict == "inconclusive"


def test_awkward_settings_are_read_off_the_declaration():
    assert awkward(OPS["conv"]) >= {
        "a batch above four",
        "a batch of one",
        "a map that is not square",
        "an empty batch",
        "dilation above 1",
        "dims=3",
        "groups above 1",
        "orientation='correlation'",
        "padding not the same on all axes",
        "size not the same on all axes",
        "stride above size",
        "stride below size",
    }
    assert "a batch of one" not in awkward(OPS["l2"])


def test_coverage_of_awkward_settings_is_demanded(monkeypatch):
    monkeypatch.setattr("cnnframe_derivations.suite._bench.awkward", lambda cls: {"a feature that no case has"})
    # Another seed, so that no bench is at hand whose cases were judged before.
    report = verify(OPS["identity"], Settings(seed=77))
    assert report.verdict == "inconclusive"
    assert "too few cases were drawn with a feature that no case has" in report.why


def test_layouts_keep_the_values_and_are_read_only():
    value = np.arange(24.0).reshape(2, 3, 4)
    for layout in LAYOUTS:
        laid = lay_out(value, layout)
        np.testing.assert_array_equal(laid, value)
        assert not laid.flags.writeable
    assert not lay_out(value, "strided").flags.contiguous
    assert not lay_out(value, "reversed").flags.contiguous
    assert lay_out(value, "F").flags.f_contiguous


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_values_fill_the_mantissa_and_stay_exact(dtype):
    op = OPS.make("dense", units=3)
    case = Case(op, {**op.declaration.known, "n": 4, "i": 5}, dtype, "C", "wide", 7)
    oracle = Oracle(case)
    assert oracle.exact
    digits = {"float32": 24, "float64": 53}[dtype]
    largest = max(float(np.max(np.abs(truth.value))) for truth in [*oracle.forward.values(), *oracle.gradients.values()])
    assert 2 ** (digits - 16) < largest < 2 ** (digits - 2)
    exact = [[sum(int(w) * int(v) for w, v in zip(row, entry, strict=True)) for row in oracle.arrays["W"]] for entry in oracle.arrays["x"]]
    np.testing.assert_array_equal(oracle.forward["y"].value, np.array(exact) + oracle.arrays["b"].astype(int))


def test_division_by_what_is_no_power_of_two_is_not_called_exact():
    for size, exact in ((2, True), (3, False)):
        op = OPS.make("mean_pool", size=size, stride=1, dims=1)
        oracle = Oracle(Case(op, {**op.declaration.known, "n": 1, "i": 1, "h0": 4}, "float64", "C", "small", 0))
        assert oracle.exact is exact
        assert (exact_amplitude(oracle.evaluation, "float64") > 0) is exact


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(
            "softmax_cross_entropy",
            '{"hyperparameters": {"targets": "index"}, "sizes": {"c": 5, "n": 5}, "dtype": "float32", "layout": "C", "values": "real", "seed": 265}',
            id="a small cotangent underflows",
        ),
        pytest.param(
            "dense",
            '{"hyperparameters": {"units": 9}, "sizes": {"i": 9, "n": 9}, "dtype": "float32", "layout": "reversed", "values": "deep", "seed": 0}',
            id="an array times itself is added up in another order",
        ),
    ],
)
def test_what_was_a_false_alarm_once_is_none(name, case):
    assert replay(OPS[name], case).verdict != "refuted"


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(
            "gaussian",
            '{"hyperparameters": {}, "sizes": {"...": [9, 8]}, "dtype": "float64", "layout": "F", "values": "real", "seed": 3472}',
            id="a complex step times a small derivative underflows",
        ),
        pytest.param(
            "softmax_unshifted_long",
            '{"hyperparameters": {}, "sizes": {"c": 2, "n": 3}, "dtype": "float64", "layout": "strided", "values": "real", "seed": 314}',
            id="code drops the imaginary part",
        ),
    ],
)
def test_what_left_right_code_in_doubt_once_does_not(name, case):
    (cls,) = (cls for cls in RIGHT_BUT_ODD if cls.name == name)
    assert not [evidence.doubt for evidence in replay(cls, case).evidence if evidence.doubt]
