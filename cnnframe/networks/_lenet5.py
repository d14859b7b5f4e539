"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, section II.B)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .._graph import Graph
from .._links import LENET5_LINKS
from .._param import FanInUniform, Initialiser
from .._registry import Registry
from ._bouvrie import MEAN_OF_FOUR
from ._recipe import Network, Recipe, check, finish

SIDE: Final = 32


def lenet5(registry: Registry, loss: str = "squared_error", *, classes: int = 10) -> Graph:
    """Build LeNet-5 for 32x32 images, with trained outputs in place of the radial basis functions.

    C3 sees the maps of S2 by the table of 60 links (table I of LeCun et al.). Every layer ends in LeCun's scaled tanh. With the squared error
    so do the outputs, and targets are -1 and +1; with the cross-entropy the outputs are logits, and targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    check("lenet5", registry, loss)
    make = registry.make
    act = make("scaled_tanh")
    layers = [("C1", make("conv", maps=6, size=5)), act, ("S2", make("subsample", size=2)), act]
    layers += [("C3", make("conv_linked", links=LENET5_LINKS, size=5)), act, ("S4", make("subsample", size=2)), act]
    layers += [("C5", make("conv", maps=120, size=5)), act, make("flatten"), ("F6", make("dense", units=84)), act]
    layers += [("output", make("dense", units=classes))]
    return finish("lenet5", registry, loss, layers, act, SIDE)


_INITIAL: Final[Mapping[str, Initialiser]] = MappingProxyType({**MEAN_OF_FOUR, "weight": FanInUniform(2.4)})
_SOURCE: Final = "LeCun et al. 1998 for network, scaling and passes; rates for stochastic gradient descent with momentum are our own"

LENET5: Final = Network(
    lenet5,
    MappingProxyType(
        {
            "squared_error": Recipe(20, 16, 0.01, 0.85, 0.9, _INITIAL, scaling="lecun", source=_SOURCE),
            "softmax_cross_entropy": Recipe(20, 16, 0.01, 0.85, 0.9, _INITIAL, "index", "lecun", source=_SOURCE),
        }
    ),
    SIDE,
)
