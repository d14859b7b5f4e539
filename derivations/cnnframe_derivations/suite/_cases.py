"""Hypothesis draws the structure of a case from the declaration; the values follow from its seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from cnnframe import BATCH, DataError, HyperparameterError, Links, Op, PerAxis, ShapeError
from cnnframe._axes import ELLIPSIS, Shape
from cnnframe._declaration import UNIT_INTERVAL
from cnnframe._hyper import Hyperparameter, Interval, MultipleOf, hyperparameters

from ._values import EXTREMES, LATTICES, PROMISED, fill

LAYOUTS = ("C", "F", "strided", "reversed")
"""How an argument lies in memory."""

DTYPES = ("float64", "float32")
MOST_ENTRIES = {False: 400, True: 1200}
"""Larger arrays are not drawn, in small cases and large ones: the oracle is slow, and small ones shrink to readable cases."""

MOST_WORK = 20_000
"""Nor are cases with more products than that."""

LARGEST_KERNEL_AXES = 3
"""Hyperparameters with an entry for each axis of a map have at most that many."""


@dataclass(frozen=True, eq=False)
class Structure:
    """An operation with sizes; two with one text, of one class, are the same."""

    op: Op
    known: Mapping[str, Any]
    text: str

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and type(self.op) is type(other.op) and self.text == other.text


@dataclass(frozen=True)
class Case:
    """An operation with sizes, element type, layout and a rule for values.

    Attributes:
        op: the operation.
        known: settled letters and hyperparameters.
        dtype: element type of all arrays but index constants.
        layout: how arguments and cotangents lie in memory.
        lattice: the rule for values.
        seed: seeds the values.
    """

    op: Op
    known: Mapping[str, Any]
    dtype: str
    layout: str
    lattice: str
    seed: int

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every argument."""
        declaration = self.op.declaration
        return {name: shape_of(axes, self.known) for name, axes in declaration.arguments.items()}

    @cached_property
    def outputs(self) -> dict[str, Shape]:
        """The shape of every output."""
        return self.op.output_shapes(self.known)

    def arrays(self, amplitude: int = 3, deep: str = "") -> dict[str, Any]:
        """Values for every argument, contiguous."""
        found = {}
        for position, (name, shape) in enumerate(self.shapes.items()):
            rng = np.random.default_rng([self.seed, position])
            values = self.op.declaration.values.get(name)
            if values == UNIT_INTERVAL:
                found[name] = (rng.integers(0, 64, shape) / 64).astype(self.dtype)
            elif values is not None and not isinstance(values, str):
                found[name] = rng.integers(0, values(self.known), shape)
            else:
                found[name] = np.asarray(fill(self.lattice, rng, shape, amplitude if deep in ("", name) else 3), dtype=self.dtype)
        return found

    def cotangents(self, amplitude: int = 3, deep: str = "") -> dict[str, Any]:
        """A dense signed cotangent for every output, one in four of them a single entry."""
        found = {}
        for position, (name, shape) in enumerate(self.outputs.items()):
            rng = np.random.default_rng([self.seed, 1000 + position])
            values = fill("real" if self.lattice in ("real", *EXTREMES, *PROMISED) else "signed", rng, shape, amplitude if deep in ("", "dy") else 3).astype(
                self.dtype
            )
            if self.seed % 4 == 3 and values.size:
                one = np.zeros(values.size, bool)
                one[rng.integers(values.size)] = True
                values = np.where(one.reshape(shape), values, values.dtype.type(0))
            found[name] = np.asarray(values, dtype=self.dtype)
        return found

    def laid_out(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """The same values in this case's layout, read-only."""
        return {name: lay_out(value, self.layout) for name, value in arrays.items()}

    @cached_property
    def structure(self) -> Structure:
        """What does not depend on values."""
        letters = {name: value for name, value in self.known.items() if name not in self.op.declaration.known}
        sizes = {name: list(value) if isinstance(value, tuple) else value for name, value in letters.items()}
        return Structure(self.op, self.known, json.dumps({"hyperparameters": self.op.hyperparameters(), "sizes": sizes}))

    @cached_property
    def replay(self) -> str:
        """The case as one line of JSON."""
        rest = {"dtype": self.dtype, "layout": self.layout, "values": self.lattice, "seed": self.seed}
        return f"{self.structure.text[:-1]}, {json.dumps(rest)[1:]}"

    @classmethod
    def from_replay(cls, operation: type[Op], text: str) -> Case:
        """Read a case that `replay` wrote.

        Raises:
            DataError: the text is no such case.
        """
        try:
            return cls._read(operation, json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"--case is not a case that a report printed: {type(error).__name__}: {error}") from error

    @classmethod
    def _read(cls, operation: type[Op], data: Mapping[str, Any]) -> Case:
        op = operation(**hyperparameters_from(operation, data["hyperparameters"]))
        sizes = sizes_from(data["sizes"])
        case = cls(op, {**op.declaration.known, **sizes}, *drawn_from(data, (*LATTICES, *EXTREMES, *PROMISED)))
        op.sizes(case.shapes)
        return case

    @property
    def shown(self) -> str:
        """What is computed, as a person reads it."""
        return show_op(self.op)

    def lines(self, arrays: Mapping[str, Any], cotangents: Mapping[str, Any]) -> tuple[str, ...]:
        """The case as a person reads it."""
        rest = "" if (self.dtype, self.layout) == ("float64", "C") else f" ({self.dtype}, {self.layout} layout)"
        found = [f"with {self.shown}{rest}"]
        for name, value in [*arrays.items(), *((f"d{name}", value) for name, value in cotangents.items())]:
            text = np.array2string(np.asarray(value), separator=", ", threshold=24, edgeitems=2, precision=6).replace("\n", "")
            found.append(f"{name} {np.shape(value)} = {' '.join(text.split())}"[:150])
        return tuple(found)


def drawn_from(data: Mapping[str, Any], values: Sequence[str]) -> tuple[str, str, str, int]:
    """Element type, layout, values and seed out of plain data."""
    found = data["dtype"], data["layout"], data["values"], data["seed"]
    if found[0] not in DTYPES or found[1] not in LAYOUTS or found[2] not in values:
        raise ValueError(f"element type, layout or values are unknown: {', '.join(map(str, found[:3]))}")
    if type(found[3]) is not int or found[3] < 0:
        raise ValueError(f"a seed is a whole number from 0 on; got {found[3]!r}")
    return found


def hyperparameters_from(operation: type[Op], data: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters out of plain data."""
    given = {}
    for name, value in data.items():
        kind = hyperparameters(operation)[name].kind
        given[name] = Links.from_rows(value) if kind is Links and value is not None else tuple(value) if isinstance(value, list) else value
    return given


def sizes_from(data: Mapping[str, Any]) -> dict[str, Any]:
    """Letters out of plain data."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def show_op(op: Op) -> str:
    """The operation with the hyperparameters that are not at their defaults."""
    parts = []
    for name, hyper in hyperparameters(type(op)).items():
        value = getattr(op, name)
        default = (hyper.default,) * len(value) if isinstance(value, tuple) and isinstance(hyper.default, int) else hyper.default
        if hyper.required or value != default:
            parts.append(f"{name}={value!r}")
    return f"{type(op).__name__}({', '.join(parts)})"


def lay_out(value: Any, layout: str) -> Any:
    """A read-only array of the same values in another layout."""
    value = np.asarray(value)
    if layout == "F":
        laid = np.array(value, order="F")
    elif layout == "strided" and value.ndim:
        wide = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)
        wide[..., ::2] = value
        laid = wide[..., ::2]
    elif layout == "reversed" and value.ndim:
        whole = tuple(slice(None, None, -1) for _ in value.shape)
        laid = np.ascontiguousarray(value[whole])[whole]
    else:
        laid = np.array(value)
    laid.flags.writeable = False
    return laid


@cache
def choose(options: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of the options, the first when shrunk."""
    return st.sampled_from(options)


@st.composite
def cases(draw: st.DrawFn, cls: type[Op], *, large: bool = False) -> Case:
    """Cases of an operation class, fitting by construction; one in four, or each, has sizes beyond the small ones."""
    large = large or draw(choose((False, False, False, True)))
    op = _operation(draw, cls, large=large)
    known = _sizes(draw, op, large=large)
    case = Case(op, known, "float64", "C", "small", 0)
    if not fits(case, large=large):
        reject()
    return replace(
        case,
        dtype=draw(choose(DTYPES)),
        layout=draw(choose(LAYOUTS)),
        lattice=draw(choose(LATTICES)),
        seed=draw(choose(range(2**14))),
    )


def fits(case: Case, *, large: bool = False) -> bool:
    """Whether the oracle can judge a case of that size in little time."""
    return max(math.prod(shape) for shape in [*case.shapes.values(), *case.outputs.values()]) <= MOST_ENTRIES[large] and _work(case) <= MOST_WORK


def _work(case: Case) -> int:
    """Products that a formula may have to form: entries of the largest output, times those of the largest parameter."""
    sizes = [math.prod(shape) for shape in case.shapes.values()]
    return max(math.prod(shape) for shape in case.outputs.values()) * max(sizes[len(case.op.inputs) :], default=1)


def _operation(draw: st.DrawFn, cls: type[Op], *, large: bool) -> Op:
    """An instance of an operation class within the bounds of its hyperparameters."""
    given: dict[str, Any] = {}
    hypers = hyperparameters(cls)
    for name in sorted(hypers, key=lambda name: (name != "dims", any(isinstance(b, MultipleOf) for b in hypers[name].bounds))):
        given[name] = _value(draw, hypers[name], given, large=large)
    try:
        return cls(**given)
    except HyperparameterError:
        reject()


def _value(draw: st.DrawFn, hyper: Hyperparameter, given: Mapping[str, Any], *, large: bool) -> Any:
    if hyper.optional and draw(choose((None, False))) is None:
        return None
    if hyper.choices is not None:
        return draw(choose(hyper.choices))
    if hyper.kind is Links:
        return _links(draw)
    if hyper.kind is float:
        return draw(choose(tuple(floats(hyper))))
    if hyper.kind is PerAxis:
        few = tuple(integers_in(hyper, (0, 1, 2, 3, 4) if large and given.get("dims", 2) < 3 else (0, 1, 2)))
        return tuple(draw(choose(few)) for _ in range(given.get("dims", 2)))
    for bound in hyper.bounds:
        if isinstance(bound, MultipleOf):
            divisor = given[bound.name]
            times = (1, 2, 3, 8) if large and divisor < 3 else (1, 2, 3) if divisor == 1 else (1, 2)
            return draw(choose(tuple(divisor * factor for factor in times)))
    if hyper.kind is int:
        return draw(choose(tuple(integers_in(hyper, (0, 1, 2, 4, 8) if large else (0, 1, 2)))))
    return hyper.default


def integers_in(hyper: Hyperparameter, steps: Sequence[int]) -> list[int]:
    """Integers within the bounds, by steps from the lowest."""
    lows = [b.low if b.include_low else math.floor(b.low) + 1 for b in hyper.bounds if isinstance(b, Interval) and b.low > -math.inf]
    low = math.ceil(max(lows, default=-2))
    allowed = [low + step for step in steps]
    return [v for v in allowed if all(b.allows(v, {}) for b in hyper.bounds if isinstance(b, Interval))]


def floats(hyper: Hyperparameter) -> list[float]:
    """Short binary fractions, few of them neutral, and the default."""
    pool = [0.5, 2.0, 1.0, 0.25, 0.75, 0.9375, 1.5, -0.5, 3.0, 0.0]
    allowed = [v for v in pool if all(b.allows(v, {}) for b in hyper.bounds if isinstance(b, Interval))]
    return allowed if hyper.required else [*allowed, hyper.default]


def _links(draw: st.DrawFn) -> Links:
    inputs, outputs = draw(choose((1, 2, 3))), draw(choose((1, 2, 3)))
    pairs = []
    for j in range(outputs):
        first = draw(choose(range(inputs)))
        pairs += [(i, j) for i in range(inputs) if i == first or draw(choose((False, True)))]
    return Links(tuple(pairs), inputs, outputs)


SMALL_SHAPES = ((1,), (3,), (2, 2), (2, 3), (), (0, 2), (5, 1), (2, 1, 3), (3, 3))
LARGE_SHAPES = ((8,), (40,), (9, 8), (3, 17), (2, 3, 5))


def _sizes(draw: st.DrawFn, op: Op, *, large: bool) -> dict[str, Any]:
    known = dict(op.declaration.known)
    axes, letters = letters_of(op)
    if None in axes:
        known[ELLIPSIS] = draw(choose(LARGE_SHAPES if large else SMALL_SHAPES))
    least = least_sizes(op, known, letters)
    spatial = [letter for letter in letters if letter[-1].isdigit()]
    room = {0: (0,), 1: range(6), 2: range(4)}.get(len(spatial), range(2))
    for letter in letters:
        if letter == BATCH:
            known[letter] = draw(choose((1, 2, 3, 5, 0, 6, 9, 17) if large else (1, 2, 3, 5, 0, 6)))
        elif letter in spatial:
            known[letter] = least[letter] + draw(choose(room))
        else:
            known[letter] = least[letter] + draw(choose((0, 1, 2, 4, 8) if large else (0, 1, 2)))
    return known


def letters_of(op: Op) -> tuple[list[Any], list[str]]:
    """All axes of the declaration, and the letters that they leave to be settled."""
    declaration = op.declaration
    axes = [axis for group in [*declaration.arguments.values(), *declaration.outputs.values()] for axis in group]
    return axes, sorted({name for axis in axes if axis is not None for name in axis.names()} - declaration.known.keys())


def least_sizes(op: Op, known: Mapping[str, Any], letters: list[str]) -> dict[str, int]:
    """The smallest sizes at which no output is empty."""
    least = dict.fromkeys(letters, 1)
    for _ in range(200):
        grown = False
        for axes in op.declaration.outputs.values():
            for axis in axes:
                if axis is not None and axis({**known, **least}) < 1:
                    for letter in sorted(axis.names() & least.keys()):
                        least[letter] += 1
                        grown = True
        if not grown:
            return least
    raise ShapeError(f"{op.name}: no sizes were found at which its outputs are not empty")


def shape_of(axes: Any, known: Mapping[str, Any]) -> Shape:
    """The shape that axes have with these letters."""
    found: list[int] = []
    for axis in axes:
        found += known[ELLIPSIS] if axis is None else [axis(known)]
    return tuple(found)
