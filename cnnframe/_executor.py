"""Run a graph: predictions, loss and gradients, as pure calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _call, _inputs, _wiring
from ._errors import ContractError, GraphError, HyperparameterError, NonFiniteError, ShapeError, UnknownNameError
from ._graph import Graph
from ._inputs import first_bad
from ._op import Array
from ._parameters import Layout, Parameters
from ._plan import Plan, Step

Values = dict[str, Array]
_PLANS = 64
"""How many plans are kept; a training needs three or four."""


@dataclass(frozen=True)
class Gradients:
    """A loss, its gradient for every parameter, and for the graph inputs that were asked for."""

    loss: float
    parameters: Parameters
    inputs: dict[str, Array]


class Executor:
    """Answers questions about a graph; keeps plans and no values.

    Gradients add up where an array is read more than once and where parameters are shared, here and nowhere
    else. Every method takes parameters and the graph inputs by name (names with a dot as `**{"a.b": array}`).

    Raises (every method):
        UnknownNameError: an input is missing or unknown.
        ShapeError: the parameters or inputs do not fit the graph.
        DTypeError: they are not all float32 or all float64.
        DataError: indices or random numbers are out of their range.
        NonFiniteError: unless `check_finite` is off, a result holds a NaN or an infinity; the message names
            the node that produced the first one.
        ContractError: an operation returned what its declaration does not allow.
    """

    def __init__(self, graph: Graph, *, check_finite: bool = True) -> None:
        """Prepare for `graph`."""
        _inputs.want(graph, Graph, "Executor: graph", "a Graph")
        self.graph = graph
        self.check_finite = check_finite
        self.layout = Layout.of(graph)
        self._uses = _inputs.uses(graph)
        self._ranged = {name for name, use in self._uses.items() if use.below is not None or use.unit}
        self._losses = tuple(array for name in graph.losses for array in graph.wires.outputs[name].values())
        self._penalties = [(op, name, next(iter(op.inputs))) for op, name in graph.penalised()]
        self._plans: dict[Any, Plan] = {}

    def forward(self, params: Parameters, outputs: Sequence[str] | None = None, /, **inputs: Any) -> Values:
        """Return the outputs of the asked nodes ("conv1", "bn.mean"), by the names they were asked by; the graph's output if none are."""
        asked = _names(outputs, "forward: outputs") or (self.graph.output,)
        keys = [_wiring.key(name, self.graph.wires) for name in asked]
        plan, values = self._prepare(params, inputs, tuple(keys))
        read = {name: values[name] for name in plan.inputs}
        with self._quiet():
            self._forward(plan, params, values)
        if self.check_finite and not all(np.isfinite(values[name]).all() for name in keys):
            self._locate(plan, params, read)
        # A view would let the caller write into an input or into what another output shares.
        return {name: np.array(values[array]) if values[array].base is not None else values[array] for name, array in zip(asked, keys, strict=True)}

    def predict(self, params: Parameters, /, **inputs: Any) -> Array:
        """Return the graph's output; the targets of the loss are not needed."""
        return self.forward(params, **inputs)[self.graph.output]

    def loss(self, params: Parameters, /, *, reduction: str = "sum", **inputs: Any) -> float:
        """Return the loss over the batch, with penalties: their sum, or with `reduction="mean"` the mean over the batch plus penalties."""
        plan, values = self._prepare(params, inputs, self._targets())
        read, scale = {name: values[name] for name in plan.inputs}, self._scale(plan, reduction)
        with self._quiet():
            self._forward(plan, params, values)
            loss = self._total(plan, values, scale) + self.penalty(params)
        if self.check_finite and not np.isfinite(loss):
            self._locate(plan, params, read)
        return loss

    def gradients(self, params: Parameters, /, *, wanted_inputs: Sequence[str] = (), reduction: str = "sum", **inputs: Any) -> Gradients:
        """Return the loss and its gradients for all parameters and for `wanted_inputs`; see `loss` for `reduction`.

        Raises:
            GraphError: the graph has no loss, or a wanted input feeds constants alone.
        """
        wanted = _names(wanted_inputs, "wanted_inputs")
        plan, values = self._prepare(params, inputs, self._targets(), wanted, gradients=True)
        read, scale = {name: values[name] for name in plan.inputs}, self._scale(plan, reduction)
        with self._quiet():
            saved = self._forward(plan, params, values)
            vector = np.zeros(self.layout.size, plan.dtype)
            flowing = self._backward(plan, saved, self.layout.views(vector), scale)
            loss = self._total(plan, values, scale) + self._add_penalties(params, vector)
        found = {name: flowing[name] if name in flowing else np.zeros_like(values[name]) for name in wanted}
        if self.check_finite and not (np.isfinite(loss) and np.isfinite(vector).all() and all(np.isfinite(array).all() for array in found.values())):
            self._locate(plan, params, read, scale)
        return Gradients(loss, Parameters(self.layout, vector), {name: np.array(array) for name, array in found.items()})

    def penalty(self, params: Parameters, /) -> float:
        """Return the sum of the penalties alone."""
        self.check_parameters(params)
        return sum(float(self._penalty(op, name, arg, params)[0]) for op, name, arg in self._penalties)

    def plan(self, params: Parameters, /, *, wanted_inputs: Sequence[str] = (), **inputs: Any) -> Plan:
        """Return the plan behind `gradients`, or behind `predict` for a graph without loss."""
        if not self._losses:
            return self._prepare(params, inputs, (self.graph.output,))[0]
        return self._prepare(params, inputs, self._losses, _names(wanted_inputs, "wanted_inputs"), gradients=True)[0]

    def _targets(self) -> tuple[str, ...]:
        if not self._losses:
            raise GraphError("the graph has no loss node; add one to train, or ask for forward or predict")
        return self._losses

    def _prepare(
        self, params: Parameters, given: Mapping[str, Any], targets: tuple[str, ...], wanted: tuple[str, ...] = (), *, gradients: bool = False
    ) -> tuple[Plan, Values]:
        self.check_parameters(params)
        arrays = {name: _inputs.as_array(array, f"input {name!r}") for name, array in given.items()}
        signature = (targets, wanted, gradients, params.dtype, tuple((name, array.shape, array.dtype) for name, array in arrays.items()))
        plan = self._plans.get(signature)
        if plan is None:
            _inputs.check_wanted(wanted, self._uses)
            needed = Plan.make(self.graph, 1, params.dtype, targets).inputs
            _inputs.check_names(self.graph, arrays, needed)
            batch = _inputs.check_arrays({name: arrays[name] for name in arrays if name in needed}, self._uses, params.dtype)
            plan = Plan.make(self.graph, batch, params.dtype, targets, wanted, gradients=gradients)
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            self._plans[signature] = plan
        for name in plan.inputs:
            if name in self._ranged:
                _inputs.check_values(name, arrays[name], self._uses[name])
            elif self.check_finite:
                _inputs.check_finite(name, arrays[name])
        return plan, arrays

    def check_parameters(self, params: Any) -> None:
        """Refuse what is not the parameters of this graph.

        Raises:
            ShapeError: with what is missing, unknown, or of another shape.
        """
        layout = params.layout if isinstance(params, Parameters) else None
        if layout is self.layout or layout == self.layout:
            return
        _inputs.want(params, Parameters, "the parameters", "Parameters, such as Parameters.initialise(graph)", ShapeError)
        ours, theirs = self.layout.slots, params.layout.slots
        for name, slot in ours.items():
            if name not in theirs:
                raise ShapeError(f"the parameters lack {name!r}; initialise them for this graph: Parameters.initialise(graph)")
            if theirs[name].shape != slot.shape:
                raise ShapeError(f"parameter {name!r} must have shape {slot.shape}; got {theirs[name].shape}; initialise the parameters for this graph")
        extra = ", ".join(name for name in theirs if name not in ours)
        raise ShapeError(
            f"the parameters are those of another graph ({'unknown here: ' + extra if extra else 'other order or roles'}); initialise them for this one"
        )

    def _quiet(self) -> Any:
        # What NumPy would warn of here is found again by the check for finite results, and named.
        return np.errstate(over="ignore", invalid="ignore", divide="ignore") if self.check_finite else nullcontext()

    def _scale(self, plan: Plan, reduction: str) -> float:
        if reduction not in ("sum", "mean"):
            raise HyperparameterError(f"reduction must be 'sum' or 'mean'; got {reduction!r}")
        return 1.0 if reduction == "sum" else 1.0 / plan.batch

    def _total(self, plan: Plan, values: Values, scale: float) -> float:
        return scale * sum(float(values[name]) for name in plan.losses)

    def _forward(self, plan: Plan, params: Parameters, values: Values, *, watch: bool = False) -> dict[str, Any]:
        """Run the steps, adding what they make to `values`; return what they saved."""
        kept = {}
        for step in plan.steps:
            given = {name: values[source] for name, source in step.sources}
            for name, array in step.parameters:
                given[name] = params[array]
            outputs, saved = _call.forward(step.op, given)
            for name, array, shape in step.outputs:
                made = outputs[name]
                if getattr(made, "dtype", None) != plan.dtype or made.shape != shape:
                    raise _unlike(step, name, made, shape, plan)
                values[array] = made
                if watch and not np.isfinite(made).all():
                    raise NonFiniteError(f"node {step.node!r} ({step.op.name}): output {name!r} is the first array to hold {first_bad(made)}")
            if step.wanted:
                kept[step.node] = saved
        return kept

    def _backward(self, plan: Plan, saved: Mapping[str, Any], into: Mapping[str, Array], scale: float, *, watch: bool = False) -> Values:
        """Run the steps backwards, adding parameter gradients to `into`; return the gradients of what is left: the inputs."""
        flowing: Values = {name: np.full((), scale, plan.dtype) for name in plan.losses}
        owned: set[str] = set()
        for step in plan.backward:
            cotangents = {}
            for name, array, shape in step.outputs:
                arrived = flowing.pop(array, None)
                cotangents[name] = np.zeros(shape, plan.dtype) if arrived is None else arrived
                owned.discard(array)
            gradients = _call.backward(step.op, cotangents, saved[step.node], step.wanted, step.shapes)
            if watch:
                for name, gradient in gradients.items():
                    if not np.isfinite(gradient).all():
                        raise NonFiniteError(f"node {step.node!r} ({step.op.name}): the gradient of {name!r} is the first array to hold {first_bad(gradient)}")
            for name, array in step.parameters:
                into[array][...] += gradients[name]
            for name, source in step.sources:
                if name in step.wanted:
                    _accumulate(flowing, owned, source, gradients[name])
        return flowing

    def _penalty(self, op: Any, name: str, arg: str, params: Parameters) -> tuple[Array, Any]:
        outputs, saved = _call.forward(op, {arg: params[name]})
        return outputs["y"], saved

    def _add_penalties(self, params: Parameters, vector: Array) -> float:
        total = 0.0
        for op, name, arg in self._penalties:
            value, saved = self._penalty(op, name, arg, params)
            slot = self.layout.slots[name]
            one = np.ones((), params.dtype)
            gradient = _call.backward(op, {"y": one}, saved, frozenset({arg}), {arg: slot.shape})[arg]
            vector[slot.start : slot.stop] += gradient.reshape(-1)
            total += float(value)
        return total

    def _locate(self, plan: Plan, params: Parameters, read: Values, scale: float = 1.0) -> None:
        """Go the same way again and stop at the first array that is not finite."""
        for name, array in params.items():
            if not np.isfinite(array).all():
                raise NonFiniteError(f"parameter {name!r} holds {first_bad(array)}")
        values = dict(read)
        with self._quiet():
            saved = self._forward(plan, params, values, watch=True)
            vector = np.zeros(self.layout.size, plan.dtype)
            self._backward(plan, saved, self.layout.views(vector), scale, watch=True)
            for op, name, arg in self._penalties:
                if not np.isfinite(self._penalty(op, name, arg, params)[0]):
                    raise NonFiniteError(f"penalty {op.name} on {name!r} is not finite")
        raise NonFiniteError("a sum of finite contributions to the loss or a gradient is not finite; the numbers are too large for the element type")


def _accumulate(flowing: Values, owned: set[str], name: str, gradient: Array) -> None:
    """Add without writing into an array that an operation returned and may have kept."""
    if name not in flowing:
        flowing[name] = gradient
    elif name in owned:
        flowing[name] += gradient
    else:
        flowing[name] = flowing[name] + gradient
        owned.add(name)


def _names(given: Any, who: str) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    found = (given,) if isinstance(given, str) else tuple(given or ()) if isinstance(given, (Sequence, set, type(None))) else (given,)
    for name in found:
        _inputs.want(name, str, who, "names", UnknownNameError)
    return found


def _unlike(step: Step, name: str, made: Any, shape: Any, plan: Plan) -> ContractError:
    return ContractError(
        f"node {step.node!r}: {step.op.name}.forward must return {name!r} with shape {shape} and type {plan.dtype}; got"
        f" shape {np.shape(made)} and type {getattr(made, 'dtype', type(made).__name__)}"
    )
