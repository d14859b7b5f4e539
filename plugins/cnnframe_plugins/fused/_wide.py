"""Source of convolutions of many maps: vectors across the output maps, on maps that lie side by side between borders of zeros.

Weights are brought into the order in which they are read, once in a pass; sums of some columns by one or two vectors
of maps are in registers. The gradient of the input is the same loop over flipped, transposed weights; where the convolution
strides, once for every phase, rows and columns of the input that meet the same taps.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Final

from ._backward import sensitivities
from ._forward import pool_row
from ._loops import Loops, Taps, zero
from ._table import at, backward_pointers, forward_pointers
from ._text import Text, cut

NEAR: Final = 4096
"""Sensitivities that stay in the first cache while the gradients of some kernels are summed."""
MORE: Final = 4 / 3
"""How many times as many products may be computed, since vectors are not full."""
AT_ONCE: Final = 4
"""At most so many rounds of an innermost loop are written side by side."""


def why_not_wide(s: Loops) -> str | None:
    """Why vectors do not go across the maps; None if they can."""
    linear, lanes = s.linear, s.lanes
    if linear.links or linear.fan != linear.maps_in:
        return "links and groups are not for vectors across maps"
    if linear.padding[0] != linear.padding[1]:
        return f"padding {linear.padding} is not for vectors across maps"
    if s.held_weights > MORE * linear.weights:
        return f"{linear.maps_in} input maps and {linear.maps} output maps would leave too much of vectors of {lanes} empty"
    return None


def wide_source(s: Loops) -> str:
    """The functions `forward(table, first, last)` and `backward(table, first, last)`."""
    return _forward(s) + _backward(s)


def _wide(vectors: int) -> int:
    """Vectors of maps side by side in registers."""
    return 2 if vectors % 2 == 0 else 1


def _columns(s: Loops, total: int, vectors: int) -> int:
    """Columns side by side in registers, so that tiles are alike."""
    most = (s.registers - 1 - vectors) // vectors
    return max(w for w, n in ((-(-total // n), n) for n in range(1, total + 1)) if w <= most)


def _at_once(rounds: int) -> int:
    """Rounds of a loop that are written out side by side: stepping and testing for the end take the place of products."""
    return max(number for number in range(1, AT_ONCE + 1) if rounds % number == 0)


def _packed(t: Text, s: Loops, *, back: bool) -> None:
    """Copy the weights to K: by output vectors, input maps and taps, flipped as they are read."""
    linear = s.linear
    kh, kw = linear.size
    vectors, blocks, inner = (s.vectors_in, s.slices, s.lanes) if back else (s.slices, s.vectors_in, s.inner)
    maps, others = (linear.maps_in, linear.maps) if back else (linear.maps, linear.maps_in)
    wide = _wide(vectors) * s.lanes
    t("z, nothing = 0, total(splat(0.0))")
    with t.repeat("m", vectors * s.lanes // wide, 0, wide), t.repeat("o", blocks, 0, inner), t.repeat("r", kh), t.repeat("q", kw):
        flip = linear.flipped != back
        t(f"tap = {f'({kh - 1} - r)' if flip else 'r'} * {kw} + {f'{kw - 1} - q' if flip else 'q'}")
        with t.repeat("i", inner), t.repeat("j", wide):
            place = f"((o + i) * {linear.maps_in} + m + j) * {kh * kw} + tap" if back else f"((m + j) * {linear.maps_in} + o + i) * {kh * kw} + tap"
            value = f"get(k, {place})"
            t(f"put(K, z, {value if s.full else f'{value} if m + j < {maps} and o + i < {others} else nothing'})", "z += 1")


def _filled(t: Text, s: Loops, names: tuple[str, ...]) -> None:
    """Copy parameters of maps to where there are zeros behind the last one, if its vector is not full."""
    if s.linear.maps % s.lanes:
        for number, name in enumerate(names):
            t(f"B{number} = shift(scratch, {s.scratch['b'] + number * s.slices * s.lanes})")
            zero(t, f"B{number}", s.slices * s.lanes, s.lanes)
            with t.block(f"for i in range({s.linear.maps}):"):
                t(f"put(B{number}, i, get({name}, i))")
            t(f"{name} = B{number}")


def _emptied(t: Text, s: Loops, name: str, start: int, size: tuple[int, int], row: int) -> None:
    """Let there be zeros behind the last map, if its vector is not full: what was computed there might be no number."""
    if rest := s.linear.maps % s.lanes:
        with t.block(f"for r in range({size[0]}):"), t.block(f"for v in range({size[1]}):"):
            t(f"p = {start} + r * {row} + v * {s.lanes}", f"store({name}, p, load_part({name}, p, {rest}))")


def _bordered(t: Text, s: Loops) -> None:
    """Write the border of zeros around the output."""
    rows, columns = s.out_size
    b, lanes = s.border, s.lanes
    high, wide = rows + 2 * b, columns + 2 * b
    with t.block(f"for c in range({s.slices}):"), t.block(f"for r in range({high}):"):
        t(f"p = (c * {high} + r) * {wide * lanes}")
        with t.block(f"if r < {b} or r >= {rows + b}:"), t.block(f"for v in range({wide}):"):
            t(f"store(y, p + v * {lanes}, splat(0.0))")
        with t.block("else:"), t.block(f"for v in range({b}):"):
            t(f"store(y, p + v * {lanes}, splat(0.0))", f"store(y, p + ({columns + b} + v) * {lanes}, splat(0.0))")


def _sums(t: Text, s: Loops, w: int, wide: int, source: str, taps: tuple[Taps, Taps], sizes: tuple[int, int, int, int]) -> None:
    """Add the products of all taps of all maps to a0_0 and so on, for row u and columns from v on."""
    rows, columns = taps
    height, width = s.linear.size
    vectors, inner, map_size, row_size = sizes
    if not rows.count or not columns.count:
        return
    with t.block(f"for ci in range({vectors}):"), t.repeat("kh", rows.count):
        row, column = f"u * {rows.stride} + {rows.start} + kh * {rows.each}", f"v * {columns.stride} + {columns.start}"
        t(f"xp = shift({source}, ci * {map_size} + ({row}) * {row_size} + ({column}) * {inner})")
        tap = f"((cb * {vectors} + ci) * {height} + {rows.first} + kh * {rows.step}) * {width} + {columns.first}"
        t(f"kp = shift(K, ({tap}) * {inner * wide * s.lanes})")
        # Taps side by side are one loop.
        joined = columns.step == columns.each == 1
        many = (columns.count if joined else 1) * inner
        each = _at_once(many)
        with t.repeat("kw", 1 if joined else columns.count), t.repeat("q", many // each, 0, each):
            t(f"kq = shift(kp, (kw * {columns.step * inner} + q) * {wide * s.lanes})", f"xq = shift(xp, kw * {columns.each * inner} + q)")
            for tap in range(each):
                t(*(f"w{c} = load(kq, {(tap * wide + c) * s.lanes})" for c in range(wide)))
                t(*(f"a{i}_{c} = madd(a{i}_{c}, w{c}, xq, {i * columns.stride * inner + tap})" for i in range(w) for c in range(wide)))


def _forward(s: Loops) -> str:
    t, linear, pool = Text(), s.linear, s.chain.pool
    wide = _wide(s.slices)
    with t.block("\n\ndef forward(table, first, last):"):
        forward_pointers(t, s)
        t(f"K = shift(scratch, {s.scratch['k']})")
        _packed(t, s, back=False)
        _filled(t, s, ("b", "beta", "above") if s.summed else ("b",))
        with t.block("for n in range(first, last):"):
            t(f"x = shift(x0, n * {s.in_block})", f"y = shift(y0, n * {s.out_block})", f"kept = shift(saved, n * {s.parts['end']})")
            if s.border:
                _bordered(t, s)
            with t.block(f"for cb in range({s.slices // wide}):"):
                if pool is None:
                    with t.repeat("u", linear.rows):
                        _row(t, s, wide)
                else:
                    with t.repeat("r", pool.rows):
                        with t.repeat("a", pool.size[0]):
                            t(f"u = r * {pool.size[0]} + a")
                            _row(t, s, wide)
                        with t.block(f"for c in range(cb * {wide}, cb * {wide} + {wide}):"):
                            pool_row(t, s)
            rows, columns = s.out_size
            row = (columns + 2 * s.border) * s.lanes
            _emptied(t, s, "y", (s.slices - 1) * (rows + 2 * s.border) * row + s.border * (row + s.lanes), (rows, columns), row)
    return str(t)


def _row(t: Text, s: Loops, wide: int) -> None:
    linear = s.linear
    sizes = (s.vectors_in, s.inner, s.x_map, s.x_row)
    for start, w, count in cut(linear.columns, _columns(s, linear.columns, wide)):
        with t.repeat("v", count, start, w):
            every = [(i, c) for c in range(wide) for i in range(w)]
            t(*(f"a{i}_{c} = load(b, (cb * {wide} + {c}) * {s.lanes})" for i, c in every))
            _sums(t, s, w, wide, "x", s.windows, sizes)
            kept, offset = ("kept", s.parts["y"]) if s.keeps_y else ("y", s.y_start)
            t(f"base = cb * {wide * s.y_map} + u * {s.y_row} + v * {s.lanes}")
            for i, c in every:
                place = f"base + {c * s.y_map + i * s.lanes}"
                if s.keeps_x:
                    t(f"store(kept, {place} + {s.parts['x']}, first_activation_kept(a{i}_{c}))")
                value = f"first_activation(a{i}_{c})" if s.first and not s.first.identity else f"a{i}_{c}"
                t(f"store({kept}, {place} + {offset}, {value})")


def _backward(s: Loops) -> str:
    t, linear, lanes = Text(), s.linear, s.lanes
    with t.block("\n\ndef backward(table, first, last):"):
        backward_pointers(t, s)
        t(*(f"{name} = shift(scratch, {s.scratch[part]})" for name, part in (("D", "d"), ("DK", "dk"), ("DB", "db"), ("K", "k"))))
        if s.dx:
            zero(t, "D", s.slices * s.d_map, lanes)
        if s.dx and not s.apart:
            _packed(t, s, back=True)
        zero(t, "DK", s.held_weights, lanes)
        zero(t, "DB", 3 * s.slices * lanes, lanes)
        if s.summed:
            _filled(t, s, ("beta",))
        _samples(t, s, weights=True, inputs=s.dx and not s.apart)
        for head, adds in ((f"if number(table, {at('adds')}) > 0:", True), ("else:", False)):
            with t.block(head):
                _unpacked(t, s, adds=adds)
                for number, name in enumerate(s.sums):
                    with t.block(f"for i in range({linear.maps}):"):
                        t(f"put({name}, i, {f'get({name}, i) + ' if adds else ''}get(DB, {number * s.slices * lanes} + i))")
        if s.apart:
            # The gradient of the weights has left its place to the weights; sensitivities take less time than products.
            _packed(t, s, back=True)
            _samples(t, s, weights=False, inputs=True)
    return str(t)


def _samples(t: Text, s: Loops, *, weights: bool, inputs: bool) -> None:
    """Sensitivities of every sample, and what is wanted from there."""
    with t.block("for n in range(first, last):"):
        t(f"x = shift(x0, n * {s.in_block})", f"y = shift(y0, n * {s.out_block})", f"dy = shift(dy0, n * {s.out_block})")
        t(f"kept = shift(saved, n * {s.parts['end']})")
        with t.block(f"for c in range({s.slices}):"):
            sensitivities(t, s)
        _emptied(t, s, "D", (s.slices - 1) * s.d_map + s.d_start, (s.linear.rows, s.linear.columns), s.d_row)
        if weights:
            _kernels(t, s)
        if inputs:
            t(f"dx = shift(dx0, n * {s.in_block})")
            _inputs(t, s)


def _kernels(t: Text, s: Loops) -> None:
    """Add one sample to the gradient of the weights, in the order of the packed ones."""
    linear, lanes = s.linear, s.lanes
    height, width = linear.size
    wide, (rows, columns) = _wide(s.slices), s.windows
    # Taps side by side are one row of numbers.
    apart, taps = (1, width * s.inner) if columns.each == 1 else (width, s.inner)
    vectors, many = s.vectors_in, _columns(s, taps, wide)
    near = max(1, NEAR // (linear.columns * wide * lanes))
    with t.block(f"for start in range(0, {linear.rows}, {near}):"):
        t(f"end = min(start + {near}, {linear.rows})")
        with t.block(f"for cb in range({s.slices // wide}):"), t.block(f"for ci in range({vectors}):"), t.repeat("kh", height), t.repeat("kw", apart):
            for first, w, count in cut(taps, many):
                with t.repeat("q", count, first, w):
                    every = [(i, c) for i in range(w) for c in range(wide)]
                    t(f"zp = shift(DK, ((((cb * {vectors} + ci) * {height} + kh) * {apart} + kw) * {taps} + q) * {wide * lanes})")
                    t(*(f"a{i}_{c} = load(zp, {(i * wide + c) * lanes})" for i, c in every))
                    with t.block("for oh in range(start, end):"):
                        t(f"xr = shift(x, ci * {s.x_map} + (oh * {rows.stride} + kh * {rows.each}) * {s.x_row} + kw * {columns.each * s.inner} + q)")
                        t(f"dr = shift(D, cb * {wide * s.d_map} + oh * {s.d_row} + {s.d_start})")
                        each = _at_once(linear.columns)
                        with t.repeat("v", linear.columns // each, 0, each):
                            t(f"xp = shift(xr, v * {columns.stride * s.inner})", f"dp = shift(dr, v * {lanes})")
                            for column in range(each):
                                t(*(f"d{c} = load(dp, {c * s.d_map + column * lanes})" for c in range(wide)))
                                t(*(f"a{i}_{c} = madd(a{i}_{c}, d{c}, xp, {i + column * columns.stride * s.inner})" for i, c in every))
                    t(*(f"store(zp, {(i * wide + c) * lanes}, a{i}_{c})" for i, c in every))


def _unpacked(t: Text, s: Loops, *, adds: bool) -> None:
    """Bring the gradient of the weights into the order of the weights, or add it there."""
    linear = s.linear
    kh, kw = linear.size
    wide = _wide(s.slices) * s.lanes
    t("z = 0")
    with t.repeat("m", s.slices * s.lanes // wide, 0, wide), t.repeat("o", s.vectors_in, 0, s.inner), t.repeat("r", kh), t.repeat("q", kw):
        t(f"tap = ({kh - 1} - r) * {kw} + {kw - 1} - q" if linear.flipped else f"tap = r * {kw} + q")
        with t.repeat("i", s.inner), t.repeat("j", wide):
            t(f"p = ((m + j) * {linear.maps_in} + o + i) * {kh * kw} + tap")
            with nullcontext() if s.full else t.block(f"if m + j < {linear.maps} and o + i < {linear.maps_in}:"):
                t(f"put(dk, p, {'get(dk, p) + ' if adds else ''}get(DK, z))")
            t("z += 1")


def _inputs(t: Text, s: Loops) -> None:
    """The gradient of the input, within its border, which is left as it is."""
    linear, lanes, border = s.linear, s.lanes, s.linear.padding[0]
    vectors = s.vectors_in
    wide, (down, across) = _wide(vectors), linear.stride
    with t.block(f"for cb in range({vectors // wide}):"):
        for top in range(min(down, linear.height)):
            with t.repeat("u", -(-(linear.height - top) // down)):
                for left in range(min(across, linear.width)):
                    total = -(-(linear.width - left) // across)
                    for start, w, count in cut(total, _columns(s, total, wide)):
                        with t.repeat("v", count, start, w):
                            every = [(i, c) for c in range(wide) for i in range(w)]
                            t(*(f"a{i}_{c} = splat(0.0)" for i, c in every))
                            _sums(t, s, w, wide, "D", (s.phase(0, top), s.phase(1, left)), (s.slices, lanes, s.d_map, s.d_row))
                            row, column = f"u * {down} + {top + border}", f"v * {across} + {left + border}"
                            t(f"base = cb * {wide * s.x_map} + ({row}) * {s.x_row} + ({column}) * {lanes}")
                            t(*(f"store(dx, base + {c * s.x_map + i * across * lanes}, a{i}_{c})" for i, c in every))
