"""A batch in parts that fit a cache, and how many threads are worth waking for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ._kernel import Kernel
from ._plan import Plan
from ._stages import Stage

CACHE = 2**20
"""Bytes of arrays that a part of a batch may take, about half of what the caches of a core hold: kernels need room for themselves."""

LEAST = 16
"""A batch with fewer entries is computed by this thread as it is, unless each is much work: waking another, or holding matrix products back, costs more."""

FEW = 0.1
"""Stages with a smaller share of the work do not say how many entries of a batch are best together."""

PAYS = 2**24
"""Operations for which another thread saves more than it costs to wake it and to wait for it, which are tenths of a millisecond."""

WORTH = 2**27
"""Operations of a part below which more of them fit a cache and yet take longer: each is some dozens of calls, for which threads wait for each other."""

ROOM = 2**22
"""Bytes of arrays between forward and backward that a part may take, even one whose kernels go through it piece by piece."""

SLOWER = 4
"""About how much longer those of a kernel that is not compiled for them take."""

SINGLY = 4
"""How much longer entries may take that do not lie side by side."""

ENTRY = 8
"""Operations that an entry of an array costs besides those with weights, about."""


class Division:
    """A batch in parts, with the plans of the parts.

    The same number of threads gives the same bits: which entries a part has, and the order in which parts are added
    up, follow from the size of the batch.

    Attributes:
        batch: its size.
        threads: on how many threads parts may be computed; little work stays on one.
        whole: the plan of the whole batch.
        parts: for each thread the sizes of its parts.
        plans: a plan for each size of a part.
    """

    def __init__(self, make: Callable[[int], Plan], batch: int, threads: int) -> None:
        """Divide a batch; `make` plans for a part of a given size."""
        whole = self.whole = make(batch)
        self.batch = batch
        self.threads = threads
        least = int(WORTH * batch / max(operations(whole.stages), 1.0))
        workers = paying(whole, threads)
        self.parts = divide(batch, per_entry(whole), workers, together(whole), least, held(whole)) if whole.apart and batch > 1 else ((batch,),)
        sizes = sorted({size for mine in self.parts for size in mine}, reverse=True)
        self.plans = {size: whole if size == batch else make(size) for size in sizes}

    @property
    def waiting(self) -> list[Kernel]:
        """The kernels that have to be prepared."""
        return [stage.kernel for plan in self.plans.values() for stage in plan.stages if not stage.kernel.ready()]


def per_entry(plan: Plan) -> float:
    """Bytes that an entry of the batch takes in kernels that do not go through it piece by piece, about: every array and its cotangent."""
    steps = [step for stage in plan.stages if not stage.kernel.tiles for step in stage.steps]
    made = sum(math.prod(shape) for step in steps for _, _, shape in step.outputs)
    return (2 if plan.backward else 1) * made * plan.dtype.itemsize / max(plan.batch, 1)


def held(plan: Plan) -> float:
    """Bytes that an entry of the batch takes until its part is done, about: what comes in, and what stages make and keep, with cotangents."""
    flows = {source for stage in plan.stages for name, source in stage.steps[0].sources if name in stage.steps[0].op.declaration.inputs}
    total = sum((1 + (name in plan.wanted_inputs)) * math.prod(plan.shapes[name]) for name in plan.inputs if name in flows)
    for stage in plan.stages:
        made = [math.prod(shape) for step in stage.steps for _, _, shape in step.outputs]
        # What a pooling makes is not made in place.
        total += (2 if plan.backward else 1) * (max(made) + (made[-1] if made[-1] < max(made) else 0))
    return total * plan.dtype.itemsize / max(plan.batch, 1)


def operations(stages: Sequence[Stage], slower: float = 1.0) -> float:
    """What stages cost for a batch, where kernels that are not compiled take longer by a factor."""
    found = 0.0
    for stage in stages:
        for step in stage.steps:
            entries = sum(math.prod(shape) for _, _, shape in step.outputs)
            found += (step.operations + ENTRY * entries) * (1 if stage.kernel.compiles else slower)
    return found


def paying(plan: Plan, threads: int) -> int:
    """On how many of the threads a batch is computed: fewer where that is little work."""
    work = operations(plan.stages, SLOWER)
    return max(1, min(threads, int(work / PAYS))) if plan.batch >= LEAST or work >= PAYS * plan.batch else 1


def together(plan: Plan) -> int:
    """How many entries of a batch lie side by side where most of the work is."""
    work = operations(plan.stages)
    most = (stage for stage in plan.stages if operations([stage]) >= FEW * work)
    return max((layout.together for stage in most for layout in (stage.taken, stage.left)), default=1)


def divide(batch: int, bytes_each: float, threads: int, together: int = 1, least: int = 1, held_each: float = 0.0) -> tuple[tuple[int, ...], ...]:
    """The parts of a batch, by thread: of about the same size, small enough for a cache, and all but the last of full blocks of `together` entries.

    Nor do they take much more than `ROOM`. For either no part becomes smaller than about `least` entries.
    Where they differ the first are larger: this thread begins before it has woken the others. What would leave a block almost empty is a part of its own.
    """
    if together <= SINGLY and batch < together * threads:
        together = 1
    blocks = -(-batch // together)
    workers = min(threads, blocks)
    fitting = min(CACHE / max(bytes_each, 1.0), ROOM / max(held_each, 1.0))
    most = max(int(fitting / together), least // together, 1)
    parts = [[together * count for count in _even(mine, -(-mine // most))] for mine in _even(blocks, workers)]
    parts[-1][-1] -= blocks * together - batch
    rest = batch % together
    if 0 < SINGLY * rest < together and parts[-1][-1] > rest:
        parts[-1][-1:] = [parts[-1][-1] - rest, rest]
    return tuple(map(tuple, parts))


def _even(count: int, parts: int) -> tuple[int, ...]:
    return tuple(count // parts + (number < count % parts) for number in range(parts))
