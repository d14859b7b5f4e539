"""Settings that are known to bring mistakes to light, and whether the drawn cases met them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cnnframe import BATCH, Links, Op, PerAxis
from cnnframe._axes import ELLIPSIS, Expr
from cnnframe._hyper import Hyperparameter, Interval, hyperparameters

from ._cases import Case, integers_in

FAR = 4
"""Letters must be met beyond this size."""

MANY = 16
"""Arrays of any shape must be met with more entries than this."""


def features(case: Case) -> Iterator[str]:
    """The settings of a case that are known to bring mistakes to light; without entries in the outputs, only that."""
    known, declaration = case.known, case.op.declaration
    if known.get(BATCH) == 0:
        yield "an empty batch"
    if not all(math.prod(shape) for shape in case.outputs.values()):
        return
    if case.layout != "C":
        yield f"{case.layout} layout"
    yield case.dtype
    yield f"{case.lattice} values"
    letters = {name: size for name, size in known.items() if name not in declaration.known}
    for name, size in letters.items():
        yield from _of_letter(name, size)
    spatial = [size for name, size in letters.items() if name[-1].isdigit()]
    if len(set(spatial)) > 1:
        yield "a map that is not square"
    for name, hyper in hyperparameters(type(case.op)).items():
        yield from _of_hyperparameter(name, hyper, getattr(case.op, name))
    rests = [rest for axes in declaration.outputs.values() for axis in axes if axis is not None for rest in _rests(axis, known)]
    if rests:
        yield "entries left over" if any(rests) else "nothing left over"
    yield from _of_windows(getattr(case.op, "stride", None), getattr(case.op, "size", None))


def _of_windows(stride: Any, size: Any) -> Iterator[str]:
    if stride is not None and size is not None:
        strides, sizes = (value if isinstance(value, tuple) else (value,) for value in (stride, size))
        pairs = list(zip(strides, sizes, strict=False))
        if any(s < w for s, w in pairs):
            yield "stride below size"
        if any(s > w for s, w in pairs):
            yield "stride above size"


def _of_letter(name: str, size: Any) -> Iterator[str]:
    if name == ELLIPSIS:
        if math.prod(size) > MANY:
            yield f"more than {MANY} entries"
    elif name == BATCH:
        if size == 1:
            yield "a batch of one"
        if size > 4:
            yield "a batch above four"
        if size > 8:
            yield "a batch above eight"
    elif not name[-1].isdigit():
        if size > 1:
            yield f"{name} above 1"
        if size > FAR:
            yield f"{name} above {FAR}"


def _of_hyperparameter(name: str, hyper: Hyperparameter, value: Any) -> Iterator[str]:
    if hyper.choices is not None:
        yield f"{name}={value!r}"
    elif hyper.kind is PerAxis:
        low, same = _low(hyper), len(set(value)) == 1
        if max(value) > low:
            yield f"{name} above {low}"
        if max(value) > low + 2:
            yield f"{name} above {low + 2}"
        if not same:
            yield f"{name} not the same on all axes"
        elif value[0] > low and len(value) > 1:
            yield f"{name} above {low} and the same on all axes"
    elif hyper.kind is int and value is not None:
        yield from (f"{name} above {bound}" for bound in (_low(hyper), _low(hyper) + 2) if value > bound)


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
    """The features that the exact evidence must have met, read off the declaration of an instance."""
    hypers = hyperparameters(cls)
    found = {"float64", "float32", *(f"{layout} layout" for layout in ("F", "strided", "reversed"))}
    dims = hypers["dims"].choices or () if "dims" in hypers else ()
    declaration = sample(cls, **({"dims": 2} if 2 in dims else {})).declaration
    axes = [axis for group in [*declaration.arguments.values(), *declaration.outputs.values()] for axis in group]
    letters = {name for axis in axes if axis is not None for name in axis.names()} - declaration.known.keys()
    if None in axes:
        found.add(f"more than {MANY} entries")
    if BATCH in letters:
        found |= {"an empty batch", "a batch of one", "a batch above four", "a batch above eight"}
    found |= {f"{letter} above {bound}" for letter in letters - {BATCH} if not letter[-1].isdigit() for bound in (1, FAR)}
    if sum(letter[-1].isdigit() for letter in letters) > 1:
        found.add("a map that is not square")
    for name, hyper in hypers.items():
        found |= _of_bounds(name, hyper, many_dims=max(dims, default=2) > 1)
    if any("//" in str(axis) for group in declaration.outputs.values() for axis in group):
        found |= {"entries left over", "nothing left over"}
    if {"stride", "size"} <= hypers.keys():
        found |= {"stride below size", "stride above size"}
    return found


def _of_bounds(name: str, hyper: Hyperparameter, *, many_dims: bool) -> set[str]:
    if hyper.choices is not None:
        return {f"{name}={value!r}" for value in hyper.choices}
    if hyper.kind not in (int, PerAxis):
        return set()
    low = _low(hyper)
    if hyper.kind is PerAxis:
        across = {f"{name} not the same on all axes", f"{name} above {low} and the same on all axes"} if many_dims else set()
        return {f"{name} above {low}", f"{name} above {low + 2}"} | across
    return {f"{name} above {bound}" for bound in (low, low + 2) if any(value > bound for value in integers_in(hyper, (1, 4)))}


def sample(cls: type[Op], **given: Any) -> Op:
    """Some instance of a class, the simplest that its bounds allow."""
    for name, hyper in hyperparameters(cls).items():
        if hyper.required and name not in given:
            given[name] = _simple(hyper)
    return cls(**given)


def _simple(hyper: Hyperparameter) -> Any:
    if hyper.choices is not None:
        return hyper.choices[0]
    if hyper.kind is Links:
        return Links.all(1, 1)
    if hyper.kind is str:
        return ""
    candidates = [1, 2, 0.5, 0.25, 0.0, *integers_in(hyper, (0,))]
    if hyper.kind is not float:
        candidates = [v for v in candidates if isinstance(v, int)]
    return next((v for v in candidates if all(b.allows(v, {}) for b in hyper.bounds if isinstance(b, Interval))), 1)


def _low(hyper: Hyperparameter) -> int:
    return integers_in(hyper, (0,))[0]
