"""One block of memory for all arrays of a plan: those that are never needed at the same time may share it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._axes import Shape
from ._memory import address
from ._op import Array

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


@dataclass(frozen=True, slots=True)
class Request:
    """An array, with the first and the last moment at which it is needed."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    first: float
    last: float

    @property
    def bytes(self) -> int:
        """What it takes, rounded up to whole lines."""
        size = math.prod(self.shape) * self.dtype.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Arena:
    """Where each array lies.

    Attributes:
        requests: the arrays.
        offsets: the first byte of each.
        bytes: the size of the whole.
    """

    requests: Mapping[str, Request]
    offsets: Mapping[str, int]
    bytes: int

    @classmethod
    def of(cls, requests: Sequence[Request]) -> Arena:
        """Place the largest arrays first, each at the lowest address that is free for as long as it is needed."""
        offsets: dict[str, int] = {}
        placed: list[tuple[int, int, Request]] = []
        for request in sorted(requests, key=lambda r: (-r.bytes, r.name)):
            offset = 0
            for start, stop, other in placed:
                if other.first <= request.last and request.first <= other.last:
                    if offset + request.bytes <= start:
                        break
                    offset = max(offset, stop)
            offsets[request.name] = offset
            placed.append((offset, offset + request.bytes, request))
            placed.sort(key=lambda spot: spot[:2])
        return cls({r.name: r for r in requests}, offsets, max((stop for _, stop, _ in placed), default=0))

    @property
    def apart(self) -> int:
        """The bytes that the arrays would take if none shared any."""
        return sum(request.bytes for request in self.requests.values())

    def allocate(self, block: Array) -> dict[str, Array]:
        """The arrays, in a block of at least `bytes` that begins with a line."""
        found = {}
        for name, request in self.requests.items():
            start = self.offsets[name]
            size = math.prod(request.shape) * request.dtype.itemsize
            found[name] = block[start : start + size].view(request.dtype).reshape(request.shape)
        return found


def aligned(size: int) -> Array:
    """So many bytes, all 0, that begin with a line: a vector that lies in two lines takes twice as long to read."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    shift = -address(block) % ALIGNMENT
    return block[shift : shift + size]
