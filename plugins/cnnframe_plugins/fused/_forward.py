"""Source of a stage's forward pass: convolution or dense layer, bias, activation, pooling, activation, in one pass over a block."""

from __future__ import annotations

from ._loops import Loops, columns, copy_in, maps_apart, sample, zero
from ._table import at, forward_pointers
from ._text import Text, cut


def forward_source(s: Loops) -> str:
    """The function `forward(table, first, last)`, for blocks from first to last - 1."""
    linear, t = s.linear, Text()
    with t.block("\n\ndef forward(table, first, last):"):
        forward_pointers(t, s)
        if linear.links:
            t(f"links = number(table, {at('links')})")
        if s.passes:
            t(f"rows = shift(scratch, {s.scratch['y']})")
        if s.copies:
            t(f"X = shift(scratch, {s.scratch['x']})")
            zero(t, "X", linear.maps_in * s.x_map, s.lanes)
        with sample(t, s):
            t(f"x = shift(x0, n * {s.in_block})", f"y = shift(y0, n * {s.out_block})", f"kept = shift(saved, n * {s.parts['end']})")
            if s.copies:
                copy_in(t, s)
            else:
                t("X = x")
            _blocks(t, s)
    return str(t)


def _blocks(t: Text, s: Loops) -> None:
    """All tiles of maps: the rows that a pooling window needs, then the pooling, while they are in cache."""
    linear, pool = s.linear, s.chain.pool
    with maps_apart(t, s) as (each, beginning):
        wide, many = s.tile(s.vectors, each)
        for start, maps, count in cut(each, many):
            with t.repeat("m", count, start, maps):
                t(f"co = {beginning} + m")
                if pool is None:
                    with t.repeat("oh", linear.rows):
                        _row(t, s, wide, maps)
                        if s.mode == "rows":
                            _copy_out(t, s, maps)
                else:
                    with t.repeat("r", pool.rows):
                        with t.repeat("a", pool.size[0]):
                            t(f"oh = r * {pool.size[0]} + a")
                            _row(t, s, wide, maps)
                        with t.block(f"for c in range(co, co + {maps}):"):
                            pool_row(t, s)


def _row(t: Text, s: Loops, wide: int, maps: int) -> None:
    for start, w, count in cut(s.vectors, wide):
        with t.repeat("v", count, start, w):
            _tile(t, s, w, maps)
    spare = s.y_row - s.vectors * s.lanes
    if s.mode == "rows" and spare:
        # Read as windows past the end of a row, whose sensitivities are zero.
        with t.block(f"for c in range(co, co + {maps}):"):
            for part in ("y", "x"):
                if part in s.parts:
                    with t.repeat("e", spare // s.lanes, s.vectors * s.lanes, s.lanes):
                        t(f"store(kept, {s.parts[part]} + c * {s.y_map} + oh * {s.y_row} + e, splat(0.0))")


def _tile(t: Text, s: Loops, w: int, maps: int) -> None:
    """Sums of w vectors by `maps` maps in registers, and the activation."""
    linear = s.linear
    kh, kw = linear.size
    area = kh * kw
    every = [(i, j) for j in range(maps) for i in range(w)]
    t(*(f"a{i}_{j} = spread(b, co + {j})" for i, j in every))
    head = "for l in range(number(links, co), number(links, co + 1)):" if linear.links else f"for i in range({linear.fan}):"
    with t.block(head):
        if linear.links:
            t(f"ci = number(links, 2 * l + {linear.maps + 1})", f"w0 = number(links, 2 * l + {linear.maps + 2}) * {area}")
        else:
            t(f"ci = g * {linear.fan} + i", f"w0 = (co * {linear.fan} + i) * {area}")
        with t.repeat("kh", kh):
            t(f"xp = shift(X, ci * {s.x_map} + (oh * {linear.stride[0]} + kh * {linear.dilation[0]}) * {s.x_row} + v * {s.lanes * linear.stride[1]})")
            t(f"kp = shift(k, w0 + {f'({kh - 1} - kh)' if linear.flipped else 'kh'} * {kw})")
            # LLVM unrolls this loop, and keeps what neighbouring columns share in registers.
            with t.block(f"for kw in range({kw}):"):
                t(f"xq = shift(xp, kw * {linear.dilation[1] * s.step})", f"kq = shift(kp, {f'{kw - 1} - kw' if linear.flipped else 'kw'})")
                t(*(f"vx{i} = load(xq, {i * s.lanes * linear.stride[1]})" for i in range(w)))
                t(*(f"a{i}_{j} = madd(a{i}_{j}, vx{i}, kq, {j * linear.fan * area})" for i, j in every))
    kept = "kept" if s.keeps_y else "rows" if s.passes else "y"
    offset = s.parts.get("y", 0)
    for i, j in every:
        place = f"(co + {j}) * {s.y_row} + (v + {i}) * {s.lanes}" if s.passes else f"{offset} + (co + {j}) * {s.y_map} + oh * {s.y_row} + (v + {i}) * {s.lanes}"
        if s.keeps_x:
            t(f"store(kept, {s.parts['x']} + (co + {j}) * {s.y_map} + oh * {s.y_row} + (v + {i}) * {s.lanes}, first_activation_kept(a{i}_{j}))")
        t(f"store({kept}, {place}, {f'first_activation(a{i}_{j})' if s.first and not s.first.identity else f'a{i}_{j}'})")


def _copy_out(t: Text, s: Loops, maps: int) -> None:
    """Rows of the output as they lie in memory, without the last vector's spare lanes."""
    total = s.linear.columns
    with t.block(f"for c in range(co, co + {maps}):"):
        t(f"p = c * {s.y_row}" if s.passes else f"p = c * {s.y_map} + oh * {s.y_row}", f"q = (c * {s.linear.rows} + oh) * {total}")
        for start, count, lanes in columns(total, s.lanes):
            with t.repeat("e", count, start * s.lanes, s.lanes):
                row = f"load({'rows' if s.passes else 'kept'}, p + e)"
                t(f"store_part(y, q + e, {row}, {lanes})" if lanes < s.lanes else f"store(y, q + e, {row})")


def taps(t: Text, s: Loops, base: str) -> list[str]:
    """Load the entries of the pooling windows of one vector, row by row; `base` is the offset of the first in `kept`."""
    pool = s.chain.pool
    names: list[str] = []
    if pool is None:
        return names
    height, width = pool.size
    for a in range(height):
        if s.mode != "rows" or width == 1:
            for b in range(width):
                names.append(f"p{a}_{b}")
                t(f"p{a}_{b} = load(kept, {base} + {a * s.y_row + b * s.lanes})")
        else:
            t(f"left = load(kept, {base} + {a * s.y_row})", f"right = load(kept, {base} + {a * s.y_row + s.lanes})")
            t(f"p{a}_0 = evens(left, right)", f"p{a}_1 = odds(left, right)")
            names += [f"p{a}_0", f"p{a}_1"]
    return names


def own(s: Loops, name: str) -> str:
    """A parameter of map c, or of a vector of maps."""
    return f"load({name}, c * {s.lanes})" if s.mode == "maps" else f"spread({name}, c)"


def divided(name: str, area: int) -> str:
    """A vector divided by a whole number."""
    return f"mul({name}, splat({1 / area!r}))" if area & (area - 1) == 0 else f"div({name}, splat({float(area)!r}))"


def pool_row(t: Text, s: Loops) -> None:
    """One row of windows of map c."""
    pool = s.chain.pool
    if pool is None:
        return
    pieces = [(0, pool.columns, s.lanes)] if s.mode != "rows" else columns(pool.columns, s.lanes)
    for start, count, lanes in pieces:
        with t.repeat("v", count, start):
            t(f"base = {s.parts['y']} + c * {s.y_map} + r * {pool.size[0] * s.y_row} + v * {pool.size[1] * s.lanes}")
            names = taps(t, s, "base")
            t(f"u = {names[0]}")
            for name in names[1:]:
                if pool.kind == "max":
                    # Larger, or the first NaN: nothing replaces one.
                    t(f"u = select(both(never(le({name}, u)), eq(u, u)), {name}, u)")
                else:
                    t(f"u = add(u, {name})")
            if pool.kind == "mean":
                t(f"u = {divided('u', pool.area)}")
            if pool.kind == "sum":
                t(f"u = fma({own(s, 'beta')}, u, {own(s, 'above')})")
            if s.keeps_u:
                t(f"store(kept, {s.parts['u']} + ((c * {pool.rows} + r) * {s.pooled_vectors} + v) * {s.lanes}, second_activation_kept(u))")
            if s.second is not None and not s.second.identity:
                t("u = second_activation(u)")
            place = s.out_place("c", "r", "v")
            t(f"store_part(y, {place}, u, {lanes})" if lanes < s.lanes else f"store(y, {place}, u)")
