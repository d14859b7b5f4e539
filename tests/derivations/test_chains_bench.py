"""How the cases of a chain are chosen, put to each kind of check, and made smaller where one fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import chain_kernels as planted
import numpy as np
import pytest

from cnnframe import BATCH, PLAIN, ROWS_FIRST
from cnnframe_derivations.suite import Settings, _chain_bench, bounded, contract, exact, extremes
from cnnframe_derivations.suite._bench import BUDGETS, Check
from cnnframe_derivations.suite._calls import BEAT
from cnnframe_derivations.suite._chain_bench import ChainBench, _most_settings, replay_chain, verify_chain
from cnnframe_derivations.suite._run import KINDS, of_one_case
from cnnframe_derivations.suite._values import EXTREMES, LATTICES
from cnnframe_derivations.suite._verdict import Evidence, Finding, Refutation, Skip

BENT, SMOOTH = (planted.DENSE, planted.RELU), (planted.DENSE, planted.TANH)
QUICK = BUDGETS["quick"]
BENCHES = {kinds: ChainBench(kinds, planted.Layer, Settings()) for kinds in (BENT, SMOOTH)}


class Compiled(planted.Layer):
    """Of which each shape takes long."""

    name = "compiled"
    compiles = True
    prepared = []

    @classmethod
    def layouts(cls, chain, given):
        return given, given

    def prepare(self):
        self.prepared.append((self.chain.given[0]["x"], self.taken))
        return "large batches do not go behind" if self.taken == ROWS_FIRST and self.chain.given[0]["x"][0] > 16 else ""


def meeting(*settings):
    return [SimpleNamespace(met=frozenset(some.split())) for some in settings]


def order(pool, count, less=()):
    return [pool.index(case) for case in _most_settings(pool, count, less)]


def test_cases_are_chosen_that_meet_most_and_then_the_rest_again():
    pool = meeting("a", "a b c", "d", "a b", "c d e f")
    assert order(pool, 2) == [4, 1]
    # All is met: the first that is left begins anew.
    assert order(pool, 5) == [4, 1, 0, 2, 3] == order(pool, 9) and order(pool, 0) == [] == order([], 3)
    assert order(meeting("a x", "b", "b c"), 3) == [0, 2, 1]


def test_some_settings_do_not_count_where_each_case_has_them_in_turn():
    pool = [SimpleNamespace(met=frozenset(met)) for met in (["small values", "F layout", "one"], ["wide values", "two", "three"], ["one", "two", "three"])]
    assert order(pool, 1, (" values", " layout")) == [2] and order(pool, 1) == [0]
    assert order(pool, 3, (" values", " layout")) == [2, 0, 1]


def test_as_many_structures_are_judged_as_the_profile_says():
    for profile in ("smoke", "quick"):
        bench = BENCHES[BENT] if profile == "quick" else ChainBench(BENT, planted.Layer, Settings(profile))
        assert len(bench.cases) == BUDGETS[profile]["drawn"] == len({(case.op.text, case.dtype) for case in bench.cases})
        assert {case.lattice for case in bench.cases} == set(LATTICES)
    assert len({case.layout for case in BENCHES[BENT].cases}) == 4 and len({case.op.wanted for case in BENCHES[BENT].cases}) == 3
    assert {case.known[BATCH] for case in BENCHES[BENT].cases} >= {0, 1} and max(case.known[BATCH] for case in BENCHES[BENT].cases) > 16
    assert min(Counter(case.op.wanted for case in BENCHES[BENT].cases).values()) >= 2
    assert BENCHES[BENT].layouts == [PLAIN]
    assert ChainBench(BENT, planted.Layer, Settings(seed=1)).cases[0].replay != BENCHES[BENT].cases[0].replay


def test_one_element_type_may_be_asked_for():
    for dtype in ("float32", "float64"):
        cases = ChainBench(BENT, planted.Layer, Settings("smoke", dtype=dtype)).cases
        assert {(case.dtype, case.op.dtype) for case in cases} == {(dtype, dtype)}
    assert len({case.dtype for case in BENCHES[BENT].cases}) == 2


def test_a_kernel_that_compiles_gets_few_structures_with_many_values():
    Compiled.prepared.clear()
    bench = ChainBench(BENT, Compiled, Settings())
    structures = {case.op.text + case.dtype for case in bench.cases}
    assert 2 <= len(structures) <= 4 and len(bench.cases) == 6 * len(structures)
    for structure in structures:
        assert Counter(case.lattice for case in bench.cases if case.op.text + case.dtype == structure) == dict.fromkeys(LATTICES, 1)
    assert len({case.seed for case in bench.cases}) > len(bench.cases) / 2
    assert {(shape[0] > 16, lies) for shape, lies in Compiled.prepared} == {(large, lies) for large in (False, True) for lies in (PLAIN, ROWS_FIRST)}
    assert len(set(Compiled.prepared)) <= 8
    # Those that it cannot serve in one of the layouts are left out.
    assert all(case.known[BATCH] <= 16 for case in bench.cases) and bench.layouts == [PLAIN, ROWS_FIRST]
    assert all(case.op.text.endswith(f'"wanted": "{case.op.wanted}"}}') for case in bench.cases)


def test_of_few_structures_one_has_no_gradients_and_the_others_have():
    class Open(Compiled):
        def prepare(self):
            return ""

    bench = ChainBench(BENT, Open, Settings())
    by = Counter(wanted for *_, wanted in {(case.op.text, case.dtype, case.op.wanted) for case in bench.cases})
    assert by["parameters"] <= 1 and by["nothing"] <= 1 and by["parameters"] + by["nothing"] >= 1 and by["all"] >= 1
    seeds = [case.seed for case in bench.cases]
    assert len(set(seeds)) == len(seeds) == 24
    pool = list(_chain_bench.served(BENT, Open, 2 * QUICK["drawn"], bench.seed(0)))
    # Values and layouts are had in turn: what the first meets besides is as much as there is.
    besides = [len({setting for setting in case.met if not setting.endswith((" values", " layout"))}) for case in pool]
    first = next(number for number, case in enumerate(pool) if (case.op.ops, case.known) == (bench.cases[0].op.ops, bench.cases[0].known))
    assert besides[first] == max(besides)


@pytest.mark.parametrize("wanted", ["parameters", "nothing"])
def test_where_all_structures_are_without_some_gradients_one_stays_so(monkeypatch, wanted):
    class Open(Compiled):
        def prepare(self):
            return ""

    few = [replace(case, op=replace(case.op, wanted=wanted)) for case in BENCHES[BENT].cases[:4]]
    monkeypatch.setattr(_chain_bench, "served", lambda *given: iter(few))
    cases = ChainBench(BENT, Open, Settings()).cases
    assert len(cases) == 24 and Counter(case.op.wanted for case in cases) == {wanted: 6, "all": 18}


def test_another_kernel_is_judged_by_the_same_cases_but_those_that_it_declines():
    class Picky(planted.Layer):
        name = "picky"

        @classmethod
        def declines(cls, chain):
            return "no wide ones" if chain.ops[0].units > 1 else ""

    original = BENCHES[BENT]
    bench = ChainBench(BENT, Picky, Settings(), original)
    assert bench.cases == tuple(case for case in original.cases if case.op.ops[0].units == 1) and 0 < len(bench.cases) < len(original.cases)
    assert bench.truths is original.truths and bench.smaller is original.smaller
    case = bench.cases[0]
    assert bench.oracle(case).forward is original.oracle(case.by(planted.Layer, PLAIN)).forward
    assert bench.oracle(case.by(Picky, PLAIN)).case.op.kernel is Picky and bench.oracle(case).case is case


def refuses(when, seen=None):
    """A check that refutes the cases at which something holds."""

    def judge(oracle, evidence):
        case = oracle.case
        if seen is not None:
            seen.append(case)
        if when(case):
            raise Refutation(Finding("exact", f"weight {case.weight}", (), case.replay, "as it is"))
        evidence.passed("output")

    return Check(judge)


def finding_of(bench, check, cases):
    with pytest.raises(Refutation) as caught:
        bench.judge(check, cases, Evidence("exact"))
    return caught.value.finding


def test_every_case_is_judged_in_every_layout():
    class Both(planted.Layer):
        @classmethod
        def layouts(cls, chain, given):
            return given, given

    bench, seen = ChainBench(BENT, Both, Settings(), BENCHES[BENT]), []
    evidence = Evidence("exact")
    bench.judge(refuses(lambda case: False, seen), bench.cases[:5], evidence)
    assert [(case.replay, case.op.lies) for case in seen] == [(case.replay, lies) for lies in (PLAIN, ROWS_FIRST) for case in bench.cases[:5]]
    assert all(case.op.kernel is Both for case in seen) and evidence.cases == evidence.checks == 10
    found = finding_of(bench, refuses(lambda case: case.op.lies == ROWS_FIRST, seen), bench.cases[:5])
    # Smaller cases are looked for in the layout in which one failed.
    assert found.certificate == "as it is" and seen[-1].op.lies == ROWS_FIRST and seen[-1].op.kernel is Both


@pytest.mark.parametrize("least", [1, 6, 10])
def test_the_smallest_case_that_fails_is_shown(least):
    bench = BENCHES[BENT]
    large = replace(max(bench.cases, key=lambda case: case.weight), lattice="small")
    found = finding_of(bench, refuses(lambda case: case.weight >= least), [large])
    assert found.replay == next(case.replay for case in bench._small(large) if case.weight >= least)
    assert found.what == f"weight {min(case.weight for case in bench.smaller if case.weight >= least)}"


def test_a_case_that_alone_fails_is_shown_as_it_is():
    bench = BENCHES[BENT]
    large = max(bench.cases, key=lambda case: case.weight)

    def judge(oracle, evidence):
        if oracle.case.weight < large.weight:
            raise ValueError("cannot be judged")
        raise Refutation(Finding("exact", "again", (), oracle.case.replay, "as it is"))

    found = finding_of(bench, Check(judge), [large])
    assert (found.what, found.replay, found.certificate) == ("again", large.replay, "as it is")


def test_what_fails_only_once_is_shown_as_that():
    bench, left = BENCHES[BENT], [1]
    found = finding_of(bench, refuses(lambda case: left and left.pop()), bench.cases[:1])
    assert found.certificate == "the same case gave different answers when it was tried again" and found.replay == bench.cases[0].replay


@pytest.mark.parametrize("lattice", ["wide", "small", "real"])
def test_smaller_cases_have_plain_values_and_then_those_of_the_case(lattice):
    bench = BENCHES[BENT]
    case = replace(max(bench.cases, key=lambda case: case.weight), lattice=lattice, layout="F", seed=999, dtype="float32")
    case = replace(case, op=replace(case.op, dtype="float32", wanted="parameters"))
    small = list(bench._small(case))
    turns = [("small", "C"), ("wide", "F")] if lattice == "wide" else [(lattice, "C")]
    assert [(one.lattice, one.layout) for one in small] == turns * len(bench.smaller)
    assert [one.weight for one in small] == sorted(one.weight for one in bench.smaller for _ in turns)
    assert {(one.dtype, one.op.dtype, one.op.wanted) for one in small} == {("float32", "float32", "parameters")}
    assert {one.seed for one in small if one.layout == "F"} <= {999} and len({one.seed for one in small if one.layout == "C"}) > 10
    least = min(bench.smaller, key=lambda one: one.weight)
    assert not list(bench._small(least))
    # One or two units, samples and gradients of three kinds, of two element types.
    assert len(bench.smaller) == 24 == len({one.op.text + one.dtype for one in bench.smaller})


def test_smaller_cases_of_a_kernel_that_compiles_are_of_its_structures():
    bench = ChainBench(BENT, Compiled, Settings())
    given = BENCHES[BENT].cases
    one = next(case for case in given if case.weight > 8 and case.op.wanted == "all")
    less = min(given, key=lambda case: case.weight)
    same = replace(one, op=replace(one.op, wanted="parameters"), seed=5)
    other = replace(one, dtype="float32" if one.dtype == "float64" else "float64", seed=6)
    other = replace(other, op=replace(other.op, dtype=other.dtype))
    bench.cases = (one, less, same, other, replace(one, lattice="real", seed=7))
    asked = replace(one, lattice="wide", layout="F", seed=8)
    small = list(bench._small(asked))
    # Of one weight are those of other wanted gradients as well: they are no smaller.
    kinds = [(case.op.text, case.op.wanted, case.dtype, case.op.dtype) for case in small]
    assert kinds == [(case.op.text, case.op.wanted, case.dtype, case.dtype) for case in (less, one, other) for _ in range(2)]
    assert [(case.lattice, case.layout) for case in small] == [("small", "C"), ("wide", "F")] * 3
    assert {case.op.text for case in bench._small(less)} == {less.op.text}


def asked(monkeypatch, module, gather, bench):
    """The cases that a kind of evidence puts to its check."""
    seen = []
    if module is extremes:
        monkeypatch.setattr(_chain_bench, "_extreme", refuses(lambda case: False, seen).judge)
    else:
        monkeypatch.setattr(module, "CHECK", refuses(lambda case: False, seen))
    evidence = Evidence(module.KIND)
    gather(bench, evidence)
    return [case.replay for case in seen], seen, evidence


def test_the_contract_is_held_to_some_cases_and_the_two_largest(monkeypatch):
    bench = BENCHES[BENT]
    found, _, _ = asked(monkeypatch, contract, _chain_bench._contract, bench)
    largest = sorted(bench.cases, key=lambda case: -case.weight)[:2]
    assert found == [case.replay for case in (*bench.cases[: QUICK["contract"]], *largest)]


def test_exact_evidence_is_of_all_cases_or_absent(monkeypatch):
    bench = BENCHES[BENT]
    found, _, evidence = asked(monkeypatch, exact, _chain_bench._exact, bench)
    assert found == [case.replay for case in bench.cases] and not evidence.absent
    (note,) = evidence.notes
    assert note.startswith(f"{len(bench.cases)} cases of {len({case.op.text for case in bench.cases})} structures")
    found, _, evidence = asked(monkeypatch, exact, _chain_bench._exact, BENCHES[SMOOTH])
    assert not found and "transcendental" in evidence.absent and not evidence.notes


def test_bounds_are_put_to_real_numbers_and_to_all_that_is_not_exact(monkeypatch):
    count = QUICK["bounded"]
    for kinds, rounds in ((BENT, 1), (SMOOTH, 2)):
        bench = BENCHES[kinds]
        found, seen, _ = asked(monkeypatch, bounded, _chain_bench._bounded, bench)
        real = seen[: rounds * count]
        # Whole in the first round, an eighth in the second.
        assert [(case.op.text, case.lattice, case.seed % 2) for case in real] == [
            (case.op.text, "real", number // count) for number, case in enumerate(bench.cases[: rounds * count])
        ]
        assert all(abs(case.seed - of.seed) <= 1 for case, of in zip(real, bench.cases, strict=False))
        assert found[rounds * count :] == [case.replay for case in bench.cases if not bench.oracle(case).exact]
    assert len(found) == rounds * count + len(BENCHES[SMOOTH].cases)


def test_every_rule_for_extremes_is_met_by_cases_with_entries(monkeypatch):
    bench, count = BENCHES[BENT], QUICK["extremes"]
    _, seen, _ = asked(monkeypatch, extremes, _chain_bench._extremes, bench)
    full = [case for case in bench.cases if case.known[BATCH]]
    assert len(full) < len(bench.cases) and all(np.prod(shape) for case in seen for shape in case.shapes.values())
    assert [case.lattice for case in seen] == [*EXTREMES, *["real"] * count]
    assert len({case.op.text + case.dtype for case in seen[: len(EXTREMES)]}) == len(EXTREMES)
    assert [case.op.text for case in seen[len(EXTREMES) :]] == [case.op.text for case in full[:count]]
    bench = ChainBench(BENT, planted.Layer, Settings())
    bench.cases = tuple(case for case in BENCHES[BENT].cases if not case.known[BATCH])
    assert bench.cases and asked(monkeypatch, extremes, _chain_bench._extremes, bench)[0] == []


def test_numbers_near_the_end_of_the_range_are_left_out_unless_they_are_plain(monkeypatch):
    judged = []
    monkeypatch.setattr(extremes, "check", lambda oracle, evidence: judged.append(oracle.case.lattice))
    for lattice, within in (("huge", True), ("real", True), ("real", False), ("huge", False), ("zero", False)):
        oracle = SimpleNamespace(case=SimpleNamespace(lattice=lattice), within_range=within)
        if lattice != "real" and not within:
            with pytest.raises(Skip, match="nears the end"):
                _chain_bench._extreme(oracle, Evidence("extremes"))
        else:
            _chain_bench._extreme(oracle, Evidence("extremes"))
    assert judged == ["huge", "real", "real"]


def test_whoever_watches_hears_of_every_kind_and_what_is_left_out_is_not_gathered():
    heard = []
    token = BEAT.set(heard.append)
    try:
        report = verify_chain(BENT, planted.Layer, Settings("smoke"), {"exact": "it hung", "proved": "it hung as well"}, BENCHES[BENT])
    finally:
        BEAT.reset(token)
    assert [text for text in heard if text.endswith(": ")] == [f"{kind}: " for kind in KINDS] == [f"{evidence.kind}: " for evidence in report.evidence]
    states = {evidence.kind: (evidence.state, evidence.cases > 0) for evidence in report.evidence}
    assert states["exact"] == states["proved"] == ("inconclusive", False) and states["bounded"] == states["contract"] == ("verified", True)
    assert states["symbolic"] == ("skipped", False) and report.verdict == "inconclusive" and "it hung" in report.why


def test_a_report_asks_for_all_gradients_that_some_case_has():
    assert verify_chain(BENT, planted.Layer, Settings("smoke"), original=BENCHES[BENT]).gradients == ("x", "dense1.W", "dense1.b")
    for wanted, gradients in (("all", ("x", "dense1.W", "dense1.b")), ("parameters", ("dense1.W", "dense1.b")), ("nothing", ())):
        case = next(case for case in BENCHES[BENT].cases if case.op.wanted == wanted and case.known[BATCH])
        report = replay_chain(BENT, planted.Layer, case.replay)
        assert report.gradients == gradients and report.verdict == "verified"


def test_what_a_case_that_is_replayed_is_no_case_for_says_why():
    bent = {case.lattice: case for case in BENCHES[BENT].cases if case.known[BATCH]}
    report = replay_chain(BENT, planted.Layer, bent["small"].replay)
    assert {evidence.kind: (evidence.state, evidence.absent) for evidence in report.evidence} == {
        "contract": ("verified", ""),
        "exact": ("verified", ""),
        "bounded": ("skipped", "arithmetic is exact there"),
        "extremes": ("skipped", "the values are not extreme"),
    }
    report = replay_chain(BENT, planted.Layer, bent["real"].replay)
    assert [evidence.state for evidence in report.evidence] == ["verified", "skipped", "verified", "skipped"]
    assert report.evidence[1].absent == "sums and products of its values are not exact" and not report.evidence[1].doubt


@pytest.mark.parametrize(
    ("passes", "fails", "state", "absent"),
    [
        (True, None, "verified", ""),
        (False, None, "skipped", "no case"),
        (False, ValueError("broken"), "inconclusive", ""),
        (False, Refutation(Finding("exact", "wrong", (), "", "as it is")), "refuted", ""),
    ],
)
def test_one_case_is_none_for_a_check_that_compares_nothing(passes, fails, state, absent):
    evidence = Evidence("exact")

    def gather():
        evidence.skipped["no case"] += 1
        if passes:
            evidence.passed("output")
        if fails:
            raise fails

    assert of_one_case(evidence, gather) is evidence and (evidence.state, evidence.absent) == (state, absent)


def test_a_case_that_the_kernel_declines_is_not_judged():
    class Shy(planted.Layer):
        @classmethod
        def declines(cls, chain):
            return "never"

    report = replay_chain(BENT, Shy, BENCHES[BENT].cases[0].replay)
    assert [(evidence.state, evidence.absent, evidence.cases) for evidence in report.evidence] == [("skipped", "the kernel declines it: never", 0)] * 4
