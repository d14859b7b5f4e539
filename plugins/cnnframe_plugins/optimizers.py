"""Optimizers: rules that turn gradients into a step (Bouvrie 2006, sections 2.2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Optimizer, at_least, between


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum and weight decay: v <- momentum v - rate (g + decay w), w <- w + v (equation 6).

    Only parameters of role "weight" decay. With the defaults it is the delta rule of section 2.2.

    Attributes:
        momentum: how much of the step before is kept.
        weight_decay: the decay, per unit of rate.
    """

    momentum: Annotated[float, between(0, 1, include_high=False)] = 0.0
    weight_decay: Annotated[float, at_least(0)] = 0.0

    name = "sgd"

    def init(self, parameters):
        """Return the velocity, which is 0."""
        return np.zeros_like(parameters.vector)

    def step(self, parameters, gradients, state, rate):
        """Return the parameters after one step, and the velocity."""
        slope = gradients.vector
        if self.weight_decay:
            slope = slope + self.weight_decay * _of_role(parameters, "weight")
        # A rate in float64 would turn a step in float32 into float64.
        velocity = self.momentum * state - np.asarray(rate, parameters.dtype) * slope
        return parameters.with_vector(parameters.vector + velocity), velocity


def _of_role(parameters, role):
    """The vector of parameters, with 0 where they have another role."""
    kept = np.zeros_like(parameters.vector)
    for slot in parameters.layout.slots.values():
        if slot.role == role:
            kept[slot.start : slot.stop] = parameters.vector[slot.start : slot.stop]
    return kept
