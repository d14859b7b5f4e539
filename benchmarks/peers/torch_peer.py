"""PyTorch's side of `stage.py`: training steps of the same networks, timed on command.

A line of JSON on standard input asks for a job: {"job": name, "batch": n, "threads": t, "seconds": s}; the answer is a
line with the seconds of a step, by the wall clock and of the processor, for the best of the memory formats.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 # as PyTorch users write it

TANH_A, TANH_B = 1.7159, 2 / 3


class ScaledTanh(nn.Module):
    def forward(self, x):
        return TANH_A * torch.tanh(TANH_B * x)


class Subsample(nn.Module):
    """The sum of blocks of four, scaled and shifted for each map."""

    def __init__(self, maps):
        super().__init__()
        self.beta, self.b = nn.Parameter(torch.full((maps, 1, 1), 0.25)), nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x):
        return self.beta * (4 * F.avg_pool2d(x, 2)) + self.b


def bouvrie():
    layers = [nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 12, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(192, 10)]
    return nn.Sequential(*layers, nn.Sigmoid()), (1, 28, 28), "squared"


def lenet5():
    layers = [nn.Conv2d(1, 6, 5), ScaledTanh(), Subsample(6), ScaledTanh(), nn.Conv2d(6, 16, 5), ScaledTanh(), Subsample(16), ScaledTanh()]
    layers += [nn.Conv2d(16, 120, 5), ScaledTanh(), nn.Flatten(), nn.Linear(120, 84), ScaledTanh(), nn.Linear(84, 10)]
    return nn.Sequential(*layers), (1, 32, 32), "entropy"


def vgg():
    layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8192, 10)), (3, 32, 32), "entropy"


NETS = {"bouvrie": bouvrie, "lenet5": lenet5, "vgg": vgg}


def network_step(name, batch, memory_format):
    torch.manual_seed(0)
    net, shape, loss = NETS[name]()
    net = net.to(memory_format=memory_format)
    x = torch.randn(batch, *shape).contiguous(memory_format=memory_format)
    labels = torch.arange(batch) % 10
    code = F.one_hot(labels, 10).float()
    rule = torch.optim.SGD(net.parameters(), lr=1e-4)

    def step():
        rule.zero_grad(set_to_none=True)
        y = net(x)
        total = 0.5 * ((y - code) ** 2).sum() / batch if loss == "squared" else F.cross_entropy(y, labels)
        total.backward()
        rule.step()

    return step


def conv_step(maps_in, maps, size, extent, padding, batch, dx, memory_format):
    conv = nn.Conv2d(maps_in, maps, size, padding=padding).to(memory_format=memory_format)
    x = torch.randn(batch, maps_in, extent, extent).contiguous(memory_format=memory_format).requires_grad_(dx)
    dy = torch.randn_like(conv(x))

    def step():
        conv.zero_grad(set_to_none=True)
        x.grad = None
        conv(x).backward(dy)

    return step


def main():
    steps = {}
    for line in sys.stdin:
        asked = json.loads(line)
        torch.set_num_threads(asked["threads"])
        best = None
        for memory_format in (torch.contiguous_format, torch.channels_last):
            key = (*(str(asked[k]) for k in ("job", "batch", "threads")), memory_format)
            if key not in steps:
                job = asked["job"]
                steps[key] = (
                    conv_step(*asked["sizes"], asked["batch"], asked["dx"], memory_format)
                    if "sizes" in asked
                    else network_step(job, asked["batch"], memory_format)
                )
                for _ in range(3):
                    steps[key]()
            step, rounds = steps[key], 0
            wall, cpu = time.perf_counter(), time.process_time()
            while time.perf_counter() - wall < asked["seconds"]:
                step()
                rounds += 1
            found = (time.perf_counter() - wall) / rounds, (time.process_time() - cpu) / rounds
            best = found if best is None else (min(best[0], found[0]), min(best[1], found[1]))
        print(json.dumps(best), flush=True)


if __name__ == "__main__":
    main()
