"""A kernel whose calls can be made in shares."""

from __future__ import annotations

import threading
from functools import partial
from typing import ClassVar

import numpy as np

from cnnframe import Kernel


class Halves(Kernel):
    """Right: every call can be made by several, some of the entries each."""

    name, rank = "halves", 99
    lost = 0

    @classmethod
    def matches(cls, ops):
        return int(ops[0].name == "relu")

    def bind(self, arrays):
        x, y = arrays.given[0]["x"].reshape(-1), arrays.outputs["y"].reshape(-1)
        dy, dx = arrays.cotangents["y"].reshape(-1), arrays.gradients[0]["x"].reshape(-1)
        forward = Shared(len(y), lambda part: np.maximum(x[part], 0, out=y[part]))
        return forward, Shared(len(y), lambda part: np.multiply(dy[part], y[part] > 0, out=dx[part]), self.lost)


class Shared:
    """What is done for all entries, or for some, by whichever thread; in shares the last ones may be lost."""

    ran: ClassVar[list[tuple[str, slice]]] = []

    def __init__(self, size, work, lost=0):
        self.size, self.work, self.lost = size, work, lost

    def __call__(self):
        self.part(slice(0, self.size))

    def part(self, part):
        self.ran.append((threading.current_thread().name, part))
        self.work(part)

    def shares(self, count):
        size = self.size - self.lost
        return [partial(self.part, slice(size * share // count, size * (share + 1) // count)) for share in range(count)]
