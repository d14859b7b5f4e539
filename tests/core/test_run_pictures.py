"""Pictures of runs: what the axes say, and that nothing lies on anything else."""

from __future__ import annotations

import numpy as np
import pytest

import cnnframe as cf
from cnnframe.pictures import curves, maps, norms
from cnnframe.training import Epoch

OPS = cf.load()
MARKER = 4
"""Pixels from the middle of a marker to its edge, about."""


def epochs(count, **layers):
    """Epochs with falling losses; the gradient norms of a layer fall to the half each time."""
    return [
        Epoch(number, 2.0 / number, 1.5 / number, 0.5 / number, 1.0, gradient_norms={name: norm / 2 ** (number - 1) for name, norm in layers.items()})
        for number in range(1, count + 1)
    ]


def drawn(figure):
    """The axes of a figure, once it is laid out."""
    figure.canvas.draw()
    return figure.axes


def shown(axis, low, high):
    """The texts at the ticks that are seen."""
    return [label.get_text() for label, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True) if low <= place <= high]


@pytest.mark.parametrize(("count", "wanted"), [(1, ["1"]), (2, ["1", "2"]), (3, ["1", "2", "3"])])
def test_epochs_are_whole(count, wanted):
    for figure in (curves(epochs(count), "net", 1), norms(epochs(count, conv1=1.3), "net")):
        for axes in drawn(figure):
            assert shown(axes.xaxis, *axes.get_xlim()) == wanted


@pytest.mark.parametrize("count", [1, 7])
def test_no_text_lies_on_what_is_drawn(count):
    figure = curves(epochs(count), "net", count)
    for axes in drawn(figure):
        texts = [text for text in (*axes.texts, axes.title, axes._left_title, axes._right_title) if text.get_text()]
        boxes = [each.get_window_extent().padded(MARKER) for each in (*texts, *([axes.get_legend()] if axes.get_legend() else []))]
        points = [axes.transData.transform((x, y)) for line in axes.lines for x, y in zip(*line.get_data(), strict=True)]
        assert points and boxes and not any(box.contains(*point) for box in boxes for point in points)


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        ({"a": 1.1, "b": 1.3}, ["1", "2"]),
        ({"a": 2.9, "b": 0.3}, ["0.2", "0.5", "1", "2", "5"]),
        ({"a": 2.0}, ["1", "2", "5"]),
        ({"a": 3e3, "b": 1.1e-2, "c": 0.0}, ["0.01", "0.1", "1", "10", "100", "1000"]),
    ],
)
def test_norms_are_written_as_decimals(layers, wanted):
    (axes,) = drawn(norms(epochs(1, **layers)))
    assert shown(axes.yaxis, *axes.get_ylim()) == wanted
    assert not any(label.get_text() for label in axes.yaxis.get_minorticklabels())


def test_norms_that_are_0_are_drawn_all_the_same():
    (axes,) = drawn(norms(epochs(2, a=0.0)))
    assert not any("times" in text for text in shown(axes.yaxis, 0, np.inf))


@pytest.mark.parametrize("scores", [[-1.2, -0.4, 0.1], [-3.0, -2.0, -1.0], [0.2, 0.5, 0.3]])
def test_scores_begin_at_0(scores):
    graph = cf.Graph.chain(OPS.make("flatten"), OPS.make("dense", units=3), inputs="n 1 4 4")
    figure = maps(graph, {"x": np.ones((1, 1, 4, 4)), "dense1": np.array([scores])})
    bars = drawn(figure)[1].patches
    assert [(bar.get_y(), bar.get_height()) for bar in bars] == [(0, score) for score in scores]
