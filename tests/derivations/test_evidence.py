"""Each kind of evidence on its own: it refutes what it is for, applies where it should, and says why where it does not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from wrong_by_kind import WRONG_BY_KIND

import cnnframe as cf
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import KINDS, canaries, gather
from cnnframe_derivations.suite._bench import Bench
from cnnframe_derivations.suite._box import Box
from cnnframe_derivations.suite._verdict import Evidence, Finding, Report

OPS = cf.load()
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("canaries", "contract", "curvature", "proved")])
def test_a_kind_refutes_what_it_is_for(kind):
    """At least three of the planted mistakes of its category fall to this kind alone, the others to one before it."""
    tried = [w.cls for w in WRONG_BY_KIND if w.category == kind and not w.deadly and not w.stains]
    refuted = 0
    for cls in tried:
        refuted += gather(kind, cls).finding is not None
        if refuted == 3:
            return
    pytest.fail(f"{kind} refutes {refuted} of {len(tried)}")


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("exact", "logistic", "the formula is transcendental"),
        ("exhaustive", "dense", "it is no function of one number"),
        ("kinks", "dense", "the formula does not branch on values"),
    ],
)
def test_what_does_not_apply_says_why_and_is_no_evidence(kind, name, reason):
    evidence = gather(kind, OPS[name], Settings("smoke"))
    assert evidence.state == "skipped"
    assert reason in evidence.absent
    assert evidence.checks == 0


def test_evidence_without_power_leaves_the_verdict_open(monkeypatch):
    monkeypatch.setattr(canaries, "JUDGES", ("kinks",))
    evidence = gather("canaries", OPS["dense"], Settings(seed=5))
    assert evidence.state == "inconclusive"
    assert "the evidence has no power here: broken copies pass: dense:backward:" in evidence.doubt


def test_broken_copies_leave_the_cases_of_the_original_alone():
    bench = Bench(OPS["dense"], Settings("quick", seed=6))
    canaries.gather(bench, Evidence("canaries"))
    assert {type(bench.oracle(case).case.op) for case in bench.drawn} == {OPS["dense"]}


def test_a_small_box_is_listed_in_full_and_a_large_one_is_spread():
    dense = Box(OPS["dense"]).spread(40)
    assert Counter((case.op.units, case.known["n"], case.known["i"]) for case in dense) == Counter(
        (units, n, i) for units in (1, 2, 3) for n in (1, 2, 3) for i in (1, 2, 3, 4)
    )
    conv = Box(OPS["conv"]).spread(60)
    assert len(conv) == 60
    assert {case.op.dims for case in conv} == {1, 2, 3}
    assert {case.op.stride[0] for case in conv} == {1, 2, 3}
    assert {case.op.padding[0] for case in conv} == {0, 1, 2}


def test_a_box_begins_with_the_simplest():
    first, *rest = Box(OPS["conv"]).simplest(50)
    assert max(int(np.prod(shape)) for shape in first.shapes.values()) == 1
    assert len(rest) == 49


def test_what_was_never_compared_is_not_verified():
    found = Evidence("exact")
    found.passed("output")
    found.passed("gradient of 'x'")
    assert Report("a", (found,), "a", ("x",)).verdict == "verified"
    report = Report("a", (found,), "a", ("x", "w"))
    assert report.verdict == "inconclusive"
    assert "never compared with the formula: gradient of 'w'" in report.why
    assert Report("a", (Evidence("exact", absent="no reason"),), "a").verdict == "inconclusive"


def test_reports_survive_being_written_down():
    finding = Finding("exact", "what", ("a line",), "{}", "why")
    evidence = Evidence(
        "bounded", 3, 2, Counter({"output": 2}), {"output"}, Counter({"why": 1}), ["note"], {"output": [0] * 8}, {"output, float64": 1e-14}, "", "", finding
    )
    report = Report("a", (evidence, Evidence("exact", absent="b")), "m:a", ("x",))
    assert Report.from_dict(report.to_dict()) == report


def test_no_tolerance_and_no_skip_list_belongs_to_an_operation():
    words = re.compile(r"\b(atol|rtol|tolerance|allclose|isclose|approx|xfail|skip)\b")
    sources = [
        *ROOT.glob("plugins/cnnframe_plugins/*.py"),
        *ROOT.glob("examples/cnnframe-extras/**/*.py"),
        *ROOT.glob("derivations/cnnframe_derivations/suite/*.py"),
    ]
    found = [f"{path.name}: {line.strip()}" for path in sources for line in path.read_text(encoding="utf-8").splitlines() if words.search(line)]
    # The suite's own words for a case to which a check does not apply, and the page's for what it has not.
    allowed = [line for line in found if "skip" in line and "_skip" not in line and "tolerance" not in line]
    assert [line for line in found if line not in allowed and "There is no" not in line] == []
    names = {name for name in OPS.operations() if len(name) > 6}
    judged = [path for path in sources if path.parent.name == "suite"]
    assert [f"{path.name}: {name}" for path in judged for name in names if re.search(rf"[\"']{name}[\"']", path.read_text(encoding="utf-8"))] == []
