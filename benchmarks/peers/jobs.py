"""What is computed: networks and single layers as plain data, their arrays, and what a step costs in arithmetic.

A layer is a name with its numbers; every contestant builds the same network from it, and starts from the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Job:
    """A network or a layer: the shape of a sample, the layers, and the loss that ends it.

    Losses, all divided by the batch: "squared" is half the squared distance to a code of the classes, "entropy" that of softmax,
    and "dot" the sum of products with fixed numbers, which makes these the cotangent: forward, dx and dW of a layer by itself.
    """

    shape: tuple[int, ...]
    layers: tuple
    loss: str
    dx: bool = False


def conv(maps, size, **options):
    return ("conv", maps, size, options)


def single(maps_in, maps, size, extent, **options):
    """One convolution; dx is wanted unless the input is an image."""
    return Job((maps_in, extent, extent), (conv(maps, size, **options),), "dot", dx=maps_in > 3)


def bouvrie(activation):
    return Job((1, 28, 28), (conv(6, 5), activation, ("mean",), conv(12, 5), activation, ("mean",), ("flatten",), ("dense", 10), activation), "squared")


TANH, RELU = ("tanh",), ("relu",)
JOBS = {
    "bouvrie": bouvrie(("logistic",)),
    "lenet5": Job(
        (1, 32, 32),
        (
            *(conv(6, 5), TANH, ("sum",), TANH),
            *(conv(16, 5), TANH, ("sum",), TANH),
            *(conv(120, 5), TANH, ("flatten",), ("dense", 84), TANH, ("dense", 10)),
        ),
        "entropy",
    ),
    "vgg": Job(
        (3, 32, 32),
        (
            *(conv(64, 3, padding=1), RELU, conv(64, 3, padding=1), RELU, ("max",)),
            *(conv(128, 3, padding=1), RELU, conv(128, 3, padding=1), RELU, ("max",)),
            *(("flatten",), ("dense", 10)),
        ),
        "entropy",
    ),
    "conv 1-6": single(1, 6, 5, 28),
    "conv 3-32": single(3, 32, 5, 256),
    "conv 64-64": single(64, 64, 3, 32, padding=1),
    "conv 64-128": single(64, 128, 3, 16, padding=1),
    "conv 128-128": single(128, 128, 3, 16, padding=1),
    "stride 2, 128-128": single(128, 128, 3, 16, padding=1, stride=2),
    "stride 3, 96-160": single(96, 160, 5, 20, stride=3),
    "dilation 2, 96-160": single(96, 160, 3, 16, padding=2, dilation=2),
    "odd maps, 100-150": single(100, 150, 3, 15, padding=1),
    "bouvrie, tanh": bouvrie(TANH),
    "bouvrie, a plugin's activation": bouvrie(("plugin",)),
}
ROWS = [
    *(("bouvrie", batch) for batch in (1, 50, 256)),
    *(("lenet5", batch) for batch in (1, 64, 256)),
    ("vgg", 64),
    ("conv 1-6", 64),
    ("conv 3-32", 1),
    *((name, 64) for name in ("conv 64-64", "conv 64-128", "conv 128-128")),
    *((name, 64) for name in ("stride 2, 128-128", "stride 3, 96-160", "dilation 2, 96-160", "odd maps, 100-150")),
    *((name, 50) for name in ("bouvrie, tanh", "bouvrie, a plugin's activation")),
]
CLASSES = 10


def geometry(layer, shape):
    """The shape that a layer makes of another, and of its parameters."""
    kind = layer[0]
    if kind == "conv":
        _, maps, size, options = layer
        p, s, d = options.get("padding", 0), options.get("stride", 1), options.get("dilation", 1)
        after = (maps, *((n + 2 * p - d * (size - 1) - 1) // s + 1 for n in shape[1:]))
        return after, [(maps, shape[0], size, size), (maps,)]
    if kind in ("mean", "max", "sum"):
        return (shape[0], shape[1] // 2, shape[2] // 2), [(shape[0],), (shape[0],)] if kind == "sum" else []
    if kind == "flatten":
        return (int(np.prod(shape)),), []
    if kind == "dense":
        return (layer[1],), [(layer[1], shape[0]), (layer[1],)]
    return shape, []


def shapes(job):
    """The shape after every layer, and those of all parameters, in order."""
    after, parameters = [], []
    shape = job.shape
    for layer in job.layers:
        shape, own = geometry(layer, shape)
        after.append(shape)
        parameters += own
    return after, parameters


def arrays(job, batch):
    """Input, target and parameters, the same for everybody."""
    rng = np.random.default_rng(0)
    after, parameters = shapes(job)
    x = rng.standard_normal((batch, *job.shape), np.float32)
    target = rng.standard_normal((batch, *after[-1]), np.float32) if job.loss == "dot" else np.arange(batch) % CLASSES
    scales = [1.0 if len(shape) == 1 else float(np.prod(shape[1:])) ** -0.5 for shape in parameters]
    return x, target, [(rng.standard_normal(shape) * scale * 0.5).astype(np.float32) for shape, scale in zip(parameters, scales, strict=True)]


def operations(job, batch):
    """Multiplications and additions of convolutions and dense layers in a step: forward, for the weights, and for inputs whose gradient is wanted."""
    total, shape = 0, job.shape
    wanted = job.dx
    for layer in job.layers:
        after, own = geometry(layer, shape)
        if layer[0] in ("conv", "dense"):
            each = int(np.prod(own[0])) * int(np.prod(after[1:]))
            total += 2 * batch * each * (3 if wanted else 2)
        wanted, shape = True, after
    return total
