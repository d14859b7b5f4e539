"""A graph as plain data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._errors import CnnframeError, GraphError, HyperparameterError
from ._hyper import hyperparameters
from ._inputs import as_array
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
        nodes = tuple(Node(each["name"], _operation_of(each, registry), each["inputs"], each["parameters"]) for each in stored["nodes"])
        penalties = tuple(Penalty(_operation_of(each, registry), each["parameters"]) for each in stored["penalties"])
        return Graph(nodes, stored["inputs"], stored["output"], penalties)
    except KeyError as error:
        raise GraphError(f"a stored graph lacks {error}") from None
    except CnnframeError:
        raise
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise GraphError(f"the data are not a stored graph: {error}") from None


def _operation_of(stored: Mapping[str, Any], registry: Registry) -> Any:
    return make(stored["op"], dict(stored["hyperparameters"]), registry)


def make(name: str, given: Mapping[str, Any], registry: Registry) -> Any:
    """Build an operation from plain hyperparameters, in which a table of links is a list of rows.

    Raises:
        UnknownNameError: the operation or a hyperparameter is not known.
        HyperparameterError: a hyperparameter is missing or out of its bounds.
    """
    kinds = hyperparameters(registry[name])
    made = {key: _links(value, f"{name}: {key}") if key in kinds and kinds[key].kind is Links else value for key, value in given.items()}
    return registry.make(name, **made)


def _links(rows: Any, who: str) -> Any:
    """A table from rows of X and O, or of booleans; None stays, for a table may be optional."""
    if rows is None:
        return None
    if not isinstance(rows, list) or not rows or not (all(isinstance(row, str) for row in rows) or all(isinstance(row, list) for row in rows)):
        raise HyperparameterError(f"{who} must be a list of rows, as ['XXO', 'OXX'], or of rows of booleans; got {rows!r:.80}")
    return Links.from_rows(rows) if isinstance(rows[0], str) else Links.from_table(as_array(rows, who))
