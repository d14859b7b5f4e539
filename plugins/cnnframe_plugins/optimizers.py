"""Optimizers: rules that turn gradients into a step (Bouvrie 2006, sections 2.2 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np

from cnnframe import Optimizer, PerLayer, ShapeError, UnknownNameError, at_least, between

from .fused import _update as fused_update

SMALL: Final = 1 << 15
"""Below so many parameters NumPy has taken the step before machine code has been told where they lie."""


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
        """Return the velocity, which is 0; without momentum there is none, and an empty array in its place.

        Raises:
            UnknownNameError: `weight_decay` names what the network does not have.
        """
        _decays(parameters.layout, self.weight_decay)
        return np.zeros(parameters.vector.size if self.momentum else 0, parameters.dtype)

    def step(self, parameters, gradients, state, rate):
        """Return the parameters after one step, and the velocity."""
        _fit(parameters, gradients)
        after, velocity = np.empty_like(parameters.vector), np.empty_like(state)
        self._step(parameters, gradients.vector, state, rate, _decays(parameters.layout, self.weight_decay), after, velocity)
        return parameters.holding(after), velocity

    def step_into(self, out, parameters, gradients, state, rate):
        """Return the same in memory of an earlier step: of many parameters, in one pass of machine code where it is there and the rate is one number."""
        if out is None:
            return self.step(parameters, gradients, state, rate)
        _fit(parameters, gradients)
        p, g = parameters.vector, gradients.vector
        before, velocity = out
        after = parameters.reused("step_into: out", before)
        if not isinstance(velocity, np.ndarray) or velocity.shape != state.shape or velocity.dtype != state.dtype or np.shares_memory(velocity, state):
            raise ShapeError("step_into: out must hold the state of an earlier step, in memory of its own")
        decays = _decays(parameters.layout, self.weight_decay)
        if p.size >= SMALL and np.ndim(rate) == 0 and len({rule for _, rule in decays}) <= 1 and fused_update.ready(p.dtype.name):
            decay = decays[0][1] if decays else 0.0
            fused_update.update(p, g, state, rate, decay, self.momentum, _rows(decays, p.size), after, velocity)
        else:
            self._step(parameters, g, state, rate, decays, after, velocity)
        return parameters.holding(after), velocity

    def _step(self, parameters, slope, state, rate, decays, after, velocity):
        """Write parameters and velocity after one step, without room for anything else."""
        p = parameters.vector
        if decays:
            np.copyto(after, slope)
            for place, decay in decays:
                after[place] += np.asarray(decay, p.dtype) * p[place]
            slope = after
        # A rate in float64 would turn a step in float32 into float64.
        np.multiply(np.asarray(rate, p.dtype), slope, out=after)
        if self.momentum:
            np.multiply(self.momentum, state, out=velocity)
            np.subtract(velocity, after, out=velocity)
            np.add(p, velocity, out=after)
        else:
            np.subtract(p, after, out=after)


def _fit(parameters, gradients):
    if (gradients.layout, gradients.dtype) != (parameters.layout, parameters.dtype):
        raise ShapeError(f"sgd: gradients like the {parameters.layout.size} {parameters.dtype} parameters were wanted; got {gradients!r}")


def _rows(decays, size):
    """Start, stop, and 1 where parameters decay or -1 where they do not, for the whole vector."""
    found, last = [], 0
    for place, _ in decays:
        found += [(last, place.start, -1), (place.start, place.stop, 1)]
        last = place.stop
    return [row for row in (*found, (last, size, -1)) if row[0] < row[1]]


def _decays(layout, decay):
    """Where parameters decay, and how much."""
    if not decay:
        return []
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
