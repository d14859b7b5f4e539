"""`cnnframe verify` and `cnnframe derive`, as a person calls them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import pytest

from cnnframe.cli._app import make_app

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


def here(*arguments, cwd="."):
    """Run the command line in this process: what starting one costs is most of what a mistake takes."""
    out, err = StringIO(), StringIO()
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as done:
        make_app()(list(arguments), prog_name="cnnframe")
    return done.value.code or 0, out.getvalue(), err.getvalue()


def cnnframe(*arguments, cwd=None):
    """Run the command line in a process of its own."""
    done = subprocess.run([sys.executable, "-c", "from cnnframe.cli import main; main()", *arguments], capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def test_verified_operations_exit_with_0_and_a_table():
    code, out, _ = cnnframe("verify", "identity", "relu")
    assert code == 0
    assert "identity" in out
    assert "2 verified;" in out


def test_kernels_go_by_their_own_name_below_their_operation_alone():
    _, out, _ = here("verify", "flatten@numpy_flatten", "identity", "identity@numpy_pointwise")
    rows = out[: out.index("numbers:")].splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["flatten@", "numpy_flatten", "identity", "numpy_pointwise"]
    assert [row.startswith("  ") for row in rows] == [False, True, False, True]


def test_a_refuted_one_exits_with_1_and_shows_the_case(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    for run, name in ((cnnframe, "mine:Doubled"), (here, "mine.py:Doubled")):
        code, out, _ = run("verify", name, cwd=tmp_path)
        assert code == 1
        assert "doubled: refuted by exact" in out
        assert "entry (0,) of the gradient of 'x'" in out
        assert "1 refuted" in out
        (line,) = (line for line in out.splitlines() if line.strip().startswith("replay: "))
        arguments = shlex.split(line.partition("cnnframe ")[2])
        assert arguments[:2] == ["verify", name]
        code, again, _ = here(*arguments, cwd=tmp_path)
        assert code == 1
        assert "doubled: refuted by exact" in again


def test_json_holds_the_same_verdicts(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    code, out, _ = here("verify", "mine.py:Doubled", "identity", "--json", cwd=tmp_path)
    assert code == 1
    reports = json.loads(out)["reports"]
    assert [(r["name"], r["verdict"]) for r in reports] == [("doubled", "refuted"), ("identity", "verified")]
    case = next(e["finding"]["replay"] for e in reports[0]["evidence"] if e["kind"] == "exact")
    code, out, _ = here("verify", "mine.py:Doubled", "--case", case, cwd=tmp_path)
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
        (["derive"], "derive takes the name of an operation, or --all, or --paper"),
        (["derive", "conv", "--page", "conv.pdf"], "--page writes .html or .tex; got conv.pdf"),
        (["derive", "conv", "--latex", "--json"], "--latex and --json exclude each other"),
        (["derive", "conv", "--all"], "NAME and --all exclude each other"),
        (["derive", "--all", "--choose", "dims=1", "--page", "p"], "--choose and --all exclude each other"),
        (["derive", "--all"], "--all goes with --page FOLDER"),
        (["derive", "--paper", "--page", "paper.tex"], "--paper --page writes .html; got paper.tex"),
    ],
)
def test_mistakes_exit_with_2_and_one_line(tmp_path, arguments, message):
    (tmp_path / "mine.py").write_text(WRONG)
    code, _, err = here(*arguments, cwd=tmp_path)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_derive_prints_the_papers_gradients():
    code, out, _ = cnnframe("derive", "dense")
    assert code == 0
    for line in ("y[n, j] = b[j] + Σ(i<I) W[j, i] x[n, i]", "∂E/∂x[p, q] = Σ(u<units) δ[p, u] W[u, q]", "∂E/∂W[p, q] = Σ(m<N) δ[m, p] x[m, q]"):
        assert line in out
    assert out.count("proved\n") == 3


def test_derive_writes_pages_and_json(tmp_path):
    for suffix, start in (("tex", r"\documentclass"), ("html", "<!DOCTYPE html>")):
        code, out, _ = here("derive", "conv", "--choose", "dims=1", "--page", f"conv.{suffix}", cwd=tmp_path)
        assert code == 0
        assert out == f"wrote conv.{suffix}\n"
        page = (tmp_path / f"conv.{suffix}").read_text()
        assert page.startswith(start)
        assert r"\frac{\partial E}{\partial k_{p,q,r}}" in page
    assert {path.name for path in tmp_path.iterdir()} == {"conv.tex", "conv.html"}
    code, out, _ = here("derive", "dense", "--latex")
    assert out.startswith(r"\documentclass")
    code, out, _ = here("derive", "softmax", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["equations"]) == {"e", "Z", "y", "bar_Z", "bar_e", "dE/dx"}
    assert found["gradients"] == {"x": {"verdict": "proved", "reason": ""}}


def test_derive_writes_a_page_for_each_operation(tmp_path):
    code, _, _ = here("derive", "--all", "--page", "pages", cwd=tmp_path)
    assert code == 0
    written = {path.name for path in (tmp_path / "pages").iterdir()}
    assert {"conv.html", "softmax.html", "index.html"} <= written
    index = (tmp_path / "pages" / "index.html").read_text()
    assert set(re.findall(r'href="(.*?)"', index)) == written - {"index.html"}


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "there.html").mkdir()
    (tmp_path / "file").write_text("mine")
    for arguments, message in (
        (["dense", "--page", "there.html"], "there.html cannot be written: Is a directory"),
        (["dense", "--page", "nowhere/dense.html"], "nowhere/dense.html cannot be written: No such file or directory"),
        (["--all", "--page", "file"], "file is no folder"),
    ):
        code, _, err = here("derive", *arguments, cwd=tmp_path)
        assert code == 2
        assert message in err
    assert {path.name for path in tmp_path.iterdir()} == {"there.html", "file"}
    assert (tmp_path / "file").read_text() == "mine"


def test_derive_prints_code_that_can_be_pasted():
    code, out, _ = here("derive", "dense", "--source")
    assert code == 0
    names = {}
    exec(compile(out, "pasted", "exec"), names)  # noqa: S102 # what a person does with it
    x, W, b, dy = np.ones((4, 3)), np.arange(6.0).reshape(2, 3), np.zeros(2), np.ones((4, 2))
    gradients = names["backward"](None, dy, (x, W, b))
    np.testing.assert_array_equal(gradients["x"], dy @ W)
    np.testing.assert_array_equal(gradients["W"], dy.T @ x)
    np.testing.assert_array_equal(gradients["b"], dy.sum(axis=0))


def test_derive_shows_the_paper(tmp_path):
    code, out, _ = here("derive", "--paper")
    assert code == 0
    assert all(f"({number})" in out for number in range(1, 15))
    code, out, _ = here("derive", "--paper", "--page", "paper.html", cwd=tmp_path)
    assert (code, out) == (0, "wrote paper.html\n")
    assert (tmp_path / "paper.html").read_text().startswith("<!DOCTYPE html>")
