"""Rates by layer, where a recipe names some layers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._graph import Graph
from .._parameters import Layout
from ._tables import OTHERS


def every_layer(rate: Any, graph: Graph) -> Any:
    """A rate in which all layers have one: those that a table of rates does not name have the one under `others`, with its schedule.

    A rate that is named is that of the first epoch where the others decay, and that of all epochs where they follow a table of steps.
    """
    if not isinstance(rate, Mapping) or any(node.name == OTHERS for node in graph.nodes):
        return rate
    if "schedule" in rate:
        return _through(rate, lambda each: every_layer(each, graph))
    if OTHERS not in rate:
        return rate
    named = {name: each for name, each in rate.items() if name != OTHERS}
    return _over(rate[OTHERS], named, _left(named, graph))


def _over(others: Any, named: Mapping[str, Any], left: list[str]) -> Any:
    if not isinstance(others, Mapping):
        return {**named, **dict.fromkeys(left, others)}
    return _through(others, lambda each: _over(each, named, left)) if "schedule" in others else {**others, **named}


def _through(schedule: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A schedule with all its rates changed; what is none is left, to be refused where it is read."""
    made = dict(schedule)
    if "rate" in made:
        made["rate"] = change(made["rate"])
    if isinstance(made.get("steps"), list):
        made["steps"] = [[pair[0], change(pair[1])] if isinstance(pair, list) and len(pair) == 2 else pair for pair in made["steps"]]
    return made


def _left(named: Mapping[str, Any], graph: Graph) -> list[str]:
    """The layers that no rate is named for; arrays, where a layer has a rate for a part of it or shares one."""
    slots = Layout.of(graph).slots
    open_ = {name: slot.nodes for name, slot in slots.items() if name not in named and not any(node in named for node in slot.nodes)}
    closed = {node for name, slot in slots.items() if name not in open_ or len(slot.nodes) > 1 for node in slot.nodes}
    return list(dict.fromkeys(name if nodes[0] in closed else nodes[0] for name, nodes in open_.items()))
