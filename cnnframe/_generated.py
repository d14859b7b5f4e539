"""Gradients for operations that bring none: whoever can make them from a formula offers so by an entry point.

An entry point of the group `cnnframe.backward` names a function that takes an operation and returns
`backward(dy, saved, wanted)`, where `saved` is the tuple of forward's arguments in declared order.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ._errors import PluginError

GROUP: Final = "cnnframe.backward"

Backward = Callable[[Any, Any, Any], dict[str, Any]]


def backward_of(op: Any) -> Backward:
    """The `backward` that the installed generator makes for an operation.

    Raises:
        PluginError: none is installed, or it cannot be loaded.
    """
    generate = _generator()
    if generate is None:
        raise PluginError(
            f"{op.name} has no backward, and nothing is installed that makes one from its formula (entry points {GROUP!r}); write {op.name}.backward"
        )
    found: Backward = generate(op)
    return found


@cache
def _generator() -> Callable[[Any], Backward] | None:
    """The first generator by name; looked up once."""
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    if not points:
        return None
    try:
        found: Callable[[Any], Backward] = points[0].load()
    except Exception as error:  # whatever a stranger's module raises is told in one line
        raise PluginError(f"{GROUP} entry point {points[0].value} cannot be loaded: {type(error).__name__}: {error}") from error
    return found
