"""Symbolic scalars that NumPy's code for objects can compute with, and the arrays that hold them.

A scalar has an expression and a value. The value decides comparisons, so that code which takes a maximum, a sign
or a branch runs; the ring counts these decisions. Nothing turns a scalar into a float, which would lose the symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._ring import ONE, UNIT, Domain, Ring, Terms


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """An expression of symbols, and its value at the case."""

    ring: Ring
    terms: Terms
    value: float

    # Scalars are compared by what they say, and cannot be looked up.
    __hash__ = None

    def _of(self, terms: Terms, value: float) -> Scalar:
        if not math.isfinite(value):
            raise Domain("a value overflows")
        return Scalar(self.ring, terms, value)

    def _lift(self, other: Any) -> Scalar | None:
        """The other operand as a scalar, or None if it is an array or no number."""
        if isinstance(other, Scalar):
            return other
        if not np.isscalar(other):
            return None
        c = self.ring.constant(other)
        return Scalar(self.ring, self.ring.scale(ONE, c), float(other))

    def __add__(self, other: Any) -> Any:
        if _infinite(other):
            return other
        right = self._lift(other)
        return NotImplemented if right is None else self._of(self.ring.add(self.terms, right.terms), self.value + right.value)

    def __mul__(self, other: Any) -> Any:
        right = self._lift(other)
        return NotImplemented if right is None else self._of(self.ring.multiply(self.terms, right.terms), self.value * right.value)

    def __neg__(self) -> Scalar:
        return self._of(self.ring.scale(self.terms, -1), -self.value)

    def __pos__(self) -> Scalar:
        return self

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __truediv__(self, other: Any) -> Any:
        right = self._lift(other)
        return NotImplemented if right is None else self * right.reciprocal()

    def __rtruediv__(self, other: Any) -> Any:
        return self.reciprocal() * other

    def __pow__(self, other: Any) -> Any:
        right = self._lift(other)
        if right is None:
            return NotImplemented
        if right.terms.keys() <= {UNIT}:
            exponent = self.ring.constant(0) if not right.terms else right.terms[UNIT]
            return self._power(getattr(exponent, "value", exponent), right.value)
        return (right * self.log()).exp()

    def __rpow__(self, other: Any) -> Any:
        base = self._lift(other)
        return NotImplemented if base is None else base**self

    __radd__ = __add__
    __rmul__ = __mul__

    def _power(self, exponent: Any, value: float) -> Scalar:
        terms = self.ring.power(self.terms, exponent)
        if not self.value and value < 0:
            raise Domain("a denominator is 0 at the case's values")
        return self._of(terms, self.value**value)

    def reciprocal(self) -> Scalar:
        """1 / x."""
        return self._power(-1, -1)

    # What np.exp and its like call, one scalar at a time.

    def exp(self) -> Scalar:
        """The exponential."""
        return self._of(self.ring.exp(self.terms), _guarded(math.exp, self.value))

    def log(self) -> Scalar:
        """The natural logarithm."""
        return self._of(self.ring.log(self.terms), _guarded(math.log, self.value))

    def sqrt(self) -> Scalar:
        """The square root."""
        return self**0.5

    def expm1(self) -> Scalar:
        """exp(x) - 1."""
        return self.exp() - 1

    def log1p(self) -> Scalar:
        """log(1 + x)."""
        return (1 + self).log()

    def exp2(self) -> Scalar:
        """2 ** x."""
        return 2**self

    def log2(self) -> Scalar:
        """The logarithm to base 2."""
        return self.log() / Scalar(self.ring, {UNIT: 2}, 2.0).log()

    def tanh(self) -> Scalar:
        """The hyperbolic tangent, by exponentials."""
        return 1 - 2 / ((2 * self).exp() + 1)

    def sinh(self) -> Scalar:
        """The hyperbolic sine."""
        return (self.exp() - (-self).exp()) / 2

    def cosh(self) -> Scalar:
        """The hyperbolic cosine."""
        return (self.exp() + (-self).exp()) / 2

    def conjugate(self) -> Scalar:
        """The same, for all are real."""
        return self

    # Decisions by value

    def _against(self, other: Any) -> Any:
        """The sign of self - other, or None if it is nothing to compare with."""
        if _infinite(other):
            return -1 if other > 0 else 1
        right = self._lift(other)
        return None if right is None else self.ring.compare(self.terms, right.terms, (self.value, right.value))

    def _decide(self, other: Any, holds: Callable[[int], bool]) -> Any:
        sign = self._against(other)
        return NotImplemented if sign is None else holds(sign)

    def __lt__(self, other: Any) -> Any:
        return self._decide(other, lambda sign: sign < 0)

    def __le__(self, other: Any) -> Any:
        return self._decide(other, lambda sign: sign <= 0)

    def __gt__(self, other: Any) -> Any:
        return self._decide(other, lambda sign: sign > 0)

    def __ge__(self, other: Any) -> Any:
        return self._decide(other, lambda sign: sign >= 0)

    def __eq__(self, other: object) -> Any:
        return self._decide(other, lambda sign: sign == 0)

    def __ne__(self, other: object) -> Any:
        return self._decide(other, lambda sign: sign != 0)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __abs__(self) -> Scalar:
        return -self if self < 0 else self

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _call(ufunc, method, inputs, options)


def _infinite(other: Any) -> bool:
    return isinstance(other, (float, np.floating)) and math.isinf(other)


def _guarded(function: Callable[[float], float], value: float) -> float:
    try:
        return function(value)
    except (ValueError, OverflowError) as error:
        raise Domain("a function is not defined at the case's values") from error


class Symbols(np.ndarray[Any, Any]):
    """An array of scalars that also takes functions which NumPy and SciPy have for floats alone, such as `isnan` and `expit`."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _call(ufunc, method, inputs, options)

    def __array_function__(self, func: Any, types: Iterable[Any], args: Any, kwargs: Any) -> Any:
        # Some functions drop the class on the way.
        return _wrapped(np.ndarray.__array_function__(self, func, types, args, kwargs))


def symbols(ring: Ring, name: str, values: Any) -> Symbols:
    """A read-only array of new symbols with these values."""
    found = np.empty(values.shape, object)
    for at in np.ndindex(values.shape):
        place = f"[{', '.join(map(str, at))}]" if at else ""
        value = float(values[at])
        found[at] = Scalar(ring, ring.symbol(f"{name}{place}", value), value)
    found.flags.writeable = False
    return found.view(Symbols)


def _call(ufunc: Any, method: str, inputs: Any, options: Any) -> Any:
    """Run a ufunc on plain arrays of objects, by our own scalar function where it has none for objects."""
    arrays = [_bare(value) for value in inputs]
    outs = options.get("out", ())
    if outs:
        options = {**options, "out": tuple(None if out is None else out.view(np.ndarray) for out in outs)}
    own = _FUNCTIONS.get(ufunc.__name__)
    if own is None:
        result = getattr(ufunc, method)(*arrays, **options)
    else:
        result = getattr(np.frompyfunc(own, ufunc.nin, ufunc.nout), method)(*arrays, **options)
        if ufunc.__name__ in _PREDICATES:
            result = result.astype(bool) if isinstance(result, np.ndarray) else bool(result)
    return outs[0] if len(outs) == 1 else _wrapped(result)


def _bare(value: Any) -> Any:
    if isinstance(value, Scalar):
        held = np.empty((), object)
        held[()] = value
        return held
    return value.view(np.ndarray) if isinstance(value, Symbols) else value


def _wrapped(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return type(result)(map(_wrapped, result)) if type(result) in (tuple, list) else result
    return result.view(Symbols) if type(result) is np.ndarray and result.dtype == object else result


def _asked(function: Callable[[float], bool], *, of_symbol: bool) -> Callable[[Any], bool]:
    return lambda v: of_symbol if isinstance(v, Scalar) else bool(function(float(v)))


def _either(scalar: Callable[[Any], Any], number: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of scalars and numbers: arrays of objects may hold both, and a number has no methods."""
    return lambda v: scalar(v) if isinstance(v, Scalar) else number(v)


_exp, _log = _either(Scalar.exp, math.exp), _either(Scalar.log, math.log)

_PREDICATES: dict[str, Callable[..., Any]] = {
    "isnan": _asked(math.isnan, of_symbol=False),
    "isinf": _asked(math.isinf, of_symbol=False),
    "isfinite": _asked(math.isfinite, of_symbol=True),
    "signbit": lambda v: bool(v < 0),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_PREDICATES,
    "exp": _exp,
    "log": _log,
    "sqrt": _either(Scalar.sqrt, math.sqrt),
    "expm1": _either(Scalar.expm1, math.expm1),
    "log1p": _either(Scalar.log1p, math.log1p),
    "exp2": _either(Scalar.exp2, math.exp2),
    "log2": _either(Scalar.log2, math.log2),
    "tanh": _either(Scalar.tanh, math.tanh),
    "sinh": _either(Scalar.sinh, math.sinh),
    "cosh": _either(Scalar.cosh, math.cosh),
    "expit": lambda v: 1 / (1 + _exp(-v)),
    "log_expit": lambda v: -_log(1 + _exp(-v)),
    "logit": lambda v: _log(v / (1 - v)),
    "logaddexp": lambda a, b: _log(_exp(a) + _exp(b)),
    "heaviside": lambda v, at_zero: 0.0 if v < 0 else 1.0 if v > 0 else at_zero,
    "xlogy": lambda a, b: a * _log(b),
    "xlog1py": lambda a, b: a * _log(1 + b),
}
