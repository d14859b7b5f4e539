"""Source of a stage's backward pass: sensitivities of the convolution into scratch, map by map, then the gradients from there."""

from __future__ import annotations

from ._forward import divided, own, taps
from ._geometry import Pool
from ._loops import Loops, columns, copy_in, maps_apart, sample, zero
from ._table import at, backward_pointers, cleared
from ._text import Text, best_tile, cut


def backward_source(s: Loops) -> str:
    """The function `backward(table, first, last)`; it overwrites the gradients of the parameters with the sums over its blocks."""
    linear, t = s.linear, Text()
    with t.block("\n\ndef backward(table, first, last):"):
        backward_pointers(t, s)
        if linear.links:
            t(f"links = number(table, {at('links')})")
        t(*(f"{name} = shift(scratch, {s.scratch[part]})" for name, part in (("X", "x"), ("D", "d"), ("DK", "dk"), ("DB", "db"))))
        if s.copies:
            zero(t, "X", linear.maps_in * s.x_map, s.lanes)
        if s.dx or s.mode == "rows":
            zero(t, "D", (s.kernel_tile[0] if s.near else linear.maps) * s.d_map, s.lanes)
        if s.lane_sums:
            zero(t, "DK", linear.weights * s.lanes, s.lanes)
        biases = _own(s, linear.maps)
        cleared(t, {"dk": _own(s, linear.weights), **dict.fromkeys(s.sums, biases)})
        zero(t, "DB", 3 * linear.maps * s.lanes, s.lanes)
        with sample(t, s):
            t(f"x = shift(x0, n * {s.in_block})", f"y = shift(y0, n * {s.out_block})", f"dy = shift(dy0, n * {s.out_block})")
            t(f"kept = shift(saved, n * {s.parts['end']})")
            if s.copies:
                copy_in(t, s)
            else:
                t("X = x")
            _parameters(t, s)
            if s.dx:
                t(f"dx = shift(dx0, n * {s.in_block})")
                _input(t, s)
        if s.lane_sums:
            with t.block(f"for i in range({linear.weights}):"):
                t(f"put(dk, i, get(dk, i) + total(load(DK, i * {s.lanes})))")
        with t.block(f"for i in {biases}:"):
            for number, name in enumerate(s.sums):
                t(f"put({name}, i, get({name}, i) + total(load(DB, ({number * linear.maps} + i) * {s.lanes})))")
    return str(t)


def _own(s: Loops, count: int) -> str:
    """The range of these blocks' part of so many numbers: all, unless blocks are of output maps."""
    each = s.share * count // s.linear.maps
    return f"range(first * {each}, last * {each})" if s.shared else f"range({count})"


def _parameters(t: Text, s: Loops) -> None:
    """Sensitivities of some maps, then the gradients of the kernels that end there, while they are in cache."""
    maps, rows, width = s.kernel_tile
    with maps_apart(t, s) as (each, beginning):
        for start, some, count in cut(each, maps):
            with t.repeat("m", count, start, some):
                t(f"co = {beginning} + m")
                with t.block(f"for c in range(co, co + {some}):"):
                    sensitivities(t, s)
                _kernels(t, s, some, rows, width)


def sensitivities(t: Text, s: Loops) -> None:
    """The loss's derivative by the convolution's output, for map c, into D; and the gradients of bias, beta and shift."""
    linear, pool = s.linear, s.chain.pool
    names = ["gb", "gs", "gc"][: len(s.sums)]
    t(*(f"{name} = load(DB, ({i * s.slices} + c) * {s.lanes})" for i, name in enumerate(names)))
    if pool is None:
        with t.repeat("oh", linear.rows):
            pieces = [(0, linear.columns, s.lanes)] if s.mode != "rows" else columns(linear.columns, s.lanes)
            for start, count, lanes in pieces:
                with t.repeat("v", count, start):
                    _from(t, s, "dy", s.out_place("c", "oh", "v"), lanes, "u")
                    source, offset = ("kept", s.parts["y"]) if s.keeps_y else ("y", s.y_start)
                    t(f"base = {offset} + c * {s.y_map} + oh * {s.y_row} + v * {s.lanes}")
                    value = "u"
                    if s.first is not None and not s.first.identity:
                        value = _slope(t, s, "u", f"load({source}, base)", f"base - {offset} + {s.parts.get('x', 0)}", lanes)
                    t(
                        f"store(D, {s.d_at} + oh * {s.d_row} + {s.d_start} + v * {s.lanes * s.spread}, {value})",
                        f"gb = add(gb, {value})",
                    )
    else:
        with t.repeat("r", pool.rows):
            pieces = [(0, pool.columns, s.lanes)] if s.mode != "rows" else columns(pool.columns, s.lanes)
            for start, count, lanes in pieces:
                with t.repeat("v", count, start):
                    _unpooled(t, s, lanes)
    t(*(f"store(DB, ({i * s.slices} + c) * {s.lanes}, {name})" for i, name in enumerate(names)))


def _from(t: Text, s: Loops, source: str, place: str, lanes: int, name: str) -> None:
    t(f"{name} = load_part({source}, {place}, {lanes})" if lanes < s.lanes else f"{name} = load({source}, {place})")


def _lanes(s: Loops, value: str, lanes: int) -> str:
    """So many lanes of a vector, and zeros in others."""
    return value if lanes >= s.lanes else f"leading({value}, {lanes})" if lanes > 0 else "splat(0.0)"


def _slope(t: Text, s: Loops, value: str, y: str, x: str, lanes: int) -> str:
    """The product of a sensitivity and the first activation's derivative, in so many lanes: in others it may have no derivative."""
    reads = s.first.reads if s.first else ""
    t(f"before = load(kept, {x})" if "x" in reads else f"before = {value}", f"after = {y}" if "y" in reads else f"after = {value}")
    t(f"s_ = {_lanes(s, f'mul({value}, first_activation_slope(before, after))', lanes)}")
    return "s_"


def _unpooled(t: Text, s: Loops, lanes: int) -> None:
    """Back through one vector of windows: second activation, scale and shift, window, first activation."""
    pool = s.chain.pool
    if pool is None:
        return
    height, width = pool.size
    place = s.out_place("c", "r", "v")
    _from(t, s, "dy", place, lanes, "u")
    if s.second is not None and not s.second.identity:
        t("before = u", "after = u")
        if "y" in s.second.reads:
            _from(t, s, "y", place, lanes, "after")
        if "x" in s.second.reads:
            t(f"before = load(kept, {s.parts['u']} + ((c * {pool.rows} + r) * {s.pooled_vectors} + v) * {s.lanes})")
        t(f"u = {_lanes(s, 'mul(u, second_activation_slope(before, after))', lanes)}")
    t(f"base = c * {s.y_map} + r * {height * s.y_row} + v * {width * s.lanes}")
    names = taps(t, s, f"{s.parts['y']} + base") if pool.kind in ("sum", "max") or s.mode != "rows" else []
    if pool.kind == "sum":
        t(f"d = {names[0]}", *(f"d = add(d, {name})" for name in names[1:]))
        t("gc = add(gc, u)", f"gs = fma(u, {_lanes(s, 'd', lanes)}, gs)", f"u = mul(u, {own(s, 'beta')})")
    elif pool.kind == "mean":
        t(f"u = {divided('u', pool.area)}")
    else:
        t(f"top = {names[0]}", "chosen = splat(0.0)")
        for number, name in enumerate(names[1:], start=1):
            t(f"better = both(never(le({name}, top)), eq(top, top))")
            t(f"top = select(better, {name}, top)", f"chosen = select(better, splat({float(number)!r}), chosen)")
    _spread_out(t, s, pool, lanes, read=bool(names))


def _spread_out(t: Text, s: Loops, pool: Pool, lanes: int, *, read: bool) -> None:
    """One vector of windows' sensitivities, in so many lanes, to the entries of the windows; `read` says whether those are loaded."""
    height, width = pool.size
    flat = s.first is None or s.first.identity
    for a in range(height):
        parts = [f"select(eq(chosen, splat({float(a * width + b)!r})), u, splat(0.0))" if pool.kind == "max" else "u" for b in range(width)]
        if s.mode == "rows" and width == 2:
            t(f"e0 = {parts[0]}", f"e1 = {parts[1]}")
            parts = ["zip_low(e0, e1)", "zip_high(e0, e1)"]
        for b in range(width):
            known = f"p{a}_{b}" if s.mode != "rows" or width == 1 else f"load(kept, {s.parts['y']} + base + {a * s.y_row + b * s.lanes})"
            if s.mode == "rows" and width == 1 and not read:
                known = f"load(kept, {s.parts['y']} + base + {a * s.y_row})"
            t(f"e = {parts[b]}")
            # In rows windows lie side by side in the entries, else entries of one window in vectors of their own.
            some = width * lanes - b * s.lanes if s.mode == "rows" else lanes
            value = "e" if flat else _slope(t, s, "e", known, f"{s.parts.get('x', 0)} + base + {a * s.y_row + b * s.lanes}", some)
            column = f"(v * {width} + {b}) * {s.lanes * s.spread}"
            t(
                f"store(D, {s.d_at} + (r * {height} + {a}) * {s.d_row} + {s.d_start} + {column}, {value})",
                f"gb = add(gb, {value})",
            )


def _kernels(t: Text, s: Loops, maps: int, rows: int, width: int) -> None:
    """The gradient of the kernels that end in `maps` maps from co on."""
    linear = s.linear
    kh, kw = linear.size
    area = kh * kw
    head = "for l in range(number(links, co), number(links, co + 1)):" if linear.links else f"for i in range({linear.fan}):"
    with t.block(head):
        if linear.links:
            t(f"ci = number(links, 2 * l + {linear.maps + 1})", f"w0 = number(links, 2 * l + {linear.maps + 2}) * {area}")
        else:
            t(f"ci = g * {linear.fan} + i", f"w0 = (co * {linear.fan} + i) * {area}")
        for row, high, count in cut(kh, rows):
            with t.repeat("kh", count, row, high):
                for column, wide, times in cut(kw, width):
                    with t.repeat("kw", times, column, wide):
                        _kernel_sums(t, s, maps, high, wide)


def _kernel_sums(t: Text, s: Loops, maps: int, high: int, wide: int) -> None:
    linear = s.linear
    kh, kw = linear.size
    area = kh * kw
    every = [(j, r, q) for j in range(maps) for r in range(high) for q in range(wide)]
    # Kernels that are stored the other way round run backwards.
    sign = -1 if linear.flipped else 1
    t(f"z = w0 + ({kh - 1} - kh) * {kw} + {kw - 1} - kw" if linear.flipped else f"z = w0 + kh * {kw} + kw")
    place = {(j, r, q): j * linear.fan * area + sign * (r * kw + q) for j, r, q in every}
    if s.lane_sums:
        t(f"zp = shift(DK, z * {s.lanes})", *(f"a{j}_{r}_{q} = load(zp, {place[j, r, q] * s.lanes})" for j, r, q in every))
    else:
        t(*(f"a{j}_{r}_{q} = splat(0.0)" for j, r, q in every))
    with t.repeat("oh", linear.rows):
        t(f"o = {'0' if s.near else f'co * {s.d_map}'} + oh * {s.d_row} + {s.left * s.step}")
        t(f"p = ci * {s.x_map} + (oh * {linear.stride[0]} + kh * {linear.dilation[0]}) * {s.x_row} + kw * {linear.dilation[1] * s.step}")
        with t.repeat("v", s.vectors):
            t(f"dp = shift(D, o + v * {s.lanes * s.spread})", f"xp = shift(X, p + v * {s.lanes * linear.stride[1]})")
            t(*(f"d{j} = load(dp, {j * s.d_map})" for j in range(maps)))
            for r in range(high):
                for q in range(wide):
                    offset = r * linear.dilation[0] * s.x_row + q * linear.dilation[1] * s.step
                    t(*(f"a{j}_{r}_{q} = madd_load(a{j}_{r}_{q}, d{j}, xp, {offset})" for j in range(maps)))
    if s.lane_sums:
        t(*(f"store(zp, {place[j, r, q] * s.lanes}, a{j}_{r}_{q})" for j, r, q in every))
    else:
        t(*(f"put(dk, z + {place[j, r, q]}, get(dk, z + {place[j, r, q]}) + total(a{j}_{r}_{q}))" for j, r, q in every))


def _input(t: Text, s: Loops) -> None:
    """The gradient of the input, from the sensitivities between their borders of zeros."""
    linear = s.linear
    groups = 1 if linear.links else linear.maps_in // linear.fan
    fan = linear.maps_in if linear.links else linear.fan
    wide, many = best_tile(s.input_vectors, 1 if linear.links else fan, s.registers)
    with t.repeat("g", groups):
        for start, maps, count in cut(fan, many):
            with t.repeat("m", count, start, maps), t.repeat("ih", linear.height):
                for first, w, times in s.pieces(s.input_vectors, wide, linear.width):
                    with t.repeat("v", times, first, w):
                        _input_tile(t, s, w, maps, groups, last=first + w * times == s.input_vectors)


def _input_tile(t: Text, s: Loops, w: int, maps: int, groups: int, *, last: bool) -> None:
    linear = s.linear
    kh, kw = linear.size
    area = kh * kw
    every = [(i, j) for j in range(maps) for i in range(w)]
    each = linear.maps // groups
    fan = linear.maps_in if linear.links else linear.fan
    t(*(f"a{i}_{j} = splat(0.0)" for i, j in every))
    # The kernel's columns that meet a sensitivity, which only borders of zeros would meet outside.
    dilation, reach = linear.dilation[1], (linear.columns - 1) * s.spread + 1
    t(f"low = max(0, (v * {s.span} + {linear.padding[1] + dilation - reach}) // {dilation})")
    t(f"high = min({kw}, (v * {s.span} + {w * s.span - 1 + linear.padding[1]}) // {dilation} + 1)")
    # The links again, by input map: behind those by output map.
    behind = linear.maps + 1 + 2 * sum(map(len, linear.links))
    head = f"for l in range(number(links, m + {behind}), number(links, m + {behind + 1})):" if linear.links else f"for j in range({each}):"
    with t.block(head):
        if linear.links:
            t(*(f"{name} = number(links, 2 * l + {behind + linear.maps_in + 1 + i})" for i, name in enumerate(("co", "place"))), f"w0 = place * {area}")
        else:
            t(f"co = g * {each} + j", f"w0 = (co * {fan} + m) * {area}")
        with t.repeat("kh", kh):
            t(f"row = ih + {linear.padding[0]} - kh * {linear.dilation[0]}")
            stride = linear.stride[0]
            inside = f"row >= 0 and row < {linear.rows}" if stride == 1 else f"row >= 0 and row % {stride} == 0 and row // {stride} < {linear.rows}"
            with t.block(f"if {inside}:"):
                over = "row" if stride == 1 else f"row // {stride}"
                t(f"dp = shift(D, co * {s.d_map} + {over} * {s.d_row} + {(s.left + linear.padding[1]) * s.step} + v * {s.lanes})")
                t(f"kp = shift(k, w0 + {f'({kh - 1} - kh)' if linear.flipped else 'kh'} * {kw})")
                with t.block("for kw in range(low, high):"):
                    t(f"dq = shift(dp, -kw * {linear.dilation[1] * s.step})", f"kq = shift(kp, {f'{kw - 1} - kw' if linear.flipped else 'kw'})")
                    t(*(f"vx{i} = load(dq, {i * s.lanes})" for i in range(w)))
                    t(*(f"a{i}_{j} = madd(a{i}_{j}, vx{i}, kq, {j * area})" for i, j in every))
    row = linear.width * s.step
    for i, j in every:
        place = f"((g * {fan} + m + {j}) * {linear.height} + ih) * {row} + (v + {i}) * {s.lanes}"
        part = linear.width % s.span
        # Where the last vector of a row is not full, the last tile is one of its own.
        t(f"store_part(dx, {place}, a{i}_{j}, {part})" if part and last and i == w - 1 else f"store(dx, {place}, a{i}_{j})")
