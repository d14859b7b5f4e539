"""What a kernel is: code for an operation, or for a chain of operations, that works in memory that it is given."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from . import _call
from ._axes import Shape
from ._errors import ContractError, DeclarationError
from ._memory import PLAIN, Call, MemoryLayout
from ._op import Array, Op


@dataclass(frozen=True, slots=True)
class Chain:
    """Operations of which each feeds the next, at given shapes: what a kernel is asked to compute.

    The first operation may have several inputs and constants; each later one has a single input, which is what the
    operation before it makes. The last may have several outputs.

    Attributes:
        nodes: their names in the graph.
        ops: the operations.
        given: for each operation the shape of each of its arguments.
        outputs: the shape of each output of the last operation.
        dtype: the element type of all but index constants.
        wanted: for each operation the arguments whose gradients are asked for; all empty where only `forward` is.
    """

    nodes: tuple[str, ...]
    ops: tuple[Op, ...]
    given: tuple[Mapping[str, Shape], ...]
    outputs: Mapping[str, Shape]
    dtype: np.dtype[Any]
    wanted: tuple[frozenset[str], ...]

    @property
    def learns(self) -> bool:
        """Whether gradients are asked for."""
        return any(self.wanted)


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that a kernel asks for: between its forward and its backward where it is `kept`, else within a single call."""

    shape: Shape
    dtype: Any
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Arrays:
    """The arrays of a chain, contiguous, at their addresses for good; a kernel writes to outputs, gradients and buffers alone.

    Attributes:
        given: for each operation its arguments by name, without the input that comes from the operation before it.
        outputs: the outputs of the last operation by name.
        cotangents: their cotangents by name; empty where no gradient is asked for.
        gradients: for each operation the wanted gradients by name, to be overwritten.
        buffers: what the kernel asked for, by name.
        lent: arguments that are other arrays in every run; `bind` puts there what is called with each before a run.
        moved: two whole numbers, which change from run to run: by how many bytes parameters, and their gradients, lie behind where
            they were when `bind` was called. None where they stay.
        adds: whether what would be written as gradients of parameters is added to what is there.
    """

    given: tuple[Mapping[str, Array], ...]
    outputs: Mapping[str, Array]
    cotangents: Mapping[str, Array]
    gradients: tuple[Mapping[str, Array], ...]
    buffers: Mapping[str, Array]
    lent: dict[str, Callable[[Array], None]] = field(default_factory=dict)
    moved: Array | None = None
    adds: bool = False


class Kernel(abc.ABC):
    """Code for a chain of operations at given shapes; an instance is made for one chain.

    Attributes:
        name: what plans and reports call it.
        backend: what it is written in, such as "numpy" or "numba".
        rank: of the kernels that can serve, the one with the highest does.
        keeps: what of "inputs" and "outputs" its backward reads, so that they must last until then; parameters last anyway.
        tiles: whether it goes through a batch piece by piece itself, so that large ones leave no cache.
        compiles: whether code is made for every new shape, so that trying many shapes takes long.
        writes_last: whether its backward has read all arrays of the plan before it writes a gradient.
        replaces: whether the gradient of its only input may lie exactly where that lies: no entry is written before it was read for the last time.
        follows: whether parameters and their gradients may lie elsewhere in every run, and gradients be added up; see `Arrays.moved` and `Arrays.adds`.
        products: whether it may call NumPy's products of matrices, whose own threads are then held back.
    """

    name: ClassVar[str]
    backend: ClassVar[str] = "numpy"
    rank: ClassVar[int] = 10
    keeps: ClassVar[frozenset[str]] = frozenset({"inputs", "outputs"})
    tiles: ClassVar[bool] = False
    compiles: ClassVar[bool] = False
    writes_last: ClassVar[bool] = False
    replaces: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    products: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """Hold the name and the flags to the form that a registry and a planner need.

        Raises:
            DeclarationError: the name is no identifier, or a flag is neither True nor False.
        """
        if "name" in cls.__dict__ and not (isinstance(cls.name, str) and cls.name.isidentifier()):
            raise DeclarationError(f"{cls.__qualname__}.name must be an identifier; got {cls.name!r}")
        # A method or a table of one's own by such a name would count as True.
        for flag in ("tiles", "compiles", "writes_last", "replaces", "follows", "products"):
            if not isinstance(getattr(cls, flag), bool):
                raise DeclarationError(f"{cls.__qualname__}.{flag} must be True or False; got {getattr(cls, flag)!r}")

    def __init__(self, chain: Chain, taken: MemoryLayout = PLAIN, left: MemoryLayout = PLAIN) -> None:
        """Take a chain that `matches` and `declines` let through, and the layouts that `layouts` named."""
        self.chain = chain
        self.taken = taken
        self.left = left

    @classmethod
    def unavailable(cls) -> str:
        """Why it can serve nothing here, such as a library that is missing; empty if it can."""
        return ""

    @classmethod
    @abc.abstractmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """How many operations it would take from the beginning of a run of them; 0 if it is for others."""

    @classmethod
    def declines(cls, chain: Chain) -> str:  # noqa: ARG003 # overriding methods use it
        """Why it cannot serve a chain that it matches, such as an element type; empty if it can."""
        return ""

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # overriding methods use them
        """In which layout it wants the inputs, where they lie as `given`, and in which it leaves the outputs."""
        return PLAIN, PLAIN

    @classmethod
    def leaves(cls, chain: Chain, left: MemoryLayout, wanted: MemoryLayout) -> bool:  # noqa: ARG003 # overriding methods use them
        """Whether it can leave the outputs as the next kernel wants them, in place of what `layouts` said: bit for bit what that layout packs."""
        return False

    def ready(self) -> bool:
        """Whether `buffers` and `bind` can be called at once; if not, `prepare` comes before."""
        return True

    def prepare(self) -> str:
        """Do what takes long, such as compiling, perhaps on a thread of its own; return why it cannot serve after all, empty if it can."""
        return ""

    def lends(self, name: str) -> bool:  # noqa: ARG002 # overriding methods use it
        """Whether an argument of the first operation, in the plain layout, may be another array in every run."""
        return False

    def kept(self) -> frozenset[str]:
        """What of "inputs" and "outputs" its backward reads at these shapes: `keeps`, unless overridden; asked when it is ready."""
        return self.keeps

    def buffers(self) -> Mapping[str, Buffer]:
        """The memory that it needs besides the arrays of the chain; none, unless overridden."""
        return {}

    @classmethod
    def examples(cls) -> Sequence[tuple[Op, Mapping[str, Shape]]]:
        """Operations, each with the shapes of its inputs, that whoever judges the kernel tries besides small ones: sizes from which it works otherwise."""
        return ()

    @abc.abstractmethod
    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Return forward and backward as calls without arguments; backward may be None where no gradient is wanted."""


class Reference(Kernel):
    """An operation's own `forward` and `backward`: any operation has it, and it allocates what it makes."""

    name = "reference"
    rank = 0
    writes_last = True

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:  # noqa: ARG003 # it is for every operation
        """One operation, whichever it is."""
        return 1

    def lends(self, name: str) -> bool:  # noqa: ARG002 # it is for every one
        """It looks them up whenever it is called."""
        return True

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Call the operation's methods and copy what they return."""
        op, given, wanted = self.chain.ops[0], dict(arrays.given[0]), self.chain.wanted[0]
        arrays.lent.update((name, partial(given.__setitem__, name)) for name in arrays.lent)
        shapes = {name: self.chain.given[0][name] for name in op.declaration.differentiable}
        saved: list[Any] = [None]

        def forward() -> None:
            outputs, kept = _call.forward(op, {name: _read_only(array) for name, array in given.items()})
            # Without a backward nobody would forget it, and the caller's arrays with it.
            saved[0] = kept if wanted else None
            for name, into in arrays.outputs.items():
                made = outputs[name]
                if getattr(made, "dtype", None) != into.dtype or made.shape != into.shape:
                    got = f"shape {np.shape(made)} and type {getattr(made, 'dtype', type(made).__name__)}"
                    raise ContractError(
                        f"node {self.chain.nodes[0]!r}: {op.name}.forward must return {name!r} with shape {into.shape} and type {into.dtype}; got {got}"
                    )
                into[...] = made

        if not wanted:
            return forward, None
        cotangents = {name: _read_only(array) for name, array in arrays.cotangents.items()}

        def backward() -> None:
            found = _call.backward(op, cotangents, saved[0], wanted, shapes)
            saved[0] = None
            for name, into in arrays.gradients[0].items():
                into[...] = found[name]

        return forward, backward


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
