"""What a trained run answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError, RunError
from .._parameters import Parameters
from ..data._pictures import brightness, centred, fault, mostly
from ..targets import labels_of
from ._data import Loaded, load_examples
from ._notes import TrainedRun

INKS: Final = ("auto", "dark", "light")
_FINE: Final = 112
"""The side at which pictures are read that are to fill their frame."""


@dataclass(frozen=True)
class Judged:
    """How a run does on test images.

    Attributes:
        loss: the mean over the images, plus penalties.
        outputs: the network's output for each (n, classes).
        labels: what the images show.
        guesses: what they were taken for.
        counts: the table of both (classes, classes), rows for what they show.
        where: the data in words.
        remarks: what does not fit, in words, where the images are of another kind than those that the run learned from.
    """

    loss: float
    outputs: NDArray[Any]
    labels: NDArray[np.int64]
    guesses: NDArray[np.int64]
    counts: NDArray[np.int64]
    where: str
    remarks: tuple[str, ...] = ()

    @property
    def wrong(self) -> int:
        """How many were taken for something else."""
        return int((self.labels != self.guesses).sum())

    def confused(self) -> list[tuple[int, int, int]]:
        """Pairs (is, taken for, how often), the most frequent first."""
        off = self.counts * ~np.eye(len(self.counts), dtype=bool)
        order = np.argsort(-off, axis=None, kind="stable")
        return [(int(row), int(column), int(off[row, column])) for row, column in zip(*np.unravel_index(order, off.shape), strict=True) if off[row, column]]


def parameters_of(run: TrainedRun, *, best: bool) -> Parameters:
    """The last parameters, or those after the best epoch.

    Raises:
        RunError: no step was made yet, or, for the best, no epoch is over.
    """
    history = run.stored.history
    if not history.epochs and not history.state.part.step:
        raise RunError(f"{run.folder.path} is not trained yet; go on with it first: cnnframe train --resume {run.folder.path}")
    if not best:
        return history.parameters
    if history.best is None:
        raise RunError(f"{run.folder.path} has no best epoch yet; go on with it first: cnnframe train --resume {run.folder.path}")
    return history.best.parameters


def examples_of(run: TrainedRun, data: str | None) -> Loaded:
    """The data of the run, or those of another folder, prepared as the run's were.

    Raises:
        RecipeError: none are named.
        DataError: they are damaged, or do not fit.
    """
    table = run.job.tables["data"]
    if data is not None:
        kept = {key: value for key, value in table.items() if key not in ("source", "folder", "train", "test", "held_out")}
        table = {**kept, **({"source": "digits"} if data == "digits" else {"source": "idx", "folder": data})}
    trainer = run.job.trainer
    return load_examples(table, trainer.graph, trainer.dtype, run.job.name, None if data is None else run.learned)


def judge(run: TrainedRun, examples: Loaded, *, best: bool = False) -> Judged:
    """Evaluate a run on test images.

    Raises:
        DataError: its outputs are no scores of classes.
    """
    trainer, parameters = run.job.trainer, parameters_of(run, best=best)
    found = trainer.evaluate(parameters, examples.test)
    outputs = trainer.predict(parameters, {"x": examples.test["x"]})
    guesses = labels_of(outputs)
    counts = np.zeros((examples.classes, examples.classes), np.int64)
    np.add.at(counts, (examples.labels, guesses), 1)
    return Judged(found.loss, outputs, examples.labels, guesses, counts, examples.where, examples.remarks)


def own_pictures(run: TrainedRun, paths: Sequence[str | os.PathLike[str]], ink: str = "auto") -> NDArray[Any]:
    """Pictures of one's own as the network takes them (n, 1, side, side).

    Ink is dark or light; with "auto", as the command line has it, what there is less of is ink.

    Raises:
        DataError: a file is no picture, is damaged, or shows nothing.
    """
    if ink not in INKS:
        raise DataError(f"ink must be one of {', '.join(INKS)}; got {ink!r}")
    filled = run.learned.high < 255
    read = [_read(Path(path), ink, _FINE if filled else 28) for path in paths]
    images = np.stack([_fill(image) if filled else image for image in read])[:, np.newaxis]
    return run.learned.preparation(images * (run.learned.high / 255.0))


def _read(path: Path, ink: str, side: int) -> NDArray[Any]:
    light = brightness(path)
    dark = mostly(light) if ink == "auto" else ink == "dark"
    drawing, other = (1 - light, light) if dark else (light, 1 - light)
    wrong = fault(drawing)
    if wrong:
        said = "light" if dark else "dark"
        raise DataError(f"{path} {wrong}" + ("" if fault(other) else f"; is the ink {said}? then say so: --ink {said}"))
    return centred(drawing, side).astype(np.float64)


def _fill(image: NDArray[Any]) -> NDArray[Any]:
    """The ink in a frame of 8x8 that it fills, each entry the mean of what it covers: so the embedded digits were made."""
    rows, columns = np.nonzero(image > 25)
    cut = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    side = -(-max(cut.shape) // 8) * 8
    square = np.zeros((side, side))
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return np.asarray(square.reshape(8, side // 8, 8, side // 8).mean(axis=(1, 3)))
