"""Fused kernels in networks, chosen by the planner; and networks where they cannot be had."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import cnnframe as cf

OPS = cf.load()
make = OPS.make
FUSED = OPS["fused"]
NUMPY = tuple(kernel for kernel in OPS.kernels if kernel is not FUSED)
needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="the extra `fast` is not installed")
TANH = make("scaled_tanh")


def network(*layers, inputs):
    return cf.Graph.chain(*layers, make("flatten"), make("dense", units=3), TANH, inputs=inputs, loss=make("squared_error"))


NETS = {
    "samples side by side": (network(make("conv", maps=2, size=3), TANH, make("subsample", size=2), TANH, inputs="n 1 8 8"), 11),
    "few samples": (network(make("conv", maps=2, size=3), TANH, make("subsample", size=2), TANH, inputs="n 1 8 8"), 1),
    "maps side by side, with borders": (
        network(make("conv", maps=32, size=3, padding=1), make("relu"), make("conv", maps=32, size=3, padding=1), make("relu"), inputs="n 8 6 8"),
        2,
    ),
}


@needs_numba
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_reference(name):
    graph, batch = NETS[name]
    params = cf.Parameters.initialise(graph, seed=1, dtype=np.float64)
    rng = np.random.default_rng(0)
    arrays = {key: rng.normal(size=shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    fused, plain = cf.Executor(graph, threads=2), cf.Executor(graph, kernels=(), threads=1)
    text = fused.plan(params, wanted_inputs=["x"], **arrays).describe()
    assert text.count("fused") >= 2, text
    one, other = (run.gradients(params, wanted_inputs=["x"], **arrays) for run in (fused, plain))
    assert one.loss == pytest.approx(other.loss, rel=1e-12)
    assert np.allclose(one.parameters.vector, other.parameters.vector, rtol=1e-9, atol=1e-11)
    assert np.allclose(one.inputs["x"], other.inputs["x"], rtol=1e-9, atol=1e-11)
    again = fused.gradients(params, wanted_inputs=["x"], **arrays)
    assert np.array_equal(again.parameters.vector, one.parameters.vector)


@needs_numba
def test_what_is_declined_says_why_and_numpy_serves():
    deep = cf.Graph.chain(make("conv", maps=2, size=2, dims=3), make("flatten", dims=3), inputs="n 1 3 3 3")
    x = np.zeros((2, 1, 3, 3, 3))
    text = cf.Executor(deep).plan(cf.Parameters.initialise(deep, dtype=np.float64), x=x).describe()
    assert "numpy_conv" in text and "fused does not serve stage 1: convolutions of 1 and 2 dimensions" in text


def test_where_it_is_unavailable_one_line_says_why(monkeypatch):
    monkeypatch.setattr(FUSED, "unavailable", classmethod(lambda cls: "Numba is not installed"))
    graph, batch = NETS["few samples"]
    arrays = {key: np.zeros(shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    text = cf.Executor(graph).plan(cf.Parameters.initialise(graph, dtype=np.float64), **arrays).describe()
    assert text.count("Numba is not installed") == 1 and "numpy_conv" in text


def test_a_chain_is_taken_as_far_as_its_form_goes():
    conv, dense, flatten, pool = make("conv", maps=2, size=3), make("dense", units=2), make("flatten"), make("subsample", size=2)
    assert FUSED.matches([conv, TANH, pool, TANH, conv]) == 4
    assert FUSED.matches([conv, pool, conv]) == 2
    assert FUSED.matches([flatten, dense, TANH, dense]) == 3
    assert FUSED.matches([flatten, conv]) == 2 and FUSED.matches([TANH, conv]) == 0 and FUSED.matches([flatten]) == 0

    class Other(OPS["conv"]):
        """May compute something else."""

    assert FUSED.matches([object.__new__(Other), TANH]) == 0
    assert [kernel.name for kernel in NUMPY if kernel.matches([conv])] == ["numpy_conv"]
