"""Connections, as the papers on convolutional networks count them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _axes

if TYPE_CHECKING:
    from ._graph import Graph
    from ._op import Op


def connections(op: Op, known: Mapping[str, Any]) -> int:
    """How many connections with a trainable parameter an operation has, read off its axes.

    A parameter that has an axis in common with the output is used once for each entry along the other axes. A gain
    multiplies as many entries of the input as there are for one of the output: four where a subsampling layer sums blocks of 2x2.
    Weights that mix maps belong to the connections that they weigh, and are none of their own.
    """
    outputs = op.declaration.outputs
    axes = outputs["y"] if "y" in outputs else next(iter(outputs.values()))
    shape = _axes.shape_of(axes, known, f"{op.name} output")
    inputs = sum(math.prod(_axes.shape_of(axis, known, f"{op.name} input")) for axis in op.declaration.inputs.values()) if op.params else 0
    found = 0
    for name, size in op.parameter_shapes(known).items():
        own = set(op.declaration.params[name])
        uses = math.prod(length for axis, length in zip(axes, shape, strict=True) if axis not in own)
        factor = max(1, inputs // math.prod(shape)) if op.parameters[name].role == "gain" else 1
        found += math.prod(size) * uses * factor if op.parameters[name].role != "mixing" else 0
    return found


def of_graph(graph: Graph) -> dict[str, int]:
    """The connections of each node, for one example."""
    shapes = graph.shapes(1)
    found = {}
    for node in graph.nodes:
        known = node.op.sizes({name: shapes[source] for name, source in graph.wires.sources[node.name].items()})
        found[node.name] = node.op.connections(known)
    return found
