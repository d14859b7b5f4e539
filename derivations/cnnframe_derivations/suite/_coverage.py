"""Settings that are known to bring mistakes to light, and whether the drawn cases met them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cnnframe import BATCH, Op, PerAxis
from cnnframe._axes import Expr
from cnnframe._hyper import Hyperparameter, Interval, hyperparameters

from ._cases import Case


def features(case: Case) -> Iterator[str]:
    """The settings of a case that are known to bring mistakes to light; without entries in the outputs, only that."""
    known = case.known
    if known.get(BATCH) == 0:
        yield "an empty batch"
    if not all(math.prod(shape) for shape in case.outputs.values()):
        return
    if BATCH in known:
        yield from ["a batch of one"] if known[BATCH] == 1 else ["a batch above four"] if known[BATCH] > 4 else []
    if case.layout != "C":
        yield f"{case.layout} layout"
    yield case.dtype
    yield f"{case.lattice} values"
    spatial = [value for name, value in known.items() if name not in case.op.declaration.known and name[-1].isdigit()]
    if len(set(spatial)) > 1:
        yield "a map that is not square"
    for name, hyper in hyperparameters(type(case.op)).items():
        yield from _of_hyperparameter(name, hyper, getattr(case.op, name))
    rests = [rest for axes in case.op.declaration.outputs.values() for axis in axes if axis is not None for rest in _rests(axis, known)]
    if rests:
        yield "entries left over" if any(rests) else "nothing left over"
    stride, size = getattr(case.op, "stride", None), getattr(case.op, "size", None)
    if isinstance(stride, tuple) and isinstance(size, tuple):
        pairs = list(zip(stride, size, strict=True))
        yield from (["stride below size"] if any(s < w for s, w in pairs) else []) + (["stride above size"] if any(s > w for s, w in pairs) else [])


def _of_hyperparameter(name: str, hyper: Hyperparameter, value: Any) -> Iterator[str]:
    if hyper.choices is not None:
        yield f"{name}={value!r}"
    elif hyper.kind is PerAxis:
        above, same = max(value) > _low(hyper), len(set(value)) == 1
        if above:
            yield f"{name} above {_low(hyper)}"
        if not same:
            yield f"{name} not the same on all axes"
        elif above and len(value) > 1:
            yield f"{name} above {_low(hyper)} and the same on all axes"
    elif hyper.kind is int and value > _low(hyper):
        yield f"{name} above {_low(hyper)}"


def _rests(axis: Expr, known: Mapping[str, Any]) -> Iterator[int]:
    """The remainders of the divisions in an axis, where they can be other than 0."""
    if axis.op == "//":
        left, right = (part(known) for part in axis.args)
        if right > 1:
            yield left % right
    for part in axis.args:
        if isinstance(part, Expr):
            yield from _rests(part, known)


def awkward(cls: type[Op]) -> set[str]:
    """The features that the exact evidence must have met, read off the declaration."""
    hypers = hyperparameters(cls)
    found = {"float64", "float32", *(f"{layout} layout" for layout in ("F", "strided", "reversed"))}
    texts = [str(getattr(axes, "axes", axes)) for group in (cls.inputs, cls.params) if isinstance(group, dict) for axes in group.values()]
    if any(text.split()[:1] == [BATCH] for text in texts):
        found |= {"an empty batch", "a batch of one", "a batch above four"}
    many_dims = "dims" in hypers and max(hypers["dims"].choices or (1,)) > 1
    if many_dims and any("{" in text for text in texts):
        found.add("a map that is not square")
    for name, hyper in hypers.items():
        if hyper.choices is not None:
            found |= {f"{name}={value!r}" for value in hyper.choices}
        elif hyper.kind is PerAxis:
            found.add(f"{name} above {_low(hyper)}")
            if many_dims:
                found |= {f"{name} not the same on all axes", f"{name} above {_low(hyper)} and the same on all axes"}
        elif hyper.kind is int:
            found.add(f"{name} above {_low(hyper)}")
    if isinstance(cls.output, str) and "//" in cls.output:
        found |= {"entries left over", "nothing left over"}
    if {"stride", "size"} <= hypers.keys():
        found |= {"stride below size", "stride above size"}
    return found


def _low(hyper: Hyperparameter) -> int:
    return max((int(b.low) for b in hyper.bounds if isinstance(b, Interval) and b.low > -np.inf), default=0)
