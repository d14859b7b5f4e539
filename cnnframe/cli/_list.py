"""`cnnframe list`: what the installed plugins offer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from .._registry import Registry, load


def list_plugins(
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a plugin cannot be imported.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what the installed plugins offer.

    Operations and optimizers, where they come from, and the plugins that were skipped.
    """
    registry = load(strict=strict)
    if as_json:
        skipped = [{"entry_point": each.entry_point, "distribution": each.distribution, "reason": each.reason} for each in registry.skipped]
        typer.echo(json.dumps({"entries": _entries(registry), "skipped": skipped}, indent=2))
        return
    from rich.console import Console
    from rich.text import Text

    # Where no person looks, a line for each operation, for `grep` and the like.
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 10_000)
    entries = _entries(registry)
    groups: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        source = f"{entry['distribution']} {entry['version']}".strip()
        groups.setdefault(f"{entry['kind']}" + (f" from {source}" if source else ""), []).append(entry)
    width = max((len(entry["name"]) for entry in entries), default=0)
    with console.capture() as shown:
        _show(console, groups, width)
        for each in registry.skipped:
            console.print(Text(str(each)))
    typer.echo("\n".join(line.rstrip() for line in shown.get().splitlines()))


def _show(console: Any, groups: Mapping[str, list[dict[str, str]]], width: int) -> None:
    """A heading for each group, a name and a description for each operation in it."""
    from rich.table import Table
    from rich.text import Text

    for place, (title, group) in enumerate(groups.items()):
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=width)
        table.add_column(ratio=1)
        for entry in group:
            # Text, and not a string: descriptions hold brackets that rich would take for markup.
            table.add_row(Text(f"  {entry['name']}"), Text(entry["description"]))
        console.print(Text(title if not place else f"\n{title}", style="bold"))
        console.print(table)


def _entries(registry: Registry) -> list[dict[str, str]]:
    found = []
    for name in registry:
        entry = registry.entry(name)
        lines = (entry.cls.__doc__ or "").strip().splitlines()
        found.append({"kind": entry.kind, "name": name, "distribution": entry.distribution, "version": entry.version, "description": lines[0] if lines else ""})
    return found
