"""What needs no oracle: names, shapes, element types, ownership, repeatability, linearity in the cotangent.

Arguments and cotangents are passed read-only and in several layouts; empty batches are drawn like others. The
process is left as it was: nothing printed, no setting changed, no global random state touched.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnframe import BATCH
from cnnframe._axes import Expr
from cnnframe._call import takes_wanted

from ._bench import Bench, Check
from ._calls import Subject, apart
from ._oracle import ROUTES, TINY, Oracle, Truth
from ._refusals import check_refusals
from ._state import State, undisturbed, written
from ._verdict import Evidence, Skip

KIND = "contract"


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge what the class refuses, then some of the drawn cases."""
    check_refusals(bench.cls, evidence)
    # Shortcuts may be taken for large arrays alone.
    largest = sorted(bench.drawn, key=lambda case: -sum(math.prod(shape) for shape in case.shapes.values()))[:2]
    bench.judge(CHECK, (*bench.some(KIND), *largest), evidence)


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Hold one case to every promise, cheapest first."""
    case = oracle.case
    subject = Subject(KIND, oracle)
    _claims(subject)
    oracle.require_finite()
    _leaves_the_process_alone(subject, evidence)
    arrays, cotangents = case.laid_out(oracle.arrays), case.laid_out(oracle.cotangents)
    outputs, saved = subject.forward(arrays)
    kept = _copies(outputs)
    gradients = subject.backward(cotangents, saved)
    first = _copies(gradients)
    evidence.passed("names, shapes and element types")

    _untouched(subject, arrays, oracle.arrays, "argument")
    _untouched(subject, cotangents, oracle.cotangents, "cotangent")
    loose, loose_cotangents = _copies(oracle.arrays), _copies(oracle.cotangents)
    loose_outputs, loose_saved = subject.forward(loose)
    apart(subject, loose_outputs, loose, "output", "argument")
    apart(subject, subject.backward(loose_cotangents, loose_saved), {**loose, **loose_cotangents}, "gradient of", "argument or cotangent")
    _untouched(subject, loose, oracle.arrays, "argument")
    _untouched(subject, loose_cotangents, oracle.cotangents, "cotangent")
    evidence.passed("arguments and cotangents untouched, read-only or not")

    apart(subject, outputs, arrays, "output", "argument")
    apart(subject, gradients, {**arrays, **{f"d{n}": c for n, c in cotangents.items()}}, "gradient of", "argument or cotangent")
    apart(subject, gradients, outputs, "gradient of", "output")
    # A loss is mostly called with a cotangent of ones, the one that invites shortcuts.
    ones = {name: np.ones_like(value) for name, value in cotangents.items()}
    apart(subject, subject.backward(ones, saved), {**arrays, **ones}, "gradient of", "argument or cotangent")
    _same(subject, gradients, first, "a backward of another cotangent changed the first answer, the gradient of")
    evidence.passed("no shared memory")

    _same(subject, outputs, kept, "backward changed output")
    back = subject.backward(cotangents, saved)
    _same(subject, back, first, "a second backward gave another gradient of")
    apart(subject, back, gradients, "second gradient of", "first answer")
    again, again_saved = subject.forward(arrays)
    _same(subject, outputs, kept, "a second forward changed the first answer, output")
    _same(subject, again, kept, "a second forward gave another output")
    apart(subject, again, outputs, "second output", "first answer")
    evidence.passed("same bits twice")

    _same_object_twice(subject, evidence)
    subject.forward(case.laid_out(oracle.other_arrays))
    _same(subject, outputs, kept, "a forward of other arrays changed the first answer, output")
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
        _batch_entriesapart(subject, arrays, cotangents, kept, evidence)


CHECK = Check(check)


def _claims(subject: Subject) -> None:
    """What the class says of itself fits its formula and its declaration."""
    op = subject.case.op
    if op.batch_apart and not subject.oracle.derivation.splits:
        raise subject.refuse("batch_apart is declared, and the formula does not treat each entry of a batch by itself", "a batch would be computed in parts")
    unknown = sorted(set(op.keeps_digits) - {*subject.case.outputs, *op.declaration.differentiable})
    if unknown:
        raise subject.refuse(f"keeps_digits names {', '.join(map(repr, unknown))}", "it may name outputs, inputs and parameters")


def _leaves_the_process_alone(subject: Subject, evidence: Evidence) -> None:
    hyperparameters = repr(subject.case.op)
    modules = len(sys.modules)
    with undisturbed():
        changed, wrote = _traces(subject)
        if len(sys.modules) != modules:
            # A first call may import what it needs, and that may change settings; a second has no excuse.
            changed, wrote = _traces(subject)
    if changed:
        raise subject.refuse(f"forward or backward changed {', '.join(changed)}", "an operation computes, and does nothing else")
    if wrote:
        raise subject.refuse(f"forward or backward wrote {wrote[:60]!r} to a standard stream", "an operation computes, and does nothing else")
    if repr(subject.case.op) != hyperparameters:
        raise subject.refuse("forward or backward changed the operation's hyperparameters", "an operation is a value")
    evidence.passed("process left alone")


def _traces(subject: Subject) -> tuple[list[str], bytes]:
    """What a forward and a backward change in the process, and what they write to its streams."""
    # The random states are moved, so that seeding them anew shows.
    np.random.random_sample()  # noqa: NPY002 # it is this global state that is looked at
    random.random()  # noqa: S311 # as above
    before = State()
    try:
        with written(1) as out, written(2) as err:
            subject.backward(_copies(subject.oracle.cotangents), subject.forward(_copies(subject.oracle.arrays))[1])
    finally:
        changed = before.changed(State())
        if changed:
            before.restore()
    return changed, b"".join((*out, *err))


def _same_object_twice(subject: Subject, evidence: Evidence) -> None:
    """One array given for two arguments is no other case than two equal arrays."""
    names = list(subject.case.op.declaration.differentiable)
    alike = {name: next(n for n in names if subject.case.shapes[n] == subject.case.shapes[name]) for name in names}
    if len(set(alike.values())) == len(names):
        return
    equal = {name: subject.oracle.arrays[alike.get(name, name)] for name in subject.oracle.arrays}
    # A matrix product of an array with itself is one that BLAS adds up in another order, and these values need not be exact.
    truth = subject.oracle.at(subject.case, equal, subject.oracle.cotangents)
    try:
        bounds, gradient_bounds = truth.forward, truth.gradients
    except Skip as skip:
        evidence.skipped[f"one array for two arguments: {skip}"] += 1
        return
    apart_outputs, apart_saved = subject.forward(_copies(equal))
    outputs, saved = subject.forward(equal)
    _agree(subject, outputs, apart_outputs, bounds, "one array for two arguments gives another output")
    gradients = subject.backward(_copies(subject.oracle.cotangents), apart_saved)
    back = subject.backward(_copies(subject.oracle.cotangents), saved)
    _agree(subject, back, gradients, gradient_bounds, "one array for two arguments gives another gradient of")
    evidence.passed("one array for two arguments")


def _copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.array(value) for name, value in arrays.items()}


def _untouched(subject: Subject, given: Mapping[str, Any], meant: Mapping[str, Any], what: str) -> None:
    for name, value in given.items():
        if not np.array_equal(value, meant[name]):
            raise subject.refuse(f"the {what} {name!r} was changed in place", "arguments belong to the caller")


def _same(subject: Subject, got: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    for name, value in wanted.items():
        if not np.array_equal(got[name], value, equal_nan=True):
            raise subject.refuse(f"{what} {name!r}", "the same arguments must give the same bits")


def _agree(
    subject: Subject, got: Mapping[str, Any], wanted: Mapping[str, Any], truths: Mapping[str, Truth], what: str, where: Any = ..., lost: float = 0.0
) -> None:
    """Equal bit for bit where arithmetic is exact, else within twice the rounding bound, and what was `lost` to underflow.

    Twice, since memory layout may change the order of sums.
    """
    for name, value in wanted.items():
        bound = 2 * truths[name].bound[where] + lost
        with np.errstate(invalid="ignore"):
            apart = ~(np.abs(np.asarray(got[name])[where] - value[where]) <= bound)
        if np.any(apart & ~(np.isnan(np.asarray(got[name])[where]) & np.isnan(value[where]))):
            raise subject.refuse(f"{what} {name!r}", "the same arithmetic must give the same result")


def _linear(subject: Subject, cotangents: Mapping[str, Any], saved: Any, first: Mapping[str, Any], evidence: Evidence) -> None:
    zero = subject.backward({n: np.zeros_like(c) for n, c in cotangents.items()}, saved)
    for name, value in zero.items():
        if np.any(value != 0):
            raise subject.refuse(f"a cotangent of zeros gives a gradient of {name!r} that is not zero", "backward is linear in the cotangent")
    for factor in (4.0, -0.5, 2.0**30, 2.0**-30):
        longer = subject.case.laid_out({n: np.asarray(c * c.dtype.type(factor)) for n, c in cotangents.items()})
        back = {name: value / value.dtype.type(factor) for name, value in subject.backward(longer, saved).items()}
        # A small cotangent may underflow within the code, where arithmetic is not exact.
        lost = 0.0 if subject.oracle.exact else ROUTES * TINY[subject.case.dtype] / factor
        _agree(subject, back, first, subject.oracle.gradients, f"{factor:g} times the cotangent does not give {factor:g} times the gradient of", lost=abs(lost))
    evidence.passed("linear in the cotangent")


def _batch_entriesapart(subject: Subject, arrays: Mapping[str, Any], cotangents: Mapping[str, Any], outputs: Mapping[str, Any], evidence: Evidence) -> None:
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
    alone = {name: np.where((np.arange(count) == row).reshape(count, *(1,) * (np.ndim(c) - 1)), c, c.dtype.type(0)) for name, c in cotangents.items()}
    for name, value in subject.backward(alone, saved, frozenset(declaration.differentiable)).items():
        if name in batched and np.any(value[others] != 0):
            raise subject.refuse(f"the cotangent of entry {row} alone gives other entries a gradient of {name!r}", "the formula reads no other entry")
    evidence.passed("batch entries apart")
