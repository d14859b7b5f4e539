"""What a run by a recipe leaves in its checkpoint, and what is read there again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from .._errors import RunError
from .._registry import Registry
from ..training import Checkpoint, RunFolder, Trainer
from ..training._examples import fingerprint
from ..training._settings import differences, environment
from ._data import Learned, Loaded, in_words, learned_from, preparation_to_dict
from ._job import Job


def notes(job: Job, examples: Loaded) -> dict[str, Any]:
    """The recipe, the size of the images and how they are prepared, and a checksum of the examples."""
    sums = {"train": fingerprint(examples.train), "test": fingerprint(examples.test)}
    prepared = preparation_to_dict(examples.preparation, examples.high)
    return {"recipe": job.tables, "examples": sums, "preparation": prepared, "classes": examples.classes, "size": list(examples.raw.shape[2:])}


def recipe_of(stored: Checkpoint, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The recipe in a checkpoint.

    Raises:
        RunError: there is none: a script trained the network.
    """
    if not all(isinstance(stored.extra.get(name), dict) for name in ("recipe", "examples", "preparation")):
        raise RunError(
            f"{path} was trained by a script, and has no recipe; go on in the script, by RunFolder.open({str(path)!r}).load(registry).resume(trainer)"
        )
    recipe: dict[str, Any] = stored.extra["recipe"]
    return recipe


def environment_changes(stored: Checkpoint, trainer: Trainer) -> list[str]:
    """In what the machine and the versions differ from those that trained before."""
    return differences(stored.environment, environment(trainer))


def about(stored: Checkpoint) -> dict[str, str]:
    """What a checkpoint of a run by a recipe says to others: the network, how its input is prepared, in words and in numbers (JSON), and its classes.

    Raises:
        DataError: how images are prepared cannot be read.
    """
    if not all(name in stored.extra for name in ("recipe", "preparation", "classes")):
        return {}
    network = stored.extra["recipe"].get("network", {})
    learned = learned_from(stored.extra)
    return {
        "network": str(network.get("name", "a graph of its own")),
        "input": in_words(learned),
        "preparation": json.dumps(stored.extra["preparation"]),
        "classes": str(stored.extra["classes"]),
    }


@dataclass(frozen=True)
class TrainedRun:
    """A run by a recipe, to be looked at and used.

    Attributes:
        folder: where it is.
        stored: its checkpoint.
        job: its recipe, built.
        learned: the images that it learned from, and what brings them to what the network takes.
    """

    folder: RunFolder
    stored: Checkpoint
    job: Job
    learned: Learned

    @classmethod
    def open(cls, path: str | os.PathLike[str], registry: Registry) -> TrainedRun:
        """Open the folder of a run.

        Raises:
            RunError: there is no run by a recipe, or its checkpoint is damaged.
        """
        folder = RunFolder.open(path)
        stored = folder.load(registry)
        job = Job.make(recipe_of(stored, path), registry)
        if job.trainer.graph != stored.graph:
            raise RunError(
                f"{path} holds another network than its recipe builds with this version; it was trained with cnnframe {stored.environment.get('cnnframe')}"
            )
        return cls(folder, stored, job, learned_from(stored.extra))
