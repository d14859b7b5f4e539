"""The folder of a run: what was trained, how, and how it went; every file is there whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import RunError
from .._graph import Graph
from ._history import History


@dataclass(frozen=True)
class RunFolder:
    """An existing folder that belongs to one run."""

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
                if any(folder.iterdir()):
                    raise RunError(f"run folder {folder} holds another run already; choose a new name or remove it")
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

    def write_network(self, graph: Graph, recipe: Mapping[str, Any], versions: Mapping[str, str] | None = None) -> None:
        """Write network.json: the graph, how it is trained, and the versions of what trains it."""
        found = {"python": platform.python_version(), "numpy": np.__version__, "platform": sys.platform, **(versions or {})}
        self._write("network.json", {"graph": graph.to_dict(), "recipe": dict(recipe), "versions": found})

    def write_history(self, history: History) -> None:
        """Write history.json: loss, error and time of each epoch so far."""
        self._write("history.json", history.to_dict())

    def _write(self, name: str, data: Any) -> None:
        target = self.path / name
        try:
            text = json.dumps(data, indent=2, allow_nan=False) + "\n"
            descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{target} cannot be written: {error}") from error
