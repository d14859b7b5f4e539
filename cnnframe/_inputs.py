"""Hold the arrays that a user hands to a network to what the graph declares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from . import _axes
from ._axes import BATCH, Expr
from ._declaration import UNIT_INTERVAL
from ._errors import CnnframeError, DataError, DTypeError, GraphError, HyperparameterError, NonFiniteError, UnknownNameError, nearest
from ._op import Array

if TYPE_CHECKING:
    from ._graph import Graph


DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
"""The element types that networks run in."""


def float_type(dtype: DTypeLike, who: str) -> np.dtype[Any]:
    """Return the element type.

    Raises:
        DTypeError: it is not float32 or float64.
    """
    try:
        # NumPy takes None for float64.
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    # An element type equals None where it is float64.
    if found is None or found not in DTYPES:
        raise DTypeError(f"{who} must be float32 or float64; got {dtype if found is None else found}; convert with .astype(np.float32)")
    return found


def want(value: Any, kinds: type | tuple[type, ...], who: str, wanted: str, error: type[CnnframeError] = GraphError) -> None:
    """Refuse a value of another kind with an error that says who wanted what."""
    if not isinstance(value, kinds):
        raise error(f"{who} must be {wanted}; got {_short(value)}")


def integer(value: Any, who: str, low: int) -> int:
    """Return an integer of at least `low`.

    Raises:
        HyperparameterError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise HyperparameterError(f"{who} must be an integer of at least {low}; got {_short(value)}")
    return int(value)


def as_array(value: Any, who: str) -> Array:
    """Return the value as an array.

    Raises:
        DataError: its rows have different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"{who} must be an array; got rows of different lengths; bring them to one shape first") from None


def rates(value: Any, who: str, when: str = "") -> Array:
    """Return a rate, or an array of them.

    Raises:
        HyperparameterError: they are no real numbers, negative, or not finite.
    """
    array = as_array(value, who)
    if array.dtype.kind not in "fiu" or not (np.isfinite(array) & (array >= 0)).all():
        raise HyperparameterError(f"{who} must be finite and at least 0{when}; got {_short(value)}")
    return array


def check_finite(name: str, array: Array) -> None:
    """Refuse a graph input that holds a NaN or an infinity.

    Raises:
        NonFiniteError: with the first one.
    """
    if array.dtype.kind == "f" and not all_finite(array):
        raise NonFiniteError(f"input {name!r} holds {first_bad(array)}; clean the data")


FEW = 1 << 13
"""Of fewer entries than that a sum of squares is found sooner than a sum."""


def all_finite(array: Any) -> bool:
    """Whether an array holds neither NaN nor infinity; to be called where NumPy does not warn of overflow."""
    # A sum is finite only if all entries are, and is quicker, of few entries that of their squares; one that overflows is looked at again.
    total = np.vdot(array, array) if array.size < FEW else np.einsum("i->", array.ravel("K"))
    return math.isfinite(total) or bool(np.isfinite(array).all())


def finite(arrays: Mapping[str, Array]) -> bool:
    """Whether all that can hold a NaN or an infinity do not."""
    return all(all_finite(array) for array in arrays.values() if array.dtype.kind == "f")


def first_bad(array: Any) -> str:
    """The first NaN or infinity, and where it is."""
    found = np.asarray(array)
    at = tuple(int(index) for index in np.argwhere(~np.isfinite(found))[0])
    return f"{found[at]} at {at}" if at else str(found[()])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{type(value).__name__} {text[:60]}..."


@dataclass(frozen=True, slots=True)
class Use:
    """What a graph input has to be.

    Attributes:
        axes: its axes, with n for the batch.
        below: it holds indices from 0 to below this number; None if it holds real numbers.
        unit: it holds real numbers from 0 to below 1, drawn at random.
        constant: it feeds constants alone, so that there is no gradient for it.
    """

    axes: tuple[Expr | None, ...]
    below: int | None = None
    unit: bool = False
    constant: bool = True


def uses(graph: Graph) -> dict[str, Use]:
    """What each graph input has to be, from the declarations of the operations that read it."""
    found = {name: Use(tuple(axis.expr for axis in _axes.parse(axes))) for name, axes in graph.inputs.items()}
    shapes = graph.shapes(1)
    for node in graph.nodes:
        sources = graph.wires.sources[node.name]
        known = node.op.sizes({name: shapes[source] for name, source in sources.items()})
        for name, source in sources.items():
            if source not in found:
                continue
            before, values = found[source], node.op.declaration.values.get(name)
            constant = name in node.op.declaration.constants
            below = before.below
            if isinstance(values, Expr):
                below = min(values(known), below) if below is not None else values(known)
            found[source] = Use(before.axes, below, before.unit or values == UNIT_INTERVAL, before.constant and constant)
    return found


def check_names(graph: Graph, given: Iterable[str], needed: Iterable[str]) -> None:
    """Refuse inputs that the graph does not have, and ask for those that are missing.

    Raises:
        UnknownNameError: with the nearest known name.
    """
    names = list(given)
    for name in names:
        if name not in graph.inputs:
            raise UnknownNameError(f"the network has no input {name!r}; {nearest(str(name), graph.inputs)}")
    for name in needed:
        if name not in names:
            raise UnknownNameError(
                f"the network needs the input {name!r} with axes ({', '.join(graph.inputs[name].split(' '))}); got {', '.join(names) or 'none'}"
            )


def check_arrays(arrays: Mapping[str, Array], uses: Mapping[str, Use], dtype: np.dtype[Any]) -> int:
    """Check shapes and element types and return the batch size.

    Raises:
        ShapeError: a shape does not fit, or the arrays are batches of different sizes.
        DTypeError: an element type is not that of the parameters, or not an integer type for indices.
    """
    known: dict[str, Any] = {}
    for name, array in arrays.items():
        use = uses[name]
        if use.below is not None:
            if array.dtype.kind not in "iu":
                raise DTypeError(f"input {name!r} holds indices and must be of an integer type; got {array.dtype}")
        elif float_type(array.dtype, f"input {name!r}") != dtype:
            raise DTypeError(
                f"input {name!r} is {array.dtype} and the parameters are {dtype}; convert one: {name}.astype(np.{dtype}),"
                f" or Parameters.initialise(graph, dtype=np.{array.dtype})"
            )
        _axes.match(use.axes, array.shape, known, f"input {name!r}")
    batch = known.get(BATCH, 1)
    if batch < 1:
        raise DataError(f"a batch needs at least one example; got an empty one in {', '.join(arrays)}")
    return int(batch)


def check_values(name: str, array: Array, use: Use, first: int = 0) -> None:
    """Refuse indices and random numbers that are out of their range; `first` is the place of a piece within its array.

    Raises:
        DataError: with the first one.
    """
    if use.below is not None:
        wrong, range_ = (array < 0) | (array >= use.below), f"indices from 0 to {use.below - 1}"
    else:
        wrong, range_ = ~((array >= 0) & (array < 1)), "numbers in [0, 1)"
    if wrong.any():
        where = tuple(int(index) for index in np.argwhere(wrong)[0])
        shown = (where[0] + first, *where[1:]) if where else where
        raise DataError(f"input {name!r} must hold {range_}; got {array[where]} at {shown}")


def check_wanted(wanted: Iterable[str], uses: Mapping[str, Use]) -> None:
    """Refuse gradients with respect to what is no input or has none.

    Raises:
        UnknownNameError: no graph input has that name.
        GraphError: it feeds constants alone.
    """
    for name in wanted:
        if name not in uses:
            raise UnknownNameError(f"wanted_inputs: the network has no input {name!r}; {nearest(name, uses)}")
        if uses[name].constant:
            raise GraphError(f"wanted_inputs: {name!r} feeds constants alone, and constants get no gradient")


def names(given: Any, who: str) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    if given == ():  # as it is in a training
        return ()
    found = (given,) if isinstance(given, str) else tuple(given or ()) if isinstance(given, (Sequence, set, type(None))) else (given,)
    for name in found:
        want(name, str, who, "names", UnknownNameError)
    return found


def scale(batch: int, reduction: str) -> float:
    """What the sum over a batch is multiplied by."""
    if reduction not in ("sum", "mean"):
        raise HyperparameterError(f"reduction must be 'sum' or 'mean'; got {reduction!r}")
    return 1.0 if reduction == "sum" else 1.0 / batch
