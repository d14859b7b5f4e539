"""What a training leaves behind."""

from __future__ import annotations

import dataclasses
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
    """

    number: int
    train_loss: float
    test_loss: float | None
    test_error: float | None
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class State:
    """All that a training needs to go on as if it had not stopped: hand it to `fit` as `start`."""

    parameters: Parameters
    optimizer: Any
    epoch: int


@dataclass(frozen=True)
class History:
    """The epochs so far, and the state after the last one."""

    epochs: tuple[Epoch, ...]
    state: State = field(compare=False)

    @property
    def parameters(self) -> Parameters:
        """The parameters after the last epoch."""
        return self.state.parameters

    def to_dict(self) -> dict[str, Any]:
        """The epochs as plain data that JSON can hold."""
        return {"epochs": [dataclasses.asdict(epoch) for epoch in self.epochs]}
