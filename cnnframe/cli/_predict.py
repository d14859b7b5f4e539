"""`cnnframe predict`: what a trained network reads in one's own pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._errors import DataError
from .._registry import load
from ..recipes import INKS, TrainedRun, own_pictures, parameters_of

SHOWN = 3


def predict(
    run: Annotated[Path, typer.Argument(help="The folder of a run.", metavar="RUN")],
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of one digit each (PNG, JPEG and others), or .npy arrays.", metavar="PICTURE...")],
    ink: Annotated[str, typer.Option(help=f"One of {', '.join(INKS)}: whether ink is darker than paper; what there is less of, if auto.")] = "auto",
    best: Annotated[bool, typer.Option("--best", help="The parameters after the best epoch, instead of the last ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: label and scores for each picture.")] = False,
) -> None:
    """Say what pictures of one's own show.

    Each picture is made like the images that the network learned from: grey, cut to its ink, centred, in their size and scale. A cross-entropy
    gives probabilities; other losses give scores, of which the largest counts. A network of digits finds a digit in anything.

    The exit code is 2 if a picture cannot be read; the others are answered all the same.
    """
    trained = TrainedRun.open(run, load())
    parameters = parameters_of(trained, best=best)
    answers: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for path in pictures:
        try:
            image = own_pictures(trained, [path], ink)
        except DataError as error:
            failed.append({"picture": str(path), "error": str(error)})
            continue
        outputs = trained.job.trainer.predict(parameters, {"x": image})
        chances = trained.job.trainer.probabilities(outputs)
        scores = (outputs if chances is None else chances)[0]
        answers.append({"picture": str(path), "label": int(scores.argmax()), "scores": [round(float(score), 6) for score in scores]})
    kind = "scores" if trained.job.trainer.probabilities(parameters.vector[:1].reshape(1, 1)) is None else "probabilities"
    if as_json:
        typer.echo(json.dumps([{"picture": each["picture"], "label": each["label"], kind: each["scores"]} for each in answers] + failed, indent=2))
    else:
        for each in answers:
            scores = each["scores"]
            order = [label for _, label in sorted((-score, label) for label, score in enumerate(scores))][:SHOWN]
            said = ", ".join(f"{label}: {scores[label]:{'.1%' if kind == 'probabilities' else '.2f'}}" for label in order)
            typer.echo(f"{each['picture']}: {each['label']}   ({kind} {said})")
        for bad in failed:
            typer.echo(f"error: {bad['error']}", err=True)
    if failed:
        raise typer.Exit(2)
