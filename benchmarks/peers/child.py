"""One contestant in a process of its own: `python child.py CONTESTANT THREADS`, told on standard input what to do.

A line of JSON asks, a line of JSON answers: {"do": "make", "job": ..., "batch": ..., "answer": path} builds a job, takes its
first step, and writes loss and gradients to a file; {"do": "time", "seconds": ...} takes steps; {"do": "memory"} says how much
memory they took above what the process, warm from the same job with a batch of one that is gone, had before, with what it is given.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

STARTED = time.perf_counter()
MODULES = {
    "fused": "ours",
    "numpy": "ours",
    "reference": "ours",
    "eager": "torch_peer",
    "channels_last": "torch_peer",
    "compiled": "torch_peer",
    "jax": "jax_peer",
    "autograd": "autograd_peer",
    "textbook": "textbook_peer",
}


def memory():
    """Now, and at most since it was last reset, in bytes; nothing where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found["VmRSS"], found["VmHWM"]


def given(asked, batch):
    from jobs import JOBS, arrays

    job = JOBS[asked["job"]]
    return job, batch, *arrays(job, batch)


def build(module, contestant, threads, question):
    extra = {"dtype": "float64"} if contestant == "reference" else {}
    return module.make(*question, contestant=contestant, threads=threads, **extra)


def made(module, contestant, threads, asked):
    import numpy as np

    before = time.perf_counter()
    step, gradients = build(module, contestant, threads, given(asked, asked["batch"]))
    step()
    now = time.perf_counter()
    # Steps of the job as it was begun, so that what everybody is compared by is the same.
    loss, found = gradients()
    np.savez(asked["answer"], loss=loss, **{f"g{i}": array for i, array in enumerate(found)})
    return step, {"first": now - before, "since_start": now - STARTED}


def timed(step, seconds):
    step()
    wall, cpu, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        step()
        steps += 1
    return {"wall": (time.perf_counter() - wall) / steps, "cpu": (time.process_time() - cpu) / steps, "steps": steps}


def remembered(module, contestant, threads, asked):
    made = build(module, contestant, threads, given(asked, 1))
    for _ in range(3):
        made[0]()
    # Its arrays must be gone, and what the C library keeps of them for the next ones: for a job with a batch of one they would be all that there is.
    del made
    # What everybody is given does not count, nor what drawing it takes.
    question = given(asked, asked["batch"])
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, _ = memory()
    made = build(module, contestant, threads, question)
    for _ in range(3):
        made[0]()
    return {"bytes": memory()[1] - before}


def entered(contestant, answer):
    """The module of a contestant; None, once the reason is told, where it cannot be had."""
    try:
        module = import_module(MODULES[contestant])
    except ImportError as error:
        answer({"missing": f"{error}"})
        return None
    if contestant == "fused":
        from cnnframe_plugins.fused import unavailable

        if why := unavailable():
            answer({"missing": why})
            return None
    answer({"version": module.version()})
    return module


def multiply(answer):
    """The ceiling: products of large matrices."""
    import numpy as np

    a, b, c = (np.ones((1024, 1024), np.float32) for _ in range(3))
    for line in sys.stdin:
        answer(timed(lambda: np.matmul(a, b, out=c), json.loads(line)["seconds"]))


def main():
    contestant, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(found):
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    if contestant == "gemm":
        multiply(answer)
        return
    module, step = entered(contestant, answer), None
    if module is None:
        return
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["do"] == "make":
                step, found = made(module, contestant, threads, asked)
            else:
                found = timed(step, asked["seconds"]) if asked["do"] == "time" else remembered(module, contestant, threads, asked)
        except Exception as error:  # noqa: BLE001 # a contestant that cannot is named, with its reason
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        answer(found)


if __name__ == "__main__":
    main()
