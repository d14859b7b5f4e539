"""The ways in which planners may have a kernel serve a chain."""

from __future__ import annotations

from ._kernel import Chain, Kernel
from ._memory import PLAIN, MemoryLayout

Lies = tuple[MemoryLayout, MemoryLayout]
"""The layouts of what a kernel takes and of what it leaves."""


def ways(kernel: type[Kernel], chain: Chain, given: MemoryLayout) -> list[Lies]:
    """Layouts that it takes and leaves: those that it names, and, if it offers it, outputs as the next one would take them that takes what this one takes."""
    taken, usual = kernel.layouts(chain, given)
    hands = taken not in (usual, PLAIN) and kernel.leaves(chain, usual, taken)
    return [(taken, usual), *([(taken, taken)] if hands else [])]


def prepared(kernel: type[Kernel], chain: Chain, given: MemoryLayout) -> str:
    """Prepare it for all of them; why it cannot serve after all, empty if it can."""
    return next((why for lies in ways(kernel, chain, given) if (why := kernel(chain, *lies).prepare())), "")
