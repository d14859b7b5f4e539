"""The command line; what it is made of is imported when it runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line: exit code 0 if all is well, 1 if something is refuted, 2 after a mistake of usage or an error."""
    from ._app import make_app

    make_app()(prog_name="cnnframe")
