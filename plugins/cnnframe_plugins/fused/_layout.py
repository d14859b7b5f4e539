"""How a batch of maps lies in memory, and what brings it from one layout into another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import numpy as np

from ._compiler import Code
from ._run import Run, address
from ._text import Text, turned


@dataclass(frozen=True)
class Layout:
    """The order of a batch's numbers in a flat array.

    Attributes:
        kind: "plain", (n, maps, *map) as NumPy has it; "lanes", (blocks, maps, *map, lanes), the samples of a block
            side by side; "maps", (n, vectors, rows, columns, lanes), some maps side by side, with zeros behind the last.
        lanes: how many lie side by side.
        border: rows and columns of zeros around each map, in "maps".
    """

    kind: str = "plain"
    lanes: int = 1
    border: int = 0

    def size(self, shape: tuple[int, ...]) -> int:
        """How many numbers an array of that shape takes."""
        entries = math.prod(shape[1:])
        if self.kind == "plain":
            return shape[0] * entries
        if self.kind == "lanes":
            return -(-shape[0] // self.lanes) * self.lanes * entries
        n, maps, height, width = _plane(shape)
        return n * self._vectors(maps) * self.lanes * (height + 2 * self.border) * (width + 2 * self.border)

    def _vectors(self, maps: int) -> int:
        return -(-maps // self.lanes)

    def pack(self, array: Any, flat: Any, *, gradient: bool = False) -> None:
        """Copy an array into this layout.

        Lanes beyond the batch repeat its last sample, so that nothing is computed there that the batch does not
        compute, or, in a gradient, are zero, so that they add nothing to a sum.
        """
        if self.kind == "plain":
            np.copyto(flat[: array.size].reshape(array.shape), array)
        elif self.turns:
            self.bound("pack", np.ascontiguousarray(array), flat, gradient=gradient)()
        else:
            if self.border:
                flat.fill(0)
            self._inner(flat, array.shape)[...] = array.reshape(self._split(array.shape)).transpose(0, 1, 3, 4, 2)

    def unpack(self, flat: Any, array: Any) -> None:
        """Copy from this layout into a contiguous array."""
        if self.kind == "plain":
            np.copyto(array, flat[: array.size].reshape(array.shape))
        elif self.turns:
            self.bound("unpack", array, flat)()
        else:
            array.reshape(self._split(array.shape))[...] = self._inner(flat, array.shape).transpose(0, 1, 4, 2, 3)

    def bound(self, name: str, array: Any, flat: Any, *, gradient: bool = False) -> Run:
        """Settle the buffers of "pack" or "unpack", where it is machine code; both arrays are contiguous."""
        batch = len(array)
        if self.kind == "lanes":
            numbers, blocks = (batch, array.size // max(batch, 1), int(gradient)), -(-batch // self.lanes)
        else:
            _, maps, height, width = _plane(array.shape)
            numbers, blocks = (height, width, self.border, maps), batch * self._vectors(maps)
        table = np.array([address(array), address(flat), *numbers], np.int64)
        return Run(((_code(self.kind, array.dtype.name, self.lanes).build()[name], address(table), blocks),), (table, array, flat))

    def moved(self, flat: Any, other: Layout, to: Any, shape: tuple[int, ...]) -> Callable[[], None]:
        """Return what copies maps of that shape to where they lie between other borders, of zeros."""
        source, target, b = self._inner(flat, shape), other._inner(to, shape), other.border
        n, maps, height, width = _plane(shape)
        whole = to[: other.size(shape)].reshape(n, other._vectors(maps), height + 2 * b, width + 2 * b, other.lanes)
        edges = [whole[:, :, :b], whole[:, :, b + height :], whole[:, :, :, :b], whole[:, :, :, b + width :]] if b else []

        def move() -> None:
            for edge in edges:
                edge.fill(0)
            np.copyto(target, source)

        return move

    def prepare(self, dtype: str) -> None:
        """Compile what packs and unpacks, or fetch it, if it is compiled."""
        if self.turns:
            _code(self.kind, dtype, self.lanes).build()

    def ready(self, dtype: str) -> bool:
        """Whether `prepare` compiles nothing."""
        return not self.turns or _code(self.kind, dtype, self.lanes).fetch()

    @property
    def turns(self) -> bool:
        """Whether machine code packs and unpacks: squares of as many maps or samples as entries are turned in registers."""
        return self.kind == "lanes" or (self.kind == "maps" and self.lanes in (4, 8, 16))

    def _split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n, maps, height, width = _plane(shape)
        return n, maps // self.lanes, self.lanes, height, width

    def _inner(self, flat: Any, shape: tuple[int, ...]) -> Any:
        n, maps, height, width = _plane(shape)
        b = self.border
        whole = flat[: self.size(shape)].reshape(n, self._vectors(maps), height + 2 * b, width + 2 * b, self.lanes)
        return whole[:, :, b : b + height, b : b + width]


PLAIN: Final = Layout()


def _plane(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Samples, maps, rows and columns; a map of one dimension is a row."""
    n, maps, *rows, width = shape
    return n, maps, rows[0] if rows else 1, width


def _lanes_body(lanes: int) -> str:
    """The source of "pack" and "unpack" for samples side by side; what is left beside whole squares goes one by one."""
    t = Text()
    for name in ("pack", "unpack"):
        with t.block(f"def {name}(table, first, last):"):
            t("array, flat = pointer(table, 0), pointer(table, 1)", "batch, entries, gradient = number(table, 2), number(table, 3), number(table, 4)")
            t(f"whole, nothing = entries - entries % {lanes}, total(splat(0.0))")
            with t.block("for n in range(first, last):"):
                rows = [(f"array, (n * {lanes} + {row}) * entries + e", f"flat, (n * entries + e + {row}) * {lanes}") for row in range(lanes)]
                with t.block(f"if (n + 1) * {lanes} <= batch:"):
                    with t.block(f"for e in range(0, whole, {lanes}):"):
                        t(*(f"v{row} = load({(plain if name == 'pack' else packed)})" for row, (plain, packed) in enumerate(rows)))
                        made = turned(t, [f"v{row}" for row in range(lanes)])
                        t(*(f"store({(packed if name == 'pack' else plain)}, {v})" for v, (plain, packed) in zip(made, rows, strict=True)))
                    with t.block("for e in range(whole, entries):"):
                        _step(t, name, lanes)
                with t.block("else:"):
                    _rest(t, name, lanes)
    return str(t)


def _step(t: Text, name: str, lanes: int) -> None:
    if name == "pack":
        t(f"store(flat, (n * entries + e) * {lanes}, load_step(array, n * {lanes} * entries + e, entries))")
    else:
        t(f"store_step(array, n * {lanes} * entries + e, load(flat, (n * entries + e) * {lanes}), entries)")


def _rest(t: Text, name: str, lanes: int) -> None:
    """The last block, which the batch does not fill."""
    if name == "pack":
        with t.block("for e in range(entries):"), t.block(f"for l in range({lanes}):"):
            t(f"sample = n * {lanes} + l", "value = get(array, min(sample, batch - 1) * entries + e)")
            t(f"put(flat, (n * entries + e) * {lanes} + l, nothing if gradient > 0 and sample >= batch else value)")
    else:
        with t.block(f"for l in range(batch - n * {lanes}):"), t.block("for e in range(entries):"):
            t(f"put(array, (n * {lanes} + l) * entries + e, get(flat, (n * entries + e) * {lanes} + l))")


def _maps_body(lanes: int) -> str:
    """The source of "pack", which writes the borders too, and "unpack" for maps side by side, for as many maps at a time."""
    t = Text()
    for name in ("pack", "unpack"):
        packs = name == "pack"
        with t.block(f"def {name}(table, first, last):"):
            t("array, flat = pointer(table, 0), pointer(table, 1)", "height, width, border, maps = " + ", ".join(f"number(table, {i})" for i in range(2, 6)))
            t("row, entries, zero = width + 2 * border, height * width, splat(0.0)", f"vectors = (maps + {lanes - 1}) // {lanes}")
            with t.block("for n in range(first, last):"):
                t(f"c = n % vectors * {lanes}", "a = shift(array, (n // vectors * maps + c) * entries)", f"many = min({lanes}, maps - c)")
                t(f"p, q, whole = n * (height + 2 * border) * row * {lanes}, 0, entries - entries % {lanes} if many == {lanes} else 0")
                _zeros(t, "border * row + border", lanes, packs=packs)
                with t.block(f"for e in range(0, whole, {lanes}):"):
                    if packs:
                        t(*(f"v{i} = load(a, {i} * entries + e)" for i in range(lanes)))
                        for made in turned(t, [f"v{i}" for i in range(lanes)]):
                            t(f"store(flat, p, {made})")
                            _next(t, lanes, packs=packs)
                    else:
                        for i in range(lanes):
                            t(f"v{i} = load(flat, p)")
                            _next(t, lanes, packs=packs)
                        t(*(f"store(a, {i} * entries + e, {made})" for i, made in enumerate(turned(t, [f"v{i}" for i in range(lanes)]))))
                with t.block("for e in range(whole, entries):"):
                    with t.block(f"if many == {lanes}:"):
                        t("store(flat, p, load_step(a, e, entries))" if packs else "store_step(a, e, load(flat, p), entries)")
                    with t.block("else:"):
                        if packs:
                            t("store(flat, p, zero)")
                        with t.block("for i in range(many):"):
                            t("put(flat, p + i, get(a, i * entries + e))" if packs else "put(a, i * entries + e, get(flat, p + i))")
                    _next(t, lanes, packs=packs)
                if packs:
                    # The last row has written some of those below.
                    _zeros(t, "border * row - border", lanes, packs=packs)
    return str(t)


def _next(t: Text, lanes: int, *, packs: bool) -> None:
    """Go on to the next entry of a map, past the border behind a row."""
    t(f"p += {lanes}", "q += 1")
    with t.block("if q == width:"):
        t("q = 0")
        _zeros(t, "2 * border", lanes, packs=packs)


def _zeros(t: Text, count: str, lanes: int, *, packs: bool) -> None:
    """Write so many entries of a border, or pass them by."""
    if not packs:
        t(f"p += ({count}) * {lanes}")
        return
    with t.block(f"for z in range({count}):"):
        t(f"store(flat, p + z * {lanes}, zero)")
    t(f"p += ({count}) * {lanes}")


@cache
def _code(kind: str, dtype: str, lanes: int) -> Code:
    return Code(partial(_lanes_body if kind == "lanes" else _maps_body, lanes), ("pack", "unpack"), dtype, lanes)
