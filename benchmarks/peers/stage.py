"""Training steps by generated kernels beside PyTorch's, in turns, as ratios.

    python benchmarks/peers/stage.py --torch /path/to/python [--threads 2] [--jobs bouvrie:50,lenet5:1]

PyTorch runs in an interpreter of its own, which has it, and waits while we run. A round is ours, then PyTorch's at its
best memory format; the ratio of a round is ours by its. Rounds in which other programs took the processors are left
out, if enough remain; beside the wall clock stands the ratio of processor time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np

from cnnframe._links import LENET5_LINKS
from cnnframe_plugins import Conv, ConvLinked, Dense, Flatten, Logistic, MaxPool, MeanPool, ReLU, ScaledTanh, Subsample
from cnnframe_plugins.fused import Run, Stage, Update, join
from cnnframe_plugins.fused import compile as compile_stage

T, S, R = ScaledTanh(), Logistic(), ReLU()
NETS = {
    "bouvrie": ((1, 28, 28), [(Conv(6, 5), S, MeanPool(2, 2)), (Conv(12, 5), S, MeanPool(2, 2)), (Flatten(), Dense(10), S)], "squared"),
    "lenet5": (
        (1, 32, 32),
        [(Conv(6, 5), T, Subsample(2), T), (Conv(16, 5), T, Subsample(2), T), (Conv(120, 5), T), (Flatten(), Dense(84), T), (Dense(10),)],
        "entropy",
    ),
    "lenet5 links": (
        (1, 32, 32),
        [(Conv(6, 5), T, Subsample(2), T), (ConvLinked(LENET5_LINKS, 5), T, Subsample(2), T), (Conv(120, 5), T), (Flatten(), Dense(84), T), (Dense(10),)],
        "entropy",
    ),
    "vgg": (
        (3, 32, 32),
        [
            (Conv(64, 3, padding=1), R),
            (Conv(64, 3, padding=1), R, MaxPool(2, 2)),
            (Conv(128, 3, padding=1), R),
            (Conv(128, 3, padding=1), R, MaxPool(2, 2)),
            (Flatten(), Dense(10)),
        ],
        "entropy",
    ),
}
CONVS = {
    # Maps in, maps, size, extent, padding; and whether dx is wanted.
    "conv64": ((64, 64, 3, 32, 1), True),
    "conv64-128": ((64, 128, 3, 16, 1), True),
    "conv128": ((128, 128, 3, 16, 1), True),
    "conv1-6": ((1, 6, 5, 28, 0), False),
    "conv3-32": ((3, 32, 5, 256, 0), False),
}


def shapes_after(ops, shape):
    for op in ops:
        shape = op.output_shapes(op.sizes({"x": shape}))["y"]
    return shape


class Net:
    """A chain of stages with a loss; buffers are made once."""

    def __init__(self, shape, stages, loss, batch, threads, *, dx=False):
        rng = np.random.default_rng(0)
        self.loss, self.batch = loss, batch
        self.kernels, shape = [], (batch, *shape)
        for number, ops in enumerate(stages):
            if isinstance(ops[0], Dense) and len(shape) > 2:  # as Flatten makes it
                shape = (batch, int(np.prod(shape[1:])))
            after = stages[number + 1][0] if number + 1 < len(stages) else None
            border = after.padding[0] if isinstance(after, Conv) and isinstance(ops[0], Conv) and ops[0].maps >= 32 else 0
            self.kernels.append(compile_stage(Stage(ops, shape, "float32", threads, dx or number > 0, border)))
            shape = shapes_after(ops, shape)
        sizes = [kernel.parameters for kernel in self.kernels]
        total = sum(sum(s.values()) for s in sizes)
        self.p = (rng.standard_normal(total) * 0.05).astype(np.float32)
        self.g = np.zeros_like(self.p)
        start, params, gradients = 0, [], []
        for named in sizes:
            params.append({}), gradients.append({})
            for name, size in named.items():
                params[-1][name], gradients[-1][name] = self.p[start : start + size], self.g[start : start + size]
                start += size
        new = lambda size: np.zeros(size, np.float32)  # noqa: E731 # as short as what it stands for
        self.flat = [new(k.input_layout.size(k.stage.shape)) for k in self.kernels]
        last = self.kernels[-1]
        self.flat.append(new(last.output_layout.size(last.output)))
        self.back = [new(array.size) for array in self.flat]
        saved, scratch = [new(k.saved) for k in self.kernels], new(max(k.scratch for k in self.kernels))
        # Where layouts differ, an array lies in both: behind a stage and before the next one.
        self.after, self.after_back = {}, {}
        for i, (k, n) in enumerate(zip(self.kernels, self.kernels[1:], strict=False)):
            if k.output_layout != n.input_layout:
                self.after[i + 1], self.after_back[i + 1] = (new(k.output_layout.size(k.output)) for _ in range(2))
        runs = []
        for i, k in enumerate(self.kernels):
            runs.append(k.bind_forward(self.flat[i], params[i], self.after.get(i + 1, self.flat[i + 1]), saved[i], scratch))
        self.forward = join_alike(self.between(runs, self.flat, gradient=False))
        backs = []
        for i, k in reversed(list(enumerate(self.kernels))):
            dx_of = self.back[i] if k.stage.dx else None
            dy, y = self.after_back.get(i + 1, self.back[i + 1]), self.after.get(i + 1, self.flat[i + 1])
            backs.append(k.bind_backward(dy, self.flat[i], y, params[i], saved[i], dx_of, gradients[i], scratch))
        self.backward = join_alike(self.between(backs, self.back, gradient=True))
        self.x = rng.standard_normal(self.kernels[0].stage.shape).astype(np.float32)
        self.labels = np.arange(batch) % 10
        self.code = np.eye(10, dtype=np.float32)[self.labels]
        self.y = np.zeros(last.output, np.float32)
        self.update = Update.of("float32", [(0, total, True)]).bind(self.p, self.g)

    def between(self, runs, near, *, gradient):
        """The runs, and what changes layouts between them."""
        found = []
        for number, run in enumerate(runs):
            i = len(runs) - 1 - number if gradient else number
            found.append(run)
            place = i if gradient else i + 1
            if place in self.after:
                before, after = self.kernels[place - 1], self.kernels[place]
                plain, far = np.empty(before.output, np.float32), (self.after_back if gradient else self.after)[place]
                shaped = plain.reshape(after.stage.shape)
                if gradient:
                    found.append(partial(change, after.input_layout, near[place], shaped, before.output_layout, far, plain))
                else:
                    found.append(partial(change, before.output_layout, far, plain, after.input_layout, near[place], shaped))
        return found

    def step(self):
        first, last = self.kernels[0], self.kernels[-1]
        first.input_layout.pack(self.x, self.flat[0])
        for run in self.forward:
            run()
        last.output_layout.unpack(self.flat[-1], self.y)
        if self.loss == "squared":
            d = self.y - self.code
            self.value = 0.5 * float(np.vdot(d, d)) / self.batch
        elif self.loss == "entropy":
            d = np.exp(self.y - self.y.max(1, keepdims=True))
            d /= d.sum(1, keepdims=True)
            self.value = -float(np.log(d[np.arange(self.batch), self.labels]).mean())
            d -= self.code
        else:
            d = self.y
        d *= np.float32(1 / self.batch)
        last.output_layout.pack(d, self.back[-1], gradient=True)
        for run in self.backward:
            run()
        self.update(1e-4)

    def convolve(self):
        for run in (*self.forward, *self.backward):
            run()


def change(source, flat, array, target, into, same):
    """Unpack from one layout and pack into another; `array` and `same` are one array in two shapes."""
    source.unpack(flat, array)
    target.pack(same, into)


def join_alike(runs):
    """Join neighbours that have the same number of shards."""
    found = []
    for run in runs:
        if found and isinstance(run, Run) and isinstance(found[-1][0], Run) and len(found[-1][0].shards) == len(run.shards):
            found[-1].append(run)
        else:
            found.append([run])
    return [join(*group) if len(group) > 1 else group[0] for group in found]


def ours(job, batch, threads):
    if job in CONVS:
        (maps_in, maps, size, extent, padding), dx = CONVS[job]
        return Net((maps_in, extent, extent), [(Conv(maps, size, padding=padding),)], "none", batch, threads, dx=dx).convolve
    return Net(*NETS[job], batch, threads).step


def others_busy(before):
    """The share of all processors that went to others since `before`, where the system says."""
    now = busy()
    return None if now is None or before is None else max(0.0, now[0] - before[0] - (now[1] - before[1])) / max(now[2] - before[2], 1e-9)


def busy():
    try:
        fields = [int(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    times = os.times()
    return (sum(fields) - fields[3] - fields[4]) / ticks, times.user + times.system, sum(fields) / ticks


def measure(step, seconds):
    wall, cpu, rounds = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        step()
        rounds += 1
    return (time.perf_counter() - wall) / rounds, (time.process_time() - cpu) / rounds


def compare(job, batch, options, child):
    step = ours(job, batch, options.threads)
    for _ in range(3):
        step()
    asked = {"job": job.split()[0], "batch": batch, "threads": options.threads, "seconds": options.seconds}
    if job in CONVS:
        asked |= {"sizes": CONVS[job][0], "dx": CONVS[job][1]}
    rounds = []
    for _ in range(options.rounds):
        before = busy()
        mine = measure(step, options.seconds)
        share = others_busy(before)
        child.stdin.write(json.dumps(asked) + "\n")
        child.stdin.flush()
        theirs = json.loads(child.stdout.readline())
        rounds.append((mine, theirs, share or 0.0))
    quiet = [r for r in rounds if r[2] < options.others]
    used = quiet if len(quiet) >= 3 else rounds
    wall, cpu = ([mine[i] / theirs[i] for mine, theirs, _ in used] for i in (0, 1))
    mine, theirs = (statistics.median(r[i][0] for r in used) for i in (0, 1))
    note = "" if used is quiet else "  (never quiet)"
    print(
        f"{job:13} batch {batch:4} threads {options.threads}  ours {mine * 1e3:9.3f} ms  torch {theirs * 1e3:9.3f} ms"
        f"  ratio {statistics.median(wall):.3f} [{min(wall):.3f}..{max(wall):.3f}]  of processor time {statistics.median(cpu):.3f}{note}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", required=True, help="a Python that has PyTorch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="how long each side runs in a round")
    parser.add_argument("--others", type=float, default=0.1, help="the share of the processors that others may take in a round")
    parser.add_argument("--jobs", default="bouvrie:1,bouvrie:50,bouvrie:256,lenet5:1,lenet5:64,lenet5:256,conv1-6:64")
    options = parser.parse_args()
    peer = Path(__file__).with_name("torch_peer.py")
    with subprocess.Popen([options.torch, str(peer)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        for job in options.jobs.split(","):
            name, batch = job.rsplit(":", 1)
            compare(name, int(batch), options, child)
        child.stdin.close()


if __name__ == "__main__":
    main()
