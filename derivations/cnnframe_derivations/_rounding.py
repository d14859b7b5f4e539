"""Running error analysis: beside each value, how far a computed one may lie from it, in units of rounding.

A value's error counts one unit for each operation that leads to it, carried through later operations by
their derivatives (Higham 2002, sections 3.3 and 4.2: any order of summation). A scalar function may be off
by `ULPS` units of its value and by one unit of its argument, so that shifted and scaled arguments, as in a
stable softmax, are allowed for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from ._numbers import Floats, _known

ULPS = 4.0
"""What a library's elementary function may be off by."""

SATURATING = ("tanh", "Logistic", "Softplus")
"""Functions that are rightly computed through 1 plus or minus something small; their error counts in units of 1."""


@dataclass(frozen=True)
class Rounded:
    """Values, and error bounds in units of rounding."""

    value: Any
    error: Any


_SLOPES: dict[str, Any] = {
    "exp": lambda x, y: y,
    "log": lambda x, y: 1 / np.abs(x),
    "tanh": lambda x, y: 1 - y * y,
    "sin": lambda x, y: np.abs(np.cos(x)),
    "cos": lambda x, y: np.abs(np.sin(x)),
    "Logistic": lambda x, y: y * (1 - y),
    "Softplus": lambda x, y: -np.expm1(-y),
    "Abs": lambda x, y: np.ones_like(x),
}


class Rounding:
    """Values in float64 with their error bounds; `digits` is the precision, in binary digits, of the code that is judged."""

    floats = Floats()

    def __init__(self, digits: int) -> None:
        self.exact_below = 2.0**digits
        """Sums and products of integers are exact while no magnitude reaches this."""
        self.ambiguous = False
        """Whether a comparison fell within the error of its sides: code may rightly take either branch."""

    def lift(self, value: Any) -> Rounded:
        """An integer is exact; another rational is rounded once."""
        array = self.floats.lift(value)
        return Rounded(array, np.where(array == np.rint(array), 0.0, np.abs(array)))

    def constant(self, value: float) -> Rounded:
        """A hyperparameter is rounded once, if the arrays' precision does not hold it."""
        return Rounded(np.float64(value), 0.0 if float(np.float32(value)) == value else abs(value))

    def add(self, parts: list[Rounded]) -> Rounded:
        """Each addition may be off by one unit of a partial sum."""
        value = self.floats.add([p.value for p in parts])
        reach = reduce(np.add, [np.abs(p.value) for p in parts])
        error = reduce(np.add, [p.error for p in parts]) + (len(parts) - 1) * reach
        return Rounded(value, np.where(reduce(np.logical_and, map(_whole, parts)) & (reach < self.exact_below), 0.0, error))

    def multiply(self, parts: list[Rounded]) -> Rounded:
        """Each multiplication may be off by one unit of its value."""
        done = parts[0]
        for part in parts[1:]:
            value = done.value * part.value
            error = np.abs(done.value) * part.error + np.abs(part.value) * done.error + np.abs(value)
            done = Rounded(value, np.where(_whole(done) & _whole(part) & (np.abs(value) < self.exact_below), 0.0, error))
        return done

    def power(self, base: Rounded, exponent: Any) -> Rounded:
        """A power may be off by as many units as it has factors, or by those of a function."""
        value = self.floats.power(base.value, exponent)
        slope = np.abs(float(exponent) * self.floats.power(base.value, exponent - 1)) if exponent != 1 else 1.0
        return Rounded(value, _carried(slope, base.error) + max(ULPS, abs(float(exponent))) * np.abs(value))

    def function(self, name: str, x: Rounded) -> Rounded:
        """A function carries the error of its argument and adds its own."""
        value = self.floats.function(name, x.value)
        if name == "sign":
            return Rounded(value, np.zeros_like(value))
        slope = np.abs(_known(_SLOPES, name)(x.value, value))
        size = np.maximum(np.abs(value), 1.0) if name in SATURATING else np.abs(value)
        own = 0.0 if name == "Abs" else slope * np.abs(x.value) + ULPS * size
        return Rounded(value, _carried(slope, x.error) + own)

    def compare(self, relation: str, left: Rounded, right: Rounded) -> Any:
        """Compare values, and note whether rounding could turn the answer."""
        doubt = left.error + right.error
        self.ambiguous |= bool(np.any((doubt > 0) & (np.abs(left.value - right.value) <= doubt * 1e-5)))
        return self.floats.compare(relation, left.value, right.value)

    def choose(self, conditions: list[Any], values: list[Rounded]) -> Rounded:
        """Select values and errors alike."""
        return Rounded(self.floats.choose(conditions, [v.value for v in values]), self.floats.choose(conditions, [v.error for v in values]))

    def array(self, value: Any) -> Rounded:
        """A given operand is exact."""
        array = self.floats.array(value)
        return Rounded(array, np.zeros(array.shape))

    def gather(self, array: Rounded, places: Any) -> Rounded:
        """Index values and errors alike."""
        return Rounded(self.floats.gather(array.value, places), self.floats.gather(array.error, places))

    def reshape(self, shape: tuple[int, ...], part: Rounded) -> Rounded:
        """Shape values and errors alike."""
        return Rounded(self.floats.reshape(shape, part.value), self.floats.reshape(shape, part.error))

    def scatter(self, shape: tuple[int, ...], pieces: list[tuple[Any, Rounded]]) -> Rounded:
        """A sum of m terms in any order: m - 1 roundings of the sum of magnitudes."""
        value, error, reach, count, rough = (np.zeros(math.prod(shape)) for _ in range(5))
        for places, part in pieces:
            np.add.at(rough, places, ~_whole(part))
            np.add.at(value, places, part.value)
            np.add.at(error, places, part.error)
            np.add.at(reach, places, np.abs(part.value))
            np.add.at(count, places, 1.0)
        error = np.where((rough == 0) & (reach < self.exact_below), 0.0, error + np.maximum(count - 1, 0) * reach)
        return Rounded(value.reshape(shape), error.reshape(shape))


def _carried(slope: Any, error: Any) -> Any:
    """What an error becomes by a slope; what is exact stays so, even where the slope is infinite."""
    with np.errstate(invalid="ignore"):
        return np.where(np.asarray(error) == 0, 0.0, slope * error)


def _whole(part: Rounded) -> Any:
    """Where a value is an exact integer."""
    return (part.error == 0) & (part.value == np.rint(part.value))
