"""The folder of a run: what was trained, how, and how it went; every file is there whole or not at all."""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._errors import RunError
from .._graph import Graph
from .._op import Array
from .._parameters import Parameters
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

    def write_parameters(self, parameters: Parameters) -> None:
        """Write parameters.npz: each array under its name, as `numpy.load` reads them."""
        buffer = io.BytesIO()
        # As numpy.savez does it, which takes an array called "file" for its own argument.
        with zipfile.ZipFile(buffer, "w") as stored:
            for name, array in parameters.items():
                with stored.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
        self._write_bytes("parameters.npz", buffer.getvalue())

    def read_parameters(self, graph: Graph) -> Parameters:
        """Return the parameters in parameters.npz, which are those of `graph`.

        Raises:
            RunError: the file is not there, damaged, or something else.
            ShapeError: the arrays are those of another graph.
            DTypeError: they are not all float32 or all float64.
            NonFiniteError: one holds a NaN or an infinity.
        """
        path = self.path / "parameters.npz"
        try:
            with zipfile.ZipFile(path) as stored:
                arrays = {name.removesuffix(".npy"): _array(stored.read(name)) for name in stored.namelist()}
        except FileNotFoundError:
            raise RunError(f"{path} is not there; write it with RunFolder.write_parameters, or choose the folder of a finished run") from None
        except (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise RunError(f"{path} does not hold parameters, or is damaged: {error}; train again or choose another folder") from error
        return Parameters.of_arrays(graph, arrays)

    def _write(self, name: str, data: Any) -> None:
        try:
            text = json.dumps(data, indent=2, allow_nan=False) + "\n"
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.path / name} cannot be written: {error}") from error
        self._write_bytes(name, text.encode())

    def _write_bytes(self, name: str, data: bytes) -> None:
        target, temporary = self.path / name, self.path / f".{name}.{uuid.uuid4().hex}"
        try:
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise RunError(f"{target} cannot be written: {error}") from error


def _array(data: bytes) -> Array:
    return np.asarray(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False))
