"""The convolutional network of the DeepLearnToolbox (R. B. Palm 2012), which follows Bouvrie's notes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from .._graph import Graph
from .._registry import Registry
from ._bouvrie import MEAN_OF_FOUR
from ._recipe import Network, Recipe, check, finish

SIDE: Final = 28


def deeplearn(registry: Registry, loss: str = "squared_error", *, trained_pooling: bool = False, classes: int = 10) -> Graph:
    """Build 6c-2s-12c-2s for 28x28 images: logistic convolutions of 5x5, means of 2x2, one layer of outputs.

    With `trained_pooling` the means give way to the paper's subsampling with its beta and b (section 3.2). With the squared error the outputs are
    logistic, and targets are 0 and 1; with the cross-entropy they are logits, and targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    check("deeplearn", registry, loss)
    make = registry.make
    act = make("logistic")
    pool = make("subsample", size=2) if trained_pooling else make("mean_pool", size=2, stride=2)
    layers = [make("conv", maps=6, size=5), act, pool, make("conv", maps=12, size=5), act, pool]
    layers += [make("flatten"), make("dense", units=classes)]
    return finish("deeplearn", registry, loss, layers, act, SIDE)


_SOURCE: Final = "DeepLearnToolbox, test_example_CNN: rate 1 on the mean of 50"

DEEPLEARN: Final = Network(
    deeplearn,
    MappingProxyType(
        {
            "squared_error": Recipe(100, 50, 1.0, initial=MEAN_OF_FOUR, coding="0/1", scaling="0/1", source=_SOURCE),
            "softmax_cross_entropy": Recipe(100, 50, 1.0, initial=MEAN_OF_FOUR, coding="index", scaling="0/1", source=_SOURCE),
        }
    ),
    SIDE,
)
