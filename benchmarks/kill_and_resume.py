"""Kill a training at random moments, go on each time, and compare what comes of it with a training that was never killed.

    python benchmarks/kill_and_resume.py [--kills 50] [--seed 0] [--epochs 40]

The network is small, with dropout, momentum, a schedule and augmentation, so that every kind of state counts. It is saved every seven steps. The
moments are drawn from the seed: most lie within steps and savings, one in five within the start of the process. SIGKILL leaves the process
no time for anything. When a training ends before all kills are made, another one begins. The exit code is 1 if a single bit differs.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import cnnframe as cf

EVERY = 7


def noisy(images, rng):
    return images + rng.normal(0, 0.05, images.shape)


def trainer():
    ops = cf.load()
    layers = [ops.make("conv", maps=4, size=3), ops.make("scaled_tanh"), ops.make("max_pool", size=2, stride=2), ops.make("flatten")]
    loss = ops.make("softmax_cross_entropy", targets="index")
    graph = cf.Graph.chain(*layers, ops.make("dropout", rate=0.25), ops.make("dense", units=10), inputs="n 1 8 8", loss=loss)
    return ops, cf.Trainer(graph, ops.make("sgd", momentum=0.9, weight_decay={"conv1": 1e-3}), cf.Decay(0.05, 0.97), 16, augment=noisy, threads=1)


def examples():
    images, labels = cf.data.digits()
    scaled = (images / 8.0 - 1).astype(np.float32)
    return {"x": scaled[:400], "t": labels[:400]}, {"x": scaled[400:600], "t": labels[400:600]}


def train(path: Path, epochs: int) -> None:
    """Train in a folder, from where it stands."""
    ops, job = trainer()
    folder = cf.RunFolder.open(path) if (path / "checkpoint.safetensors").exists() else cf.RunFolder(path)
    start = folder.load(ops).resume(job) if folder.checkpoint.exists() else None
    done = 0 if start is None else start.state.epoch
    print("ready", flush=True)
    if done < epochs:
        job.fit(*examples(), epochs=epochs - done, start=start, save=folder.saver(job), every=cf.Every(steps=EVERY))


def killed(path: Path, epochs: int, rng: random.Random) -> bool:
    """Start a process that trains, and kill it after a while; return whether it was alive until then."""
    command = [sys.executable, __file__, "--train", str(path), "--epochs", str(epochs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0, 1.0))
        else:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.5))
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    return alive and process.returncode == -signal.SIGKILL


def compare(one: Path, two: Path) -> list[str]:
    """What differs between two finished trainings."""
    ops, _ = trainer()
    first, second = (cf.RunFolder(path).load(ops).history for path in (one, two))
    pairs = {
        "parameters": (first.parameters.vector, second.parameters.vector),
        "optimizer": (first.state.optimizer, second.state.optimizer),
        "best": (first.best.parameters.vector, second.best.parameters.vector),
    }
    found = [name for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]
    return found if first.epochs == second.epochs else [*found, "history"]


def run(kills: int, seed: int, epochs: int) -> tuple[int, int, list[str]]:
    """Kill so many times; return kills, trainings that were finished, and what differed."""
    rng = random.Random(seed)  # noqa: S311 # moments, not secrets
    count, finished, wrong = 0, 0, []
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        train(whole, epochs)
        while count < kills:
            path = Path(scratch) / f"killed-{finished}"
            path.mkdir()
            last = count
            while count < kills and killed(path, epochs, rng):
                count += 1
            train(path, epochs)
            finished += 1
            wrong += compare(whole, path)
            print(f"training {finished}: {count - last} kills, {'differs in ' + ', '.join(wrong) if wrong else 'the same bits'}")
    return count, finished, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train is not None:
        train(asked.train, asked.epochs)
        return 0
    count, finished, wrong = run(asked.kills, asked.seed, asked.epochs)
    print(f"{count} kills in {finished} trainings: {'DIFFERENT: ' + ', '.join(wrong) if wrong else 'the same bits as without'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
