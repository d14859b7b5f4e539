"""What of a process's state an operation must leave alone."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

THREADS = "the number of threads"
"""One that ends was begun by someone else before."""


class State:
    """A picture of the process's state, to be compared with a later one and put back."""

    def __init__(self) -> None:
        # Called by name, not from a list of functions: a plugin may have replaced them.
        self.parts: dict[str, Any] = {
            "NumPy's error settings": np.geterr(),
            "NumPy's print options": np.get_printoptions(),
            "NumPy's global random state": _random_state(),
            "Python's global random state": random.getstate(),
            "the current folder": _folder(),
            "environment variables": dict(os.environ),
            "the recursion limit": sys.getrecursionlimit(),
            "the warning filters": list(warnings.filters),
            "the garbage collector": (gc.isenabled(), gc.get_threshold()),
            THREADS: threading.active_count(),
            "a signal handler": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
            "functions of NumPy": _functions(np),
            "functions of NumPy's random module": _functions(np.random),
        }

    def changed(self, later: State) -> list[str]:
        """What is not as it was."""
        return [name for name, value in self.parts.items() if later.parts[name] != value and not (name == THREADS and later.parts[name] < value)]

    def restore(self) -> None:
        """Put back what can be put back."""
        np.seterr(**self.parts["NumPy's error settings"])
        np.set_printoptions(**{k: v for k, v in self.parts["NumPy's print options"].items() if k != "override_repr"})
        kind, keys, *rest = self.parts["NumPy's global random state"]
        np.random.set_state((kind, np.frombuffer(keys, dtype=np.uint32), *rest))  # noqa: NPY002 # it is this global state that is put back
        random.setstate(self.parts["Python's global random state"])
        os.chdir(self.parts["the current folder"])
        environment = self.parts["environment variables"]
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        enabled, thresholds = self.parts["the garbage collector"]
        (gc.enable if enabled else gc.disable)()
        gc.set_threshold(*thresholds)
        sys.setrecursionlimit(self.parts["the recursion limit"])
        warnings.filters[:] = self.parts["the warning filters"]  # type: ignore[index] # typed as read-only, a list in fact
        for module, name in ((np, "functions of NumPy"), (np.random, "functions of NumPy's random module")):
            for key, function in self.parts[name].items():
                if getattr(module, key, None) is not function:
                    setattr(module, key, function)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the global random states back afterwards."""
    theirs, ours = np.random.get_state(), random.getstate()  # noqa: NPY002 # it is this global state that is put back
    try:
        yield
    finally:
        np.random.set_state(theirs)  # noqa: NPY002 # as above
        random.setstate(ours)


def _random_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 # it is this global state that is looked at
    return kind, keys.tobytes(), *rest


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _functions(module: Any) -> dict[str, Any]:
    return vars(module).copy()


@contextmanager
def written(number: int) -> Iterator[list[bytes]]:
    """Catch what is written to a file descriptor, however it is written; the list has it afterwards."""
    found: list[bytes] = []
    try:
        kept = os.dup(number)
    except OSError:
        # There is no such descriptor: nothing can be written to it.
        yield found
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), number)
        try:
            yield found
        finally:
            os.dup2(kept, number)
            os.close(kept)
            file.seek(0)
            found.append(file.read(1000))
