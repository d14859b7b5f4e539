"""The extension points. Each hook returns the classes that a plugin offers and does nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ._activation import Activation
    from ._kernel import Kernel
    from ._op import Layer, Loss, Regularizer
    from ._optimizer import Optimizer

PROJECT = "cnnframe"
"""pluggy's project name, and the entry-point group that plugins register under."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def cnnframe_layers() -> Iterable[type[Layer]]:  # type: ignore[empty-body] # a specification has no body
    """Layers: maps with or without parameters."""


@hookspec
def cnnframe_activations() -> Iterable[type[Activation]]:  # type: ignore[empty-body] # a specification has no body
    """Elementwise functions of one variable."""


@hookspec
def cnnframe_losses() -> Iterable[type[Loss]]:  # type: ignore[empty-body] # a specification has no body
    """Functions of a prediction and its targets that give one number."""


@hookspec
def cnnframe_regularizers() -> Iterable[type[Regularizer]]:  # type: ignore[empty-body] # a specification has no body
    """Functions of one parameter array that give one number."""


@hookspec
def cnnframe_optimizers() -> Iterable[type[Optimizer]]:  # type: ignore[empty-body] # a specification has no body
    """Rules that turn gradients into a step."""


@hookspec
def cnnframe_kernels() -> Iterable[type[Kernel]]:  # type: ignore[empty-body] # a specification has no body
    """Faster code for operations, and for chains of them."""
