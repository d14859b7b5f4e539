"""`cnnframe train`: fit a network by a recipe, or go on with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import networks, recipes
from .._registry import load
from ..recipes import Job
from ..training import Every
from ._overrides import base, override
from ._run import Run
from ._writing import Overwrite, write_new

SPELLED = """\
[network] is a graph: `inputs` are the arrays that come in, with their axes (n is the batch), and `output` is the node that answers.
[network.nodes.NAME] is a node: `op` is its operation (`cnnframe list` shows all), `inputs` say which node or input each of its arrays comes from, and
the other keys are hyperparameters; those that have their default are left out. Sizes follow from node to node."""
"""What stands above a recipe that is written node by node."""


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
        list[str] | None,
        typer.Option("--set", help="Any other key of the recipe, such as training.order=fixed or training.rate={conv1=0.1}.", metavar="TABLE.KEY=VALUE"),
    ] = None,
    run_folder: Annotated[Path | None, typer.Option(help="Folder for checkpoint, history and recipe; runs/NETWORK-NUMBER if left out.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder, bit for bit as if it had not stopped.", metavar="RUN")] = None,
    every: Annotated[str | None, typer.Option(help="Save within epochs too, every 500 (steps) or 30s (seconds).", metavar="N")] = None,
    write_recipe: Annotated[Path | None, typer.Option(help="Write the whole recipe to this file, and train nothing.", metavar="FILE")] = None,
    spell_out: Annotated[bool, typer.Option("--spell-out", help="With --write-recipe: the network node by node, to be changed into one of your own.")] = False,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to stderr.")] = False,
) -> None:
    """Train a network: one of the box, one of your own by a recipe, or a run that was stopped.

    Without --data, networks for 8x8 and 16x16 images are trained on the embedded digits. What is left out comes from the recipe (with --resume, from the
    run), and options go before it. The network is tested on held-out examples after each epoch; the best parameters so far are kept beside the last
    ones (* marks them).

    For a network of your own, `cnnframe train bouvrie --write-recipe mine.toml --spell-out` writes one node by node; change it, and train it by
    `cnnframe train mine.toml`.

    The folder of the run gets checkpoint.safetensors, recipe.toml and history.json. Ctrl-C saves and stops; --resume goes on.
    """
    if online and batch_size not in (None, 1):
        raise typer.BadParameter("--online means a batch size of 1; leave one of the two out", param_hint="--online")
    if resume is None and recipe is None:
        raise typer.BadParameter(f"name a network ({', '.join(networks.NETWORKS)}) or a file with a recipe, or a run with --resume", param_hint="RECIPE")
    if resume is not None and (run_folder is not None or write_recipe is not None):
        raise typer.BadParameter("--resume goes on in the folder of the run; leave --run-folder and --write-recipe out", param_hint="--resume")
    for name, given in (("--spell-out", spell_out), ("--overwrite", overwrite)):
        if given and write_recipe is None:
            raise typer.BadParameter("it goes with --write-recipe FILE", param_hint=name)
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
        with Run.resumed(registry, resume, recipe, loss, options, settings or []) as run:
            run.report(run.fit(often, as_json), as_json)
        return
    job = Job.make(override(base(recipe or "", loss), settings=settings or [], **options), registry)  # type: ignore[arg-type] # each option has its kind
    if write_recipe is not None:
        _write_recipe(job, write_recipe, spell_out, overwrite)
        return
    with Run.begun(job, run_folder) as run:
        run.report(run.fit(often, as_json), as_json)


def _write_recipe(job: Job, path: Path, spell_out: bool, overwrite: bool) -> None:
    said = f"cnnframe train {path}"
    if spell_out:
        said += f"\n{SPELLED}"
    write_new(path, recipes.to_toml(job.spelled_out() if spell_out else job.tables, said).encode(), overwrite=overwrite)
    typer.echo(f"wrote {path}; change it, and train with: cnnframe train {path}")
