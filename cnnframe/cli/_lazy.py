"""Commands of other packages: listed without being imported.

An entry point of the group `cnnframe.commands` names a function that Typer can read, under the name of the
command. The line of help in the list of commands is the first line of its docstring, which is read from the
source, so that `cnnframe --help` does not wait for what a command needs.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand

from .._errors import PluginError

GROUP: Final = "cnnframe.commands"


def points() -> dict[str, importlib.metadata.EntryPoint]:
    """The entry points of the group by name, in alphabetical order."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point for point in sorted(found, key=lambda point: (point.name, point.value))}


class Lazy(TyperCommand):
    """A command that is loaded when it runs or its help is asked for."""

    def __init__(self, name: str, point: importlib.metadata.EntryPoint) -> None:
        """Take the name and one line of help."""
        TyperCommand.__init__(self, name, help=first_line(point))
        self.point = point

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the command and let it read the arguments.

        Raises:
            PluginError: it cannot be imported.
        """
        try:
            function = self.point.load()
        except Exception as error:  # whatever a stranger's module raises is told in one line
            raise PluginError(f"command {self.name!r} ({self.point.value}) cannot be loaded: {type(error).__name__}: {error}") from error
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(self.name)(function)
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)


def first_line(point: importlib.metadata.EntryPoint) -> str:
    """The first line of the docstring of what an entry point names, read from the source and not imported."""
    package, *inner = point.module.split(".")
    try:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise ImportError(package)
        places = [Path(place).joinpath(*inner) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or "").with_suffix("")]
        files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
        tree = ast.parse(files[0].read_text(encoding="utf-8"))
    except (ImportError, ValueError, OSError, IndexError, SyntaxError):
        return f"(from {point.value})"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            lines = (ast.get_docstring(node) or "").splitlines()
            return lines[0] if lines else f"(from {point.value})"
    return f"(from {point.value})"
