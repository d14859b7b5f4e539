"""The formula and its derived gradient at one case, exactly or within a computed bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import mpmath
import numpy as np

from cnnframe import Activation

from .._derive import Derivation, derive
from .._evaluate import Evaluation
from .._numbers import DIGITS, Digits, Floats
from .._rounding import Rounding
from ._cases import Case, Structure
from ._values import EXTREMES, FINE, PRECISION, PROMISED, WIDEST, exact_amplitude
from ._verdict import OraclesDisagree, Skip

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}
TINY = {"float32": 2.0**-126, "float64": 2.0**-1022}
ROUTES = 16.0
"""Code may take another route to the same value than the formula does: this many times its running error."""


@dataclass(frozen=True)
class Truth:
    """What one array has to be, and how far off it may be, entry by entry."""

    value: Any
    bound: Any

    def first_miss(self, got: Any) -> tuple[int, ...] | None:
        """The entry that lies farthest outside the bound, or None."""
        got = np.asarray(got, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            off = np.abs(got - self.value)
            outside = ~(off <= self.bound)
        if not outside.any():
            return None
        excess = np.where(outside, np.where(np.isnan(off), np.inf, off - self.bound), -1.0)
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))


class Oracle:
    """One case's values, cotangents, and the truth about outputs and gradients.

    Attributes:
        hasty: a refutation is wanted, and no second opinion about it.
    """

    hasty = False

    def __init__(self, case: Case) -> None:
        self.case = case
        self.evaluation = self._evaluated()
        self.derivation: Derivation = self.evaluation.derivation
        names = self._deep_ones()
        self.deep = names[case.seed % len(names)] if case.lattice == "deep" else ""
        amplitude = 3
        self.exact = False
        if case.lattice in (*EXTREMES, *PROMISED):
            amplitude = PRECISION[case.dtype]
        elif case.lattice != "real":
            spread = 4 * max(math.prod(shape) for shape in case.shapes.values())
            start = {"wide": WIDEST, "deep": WIDEST, "apart": spread}.get(case.lattice, 3)
            found = self._widest(start, FINE if case.lattice == "fine" else 0)
            self.exact = found > 0 and start in (WIDEST, found)
            amplitude = found or 3
            if case.lattice == "apart" and not self.exact:
                amplitude = 0
        self.arrays = case.arrays(amplitude, self.deep)
        self.cotangents = case.cotangents(amplitude if case.lattice in ("wide", "deep") else 3, self.deep)

    def _evaluated(self) -> Any:
        """The formula and its gradient."""
        return _evaluation(self.case.structure)

    def _deep_ones(self) -> list[str]:
        """The arrays of which one may have entries of far more binary places than the others."""
        return [*self.case.op.declaration.differentiable, "dy"]

    def _widest(self, start: int, places: int) -> int:
        """The largest numbers up to `start` with which arithmetic is exact, or 0."""
        return exact_amplitude(self.evaluation, self.case.dtype, deep=self.deep, start=start, places=places)

    @classmethod
    def at(cls, case: Case, arrays: Mapping[str, Any], cotangents: Mapping[str, Any]) -> Oracle:
        """The truth about a case at other values, within bounds."""
        oracle = cls(replace(case, lattice="real"))
        oracle.arrays, oracle.cotangents = dict(arrays), dict(cotangents)
        return oracle

    @property
    def other_arrays(self) -> dict[str, Any]:
        """Other values of the same shapes, for calls in between."""
        names = self.case.op.declaration.differentiable
        if self.case.seed % 2:
            # The same entries in another place, for code that knows an array by its sum.
            return {n: np.flip(a).copy() if n in names else a for n, a in self.arrays.items()}
        return {n: a + (1 + np.arange(a.size).reshape(a.shape) % 3).astype(a.dtype) if n in names else a for n, a in self.arrays.items()}

    @cached_property
    def forward(self) -> dict[str, Truth]:
        """The outputs.

        Raises:
            Skip: a comparison in the formula falls within rounding.
            OraclesDisagree: two systems of numbers do not agree.
        """
        if self.exact:
            return self._exactly(self.evaluation.outputs(self._floats), self.case.outputs)
        self._refuse_doubt()
        return self._bounded(self.evaluation.outputs(self._rounding), self.evaluation.outputs(self._digits), self.case.outputs)

    @property
    def forward_rounding(self) -> float:
        """How far rounding may move <cotangent, outputs>."""
        outputs = self.evaluation.outputs(self._rounding)
        return ROUTES * UNIT[self.case.dtype] * sum(float(np.sum(np.abs(np.ravel(self.cotangents[n])) * np.ravel(r.error))) for n, r in outputs.items())

    @cached_property
    def gradients(self) -> dict[str, Truth]:
        """The gradients of inputs and parameters; raises as `forward` does."""
        shapes = self.case.shapes
        if self.exact:
            return self._exactly(self.evaluation.backward(Floats(), self._floats, self.cotangents), shapes)
        self._refuse_doubt()
        with np.errstate(all="ignore"):
            rounded = self.evaluation.backward(self._rounder, self._rounding, self.cotangents)
        _refuse_infinite(rounded)
        return self._bounded(rounded, self.many_digits[1], shapes)

    def require_finite(self) -> None:
        """Refuse a case where the formula or its gradient is not finite.

        Raises:
            Skip: it is not.
        """
        with np.errstate(all="ignore"):
            gradients = self.evaluation.backward(Floats(), self._floats, self.cotangents)
        if not all(np.isfinite(part).all() for part in [*self._floats.values(), *gradients.values()]):
            raise Skip("the formula or its gradient is not finite there")

    @cached_property
    def _floats(self) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            return self.evaluation.forward(Floats(), self.arrays)

    @cached_property
    def _rounder(self) -> Rounding:
        return Rounding(PRECISION[self.case.dtype])

    @cached_property
    def _rounding(self) -> dict[str, Any]:
        with np.errstate(all="ignore"):
            return self.evaluation.forward(self._rounder, self.arrays)

    @cached_property
    def _digits(self) -> dict[str, Any]:
        with mpmath.workdps(DIGITS):
            return self.evaluation.forward(Digits(), self.arrays)

    @cached_property
    def many_digits(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Outputs and gradients in `DIGITS` digits, finite or not."""
        with mpmath.workdps(DIGITS):
            return self.evaluation.outputs(self._digits), self.evaluation.backward(Digits(), self._digits, self.cotangents)

    def conditions(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """How far each entry of outputs and gradients moves, at first order, when every entry of the operands is rounded: sum of |operand| |derivative|.

        For a function of one number all entries are moved at once.
        """
        names = [name for name, array in self.arrays.items() if np.asarray(array).dtype.kind == "f"]
        at_once = isinstance(self.case.op, Activation)
        moves = [(name, Ellipsis) for name in names] if at_once else [(name, entry) for name in names for entry in np.ndindex(np.shape(self.arrays[name]))]
        outputs, gradients = self.many_digits
        moved_outputs = {name: np.zeros(value.shape) for name, value in outputs.items()}
        moved_gradients = {name: np.zeros(value.shape) for name, value in gradients.items()}
        with mpmath.workdps(DIGITS):
            step = mpmath.mpf(10) ** -(DIGITS // 2)
            for name, entry in moves:
                arrays = {n: np.asarray(a, dtype=np.float64) if n in names else a for n, a in self.arrays.items()}
                arrays[name] = Digits().array(arrays[name])
                arrays[name][entry] = arrays[name][entry] * (1 + step)
                held = self.evaluation.forward(Given(name), arrays)
                found = self.evaluation.outputs(held), self.evaluation.backward(Digits(), held, self.cotangents)
                for moved, now, before in zip((moved_outputs, moved_gradients), found, (outputs, gradients), strict=True):
                    for key, value in now.items():
                        moved[key] += np.frompyfunc(lambda a, b: float(abs(a - b) / step), 2, 1)(value, before[key]).astype(np.float64)
        return moved_outputs, moved_gradients

    def _refuse_doubt(self) -> None:
        held = self._rounding
        if self._rounder.ambiguous:
            raise Skip("a comparison in the formula falls within rounding")
        _refuse_infinite(held)

    def _exactly(self, values: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Truth]:
        return {name: Truth(value.reshape(shapes[name]), np.zeros(shapes[name])) for name, value in values.items()}

    def _bounded(self, rounded: Mapping[str, Any], digits: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Truth]:
        found = {}
        unit, tiny = UNIT[self.case.dtype], TINY[self.case.dtype]
        for name, exact in digits.items():
            value = np.array([float(v) for v in exact.ravel()]).reshape(exact.shape)
            error = ROUTES * rounded[name].error
            if not np.all(np.abs(rounded[name].value - value) <= UNIT["float64"] * (error + 4 * np.abs(value)) + TINY["float64"]):
                raise OraclesDisagree(f"{self.case.op.name}: {name} in float64 and in {DIGITS} digits do not agree; case {self.case.replay}")
            # The last unit is the rounding of the answer itself to its element type.
            bound = unit * (error + 2 * np.abs(value)) + ROUTES * tiny
            found[name] = Truth(value.reshape(shapes[name]), bound.reshape(shapes[name]))
        return found

    def branches(self, arrays: Mapping[str, Any]) -> list[Any]:
        """How every comparison of values in the formula goes at these arrays."""
        recorder = _Recorder()
        with np.errstate(all="ignore"):
            self.evaluation.forward(recorder, arrays)
        return recorder.seen

    def on_a_kink(self, name: str, entry: tuple[int, ...]) -> bool:
        """Whether a small step of one entry turns a comparison in the formula."""
        here = self.branches(self.arrays)
        for sign in (1, -1):
            arrays = {n: np.asarray(a, dtype=np.float64) if n == name else a for n, a in self.arrays.items()}
            arrays[name] = arrays[name].copy()
            arrays[name][entry] += sign * 2.0**-30 * max(1.0, abs(float(arrays[name][entry])))
            if any(not np.array_equal(a, b) for a, b in zip(here, self.branches(arrays), strict=True)):
                return True
        return False

    def difference_quotient(self, name: str, entry: tuple[int, ...]) -> float:
        """The derivative with respect to one entry, by differences of the formula itself in many digits."""
        with mpmath.workdps(DIGITS):
            step = mpmath.mpf(10) ** -(DIGITS // 3)
            values = []
            for sign in (1, -1):
                arrays = {n: np.asarray(a, dtype=np.float64).astype(object) for n, a in self.arrays.items()}
                arrays[name] = Digits().array(self.arrays[name])
                arrays[name][entry] += sign * step
                held = self.evaluation.forward(Given(name), arrays)
                outputs = self.evaluation.outputs(held)
                values.append(
                    sum(
                        (v * mpmath.mpf(float(w)) for o, y in outputs.items() for v, w in zip(y.ravel(), np.ravel(self.cotangents[o]), strict=True)),
                        mpmath.mpf(0),
                    )
                )
            return float((values[0] - values[1]) / (2 * step))


@lru_cache(maxsize=256)
def _evaluation(structure: Structure) -> Evaluation:
    return Evaluation(derive(structure.op), structure.op, structure.known)


def _refuse_infinite(held: Mapping[str, Any]) -> None:
    if any(not np.isfinite(part.value).all() for part in held.values()):
        raise Skip("the formula or its gradient is not finite there")


class _Recorder(Floats):
    """Floats that remember how comparisons went; a tie counts as a branch of its own."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def compare(self, relation: str, left: Any, right: Any) -> Any:
        self.seen.append(np.sign(left - right))
        return Floats.compare(self, relation, left, right)


class Given(Digits):
    """Many digits, with operands that may hold them already."""

    def __init__(self, name: str) -> None:
        self.name = name

    def array(self, value: Any) -> Any:
        """Keep what has many digits, convert the rest."""
        return np.frompyfunc(lambda v: v if isinstance(v, mpmath.mpf) else mpmath.mpf(float(v)), 1, 1)(np.asarray(value, dtype=object)).astype(object)
