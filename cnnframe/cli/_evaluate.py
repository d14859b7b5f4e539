"""`cnnframe evaluate`: how a trained network does on held-out examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._registry import load
from ..recipes import TrainedRun, examples_of, judge

PAIRS = 5


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", metavar="RUN")],
    data: Annotated[
        str | None, typer.Option(help="Another folder with MNIST's four files, or 'digits'; the run's own data if left out.", metavar="FOLDER")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The parameters after the best epoch, instead of the last ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the table of confusions.")] = False,
) -> None:
    """Evaluate a trained network: loss, error, and what it takes for what.

    Images of another folder are brought to the size and scale that the network takes, and no more: other than `predict` does, they are not cut to their
    ink, centred or inverted. A note on stderr says where they are of another kind than those that the network learned from.

    The best epoch was chosen by the same examples, so that its error is a little too good; the last parameters' is not.
    """
    trained = TrainedRun.open(run, load())
    found = judge(trained, examples_of(trained, data), best=best)
    count = len(found.labels)
    history = trained.stored.history
    for remark in found.remarks:
        typer.echo(f"note: {remark}", err=True)
    after = history.best.epoch.number if best and history.best is not None else history.state.epoch
    if as_json:
        pairs = [{"is": one, "taken_for": other, "count": times} for one, other, times in found.confused()]
        result: dict[str, Any] = {"run": str(run), "epoch": after, "data": found.where, "remarks": list(found.remarks)}
        result |= {"count": count, "wrong": found.wrong, "error": found.wrong / count, "loss": found.loss}
        typer.echo(json.dumps({**result, "confused": pairs, "confusion": found.counts.tolist()}, indent=2))
        return
    typer.echo(f"{100 * (1 - found.wrong / count):.2f} % right on {count:,} images of the {found.where} ({found.wrong:,} wrong), after epoch {after}")
    typer.echo(f"mean loss {found.loss:.4f}")
    if found.wrong:
        width = max(3, len(f"{found.counts.max():,}")) + 1
        typer.echo("\nrows: what it is; columns: what it was taken for")
        typer.echo("    " + "".join(f"{column:>{width}}" for column in range(len(found.counts))))
        for row, counts in enumerate(found.counts):
            typer.echo(f"{row:>4}" + "".join(f"{f'{number:,}' if number else '.':>{width}}" for number in counts))
        worst = ", ".join(f"{one} for {other} ({times})" for one, other, times in found.confused()[:PAIRS])
        typer.echo(f"\nmost confused: {worst}")
