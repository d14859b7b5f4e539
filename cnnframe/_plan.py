"""What runs for one question to a network: which nodes, in which order, on which shapes, for which gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._axes import Shape
from ._op import Loss, Op
from ._show import call, table

if TYPE_CHECKING:
    from ._graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Step:
    """One node at work.

    Attributes:
        node: its name.
        op: its operation.
        sources: pairs of an input or constant of the operation and the array it is.
        parameters: pairs of a parameter of the operation and the parameter array it is.
        outputs: for each output, the array it becomes and its shape.
        shapes: the shape of each differentiable argument.
        wanted: the arguments whose gradient is asked for; empty where nothing flows back.
    """

    node: str
    op: Op
    sources: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str, Shape], ...]
    shapes: Mapping[str, Shape]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps to some arrays of a graph for one batch size and element type.

    Attributes:
        steps: the nodes that are needed, in order.
        backward: the steps through which gradients flow, last first; empty when none are asked for.
        inputs: the graph inputs that are read.
        batch: the size of the batch.
        dtype: the element type of parameters and of all that is computed.
        losses: the arrays whose sum is the loss.
    """

    steps: tuple[Step, ...]
    backward: tuple[Step, ...]
    inputs: tuple[str, ...]
    batch: int
    dtype: np.dtype[Any]
    losses: tuple[str, ...]

    @classmethod
    def make(
        cls, graph: Graph, batch: int, dtype: np.dtype[Any], targets: Sequence[str], wanted_inputs: Sequence[str] = (), *, gradients: bool = False
    ) -> Plan:
        """Plan the way to the arrays `targets` and, with `gradients`, from the losses back to what can be learned."""
        needed, read = _needed(graph, targets)
        shapes = graph.shapes(batch)
        active: set[str] = set(wanted_inputs)
        wanted = {}
        for node in graph.nodes:
            if node.name in needed:
                wanted[node.name] = _wanted(graph, node, active) if gradients else frozenset[str]()
                if wanted[node.name]:
                    active |= set(graph.wires.outputs[node.name].values())
        reached: set[str] = {array for name in graph.losses for array in graph.wires.outputs[name].values()}
        flows = set()
        for node in reversed(graph.nodes):
            if wanted.get(node.name) and reached.intersection(graph.wires.outputs[node.name].values()):
                flows.add(node.name)
                reached |= {graph.wires.sources[node.name][name] for name in wanted[node.name] if name in node.op.declaration.inputs}
        steps = tuple(_step(graph, node, shapes, wanted[node.name] if node.name in flows else frozenset()) for node in graph.nodes if node.name in needed)
        backward = tuple(step for step in reversed(steps) if step.wanted)
        losses = tuple(step.outputs[0][1] for step in steps if isinstance(step.op, Loss))
        return cls(steps, backward, tuple(name for name in graph.inputs if name in read), batch, dtype, losses)

    def describe(self) -> str:
        """The steps as a table: what each node reads, what it makes, and the gradients that are asked of it."""
        rows = []
        for number, step in enumerate(self.steps, 1):
            reads = ", ".join(source if name == source else f"{name}={source}" for name, source in (*step.sources, *step.parameters))
            makes = ", ".join(f"{array} {shape}" for _, array, shape in step.outputs)
            gradients = ", ".join(name for name in step.op.declaration.differentiable if name in step.wanted)
            rows.append((str(number), call(step.op), reads, makes, gradients or "-"))
        head = ("step", "operation", "reads", "makes", "gradients")
        return "\n".join([f"batch {self.batch}, {self.dtype}, {len(self.steps)} steps forward, {len(self.backward)} back", *table(head, rows)])


def _needed(graph: Graph, targets: Sequence[str]) -> tuple[set[str], set[str]]:
    """The nodes on the way to `targets`, and every array on it."""
    arrays, nodes = set(targets), set()
    for node in reversed(graph.nodes):
        if arrays.intersection(graph.wires.outputs[node.name].values()):
            nodes.add(node.name)
            arrays.update(graph.wires.sources[node.name].values())
    return nodes, arrays


def _wanted(graph: Graph, node: Node, active: set[str]) -> frozenset[str]:
    sources = graph.wires.sources[node.name]
    flowing = [name for name in node.op.declaration.inputs if sources[name] in active]
    return frozenset([*flowing, *node.parameters])


def _step(graph: Graph, node: Node, shapes: Mapping[str, Shape], wanted: frozenset[str]) -> Step:
    sources = graph.wires.sources[node.name]
    own = {name: shapes[sources[name]] for name in node.op.declaration.inputs}
    own |= {name: graph.arrays[array].shape for name, array in node.parameters.items()}
    outputs = tuple((name, array, shapes[array]) for name, array in graph.wires.outputs[node.name].items())
    return Step(node.name, node.op, tuple(sources.items()), tuple(node.parameters.items()), outputs, own, wanted)
