"""Kernels are judged like the operations that they serve: by the same cases and the same truths, which are worked out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnframe import PLAIN, ROWS_FIRST, Chain, ContractError, Kernel, MemoryLayout, Op, Registry, UnknownNameError
from cnnframe._errors import nearest
from cnnframe._served import chain_of, served
from cnnframe._ways import prepared

from .._target import target
from ._bench import Bench, Check, Settings
from ._box import vary
from ._calls import BEAT
from ._cases import DTYPES, Case
from ._coverage import sample
from ._names import BETWEEN
from ._oracle import Oracle
from ._run import KINDS, bench_of, gather_from, replay, report, target_of
from ._twin import LEFT_OUT, Twin, of
from ._verdict import Evidence, Report

LAYOUTS = (PLAIN, ROWS_FIRST)
"""How the arrays of a network may lie when a kernel meets them."""

COMPILED, VALUES = 4, 10
"""Of a kernel that compiles for every shape: structures of the box, and as many drawn ones; and values for each."""

EXAMPLES = 3
"""Values for each operation that a kernel names itself."""

SAME = "what it says is of the operation, not of a kernel"


class Served(Twin):
    """The cases of an operation, put to a kernel that takes them; smaller ones are looked for where it fails."""

    def __init__(self, original: Bench, cls: type[Op], kernel: type[Kernel], layout: MemoryLayout) -> None:
        """Take the cases that the kernel takes; of one that compiles for every shape only those of a few."""
        super().__init__(original, cls)
        self.kernel = kernel
        self.layout = layout

    @cached_property
    def box(self) -> tuple[Case, ...]:
        """Those of the original that are served."""
        return self._served(self.original.box)

    @cached_property
    def drawn(self) -> tuple[Case, ...]:
        """Those of the original that are served."""
        return *self._served(self.original.drawn), *self._examples()

    def _examples(self) -> Iterator[Case]:
        """Those that the kernel names."""
        dtypes = (self.original.run.dtype,) if self.original.run.dtype else DTYPES
        for op, shapes in self.kernel.examples():
            if type(op) is not self.original.cls:
                continue
            cases = [Case(op, {**op.declaration.known, **op.sizes(shapes)}, dtype, "C", "small", 0) for dtype in dtypes]
            reasons = [self._refused(case) for case in cases]
            if all(reasons):
                raise ContractError(f"kernel {self.kernel.name!r} does not serve its own example {cases[0].shown} with {dict(shapes)}: {reasons[0]}")
            for case, why in zip(cases, reasons, strict=True):
                yield from (of(replace(vary(case, number), dtype=case.dtype), self.cls) for number in range(EXAMPLES if not why else 0))

    def _refused(self, case: Case) -> str:
        chain = chain_of(case.op, case.shapes, np.dtype(case.dtype))
        return declines(self.kernel, chain) or prepare(self.kernel, chain, self.layout, case.replay)

    def _served(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        taken = [case for case in cases if not declines(self.kernel, chain_of(case.op, case.shapes, np.dtype(case.dtype)))]
        if self.kernel.compiles:
            few = list({(case.structure, case.dtype): case for case in taken}.values())[:COMPILED]
            for case in few:
                # Here, and not within a check, which would take a process that compiles for the operation's doing.
                prepare(self.kernel, chain_of(case.op, case.shapes, np.dtype(case.dtype)), self.layout, case.replay)
            taken = [replace(vary(case, number), dtype=case.dtype) for case in few for number in range(VALUES)]
        return tuple(of(case, self.cls) for case in taken)

    def oracle(self, case: Case) -> Oracle:
        """The original's, with a second opinion about refutations."""
        found = super().oracle(case)
        found.hasty = False
        return found

    def judge(self, check: Check, cases: Iterable[Case], evidence: Evidence) -> Counter[str]:
        """As for an operation of its own.

        Raises:
            Refutation: at the smallest case that was found.
        """
        return Bench.judge(self, check, cases, evidence)


def prepare(kernel: type[Kernel], chain: Chain, layout: MemoryLayout, about: str) -> str:
    """Have a kernel do what takes long, and whoever watches told of it; return why it cannot serve, empty if it can."""
    BEAT.get()(f"contract: preparing {about}")
    return told(lambda: prepared(kernel, chain, layout), "")


def declines(kernel: type[Kernel], chain: Chain) -> str:
    """Why a kernel cannot serve a chain, empty if it can."""
    return told(lambda: kernel.declines(chain), "")


def layouts(kernel: type[Kernel], chain: Chain, given: MemoryLayout) -> object:
    """In which layouts a kernel takes what lies as `given`, and leaves what it makes."""
    return told(lambda: kernel.layouts(chain, given), given)


def told(ask: Callable[[], Any], otherwise: Any) -> Any:
    """What a kernel answers; where that fails, something with which the case is put to it, so that its report shows how."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 # whatever it raises it raises again
        return otherwise


def resolve(name: str, registry: Registry) -> tuple[type[Op], type[Kernel] | None]:
    """The operation that a name says, and the kernel behind an @.

    Raises:
        UnknownNameError: there is no such operation or kernel, or the kernel is for others.
    """
    first, between, second = name.partition(BETWEEN)
    cls = target(first, registry)
    if not between:
        return cls, None
    known = {kernel.name: kernel for kernel in serving(cls, registry.kernels)}
    if second not in known:
        raise UnknownNameError(f"no kernel {second!r} serves {cls.name}; {nearest(second, known)}")
    return cls, known[second]


def serving(cls: type[Op], kernels: Iterable[type[Kernel]]) -> list[type[Kernel]]:
    """The kernels that serve an operation by itself, here."""
    return [kernel for kernel in kernels if not kernel.unavailable() and kernel.matches([sample(cls)]) == 1]


def with_kernels(registry: Registry) -> list[str]:
    """Every operation, and behind each the kernels that serve it, by the names that `resolve` knows."""
    return [
        name
        for operation, cls in registry.operations().items()
        for name in (operation, *(f"{operation}{BETWEEN}{kernel.name}" for kernel in serving(cls, registry.kernels)))
    ]


def verify_kernel(
    cls: type[Op],
    kernel: type[Kernel],
    run: Settings = Settings(),  # noqa: B008 # an immutable value
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> Report:
    """Judge a kernel in every layout in which it may meet its arrays; `left_out` are kinds of evidence that are open, and why."""
    evidence = [gather_kernel(kind, cls, kernel, run, left_out.get(kind, "")) for kind in KINDS]
    return replace(report(cls, evidence), kernel=kernel.name, target=f"{target_of(cls)}{BETWEEN}{kernel.name}")


def gather_kernel(kind: str, cls: type[Op], kernel: type[Kernel], run: Settings, doubt: str = "") -> Evidence:
    """One kind of evidence for a kernel; a `doubt` is why it is open."""
    found = Evidence(kind, absent=SAME if kind in LEFT_OUT else "", doubt=doubt)
    BEAT.get()(f"{kind}: ")
    for bench in _benches(cls, kernel, run):
        if found.state == "verified":
            gather_from(bench, found)
    found.notes = list(dict.fromkeys(found.notes))
    return found


@lru_cache(maxsize=4)
def _benches(cls: type[Op], kernel: type[Kernel], run: Settings) -> tuple[Served, ...]:
    """The cases of an operation in each layout; kept, since all kinds of evidence share them."""
    original = bench_of(cls, run)
    return tuple(Served(original, served(cls, kernel, layout), kernel, layout) for layout in _layouts(original, kernel))


def replay_kernel(cls: type[Op], kernel: type[Kernel], text: str) -> Report:
    """Judge one case of a kernel that a report printed: in every layout, until one refutes it.

    Raises:
        DataError: the text is no such case.
    """
    case = Case.from_replay(cls, text)
    for layout in LAYOUTS:
        prepare(kernel, chain_of(case.op, case.shapes, np.dtype(case.dtype)), layout, text)
    found = (replay(served(cls, kernel, layout), text) for layout in LAYOUTS)
    first = next(found)
    return first if first.verdict == "refuted" else next(found)


def _layouts(bench: Bench, kernel: type[Kernel]) -> list[MemoryLayout]:
    """The layouts that make a difference to it."""
    chains = (chain_of(case.op, case.shapes, np.dtype(case.dtype)) for case in (*bench.box, *bench.drawn))
    chain = next((chain for chain in chains if not declines(kernel, chain)), None)
    if chain is None:
        return [PLAIN]
    found: dict[object, MemoryLayout] = {}
    for layout in LAYOUTS:
        found.setdefault(layouts(kernel, chain, layout), layout)
    return list(found.values())
