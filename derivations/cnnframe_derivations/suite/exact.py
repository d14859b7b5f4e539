"""Forward and backward equal the formula and its derived gradient, bit for bit.

On the integer lattice every sum and product is exact, through BLAS too, so nothing is forgiven. The cases are
those of the small box, or what of it fits the budget, and larger ones that are drawn; settings that are known to
bring mistakes to light must be among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._numbers import DIGITS
from ._bench import Bench, Check
from ._calls import Subject, apart
from ._oracle import UNIT, Oracle, Truth
from ._verdict import Evidence, OraclesDisagree, Skip

KIND = "exact"
UNEXACT = "sums and products of its values are not exact"


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge the box and the drawn cases."""
    if not bench.exact:
        evidence.absent = "the formula is transcendental or divides by what is no power of two: no lattice makes it exact, and bounds take its place"
        return
    judged = bench.judge(CHECK, (*bench.box, *bench.drawn), evidence)
    missing = bench.missing
    if missing:
        evidence.doubt = f"too few cases were drawn with {', '.join(missing)}"
    evidence.notes.append(f"{len(bench.box)} structures of the small box, {len(bench.drawn)} drawn; {sum(judged[d] for d in UNIT)} cases were exact")


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Compare every output and every gradient, entry by entry."""
    if not oracle.exact:
        raise Skip(UNEXACT)
    subject = Subject(KIND, oracle)
    for label, got, truth, name in answers(subject):
        miss = truth.first_miss(got)
        if miss is not None:
            certificate = "all sums and products are exact here, so the two must be equal"
            raise subject.wrong(label, truth, got, miss, certificate + (confirm(oracle, name, miss, truth) if name else ""))
        if truth.value.size:
            evidence.passed(label)
            if truth.value.any():
                evidence.power[f"{label}, {oracle.case.dtype}"] = 2 * UNIT[oracle.case.dtype]


CHECK = Check(check)


def answers(subject: Subject) -> Iterator[tuple[str, Any, Truth, str]]:
    """Each output and gradient: what it is called, what came, what it must be, and the name of a gradient's array."""
    oracle, case = subject.oracle, subject.case
    # The same operation has seen other values before: nothing of them may be left.
    _, other = subject.forward(case.laid_out(oracle.other_arrays))
    subject.backward(case.laid_out(oracle.cotangents), other)
    arrays, cotangents = case.laid_out(oracle.arrays), case.laid_out(oracle.cotangents)
    outputs, saved = subject.forward(arrays)
    apart(subject, outputs, arrays, "output", "argument")
    for name, truth in oracle.forward.items():
        yield "output" if case.op.single else f"output {name!r}", outputs[name], truth, ""
    gradients = subject.backward(cotangents, saved)
    apart(subject, gradients, {**arrays, **cotangents}, "gradient of", "argument or cotangent")
    for name, truth in oracle.gradients.items():
        yield f"gradient of {name!r}", gradients[name], truth, name


def confirm(oracle: Oracle, name: str, entry: tuple[int, ...], truth: Truth) -> str:
    """A second oracle: differences of the formula in many digits know nothing of our derivation."""
    if oracle.hasty:
        return ""
    quotient, derived = oracle.difference_quotient(name, entry), float(truth.value[entry])
    if abs(quotient - derived) <= 1e-9 * (1 + abs(derived)):
        return f"; a difference quotient of the formula in {DIGITS} digits confirms {quotient:.10g}"
    if not oracle.on_a_kink(name, entry):
        raise OraclesDisagree(f"{oracle.case.op.name}: derived gradient {derived!r} of {name!r}, difference quotient {quotient!r}; case {oracle.case.replay}")
    return "; the entry lies on a kink, where the formula's own branch decides"
