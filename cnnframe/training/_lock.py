"""One process at a time: a file that the operating system locks, and unlocks when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from .._errors import RunError

NAME: Final = ".lock"
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What a file system answers that has no locks; there one trains without."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a folder; its lock says who has it.

    Raises:
        RunError: another one has it, or the lock cannot be written.
    """
    path = folder / NAME
    try:
        file = _locked(path)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            yield
            return
        raise RunError(f"{path} cannot be locked: {error.strerror or error}") from error
    if file is None:
        raise RunError(f"{folder} is being trained by {_holder(path)}; wait for it, or stop it")
    with file:
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        file.flush()
        try:
            yield
        finally:
            # While it is locked: whoever opens it now finds, once it has the lock, that the file has no name any more.
            with contextlib.suppress(OSError):
                path.unlink()


def is_held(folder: Path) -> bool:
    """Whether a process has the lock of a folder."""
    path = folder / NAME
    if not path.is_file():
        return False
    try:
        with path.open("r+b") as file:
            return not _try(file)
    except OSError:
        return False


def _locked(path: Path) -> IO[bytes] | None:
    """The file, locked and empty; None if another process has it."""
    while True:
        file = path.open("a+b")
        try:
            if not _try(file):
                file.close()
                return None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                    file.truncate(0)
                    return file
        except BaseException:
            file.close()
            raise
        # The one that had it removed it meanwhile.
        file.close()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except (OSError, ValueError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    def _try(file: IO[bytes]) -> bool:
        # Far behind the text, which others read.
        file.seek(2**30)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
