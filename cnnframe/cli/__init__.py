"""The command line; what it is made of is imported when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line: exit code 0 if all is well, 1 if something is refuted, 2 after a mistake of usage or an error.

    It is 130 after Ctrl-C, and 141 where what reads the output ends before it.
    """
    try:
        from ._app import make_app

        make_app()(prog_name="cnnframe")
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # Of the output: a disk that is full, even for a help.
        from ._pipe import complain

        complain(error)
        sys.exit(2)
    finally:
        from ._pipe import UNREAD, drop, is_unread

        if is_unread():
            drop()
            sys.exit(UNREAD)
