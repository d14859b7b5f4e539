"""The convolutional network of Simard, Steinkraus and Platt (2003)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from .._graph import Graph
from .._param import Normal
from .._registry import Registry
from ._recipe import Network, Recipe, check, finish

SIDE: Final = 29


def simard2003(registry: Registry, loss: str = "softmax_cross_entropy", *, classes: int = 10) -> Graph:
    """Build the network of Simard et al. 2003 for 29x29 images: two convolutions with stride 2, 100 hidden units, the outputs.

    The article does not name the hidden units' function; they are LeCun's scaled tanh. With the squared error so are the outputs, and targets are
    -1 and +1; with the cross-entropy the outputs are logits, and targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    check("simard2003", registry, loss)
    make = registry.make
    act = make("scaled_tanh")
    layers = [make("conv", maps=5, size=5, stride=2), act, make("conv", maps=50, size=5, stride=2), act]
    layers += [make("flatten"), make("dense", units=100), act, make("dense", units=classes)]
    return finish("simard2003", registry, loss, layers, act, SIDE)


_INITIAL: Final = MappingProxyType({"weight": Normal(0.05)})
_SCHEDULE: Final = tuple((100, 0.005 * 0.3**number) for number in range(10))
_SOURCE: Final = "Simard et al. 2003, section 4: rate 0.005 times 0.3 every 100 epochs, standard deviation 0.05; scaling and batch size are our own"

SIMARD2003: Final = Network(
    simard2003,
    MappingProxyType(
        {
            "squared_error": Recipe(1000, 1, 0.005, initial=_INITIAL, scaling="lecun", schedule=_SCHEDULE, source=_SOURCE),
            "softmax_cross_entropy": Recipe(1000, 1, 0.005, initial=_INITIAL, coding="index", scaling="lecun", schedule=_SCHEDULE, source=_SOURCE),
        }
    ),
    SIDE,
)
