"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Final

from ._errors import CnnframeError, RunError

PART: Final = ".part"
"""What the name of a file ends in that is not whole yet; it begins with a dot."""


def write_whole(target: Path, data: bytes, kind: type[CnnframeError] = RunError) -> None:
    """Put a file in place, or in place of another one; at any moment the old one is there or the new one, a loss of power included.

    Raises:
        CnnframeError: of the given kind; it cannot be written, and the old one is untouched.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}{PART}")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        kept = "; the one before is kept" if target.is_file() else ""
        raise kind(f"{target} cannot be written: {error.strerror or error}{kept}; make room or choose another folder") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name last, where a folder can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            path.unlink()
