"""A net as textbooks write it in NumPy: windows as columns of a matrix, a class for each layer, arrays made anew in every step."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Conv:
    def __init__(self, parameters, options):
        self.k, self.b = parameters
        self.p, self.s, self.d = options.get("padding", 0), options.get("stride", 1), options.get("dilation", 1)

    def forward(self, x):
        self.x_shape = x.shape
        x = np.pad(x, ((0, 0), (0, 0), (self.p, self.p), (self.p, self.p)))
        size = self.d * (self.k.shape[2] - 1) + 1
        windows = sliding_window_view(x, (size, size), (2, 3))[:, :, :: self.s, :: self.s, :: self.d, :: self.d]
        n, _, self.h, self.w = windows.shape[:4]
        self.columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * self.h * self.w, -1)
        y = self.columns @ self.k.reshape(len(self.k), -1).T + self.b
        return y.reshape(n, self.h, self.w, -1).transpose(0, 3, 1, 2)

    def backward(self, dy, *, dx):
        n = len(dy)
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(self.k))
        self.gradients = [(rows.T @ self.columns).reshape(self.k.shape), rows.sum(0)]
        if not dx:
            return None
        back = (rows @ self.k.reshape(len(self.k), -1)).reshape(n, self.h, self.w, *self.k.shape[1:]).transpose(0, 3, 4, 5, 1, 2)
        _, c, height, width = self.x_shape
        out = np.zeros((n, c, height + 2 * self.p, width + 2 * self.p), dy.dtype)
        for i in range(self.k.shape[2]):
            for j in range(self.k.shape[3]):
                top, left = i * self.d, j * self.d
                out[:, :, top : top + self.s * self.h : self.s, left : left + self.s * self.w : self.s] += back[:, :, i, j]
        return out[:, :, self.p : self.p + height, self.p : self.p + width]


class Dense:
    def __init__(self, parameters, _options):
        self.w, self.b = parameters

    def forward(self, x):
        self.x = x
        return x @ self.w.T + self.b

    def backward(self, dy, *, dx):
        self.gradients = [dy.T @ self.x, dy.sum(0)]
        return dy @ self.w if dx else None


class Pool:
    def __init__(self, parameters, kind):
        self.kind, self.parameters = kind, parameters

    def forward(self, x):
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
        if self.kind == "max":
            y = blocks.max(axis=(3, 5))
            self.mask = blocks == y[:, :, :, None, :, None]
            return y
        self.total = blocks.sum(axis=(3, 5))
        if self.kind == "mean":
            return self.total / 4
        beta, b = self.parameters
        return beta[:, None, None] * self.total + b[:, None, None]

    def backward(self, dy, *, dx):
        if self.kind == "sum":
            self.gradients = [(dy * self.total).sum((0, 2, 3)), dy.sum((0, 2, 3))]
            dy = dy * self.parameters[0][:, None, None]
        n, c, h, w = dy.shape
        wide = np.broadcast_to(dy[:, :, :, None, :, None], (n, c, h, 2, w, 2))
        wide = wide * self.mask if self.kind == "max" else wide / 4 if self.kind == "mean" else wide
        return wide.reshape(n, c, 2 * h, 2 * w) if dx else None


class Pointwise:
    FUNCTIONS = {
        "tanh": (lambda x: 1.7159 * np.tanh(2 / 3 * x), lambda x, y: 2 / 3 * (1.7159 - y * y / 1.7159)),
        "logistic": (lambda x: 1 / (1 + np.exp(-x)), lambda x, y: y * (1 - y)),
        "relu": (lambda x: np.maximum(x, 0), lambda x, y: y > 0),
        "plugin": (lambda x: x / (1 + np.exp(-x)), lambda x, y: (1 + np.exp(-x) + x * np.exp(-x)) / (1 + np.exp(-x)) ** 2),
    }

    def __init__(self, _parameters, kind):
        self.f, self.df = self.FUNCTIONS[kind]

    def forward(self, x):
        self.x, self.y = x, self.f(x)
        return self.y

    def backward(self, dy, *, dx):
        return dy * self.df(self.x, self.y) if dx else None


class Flatten:
    def __init__(self, _parameters, _options):
        pass

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy, *, dx):
        return dy.reshape(self.shape) if dx else None


def layer_of(layer, parameters):
    kind = layer[0]
    if kind == "conv":
        return Conv(parameters, layer[3])
    made = {"dense": Dense, "flatten": Flatten, "mean": Pool, "max": Pool, "sum": Pool}.get(kind, Pointwise)
    return made(parameters, kind)


def put(arrays, values):
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


def make(job, batch, x, target, parameters, *, contestant, threads):  # matrix products are held to their threads by the process
    from jobs import geometry

    given = parameters
    parameters = [array.copy() for array in given]
    rest, layers, shape = iter(parameters), [], job.shape
    for layer in job.layers:
        shape, own = geometry(layer, shape)
        layers.append(layer_of(layer, [next(rest) for _ in own]))
    t = np.eye(10, dtype=np.float32)[target] if job.loss == "squared" else target

    def run():
        y = x
        for layer in layers:
            y = layer.forward(y)
        if job.loss == "squared":
            error = y - t
            loss, dy = 0.5 * float(np.vdot(error, error)) / batch, error / batch
        elif job.loss == "entropy":
            shifted = y - y.max(1, keepdims=True)
            p = np.exp(shifted)
            p /= p.sum(1, keepdims=True)
            loss, dy = -float(np.log(p[np.arange(batch), t]).mean()), p
            dy[np.arange(batch), t] -= 1
            dy /= batch
        else:
            loss, dy = float(np.vdot(y, t)) / batch, t / np.float32(batch)
        for number, layer in reversed(list(enumerate(layers))):
            dy = layer.backward(dy, dx=number > 0 or job.dx)
        found = [gradient for layer in layers for gradient in getattr(layer, "gradients", ())]
        return loss, found, dy

    def step():
        _, found, _ = run()
        put(parameters, [array - np.float32(1e-6) * gradient for array, gradient in zip(parameters, found, strict=True)])

    def gradients():
        put(parameters, given)
        loss, found, dx = run()
        return loss, [np.concatenate([g.ravel() for g in found]), *([dx] if job.dx else [])]

    return step, gradients


def version():
    return f"NumPy {np.__version__}"
