"""Processes that compile: the one that uses kernels never imports Numba, and goes on while they are made.

A worker reads a source text, compiles it and writes the object code, one after the other, until its input ends. It
is started when it is needed, and ended when it has had nothing to do for a while, or when the program ends.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from typing import IO, Final

IDLE: Final = 3.0
"""Seconds after which a worker without work is ended: it holds some hundred megabytes."""

_START: Final = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cnnframe_plugins.fused._worker import main; main()"
_HEAD: Final = struct.Struct("<?Q")


class NoWorkerError(OSError):
    """No process that compiles can be started here."""


class _Worker:
    """A process that compiles."""

    def __init__(self) -> None:
        """Start it, with the import path of this one."""
        if not sys.executable:
            raise NoWorkerError("the path of the Python interpreter is not known")
        command = [sys.executable, "-c", _START, json.dumps([place for place in sys.path if place])]
        # One thread: there are as many workers as there is work for.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(  # noqa: S603 # this interpreter, with this package
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        except OSError as error:
            raise NoWorkerError(f"no process can be started: {error}") from error
        if _receive(self._process.stdout) is None:
            raise NoWorkerError(f"a process that was to compile kernels ended at once, with exit code {self._process.wait()}")

    def compile(self, source: str, names: tuple[str, ...], digest: str) -> tuple[bool, bytes]:
        """Whether it could be compiled, and the code, or why not."""
        try:
            _send(self._process.stdin, json.dumps([source, names, digest]).encode())
            answer = _receive(self._process.stdout)
        except OSError:
            answer = None
        if answer is None:
            # Not tried again in this process, which might end likewise.
            return False, f"the process that compiled it ended with exit code {self._process.wait()}".encode()
        return answer

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Stop it, whatever it does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


_lock = threading.Lock()
_idle: list[_Worker] = []
_all: set[_Worker] = set()


def compiled(source: str, names: tuple[str, ...], digest: str) -> tuple[bool, bytes]:
    """Have a source text compiled: whether that went well, and the object code, or the reason why not.

    Raises:
        NoWorkerError: no process can be started.
    """
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None:
        worker = _Worker()
        with _lock:
            _all.add(worker)
    try:
        found = worker.compile(source, names, digest)
    except BaseException:
        _end(worker)
        raise
    if worker.ended:
        _end(worker)
        return found
    with _lock:
        _idle.append(worker)
    later = threading.Timer(IDLE, _end_idle, (worker,))
    later.daemon = True
    later.start()
    return found


def _end_idle(worker: _Worker) -> None:
    with _lock:
        if worker not in _idle:
            return
        _idle.remove(worker)
    _end(worker)


def _end(worker: _Worker) -> None:
    with _lock:
        _all.discard(worker)
    worker.end()


@atexit.register
def _end_all() -> None:
    _idle.clear()
    while _all:
        _all.pop().end()


def _forget() -> None:
    """A forked child has no workers: those that there are answer its parent."""
    global _lock  # noqa: PLW0603 # another thread of the parent may have held it
    _lock = threading.Lock()
    _idle.clear()
    _all.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _send(pipe: IO[bytes] | None, block: bytes, *, good: bool = True) -> None:
    if pipe is not None:
        pipe.write(_HEAD.pack(good, len(block)) + block)
        pipe.flush()


def _receive(pipe: IO[bytes] | None) -> tuple[bool, bytes] | None:
    """The next message; None when there are no more."""
    head = pipe.read(_HEAD.size) if pipe is not None else b""
    if len(head) < _HEAD.size or pipe is None:
        return None
    good, size = _HEAD.unpack(head)
    block = pipe.read(size)
    return (good, block) if len(block) == size else None


def main() -> None:
    """Say that it is there, and answer requests until there are no more."""
    # What others print must not come between the answers, and an interrupt is for the program, which ends this process.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from ._compiler import KernelError, machine_code

    _send(answers, b"")
    while (request := _receive(sys.stdin.buffer)) is not None:
        source, names, digest = json.loads(request[1])
        try:
            _send(answers, machine_code(source, tuple(names), digest))
        except KernelError as error:
            _send(answers, str(error).encode(), good=False)
