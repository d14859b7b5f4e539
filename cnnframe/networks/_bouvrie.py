"""The network of Bouvrie's notes (2006)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from .._errors import HyperparameterError
from .._graph import Graph
from .._param import Constant
from .._registry import Registry
from ._recipe import Network, Recipe, check, finish

SIDE: Final = 16


def bouvrie(registry: Registry, loss: str = "squared_error", *, maps: tuple[int, int] = (8, 24), classes: int = 10) -> Graph:
    """Build the paper's network for 16x16 images: convolution and subsampling in turn, then one layer of outputs.

    Every layer ends in LeCun's scaled tanh, the subsampling layers too (sections 2.1, 3.1 and 3.2). With the
    squared error so do the outputs, and targets are -1 and +1; with the cross-entropy the outputs are logits, and
    targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    check("bouvrie", registry, loss)
    if not isinstance(maps, (tuple, list)) or len(maps) != 2:
        raise HyperparameterError(f"bouvrie: maps must be two integers, one for each convolution; got {maps!r}")
    make = registry.make
    act = make("scaled_tanh")
    layers = [make("conv", maps=maps[0], size=5), act, make("subsample", size=2), act]
    layers += [make("conv", maps=maps[1], size=3), act, make("subsample", size=2), act]
    layers += [make("flatten"), make("dense", units=classes)]
    return finish("bouvrie", registry, loss, layers, act, SIDE)


# A subsampling layer starts as the mean of its blocks of four, beta = 1/4.
MEAN_OF_FOUR: Final = MappingProxyType({"gain": Constant(0.25)})

BOUVRIE: Final = Network(
    bouvrie,
    MappingProxyType(
        {
            "squared_error": Recipe(40, 16, 0.01, 0.95, 0.9, MEAN_OF_FOUR),
            "softmax_cross_entropy": Recipe(40, 16, 0.02, 0.95, 0.9, MEAN_OF_FOUR, coding="index"),
        }
    ),
    SIDE,
)
