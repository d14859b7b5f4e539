"""`cnnframe list`: what the installed plugins offer."""

from __future__ import annotations

import json
from typing import Annotated

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
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "from", "description"):
        table.add_column(column, no_wrap=column in ("kind", "name"))
    for entry in _entries(registry):
        source = f"{entry['distribution']} {entry['version']}".strip()
        # Text, and not a string: descriptions hold brackets that rich would take for markup.
        table.add_row(*(Text(part) for part in (entry["kind"], entry["name"], source, entry["description"])))
    console = Console()
    console.print(table)
    for each in registry.skipped:
        console.print(Text(str(each)))


def _entries(registry: Registry) -> list[dict[str, str]]:
    found = []
    for name in registry:
        entry = registry.entry(name)
        lines = (entry.cls.__doc__ or "").strip().splitlines()
        found.append({"kind": entry.kind, "name": name, "distribution": entry.distribution, "version": entry.version, "description": lines[0] if lines else ""})
    return found
