"""The diagonal of the Gauss-Newton matrix goes back as the formula says: what optimizers that ask for it are given.

The executor takes it back through the author's own methods, with arguments squared, or by code made from the formula, whichever
the formula allows. Here what comes of it is held to the sum of the squared derivatives, each worked out by itself, or for a
loss to its second derivative: bit for bit on integers, elsewhere within a computed bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .._symbolic import structure
from ._bench import Bench, Check
from ._calls import Subject
from ._cases import DTYPES, Case
from ._curved import curved
from ._oracle import Oracle
from ._verdict import Evidence, Skip

KIND = "curvature"
CASES_OF_A_FORM = 4


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge a few cases of the small box and drawn ones, half of them on integers."""
    cases = _of_few_forms([case for pair in zip(bench.drawn, bench.box, strict=False) for case in pair], bench.budget[KIND])
    bench.judge(CHECK, [_varied(case, number, bench.run.dtype) for number, case in enumerate(cases)], evidence)
    if not evidence.checks:
        evidence.absent = next(iter(evidence.skipped), "there is nothing to propagate to")


def _of_few_forms(cases: Iterable[Case], most: int) -> list[Case]:
    """The first cases whose formulas have a few forms among them: each form is derived, and code made from it, which takes its time."""
    forms, found = set[Any](), list[Case]()
    for case in cases:
        form = structure(case.op)
        if len(found) < most and (form in forms or len(forms) < max(1, most // CASES_OF_A_FORM)):
            forms.add(form)
            found.append(case)
    return found


def _varied(case: Case, number: int, dtype: str) -> Case:
    """Half of the cases on integers, and of those half in each element type."""
    return replace(case, lattice="real" if number % 2 else "small", dtype=dtype or DTYPES[number // 2 % 2])


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Compare the diagonal for every input and parameter, entry by entry."""
    case = oracle.case
    if not case.op.declaration.differentiable:
        raise Skip("there is nothing to propagate to")
    above = {name: np.abs(value) for name, value in oracle.cotangents.items()}
    subject = Subject(KIND, oracle)
    got = subject.curvature(case.laid_out(oracle.arrays), case.laid_out(above))
    for name, truth in curved(oracle, above).items():
        label = f"curvature of {name!r}"
        miss = truth.first_miss(got[name])
        if miss is not None:
            asked = f"within {truth.bound[miss]:.2g} of it" if truth.bound[miss] else "equal to it, since all is made of integers"
            raise subject.wrong(label, truth, got[name], miss, f"the formula's own derivatives give this value, and the answer must be {asked}")
        if truth.value.size:
            evidence.passed(label)


CHECK = Check(check)
