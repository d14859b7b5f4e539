"""What a recipe leaves out."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from .. import networks
from .._activation import Activation
from .._errors import UnknownNameError, nearest
from .._graph import Graph
from ._tables import RULES, Tables

_TRAINING: Final = {"reduction": "mean", "order": "shuffled", "seed": 0, "dtype": "float32"}
_DATA: Final = {"seed": 0}


def usual(name: str, loss: str | None = None) -> Tables:
    """The recipe of a network of the box, for one of its losses; the one that it is built with if left out.

    Raises:
        UnknownNameError: there is no such network, or it is not trained with that loss; the nearest known name is in the message.
    """
    network = networks.network(name)
    loss = inspect.signature(network.build).parameters["loss"].default if loss is None else loss
    if loss not in network.recipes:
        raise UnknownNameError(f"{name} is not trained with the loss {loss!r}; {nearest(loss, network.recipes)}")
    recipe = network.recipes[loss]
    rate: Any = recipe.rate
    if recipe.schedule:
        rate = {"schedule": "steps", "steps": [list(pair) for pair in recipe.schedule]}
    elif recipe.decay < 1:
        rate = {"schedule": "decay", "rate": recipe.rate, "factor": recipe.decay}
    order = "shuffled" if recipe.shuffle else "fixed"
    return {
        "network": {"name": name, "loss": loss},
        "data": {"scaling": recipe.scaling, "coding": recipe.coding, **_DATA},
        "training": {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "rate": rate, **_TRAINING, "order": order},
        "optimizer": {"name": recipe.optimizer, **({"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {})},
        "initial": {role: _rule(start) for role, start in recipe.initial.items()},
    }


def usual_for(graph: Graph) -> Tables:
    """What is left out for a graph of one's own: ten epochs of gradient descent with momentum."""
    return {
        "data": {"scaling": "standardise", "coding": coding_for(graph), **_DATA},
        "training": {"epochs": 10, "batch_size": 16, "rate": 0.01, **_TRAINING},
        "optimizer": {"name": "sgd", "momentum": 0.9},
    }


def coding_for(graph: Graph) -> str:
    """The coding of the targets that fits the outputs: class indices where the loss takes them, else the ends of the last activation."""
    for name in graph.losses:
        node = graph[name]
        if any(graph.axes[node.inputs[constant]] == "n" for constant in node.op.constants):
            return "index"
    last = graph[graph.output.split(".")[0]].op
    if isinstance(last, Activation):
        low = float(np.min(last.f(np.array([-30.0, 30.0]))))
        return "-1/+1" if low < -0.5 else "0/1"  # halfway between the two codings
    return "0/1"


def _rule(start: Any) -> Mapping[str, Any]:
    names = {cls: name for name, cls in RULES.items()}
    return {"rule": names[type(start)], **dataclasses.asdict(start)}
