"""Kernels that have to be prepared, such as compiled, before they serve: done beside the program, or waited for."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence

from ._kernel import Kernel

AT_ONCE = 4
"""How many kernels are prepared at the same time, at most."""

Progress = Callable[[int, int], None]
Place = tuple[type[Kernel], tuple[str, ...]]
"""A kernel and the nodes that it is to serve."""


class Preparation:
    """Threads that prepare kernels and end when all are done.

    Attributes:
        kernels: what is to be prepared.
        failed: the kernels that cannot serve after all, with the reason.
    """

    def __init__(self, kernels: Sequence[Kernel], threads: int) -> None:
        """Begin at once."""
        self.kernels = tuple(kernels)
        self.failed: dict[Place, str] = {}
        self._done = 0
        self._count = threading.Condition()
        self._left: queue.SimpleQueue[Kernel] = queue.SimpleQueue()
        for kernel in self.kernels:
            self._left.put(kernel)
        for number in range(min(threads, AT_ONCE, len(self.kernels))):
            # A program ends without waiting for them.
            thread = threading.Thread(target=self._work, name=f"cnnframe-prepare-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not number:
                    # No thread can be had, and nobody prepares: what is there already serves.
                    self._give_up("no thread can be started to prepare it")
                break

    @property
    def done(self) -> int:
        """How many kernels are through."""
        return self._done

    @property
    def finished(self) -> bool:
        """Whether all are."""
        return self._done == len(self.kernels)

    @property
    def note(self) -> str:
        """What a plan says that is served by others in the meantime."""
        names, count = " and ".join(sorted({kernel.name for kernel in self.kernels})), len(self.kernels)
        how_many = f"{count} kernels are" if count > 1 else "1 kernel is"
        return f"{names}: {how_many} being compiled; until then others serve, whose answers differ by roundings"

    def wait(self, progress: Progress | None = None) -> None:
        """Return when all are through; `progress` is called with how many are, and with how many there are."""
        told = 0
        if progress is not None:
            progress(0, len(self.kernels))
        with self._count:
            while told < len(self.kernels):
                if self._done == told:
                    # In slices, so that an interrupt comes through everywhere.
                    self._count.wait(0.5)
                    continue
                told = self._done
                if progress is not None:
                    progress(told, len(self.kernels))

    def _work(self) -> None:
        while True:
            try:
                kernel = self._left.get_nowait()
            except queue.Empty:
                return
            try:
                why = kernel.prepare()
            except Exception as error:  # noqa: BLE001 # whatever goes wrong, others serve, and the plan says why
                why = f"{type(error).__name__}: {error}"
            self._through(kernel, why)

    def _through(self, kernel: Kernel, why: str) -> None:
        with self._count:
            if why:
                self.failed[place(kernel)] = why
            self._done += 1
            self._count.notify_all()

    def _give_up(self, why: str) -> None:
        for kernel in self.kernels:
            self._through(kernel, why)


def tell(done: int, number: int) -> None:
    """Say on stderr that a program waits for kernels, on a terminal with how many are through."""
    what = f"{number} kernel{'s' if number > 1 else ''} for this network, once; they are kept on disk"
    if sys.stderr.isatty():
        end = "\n" if done == number else ""
        sys.stderr.write(f"\rcnnframe: compiled {done} of {what}{end}")
    elif not done:
        sys.stderr.write(f"cnnframe: compiling {what}\n")
    sys.stderr.flush()


def place(kernel: Kernel) -> Place:
    """What is told apart when a kernel cannot serve."""
    return type(kernel), kernel.chain.nodes
