"""Rules for the values of a case, and whether arithmetic on them is exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from cnnframe._declaration import UNIT_INTERVAL

from .._derive import COTANGENT
from .._evaluate import Evaluation
from .._numbers import Magnitudes
from .._terms import Definition

LATTICES = ("small", "wide", "deep", "fine", "apart", "real")
"""Small integers with zeros and ties; integers that fill the mantissa, in all arrays or in one; small integers
divided by 2 ** `FINE`; integers without ties, at least 4 apart; real numbers."""

EXTREMES = ("saturated", "overflowing", "huge", "tiny", "denormal", "zero", "constant", "spike", "offset")
"""Values at the ends of the range: 300 and 800 either sign, very large and very small numbers, zeros, one number
throughout, one large number among small ones, small numbers far from zero."""

PROMISED = ("line", "vast")
"""Values for what an operation promises beyond its formula: numbers of all sizes; numbers whose squares
do not fit in the element type."""

SCALES = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 6.0, 50.0)
"""By what real numbers are multiplied; most are small, for sums of large ones hide small terms."""

LINE = 176
"""So many entries have one number in every unit up to 40, in every fourth up to 112, and near every other power of two below 1."""

FINE = 12
WIDEST = 2**48

PRECISION = {"float32": 24, "float64": 53}
SLACK = 4
"""Bits kept free, so that code may form partial sums that the formula does not."""


def fill(rule: str, rng: np.random.Generator, shape: tuple[int, ...], amplitude: int) -> Any:
    """Values by a rule.

    `small`, `wide` and `deep` are integers up to the amplitude, `fine` a small fraction of them, `signed` has no
    zeros, `apart` keeps 4 between any two and at least 2 from 0, or with amplitude 0 the same scaled down to within 2,
    `real` lies within 2, or sometimes within a multiple of it.
    """
    if rule == "real":
        return rng.uniform(-2.0, 2.0, shape) * rng.choice(SCALES)
    if rule in (*EXTREMES, *PROMISED):
        return _extreme(rule, rng, shape, amplitude)
    if rule == "apart":
        size = int(np.prod(shape))
        values = (4.0 * (rng.permutation(size) - size // 2) + 2.0).reshape(shape)
        return values if amplitude else values / 2.0 ** max(size, 1).bit_length()
    values = rng.integers(-amplitude, amplitude + 1, shape).astype(np.float64)
    if rule == "fine":
        return values / 2**FINE
    if rule == "signed":
        return np.where(values == 0, 1.0, values)
    # Zeros of both signs.
    return np.where(values == 0, rng.choice([0.0, -0.0], shape), values)


def _extreme(rule: str, rng: np.random.Generator, shape: tuple[int, ...], amplitude: int) -> Any:
    """Values at the ends of the range of an element type with `amplitude` binary digits."""
    values = rng.uniform(1.0, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    single = amplitude == PRECISION["float32"]
    match rule:
        case "zero":
            return np.zeros(shape)
        case "constant":
            return np.full(shape, 1.5)
        case "spike":
            size = int(np.prod(shape))
            return np.where(np.arange(size).reshape(shape) == rng.integers(max(size, 1)), 1e4, values)
        case "offset":
            return 300.0 + values
        case "saturated" | "overflowing":
            return np.sign(values) * (300.0 if rule == "saturated" else 800.0)
        case "line":
            return _line(rng, shape)
        case "vast":
            return values * (1e30 if single else 1e250)
        case "huge":
            return values * (1e8 if single else 1e30)
        case "tiny":
            return values * (1e-8 if single else 1e-30)
    return values * (1e-40 if single else 1e-310)


def _line(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Zeros, numbers up to 110 and powers of two down to 2 ** -60, of both signs; with `LINE` entries, evenly spread."""
    size = math.prod(shape)
    if size < LINE:
        far = rng.uniform(0.0, 110.0, shape)
        near = 2.0 ** -rng.integers(0, 60, shape).astype(np.float64)
        return np.choose(rng.integers(0, 5, shape), [np.zeros(shape), np.zeros(shape), far, far, near]) * rng.choice([-1.0, 1.0], shape)
    near, far, powers = np.arange(40.0), np.arange(40.0, 112.0, 4.0), 2.0 ** -np.arange(0.0, 60.0, 2.0)
    # Within the steps, so that no number is a round one.
    half = np.concatenate([near + rng.uniform(0.0, 1.0), far + rng.uniform(0.0, 4.0), powers * rng.uniform(1.0, 2.0)])
    return np.resize(np.concatenate([half, -half]), size).reshape(shape)


def exact_amplitude(evaluation: Evaluation, dtype: str, *, deep: str = "", start: int = WIDEST, places: int = 0) -> int:
    """The largest amplitude up to `start` at which every sum and product is exact, or 0 if there is none.

    With `deep`, only that array has the amplitude, and the others small integers. `places` is how many binary
    places the entries of the arrays have.
    """
    return widest_within(evaluation, dtype, fraction_bits(evaluation, places), deep=deep, start=start)


def widest_within(evaluation: Any, dtype: str, bits: int | None, *, deep: str = "", start: int = WIDEST) -> int:
    """The same where it is known how many binary places the values have, or that they are no binary fractions."""
    if bits is None:
        return 0
    room = 2.0 ** (PRECISION[dtype] - SLACK - bits)
    # An integer of the element type's own precision is as wide as an array can hold it.
    widest = min(start, 2 ** (PRECISION[dtype] - SLACK))
    most = magnitude(evaluation, widest, deep)
    if most <= room:
        return widest
    least = magnitude(evaluation, 3, deep)
    if widest <= 3 or not 0 < least <= room:
        return 0
    # The bound is a polynomial without negative coefficients: on logarithmic scales it lies below its chord.
    slope = math.log(most / least) / math.log(widest / 3)
    return max(2 ** int(math.log2(3 * (room / least) ** (1 / slope))), 3)


def magnitude(evaluation: Evaluation, amplitude: float, deep: str) -> float:
    """A bound of every number that the formula and its gradients can meet, with `amplitude` in place of each entry."""
    operands = evaluation.derivation.symbolic.shapes
    system = Magnitudes()
    arrays = {name: np.full(evaluation.shapes[name], amplitude if deep in ("", name) else 3.0) for name in operands}
    cotangents = {
        name: np.full(evaluation.shapes[COTANGENT + name], amplitude if deep in ("", "dy") else 3.0) for name in evaluation.derivation.program.outputs
    }
    held = evaluation.forward(system, arrays)
    gradients = evaluation.backward(system, held, cotangents)
    return max((float(np.max(part, initial=0.0)) for part in [*held.values(), *gradients.values()]), default=0.0)


def fraction_bits(evaluation: Evaluation, places: int = 0) -> int | None:
    """How many binary places the values can have when the arrays' entries have `places`, or None if they are not binary fractions."""
    bits = bits_of_operands(evaluation, places)
    known = all(add_bits(evaluation, group, bits) for group in (evaluation.derivation.program.definitions, evaluation.derivation.adjoints))
    return max(bits.values(), default=0) if known else None


def bits_of_operands(evaluation: Evaluation, places: int) -> dict[str, int]:
    """The binary places of what is given: draws from [0, 1) are sixty-fourths, index arrays are integers, whatever the rule for the others."""
    drawn = evaluation.op.declaration.values
    return {name: 6 if drawn.get(name) == UNIT_INTERVAL else places for name in evaluation.derivation.symbolic.shapes}


def add_bits(evaluation: Evaluation, definitions: Iterable[Definition], bits: dict[str, int]) -> bool:
    """Add to the binary places of operands those of definitions; return whether they are all binary fractions."""
    for definition in definitions:
        found = _most([_bits(term.body, evaluation.values, bits) for term in definition.terms])
        if found is None:
            return False
        bits[definition.name] = found
    return True


def _bits(expression: Any, values: Mapping[str, Any], bits: Mapping[str, int]) -> int | None:
    if isinstance(expression, sp.Indexed):
        return bits.get(str(expression.base.label), 0)
    if not expression.has(sp.Indexed):
        return _constant_bits(expression, values)
    if isinstance(expression, sp.Piecewise):
        parts = [_bits(value, values, bits) for value, _ in expression.args]
        parts += [_bits(sp.sympify(side), values, bits) for _, condition in expression.args for side in _sides(condition)]
        return _most(parts)
    if expression.is_Add:
        return _most([_bits(part, values, bits) for part in expression.args])
    if expression.is_Mul:
        found = [_bits(part, values, bits) for part in expression.args]
        return None if None in found else sum(part or 0 for part in found)
    if expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
        base = _bits(expression.base, values, bits)
        return None if base is None else base * int(expression.exp)
    if isinstance(expression, (sp.Abs, sp.sign)):
        return _bits(expression.args[0], values, bits)
    return None


def _constant_bits(expression: Any, values: Mapping[str, Any]) -> int | None:
    known = {s: sp.Rational(Fraction(values[s.name])) for s in expression.free_symbols if s.name in values}
    if any(s.name not in values for s in expression.free_symbols):
        return 0 if expression.is_integer else None
    number = expression.xreplace(known)
    if not number.is_Rational:
        return None
    places = int(number.q).bit_length() - 1
    return places if int(number.q) == 2**places and places <= PRECISION["float32"] else None


def _sides(condition: Any) -> list[Any]:
    if isinstance(condition, (sp.And, sp.Or, sp.Not)):
        return [side for part in condition.args for side in _sides(part)]
    return list(condition.args) if condition not in (True, False, sp.true, sp.false) else []


def _most(parts: list[int | None]) -> int | None:
    return None if None in parts else max((part or 0 for part in parts), default=0)
