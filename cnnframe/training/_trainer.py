"""Fit a graph to examples, one mini-batch after the other (Bouvrie 2006, section 4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _inputs
from .. import targets as codings
from .._errors import DataError, GraphError, HyperparameterError
from .._executor import Executor
from .._graph import Graph
from .._kernel import Kernel
from .._op import Array, Op
from .._optimizer import Optimizer
from .._param import Initialiser
from .._parameters import Layout, Parameters, check_initial
from .._plan import needed
from .._preparing import tell
from ._every import Every
from ._examples import Examples, checked, part
from ._history import Epoch, Evaluation, History, State
from ._loop import Loop, OnStep
from ._mixtures import mixtures, warn_of_constants
from ._rates import Decay, Rate, Schedule, StepTable, rate_at

_PIECE = 256
"""Examples that are evaluated at once: enough to be fast, few enough to need little memory."""

ORDERS = ("shuffled", "fixed")
REDUCTIONS = ("mean", "sum")
Augment = Callable[[Array, np.random.Generator], Array]


@dataclass(frozen=True)
class Trainer:
    """How a network is trained; `fit` returns what came of it and keeps nothing.

    The step of a mini-batch follows the gradient of the *mean* of the loss over that batch, plus the penalties
    once, so that a rate means the same for every batch size; with `reduction="sum"` it follows the sum. A batch of 1 is online training, a batch of
    all examples batch training (section 4.1). The last batch of an epoch has what is left.

    Everything random follows from `seed`: the first parameters, and in each epoch the order of the examples, the random numbers of dropout and of
    `augment`. The same seed gives the same history, bit for bit, on one machine with the same threads and kernels: where kernels
    have to be compiled, which takes up to half a minute once, the first step waits for them, and says so on stderr.

    Attributes:
        graph: the network, with a loss.
        optimizer: the rule of the step.
        rate: a number; a mapping of rates for layers or arrays; a vector of one for each weight; or a function of the
            epoch, from 0, that returns one of these (`Decay`, `StepTable`).
        batch_size: examples in a mini-batch.
        seed: see above.
        dtype: float32 or float64.
        initial: initialisers by array name or role, as `Parameters.initialise` takes them.
        replacements: operations by node for `evaluate` and `predict`, as `Graph.for_evaluation` takes them; what they
            need besides is given with the examples, such as {"x": images, "batch_norm1.mean": mean, ...}.
        reduction: "mean" or "sum": what of a batch's losses a step goes down.
        order: "shuffled", anew in each epoch, or "fixed", as the examples are given (LeCun et al. 1989 train in fixed order).
        augment: changes the images of a batch before a step, as a function of the images (n, maps, *map) and a random generator; they
            are the graph's input "x". It returns new ones of the same shape.
        threads: on how many threads a batch is computed; as many as there are processors if left out.
        kernels: the kernels that may serve, as `Executor` takes them; those of all that is installed if left out.

    Raises:
        GraphError: the graph has no loss, or no input "x" to be augmented.
        HyperparameterError: a batch size below 1, a negative seed, an unknown order or reduction, or a bad rate or initialiser.
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
    reduction: str = "mean"
    order: str = "shuffled"
    augment: Augment | None = None
    threads: int | None = None
    kernels: Sequence[type[Kernel]] | None = None

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
        for name, known in (("reduction", REDUCTIONS), ("order", ORDERS)):
            if getattr(self, name) not in known:
                raise HyperparameterError(f"Trainer: {name} must be {' or '.join(map(repr, known))}; got {getattr(self, name)!r}")
        if self.augment is not None and (not callable(self.augment) or "x" not in self.graph.inputs):
            raise GraphError(f"Trainer: augment must be a function of images and a random generator, for the graph's input 'x'; got {self.augment!r}")
        if not callable(self.rate) or isinstance(self.rate, (Decay, StepTable)):
            layout = Layout.of(self.graph)
            rate_at(self.rate, 0, Parameters(layout, np.zeros(layout.size, dtype)))
        warn_of_constants(self.graph)

    @cached_property
    def executor(self) -> Executor:
        """What gives the gradients."""
        return Executor(self.graph, kernels=self.kernels, threads=self.threads, wait=tell)

    @cached_property
    def evaluator(self) -> Executor:
        """What runs the network as it is used: dropout lets everything through."""
        return Executor(self.graph.for_evaluation(self.replacements), kernels=self.kernels, threads=self.threads, wait=tell)

    @cached_property
    def drawn(self) -> tuple[str, ...]:
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
        on_step: OnStep | None = None,
        on_epoch: Callable[[History], None] | None = None,
        save: Callable[[History], None] | None = None,
        every: Every | None = None,
    ) -> History:
        """Train for some epochs and return the history, with the last parameters and the best ones in it.

        Args:
            train: arrays by graph input; those of dropout are drawn. An array may be a memory map, or anything that answers
                `shape`, `dtype`, and indexing with an array of indices; it is never read as a whole.
            test: likewise, to be evaluated after each epoch.
            epochs: passes over the training examples; one that `start` is within counts as one.
            start: a state to go on from, or a history, whose epochs are then the first of those that are returned.
            on_step: called after each step with the epoch from 1, the step from 1, and the mean loss of the batch.
            on_epoch: called after each epoch with the history so far.
            save: called with the history so far after each epoch, when it is time by `every`, and when the training is interrupted
                (KeyboardInterrupt), which then goes on its way; such as `RunFolder.saver(trainer)`.
            every: how often it is time to save within an epoch.

        Raises:
            DataError: examples that do not fit together or are not finite.
            DTypeError: examples of another element type than the network.
            NonFiniteError: the training diverged; the message names epoch, step and node.
        """
        _inputs.integer(epochs, "fit: epochs", 1)
        needed = [name for name in self.graph.inputs if name not in self.drawn]
        arrays, count = checked(train, "train", self.graph, needed, self.dtype)
        held = None if test is None else checked(test, "test", self.evaluator.graph, None, self.dtype)
        state = start.state if isinstance(start, History) else self.start() if start is None else start
        _inputs.want(state, State, "fit: start", "a history or its state", DataError)
        self.executor.check_parameters(state.parameters)
        history = start if isinstance(start, History) else History((), state)
        due = None if save is None or every is None else every.begin()

        def stepped(epoch: int, step: int, loss: float) -> None:
            if due is not None and save is not None and due():
                save(replace(history, state=loop.state))
            if on_step is not None:
                on_step(epoch, step, loss)

        loop = Loop(self, arrays, count, state, on_step if due is None else stepped)
        try:
            for number in range(state.epoch + 1, state.epoch + 1 + int(epochs)):
                loss, norms = loop.epoch()
                began, spent = time.perf_counter(), loop.state.part.seconds
                found = None if held is None else self._evaluated(loop.state.parameters, *held)
                seconds = spent + time.perf_counter() - began
                seen = mixtures(self.graph, loop.state.parameters)
                result = (loss, found.loss if found else None, found.error if found else None, seconds)
                history = history.after(Epoch(number, *result, loop.rate if isinstance(loop.rate, float) else None, norms, seen), loop.closed())
                loop.go_on(history.state)
                if save is not None:
                    save(history)
                if on_epoch is not None:
                    on_epoch(history)
        except KeyboardInterrupt:
            if save is not None:
                # An interrupt between the end of an epoch and the beginning of the next one finds the loop behind the history.
                save(history if history.state.epoch > loop.state.epoch else replace(history, state=loop.state))
            raise
        return history

    def evaluate(self, parameters: Parameters, examples: Examples) -> Evaluation:
        """Return loss and error on examples, with the network as it is used: dropout lets everything through.

        Raises:
            DataError: examples that do not fit together or are not finite.
        """
        self.evaluator.check_parameters(parameters)
        return self._evaluated(parameters, *checked(examples, "test", self.evaluator.graph, None, parameters.dtype))

    def _evaluated(self, parameters: Parameters, arrays: Mapping[str, Any], count: int) -> Evaluation:
        graph = self.evaluator.graph
        total = 0.0
        wrong: int | None = 0
        for first in range(0, count, _PIECE):
            piece = part(graph, arrays, slice(first, first + _PIECE))
            found = self.evaluator.forward(parameters, [graph.output, *graph.losses], **piece)
            total += sum(float(found[name]) for name in graph.losses)
            missed = self._wrong(found[graph.output], piece)
            wrong = None if wrong is None or missed is None else wrong + missed
        return Evaluation(total / count + self.evaluator.penalty(parameters), None if wrong is None else wrong / count, wrong, count)

    def predict(self, parameters: Parameters, examples: Examples) -> Array:
        """Return the network's output for examples; targets are not needed.

        Raises:
            DataError: examples that do not fit together or are not finite.
        """
        graph = self.evaluator.graph
        self.evaluator.check_parameters(parameters)
        _, read = needed(graph, (graph.output,))
        arrays, count = checked(examples, "predict", graph, read, parameters.dtype)
        pieces = (part(graph, arrays, slice(first, first + _PIECE)) for first in range(0, count, _PIECE))
        return np.concatenate([self.evaluator.predict(parameters, **piece) for piece in pieces])

    def probabilities(self, outputs: Array) -> Array | None:
        """The probabilities of classes that outputs stand for, if the loss says how: by a method `probabilities`, as the cross-entropies have it."""
        nodes = [self.graph[name] for name in self.graph.losses]
        if len(nodes) != 1 or self.graph.output not in self.graph.wires.sources[nodes[0].name].values():
            return None
        rule = getattr(nodes[0].op, "probabilities", None)
        return None if rule is None else np.asarray(rule(outputs))

    def _wrong(self, outputs: Array, arrays: Mapping[str, Array]) -> int | None:
        """How many outputs mean another class than the targets of the one loss; None if these are not classes."""
        graph = self.evaluator.graph
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
