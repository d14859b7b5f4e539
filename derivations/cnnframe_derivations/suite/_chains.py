"""Which chains of operations a kernel takes, and which of them are put before it.

A kernel is asked (`matches`, `declines`), over all operations that are installed. Of the chains that it takes, and for which
sizes can be found, so many are chosen that every operation is in one that the kernel takes together with others, and then
more, up to `MOST`, until every step from one operation to the next is in one; for this count all activations are one. Where
several would add as much, the longest is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise, product
from pathlib import Path

from cnnframe import Activation, Kernel, Loss, Op, Registry, Regularizer, UnknownNameError
from cnnframe._errors import nearest

from .._target import target
from ._coverage import sample
from ._joined import name_of
from ._joined_cases import PATIENCE, ChainCase, drawn
from ._kernels import declines, with_kernels
from ._names import BETWEEN, PLUS

Kinds = tuple[type[Op], ...]

MOST = 8
"""Chains of a kernel, if more are not needed for all operations to be in one."""

LONGEST = 6
"""Longer chains are not looked for."""

LEVEL = 3000
"""Chains of one length that are looked at; of more, some evenly spread."""

FITS = 24
"""How often sizes are drawn before operations count as none that fit each other."""

TAKEN = 800
"""How often they are drawn before a chain counts as one that the kernel declines."""

MISSES = 8
"""How many chains without sizes that the kernel takes are tried before the rest is left."""


def is_chain(name: str) -> bool:
    """Whether a name on the command line says a chain: "conv+relu@fused"; a file may have a plus in its name."""
    first = name.rpartition(BETWEEN)[0] or name
    where, _, said = first.rpartition(":")
    return PLUS in (said if Path(where).is_file() else first)


def resolve_chain(name: str, registry: Registry) -> tuple[Kinds, type[Kernel]]:
    """The operations that a name says, and the kernel behind the @.

    Raises:
        UnknownNameError: there is no such operation or kernel, no kernel is named, or it is for others.
    """
    first, between, second = name.rpartition(BETWEEN) if BETWEEN in name else (name, "", "")
    kinds = tuple(target(part, registry) for part in first.split(PLUS))
    known = {kernel.name: kernel for kernel in registry.kernels if not kernel.unavailable() and takes(kernel, kinds)}
    if not between:
        raise UnknownNameError(f"a chain of operations is judged with a kernel, as in {first}{BETWEEN}KERNEL; {nearest('', known)}")
    if second not in known:
        raise UnknownNameError(f"no kernel {second!r} takes {first}; {nearest(second, known)}")
    return kinds, known[second]


def everything(registry: Registry) -> list[str]:
    """Every operation with its kernels, and then the chains of each kernel, by the names that the command line knows."""
    classes = tuple(registry.operations().values())
    chains = [f"{name_of(kinds)}{BETWEEN}{kernel.name}" for kernel in registry.kernels if not kernel.unavailable() for kinds in chains_of(kernel, classes)]
    return [*with_kernels(registry), *chains]


def takes(kernel: type[Kernel], kinds: Sequence[type[Op]]) -> bool:
    """Whether a kernel takes operations of these classes together."""
    return kernel.matches([sample(kind) for kind in kinds]) == len(kinds)


def served(kinds: Kinds, kernel: type[Kernel], count: int, number: int, *, small: bool = False, patience: int = PATIENCE) -> Iterator[ChainCase]:
    """Cases of a chain that the kernel does not decline, each of another structure, at most `count`; fewer where it declines most."""
    met = set()

    def taken(case: ChainCase) -> bool:
        if kernel.matches(case.op.ops) != len(kinds) or declines(kernel, case.op.chain) or (case.op.text, case.dtype) in met:
            return False
        met.add((case.op.text, case.dtype))
        return True

    return islice(drawn(kinds, number, taken, small=small, patience=patience), count)


def chains_of(kernel: type[Kernel], classes: Iterable[type[Op]]) -> list[Kinds]:
    """The chains of several operations that are put before a kernel."""
    candidates = _taken(kernel, tuple(classes))
    wanted = {kind for kinds in candidates for kind in kinds}
    found: list[Kinds] = []
    misses = 0
    known: dict[tuple[str, ...], bool] = {}
    open_kinds, met = set(wanted), set[tuple[str, str]]()

    def adds(kinds: Kinds) -> tuple[int, int, int]:
        return len(open_kinds.intersection(kinds)), len(set(_steps(kinds)) - met), len(kinds)

    while candidates and misses < MISSES:
        best = max(candidates, key=adds)
        kinds_added, steps_added, _ = adds(best)
        if not kinds_added and (not steps_added or len(found) >= MOST):
            break
        candidates.remove(best)
        bad = _without_sizes(best, known)
        if bad:
            # Nor has any longer chain sizes that begins like it.
            candidates = [kinds for kinds in candidates if _roles(kinds)[: len(bad)] != bad]
        elif next(served(best, kernel, 1, 0, patience=TAKEN), None) is not None:
            found.append(best)
            open_kinds.difference_update(best)
            met.update(_steps(best))
        else:
            misses += 1
    return found


def _without_sizes(kinds: Kinds, known: dict[tuple[str, ...], bool]) -> tuple[str, ...]:
    """The shortest beginning for which no sizes are found, since what one operation makes does not fit the next; empty if there is none."""
    roles = _roles(kinds)
    for length in range(2, len(kinds) + 1):
        if roles[:length] not in known:
            known[roles[:length]] = next(drawn(kinds[:length], 0, patience=FITS), None) is not None
        if not known[roles[:length]]:
            return roles[:length]
    return ()


def _roles(kinds: Kinds) -> tuple[str, ...]:
    """The operations, where all activations are one."""
    return tuple("activation" if issubclass(kind, Activation) else kind.name for kind in kinds)


def _steps(kinds: Kinds) -> list[tuple[str, str]]:
    """From each operation to the next, with the beginning and the end; all activations are one."""
    return list(pairwise(("", *_roles(kinds), "")))


def _taken(kernel: type[Kernel], classes: Kinds) -> list[Kinds]:
    """Chains of two operations and more that the kernel takes as a whole."""
    instances = {kind: sample(kind) for kind in classes if not issubclass(kind, Regularizer)}
    heads = [kind for kind, op in instances.items() if op.single and not issubclass(kind, Loss)]
    behind = [kind for kind, op in instances.items() if len(op.inputs) == 1 and not op.constants]

    def whole(runs: Iterable[Kinds]) -> list[Kinds]:
        return [run for run in runs if kernel.matches([instances[kind] for kind in run]) == len(run)]

    def longer(runs: Sequence[Kinds]) -> Iterator[Kinds]:
        return ((*run, kind) for run in runs if instances[run[-1]].single for kind in behind)

    pairs = whole(product(heads, behind))
    # A kernel may take three where it does not take the first two.
    level = whole((first, second, third) for first in heads for second in behind if instances[second].single for third in behind)
    found = [*pairs, *level]
    for _ in range(3, LONGEST):
        level = whole(longer(_spread(level)))
        found += level
    return sorted(found, key=lambda run: -len(run))


def _spread(runs: Sequence[Kinds]) -> Sequence[Kinds]:
    """All of them, or as many as are looked at."""
    return runs[:: -(-len(runs) // LEVEL)] if runs else runs
