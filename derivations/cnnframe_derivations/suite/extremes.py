"""Where the derived values are finite, so is the code; and what is not a number does not vanish.

Saturated inputs, very large and very small numbers, zeros, one number throughout. The formula is evaluated in
`DIGITS` digits, where nothing overflows; each output and gradient that the element type can hold must come out, and
where the formula itself stays within the range of float64, within rounding of the largest entry. A NaN in an
input must reach every output that depends on it, unless the formula branches on values.

What an operation promises beyond that (`keeps_digits`, `full_range` of `Op`) is held against its code here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np

from cnnframe import Activation

from .._numbers import DIGITS, Floats
from ._bench import Bench, Check
from ._calls import Subject, apart
from ._cases import Case
from ._oracle import ROUTES, TINY, UNIT, Oracle, Truth
from ._values import EXTREMES
from ._verdict import Evidence, OraclesDisagree, Skip

KIND = "extremes"

LOOK = "does an intermediate result leave the range of"
"""Where code that is right on paper fails."""


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge some of the drawn cases with every kind of extreme values, and with a NaN."""
    cases = [case for case in bench.drawn if all(v.size for v in bench.oracle(case).arrays.values())]
    count = bench.budget[KIND]
    extreme = (
        [replace(cases[(number * 7 + round_) % len(cases)], lattice=rule) for round_ in range(count) for number, rule in enumerate(EXTREMES)] if cases else []
    )
    bench.judge(CHECK, extreme[: max(count, len(EXTREMES) * count // 2)], evidence)
    bench.judge(CHECK, [replace(case, lattice="real") for case in bench.some(KIND)], evidence)
    if bench.cls.full_range:
        bench.judge(CHECK, [replace(case, lattice="vast") for case in cases[:count]], evidence)
    if bench.cls.keeps_digits:
        bench.judge(CHECK, bench.line or _of_all_sizes(cases, bench), evidence)


def _of_all_sizes(cases: Sequence[Case], bench: Bench) -> list[Case]:
    """Cases with few operands, with numbers of all sizes."""
    return [replace(case, lattice="line") for case in cases if operands(bench.oracle(case)) <= MOST_KEPT][: 2 * bench.budget[KIND]]


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Judge a case by what its values are there for."""
    rule = oracle.case.lattice
    if rule == "real":
        not_finite(oracle, evidence)
    elif rule in (*EXTREMES, "vast"):
        finite(oracle, evidence)
    elif rule != "line":
        raise Skip("the values are not extreme")
    if rule in ("line", "denormal") and oracle.case.op.keeps_digits:
        digits_kept(oracle, evidence)


CHECK = Check(check)


def finite(oracle: Oracle, evidence: Evidence) -> None:
    """Every output and gradient that can be held is finite, and right where that can be said."""
    case, subject = oracle.case, Subject(KIND, oracle)
    outputs, gradients = oracle.many_digits
    bounds = _bounds(oracle)
    arrays, cotangents = case.laid_out(oracle.arrays), case.laid_out(oracle.cotangents)
    made, saved = subject.forward(arrays)
    # Far out an answer may equal an argument, and be the argument itself.
    apart(subject, made, arrays, "output", "argument")
    for name, got in made.items():
        _compare(subject, "output" if case.op.single else f"output {name!r}", got, outputs[name], bounds[0].get(name), evidence)
    answers = subject.backward(cotangents, saved)
    apart(subject, answers, {**arrays, **cotangents}, "gradient of", "argument or cotangent")
    for name, got in answers.items():
        _compare(subject, f"gradient of {name!r}", got, gradients[name], bounds[1].get(name), evidence)


def _bounds(oracle: Oracle) -> tuple[dict[str, Truth], dict[str, Truth]]:
    """Rounding bounds, where the formula's own arithmetic stays finite and decided."""
    try:
        return oracle.forward, oracle.gradients
    except (Skip, OraclesDisagree):
        # Far out, float64 may lose to cancellation what many digits keep.
        return {}, {}


def _compare(subject: Subject, label: str, got: Any, exact: Any, truth: Truth | None, evidence: Evidence) -> None:
    dtype = np.dtype(subject.case.dtype)
    most = float(np.finfo(dtype).max) / 4
    finite = np.array([bool(mpmath.isfinite(v) and abs(v) < most) for v in exact.ravel()], dtype=bool).reshape(np.shape(got))
    wanted = np.array([float(v) if ok else 0.0 for v, ok in zip(exact.ravel(), finite.ravel(), strict=True)]).reshape(np.shape(got))
    if finite.size and not finite.all():
        evidence.skipped["a value does not fit in the element type"] += 1
    lost = finite & ~np.isfinite(got)
    if lost.any():
        entry = tuple(int(i) for i in np.argwhere(lost)[0])
        raise subject.wrong(label, Truth(wanted, np.zeros_like(wanted)), got, entry, f"the value in {DIGITS} digits fits in {dtype}; {LOOK} {dtype}?")
    if truth is not None and finite.all():
        near = Truth(truth.value, np.maximum(truth.bound, ROUTES * UNIT[subject.case.dtype] * np.max(np.abs(truth.value), initial=0.0)))
        miss = near.first_miss(got)
        if miss is not None:
            exceeds = f"the difference exceeds the rounding of the largest entry and the bound {near.bound[miss]:.2g}"
            raise subject.wrong(label, near, got, miss, f"{exceeds}; {LOOK} {dtype}?" if _far(subject) else exceeds)
    if finite.any():
        evidence.passed(label)


def _far(subject: Subject) -> bool:
    """Whether operands are so large or small that an intermediate result is likely to be at fault."""
    given = [*subject.oracle.arrays.values(), *subject.oracle.cotangents.values()]
    sizes = np.concatenate([np.abs(np.ravel(value)).astype(np.float64) for value in given if np.asarray(value).dtype.kind == "f"])
    return bool(np.any((sizes > 0) & ((sizes < 1e-3) | (sizes > 1e3))))


def not_finite(oracle: Oracle, evidence: Evidence) -> None:
    """A NaN and an infinity in one entry reach the outputs that change with that entry."""
    if oracle.derivation.conditions and not oracle.case.op.full_range:
        raise Skip("the formula branches on values, and says itself what becomes of a NaN")
    subject = Subject(KIND, oracle)
    plain = oracle.evaluation.outputs(oracle.evaluation.forward(Floats(), oracle.arrays))
    for name in oracle.case.op.declaration.differentiable:
        size, first = int(np.size(oracle.arrays[name])), oracle.case.seed
        # Where the formula chooses, an entry may be none that it takes.
        for number in range(first, first + min(size, MOST_KEPT if oracle.derivation.conditions else 1)):
            _at_an_entry(subject, plain, name, tuple(int(i) for i in np.unravel_index(number % size, np.shape(oracle.arrays[name]))), evidence)


def _at_an_entry(subject: Subject, plain: Mapping[str, Any], name: str, entry: tuple[int, ...], evidence: Evidence) -> None:
    """A NaN, and an infinity, in one entry of one array."""
    evaluation = subject.oracle.evaluation
    moved = {n: np.array(a) for n, a in subject.oracle.arrays.items()}
    moved[name][entry] += 0.25
    there = evaluation.outputs(evaluation.forward(Floats(), moved))
    moved[name][entry] = np.nan
    _passes(subject, moved, {output: there[output] != plain[output] for output in plain}, f"a NaN in entry {entry} of {name!r}", evidence)
    moved[name][entry] = np.inf
    with np.errstate(all="ignore"):
        infinite = evaluation.outputs(evaluation.forward(Floats(), moved))
    _passes(subject, moved, {output: np.isinf(infinite[output]) for output in plain}, f"an infinity in entry {entry} of {name!r}", evidence)


def _passes(subject: Subject, arrays: Mapping[str, Any], reached: Mapping[str, Any], what: str, evidence: Evidence) -> None:
    got, _ = subject.forward(arrays)
    for output, value in got.items():
        lost = reached[output].reshape(value.shape) & np.isfinite(value)
        if lost.any():
            where = tuple(int(i) for i in np.argwhere(lost)[0])
            said = f"{what} vanishes: entry {where} of the output is {float(value[where]):g}"
            raise subject.refuse(said, "that output depends on that entry, and must not look right", got=value, entry=where)
        evidence.passed("NaN and infinity pass through")


MOST_KEPT = 24
"""Operands with more entries are not moved one by one."""


def operands(oracle: Oracle) -> int:
    """How many entries the operands have."""
    return sum(int(np.size(array)) for array in oracle.arrays.values())


def digits_kept(oracle: Oracle, evidence: Evidence) -> None:
    """Each entry that is promised to keep its digits is as near as rounding the operands a few times brings it."""
    case, subject = oracle.case, Subject(KIND, oracle)
    if not isinstance(case.op, Activation) and operands(oracle) > MOST_KEPT:
        return
    made, saved = subject.forward(case.laid_out(oracle.arrays))
    answers = subject.backward(case.laid_out(oracle.cotangents), saved)
    # Hardware that flushes results may be right, and so may a route through a number that overflows; what comes in is kept.
    least = float(np.finfo(case.dtype).smallest_subnormal) if case.lattice == "denormal" else TINY[case.dtype]
    for got, exact, moved, label in zip((made, answers), oracle.many_digits, oracle.conditions(), ("output {!r}", "gradient of {!r}"), strict=True):
        for name in sorted(got.keys() & set(case.op.keeps_digits)):
            value = np.array([float(v) for v in exact[name].ravel()]).reshape(np.shape(got[name]))
            bound = ROUTES * (UNIT[case.dtype] * (np.abs(value) + moved[name].reshape(value.shape)) + least)
            miss = Truth(value, bound).first_miss(got[name])
            if miss is not None:
                raise subject.wrong(label.format(name), Truth(value, bound), got[name], miss, "it promises to keep its digits, however small the entry")
            evidence.passed("small entries keep their digits")
