"""Kernels on buffers, run by one pool of threads with one start and one end.

A worker waits for work in machine code, without the interpreter's lock, for a while, so that stages that follow each
other find it awake; then it parks in Python until it is called.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from ._compiler import Kernel, build

PATIENCE: Final = 4000
"""How often a worker looks for work before it parks: some tenths of a millisecond."""

_SOURCE: Final = """

def run(table, first, last):
    for i in range(first, last):
        invoke(table + 32 * i)


def work(table, first, last):
    # Cells of a shard: generation done, whether parked, records, number of records. `first` is the shard, `last` the patience.
    mine = table + 64 * (1 + first)
    seen = acquire(mine)
    exchange(mine + 8, 0)
    waited = 0
    while waited < last:
        now = acquire(table)
        if now != seen:
            records, count = number(mine, 2), number(mine, 3)
            for i in range(count):
                invoke(records + 32 * i)
            release(mine, now)
            seen, waited = now, 0
        else:
            pause(0)
            waited += 1
            if waited % 64 == 0:
                give_way(0)
            if waited == last:
                # Parked, unless work came in the meantime: whoever sees the mark calls.
                exchange(mine + 8, 1)
                if acquire(table) != seen:
                    exchange(mine + 8, 0)
                    waited = 0


def settle(table, first, last):
    # Wait for the shards from 1 on; give up, and name the shard, if one is parked with its work undone.
    now = acquire(table)
    release(table + 8, 0)
    for shard in range(1, first):
        mine = table + 64 * (1 + shard)
        waited = 0
        while acquire(mine) != now:
            if acquire(mine + 8) == 1 and acquire(mine) != now:
                release(table + 8, shard)
                return
            pause(0)
            waited += 1
            # Where other programs have the processors, the worker may need this one.
            if waited % 64 == 0:
                give_way(0)


def lead(table, first, last):
    exchange(table, acquire(table) + 1)
    records, count = number(table + 64, 2), number(table + 64, 3)
    for i in range(count):
        invoke(records + 32 * i)
    settle_inline(table, first, last)
"""


@cache
def _kernels() -> Mapping[str, Kernel]:
    wait = _SOURCE[_SOURCE.index("def settle") : _SOURCE.index("def lead")].replace("def settle", "@njit\ndef settle_inline")
    return build(_SOURCE.replace("def lead", f"{wait}def lead"), ("run", "work", "settle", "lead"), "float64", 2)


class _Pool:
    """Workers for the shards from 1 on; the caller's thread is shard 0."""

    def __init__(self, shards: int) -> None:
        self.shards, self.state = shards, np.zeros(8 * (shards + 1), np.int64)
        buffer: Any = self.state
        self.cells, self.table = memoryview(buffer), int(self.state.__array_interface__["data"][0])
        self.busy = threading.Lock()
        self.calls = [threading.Semaphore(0) for _ in range(shards)]
        kernels = _kernels()
        self.lead, self.settle, self.work = kernels["lead"], kernels["settle"], kernels["work"]
        for shard in range(1, shards):
            threading.Thread(target=self._live, args=(shard,), name=f"cnnframe-{shard}", daemon=True).start()

    def _live(self, shard: int) -> None:
        while True:
            self.work(self.table, shard, PATIENCE)
            self.calls[shard].acquire()

    def _wake(self, shard: int) -> None:
        self.cells[8 * (1 + shard) + 1] = 0
        self.calls[shard].release()

    def __call__(self, records: Sequence[int], counts: Sequence[int]) -> None:
        """Run the records of each shard."""
        cells = self.cells
        for shard in range(self.shards):
            place = 8 * (1 + shard)
            cells[place + 2], cells[place + 3] = (records[shard], counts[shard]) if shard < len(records) else (0, 0)
            if cells[place + 1]:
                self._wake(shard)
        self.lead(self.table, self.shards, 0)
        while cells[1]:
            self._wake(cells[1])
            self.settle(self.table, self.shards, 0)


_pools: dict[int, _Pool] = {}
_making: Final = threading.Lock()


def _forget() -> None:
    """A forked child has no workers."""
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _pool(shards: int) -> _Pool:
    with _making:
        # One pool: a larger one replaces a smaller one, whose workers stay parked.
        found = next((pool for size, pool in _pools.items() if size >= shards), None)
        if found is None:
            _pools.clear()
            found = _pools[shards] = _Pool(shards)
    return found


Call = tuple[Kernel, int, int, int]
"""A kernel, the address of its table, and its range."""


@dataclass(frozen=True)
class Run:
    """Kernels on settled buffers; calling it runs them.

    Attributes:
        shards: what each thread runs, in order; the threads do not wait for each other.
        after: what runs once, when all threads are through.
        held: arrays that must live as long.
    """

    shards: tuple[tuple[Call, ...], ...]
    after: tuple[Call, ...]
    held: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Write the records that machine code reads."""
        records = [np.array([(k.address, *rest) for k, *rest in calls] or [(0, 0, 0, 0)], np.int64) for calls in (*self.shards, self.after)]
        object.__setattr__(self, "_records", records)
        starts = [int(r.__array_interface__["data"][0]) for r in records]
        object.__setattr__(self, "_starts", starts[:-1])
        object.__setattr__(self, "_counts", [len(calls) for calls in self.shards])
        object.__setattr__(self, "_end", (starts[-1], len(self.after)))
        object.__setattr__(self, "_run", _kernels()["run"])

    _records: Any = None
    _starts: Any = None
    _counts: Any = None
    _end: Any = None
    _run: Any = None

    def __call__(self) -> None:
        """Run it; on one thread if the pool is taken."""
        if len(self.shards) == 1:
            self._run(self._starts[0], 0, self._counts[0])
        else:
            pool = _pool(len(self.shards))
            if pool.busy.acquire(blocking=False):
                try:
                    pool(self._starts, self._counts)
                finally:
                    pool.busy.release()
            else:
                for start, count in zip(self._starts, self._counts, strict=True):
                    self._run(start, 0, count)
        if self._end[1]:
            self._run(self._end[0], 0, self._end[1])


def join(*runs: Run) -> Run:
    """One run of several: each thread goes through its shard of all of them without waiting for the others.

    That is right where a shard reads only what the same shard has written: for stages one after the other that have
    the same layout and number of shards.

    Raises:
        ValueError: the numbers of shards differ.
    """
    if len({len(run.shards) for run in runs}) != 1:
        raise ValueError("only runs with the same number of shards can be joined")
    shards = tuple(tuple(call for calls in parts for call in calls) for parts in zip(*(run.shards for run in runs), strict=True))
    return Run(shards, tuple(call for run in runs for call in run.after), tuple(array for run in runs for array in run.held))
