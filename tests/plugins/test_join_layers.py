"""Flatten, concatenate and add."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cnnframe import ShapeError
from cnnframe_plugins.joins import Add, Concatenate, Flatten


@pytest.mark.parametrize("maps", [(3,), (2, 3), (2, 3, 2)])
def test_flatten_is_row_major_and_its_backward_undoes_it(maps):
    x = np.arange(2.0 * 2 * np.prod(maps)).reshape(2, 2, *maps)
    layer = Flatten(len(maps))
    for given in (x, np.asfortranarray(x)):
        y, saved = layer.forward(given)
        assert_array_equal(y, x.reshape(2, -1))
        assert not np.shares_memory(y, given)
        dx = layer.backward(y, saved)["x"]
        assert_array_equal(dx, x)
        assert not np.shares_memory(dx, y)
    assert layer.output_shapes(layer.sizes({"x": x.shape})) == {"y": (2, 2 * int(np.prod(maps)))}


@pytest.mark.parametrize("maps", [(), (3,), (2, 3), (2, 1, 3)])
def test_concatenate_puts_maps_behind_maps(maps):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, *maps)), rng.normal(size=(2, 1, *maps))
    layer = Concatenate(len(maps))
    y, saved = layer.forward(a, b)
    assert layer.output_shapes(layer.sizes({"a": a.shape, "b": b.shape})) == {"y": y.shape}
    assert_array_equal(y[:, :3], a)
    assert_array_equal(y[:, 3:], b)
    got = layer.backward(y, saved)
    assert_array_equal(got["a"], a)
    assert_array_equal(got["b"], b)
    assert not any(np.shares_memory(gradient, y) for gradient in got.values())


def test_maps_of_different_sizes_are_not_concatenated():
    with pytest.raises(ShapeError, match="'b'"):
        Concatenate().sizes({"a": (2, 3, 4, 4), "b": (2, 1, 4, 5)})


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 2)])
def test_add(shape):
    a, b = np.full(shape, 2.0), np.full(shape, 5.0)
    y, saved = Add().forward(a, b)
    assert_array_equal(y, np.full(shape, 7.0))
    dy = np.full(shape, 3.0)
    got = Add().backward(dy, saved)
    for gradient in got.values():
        assert_array_equal(gradient, dy)
        assert not np.shares_memory(gradient, dy)
    assert not np.shares_memory(got["a"], got["b"])


def test_arrays_of_different_shapes_are_not_added():
    with pytest.raises(ShapeError, match="'b'"):
        Add().sizes({"a": (2, 3), "b": (2, 1)})
