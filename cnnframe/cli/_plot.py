"""`cnnframe plot`: pictures of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from .._errors import CnnframeError, DataError, RecipeError, nearest
from .._registry import load
from ..recipes import TrainedRun, examples_of, judge, own_pictures, parameters_of

Drawn = Iterator[tuple[str, Any]]


def plot(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", metavar="RUN")],
    what: Annotated[str, typer.Option(help="Some of curves, norms, kernels, maps, confusion, alpha, with commas; all that apply if left out.")] = "",
    image: Annotated[str, typer.Option(help="For maps: the number of a test image, from 0, or a picture.")] = "0",
    data: Annotated[
        str | None, typer.Option(help="Another folder with MNIST's four files, or 'digits'; the run's own data if left out.", metavar="FOLDER")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The parameters after the best epoch, instead of the last ones.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder for the pictures; RUN/plots if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths of the pictures as JSON.")] = False,
) -> None:
    """Draw learning curves, gradient norms, kernels, feature maps, confusions and the weights of combined maps, as PNG files."""
    wanted = [name.strip() for name in what.split(",") if name.strip()]
    for name in wanted:
        if name not in KINDS:
            raise RecipeError(f"--what: there is no picture {name!r}; {nearest(name, KINDS)}")
    from ..pictures import save

    trained = TrainedRun.open(run, load())
    asked = _Asked(trained, image, data, best)
    folder = run / "plots" if out is None else out
    written = []
    for kind in wanted or KINDS:
        try:
            for name, figure in KINDS[kind](asked):
                save(figure, folder / f"{name}.png")
                written.append(str(folder / f"{name}.png"))
        except (DataError, RecipeError, CnnframeError) as error:
            # Of all that there are, those that do not apply are passed over; one that was asked for is an error.
            if wanted:
                raise
            typer.echo(f"no {kind}: {error}", err=True)
    typer.echo(json.dumps(written, indent=2) if as_json else "\n".join(written))


class _Asked:
    """A run and what was asked about it."""

    def __init__(self, run: TrainedRun, image: str, data: str | None, best: bool) -> None:
        """Take it; data are loaded when a picture needs them."""
        self.run, self.image, self.data, self.best = run, image, data, best
        self.history = run.stored.history
        self.title = f"{run.job.name}, epoch {self.history.best.epoch.number if best and self.history.best else self.history.state.epoch}"


def _curves(asked: _Asked) -> Drawn:
    from ..pictures import curves

    best = asked.history.best
    yield "curves", curves(asked.history.epochs, asked.run.job.name, None if best is None else best.epoch.number)


def _norms(asked: _Asked) -> Drawn:
    from ..pictures import norms

    yield "norms", norms(asked.history.epochs, asked.run.job.name)


def _kernels(asked: _Asked) -> Drawn:
    from ..pictures import kernels

    yield "kernels", kernels(asked.run.stored.graph, parameters_of(asked.run, best=asked.best), asked.title)


def _alpha(asked: _Asked) -> Drawn:
    from ..pictures import alpha

    nodes = list(asked.history.epochs[-1].mixtures) if asked.history.epochs else []
    if not nodes:
        raise DataError("no layer combines maps by weights that are learned")
    for node in nodes:
        yield f"alpha-{node}", alpha(asked.history.epochs, node, f"{asked.run.job.name}, {node}")


def _confusion(asked: _Asked) -> Drawn:
    from ..pictures import confusion

    found = judge(asked.run, examples_of(asked.run, asked.data), best=asked.best)
    for remark in found.remarks:
        typer.echo(f"note: {remark}", err=True)
    yield "confusion", confusion(found.counts, f"{asked.title}, {len(found.labels):,} images")


def _maps(asked: _Asked) -> Drawn:
    from ..pictures import maps
    from ..pictures._arrays import nodes_of_maps

    if asked.image.isdigit():
        examples = examples_of(asked.run, asked.data)
        number = int(asked.image)
        if number >= len(examples.labels):
            raise DataError(f"--image must be from 0 to {len(examples.labels) - 1}, or a picture; got {number}")
        image, said = examples.test["x"][number : number + 1], f"test image {number}, a {examples.labels[number]}"
    else:
        image, said = own_pictures(asked.run, [asked.image]), Path(asked.image).name
    evaluator, parameters = asked.run.job.trainer.evaluator, parameters_of(asked.run, best=asked.best)
    values = evaluator.forward(parameters, nodes_of_maps(evaluator.graph), x=image)
    outputs = values[evaluator.graph.output]
    guess = f"taken for {int(np.argmax(outputs[0]))}" if outputs.ndim == 2 else ""  # (n, classes)
    yield "maps", maps(evaluator.graph, {"x": image, **values}, f"{asked.title}: {said}, {guess}".rstrip(", "))


KINDS: Final[dict[str, Callable[[_Asked], Drawn]]] = {
    "curves": _curves,
    "norms": _norms,
    "kernels": _kernels,
    "maps": _maps,
    "confusion": _confusion,
    "alpha": _alpha,
}
