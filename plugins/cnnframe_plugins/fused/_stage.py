"""Stages: chains of operations that one generated kernel runs forward, and one backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any, Final

import numpy as np

from cnnframe import Activation

from . import _simd
from ._backward import backward_source
from ._compiler import Code, Kernel, check, checked, unavailable
from ._dense import Products, dense_source
from ._expression import NotSaid, Source, activation_source, known_source
from ._forward import forward_source
from ._functions import source as functions_source
from ._geometry import DTYPES, Chain, Declined, read
from ._layout import PLAIN, Layout
from ._loops import Loops
from ._run import SERIES, Run, address
from ._table import GRADIENTS, PARAMETERS, PLACES, at
from ._wide import why_not_wide, wide_source

FEW: Final = 8
"""From this batch on, vectors go across the batch."""
MANY: Final = 32
"""From this many output maps on, vectors go across the maps."""
SHARES: Final = 4
"""Threads that a single picture is shared by, at most: each needs room of its own."""
LEAST: Final = 4
"""Lanes that a vector has at least."""
LARGEST: Final = 1 << 16
"""More weights than that are no stage's, since each has a vector of sums."""


@dataclass(frozen=True)
class Stage:
    """What a kernel is to be generated for.

    Attributes:
        ops: the operations in their order: [flatten], a convolution or dense layer, [activation], [pooling, [activation]].
        shape: of the input, with the batch first.
        dtype: "float32" or "float64".
        dx: whether the gradient of the input is wanted.
        border: rows and columns of zeros around the output that the next stage wants, where maps lie side by side.
        mode: where vectors go: "lanes" across the batch, "rows" across columns, "maps" across maps; chosen if empty.
    """

    ops: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"
    dx: bool = True
    border: int = 0
    mode: str = ""


def why_not(ops: tuple[Any, ...], shape: tuple[int, ...], dtype: str, *, hasty: bool = False) -> str | None:
    """Why no kernel can be generated for these operations; None if one can.

    In haste, activations that have not been read yet, for which SymPy is needed, are passed over.
    """
    if reason := unavailable():
        return reason
    try:
        _loops(Stage(tuple(ops), tuple(shape), dtype), known_source if hasty else activation_source)
    except (Declined, NotSaid) as error:
        return str(error)
    return None


def _hashable(stage: Stage) -> None:
    try:
        hash(stage)
    except TypeError as error:
        raise Declined(f"operations must be hashable, to be found again: {error}") from error


def _loops(stage: Stage, source: Callable[[Activation, str], Source | None] = activation_source) -> Loops | Products:
    _hashable(stage)
    if stage.dtype not in DTYPES:
        raise Declined(f"kernels are generated for {' and '.join(DTYPES)}; got {stage.dtype}")
    chain = read(stage.ops, stage.shape)
    if chain.batch < 1:
        raise Declined("an empty batch")
    first = source(chain.first, stage.dtype) if chain.first else None
    second = source(chain.second, stage.dtype) if chain.second else None
    if chain.linear.covers and chain.pool is None:
        if stage.border:
            raise Declined("only maps that lie side by side have a border")
        mode = "rows" if stage.mode == "rows" or (not stage.mode and chain.batch < FEW) else "lanes"
        return Products(chain, first, mode, _simd.width(stage.dtype), _simd.registers(), stage.dx)
    loops = Loops(chain, first, second, "maps", _simd.width(stage.dtype), _simd.registers(), stage.dx, stage.border)
    reason = why_not_wide(loops)
    if stage.mode == "maps" and reason:
        raise Declined(reason)
    small = chain.linear.weights <= LARGEST and not stage.border
    # Few pictures of few maps are read as they lie, and then what is made of them need not be turned, either; samples fill vectors that maps do not.
    better = small and (not loops.full or (chain.batch < FEW and chain.linear.maps_in < loops.lanes and _by_rows(chain)))
    if stage.mode == "maps" or (not stage.mode and reason is None and chain.linear.maps >= MANY and not better):
        return loops
    if chain.linear.weights > LARGEST:
        raise Declined(f"{chain.linear.weights} weights; at most {LARGEST}" + (f"; {reason}" if reason else ""))
    if stage.border:
        raise Declined("only maps that lie side by side have a border")
    if (stage.mode == "rows" or (not stage.mode and chain.batch < FEW)) and _by_rows(chain):
        # Half a vector takes half the room.
        half = loops.lanes // 2
        return replace(loops, mode="rows", lanes=half if half >= max(LEAST, chain.linear.columns) else loops.lanes)
    return replace(loops, mode="lanes")


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
        shares: by how many threads either can be run at once, at most.
    """

    stage: Stage
    loops: Loops | Products
    kernels: Mapping[str, Kernel]
    input_layout: Layout
    output_layout: Layout
    output: tuple[int, ...]
    saved: int
    scratch: int
    shares: int

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

    def bind_forward(self, x: Any, params: Mapping[str, Any], y: Any, saved: Any, scratch: Any, *, moved: Any = None) -> Run:
        """Settle the buffers; the result runs `forward` on them as often as it is called. Without x, it has to `take` one first.

        Parameters are read so many bytes behind where they are as the first of the two numbers `moved` says by then, and are not kept.
        """
        given = {"x": x, "y": y, "saved": saved, "scratch": scratch, **self._named(params, "")}
        return self._bound("forward", given, moved)

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
        *,
        moved: Any = None,
        adds: bool = False,
    ) -> Run:
        """Settle the buffers; the result runs `backward` on them as often as it is called.

        Parameters, and, by the second number, their gradients may have `moved`, likewise; it `adds` to these, or writes over them.
        """
        given = {"x": x, "y": y, "saved": saved, "dy": dy, "scratch": scratch, **self._named(params, ""), **self._named(dparams, "d")}
        if self.stage.dx:
            if dx is None:
                raise ValueError("a stage whose dx is wanted has to be given an array for it")
            given["dx"] = dx
        return self._bound("backward", given, moved, adds=adds)

    def _bound(self, name: str, given: Mapping[str, Any], moved: Any, *, adds: bool = False) -> Run:
        given = {place: array for place, array in given.items() if array is not None}
        self._check(given)
        table = np.zeros((self.shares, len(PLACES)), np.int64)
        for place in PLACES:
            if place in given:
                table[:, at(place)] = address(given[place])
        table[:, at("links")] = address(self._links)
        each = self.scratch // self.shares * given["scratch"].itemsize
        table[:, at("scratch")] += each * np.arange(self.shares)
        held = [array for place, array in given.items() if moved is None or place not in (*PARAMETERS, *GRADIENTS)]
        where = np.zeros(2, np.int64) if moved is None else moved
        table[:, at("moved")], table[:, at("adds")] = address(where), adds
        return Run(((self.kernels[name], address(table), self.loops.blocks),), (table, *held, where, self._links))

    def _named(self, params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        return {f"{prefix}{place}": params[name] for place, name in zip(("k", "b", "beta", "shift"), self.loops.chain.names, strict=True) if name}

    def _check(self, given: Mapping[str, Any]) -> None:
        linear = self.loops.linear
        sizes = {
            "x": self.input_layout.size(self.stage.shape),
            "y": self.output_layout.size(self.output),
            "saved": self.saved,
            "scratch": self.scratch,
            **dict.fromkeys(("k", "dk"), linear.weights),
            **dict.fromkeys(("b", "beta", "shift", "db", "dbeta", "dshift"), linear.maps),
        }
        sizes |= {"dx": sizes["x"], "dy": sizes["y"]}
        for name, array in given.items():
            if not isinstance(array, np.ndarray) or array.dtype != self.stage.dtype or not array.flags.c_contiguous or array.size < sizes[name]:
                raise ValueError(f"a stage's {name} must be a contiguous array of {self.stage.dtype} with {sizes[name]} entries or more")

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


def compile_stage(stage: Stage) -> Compiled:
    """Generate and compile the kernels of a stage, or fetch them.

    Raises:
        Declined: there is none for it; `why_not` says so beforehand.
        KernelError: it cannot be compiled.
    """
    if reason := check():
        raise Declined(reason)
    _hashable(stage)
    return _compiled(stage)


def compiled_before(stage: Stage) -> bool:
    """Whether `compile_stage` compiles nothing, since kernels are loaded or on disk."""
    if not checked():
        return False
    try:
        if not all(known_source(op, stage.dtype) for op in stage.ops if isinstance(op, Activation)):
            return False
    except NotSaid:
        # It has been found out since the stage was let through; compiling it says why.
        return False
    loops, code = _code(stage)
    return code.fetch() and SERIES.fetch() and all(layout.ready(stage.dtype) for layout in _layouts(loops, stage))


@cache
def _code(stage: Stage) -> tuple[Loops | Products, Code]:
    loops = _loops(stage)
    return loops, Code(partial(stage_source, loops, stage.dtype), ("forward", "backward"), stage.dtype, loops.lanes)


@cache
def _compiled(stage: Stage) -> Compiled:
    try:
        loops, code = _code(stage)
    except NotSaid as error:
        raise Declined(str(error)) from error
    kernels = code.build()
    SERIES.build()
    before, after = _layouts(loops, stage)
    for layout in (before, after):
        layout.prepare(stage.dtype)
    shares = min(loops.blocks, SHARES) if loops.shared else 1
    return Compiled(stage, loops, kernels, before, after, loops.chain.shape, loops.samples * loops.parts["end"], shares * loops.scratch["end"], shares)


def layouts_of(stage: Stage) -> tuple[Layout, Layout]:
    """The layouts of a stage's input and output, without compiling it; raises as `compile_stage` does."""
    # They do not depend on the activations.
    return _layouts(_loops(stage, lambda *_: None), stage)


def _layouts(loops: Loops | Products, stage: Stage) -> tuple[Layout, Layout]:
    if isinstance(loops, Loops) and loops.mode == "maps":
        return Layout("maps", loops.inner, loops.linear.padding[0]), Layout("maps", loops.lanes, stage.border)
    both = Layout("lanes", loops.lanes) if loops.mode == "lanes" else PLAIN
    return both, both


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
