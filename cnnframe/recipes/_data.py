"""The examples that a recipe names, in the size, scale and coding that its network takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import targets
from .._errors import DataError, RecipeError, nearest
from .._graph import Graph
from ..data import Preparation, Split, digits, idx_folder, split, subset
from ..data._resize import fit_in_words

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
        remarks: what does not fit, in words, where the images are of another kind than those that the preparation was taken from.
    """

    train: dict[str, NDArray[Any]]
    test: dict[str, NDArray[Any]]
    labels: NDArray[np.int64]
    raw: NDArray[Any]
    preparation: Preparation
    high: float
    classes: int
    where: str
    remarks: tuple[str, ...] = ()


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
            " (`cnnframe download FOLDER` gets them); or --data digits for the embedded digits of 8x8, enlarged"
        )
    return "idx", Path(folder)


@dataclass(frozen=True)
class Learned:
    """The images that a network learned from.

    Attributes:
        preparation: what brought them to what the network takes.
        high: their entry of full ink.
        size: their height and width; None if that was not kept.
    """

    preparation: Preparation
    high: float
    size: tuple[int, int] | None


def load_examples(table: Mapping[str, Any], graph: Graph, dtype: Any, who: str = "the network", learned: Learned | None = None) -> Loaded:
    """Load what the table [data] of a recipe names, prepared as the images that a network learned from, or as it fits the training images.

    Full ink comes out the same, though its entry is 16 in the embedded digits and 255 in MNIST.

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
    high = _HIGH[source]
    if learned is None:
        return _coded(parts, table, graph, dtype, high, where, Preparation.fit(parts.train_images, side, table["scaling"], dtype, high))
    factor, rule = high / learned.high, learned.preparation
    rule = replace(rule, mean=rule.mean * factor, scale=rule.scale * factor)
    return replace(_coded(parts, table, graph, dtype, high, where, rule), remarks=_remarks(parts.test_images, high, learned, where))


def _remarks(images: NDArray[Any], high: float, learned: Learned, where: str) -> tuple[str, ...]:
    """In what images differ from those that a network learned from."""
    found = []
    height, width = images.shape[2:]
    if learned.size is not None and learned.size != (height, width):
        said = f"the images of the {where} are {height}x{width}, those that the network learned from {learned.size[0]}x{learned.size[1]}"
        found.append(f"{said}; they are brought to its size, but not cut to their ink or centred")
    largest = float(images.max())
    if largest <= high / 2:
        found.append(f"no entry of the images of the {where} is above {largest:g}, where full ink is {high:g}; they look faint to the network")
    elif float(images.mean()) > high / 2:
        found.append(f"the images of the {where} are more ink than paper; the network learned from light ink (high numbers) on dark paper (0)")
    return tuple(found)


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


def learned_from(notes: Mapping[str, Any]) -> Learned:
    """The images that a run learned from, by what is noted in its checkpoint.

    Raises:
        DataError: it is not there, or is something else.
    """
    try:
        stored, size = notes["preparation"], notes.get("size")
        mean, scale = (np.asarray(stored[name], np.float64) for name in ("mean", "scale"))
        rule = Preparation(int(stored["side"]), str(stored["scaling"]), mean, scale, np.dtype(stored["dtype"]))
        return Learned(rule, float(stored["high"]), None if size is None else (int(size[0]), int(size[1])))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"how images are prepared cannot be read: {error}") from None


def in_words(learned: Learned) -> str:
    """How images become what a network takes."""
    rule = learned.preparation
    came, fitted = "images", f"brought to {rule.side}x{rule.side} as cnnframe.data.fit_to does"
    if learned.size is not None:
        came, fitted = f"images of {learned.size[0]}x{learned.size[1]}", fit_in_words(*learned.size, rule.side)
    if rule.mean.ndim:
        numbers = "less a mean for each entry, over a scale for each"
    elif rule.scaling == "image":
        numbers = "less the mean of the image, over its standard deviation"
    else:
        numbers = f"less {float(rule.mean):.9g}, over {float(rule.scale):.9g}"
    return f"{came}, from 0 (paper) to {learned.high:g} (ink), {fitted}, then {numbers} (scaling {rule.scaling!r})"
