"""The paper's network on the embedded digits: right on at least 97 % of those held out, the same ones each time."""

from __future__ import annotations

import cnnframe as cf


def test_bouvrie_reads_digits():
    ops = cf.load()
    network = cf.networks.network("bouvrie")
    recipe = network.recipes["squared_error"]
    digits = cf.data.digits16()
    code = {"x": digits.train_images, "t": cf.targets.one_hot(digits.train_labels, 10, -1, 1)}
    held_out = {"x": digits.test_images, "t": cf.targets.one_hot(digits.test_labels, 10, -1, 1)}
    rate = cf.Decay(recipe.rate, recipe.decay)
    trainer = cf.Trainer(
        network.build(ops, "squared_error"), ops.make("sgd", momentum=recipe.momentum), rate, recipe.batch_size, seed=0, initial=recipe.initial
    )
    history = trainer.fit(code, epochs=recipe.epochs)
    found = trainer.evaluate(history.parameters, held_out)
    assert found.count == 359
    assert found.error <= 0.03
