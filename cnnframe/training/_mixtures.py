"""How layers that combine maps weigh them (Bouvrie 2006, section 3.3).

An operation with a parameter of role "mixing" says so itself: a method `mixture`, which takes its parameters by name and returns
the weights (maps in, maps), non-negative and with columns that sum to 1.
"""

from __future__ import annotations

import warnings

import numpy as np

from .. import _call
from .._graph import Graph
from .._parameters import Parameters


def mixtures(graph: Graph, parameters: Parameters) -> dict[str, tuple[tuple[float, ...], ...]]:
    """The weights of each layer that combines maps and says how, a row for each input map."""
    found = {}
    for node in graph.nodes:
        rule = getattr(node.op, "mixture", None)
        if rule is not None and any(graph.arrays[name].role == "mixing" for name in node.parameters.values()):
            weights = np.asarray(rule(**{name: parameters[array] for name, array in node.parameters.items()}))
            # Seven digits: these are for pictures, and a table of 16 x 60 weights is written once an epoch.
            found[node.name] = tuple(tuple(float(f"{weight:.7g}") for weight in row) for row in weights)
    return found


def warn_of_constants(graph: Graph) -> None:
    """Warn of a penalty whose gradient is 0 wherever one looks, such as the 1-norm of what a softmax gives (equations 11 to 14)."""
    for op, name in graph.penalised():
        (arg,) = op.inputs
        shape = graph.arrays[name].shape
        weights = np.random.default_rng(0).normal(size=shape)
        outputs, saved = _call.forward(op, {arg: weights})
        slope = _call.backward(op, {"y": np.ones(())}, saved, frozenset({arg}), {arg: shape})[arg]
        # What is left of a gradient that is 0 is rounding.
        if np.abs(slope).max(initial=0.0) <= 1e-12 * (1 + abs(float(outputs["y"]))):
            said = " ".join((type(op).__doc__ or "").split("\n\n")[0].split())
            # From here to the line that makes the Trainer: this function, __post_init__, __init__.
            warnings.warn(
                f"penalty {op.name} on {name!r} has no gradient, so that it enforces nothing; it says of itself: {said} Choose another one.", stacklevel=4
            )
