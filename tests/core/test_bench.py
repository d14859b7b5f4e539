"""The command that times training steps."""

from __future__ import annotations

import json
import math

import pytest
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe.cli import _bench
from cnnframe.cli._app import make_app

OPS = cf.load()


def run(*arguments):
    return CliRunner().invoke(make_app(), ["bench", *arguments])


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    """Whatever is installed, nothing is compiled here."""
    monkeypatch.setattr(OPS["fused"], "unavailable", classmethod(lambda cls: "nothing compiles today"))


def test_every_network_batch_and_kind_of_kernel_has_its_row():
    done = run("bouvrie", "deeplearn", "--batch", "1", "--batch", "3", "--threads", "1", "--seconds", "0.01", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [(row["network"], row["batch"], row["kernels"]) for row in told["steps"]] == [(n, b, "numpy") for n in ("bouvrie", "deeplearn") for b in (1, 3)]
    assert told["threads"] == 1 and told["gemm_gflops"] > 0 and told["absent"] == ["fused: nothing compiles today"]
    for row in told["steps"]:
        assert row["fastest"] <= row["milliseconds"] <= row["slowest"] and row["share_of_gemm"] > 0 and row["mebibytes"] > 0
        assert math.isclose(row["examples_per_second"], 1e3 * row["batch"] / row["milliseconds"])


def test_a_table_says_where_it_was_measured_and_what_is_missing():
    done = run("bouvrie", "--batch", "2", "--threads", "1", "--seconds", "0.01")
    assert done.exit_code == 0, done.output
    assert "of GEMM" in done.stdout and "1 thread; matrix products reach" in done.stdout and "without fused: nothing compiles today" in done.stdout


def test_operations_are_counted_from_the_layers_with_weights():
    graph = cf.Graph.chain(
        OPS.make("conv", maps=3, size=2), OPS.make("relu"), OPS.make("flatten"), OPS.make("dense", units=5), inputs="n 2 4 4", loss=OPS.make("squared_error")
    )
    params = cf.Parameters.initialise(graph)
    plan = cf.Executor(graph, kernels=()).work(params, **_bench._drawn(graph, 7)).whole
    # 3x3 places, 3 maps, windows of 2x2x2, forward and for the weights; then 27 by 5 for all three, twice for a product and its sum.
    assert sum(step.operations for step in plan.steps) == 7 * 2 * (2 * 9 * 3 * 8 + 3 * 27 * 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet",), "no network is called 'lenet'; did you mean 'lenet5'?"),
        (("--batch", "0"), "--batch must be"),
        (("--threads", "0"), "--threads must be"),
        (("--seconds", "nan"), "--seconds must be greater than 0; got nan"),
    ],
)
def test_wrong_input_is_one_line(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1
