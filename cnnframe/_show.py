"""A graph as text for people: a table, a flowchart, a page."""

from __future__ import annotations

import html as _html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._op import Loss, Op

if TYPE_CHECKING:
    from ._graph import Graph, Node

__all__ = ["call", "html", "mermaid", "summary", "table"]


def call(op: Op) -> str:
    """The operation as it would be written, without what has its default."""
    fields = type(op).__dataclass_fields__  # type: ignore[attr-defined] # operations are dataclasses
    said = []
    for name, value in op.hyperparameters().items():
        default = fields[name].default
        if getattr(op, name) == default or value == [default] * (len(value) if isinstance(value, list) else 0):
            continue
        said.append(f"{name}={_short(value)}")
    return f"{op.name}({', '.join(said)})"


def _short(value: Any) -> str:
    """A table of links by their number; the same size on every axis as one number."""
    if not isinstance(value, list) or not value:
        return str(value)
    if isinstance(value[0], str):
        return f"{''.join(value).count('X')} of {len(''.join(value))}"
    return str(value[0]) if len(set(value)) == 1 else str(tuple(value))


def _axes_of(graph: Graph, array: str) -> str:
    axes = graph.axes[array]
    return f"({', '.join(axes.split(' '))})" if axes else "number"


def _rows(graph: Graph) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    connections = graph.connections()
    counted: set[str] = set()
    for node in graph.nodes:
        new = [name for name in dict.fromkeys(node.parameters.values()) if name not in counted]
        counted.update(new)
        shared = sorted(set(node.parameters.values()) - set(new))
        count = f"{sum(math.prod(graph.arrays[name].shape) for name in new):,}" + (f" (shares {', '.join(shared)})" if shared else "")
        outputs = graph.wires.outputs[node.name]
        shown = [_axes_of(graph, array) if name == "y" else f"{name} {_axes_of(graph, array)}" for name, array in outputs.items()]
        rows.append((node.name, call(node.op), ", ".join(shown), count, f"{connections[node.name]:,}"))
    return rows


HEAD = ("node", "operation", "output", "parameters", "connections")


def summary(graph: Graph) -> str:
    """One line a node, and the totals; shared arrays count once, their connections each time."""
    total = sum(math.prod(array.shape) for array in graph.arrays.values())
    inputs = [f"{name} {_axes_of(graph, name)}" for name in graph.inputs]
    lines = [f"inputs: {', '.join(inputs)}", *table(HEAD, _rows(graph)), f"total parameters: {total:,}", f"total connections: {_connected(graph):,}"]
    if graph.penalties:
        lines.append("penalties: " + ", ".join(f"{call(op)} on {name}" for op, name in graph.penalised()))
    return "\n".join(lines)


def _connected(graph: Graph) -> int:
    return sum(graph.connections().values())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their longest entry."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]]
    return [lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]]


def mermaid(graph: Graph) -> str:
    """A flowchart from top to bottom; edges carry the axes."""
    ids = {name: f"in{number}" for number, name in enumerate(graph.inputs)}
    lines = ["flowchart TD", *(f'    {ids[name]}(["{name}"])' for name in graph.inputs)]
    for node in graph.nodes:
        text = f"{node.name}<br/>{call(node.op)}"
        lines.append(f'    {_id(node)}{{{{"{text}"}}}}' if isinstance(node.op, Loss) else f'    {_id(node)}["{text}"]')
    for node in graph.nodes:
        ids |= {array: _id(node) for array in graph.wires.outputs[node.name].values()}
    for node in graph.nodes:
        for name, source in graph.wires.sources[node.name].items():
            arrow = "-.->" if name in node.op.declaration.constants else "-->"
            lines.append(f'    {ids[source]} {arrow}|"{_axes_of(graph, source)}"| {_id(node)}')
    return "\n".join(lines)


def _id(node: Node) -> str:
    # A prefix keeps names such as "end", which Mermaid reads as a keyword, apart from its grammar.
    return f"node_{node.name}"


def html(graph: Graph) -> str:
    """The table of `summary` for a notebook."""
    head = "".join(f"<th>{name}</th>" for name in HEAD)
    body = "".join("<tr>" + "".join(f"<td>{_html.escape(entry)}</td>" for entry in row) + "</tr>" for row in _rows(graph))
    total = sum(math.prod(array.shape) for array in graph.arrays.values())
    return f"<table><caption>{total:,} parameters, {_connected(graph):,} connections</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
