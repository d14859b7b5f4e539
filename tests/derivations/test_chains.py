"""Kernels are judged on chains of operations, by truths that are composed of those of the operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import chain_kernels as planted
import pytest

import cnnframe as cf
from cnnframe_derivations.suite import Settings, _chain_bench, _chains
from cnnframe_derivations.suite._chain_bench import ChainBench, replay_chain, verify_chain
from cnnframe_derivations.suite._chains import chains_of, everything, is_chain, resolve_chain
from cnnframe_derivations.suite._joined import name_of
from cnnframe_derivations.suite._joined_cases import ChainCase

OPS = planted.OPS
SMOOTH = (planted.CONV, planted.TANH, planted.MEAN)
BENT = (planted.CONV, planted.RELU, planted.MAX)
SEEN_IN = {planted.BeyondABlock: BENT, planted.LeftOverRow: BENT, planted.LastOfEqual: BENT}
"""Where a mistake is looked for, if not in the smooth chain."""
BENCHES = {kinds: ChainBench(kinds, planted.Chained, Settings()) for kinds in (SMOOTH, BENT)}
"""With cases and truths that are worked out once."""


@cache
def judged(wrong):
    """The chain that a mistake is looked for in, and the report."""
    kinds = SEEN_IN.get(wrong, SMOOTH)
    return kinds, verify_chain(kinds, wrong, original=BENCHES[kinds])


@pytest.mark.parametrize("wrong", planted.WRONG)
def test_a_wrong_kernel_is_refuted_with_a_small_case(wrong):
    kinds, report = judged(wrong)
    assert report.verdict == "refuted", str(report)
    assert (report.name, report.kernel, report.target) == (name_of(kinds), wrong.name, f"{name_of(kinds)}@{wrong.name}")
    assert len(str(report).splitlines()) <= 25 and max(len(array.entries) for array in report.finding.arrays) <= 64


@pytest.mark.parametrize("wrong", [planted.LastOfEqual, planted.LosesNaN, planted.OneLayout, planted.OneShort, planted.Stale])
def test_what_is_replayed_is_refuted_and_by_a_right_kernel_not(wrong):
    kinds, report = judged(wrong)
    assert replay_chain(kinds, wrong, report.finding.replay).finding.kind in ("contract", report.finding.kind)
    assert not replay_chain(kinds, planted.Chained, report.finding.replay).finding


RIGHT = {SMOOTH: planted.RIGHT, BENT: (planted.Chained, planted.AsItLies, planted.NaNIsNothing)}


@pytest.mark.parametrize(("kinds", "right"), [(kinds, kernel) for kinds, kernels in RIGHT.items() for kernel in kernels])
def test_a_right_kernel_is_verified(kinds, right):
    report = verify_chain(kinds, right, Settings("smoke"), original=BENCHES[kinds])
    assert report.verdict == "verified", str(report)
    states = {evidence.kind: evidence.state for evidence in report.evidence}
    assert states["contract"] == states["bounded"] == states["extremes"] == "verified" and states["proved"] == "skipped"
    assert states["exact"] == ("verified" if kinds == BENT else "skipped")


def test_the_first_of_a_chain_may_have_several_inputs():
    kinds = (OPS["add"], planted.RELU)
    report = verify_chain(kinds, planted.SumAndReLU, Settings("smoke"))
    assert report.verdict == "verified" and report.gradients == ("a", "b"), str(report)
    assert verify_chain(kinds, planted.HalfOfOne, Settings("smoke")).finding.what.startswith("entry")


def test_the_last_of_a_chain_may_have_several_outputs():
    kinds = (planted.SHIFT, planted.Both)
    report = verify_chain(kinds, planted.ShiftAndBoth, Settings("smoke"))
    assert report.verdict == "verified", str(report)
    exact = next(evidence for evidence in report.evidence if evidence.kind == "exact")
    assert {"output 'twice'", "output 'square'", "gradient of 'x'", "gradient of 'scale_shift1.gain'"} <= exact.compared.keys()
    assert verify_chain(kinds, planted.OneOfTwoOutputs, Settings("smoke")).finding.what.startswith("entry")


@dataclass(frozen=True)
class Bump(cf.Activation):
    """Someone else's activation."""

    name = "bump"

    def f(self, x):
        return x / (1 + x * x)

    def df(self, x, y):
        return (1 - x * x) / (1 + x * x) ** 2

    def expr(self, x):
        return x / (1 + x * x)


class AnyActivation(planted.Chained):
    """Takes whatever activation there is."""

    name = "any_activation"

    @classmethod
    def matches(cls, ops):
        return 2 if len(ops) > 1 and type(ops[0]) is planted.CONV and isinstance(ops[1], cf.Activation) else 0

    def value(self, u):
        return self.chain.ops[1].f(u)

    def slope(self, u, v):
        return self.chain.ops[1].df(u, v)


def test_an_activation_of_someone_else_is_found_and_judged():
    chains = chains_of(AnyActivation, [planted.CONV, planted.RELU, OPS["softplus"], Bump, OPS["flatten"]])
    assert (planted.CONV, Bump) in chains and (planted.CONV, OPS["softplus"]) in chains
    report = verify_chain((planted.CONV, Bump), AnyActivation, Settings("smoke"))
    assert report.name == "conv+bump" and report.verdict == "verified", str(report)


def test_sizes_that_no_operation_takes_leave_no_verdict(monkeypatch):
    monkeypatch.setattr(_chain_bench, "served", partial(_chains.served, patience=30))
    monkeypatch.setattr(_chains, "TAKEN", 30)

    class Shy(planted.Chained):
        name = "shy"

        @classmethod
        def declines(cls, chain):
            return "never"

    report = verify_chain(SMOOTH, Shy, Settings("smoke"))
    assert report.verdict == "inconclusive" and "no sizes were found that the kernel takes" in report.why
    assert chains_of(Shy, SMOOTH) == []


def test_a_case_is_read_as_it_was_written():
    case = BENCHES[BENT].cases[3]
    again = ChainCase.read(BENT, case.replay)
    assert again.replay == case.replay and again.op.ops == case.op.ops and again.shapes == case.shapes
    assert case.op.evaluation is again.op.evaluation is not BENCHES[BENT].cases[0].op.evaluation
    for text in ("{", "{}", case.replay.replace('"wanted": "', '"wanted": "no'), case.replay.replace(case.dtype, "int8")):
        with pytest.raises(cf.DataError, match="--case is not a case"):
            ChainCase.read(BENT, text)


def test_the_chains_of_a_kernel_hold_every_operation_that_it_takes():
    chains = chains_of(planted.Chained, OPS.operations().values())
    assert {kind for kinds in chains for kind in kinds} == {planted.CONV, planted.TANH, planted.RELU, planted.MEAN, planted.MAX}
    assert all(len(kinds) > 1 for kinds in chains)


def test_a_name_says_operations_and_kernel():
    assert is_chain("conv+relu@fused") and is_chain("conv+relu") and not is_chain("conv@fused")
    with pytest.raises(cf.UnknownNameError, match=r"a chain of operations is judged with a kernel, as in conv\+relu@KERNEL"):
        resolve_chain("conv+relu", OPS)
    with pytest.raises(cf.UnknownNameError, match=r"no kernel 'numpy_conv' takes conv\+relu"):
        resolve_chain("conv+relu@numpy_conv", OPS)
    assert {"conv", "conv@numpy_conv"} <= set(everything(OPS))
