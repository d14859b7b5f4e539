"""Kernels are judged on chains of operations, by truths that are composed of those of the operations."""

from __future__ import annotations

import chain_kernels as planted
import pytest

import cnnframe as cf
from cnnframe_derivations.suite import Settings
from cnnframe_derivations.suite._chain_bench import replay_chain, verify_chain
from cnnframe_derivations.suite._chains import chains_of, everything, is_chain, resolve_chain
from cnnframe_derivations.suite._joined import name_of

OPS = planted.OPS
SMOOTH = (planted.CONV, planted.TANH, planted.MEAN)
BENT = (planted.CONV, planted.RELU, planted.MAX)
SEEN_IN = {planted.BeyondABlock: BENT, planted.LeftOverRow: BENT, planted.LastOfEqual: BENT}
"""Where a mistake is looked for, if not in the smooth chain."""


@pytest.mark.parametrize("wrong", planted.WRONG)
def test_a_wrong_kernel_is_refuted_with_a_small_case(wrong):
    kinds = SEEN_IN.get(wrong, SMOOTH)
    report = verify_chain(kinds, wrong)
    assert report.verdict == "refuted", str(report)
    assert (report.name, report.kernel, report.target) == (name_of(kinds), wrong.name, f"{name_of(kinds)}@{wrong.name}")
    assert len(str(report).splitlines()) <= 25
    assert replay_chain(kinds, wrong, report.finding.replay).verdict == "refuted"


@pytest.mark.parametrize("right", planted.RIGHT)
@pytest.mark.parametrize("kinds", [SMOOTH, BENT])
def test_a_right_kernel_is_verified(kinds, right):
    report = verify_chain(kinds, right, Settings("quick", 1))
    assert report.verdict == "verified", str(report)
    states = {evidence.kind: evidence.state for evidence in report.evidence}
    assert states["contract"] == states["bounded"] == states["extremes"] == "verified" and states["proved"] == "skipped"
    assert states["exact"] == ("verified" if kinds == BENT else "skipped")


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
