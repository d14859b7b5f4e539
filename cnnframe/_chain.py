"""The nodes of a graph in which each operation feeds the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import GraphError
from ._op import Loss, Op

if TYPE_CHECKING:
    from ._graph import Node

SOURCE = "x"


def nodes(given: tuple[Any, ...], loss: Any) -> tuple[tuple[Node, ...], str]:
    """The nodes of a chain with its loss, and the name of the last one before the loss.

    Raises:
        GraphError: an operation takes more than one input, or there is none.
    """
    from ._graph import Node

    if not given:
        raise GraphError("a chain needs at least one operation")
    found: list[Node] = []
    counts: dict[str, int] = {}
    source = SOURCE
    for each in given:
        name, op = each if isinstance(each, tuple) and len(each) == 2 else ("", each)
        if not isinstance(op, Op) or len(op.inputs) != 1 or isinstance(op, Loss) or not isinstance(name, str):
            raise GraphError(
                f"a chain is made of operations with one input; got {each!r};"
                " name one by a pair, ('C1', operation), pass a loss as loss=, and build other graphs from nodes"
            )
        if not name:
            counts[op.name] = counts.get(op.name, 0) + 1
            name = f"{op.name}{counts[op.name]}"
        (taken,) = op.inputs
        found.append(Node(name, op, {taken: source, **{constant: f"{name}.{constant}" for constant in op.constants}}))
        source = name
    if loss is not None:
        if not isinstance(loss, Loss) or len(loss.inputs) != 1:
            raise GraphError(f"the loss of a chain is a Loss with one input; got {loss!r}")
        (taken,) = loss.inputs
        targets = {constant: "t" if len(loss.constants) == 1 else constant for constant in loss.constants}
        found.append(Node("loss", loss, {taken: source, **targets}))
    return tuple(found), source
