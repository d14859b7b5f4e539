"""Cases of chains of operations, drawn at random from a seed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import count
from typing import Any

import numpy as np

from cnnframe import BATCH, CnnframeError, DataError, Kernel, MemoryLayout, Op, PerAxis
from cnnframe._axes import ELLIPSIS, Shape
from cnnframe._hyper import Hyperparameter, MultipleOf, hyperparameters

from ._box import small_values
from ._cases import DTYPES, LAYOUTS, SMALL_SHAPES, Case, Structure, drawn_from, hyperparameters_from, least_sizes, letters_of, show_op, sizes_from
from ._coverage import features
from ._joined import WANTED, Joined
from ._values import EXTREMES, LATTICES

MOST_ENTRIES, MOST_WORK = 900, 3000
"""Larger arrays are not drawn, nor chains with more products: many digits are slow."""

BATCHES = (1, 2, 3, 0, 5, 9, 17, 1, 2, 33)
"""Batches of none, one, an odd number, and of more than a vector holds."""

MANY = 16
"""Vectors of any hardware hold no more numbers."""

WIDE = 32
"""So many maps, now and then: kernels may have another way from there on."""

SHARES = ("all", "all", "all", "all", "parameters", "nothing")
"""Which gradients are asked for, and how often."""

TRIES = 12
"""How often the next operation of a chain is drawn until one fits."""

PATIENCE = 2500
"""How often a chain is drawn until one fits."""


@dataclass(frozen=True)
class ChainCase(Case):
    """A case of a chain, whose operation is a `Joined`; sizes are those of the first operation."""

    op: Any

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every argument."""
        return self.op.given

    def arrays(self, amplitude: int = 3, deep: str = "") -> dict[str, Any]:
        """Values for every argument; real ones of every other case an eighth as large, so that sums of them do not saturate what is behind."""
        found = Case.arrays(self, amplitude, deep)
        if self.lattice == "real" and self.seed % 2:
            return {name: value / value.dtype.type(8) if value.dtype.kind == "f" else value for name, value in found.items()}
        return found

    @cached_property
    def structure(self) -> Structure:
        """What does not depend on values."""
        return Structure(self.op, self.known, self.op.text)

    @property
    def shown(self) -> str:
        """The operations, and which gradients are asked for."""
        wanted = {"all": "", "parameters": ", gradients of parameters alone", "nothing": ", forward alone"}[self.op.wanted]
        return " -> ".join(map(show_op, self.op.ops)) + wanted

    @cached_property
    def met(self) -> frozenset[str]:
        """The settings of each operation that are known to bring mistakes to light, and what is wanted."""
        parts = (Case(op, known, self.dtype, self.layout, self.lattice, 0) for op, known in zip(self.op.ops, self.op.sizes, strict=True))
        found = {f"{node}: {feature}" for node, part in zip(self.op.nodes, parts, strict=True) for feature in features(part)}
        many = {f"a batch above {MANY}"} if self.known.get(BATCH, 0) > MANY else set()
        for node, op in zip(self.op.nodes, self.op.ops, strict=True):
            counts = {name: getattr(op, name) for name, hyper in hyperparameters(type(op)).items() if hyper.kind is int}
            many |= {f"{node}: {name} from {WIDE} on" for name, value in counts.items() if value is not None and value >= WIDE}
        return frozenset({*found, *many, self.op.wanted})

    @property
    def weight(self) -> int:
        """How many entries its arrays have."""
        return sum(math.prod(shape) for shape in [*self.shapes.values(), *self.outputs.values()])

    def by(self, kernel: type[Kernel], lies: MemoryLayout) -> ChainCase:
        """The same, computed by a kernel."""
        return replace(self, op=replace(self.op, kernel=kernel, lies=lies))

    @classmethod
    def read(cls, kinds: Sequence[type[Op]], text: str) -> ChainCase:
        """Read a case that `replay` wrote.

        Raises:
            DataError: the text is no such case.
        """
        try:
            data = json.loads(text)
            if data["wanted"] not in WANTED:
                raise ValueError(f"what is wanted is unknown: {data['wanted']}")
            ops = tuple(kind(**hyperparameters_from(kind, given)) for kind, given in zip(kinds, data["hyperparameters"], strict=True))
            known = {**ops[0].declaration.known, **sizes_from(data["sizes"])}
            dtype, *rest = drawn_from(data, (*LATTICES, *EXTREMES))
            case = cls(Joined(ops, known, dtype, data["wanted"]), known, dtype, *rest)
            ops[0].sizes(case.op.shapes[0])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"--case is not a case that a report printed: {type(error).__name__}: {error}") from error
        return case


def drawn(
    kinds: Sequence[type[Op]], number: int, taken: Callable[[ChainCase], bool] = lambda case: True, *, small: bool = False, patience: int = PATIENCE
) -> Iterator[ChainCase]:
    """Cases of a chain that are `taken`, in an order that the number gives, until none has been for long; `small` ones are as small as they may be."""
    rng = np.random.default_rng(number)
    good: dict[tuple[Op, ...], None] = {}
    last = made = 0
    for attempt in count():
        # What is taken is rare for some kernels, and most often found near what was taken.
        near = list(good)[int(rng.integers(len(good)))] if good and rng.integers(4) else ()
        case = _draw(kinds, near, rng, made, small=small)
        if case is not None and taken(case):
            last, made = attempt, made + 1
            good[case.op.ops] = None
            yield case
        elif attempt - last > patience:
            return


def _draw(kinds: Sequence[type[Op]], near: Sequence[Op], rng: np.random.Generator, number: int, *, small: bool) -> ChainCase | None:
    try:
        # Sizes alone change now and then: those that are taken would crowd out all else.
        changed = rng.integers(2, size=len(kinds)) if rng.integers(8) else np.zeros(len(kinds), int)
        first = _changed(near[0], rng, now=bool(changed[0]), small=small) if near else _operation(kinds[0], rng, {}, small=small)
        known = _sizes(first, rng, small=small)
        ops, at = [first], known
        for place, kind in enumerate(kinds[1:], 1):
            (shape,) = ops[-1].output_shapes(at).values()
            if near:
                op = _changed(near[place], rng, now=bool(changed[place]), small=small)
                (taken,) = op.inputs
                at = op.sizes({taken: shape})
            else:
                op, at = _next(kind, shape, rng, getattr(first, "dims", None), small=small)
            ops.append(op)
        joined = Joined(tuple(ops), known, DTYPES[int(rng.integers(2))], SHARES[int(rng.integers(len(SHARES)))])
        if not joined.params and joined.wanted == "parameters":
            joined = replace(joined, wanted="all")
        layout, lattice = LAYOUTS[int(rng.integers(len(LAYOUTS)))], LATTICES[number % len(LATTICES)]
        case = ChainCase(joined, known, joined.dtype, layout, lattice, int(rng.integers(2**14)))
        return case if _fits(case) else None
    except (CnnframeError, _NoneFits):
        return None


def _changed(op: Op, rng: np.random.Generator, *, now: bool, small: bool) -> Op:
    """The operation; or another of as many dimensions; or one with another value of one hyperparameter, and of those that were equal to it."""
    hypers = hyperparameters(type(op))
    names = [name for name in hypers if name != "dims"]
    if not now or not names:
        return op
    if not rng.integers(3):
        return _operation(type(op), rng, {"dims": op.dims} if "dims" in hypers else {}, small=small)
    name = names[int(rng.integers(len(names)))]
    found = {other: getattr(op, other) for other in hypers}
    value = _value(hypers[name], rng, found, [], small=small)
    alike = [other for other in names if hypers[other].kind is PerAxis and found[other] == found[name]] if rng.integers(2) else []
    return _made(type(op), tuple({**found, **dict.fromkeys([name, *alike], value)}.items()))


@lru_cache(maxsize=4096)
def _made(kind: type[Op], given: tuple[tuple[str, Any], ...]) -> Op:
    """The operation; one that was made before knows its declaration."""
    return kind(**dict(given))


@lru_cache(maxsize=4096)
def _least(op: Op) -> Mapping[str, int]:
    """The smallest sizes at which no output is empty."""
    return least_sizes(op, op.declaration.known, letters_of(op)[1])


class _NoneFits(Exception):
    """No operation was found that takes what the one before makes."""


def _next(kind: type[Op], shape: Shape, rng: np.random.Generator, dims: Any, *, small: bool) -> tuple[Op, Mapping[str, Any]]:
    """An operation that takes an array of this shape, with its sizes."""
    for _ in range(TRIES):
        try:
            op = _operation(kind, rng, {"dims": dims} if dims is not None else {}, small=small)
            (taken,) = op.inputs
            known = op.sizes({taken: shape})
            op.output_shapes(known)
        except CnnframeError:
            continue
        return op, known
    raise _NoneFits


def _operation(kind: type[Op], rng: np.random.Generator, given: Mapping[str, Any], *, small: bool) -> Op:
    """An operation with small hyperparameters; those of one kind often have one value."""
    hypers = hyperparameters(kind)
    found = {name: value for name, value in given.items() if name in hypers}
    windows: list[Any] = []
    for name in sorted(hypers, key=lambda name: (name != "dims", any(isinstance(b, MultipleOf) for b in hypers[name].bounds))):
        if name not in found:
            found[name] = _value(hypers[name], rng, found, windows, small=small)
    return _made(kind, tuple(found.items()))


def _value(hyper: Hyperparameter, rng: np.random.Generator, found: Mapping[str, Any], windows: list[Any], *, small: bool) -> Any:
    choices = small_values(hyper)
    some = choices[:2] if small and hyper.kind in (int, PerAxis) else choices
    if hyper.kind is not PerAxis:
        value = some[int(rng.integers(len(some)))]
        if hyper.kind is int and not small and not rng.integers(12):
            value = WIDE
        divisors = [found[b.name] for b in hyper.bounds if isinstance(b, MultipleOf)]
        return value * divisors[0] if divisors and isinstance(value, int) else value
    dims = found.get("dims", 2)
    # A window and its stride are often the same, and some kernels take no other.
    if windows and rng.integers(2) and all(v in choices for v in windows[-1]):
        return windows[-1]
    low = bool(rng.integers(6) == 0)
    value = tuple(some[0] if low else some[int(rng.integers(len(some)))] for _ in range(dims))
    windows.append(value)
    return value


def _sizes(op: Op, rng: np.random.Generator, *, small: bool) -> dict[str, Any]:
    """Sizes of the first operation, with room for windows of those behind it."""
    known = dict(op.declaration.known)
    axes, letters = letters_of(op)
    if None in axes:
        known[ELLIPSIS] = SMALL_SHAPES[int(rng.integers(len(SMALL_SHAPES)))]
    least = _least(op)
    batch = 1 + int(rng.integers(2)) if small else BATCHES[int(rng.integers(len(BATCHES)))]
    # Of many samples small ones.
    room, more = (2, (0,)) if small else (4, (0, 1)) if batch > MANY else (8, (0, 1, 2, 4))
    for letter in letters:
        if letter == BATCH:
            known[letter] = batch
        elif letter[-1].isdigit():
            known[letter] = least[letter] + int(rng.integers(room + 1))
        else:
            known[letter] = least[letter] + more[int(rng.integers(len(more)))]
    return known


def _fits(case: ChainCase) -> bool:
    """Whether the truth takes little time."""
    sizes = [math.prod(shape) for shape in [*case.shapes.values(), *case.outputs.values()]]
    return max(sizes) <= MOST_ENTRIES and all(case.outputs.values()) and _work(case.op) <= MOST_WORK


def _work(joined: Joined) -> int:
    """Products that the formulas may have to form."""
    found = 0
    for op, known, shapes in zip(joined.ops, joined.sizes, joined.shapes, strict=True):
        out = max(math.prod(shape) for shape in op.output_shapes(known).values())
        found += out * max((math.prod(shapes[name]) // (shapes[name][0] if shapes[name] else 1) for name in op.params), default=1)
    return found
