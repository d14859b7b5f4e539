"""Systems of numbers in which a program can be evaluated: floats, many digits, magnitudes, rounding errors.

Each works on vectors: one entry for each point of a term's domain.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any, Protocol

import mpmath
import numpy as np

from cnnframe import FormulaError

DIGITS = 40
"""Decimal digits of `Digits`."""

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "GreaterThan": operator.ge,
    "LessThan": operator.le,
    "StrictGreaterThan": operator.gt,
    "StrictLessThan": operator.lt,
}


class System(Protocol):
    """Arithmetic on vectors of one kind of number."""

    def lift(self, value: Any) -> Any:
        """A number, or an integer vector, as a vector of this kind."""

    def constant(self, value: float) -> Any:
        """A hyperparameter."""

    def add(self, parts: list[Any]) -> Any:
        """The sum."""

    def multiply(self, parts: list[Any]) -> Any:
        """The product."""

    def power(self, base: Any, exponent: Any) -> Any:
        """base ** exponent."""

    def function(self, name: str, x: Any) -> Any:
        """A scalar function by its SymPy class name."""

    def compare(self, relation: str, left: Any, right: Any) -> Any:
        """A boolean vector."""

    def choose(self, conditions: list[Any], values: list[Any]) -> Any:
        """For each entry the value whose condition is the first that holds."""

    def array(self, value: Any) -> Any:
        """A given operand."""

    def gather(self, array: Any, places: Any) -> Any:
        """The entries at places of an array that is laid out in a row."""

    def reshape(self, shape: tuple[int, ...], values: Any) -> Any:
        """An array of one value, or of all its entries in a row."""

    def scatter(self, shape: tuple[int, ...], pieces: list[tuple[Any, Any]]) -> Any:
        """An array of sums: each piece is a pair of places and values."""


def _logistic(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


class Floats:
    """float64 through NumPy."""

    functions: dict[str, Callable[[Any], Any]] = {
        "exp": np.exp,
        "log": np.log,
        "tanh": np.tanh,
        "sin": np.sin,
        "cos": np.cos,
        "Logistic": _logistic,
        "Softplus": _softplus,
        "Abs": np.abs,
        "sign": np.sign,
    }

    def lift(self, value: Any) -> Any:
        """Convert to float64."""
        return np.asarray(value, dtype=np.float64)

    def constant(self, value: float) -> Any:
        """Convert to float64."""
        return np.float64(value)

    def add(self, parts: list[Any]) -> Any:
        """Add from left to right."""
        return reduce(operator.add, parts)

    def multiply(self, parts: list[Any]) -> Any:
        """Multiply from left to right."""
        return reduce(operator.mul, parts)

    def power(self, base: Any, exponent: Any) -> Any:
        """Raise to a power."""
        if exponent == -1:
            return 1 / base
        if exponent == Fraction(1, 2):
            return np.sqrt(base)
        return base ** (int(exponent) if exponent == int(exponent) else float(exponent))

    def function(self, name: str, x: Any) -> Any:
        """Apply NumPy's function."""
        return _known(self.functions, name)(x)

    def compare(self, relation: str, left: Any, right: Any) -> Any:
        """Compare entries."""
        return _COMPARE[relation](left, right)

    def choose(self, conditions: list[Any], values: list[Any]) -> Any:
        """Select entries."""
        found: Any = 0.0
        for condition, value in zip(conditions[::-1], values[::-1], strict=True):
            found = value if condition is True else np.where(condition, value, found)
        return found

    def array(self, value: Any) -> Any:
        """Convert to float64."""
        return np.asarray(value, dtype=np.float64)

    def gather(self, array: Any, places: Any) -> Any:
        """Index the array."""
        return array.reshape(-1)[places]

    def reshape(self, shape: tuple[int, ...], values: Any) -> Any:
        """Give the values their shape."""
        return np.reshape(values, shape) if np.ndim(values) else np.full(shape, values)

    def scatter(self, shape: tuple[int, ...], pieces: list[tuple[Any, Any]]) -> Any:
        """Add up in the order of the points."""
        out = np.zeros(math.prod(shape))
        for places, values in pieces:
            np.add.at(out, places, values)
        return out.reshape(shape)


class Digits(Floats):
    """`DIGITS` decimal digits through mpmath, on arrays of objects."""

    functions = {
        name: np.frompyfunc(function, 1, 1)
        for name, function in {
            "exp": mpmath.exp,
            "log": mpmath.log,
            "tanh": mpmath.tanh,
            "sin": mpmath.sin,
            "cos": mpmath.cos,
            "Logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
            "Softplus": lambda x: mpmath.log1p(mpmath.exp(-abs(x))) + max(x, mpmath.mpf(0)),
            "Abs": abs,
            "sign": mpmath.sign,
        }.items()
    }
    _power = np.frompyfunc(mpmath.power, 2, 1)
    _exact = np.frompyfunc(mpmath.mpf, 1, 1)

    def lift(self, value: Any) -> Any:
        """Convert exactly; integers stay integers, which are faster."""
        if isinstance(value, Fraction):
            return mpmath.mpf(value.numerator) / value.denominator
        return value.astype(object) if isinstance(value, np.ndarray) else int(value)

    def constant(self, value: float) -> Any:
        """Convert exactly."""
        return mpmath.mpf(value)

    def add(self, parts: list[Any]) -> Any:
        """Add from left to right; mpmath would print an array before it leaves the sum to NumPy."""
        return reduce(np.add, parts)

    def multiply(self, parts: list[Any]) -> Any:
        """Multiply from left to right; by NumPy, as `add`."""
        return reduce(np.multiply, parts)

    def power(self, base: Any, exponent: Any) -> Any:
        """Raise to a power."""
        return self._power(base, exponent)

    def choose(self, conditions: list[Any], values: list[Any]) -> Any:
        """Select entries."""
        shape = np.broadcast_shapes(*(np.shape(part) for part in [*conditions, *values]))
        out = np.broadcast_to(values[-1], shape).copy()
        for condition, value in zip(conditions[::-1], values[::-1], strict=True):
            out = np.where(np.broadcast_to(condition, shape).astype(bool), value, out)
        return out

    def array(self, value: Any) -> Any:
        """Convert exactly."""
        return np.asarray(self._exact(np.asarray(value, dtype=np.float64).astype(object)), dtype=object)

    def reshape(self, shape: tuple[int, ...], values: Any) -> Any:
        """Give the values their shape."""
        return np.reshape(values, shape) if np.ndim(values) else np.full(shape, values, dtype=object)

    def scatter(self, shape: tuple[int, ...], pieces: list[tuple[Any, Any]]) -> Any:
        """Add up in the order of the points."""
        out = np.full(math.prod(shape), mpmath.mpf(0), dtype=object)
        for places, values in pieces:
            np.add.at(out, places, np.broadcast_to(values, np.shape(places)))
        return out.reshape(shape)


class Magnitudes(Floats):
    """Upper bounds of absolute values, over all orders of summation and all branches; polynomials only."""

    def lift(self, value: Any) -> Any:
        """Take the absolute value."""
        return np.abs(np.asarray(value, dtype=np.float64))

    constant = lift
    array = lift

    def power(self, base: Any, exponent: Any) -> Any:
        """Raise to a power."""
        return np.asarray(base, dtype=np.float64) ** float(exponent)

    def function(self, name: str, x: Any) -> Any:
        """Bound |x| and sign(x)."""
        return x if name == "Abs" else np.ones_like(x)

    def compare(self, relation: str, left: Any, right: Any) -> Any:
        """Bounds do not decide a comparison: every branch counts."""
        return np.maximum(left, right)

    def choose(self, conditions: list[Any], values: list[Any]) -> Any:
        """Take the largest branch and the largest compared value."""
        parts = [*values, *(c for c in conditions if not isinstance(c, bool))]
        return reduce(np.maximum, parts)


def _known(functions: dict[str, Callable[[Any], Any]], name: str) -> Callable[[Any], Any]:
    try:
        return functions[name]
    except KeyError:
        raise FormulaError(f"the function {name} cannot be evaluated; known: {', '.join(functions)}") from None
