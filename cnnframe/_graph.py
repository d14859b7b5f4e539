"""A network as a value: frozen nodes wired by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import _show, _stored, _wiring
from ._errors import GraphError, UnknownNameError, nearest
from ._op import Loss, Op, Regularizer

if TYPE_CHECKING:
    from ._axes import Shape
    from ._registry import Registry


@dataclass(frozen=True)
class Node:
    """One operation and where its arrays come from.

    Attributes:
        name: an identifier, the only one of that name in the graph.
        op: the operation.
        inputs: for each input and constant of the operation, its source: a graph input, a node, or
            "node.output" for one of several outputs (the bare node stands for its output "y").
        parameters: for each parameter of the operation, the name of its array; "node.parameter" where left out.
            Two nodes that name the same array share it.
    """

    name: str
    op: Op
    inputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in the names of parameter arrays and freeze the mappings."""
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise GraphError(f"a node's name must be an identifier; got {self.name!r}")
        if not isinstance(self.op, Op):
            raise GraphError(f"node {self.name!r} needs an operation, an instance of a subclass of Op; got {self.op!r}")
        for parameter in self.parameters:
            if parameter not in self.op.params:
                raise UnknownNameError(f"node {self.name!r}: {self.op.name} has no parameter {parameter!r}; {nearest(parameter, self.op.params)}")
        filled = {parameter: self.parameters.get(parameter, f"{self.name}.{parameter}") for parameter in self.op.params}
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        object.__setattr__(self, "parameters", MappingProxyType(filled))


@dataclass(frozen=True)
class Penalty:
    """A regularizer and the parameter arrays it is for: all of its role, unless `parameters` names them."""

    regularizer: Regularizer
    parameters: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no regularizer."""
        if not isinstance(self.regularizer, Regularizer):
            raise GraphError(f"a penalty needs a regularizer; got {self.regularizer!r}")
        if len(self.regularizer.inputs) != 1 or self.regularizer.params or self.regularizer.constants:
            raise GraphError(f"penalty {self.regularizer.name}: a regularizer takes one parameter array and nothing else")
        if self.parameters is not None:
            object.__setattr__(self, "parameters", tuple(self.parameters))


@dataclass(frozen=True)
class Graph:
    """Nodes in any order, checked and put in order when the graph is built.

    The loss of the graph is the sum of its `Loss` nodes and its penalties; without a `Loss` node it can only predict.

    Attributes:
        nodes: the nodes.
        inputs: graph inputs by name, with their axes as integers and the letter n for the batch, as in "n 1 16 16".
            A name that only feeds constants (targets, the random numbers of dropout) may be left out; its
            axes follow from the operation's declaration.
        output: what `predict` returns: a node, or "node.output"; where left out, the node that feeds no other one but a loss.
        penalties: regularizers and what they are for.
        arrays: the parameter arrays by name, with shape, role, initialiser and fans; found when the graph is built.

    Raises:
        GraphError: a cycle, a name used twice, a missing input, or more than one node could be the output.
        UnknownNameError: a name that nothing answers to.
        ShapeError: arrays that do not fit together; the message names node and axis.
    """

    nodes: tuple[Node, ...]
    inputs: Mapping[str, str]
    output: str = ""
    penalties: tuple[Penalty, ...] = ()
    arrays: Mapping[str, _wiring.ParameterArray] = field(init=False, repr=False, compare=False)
    _wires: _wiring.Wires = field(init=False, repr=False, compare=False)
    _shapes: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check names, order the nodes, and work out every shape."""
        object.__setattr__(self, "penalties", tuple(self.penalties))
        nodes, wires = _wiring.connect(tuple(self.nodes), self.inputs)
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "_wires", wires)
        shapes, arrays = _wiring.infer(nodes, wires, self.inputs)
        object.__setattr__(self, "_shapes", MappingProxyType(shapes))
        object.__setattr__(self, "arrays", MappingProxyType(arrays))
        inputs = {name: shapes[name] for name in [*self.inputs, *wires.inferred]}
        object.__setattr__(self, "inputs", MappingProxyType(inputs))
        object.__setattr__(self, "output", _wiring.key(self.output, wires) if self.output else _sink(nodes, wires))
        for penalty in self.penalties:
            role = penalty.regularizer.role
            if penalty.parameters is None and role not in {array.role for array in arrays.values()}:
                raise GraphError(f"penalty {penalty.regularizer.name}: no parameter has the role {role!r}; name the arrays it is for, or leave it out")
            for name in penalty.parameters or ():
                if name not in arrays:
                    raise UnknownNameError(f"penalty {penalty.regularizer.name}: no parameter array is called {name!r}; {nearest(name, arrays)}")

    @classmethod
    def chain(cls, *ops: Op, inputs: str, loss: Loss | None = None, penalties: Sequence[Penalty] = ()) -> Graph:
        """Build a graph in which each operation feeds the next.

        Nodes are called by operation and number (conv1, scaled_tanh1, conv2), the graph input "x", the loss
        "loss" and its targets "t". A constant of a layer becomes the graph input "<node>.<constant>".

        Raises:
            GraphError: an operation takes more than one input, or there is none.
        """
        if not ops:
            raise GraphError("a chain needs at least one operation")
        nodes: list[Node] = []
        counts: dict[str, int] = {}
        source = "x"
        for op in ops:
            if not isinstance(op, Op) or len(op.inputs) != 1 or isinstance(op, Loss):
                raise GraphError(f"a chain is made of operations with one input; got {op!r}; pass a loss as loss=, and build other graphs from nodes")
            counts[op.name] = counts.get(op.name, 0) + 1
            name = f"{op.name}{counts[op.name]}"
            (taken,) = op.inputs
            nodes.append(Node(name, op, {taken: source, **{constant: f"{name}.{constant}" for constant in op.constants}}))
            source = name
        if loss is not None:
            if not isinstance(loss, Loss) or len(loss.inputs) != 1:
                raise GraphError(f"the loss of a chain is a Loss with one input; got {loss!r}")
            (taken,) = loss.inputs
            targets = {constant: "t" if len(loss.constants) == 1 else constant for constant in loss.constants}
            nodes.append(Node("loss", loss, {taken: source, **targets}))
        return cls(tuple(nodes), {"x": inputs}, source, tuple(penalties))

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """The names of the loss nodes."""
        return tuple(node.name for node in self.nodes if isinstance(node.op, Loss))

    @property
    def wires(self) -> _wiring.Wires:
        """What each node reads and makes, under one name for each array."""
        return self._wires

    @property
    def axes(self) -> Mapping[str, str]:
        """The axes of every graph input and node output, with n for the batch."""
        return self._shapes

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise UnknownNameError(f"the graph has no node {name!r}; {nearest(name, [node.name for node in self.nodes])}")

    def shapes(self, batch: int) -> dict[str, Shape]:
        """The shape of every graph input and node output for a batch of that many."""
        return {name: _wiring.shape_at(axes, batch, name) for name, axes in self._shapes.items()}

    def penalised(self) -> list[tuple[Regularizer, str]]:
        """Each regularizer with each parameter array that it acts on."""
        pairs = []
        for penalty in self.penalties:
            of_role = [name for name, array in self.arrays.items() if array.role == penalty.regularizer.role]
            chosen = of_role if penalty.parameters is None else penalty.parameters
            pairs += [(penalty.regularizer, name) for name in chosen]
        return pairs

    def for_evaluation(self) -> Graph:
        """Return the graph with each operation as it is when a trained network is used; dropout lets everything through."""
        nodes = []
        for node in self.nodes:
            op = node.op.for_evaluation()
            kept = {**op.inputs, **op.constants}
            nodes.append(replace(node, op=op, inputs={name: source for name, source in node.inputs.items() if name in kept}))
        read = {source for node in nodes for source in node.inputs.values()}
        declared = {name: axes for name, axes in self.inputs.items() if name in read}
        return Graph(tuple(nodes), declared, self.output, self.penalties)

    def summary(self) -> str:
        """A table of nodes: operation, output axes, number of parameters."""
        return _show.summary(self)

    def to_mermaid(self) -> str:
        """The graph as the text of a Mermaid flowchart."""
        return _show.mermaid(self)

    def _repr_html_(self) -> str:
        return _show.html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold; `from_dict` reads it."""
        return _stored.to_dict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], registry: Registry) -> Graph:
        """Rebuild a graph from what `to_dict` made, with the operations of `registry`.

        Raises:
            GraphError: the data are not a stored graph.
            UnknownNameError: an operation is not registered.
        """
        return _stored.from_dict(stored, registry)


def _sink(nodes: Sequence[Node], wires: _wiring.Wires) -> str:
    """The node that feeds no other one but a loss."""
    inner = {source for node in nodes if not isinstance(node.op, Loss) for source in wires.sources[node.name].values()}
    ends = [node for node in nodes if not isinstance(node.op, Loss) and not inner.intersection(wires.outputs[node.name].values())]
    if len(ends) != 1:
        names = ", ".join(node.name for node in ends) or "none"
        raise GraphError(f"which node is the output? these feed no other one but a loss: {names}; say output=")
    return _wiring.key(ends[0].name, wires)
