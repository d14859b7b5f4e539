"""What runs for one question to a network: which nodes, in which order, on which shapes, for which gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ._axes import BATCH, Expr, Shape
from ._op import Loss, Op

if TYPE_CHECKING:
    from ._graph import Graph, Node
    from ._kernel import Kernel
    from ._preparing import Place
    from ._stages import Stage


@dataclass(frozen=True, slots=True)
class Step:
    """One node at work.

    Attributes:
        node: its name.
        op: its operation.
        sources: pairs of an input or constant of the operation and the array it is.
        parameters: pairs of a parameter of the operation and the parameter array it is.
        outputs: for each output, the array it becomes and its shape.
        shapes: the shape of each argument.
        wanted: the arguments whose gradient is asked for; empty where nothing flows back.
    """

    node: str
    op: Op
    sources: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str, Shape], ...]
    shapes: Mapping[str, Shape]
    wanted: frozenset[str]

    @property
    def operations(self) -> float:
        """Multiplications and additions with weights: forward, for the weights, and for inputs whose gradient is wanted."""
        _, _, shape = self.outputs[0]
        total = 0.0
        for name in self.op.declaration.params:
            weights = self.shapes[name]
            if len(weights) > 1 and len(shape) > 1:
                each = math.prod(weights) * math.prod(shape) / shape[1]
                total += 2 * each * (1 + (name in self.wanted) + bool(self.wanted.intersection(self.op.declaration.inputs)))
        return total


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
        targets: the arrays that are asked for.
        wanted_inputs: the graph inputs whose gradients are asked for.
        shapes: the shape of every array.
        indices: the inputs that hold indices.
        batched: the arrays that have an entry for each of the batch.
        stages: the nodes with the kernels that serve them.
        note: what is to be said about all of it.
    """

    steps: tuple[Step, ...]
    backward: tuple[Step, ...]
    inputs: tuple[str, ...]
    batch: int
    dtype: np.dtype[Any]
    losses: tuple[str, ...]
    targets: tuple[str, ...]
    wanted_inputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    indices: frozenset[str]
    batched: frozenset[str]
    stages: tuple[Stage, ...]
    note: str = ""

    @classmethod
    def make(
        cls,
        graph: Graph,
        batch: int,
        dtype: np.dtype[Any],
        targets: Sequence[str],
        wanted_inputs: Sequence[str] = (),
        *,
        gradients: bool = False,
        kernels: Sequence[type[Kernel]] = (),
        refused: Mapping[Place, str] = MappingProxyType({}),
        note: str = "",
    ) -> Plan:
        """Plan the way to the arrays `targets` and, with `gradients`, from the losses back to what can be learned; `kernels` serve it, but those `refused`."""
        from ._stages import choose

        nodes, inputs = needed(graph, targets)
        shapes = graph.shapes(batch)
        active: set[str] = set(wanted_inputs)
        wanted = {}
        for node in graph.nodes:
            if node.name in nodes:
                wanted[node.name] = _wanted(graph, node, active) if gradients else frozenset[str]()
                if wanted[node.name]:
                    active |= set(graph.wires.outputs[node.name].values())
        reached: set[str] = {array for name in graph.losses for array in graph.wires.outputs[name].values()}
        flows = set()
        for node in reversed(graph.nodes):
            if wanted.get(node.name) and reached.intersection(graph.wires.outputs[node.name].values()):
                flows.add(node.name)
                reached |= {graph.wires.sources[node.name][name] for name in wanted[node.name] if name in node.op.declaration.inputs}
        steps = tuple(_step(graph, node, shapes, wanted[node.name] if node.name in flows else frozenset()) for node in graph.nodes if node.name in nodes)
        backward = tuple(step for step in reversed(steps) if step.wanted)
        losses = tuple(step.outputs[0][1] for step in steps if isinstance(step.op, Loss))
        indices = frozenset(source for step in steps for name, source in step.sources if isinstance(step.op.declaration.values.get(name), Expr))
        batched = frozenset(name for name, axes in graph.axes.items() if axes.split()[:1] == [BATCH])
        stages = choose(steps, kernels, dtype, frozenset(targets), refused)
        return cls(steps, backward, inputs, batch, dtype, losses, tuple(targets), tuple(wanted_inputs), shapes, indices, batched, stages, note)

    @property
    def apart(self) -> bool:
        """Whether a batch may be computed in parts: every operation treats its entries by themselves, and what is asked for has an entry for each."""
        asked = [*(name for name in self.targets if name not in self.losses), *self.wanted_inputs]
        return all(step.op.batch_apart for step in self.steps) and self.batched.issuperset(asked)

    def describe(self) -> str:
        """The stages as a table: nodes, kernel and layouts, what they read, make and keep, their gradients; then memory, and why others do not serve."""
        from ._describe import described

        return described(self)


def needed(graph: Graph, targets: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    """The nodes on the way to some arrays, and the graph inputs that are read there."""
    arrays, nodes = set(targets), set()
    for node in reversed(graph.nodes):
        if arrays.intersection(graph.wires.outputs[node.name].values()):
            nodes.add(node.name)
            arrays.update(graph.wires.sources[node.name].values())
    return nodes, tuple(name for name in graph.inputs if name in arrays)


def _wanted(graph: Graph, node: Node, active: set[str]) -> frozenset[str]:
    sources = graph.wires.sources[node.name]
    flowing = [name for name in node.op.declaration.inputs if sources[name] in active]
    return frozenset([*flowing, *node.parameters])


def _step(graph: Graph, node: Node, shapes: Mapping[str, Shape], wanted: frozenset[str]) -> Step:
    sources = graph.wires.sources[node.name]
    own = {name: shapes[source] for name, source in sources.items()}
    own |= {name: graph.arrays[array].shape for name, array in node.parameters.items()}
    outputs = tuple((name, array, shapes[array]) for name, array in graph.wires.outputs[node.name].items())
    return Step(node.name, node.op, tuple(sources.items()), tuple(node.parameters.items()), outputs, own, wanted)
