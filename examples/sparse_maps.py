"""Penalties under which maps choose their inputs, one penalty after the other (Bouvrie 2006, section 3.3).

A layer sees five maps: the digit, the same digit turned by a quarter three times, and noise. Each of its maps is a mixture of these, with weights alpha
that are a softmax of parameters that are learned. Without a penalty, and with the paper's L1 penalty, which is a constant, alpha stays spread; the
entropy, minus the sum of squares, and the sum of roots make each map choose.

Run it from any folder: python sparse_maps.py [EPOCHS [FOLDER]]; with a folder, it draws alpha over time there.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import cnnframe as cf

PENALTIES = {
    "none": None,
    "alpha_l1": {"strength": 0.3},
    "alpha_entropy": {"strength": 0.3},
    "alpha_square": {"strength": 0.4},
    "alpha_power": {"strength": 0.3},
}


def examples(count):
    """Return digits with their turned copies and noise as five maps, and labels."""
    images, labels = cf.data.digits()
    digit = (images[:count, 0] / 8.0 - 1).astype(np.float32)
    noise = np.random.default_rng(0).normal(size=digit.shape).astype(np.float32)
    maps = [np.rot90(digit, turns, axes=(1, 2)) for turns in range(4)]
    return {"x": np.ascontiguousarray(np.stack([*maps, noise], axis=1)), "t": labels[:count]}


def train(name, epochs, count=400):
    """Train with a penalty, and return the history; alpha after each epoch is in it."""
    ops = cf.load()
    strength = PENALTIES[name]
    net = cf.Graph.chain(
        ops.make("combine", maps=4, size=3),
        ops.make("scaled_tanh"),
        ops.make("max_pool", size=2, stride=2),
        ops.make("flatten"),
        ops.make("dense", units=10),
        inputs="n 5 8 8",
        loss=ops.make("softmax_cross_entropy", targets="index"),
        penalties=[] if strength is None else [ops.make(name, **strength)],
    )
    # The weights of mixtures begin a little apart: where all are equal, each penalty has a slope of 0.
    start = {"mixing": cf.Normal(0.1)}
    data = examples(count)
    train_set, test_set = ({key: array[part] for key, array in data.items()} for part in (slice(0, count * 3 // 4), slice(count * 3 // 4, None)))
    trainer = cf.Trainer(net, ops.make("sgd", momentum=0.9), 0.05, batch_size=16, seed=0, initial=start)
    return trainer.fit(train_set, test_set, epochs=epochs)


def main(epochs, folder):
    """Train with each penalty, and print what its maps have chosen."""
    print("penalty         largest alpha of each map     held-out error")
    for name in PENALTIES:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            history = train(name, epochs)
        last = history.epochs[-1]
        largest = np.array(last.mixtures["combine1"]).max(axis=0)
        print(f"{name:14}  {'  '.join(f'{weight:5.2f}' for weight in largest)}        {last.test_error:10.1%}")
        for warning in said:
            print(f"  warned: {warning.message}")
        if folder is not None:
            cf.pictures.save(cf.pictures.alpha(history.epochs, "combine1", f"alpha over time, penalty {name}"), folder / f"alpha-{name}.png")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
