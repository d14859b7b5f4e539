"""Learning rates: for the network, a layer, an array or a weight, the same always or by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """A rate that is multiplied by `factor` after each epoch; for a mapping, every rate in it.

    Raises:
        HyperparameterError: `factor` is not in (0, 1], or a rate is negative or not finite.
    """

    rate: float | Mapping[str, Any]
    factor: float

    def __post_init__(self) -> None:
        """Hold the factor to its bounds."""
        _inputs.want(self.factor, (int, float, np.number), "Decay: factor", "a number", HyperparameterError)
        for rate in self.rate.values() if isinstance(self.rate, Mapping) else (self.rate,):
            _inputs.rates(rate, "Decay: rate")
        if not 0 < self.factor <= 1:
            raise HyperparameterError(f"Decay: factor must be greater than 0 and at most 1; got {self.factor!r}")

    def __call__(self, epoch: int) -> Rate:
        """Return the rate in an epoch, from 0."""
        now = self.factor**epoch
        return {name: rate * now for name, rate in self.rate.items()} if isinstance(self.rate, Mapping) else self.rate * now


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
    return found if found.ndim else float(found)
