"""Learning rates: for the network, a layer, an array or a weight, the same always or by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _inputs
from .._errors import HyperparameterError, ShapeError
from .._parameters import Parameters

Rate = float | Mapping[str, Any] | NDArray[Any]
Schedule = Callable[[int], Rate]


@dataclass(frozen=True)
class Decay:
    """A rate that is multiplied by `factor` every so many epochs; for a mapping, every rate in it.

    Attributes:
        rate: the rate in the first epoch.
        factor: what it is multiplied by.
        every: after how many epochs, each time.

    Raises:
        HyperparameterError: `factor` is not in (0, 1], `every` is below 1, or a rate is negative or not finite.
    """

    rate: float | Mapping[str, Any]
    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        """Hold the numbers to their bounds."""
        _inputs.want(self.factor, (int, float, np.number), "Decay: factor", "a number", HyperparameterError)
        _inputs.integer(self.every, "Decay: every", 1)
        _check(self.rate, "Decay: rate")
        if not 0 < self.factor <= 1:
            raise HyperparameterError(f"Decay: factor must be greater than 0 and at most 1; got {self.factor!r}")

    def __call__(self, epoch: int) -> Rate:
        """Return the rate in an epoch, from 0."""
        now = self.factor ** (epoch // self.every)
        return {name: rate * now for name, rate in self.rate.items()} if isinstance(self.rate, Mapping) else self.rate * now


@dataclass(frozen=True)
class StepTable:
    """Rates in turn, each for some epochs; the last one stays.

    `StepTable([(2, 5e-4), (3, 2e-4), (3, 1e-4), (4, 5e-5), (8, 1e-5)])` is LeNet-5's (LeCun et al. 1998, from secondary sources).

    Attributes:
        steps: pairs of a number of epochs and a rate, which may be a mapping.

    Raises:
        HyperparameterError: there is no pair, a number of epochs is below 1, or a rate is negative or not finite.
    """

    steps: Sequence[tuple[int, float | Mapping[str, Any]]]

    def __post_init__(self) -> None:
        """Hold the pairs to their bounds, and keep them as tuples."""
        wanted = "pairs of a number of epochs and a rate, such as [(2, 5e-4), (3, 2e-4)]"
        _inputs.want(self.steps, (list, tuple), "StepTable: steps", wanted, HyperparameterError)
        if not self.steps or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in self.steps):
            raise HyperparameterError(f"StepTable: steps must be {wanted}; got {self.steps!r}")
        for epochs, rate in self.steps:
            _inputs.integer(epochs, "StepTable: epochs", 1)
            _check(rate, "StepTable: rate")
        object.__setattr__(self, "steps", tuple((int(epochs), rate) for epochs, rate in self.steps))

    def __call__(self, epoch: int) -> Rate:
        """Return the rate in an epoch, from 0."""
        for epochs, rate in self.steps:
            if epoch < epochs:
                return rate
            epoch -= epochs
        return self.steps[-1][1]


def _check(rate: Any, who: str) -> None:
    for each in rate.values() if isinstance(rate, Mapping) else (rate,):
        _inputs.rates(each, who)


def rate_at(rate: Rate | Schedule, epoch: int, parameters: Parameters) -> Any:
    """The rate in an epoch as an optimizer takes it: a number, or a flat vector with one for each weight.

    Raises:
        HyperparameterError: a rate is negative or not finite.
        ShapeError: a vector does not have one entry for each weight.
        UnknownNameError: a mapping names what the network does not have.
    """
    now = rate(epoch) if callable(rate) else rate
    if isinstance(now, Mapping):
        return parameters.spread(now)
    found = _inputs.rates(now, "rate", f" in epoch {epoch + 1}")
    if found.ndim and found.shape != parameters.vector.shape:
        raise ShapeError(f"rate: a vector needs one entry for each of {parameters.vector.size} weights; got shape {found.shape}; use a mapping for layers")
    # In the network's type once an epoch, and not once a step.
    return found.astype(parameters.dtype) if found.ndim else float(found)
