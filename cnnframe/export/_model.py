"""A graph with its parameters as an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import __version__, _axes, _inputs
from .._axes import BATCH
from .._errors import ExportError
from .._graph import Graph, Node
from .._op import Array, Op
from .._plan import needed
from ._builder import OPSET, Builder, Value

IR_VERSION = 8
"""The version of the file format that goes with the operators' version."""

Arrays = Mapping[str, Array]


def build(graph: Graph, parameters: Arrays, constants: Arrays, outputs: Sequence[str], dtype: np.dtype[Any]) -> tuple[Builder, list[str]]:
    """The nodes behind some arrays of a graph, and the graph inputs that they need.

    Args:
        graph: the network as it is evaluated.
        parameters: its parameters by name.
        constants: graph inputs that the file holds.
        outputs: names of arrays of the graph.
        dtype: the element type.

    Raises:
        ExportError: an operation does not say itself in ONNX; the message names the node.
    """
    build = Builder(dtype)
    build.reserve([*graph.inputs, *graph.axes])
    held = {name: np.asarray(array, dtype) for name, array in parameters.items()}
    values: dict[str, Any] = {name: _value(name, axes) for name, axes in graph.axes.items()}
    values |= {name: np.asarray(array, dtype) for name, array in constants.items()}
    nodes, _ = needed(graph, outputs)
    for node in graph.nodes:
        if node.name in nodes:
            _say(build, graph, node, values, held)
    read = {name for made in build.nodes for name in made.operands}
    return build, [name for name in graph.inputs if name in read or (name in outputs and name not in constants)]


def proto(build: Builder, graph: Graph, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The model as ONNX's own object, with the axes of every array; the batch axis has the name n."""
    from onnx import TensorProto, helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype(build.dtype)
    uses = _inputs.uses(graph)

    def info(name: str) -> Any:
        integers = name in uses and uses[name].below is not None
        return helper.make_tensor_value_info(name, TensorProto.INT64 if integers else kind, _dimensions(graph.axes[name]))

    made = {name for node in build.nodes for name in node.results}
    nodes = [helper.make_node(each.kind, each.operands, each.results, name=each.results[0], **each.attributes) for each in build.nodes]
    known = [info(name) for name in graph.axes if name in made and name not in outputs]
    stored = [numpy_helper.from_array(np.array(array, order="C"), name) for name, array in build.stored.items()]
    whole = helper.make_graph(nodes, "cnnframe", [info(name) for name in inputs], [info(name) for name in outputs], stored, value_info=known)
    return helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="cnnframe", producer_version=__version__
    )


def _value(name: str, axes: str) -> Value:
    return Value(name, tuple(size if isinstance(size, int) else None for size in _dimensions(axes)))


def _dimensions(axes: str) -> list[int | str]:
    """Each axis as a number, or as an expression of the batch size."""
    parsed = [axis.expr for axis in _axes.parse(axes) if axis.expr is not None]
    return [str(expr) if BATCH in expr.names() else int(expr({})) for expr in parsed]


def _say(build: Builder, graph: Graph, node: Node, values: Mapping[str, Any], held: Arrays) -> None:
    """Add the nodes of one operation."""
    op, sources, results = node.op, graph.wires.sources[node.name], graph.wires.outputs[node.name]
    arguments = {name: values[source] for name, source in sources.items()}
    for name, array in node.parameters.items():
        build.know(array, held[array])
        arguments[name] = held[array]
    for name, source in sources.items():
        if isinstance(arguments[name], np.ndarray):
            build.know(source, arguments[name])
    build.enter(node.name)
    start = len(build.nodes)
    try:
        answer = op.onnx(build, **arguments)
    except ExportError as error:
        raise ExportError(f"node {node.name!r} ({op.name}) cannot be written as ONNX: {error}") from error
    if answer is None:
        raise ExportError(f"node {node.name!r} cannot be written as ONNX: {silent(op)}")
    said = {"y": answer} if op.single else answer
    if not isinstance(said, Mapping) or set(said) != set(results):
        raise ExportError(f"node {node.name!r}: {op.name}.onnx must return {'a value' if op.single else f'a dict of {sorted(results)}'}; got {answer!r}")
    for name, array in results.items():
        build.settle(said[name], array, start, f"node {node.name!r}: {op.name}")


def silent(op: Op) -> str:
    """Why an operation without an `onnx` method, or whose method returns None, is not written."""
    if type(op).onnx is Op.onnx:
        return f"{op.name} has no `onnx` method; write one, or choose an output before this node"
    return f"{op.name} has none for these hyperparameters: {op!r}"
