"""How a network of the box is trained unless one says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import targets
from .._errors import HyperparameterError
from .._graph import Graph
from .._inputs import want
from .._op import Op
from .._param import Initialiser
from .._registry import Registry

LOSSES: Final = ("squared_error", "softmax_cross_entropy")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained unless one says otherwise.

    Attributes:
        epochs: passes over the training examples.
        batch_size: examples in a mini-batch.
        rate: the learning rate in the first epoch.
        decay: what the rate is multiplied by after each epoch.
        momentum: how much of the step before is kept.
        initial: initialisers by role or array name.
        coding: of the targets, one of `targets.CODINGS`.
        scaling: of the images, one of `data.SCALINGS`.
        schedule: pairs of a number of epochs and their rate, instead of `rate` and `decay`; the last rate stays.
        optimizer: the rule of the step, by its registered name.
        shuffle: whether each epoch has an order of its own; if not, it is that of the data.
        source: where the numbers come from.
    """

    epochs: int
    batch_size: int
    rate: float
    decay: float = 1.0
    momentum: float = 0.0
    initial: Mapping[str, Initialiser] = field(default_factory=lambda: MappingProxyType({}))
    coding: str = "-1/+1"
    scaling: str = "standardise"
    schedule: tuple[tuple[int, float], ...] = ()
    optimizer: str = "sgd"
    shuffle: bool = True
    source: str = ""

    def rate_in(self, epoch: int) -> float:
        """Return the rate in an epoch, from 0."""
        if not self.schedule:
            return self.rate * float(self.decay) ** epoch
        for count, rate in self.schedule:
            if epoch < count:
                return rate
            epoch -= count
        return self.schedule[-1][1]


@dataclass(frozen=True)
class Network:
    """A network by name: what builds it, its recipe for each loss, and the side of its images, which are square and have one map."""

    build: Callable[..., Graph]
    recipes: Mapping[str, Recipe]
    side: int


def finish(who: str, registry: Registry, loss: str, layers: list[Any], act: Op, side: int) -> Graph:
    """Chain the layers: outputs with the activation and the squared error, or logits with the cross-entropy.

    Raises:
        HyperparameterError: the loss is not one of the two.
    """
    check(who, registry, loss)
    if loss == "squared_error":
        return Graph.chain(*layers, act, inputs=f"n 1 {side} {side}", loss=registry.make("squared_error"))
    return Graph.chain(*layers, inputs=f"n 1 {side} {side}", loss=registry.make("softmax_cross_entropy", targets="index"))


def check(who: str, registry: Registry, loss: str) -> None:
    """Refuse another loss, and what is no registry.

    Raises:
        HyperparameterError: one of the two.
    """
    if loss not in LOSSES:
        raise HyperparameterError(f"{who}: loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    want(registry, Registry, f"{who}: registry", "a Registry, such as cnnframe.load()", HyperparameterError)


def code(labels: Any, loss: str, classes: int = 10, dtype: DTypeLike = np.float32, coding: str = "-1/+1") -> NDArray[Any]:
    """Return the targets that a network of the box takes with a loss: a coding of the labels, or class indices with the cross-entropy."""
    if loss not in LOSSES:
        raise HyperparameterError(f"code: loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    return targets.encode(labels, coding if loss == "squared_error" else "index", classes, dtype)
