"""An oracle that shares nothing with the formula's derivation: differences of the code's own forward.

Polynomial and piecewise linear code has exact secants on the integer lattice. Analytic code that takes
complex numbers has the complex step. The rest has five-point differences with an error estimate. Alone this
evidence never refutes: where it disagrees with the code, the same case is put to the exact evidence.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from cnnframe import _call as core

from .._derive import derive
from .._terms import Program
from . import bounded, exact
from ._bench import Bench, Check
from ._calls import Subject, quiet
from ._cases import Case
from ._oracle import ROUTES, UNIT, Oracle
from ._verdict import Evidence

KIND = "independent"
ENTRIES = 6
"""Entries of each array that are probed in a case."""

STEP = 2.0**-10
NEAR = 2.0**-20
"""The step by which two derivatives of one function are compared."""
ALIKE = 1e-3
"""By how much of their size they may differ: by roundings and by curvature, which the step makes small."""
_WEIGHTS: dict[int, dict[int, Fraction]] = {
    1: {1: Fraction(1), 0: Fraction(-1)},
    2: {1: Fraction(1, 2), -1: Fraction(-1, 2)},
    4: {2: Fraction(-1, 12), 1: Fraction(8, 12), -1: Fraction(-8, 12), -2: Fraction(1, 12)},
}
"""Difference formulas that are exact for polynomials up to a degree."""


SMALLEST = 2.0**-1074
"""The smallest number that float64 holds."""


class Disagreement(Exception):
    """The oracle and the code differ by more than the oracle's own error."""


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge some of the drawn cases."""
    bench.judge(CHECK, bench.some(KIND), evidence)
    never = sorted(subject for subject in evidence.asked if not evidence.of(subject))
    if never:
        evidence.doubt = f"never compared: {', '.join(never)}"


def prepare(case: Case) -> Case:
    """In float64, away from kinks."""
    kinked = bool(derive(case.op).conditions)
    return replace(case, dtype="float64", lattice="apart" if kinked else "small" if case.seed % 2 else "real")


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Probe some entries of every input and parameter."""
    case = oracle.case
    subject = Subject(KIND, oracle)
    _, saved = subject.forward(oracle.arrays)
    gradients = subject.backward(oracle.cotangents, saved)
    probe = _Probe(oracle, subject)
    for name in case.op.declaration.differentiable:
        if oracle.arrays[name].size:
            evidence.asked.add(f"gradient of {name!r}")
        for entry in _entries(oracle.arrays[name], case.seed):
            estimate = probe.derivative(name, entry)
            if estimate is None:
                evidence.skipped["differences reach across a kink or have too large an error"] += 1
                continue
            got = float(gradients[name][entry])
            if not abs(got - estimate.value) <= estimate.error:
                # The same case in the eyes of the other oracle: if that refutes it as well, two agree.
                (exact if oracle.exact else bounded).check(oracle, Evidence(KIND))
                raise Disagreement(
                    f"{estimate.method} gives {estimate.value:.12g} for entry {entry} of the gradient of {name!r}, the code {got:.12g}, "
                    f"and the formula agrees with the code; case {oracle.case.replay}"
                )
            evidence.passed(f"gradient of {name!r} ({estimate.method})")


CHECK = Check(check, prepare)


def _entries(array: Any, seed: int) -> list[tuple[int, ...]]:
    size = int(np.size(array))
    chosen = np.random.default_rng([seed, 77]).permutation(size)[:ENTRIES]
    return [tuple(int(i) for i in np.unravel_index(int(flat), np.shape(array))) for flat in chosen]


@dataclass(frozen=True)
class _Estimate:
    value: float
    error: float
    method: str


class _Probe:
    """Derivatives of <cotangent, forward> by differences."""

    def __init__(self, oracle: Oracle, subject: Subject) -> None:
        self.oracle = oracle
        self.subject = subject
        self.branches = oracle.branches(oracle.arrays) if oracle.derivation.conditions else None

    def derivative(self, name: str, entry: tuple[int, ...]) -> _Estimate | None:
        degree = degree_in(self.oracle.derivation.program, name) if self.oracle.exact else None
        points = next((d for d in _WEIGHTS if degree is not None and degree <= d), None)
        if points is not None:
            return self._secant(name, entry, _WEIGHTS[points])
        if self.branches is None:
            stepped = self._complex_step(name, entry)
            if stepped is not None:
                return stepped
        return self._five_points(name, entry)

    def _secant(self, name: str, entry: tuple[int, ...], weights: Mapping[int, Fraction]) -> _Estimate | None:
        total = Fraction(0)
        for step, weight in weights.items():
            arrays = self._moved(name, entry, step)
            if not self._same_branches(arrays):
                return None
            total += weight * sum((Fraction(float(v)) for v in self._products(arrays)), Fraction(0))
        return _Estimate(float(total), 0.0, "exact secant")

    def _complex_step(self, name: str, entry: tuple[int, ...]) -> _Estimate | None:
        if not self._analytic:
            return None
        step = 1e-30
        floating = {n: a.astype(complex) if n in self.oracle.case.op.declaration.differentiable else a for n, a in self.oracle.arrays.items()}
        floating[name][entry] += 1j * step
        try:
            with quiet():
                # Code that drops the imaginary part takes no complex numbers either.
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                outputs, _ = core.forward(self.oracle.case.op, floating)
            parts = [np.imag(outputs[o]) / step * w for o, w in self.oracle.cotangents.items()]
        except Exception:  # noqa: BLE001 # code that takes no complex numbers says so in its own way
            return None
        if not all(np.iscomplexobj(outputs[o]) and np.isfinite(p).all() for o, p in zip(self.oracle.cotangents, parts, strict=True)):
            return None
        value = float(sum(np.sum(p) for p in parts))
        error = self.oracle.gradients[name].bound[entry] * 2 + ROUTES * UNIT["float64"] * float(sum(np.sum(np.abs(p)) for p in parts))
        # Where a derivative is small, its product with the step underflows, to multiples of the smallest number.
        error += ROUTES * SMALLEST / step * float(sum(np.sum(np.abs(w)) for w in self.oracle.cotangents.values()))
        # What is not analytic here, if nowhere near 1: then the five points decide.
        plain = self._five_points(name, entry)
        if plain is not None and abs(plain.value - value) > plain.error + error:
            return None
        return _Estimate(value, float(error), "complex step")

    @cached_property
    def _analytic(self) -> bool:
        """Whether the code has one derivative along both axes of the complex plane, somewhere near 1 where |x| or a maximum would show.

        In the case itself they may hide: log(1 + exp(x)) by way of |x| is off by exp(-|x|), which is more than the error of a complex step and less than
        that of any difference.
        """
        case = self.oracle.case
        random = np.random.default_rng(case.seed)
        floating = {name: array for name, array in self.oracle.arrays.items() if name in case.op.declaration.differentiable}
        there = {
            name: np.where(np.signbit(array), -1, 1) * random.uniform(0.5, 1.5, np.shape(array)) + 1j * random.uniform(0.2, 0.4, np.shape(array))
            for name, array in floating.items()
        }
        along = {name: random.uniform(-1, 1, np.shape(array)) for name, array in floating.items()}

        def moved(by: complex) -> Any:
            outputs, _ = core.forward(case.op, self.oracle.arrays | {name: array + by * along[name] for name, array in there.items()})
            return np.concatenate([np.ravel(outputs[o]) for o in self.oracle.cotangents])

        try:
            with quiet():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                real, imaginary = ((moved(step) - moved(-step)) / (2 * step) for step in (NEAR, 1j * NEAR))
        except Exception:  # noqa: BLE001 # code that takes no complex numbers says so in its own way
            return False
        apart, size = np.abs(real - imaginary), np.abs(real) + np.abs(imaginary)
        # Where that overflows nothing is known, and the five points have to agree.
        return not np.isfinite(apart).all() or bool(apart.max(initial=0.0) <= ALIKE * size.max(initial=0.0))

    def _five_points(self, name: str, entry: tuple[int, ...]) -> _Estimate | None:
        values = {}
        size = 0.0
        for k in (-4, -2, -1, 1, 2, 4):
            arrays = self._moved(name, entry, k * STEP)
            if not self._same_branches(arrays):
                return None
            products = self._products(arrays)
            values[k] = float(np.sum(products))
            size = max(size, float(np.sum(np.abs(products))))
        narrow, wide = ((-values[2 * s] + 8 * values[s] - 8 * values[-s] + values[-2 * s]) / (12 * s * STEP) for s in (1, 2))
        # Halving the step leaves a sixteenth of the truncation error; the rest is rounding, of the differences and of the code's gradient.
        error = abs(narrow - wide) + (64 * UNIT["float64"] * size + self.oracle.forward_rounding) / STEP + float(self.oracle.gradients[name].bound[entry])
        return _Estimate(narrow, error, "five-point difference") if error <= 1e-4 * (1 + abs(narrow)) else None

    def _moved(self, name: str, entry: tuple[int, ...], step: float) -> dict[str, Any]:
        arrays = dict(self.oracle.arrays)
        arrays[name] = arrays[name].copy()
        arrays[name][entry] += step
        return arrays

    def _products(self, arrays: Mapping[str, Any]) -> Any:
        outputs, _ = self.subject.forward(arrays)
        parts = [np.ravel(outputs[o]) * np.ravel(w) for o, w in self.oracle.cotangents.items()]
        return np.concatenate(parts)

    def _same_branches(self, arrays: Mapping[str, Any]) -> bool:
        if self.branches is None:
            return True
        there = self.oracle.branches(arrays)
        return all(np.array_equal(a, b) for a, b in zip(self.branches, there, strict=True))


def degree_in(program: Program, name: str) -> int | None:
    """The degree of the outputs as polynomials in one operand, branches held fixed, or None if they are none."""
    degrees: dict[str, int | None] = {name: 1}
    for definition in program.definitions:
        found: list[int | None] = [0]
        if not definition.locally_constant:
            found += [_degree(term.body, degrees) for term in definition.terms]
        degrees[definition.name] = None if None in found else max(d or 0 for d in found)
    outputs = [degrees[definition] for definition in program.outputs.values()]
    return None if None in outputs else max(d or 0 for d in outputs)


def _degree(expression: Any, degrees: Mapping[str, int | None]) -> int | None:
    if isinstance(expression, sp.Indexed):
        return degrees.get(str(expression.base.label), 0)
    if not expression.has(sp.Indexed):
        return 0
    if isinstance(expression, sp.Piecewise):
        parts = [_degree(value, degrees) for value, _ in expression.args]
    else:
        parts = [_degree(part, degrees) for part in expression.args]
    if None in parts:
        return None
    known = [part or 0 for part in parts]
    if expression.is_Mul:
        return sum(known)
    if expression.is_Pow:
        return known[0] * int(expression.exp) if expression.exp.is_Integer and expression.exp > 0 else (0 if known[0] == 0 else None)
    if expression.is_Add or isinstance(expression, sp.Piecewise):
        return max(known)
    return 0 if max(known) == 0 else None
