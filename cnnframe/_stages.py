"""Which kernel serves which nodes of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ._kernel import Chain, Kernel, Reference
from ._memory import PLAIN, MemoryLayout
from ._preparing import Place

if TYPE_CHECKING:
    import numpy as np

    from ._plan import Step


@dataclass(frozen=True, slots=True)
class Stage:
    """Some nodes, one feeding the next, and the kernel that serves them.

    Attributes:
        steps: the nodes.
        chain: what the kernel was asked.
        kernel: made for it.
        taken: the layout of the inputs.
        left: the layout of the outputs.
        declined: what other kernels said that match: name and reason.
    """

    steps: tuple[Step, ...]
    chain: Chain
    kernel: Kernel
    taken: MemoryLayout
    left: MemoryLayout
    declined: tuple[tuple[str, str], ...]


def choose(
    steps: Sequence[Step], kernels: Sequence[type[Kernel]], dtype: np.dtype[Any], kept: frozenset[str], refused: Mapping[Place, str]
) -> tuple[Stage, ...]:
    """Serve every node by the kernel of the highest rank that takes it, with as many of its followers as that kernel fuses.

    Args:
        steps: the nodes in order.
        kernels: the kernels that there are.
        dtype: the element type.
        kept: arrays that are asked for, so that they must come out of a kernel.
        refused: kernels that do not serve some nodes although they would, with the reason.
    """
    ranked: list[type[Kernel]] = [*sorted(kernels, key=lambda kernel: -kernel.rank), Reference]
    readers = Counter(source for step in steps for _, source in step.sources)
    following = {step.sources[0][1]: step for step in steps if len(step.sources) == 1}
    lies: dict[str, MemoryLayout] = {}
    stages: list[Stage] = []
    done: set[str] = set()
    for step in steps:
        if step.node in done:
            continue
        stage = _serve(_run(step, following, readers, kept), ranked, dtype, lies, refused)
        stages.append(stage)
        done.update(served.node for served in stage.steps)
        lies.update((array, stage.left) for _, array, _ in stage.steps[-1].outputs)
    return tuple(_handed_on(stage, stages) for stage in stages)


def _handed_on(stage: Stage, stages: Sequence[Stage]) -> Stage:
    """The stage, or one that leaves its output in the layout that all who read it take, if its kernel can."""
    ((_, array, _), *others) = stage.steps[-1].outputs
    wanted = {other.taken for other in stages for name, source in other.steps[0].sources if source == array and name in other.steps[0].op.declaration.inputs}
    if others or len(wanted) != 1 or wanted & {stage.left, PLAIN} or not stage.kernel.leaves(stage.chain, stage.left, *wanted):
        return stage
    (left,) = wanted
    return replace(stage, kernel=type(stage.kernel)(stage.chain, stage.taken, left), left=left)


def _run(step: Step, following: Mapping[str, Step], readers: Mapping[str, int], kept: frozenset[str]) -> list[Step]:
    """The node with all that follow it one by one."""
    run = [step]
    while len(run[-1].outputs) == 1:
        ((_, array, _),) = run[-1].outputs
        after = following.get(array)
        if after is None or readers[array] != 1 or array in kept:
            break
        run.append(after)
    return run


def _serve(run: Sequence[Step], ranked: Sequence[type[Kernel]], dtype: np.dtype[Any], lies: Mapping[str, MemoryLayout], refused: Mapping[Place, str]) -> Stage:
    declined: list[tuple[str, str]] = []
    ops = [step.op for step in run]
    given = next((lies.get(source, PLAIN) for name, source in run[0].sources if name in run[0].op.declaration.inputs), PLAIN)
    for kernel in ranked:
        most = kernel.matches(ops)
        for count in range(most, 0, -1):
            # Of a run that it declines it may take the beginning.
            if count < most and kernel.matches(ops[:count]) != count:
                continue
            steps = tuple(run[:count])
            chain = _chain(steps, dtype)
            why = kernel.unavailable() or kernel.declines(chain) or refused.get((kernel, chain.nodes), "")
            if not why:
                taken, left = kernel.layouts(chain, given)
                return Stage(steps, chain, kernel(chain, taken, left), taken, left, tuple(declined))
            declined.append((kernel.name, why))
    raise AssertionError(run[0].node)


def _chain(steps: tuple[Step, ...], dtype: np.dtype[Any]) -> Chain:
    fed = [frozenset[str](), *(frozenset(name for name, _ in step.sources) for step in steps[1:])]
    return Chain(
        tuple(step.node for step in steps),
        tuple(step.op for step in steps),
        tuple(step.shapes for step in steps),
        {name: shape for name, _, shape in steps[-1].outputs},
        dtype,
        tuple(step.wanted - inner for step, inner in zip(steps, fed, strict=True)),
    )
