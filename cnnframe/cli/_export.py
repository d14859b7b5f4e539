"""`cnnframe export`: a trained network as an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .._errors import RunError
from .._parameters import Parameters
from .._registry import Registry, load
from ..export import Exported, exportable, onnx
from ..recipes import about
from ..training import Checkpoint, RunFolder
from ._writing import Overwrite, refuse_taken


def export(
    run: Annotated[Path | None, typer.Argument(help="The folder of a run, as `cnnframe train` leaves it.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Argument(help="The file to write, such as network.onnx.", show_default=False)] = None,
    output: Annotated[list[str] | None, typer.Option(help="A node whose array the file puts out, instead of the network's output; may be repeated.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The parameters of the best epoch, instead of the last ones.")] = False,
    overwrite: Overwrite = False,
    list_: Annotated[bool, typer.Option("--list", help="List the operations that a file can hold, and why the others cannot.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a trained network as an ONNX file; this needs `pip install 'cnnframe[onnx]'`.

    The file predicts: it holds no loss, dropout lets everything through, and its batch may have any size. It is written once ONNX's
    checker has read it and ONNX's evaluators, run on the same inputs as the network, agree with it within rounding.
    """
    registry = load()
    if list_:
        _list(registry, as_json)
        return
    if run is None or file is None:
        raise typer.BadParameter("give the folder of a run and a file, as in: cnnframe export runs/bouvrie-1 bouvrie.onnx")
    refuse_taken(file, overwrite=overwrite)
    checkpoint = RunFolder.open(run).load(registry)
    known = about(checkpoint)
    written = onnx(checkpoint.graph, _parameters(checkpoint, run, best=best), file, outputs=output or (), metadata=known)
    if as_json:
        typer.echo(json.dumps({**_plain(written), "metadata": known}, indent=2))
        return
    typer.echo(f"{written.path}: {written.size:,} bytes, operator set {written.opset}")
    for what, axes in (("input", written.inputs), ("output", written.outputs)):
        for name, text in axes.items():
            typer.echo(f"{what} {name}: ({', '.join(text.split())})")
    if "input" in known:
        typer.echo(f"x holds {known['input']}; the file's metadata say so, too")
    typer.echo(f"agrees with the network within rounding: {', '.join(written.compared)}")


def _parameters(checkpoint: Checkpoint, folder: Path, *, best: bool) -> Parameters:
    """The parameters after the last step or after the best epoch.

    Raises:
        RunError: no epoch is over.
    """
    history = checkpoint.history
    if not best:
        return history.parameters
    if history.best is None:
        raise RunError(f"{folder} holds no best parameters: no epoch is over; leave --best out, or go on with the run")
    return history.best.parameters


def _plain(written: Exported) -> dict[str, object]:
    return {
        "path": str(written.path),
        "opset": written.opset,
        "size": written.size,
        "inputs": dict(written.inputs),
        "outputs": dict(written.outputs),
        "compared": list(written.compared),
        "difference": written.difference,
    }


def _list(registry: Registry, as_json: bool) -> None:
    found = exportable(registry)
    if as_json:
        typer.echo(json.dumps({name: {"exportable": not reason, "reason": reason or None} for name, reason in found.items()}, indent=2))
        return
    width = max(map(len, found), default=0)
    for name, reason in found.items():
        typer.echo(f"{name:{width}}  {'no: ' + reason if reason else 'yes'}")
    typer.echo("Losses and penalties are left out: a file predicts.")
