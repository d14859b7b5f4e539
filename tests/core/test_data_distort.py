"""Distortions: by their formulas, reproducible, and a function of seed and epoch."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter, map_coordinates

import cnnframe as cf
from cnnframe.data import Distortion

IMAGES = np.random.default_rng(0).random((5, 2, 9, 11)).astype(np.float32)
NONE = {"elastic": 0.0}


def drawn():
    return np.random.default_rng(7)


@pytest.mark.parametrize("distortion", [Distortion(), Distortion.affine(), Distortion(6, 2, 10, 0.1, 0.1, 1, 0.0)], ids=["elastic", "affine", "both"])
def test_the_same_generator_the_same_images(distortion):
    before = IMAGES.copy()
    one, two = distortion(IMAGES, drawn()), distortion(IMAGES, drawn())
    assert one.shape == IMAGES.shape and one.dtype == np.float32 and np.array_equal(one, two) and np.array_equal(IMAGES, before)
    assert np.array_equal(distortion.at(IMAGES, 3, 1), distortion.at(IMAGES, 3, 1))
    different = [distortion.at(IMAGES, 3, 1), distortion.at(IMAGES, 3, 2), distortion.at(IMAGES, 4, 1), IMAGES]
    assert all(not np.array_equal(a, b) for number, a in enumerate(different) for b in different[:number])
    assert not np.array_equal(one[0] - IMAGES[0], one[1] - IMAGES[1])


def test_elastic_fields_are_smoothed_noise():
    """Section 2 of Simard et al.: uniform from -1 to 1, convolved with a Gaussian, times alpha."""
    field = Distortion(5.0, 2.0).displacements(3, 9, 11, drawn())
    noise = drawn().random((2, 3, 9, 11), np.float32) * 2 - 1
    wanted = [[5.0 * gaussian_filter(plane.astype(float), 2.0, mode="constant") for plane in planes] for planes in noise]
    assert_allclose(field, wanted, atol=1e-5)


def test_images_are_read_where_the_field_says():
    """Each image and map by a call of its own, with the nearest entry beyond the border."""
    distortion = Distortion(5.0, 2.0, 10.0, 0.1, 0.1, 1.0)
    found = distortion(IMAGES, drawn())
    at = distortion.displacements(5, 9, 11, drawn()) + np.indices((9, 11))[:, None]
    wanted = [[map_coordinates(plane, at[:, number], order=1, mode="nearest") for plane in maps] for number, maps in enumerate(IMAGES)]
    assert_allclose(found, wanted, atol=1e-5)


def test_beyond_the_border_is_the_background():
    distortion = Distortion(20.0, 2.0, background=-3.0)
    found = distortion(IMAGES, drawn())
    at = distortion.displacements(5, 9, 11, drawn()) + np.indices((9, 11))[:, None]
    framed = np.pad(IMAGES, ((0, 0), (0, 0), (30, 30), (30, 30)), constant_values=-3.0)
    wanted = [[map_coordinates(plane, at[:, number] + 30, order=1) for plane in maps] for number, maps in enumerate(framed)]
    assert_allclose(found, wanted, atol=1e-4)
    assert (found == -3.0).any()


@pytest.mark.parametrize("amounts", [{"shift": 2.0}, {"rotation": 90.0}, {"scaling": 0.5}, {"shear": 0.5}], ids=str)
def test_affine_amounts_stay_within_their_limits(amounts):
    field = Distortion(**NONE, **amounts).displacements(200, 9, 9, drawn())
    places = np.indices((9, 9)) - 4.0
    ends = field[:, :, 0, 0]
    if "shift" in amounts:
        assert np.ptp(field, axis=(2, 3)).max() < 1e-9 and 1.9 < abs(ends).max() <= 2
    elif "rotation" in amounts:
        moved = field + places[:, None]
        assert_allclose(np.hypot(*moved), np.broadcast_to(np.hypot(*places), (200, 9, 9)), atol=1e-9)
        angles = np.arctan2(moved[1, :, 4, 8], moved[0, :, 4, 8]) - math.pi / 2
        assert 80 < np.rad2deg(abs(angles)).max() <= 90
    elif "scaling" in amounts:
        ratios = field / np.where(places == 0, 1, places)[:, None]
        assert 0.45 < abs(ratios).max() <= 0.5 and not np.allclose(ratios[0, :, 0, 0], ratios[1, :, 0, 0])
    else:
        slopes = field[1, :, 0] / -4.0
        assert not field[0].any() and 0.45 < abs(slopes).max() <= 0.5 and np.allclose(field[1], slopes[:, :1, None] * places[0])
    assert abs(field[:, :, 4, 4]).max() < 1e-9 or "shift" in amounts


def test_a_whole_pixel_moves_the_image():
    class Fixed(np.random.Generator):
        def uniform(self, low=0.0, high=1.0, size=None):
            return np.stack([np.full(size[1], value) for value in (0, 0, 0, 0, 1, 0)])

    found = Distortion(**NONE, shift=1.0, background=0.0)(IMAGES, Fixed(np.random.PCG64(0)))
    assert np.array_equal(found[:, :, :-1], IMAGES[:, :, 1:]) and not found[:, :, -1].any()


def test_integers_are_rounded():
    images = (IMAGES * 255).astype(np.uint8)
    found = Distortion(3.0, 2.0)(images, drawn())
    exact = Distortion(3.0, 2.0)(images.astype(np.float64), drawn())
    assert found.dtype == np.uint8 and abs(found - exact).max() <= 0.501


def test_nothing_moves_by_nothing():
    assert np.array_equal(Distortion(**NONE)(IMAGES, drawn()), IMAGES)


def test_it_is_a_frozen_value():
    with pytest.raises(FrozenInstanceError):
        Distortion().elastic = 3
    assert Distortion() == Distortion(34.0, 4.0) and hash(Distortion()) == hash(Distortion(34.0, 4.0))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Distortion(-1.0), cf.HyperparameterError, "elastic must be finite and at least 0; got -1.0"),
        (lambda: Distortion(smoothing=0.0), cf.HyperparameterError, "smoothing must be greater than 0"),
        (lambda: Distortion(rotation="a"), cf.HyperparameterError, "rotation must be a number; got 'a'"),
        (lambda: Distortion(scaling=1.0), cf.HyperparameterError, "scaling must be below 1"),
        (lambda: Distortion(background=np.nan), cf.HyperparameterError, "background must be finite"),
        (lambda: Distortion()(IMAGES[0], drawn()), cf.DataError, r"axes \(n, maps, height, width\)"),
        (lambda: Distortion()(IMAGES * np.nan, drawn()), cf.DataError, "must be finite"),
        (lambda: Distortion()(IMAGES, 0), cf.DataError, r"rng must be a numpy.random.Generator"),
        (lambda: Distortion().at(IMAGES, -1, 0), cf.HyperparameterError, "seed must be an integer of at least 0"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
