"""What a training leaves behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._parameters import Parameters


@dataclass(frozen=True)
class Evaluation:
    """How a network does on some examples.

    Attributes:
        loss: the mean over the examples, plus penalties.
        error: the part of the examples that is put into the wrong class; None if the targets are not classes.
        wrong: how many those are; None likewise.
        count: how many examples there are.
    """

    loss: float
    error: float | None
    wrong: int | None
    count: int


@dataclass(frozen=True)
class Epoch:
    """One pass over the training examples; two are equal whatever time they took.

    Attributes:
        number: from 1.
        train_loss: the mean of the loss over the examples, each with the parameters of its moment, plus penalties.
        test_loss: the mean over the test examples after the epoch, plus penalties; None without test examples.
        test_error: the part of the test examples in the wrong class; None if the targets are not classes.
        seconds: wall-clock time, the test included.
        rate: the learning rate; None if it is not the same for all weights.
        gradient_norms: for each layer with parameters, the 2-norm of the gradient, the mean over 32 steps of the epoch (all, if
            it has fewer than 64).
        mixtures: for each layer that combines maps, its weights alpha after the epoch, a row for each input map.
    """

    number: int
    train_loss: float
    test_loss: float | None
    test_error: float | None
    seconds: float = field(compare=False)
    rate: float | None = None
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    mixtures: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Epoch:
        """Rebuild an epoch from `dataclasses.asdict`, or from what JSON made of it."""
        mixtures = {name: tuple(tuple(row) for row in rows) for name, rows in stored["mixtures"].items()}
        return cls(**{**stored, "mixtures": mixtures})

    def merit(self) -> tuple[float, float]:
        """What a better epoch has less of: test error, then test loss; the training loss without test examples."""
        first = self.test_loss if self.test_error is None else self.test_error
        return (self.train_loss, 0.0) if first is None or self.test_loss is None else (first, self.test_loss)


@dataclass(frozen=True)
class Part:
    """How far an epoch has come that is not over.

    Attributes:
        step: the steps that are done.
        loss: the sum of the loss over the examples of these steps.
        norms: the sums of the gradient norms that were taken, in the order of the layers.
        random: the state of the random numbers after the last step; None if steps draw none.
        seconds: the time that the steps took.
        examples: how many examples the epoch has.
    """

    step: int = 0
    loss: float = 0.0
    norms: tuple[float, ...] = ()
    random: Mapping[str, Any] | None = None
    seconds: float = field(default=0.0, compare=False)
    examples: int = 0


@dataclass(frozen=True)
class State:
    """All that a training needs to go on as if it had not stopped, within an epoch too: hand it to `fit` as `start`."""

    parameters: Parameters
    optimizer: Any
    epoch: int
    part: Part = Part()


@dataclass(frozen=True)
class Best:
    """The parameters after the best epoch so far: that of the least test error, then test loss; of the least training loss without a test."""

    parameters: Parameters
    epoch: Epoch


@dataclass(frozen=True)
class History:
    """The epochs so far, the state after the last step, and the best parameters; None before the first epoch is over."""

    epochs: tuple[Epoch, ...]
    state: State = field(compare=False)
    best: Best | None = field(default=None, compare=False)

    @property
    def parameters(self) -> Parameters:
        """The parameters after the last step."""
        return self.state.parameters

    def after(self, epoch: Epoch, state: State) -> History:
        """The history with one more epoch."""
        best = self.best if self.best is not None and self.best.epoch.merit() <= epoch.merit() else Best(state.parameters, epoch)
        return History((*self.epochs, epoch), state, best)

    def to_dict(self) -> dict[str, Any]:
        """The epochs as plain data that JSON can hold."""
        return {"epochs": [dataclasses.asdict(epoch) for epoch in self.epochs]}
