"""Does a rate for each weight pay? Epochs and seconds of one processor to a training loss on the digits, for four rules and several seeds.

    OMP_NUM_THREADS=1 python benchmarks/curvature.py [--seeds 5] [--epochs 24] > benchmarks/curvature.md

For each rule the rate is chosen first, by the mean loss of two other seeds after a third of the epochs; then the table is made with
rates fixed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np

import cnnframe as cf
from cnnframe.networks import network

TARGETS = (0.1, 0.02, 0.005)
"""Mean losses over the training examples that are waited for."""
CHOOSING = (1000, 1001)
"""Seeds by which rates are chosen."""
FALLS = {"conv1": 2.0, "conv2": 1.5}
"""Larger rates below: there the gradients are smaller, and weights are shared."""


def rules(ops, graph):
    """Name to optimizer, rate by a number, and the rates that are tried."""
    per_layer = {node.name: FALLS.get(node.name, 1.0) for node in graph.nodes if node.parameters}
    tried = (0.02, 0.05, 0.1, 0.2, 0.5)
    return {
        "plain": (ops.make("sgd"), lambda rate: rate, tried),
        "a rate for each layer": (ops.make("sgd"), lambda rate: {name: rate * factor for name, factor in per_layer.items()}, tried),
        "momentum 0.9": (ops.make("sgd", momentum=0.9), lambda rate: rate, tuple(rate / 10 for rate in tried)),
        "sdlm": (ops.make("sdlm"), lambda rate: rate, (0.001, 0.002, 0.005, 0.01, 0.02)),
    }


def trained(graph, recipe, rule, rate, seed, epochs, examples, test):
    """The mean training loss after each epoch with the seconds until then, and the error at the end."""
    optimizer, spread, _ = rule
    rows, began = [], time.process_time()

    def after(history):
        epoch = history.epochs[-1]
        rows.append((epoch.train_loss, time.process_time() - began, epoch.test_error))

    trainer = cf.Trainer(graph, optimizer, rate=spread(rate), batch_size=16, seed=seed, initial=recipe.initial, threads=1)
    try:
        trainer.fit(examples, test, epochs=epochs, on_epoch=after)
    except cf.NonFiniteError:
        return []
    return rows


def main():
    """Choose rates, train, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=24)
    given = parser.parse_args()
    ops = cf.load()
    loss = "softmax_cross_entropy"
    built = network("bouvrie")
    graph, recipe = built.build(ops, loss), built.recipes[loss]
    images, labels = cf.data.digits()
    images = np.kron(images, np.ones((1, 1, 2, 2)))
    parts = cf.data.split(images, labels, test=0.2, seed=0)
    standardise = cf.data.Standardiser.fit(parts.train_images, per="all")
    examples = {"x": standardise(parts.train_images).astype(np.float32), "t": parts.train_labels}
    test = {"x": standardise(parts.test_images).astype(np.float32), "t": parts.test_labels}
    machine = platform.processor() or platform.machine()
    print("# Does a rate for each weight pay?\n\nWritten by `benchmarks/curvature.py`.\n")
    print(f"{len(labels)} digits of 16x16, network bouvrie with {loss}, batches of 16, {given.seeds} seeds, {given.epochs} epochs; {machine}\n")
    heads = ["rule", "rate", *(f"epochs to {target}" for target in TARGETS), *(f"s to {target}" for target in TARGETS), "s an epoch", "test error at the end"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, rule in rules(ops, graph).items():
        best, lowest = None, np.inf
        for rate in rule[2]:
            found = [trained(graph, recipe, rule, rate, seed, given.epochs // 3, examples, test) for seed in CHOOSING]
            mean = statistics.mean(rows[-1][0] if len(rows) == given.epochs // 3 else np.inf for rows in found)
            if mean < lowest:
                best, lowest = rate, mean
        runs = [trained(graph, recipe, rule, best, seed, given.epochs, examples, test) for seed in range(given.seeds)]
        reached = [[next(((k + 1, seconds) for k, (loss, seconds, _) in enumerate(rows) if loss <= target), None) for rows in runs] for target in TARGETS]
        cells = [name, f"{best:g}"]
        for which, digits in ((0, 0), (1, 1)):
            for column in reached:
                there = [pair[which] for pair in column if pair]
                spread = f" ({min(there):.{digits}f} to {max(there):.{digits}f})" if there else ""
                cells.append(
                    (f"{statistics.mean(there):.1f}{spread}" if there else "never")
                    + ("" if len(there) == len(runs) or not there else f", {len(there)} of {len(runs)}")
                )
        cells.append(f"{statistics.mean(rows[-1][1] / len(rows) for rows in runs):.2f}")
        cells.append(f"{statistics.mean(rows[-1][2] for rows in runs):.2%}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
