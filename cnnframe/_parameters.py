"""All parameters of a network in one contiguous vector, with a named view for each array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _inputs
from ._errors import DTypeError, HyperparameterError, NonFiniteError, ShapeError, UnknownNameError, nearest
from ._inputs import all_finite, as_array, float_type, integer, want
from ._op import Array
from ._param import ROLES, Initialiser
from ._slots import Layout, Slot

if TYPE_CHECKING:
    from ._graph import Graph


__all__ = ["Layout", "Parameters", "Slot", "check_initial"]


class Parameters(Mapping[str, Array]):
    """Named arrays that are views of one read-only vector; every change returns new `Parameters`.

    `params["conv1.k"]` is an array, `params.vector` all of them, flat. Gradients come in the same form.
    """

    __slots__ = ("_made", "layout", "vector")

    def __init__(self, layout: Layout, vector: Array) -> None:
        """Take over `vector` as it is; use `initialise` and `with_vector`, which check."""
        # Kernels are told where it begins.
        self.vector = np.ascontiguousarray(vector)
        self.vector.flags.writeable = False
        self.layout = layout
        self._made: dict[str, Array] | None = None

    @property
    def _views(self) -> dict[str, Array]:
        # Made when they are asked for: in a training most parameters are only ever a vector.
        if self._made is None:
            self._made = self.layout.views(self.vector)
        return self._made

    @classmethod
    def initialise(cls, graph: Graph, *, seed: int = 0, dtype: DTypeLike = np.float32, initial: Mapping[str, Initialiser] | None = None) -> Parameters:
        """Draw the parameters of a graph, each array by its operation's declaration.

        Args:
            graph: the network.
            seed: the same seed gives the same parameters.
            dtype: float32 or float64.
            initial: initialisers that take precedence, by array name or by role; a name goes before a role.

        Raises:
            UnknownNameError: a key of `initial` is no array and no role.
            ShapeError: an initialiser returned another shape than it was asked for.
            NonFiniteError: it returned a NaN or an infinity.
        """
        found, given = float_type(dtype, "parameters"), check_initial(initial, graph)
        rng = np.random.default_rng(integer(seed, "Parameters.initialise: seed", 0))
        layout = Layout.of(graph)
        vector = np.empty(layout.size, found)
        for name, array in graph.arrays.items():
            start = given.get(name, given.get(array.role, array.initial))
            slot = layout.slots[name]
            drawn = as_array(start(array.shape, array.fan_in, array.fan_out, rng), f"the initialiser of {name!r}: its answer")
            drawn = drawn.astype(found) if drawn.dtype.kind == "f" else drawn
            vector[slot.start : slot.stop] = _fitting(drawn, name, slot, found).reshape(-1)
        return cls(layout, vector)

    @classmethod
    def of_arrays(cls, graph: Graph, arrays: Mapping[str, Array]) -> Parameters:
        """Return the parameters of a graph with these entries, one array for each name.

        Raises:
            ShapeError: an array is missing, unknown, or of another shape than the graph's.
            DTypeError: they are not all float32 or all float64.
            NonFiniteError: one holds a NaN or an infinity.
        """
        layout = Layout.of(graph)
        for name in {**layout.slots, **arrays}:
            if name not in arrays or name not in layout.slots:
                lacks = "is missing" if name in layout.slots else "is not one of the graph's"
                raise ShapeError(f"the arrays are those of another graph: {name!r} {lacks}; the graph has {', '.join(layout.slots) or 'none'}")
        found = float_type(next(iter(arrays.values())).dtype, "parameters") if arrays else np.dtype(np.float32)
        vector = np.empty(layout.size, found)
        for name, slot in layout.slots.items():
            if arrays[name].dtype != found:
                raise DTypeError(f"parameter {name!r} must be {found}, as the other ones; got {arrays[name].dtype}; convert with .astype(np.{found})")
            vector[slot.start : slot.stop] = _fitting(arrays[name], name, slot, found).reshape(-1)
        return cls(layout, vector)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go through the constructor, so that arrays stay views of the vector."""
        return type(self), (self.layout, self.vector)

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the array called `name`, or `default`."""
        return self._views.get(name, default)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, float32 or float64."""
        return self.vector.dtype

    @property
    def roles(self) -> dict[str, str]:
        """What each array is for."""
        return {name: slot.role for name, slot in self.layout.slots.items()}

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            self.layout.slot(name)
            raise

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self.layout == other.layout and self.dtype == other.dtype and bool(np.array_equal(self.vector, other.vector))

    __hash__ = None  # type: ignore[assignment] # values that hold arrays have no hash

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {slot.shape}" for name, slot in self.layout.slots.items())
        return f"Parameters({self.layout.size} {self.dtype}: {arrays})"

    def replace(self, arrays: Mapping[str, ArrayLike] | None = None, /, **named: ArrayLike) -> Parameters:
        """Return parameters with some arrays exchanged; names with a dot go into a mapping.

        Raises:
            UnknownNameError: there is no array of that name.
            ShapeError: an array has another shape than the one it replaces.
            DTypeError: it does not hold real numbers, or is float64 where the parameters are float32.
            NonFiniteError: it holds a NaN or an infinity.
        """
        want(arrays, (Mapping, type(None)), "replace: arrays", "a mapping of names to arrays", UnknownNameError)
        vector = self.vector.copy()
        for name, array in {**(arrays or {}), **named}.items():
            slot = self.layout.slot(name)
            vector[slot.start : slot.stop] = _fitting(as_array(array, f"parameter {name!r}"), name, slot, self.dtype).reshape(-1)
        return Parameters(self.layout, vector)

    def with_vector(self, vector: ArrayLike) -> Parameters:
        """Return parameters with the entries of a flat vector, which is copied.

        Raises:
            ShapeError: it has another length.
            DTypeError: it has another element type.
            NonFiniteError: it holds a NaN or an infinity; the message names the array.
        """
        return self.holding(as_array(vector, "the vector").copy())

    def reused(self, who: str, other: Any) -> Array:
        """The vector of other parameters of this layout, to be written to, which changes them; `who` is for messages.

        Raises:
            ShapeError: they are those of another layout, or share memory with these.
            DTypeError: they have another element type.
        """
        want(other, Parameters, who, "parameters that are not needed any more", ShapeError)
        if other.layout is not self.layout and other.layout != self.layout:
            self.layout.refuse(other.layout)
        if other.dtype != self.dtype:
            raise DTypeError(f"{who} must be {self.dtype}, as the parameters are; got {other.dtype}")
        if np.shares_memory(other.vector, self.vector):
            raise ShapeError(f"{who} must have memory of its own; got that of the parameters")
        vector: Array = other.vector
        vector.flags.writeable = True
        return vector

    def holding(self, vector: Array) -> Parameters:
        """Return parameters that are this vector, as it is, which nobody else may change.

        Raises:
            ShapeError: it has another length.
            DTypeError: it has another element type.
            NonFiniteError: it holds a NaN or an infinity; the message names the array.
        """
        if vector.shape != self.vector.shape:
            raise ShapeError(f"the vector of these parameters has shape ({self.layout.size},); got {vector.shape}")
        if vector.dtype != self.vector.dtype:
            raise DTypeError(f"the vector of these parameters is {self.dtype}; got {vector.dtype}; convert with .astype(np.{self.dtype})")
        self._check_finite(vector)
        return Parameters(self.layout, vector)

    def _check_finite(self, vector: Array) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            if all_finite(vector):
                return
        position = int(np.argmin(np.isfinite(vector)))
        name = next(name for name, slot in self.layout.slots.items() if slot.start <= position < slot.stop)
        raise NonFiniteError(f"the new parameters hold {vector[position]} in {name!r}")

    def spread(self, rates: float | Mapping[str, ArrayLike], default: float | None = None) -> Array:
        """One rate for each weight, as a flat vector, from rates for the whole network, layers, arrays or weights.

        Args:
            rates: a number, or a mapping from array names ("conv1.k") or layer names ("conv1") to a number or to
                an array of the shape of the parameter. The name of an array goes before that of its layer.
            default: the rate of arrays that the mapping does not reach.

        Raises:
            UnknownNameError: a name is no array and no layer, or an array has no rate.
            ShapeError: rates for single weights do not have the shape of their array.

        Source: Bouvrie 2006, sections 2.2 and 4.2.
        """
        if not isinstance(rates, Mapping):
            if np.ndim(checked := _rate(rates, "the network")):
                raise ShapeError(f"rates: a number or a mapping was wanted; got an array of shape {checked.shape}")
            return np.full(self.layout.size, checked, self.dtype)
        layers = dict.fromkeys(node for slot in self.layout.slots.values() for node in slot.nodes)
        for name in rates:
            if name not in self.layout.slots and name not in layers:
                raise UnknownNameError(f"rates: no layer with parameters and no array is called {name!r}; {nearest(str(name), [*self.layout.slots, *layers])}")
        vector = np.empty(self.layout.size, self.dtype)
        for name, slot in self.layout.slots.items():
            found = [rates[name]] if name in rates else [rates[node] for node in slot.nodes if node in rates]
            if not found and default is not None:
                found = [default]
            if not found:
                raise UnknownNameError(f"rates: nothing is given for {name!r}; add it, or its layer {slot.nodes[0]!r}")
            if any(not np.array_equal(_rate(rate, repr(name)), found[0]) for rate in found):
                raise UnknownNameError(f"rates: {name!r} is shared by {', '.join(slot.nodes)}, which have different rates; give one for {name!r}")
            rate = _rate(found[0], repr(name))
            if rate.shape not in ((), slot.shape):
                raise ShapeError(f"rates: {name!r} needs a number or an array of shape {slot.shape}; got shape {rate.shape}")
            vector[slot.start : slot.stop] = np.broadcast_to(rate, slot.shape).reshape(-1)
        return vector


def check_initial(initial: Any, graph: Graph) -> dict[str, Initialiser]:
    """Return initialisers by array name or role.

    Raises:
        HyperparameterError: they are no mapping, or one cannot be called.
        UnknownNameError: a key is no array and no role.
    """
    want(initial, (Mapping, type(None)), "initial", "a mapping of array names or roles to initialisers", HyperparameterError)
    given = dict(initial or {})
    for name, start in given.items():
        if name not in graph.arrays and name not in ROLES:
            raise UnknownNameError(f"initial: {name!r} is no parameter array and no role; {nearest(str(name), [*graph.arrays, *ROLES])}")
        if not callable(start) or isinstance(start, type):
            raise HyperparameterError(f"initial: {name!r} needs an initialiser, such as Constant(0.25) or GlorotUniform(); got {start!r}")
    return given


def _rate(value: Any, who: str) -> Array:
    return _inputs.rates(value, f"rates: the rate of {who}")


def _fitting(array: Array, name: str, slot: Slot, dtype: np.dtype[Any]) -> Array:
    if array.shape != slot.shape:
        raise ShapeError(f"parameter {name!r} has shape {slot.shape}; got {array.shape}")
    if array.dtype.kind not in "fiu" or (array.dtype.kind == "f" and not np.can_cast(array.dtype, dtype)):
        raise DTypeError(f"parameter {name!r} is {dtype}; got {array.dtype}; convert with .astype(np.{dtype})")
    if not np.isfinite(array).all():
        raise NonFiniteError(f"parameter {name!r} must be finite; got a NaN or an infinity")
    return array
