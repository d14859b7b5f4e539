"""PyTorch: eager, in the memory format channels_last, and compiled."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 # as PyTorch users write it


class ScaledTanh(nn.Module):
    def forward(self, x):
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsample(nn.Module):
    """The sum of blocks of four, scaled and shifted for each map."""

    def __init__(self, maps):
        super().__init__()
        self.beta, self.b = nn.Parameter(torch.empty(maps)), nn.Parameter(torch.empty(maps))

    def forward(self, x):
        return self.beta[:, None, None] * (4 * F.avg_pool2d(x, 2)) + self.b[:, None, None]


def module(layer, maps):
    kind = layer[0]
    if kind == "conv":
        return nn.Conv2d(maps, layer[1], layer[2], **layer[3])
    if kind == "dense":
        return nn.Linear(maps, layer[1])
    if kind == "sum":
        return Subsample(maps)
    return {
        "tanh": ScaledTanh,
        "logistic": nn.Sigmoid,
        "relu": nn.ReLU,
        "plugin": nn.SiLU,
        "mean": lambda: nn.AvgPool2d(2),
        "max": lambda: nn.MaxPool2d(2),
        "flatten": nn.Flatten,
    }[kind]()


def make(job, batch, x, target, parameters, *, contestant, threads):
    from jobs import shapes

    torch.set_num_threads(threads)
    after, _ = shapes(job)
    before = [job.shape, *after[:-1]]
    net = nn.Sequential(*(module(layer, shape[0]) for layer, shape in zip(job.layers, before, strict=True)))
    for slot, array in zip(net.parameters(), parameters, strict=True):
        slot.data.copy_(torch.from_numpy(array))
    form = torch.channels_last if contestant == "channels_last" else torch.contiguous_format
    net = net.to(memory_format=form)
    x = torch.from_numpy(x).contiguous(memory_format=form).requires_grad_(job.dx)
    if job.loss == "dot":
        t = torch.from_numpy(target).contiguous(memory_format=form)
    else:
        t = torch.from_numpy(np.eye(10, dtype=np.float32)[target]) if job.loss == "squared" else torch.from_numpy(target)

    def loss_of(x, t):
        y = net(x)
        if job.loss == "squared":
            return 0.5 * ((y - t) ** 2).sum() / batch
        return F.cross_entropy(y, t) if job.loss == "entropy" else (y * t).sum() / batch

    if contestant == "compiled":
        loss_of = torch.compile(loss_of)
    rule = torch.optim.SGD(net.parameters(), lr=1e-6)

    def step():
        rule.zero_grad(set_to_none=True)
        x.grad = None
        loss_of(x, t).backward()
        rule.step()

    def gradients():
        # At the parameters that were given, whatever steps have been taken.
        for slot, array in zip(net.parameters(), parameters, strict=True):
            slot.data.copy_(torch.from_numpy(array))
        rule.zero_grad(set_to_none=True)
        x.grad = None
        loss = loss_of(x, t)
        loss.backward()
        vector = np.concatenate([p.grad.contiguous().numpy().ravel() for p in net.parameters()])
        return float(loss), [vector, *([x.grad.contiguous().numpy()] if job.dx else [])]

    return step, gradients


def version():
    return f"PyTorch {torch.__version__}"
