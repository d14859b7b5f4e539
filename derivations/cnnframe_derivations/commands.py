"""The commands `verify` and `derive`; the command line loads them when they are called."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cnnframe import HyperparameterError, Op, Registry, RunError, UnknownNameError, load
from cnnframe._errors import nearest
from cnnframe._hyper import hyperparameters

from ._derive import Derivation, derive_structure
from ._latex import latex
from ._symbolic import default_structure
from ._target import target


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME | module:Class | file.py:Class]...", help="Operations; all that are installed if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: Annotated[str, typer.Option(help="How many cases: quick, ci or thorough.")] = "quick",
    seed: Annotated[int | None, typer.Option(help="Another number draws other cases; 0 if left out, and drawn at random by thorough.")] = None,
    case: Annotated[str | None, typer.Option(help="Judge one case of one operation, as a report printed it.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a plugin cannot be imported.")] = False,
) -> None:
    """Judge the backward passes of operations.

    Exit code 0 if all are verified, 1 if one is refuted, 2 if one is inconclusive.

    Example: cnnframe verify conv my_module:MyLayer
    """
    from hypothesis.configuration import set_hypothesis_home_dir

    from . import suite

    if profile not in suite.BUDGETS:
        raise UnknownNameError(f"there is no profile {profile!r}; {nearest(profile, suite.BUDGETS)}")
    if seed is None:
        seed = secrets.randbelow(10**6) if profile == "thorough" else 0
    registry = load(strict=strict)
    classes = [target(name, registry) for name in names] if names else list(registry.operations().values())
    labels = names or [cls.name for cls in classes]
    jobs = [(cls, suite.Settings(profile, seed), case, label) for cls, label in zip(classes, labels, strict=True)]
    if case is not None and len(classes) != 1:
        raise HyperparameterError("--case goes with the name of one operation")
    with TemporaryDirectory() as scratch:
        # Hypothesis keeps notes in the current folder unless it is given another.
        set_hypothesis_home_dir(scratch)
        try:
            reports = list(_progress(jobs, quiet=as_json))
        finally:
            set_hypothesis_home_dir(None)
    verdicts = [report.verdict for report in reports]
    if as_json:
        typer.echo(json.dumps({"reports": [r.to_dict() for r in reports], "skipped_plugins": [str(s) for s in registry.skipped]}, indent=2))
    else:
        _show(reports, registry)
        if seed:
            typer.echo(f"again with the same cases: --profile {profile} --seed {seed}")
    raise typer.Exit(1 if "refuted" in verdicts else 2 if "inconclusive" in verdicts else 0)


def _progress(jobs: list[Any], *, quiet: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    from . import suite

    console = Console(stderr=True)
    for cls, settings, case, label in track(jobs, "verifying", console=console, transient=True, disable=quiet or not sys.stderr.isatty()):
        report = suite.verify(cls, settings) if case is None else suite.replay(cls, case)
        yield replace(report, target=label)


def _show(reports: list[Any], registry: Registry) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from .suite import KINDS

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("operation", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for kind in KINDS:
        table.add_column(f"{kind} checks", justify="right")
    table.add_column("skipped", justify="right")
    colours = {"verified": "green", "refuted": "bold red", "inconclusive": "yellow"}
    for report in reports:
        counts = [str(e.checks) for e in report.evidence]
        table.add_row(report.name, Text(report.verdict, colours[report.verdict]), *counts, str(sum(report.skipped.values())))
    console.print(table)
    for reason, count in sorted(sum((r.skipped for r in reports), start=type(reports[0].skipped)()).items()) if reports else ():
        console.print(Text(f"skipped {count}: {reason}"))
    for report in reports:
        if report.verdict != "verified":
            console.print()
            console.print(Text(str(report)), soft_wrap=True)
    for skipped in registry.skipped:
        console.print(Text(str(skipped)), soft_wrap=True)
    counts = {verdict: sum(r.verdict == verdict for r in reports) for verdict in colours}
    console.print(f"\n{', '.join(f'{n} {verdict}' for verdict, n in counts.items() if n)}; {sum(r.checks for r in reports)} checks")


def derive(
    name: Annotated[str, typer.Argument(metavar="NAME | module:Class | file.py:Class", help="The operation.")],
    choose: Annotated[
        list[str] | None, typer.Option("--choose", metavar="KEY=VALUE", help="A hyperparameter that decides the formula, such as dims=1.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write a LaTeX document to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the formula of an operation and its derived gradients as LaTeX.

    They hold for all sizes. E is the objective, delta its given derivative with respect to an output.

    Example: cnnframe derive conv --choose dims=1
    """
    cls = target(name, load())
    equations = latex(_derivation(cls, choose or []))
    if page is not None:
        if as_json:
            raise HyperparameterError("--page and --json exclude each other")
        try:
            page.write_text(_document(cls, equations), encoding="utf-8")
        except OSError as error:
            raise RunError(f"{page} cannot be written: {error.strerror or error}") from error
        typer.echo(f"wrote {page}")
    elif as_json:
        typer.echo(json.dumps({"name": cls.name, "equations": equations}, indent=2))
    else:
        typer.echo("\n\n".join(equations.values()))


def _derivation(cls: type[Op], choices: list[str]) -> Derivation:
    chosen = dict(default_structure(cls))
    for choice in choices:
        key, _, text = choice.partition("=")
        if key not in chosen:
            raise UnknownNameError(f"{cls.name} has no choice {key!r}; {nearest(key, chosen)}")
        known = {str(value): value for value in hyperparameters(cls)[key].choices or ()}
        if text not in known:
            raise HyperparameterError(f"{cls.name}: {key} must be one of {', '.join(known)}; got {text!r}")
        chosen[key] = known[text]
    return derive_structure(cls, tuple(chosen.items()))


def _document(cls: type[Op], equations: dict[str, str]) -> str:
    lines = [r"\documentclass{article}", r"\usepackage{amsmath}", r"\begin{document}", rf"\section*{{{cls.name.replace('_', ' ')}}}"]
    lines += [rf"\begin{{gather*}}{equation}\end{{gather*}}" for equation in equations.values()]
    return "\n".join([*lines, r"\end{document}", ""])
