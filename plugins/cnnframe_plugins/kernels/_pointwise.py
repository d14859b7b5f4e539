"""The activations of the box, written into the memory of the plan; the derivative is taken from the output (Bouvrie 2006, section 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnframe import Array, Arrays, Buffer, Call, Chain, Kernel, MemoryLayout, Op

from ..activations import Identity, Logistic, ReLU, ScaledTanh

Value = Callable[[Any, Array, Array, Array], None]
"""(operation, x, y, room): write y."""
Slope = Callable[[Any, Array, Array, Array, Array], None]
"""(operation, y, dy, dx, room): write dx."""


def _scaled_tanh(op: ScaledTanh, x: Array, y: Array, room: Array) -> None:  # noqa: ARG001 # needs none
    np.multiply(x, op.b, out=y)
    np.tanh(y, out=y)
    np.multiply(y, op.a, out=y)


def _scaled_tanh_back(op: ScaledTanh, y: Array, dy: Array, dx: Array, room: Array) -> None:
    np.subtract(op.a, y, out=dx)
    np.add(y, op.a, out=room)
    np.multiply(dx, room, out=dx)
    np.multiply(dx, op.b / op.a, out=dx)
    np.multiply(dx, dy, out=dx)


def _logistic(op: Logistic, x: Array, y: Array, room: Array) -> None:
    # With e = exp(-|x|): 1 / (1 + e) from 0 on, e / (1 + e) below: no overflow, no cancellation, and NumPy's exp is many times faster than SciPy's expit.
    # -|x| as the smaller one of x and -x, which takes a third of the time of NumPy's copysign.
    if op.beta == 1:
        np.negative(x, out=y)
        np.minimum(x, y, out=y)
    else:
        np.multiply(x, op.beta, out=y)
        np.negative(y, out=room)
        np.minimum(y, room, out=y)
    np.greater_equal(x, 0, out=room)
    np.exp(y, out=y)
    np.maximum(room, y, out=room)
    np.add(y, 1, out=y)
    np.divide(room, y, out=y)


def _logistic_back(op: Logistic, y: Array, dy: Array, dx: Array, room: Array) -> None:  # noqa: ARG001 # needs none
    np.subtract(1, y, out=dx)
    np.multiply(dx, y, out=dx)
    if op.beta != 1:
        np.multiply(dx, op.beta, out=dx)
    np.multiply(dx, dy, out=dx)


def _relu(op: ReLU, x: Array, y: Array, room: Array) -> None:  # noqa: ARG001 # needs none
    np.maximum(x, 0, out=y)


def _relu_back(op: ReLU, y: Array, dy: Array, dx: Array, room: Array) -> None:  # noqa: ARG001 # has no hyperparameters
    np.greater(y, 0, out=room)
    np.multiply(dy, room, out=dx)


def _identity(op: Identity, x: Array, y: Array, room: Array) -> None:  # noqa: ARG001 # nothing to do
    np.copyto(y, x)


def _identity_back(op: Identity, y: Array, dy: Array, dx: Array, room: Array) -> None:  # noqa: ARG001 # nothing to do
    np.copyto(dx, dy)


FUNCTIONS: Mapping[type[Op], tuple[Value, Slope]] = {
    ScaledTanh: (_scaled_tanh, _scaled_tanh_back),
    Logistic: (_logistic, _logistic_back),
    ReLU: (_relu, _relu_back),
    Identity: (_identity, _identity_back),
}


class PointwiseKernel(Kernel):
    """An activation with a derivative that its output tells, in whatever layout the array lies."""

    name = "numpy_pointwise"
    products = False
    keeps = frozenset({"outputs"})

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """An activation that it knows."""
        return int(type(ops[0]) in FUNCTIONS)

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # any chain
        """As the array lies."""
        return given, given

    def buffers(self) -> Mapping[str, Buffer]:
        """Room for one array."""
        return {"room": Buffer(self.left.shape(self.chain.outputs["y"]), self.chain.dtype)}

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        (op,) = self.chain.ops
        value, slope = FUNCTIONS[type(op)]
        x, y, room = arrays.given[0]["x"], arrays.outputs["y"], arrays.buffers["room"]

        def forward() -> None:
            value(op, x, y, room)

        if not self.chain.learns:
            return forward, None
        dy, dx = arrays.cotangents["y"], arrays.gradients[0]["x"]

        def backward() -> None:
            slope(op, y, dy, dx, room)

        return forward, backward
