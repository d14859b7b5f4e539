"""The losses that networks of the box end in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnframe import Arrays, Buffer, Call, Kernel, Op

from ..losses import SoftmaxCrossEntropy, SquaredError, check_classes


class SquaredErrorKernel(Kernel):
    """Half the squared distance; the difference is kept (section 2.1, equation 1)."""

    name = "numpy_squared_error"
    products = False
    keeps = frozenset()

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """The squared error."""
        return int(type(ops[0]) is SquaredError)

    def buffers(self) -> Mapping[str, Buffer]:
        """The difference, and room for its square."""
        shape = self.chain.given[0]["y"]
        return {"error": Buffer(shape, self.chain.dtype, kept=True), "room": Buffer(shape, self.chain.dtype)}

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        y, t, loss, error, room = arrays.given[0]["y"], arrays.given[0]["t"], arrays.outputs["y"], arrays.buffers["error"], arrays.buffers["room"]
        half = np.asarray(0.5, self.chain.dtype)

        def forward() -> None:
            np.subtract(y, t, out=error)
            np.multiply(error, error, out=room)
            np.add.reduce(room, axis=None, out=loss)
            np.multiply(loss, half, out=loss)

        if not self.chain.learns:
            return forward, None
        dy, dx = arrays.cotangents["y"], arrays.gradients[0]["y"]

        def backward() -> None:
            np.multiply(error, dy, out=dx)

        return forward, backward


class SoftmaxCrossEntropyKernel(Kernel):
    """The logarithm of the softmax is kept (section 4.3)."""

    name = "numpy_softmax_cross_entropy"
    products = False
    keeps = frozenset({"inputs"})

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """The cross-entropy of the softmax."""
        return int(type(ops[0]) is SoftmaxCrossEntropy)

    def buffers(self) -> Mapping[str, Buffer]:
        """The logarithms, and room for one array and for one number an example."""
        shape = self.chain.given[0]["z"]
        return {
            "logs": Buffer(shape, self.chain.dtype, kept=True),
            "room": Buffer(shape, self.chain.dtype),
            "each": Buffer((shape[0], 1), self.chain.dtype),
            "weight": Buffer((shape[0], 1), self.chain.dtype, kept=True),
        }

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        z, t, loss = arrays.given[0]["z"], arrays.given[0]["t"], arrays.outputs["y"]
        logs, room, each, weight = (arrays.buffers[name] for name in ("logs", "room", "each", "weight"))
        dense, rows = t.ndim == z.ndim, np.arange(len(z))

        def forward() -> None:
            np.maximum.reduce(z, axis=1, keepdims=True, out=each)
            np.subtract(z, each, out=logs)
            np.exp(logs, out=room)
            np.add.reduce(room, axis=1, keepdims=True, out=each)
            np.log(each, out=each)
            np.subtract(logs, each, out=logs)
            if dense:
                np.add.reduce(t, axis=1, keepdims=True, out=weight)
                np.multiply(t, logs, out=room)
                np.add.reduce(room, axis=None, out=loss)
            else:
                check_classes(t, z.shape[1])
                np.add.reduce(logs[rows, t], out=loss)
            # Minus 0 would be odd.
            np.subtract(0, loss, out=loss)

        if not self.chain.learns:
            return forward, None
        dy, dz = arrays.cotangents["y"], arrays.gradients[0]["z"]

        def backward() -> None:
            np.exp(logs, out=dz)
            if dense:
                np.multiply(dz, weight, out=dz)
                np.subtract(dz, t, out=dz)
            else:
                dz[rows, t] -= 1
            np.multiply(dz, dy, out=dz)

        return forward, backward
