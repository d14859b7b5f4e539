"""Source of dense layers, and of convolutions whose kernel covers the map: matrix products over blocks of samples.

The gradient of the weights has vectors across the inputs: a few blocks of samples are turned first, so that no sum
over lanes is needed. In "rows", for a few samples, vectors go across the inputs everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ._expression import Source
from ._geometry import Chain, Linear
from ._loops import columns, zero
from ._table import cleared, pointers
from ._text import Text, cut, turned

PAIR: Final = 2
"""Blocks of samples side by side in registers."""
TURNED: Final = 1 << 15
"""Numbers of the input that are turned at a time, at most."""


@dataclass(frozen=True)
class Products:
    """Sizes of a dense layer's buffers.

    Attributes:
        chain: the stage, which has no pooling.
        first: source of its activation.
        mode: "lanes" or "rows".
        lanes: entries of a vector.
        registers: of the CPU.
        dx: whether the gradient of the input is wanted.
    """

    chain: Chain
    first: Source | None
    mode: str
    lanes: int
    registers: int
    dx: bool

    @property
    def second(self) -> Source | None:
        """There is no second activation."""
        return None

    @property
    def linear(self) -> Linear:
        """The layer."""
        return self.chain.linear

    shared = False
    """Whether a block is some outputs, and not some samples."""

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return self.samples

    @property
    def samples(self) -> int:
        """Into how many blocks the batch falls."""
        return -(-self.chain.batch // self.step)

    @property
    def step(self) -> int:
        """Samples in a block."""
        return self.lanes if self.mode == "lanes" else 1

    @property
    def inputs(self) -> int:
        """Entries of a sample."""
        return self.linear.weights // self.linear.maps

    @property
    def padded(self) -> int:
        """The same, as whole vectors."""
        return -(-self.inputs // self.lanes) * self.lanes

    @property
    def units(self) -> int:
        """Outputs, as whole vectors."""
        return -(-self.linear.maps // self.lanes) * self.lanes

    @property
    def turned(self) -> int:
        """Blocks that are turned at a time."""
        return max(1, min(8, TURNED // (self.padded * self.lanes)))

    @property
    def keeps_x(self) -> bool:
        """Whether what is kept of the activation's input lies in `saved`."""
        return self.first is not None and "x" in self.first.reads

    @property
    def reads_output(self) -> bool:
        """Whether `backward` reads the output."""
        return self.first is not None and "y" in self.first.reads

    @property
    def parts(self) -> dict[str, int]:
        """The size of a block of `saved`."""
        return {"end": (self.linear.maps * self.lanes if self.mode == "lanes" else self.units) if self.keeps_x else 0}

    @property
    def scratch(self) -> dict[str, int]:
        """Where in the scratch of a thread its parts begin, and at "end" its size."""
        blocks, samples = (self.turned, self.turned * self.lanes) if self.mode == "lanes" else (1, 1)
        sizes = {"x": samples * self.padded, "d": blocks * self.units * self.step, "g": self.padded}
        found, total = {}, 0
        for name, size in sizes.items():
            found[name], total = total, total + -(-size // 16) * 16
        return {**found, "end": total + 2 * self.lanes}

    @property
    def tile(self) -> int:
        """Outputs side by side in registers, beside two blocks."""
        return 6 if self.registers == 16 else 12


def place(s: Products, name: str) -> str:
    """The input that a weight meets, by the weight's place in its row."""
    area = s.linear.size[0] * s.linear.size[1]
    return f"{name} // {area} * {area} + {area - 1} - {name} % {area}" if s.linear.flipped and area > 1 else name


def dense_source(s: Products) -> str:
    """The functions `forward(table, first, last)` and `backward(table, first, last)`."""
    return (_lanes_forward(s) + _lanes_backward(s)) if s.mode == "lanes" else (_rows_forward(s) + _rows_backward(s))


def _head(t: Text, s: Products, names: tuple[str, ...]) -> None:
    pointers(t, {name: name for name in names})
    t(*(f"{name} = shift(scratch, {s.scratch[part]})" for name, part in (("X", "x"), ("D", "d"), ("G", "g"))))


def _active(s: Products, name: str) -> str:
    return f"first_activation({name})" if s.first is not None and not s.first.identity else name


def _lanes_forward(s: Products) -> str:
    t, linear, lanes = Text(), s.linear, s.lanes
    with t.block("\n\ndef forward(table, first, last):"):
        _head(t, s, ("x", "k", "b", "y", "saved", "scratch"))
        t("n = first")
        for blocks in (PAIR, 1):
            with t.block(f"while n + {blocks} <= last:"):
                for start, maps, count in cut(linear.maps, s.tile):
                    with t.repeat("co", count, start, maps):
                        every = [(i, j) for j in range(maps) for i in range(blocks)]
                        t(*(f"a{i}_{j} = spread(b, co + {j})" for i, j in every), f"kp = shift(k, co * {s.inputs})")
                        area = linear.size[0] * linear.size[1]
                        # Map by map, since a division for each input would take as long as its products.
                        with t.repeat("m", s.inputs // area, 0, area), t.repeat("e", area):
                            f = f"m + {area - 1} - e" if linear.flipped and area > 1 else "m + e"
                            t(f"xp = shift(x, (n * {s.inputs} + {f}) * {lanes})", "wp = shift(kp, m + e)")
                            t(*(f"v{i} = load(xp, {i * s.inputs * lanes})" for i in range(blocks)))
                            t(*(f"a{i}_{j} = madd(a{i}_{j}, v{i}, wp, {j * s.inputs})" for i, j in every))
                        for i, j in every:
                            if s.keeps_x:
                                t(f"store(saved, ((n + {i}) * {linear.maps} + co + {j}) * {lanes}, first_activation_kept(a{i}_{j}))")
                            t(f"store(y, ((n + {i}) * {linear.maps} + co + {j}) * {lanes}, {_active(s, f'a{i}_{j}')})")
                t(f"n += {blocks}")
    return str(t)


def _slope(t: Text, s: Products, y: str, x: str) -> None:
    """u times the activation's derivative."""
    if s.first is not None and not s.first.identity:
        t(f"before = {x}" if "x" in s.first.reads else "before = u", f"after = {y}" if "y" in s.first.reads else "after = u")
        t("u = mul(u, first_activation_slope(before, after))")


def _lanes_backward(s: Products) -> str:
    t, linear, lanes = Text(), s.linear, s.lanes
    with t.block("\n\ndef backward(table, first, last):"):
        _head(t, s, ("x", "k", "y", "saved", "dy", "dx", "dk", "db", "scratch"))
        cleared(t, {"dk": f"range({linear.weights})", "db": f"range({linear.maps})"})
        with t.block(f"for start in range(first, last, {s.turned}):"):
            t(f"end = min(last, start + {s.turned})")
            with t.block("for n in range(start, end):"):
                with t.block(f"for c in range({linear.maps}):"):
                    t(f"p = (n * {linear.maps} + c) * {lanes}", "u = load(dy, p)")
                    _slope(t, s, "load(y, p)", "load(saved, p)")
                    t(f"store(D, ((n - start) * {linear.maps} + c) * {lanes}, u)", "put(db, c, get(db, c) + total(u))")
                _turn(t, s)
            _weights(t, s)
            if s.dx:
                _inputs(t, s)
    return str(t)


def _turn(t: Text, s: Products) -> None:
    """The samples of block n as rows, in the order of the weights, with zeros behind."""
    lanes = s.lanes
    with t.block(f"for f in range(0, {s.padded}, {lanes}):"):
        t(f"q = (n - start) * {lanes * s.padded} + f")
        for row in range(lanes):
            # Past the end of a row the last input is repeated; what comes of it is not stored.
            name = f"f + {row}" if s.inputs == s.padded else f"min(f + {row}, {s.inputs - 1})"
            t(f"e = {name}", f"v{row} = load(x, (n * {s.inputs} + {place(s, 'e')}) * {lanes})")
        names = turned(t, [f"v{row}" for row in range(lanes)])
        t(*(f"store(X, q + {row * s.padded}, {name})" for row, name in enumerate(names)))


def _weights(t: Text, s: Products) -> None:
    """Add the products of some blocks to the gradient of the weights: vectors of inputs by outputs."""
    linear, lanes = s.linear, s.lanes
    wide = 2
    for start, maps, count in cut(linear.maps, s.tile):
        with t.repeat("co", count, start, maps):
            for first, number, size in columns(s.inputs, lanes):
                for v, w, times in cut(number, wide):
                    with t.repeat("v", times, first + v, w):
                        every = [(i, j) for j in range(maps) for i in range(w)]
                        t(f"g = shift(dk, co * {s.inputs} + v * {lanes})")
                        read = f"load_part(g, {{}}, {size})" if size < lanes else "load(g, {})"
                        t(*(f"a{i}_{j} = {read.format(j * s.inputs + i * lanes)}" for i, j in every))
                        with t.block("for n in range(end - start):"), t.block(f"for l in range({lanes}):"):
                            t(f"xp = shift(X, (n * {lanes} + l) * {s.padded} + v * {lanes})", f"dp = shift(D, (n * {linear.maps} + co) * {lanes} + l)")
                            t(*(f"v{i} = load(xp, {i * lanes})" for i in range(w)))
                            t(*(f"a{i}_{j} = madd(a{i}_{j}, v{i}, dp, {j * lanes})" for i, j in every))
                        for i, j in every:
                            where = j * s.inputs + i * lanes
                            t(f"store_part(g, {where}, a{i}_{j}, {size})" if size < lanes else f"store(g, {where}, a{i}_{j})")


def _inputs(t: Text, s: Products) -> None:
    """The gradient of the input for some blocks: inputs by blocks in registers."""
    linear, lanes = s.linear, s.lanes
    t("n = start")
    for blocks in (PAIR, 1):
        with t.block(f"while n + {blocks} <= end:"):
            for start, many, count in cut(s.inputs, s.tile):
                with t.repeat("f", count, start, many):
                    every = [(i, j) for j in range(many) for i in range(blocks)]
                    t(*(f"a{i}_{j} = splat(0.0)" for i, j in every), "kp = shift(k, f)")
                    with t.block(f"for c in range({linear.maps}):"):
                        t(f"dp = shift(D, ((n - start) * {linear.maps} + c) * {lanes})", f"wp = shift(kp, c * {s.inputs})")
                        t(*(f"v{i} = load(dp, {i * linear.maps * lanes})" for i in range(blocks)))
                        t(*(f"a{i}_{j} = madd(a{i}_{j}, v{i}, wp, {j})" for i, j in every))
                    for j in range(many):
                        t(f"e = f + {j}", f"q = (n * {s.inputs} + {place(s, 'e')}) * {lanes}")
                        t(*(f"store(dx, q + {i * s.inputs * lanes}, a{i}_{j})" for i in range(blocks)))
            t(f"n += {blocks}")


def _ordered(t: Text, s: Products) -> None:
    """The sample's entries in the order of the weights, with zeros behind."""
    zero(t, "X", s.padded, s.lanes)
    with t.block(f"for f in range({s.inputs}):"):
        t(f"put(X, f, get(x, n * {s.inputs} + {place(s, 'f')}))")


def _rows_forward(s: Products) -> str:
    t, linear, lanes = Text(), s.linear, s.lanes
    with t.block("\n\ndef forward(table, first, last):"):
        _head(t, s, ("x", "k", "b", "y", "saved", "scratch"))
        with t.block("for n in range(first, last):"):
            _ordered(t, s)
            for start, maps, count in cut(linear.maps, 8):
                with t.repeat("co", count, start, maps):
                    t(*(f"a{j} = splat(0.0)" for j in range(maps)))
                    for first, number, size in columns(s.inputs, lanes):
                        with t.repeat("v", number, first):
                            t(f"kp = shift(k, co * {s.inputs} + v * {lanes})", f"e = load(X, v * {lanes})")
                            part = [f"load_part(kp, {j * s.inputs}, {size})" for j in range(maps)]
                            t(*(f"a{j} = fma(e, {part[j]}, a{j})" if size < lanes else f"a{j} = madd_load(a{j}, e, kp, {j * s.inputs})" for j in range(maps)))
                    t(*(f"put(D, co + {j}, total(a{j}) + get(b, co + {j}))" for j in range(maps)))
            for first, number, size in columns(linear.maps, lanes):
                with t.repeat("v", number, first):
                    t(f"u = load(D, v * {lanes})")
                    if s.keeps_x:
                        t(f"store(saved, n * {s.units} + v * {lanes}, first_activation_kept(u))")
                    t(f"u = {_active(s, 'u')}")
                    where = f"n * {linear.maps} + v * {lanes}"
                    t(f"store_part(y, {where}, u, {size})" if size < lanes else f"store(y, {where}, u)")
    return str(t)


def _rows_backward(s: Products) -> str:
    t, linear, lanes = Text(), s.linear, s.lanes
    with t.block("\n\ndef backward(table, first, last):"):
        _head(t, s, ("x", "k", "y", "saved", "dy", "dx", "dk", "db", "scratch"))
        cleared(t, {"dk": f"range({linear.weights})", "db": f"range({linear.maps})"})
        with t.block("for n in range(first, last):"):
            _ordered(t, s)
            for start, number, size in columns(linear.maps, lanes):
                with t.repeat("v", number, start):
                    t(f"p = n * {linear.maps} + v * {lanes}")
                    read = "load_part({}, {}, " + f"{size})" if size < lanes else "load({}, {})"
                    t(f"u = {read.format('dy', 'p')}")
                    _slope(t, s, read.format("y", "p"), f"load(saved, n * {s.units} + v * {lanes})")
                    t(f"store(D, v * {lanes}, u)")
            with t.block(f"for c in range({linear.maps}):"):
                t("put(db, c, get(db, c) + get(D, c))")
            for start, number, size in columns(s.inputs, lanes):
                with t.repeat("v", number, start):
                    t(f"e = load(X, v * {lanes})", "s = splat(0.0)", f"kp = shift(k, v * {lanes})", f"gp = shift(dk, v * {lanes})")
                    with t.block(f"for c in range({linear.maps}):"):
                        t("d = spread(D, c)", f"q = c * {s.inputs}")
                        read = "load_part({}, q, " + f"{size})" if size < lanes else "load({}, q)"
                        t(f"w = fma(d, e, {read.format('gp')})", f"store_part(gp, q, w, {size})" if size < lanes else "store(gp, q, w)")
                        if s.dx:
                            t(f"s = fma(d, {read.format('kp')}, s)")
                    if s.dx:
                        t(f"store(G, v * {lanes}, s)")
            if s.dx:
                with t.block(f"for f in range({s.inputs}):"):
                    t(f"put(dx, n * {s.inputs} + {place(s, 'f')}, get(G, f))")
    return str(t)
