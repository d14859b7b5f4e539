"""Output that nobody reads any more, as after `cnnframe list | head`."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import Any, Final

UNREAD: Final = 128 + 13
"""The exit code of what ends by SIGPIPE."""


def is_unread() -> bool:
    """Whether what reads standard output or standard error has gone."""
    return any(_gone(stream) for stream in (sys.stdout, sys.stderr))


def _gone(stream: Any) -> bool:
    try:
        stream.flush()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no file, or a system without poll
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    return False


def complain(error: OSError) -> None:
    """Say what is wrong with the output, where that can be said."""
    drop()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"error: {error}\n")


def drop() -> None:
    """Lead what could not be written nowhere: it is still in the buffers, and Python would fail on it once more at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
