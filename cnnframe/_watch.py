"""Go through a plan node by node, with each operation's own methods, and stop at the first number that is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _call
from ._errors import NonFiniteError
from ._inputs import first_bad
from ._op import Array
from ._parameters import Parameters
from ._plan import Plan


def watch(plan: Plan, params: Parameters, values: dict[str, Array], scale: float) -> None:
    """Compute what a plan computes, and look at every array.

    Raises:
        NonFiniteError: one holds a NaN or an infinity; the message names the node that made it.
    """
    saved: dict[str, Any] = {}
    for step in plan.steps:
        given = {name: values[source] for name, source in step.sources} | {name: params[array] for name, array in step.parameters}
        outputs, saved[step.node] = _call.forward(step.op, given)
        for name, array, _ in step.outputs:
            values[array] = outputs[name]
            if not np.isfinite(outputs[name]).all():
                raise NonFiniteError(f"node {step.node!r} ({step.op.name}): output {name!r} is the first array to hold {first_bad(outputs[name])}")
    flowing: dict[str, Array] = {name: np.full((), scale, plan.dtype) for name in plan.losses}
    for step in plan.backward:
        cotangents = {name: flowing.pop(array, np.zeros(shape, plan.dtype)) for name, array, shape in step.outputs}
        gradients = _call.backward(step.op, cotangents, saved[step.node], step.wanted, step.shapes)
        for name, gradient in gradients.items():
            if not np.isfinite(gradient).all():
                raise NonFiniteError(f"node {step.node!r} ({step.op.name}): the gradient of {name!r} is the first array to hold {first_bad(gradient)}")
        for name, source in step.sources:
            if name in step.wanted:
                flowing[source] = flowing[source] + gradients[name] if source in flowing else gradients[name]
