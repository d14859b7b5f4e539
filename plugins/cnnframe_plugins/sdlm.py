"""A rate of its own for each weight, from the curvature of the loss (Bouvrie 2006, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import ContractError, Optimizer, at_least, between, positive


@dataclass(frozen=True)
class SDLM(Optimizer):
    """Stochastic diagonal Levenberg-Marquardt: w <- w - rate / (mu + h) times the gradient.

    h is the diagonal of the Gauss-Newton matrix of the mean loss, as `Executor.curvature` propagates it, estimated before each
    epoch. Weights along which the loss bends little take long steps, of rate / mu at most: so the rate is small, some thousandths.
    It is meant for gradients of the mean over a batch (LeCun et al. 1998, appendix C; LeCun, Bottou, Orr and Mueller 1998,
    section 9.1, whose memory is one minus `gamma` for each estimate).

    Attributes:
        mu: what is added to h, so that steps stay finite where the loss is flat.
        gamma: the weight of a new estimate beside those before it; 1 for the new one alone, as for LeNet-5.
        samples: how many examples are drawn for an estimate; all, if there are fewer.
        momentum: how much of the step before is kept.
    """

    mu: Annotated[float, positive] = 0.02
    gamma: Annotated[float, between(0, 1, include_low=False)] = 1.0
    samples: Annotated[int, at_least(1)] = 500
    momentum: Annotated[float, between(0, 1, include_high=False)] = 0.0

    name = "sdlm"

    def init(self, parameters):
        """Return the velocity and the curvature, which are 0, and how many estimates were made."""
        return {"velocity": np.zeros_like(parameters.vector), "curvature": np.zeros_like(parameters.vector), "estimates": 0}

    def prepare(self, parameters, state, curvature):
        """Return the state with a new estimate of the curvature; the first one is taken as it is."""
        found = curvature(self.samples).vector
        if state["estimates"]:
            gamma = np.asarray(self.gamma, found.dtype)
            found = (1 - gamma) * state["curvature"] + gamma * found
        return {**state, "curvature": found, "estimates": state["estimates"] + 1}

    def step(self, parameters, gradients, state, rate):
        """Return the parameters after one step, and the state.

        Raises:
            ContractError: no estimate was made.
        """
        if not state["estimates"]:
            raise ContractError("sdlm: step was called without an estimate of the curvature; call prepare before the first step and before each epoch")
        # A rate in float64 would turn a step in float32 into float64.
        own = np.asarray(rate, parameters.dtype) / (np.asarray(self.mu, parameters.dtype) + state["curvature"])
        velocity = self.momentum * state["velocity"] - own * gradients.vector
        return parameters.holding(parameters.vector + velocity), {**state, "velocity": velocity}
