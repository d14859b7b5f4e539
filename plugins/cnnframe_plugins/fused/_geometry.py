"""What a chain of operations is as loops: sizes of a convolution or dense layer, activations, pooling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from cnnframe import Activation

from ..conv import Conv, ConvLinked
from ..dense import Dense
from ..joins import Flatten
from ..pooling import MaxPool, MeanPool
from ..subsample import Subsample

DTYPES: Final = ("float32", "float64")


class Declined(ValueError):
    """A stage is not supported; the message says why."""


@dataclass(frozen=True)
class Linear:
    """A convolution of maps, or a dense layer, which is one with maps of a single entry.

    Attributes:
        maps_in, height, width: the input.
        maps, rows, columns: the output, less the rows and columns that no pooling window reads.
        size, stride, padding, dilation: of the kernel, by rows and columns.
        flipped: whether the kernel is stored the other way round.
        fan: the input maps that an output map reads, if every one of a group reads all of the group.
        links: for each output map, pairs of an input map and the place of its kernel; empty if groups say it.
    """

    maps_in: int
    height: int
    width: int
    maps: int
    rows: int
    columns: int
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    flipped: bool
    fan: int
    links: tuple[tuple[tuple[int, int], ...], ...] = ()

    @property
    def weights(self) -> int:
        """How many entries the kernels have."""
        kernels = sum(map(len, self.links)) if self.links else self.maps * self.fan
        return kernels * self.size[0] * self.size[1]

    @property
    def covers(self) -> bool:
        """Whether the kernel covers the map, as a dense layer's does."""
        return not self.links and self.size == (self.height, self.width) and self.padding == (0, 0) and self.fan == self.maps_in

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the input with its border of zeros."""
        return self.height + 2 * self.padding[0], self.width + 2 * self.padding[1]


@dataclass(frozen=True)
class Pool:
    """Windows of a map that neither overlap nor leave gaps: their sum, mean or maximum; a sum is scaled and shifted."""

    kind: str
    size: tuple[int, int]
    rows: int
    columns: int

    @property
    def area(self) -> int:
        """How many entries a window has."""
        return self.size[0] * self.size[1]


@dataclass(frozen=True)
class Chain:
    """A stage, read.

    Attributes:
        batch: how many samples.
        linear: the convolution or dense layer.
        first: the activation after it, if any.
        pool: the pooling, if any.
        second: the activation after the pooling, if any.
        names: parameters in the order k, b, beta, shift, by position in the chain and name; "" for those there are not.
        shape: of the output, with the batch first.
    """

    batch: int
    linear: Linear
    first: Activation | None
    pool: Pool | None
    second: Activation | None
    names: tuple[str, str, str, str]
    shape: tuple[int, ...]


def read(ops: tuple[Any, ...], shape: tuple[int, ...]) -> Chain:
    """Read a chain of operations for inputs of a shape.

    Raises:
        Declined: it is none that stages are generated for.
    """
    rest = list(ops)
    batch, *sizes = shape
    position = 0
    if rest and isinstance(rest[0], Flatten):
        total = 1
        for size in sizes:
            total *= size
        sizes, rest, position = [total], rest[1:], 1
    if not rest:
        raise Declined("a stage needs a convolution or a dense layer")
    linear, outputs, kernel = _linear(rest.pop(0), sizes)
    names = [f"{position}.{kernel}", f"{position}.b", "", ""]
    position += 1
    first = second = pool = None
    if rest and isinstance(rest[0], Activation):
        first, position = rest.pop(0), position + 1
    if rest and isinstance(rest[0], (Subsample, MeanPool, MaxPool)):
        op = rest.pop(0)
        pool, linear, outputs = _pool(op, linear, outputs)
        if isinstance(op, Subsample):
            names[2:] = [f"{position}.beta", f"{position}.b"]
        position += 1
        if rest and isinstance(rest[0], Activation):
            second = rest.pop(0)
    if rest:
        raise Declined(f"{rest[0].name} does not go into a stage at this place")
    return Chain(batch, linear, first, pool, second, (names[0], names[1], names[2], names[3]), (batch, *outputs))


def _linear(op: Any, sizes: list[int]) -> tuple[Linear, list[int], str]:
    if isinstance(op, Dense):
        if len(sizes) != 1:
            raise Declined(f"dense takes one axis of inputs; got {len(sizes)}")
        one = (1, 1)
        return Linear(sizes[0], 1, 1, op.units, 1, 1, one, one, (0, 0), one, flipped=False, fan=sizes[0]), [op.units], "W"
    if not isinstance(op, (Conv, ConvLinked)):
        raise Declined(f"a stage begins with a convolution or a dense layer; got {op.name}")
    if op.dims == 3 or len(sizes) != 1 + op.dims:
        raise Declined(f"convolutions of 1 and 2 dimensions are generated; got {op.dims} and an input of {len(sizes)} axes")

    def two(values: Any, other: int) -> tuple[int, int]:
        return (values[0], values[1]) if len(values) == 2 else (other, values[0])

    maps_in, height, width = (sizes[0], 1, sizes[1]) if op.dims == 1 else sizes
    size, stride, padding, dilation = two(op.size, 1), two(op.stride, 1), two(op.padding, 0), two(op.dilation, 1)
    reach = [extent + 2 * p - d * (k - 1) - 1 for extent, k, p, d in zip((height, width), size, padding, dilation, strict=True)]
    rows, columns = (r // s + 1 for r, s in zip(reach, stride, strict=True))
    maps = op.maps if isinstance(op, Conv) else op.maps_out
    links: list[list[tuple[int, int]]] = [[] for _ in range(maps)]
    fan = 0
    if isinstance(op, Conv):
        fan = maps_in // op.groups
    else:
        for place, (source, target) in enumerate(op.links.pairs):
            links[target].append((source, place))
    flipped = op.orientation == "convolution"
    table = () if isinstance(op, Conv) else tuple(map(tuple, links))
    found = Linear(maps_in, height, width, maps, rows, columns, size, stride, padding, dilation, flipped, fan, table)
    return found, [maps, rows, columns] if op.dims == 2 else [maps, columns], "k"


def _pool(op: Any, linear: Linear, outputs: list[int]) -> tuple[Pool, Linear, list[int]]:
    if len(outputs) < 2:
        raise Declined(f"{op.name} after a dense layer")
    stride = op.size if isinstance(op, Subsample) else op.stride
    if stride != op.size:
        raise Declined(f"{op.name} with windows that overlap or leave gaps (size {op.size}, stride {stride})")
    size = (op.size[0], op.size[1]) if len(op.size) == 2 else (1, op.size[0])
    rows, columns = linear.rows // size[0], linear.columns // size[1]
    kind = "sum" if isinstance(op, Subsample) else "mean" if isinstance(op, MeanPool) else "max"
    cropped = replace(linear, rows=rows * size[0], columns=columns * size[1])
    return Pool(kind, size, rows, columns), cropped, [outputs[0], rows, columns] if len(outputs) == 3 else [outputs[0], columns]
