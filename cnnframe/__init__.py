"""Convolutional networks in which every gradient comes with evidence.

Names are listed in `__init__.pyi` and loaded when they are first used.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

__version__ = "0.1.0"


def _read_homes() -> dict[str, str | None]:
    """The public names and the modules that they come from; None for a module of this package."""
    tree = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imports for alias in node.names}


_homes = _read_homes()


def __getattr__(name: str) -> object:
    """Load a public name, once."""
    if name not in _homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _homes[name]
    found: object = importlib.import_module(f".{home or name}", __name__)
    if home:
        found = getattr(found, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted([*_homes, "__version__"])
