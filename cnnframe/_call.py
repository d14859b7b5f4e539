"""Call an operation by names, and hold what it returns to its declaration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ._axes import Shape
from ._errors import ContractError, nearest
from ._generated import backward_of
from ._op import Array, Op


@cache
def takes_wanted(cls: type[Op]) -> bool:
    """Whether `backward` can be told which gradients are asked for."""
    return cls.backward is Op.backward or "wanted" in inspect.signature(cls.backward).parameters


def forward(op: Op, arrays: Mapping[str, Array]) -> tuple[dict[str, Array], Any]:
    """Run `op.forward` and return its outputs by name, and what it saved.

    Raises:
        ContractError: the answer is not a pair, or its outputs are not the declared ones.
    """
    answer = op.forward(**arrays)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ContractError(f"{op.name}.forward must return (output, saved); got {type(answer).__name__}")
    outputs, saved = answer
    if op.single:
        return {"y": outputs}, saved
    declared = op.declaration.outputs
    if not isinstance(outputs, Mapping) or set(outputs) != set(declared):
        got = sorted(map(str, outputs)) if isinstance(outputs, Mapping) else type(outputs).__name__
        raise ContractError(f"{op.name}.forward must return a dict of outputs {sorted(declared)}; got {got}")
    return dict(outputs), saved


def backward(op: Op, cotangents: Mapping[str, Array], saved: Any, wanted: frozenset[str], shapes: Mapping[str, Shape]) -> dict[str, Array]:
    """Run `op.backward` and return the wanted gradients by name.

    Raises:
        ContractError: a gradient is missing, unknown, or of another shape than its array.
    """
    dy = cotangents["y"] if op.single else dict(cotangents)
    answer: Any
    if type(op).backward is Op.backward:
        answer = backward_of(op)(dy, saved, wanted)
    else:
        answer = op.backward(dy, saved, wanted) if takes_wanted(type(op)) else op.backward(dy, saved)  # type: ignore[call-arg] # an author may take `wanted`
    if not isinstance(answer, Mapping):
        raise ContractError(f"{op.name}.backward must return a dict of gradients by name; got {type(answer).__name__}")
    known = op.declaration.differentiable
    ordered = [name for name in known if name in wanted]
    for name in answer:
        if name not in known:
            raise ContractError(f"{op.name}.backward returned a gradient for {name!r}, which is no input or parameter; {nearest(str(name), known)}")
    for name in ordered:
        if name not in answer:
            raise ContractError(f"{op.name}.backward returned no gradient for {name!r}; got {sorted(answer)}")
        try:
            got: Any = np.shape(answer[name])
        except ValueError:
            got = "rows of different lengths"
        if got != shapes[name]:
            raise ContractError(f"{op.name}.backward: the gradient of {name!r} must have shape {shapes[name]}; got {got}")
    return {name: answer[name] for name in ordered}
