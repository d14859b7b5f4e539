"""A plan at work on one part of a batch: every array has its place, and a run is a list of calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ._arena import ALIGNMENT, aligned
from ._division import PAYS, operations
from ._kernel import Arrays, Buffer
from ._memory import Call, MemoryLayout, address
from ._op import Array
from ._parameters import Layout
from ._placing import Placing, cotangent, own, wanted_layout
from ._plan import Plan
from ._stages import Stage


class Program:
    """The calls of one plan, with memory of its own; made once and run for every step.

    Attributes:
        plan: what it computes.
        gradient: the flat vector of gradients after a run; empty where they go to the caller's own.
        gives: whether they do.
        memory: all that it works in: arrays, scratch, room between two layouts, and parameters and gradient where kernels do not go to the caller's.
        bytes: how much of it there was not before.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        memory: Sequence[Array] = (),
        *,
        adds: bool = False,
        crew: Callable[[Sequence[Call]], Any] | None = None,
        threads: int = 1,
    ) -> None:
        """Place all arrays and bind the kernels to them, in the memory of another program that never runs at the same time, as far as it goes.

        Where gradients of parameters go to the caller's, one that `adds` adds them to what is there.
        For one that answers for the whole batch a `crew` of some threads may run calls at the same time.
        """
        self.plan = plan
        self._crew = crew
        self._threads = threads
        self._placing = Placing(plan)
        scratch = max((scratch_bytes(stage) for stage in plan.stages), default=0)
        flat = layout.size * plan.dtype.itemsize
        # Gradients that no kernel writes, or several, which add.
        uses = Counter(array for step in plan.backward for _, array in step.parameters)
        cleared = {name for name in layout.slots if uses[name] != 1} if plan.backward else set()
        follows = all(stage.kernel.follows for stage in plan.stages if any(step.parameters for step in stage.steps))
        self._moved = np.zeros(2, np.int64) if follows else None
        self.gives = bool(plan.backward) and follows and not cleared
        self._adds = adds
        sizes = (
            self._placing.arena.bytes,
            scratch,
            self._placing.between,
            0 if follows else flat,
            flat if plan.backward and not self.gives else 0,
        )
        there = memory or [np.zeros(0, np.uint8)] * len(sizes)
        self.memory = tuple(old if old.nbytes >= size else aligned(size) for old, size in zip(there, sizes, strict=True))
        self.bytes = sum(array.nbytes for array, old in zip(self.memory, there, strict=True) if array is not old)
        block, self._scratch, self._between, parameters, gradient = self.memory
        self._parameters = parameters[: sizes[3]].view(plan.dtype)
        self.gradient = gradient[: sizes[4]].view(plan.dtype)
        # In place of the caller's vectors, which kernels go to later, one to begin with.
        nowhere = np.empty(layout.size if follows else 0, plan.dtype)
        read, written = nowhere if follows else self._parameters, nowhere if self.gives else self.gradient
        self._at = address(nowhere)
        views, gradients = layout.views(read), layout.views(written) if plan.backward else {}
        self._cleared = {name: gradients[name] for name in cleared}
        self._arrays = self._placing.allocate(block)
        self._seeds = [self._arrays[cotangent(name)] for name in plan.losses] if plan.backward else []
        self._converted: set[str] = set()
        self._lent: list[tuple[Callable[[Array], None], str]] = []
        self._forward: list[Call] = []
        self._packed: list[str] = []
        for name in plan.inputs:
            if name not in self._placing.lent:
                self._take_in(name)
        back: list[list[Call]] = []
        for number, stage in enumerate(plan.stages):
            forward, backward = self._bind(number, stage, views, gradients)
            self._forward += forward
            back.append(backward)
        self._forward = _joined(self._forward)
        self._backward = _joined([call for calls in reversed(back) for call in calls])

    def load(self, parameters: Array, inputs: Mapping[str, Array], gradient: Array | None = None) -> None:
        """Take over parameters and inputs; gradients of parameters go to `gradient`, if there is no vector for them here."""
        if self._moved is None:
            self._parameters[...] = parameters
        else:
            self._moved[0] = address(parameters) - self._at
            if self.gives and gradient is not None:
                self._moved[1] = address(gradient) - self._at
        for name in self._packed:
            self._placing.lies[name].pack(inputs[name], self._arrays[name])
        for take, name in self._lent:
            take(np.asarray(inputs[name], self._type(name), order="C"))

    def give_back(self) -> None:
        """Forget the inputs, after a run."""
        for take, name in self._lent:
            take(np.empty(0, self._type(name)))

    def forward(self) -> None:
        """Compute the arrays that were asked for."""
        for call in self._forward:
            call()

    def backward(self, scale: float) -> None:
        """Compute gradients of `scale` times the loss, after `forward`."""
        for view in self._cleared.values():
            view.fill(0)
        for seed in self._seeds:
            seed.fill(scale)
        for call in self._backward:
            call()

    def value(self, name: str, out: Array) -> None:
        """Copy an array that was asked for to `out`."""
        self._placing.lies[name].unpack(self._arrays[name], out)

    def input_gradient(self, name: str, out: Array) -> None:
        """Copy the gradient of a graph input that was asked for to `out`."""
        if cotangent(name) in self._arrays:
            self._placing.lies[name].unpack(self._arrays[cotangent(name)], out)
        else:
            out.fill(0)

    def losses(self) -> list[float]:
        """The value of each loss."""
        return [float(self._arrays[name]) for name in self.plan.losses]

    def _type(self, source: str) -> np.dtype[Any]:
        return np.dtype(np.int64) if source in self.plan.indices else self.plan.dtype

    def _take_in(self, name: str) -> None:
        """Bring an input to its place: by a call of its own, or by one that goes on with the first kernels."""
        # Never read: another is taken first.
        nowhere = np.broadcast_to(np.zeros((), self._type(name)), self.plan.shapes[name])
        call = self._placing.lies[name].packing(nowhere, self._arrays[name])
        if hasattr(call, "take"):
            self._lent.append((call.take, name))
            self._forward.append(call)
        else:
            self._packed.append(name)

    def _bind(self, number: int, stage: Stage, views: Mapping[str, Array], into_all: Mapping[str, Array]) -> tuple[list[Call], list[Call]]:
        """The calls of a stage, forward and back."""
        before: list[Call] = []
        given = [{name: views[array] for name, array in step.parameters} for step in stage.steps]
        lent: dict[str, str] = {}
        for name, source in stage.steps[0].sources:
            if source in self._placing.lent:
                lent[name] = source
                continue
            layout, stored = wanted_layout(stage, name), self._placing.lies[source]
            place = self._placing.place(source, layout)
            if place != source and place not in self._converted:
                before += self._rearranging(source, self._arrays[source], stored, self._arrays[place], layout)
                self._converted.add(place)
            given[0][name] = self._arrays[place]
        outputs = {name: self._arrays[array] for name, array, _ in stage.steps[-1].outputs}
        cotangents: dict[str, Array] = {}
        gradients: list[dict[str, Array]] = [{} for _ in stage.steps]
        after: list[Call] = []
        if stage.chain.learns:
            cotangents = {name: self._arrays[cotangent(array)] for name, array, _ in stage.steps[-1].outputs}
            for name, route in self._placing.routes[number].items():
                gradients[0][name] = self._arrays[route.written]
                after += self._bring(stage, route.written, route.source, first=route.first)
            for step, wanted, into in zip(stage.steps, stage.chain.wanted, gradients, strict=True):
                for name, array in step.parameters:
                    if name in wanted:
                        target = into_all[array]
                        into[name] = np.empty_like(target) if array in self._cleared else target
                        if into[name] is not target:
                            after.append(partial(np.add, target, into[name], out=target))
        lends: dict[str, Callable[[Array], None]] = dict.fromkeys(lent, _nobody)
        adds = self.gives and self._adds
        arrays = Arrays(tuple(given), outputs, cotangents, tuple(gradients), self._buffers(stage), lends, self._moved, adds)
        forward, backward = stage.kernel.bind(arrays)
        forward, backward = self._shared(stage, forward), backward and self._shared(stage, backward)
        self._lent += [(arrays.lent[name], source) for name, source in lent.items()]
        silent = [partial(self._arrays[cotangent(array)].fill, 0) for array in self._placing.silent.get(number, ())]
        return [*before, forward], [*silent, backward, *after] if backward is not None else []

    def _shared(self, stage: Stage, call: Call) -> Call:
        """The call, or one by which several threads do what it does."""
        if self._crew is None or not hasattr(call, "shares") or operations([stage]) < 2 * PAYS:
            return call
        shares = call.shares(self._threads)
        return call if len(shares) == 1 else partial(self._crew, shares)

    def _bring(self, stage: Stage, written: str, source: str, *, first: bool) -> list[Call]:
        """The calls that bring a gradient from where a kernel left it to where it belongs."""
        target, stored = self._arrays[cotangent(source)], self._placing.lies[source]
        if written == cotangent(source):
            return []
        made = self._arrays[written]
        if stage.taken == stored:
            return [partial(np.add, target, made, out=target)]
        if first:
            return self._rearranging(source, made, stage.taken, target, stored, gradient=True)
        moved = self._arrays[f"{written} as {stored.name}"]
        return [*self._rearranging(source, made, stage.taken, moved, stored, gradient=True), partial(np.add, target, moved, out=target)]

    def _rearranging(self, array: str, given: Array, layout: MemoryLayout, out: Array, wanted: MemoryLayout, *, gradient: bool = False) -> list[Call]:
        """The calls that write a graph array, or its gradient, in another layout."""
        if wanted.name == "plain":
            return [layout.unpacking(given, out)]
        if layout.name == "plain":
            return [wanted.packing(given, out, gradient=gradient)]
        shape = self.plan.shapes[array]
        if layout.reaches(wanted):
            return [layout.rearranging(given, out, wanted, shape)]
        plain = self._between[: math.prod(shape) * self.plan.dtype.itemsize].view(self.plan.dtype).reshape(shape)
        return [layout.unpacking(given, plain), wanted.packing(plain, out, gradient=gradient)]

    def _buffers(self, stage: Stage) -> dict[str, Array]:
        found, offset = {}, 0
        for name, buffer in stage.kernel.buffers().items():
            if buffer.kept:
                found[name] = self._arrays[own(stage, name)]
            else:
                size = math.prod(buffer.shape) * np.dtype(buffer.dtype).itemsize
                found[name] = self._scratch[offset : offset + size].view(buffer.dtype).reshape(buffer.shape)
                offset += buffer_bytes(buffer)
        return found


def _nobody(array: Array) -> None:
    """Take an array and do nothing: a kernel replaces it."""


def _joined(calls: list[Call]) -> list[Call]:
    """The same calls, in fewer where they know how."""
    found: list[Call] = []
    for call in calls:
        both = found[-1].then(call) if found and hasattr(found[-1], "then") else None
        found[-1:] = [*found[-1:], call] if both is None else [both]
    return found


def buffer_bytes(buffer: Buffer) -> int:
    """What a buffer takes, in whole lines."""
    return -(-math.prod(buffer.shape) * int(np.dtype(buffer.dtype).itemsize) // ALIGNMENT) * ALIGNMENT


def scratch_bytes(stage: Stage) -> int:
    """What a stage needs while it runs."""
    return sum(buffer_bytes(buffer) for buffer in stage.kernel.buffers().values() if not buffer.kept)
