"""`cnnframe verify` and `cnnframe derive`, as a person calls them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

WRONG = '''
from dataclasses import dataclass

import numpy as np

from cnnframe import Activation


@dataclass(frozen=True)
class Doubled(Activation):
    """2 x, with the derivative of x."""

    name = "doubled"

    def f(self, x):
        return 2 * x

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return 2 * x


class NoOperation:
    pass
'''


def cnnframe(*arguments, cwd=None):
    """Run the command line in a process of its own."""
    done = subprocess.run([sys.executable, "-c", "from cnnframe.cli import main; main()", *arguments], capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def test_verified_operations_exit_with_0_and_a_table():
    code, out, _ = cnnframe("verify", "identity", "relu")
    assert code == 0
    assert "identity" in out
    assert "2 verified;" in out


def test_a_refuted_one_exits_with_1_and_shows_the_case(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    for name in ("mine:Doubled", "mine.py:Doubled"):
        code, out, _ = cnnframe("verify", name, "identity", cwd=tmp_path)
        assert code == 1
        assert "doubled: refuted by exact" in out
        assert "entry (0,) of the gradient of 'x'" in out
        assert "1 verified, 1 refuted" in out
        (line,) = (line for line in out.splitlines() if line.strip().startswith("replay: "))
        arguments = shlex.split(line.partition("cnnframe ")[2])
        assert arguments[:2] == ["verify", name]
        code, again, _ = cnnframe(*arguments, cwd=tmp_path)
        assert code == 1
        assert "doubled: refuted by exact" in again


def test_json_holds_the_same_verdicts(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    code, out, _ = cnnframe("verify", "mine:Doubled", "identity", "--json", cwd=tmp_path)
    assert code == 1
    reports = json.loads(out)["reports"]
    assert [(r["name"], r["verdict"]) for r in reports] == [("doubled", "refuted"), ("identity", "verified")]
    case = reports[0]["evidence"]["exact"]["finding"]["replay"]
    code, out, _ = cnnframe("verify", "mine:Doubled", "--case", case, cwd=tmp_path)
    assert code == 1
    assert "must be 2; got 1" in out or "must be -2; got -1" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "rellu"], "nothing is registered as 'rellu'; did you mean 'relu'?"),
        (["verify", "mine:Nothing"], "mine has no 'Nothing'"),
        (["verify", "nowhere:Layer"], "nowhere cannot be imported"),
        (["verify", "nowhere.py:Layer"], "there is no file nowhere.py"),
        (["verify", "mine:NoOperation"], "mine:NoOperation is no operation"),
        (["verify", "relu", "--profile", "quik"], "there is no profile 'quik'; did you mean 'quick'?"),
        (["verify", "relu", "identity", "--case", "{}"], "--case goes with the name of one operation"),
        (["verify", "relu", "--case", "{}"], "--case is not a case that a report printed"),
        (["verify", "relu", "--case", "nonsense"], "--case is not a case that a report printed"),
        (["verify", "sgd"], "sgd is no operation"),
        (["derive", "convv"], "did you mean 'conv'?"),
        (["derive", "conv", "--choose", "dim=1"], "conv has no choice 'dim'; did you mean 'dims'?"),
        (["derive", "conv", "--choose", "dims=7"], "dims must be one of 1, 2, 3; got '7'"),
    ],
)
def test_mistakes_exit_with_2_and_one_line(tmp_path, arguments, message):
    (tmp_path / "mine.py").write_text(WRONG)
    code, _, err = cnnframe(*arguments, cwd=tmp_path)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_derive_prints_the_papers_gradients():
    code, out, _ = cnnframe("derive", "dense")
    assert code == 0
    assert out.splitlines() == [
        r"y_{n,j} = b_{j} + \sum_{i=0}^{I - 1} W_{j,i} x_{n,i}",
        "",
        r"\frac{\partial E}{\partial x_{p,q}} = \sum_{j=0}^{\mathrm{units} - 1} W_{j,q} \delta^{y}_{p,j}",
        "",
        r"\frac{\partial E}{\partial W_{p,q}} = \sum_{n=0}^{N - 1} \delta^{y}_{n,p} x_{n,q}",
        "",
        r"\frac{\partial E}{\partial b_{p}} = \sum_{n=0}^{N - 1} \delta^{y}_{n,p}",
    ]


def test_derive_writes_a_document_and_json(tmp_path):
    code, _, _ = cnnframe("derive", "conv", "--choose", "dims=1", "--page", "conv.tex", cwd=tmp_path)
    assert code == 0
    page = (tmp_path / "conv.tex").read_text()
    assert page.startswith(r"\documentclass")
    assert page.count(r"\begin{gather*}") == 5
    code, out, _ = cnnframe("derive", "softmax", "--json")
    assert code == 0
    assert set(json.loads(out)["equations"]) == {"e", "Z", "y", "bar_Z", "bar_e", "dE/dx"}
