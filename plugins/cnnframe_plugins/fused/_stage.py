"""Stages: chains of operations that one generated kernel runs forward, and one backward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Final

import numpy as np

from . import _simd
from ._backward import backward_source
from ._compiler import Kernel, build, unavailable
from ._dense import Products, dense_source
from ._expression import NotSaid, Source, activation_source
from ._forward import forward_source
from ._functions import source as functions_source
from ._geometry import DTYPES, Chain, Declined, read
from ._layout import PLAIN, Layout, address
from ._loops import PLACES, Loops, at
from ._pool import Call, Run
from ._wide import why_not_wide, wide_source

FEW: Final = 8
"""From this batch on, vectors go across the batch."""
MANY: Final = 32
"""From this many output maps on, vectors go across the maps."""
LARGEST: Final = 1 << 16
"""More weights than that are no stage's, since each has a vector of sums."""


@dataclass(frozen=True)
class Stage:
    """What a kernel is to be generated for.

    Attributes:
        ops: the operations in their order: [flatten], a convolution or dense layer, [activation], [pooling, [activation]].
        shape: of the input, with the batch first.
        dtype: "float32" or "float64".
        threads: how many threads share the blocks, each with sums of its own.
        dx: whether the gradient of the input is wanted.
        border: rows and columns of zeros around the output that the next stage wants, where maps lie side by side.
        mode: where vectors go: "lanes" across the batch, "rows" across columns, "maps" across maps; chosen if empty.
    """

    ops: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"
    threads: int = 1
    dx: bool = True
    border: int = 0
    mode: str = ""


def why_not(ops: tuple[Any, ...], shape: tuple[int, ...], dtype: str) -> str | None:
    """Why no kernel can be generated for these operations; None if one can."""
    if reason := unavailable():
        return reason
    try:
        _loops(Stage(tuple(ops), tuple(shape), dtype))
    except (Declined, NotSaid) as error:
        return str(error)
    return None


def _hashable(stage: Stage) -> None:
    try:
        hash(stage)
    except TypeError as error:
        raise Declined(f"operations must be hashable, to be found again: {error}") from error


def _loops(stage: Stage) -> Loops | Products:
    _hashable(stage)
    if stage.dtype not in DTYPES:
        raise Declined(f"kernels are generated for {' and '.join(DTYPES)}; got {stage.dtype}")
    chain = read(stage.ops, stage.shape)
    if chain.batch < 1:
        raise Declined("an empty batch")
    first = activation_source(chain.first, stage.dtype) if chain.first else None
    second = activation_source(chain.second, stage.dtype) if chain.second else None
    if chain.linear.covers and chain.pool is None:
        if stage.border:
            raise Declined("only maps that lie side by side have a border")
        mode = "rows" if stage.mode == "rows" or (not stage.mode and chain.batch < FEW) else "lanes"
        return Products(chain, first, mode, _simd.width(stage.dtype), _simd.registers(), stage.dx)
    loops = Loops(chain, first, second, "maps", _simd.width(stage.dtype), _simd.registers(), stage.dx, stage.border)
    reason = why_not_wide(loops)
    if stage.mode == "maps" and reason:
        raise Declined(reason)
    if stage.mode == "maps" or (not stage.mode and reason is None and chain.linear.maps >= MANY):
        return loops
    if chain.linear.weights > LARGEST:
        raise Declined(f"{chain.linear.weights} weights; at most {LARGEST}" + (f"; {reason}" if reason else ""))
    if stage.border:
        raise Declined("only maps that lie side by side have a border")
    rows = stage.mode == "rows" or (not stage.mode and chain.batch < FEW)
    return replace(loops, mode="rows" if rows and _by_rows(chain) else "lanes")


def _by_rows(chain: Chain) -> bool:
    """Whether vectors can go across columns."""
    return chain.linear.stride[1] == 1 and (chain.pool is None or chain.pool.size[1] <= 2)


@dataclass(frozen=True)
class Compiled:
    """A stage that can run; it holds no arrays but constants.

    Parameters go by "<position in the chain>.<name>": "0.k", "0.b", "2.beta", "2.b". Arrays are contiguous, of the
    stage's element type, and written only where it says so; all others may be read-only.

    Attributes:
        stage: what it was compiled for.
        input_layout: the layout of x and dx, as flat arrays.
        output_layout: that of y and dy.
        output: the shape of the output.
        saved: how many numbers `forward` keeps for `backward`.
        scratch: how many numbers either needs while it runs; a longer array is as good.
        shards: among how many threads the blocks are shared.
    """

    stage: Stage
    loops: Loops | Products
    kernels: Mapping[str, Kernel]
    input_layout: Layout
    output_layout: Layout
    output: tuple[int, ...]
    saved: int
    scratch: int
    shards: int

    @property
    def sums(self) -> int:
        """How many numbers the gradients of all shards but the first take."""
        return (self.shards - 1) * sum(self.parameters.values())

    @property
    def parameters(self) -> dict[str, int]:
        """The names of the parameters, and how many numbers each has."""
        linear = self.loops.linear
        sizes = (linear.weights, linear.maps, linear.maps, linear.maps)
        return {name: size for name, size in zip(self.loops.chain.names, sizes, strict=True) if name}

    def forward(self, x: Any, params: Mapping[str, Any], y: Any, saved: Any, scratch: Any) -> None:
        """Write y, and what `backward` needs into `saved`."""
        self.bind_forward(x, params, y, saved, scratch)()

    def backward(self, dy: Any, x: Any, y: Any, params: Mapping[str, Any], saved: Any, dx: Any | None, dparams: Mapping[str, Any], scratch: Any) -> None:
        """Write dx, if it is wanted, and the gradients of the parameters."""
        self.bind_backward(dy, x, y, params, saved, dx, dparams, scratch)()

    def bind_forward(self, x: Any, params: Mapping[str, Any], y: Any, saved: Any, scratch: Any) -> Run:
        """Settle the buffers; the result runs `forward` on them as often as it is called."""
        given = {"x": x, "y": y, "saved": saved, **self._named(params, "")}
        self._check(given, scratch)
        tables = self._tables(given, scratch)
        return Run(self._shared("forward", tables), (), (tables, *given.values(), scratch, self._links))

    def bind_backward(
        self,
        dy: Any,
        x: Any,
        y: Any,
        params: Mapping[str, Any],
        saved: Any,
        dx: Any | None,
        dparams: Mapping[str, Any],
        scratch: Any,
        sums: Any | None = None,
    ) -> Run:
        """Settle the buffers; the result runs `backward` on them as often as it is called.

        Shards but the first sum into `sums`, which must stay untouched until the run, or the join it goes into, has
        ended; where it is left out, the run has its own.
        """
        gradients = self._named(dparams, "d")
        given = {"x": x, "y": y, "saved": saved, "dy": dy, **self._named(params, ""), **gradients}
        given["sums"] = np.empty(self.sums, self.stage.dtype) if sums is None else sums
        if self.stage.dx:
            given["dx"] = dx
        self._check(given, scratch)
        tables = self._tables(given, scratch)
        held = (tables, *given.values(), scratch, self._links)
        if self.shards == 1:
            return Run(self._shared("backward", tables), (), held)
        # The first shard sums where the gradients go; those of the others are added in their order.
        size, start, each = np.dtype(self.stage.dtype).itemsize, address(given["sums"]), sum(self.parameters.values())
        rows, offset = [], 0
        for name, array in gradients.items():
            tables[1:, at(name)] = [start + (shard * each + offset) * size for shard in range(self.shards - 1)]
            rows.append((address(array), start + offset * size, array.size, each, self.shards - 1))
            offset += array.size
        added = np.array(rows, np.int64)
        after = ((_adder(self.stage.dtype, self.loops.lanes), address(added), 0, len(rows)),)
        return Run(self._shared("backward", tables), after, (*held, added))

    def _named(self, params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {f"{prefix}{place}": params[name] for place, name in zip(("k", "b", "beta", "shift"), self.loops.chain.names, strict=True) if name}

    def _check(self, given: Mapping[str, Any], scratch: Any) -> None:
        sizes = {
            "x": self.input_layout.size(self.stage.shape),
            "y": self.output_layout.size(self.output),
            "saved": self.saved,
            "scratch": self.scratch,
            "sums": self.sums,
            **{p: n for places in (("k", "b", "beta", "shift"), ("dk", "db", "dbeta", "dshift")) for p, n in zip(places, self._sizes, strict=True)},
        }
        sizes |= {"dx": sizes["x"], "dy": sizes["y"]}
        for name, array in {**given, "scratch": scratch}.items():
            if not isinstance(array, np.ndarray) or array.dtype != self.stage.dtype or not array.flags.c_contiguous or array.size < sizes[name]:
                raise ValueError(f"a stage's {name} must be a contiguous array of {self.stage.dtype} with {sizes[name]} entries or more")

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        linear = self.loops.linear
        return linear.weights, linear.maps, linear.maps, linear.maps

    def _tables(self, given: Mapping[str, Any], scratch: Any) -> Any:
        """A table of addresses for each shard."""
        tables = np.zeros((self.shards, len(PLACES)), np.int64)
        for name in PLACES:
            if name in given:
                tables[:, at(name)] = address(given[name])
        # Each shard has its part of the scratch, whatever the stage: joined stages do not wait for each other.
        part = scratch.size // self.shards // 16 * 16
        tables[:, at("scratch")] = address(scratch) + np.arange(self.shards) * part * np.dtype(self.stage.dtype).itemsize
        tables[:, at("links")] = address(self._links)
        return tables

    def _shared(self, name: str, tables: Any) -> tuple[tuple[Call, ...], ...]:
        blocks = _blocks(self.loops)
        start, row = address(tables), tables.strides[0]
        cuts = [shard * blocks // self.shards for shard in range(self.shards + 1)]
        return tuple(((self.kernels[name], start + shard * row, cuts[shard], cuts[shard + 1]),) for shard in range(self.shards))

    @cached_property
    def _links(self) -> Any:
        """The table of links as numbers: starts and (input map, kernel) by output map, starts and (output map, kernel) by input map."""
        linear = self.loops.linear
        behind: list[list[tuple[int, int]]] = [[] for _ in range(linear.maps_in)]
        for target, fan in enumerate(linear.links):
            for source, place in fan:
                behind[source].append((target, place))
        numbers: list[int] = []
        for table in (linear.links, behind) if linear.links else ():
            starts = np.cumsum([0, *map(len, table)]).tolist()
            numbers += [*starts, *(number for fan in table for pair in fan for number in pair)]
        return np.array(numbers or [0], np.int64)


_ADDER: Final = """

def add_shards(table, first, last):
    for row in range(first, last):
        place = table + 40 * row
        target, source = pointer(place, 0), pointer(place, 1)
        count, stride, shards = number(place, 2), number(place, 3), number(place, 4)
        whole = count - count % {lanes}
        for i in range(0, whole, {lanes}):
            s = load(target, i)
            for shard in range(shards):
                s = add(s, load(source, shard * stride + i))
            store(target, i, s)
        for i in range(whole, count):
            r = get(target, i)
            for shard in range(shards):
                r += get(source, shard * stride + i)
            put(target, i, r)
"""


def _adder(dtype: str, lanes: int) -> Kernel:
    return build(_ADDER.format(lanes=lanes), ("add_shards",), dtype, lanes)["add_shards"]


def compile_stage(stage: Stage) -> Compiled:
    """Generate and compile the kernels of a stage, or fetch them.

    Raises:
        Declined: there is none for it; `why_not` says so beforehand.
        KernelError: it cannot be compiled.
    """
    if reason := unavailable():
        raise Declined(reason)
    _hashable(stage)
    return _compiled(stage)


@cache
def _compiled(stage: Stage) -> Compiled:
    try:
        loops = _loops(stage)
    except NotSaid as error:
        raise Declined(str(error)) from error
    body = stage_source(loops, stage.dtype)
    kernels = build(body, ("forward", "backward"), stage.dtype, loops.lanes)
    blocks = _blocks(loops)
    shards = max(1, min(stage.threads, blocks))
    before, after = _layouts(loops, stage)
    private = -(-loops.scratch["end"] // 16) * 16
    return Compiled(stage, loops, kernels, before, after, loops.chain.shape, blocks * loops.parts["end"], shards * private, shards)


def layouts_of(stage: Stage) -> tuple[Layout, Layout]:
    """The layouts of a stage's input and output, without compiling it; raises as `compile_stage` does."""
    return _layouts(_loops(stage), stage)


def _layouts(loops: Loops | Products, stage: Stage) -> tuple[Layout, Layout]:
    if isinstance(loops, Loops) and loops.mode == "maps":
        return Layout("maps", loops.inner, loops.linear.padding[0]), Layout("maps", loops.lanes, stage.border)
    both = Layout("lanes", loops.lanes) if loops.mode == "lanes" else PLAIN
    return both, both


def _blocks(loops: Loops | Products) -> int:
    """Into how many blocks the batch falls: of as many samples as there are lanes, or of one."""
    return -(-loops.chain.batch // (loops.lanes if loops.mode == "lanes" else 1))


def stage_source(loops: Loops | Products, dtype: str) -> str:
    """The source text of a stage's kernels, less the head that brings in the vectors."""
    found: list[tuple[str, Source]] = [(name, s) for name, s in (("first_activation", loops.first), ("second_activation", loops.second)) if s is not None]
    calls = frozenset(name for _, s in found for name in s.calls)
    parts = [functions_source(calls, dtype), *(s.functions(name) for name, s in found if not s.identity)]
    if isinstance(loops, Products):
        passes = [dense_source(loops)]
    else:
        passes = [wide_source(loops)] if loops.mode == "maps" else [forward_source(loops), backward_source(loops)]
    return "\n".join([*parts, *passes])
