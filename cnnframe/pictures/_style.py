"""What all pictures have in common."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .._errors import RunError
from .._files import write_whole

INK: Final = "#22272e"
FAINT: Final = "#8b949e"
COLOURS: Final = ("#1f6feb", "#d1480e", "#2c8f4e", "#8957e5", "#b8860b", "#c2388a", "#0f8b8d", "#6e4b2a", "#57606a", "#e0629a")
"""Colours that differ in brightness too."""
DIVERGING: Final = "RdBu_r"
_DOTS: Final = 150
"""Dots per inch."""
_DECADES: Final = 1e4
"""Where the largest value is that many times the smallest, decades are enough."""


def figure(width: float, height: float, title: str = "") -> Any:
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    if title:
        made.suptitle(title, fontsize=12, color=INK, fontweight="bold")
    return made


def plain(axes: Any) -> None:
    """No frame above and to the right, quiet ticks, a faint grid behind."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def by_epoch(axes: Any, last: int) -> None:
    """Epochs on the horizontal axis, whole ones."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", color=INK, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlim(0.5 if last == 1 else 1, 1.5 if last == 1 else last)


def in_steps(axes: Any, values: Sequence[float]) -> None:
    """A logarithmic vertical axis from one round number to another (1, 2, 5, 10, ...), written as decimals; by decades where there are many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    seen = [value for value in values if 0 < value < math.inf]
    if seen:
        # A little further out, so that no line runs along the edge.
        low, high = _round_below(min(seen) / 1.02), 1 / _round_below(1 / (max(seen) * 1.02))
        axes.set_ylim(low, high)
        few = high / low < _DECADES
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _round_below(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above a value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value)


def save(made: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=_DOTS, metadata={"Software": None})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} cannot be made: {error.strerror or error}") from error
    write_whole(path, buffer.getvalue())
