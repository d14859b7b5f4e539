"""A plan as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._memory import PLAIN
from ._placing import Placing
from ._program import buffer_bytes, scratch_bytes
from ._show import call, table

if TYPE_CHECKING:
    from ._plan import Plan
    from ._stages import Stage

_HEAD = ("stage", "operations", "kernel", "reads", "makes", "gradients", "keeps", "scratch")


def described(plan: Plan) -> str:
    """A table of the stages, where all arrays lie, and why other kernels do not serve."""
    notes = dict[tuple[str, str], dict[str, None]]()
    for number, stage in enumerate(plan.stages, 1):
        for name, why in stage.declined:
            # A beginning of a run may be declined for the same reason as all of it.
            notes.setdefault((name, why), {})[str(number)] = None
    told = [f"{name} does not serve {'stage' if len(at) == 1 else 'stages'} {', '.join(at)}: {why}" for (name, why), at in notes.items()]
    back = sum(stage.chain.learns for stage in plan.stages)
    return "\n".join(
        [
            f"batch {plan.batch}, {plan.dtype}, {len(plan.stages)} stages forward, {back} back",
            *table(_HEAD, [_row(number, stage) for number, stage in enumerate(plan.stages, 1)]),
            *_memory(plan),
            *told,
            *([plan.note] if plan.note else []),
        ]
    )


def _row(number: int, stage: Stage) -> tuple[str, ...]:
    first, last = stage.steps[0], stage.steps[-1]
    used = [*first.sources, *(pair for step in stage.steps for pair in step.parameters)]
    reads = ", ".join(source if name == source else f"{name}={source}" for name, source in used)
    makes = ", ".join(f"{array} {shape}" for _, array, shape in last.outputs)
    gradients = ", ".join(
        name for step, wanted in zip(stage.steps, stage.chain.wanted, strict=True) for name in step.op.declaration.differentiable if name in wanted
    )
    ops = " -> ".join(call(step.op) for step in stage.steps)
    names = list(dict.fromkeys([stage.taken.name, stage.left.name]))
    kernel = stage.kernel.name + ("" if names == [PLAIN.name] else f", {' -> '.join(names)}")
    return str(number), ops, kernel, reads, makes, gradients or "-", *_buffers(stage)


def _buffers(stage: Stage) -> tuple[str, str]:
    """What it keeps between forward and backward, and needs while it runs; before there is code, nobody knows."""
    if not stage.kernel.ready():
        return "?", "?"
    kept = {name: buffer_bytes(buffer) for name, buffer in stage.kernel.buffers().items() if buffer.kept}
    scratch = scratch_bytes(stage)
    return ", ".join(f"{name} {_size(count)}" for name, count in kept.items() if count) or "-", _size(scratch) if scratch else "-"


def _memory(plan: Plan) -> list[str]:
    """What a run works in."""
    if not all(stage.kernel.ready() for stage in plan.stages):
        return []
    placing = Placing(plan)
    moved = [name for name in placing.arena.requests if " as " in name]
    scratch = max((scratch_bytes(stage) for stage in plan.stages), default=0)
    parts = [f"{_size(placing.arena.bytes)} for {len(placing.arena.requests)} arrays, which by themselves would take {_size(placing.arena.apart)}"]
    parts += [f"{_size(scratch)} of scratch"] if scratch else []
    parts += [f"{_size(placing.between)} on the way between layouts"] if placing.between else []
    found = [f"memory: {'; '.join(parts)}"]
    return found + ([f"rearranged: {', '.join(moved)}"] if moved else [])


def _size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024 or unit == "MiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
