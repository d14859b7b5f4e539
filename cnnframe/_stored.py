"""A graph as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._errors import CnnframeError, GraphError
from ._hyper import hyperparameters
from ._links import Links
from ._op import Op

if TYPE_CHECKING:
    from ._graph import Graph
    from ._registry import Registry

FORMAT = 1
"""Raised when data written before could not be read any more."""


def to_dict(graph: Graph) -> dict[str, Any]:
    """Everything that `from_dict` needs; operations by their registered names."""
    nodes = [{"name": node.name, **_operation(node.op), "inputs": dict(node.inputs), "parameters": dict(node.parameters)} for node in graph.nodes]
    penalties = [
        {**_operation(penalty.regularizer), "parameters": None if penalty.parameters is None else list(penalty.parameters)} for penalty in graph.penalties
    ]
    return {"format": FORMAT, "inputs": dict(graph.inputs), "nodes": nodes, "output": graph.output, "penalties": penalties}


def _operation(op: Op) -> dict[str, Any]:
    return {"op": op.name, "hyperparameters": op.hyperparameters()}


def from_dict(stored: Mapping[str, Any], registry: Registry) -> Graph:
    """Rebuild a graph.

    Raises:
        GraphError: the data are not a stored graph.
        UnknownNameError: an operation or hyperparameter is not known.
    """
    from ._graph import Graph, Node, Penalty

    written = stored.get("format") if isinstance(stored, Mapping) else None
    if written != FORMAT:
        raise GraphError(f"a stored graph of format {FORMAT} was wanted; got {'format ' + repr(written) if written is not None else 'other data'}")
    try:
        nodes = tuple(Node(each["name"], _make(each, registry), each["inputs"], each["parameters"]) for each in stored["nodes"])
        penalties = tuple(Penalty(_make(each, registry), each["parameters"]) for each in stored["penalties"])
        return Graph(nodes, stored["inputs"], stored["output"], penalties)
    except KeyError as error:
        raise GraphError(f"a stored graph lacks {error}") from None
    except CnnframeError:
        raise
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise GraphError(f"the data are not a stored graph: {error}") from None


def _make(stored: Mapping[str, Any], registry: Registry) -> Any:
    kinds = hyperparameters(registry[stored["op"]])
    given = {}
    for name, value in stored["hyperparameters"].items():
        given[name] = Links.from_rows(value) if name in kinds and kinds[name].kind is Links else value
    return registry.make(stored["op"], **given)
