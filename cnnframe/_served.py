"""An operation that computes through a kernel: whoever judges operations can judge kernels."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._axes import Shape
from ._kernel import Arrays, Buffer, Chain, Kernel
from ._memory import PLAIN, Call, MemoryLayout
from ._op import Array, Op


def served(cls: type[Op], kernel: type[Kernel], given: MemoryLayout = PLAIN) -> type[Op]:
    """A class like an operation's, whose methods run a kernel on arrays that lie as `given`, in memory made for each call.

    A case that the kernel declines is computed by the operation itself.
    """

    def forward(self: Op, **arrays: Array) -> tuple[Any, Any]:
        dtype = next(np.asarray(arrays[name]).dtype for name in self.declaration.differentiable)
        chain = chain_of(_original(self, cls), {name: np.shape(array) for name, array in arrays.items()}, dtype)
        if kernel.unavailable() or kernel.declines(chain) or kernel(chain, *kernel.layouts(chain, given)).prepare():
            outputs, saved = cls.forward(self, **arrays)
            return outputs, (None, saved)
        run = _Run(kernel, chain, given, arrays)
        run.forward()
        return run.outputs if not self.single else run.outputs["y"], (run, None)

    def backward(self: Op, dy: Any, saved: Any) -> dict[str, Array]:
        run, own = saved
        if run is None:
            found: dict[str, Array] = cls.backward(self, dy, own)
            return found
        gradients: dict[str, Array] = run.backward({"y": dy} if self.single else dy)
        return gradients

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


class _Run:
    """A kernel bound to arrays of its own."""

    def __init__(self, kernel: type[Kernel], chain: Chain, given: MemoryLayout, arrays: Mapping[str, Array]) -> None:
        self.chain = chain
        self.taken, self.left = kernel.layouts(chain, given)
        made = kernel(chain, self.taken, self.left)
        (op,) = chain.ops
        held = {name: self._held(name, array) for name, array in arrays.items()}
        outputs = {name: np.empty(self.left.shape(shape), chain.dtype) for name, shape in chain.outputs.items()}
        self._cotangents = {name: np.empty_like(array) for name, array in outputs.items()}
        self._gradients = {name: np.full(held[name].shape, np.nan, chain.dtype) for name in op.declaration.differentiable}
        buffers = {name: _filled(buffer) for name, buffer in made.buffers().items()}
        self._scratch = [buffers[name] for name, buffer in made.buffers().items() if not buffer.kept]
        self._made = outputs
        self._calls: tuple[Call, Call | None] = made.bind(Arrays((held,), outputs, self._cotangents, (self._gradients,), buffers))
        self.outputs: dict[str, Array] = {}

    def _held(self, name: str, array: Array) -> Array:
        if name not in self.chain.ops[0].declaration.inputs:
            return np.array(array, order="C")
        held = np.empty(self.taken.shape(np.shape(array)), array.dtype)
        self.taken.pack(array, held)
        return held

    def forward(self) -> None:
        self._calls[0]()
        for name, shape in self.chain.outputs.items():
            self.outputs[name] = np.empty(shape, self.chain.dtype)
            self.left.unpack(self._made[name], self.outputs[name])

    def backward(self, cotangents: Mapping[str, Array]) -> dict[str, Array]:
        for name, array in self._cotangents.items():
            self.left.pack_gradient(np.asarray(cotangents[name]), array)
        # Another stage may have used the scratch in between.
        for room in self._scratch:
            _spoil(room)
        call = self._calls[1]
        if call is not None:
            call()
        found = {}
        for name, array in self._gradients.items():
            found[name] = np.empty(self.chain.given[0][name], self.chain.dtype)
            (self.taken if name in self.chain.ops[0].declaration.inputs else PLAIN).unpack(array, found[name])
        return found


def _filled(buffer: Buffer) -> Array:
    """Memory as an arena hands it out: with what others left there."""
    array = np.empty(buffer.shape, buffer.dtype)
    _spoil(array)
    return array


def _spoil(array: Array) -> None:
    array.fill(np.nan if array.dtype.kind == "f" else 1)
