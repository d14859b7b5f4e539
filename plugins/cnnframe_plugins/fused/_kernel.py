"""Fused stages as a kernel that a planner can choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from cnnframe import PLAIN, Activation, Array, Arrays, Buffer, Call, Chain, Kernel, MemoryLayout, Op

from ..conv import Conv, ConvLinked
from ..dense import Dense
from ..joins import Flatten
from ..pooling import MaxPool, MeanPool
from ..subsample import Subsample
from ._compiler import KernelError, unavailable
from ._geometry import Declined
from ._layout import Layout
from ._run import Run
from ._stage import MANY, Compiled, Stage, compile_stage, compiled_before, layouts_of, why_not


class Side(MemoryLayout):
    """Samples or maps side by side, as a flat array; see `Layout`."""

    def __init__(self, layout: Layout) -> None:
        """Name it by its kind, its width and its border."""
        self.layout = layout
        self.together = layout.lanes if layout.kind == "lanes" else 1
        self.name = f"{layout.kind}_{layout.lanes}" + (f"_border_{layout.border}" if layout.border else "")

    def shape(self, plain: tuple[int, ...]) -> tuple[int, ...]:
        """As many entries as it takes."""
        return (self.layout.size(plain),)

    def pack(self, plain: Array, out: Array) -> None:
        """Copy; samples beyond the batch repeat its last one."""
        self.layout.pack(plain, out)

    def pack_gradient(self, plain: Array, out: Array) -> None:
        """Copy; what lies beyond the batch, and in the border, is 0."""
        self.layout.pack(plain, out, gradient=True)

    def unpack(self, packed: Array, out: Array) -> None:
        """Copy the samples that there are."""
        self.layout.unpack(packed, out)

    def packing(self, plain: Array, out: Array, *, gradient: bool = False) -> Call:
        """Machine code, where squares can be turned."""
        return self.layout.bound("pack", plain, out, gradient=gradient) if self.layout.turns else super().packing(plain, out, gradient=gradient)

    def unpacking(self, packed: Array, out: Array) -> Call:
        """Machine code, likewise."""
        return self.layout.bound("unpack", out, packed) if self.layout.turns else super().unpacking(packed, out)

    def reaches(self, wanted: MemoryLayout) -> bool:
        """Where as many maps lie side by side, between other borders."""
        return isinstance(wanted, Side) and self.layout.kind == wanted.layout.kind == "maps" and self.layout.lanes == wanted.layout.lanes

    def rearranging(self, packed: Array, out: Array, wanted: MemoryLayout, plain: tuple[int, ...]) -> Call:
        """Copy the maps, with zeros around them."""
        if not isinstance(wanted, Side):
            raise TypeError(wanted)
        return self.layout.moved(packed, wanted.layout, out, plain)


class FusedKernel(Kernel):
    """Machine code for [flatten], a convolution or dense layer, [activation], [pooling, [activation]]."""

    name = "fused"
    backend = "numba"
    rank = 50
    tiles = True
    compiles = True
    replaces = True
    follows = True
    products = False

    @classmethod
    def unavailable(cls) -> str:
        """Whether Numba is there, and does what is expected of it."""
        return unavailable() or ""

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """The longest chain of that form."""
        rest = list(ops)
        start = len(rest)

        def skip(*kinds: type[Op]) -> bool:
            # Of a layer its own class alone: another may compute something else. Of an activation its expression counts.
            found = bool(rest) and (type(rest[0]) in kinds or (Activation in kinds and _by_expression(rest[0])))
            if found:
                del rest[0]
            return found

        skip(Flatten)
        if not skip(Conv, ConvLinked, Dense):
            return 0
        skip(Activation)
        if skip(Subsample, MeanPool, MaxPool):
            skip(Activation)
        return start - len(rest)

    @classmethod
    def declines(cls, chain: Chain) -> str:
        """Why no code is generated, as far as it can be told without SymPy; `prepare` says the rest."""
        return why_not(chain.ops, _input(chain), chain.dtype.name, hasty=True) or ""

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # it has its own
        """Samples or maps side by side, or plain where there are few of both."""
        taken, left = (PLAIN if layout.kind == "plain" else Side(layout) for layout in layouts_of(_stage(chain)))
        return taken, left

    @classmethod
    def leaves(cls, chain: Chain, left: MemoryLayout, wanted: MemoryLayout) -> bool:  # noqa: ARG003 # the layouts say enough
        """Maps that lie side by side, between other borders of zeros."""
        return isinstance(left, Side) and left.reaches(wanted)

    @classmethod
    def examples(cls) -> Sequence[tuple[Op, Mapping[str, tuple[int, ...]]]]:
        """Convolutions of so many maps that these lie side by side."""
        return [
            (Conv(maps=MANY, size=2, padding=1), {"x": (2, MANY // 2, 2, 2)}),
            (Conv(maps=MANY, size=(1, 2), stride=(1, 2)), {"x": (2, MANY // 2, 2, 5)}),
        ]

    def ready(self) -> bool:
        """Whether the code is there, in this process or on disk."""
        return compiled_before(self._stage)

    def prepare(self) -> str:
        """Compile the code, or fetch it."""
        try:
            compile_stage(self._stage)
        except (Declined, KernelError) as error:
            return str(error)
        return ""

    @property
    def compiled(self) -> Compiled:
        """The code."""
        return compile_stage(self._stage)

    @property
    def _stage(self) -> Stage:
        return replace(_stage(self.chain), border=self.left.layout.border if isinstance(self.left, Side) else 0)

    def lends(self, name: str) -> bool:
        """The input, where it is read as it lies."""
        return name == "x" and self.taken == PLAIN

    def kept(self) -> frozenset[str]:
        """The input, and the output where a derivative is said by it."""
        return frozenset({"inputs", "outputs"} if self.compiled.loops.reads_output else {"inputs"})

    def buffers(self) -> Mapping[str, Buffer]:
        """What the code asks for."""
        return {"saved": Buffer((self.compiled.saved,), self.chain.dtype, kept=True), "scratch": Buffer((self.compiled.scratch,), self.chain.dtype)}

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Settle the addresses."""
        (y,), saved, scratch = arrays.outputs.values(), arrays.buffers["saved"], arrays.buffers["scratch"]
        lent = "x" in arrays.lent
        x = None if lent else arrays.given[0]["x"].reshape(-1)
        parameters = self._parameters(arrays.given)
        forward = self.compiled.bind_forward(x, parameters, y.reshape(-1), saved, scratch, moved=arrays.moved)
        if lent:
            arrays.lent["x"] = forward.take
        if not self.chain.learns:
            return forward, None
        (dy,), dx = arrays.cotangents.values(), arrays.gradients[0].get("x")
        into = self._parameters(arrays.gradients)
        flat = None if dx is None else dx.reshape(-1)
        y = y.reshape(-1)
        backward = self.compiled.bind_backward(dy.reshape(-1), x, y, parameters, saved, flat, into, scratch, moved=arrays.moved, adds=arrays.adds)
        if lent:
            arrays.lent["x"] = partial(_both, forward, backward)
        return forward, backward

    def _parameters(self, held: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
        return {name: held[int(name.partition(".")[0])][name.partition(".")[2]].reshape(-1) for name in self.compiled.parameters}


def _both(forward: Run, backward: Run, array: Array) -> None:
    forward.take(array)
    backward.take(array)


def _by_expression(op: Op) -> bool:
    return isinstance(op, Activation) and type(op).formula is Activation.formula


def _input(chain: Chain) -> tuple[int, ...]:
    return chain.given[0]["x"]


def _stage(chain: Chain) -> Stage:
    return Stage(chain.ops, _input(chain), chain.dtype.name, not chain.learns or "x" in chain.wanted[0])
