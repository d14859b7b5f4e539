"""Worker processes for code that may hang, exit, or crash.

A worker is a fresh Python that calls one function on one job after another. It talks to its parent through a pipe of
its own, in lines of JSON: what it is about to do, and what came of it. What the code under judgement prints goes
nowhere near that pipe. A worker that is silent for too long, or dies, is replaced, and its job is reported lost with
the last thing that it said.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGINNING = 120.0
"""How long a worker may take to import what it needs, in seconds, on a machine with too much to do."""


@dataclass(frozen=True)
class Lost:
    """A job without an answer: why, and what was last begun."""

    why: str
    at: str


class WorkerError(Exception):
    """The function itself failed in a worker; carries the worker's own words."""


def run(function: str, jobs: Sequence[Any], processes: int, limit: float) -> Iterator[tuple[int, Any | Lost]]:
    """Call a function on each job in worker processes; yield the number of each job with its answer, as they come.

    The function is named "package.module:name" and called as `function(job, beat)`; jobs and answers are plain data
    for JSON. It calls `beat(text)` before anything that may not return; `limit` is the longest silence, in seconds, of a
    worker that has begun; to begin, which takes no code under judgement, it has `BEGINNING` seconds.

    Raises:
        WorkerError: the function raised.
    """
    waiting = iter(enumerate(jobs))
    answers: queue.Queue[tuple[_Worker, str, Any]] = queue.Queue()
    busy: list[_Worker] = []
    try:
        for _ in range(min(processes, len(jobs))):
            busy.append(_Worker(function, answers))
            busy[-1].take(next(waiting))
        while busy:
            yield from _answer(busy, waiting, answers, limit)
    finally:
        for worker in busy:
            worker.stop()


def _answer(busy: list[_Worker], waiting: Iterator[tuple[int, Any]], answers: Any, limit: float) -> Iterator[tuple[int, Any | Lost]]:
    """Wait for the next word of any worker, or for the end of one's patience with one."""
    patience = min(worker.patience(limit) for worker in busy)
    try:
        worker, what, text = answers.get(timeout=max(patience, 0.0))
    except queue.Empty:
        worker = min(busy, key=lambda w: w.patience(limit))
        what, text = "silent", f"no answer within {limit:g} s"
    if worker not in busy:
        return
    worker.heard()
    match what:
        case "ready":
            worker.ready = True
            return
        case "beat":
            worker.at = text
            return
        case "done":
            yield worker.number, text
            _next(worker, busy, waiting)
        case "failed":
            raise WorkerError(text)
        case _:
            lost, at = worker.number, worker.at
            worker.stop()
            busy.remove(worker)
            job = next(waiting, None)
            if job is not None:
                busy.append(_Worker(worker.function, answers))
                busy[-1].take(job)
            yield lost, Lost(text, at)


def _next(worker: _Worker, busy: list[_Worker], waiting: Iterator[tuple[int, Any]]) -> None:
    job = next(waiting, None)
    if job is None:
        worker.stop()
        busy.remove(worker)
    else:
        worker.take(job)


class _Worker:
    """One process, and a thread that listens to it."""

    def __init__(self, function: str, answers: Any) -> None:
        self.function = function
        self.number, self.at = -1, ""
        self.ready = False
        listen, speak = os.pipe()
        command = [sys.executable, "-c", "from cnnframe_derivations.suite._workers import serve; serve()", function, str(speak)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.process = subprocess.Popen(  # noqa: S603 # this very Python, with a command of our own
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(speak,), env=environment, text=True
        )
        os.close(speak)
        self.heard()
        threading.Thread(target=self._listen, args=(listen, answers), daemon=True).start()

    def _listen(self, pipe: int, answers: Any) -> None:
        with open(pipe, encoding="utf-8") as lines:
            for line in lines:
                what, text = json.loads(line)
                answers.put((self, what, text))
        answers.put((self, "died", f"the process ended with exit code {self.process.wait()}"))

    def take(self, job: tuple[int, Any]) -> None:
        """Give it a job."""
        self.number, self.at = job[0], ""
        self.heard()
        with suppress(OSError):
            # If it is dead already, its listener says so.
            self.process.stdin.write(json.dumps(job[1]) + "\n")
            self.process.stdin.flush()

    def heard(self) -> None:
        """Begin to wait anew."""
        self.since = _now()

    def patience(self, limit: float) -> float:
        """How many seconds are left for it to say something."""
        return self.since + (limit if self.ready else max(limit, BEGINNING)) - _now()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()


def _now() -> float:
    return float(os.times().elapsed)


def serve() -> None:
    """The life of a worker: read jobs, write answers."""
    function, number = sys.argv[1], int(sys.argv[2])
    # The parent decides when to stop: Ctrl-C reaches it as well.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Processes that the code may start must not hold the pipe open.
    os.set_inheritable(number, False)  # noqa: FBT003 # it takes no name
    pipe = os.fdopen(number, "w", encoding="utf-8", buffering=1)

    last = ""

    def say(what: str, text: Any) -> None:
        pipe.write(json.dumps([what, text]) + "\n")

    def beat(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            say("beat", text)

    jobs = sys.stdin
    # Code that asks for input finds none, and does not eat the jobs.
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 # as long as the process lives
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    say("ready", "")
    for line in jobs:
        try:
            answer = call(json.loads(line), beat)
        except Exception as error:  # noqa: BLE001 # the parent tells it
            say("failed", f"{type(error).__name__}: {error}")
        else:
            say("done", answer)
