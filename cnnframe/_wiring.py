"""Check the names of a graph, put its nodes in order, and work out the axes of every array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _axes
from ._axes import BATCH, Shape
from ._errors import CnnframeError, GraphError, ShapeError, UnknownNameError, nearest
from ._op import Loss
from ._param import Initialiser

if TYPE_CHECKING:
    from ._graph import Node

RESERVED = ("wanted_inputs", "reduction")
"""Keywords of the executor, which takes graph inputs as keywords too."""


@dataclass(frozen=True)
class Wires:
    """Every array under one name: a graph input, "node" for an output `y`, "node.output" for another one.

    Attributes:
        sources: for each node, the array behind each input and constant of its operation.
        outputs: for each node, the array that each output of its operation becomes.
        inferred: graph inputs that were not declared, with the node and constant they were first met at.
    """

    sources: Mapping[str, Mapping[str, str]]
    outputs: Mapping[str, Mapping[str, str]]
    inferred: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class ParameterArray:
    """One array of parameters: its shape, its role, how it starts, and the nodes that use it."""

    name: str
    shape: Shape
    role: str
    initial: Initialiser
    fan_in: int
    fan_out: int
    nodes: tuple[str, ...]


def key(source: str, wires: Wires) -> str:
    """The array that a node's name or "node.output" stands for.

    Raises:
        UnknownNameError: there is none; the nearest known name is in the message.
    """
    node, _, output = source.partition(".")
    outputs = wires.outputs.get(node, {})
    if (output or "y") in outputs:
        return outputs[output or "y"]
    if node in wires.outputs and not output:
        raise UnknownNameError(f"node {node!r} has the outputs {', '.join(outputs)}; say which one, as in {node}.{next(iter(outputs))}")
    if node in wires.outputs:
        raise UnknownNameError(f"node {node!r} has no output {output!r}; {nearest(output, outputs)}")
    raise UnknownNameError(f"no node is called {source!r}; {nearest(source, wires.outputs)}")


def connect(nodes: tuple[Node, ...], inputs: Mapping[str, str]) -> tuple[tuple[Node, ...], Wires]:
    """Resolve every source and return the nodes in an order in which each follows what it reads.

    Raises:
        GraphError: a name is used twice, an input is missing, or nodes wait for each other.
        UnknownNameError: a source, input or constant that does not exist.
    """
    outputs = _named(nodes, inputs)
    inferred: dict[str, tuple[str, str]] = {}
    bare = Wires({}, outputs, {})
    sources = {node.name: _sources(node, bare, inputs, inferred) for node in nodes}
    ordered = _order(nodes, sources, outputs)
    read = {source for found in sources.values() for source in found.values()}
    unread = [name for name in inputs if name not in read]
    if unread:
        raise GraphError(f"no node reads the graph input {unread[0]!r}; wire it to a node or leave it out")
    for node in nodes:
        for name, source in sources[node.name].items():
            reads = next((other for other in nodes if source in outputs[other.name].values()), None)
            if reads is not None and isinstance(reads.op, Loss):
                raise GraphError(f"node {node.name!r} input {name!r} reads the loss {reads.name!r}; a loss is the end of a graph")
    return ordered, Wires(sources, outputs, inferred)


def _named(nodes: tuple[Node, ...], inputs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The array behind each output of each node, once no name is used twice."""
    outputs: dict[str, dict[str, str]] = {}
    for node in nodes:
        if node.name in outputs:
            raise GraphError(f"two nodes are called {node.name!r}; rename one")
        outputs[node.name] = {name: node.name if name == "y" else f"{node.name}.{name}" for name in node.op.declaration.outputs}
    for name in inputs:
        if not isinstance(name, str) or not name:
            raise GraphError(f"a graph input needs a name; got {name!r}")
        if name in outputs or any(name in made.values() for made in outputs.values()):
            raise GraphError(f"{name!r} is a graph input and a node; rename one")
        if name in RESERVED:
            raise GraphError(f"a graph input cannot be called {name!r}, which is a keyword of the executor; rename it")
    if not nodes:
        raise GraphError("a graph needs at least one node")
    return outputs


def _sources(node: Node, wires: Wires, inputs: Mapping[str, str], inferred: dict[str, tuple[str, str]]) -> dict[str, str]:
    op = node.op
    wanted = [*op.declaration.inputs, *op.declaration.constants]
    for name in node.inputs:
        if name not in wanted:
            raise UnknownNameError(f"node {node.name!r}: {op.name} has no input {name!r}; {nearest(str(name), wanted)}")
    found = {}
    for name in wanted:
        if name not in node.inputs:
            raise GraphError(f"node {node.name!r}: {op.name} needs a source for {name!r}; wire it to a graph input or a node")
        source = node.inputs[name]
        if source in inputs:
            found[name] = source
        elif name in op.declaration.constants and (source == f"{node.name}.{name}" or source.partition(".")[0] not in wires.outputs):
            inferred.setdefault(source, (node.name, name))
            found[name] = source
        elif source.partition(".")[0] in wires.outputs:
            try:
                found[name] = key(source, wires)
            except UnknownNameError as error:
                raise UnknownNameError(f"node {node.name!r} input {name!r}: {error}") from None
        else:
            known = [*inputs, *wires.outputs]
            raise UnknownNameError(f"node {node.name!r} input {name!r}: nothing is called {source!r}; {nearest(source, known)}")
    return found


def _order(nodes: tuple[Node, ...], sources: Mapping[str, Mapping[str, str]], outputs: Mapping[str, Mapping[str, str]]) -> tuple[Node, ...]:
    maker = {array: name for name, made in outputs.items() for array in made.values()}
    waits = {node.name: {maker[source] for source in sources[node.name].values() if source in maker} for node in nodes}
    ordered: list[Node] = []
    done: set[str] = set()
    while len(ordered) < len(nodes):
        ready = next((node for node in nodes if node.name not in done and waits[node.name] <= done), None)
        if ready is None:
            raise GraphError(f"nodes wait for each other: {' -> '.join(_cycle(waits, done))}; a graph has no cycles")
        ordered.append(ready)
        done.add(ready.name)
    return tuple(ordered)


def _cycle(waits: Mapping[str, set[str]], done: set[str]) -> list[str]:
    """Walk back from a node that waits until one comes up twice; in the order in which arrays would flow."""
    walked = [next(name for name in waits if name not in done)]
    while True:
        before = min(waits[walked[-1]] - done)
        if before in walked:
            return [before, *reversed(walked[walked.index(before) :])]
        walked.append(before)


def infer(nodes: Sequence[Node], wires: Wires, inputs: Mapping[str, str]) -> tuple[dict[str, str], dict[str, ParameterArray]]:
    """The axes of every graph input and node output, with n for the batch, and the parameter arrays.

    Raises:
        ShapeError: arrays do not fit; the message names node and axis.
    """
    for name, axes in inputs.items():
        _check_axes(name, axes)
    # Two batch sizes tell the axes that follow the batch from those that happen to have its size.
    one, arrays = _infer_at(1, nodes, wires, inputs)
    two, _ = _infer_at(2, nodes, wires, inputs)
    return {name: _text(one[name], two[name]) for name in one}, arrays


def _check_axes(name: str, axes: Any) -> None:
    if not isinstance(axes, str):
        raise GraphError(f"graph input {name!r}: axes must be a string such as 'n 1 16 16'; got {axes!r}")
    try:
        parsed = _axes.parse(axes)
    except CnnframeError as error:
        raise GraphError(f"graph input {name!r}: {error}") from None
    if len([axis for axis in parsed if axis.expr is not None and BATCH in axis.expr.names()]) > 1:
        raise GraphError(f"graph input {name!r}: one axis is the batch and has the letter n; got {axes!r}")
    for axis in parsed:
        if axis.expr is None or axis.repeated or axis.expr.names() - {BATCH}:
            raise GraphError(f"graph input {name!r}: axes must be integers and the letter n for the batch, as in 'n 1 16 16'; got {axes!r}")
        if not axis.expr.names() and axis.expr({}) < 1:
            raise GraphError(f"graph input {name!r}: an axis must be at least 1; got {axes!r}")


def shape_at(axes: str, batch: int, who: str) -> Shape:
    """The shape that stored axes have for a batch of that many."""
    flat = tuple(axis.expr for axis in _axes.parse(axes))
    return _axes.shape_of(flat, {BATCH: batch}, f"graph input {who!r}")


def _text(one: Shape, two: Shape) -> str:
    axes = []
    for first, second in zip(one, two, strict=True):
        slope = second - first
        terms = [f"{slope}*n" if slope != 1 else "n"] if slope else []
        terms += [str(first - slope)] if first != slope or not terms else []
        axes.append(" + ".join(terms))
    return " ".join(axis if " " not in axis else f"({axis})" for axis in axes)


def _infer_at(batch: int, nodes: Sequence[Node], wires: Wires, inputs: Mapping[str, str]) -> tuple[dict[str, Shape], dict[str, ParameterArray]]:
    shapes = {name: shape_at(axes, batch, name) for name, axes in inputs.items()}
    arrays: dict[str, ParameterArray] = {}
    for node in nodes:
        op, sources = node.op, wires.sources[node.name]
        try:
            known = op.sizes({name: shapes[source] for name, source in sources.items() if source in shapes})
            for name, source in sources.items():
                if source not in shapes:
                    shapes[source] = _constant_shape(node, name, known)
            parameters = op.parameter_shapes(known)
            made = op.output_shapes(known)
        except ShapeError as error:
            came = ", ".join(f"{name} = {source} {shapes[source]}" for name, source in sources.items() if source in shapes)
            raise ShapeError(f"node {node.name!r}: {error} ({came}, for a batch of {batch})") from None
        if isinstance(op, Loss) and list(made.values()) != [()]:
            raise ShapeError(f"node {node.name!r}: the loss {op.name} must give one number; its output is declared with shape {made}")
        shapes |= {wires.outputs[node.name][name]: shape for name, shape in made.items()}
        for name, shape in parameters.items():
            _admit(node, name, shape, known, arrays)
    return shapes, arrays


def _constant_shape(node: Node, name: str, known: Mapping[str, Any]) -> Shape:
    axes = node.op.declaration.constants[name]
    try:
        return _axes.shape_of(axes, known, f"{node.op.name} constant {name!r}")
    except KeyError as error:
        raise GraphError(
            f"node {node.name!r}: the shape of constant {name!r} does not follow from its inputs ({error} is open in"
            f" {_axes.render(axes)}); declare it in the graph's inputs"
        ) from None


def _admit(node: Node, name: str, shape: Shape, known: Mapping[str, Any], arrays: dict[str, ParameterArray]) -> None:
    param, array = node.op.parameters[name], node.parameters[name]
    other = arrays.get(array)
    if other is None:
        fans = _fan(node, param.fan_in, shape[1:], known), _fan(node, param.fan_out, shape[:1], known)
        arrays[array] = ParameterArray(array, shape, param.role, param.initial, *fans, (node.name,))
        return
    if other.shape != shape:
        raise ShapeError(
            f"node {node.name!r}: parameter {name!r} is the array {array!r}, which has shape {other.shape} at node"
            f" {other.nodes[0]!r}; wanted {shape}; give it a name of its own"
        )
    if other.role != param.role:
        raise GraphError(f"node {node.name!r}: parameter {name!r} has role {param.role}, but {array!r} has role {other.role} at node {other.nodes[0]!r}")
    nodes = tuple(dict.fromkeys((*other.nodes, node.name)))
    arrays[array] = ParameterArray(array, shape, other.role, other.initial, other.fan_in, other.fan_out, nodes)


def _fan(node: Node, axes: str, default: Shape, known: Mapping[str, Any]) -> int:
    """The number of connections into or out of one unit, as `Param` declares it."""
    if not axes:
        return math.prod(default)
    op, parsed = node.op, _axes.parse(axes)
    names = {name for axis in parsed if axis.expr is not None for name in axis.expr.names()}
    # A property that is the length of no axis is not among the settled letters.
    more = {name: getattr(op, name) for name in names if isinstance(getattr(type(op), name, None), property)}
    expanded = _axes.expand(parsed, getattr(op, "dims", 2), frozenset(op.declaration.known) | frozenset(more))
    return math.prod(_axes.shape_of(expanded, {**known, **more}, f"{op.name} fan"))
