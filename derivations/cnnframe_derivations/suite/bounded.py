"""Forward and backward lie within computed rounding bounds around a value of `DIGITS` digits.

The bound of each entry is computed by running error analysis of the formula and of its derived gradient, over
magnitudes, in the units of the code's own element type: never from the size of the result, which cancellation
would make a false alarm. Real numbers are drawn for every operation; an operation whose arithmetic is not exact on
the lattice is judged here on all its cases.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .._numbers import DIGITS
from ._bench import THIN, Bench, Check
from ._calls import Subject
from ._cases import DTYPES, Case
from ._coverage import features
from ._oracle import Oracle
from ._verdict import DECADES, Evidence, Skip
from .exact import answers, confirm

KIND = "bounded"


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge real numbers, and all cases that are not exact."""
    real = [replace(case, lattice="real", dtype=bench.run.dtype or DTYPES[number % 2]) for number, case in enumerate(bench.some(KIND))]
    # A function of one number is wrong in some interval, which few drawn numbers meet.
    real += bench.line[:1]
    rest = [case for case in (*bench.box, *bench.drawn) if not bench.oracle(case).exact]
    judged = bench.judge(CHECK, (*real, *rest), evidence)
    if not bench.exact:
        never = {feature for case in rest for feature in features(case)} - judged.keys()
        lost = sorted({*bench.missing, *never})
        if lost and bench.run.profile not in THIN:
            evidence.doubt = f"too few cases were judged with {', '.join(lost)}"


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Compare every output and every gradient, entry by entry."""
    if oracle.exact:
        raise Skip("arithmetic is exact there")
    subject = Subject(KIND, oracle)
    for label, got, truth, name in answers(subject):
        miss = truth.first_miss(got)
        if miss is not None:
            off = abs(float(np.asarray(got)[miss]) - float(truth.value[miss]))
            certificate = f"the difference {off:.2g} exceeds the rounding bound {truth.bound[miss]:.2g} around a value of {DIGITS} digits"
            raise subject.wrong(label, truth, got, miss, certificate + (confirm(oracle, name, miss, truth) if name else ""))
        if truth.value.size:
            evidence.passed(label)
            _measure(evidence, label, oracle.case, got, truth.value, truth.bound)


CHECK = Check(check)


def _measure(evidence: Evidence, label: str, case: Case, got: object, value: object, bound: object) -> None:
    """Note how far within its bound each entry lies, and the smallest relative error that would have been seen in any."""
    got, value, bound = np.asarray(got, dtype=np.float64), np.asarray(value), np.asarray(bound)
    ratio = np.abs(got - value) / bound
    with np.errstate(divide="ignore"):
        columns = np.clip(np.floor(np.log10(ratio)) + DECADES, 0, DECADES - 1).astype(int)
    counts = np.bincount(columns.ravel(), minlength=DECADES)
    evidence.errors[label] = [a + int(b) for a, b in zip(evidence.errors.get(label, [0] * DECADES), counts, strict=True)]
    # Entries that are 0 but for rounding have no relative error.
    full = np.abs(value) > bound
    if full.any():
        key = f"{label}, {case.dtype}"
        evidence.power[key] = min(evidence.power.get(key, math.inf), float(np.max(bound[full] / np.abs(value[full]))))
