"""Which classes are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from ._style import INK, figure


def confusion(counts: NDArray[Any], title: str = "") -> Any:
    """Draw a table of counts (classes, classes): rows are what images show, columns what they were taken for. Mistakes are coloured.

    Raises:
        DataError: the table is not square.
    """
    table = np.asarray(counts)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise DataError(f"confusion: counts must have axes (classes, classes); got shape {table.shape}")
    classes = len(table)
    made = figure(max(4.0, 0.52 * classes + 1.4), max(4.0, 0.52 * classes + 1.2), title)
    axes = made.subplots()
    wrong = table * ~np.eye(classes, dtype=bool)
    # What is right is many times what is wrong, and would leave the mistakes without colour.
    shown = np.where(wrong > 0, 0.15 + 0.85 * wrong / max(1, wrong.max()), np.nan)
    axes.imshow(shown, cmap="Reds", vmin=0, vmax=1.25)
    for row, column in np.ndindex(classes, classes):
        right = row == column
        if right:
            axes.add_patch(_box(row))
        if right or table[row, column]:
            weight = "bold" if right else "normal"
            colour = "white" if not right and shown[row, column] > 0.6 else INK
            axes.text(column, row, f"{table[row, column]:,}", ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes))
    axes.tick_params(length=0, labelsize=9, colors=INK, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.set_xticks(np.arange(-0.5, classes), minor=True)
    axes.set_yticks(np.arange(-0.5, classes), minor=True)
    axes.set_facecolor("#f3f4f6")
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("taken for", color=INK, fontsize=10)
    axes.set_ylabel("is", color=INK, fontsize=10)
    axes.text(0.5, -0.03, f"{int(wrong.sum()):,} of {int(table.sum()):,} wrong", transform=axes.transAxes, ha="center", va="top", fontsize=9, color=INK)
    return made


def _box(place: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((place - 0.5, place - 0.5), 1, 1, facecolor="#dbe9fb", edgecolor="white", linewidth=1.5)
