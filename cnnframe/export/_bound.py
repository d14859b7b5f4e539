"""How far rounding may move what an ONNX file computes: running error analysis over its nodes.

Each node adds its own rounding, one unit for each term of a sum and `ULPS` for an elementary function, to what it makes of the
errors of its operands: a sum adds them, a product weighs them by the other operand, a function by its slope (Higham 2002, sections
3.3 and 4.2: any order of summation). How many terms a sum has is what the node itself makes of ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .._op import Array
from ._builder import Made

ULPS: Final = 4.0
"""What a library's elementary function may be off by."""

ROUTES: Final = 16.0
"""The executor and the file may take different routes to one value: they lie within this many times the running error of each other."""

MOVES: Final = frozenset(
    {"Identity", "Flatten", "Reshape", "Slice", "Concat", "Expand", "Transpose", "Squeeze", "Unsqueeze", "Tile", "Split", "Pad", "MaxPool"}
)
"""Nodes that pick entries, so that they pick errors alike; of a maximum no error is larger than the largest that it sees."""

ADDS: Final = {"Add": "Add", "Sub": "Add", "Sum": "Sum", "ReduceSum": "ReduceSum", "ReduceMean": "ReduceMean", "AveragePool": "AveragePool"}
"""Nodes that add, and those that do so with the magnitudes."""

PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Mul"})
"""Products of the first two operands, added up, plus the third."""

STEEPEST: Final = {
    "Neg": 1.0,
    "Abs": 1.0,
    "Relu": 1.0,
    "Tanh": 1.0,
    "Sigmoid": 0.25,
    "Softplus": 1.0,
    "Sin": 1.0,
    "Cos": 1.0,
    "Atan": 1.0,
    "Erf": 2.0 / math.sqrt(math.pi),
}
"""The largest slope of functions that have one."""

SLOPED: Final = frozenset({"Exp", "Log", "Sqrt", "Reciprocal", "Softmax"})
"""Functions whose slope depends on where they are."""

EXACT: Final = frozenset({"Neg", "Abs", "Relu"})
COMPARISONS: Final = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"})

Run = Callable[..., Array]
"""A node on other operands: run(kind, operands) returns its result."""


def error(made: Made, run: Run, operands: list[Any], errors: list[Any], result: Any, unit: float) -> Any:
    """How far the result of a node may be off, entry by entry; infinite where no rule is known.

    Args:
        made: the node.
        run: computes the node, or another one of the same attributes, on other operands.
        operands: its operands, None for one that is left out.
        errors: how far each may be off; of a comparison, where it may go the other way.
        result: what it makes of the operands.
        unit: the unit of rounding.
    """
    with np.errstate(all="ignore"):
        found = _error(made, run, operands, errors, result, unit)
    return np.where(np.isnan(found), np.inf, found) if np.asarray(found).dtype.kind == "f" else found


def _error(made: Made, run: Run, operands: list[Any], errors: list[Any], result: Any, unit: float) -> Any:
    kind = made.kind
    floats = [operand is not None and np.asarray(operand).dtype.kind == "f" for operand in operands]
    sizes = [np.abs(operand) if is_float else operand for operand, is_float in zip(operands, floats, strict=True)]
    passed = [wrong if is_float else operand for operand, wrong, is_float in zip(operands, errors, floats, strict=True)]
    if np.asarray(result).dtype.kind != "f":
        return _doubt(kind, operands, errors, result)
    if kind in MOVES:
        return run(kind, passed)
    if kind in ADDS:
        terms = len(operands) if kind in ("Add", "Sub", "Sum") else _terms(made, run, operands, floats)
        return run(ADDS[kind], passed) + unit * terms * run(ADDS[kind], sizes)
    if kind in PRODUCTS:
        first = run(kind, [passed[0], *sizes[1:2], *passed[2:]])
        second = run(kind, [sizes[0], passed[1], *(np.zeros_like(each) for each in sizes[2:])])
        ones = [np.ones_like(each) for each in operands]
        return first + second + unit * run(kind, ones) * run(kind, sizes)
    if kind in STEEPEST or kind in SLOPED:
        carried = _slope(kind, operands[0], result) * (np.max(errors[0], initial=0.0) if kind == "Softmax" else errors[0])
        own = 0.0 if kind in EXACT else ULPS * np.maximum(np.abs(result), 1.0 if kind in ("Tanh", "Sigmoid", "Softplus") else 0.0)
        return carried + unit * own * (max(result.shape) if kind == "Softmax" else 1)
    if kind == "Div":
        return (errors[0] + np.abs(result) * errors[1]) / (sizes[1] - errors[1]) + unit * np.abs(result)
    if kind in ("Max", "Min"):
        return np.broadcast_to(np.maximum.reduce(np.broadcast_arrays(*errors)), result.shape)
    if kind == "Where":
        doubtful = np.where(errors[0], np.abs(np.subtract(operands[1], operands[2])), 0.0)
        return np.where(operands[0], errors[1], errors[2]) + doubtful + np.where(errors[0], np.maximum(errors[1], errors[2]), 0.0)
    if kind == "Pow":
        slope = np.abs(operands[1] * np.power(operands[0], operands[1] - 1))
        return slope * errors[0] + unit * np.maximum(ULPS, np.abs(operands[1])) * np.abs(result)
    return np.full(np.shape(result), np.inf)


def _slope(kind: str, x: Any, y: Any) -> Any:
    """A bound of the slope; of the softmax for a shift of all its operands."""
    match kind:
        case "Exp":
            return y
        case "Log":
            return 1 / np.abs(x)
        case "Sqrt":
            return 0.5 / y
        case "Reciprocal":
            return y * y
        case "Softmax":
            return 2 * y
        case _:
            return STEEPEST[kind]


def _terms(made: Made, run: Run, operands: list[Any], floats: list[bool]) -> float:
    """How many entries go into a sum or a mean, at most."""
    if made.kind == "AveragePool":
        return float(math.prod(made.attributes["kernel_shape"]))
    ones = [np.ones_like(operand) if is_float else operand for operand, is_float in zip(operands, floats, strict=True)]
    return float(np.max(run("ReduceSum", ones), initial=1.0))


def _doubt(kind: str, operands: list[Any], errors: list[Any], result: Any) -> Any:
    """Where a comparison may go the other way; integers are exact."""
    if kind in COMPARISONS:
        return np.abs(np.subtract(operands[0], operands[1])) <= np.add(errors[0], errors[1])
    if np.asarray(result).dtype.kind == "b":
        return np.broadcast_to(np.logical_or.reduce(np.broadcast_arrays(*errors)), result.shape)
    return np.zeros(np.shape(result))
