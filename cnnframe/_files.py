"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from ._errors import DataError


def write_whole(target: Path, data: bytes) -> None:
    """Write a file under another name, bring it to the disk, and give it its name.

    Raises:
        DataError: it cannot be written; then nothing is left of it.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
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
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from None
