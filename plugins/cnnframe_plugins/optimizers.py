"""Optimizers: rules that turn gradients into a step (Bouvrie 2006, sections 2.2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Optimizer, PerLayer, UnknownNameError, at_least, between


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum and weight decay: v <- momentum v - rate (g + decay w), w <- w + v (equation 6).

    Only parameters of role "weight" decay, unless an array is named. With the defaults it is the delta rule of section 2.2.

    Attributes:
        momentum: how much of the step before is kept.
        weight_decay: the decay, per unit of rate; or a mapping of layers ("conv1", its weights) or arrays ("conv1.b", whatever they are) to
            decays, where the name of an array goes before that of its layer, and what is not named does not decay.
    """

    momentum: Annotated[float, between(0, 1, include_high=False)] = 0.0
    weight_decay: Annotated[PerLayer, at_least(0)] = 0.0

    name = "sgd"

    def init(self, parameters):
        """Return the velocity, which is 0.

        Raises:
            UnknownNameError: `weight_decay` names what the network does not have.
        """
        _decays(parameters.layout, self.weight_decay)
        return np.zeros_like(parameters.vector)

    def step(self, parameters, gradients, state, rate):
        """Return the parameters after one step, and the velocity."""
        slope = gradients.vector
        if self.weight_decay:
            slope = slope.copy()
            for place, decay in _decays(parameters.layout, self.weight_decay):
                slope[place] += np.asarray(decay, slope.dtype) * parameters.vector[place]
        # A rate in float64 would turn a step in float32 into float64.
        velocity = self.momentum * state - np.asarray(rate, parameters.dtype) * slope
        return parameters.with_vector(parameters.vector + velocity), velocity


def _decays(layout, decay):
    """Where parameters decay, and how much."""
    named = dict(decay) if isinstance(decay, tuple) else None
    layers = {node for slot in layout.slots.values() for node in slot.nodes}
    for name in named or ():
        if name not in layout.slots and name not in layers:
            known = sorted({*layout.slots, *layers})
            raise UnknownNameError(f"sgd: weight_decay: no layer with parameters and no array is called {name!r}; known: {', '.join(known)}")
    found = []
    for name, slot in layout.slots.items():
        rule = decay if named is None else max((named[node] for node in slot.nodes if node in named), default=0.0)
        rule = rule if slot.role == "weight" else 0.0
        rule = rule if named is None else named.get(name, rule)
        if rule:
            found.append((slice(slot.start, slot.stop), rule))
    return found
