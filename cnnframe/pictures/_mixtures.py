"""How a layer that combines maps comes to choose them (Bouvrie 2006, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from .._errors import RunError
from ..training import Epoch
from ._style import COLOURS, INK, by_epoch, figure, plain

_MOST: Final = 16
"""Output maps that are drawn."""


def alpha(epochs: Sequence[Epoch], node: str, title: str = "") -> Any:
    """Draw the weights alpha of a node against the epoch: a panel for each output map, a coloured band for each input map.

    Raises:
        RunError: no epoch is over, or the node does not combine maps.
    """
    if not epochs:
        raise RunError("the run has no finished epoch yet; go on with it first")
    if any(node not in epoch.mixtures for epoch in epochs):
        raise RunError(f"the history has no weights of maps for {node!r}; known: {', '.join(epochs[-1].mixtures) or 'none'}")
    numbers = [epoch.number for epoch in epochs]
    weights = np.array([epoch.mixtures[node] for epoch in epochs])
    ins, outs = weights.shape[1], min(weights.shape[2], _MOST)
    columns = min(outs, 4)
    rows = math.ceil(outs / columns)
    made = figure(max(6.0, 2.5 * columns + 1.2), 1.9 * rows + 0.9, title)
    panels = made.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(panels.flat):
        if place >= outs:
            axes.set_axis_off()
            continue
        plain(axes)
        if len(numbers) == 1:
            axes.bar([1] * ins, weights[0, :, place], bottom=np.cumsum(weights[0, :, place]) - weights[0, :, place], color=_colours(ins))
        else:
            axes.stackplot(numbers, weights[:, :, place].T, colors=_colours(ins), edgecolor="white", linewidth=0.4)
        first = int(weights[-1, :, place].argmax())
        axes.set_title(f"map {place}: input {first} has {weights[-1, first, place]:.0%}", fontsize=9, color=INK, loc="left")
        axes.set_ylim(0, 1)
        by_epoch(axes, numbers[-1])
        axes.set_xlabel("epoch" if place // columns == rows - 1 else "", fontsize=9)
        if place % columns == 0:
            axes.set_ylabel("alpha", color=INK, fontsize=9)
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=f"input {place}") for place, colour in enumerate(_colours(ins))]
    made.legend(handles=handles, loc="outside right center", frameon=False, fontsize=9)
    return made


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
