"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._errors import RunError
from ..training import Epoch
from ._style import COLOURS, INK, by_epoch, figure, in_steps, plain


def curves(epochs: Sequence[Epoch], title: str = "", best: int | None = None) -> Any:
    """Draw loss and error against the epoch, the best one marked.

    Raises:
        RunError: no epoch is over.
    """
    numbers = _numbers(epochs)
    errors = [epoch.test_error for epoch in epochs]
    with_errors = all(error is not None for error in errors)
    made = figure(9.0 if with_errors else 5.0, 3.6, title)
    panels = made.subplots(1, 2 if with_errors else 1, squeeze=False)[0]
    plain(panels[0])
    marker = "o" if len(numbers) == 1 else ""
    panels[0].plot(numbers, [epoch.train_loss for epoch in epochs], color=COLOURS[0], linewidth=1.8, marker=marker, label="training, as it went")
    tests = [epoch.test_loss for epoch in epochs]
    if all(loss is not None for loss in tests):
        panels[0].plot(numbers, tests, color=COLOURS[1], linewidth=1.8, marker=marker, label="held out, after the epoch")
    panels[0].set_ylabel("mean loss", color=INK, fontsize=10)
    panels[0].set_ylim(bottom=0)
    # Above the panel, where no line runs.
    panels[0].legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2, labelcolor=INK)
    if with_errors:
        plain(panels[1])
        percent = [100 * float(error or 0) for error in errors]
        panels[1].plot(numbers, percent, color=COLOURS[1], linewidth=1.8, marker=marker)
        panels[1].set_ylabel("held-out error, %", color=INK, fontsize=10)
        panels[1].set_ylim(bottom=0, top=max(max(percent) * 1.05, 0.1))
        if best is not None:
            error = percent[numbers.index(best)]
            panels[1].plot([best], [error], "o", color=INK, markersize=5, clip_on=False, zorder=3)
            panels[1].set_title(f"best: {error:.2f} % after epoch {best}", fontsize=9, color=INK, loc="right")
    for axes in panels:
        by_epoch(axes, numbers[-1])
    return made


def norms(epochs: Sequence[Epoch], title: str = "") -> Any:
    """Draw the gradient norm of each layer against the epoch, on a logarithmic scale.

    Raises:
        RunError: no epoch is over, or gradient norms were not recorded.
    """
    numbers = _numbers(epochs)
    layers = list(epochs[-1].gradient_norms)
    if not layers:
        raise RunError("the history has no gradient norms")
    made = figure(7.0, 4.0, title)
    axes = made.subplots()
    plain(axes)
    ends = []
    for place, layer in enumerate(layers):
        values = [epoch.gradient_norms.get(layer, 0.0) or float("nan") for epoch in epochs]
        colour = COLOURS[place % len(COLOURS)]
        style = "-" if place < len(COLOURS) else "--"
        axes.plot(numbers, values, style, color=colour, linewidth=1.6, marker="o" if len(numbers) == 1 else "", label=layer)
        ends.append(values[-1])
    in_steps(axes, [norm for epoch in epochs for norm in epoch.gradient_norms.values()])
    axes.set_ylabel("2-norm of the gradient, mean over steps", color=INK, fontsize=10)
    by_epoch(axes, numbers[-1])
    # In the order in which the lines end, so that the eye goes straight across.
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(layers)), key=lambda place: -ends[place] if ends[place] == ends[place] else 0)
    found = [handles[place] for place in order], [names[place] for place in order]
    axes.legend(*found, frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor=INK)
    axes.grid(visible=True, which="major", axis="y", color="#e6e8eb")
    return made


def _numbers(epochs: Sequence[Epoch]) -> list[int]:
    if not epochs:
        raise RunError("the run has no finished epoch yet; go on with it first")
    return [epoch.number for epoch in epochs]
