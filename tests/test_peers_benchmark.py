"""The contestants of the benchmark compute the same thing, and its page says what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"


NAMES = ("jobs", "ours", "textbook_peer", "run", "report", "child")


@pytest.fixture
def peers(monkeypatch):
    """The modules of the benchmark, which lie beside each other."""
    monkeypatch.syspath_prepend(str(PEERS))
    for name in NAMES:
        sys.modules.pop(name, None)
    yield importlib.import_module
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["bouvrie", "lenet5", "conv 1-6", "stride 3, 96-160"])
def test_a_textbook_net_has_the_gradients_of_the_executor(name, peers):
    job = peers("jobs").JOBS[name]
    given = peers("jobs").arrays(job, 2)
    answers = []
    for module, contestant in (("ours", "reference"), ("textbook_peer", "textbook")):
        step, gradients = peers(module).make(job, 2, *given, contestant=contestant, threads=1)
        loss, found = gradients()
        answers.append({"loss": np.asarray(loss), **{str(number): array for number, array in enumerate(found)}})
        step()
    assert peers("run").difference(answers[1], answers[0]) < 1e-4


def test_operations_of_a_step_are_counted(peers):
    jobs = peers("jobs")
    # 24x24 places of 6 maps with windows of 25; no gradient for the image.
    assert jobs.operations(jobs.JOBS["conv 1-6"], 3) == 3 * 2 * 2 * 24 * 24 * 6 * 25
    assert jobs.operations(jobs.JOBS["conv 64-64"], 1) == 3 * 2 * 32 * 32 * 64 * 64 * 9


def test_the_page_names_who_is_missing_and_where_we_lose(peers, tmp_path):
    entry = {"version": "v1", "wall": 2e-3, "ratio": [1.5, 1.2, 1.9], "cpu_ratio": [1.4, 1.1, 1.8], "of_gemm": 0.5, "first": 0.1, "bytes": 3 * 2**20}
    contestants = {"fused": entry, "eager": {**entry, "ratio": [1.0, 1.0, 1.0], "bytes": 2**20}, "jax": {"missing": "No module named 'jax'"}}
    row = {"job": "bouvrie", "batch": 50, "threads": 1, "machine": "Abacus, wood", "rounds": 5, "quiet": True, "gemm": 90.0, "contestants": contestants}
    other = {**row, "machine": "Cray, 1 processor", "contestants": {"fused": {**entry, "ratio": [0.5, 0.4, 0.6]}}}
    (tmp_path / "results.json").write_text(json.dumps([other, row]))
    peers("report").write(tmp_path / "results.json", tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    first, second = text[text.index("## Abacus, 1 thread") :].split("## Cray, 1 thread")
    assert "PyTorch is faster: bouvrie, batch 50 (1.50)." in first and "PyTorch is faster: in no row." in second
    assert "PyTorch takes less memory: bouvrie, batch 50 (3.0 MiB against 1.0)." in first and "Cray, 1 processor" in second
    assert "| JAX, jit | No module named 'jax' |" in text and "1.50 [1.20..1.90] | 1.40 [1.10..1.80]" in text
