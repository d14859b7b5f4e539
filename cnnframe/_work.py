"""A question to a network for one size of batch: in parts that fit a cache, on as many threads as there are parts for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ._division import LEAST, Division
from ._inputs import finite
from ._op import Array
from ._parameters import Layout
from ._preparing import Preparation
from ._program import Program
from ._threads import at_once, products_on

FAR = 2**20
"""Bytes of inputs from which each thread looks at its own, on their way through its cache; at fewer this thread does, while it would wait for others."""


class Work:
    """Programs for the parts of a batch, and the threads that run them.

    Attributes:
        batch: its size.
        whole: the plan of the whole batch.
        plan: the plan of the largest part.
        parts: for each thread the sizes of its parts.
        until: what is being prepared, so that this work is done by others until then; None if nothing is.
    """

    def __init__(self, division: Division, layout: Layout, pool: Callable[[], ThreadPoolExecutor], until: Preparation | None = None) -> None:
        """Make the programs."""
        whole = self.whole = division.whole
        self.batch = division.batch
        self.parts = division.parts
        self.plan = next(iter(division.plans.values()))
        self.until = until
        self._threads = division.threads
        self._products = any(stage.kernel.products for plan in division.plans.values() for stage in plan.stages)
        self._pool = pool
        self._programs: list[list[Program]] = []
        for sizes in self.parts:
            mine: dict[int, Program] = {}
            memory: tuple[Array, ...] = ()
            for size in sorted(set(sizes), reverse=True):
                # They run one after the other, so that they may share what the first one has.
                crew = self._at_once if size == self.batch else None
                mine[size] = Program(division.plans[size], layout, memory, adds=len(sizes) > 1, crew=crew, threads=self._threads)
                memory = mine[size].memory
            self._programs.append([mine[size] for size in sizes])
        ends = list(accumulate((size for sizes in self.parts for size in sizes), initial=0))
        spans = iter([slice(*pair) for pair in pairwise(ends)])
        self._spans = [[next(spans) for _ in sizes] for sizes in self.parts]
        # Where a thread adds up the gradients of its parts, if it has several or has no place for them; the first one does so in the answer.
        many = [len(mine) > 1 or mine[0].gives for mine in self._programs[1:]]
        self._sums = [np.empty(layout.size, whole.dtype) if own else mine[0].gradient for own, mine in zip(many, self._programs[1:], strict=True)]
        self._shapes = {name: whole.shapes[name] for name in (*whole.targets, *whole.wanted_inputs)}

    @property
    def bytes(self) -> int:
        """The memory that it holds."""
        programs = {id(program): program for mine in self._programs for program in mine}
        sums = [total for total, mine in zip(self._sums, self._programs[1:], strict=True) if total is not mine[0].gradient]
        return sum(program.bytes for program in programs.values()) + sum(total.nbytes for total in sums)

    def values(self, parameters: Array, inputs: Mapping[str, Array], *, check: bool = False) -> tuple[dict[str, Array], bool]:
        """The arrays that are asked for, new ones, with losses summed over the parts; and whether these and the inputs are finite, if there is a `check`."""
        plan = self.plan
        found = {name: np.empty(self._shapes[name], plan.dtype) for name in plan.targets}
        whole = {name: inputs[name] for name in plan.inputs}
        early = check and sum(array.nbytes for array in whole.values()) > FAR

        def run(worker: int) -> tuple[list[list[float]], bool]:
            losses, sound = [], True
            for program, span in zip(self._programs[worker], self._spans[worker], strict=True):
                given = self._part(inputs, span, plan.inputs)
                sound = sound and (not early or finite(given))
                try:
                    program.load(parameters, given)
                    program.forward()
                    losses.append(program.losses())
                    parts = self._part(found, span, [name for name in plan.targets if self._one or name in plan.batched])
                    for name, array in parts.items():
                        program.value(name, array)
                finally:
                    program.give_back()
                sound = sound and (not check or finite(parts))
            return losses, sound and (worker > 0 or early or not check or finite(whole))

        answers = self._each(run)
        for name, values in zip(plan.losses, zip(*(losses for mine, _ in answers for losses in mine), strict=True), strict=True):
            if name in found and not self._one:
                found[name][...] = sum(values)
        summed = {} if self._one else {name: found[name] for name in plan.targets if name not in plan.batched}
        return found, all(sound for _, sound in answers) and (not check or finite(summed))

    def gradients(
        self, parameters: Array, inputs: Mapping[str, Array], scale: float, out: Array, *, check: bool = False
    ) -> tuple[float, dict[str, Array], bool]:
        """The sum of the losses, and the gradients of the inputs that are asked for; those of the parameters go to `out`.

        And whether the inputs and their gradients are finite, if there is a `check`.
        """
        plan = self.plan
        found = {name: np.empty(self._shapes[name], plan.dtype) for name in plan.wanted_inputs}
        whole = {name: inputs[name] for name in plan.inputs}
        early = check and sum(array.nbytes for array in whole.values()) > FAR

        def run(worker: int) -> tuple[list[float], bool]:
            total = (out, *self._sums)[worker]
            losses, sound = [], True
            if self._programs[worker][0].gives and len(self._programs[worker]) > 1:
                total.fill(0)
            for number, (program, span) in enumerate(zip(self._programs[worker], self._spans[worker], strict=True)):
                given, slopes = self._part(inputs, span, plan.inputs), self._part(found, span, plan.wanted_inputs)
                sound = sound and (not early or finite(given))
                try:
                    program.load(parameters, given, total)
                    program.forward()
                    program.backward(scale)
                    losses += program.losses()
                    for name, array in slopes.items():
                        program.input_gradient(name, array)
                finally:
                    program.give_back()
                sound = sound and (not check or finite(slopes))
                if not program.gives and program.gradient is not total:
                    np.copyto(total, program.gradient) if not number else np.add(total, program.gradient, out=total)
            return losses, sound and (worker > 0 or early or not check or finite(whole))

        answers = self._each(run)
        for other in self._sums:
            np.add(out, other, out=out)
        return sum(loss for losses, _ in answers for loss in losses), found, all(sound for _, sound in answers)

    @property
    def _one(self) -> bool:
        """Whether the batch is a single part."""
        return len(self.parts) == len(self.parts[0]) == 1

    def _part(self, arrays: Mapping[str, Array], span: slice, names: Iterable[str]) -> dict[str, Array]:
        return {name: arrays[name] if self._one or name not in self.plan.batched else arrays[name][span] for name in names}

    def _each(self, run: Callable[[int], Any]) -> list[Any]:
        """The answers of all threads, in order; the first part of the work is this thread's."""
        if len(self.parts) == 1:
            with _alone() if self._products and self._threads == 1 and self.batch >= LEAST else nullcontext():
                return [run(0)]
        with _alone() if self._products else nullcontext():
            return self._at_once([partial(run, worker) for worker in range(len(self.parts))])

    def _at_once(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        return at_once(self._pool, calls)


def _alone() -> AbstractContextManager[Any]:
    """Hold matrix products to one thread each: two pools on the same processors wait for each other."""
    return products_on(1)
