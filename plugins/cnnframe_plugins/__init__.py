"""The standard operations, registered the way anyone else's are."""

from __future__ import annotations

from cnnframe import hookimpl

from .activations import ReLU, ScaledTanh
from .conv import Conv, ConvLinked
from .dense import Dense
from .losses import SquaredError


@hookimpl
def cnnframe_layers():
    """The layers of the paper and those that usually go with them."""
    return [Dense, Conv, ConvLinked]


@hookimpl
def cnnframe_activations():
    """The activation functions."""
    return [ScaledTanh, ReLU]


@hookimpl
def cnnframe_losses():
    """The losses."""
    return [SquaredError]
