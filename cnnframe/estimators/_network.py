"""The network of a classifier: from a name, a list of layers, a function or a graph."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from .. import networks
from .._axes import BATCH
from .._errors import GraphError, HyperparameterError, ShapeError
from .._executor import Executor
from .._graph import Graph, Node
from .._op import Array, Loss, Op
from .._parameters import Parameters
from .._registry import Registry

LOSS: Final = "softmax_cross_entropy"
PIECE: Final = 256
"""Examples that go through a network at once."""


def make(network: Any, registry: Registry, shape: tuple[int, ...], classes: int) -> Graph:
    """The graph that is trained.

    Args:
        network: None, a name of the box, a list of operations, a function or a graph; see `CNNClassifier`.
        registry: where operations come from.
        shape: maps and spatial axes of an image, or the number of features alone.
        classes: the number of classes.

    Raises:
        HyperparameterError: it is something else.
        GraphError: the graph cannot be trained on class indices, or not be evaluated.
        ShapeError: it takes or gives arrays of other shapes.
    """
    inputs = " ".join(map(str, (BATCH, *shape)))
    if network is None:
        network = usual(registry, shape)
    if isinstance(network, str):
        build = networks.network(network).build
        # Networks of the box have ten classes unless they take another number.
        more = {"classes": classes} if "classes" in inspect.signature(build).parameters else {}
        graph = build(registry, LOSS, **more)
    elif isinstance(network, (list, tuple)):
        graph = _chain(network, registry, inputs, classes)
    elif isinstance(network, Graph):
        graph = network
    elif callable(network):
        graph = network(registry, inputs, classes)
    else:
        wanted = "None, a name of cnnframe.networks, a list of operations, a function (registry, inputs, classes) or a Graph"
        raise HyperparameterError(f"CNNClassifier: network must be {wanted}; got {network!r}")
    return _checked(graph, inputs, classes)


def usual(registry: Registry, shape: tuple[int, ...]) -> list[Op]:
    """Layers that do for small images, and for features without neighbours: what goes before the layer of outputs."""
    dims = len(shape) - 1
    if not dims:
        return [registry.make("dense", units=64), registry.make("relu")]
    sizes = tuple(min(3, size) for size in shape[1:])
    left = [size - kernel + 1 for size, kernel in zip(shape[1:], sizes, strict=True)]
    pools = tuple(min(2, size) for size in left)
    return [
        registry.make("conv", maps=16, size=sizes, dims=dims),
        registry.make("relu"),
        registry.make("max_pool", size=pools, stride=pools, dims=dims),
        registry.make("flatten", dims=dims),
    ]


def input_of(graph: Graph) -> str:
    """The graph input that takes the examples."""
    (name,) = [name for name in graph.inputs if name in graph.for_evaluation().inputs and name != target_of(graph)]
    return name


def target_of(graph: Graph) -> str:
    """The graph input that takes the class indices."""
    (loss,) = [graph[name] for name in graph.losses]
    (target,) = [graph.wires.sources[loss.name][name] for name in loss.op.constants]
    return target


def outputs(graph: Graph, parameters: Parameters, images: Array, array: str) -> Array:
    """One array of the evaluated graph for images (n, *shape), by axes (n, ...)."""
    evaluated = graph.for_evaluation()
    # Each operation's own code: nothing to be compiled for a few examples, and the same bits every time.
    executor, name = Executor(evaluated, kernels=(), threads=1), input_of(graph)
    found = [executor.forward(parameters, [array], **{name: piece})[array] for piece in pieces(images)]
    return np.concatenate(found)


def pieces(images: Array) -> Iterator[Array]:
    """The images, some at a time."""
    for first in range(0, len(images), PIECE):
        yield images[first : first + PIECE]


def _chain(layers: Sequence[Any], registry: Registry, inputs: str, classes: int) -> Graph:
    """A chain of layers and a layer of outputs behind them, with the loss."""
    for layer in layers:
        if not isinstance(layer, Op) or isinstance(layer, Loss):
            raise HyperparameterError(f"CNNClassifier: network as a list is made of layers and activations; got {layer!r}; outputs and loss are added")
    loss = registry.make(LOSS, targets="index")
    return Graph.chain(*layers, registry.make("dense", units=classes), inputs=inputs, loss=loss)


def _checked(graph: Any, inputs: str, classes: int) -> Graph:
    """Refuse a graph that does not take the images, or does not give logits of the classes."""
    if not isinstance(graph, Graph):
        raise HyperparameterError(f"CNNClassifier: network must return a Graph; got {graph!r}")
    losses: list[Node] = [graph[name] for name in graph.losses]
    if len(losses) != 1 or losses[0].op.name != LOSS or getattr(losses[0].op, "targets", "") != "index":
        got = ", ".join(repr(node.op) for node in losses) or "none"
        raise GraphError(f"CNNClassifier: the network needs one loss, {LOSS}(targets='index'), from which probabilities follow; got {got}")
    if graph.output not in graph.wires.sources[losses[0].name].values():
        raise GraphError(f"CNNClassifier: the loss must read the network's output {graph.output!r}; it reads {dict(losses[0].inputs)}")
    evaluated = graph.for_evaluation()
    taken = {name: axes for name, axes in evaluated.inputs.items() if name != target_of(graph)}
    if list(taken.values()) != [inputs]:
        got = ", ".join(f"{name} ({axes})" for name, axes in taken.items())
        raise ShapeError(f"CNNClassifier: the network must have one input with axes ({inputs}); it takes {got}; set image_shape, or choose another network")
    if graph.axes[graph.output] != f"{BATCH} {classes}":
        raise ShapeError(f"CNNClassifier: the output {graph.output!r} must have axes ({BATCH} {classes}), one for each class; got ({graph.axes[graph.output]})")
    return graph
