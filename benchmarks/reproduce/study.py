"""What the scripts of this folder share: train, measure on the test images, keep the numbers, write the table.

Every training becomes a record in results.json, under its figure, its seed and its number of epochs; one that is there is not done again
(`--again` does). After each epoch the record is written anew, so that a script that is stopped leaves its curve so far, marked as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cnnframe as cf
from cnnframe import networks
from cnnframe.data import Preparation, Split, mnist
from cnnframe.training import History, StepTable, Trainer

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"
MARK = "<!-- results -->"


@dataclass(frozen=True)
class Figure:
    """A published number and what is done to meet it.

    Attributes:
        name: under which its records are kept.
        network: of the box.
        what: the setting, in few words.
        published: the test error in percent, as it is printed.
        source: where it is printed, and whether it was read there.
        wanted: the errors in percent between which ours counts as met.
        epochs: passes over the training images.
        seeds: how many trainings, from seed 0.
        loss: which of the network's recipes.
    """

    name: str
    network: str
    what: str
    published: str
    source: str
    wanted: tuple[float, float]
    epochs: int
    seeds: int = 1
    loss: str = "squared_error"


def arguments(description: str) -> argparse.Namespace:
    """The options that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help="folder with MNIST's four files; CNNFRAME_DATA if left out")
    parser.add_argument("--seeds", type=int, help="how many seeds, instead of the figure's own number")
    parser.add_argument("--only", help="the name of one figure of this script")
    parser.add_argument("--minutes", type=float, help="stop a training after so many minutes, and keep its curve so far")
    parser.add_argument("--again", action="store_true", help="train anew what is in results.json")
    return parser.parse_args()


def images_of(split: Split, figure: Figure) -> tuple[dict[str, Any], dict[str, Any]]:
    """Training and test examples as the network's recipe has them."""
    box = networks.network(figure.network)
    recipe = box.recipes[figure.loss]
    prepare = Preparation.fit(split.train_images, box.side, recipe.scaling, high=255)
    sets = ((split.train_images, split.train_labels), (split.test_images, split.test_labels))
    train, test = ({"x": prepare(images), "t": networks.code(labels, figure.loss, coding=recipe.coding)} for images, labels in sets)
    return train, test


def trainer_of(figure: Figure, seed: int, *, optimizer: str = "", rate: Any = None, batch_size: int = 0, **more: Any) -> Trainer:
    """The trainer that the network's recipe describes, but for what is given."""
    registry = cf.load()
    box = networks.network(figure.network)
    recipe = box.recipes[figure.loss]
    rule = registry.make(optimizer or recipe.optimizer, **({"momentum": recipe.momentum} if not optimizer and recipe.momentum else {}))
    usual = StepTable(recipe.schedule) if recipe.schedule else cf.training.Decay(recipe.rate, recipe.decay)
    order = "shuffled" if recipe.shuffle else "fixed"
    graph = box.build(registry, figure.loss)
    return Trainer(graph, rule, usual if rate is None else rate, batch_size or recipe.batch_size, seed, initial=recipe.initial, order=order, **more)


def study(figure: Figure, options: argparse.Namespace, make: Callable[[int], tuple[Trainer, Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Train with every seed, print and keep what came, and write the table anew."""
    if options.only not in (None, figure.name):
        return
    for seed in range(options.seeds or figure.seeds):
        key = f"{figure.name}/{seed}/{figure.epochs}"
        known = _read().get(key)
        if known and known["done"] == figure.epochs and not options.again:
            print(f"{key}: {known['test'][-1]:.2f} % (from results.json)")
            continue
        trainer, train, test = make(seed)
        began, errors = time.perf_counter(), []

        def keep(history: History, key: str = key, began: float = began, errors: list[float] = errors, seed: int = seed) -> None:
            errors.append(100 * (history.epochs[-1].test_error or 0.0))
            seconds = time.perf_counter() - began
            record = {"figure": figure.name, "seed": seed, "done": len(errors), "epochs": figure.epochs, "test": errors, "seconds": seconds, **_machine()}
            _write(_read() | {key: record})
            print(f"{key}: epoch {len(errors)}: {errors[-1]:.2f} % wrong, {seconds:.0f} s", flush=True)
            if options.minutes and seconds > 60 * options.minutes:
                raise TimeoutError

        try:
            trainer.fit(train, test, epochs=figure.epochs, on_epoch=keep)
        except TimeoutError:
            print(f"{key}: stopped after {len(errors)} of {figure.epochs} epochs")
    _tabulate()


def mnist_of(options: argparse.Namespace) -> Split:
    """MNIST from the folder that the options or the environment name."""
    return mnist(options.data)


def _machine() -> dict[str, Any]:
    fast = "without Numba"
    try:
        import numba

        fast = f"Numba {numba.__version__}"
    except ImportError:
        pass
    return {"machine": f"{platform.machine()}, {os.cpu_count()} processors", "with": f"Python {platform.python_version()}, NumPy {np.__version__}, {fast}"}


def _read() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def _write(results: Mapping[str, Any]) -> None:
    part = RESULTS.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(RESULTS)


def _tabulate() -> None:
    """Write the table of README.md from results.json."""
    from figures import FIGURES

    lines = ["| figure | published | ours | seeds | epochs | minutes a training | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for figure in FIGURES:
        runs = [r for r in _read().values() if r["figure"] == figure.name]
        full = [r for r in runs if r["done"] == figure.epochs]
        shown = full or runs
        if not shown:
            lines.append(f"| {figure.what} | {figure.published} ({figure.source}) | not run | | | | |")
            continue
        last = [r["test"][-1] for r in shown]
        spread = f" ({min(last):.2f} to {max(last):.2f})" if len(last) > 1 else ""
        low, high = figure.wanted
        mean = statistics.mean(last)
        met = "stopped early" if not full else "yes" if low <= mean <= high else "no"
        epochs = f"{figure.epochs}" if full else f"{max(r['done'] for r in shown)} of {figure.epochs}"
        minutes = statistics.mean(r["seconds"] for r in shown) / 60
        lines.append(f"| {figure.what} | {figure.published} ({figure.source}) | {mean:.2f} %{spread} | {len(last)} | {epochs} | {minutes:.1f} | {met} |")
    head, _, _ = README.read_text(encoding="utf-8").partition(MARK)
    machines = sorted({f"{r['machine']}; {r['with']}" for r in _read().values()})
    README.write_text(f"{head}{MARK}\n\n" + "\n".join(lines) + "\n\nMachine: " + "; ".join(machines) + ".\n", encoding="utf-8")
