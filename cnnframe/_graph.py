"""A network as a value: frozen nodes wired by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from . import _chain, _connections, _inputs, _show, _stored, _toml, _wiring
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
        for given, what in ((self.inputs, "inputs"), (self.parameters, "parameters")):
            _inputs.want(given, Mapping, f"node {self.name!r}: {what}", "a mapping of names to names, such as {'x': 'conv1'}")
            for key, source in given.items():
                _inputs.want(source, str, f"node {self.name!r}: {what}[{key!r}]", "a name")
        for parameter in self.parameters:
            if parameter not in self.op.params:
                raise UnknownNameError(f"node {self.name!r}: {self.op.name} has no parameter {parameter!r}; {nearest(str(parameter), self.op.params)}")
        filled = {parameter: self.parameters.get(parameter, f"{self.name}.{parameter}") for parameter in self.op.params}
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        object.__setattr__(self, "parameters", MappingProxyType(filled))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go through the constructor: frozen mappings have neither."""
        return type(self), (self.name, self.op, dict(self.inputs), dict(self.parameters))


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
            who = f"penalty {self.regularizer.name}: parameters"
            _inputs.want(self.parameters, (tuple, list), who, "a tuple of names of parameter arrays, such as ('conv1.k',)")
            for name in self.parameters:
                _inputs.want(name, str, who, "names of parameter arrays")
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
        penalties: what is added to the loss; a regularizer by itself is for all arrays of its role.
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
        object.__setattr__(self, "penalties", _wrapped(self.penalties))
        _inputs.want(self.nodes, (tuple, list), "Graph: nodes", "a tuple of nodes")
        for node in self.nodes:
            _inputs.want(node, Node, "Graph: nodes", "made of Node(name, op, inputs)")
        _inputs.want(self.inputs, Mapping, "Graph: inputs", "a mapping of names to axes, such as {'x': 'n 1 16 16'}")
        _inputs.want(self.output, str, "Graph: output", "the name of a node")
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
    def chain(cls, *ops: Op | tuple[str, Op], inputs: str, loss: Loss | None = None, penalties: Sequence[Penalty | Regularizer] = ()) -> Graph:
        """Build a graph in which each operation feeds the next.

        Nodes are called by operation and number (conv1, scaled_tanh1, conv2), or as a pair says: ("C1", op). The graph input is "x", the
        loss "loss" and its targets "t". A constant of a layer becomes the graph input "<node>.<constant>".

        Raises:
            GraphError: an operation takes more than one input, or there is none.
        """
        nodes, last = _chain.nodes(ops, loss)
        return cls(nodes, {_chain.SOURCE: inputs}, last, _wrapped(penalties))

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

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go through the constructor: frozen mappings have neither."""
        return type(self), (self.nodes, dict(self.inputs), self.output, self.penalties)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise UnknownNameError(f"the graph has no node {name!r}; {nearest(str(name), [node.name for node in self.nodes])}")

    def shapes(self, batch: int) -> dict[str, Shape]:
        """The shape of every graph input and node output for a batch of that many."""
        _inputs.integer(batch, "Graph.shapes: batch", 0)
        return {name: _wiring.shape_at(axes, batch, name) for name, axes in self._shapes.items()}

    def connections(self) -> dict[str, int]:
        """How many connections with a trainable parameter each node has, for one example, as papers count them."""
        return _connections.of_graph(self)

    def penalised(self) -> list[tuple[Regularizer, str]]:
        """Each regularizer with each parameter array that it acts on."""
        pairs = []
        for penalty in self.penalties:
            of_role = [name for name, array in self.arrays.items() if array.role == penalty.regularizer.role]
            chosen = of_role if penalty.parameters is None else penalty.parameters
            pairs += [(penalty.regularizer, name) for name in chosen]
        return pairs

    def for_evaluation(self, replacements: Mapping[str, Op] | None = None) -> Graph:
        """Return the graph with each operation as it is when a trained network is used; dropout lets everything through.

        Args:
            replacements: operations by node that take the place of what the node would become by itself. An input
                that the new one does not declare is dropped; a constant becomes the graph input "<node>.<constant>".

        Raises:
            GraphError: a node cannot be used without a replacement, or a replacement has other parameters than its node.
            UnknownNameError: a replacement is for no node.
        """
        _inputs.want(replacements, (Mapping, type(None)), "for_evaluation: replacements", "a mapping of nodes to operations")
        given = dict(replacements or {})
        for name, op in given.items():
            _inputs.want(op, Op, f"for_evaluation: the replacement of {name!r}", "an operation")
            if set(op.params) != set(self[name].op.params):
                raise GraphError(f"for_evaluation: the replacement of {name!r} must have the parameters of {self[name].op.name}; got {op!r}")
        nodes = []
        for node in self.nodes:
            try:
                op = given[node.name] if node.name in given else node.op.for_evaluation()
            except GraphError as error:
                raise GraphError(f"{node.name} {error}".replace("{node:", f"{{{node.name!r}:")) from None
            sources = {**{name: f"{node.name}.{name}" for name in op.constants}, **node.inputs}
            kept = {**op.inputs, **op.constants}
            nodes.append(replace(node, op=op, inputs={name: source for name, source in sources.items() if name in kept}))
        read = {source for node in nodes for source in node.inputs.values()}
        declared = {name: axes for name, axes in self.inputs.items() if name in read}
        return Graph(tuple(nodes), declared, self.output, self.penalties)

    def summary(self) -> str:
        """A table of nodes: operation, output axes, number of parameters and of connections."""
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

    def to_toml(self) -> str:
        """The graph as a TOML text to read and edit, a table for each node; `from_toml` reads it.

        Raises:
            GraphError: a name is not Unicode, which TOML is.
        """
        return _toml.to_toml(self)

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str] | Mapping[str, Any], registry: Registry) -> Graph:
        """Rebuild a graph from a TOML text of several lines, from the file at a path, or from tables that were read before.

        Raises:
            GraphError: the file cannot be read, is no TOML, or lacks what a graph needs; the message names table and key.
            UnknownNameError: an operation, key or name that nothing answers to.
        """
        return _toml.from_toml(source, registry)


def _sink(nodes: Sequence[Node], wires: _wiring.Wires) -> str:
    """The node that feeds no other one but a loss."""
    inner = {source for node in nodes if not isinstance(node.op, Loss) for source in wires.sources[node.name].values()}
    ends = [node for node in nodes if not isinstance(node.op, Loss) and not inner.intersection(wires.outputs[node.name].values())]
    if len(ends) != 1:
        names = ", ".join(node.name for node in ends) or "none"
        raise GraphError(f"which node is the output? these feed no other one but a loss: {names}; say output=")
    return _wiring.key(ends[0].name, wires)


def _wrapped(given: Any) -> tuple[Penalty, ...]:
    """Penalties from a list or a single one; a regularizer is a penalty for all of its role."""
    listed = (given,) if isinstance(given, (Penalty, Regularizer)) else given
    _inputs.want(listed, (tuple, list), "Graph: penalties", "a list of penalties")
    penalties = tuple(Penalty(each) if isinstance(each, Regularizer) else each for each in listed)
    for penalty in penalties:
        _inputs.want(penalty, Penalty, "Graph: penalties", "made of penalties and regularizers")
    return penalties
