"""Which arrays a plan needs, in which layout, and when: what its memory has to hold."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ._arena import Arena, Request
from ._axes import Shape
from ._memory import PLAIN, MemoryLayout
from ._op import Array
from ._plan import Plan
from ._stages import Stage

LARGE: Final = 2**16
"""Bytes from which an input is read where it is given; less is copied sooner than a kernel is told where it is."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a stage leaves the gradient of an input, and what becomes of it.

    Attributes:
        written: the array that the kernel writes.
        source: the graph array whose gradient it is.
        first: whether nothing has arrived there before.
    """

    written: str
    source: str
    first: bool


class Placing:
    """Every array of a plan with its place in one arena.

    Attributes:
        lies: the layout in which each graph array lies.
        routes: for each stage, by number, where the gradient of each wanted input goes.
        silent: cotangents that nothing is written to, so that they are 0, by stage.
        lent: graph inputs that have no place, since whoever reads them takes them as they are given.
        arena: the places.
        over: gradients that lie where another array lies.
        between: bytes of the largest array on its way from one layout to another by the plain one.
    """

    def __init__(self, plan: Plan) -> None:
        """Walk through the plan: loads at moment 0, stages, the seeds of the losses, stages backwards, results at the end."""
        self.plan = plan
        self.lies = _lies(plan)
        self.routes: dict[int, dict[str, Route]] = {}
        self.silent: dict[int, list[str]] = {}
        self.between = 0
        self.over: dict[str, str] = {}
        self._spans: dict[str, tuple[Shape, Any, float, float]] = {}
        read = {name: [(stage, arg) for stage in plan.stages for arg, source in stage.steps[0].sources if source == name] for name in plan.inputs}
        large = [name for name in plan.inputs if math.prod(plan.shapes[name]) * plan.dtype.itemsize >= LARGE]
        free = [name for name in large if name not in plan.targets and self.lies[name] == PLAIN]
        self.lent = {name for name in free if all(stage.kernel.lends(arg) for stage, arg in read[name])}
        self._middle = len(plan.stages) + 1
        self._end = 2 * self._middle
        for name in plan.inputs:
            if name not in self.lent:
                self._hold(name, self.lies[name], 0)
        for number, stage in enumerate(plan.stages):
            self._forward(number, stage)
        if plan.backward:
            self._backward()
        for gradient, array in self.over.items():
            *_, last = self._spans.pop(gradient)
            self._need(array, *self._spans[array][:2], last)
        self.arena = Arena.of([Request(name, *span) for name, span in self._spans.items()])

    def place(self, array: str, layout: MemoryLayout) -> str:
        """The name of a graph array in a layout."""
        return array if layout == self.lies[array] else f"{array} as {layout.name}"

    def allocate(self, block: Array) -> dict[str, Array]:
        """The arrays, in a block of memory."""
        found = self.arena.allocate(block)
        return found | {gradient: found[array] for gradient, array in self.over.items()}

    def back(self, number: int) -> int:
        """The moment at which a stage runs backwards."""
        return self._end - 1 - number

    def _need(self, name: str, shape: Shape, dtype: Any, *moments: float) -> None:
        _, _, first, last = self._spans.get(name, (shape, dtype, moments[0], moments[0]))
        self._spans[name] = (shape, np.dtype(dtype), min(first, *moments), max(last, *moments))

    def _hold(self, array: str, layout: MemoryLayout, *moments: float) -> None:
        dtype = np.dtype(np.int64) if array in self.plan.indices else self.plan.dtype
        self._need(self.place(array, layout), layout.shape(self.plan.shapes[array]), dtype, *moments)

    def _forward(self, number: int, stage: Stage) -> None:
        now, kernel = number + 1, stage.kernel
        kept = kernel.kept() if stage.chain.learns else ()
        # The gradient of its only input may lie where that was, if it is written when that has been read.
        alone = kernel.writes_last and stage.chain.learns and len(self._flowing(stage)) == 1
        moments = {"inputs": self.back(number) - (0.5 if alone else 0), "outputs": self.back(number)}
        later = {what: (moment,) if what in kept else () for what, moment in moments.items()}
        for name, source in stage.steps[0].sources:
            if source in self.lent:
                continue
            layout = wanted_layout(stage, name)
            self._hold(source, self.lies[source], now)
            self._hold(source, layout, now, *later["inputs"])
            if "plain" not in {layout.name, self.lies[source].name} and layout != self.lies[source]:
                there, back = self.lies[source].reaches(layout), not stage.chain.learns or layout.reaches(self.lies[source])
                if not (there and back):
                    self.between = max(self.between, math.prod(self.plan.shapes[source]) * self.plan.dtype.itemsize)
        for _, array, _ in stage.steps[-1].outputs:
            self._hold(array, stage.left, now, *later["outputs"], *((self._end,) if array in self.plan.targets else ()))
        for name, buffer in kernel.buffers().items():
            if buffer.kept:
                self._need(own(stage, name), buffer.shape, buffer.dtype, now, *((self.back(number),) if stage.chain.learns else ()))

    def _flowing(self, stage: Stage) -> list[str]:
        """The inputs whose gradients are wanted."""
        return [name for name, _ in stage.steps[0].sources if name in stage.chain.wanted[0]]

    def _backward(self) -> None:
        arrived = set(self.plan.losses)
        for array in self.plan.losses:
            self._need(cotangent(array), (), self.plan.dtype, self._middle)
        for number, stage in reversed(list(enumerate(self.plan.stages))):
            if not stage.chain.learns:
                continue
            now = self.back(number)
            made = [array for _, array, _ in stage.steps[-1].outputs]
            for array in made:
                self._need(cotangent(array), stage.left.shape(self.plan.shapes[array]), self.plan.dtype, now)
            self.silent[number] = [array for array in made if array not in arrived]
            self.routes[number] = {}
            for name, source in stage.steps[0].sources:
                if name in stage.chain.wanted[0]:
                    self.routes[number][name] = self._route(stage, name, source, source not in arrived, now)
                    arrived.add(source)

    def _route(self, stage: Stage, name: str, source: str, first: bool, now: int) -> Route:  # noqa: FBT001 # a field of what is made
        lasting = (self._end,) if source in self.plan.wanted_inputs else ()
        self._need(cotangent(source), self.lies[source].shape(self.plan.shapes[source]), self.plan.dtype, now, *lasting)
        written = cotangent(source)
        if not first or stage.taken != self.lies[source]:
            written = cotangent(own(stage, name))
            self._need(written, stage.taken.shape(self.plan.shapes[source]), self.plan.dtype, now)
        read = self.place(source, stage.taken)
        if stage.kernel.replaces and len(stage.steps[0].op.declaration.inputs) == 1 and self._until(read) == now:
            self.over[written] = read
        if stage.taken != self.lies[source] and not first:
            # It is brought to the other's layout before it is added.
            self._need(f"{written} as {self.lies[source].name}", self.lies[source].shape(self.plan.shapes[source]), self.plan.dtype, now)
        return Route(written, source, first)

    def _until(self, place: str) -> float:
        """When an array is needed for the last time; one that is lent has no place."""
        return self._spans[place][3] if place in self._spans else math.inf


def cotangent(array: str) -> str:
    """What the gradient of an array is called."""
    return f"d {array}"


def own(stage: Stage, name: str) -> str:
    """What belongs to a stage alone."""
    return f"{name} of {stage.steps[0].node}"


def wanted_layout(stage: Stage, name: str) -> MemoryLayout:
    """The layout in which a stage reads an argument: constants are never rearranged."""
    return stage.taken if name in stage.steps[0].op.declaration.inputs else PLAIN


def _lies(plan: Plan) -> dict[str, MemoryLayout]:
    """The layout of each array: as its kernel leaves it, and of a graph input as its readers want it, if they agree."""
    found = {array: stage.left for stage in plan.stages for _, array, _ in stage.steps[-1].outputs}
    for name in plan.inputs:
        wanted = Counter(wanted_layout(stage, arg) for stage in plan.stages for arg, source in stage.steps[0].sources if source == name)
        found[name] = next(iter(wanted)) if len(wanted) == 1 else PLAIN
    return found
