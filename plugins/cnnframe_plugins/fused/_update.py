"""One pass over the flat vector of parameters: gradient descent with momentum and weight decay."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from . import _simd
from ._compiler import Code, KernelError, check, checked, missing
from ._run import address

_SOURCE: Final = """

@njit
def stepped(w, g, v, numbers, decays, moves):
    slope = g
    if decays > 0:
        slope = add(g, mul(spread(numbers, 1), w))
    fall = mul(spread(numbers, 0), slope)
    step = sub(mul(spread(numbers, 2), v), fall) if moves else sub(splat(-0.0), fall)
    return add(w, step), step


def update(table, first, last):
    p, g, v, numbers, after, velocity = pointer(table, 0), pointer(table, 1), pointer(table, 2), pointer(table, 3), pointer(table, 4), pointer(table, 5)
    rows, moves = number(table, 6), number(table, 7)
    for row in range(first, last):
        start, stop, decays = number(rows, 3 * row), number(rows, 3 * row + 1), number(rows, 3 * row + 2)
        whole = stop - (stop - start) % {lanes}
        for i in range(start, whole, {lanes}):
            w, step = stepped(load(p, i), load(g, i), load(v if moves else p, i), numbers, decays, moves)
            if moves:
                store(velocity, i, step)
            store(after, i, w)
        if whole < stop:
            # The last entries go through vectors of their own, so that nothing beyond them is touched.
            a, b, c = shift(numbers, {lanes}), shift(numbers, {twice}), shift(numbers, {thrice})
            for i in range(whole, stop):
                put(a, i - whole, get(p, i))
                put(b, i - whole, get(g, i))
                if moves:
                    put(c, i - whole, get(v, i))
            w, step = stepped(load(a, 0), load(b, 0), load(c, 0), numbers, decays, moves)
            store(a, 0, w)
            store(b, 0, step)
            for i in range(whole, stop):
                put(after, i, get(a, i - whole))
                if moves:
                    put(velocity, i, get(b, i - whole))
"""


@cache
def _code(dtype: str) -> Code:
    lanes = _simd.width(dtype)
    return Code(lambda: _SOURCE.format(lanes=lanes, twice=2 * lanes, thrice=3 * lanes), ("update",), dtype, lanes)


_asked: set[str] = set()
_made: set[str] = set()


def ready(dtype: str) -> bool:
    """Whether `update` can be called at once; if not, its code is made, beside the program, for the next time."""
    if dtype in _asked:
        return dtype in _made
    _asked.add(dtype)

    def make() -> None:
        try:
            if check() is None:
                _code(dtype).build()
                _made.add(dtype)
        except KernelError:
            # NumPy goes on, with the same bits.
            pass

    if missing() is None and checked() and _code(dtype).fetch():
        make()
    elif missing() is None:
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=make, name="cnnframe-update", daemon=True).start()
    return dtype in _made


def update(p: Any, g: Any, v: Any, rate: float, decay: float, momentum: float, parts: Sequence[tuple[int, int, int]], after: Any, velocity: Any) -> None:
    """velocity <- momentum v - rate (g + decay p), after <- p + velocity, with the roundings of the same in NumPy.

    All are contiguous, of one element type and length; `after` and `velocity` have memory of their own. Of each part there is its
    start, its stop, and 1 if it decays or -1 if not. Without momentum there is no velocity, and the step is taken at once.
    """
    lanes = _simd.width(p.dtype.name)
    rows = np.array(parts, np.int64)
    # Three numbers, and room for the last entries of a part.
    numbers = np.zeros(4 * lanes + 4, p.dtype)
    numbers[:3] = rate, decay, momentum
    table = np.array([*map(address, (p, g, v, numbers, after, velocity, rows)), bool(momentum)], np.int64)
    _code(p.dtype.name).build()["update"](address(table), 0, len(rows))
