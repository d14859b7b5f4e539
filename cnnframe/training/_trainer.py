"""Fit a graph to examples, one mini-batch after the other (Bouvrie 2006, section 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _inputs
from .. import targets as codings
from .._axes import BATCH
from .._errors import DataError, GraphError, HyperparameterError, NonFiniteError
from .._executor import Executor
from .._graph import Graph
from .._op import Array, Op
from .._optimizer import Optimizer
from .._param import Initialiser
from .._parameters import Layout, Parameters, check_initial
from .._plan import Plan
from .._preparing import tell
from ._history import Epoch, Evaluation, History, State
from ._rates import Decay, Rate, Schedule, rate_at

Examples = Mapping[str, Any]
"""Arrays by graph input, such as {"x": images, "t": targets}; the first axis of each is the example."""
_PIECE = 256
"""Examples that are evaluated at once: enough to be fast, few enough to need little memory."""


@dataclass(frozen=True)
class Trainer:
    """How a network is trained; `fit` returns what came of it and keeps nothing.

    The step of a mini-batch follows the gradient of the *mean* of the loss over that batch, plus the penalties
    once, so that a rate means the same for every batch size. A batch of 1 is online training, a batch of all examples batch
    training (section 4.1). The last batch of an epoch has what is left.

    Everything random follows from `seed`: the first parameters, the order of the examples, the random numbers of dropout. The
    same seed gives the same history, bit for bit, on one machine with the same threads and kernels: where kernels have
    to be compiled, which takes up to half a minute once, the first step waits for them, and says so on stderr.

    Attributes:
        graph: the network, with a loss.
        optimizer: the rule of the step.
        rate: a number; a mapping of rates for layers or arrays; a vector of one for each weight; or a function of the
            epoch, from 0, that returns one of these (`Decay`).
        batch_size: examples in a mini-batch.
        seed: see above.
        dtype: float32 or float64.
        initial: initialisers by array name or role, as `Parameters.initialise` takes them.
        replacements: operations by node for `evaluate` and `predict`, as `Graph.for_evaluation` takes them; what they
            need besides is given with the examples, such as {"x": images, "batch_norm1.mean": mean, ...}.

    Raises:
        GraphError: the graph has no loss.
        HyperparameterError: a batch size below 1, a negative seed, or a bad rate or initialiser.
        DTypeError: the element type is neither float32 nor float64.
    """

    graph: Graph
    optimizer: Optimizer
    rate: Rate | Schedule
    batch_size: int = 16
    seed: int = 0
    dtype: DTypeLike = np.float32
    initial: Mapping[str, Initialiser] | None = None
    replacements: Mapping[str, Op] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        _inputs.want(self.graph, Graph, "Trainer: graph", "a Graph")
        if not self.graph.losses:
            raise GraphError("Trainer: the graph has no loss node; add one, as in Graph.chain(..., loss=...)")
        if not isinstance(self.optimizer, Optimizer):
            raise HyperparameterError(f"Trainer: optimizer must be an Optimizer, such as registry.make('sgd'); got {self.optimizer!r}")
        for name, low in (("batch_size", 1), ("seed", 0)):
            _inputs.integer(getattr(self, name), f"Trainer: {name}", low)
        dtype = _inputs.float_type(self.dtype, "Trainer: dtype")
        check_initial(self.initial, self.graph)
        if not callable(self.rate) or isinstance(self.rate, Decay):
            layout = Layout.of(self.graph)
            rate_at(self.rate, 0, Parameters(layout, np.zeros(layout.size, dtype)))

    @cached_property
    def _executor(self) -> Executor:
        return Executor(self.graph, wait=tell)

    @cached_property
    def _evaluator(self) -> Executor:
        return Executor(self.graph.for_evaluation(self.replacements), wait=tell)

    @cached_property
    def _drawn(self) -> tuple[str, ...]:
        """The inputs that the trainer draws: random numbers from [0, 1)."""
        return tuple(name for name, use in _inputs.uses(self.graph).items() if use.unit and use.constant)

    def start(self) -> State:
        """The state before the first epoch."""
        parameters = Parameters.initialise(self.graph, seed=self.seed, dtype=self.dtype, initial=self.initial)
        return State(parameters, self.optimizer.init(parameters), 0)

    def fit(
        self,
        train: Examples,
        test: Examples | None = None,
        *,
        epochs: int,
        start: State | History | None = None,
        on_step: Callable[[int, int, float], None] | None = None,
        on_epoch: Callable[[History], None] | None = None,
    ) -> History:
        """Train for some epochs and return the history, with the parameters in it.

        Args:
            train: arrays by graph input; those of dropout are drawn.
            test: likewise, to be evaluated after each epoch.
            epochs: passes over the training examples.
            start: the state of an earlier history, to go on from.
            on_step: called after each step with the epoch from 1, the step from 1, and the mean loss of the batch.
            on_epoch: called after each epoch with the history so far.

        Raises:
            DataError: examples that do not fit together or are not finite.
            DTypeError: examples of another element type than the network.
            NonFiniteError: the training diverged; the message names epoch, step and node.
        """
        _inputs.integer(epochs, "fit: epochs", 1)
        needed = [name for name in self.graph.inputs if name not in self._drawn]
        arrays, count = _examples(train, "train", self.graph, needed, self.dtype)
        if test is not None:
            _examples(test, "test", self._evaluator.graph, None, self.dtype)
        state = start.state if isinstance(start, History) else self.start() if start is None else start
        _inputs.want(state, State, "fit: start", "the state of a history", DataError)
        self._executor.check_parameters(state.parameters)
        done: tuple[Epoch, ...] = ()
        for number in range(state.epoch + 1, state.epoch + 1 + int(epochs)):
            began = time.perf_counter()
            state, loss = self._epoch(state, arrays, count, on_step)
            found = None if test is None else self.evaluate(state.parameters, test)
            seconds = time.perf_counter() - began
            done = (*done, Epoch(number, loss, found.loss if found else None, found.error if found else None, seconds))
            if on_epoch is not None:
                on_epoch(History(done, state))
        return History(done, state)

    def evaluate(self, parameters: Parameters, examples: Examples) -> Evaluation:
        """Return loss and error on examples, with the network as it is used: dropout lets everything through.

        Raises:
            DataError: examples that do not fit together or are not finite.
        """
        graph = self._evaluator.graph
        self._evaluator.check_parameters(parameters)
        arrays, count = _examples(examples, "test", graph, None, parameters.dtype)
        total = 0.0
        outputs = []
        for first in range(0, count, _PIECE):
            piece = _part(graph, arrays, slice(first, first + _PIECE))
            found = self._evaluator.forward(parameters, [graph.output, *graph.losses], **piece)
            total += sum(float(found[name]) for name in graph.losses)
            outputs.append(found[graph.output])
        wrong = self._wrong(np.concatenate(outputs), arrays)
        return Evaluation(total / count + self._evaluator.penalty(parameters), None if wrong is None else wrong / count, wrong, count)

    def predict(self, parameters: Parameters, examples: Examples) -> Array:
        """Return the network's output for examples; targets are not needed.

        Raises:
            DataError: examples that do not fit together or are not finite.
        """
        graph = self._evaluator.graph
        self._evaluator.check_parameters(parameters)
        needed = Plan.make(graph, 1, parameters.dtype, (graph.output,)).inputs
        arrays, count = _examples(examples, "predict", graph, needed, parameters.dtype)
        pieces = (_part(graph, arrays, slice(first, first + _PIECE)) for first in range(0, count, _PIECE))
        return np.concatenate([self._evaluator.predict(parameters, **piece) for piece in pieces])

    def _epoch(self, state: State, arrays: Mapping[str, Array], count: int, on_step: Callable[[int, int, float], None] | None) -> tuple[State, float]:
        # A stream for each epoch: a training that goes on from a state needs nothing but the epoch's number.
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(state.epoch,)))
        order = rng.permutation(count)
        parameters, memory, total = state.parameters, state.optimizer, 0.0
        rate = rate_at(self.rate, state.epoch, parameters)
        for step, first in enumerate(range(0, count, self.batch_size), 1):
            chosen = order[first : first + self.batch_size]
            batch: dict[str, Any] = _part(self.graph, arrays, chosen) | self._draw(len(chosen), rng, parameters)
            try:
                found = self._executor.gradients(parameters, reduction="mean", **batch)
                with np.errstate(over="ignore", invalid="ignore"):
                    parameters, memory = self.optimizer.step(parameters, found.parameters, memory, rate)
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {state.epoch + 1}, step {step}: {error}; lower the rate") from error
            total += found.loss * len(chosen)
            if on_step is not None:
                on_step(state.epoch + 1, step, found.loss)
        return State(parameters, memory, state.epoch + 1), total / count

    def _draw(self, batch: int, rng: np.random.Generator, parameters: Parameters) -> dict[str, NDArray[Any]]:
        if not self._drawn:
            return {}
        shapes = self.graph.shapes(batch)
        kind: Any = parameters.dtype.type
        return {name: rng.random(shapes[name], kind) for name in self._drawn}

    def _wrong(self, outputs: Array, arrays: Mapping[str, Array]) -> int | None:
        """How many outputs mean another class than the targets of the one loss; None if these are not classes."""
        graph = self._evaluator.graph
        if len(graph.losses) != 1 or outputs.ndim != 2 or outputs.shape[1] < 2:
            return None
        node = graph[graph.losses[0]]
        targets = [arrays[source] for name, source in node.inputs.items() if name in node.op.constants and source in arrays]
        if len(targets) != 1:
            return None
        (wanted,) = targets
        if wanted.ndim == 1 and wanted.dtype.kind in "iu":
            return int((codings.labels_of(outputs) != wanted).sum())
        if wanted.shape == outputs.shape and codings.is_coding(wanted):
            return int((codings.labels_of(outputs) != codings.labels_of(wanted)).sum())
        return None


def _part(graph: Graph, arrays: Mapping[str, Array], chosen: Any) -> dict[str, Array]:
    """Some of the examples, and whole what has no axis for the batch."""
    return {name: array[chosen] if BATCH in graph.inputs[name] else array for name, array in arrays.items()}


def _examples(given: Examples, who: str, graph: Graph, needed: Sequence[str] | None, dtype: DTypeLike) -> tuple[dict[str, Array], int]:
    """Hold examples to what the graph needs, all of its inputs unless said otherwise, and count them."""
    if not isinstance(given, Mapping) or not given:
        got = "an empty one" if isinstance(given, Mapping) else type(given).__name__
        raise DataError(f"{who}: examples are a mapping of graph inputs to arrays, as {{'x': images, 't': targets}}; got {got}")
    needed = list(graph.inputs) if needed is None else needed
    _inputs.check_names(graph, given, needed)
    arrays = {name: _inputs.as_array(array, f"{who}: {name!r}") for name, array in given.items() if name in needed or who == "train"}
    sizes = {name: len(array) if array.ndim else 0 for name, array in arrays.items() if BATCH in graph.inputs[name]}
    if len(set(sizes.values())) != 1 or not all(sizes.values()):
        raise DataError(f"{who}: arrays must have the same number of examples, at least one; got {', '.join(f'{n} {s}' for n, s in sizes.items()) or 'none'}")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = int((np.argwhere(~np.isfinite(array)).reshape(-1)[:1].tolist() or [0])[0])
            raise DataError(f"{who}: {name!r} must be finite; example {where} holds a NaN or an infinity; clean or drop it")
    uses = _inputs.uses(graph)
    _inputs.check_arrays(arrays, uses, np.dtype(dtype))
    for name, array in arrays.items():
        if uses[name].below is not None or uses[name].unit:
            try:
                _inputs.check_values(name, array, uses[name])
            except DataError as error:
                raise DataError(f"{who}: {error}") from None
    return arrays, next(iter(sizes.values()))
