"""A training loop of one's own: the executor gives loss and gradients, the rest is a few lines.

Run it from any folder: python executor_loop.py [EPOCHS]
"""

from __future__ import annotations

import sys

import numpy as np

import cnnframe as cf


def main(epochs: int) -> None:
    """Train a small convolutional network on the embedded digits and print how it does after each epoch."""
    ops = cf.load()
    images, labels = cf.data.digits()
    data = cf.data.split(images, labels, test=0.2, seed=0)
    standardise = cf.data.Standardiser.fit(data.train_images, per="all")
    train, test = (standardise(part).astype(np.float32) for part in (data.train_images, data.test_images))

    net = cf.Graph.chain(
        ops.make("conv", maps=8, size=3),
        ops.make("relu"),
        ops.make("max_pool", size=2, stride=2),
        ops.make("flatten"),
        ops.make("dense", units=10),
        inputs="n 1 8 8",
        loss=ops.make("softmax_cross_entropy", targets="index"),
    )
    print(net.summary())

    executor = cf.Executor(net)
    parameters = cf.Parameters.initialise(net, seed=0)
    rule = ops.make("sgd", momentum=0.9)
    memory = rule.init(parameters)
    rng = np.random.default_rng(0)

    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(train))
        for batch in np.array_split(order, len(order) // 16):
            found = executor.gradients(parameters, reduction="mean", x=train[batch], t=data.train_labels[batch])
            parameters, memory = rule.step(parameters, found.parameters, memory, rate=0.05)
        right = executor.predict(parameters, x=test).argmax(axis=1) == data.test_labels
        print(f"epoch {epoch}: {right.mean():.1%} of {right.size} held-out digits right")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
