"""The examples that a recipe names, in the size, scale and coding that its network takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import targets
from .._errors import DataError, RecipeError, nearest
from .._graph import Graph
from ..data import Preparation, Split, digits, idx_folder, split, subset

SOURCES: Final = ("digits", "idx")
_HIGH: Final = {"digits": 16.0, "idx": 255.0}
"""The entry of full ink."""


@dataclass(frozen=True)
class Loaded:
    """Training and test examples, with what was done to their images.

    Attributes:
        train: {"x": images, "t": targets}.
        test: likewise.
        labels: the labels of the test images.
        raw: the test images as they came.
        preparation: what brings such images to what the network takes.
        high: the entry of full ink in raw images.
        classes: how many classes there are.
        where: the data in words.
    """

    train: dict[str, NDArray[Any]]
    test: dict[str, NDArray[Any]]
    labels: NDArray[np.int64]
    raw: NDArray[Any]
    preparation: Preparation
    high: float
    classes: int
    where: str


def image_side(graph: Graph) -> int:
    """The side of the images that a graph takes.

    Raises:
        RecipeError: its input "x" is not square images of one map.
    """
    axes = graph.inputs.get("x", "").split(" ")
    if len(axes) != 4 or axes[:2] != ["n", "1"] or axes[2] != axes[3] or not axes[2].isdigit():
        took = f"'x' with axes ({', '.join(axes)})" if "x" in graph.inputs else f"the inputs {', '.join(graph.inputs)}"
        raise RecipeError(f"recipes train networks for square images of one map, input 'x' with axes n 1 side side; this one takes {took}; write a script")
    return int(axes[2])


def source_of(table: Mapping[str, Any], side: int, who: str) -> tuple[str, Path | None]:
    """Where the images come from: the named source, the folder that is named or that CNNFRAME_DATA names, or the embedded digits where they fit.

    Raises:
        RecipeError: no source is known, or none is named and the embedded digits do not fit.
    """
    source, folder = table.get("source"), table.get("folder")
    if source is not None and source not in SOURCES:
        raise RecipeError(f"[data] source must be one of {', '.join(SOURCES)}; got {source!r}; {nearest(source, SOURCES)}")
    if source == "digits" or (source is None and folder is None and side in (8, 16)):
        return "digits", None
    folder = folder or os.environ.get("CNNFRAME_DATA")
    if not folder:
        raise RecipeError(
            f"{who} takes images of {side}x{side}, and no data are named: give a folder with MNIST's four files, by --data FOLDER or CNNFRAME_DATA;"
            " or --data digits for the embedded digits of 8x8, enlarged"
        )
    return "idx", Path(folder)


def load_examples(table: Mapping[str, Any], graph: Graph, dtype: Any, who: str = "the network", rule: Preparation | None = None) -> Loaded:
    """Load what the table [data] of a recipe names, prepared by a rule that there is already, or by that which fits the training images.

    Raises:
        RecipeError: it names no data that there are.
        DataError: the data are damaged, or do not fit the network.
    """
    side = image_side(graph)
    source, folder = source_of(table, side, who)
    seed = table.get("seed", 0)
    if source == "digits":
        images, labels = digits()
        parts, where = split(images, labels, test=table.get("held_out", 0.2), seed=seed), "embedded digits"
    else:
        if "held_out" in table:
            raise RecipeError("[data] held_out is for the embedded digits; a folder has test images of its own")
        parts, where = idx_folder(folder), f"digits of {folder}"
    if "train" in table or "test" in table:
        parts = subset(parts, table.get("train", len(parts.train_labels)), table.get("test", len(parts.test_labels)), seed)
    return _coded(parts, table, graph, dtype, _HIGH[source], where, rule or Preparation.fit(parts.train_images, side, table["scaling"], dtype, _HIGH[source]))


def _coded(parts: Split, table: Mapping[str, Any], graph: Graph, dtype: Any, high: float, where: str, rule: Preparation) -> Loaded:
    classes = int(max(parts.train_labels.max(), parts.test_labels.max())) + 1
    units = graph.axes[graph.output].split(" ")
    if len(units) == 2 and units[1].isdigit():
        if int(units[1]) < classes:
            raise DataError(f"the {where} have labels up to {classes - 1}, and the network has {units[1]} outputs; it needs {classes}")
        classes = int(units[1])
    coded = [targets.encode(labels, table["coding"], classes, dtype) for labels in (parts.train_labels, parts.test_labels)]
    train, test = {"x": rule(parts.train_images), "t": coded[0]}, {"x": rule(parts.test_images), "t": coded[1]}
    return Loaded(train, test, parts.test_labels, parts.test_images, rule, high, classes, where)


def preparation_to_dict(rule: Preparation, high: float) -> dict[str, Any]:
    """A preparation as plain data, with the entry of full ink."""
    numbers = {"mean": rule.mean.tolist(), "scale": rule.scale.tolist()}
    return {"side": rule.side, "scaling": rule.scaling, **numbers, "dtype": rule.dtype.name, "high": high}


def preparation_from_dict(stored: Mapping[str, Any]) -> tuple[Preparation, float]:
    """The preparation behind plain data, and the entry of full ink.

    Raises:
        DataError: the data are none.
    """
    try:
        mean, scale = (np.asarray(stored[name], np.float64) for name in ("mean", "scale"))
        rule = Preparation(int(stored["side"]), str(stored["scaling"]), mean, scale, np.dtype(stored["dtype"]))
        return rule, float(stored["high"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"how images are prepared cannot be read: {error}") from None
