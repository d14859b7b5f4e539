"""Rounding errors that are carried through several operations, with what a first-order analysis leaves out.

The running error analysis of `_rounding` counts errors at first order: a computed number lies within E units of the exact
one, if what E leaves out is far below E. For one operation that is so, since its operands are exact. In a chain errors of
one operation are the operands' errors of the next, and go through slopes that are themselves taken at numbers that are off.
So this analysis adds what is left out. It allows code `ROUTES` E units, d = `ROUTES` E u with u the rounding unit, and for
operands that are off by no more than their d it counts in E

- of a product the product of both errors, d1 d2;
- of a function f the rest of Taylor's formula, d^2 / 2 times the largest |f''| within d of the argument;
- of every rounding that the number which is rounded may be larger than the exact one, by what is carried;
- of every product, power and function that it may underflow;
- between two operations that what one makes may be stored, and rounded, once more.

Then by induction along the program each number lies within its d, if code gets it by the formula's operations, in any order
of summation; and within `ROUTES` times that by other routes, as for one operation. A comparison whose sides are nearer to each
other than both their d is ambiguous, and so is the sign of a number that is nearer to 0: right code may take either
branch, and nothing is asked of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from .._rounding import ULPS, Rounded, Rounding, _carried, _whole
from ._oracle import ROUTES, TINY, UNIT
from ._values import PRECISION

_BENDS: dict[str, Any] = {
    "exp": lambda x, y, d: y * np.exp(d),
    "log": lambda x, y, d: _nearest(x, d) ** -2.0,
    "tanh": lambda x, y, d: 0.77,
    "sin": lambda x, y, d: 1.0,
    "cos": lambda x, y, d: 1.0,
    "Logistic": lambda x, y, d: 0.097,
    "Softplus": lambda x, y, d: 0.25,
}
"""The largest second derivative within d of x, where y is the value."""


@dataclass(frozen=True)
class Entries(Rounded):
    """Entries of an array, and which."""

    of: Rounded
    at: Any


class Carried(Rounding):
    """Values in float64 with error bounds for code in an element type, of second order as well."""

    def __init__(self, dtype: str) -> None:
        Rounding.__init__(self, PRECISION[dtype])
        self.allowed = ROUTES * UNIT[dtype]
        """What an error of 1 allows."""
        self.least = TINY[dtype] / UNIT[dtype]

    def add(self, parts: list[Rounded]) -> Rounded:
        """Partial sums may be larger by what is carried."""
        found = Rounding.add(self, parts)
        carried = reduce(np.add, [p.error for p in parts])
        return self._more(found, (len(parts) - 1) * self.allowed * carried)

    def multiply(self, parts: list[Rounded]) -> Rounded:
        """Both factors may be off at once."""
        done = parts[0]
        for part in parts[1:]:
            value = done.value * part.value
            with np.errstate(all="ignore"):
                carried = _finite(np.abs(done.value) * part.error + np.abs(part.value) * done.error + self.allowed * done.error * part.error)
            error = carried * (1 + self.allowed) + np.abs(value) + self.least
            exact = (_whole(done) & _whole(part) & (np.abs(value) < self.exact_below)) | _nothing(done) | _nothing(part)
            done = Rounded(value, np.where(exact, 0.0, error))
        return done

    def power(self, base: Rounded, exponent: Any) -> Rounded:
        """A slope that is off, and the rest."""
        found = Rounding.power(self, base, exponent)
        e, d = float(exponent), self.allowed * base.error
        with np.errstate(all="ignore"):
            far = np.abs(base.value) + d if e >= 2 else _nearest(base.value, d)
            bend = 0.0 if e == 1 else abs(e * (e - 1)) * far ** (e - 2)
            rest = _carried(bend * d / 2, base.error)
        return self._more(found, rest + self.least, (max(ULPS, abs(e)) + 1) * self.allowed)

    def function(self, name: str, x: Rounded) -> Rounded:
        """A slope that is off, and the rest."""
        found = Rounding.function(self, name, x)
        d = self.allowed * x.error
        if name == "sign":
            self.ambiguous |= bool(np.any((d > 0) & (np.abs(x.value) <= d)))
        if name in ("Abs", "sign"):
            return found
        with np.errstate(all="ignore"):
            rest = _carried(_BENDS[name](x.value, found.value, d) * d / 2, x.error)
        return self._more(found, rest + self.least, (ULPS + 1) * self.allowed)

    def compare(self, relation: str, left: Rounded, right: Rounded) -> Any:
        """Compare values, and note whether what is allowed could turn the answer."""
        d = self.allowed * (left.error + right.error)
        if isinstance(left, Entries) and isinstance(right, Entries) and left.of is right.of:
            # A formula may compare an entry with itself.
            d = np.where(left.at == right.at, 0.0, d)
        with np.errstate(invalid="ignore"):
            self.ambiguous |= bool(np.any((d > 0) & ~(np.abs(left.value - right.value) > d)))
        return self.floats.compare(relation, left.value, right.value)

    def gather(self, array: Rounded, places: Any) -> Rounded:
        """Index values and errors alike, and note where they come from."""
        found = Rounding.gather(self, array, places)
        return Entries(found.value, found.error, array, places)

    def scatter(self, shape: tuple[int, ...], pieces: list[tuple[Any, Rounded]]) -> Rounded:
        """Partial sums may be larger by what is carried."""
        found = Rounding.scatter(self, shape, pieces)
        count = np.zeros(math.prod(shape))
        for places, _ in pieces:
            np.add.at(count, places, 1.0)
        return self._more(found, 0.0, count.reshape(shape) * self.allowed)

    def stored(self, part: Rounded) -> Rounded:
        """What one operation hands to the next, rounded once more."""
        error = np.where(part.error == 0, 0.0, part.error * (1 + self.allowed) + np.abs(part.value))
        return Rounded(part.value, np.broadcast_to(error, np.shape(part.value)))

    @staticmethod
    def _more(found: Rounded, rest: Any, share: Any = 0.0) -> Rounded:
        """Add to errors that are not 0, and to those a share of themselves."""
        with np.errstate(all="ignore"):
            return Rounded(found.value, _finite(np.where(found.error == 0, 0.0, found.error * (1 + share) + rest)))


def _nothing(part: Rounded) -> Any:
    """Where a value is 0, and nothing else: so is what it is multiplied by."""
    return (part.error == 0) & (part.value == 0)


def _nearest(x: Any, d: Any) -> Any:
    """How near to 0 a number can come; 0 where it can cross."""
    return np.maximum(np.abs(x) - d, 0.0)


def _finite(error: Any) -> Any:
    """An error that nobody can tell is beyond all bounds."""
    return np.where(np.isnan(error), np.inf, error)
