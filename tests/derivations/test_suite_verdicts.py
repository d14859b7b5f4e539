"""Verdicts, and how cases are judged and made smaller."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from suite_parts import (
    OPS,
    careless,
    case,
)

import cnnframe as cf
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import canaries, exact, gather, independent, kinks, replay
from cnnframe_derivations.suite._bench import Bench, Check, put
from cnnframe_derivations.suite._coverage import features
from cnnframe_derivations.suite._oracle import Truth
from cnnframe_derivations.suite._run import KINDS, _doubt
from cnnframe_derivations.suite._twin import Twin, differs, first_refutation
from cnnframe_derivations.suite._verdict import Drawn, Evidence, Finding, OraclesDisagree, Refutation, Report, Skip


def evidence_of(kind="exact", **more):
    found = Evidence(kind, **more)
    for subject in ("output", "gradient of 'x'"):
        found.passed(subject)
    return found


FOUND = Finding("exact", "what", (), "{}", "why")


def test_what_one_kind_says_goes_before_what_it_lacks():
    assert evidence_of(finding=FOUND, doubt="a", absent="b").state == "refuted"
    assert evidence_of(doubt="a", absent="b").state == "inconclusive"
    assert evidence_of(absent="b").state == "skipped" and evidence_of().state == "verified"
    counted = evidence_of()
    counted.passed("output (another way)", 3)
    assert (counted.checks, counted.of("output"), counted.of("gradient of 'x'"), counted.of("out")) == (5, 4, 1, 0)


def test_a_verdict_needs_every_part_compared_and_no_doubt():
    def verdict(*evidence, gradients=("x",)):
        found = Report("a", evidence, "a", gradients)
        return found.verdict, found.why

    good = evidence_of()
    assert verdict(good) == ("verified", "") == verdict(evidence_of("bounded"))
    assert verdict(good, Evidence("kinks", absent="no kink")) == ("verified", "")
    assert verdict(good, evidence_of("kinks", doubt="hm")) == ("inconclusive", "kinks: hm")
    assert verdict(evidence_of("bounded", doubt="hm"), evidence_of(doubt="hm")) == ("inconclusive", "bounded, exact: hm")
    assert verdict(good, evidence_of("kinks", doubt="hm", finding=FOUND)) == ("refuted", "what")
    for lonely in (evidence_of("contract"), evidence_of("symbolic"), evidence_of(absent="no lattice")):
        assert verdict(lonely)[0] == "inconclusive" and "never compared with the formula: output, gradient of 'x'" in verdict(lonely)[1]
    assert verdict(good, gradients=("x", "w"))[1] == "exact, bounded: never compared with the formula: gradient of 'w'"
    only_output = Evidence("exact")
    only_output.passed("output 'y'")
    assert verdict(only_output, gradients=())[0] == "verified" and verdict(only_output)[0] == "inconclusive"
    assert verdict(Evidence("exact", absent="b")) == ("inconclusive", "exact, bounded: never compared with the formula: output, gradient of 'x'")
    assert "no evidence applies" in verdict()[1]
    second = Finding("bounded", "other", (), "", "why")
    report = Report("a", (good, evidence_of(finding=FOUND), evidence_of(finding=second)), "a")
    assert report.finding is FOUND and report.checks == 6
    skipped = Report("a", (evidence_of(skipped=Counter({"s": 1})), evidence_of(skipped=Counter({"s": 2, "t": 1}))), "a").skipped
    assert skipped == {"s": 3, "t": 1}


def test_the_power_of_a_report_is_that_of_its_weakest_subject():
    one = evidence_of(power={"output, float64": 1e-3, "gradient of 'x', float64": 1e-9, "output, float32": 1.0})
    two = evidence_of(power={"output, float64": 1e-6})
    assert Report("a", (one, two), "a").power == 1e-6 == Report("a", (two, one), "a").power
    assert Report("a", (evidence_of(),), "a").power is None
    entries = (1.0, math.inf, -math.inf, math.nan)
    finding = Finding("exact", "w", ("l",), "{}", "c", (Drawn("x", (4,), entries, (1,)), Drawn("y", (), (2.0,))))
    report = Report("a", (evidence_of(finding=finding, power={"output, float64": math.inf}),), "t", ("x",), "k")
    data = report.to_dict()
    assert data["power"] == "inf" and data["evidence"][0]["finding"]["arrays"][0]["entries"] == [1.0, "inf", "-inf", "nan"]
    assert data["verdict"] == "refuted" and data["checks"] == 2 and data["gradients"] == ["x"] and data["kernel"] == "k"
    again = Report.from_dict(data)
    assert again.to_dict() == data and again.finding.arrays[1] == finding.arrays[1] and again.finding.arrays[0].entry == (1,)


def test_what_cannot_be_judged_is_a_doubt_that_says_why(monkeypatch):
    from hypothesis.errors import Unsatisfiable

    assert _doubt(OraclesDisagree("a")) == "our oracles disagree, which is a fault of the suite: a"
    assert _doubt(independent.Disagreement("b")) == "b" and _doubt(cf.FormulaError("c")) == "the formula cannot be used: c"
    assert _doubt(Unsatisfiable()) == "no case could be drawn from the declaration" and _doubt(KeyError("d")) == "KeyError: 'd'"
    monkeypatch.setattr(kinks, "gather", lambda bench, evidence: evidence.skipped.update(["one"]))
    assert gather("kinks", OPS["relu"]).doubt == "no check applied: one"
    monkeypatch.setattr(kinks, "gather", lambda bench, evidence: None)
    assert gather("kinks", OPS["relu"]).doubt == "no check applied"
    again = replay(OPS["dense"], case(OPS.make("dense", units=1), {"n": 2, "i": 1}).replay)
    assert {e.kind for e in again.evidence} == {kind for kind, module in KINDS.items() if hasattr(module, "CHECK")} and again.verdict == "verified"
    assert again.target == "cnnframe_plugins.dense:Dense" and again.gradients == ("x", "W", "b")
    assert {e.kind: e.absent for e in again.evidence}["kinks"] == ""
    other = replay(OPS["softmax"], case(OPS.make("softmax"), {"n": 2, "c": 2}).replay)
    assert {e.kind: e.state for e in other.evidence}["exact"] == "skipped" and "are not exact" in {e.kind: e.absent for e in other.evidence}["exact"]


def test_a_failing_case_is_made_smaller_and_one_that_changes_is_said_to(monkeypatch):
    wrong = careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.size > 1)})
    bench = Bench(type(wrong), Settings("smoke"))
    with pytest.raises(Refutation) as caught:
        exact.gather(bench, Evidence("exact"))
    found = caught.value.finding
    assert '"sizes": {"n": 2}' in found.replay and '"C"' in found.replay and '"float64"' in found.replay
    monkeypatch.setattr("cnnframe_derivations.suite._bench.refuted", lambda check, case: None)
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(type(wrong), Settings("smoke")), Evidence("exact"))
    assert caught.value.finding.certificate == "the same case gave different answers when it was tried again"
    assert caught.value.finding.what


def test_putting_a_case_counts_it_and_the_reason_where_it_does_not_apply():
    evidence = Evidence("kind")

    def judge(oracle, found):
        raise Skip("no")

    assert put(Check(lambda oracle, found: None), None, evidence) is True and put(Check(judge), None, evidence) is False
    assert evidence.cases == 2 and evidence.skipped == {"no": 1}


def test_a_copy_is_judged_by_the_cases_of_its_original():
    original = Bench(OPS["dense"], Settings("smoke"))
    copy = dataclass(frozen=True)(type("Copy", (OPS["dense"],), {"backward": OPS["dense"].backward}))
    half = dataclass(frozen=True)(
        type("Half", (OPS["dense"],), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in OPS["dense"].backward(self, dy, saved).items()}})
    )
    twin = Twin(original, copy)
    for ours, theirs in ((twin.box, original.box), (twin.drawn, original.drawn)):
        assert [c.replay for c in ours] == [c.replay for c in theirs] and {type(c.op) for c in ours} == {copy}
    assert twin.exact is original.exact and twin.missing == original.missing
    oracle = twin.oracle(twin.box[0])
    assert oracle.hasty and oracle.case is twin.box[0] and oracle.forward is original.oracle(original.box[0]).forward
    assert not original.oracle(original.box[0]).hasty
    assert first_refutation(original, copy) is None and first_refutation(original, half).kind in ("contract", "exact")
    assert first_refutation(original, half, ("kinks", "bounded")).kind == "bounded" and first_refutation(original, half, ("kinks",)) is None
    count = len(original.box) + len(original.drawn)
    assert differs(original, copy) == (0, count)
    some, every = differs(original, half)
    assert 0 < some < every == count
    judged = twin.judge(exact.CHECK, twin.box, Evidence("exact"))
    assert judged == Counter(feature for c in twin.box if twin.oracle(c).exact for feature in features(c))


class Survivor:
    """A broken copy that is not broken."""

    def __init__(self, cls, line, after="r = a"):
        self.cls, self.line, self.after, self.id = cls, line, after, f"id{line}"


def test_broken_copies_that_pass_are_weighed(monkeypatch):
    dense = OPS["dense"]
    half = dataclass(frozen=True)(type("Half", (dense,), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in dense.backward(self, dy, saved).items()}}))
    near = dataclass(frozen=True)(
        type("Near", (dense,), {"backward": lambda self, dy, saved: {n: v + 0.0 for n, v in dense.backward(self, dy, saved).items()}})
    )

    def weigh(*copies, differ=(1, 9), zero=False):
        monkeypatch.setattr(canaries, "canaries", lambda cls, count: copies)
        monkeypatch.setattr(canaries, "differs", lambda bench, cls: differ)
        monkeypatch.setattr(canaries, "moot", lambda mutant: False)
        evidence = Evidence("canaries")
        canaries.gather(Bench(dense, Settings("smoke")), evidence)
        return evidence

    killed, passed, answer = Survivor(half, 3), Survivor(near, 4), Survivor(near, 0, "the gradient of 'x' is wrong")
    assert (weigh(killed).checks, weigh(killed).doubt, weigh(killed).cases) == (1, "", 1)
    assert weigh(killed, passed).notes == ["this change makes no difference beyond rounding: id4: r = a"] and not weigh(killed, passed).doubt
    assert weigh(killed, passed, passed).doubt.startswith("the evidence has no power here: broken copies pass: id4: r = a; id4")
    assert weigh(killed, killed, answer).doubt == "the evidence has no power here: broken copies pass: id0: the gradient of 'x' is wrong"
    nobody = weigh(killed, Survivor(near, 0, "the gradient of 'q' is wrong"))
    assert not nobody.doubt and nobody.skipped == {"a broken copy gives the same answers in every case": 1}
    same = weigh(passed, differ=(0, 9))
    assert same.skipped == {"a broken copy gives the same answers in every case": 1} and same.absent == "no broken copy could be made of it" and not same.notes


def test_too_few_judged_cases_are_a_doubt_but_in_the_profile_that_is_for_many_runs():
    from cnnframe_derivations.suite import bounded

    for profile, doubt in (("quick", "too few cases were judged with a thing"), ("smoke", "")):
        bench = Bench(OPS["softmax"], Settings(profile))
        bench.__dict__["missing"] = ["a thing"]
        evidence = Evidence("bounded")
        bounded.gather(bench, evidence)
        assert evidence.doubt == doubt and evidence.checks
    lost = Bench(OPS["softmax"], Settings("quick"))
    lost.judge = lambda check, cases, evidence: Counter(feature for c in cases for feature in features(c) if feature != "float32")
    evidence = Evidence("bounded")
    bounded.gather(lost, evidence)
    assert evidence.doubt == "too few cases were judged with float32"
    exactly = Bench(OPS["dense"], Settings("quick"))
    exactly.__dict__["missing"] = ["a thing"]
    found = [Evidence("exact"), Evidence("bounded")]
    exact.gather(exactly, found[0])
    bounded.gather(exactly, found[1])
    assert found[0].doubt == "too few cases were drawn with a thing" and not found[1].doubt
    asked = Bench(OPS["dense"], Settings("smoke"))
    asked.judge = lambda check, cases, evidence: evidence.asked.update({"a", "b"}) or evidence.passed("a (some way)")
    never = Evidence("independent")
    independent.gather(asked, never)
    assert never.doubt == "never compared: b"


def test_what_claims_prove_is_counted(monkeypatch):
    from types import SimpleNamespace

    from cnnframe_derivations.suite import proved

    def judged(profile="quick", **more):
        found = {"proved": {"x": 2}, "obligations": 3, "stored": True, "unproved": [], "refused": [], "undecided": []}
        monkeypatch.setattr(proved, "outcomes", lambda cls: SimpleNamespace(**{**found, **more}))
        evidence = Evidence("proved")
        proved.gather(Bench(OPS["dense"], Settings(profile)), evidence)
        return evidence

    assert (
        judged().compared == {"gradient of 'x' (all shapes)": 2} and judged().notes == ["3 obligations, certificate checked"] and judged().state == "verified"
    )
    assert judged(proved={"x": 2, "W": 1}).compared == {"gradient of 'x' (all shapes)": 2, "gradient of 'W' (all shapes)": 1}
    assert judged(stored=False).notes == ["3 obligations, proof searched for"]
    assert judged("smoke").absent == "this profile leaves it out" and not judged("smoke").checks
    assert judged(undecided=["no step\nmore"]).doubt == "nothing follows from what is declared: no step" and not judged(undecided=["no step"]).absent
    assert judged(proved={}).absent == "there is no gradient to prove"
    lacking = judged(proved={}, unproved=["a", "b"])
    assert lacking.absent == "nothing is proved: a; b" and lacking.skipped == {"a": 1, "b": 1}
    assert not judged(unproved=["a"]).absent
    with pytest.raises(Refutation, match="what is declared does not hold: c"):
        judged(refused=["c"])


def test_a_refutation_stays_where_nothing_smaller_is_found(monkeypatch):
    wrong = type(careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.size > 1)}))
    monkeypatch.setattr(Bench, "_simpler", lambda self, case: iter(()))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke")), Evidence("exact"))
    assert '"n": 2' in caught.value.finding.replay
    monkeypatch.setattr("cnnframe_derivations.suite._bench._shrunk", lambda *arguments: None)
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke")), Evidence("exact"))
    assert "must be" in caught.value.finding.what and replay(wrong, caught.value.finding.replay).verdict == "refuted"


def test_broken_copies_that_are_refuted_are_evidence(monkeypatch):
    half = dataclass(frozen=True)(
        type("Half", (OPS["dense"],), {"backward": lambda self, dy, saved: {n: v / 2 for n, v in OPS["dense"].backward(self, dy, saved).items()}})
    )
    monkeypatch.setattr(canaries, "canaries", lambda cls, count: [Survivor(half, 3)])
    evidence = Evidence("canaries")
    canaries.gather(Bench(OPS["dense"], Settings("smoke")), evidence)
    assert (evidence.state, evidence.absent, evidence.checks) == ("verified", "", 1)


def test_right_code_is_not_refuted_by_a_replay_with_an_empty_batch():
    empty = case(OPS.make("dense", units=1), {"n": 0, "i": 1})
    assert replay(OPS["dense"], empty.replay).finding is None


def test_a_finding_is_shown_in_double_precision_where_it_is_there_too():
    wrong = type(careless(backward=lambda self, dy, saved: {"x": 3 * dy}))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(wrong, Settings("smoke", dtype="float32")), Evidence("exact"))
    assert '"float64"' in caught.value.finding.replay and '"n": 1' in caught.value.finding.replay
    single = type(careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.dtype == np.float32)}))
    with pytest.raises(Refutation) as caught:
        exact.gather(Bench(single, Settings("smoke")), Evidence("exact"))
    assert '"float32"' in caught.value.finding.replay and '"n": 1' in caught.value.finding.replay


def test_a_gradient_that_is_0_in_every_case_has_no_power():
    from types import SimpleNamespace

    def truth(*values):
        return Truth(np.array(values), np.full(len(values), 0.5))

    class Doubtful:
        @property
        def gradients(self):
            raise Skip("not here")

    def of_zeros(box, drawn, what="the gradient of 'x' is wrong"):
        oracles = [Doubtful() if truths is None else SimpleNamespace(gradients=truths) for truths in (*box, *drawn)]
        bench = SimpleNamespace(box=range(len(box)), drawn=range(len(box), len(oracles)), oracle=oracles.__getitem__)
        return canaries._of_zeros(bench, what)

    zero, one, other = {"x": truth(0.0, 0.4)}, {"x": truth(0.0, 0.6)}, {"x": truth(0.0), "w": truth(3.0)}
    assert of_zeros([zero, None], [zero, other]) and not of_zeros([zero, None], [zero, one]) and not of_zeros([one], [zero])
    assert of_zeros([{"x": Truth(np.zeros(2), np.zeros(2))}], []) and not of_zeros([{"x": Truth(np.ones(2), np.zeros(2))}], [])
    assert not of_zeros([other], [], "the gradient of 'w' is wrong") and of_zeros([], [])


@pytest.mark.parametrize(("dtype", "layout"), [("float32", "F"), ("float64", "C")])
def test_what_no_simple_case_shows_is_drawn_smaller(dtype, layout):
    """Mistakes in batches above four are beyond the simple structures: batches of five are the smallest that are drawn.

    As they are drawn, in float64 and contiguous, where that shows the mistake; else with the type and layout of the case.
    """
    wrong = careless(backward=lambda self, dy, saved: {"x": 2 * dy + (dy.size > 4 and dy.dtype == dtype)})
    bench = Bench(type(wrong), Settings("smoke"))
    with pytest.raises(Refutation) as caught:
        bench.judge(exact.CHECK, [case(wrong, {"n": 9}, dtype, "F")], Evidence("exact"))
    assert f'"sizes": {{"n": 5}}, "dtype": "{dtype}", "layout": "{layout}"' in caught.value.finding.replay
