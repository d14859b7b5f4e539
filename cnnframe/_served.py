"""An operation that computes through a kernel: whoever judges operations can judge kernels."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._axes import Shape
from ._bound import Bound
from ._kernel import Chain, Kernel
from ._memory import PLAIN, MemoryLayout
from ._op import Array, Op
from ._ways import prepared


def served(cls: type[Op], kernel: type[Kernel], given: MemoryLayout = PLAIN) -> type[Op]:
    """A class like an operation's, whose methods run a kernel on arrays that lie as `given`, in memory made for each call.

    A case that the kernel declines is computed by the operation itself.
    """

    def forward(self: Op, **arrays: Array) -> tuple[Any, Any]:
        dtype = next(np.asarray(arrays[name]).dtype for name in self.declaration.differentiable)
        chain = chain_of(_original(self, cls), {name: np.shape(array) for name, array in arrays.items()}, dtype)
        if kernel.unavailable() or kernel.declines(chain) or prepared(kernel, chain, given):
            outputs, saved = cls.forward(self, **arrays)
            return outputs, (None, saved)
        run = Bound(kernel, chain, given, (arrays,))
        outputs = run.forward()
        return outputs["y"] if self.single else outputs, (run, None)

    def backward(self: Op, dy: Any, saved: Any) -> dict[str, Array]:
        run, own = saved
        if run is None:
            found: dict[str, Array] = cls.backward(self, dy, own)
            return found
        (gradients,) = run.backward({"y": dy} if self.single else dy)
        return dict(gradients)

    names = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}@{kernel.name}", "forward": forward, "backward": backward}
    # Fields are the parent's; the decorator is what makes them those of this class.
    made: type[Op] = types.new_class(f"{cls.__name__}@{kernel.name}", (cls,), {}, lambda space: space.update(names))
    return dataclass(frozen=True)(made)


def _original(op: Op, cls: type[Op]) -> Op:
    """The operation as the kernel would meet it."""
    found = object.__new__(cls)
    found.__dict__.update(vars(op))
    return found


def chain_of(op: Op, shapes: Mapping[str, Shape], dtype: np.dtype[Any]) -> Chain:
    """An operation as a chain of one, of which all gradients are wanted."""
    return Chain((op.name,), (op,), (dict(shapes),), op.output_shapes(op.sizes(shapes)), dtype, (frozenset(op.declaration.differentiable),))
