"""Parameters: one vector, named views."""

from __future__ import annotations

import numpy as np
import pytest

import cnnframe as cf

make = cf.load().make
GRAPH = cf.Graph.chain(make("dense", units=3), make("relu"), make("dense", units=2), inputs="n 4")


@pytest.fixture
def params():
    return cf.Parameters.initialise(GRAPH, seed=1, dtype=np.float64)


def test_views_of_one_vector(params):
    assert list(params) == ["dense1.W", "dense1.b", "dense2.W", "dense2.b"] and len(params) == 4
    assert params.vector.shape == (23,) and all(np.shares_memory(params[name], params.vector) for name in params)
    assert params.roles == {"dense1.W": "weight", "dense1.b": "bias", "dense2.W": "weight", "dense2.b": "bias"}
    with pytest.raises(ValueError, match="read-only"):
        params["dense1.W"][0, 0] = 1


def test_the_seed_decides(params):
    assert params == cf.Parameters.initialise(GRAPH, seed=1, dtype=np.float64)
    assert params != cf.Parameters.initialise(GRAPH, seed=2, dtype=np.float64)
    assert cf.Parameters.initialise(GRAPH).dtype == np.float32


def test_initialisers_by_name_and_role():
    params = cf.Parameters.initialise(GRAPH, initial={"bias": cf.Constant(2.0), "dense2.b": cf.Constant(3.0)})
    assert set(params["dense1.b"]) == {2.0} and set(params["dense2.b"]) == {3.0}
    with pytest.raises(cf.UnknownNameError, match="initial: 'biass' is no parameter array and no role; did you mean 'bias'"):
        cf.Parameters.initialise(GRAPH, initial={"biass": cf.Constant()})
    with pytest.raises(cf.ShapeError, match=r"parameter 'dense1.W' has shape \(3, 4\); got \(2,\)"):
        cf.Parameters.initialise(GRAPH, initial={"weight": lambda *_: np.zeros(2)})
    with pytest.raises(cf.NonFiniteError, match=r"'dense1.W' must be finite"):
        cf.Parameters.initialise(GRAPH, initial={"weight": lambda shape, *_: np.full(shape, np.nan)})
    with pytest.raises(cf.DTypeError, match="float32 or float64; got int64"):
        cf.Parameters.initialise(GRAPH, dtype=np.int64)


def test_replace_leaves_the_original(params):
    before = params.vector.copy()
    changed = params.replace({"dense1.b": [1, 2, 3]})
    assert list(changed["dense1.b"]) == [1, 2, 3] and np.array_equal(params.vector, before)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"dense1.B": [1, 2, 3]}, cf.UnknownNameError, "did you mean 'dense1.b'"),
        ({"dense1.b": [1, 2]}, cf.ShapeError, r"'dense1.b' has shape \(3,\); got \(2,\)"),
        ({"dense1.b": [1, 2, np.inf]}, cf.NonFiniteError, "'dense1.b' must be finite"),
        ({"dense1.b": ["a", "b", "c"]}, cf.DTypeError, "is float64; got <U1"),
        ({"dense1.b": np.array([1j, 2, 3])}, cf.DTypeError, "got complex128"),
    ],
)
def test_replace_refuses(params, given, error, message):
    with pytest.raises(error, match=message):
        params.replace(given)


def test_replace_refuses_a_wider_type():
    with pytest.raises(cf.DTypeError, match=r"is float32; got float64; convert with .astype\(np.float32\)"):
        cf.Parameters.initialise(GRAPH).replace({"dense1.b": np.zeros(3)})


def test_with_vector(params):
    vector = np.arange(23.0)
    made = params.with_vector(vector)
    vector[0] = 9
    assert made["dense1.W"][0, 0] == 0 and made["dense2.b"][1] == 22
    with pytest.raises(cf.ShapeError, match=r"shape \(23,\); got \(22,\)"):
        params.with_vector(np.zeros(22))
    with pytest.raises(cf.DTypeError, match="is float64; got float32"):
        params.with_vector(np.zeros(23, np.float32))
    vector[13] = np.nan
    with pytest.raises(cf.NonFiniteError, match=r"nan in 'dense1.b'"):
        params.with_vector(vector)


def test_unknown_array(params):
    with pytest.raises(cf.UnknownNameError, match=r"did you mean 'dense1.W'"):
        params["dense1.WW"]
    assert "dense1.WW" not in params


def test_rates_for_network_layer_array_and_weight(params):
    assert set(params.spread(0.5)) == {0.5}
    each = np.arange(6.0).reshape(2, 3)
    rates = params.with_vector(params.spread({"dense1": 0.1, "dense1.b": 0.2, "dense2.W": each}, default=0.3))
    assert set(rates["dense1.W"].ravel()) == {0.1} and set(rates["dense1.b"]) == {0.2} and set(rates["dense2.b"]) == {0.3}
    assert np.array_equal(rates["dense2.W"], each)


@pytest.mark.parametrize(
    ("rates", "error", "message"),
    [
        ({"dense1": 1}, cf.UnknownNameError, "nothing is given for 'dense2.W'; add it, or its layer 'dense2'"),
        ({"dense3": 1}, cf.UnknownNameError, "is called 'dense3'; did you mean"),
        ({"dense1": 1, "dense2": [1, 2]}, cf.ShapeError, r"'dense2.W' needs a number or an array of shape \(2, 3\)"),
    ],
)
def test_rates_refused(params, rates, error, message):
    with pytest.raises(error, match=message):
        params.spread(rates)


def test_shared_arrays_need_one_rate():
    dense = make("dense", units=4)
    nodes = (cf.Node("a", dense, {"x": "x"}, {"W": "W"}), cf.Node("b", dense, {"x": "a"}, {"W": "W"}))
    params = cf.Parameters.initialise(cf.Graph(nodes, {"x": "n 4"}))
    with pytest.raises(cf.UnknownNameError, match="'W' is shared by a, b, which have different rates"):
        params.spread({"a": 1, "b": 2})
    assert set(params.spread({"a": 1, "b": 2, "W": 3})) == {1, 2, 3}
