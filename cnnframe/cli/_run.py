"""A training in its folder: how it begins or goes on, how it is stopped, what it says at its end."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from .. import recipes
from .._errors import NonFiniteError, RunError
from .._registry import Registry, load
from ..recipes import Job, Loaded
from ..training import Every, History, RunFolder
from ._overrides import base, override
from ._watch import Watch

INTERRUPTED = 128 + 2
TERMINATED = 128 + 15


@dataclass(frozen=True)
class Run:
    """A training in its folder, from where it begins; the folder is its own as long as the `with` block lasts that it comes from."""

    job: Job
    examples: Loaded
    folder: RunFolder
    start: History
    extra: Mapping[str, Any]

    @classmethod
    @contextlib.contextmanager
    def begun(cls, job: Job, path: Path | None) -> Iterator[Run]:
        """A new run; its folder is made last, when nothing can be refused any more.

        Raises:
            RunError: the folder is taken.
        """
        examples = job.examples()
        extra = recipes.notes(job, examples)
        start = History((), job.trainer.start())
        folder = RunFolder.create(job.name, path)
        with folder.held():
            folder.write_recipe(recipes.to_toml(job.tables, f"cnnframe train {folder.path / 'recipe.toml'}"))
            # Before the first step: a run that is killed at any moment can be gone on with.
            folder.save(job.trainer, start, extra)
            yield cls(job, examples, folder, start, extra)

    @classmethod
    @contextlib.contextmanager
    def resumed(cls, registry: Registry, path: Path, named: str | None, loss: str | None, options: dict[str, Any], settings: list[str]) -> Iterator[Run]:
        """A run that was stopped.

        Raises:
            RunError: there is none, it was trained otherwise, on other examples, is complete, or is being trained.
        """
        folder = RunFolder.open(path)
        with folder.held():
            stored = folder.load(registry)
            job = Job.make(override(_wanted(recipes.recipe_of(stored, path), named, loss, path), settings=settings, **options), registry)
            start = stored.resume(job.trainer)
            done = start.state.epoch
            if done >= job.epochs:
                held = f"has all of its {job.epochs} epochs" if done == job.epochs else f"has {done} epochs already, and {job.epochs} are asked for in all"
                raise RunError(f"{path} {held}; give a larger number in all, such as --epochs {done + 10}")
            examples = job.examples()
            extra = recipes.notes(job, examples)
            if extra["examples"] != stored.extra["examples"]:
                raise RunError(f"the {examples.where} are not the examples that {path} was trained on; name those with --data")
            for difference in recipes.environment_changes(stored, job.trainer):
                typer.echo(f"warning: {difference}; the training goes on, but the last bits may differ", err=True)
            folder.write_recipe(recipes.to_toml(job.tables, f"cnnframe train {folder.path / 'recipe.toml'}"))
            yield cls(job, examples, folder, start, extra)

    def fit(self, every: Every | None, as_json: bool) -> History:
        """Train, watched, and end with the right exit code where it does not come to its end."""
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
        with _stopping():
            try:
                with watch:
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
                history = self.folder.load(load()).history
                state = history.state
                if len(history.epochs) > max(watch.shown, len(self.start.epochs)):
                    # It came between the end of the epoch and its row.
                    watch.on_epoch(history)
                if as_json:
                    typer.echo(self._result(history))
                at = f"in epoch {state.epoch + 1}, after step {state.part.step}" if state.part.step else f"after epoch {state.epoch}"
                typer.echo(f"stopped {at}; saved in {self.folder.path}\ngo on with: cnnframe train --resume {self.folder.path}", err=True)
                raise typer.Exit(TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED) from None
            except NonFiniteError as error:
                history = self.folder.load(load()).history
                if as_json:
                    typer.echo(self._result(history))
                good = f"the last good checkpoint, after epoch {history.state.epoch}, is kept in {self.folder.path}"
                typer.echo(f"error: the training diverged: {error}; {good}", err=True)
                raise typer.Exit(1) from None

    def report(self, history: History, as_json: bool) -> None:
        """Say how it went, and what can be done next."""
        if as_json:
            typer.echo(self._result(history))
            return
        last, best = history.epochs[-1], history.best
        count = len(self.examples.labels)
        wrong = round((last.test_error or 0) * count)
        seconds = sum(epoch.seconds for epoch in history.epochs)
        epochs = "1 epoch" if last.number == 1 else f"{last.number} epochs"
        typer.echo(f"{100 * (1 - wrong / count):.1f} % right on {count} held-out digits ({wrong} wrong) after {epochs} in {seconds:.1f} s")
        if best is not None and best.epoch.number != last.number and best.epoch.test_error is not None:
            typer.echo(f"best: {100 * (1 - best.epoch.test_error):.1f} % after epoch {best.epoch.number}")
        typer.echo(f"run folder: {self.folder.path}")
        typer.echo(f"next: cnnframe plot {self.folder.path}    cnnframe evaluate {self.folder.path}    cnnframe predict {self.folder.path} PICTURE")

    def _result(self, history: History) -> str:
        """What there is, as JSON; null for what no epoch has said yet."""
        count = len(self.examples.labels)
        error = history.epochs[-1].test_error if history.epochs else None
        right = None if error is None else count - round(error * count)
        result = {
            "network": self.job.name,
            "recipe": self.job.tables,
            "finished": history.state.epoch >= self.job.epochs,
            "right": right,
            "count": count,
            "test_error": error,
            "best_epoch": None if history.best is None else history.best.epoch.number,
            "seconds": sum(epoch.seconds for epoch in history.epochs),
            "run_folder": str(self.folder.path),
            **history.to_dict(),
        }
        return json.dumps(result, indent=2)


def _wanted(tables: dict[str, Any], named: str | None, loss: str | None, path: Path) -> dict[str, Any]:
    """The recipe of a run, and over it what is named: a network, a file, a loss; what those do not say is as the run has it.

    Raises:
        RunError: the run is one of another network, or has another loss.
    """
    given = {} if named is None else base(named, None)
    here, there = given.get("network", {}), tables["network"]
    if "name" in here and here["name"] != there.get("name"):
        raise RunError(f"{path} is a run of {there.get('name', 'a network of its own')}, and not of {here['name']}; leave the name out, or begin a new run")
    asked = loss or here.get("loss")
    if asked is not None and "nodes" not in here and asked != there.get("loss"):
        trained = f"the loss {there['loss']}" if "loss" in there else "the loss of its own graph"
        raise RunError(f"{path} is trained with {trained}, and not with {asked}; leave that out, or begin a new run")
    return recipes.merged(tables, given)


class _Terminated(KeyboardInterrupt):
    """The process was asked to end; a training ends as it does for Ctrl-C."""


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM as Ctrl-C; what comes after the first of both is too late to change anything: what there is is being saved and told."""
    stopped = False

    def stop(number: int, _frame: Any) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
