"""cnnframe through its public executor: plan, gradients into the same memory, and a step of its optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

import cnnframe as cf

OPS = cf.load()
NAMES = {"tanh": "scaled_tanh", "logistic": "logistic", "relu": "relu"}


@dataclass(frozen=True)
class Dot(cf.Loss):
    """The sum of products with fixed numbers."""

    name = "dot"
    inputs = {"y": "n c h w"}
    constants = {"t": "n c h w"}
    batch_apart = True

    def forward(self, y, t):
        return np.vdot(y, t), t

    def backward(self, dy, saved):
        return {"y": dy * saved}

    def formula(self, at, y, t):
        n, c, h, w = cf.algebra.indices("n c h w")
        ranges = zip((n, c, h, w), y.shape, strict=True)
        return cf.algebra.total(y[n, c, h, w] * t[n, c, h, w], *ranges)


class DotKernel(cf.Kernel):
    """The same without new arrays, as PyTorch does it."""

    name = "dot"
    keeps = frozenset({"inputs"})
    writes_last = True

    @classmethod
    def matches(cls, ops):
        return int(isinstance(ops[0], Dot))

    def lends(self, name):
        return name == "t"

    def bind(self, arrays):
        given = dict(arrays.given[0])
        arrays.lent.update((name, partial(given.__setitem__, name)) for name in arrays.lent)
        (out,) = arrays.outputs.values()

        def forward():
            out[...] = np.vdot(given["y"], given["t"])

        def backward():
            (dy,) = arrays.cotangents.values()
            np.multiply(dy, given["t"], out=arrays.gradients[0]["y"])

        return forward, backward if self.chain.learns else None


def plugins_activation():
    """That of the example distribution."""
    from cnnframe_extras import Swish

    return Swish()


def operation(layer):
    kind = layer[0]
    if kind == "conv":
        return OPS.make("conv", maps=layer[1], size=layer[2], orientation="correlation", **layer[3])
    if kind in ("mean", "max"):
        return OPS.make(f"{kind}_pool", size=2, stride=2)
    if kind == "sum":
        return OPS.make("subsample", size=2)
    if kind == "dense":
        return OPS.make("dense", units=layer[1])
    return plugins_activation() if kind == "plugin" else OPS.make(NAMES.get(kind, kind))


def network(job):
    losses = {"squared": lambda: OPS.make("squared_error"), "entropy": lambda: OPS.make("softmax_cross_entropy", targets="index"), "dot": Dot}
    layers = map(operation, job.layers)
    return cf.Graph.chain(*layers, inputs=" ".join(["n", *map(str, job.shape)]), loss=losses[job.loss]())


def make(job, batch, x, target, parameters, *, contestant, threads, dtype=np.float32):
    installed = (*OPS.kernels, DotKernel)
    kernels = {"fused": installed, "numpy": tuple(kernel for kernel in installed if not kernel.compiles), "reference": ()}[contestant]
    graph = network(job)
    run = cf.Executor(graph, kernels=kernels, threads=threads, wait=True)
    shapes = (array.shape for array in graph.arrays.values())
    begin = [array.astype(dtype, copy=False).reshape(shape) for array, shape in zip(parameters, shapes, strict=True)]

    def begun():
        return cf.Parameters.of_arrays(graph, dict(zip(graph.arrays, begin, strict=True)))

    rule = OPS.make("sgd")
    t = np.eye(10, dtype=dtype)[target] if job.loss == "squared" else target if job.loss == "entropy" else target.astype(dtype, copy=False)
    given = {"x": x.astype(dtype, copy=False), "t": t}
    wanted = ("x",) if job.dx else ()
    params = begun()
    state = {"params": params, "memory": rule.init(params), "spare": None}

    def step():
        now, memory = state["params"], state["memory"]
        slopes = run.gradients(now, wanted_inputs=wanted, reduction="mean", out=state["spare"], **given).parameters
        # The gradients become the parameters; without momentum there is no state to be written over.
        state["params"], state["memory"] = rule.step_into((slopes, memory), now, slopes, memory, 1e-6)
        state["spare"] = now

    def gradients():
        # At the parameters that were given, whatever steps have been taken.
        found = run.gradients(begun(), wanted_inputs=wanted, reduction="mean", **given)
        return found.loss, [found.parameters.vector, *found.inputs.values()]

    return step, gradients


def version():
    from importlib.metadata import PackageNotFoundError, version

    try:
        numba = f", Numba {version('numba')}"
    except PackageNotFoundError:
        numba = ""
    return f"cnnframe, NumPy {np.__version__}{numba}"
