"""The networks in the box, each with the recipe that trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import targets
from ._errors import HyperparameterError, UnknownNameError, nearest
from ._graph import Graph
from ._inputs import want
from ._param import Constant, Initialiser
from ._registry import Registry
from .data import check_labels

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
    """

    epochs: int
    batch_size: int
    rate: float
    decay: float
    momentum: float
    initial: Mapping[str, Initialiser]


@dataclass(frozen=True)
class Network:
    """A network by name: what builds it, for which inputs, and its recipe for each loss."""

    build: Callable[..., Graph]
    recipes: Mapping[str, Recipe]


def bouvrie(registry: Registry, loss: str = "squared_error", *, maps: tuple[int, int] = (8, 24), classes: int = 10) -> Graph:
    """Build the paper's network for 16x16 images: convolution and subsampling in turn, then one layer of outputs.

    Every layer ends in LeCun's scaled tanh, the subsampling layers too (sections 2.1, 3.1 and 3.2). With the
    squared error so do the outputs, and targets are -1 and +1; with the cross-entropy the outputs are logits, and
    targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    if loss not in LOSSES:
        raise HyperparameterError(f"bouvrie: loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    want(registry, Registry, "bouvrie: registry", "a Registry, such as cnnframe.load()", HyperparameterError)
    if not isinstance(maps, (tuple, list)) or len(maps) != 2:
        raise HyperparameterError(f"bouvrie: maps must be two integers, one for each convolution; got {maps!r}")
    make = registry.make
    act = make("scaled_tanh")
    layers = [make("conv", maps=maps[0], size=5), act, make("subsample", size=2), act]
    layers += [make("conv", maps=maps[1], size=3), act, make("subsample", size=2), act]
    layers += [make("flatten"), make("dense", units=classes)]
    if loss == "squared_error":
        return Graph.chain(*layers, act, inputs="n 1 16 16", loss=make("squared_error"))
    return Graph.chain(*layers, inputs="n 1 16 16", loss=make("softmax_cross_entropy", targets="index"))


def code(labels: Any, loss: str, classes: int = 10, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return the targets that a network of the box takes with a loss: -1 and +1, or class indices."""
    if loss not in LOSSES:
        raise HyperparameterError(f"code: loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    if loss == "squared_error":
        return targets.one_hot(labels, classes, -1.0, 1.0, dtype)
    return check_labels(labels, classes)


# A subsampling layer starts as the mean of its blocks of four, beta = 1/4.
_MEAN_OF_FOUR: Final = MappingProxyType({"gain": Constant(0.25)})

NETWORKS: Final[Mapping[str, Network]] = MappingProxyType(
    {
        "bouvrie": Network(
            bouvrie,
            MappingProxyType(
                {
                    "squared_error": Recipe(40, 16, 0.01, 0.95, 0.9, _MEAN_OF_FOUR),
                    "softmax_cross_entropy": Recipe(40, 16, 0.02, 0.95, 0.9, _MEAN_OF_FOUR),
                }
            ),
        )
    }
)


def network(name: str) -> Network:
    """Return the network called `name`.

    Raises:
        UnknownNameError: there is none; the nearest known name is in the message.
    """
    if name not in NETWORKS:
        raise UnknownNameError(f"no network is called {name!r}; {nearest(str(name), NETWORKS)}")
    return NETWORKS[name]
