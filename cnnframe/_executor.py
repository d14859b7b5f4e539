"""Run a graph: predictions, loss and gradients, as pure calls."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from threading import RLock
from typing import Any

import numpy as np

from . import _call, _inputs, _wiring
from ._division import Division
from ._errors import GraphError, HyperparameterError, NonFiniteError, ShapeError
from ._graph import Graph
from ._inputs import first_bad
from ._kernel import Kernel
from ._op import Array
from ._parameters import Layout, Parameters
from ._plan import Plan, needed
from ._preparing import Place, Preparation, Progress
from ._registry import load
from ._threads import default_threads, renewal
from ._watch import watch
from ._work import Work

Values = dict[str, Array]
_WORKS = 64
"""For how many questions programs are kept; a training needs three or four."""


@dataclass(frozen=True)
class Gradients:
    """A loss, its gradient for every parameter, and for the graph inputs that were asked for."""

    loss: float
    parameters: Parameters
    inputs: dict[str, Array]


class Executor:
    """Answers questions about a graph, one at a time, whichever threads ask; keeps plans, with the memory that they work in, and no values.

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

    def __init__(
        self,
        graph: Graph,
        *,
        check_finite: bool = True,
        kernels: Sequence[type[Kernel]] | None = None,
        threads: int | None = None,
        wait: bool | Progress = False,
    ) -> None:
        """Prepare for `graph`.

        Args:
            graph: the network.
            check_finite: whether a NaN or an infinity is an error.
            kernels: the kernels that may serve it, such as `registry.kernels`; those of all that is installed if left out.
            threads: on how many threads a batch is computed; as many as there are processors if left out.
            wait: whether a first answer waits for kernels that have to be compiled, which may take half a minute once; they
                are kept on disk. If not, others serve until then, and the answers before and after differ by roundings:
                whoever needs the same bits every time, as a training that is repeated or resumed does, waits. In place of
                True it may be a function, which is called with how many are through and how many there are.
        """
        _inputs.want(graph, Graph, "Executor: graph", "a Graph")
        self.graph = graph
        self.check_finite = check_finite
        self.threads = default_threads() if threads is None else _inputs.integer(threads, "Executor: threads", 1)
        self.kernels = installed_kernels() if kernels is None else tuple(kernels)
        if not (isinstance(wait, bool) or callable(wait)):
            raise HyperparameterError(f"Executor: wait must be True, False or a function of two numbers; got {wait!r}")
        self.wait = wait
        self.layout = Layout.of(graph)
        self._accepted: Layout | None = self.layout
        self._uses = _inputs.uses(graph)
        self._ranged = {name for name, use in self._uses.items() if use.below is not None or use.unit}
        self._losses = tuple(array for name in graph.losses for array in graph.wires.outputs[name].values())
        self._penalties = [(op, name, next(iter(op.inputs))) for op, name in graph.penalised()]
        self._works: dict[Any, Work] = {}
        self._refused: dict[Place, str] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._process, self._lock = os.getpid(), RLock()

    def forward(self, params: Parameters, outputs: Sequence[str] | None = None, /, **inputs: Any) -> Values:
        """Return the outputs of the asked nodes ("conv1", "bn.mean"), by the names they were asked by; the graph's output if none are."""
        asked = _inputs.names(outputs, "forward: outputs") or (self.graph.output,)
        keys = [_wiring.key(name, self.graph.wires) for name in asked]
        with self._turn(), self._quiet():
            work, arrays = self._prepare(params, inputs, tuple(dict.fromkeys(keys)))
            values, sound = work.values(params.vector, arrays, check=self.check_finite)
            if not sound:
                self._locate(work, params, arrays)
        return {name: values[key] if keys.index(key) == place else values[key].copy() for place, (name, key) in enumerate(zip(asked, keys, strict=True))}

    def predict(self, params: Parameters, /, **inputs: Any) -> Array:
        """Return the graph's output; the targets of the loss are not needed."""
        return self.forward(params, **inputs)[self.graph.output]

    def loss(self, params: Parameters, /, *, reduction: str = "sum", **inputs: Any) -> float:
        """Return the loss over the batch, with penalties: their sum, or with `reduction="mean"` the mean over the batch plus penalties."""
        with self._turn(), self._quiet():
            work, arrays = self._prepare(params, inputs, self._targets())
            scale = _inputs.scale(work.batch, reduction)
            values, sound = work.values(params.vector, arrays, check=self.check_finite)
            loss = scale * sum(map(float, values.values())) + self.penalty(params)
        if self.check_finite and not (sound and math.isfinite(loss)):
            self._locate(work, params, arrays)
        return loss

    def gradients(
        self, params: Parameters, /, *, wanted_inputs: Sequence[str] = (), reduction: str = "sum", out: Parameters | None = None, **inputs: Any
    ) -> Gradients:
        """Return the loss and its gradients for all parameters and for `wanted_inputs`; see `loss` for `reduction`.

        With `out`, the parameters of earlier gradients, their memory is used again.

        Raises:
            GraphError: the graph has no loss, or a wanted input feeds constants alone.
        """
        wanted = _inputs.names(wanted_inputs, "wanted_inputs")
        with self._turn(), self._quiet():
            work, arrays = self._prepare(params, inputs, self._targets(), wanted, gradients=True)
            scale = _inputs.scale(work.batch, reduction)
            vector = np.empty(self.layout.size, params.dtype) if out is None else params.reused("gradients: out", out)
            loss, found, sound = work.gradients(params.vector, arrays, scale, vector, check=self.check_finite)
            loss = scale * loss + self._add_penalties(params, vector)
            if self.check_finite and not (sound and math.isfinite(loss) and _inputs.all_finite(vector)):
                self._locate(work, params, arrays, scale)
        return Gradients(loss, Parameters(self.layout, vector), found)

    def curvature(self, params: Parameters, /, *, reduction: str = "sum", **inputs: Any) -> Parameters:
        """Return the diagonal of the Gauss-Newton matrix of the loss, with penalties, for every parameter; see `loss` for `reduction`.

        It goes backwards as gradients do (LeCun et al. 1998, appendix C): from a loss its second derivative with respect to
        each entry, through a layer what comes from above times the squared derivative, summed. `cnnframe._curvature` says
        what that leaves out. No entry is negative.

        Raises:
            GraphError: the graph has no loss.
            FormulaError: no code can be made from the formula of an operation; the message names the node.
        """
        from ._curvature import Question

        self.check_parameters(params)
        return Question(self.graph, params, self._targets(), inputs, self.check_finite).answer(self._penalties, partial(_inputs.scale, reduction=reduction))

    def penalty(self, params: Parameters, /) -> float:
        """Return the sum of the penalties alone."""
        self.check_parameters(params)
        return sum(float(self._penalty(op, name, arg, params)[0]) for op, name, arg in self._penalties)

    def plan(self, params: Parameters, /, *, wanted_inputs: Sequence[str] = (), **inputs: Any) -> Plan:
        """Return the plan behind `gradients`, or behind `predict` for a graph without loss; of a batch that is computed in parts, that of a part."""
        return self.work(params, wanted_inputs=wanted_inputs, **inputs).plan

    def work(self, params: Parameters, /, *, wanted_inputs: Sequence[str] = (), **inputs: Any) -> Work:
        """Return what `gradients` runs, or `predict` for a graph without loss: plan, parts, threads and memory."""
        with self._turn():
            if not self._losses:
                return self._prepare(params, inputs, (self.graph.output,))[0]
            return self._prepare(params, inputs, self._losses, _inputs.names(wanted_inputs, "wanted_inputs"), gradients=True)[0]

    def _targets(self) -> tuple[str, ...]:
        if not self._losses:
            raise GraphError("the graph has no loss node; add one to train, or ask for forward or predict")
        return self._losses

    def _prepare(
        self, params: Parameters, given: Mapping[str, Any], targets: tuple[str, ...], wanted: tuple[str, ...] = (), *, gradients: bool = False
    ) -> tuple[Work, Values]:
        self.check_parameters(params)
        arrays = {name: array if type(array) is np.ndarray else _inputs.as_array(array, f"input {name!r}") for name, array in given.items()}
        signature = (targets, wanted, gradients, params.dtype, tuple((name, array.shape, array.dtype) for name, array in arrays.items()))
        work = self._works.get(signature)
        if work is None or (work.until is not None and work.until.finished):
            if work is not None and work.until is not None:
                self._refused |= work.until.failed
            _inputs.check_wanted(wanted, self._uses)
            _, read = needed(self.graph, targets)
            _inputs.check_names(self.graph, arrays, read)
            batch = _inputs.check_arrays({name: arrays[name] for name in arrays if name in read}, self._uses, params.dtype)
            make = partial(Plan.make, self.graph, dtype=params.dtype, targets=targets, wanted_inputs=wanted, gradients=gradients)
            work = self._work(make, batch)
            if len(self._works) >= _WORKS:
                self._works.clear()
            self._works[signature] = work
        for name in work.plan.inputs:
            if name in self._ranged:
                _inputs.check_values(name, arrays[name], self._uses[name])
        return work, arrays

    def _work(self, make: Callable[..., Plan], batch: int) -> Work:
        """Programs by the best kernels that serve, or by those that serve now, until the others do."""
        while True:
            best = Division(partial(make, kernels=self.kernels, refused=self._refused), batch, self.threads)
            if not (late := best.waiting):
                return Work(best, self.layout, self._threads)
            preparation = Preparation(late, default_threads())
            if not self.wait:
                break
            preparation.wait(None if self.wait is True else self.wait)
            if not preparation.failed:
                return Work(best, self.layout, self._threads)
            self._refused |= preparation.failed
        now = [kernel for kernel in self.kernels if not kernel.compiles]
        return Work(Division(partial(make, kernels=now, note=preparation.note), batch, self.threads), self.layout, self._threads, preparation)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1, "cnnframe")
        return self._pool

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go through the constructor: plans, their memory and threads stay here."""
        return partial(type(self), check_finite=self.check_finite, kernels=self.kernels, threads=self.threads, wait=self.wait), (self.graph,)

    def _turn(self) -> AbstractContextManager[Any]:
        """One call at a time, since all work in the same memory; a forked child has none of the threads that its parent had."""
        if self._process != os.getpid():
            with renewal.lock:
                if self._process != os.getpid():
                    self._lock, self._pool = RLock(), None
                    self._works.clear()
                    self._process = os.getpid()
        return self._lock

    def check_parameters(self, params: Any) -> None:
        """Refuse what is not the parameters of this graph.

        Raises:
            ShapeError: with what is missing, unknown, or of another shape.
        """
        layout = params.layout if isinstance(params, Parameters) else None
        if layout is self.layout or layout is self._accepted:
            return
        if layout == self.layout:
            self._accepted = layout
            return
        _inputs.want(params, Parameters, "the parameters", "Parameters, such as Parameters.initialise(graph)", ShapeError)
        self.layout.refuse(params.layout)

    def _quiet(self) -> Any:
        # What NumPy would warn of here is found again by the check for finite results, and named.
        return np.errstate(over="ignore", invalid="ignore", divide="ignore") if self.check_finite else nullcontext()

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

    def _locate(self, work: Work, params: Parameters, read: Values, scale: float = 1.0) -> None:
        """Go the same way again, node by node, and stop at the first array that is not finite."""
        for name in work.plan.inputs:
            _inputs.check_finite(name, read[name])
        for name, array in params.items():
            if not np.isfinite(array).all():
                raise NonFiniteError(f"parameter {name!r} holds {first_bad(array)}")
        with self._quiet():
            watch(work.whole, params, {name: read[name] for name in work.plan.inputs}, scale)
            for op, name, arg in self._penalties:
                if not np.isfinite(self._penalty(op, name, arg, params)[0]):
                    raise NonFiniteError(f"penalty {op.name} on {name!r} is not finite")
        raise NonFiniteError("a sum of finite contributions to the loss or a gradient is not finite; the numbers are too large for the element type")


@cache
def installed_kernels() -> tuple[type[Kernel], ...]:
    """The kernels of all that is installed; looked up once."""
    return load().kernels
