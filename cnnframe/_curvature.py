"""The diagonal of the Gauss-Newton matrix of a loss, propagated backwards (LeCun et al. 1998, appendix C).

The Gauss-Newton matrix of a loss L(y(w)) is J' H J, with J the derivatives of y by w and H the second derivatives of L by y: those of the network
itself are left out. Propagated is its diagonal alone, from each operation to those before it: where y = f(x), h_x[p] is the sum over q of (d y[q] / d
x[p])^2 h_y[q], at a loss the second derivative by each entry, and what several uses of an array hand down adds up. Entries below 0, which a loss that
is not convex may give, count as 0, so that no entry is negative.

Left out is what lies off the diagonal of an operation's output and would come to the diagonal of its arguments. So the answer is the diagonal of the
matrix itself as long as there is nothing off the diagonal on the way back. H must be diagonal (squared error, logistic cross-entropy; of the softmax
with cross-entropy, p (1 - p) is the diagonal of a full one). Operations each of whose outputs reads one entry (activations) keep it so. One operation
that mixes entries (dense, convolution) may follow, and its arguments are exact; behind it are those whose entries each reach a single output: the
weights of the layer before, if that shares none, and so on to the next that mixes. That is a network with one hidden layer and squared error
throughout; with the softmax, the last layer. Elsewhere it is LeCun's approximation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _call, _generated, _inputs
from ._division import divide, per_entry
from ._errors import FormulaError, NonFiniteError
from ._inputs import first_bad
from ._op import Array, Loss, Op
from ._parameters import Parameters
from ._plan import Plan, needed

if TYPE_CHECKING:
    from ._graph import Graph


@dataclass(frozen=True)
class Route:
    """How the diagonal goes back to one argument of an operation.

    Attributes:
        kind: "squared", where the derivative of an output with respect to an entry is `factor` times a product of entries of
            other arguments: through the operation's own methods, with those squared. "apart", where an entry reaches one
            entry of the output and no other: through the operation's own `backward`, of what comes from above and of ones,
            which is the derivative. "formula": through code that is made from the formula.
        squared: the arguments to be squared.
        kept: the arguments that must not be, because something is chosen by their values.
        factor: a number.
    """

    kind: str
    squared: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    factor: float = 1.0


@dataclass(frozen=True)
class Routes:
    """The routes through one operation.

    Attributes:
        at: the route to each input and parameter, at settled sizes.
        generated: the diagonals for some arguments, from that of the output (a dict if there are several) and the tuple of all arguments.
    """

    at: Callable[[Mapping[str, Any]], Mapping[str, Route]]
    generated: Callable[[Any, tuple[Array, ...], frozenset[str]], dict[str, Array]]


def propagate(op: Op, arguments: Mapping[str, Array], diagonals: Mapping[str, Array], wanted: frozenset[str], saved: Any = None) -> dict[str, Array]:
    """Return the diagonal for each wanted argument of an operation from those of its outputs; for a loss, from the number it is multiplied by.

    `saved` is what `forward` saved, where it has been called with these arguments.

    Raises:
        PluginError: nothing is installed that reads formulas.
        FormulaError: the formula cannot be read, or no code can be made from it.
        ContractError: a method returned what its declaration does not allow.
    """
    known = routes(op)
    shapes = {name: array.shape for name, array in arguments.items()}
    by_name = known.at(op.sizes(shapes))
    ways = {name: by_name[name] for name in wanted}
    found: dict[str, Array] = {}
    for names, squared in _groups(ways):
        if squared:
            given = {name: np.square(array) if name in squared else array for name, array in arguments.items()}
            found |= _call.backward(op, diagonals, _call.forward(op, given)[1], names, shapes)
            continue
        saved = _call.forward(op, arguments)[1] if saved is None else saved
        found |= _call.backward(op, diagonals, saved, names, shapes)
        apart = frozenset(name for name in names if ways[name].kind == "apart")
        if apart:
            ones = {name: np.ones_like(array) for name, array in diagonals.items()}
            slopes = _call.backward(op, ones, saved, apart, shapes)
            found |= {name: found[name] * slopes[name] for name in apart}
    generated = frozenset(name for name in wanted if name not in found)
    if generated:
        above = diagonals["y"] if op.single else dict(diagonals)
        made = known.generated(above, tuple(arguments[name] for name in op.declaration.arguments), generated)
        found |= {name: made[name] for name in generated}
    scaled = {name: array * array.dtype.type(ways[name].factor) if ways[name].factor != 1 else array for name, array in found.items()}
    # Rounding may leave a sum of squares below 0, and a loss may bend downwards.
    return {name: np.maximum(array, 0) for name, array in scaled.items()}


def _groups(ways: Mapping[str, Route]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Arguments that one call serves, with what is squared in it."""
    apart = frozenset(name for name, way in ways.items() if way.kind == "apart")
    others = {name: way for name, way in ways.items() if way.kind == "squared"}
    squared = frozenset[str]().union(*(way.squared for way in others.values()))
    found = [(apart, frozenset[str]())] if apart else []
    if not any(squared & way.kept for way in others.values()):
        return [*found, (frozenset(others), squared)] if others else found
    return [*found, *((frozenset({name}), way.squared) for name, way in others.items())]


@lru_cache(maxsize=1024)
def routes(op: Op) -> Routes:
    found: Routes = _generated.curvature_of(op)
    return found


@dataclass(frozen=True)
class Question:
    """What is asked of a graph: parameters of it, its losses, graph inputs by name, and whether a NaN or an infinity is an error."""

    graph: Graph
    params: Parameters
    losses: tuple[str, ...]
    inputs: Mapping[str, Any]
    check_finite: bool

    def answer(self, penalties: Iterable[tuple[Op, str, str]], scale: Callable[[int], float]) -> Parameters:
        """Return the diagonal for all parameters; `scale` gives, for a size of the batch, what the losses are multiplied by."""
        batch, arrays = self._checked()
        make = partial(Plan.make, self.graph, dtype=self.params.dtype, targets=self.losses, gradients=True)
        whole = make(batch)
        (sizes,) = divide(batch, per_entry(whole), 1) if whole.apart and batch > 1 else ((batch,),)
        plans = {size: whole if size == batch else make(size) for size in set(sizes)}
        vector = np.zeros(self.params.layout.size, self.params.dtype)
        found = self.params.layout.views(vector)
        first = 0
        for size in sizes:
            part = {name: array[first : first + size] if name in whole.batched else array for name, array in arrays.items()}
            self._back(plans[size], part, scale(batch), found)
            first += size
        for op, name, arg in penalties:
            one = {"y": np.ones((), self.params.dtype)}
            found[name][...] += self._handed(f"penalty {op.name} on {name!r}", op, {arg: self.params[name]}, one, frozenset({arg}))[arg]
        return Parameters(self.params.layout, vector)

    def _checked(self) -> tuple[int, dict[str, Array]]:
        """The size of the batch, and the graph inputs that are needed.

        Raises:
            CnnframeError: they are not what the graph declares.
        """
        given = {name: _inputs.as_array(array, f"input {name!r}") for name, array in self.inputs.items()}
        uses, dtype = _inputs.uses(self.graph), self.params.dtype
        _, read = needed(self.graph, self.losses)
        _inputs.check_names(self.graph, given, read)
        arrays = {name: given[name] for name in read}
        batch = _inputs.check_arrays(arrays, uses, dtype)
        for name, array in arrays.items():
            if uses[name].below is not None or uses[name].unit:
                _inputs.check_values(name, array, uses[name])
            elif self.check_finite:
                _inputs.check_finite(name, array)
        return batch, arrays

    def _back(self, plan: Plan, values: dict[str, Array], scale: float, found: Mapping[str, Array]) -> None:
        """Add to `found` what each node hands to its parameters."""
        given: dict[str, dict[str, Array]] = {}
        saved: dict[str, Any] = {}
        for step in plan.steps:
            given[step.node] = {name: values[source] for name, source in step.sources} | {name: self.params[array] for name, array in step.parameters}
            with np.errstate(all="ignore"):
                outputs, saved[step.node] = _call.forward(step.op, given[step.node])
            values |= {array: outputs[name] for name, array, _ in step.outputs}
        flowing: dict[str, Array] = {}
        for step in plan.backward:
            seed = scale if isinstance(step.op, Loss) else 0.0
            above = {name: flowing.pop(array) if array in flowing else np.full(shape, seed, plan.dtype) for name, array, shape in step.outputs}
            who = f"node {step.node!r} ({step.op.name})"
            handed = self._handed(who, step.op, given.pop(step.node), above, step.wanted, saved.pop(step.node))
            for name, source in step.sources:
                if name in step.wanted:
                    flowing[source] = flowing[source] + handed[name] if source in flowing else handed[name]
            for name, array in step.parameters:
                found[array][...] += handed[name]

    def _handed(
        self, who: str, op: Op, arguments: Mapping[str, Array], above: Mapping[str, Array], wanted: frozenset[str], saved: Any = None
    ) -> dict[str, Array]:
        try:
            with np.errstate(all="ignore"):
                found = propagate(op, arguments, above, wanted, saved)
        except FormulaError as error:
            raise FormulaError(f"{who} has no curvature: {error}; take an optimizer that does not ask for it") from error
        for name, array in found.items():
            if self.check_finite and not np.isfinite(array).all():
                raise NonFiniteError(f"{who}: the curvature of {name!r} is the first to hold {first_bad(array)}")
        return found
