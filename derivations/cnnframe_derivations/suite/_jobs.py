"""One operation as a job of a worker process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from cnnframe import Registry, load

from . import _workers
from ._bench import Settings
from ._calls import BEAT
from ._chain_bench import replay_chain, verify_chain
from ._chains import is_chain, resolve_chain
from ._kernels import replay_kernel, resolve, verify_kernel
from ._run import KINDS, gather, replay, report
from ._verdict import Evidence, Report

CALLS_NOTHING = frozenset({"proved"})
"""Kinds of evidence that do not call the code."""


def judge(names: Sequence[str], run: Settings, *, processes: int, limit: float, case: str | None = None) -> Iterator[tuple[int, Report]]:
    """Judge operations by the names that the command line gives them, in worker processes; yield each report as it comes.

    The reports do not depend on how many processes there are. Code that does not return within `limit` seconds, or
    ends its process, leaves its kind of evidence inconclusive; the other kinds are gathered all the same.
    """
    jobs = [{"name": name, "run": list(run), "case": case, "without": {}} for name in names]
    numbers = list(range(len(jobs)))
    while jobs:
        again = []
        for position, answer in _workers.run("cnnframe_derivations.suite._jobs:work", jobs, processes, limit):
            if isinstance(answer, _workers.Lost):
                again.append((numbers[position], _without(jobs[position], answer)))
            else:
                yield numbers[position], Report.from_dict(answer)
        numbers, jobs = [number for number, _ in again], [job for _, job in again]


def _without(job: dict[str, Any], lost: _workers.Lost) -> dict[str, Any]:
    """The same job without the kind of evidence at which the worker was lost, and without those after it that would call the same code."""
    kind, _, rest = lost.at.partition(": ")
    at = next((number for number, known in enumerate(KINDS) if known == kind), 0)
    later = [known for known in list(KINDS)[at + 1 :] if known not in CALLS_NOTHING]
    reason = f"{lost.why}; the last case was {rest}" if rest else lost.why
    return {**job, "without": {**dict.fromkeys(later, f"left out, since {list(KINDS)[at]} did not come back"), **job["without"], list(KINDS)[at]: reason}}


def work(job: dict[str, Any], beat: Callable[[str], None]) -> dict[str, Any]:
    """What a worker does: judge one operation, or a kernel on one or on a chain of them."""
    run = Settings(*job["run"])
    token = BEAT.set(beat)
    try:
        if is_chain(job["name"]):
            kinds, kernel = resolve_chain(job["name"], _registry())
            beat("case")
            found = verify_chain(kinds, kernel, run, job["without"]) if job["case"] is None else replay_chain(kinds, kernel, job["case"])
            return replace(found, target=job["name"]).to_dict()
        cls, kernel = resolve(job["name"], _registry())
        if job["case"] is not None:
            beat("case")
            found = replay_kernel(cls, kernel, job["case"]) if kernel else replay(cls, job["case"])
        elif kernel:
            found = verify_kernel(cls, kernel, run, job["without"])
        else:
            evidence = []
            for kind in KINDS:
                beat(f"{kind}: ")
                evidence.append(Evidence(kind, doubt=job["without"][kind]) if kind in job["without"] else gather(kind, cls, run))
            found = report(cls, evidence)
    finally:
        BEAT.reset(token)
    return replace(found, target=job["name"], kernel=kernel.name if kernel else found.kernel).to_dict()


@cache
def _registry() -> Registry:
    return load()
