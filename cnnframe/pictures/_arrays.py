"""Kernels, and what an image becomes from layer to layer."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from .._graph import Graph
from .._op import Array, Loss
from .._parameters import Parameters
from ._style import DIVERGING, FAINT, INK, figure

_MOST: Final = 16
"""Output maps, and input maps, that are drawn of a layer."""
_ROW: Final = 0.46
"""Inches for a row of maps."""
_NAMES: Final = 3.2
"""Widths of a map that the names take."""


def kernels(graph: Graph, parameters: Parameters, title: str = "") -> Any:
    """Draw the kernels of all layers that have them; red is positive, blue negative, white 0, by a scale for each layer.

    Kernels (maps, maps in, height, width) stand in a row for each input map, of the first 16; kernels with one input map in one block.

    Raises:
        DataError: no layer has kernels of two dimensions.
    """
    found = [(name, array) for name, array in parameters.items() if graph.arrays[name].role == "weight" and _is_kernel(array)]
    if not found:
        raise DataError("the network has no kernels of two dimensions")
    tiled = [_tiled(np.asarray(array, np.float64)) for _, array in found]
    heights = [max(0.9, 0.42 * rows) for _, rows, _ in tiled]
    made = figure(max(6.0, *(0.42 * columns + 1 for _, _, columns in tiled)), sum(heights) + 0.5 * len(tiled) + 0.4, title)
    panels = made.subplots(len(tiled), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, array), (tiles, _, _) in zip(panels, found, tiled, strict=True):
        largest = float(np.abs(array).max()) or 1.0
        axes.imshow(tiles, cmap=DIVERGING, vmin=-largest, vmax=largest, interpolation="nearest")
        axes.set_title(f"{name}   {' x '.join(map(str, array.shape))}{_cut(array)}   largest {largest:.2g}", fontsize=9, color=INK, loc="left")
        axes.set_axis_off()
    return made


def _is_kernel(array: Array) -> bool:
    return array.ndim in (3, 4) and min(array.shape[-2:]) > 1


def _cut(array: Array) -> str:
    ins = array.shape[1] if array.ndim == 4 else 1
    several = array.shape[0] > _MOST and ins > 1
    return ", a part" if several or ins > _MOST or (ins == 1 and array.shape[0] > 4 * _MOST) else ""


def _tiled(array: NDArray[np.float64]) -> tuple[NDArray[np.float64], int, int]:
    """Kernels side by side with a gap that is drawn white, and how many rows and columns there are."""
    if array.ndim == 3 or array.shape[1] == 1:
        flat = array.reshape(-1, *array.shape[-2:])[: 4 * _MOST]
        columns = min(len(flat), _MOST)
        rows = math.ceil(len(flat) / columns)
    else:
        part = array[:_MOST, :_MOST]
        columns, rows = part.shape[0], part.shape[1]
        flat = part.swapaxes(0, 1).reshape(-1, *array.shape[-2:])
    height, width = flat.shape[-2:]
    tiles = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for place, kernel in enumerate(flat):
        row, column = divmod(place, columns)
        tiles[row * (height + 1) : row * (height + 1) + height, column * (width + 1) : column * (width + 1) + width] = kernel
    return tiles, rows, columns


def maps(graph: Graph, values: dict[str, Array], title: str = "", labels: list[str] | None = None) -> Any:
    """Draw what one image becomes: a row of maps for each node, then the outputs as bars.

    Args:
        graph: the network.
        values: arrays by "x" and node, of a batch of one, as `Executor.forward` gives them; see `nodes_of_maps`.
        title: what stands above.
        labels: names of the outputs; their numbers if left out.

    Raises:
        DataError: no array has maps.
    """
    rows = [(name, array[0]) for name, array in values.items() if array.ndim == 4 and max(array.shape[2:]) > 1]
    if not rows:
        raise DataError("the network has no maps of two dimensions")
    bars = values.get(graph.output)
    bars = None if bars is None or bars.ndim != 2 else bars[0]
    height = _ROW * len(rows)
    made = figure(9.0, height + (1.5 if bars is not None else 0.0) + 0.4, title)
    panels = made.subplots(2, 1, height_ratios=[height, 1.3]) if bars is not None else [made.subplots()]
    for place, (name, array) in enumerate(rows):
        _row(panels[0], name, array, len(rows) - place)
    panels[0].set(xlim=(-_NAMES, _MOST), ylim=(0, len(rows) + 0.1))
    panels[0].set_axis_off()
    if bars is not None:
        _bars(panels[1], bars, graph.output, labels)
    return made


def _row(axes: Any, name: str, array: Array, top: float) -> None:
    """The first maps of an array side by side in boxes of one size, its name before them."""
    from matplotlib.patches import Rectangle

    largest = float(np.abs(array).max()) or 1.0
    cut = f", first {_MOST}" if len(array) > _MOST else ""
    said = f"{name}\n{len(array)} x {array.shape[1]}x{array.shape[2]}{cut}"
    axes.text(-0.2, top - 0.45, said, ha="right", va="center", fontsize=7.5, color=INK)
    # As the eye takes them: a digit is ink on paper, of the others red is positive.
    scale = {"cmap": "Greys"} if name == "x" else {"cmap": DIVERGING, "vmin": -largest, "vmax": largest}
    for place, image in enumerate(array[:_MOST]):
        box = (place + 0.05, place + 0.95, top - 0.9, top)
        axes.imshow(image, interpolation="nearest", extent=box, aspect="auto", **scale)
        axes.add_patch(Rectangle((box[0], box[2]), 0.9, 0.9, fill=False, edgecolor="#d0d7de", linewidth=0.6))


def _bars(axes: Any, bars: Array, name: str, labels: list[str] | None) -> None:
    best = int(bars.argmax())
    axes.bar(range(len(bars)), bars, color=["#1f6feb" if unit == best else "#c9d1d9" for unit in range(len(bars))])
    # From 0, which is not the bottom where scores are negative.
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_xticks(range(len(bars)), labels or [str(unit) for unit in range(len(bars))])
    axes.set_ylabel(name, fontsize=8, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=0)
    # A winning score near 0 is a bar that is hardly seen.
    axes.get_xticklabels()[best].set(color="#1f6feb", fontweight="bold")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def nodes_of_maps(graph: Graph) -> list[str]:
    """The nodes whose outputs have maps of two dimensions, and that of the network's output."""
    found = []
    for node in graph.nodes:
        outputs = graph.wires.outputs[node.name]
        if not isinstance(node.op, Loss) and len(outputs) == 1 and len(graph.axes[next(iter(outputs.values()))].split(" ")) == 4:
            found.append(node.name)
    return [*found, graph.output] if graph.output not in found else found
