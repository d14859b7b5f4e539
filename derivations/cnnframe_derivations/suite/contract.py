"""What needs no oracle: names, shapes, element types, ownership, repeatability, linearity in the cotangent.

Arguments and cotangents are passed read-only and in several layouts; empty batches are drawn like others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnframe import BATCH
from cnnframe._axes import Expr
from cnnframe._call import takes_wanted

from ._calls import Subject
from ._cases import Case
from ._oracle import Oracle, Truth
from ._verdict import Evidence

KIND = "contract"


def check(case: Case, evidence: Evidence) -> None:
    """Hold one case to every promise, cheapest first."""
    oracle = Oracle(case)
    subject = Subject(KIND, oracle)
    oracle.require_finite()
    arrays, cotangents = case.laid_out(oracle.arrays), case.laid_out(oracle.cotangents)
    outputs, saved = subject.forward(arrays)
    kept = _copies(outputs)
    gradients = subject.backward(cotangents, saved)
    first = _copies(gradients)
    evidence.passed("names, shapes and element types")

    _untouched(subject, arrays, oracle.arrays, "argument")
    _untouched(subject, cotangents, oracle.cotangents, "cotangent")
    loose, loose_cotangents = _copies(oracle.arrays), _copies(oracle.cotangents)
    subject.backward(loose_cotangents, subject.forward(loose)[1])
    _untouched(subject, loose, oracle.arrays, "argument")
    _untouched(subject, loose_cotangents, oracle.cotangents, "cotangent")
    evidence.passed("arguments and cotangents untouched, read-only or not")

    _apart(subject, outputs, arrays, "output", "argument")
    _apart(subject, gradients, {**arrays, **{f"d{n}": c for n, c in cotangents.items()}}, "gradient of", "argument or cotangent")
    _apart(subject, gradients, outputs, "gradient of", "output")
    # A loss is mostly called with a cotangent of ones, the one that invites shortcuts.
    ones = {name: np.ones_like(value) for name, value in cotangents.items()}
    _apart(subject, subject.backward(ones, saved), {**arrays, **ones}, "gradient of", "argument or cotangent")
    _same(subject, gradients, first, "a backward of another cotangent changed the first answer, the gradient of")
    evidence.passed("no shared memory")

    _same(subject, outputs, kept, "backward changed output")
    _same(subject, subject.backward(cotangents, saved), first, "a second backward gave another gradient of")
    again, again_saved = subject.forward(arrays)
    _same(subject, outputs, kept, "a second forward changed the first answer, output")
    _same(subject, again, kept, "a second forward gave another output")
    evidence.passed("same bits twice")

    subject.forward(case.laid_out(oracle.other_arrays))
    _same(subject, subject.backward(cotangents, again_saved), first, "a forward of other arrays in between changed the gradient of")
    evidence.passed("interleaved calls apart")

    _linear(subject, cotangents, saved, first, evidence)
    if takes_wanted(type(case.op)):
        for name in first:
            _agree(
                subject, subject.backward(cotangents, saved, frozenset({name})), {name: first[name]}, oracle.gradients, "asked for alone, another gradient of"
            )
        evidence.passed("gradients on request")
    if oracle.derivation.batch_apart:
        _batch_entries_apart(subject, arrays, cotangents, kept, evidence)


def _copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.array(value) for name, value in arrays.items()}


def _untouched(subject: Subject, given: Mapping[str, Any], meant: Mapping[str, Any], what: str) -> None:
    for name, value in given.items():
        if not np.array_equal(value, meant[name]):
            raise subject.refuse(f"the {what} {name!r} was changed in place", "arguments belong to the caller")


def _apart(subject: Subject, answers: Mapping[str, Any], given: Mapping[str, Any], what: str, whose: str) -> None:
    for name, answer in answers.items():
        for other, value in given.items():
            if np.shares_memory(answer, value):
                raise subject.refuse(f"the {what} {name!r} shares memory with the {whose} {other!r}", "whoever changes one would change the other")


def _same(subject: Subject, got: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    for name, value in wanted.items():
        if not np.array_equal(got[name], value, equal_nan=True):
            raise subject.refuse(f"{what} {name!r}", "the same arguments must give the same bits")


def _agree(subject: Subject, got: Mapping[str, Any], wanted: Mapping[str, Any], truths: Mapping[str, Truth], what: str, where: Any = ...) -> None:
    """Equal bit for bit where arithmetic is exact, else within twice the rounding bound: memory layout may change the order of sums."""
    for name, value in wanted.items():
        bound = 2 * truths[name].bound[where]
        with np.errstate(invalid="ignore"):
            apart = ~(np.abs(np.asarray(got[name])[where] - value[where]) <= bound)
        if np.any(apart & ~(np.isnan(np.asarray(got[name])[where]) & np.isnan(value[where]))):
            raise subject.refuse(f"{what} {name!r}", "the same arithmetic must give the same result")


def _linear(subject: Subject, cotangents: Mapping[str, Any], saved: Any, first: Mapping[str, Any], evidence: Evidence) -> None:
    zero = subject.backward({n: np.zeros_like(c) for n, c in cotangents.items()}, saved)
    for name, value in zero.items():
        if np.any(value != 0):
            raise subject.refuse(f"a cotangent of zeros gives a gradient of {name!r} that is not zero", "backward is linear in the cotangent")
    for factor in (4.0, -0.5):
        longer = subject.case.laid_out({n: np.asarray(c * c.dtype.type(factor)) for n, c in cotangents.items()})
        back = {name: value / value.dtype.type(factor) for name, value in subject.backward(longer, saved).items()}
        # Underflow within the code may cost bits where arithmetic is not exact.
        _agree(subject, back, first, subject.oracle.gradients, f"{factor:g} times the cotangent does not give {factor:g} times the gradient of")
    evidence.passed("linear in the cotangent")


def _batch_entries_apart(subject: Subject, arrays: Mapping[str, Any], cotangents: Mapping[str, Any], outputs: Mapping[str, Any], evidence: Evidence) -> None:
    """Where the formula keeps batch entries apart, one entry's inputs must not reach another's outputs and gradients."""
    declaration = subject.case.op.declaration
    batched = [name for name, axes in {**declaration.inputs, **declaration.constants}.items() if axes and axes[0] == Expr("name", (BATCH,))]
    count = subject.case.known.get(BATCH, 0)
    if count < 2:
        return
    row = subject.case.seed % count
    moved = {name: np.array(value) for name, value in arrays.items()}
    for name in batched:
        if name in declaration.inputs:
            moved[name][row] += 1
    changed, saved = subject.forward(moved)
    others = np.arange(count) != row
    _agree(subject, changed, outputs, subject.oracle.forward, f"changing entry {row} of the batch changes other entries of the output", others)
    alone = {name: np.where((np.arange(count) == row).reshape(-1, *(1,) * (np.ndim(c) - 1)), c, c.dtype.type(0)) for name, c in cotangents.items()}
    for name, value in subject.backward(alone, saved, frozenset(declaration.differentiable)).items():
        if name in batched and np.any(value[others] != 0):
            raise subject.refuse(f"the cotangent of entry {row} alone gives other entries a gradient of {name!r}", "the formula reads no other entry")
    evidence.passed("batch entries apart")
