"""3.3.1: penalties on the weights of a combination, and where they lead: the printed one and others."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cnnframe.algebra import absolute, log, sqrt, total

from ._speech import Layer, f
from .softmax_weights import M, N, alpha, k, l_, lam, s


def penalised(each: Callable[[Any], Any]) -> Layer:
    """The error is lambda times the sum of `each` over all weights."""
    return s.error(lam * total(each(alpha[k, l_]), (k, N), (l_, M)))


norm = penalised(absolute)
plain = penalised(lambda a: a)

anything = penalised(f)
"""The penalty is any differentiable function of each weight."""

ACTING: Mapping[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "squares": (r"-\sum_i \alpha_i^2", lambda a: -(a**2), lambda a: -2 * a),
    "entropy": (r"-\sum_i \alpha_i \log \alpha_i", lambda a: -a * log(a), lambda a: -np.log(a) - 1),
    "roots": (r"\sum_i \alpha_i^{1/2}", sqrt, lambda a: 0.5 / np.sqrt(a)),
}
"""Penalties that do act, by name: LaTeX, the penalty of one weight, and its derivative in numbers."""

START = (0.3, 0.1, 0.0, -0.2)


def descended(slope: Callable[[Any], Any], steps: int = 3000, rate: float = 0.5) -> Any:
    """The weights to which plain gradient descent on a penalty alone leads, from free weights `START`."""
    free = np.array(START)
    for _ in range(steps):
        weights = np.exp(free - free.max())
        weights /= weights.sum()
        slopes = slope(weights)
        free -= rate * weights * (slopes - weights @ slopes)
    return weights
