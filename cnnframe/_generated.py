"""What follows from formulas alone: whoever can read them offers so by entry points.

One of the group `cnnframe.backward` names a function that takes an operation that brings no gradients and returns
`backward(dy, saved, wanted)`, where `saved` is the tuple of forward's arguments in declared order. One of the group
`cnnframe.curvature` names a function that takes an operation and returns `cnnframe._curvature.Routes`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ._errors import PluginError

GROUP: Final = "cnnframe.backward"
CURVATURE: Final = "cnnframe.curvature"

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


def curvature_of(op: Any) -> Any:
    """By which routes the diagonal of a Gauss-Newton matrix goes back through an operation.

    Raises:
        PluginError: nothing is installed that says so, or it cannot be loaded.
    """
    generate = _offered(CURVATURE)
    if generate is None:
        raise PluginError(f"nothing is installed that reads the curvature of {op.name} from its formula (entry points {CURVATURE!r})")
    return generate(op)


def _generator() -> Callable[[Any], Backward] | None:
    return _offered(GROUP)


@cache
def _offered(group: str) -> Callable[[Any], Any] | None:
    """What the first entry point by name offers; looked up once."""
    points = sorted(importlib.metadata.entry_points(group=group), key=lambda point: (point.name, point.value))
    if not points:
        return None
    try:
        found: Callable[[Any], Any] = points[0].load()
    except Exception as error:  # whatever a stranger's module raises is told in one line
        raise PluginError(f"{group} entry point {points[0].value} cannot be loaded: {type(error).__name__}: {error}") from error
    return found
