"""The first network of this kind for handwritten digits (LeCun et al. 1989)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .._graph import Graph
from .._links import Links
from .._param import Constant, FanInUniform, Initialiser
from .._registry import Registry
from ._recipe import Network, Recipe, check, finish

SIDE: Final = 16
H2_LINKS: Final = Links.from_rows(
    ("XXXXOOOOXXXX",) * 4 + ("XXXXXXXXOOOO",) * 4 + ("OOOOXXXXXXXX",) * 4,
)
"""Which 8 of the 12 maps of H1 each map of H2 sees. The article does not say; this is the choice of A. Karpathy's re-run (lecun1989-repro, 2022)."""


def lecun1989(registry: Registry, loss: str = "squared_error", *, classes: int = 10) -> Graph:
    """Build the network of LeCun et al. 1989 for 16x16 images from -1 to 1, as A. Karpathy's re-run of 2022 reads the article.

    H1 and H2 are convolutions with stride 2 over maps with a border of -1, and every unit has its own bias. Units are tanh(u). With the
    squared error so are the outputs, and targets are -1 and +1; with the cross-entropy the outputs are logits, and targets are class indices.

    Raises:
        HyperparameterError: the loss is not one of the two.
        UnknownNameError: an operation is not registered.
    """
    check("lecun1989", registry, loss)
    make = registry.make
    act, border = make("scaled_tanh", a=1.0, b=1.0), make("pad", size=2, value=-1.0)
    layers = [border, ("H1", make("conv_unit_bias", links=Links.all(1, 12), size=5, stride=2)), act]
    layers += [border, ("H2", make("conv_unit_bias", links=H2_LINKS, size=5, stride=2)), act]
    layers += [make("flatten"), ("H3", make("dense", units=30)), act, ("output", make("dense", units=classes))]
    return finish("lecun1989", registry, loss, layers, act, SIDE)


_INITIAL: Final = MappingProxyType({"weight": FanInUniform(2.4, 0.5)})
_OUTPUTS_LOW: Final[Mapping[str, Initialiser]] = MappingProxyType({**_INITIAL, "output.b": Constant(-1.0)})
_SOURCE: Final = "A. Karpathy, lecun1989-repro (2022): rate 0.03 on the mean over 10 outputs of the squared error, which is 0.006 on half the sum"

LECUN1989: Final = Network(
    lecun1989,
    MappingProxyType(
        {
            "squared_error": Recipe(23, 1, 0.006, initial=_OUTPUTS_LOW, scaling="-1/+1", shuffle=False, source=_SOURCE),
            "softmax_cross_entropy": Recipe(23, 1, 0.006, initial=_INITIAL, coding="index", scaling="-1/+1", shuffle=False, source=_SOURCE),
        }
    ),
    SIDE,
)
