"""The command `audit`; the command line loads it when it is called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from cnnframe import Op, Registry, UnknownNameError, load
from cnnframe._errors import nearest

from .._target import target
from ._equivalent import BUILT_IN, entry, equivalents
from ._report import AuditReport


def audit(
    name: Annotated[str, typer.Argument(metavar="NAME | module:Class | file.py:Class", help="The operation.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that run at once.")] = 2,
    limit: Annotated[float, typer.Option(min=1, help="Seconds after which a silent process is given up.")] = 60.0,
    profile: Annotated[str, typer.Option(help="How many cases the suite draws: quick, ci or thorough.")] = "quick",
    equivalent: Annotated[Path | None, typer.Option(metavar="FILE", help="A list of changes that change no answer: TOML with id, before, after, why.")] = None,
) -> None:
    """Break an operation's code in every known way, and see whether each break is refuted.

    Exit code 0 if every break is refuted or listed as one that changes no answer, 1 if one is not or an entry of the list does not hold.

    Example: cnnframe audit my_module:MyLayer --equivalent equivalent.toml
    """
    from ..suite import BUDGETS, Settings
    from ._audit import audit as judged

    if profile not in BUDGETS:
        raise UnknownNameError(f"there is no profile {profile!r}; {nearest(profile, BUDGETS)}")
    registry = load()
    cls = target(name, registry)
    listed = (*(equivalents(BUILT_IN) if _built_in(cls, registry) else ()), *(equivalents(equivalent) if equivalent else ()))
    with _Progress(quiet=as_json) as progress:
        report = judged(cls, jobs, limit, Settings(profile), target=name, listed=listed, told=progress.told)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.clean else 1)


def _built_in(cls: type[Op], registry: Registry) -> bool:
    """Whether an operation comes with cnnframe."""
    found = registry.get(cls.name)
    return found is cls and registry.entry(cls.name).distribution == "cnnframe"


class _Progress:
    """A count on a terminal, nothing elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress, TextColumn

        console = Console(stderr=True)
        self.bar = Progress(TextColumn("{task.description}"), console=console, transient=True, disable=quiet or not sys.stderr.isatty())
        self.counts = {"killed": 0, "survived": 0, "equivalent": 0}
        self.task: Any = None

    def __enter__(self) -> Self:
        self.bar.start()
        self.task = self.bar.add_task("breaking the code")
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def told(self, outcome: Any) -> None:
        """Count an outcome."""
        self.counts[outcome.state] += 1
        self.bar.update(self.task, description=", ".join(f"{count} {state}" for state, count in self.counts.items()))


def _show(report: AuditReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("operator", no_wrap=True)
    for state in ("killed", "equivalent", "survived"):
        table.add_column(state, justify="right")
    for operator, counts in report.by_operator().items():
        table.add_row(
            operator, *(Text(str(counts[state]), "bold red" if state == "survived" and counts[state] else "") for state in ("killed", "equivalent", "survived"))
        )
    console.print(table)
    for outcome in report.of("survived"):
        console.print(Text(f"\n{outcome.where}  survived: {outcome.id} ({outcome.what})\n  {outcome.change}"), soft_wrap=True)
    for outcome in report.of("survived")[:1]:
        block = entry(outcome.id, outcome.before, outcome.after)
        console.print(Text(f"\nA survivor that is no mistake goes, with the reason, into a file for --equivalent:\n\n{block}"), soft_wrap=True)
    for listed in report.stale:
        console.print(Text(f"\nlisted as equivalent, but there is no such change now: {listed.id}\n  {listed.before}  ->  {listed.after}"), soft_wrap=True)
    for listed in report.wrong:
        console.print(Text(f"\nlisted as equivalent, but refuted: {listed.id}\n  {listed.before}  ->  {listed.after}"), soft_wrap=True)
    killers = ", ".join(f"{count} by {kind}" for kind, count in report.killers().most_common())
    killed, equivalent, survived = (len(report.of(state)) for state in ("killed", "equivalent", "survived"))
    console.print(f"\n{report.name}: {len(report.outcomes)} broken copies, {killed} refuted ({killers}), {equivalent} equivalent, {survived} survived")
