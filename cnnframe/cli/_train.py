"""`cnnframe train`: fit a network of the box to the embedded digits."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import networks
from .._errors import HyperparameterError, UnknownNameError, nearest
from .._inputs import integer
from .._registry import Registry, load
from ..data import Split, digits16
from ..training import Decay, History, RunFolder, Trainer


def train(
    network: Annotated[str, typer.Argument(help=f"The network: {', '.join(networks.NETWORKS)}.")],
    epochs: Annotated[int | None, typer.Option(help="Passes over the training digits.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Digits in a mini-batch.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate in the first epoch; for a smaller batch, the recipe's shrinks in proportion.")] = None,
    momentum: Annotated[float | None, typer.Option(help="How much of the step before is kept, from 0 to below 1.")] = None,
    loss: Annotated[str, typer.Option(help=f"One of {', '.join(networks.LOSSES)}.")] = networks.LOSSES[0],
    seed: Annotated[int, typer.Option(help="Decides everything random: the same seed, the same numbers.")] = 0,
    run_folder: Annotated[Path | None, typer.Option(help="Folder for history and network; runs/NETWORK-NUMBER if left out.")] = None,
    online: Annotated[bool, typer.Option("--online", help="One digit a step (section 4.1 of the paper).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")] = False,
) -> None:
    """Train a network on the embedded digits.

    They are doubled to 16x16; the network is tested on those held out after each epoch.
    What is left out comes from the network's recipe. The folder of the run gets checkpoint.safetensors and history.json.
    """
    if online and batch_size not in (None, 1):
        raise typer.BadParameter("--online means a batch size of 1; leave one of the two out", param_hint="--online")
    registry = load()
    job = _Job.make(registry, network, loss, epochs, 1 if online else batch_size, rate, momentum, seed)
    split = digits16()
    folder = RunFolder.create(network, run_folder)
    done: list[int] = []
    try:
        history = _fit(job, split, folder, as_json, done)
    except KeyboardInterrupt:
        typer.echo(f"interrupted after epoch {done[-1] if done else 0}; run folder: {folder.path}", err=True)
        raise typer.Exit(130) from None
    last = history.epochs[-1]
    count = len(split.test_labels)
    wrong = round((last.test_error or 0) * count)
    seconds = sum(epoch.seconds for epoch in history.epochs)
    if as_json:
        result = {"network": network, "recipe": job.recipe, "right": count - wrong, "count": count, "test_error": last.test_error, "seconds": seconds}
        typer.echo(json.dumps({**result, "run_folder": str(folder.path), **history.to_dict()}, indent=2))
    else:
        epoch = "1 epoch" if last.number == 1 else f"{last.number} epochs"
        typer.echo(f"{100 * (1 - wrong / count):.1f} % right on {count} held-out digits ({wrong} wrong) after {epoch} in {seconds:.1f} s")
        typer.echo(f"run folder: {folder.path}")


@dataclass(frozen=True)
class _Job:
    """A training, and the numbers that make it up."""

    trainer: Trainer
    epochs: int
    loss: str
    recipe: dict[str, Any]

    @classmethod
    def make(
        cls, registry: Registry, name: str, loss: str, epochs: int | None, batch_size: int | None, rate: float | None, momentum: float | None, seed: int
    ) -> _Job:
        network = networks.network(name)
        if loss not in network.recipes:
            raise UnknownNameError(f"{name} is not trained with the loss {loss!r}; {nearest(loss, network.recipes)}")
        usual = network.recipes[loss]
        batch = integer(usual.batch_size if batch_size is None else batch_size, "the batch size", 1)
        first = usual.rate * min(1.0, batch / usual.batch_size) if rate is None else rate
        if not (first > 0 and math.isfinite(first)):
            raise HyperparameterError(f"the rate must be greater than 0; got {first}; give a finite number")
        epochs = usual.epochs if epochs is None else epochs
        if epochs < 1:
            raise HyperparameterError(f"the number of epochs must be at least 1; got {epochs}")
        optimizer = registry.make("sgd", momentum=usual.momentum if momentum is None else momentum)
        trainer = Trainer(network.build(registry, loss), optimizer, Decay(first, usual.decay), batch, seed, initial=usual.initial)
        recipe = {
            "data": "digits16",
            "loss": loss,
            "epochs": epochs,
            "batch_size": batch,
            "rate": first,
            "decay": usual.decay,
            "optimizer": optimizer.name,
            "momentum": optimizer.momentum,
            "initial": {role: repr(start) for role, start in usual.initial.items()},
            "seed": seed,
            "dtype": "float32",
        }
        return cls(trainer, epochs, loss, recipe)


def _fit(job: _Job, split: Split, folder: RunFolder, as_json: bool, done: list[int]) -> History:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    train_set = {"x": split.train_images, "t": networks.code(split.train_labels, job.loss)}
    test_set = {"x": split.test_images, "t": networks.code(split.test_labels, job.loss)}
    console = Console(stderr=as_json)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"), TimeRemainingColumn())
    count = len(split.train_labels)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("epoch 1", total=job.epochs * count, speed="")

        def on_step(epoch: int, step: int, _loss: float) -> None:
            done = (epoch - 1) * count + min(step * job.trainer.batch_size, count)
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, description=f"epoch {epoch}/{job.epochs}", speed=f"{speed:,.0f} images/s" if speed else "")

        def on_epoch(history: History) -> None:
            last = history.epochs[-1]
            done.append(last.number)
            console.print(
                f"epoch {last.number:3d}/{job.epochs}  train loss {last.train_loss:.4f}  test loss {last.test_loss:.4f}"
                f"  test error {100 * (last.test_error or 0):.1f} %  {last.seconds:.2f} s",
                highlight=False,
            )

        return job.trainer.fit(train_set, test_set, epochs=job.epochs, on_step=on_step, on_epoch=on_epoch, save=folder.saver(job.trainer, job.recipe))
