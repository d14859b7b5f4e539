"""Hyperparameters carry their bounds, and the bounds check, explain themselves, and make examples.

    size: Annotated[PerAxis, at_least(1)]
    rate: Annotated[float, between(0, 1, include_high=False)]
    maps: Annotated[int, at_least(1), multiple_of("groups")]
    dims: Annotated[int, one_of(1, 2, 3)] = 2

The same object refuses a bad value at construction and gives the verification suite valid and invalid
ones to try.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import operator
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from ._errors import DeclarationError, HyperparameterError, nearest
from ._links import Links

PerAxis = int | tuple[int, ...]
"""An integer for all spatial dimensions, or one for each; kept as a tuple of `dims` integers."""

PerLayer = float | tuple[tuple[str, float], ...]
"""A number for the whole network, or a mapping of layers or parameter arrays to numbers, kept as a tuple of pairs; of optimizers alone."""


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`."""

    low: float = -math.inf
    high: float = math.inf
    include_low: bool = True
    include_high: bool = True

    def allows(self, value: Any, others: Mapping[str, Any]) -> bool:
        """Whether `value` lies between the ends."""
        above = value >= self.low if self.include_low else value > self.low
        below = value <= self.high if self.include_high else value < self.high
        return bool(above and below)

    def __str__(self) -> str:
        parts = []
        if self.low > -math.inf:
            parts.append(f"{'at least' if self.include_low else 'greater than'} {self.low:g}")
        if self.high < math.inf:
            parts.append(f"{'at most' if self.include_high else 'less than'} {self.high:g}")
        return " and ".join(parts) or "a number"


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def allows(self, value: Any, others: Mapping[str, Any]) -> bool:
        """Whether `value` is one of them."""
        return value in self.values

    def __str__(self) -> str:
        return "one of " + ", ".join(repr(value) for value in self.values)


@dataclass(frozen=True)
class MultipleOf:
    """A multiple of another hyperparameter of the same operation."""

    name: str

    def allows(self, value: Any, others: Mapping[str, Any]) -> bool:
        """Whether the other hyperparameter divides `value`."""
        return bool(value % others[self.name] == 0)

    def __str__(self) -> str:
        return f"a multiple of {self.name!r}"


def at_least(low: float) -> Interval:
    """A number that is `low` or more."""
    return Interval(low=low)


def between(low: float, high: float, *, include_low: bool = True, include_high: bool = True) -> Interval:
    """A number from `low` to `high`; each end belongs to it unless said otherwise."""
    return Interval(low, high, include_low, include_high)


def one_of(*values: Any) -> OneOf:
    """One of `values`; what the formula is may depend on it."""
    return OneOf(values)


def multiple_of(name: str) -> MultipleOf:
    """An integer that the hyperparameter `name` divides."""
    return MultipleOf(name)


positive: Final = Interval(low=0, include_low=False)
"""A number greater than 0."""


@dataclass(frozen=True)
class Hyperparameter:
    """One field of an operation: its name, kind, bounds and default."""

    name: str
    kind: Any
    bounds: tuple[Any, ...]
    default: Any
    optional: bool = False

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """The values it may take, when they are few."""
        if self.kind is bool:
            return (False, True)
        found = [b.values for b in self.bounds if isinstance(b, OneOf)]
        return found[0] if found else None

    def __str__(self) -> str:
        kinds = {
            int: "an integer",
            float: "a number",
            str: "a string",
            bool: "True or False",
            PerAxis: "an integer or one for each axis",
            PerLayer: "a number or a mapping of layers or arrays to numbers, each",
            Links: "a Links table",
        }
        limits = [str(bound) for bound in self.bounds]
        words = kinds.get(self.kind, str(self.kind))
        if self.choices is not None and limits:
            words = ""
        text = " ".join(part for part in [words, " and ".join(limits)] if part)
        return f"{text} or None" if self.optional else text

    def settle(self, value: Any, others: Mapping[str, Any], who: str) -> Any:
        """Return `value` in its canonical form.

        Raises:
            HyperparameterError: it is of another kind or out of its bounds.
        """
        settled = None if value is None and self.optional else self._convert(value, others, who)
        if settled is not None:
            parts = settled if isinstance(settled, tuple) else (settled,)
            if self.kind is PerLayer and isinstance(settled, tuple):
                parts = tuple(number for _, number in settled)
            for bound in self.bounds:
                if not all(bound.allows(part, others) for part in parts):
                    raise HyperparameterError(f"{who}: {self.name} must be {self}; got {value!r}{_relation(bound, others)}")
        return settled

    def _convert(self, value: Any, others: Mapping[str, Any], who: str) -> Any:
        if self.kind is PerAxis:
            dims = int(others.get("dims", 2))
            parts = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
            if not all(_is_integer(part) for part in parts):
                raise self._wrong(value, who)
            if len(parts) != dims:
                raise HyperparameterError(f"{who}: {self.name} must have one integer for each of {dims} axes; got {value!r}")
            return tuple(int(part) for part in parts)
        if self.kind is PerLayer and isinstance(value, (Mapping, tuple)):
            pairs = tuple(value.items()) if isinstance(value, Mapping) else value
            if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and _is_number(pair[1]) for pair in pairs):
                raise self._wrong(value, who)
            return tuple((name, float(number)) for name, number in pairs)
        if self.kind is int and _is_integer(value):
            return int(value)
        if self.kind in (float, PerLayer) and _is_number(value):
            return float(value)
        if self.kind in (bool, str, Links) and isinstance(value, self.kind):
            return value
        raise self._wrong(value, who)

    def _wrong(self, value: Any, who: str) -> HyperparameterError:
        return HyperparameterError(f"{who}: {self.name} must be {self}; got {value!r}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _relation(bound: Any, others: Mapping[str, Any]) -> str:
    return f" with {bound.name}={others[bound.name]!r}" if isinstance(bound, MultipleOf) else ""


@functools.cache
def hyperparameters(cls: type) -> Mapping[str, Hyperparameter]:
    """Read the hyperparameters of an operation from its dataclass fields.

    Raises:
        DeclarationError: `cls` is no frozen dataclass, or an annotation is not understood.
    """
    # Its own decorator: with the parent's alone, the fields of `cls` would be no fields.
    params = vars(cls).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise DeclarationError(f"{cls.__qualname__} must be decorated with @dataclass(frozen=True)")
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise DeclarationError(f"{cls.__qualname__}: an annotation cannot be read: {error}") from error
    found = {field.name: _read(cls, field, hints[field.name]) for field in dataclasses.fields(cls)}
    for hyper in found.values():
        for bound in hyper.bounds:
            if isinstance(bound, MultipleOf) and bound.name not in found:
                raise DeclarationError(f"{cls.__qualname__}.{hyper.name}: multiple_of({bound.name!r}) names no hyperparameter; {nearest(bound.name, found)}")
    return types.MappingProxyType(found)


def _read(cls: type, field: dataclasses.Field[Any], hint: Any) -> Hyperparameter:
    bounds: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *rest = get_args(hint)
        bounds = tuple(rest)
    optional = get_origin(hint) is types.UnionType and type(None) in get_args(hint)
    if optional:
        hint = functools.reduce(operator.or_, (a for a in get_args(hint) if a is not type(None)))
    for kind in (PerAxis, PerLayer):
        hint = kind if hint == kind else hint  # the one object, however it was written
    from ._optimizer import Optimizer

    if hint not in (int, float, bool, str, PerAxis, Links, *((PerLayer,) if issubclass(cls, Optimizer) else ())):
        raise DeclarationError(f"{cls.__qualname__}.{field.name}: a hyperparameter is int, float, bool, str, PerAxis or Links; got {hint!r}")
    unknown = [b for b in bounds if not isinstance(b, (Interval, OneOf, MultipleOf))]
    if unknown:
        raise DeclarationError(f"{cls.__qualname__}.{field.name}: {unknown[0]!r} is not a bound; use at_least, between, positive, one_of or multiple_of")
    return Hyperparameter(field.name, hint, bounds, field.default, optional)
