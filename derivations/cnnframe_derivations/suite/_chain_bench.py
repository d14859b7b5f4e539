"""Kernels are judged on chains of operations like on single ones: on pairs (chain, kernel), by the same checks.

`contract`, `exact`, `bounded` and `extremes` put their own checks to cases of the chain; its truth is composed (`_joined`).
What the other kinds of evidence say is of the formulas, which are those of the operations.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np

from cnnframe import Kernel, MemoryLayout

from . import bounded, contract, exact, extremes
from ._bench import BUDGETS, SUITE_VERSION, Check, Settings, put, seed_of
from ._calls import BEAT
from ._chains import Kinds, served
from ._joined import name_of
from ._joined_cases import ChainCase
from ._joined_oracle import ChainOracle
from ._kernels import LAYOUTS, SAME, declines, layouts, prepare
from ._names import BETWEEN
from ._run import KINDS, doubtful, of_one_case
from ._values import EXTREMES, LATTICES
from ._verdict import Evidence, OraclesDisagree, Refutation, Report, Skip

POOL = 2
"""So many times as many cases are drawn as are judged: those that meet the most settings."""

COMPILED, VALUES = 4, 6
"""Of a kernel that compiles for every shape: how many structures, and values for each."""

SPREAD = (" values", " layout")
"""Settings that each of few structures has in turn."""

SMALLER = 40
"""Small cases that are tried where one fails."""


class ChainBench:
    """The cases of a chain with their truths, for one layout after the other."""

    def __init__(self, kinds: Kinds, kernel: type[Kernel], run: Settings, original: ChainBench | None = None) -> None:
        """Begin with no cases, or with those of another kernel on the same chain, whose truths are not worked out again."""
        self.original = original
        self.truths: dict[str, ChainOracle] = {} if original is None else original.truths
        self.kinds = kinds
        self.kernel = kernel
        self.run = run
        self.budget = BUDGETS[run.profile]
        self.name = name_of(kinds)

    @cached_property
    def cases(self) -> tuple[ChainCase, ...]:
        """Cases that the kernel takes, with code that is compiled where it must be."""
        if self.original:
            return tuple(case for case in self.original.cases if not declines(self.kernel, case.op.chain))
        count = COMPILED if self.kernel.compiles else self.budget["drawn"]
        # Of few structures each has all layouts and values.
        found = _most_settings(list(served(self.kinds, self.kernel, POOL * self.budget["drawn"], self.seed(0))), count, SPREAD if self.kernel.compiles else ())
        found = [replace(case, op=replace(case.op, dtype=self.run.dtype), dtype=self.run.dtype) if self.run.dtype else case for case in found]
        if self.kernel.compiles:
            # Not two of a few without gradients.
            first = {case.op.wanted: number for number, case in reversed(list(enumerate(found)))}
            found = [case if first[case.op.wanted] == number else replace(case, op=replace(case.op, wanted="all")) for number, case in enumerate(found)]
        found = [case for case in found if not any(prepare(self.kernel, case.op.chain, layout, case.replay) for layout in LAYOUTS)]
        return tuple(self._varied(found)) if self.kernel.compiles else tuple(found)

    def _varied(self, found: Sequence[ChainCase]) -> Iterator[ChainCase]:
        """Few structures with several values each."""
        for number in range(VALUES * len(found)):
            case = found[number % len(found)]
            yield replace(case, lattice=LATTICES[number // len(found) % len(LATTICES)], seed=case.seed + number)

    @cached_property
    def layouts(self) -> list[MemoryLayout]:
        """Those that make a difference to the kernel."""
        found: dict[object, MemoryLayout] = {}
        for layout in LAYOUTS:
            found.setdefault(tuple(layouts(self.kernel, case.op.chain, layout) for case in self.cases), layout)
        return list(found.values())

    def seed(self, *parts: Any) -> int:
        """A number that depends on the chain, the suite's version, the run, and the parts."""
        return seed_of(self.name, SUITE_VERSION, self.run.seed, *parts)

    def oracle(self, case: ChainCase) -> ChainOracle:
        """The truth about a case, which is worked out once for all layouts."""
        known = self.truths.get(case.replay)
        if known is None:
            known = self.truths[case.replay] = ChainOracle(case)
        with suppress(Skip, OraclesDisagree):
            # Worked out here, so that the next kind of evidence, and the next layout, need not.
            known.forward, known.gradients  # noqa: B018 # both are kept where they are first asked for
        found = copy.copy(known)
        found.case = case
        return found

    def judge(self, check: Check, cases: Iterable[ChainCase], evidence: Evidence) -> None:
        """Put cases to a check, in every layout.

        Raises:
            Refutation: at the smallest case that was found.
        """
        for layout in self.layouts:
            for case in cases:
                asked = case.by(self.kernel, layout)
                try:
                    put(check, self.oracle(asked), evidence)
                except Refutation as refutation:
                    raise self._smaller(check, asked, refutation) from None

    def _smaller(self, check: Check, case: ChainCase, first: Refutation) -> Refutation:
        for small in self._small(case):
            found = self._refuted(check, small.by(self.kernel, case.op.lies))
            if found is not None:
                return found
        again = self._refuted(check, case)
        return again or Refutation(replace(first.finding, certificate="the same case gave different answers when it was tried again"))

    def _refuted(self, check: Check, case: ChainCase) -> Refutation | None:
        try:
            put(check, self.oracle(case), Evidence(""))
        except Refutation as refutation:
            return refutation
        except Exception:  # noqa: BLE001 # in the search for a smaller case, what cannot be judged is none
            return None
        return None

    @cached_property
    def smaller(self) -> tuple[ChainCase, ...]:
        """Cases as small as they may be."""
        return self.original.smaller if self.original else tuple(served(self.kinds, self.kernel, SMALLER, self.seed("small"), small=True))

    def _small(self, case: ChainCase) -> Iterator[ChainCase]:
        """Smaller cases with plain values, and with those of the case, the smallest first."""
        if self.kernel.compiles:
            known = {other.op.text + other.dtype: other for other in self.cases}
            found = [other for other in known.values() if other.weight < case.weight or other.op.text == case.op.text]
        else:
            found = [other for other in self.smaller if other.weight < case.weight]
        for other in sorted(found, key=lambda other: other.weight):
            lattices = dict.fromkeys(("small" if case.lattice != "real" else "real", case.lattice))
            wanted = (other.op.wanted, other.dtype) if self.kernel.compiles else (case.op.wanted, case.dtype)
            for number, lattice in enumerate(lattices):
                yield replace(
                    other,
                    op=replace(other.op, wanted=wanted[0], dtype=wanted[1]),
                    dtype=wanted[1],
                    layout="C" if not number else case.layout,
                    lattice=lattice,
                    seed=other.seed if not number else case.seed,
                )


def _most_settings(pool: list[ChainCase], count: int, less: tuple[str, ...] = ()) -> list[ChainCase]:
    """Cases that together meet as many settings as can be, but those that end in `less`, in the order in which they add some."""
    left = {number: {setting for setting in case.met if not setting.endswith(less)} if less else case.met for number, case in enumerate(pool)}
    found: list[ChainCase] = []
    met: set[str] = set()
    while left and len(found) < count:
        best = max(left, key=lambda number: len(left[number] - met))
        if not left[best] - met:
            # Begin again: settings are worth meeting twice.
            best, met = next(iter(left)), set()
        met |= left.pop(best)
        found.append(pool[best])
    return found


def _contract(bench: ChainBench, evidence: Evidence) -> None:
    largest = sorted(bench.cases, key=lambda case: -case.weight)[:2]
    bench.judge(contract.CHECK, (*bench.cases[: bench.budget["contract"]], *largest), evidence)


def _exact(bench: ChainBench, evidence: Evidence) -> None:
    if not any(bench.oracle(case).exact for case in bench.cases):
        evidence.absent = "a formula is transcendental or divides by what is no power of two: no lattice makes it exact, and bounds take its place"
        return
    bench.judge(exact.CHECK, bench.cases, evidence)
    evidence.notes.append(f"{len(bench.cases)} cases of {len({case.op.text for case in bench.cases})} structures were drawn")


def _bounded(bench: ChainBench, evidence: Evidence) -> None:
    count = bench.budget["bounded"]
    # Of integers most saturate a function behind a sum, and ties of what is saturated decide nothing.
    rounds = 1 if any(bench.oracle(case).exact for case in bench.cases) else 2
    real = [replace(case, lattice="real", seed=case.seed // 2 * 2 + turn) for turn in range(rounds) for case in bench.cases[turn * count : (turn + 1) * count]]
    bench.judge(bounded.CHECK, (*real, *(case for case in bench.cases if not bench.oracle(case).exact)), evidence)


def _extremes(bench: ChainBench, evidence: Evidence) -> None:
    full = [case for case in bench.cases if all(np.size(value) for value in bench.oracle(case).arrays.values())]
    count = bench.budget["extremes"]
    rules = [replace(full[(number * 7 + turn) % len(full)], lattice=rule) for turn in range(count) for number, rule in enumerate(EXTREMES)] if full else []
    bench.judge(Check(_extreme), [*rules[: max(count, len(EXTREMES))], *(replace(case, lattice="real") for case in full[:count])], evidence)


def _extreme(oracle: ChainOracle, evidence: Evidence) -> None:
    if oracle.case.lattice != "real" and not oracle.within_range:
        raise Skip("a number on the way nears the end of the element type's range")
    extremes.check(oracle, evidence)


GATHER: Mapping[str, Callable[[ChainBench, Evidence], None]] = MappingProxyType(
    {"contract": _contract, "exact": _exact, "bounded": _bounded, "extremes": _extremes}
)
CHECKS: Mapping[str, Check] = MappingProxyType({"contract": contract.CHECK, "exact": exact.CHECK, "bounded": bounded.CHECK, "extremes": Check(_extreme)})


def verify_chain(
    kinds: Kinds,
    kernel: type[Kernel],
    run: Settings = Settings(),  # noqa: B008 # an immutable value
    left_out: Mapping[str, str] = MappingProxyType({}),
    original: ChainBench | None = None,
) -> Report:
    """Judge a kernel on a chain of operations; `left_out` are kinds of evidence that are open, and why; see `ChainBench` for the `original`."""
    bench = ChainBench(kinds, kernel, run, original)
    return _report(bench, [gather_chain(kind, bench, left_out.get(kind, "")) for kind in KINDS])


def gather_chain(kind: str, bench: ChainBench, doubt: str = "") -> Evidence:
    """One kind of evidence for a kernel on a chain; a `doubt` is why it is open."""
    found = Evidence(kind, absent="" if kind in GATHER else SAME, doubt=doubt)
    BEAT.get()(f"{kind}: ")
    if found.state == "verified":
        doubtful(found, partial(_gather, bench, found))
    return found


@lru_cache(maxsize=4)
def bench_of_chain(kinds: Kinds, kernel: type[Kernel], run: Settings) -> ChainBench:
    """The cases of a chain; kept, since all kinds of evidence share them."""
    return ChainBench(kinds, kernel, run)


def _gather(bench: ChainBench, evidence: Evidence) -> None:
    if bench.cases:
        GATHER[evidence.kind](bench, evidence)
    else:
        evidence.doubt = "no sizes were found that the kernel takes"


def replay_chain(kinds: Kinds, kernel: type[Kernel], text: str) -> Report:
    """Judge one case of a chain that a report printed: in every layout, until one refutes it.

    Raises:
        DataError: the text is no such case.
    """
    case = ChainCase.read(kinds, text)
    bench = ChainBench(kinds, kernel, Settings())
    bench.cases = (case,)
    declined = declines(kernel, case.op.chain)
    found = []
    for kind, check in CHECKS.items():
        evidence = Evidence(kind, absent=f"the kernel declines it: {declined}" if declined else "")
        if not declined:
            of_one_case(evidence, partial(_once, bench, check, case, evidence))
        found.append(evidence)
    return _report(bench, found)


def _once(bench: ChainBench, check: Check, case: ChainCase, evidence: Evidence) -> None:
    for layout in bench.layouts:
        put(check, ChainOracle(case.by(bench.kernel, layout)), evidence)


def _report(bench: ChainBench, evidence: list[Evidence]) -> Report:
    asked = {name for case in bench.cases for name in case.op.declaration.differentiable}
    gradients = tuple(name for name in (bench.cases[0].op.given if bench.cases else ()) if name in asked)
    return Report(bench.name, tuple(evidence), f"{bench.name}{BETWEEN}{bench.kernel.name}", gradients, bench.kernel.name)
