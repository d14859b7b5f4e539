"""Stochastic diagonal Levenberg-Marquardt: steps as the papers write them, its estimate, and a training that goes on."""

from __future__ import annotations

import numpy as np
import pytest

import cnnframe as cf

OPS = cf.load()
GRAPH = cf.Graph.chain(OPS.make("dense", units=2), inputs="n 3", loss=OPS.make("squared_error"))
PARAMS = cf.Parameters.initialise(GRAPH, dtype=np.float64)
SIZE = PARAMS.vector.size


def vector(value):
    return PARAMS.with_vector(np.broadcast_to(np.asarray(value, np.float64), SIZE))


def test_each_weight_has_its_rate():
    sdlm = OPS.make("sdlm", mu=0.5)
    curvature = np.arange(SIZE, dtype=np.float64)
    state = sdlm.prepare(PARAMS, sdlm.init(PARAMS), lambda count: vector(curvature))
    stepped, _ = sdlm.step(PARAMS, vector(2.0), state, 0.25)
    np.testing.assert_allclose(PARAMS.vector - stepped.vector, 0.25 / (0.5 + curvature) * 2.0, rtol=1e-14)


def test_the_first_estimate_is_taken_whole_and_later_ones_by_gamma():
    sdlm = OPS.make("sdlm", gamma=0.25, samples=7)
    asked = []

    def answer(value):
        return lambda count: asked.append(count) or vector(value)

    state = sdlm.prepare(PARAMS, sdlm.init(PARAMS), answer(4.0))
    assert state["curvature"].tolist() == [4.0] * SIZE
    later = sdlm.prepare(PARAMS, state, answer(8.0))
    assert later["curvature"].tolist() == [5.0] * SIZE and state["curvature"].tolist() == [4.0] * SIZE
    assert asked == [7, 7] and later["estimates"] == 2


def test_momentum_keeps_a_part_of_the_step():
    sdlm = OPS.make("sdlm", mu=1.0, momentum=0.5)
    state = sdlm.prepare(PARAMS, sdlm.init(PARAMS), lambda count: vector(0.0))
    once, state = sdlm.step(PARAMS, vector(1.0), state, 0.5)
    twice, _ = sdlm.step(once, vector(1.0), state, 0.5)
    np.testing.assert_allclose(once.vector - twice.vector, 0.75, rtol=1e-14)


def test_a_step_without_an_estimate_is_refused():
    sdlm = OPS.make("sdlm")
    with pytest.raises(cf.ContractError, match="call prepare before the first step"):
        sdlm.step(PARAMS, vector(1.0), sdlm.init(PARAMS), 0.1)


@pytest.mark.parametrize("wrong", [{"mu": 0.0}, {"gamma": 0.0}, {"gamma": 1.5}, {"samples": 0}, {"momentum": 1.0}])
def test_hyperparameters_out_of_their_bounds(wrong):
    with pytest.raises(cf.HyperparameterError, match=next(iter(wrong))):
        OPS.make("sdlm", **wrong)


def test_a_training_learns_keeps_float32_and_asks_before_each_epoch():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    t = (x @ rng.normal(size=(3, 2))).astype(np.float32)
    history = cf.Trainer(GRAPH, OPS.make("sdlm", samples=32), rate=0.1, batch_size=8, seed=2).fit({"x": x, "t": t}, epochs=4)
    assert history.state.optimizer["estimates"] == 4 and history.state.optimizer["curvature"].dtype == np.float32
    assert history.parameters.dtype == np.float32
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss / 10
