"""The command `verify`; the command line loads it when it is called."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cnnframe import HyperparameterError, RunError, UnknownNameError, load
from cnnframe._errors import nearest

from ._bench import BUDGETS, SUITE_VERSION, Settings
from ._names import BETWEEN, PLUS
from ._verdict import Evidence, Report

COLOURS = {"verified": "green", "refuted": "bold red", "inconclusive": "yellow", "skipped": "dim"}
HEADS = {
    "contract": "con-\ntract",
    "bounded": "bound-\ned",
    "symbolic": "sym-\nbolic",
    "exhaustive": "exhau-\nstive",
    "independent": "inde-\npend.",
    "extremes": "ex-\ntremes",
    "composed": "com-\nposed",
    "curvature": "curv-\nature",
    "canaries": "cana-\nries",
}
"""Column heads that are narrower than the words."""
WIDE = 104
"""Columns that a table with counts needs."""
NARROW = 20
"""Columns for the names of a chain's operations."""
MARKS = {"verified": "+", "refuted": "!", "inconclusive": "?", "skipped": "-"}
LEGEND = "+: held; !: wrong; ?: open; -: does not apply, as the reports say"
REASONS = 6
"""Reasons for skips that the terminal shows; the reports have all."""


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME | module:Class | file.py:Class][+...][@KERNEL]...",
            help="Operations, kernels of theirs (conv@numpy_conv), or kernels on chains of them (conv+relu@fused); all if left out.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as report.schema.json describes it.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the evidence, the derivations and the counterexamples.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, for a CI system.")] = None,
    profile: Annotated[str, typer.Option(help="How many cases: quick, ci or thorough.")] = "quick",
    seed: Annotated[int | None, typer.Option(help="Another number draws other cases; 0 if left out, and drawn at random by thorough.")] = None,
    case: Annotated[str | None, typer.Option(help="Judge one case of one operation or chain, as a report printed it.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; the reports do not depend on it.")] = os.cpu_count() or 1,
    limit: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long one case may take before its code counts as hanging.")] = 60.0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a plugin cannot be imported.")] = False,
) -> None:
    """Judge the backward passes of operations, and the kernels that serve them, one by one and in chains.

    Exit code 0 if all are verified, 1 if one is refuted, 2 if one is inconclusive.

    Example: cnnframe verify conv my_module:MyLayer --html report.html
    """
    from ._chains import everything, is_chain, resolve_chain
    from ._jobs import judge
    from ._kernels import resolve

    if profile not in BUDGETS:
        raise UnknownNameError(f"there is no profile {profile!r}; {nearest(profile, BUDGETS)}")
    if seed is None:
        seed = secrets.randbelow(10**6) if profile == "thorough" else 0
    registry = load(strict=strict)
    asked: dict[str, Any] = {name: (resolve_chain if is_chain(name) else resolve)(name, registry)[0] for name in names or everything(registry)}
    if case is not None:
        _check_case(asked, case)
    for path in (html, junit):
        if path is not None and not path.absolute().parent.is_dir():
            raise RunError(f"{path} cannot be written: there is no folder {path.absolute().parent}")
    found = dict(_progress(judge(list(asked), Settings(profile, seed), processes=jobs, limit=limit, case=case), len(asked), quiet=as_json))
    reports = [found[number] for number in range(len(asked))]
    skipped = [str(s) for s in registry.skipped]
    _files(reports, asked, skipped, {"profile": profile, "seed": str(seed)}, html, junit)
    if as_json:
        from ..report import document

        typer.echo(
            json.dumps(document(reports, version=version("cnnframe"), suite=SUITE_VERSION, profile=profile, seed=seed, skipped_plugins=skipped), indent=2)
        )
    else:
        _show(reports, skipped)
        if seed:
            typer.echo(f"again with the same cases: --profile {profile} --seed {seed}")
        for path in (html, junit):
            if path is not None:
                typer.echo(f"wrote {path}")
    verdicts = {report.verdict for report in reports}
    raise typer.Exit(1 if "refuted" in verdicts else 2 if "inconclusive" in verdicts else 0)


def _files(reports: Sequence[Report], asked: Mapping[str, Any], skipped: Sequence[str], run: Mapping[str, str], html: Path | None, junit: Path | None) -> None:
    """Write the reports that are asked for."""
    about = {"cnnframe": version("cnnframe"), "suite": str(SUITE_VERSION), **run}
    if html is not None:
        from ..report import page

        _write(html, page(reports, asked, skipped_plugins=skipped, about=about))
    if junit is not None:
        from ..report import junit as xml

        _write(junit, xml(reports, skipped_plugins=skipped, about=about))


def _check_case(asked: Mapping[str, Any], text: str) -> None:
    """Refuse a case that is none before a worker is asked.

    Raises:
        HyperparameterError: there is not one operation.
        DataError: the text is no case of the operation.
    """
    from ._cases import Case

    if len(asked) != 1:
        raise HyperparameterError("--case goes with the name of one operation or chain")
    (found,) = asked.values()
    if isinstance(found, tuple):
        from ._joined_cases import ChainCase

        ChainCase.read(found, text)
    else:
        Case.from_replay(found, text)


def _progress(found: Iterator[tuple[int, Report]], count: int, *, quiet: bool) -> Iterator[tuple[int, Report]]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(found, "verifying", total=count, console=console, transient=True, disable=quiet or not sys.stderr.isatty())


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there in full or not at all.

    Raises:
        RunError: it cannot be written.
    """
    try:
        with TemporaryDirectory(dir=path.absolute().parent, prefix=".") as scratch:
            part = Path(scratch) / path.name
            part.write_text(text, encoding="utf-8")
            part.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


def _show(reports: Sequence[Report], skipped: Sequence[str]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    # What is piped is read by a program or in a wide window.
    console.width = max(console.width, WIDE if not console.is_terminal else 0)
    console.print(_table(reports, wide=console.width >= WIDE))
    console.print("numbers: comparisons that held; -: does not apply, as the reports say" if console.width >= WIDE else LEGEND, style="dim")
    reasons = sum((r.skipped for r in reports), Counter())
    for reason, count in reasons.most_common(REASONS):
        console.print(Text(f"skipped {count}: {reason}"), soft_wrap=True)
    if len(reasons) > REASONS:
        console.print(f"skipped {sum(reasons.values()) - sum(n for _, n in reasons.most_common(REASONS))} for {len(reasons) - REASONS} other reasons")
    for report in reports:
        if report.verdict != "verified":
            console.print()
            console.print(Text(str(report)), soft_wrap=True)
    for plugin in skipped:
        console.print(Text(plugin), soft_wrap=True)
    counts = Counter(report.verdict for report in reports)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in COLOURS if counts[verdict])
    console.print(f"\n{told}; {sum(r.checks for r in reports)} checks")
    seen = [r.power for r in reports if r.verdict == "verified" and r.power is not None]
    if seen:
        console.print(
            f"In float64 there were cases in which a relative error of {max(seen):.0e} in any one entry of a verified gradient would have been seen.",
            soft_wrap=True,
        )


def _table(reports: Sequence[Report], *, wide: bool) -> Any:
    """Operations and kinds of evidence: counts, or where there is no room for them, marks."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("operation", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for kind in [e.kind for e in reports[0].evidence] if reports else ():
        table.add_column(HEADS.get(kind, kind) if wide else kind[:3], justify="right", vertical="bottom")
    above = ""
    for report in reports:
        marks = [Text(_count(e) if wide else MARKS[e.state], COLOURS[e.state]) for e in report.evidence]
        table.add_row(_called(report, above), Text(report.verdict, COLOURS[report.verdict]), *marks)
        above = report.name
    return table


def _called(report: Report, above: str) -> str:
    """What is judged: an operation, a kernel by itself where its operation is the one above, else by its whole name, in lines that are not too long."""
    if report.kernel == "reference":
        return report.name
    if report.name == above:
        return f"  {report.kernel}"
    lines = [""]
    for part in f"{report.name}{BETWEEN}{report.kernel}".replace(PLUS, f"{PLUS} ").replace(BETWEEN, f"{BETWEEN} ").split():
        if len(lines[-1]) + len(part) > NARROW:
            lines.append("  ")
        lines[-1] += part
    return "\n".join(lines)


def _count(evidence: Evidence) -> str:
    """What a kind of evidence says, in five letters."""
    count = str(evidence.checks) if evidence.checks < 10_000 else f"{evidence.checks // 1000}k"
    return {"verified": count, "refuted": "wrong", "inconclusive": "open", "skipped": "-"}[evidence.state]
