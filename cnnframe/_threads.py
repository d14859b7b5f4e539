"""Threads: calls that several make at once, products of matrices that are held back meanwhile, and what a forked child has of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import Any


def default_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(pool: Callable[[], ThreadPoolExecutor], calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The answers of calls, of which this thread makes the first, and others the others."""
    turns = [_Turn(call) for call in calls[1:]]
    alone = False
    try:
        try:
            for turn in turns:
                # In this thread's context, where settings of NumPy are.
                pool().submit(copy_context().run, turn)
        except RuntimeError:
            # No further thread can be had, though one that there is may still come to it.
            alone = True
        mine = calls[0]()
        for turn in turns if alone else ():
            turn()
        for turn in turns:
            turn.wait()
    finally:
        _ended(turns)
    for turn in turns:
        if turn.error is not None:
            raise turn.error
    return [mine, *(turn.answer for turn in turns)]


class _Turn:
    """A call that is made once, by whoever comes to it first.

    Attributes:
        answer: what it returned.
        error: what it raised.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None
        self._call: Callable[[], Any] | None = call
        self._owner: dict[str, object] = {}
        self._over = Lock()
        self._over.acquire()

    def __call__(self) -> None:
        """Make the call, unless somebody has come to it."""
        mine = object()
        try:
            if self._owner.setdefault("owner", mine) is mine and self._call is not None:
                self.answer = self._call()
        except BaseException as error:  # noqa: BLE001 # it is raised where the answer is wanted
            self.error = error
        finally:
            if self._owner.get("owner") is mine:
                self._call = None
                self._over.release()

    def wait(self) -> None:
        """Return when it has been made."""
        with self._over:
            pass

    def end(self) -> None:
        """Return when nobody makes it any more, or will; it can be called again if it was interrupted."""
        if self._owner.setdefault("owner", self) is self:
            self._call = None
        else:
            self.wait()


def _ended(turns: Iterable[_Turn]) -> None:
    """Return when nobody works on any more, even if interrupted."""
    interrupt = None
    for turn in turns:
        while True:
            try:
                turn.end()
                break
            except BaseException as error:  # noqa: BLE001 # it is raised when all is quiet
                interrupt = error
    if interrupt is not None:
        raise interrupt


class _Products:
    """How many threads products of matrices may have, for all threads of the process: what was asked for last, and in the end what there was before."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.asked: list[int] = []
        self.before: list[int] = []

    def hold(self, threads: int) -> None:
        """Hold them to so many threads."""
        with self.lock:
            if not self.asked:
                self.before = [library.num_threads for library in _blas()]
            self.asked.append(threads)
            self._set([threads] * len(self.before))

    def release(self, threads: int) -> None:
        """Take that back."""
        with self.lock:
            self.asked.remove(threads)
            self._set([self.asked[-1]] * len(self.before) if self.asked else self.before)
            for library in _blas() if not self.asked else ():
                # Or one thread alone could set it from now on.
                _free(library)

    def forked(self) -> None:
        """In a forked child nobody holds them."""
        self.lock = Lock()
        if self.asked:
            self.asked.clear()
            self._set(self.before)

    def _set(self, counts: Sequence[int]) -> None:
        for library, count in zip(_blas(), counts, strict=True):
            library.set_num_threads(count)
            if library.num_threads != count:
                # Another thread was the first to set it.
                _free(library, force=True)
                library.set_num_threads(count)


_products = _Products()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_products.forked)


@contextmanager
def products_on(threads: int) -> Iterator[None]:
    """Hold matrix products to so many threads."""
    _products.hold(threads)
    try:
        yield
    finally:
        _products.release(threads)


def _free(library: Any, **how: bool) -> None:
    """Let any thread set it; older versions know no thread that alone can."""
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(**how)


@cache
def _blas() -> tuple[Any, ...]:
    """The libraries of matrix products; set by hand, which takes a tenth of the time that a limit of threadpoolctl does."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped] # it has no types
    except ImportError:
        return ()
    return tuple(library for library in ThreadpoolController().lib_controllers if library.user_api == "blas")


class _Renewal:
    """A lock that is new in a forked child, where others may renew theirs under it."""

    def __init__(self) -> None:
        self.lock = Lock()

    def forked(self) -> None:
        self.lock = Lock()


renewal = _Renewal()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renewal.forked)
