"""Forward and backward equal the formula and its derived gradient.

On the integer lattice, where every sum and product is exact, they must be equal bit for bit. Where the
formula is transcendental, or divides by what is no power of two, each entry must lie within a bound that is
computed for it by running error analysis, around a value of `DIGITS` digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._numbers import DIGITS
from ._calls import Subject
from ._cases import Case
from ._oracle import Oracle, Truth
from ._verdict import Evidence, OraclesDisagree

KIND = "exact"


def check(case: Case, evidence: Evidence) -> None:
    """Compare every output and every gradient, entry by entry."""
    oracle = Oracle(case)
    subject = Subject(KIND, oracle)
    # The same operation has seen other values before: nothing of them may be left.
    _, other = subject.forward(case.laid_out(oracle.other_arrays))
    subject.backward(case.laid_out(oracle.cotangents), other)
    outputs, saved = subject.forward(case.laid_out(oracle.arrays))
    for name, truth in oracle.forward.items():
        label = "output" if case.op.single else f"output {name!r}"
        evidence.asked.add(label)
        _compare(subject, label, outputs[name], truth, evidence, lambda entry: "")
    gradients = subject.backward(case.laid_out(oracle.cotangents), saved)
    for name, truth in oracle.gradients.items():
        evidence.asked.add(f"gradient of {name!r}")
        _compare(subject, f"gradient of {name!r}", gradients[name], truth, evidence, lambda entry, name=name, truth=truth: _confirm(oracle, name, entry, truth))


def _compare(subject: Subject, label: str, got: Any, truth: Truth, evidence: Evidence, confirm: Any) -> None:
    miss = truth.first_miss(got)
    if miss is None:
        if np.size(got):
            evidence.passed(f"{label}{'' if subject.oracle.exact else ' (bounded)'}")
        return
    where = f"entry {miss} of the {label}" if miss else f"the {label}"
    wanted, came = truth.value[miss], np.asarray(got)[miss]
    certificate = "all sums and products are exact here, so the two must be equal"
    if not subject.oracle.exact:
        certificate = (
            f"the difference {abs(float(came) - float(wanted)):.2g} exceeds the rounding bound {truth.bound[miss]:.2g} around a value of {DIGITS} digits"
        )
    raise subject.refuse(f"{where} must be {_short(wanted)}; got {_short(came)}", certificate + confirm(miss))


def _short(value: Any) -> str:
    return f"{float(value):.17g}"


def _confirm(oracle: Oracle, name: str, entry: tuple[int, ...], truth: Truth) -> str:
    """A second oracle: differences of the formula in many digits know nothing of our derivation."""
    quotient, derived = oracle.difference_quotient(name, entry), float(truth.value[entry])
    if abs(quotient - derived) <= 1e-9 * (1 + abs(derived)):
        return f"; a difference quotient of the formula in {DIGITS} digits confirms {quotient:.10g}"
    if not oracle.on_a_kink(name, entry):
        raise OraclesDisagree(f"{oracle.case.op.name}: derived gradient {derived!r} of {name!r}, difference quotient {quotient!r}; case {oracle.case.replay}")
    return "; the entry lies on a kink, where the formula's own branch decides"
