"""Operations that cnnframe does not have: what the plugin offers, one hook for each kind."""

from __future__ import annotations

from cnnframe import hookimpl

from .depthwise import Depthwise
from .elastic_net import ElasticNet
from .gated import Gated
from .swish import Swish


@hookimpl
def cnnframe_layers():
    """The layers."""
    return [Depthwise, Gated]


@hookimpl
def cnnframe_activations():
    """The activation functions."""
    return [Swish]


@hookimpl
def cnnframe_regularizers():
    """The penalties."""
    return [ElasticNet]
