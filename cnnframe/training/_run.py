"""The folder of a run: how it is trained, how it went, and where it stands; every file is there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .._errors import RunError
from .._files import remove_leftovers, write_whole
from ._checkpoint import Checkpoint
from ._history import History
from ._lock import NAME, held, is_held

if TYPE_CHECKING:
    from .._registry import Registry
    from ._trainer import Trainer

CHECKPOINT: Final = "checkpoint.safetensors"
_NAMED: Final = 3
"""Files that a message names."""


@dataclass(frozen=True)
class RunFolder:
    """An existing folder that belongs to one run: checkpoint.safetensors, history.json, and recipe.toml if it has a recipe."""

    path: Path

    @classmethod
    def create(cls, network: str, path: str | os.PathLike[str] | None = None, base: str | os.PathLike[str] = "runs") -> RunFolder:
        """Make a folder: `path`, or the first free of runs/<network>-1, -2, ...

        Raises:
            RunError: `path` exists and is not an empty folder, or cannot be made.
        """
        try:
            if path is not None:
                folder = Path(path)
                folder.mkdir(parents=True, exist_ok=True)
                _refuse_taken(folder)
                return cls(folder)
            Path(base).mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                folder = Path(base) / f"{network}-{number}"
                try:
                    # Making it is the test for it: two runs that start together get two folders.
                    folder.mkdir()
                except FileExistsError:
                    number += 1
                else:
                    return cls(folder)
        except RunError:
            raise
        except OSError as error:
            raise RunError(f"run folder {path or base} cannot be made: {error.strerror}; choose another one") from error

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Return the folder of a run that was saved before.

        Raises:
            RunError: there is no such folder, or no checkpoint in it.
        """
        folder = Path(path)
        if not folder.joinpath(CHECKPOINT).is_file():
            reason = f"there is no {CHECKPOINT} in it" if folder.is_dir() else "there is no such folder"
            raise RunError(f"{folder} is not the folder of a run: {reason}; train one with `cnnframe train`")
        if not is_held(folder):
            # Of a process that was killed; what one that lives writes is not there yet.
            remove_leftovers(folder)
        return cls(folder)

    def held(self) -> AbstractContextManager[None]:
        """Keep other processes from training in this folder, until the block or the process ends.

        Raises:
            RunError: another process has it; the message says which.
        """
        return held(self.path)

    @property
    def checkpoint(self) -> Path:
        """The file that the training goes on from."""
        return self.path / CHECKPOINT

    def write_recipe(self, text: str) -> None:
        """Write recipe.toml.

        Raises:
            RunError: it cannot be written.
        """
        write_whole(self.path / "recipe.toml", text.encode())

    def save(self, trainer: Trainer, history: History, extra: Mapping[str, Any] | None = None) -> None:
        """Write checkpoint.safetensors, and after an epoch history.json: loss, error and time of each epoch so far.

        Raises:
            RunError: one cannot be written; what was there before is untouched.
            ContractError: the optimizer's state holds what cannot be saved.
        """
        Checkpoint.of(trainer, history, extra).write(self.checkpoint)
        if not history.state.part.step:
            write_whole(self.path / "history.json", (json.dumps(history.to_dict(), indent=1) + "\n").encode())

    def saver(self, trainer: Trainer, extra: Mapping[str, Any] | None = None) -> Callable[[History], None]:
        """Return what `Trainer.fit` takes as `save`."""
        return lambda history: self.save(trainer, history, extra)

    def load(self, registry: Registry) -> Checkpoint:
        """Return what was saved last.

        Raises:
            RunError: the checkpoint is missing, damaged, or something else.
        """
        return Checkpoint.read(self.checkpoint, registry)


def _refuse_taken(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        RunError: it does; the message says whether that is a run.
    """
    there = sorted(path.name for path in folder.iterdir() if path.name != NAME)
    if CHECKPOINT in there:
        raise RunError(f"run folder {folder} holds another run already; choose a new name, remove it, or go on with it (--resume {folder})")
    if there:
        named = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED:,} more" if len(there) > _NAMED else "")
        raise RunError(f"run folder {folder} is not empty, and what is there is no run: {named}; choose a new name")
