"""`cnnframe train`: fit a network by a recipe, or go on with a run."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import networks, recipes
from .._errors import NonFiniteError, RecipeError, RunError
from .._registry import Registry, load
from ..recipes import Job, Loaded
from ..training import Every, History, RunFolder
from ._overrides import base, override

TERMINATED = 128 + 15


def train(
    recipe: Annotated[
        str | None, typer.Argument(help=f"A network of the box ({', '.join(networks.NETWORKS)}), or a file with a recipe.", metavar="RECIPE")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder with MNIST's four files, or 'digits' for the embedded ones.", metavar="FOLDER")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training examples, in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples in a mini-batch.")] = None,
    rate: Annotated[float | None, typer.Option(help="Learning rate in the first epoch; for a smaller batch, the recipe's shrinks in proportion.")] = None,
    momentum: Annotated[float | None, typer.Option(help="How much of the step before is kept, from 0 to below 1.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="The rule of the step, by name; `cnnframe list` shows them.")] = None,
    loss: Annotated[str | None, typer.Option(help=f"One of {', '.join(networks.LOSSES)}.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything random: the same seed, the same numbers.")] = None,
    online: Annotated[bool, typer.Option("--online", help="One example a step (section 4.1 of the paper).")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other key of the recipe, such as training.order=fixed.", metavar="TABLE.KEY=VALUE")
    ] = None,
    run_folder: Annotated[Path | None, typer.Option(help="Folder for checkpoint, history and recipe; runs/NETWORK-NUMBER if left out.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder, bit for bit as if it had not stopped.", metavar="RUN")] = None,
    every: Annotated[str | None, typer.Option(help="Save within epochs too, every 500 (steps) or 30s (seconds).", metavar="N")] = None,
    write_recipe: Annotated[Path | None, typer.Option(help="Write the whole recipe to this file, and train nothing.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")] = False,
) -> None:
    """Train a network: one of the box, one of your own by a recipe, or a run that was stopped.

    Without --data, networks for 8x8 and 16x16 images are trained on the embedded digits. What is left out comes from the recipe, and options go before
    it. The network is tested on held-out examples after each epoch; the best parameters so far are kept beside the last ones (* marks them).

    The folder of the run gets checkpoint.safetensors, recipe.toml and history.json. Ctrl-C saves and stops; --resume goes on.
    """
    if online and batch_size not in (None, 1):
        raise typer.BadParameter("--online means a batch size of 1; leave one of the two out", param_hint="--online")
    if resume is None and recipe is None:
        raise typer.BadParameter(f"name a network ({', '.join(networks.NETWORKS)}) or a file with a recipe, or a run with --resume", param_hint="RECIPE")
    if resume is not None and (run_folder is not None or write_recipe is not None):
        raise typer.BadParameter("--resume goes on in the folder of the run; leave --run-folder and --write-recipe out", param_hint="--resume")
    registry = load()
    often = None if every is None else Every.parse(every)
    options = {
        "epochs": epochs,
        "batch_size": 1 if online else batch_size,
        "rate": rate,
        "momentum": momentum,
        "optimizer": optimizer,
        "seed": seed,
        "data": data,
    }
    if resume is not None:
        run = _Run.resumed(registry, resume, recipe, loss, options, settings or [])
    else:
        job = Job.make(override(base(recipe or "", loss), settings=settings or [], **options), registry)  # type: ignore[arg-type] # each option has its kind
        if write_recipe is not None:
            _write_recipe(job, write_recipe)
            return
        run = _Run.begun(job, run_folder)
    history = run.fit(often, as_json)
    run.report(history, as_json)


@dataclass(frozen=True)
class _Run:
    """A training in its folder, from where it begins."""

    job: Job
    examples: Loaded
    folder: RunFolder
    start: History
    extra: Mapping[str, Any]

    @classmethod
    def begun(cls, job: Job, path: Path | None) -> _Run:
        """A new run; its folder is made last, when nothing can be refused any more."""
        examples = job.examples()
        extra = recipes.notes(job, examples)
        start = History((), job.trainer.start())
        folder = RunFolder.create(job.name, path)
        folder.write_recipe(recipes.to_toml(job.tables, f"cnnframe train {folder.path / 'recipe.toml'}"))
        # Before the first step: a run that is killed at any moment can be gone on with.
        folder.save(job.trainer, start, extra)
        return cls(job, examples, folder, start, extra)

    @classmethod
    def resumed(cls, registry: Registry, path: Path, named: str | None, loss: str | None, options: dict[str, Any], settings: list[str]) -> _Run:
        """A run that was stopped.

        Raises:
            RunError: there is none, it was trained otherwise, on other examples, or is complete.
        """
        folder = RunFolder.open(path)
        stored = folder.load(registry)
        tables = recipes.recipe_of(stored, path)
        wanted = tables if named is None else Job.make(base(named, loss), registry).tables
        if named is not None and "data" not in options:
            wanted = recipes.merged(wanted, {"data": tables["data"]})
        job = Job.make(override(wanted, settings=settings, **options), registry)
        start = stored.resume(job.trainer)
        if start.state.epoch >= job.epochs:
            raise RunError(f"{path} has all of its {job.epochs} epochs; give a larger number in all, such as --epochs {start.state.epoch + 10}")
        examples = job.examples()
        extra = recipes.notes(job, examples)
        if extra["examples"] != stored.extra["examples"]:
            raise RunError(f"the {examples.where} are not the examples that {path} was trained on; name those with --data")
        for difference in recipes.environment_changes(stored, job.trainer):
            typer.echo(f"warning: {difference}; the training goes on, but the last bits may differ", err=True)
        folder.write_recipe(recipes.to_toml(job.tables, f"cnnframe train {folder.path / 'recipe.toml'}"))
        return cls(job, examples, folder, start, extra)

    def fit(self, every: Every | None, as_json: bool) -> History:
        """Train, watched, and end with the right exit code where it does not come to its end."""
        from ._watch import Watch

        trainer, state = self.job.trainer, self.start.state
        count = len(self.examples.train["x"])
        watch = Watch(
            epochs=self.job.epochs,
            count=count,
            batch_size=trainer.batch_size,
            start=state.epoch * count + state.part.step * trainer.batch_size,
            layers=tuple(dict.fromkeys(slot.nodes[0] for slot in state.parameters.layout.slots.values())),
            to_stderr=as_json,
        )
        try:
            with _terminating(), watch:
                return trainer.fit(
                    self.examples.train,
                    self.examples.test,
                    epochs=self.job.epochs - state.epoch,
                    start=self.start,
                    on_step=watch.on_step,
                    on_epoch=watch.on_epoch,
                    save=self.folder.saver(trainer, self.extra),
                    every=every,
                )
        except KeyboardInterrupt as stop:
            state = self.folder.load(load()).history.state
            at = f"in epoch {state.epoch + 1}, after step {state.part.step}" if state.part.step else f"after epoch {state.epoch}"
            typer.echo(f"stopped {at}; saved in {self.folder.path}\ngo on with: cnnframe train --resume {self.folder.path}", err=True)
            raise typer.Exit(TERMINATED if isinstance(stop, _Terminated) else 130) from None
        except NonFiniteError as error:
            state = self.folder.load(load()).history.state
            good = f"the last good checkpoint, after epoch {state.epoch}, is kept in {self.folder.path}"
            typer.echo(f"error: the training diverged: {error}; {good}", err=True)
            raise typer.Exit(1) from None

    def report(self, history: History, as_json: bool) -> None:
        """Say how it went, and what can be done next."""
        last, best = history.epochs[-1], history.best
        count = len(self.examples.labels)
        wrong = round((last.test_error or 0) * count)
        seconds = sum(epoch.seconds for epoch in history.epochs)
        if as_json:
            result = {"network": self.job.name, "recipe": self.job.tables, "right": count - wrong, "count": count, "test_error": last.test_error}
            better = None if best is None else best.epoch.number
            typer.echo(json.dumps({**result, "best_epoch": better, "seconds": seconds, "run_folder": str(self.folder.path), **history.to_dict()}, indent=2))
            return
        epochs = "1 epoch" if last.number == 1 else f"{last.number} epochs"
        typer.echo(f"{100 * (1 - wrong / count):.1f} % right on {count} held-out digits ({wrong} wrong) after {epochs} in {seconds:.1f} s")
        if best is not None and best.epoch.number != last.number and best.epoch.test_error is not None:
            typer.echo(f"best: {100 * (1 - best.epoch.test_error):.1f} % after epoch {best.epoch.number}")
        typer.echo(f"run folder: {self.folder.path}")
        typer.echo(f"next: cnnframe plot {self.folder.path}    cnnframe evaluate {self.folder.path}    cnnframe predict {self.folder.path} PICTURE")


class _Terminated(KeyboardInterrupt):
    """The process was asked to end; a training ends as it does for Ctrl-C."""


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM interrupt what runs within, as Ctrl-C does."""

    def stop(_number: int, _frame: Any) -> None:
        raise _Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_recipe(job: Job, path: Path) -> None:
    if path.exists():
        raise RecipeError(f"{path} is there already; choose another name, or move that one away")
    try:
        path.write_text(recipes.to_toml(job.tables, f"cnnframe train {path}"), encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{path} cannot be written: {error.strerror or error}") from None
    typer.echo(f"wrote {path}; change it, and train with: cnnframe train {path}")
