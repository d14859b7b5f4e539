"""What the diagonal of a Gauss-Newton matrix has to be behind one operation, exactly or within a computed bound.

Of a layer it is the sum over the output of squared derivatives, each derivative worked out for itself from the formula, times
what comes from above. Of a loss or a penalty it is the second derivative, where that is not negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import mpmath
import numpy as np

from cnnframe import Op

from .._derive import derive_structure
from .._evaluate import Evaluation
from .._numbers import DIGITS, Digits, Floats
from .._rounding import Rounding
from .._symbolic import Structure as Chosen
from .._symbolic import structure
from .._terms import Definition
from ..diagonal import begins, indices_of, slopes, squares, tidy
from ._cases import Structure
from ._oracle import ROUTES, TINY, UNIT, Given, Oracle, Truth
from ._values import PRECISION
from ._verdict import OraclesDisagree, Skip

MOST_PAIRS = 1500
"""Entries of an output times entries of an argument: cases with more are not looked at."""
PROBES = 2
"""Entries at which a second derivative is confirmed by differences."""


def curved(oracle: Oracle, above: Mapping[str, Any]) -> dict[str, Truth]:
    """The diagonal for each argument, given that of each output.

    Raises:
        Skip: the case is too large, or the formula branches or overflows there.
        OraclesDisagree: the derivatives contradict those of the gradients.
    """
    return _seconds(oracle, above) if begins(type(oracle.case.op)) else _squares(oracle, above)


@cache
def _slopes(cls: type[Op], chosen: Chosen) -> Any:
    """A derivation of every derivative of an output by an argument, over the indices of both."""
    derivation = derive_structure(cls, chosen)
    program = derivation.program
    found, names = [], {}
    for output, defined in program.outputs.items():
        of = program[defined]
        for name in derivation.gradients:
            at = indices_of(program.shape(name))
            free = {**dict(of.box), **dict(zip(at, program.shape(name), strict=True))}
            terms = tuple(tidy(derivation, term, free) for term in slopes(derivation, of, name, at))
            found.append(Definition(f"slope_{output}_{name}", (*of.index, *at), (*of.shape, *program.shape(name)), terms))
            names[output, name] = found[-1].name
    return replace(derivation, adjoints=tuple(found), gradients=names)


@lru_cache(maxsize=64)
def _evaluation(at: Structure) -> Evaluation:
    op = at.op
    make = squares if begins(type(op)) else _slopes
    return Evaluation(make(type(op), structure(op)), op, at.known)


def _rounded(evaluation: Evaluation, oracle: Oracle, above: Mapping[str, Any]) -> Mapping[Any, Any]:
    """What is derived, with its rounding errors.

    Raises:
        Skip: the formula branches or overflows there.
    """
    rounder = Rounding(PRECISION[oracle.case.dtype])
    with np.errstate(all="ignore"):
        rounded: Mapping[Any, Any] = evaluation.backward(rounder, evaluation.forward(rounder, oracle.arrays), above)
    if rounder.ambiguous:
        raise Skip("a comparison in the formula falls within rounding")
    if not all(np.isfinite(part.value).all() and np.isfinite(part.error).all() for part in rounded.values()):
        raise Skip("the formula or its derivative is not finite there")
    return rounded


def _squares(oracle: Oracle, above: Mapping[str, Any]) -> dict[str, Truth]:
    case = oracle.case
    outputs = sum(math.prod(shape) for shape in case.outputs.values())
    if outputs * max((math.prod(case.shapes[name]) for name in case.op.declaration.differentiable), default=0) > MOST_PAIRS:
        raise Skip(f"the output and an argument have more than {MOST_PAIRS} pairs of entries")
    evaluation = _evaluation(case.structure)
    rounded = _rounded(evaluation, oracle, {})
    digits = _in_digits(evaluation, oracle, rounded)
    _agree(oracle, rounded)
    found = {}
    for name in case.op.declaration.differentiable:
        size = math.prod(case.shapes[name])
        value, bound = np.zeros(size, object), np.zeros(size)
        for (output, its), slope in rounded.items():
            if its != name:
                continue
            given = np.ravel(above[output]).astype(np.float64)[:, None]
            parts = [np.reshape(part, (given.shape[0], size)) for part in (digits[output, name], slope.value, slope.error)]
            value = value + (parts[0] ** 2 * given.astype(object)).sum(axis=0)
            bound = bound + _bound(given, *parts[1:], case.dtype)
        exact = np.array([float(v) for v in value])
        found[name] = Truth(exact.reshape(case.shapes[name]), np.where(bound == 0, 0, bound + ROUTES * TINY[case.dtype]).reshape(case.shapes[name]))
    return found


def _bound(given: Any, slope: Any, error: Any, dtype: str) -> Any:
    """How far off a sum of `given` times squared slopes may be; 0 where all is made of integers that the element type holds."""
    unit = UNIT[dtype]
    there = (slope != 0) | (error != 0)
    count = there.sum(axis=0)
    # The size of the terms that a slope is the sum of, wherever it is the sum of several.
    size = np.abs(slope) + error
    whole = (error == 0) & (slope == np.rint(slope)) & (given == np.rint(given))
    whole &= (given * np.abs(slope) ** 2).sum(axis=0) * 2**6 < 2.0 ** PRECISION[dtype]
    own = unit * ROUTES * error
    terms = given * (2 * np.abs(slope) * own + own**2 + ROUTES * unit * (count + 4) * size**2)
    return np.where(whole.all(axis=0), 0.0, np.where(there, terms, 0.0).sum(axis=0))


def _in_digits(evaluation: Evaluation, oracle: Oracle, rounded: Mapping[Any, Any]) -> dict[Any, Any]:
    """The values in many digits, for which floats are enough where they are exact."""
    if all((part.error == 0).all() for part in rounded.values()):
        return {key: part.value.astype(object) for key, part in rounded.items()}
    with mpmath.workdps(DIGITS):
        return dict(evaluation.backward(Digits(), evaluation.forward(Digits(), oracle.arrays), {}))


def _agree(oracle: Oracle, rounded: Mapping[Any, Any]) -> None:
    """Hold the derivatives to the gradients, which are derived in another way: the cotangents times the ones are the others.

    Raises:
        OraclesDisagree: they are not.
    """
    with np.errstate(all="ignore"):
        gradients = oracle.evaluation.backward(Floats(), oracle.evaluation.forward(Floats(), oracle.arrays), oracle.cotangents)
    for name, gradient in gradients.items():
        total, reach = np.zeros(gradient.size), np.zeros(gradient.size)
        for (output, its), slope in rounded.items():
            if its == name:
                weight = np.ravel(oracle.cotangents[output]).astype(np.float64)
                total += weight @ slope.value.reshape(weight.size, gradient.size)
                reach += np.abs(weight) @ (np.abs(slope.value) + slope.error).reshape(weight.size, gradient.size)
        if not np.all(np.abs(total - gradient.ravel()) <= 1e-9 * reach):
            raise OraclesDisagree(f"{oracle.case.op.name}: the derivatives by {name!r} one by one do not add up to its gradient; case {oracle.case.replay}")


def _seconds(oracle: Oracle, above: Mapping[str, Any]) -> dict[str, Truth]:
    case = oracle.case
    evaluation = _evaluation(case.structure)
    rounded = _rounded(evaluation, oracle, above)
    with mpmath.workdps(DIGITS):
        digits = evaluation.backward(Digits(), evaluation.forward(Digits(), oracle.arrays), above)
    found = {}
    for name, part in digits.items():
        value = np.array([float(v) for v in part.ravel()]).reshape(case.shapes[name])
        error = rounded[name].error.reshape(case.shapes[name])
        _confirm(oracle, name, value, above)
        bound = UNIT[case.dtype] * (ROUTES * error + 2 * np.abs(value)) + ROUTES * TINY[case.dtype]
        found[name] = Truth(np.maximum(value, 0.0), np.where((error == 0) & (value == np.rint(value)), 0.0, bound))
    return found


def _confirm(oracle: Oracle, name: str, value: Any, above: Mapping[str, Any]) -> None:
    """Hold some entries of a second derivative to differences of the gradient, in many digits.

    Raises:
        OraclesDisagree: they are not equal.
    """
    rng = np.random.default_rng([oracle.case.seed, value.size])
    for place in rng.choice(value.size, min(PROBES, value.size), replace=False):
        entry = tuple(int(i) for i in np.unravel_index(place, value.shape))
        if oracle.on_a_kink(name, entry):
            continue
        quotient = _quotient(oracle, name, entry, above)
        if abs(quotient - value[entry]) > 1e-9 * (abs(quotient) + 1e-9):
            raise OraclesDisagree(
                f"{oracle.case.op.name}: derived second derivative {value[entry]!r} by {name!r}, difference quotient {quotient!r}; case {oracle.case.replay}"
            )


def _quotient(oracle: Oracle, name: str, entry: tuple[int, ...], above: Mapping[str, Any]) -> float:
    """The second derivative with respect to one entry, by differences of the derived gradient in many digits."""
    with mpmath.workdps(DIGITS):
        step = mpmath.mpf(10) ** -(DIGITS // 3)
        values = []
        for sign in (1, -1):
            arrays = {n: np.asarray(a, dtype=np.float64).astype(object) for n, a in oracle.arrays.items()}
            arrays[name] = Digits().array(oracle.arrays[name])
            arrays[name][entry] += sign * step
            held = oracle.evaluation.forward(Given(name), arrays)
            values.append(oracle.evaluation.backward(Digits(), held, above)[name].reshape(oracle.case.shapes[name])[entry])
        return float((values[0] - values[1]) / (2 * step))
