"""Files that a command writes where its user says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .._errors import RunError
from .._files import write_whole

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there already.")]


def refuse_taken(path: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is, before anything is computed for it.

    Raises:
        RunError: something is there, and was not to be replaced, or is a folder.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder; name a file in it")
    if os.path.lexists(path) and not overwrite:
        raise RunError(f"{path} is there already; choose another name, or replace it by --overwrite")


def write_new(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a file, whole or not at all.

    Raises:
        RunError: something is there already, or it cannot be written.
    """
    refuse_taken(path, overwrite=overwrite)
    write_whole(path, data)
