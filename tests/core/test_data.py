"""The embedded digits, codings, normalisation, and data that are refused."""

from __future__ import annotations

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import data, targets


def test_the_embedded_digits_are_scikit_learns():
    images, labels = data.digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.uint8 and images.max() == 16
    assert labels.shape == (1797,) and np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    assert np.array_equal(images[:, 0], theirs.images) and np.array_equal(labels, theirs.target)


def test_digits_for_deeper_networks():
    split = data.digits16()
    assert split.train_images.shape == (1438, 1, 16, 16) and split.test_images.shape == (359, 1, 16, 16)
    assert split.train_images.dtype == np.float32
    assert abs(split.train_images.mean()) < 1e-5 and abs(split.train_images.std() - 1) < 1e-5
    assert np.array_equal(split.test_images[:, :, ::2, ::2], split.test_images[:, :, 1::2, 1::2])
    again = data.digits16()
    assert all(np.array_equal(one, two) for one, two in zip(split, again, strict=True))
    assert not np.array_equal(split.test_labels, data.digits16(seed=1).test_labels) or not np.array_equal(split.test_images, data.digits16(seed=1).test_images)


def test_a_split_loses_and_repeats_nothing():
    images, labels = np.arange(50).reshape(50, 1, 1, 1), np.arange(50) % 5
    split = data.split(images, labels, test=0.3)
    assert sorted([*split.train_images.ravel(), *split.test_images.ravel()]) == list(range(50))
    assert np.bincount(split.test_labels).tolist() == [3] * 5
    assert np.array_equal(split.test_images.ravel() % 5, split.test_labels)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (-0.8, 0.8)])
def test_codings_there_and_back(low, high):
    labels = np.array([2, 0, 1, 2])
    coded = targets.one_hot(labels, 3, low, high)
    assert coded.dtype == np.float32 and np.array_equal(targets.labels_of(coded), labels) and targets.is_coding(coded)
    assert coded[0].tolist() == pytest.approx([low, low, high])


@pytest.mark.parametrize(("coding", "wanted"), [("0/1", [[0, 0, 1], [1, 0, 0]]), ("-1/+1", [[-1, -1, 1], [1, -1, -1]]), ("index", [2, 0])])
def test_codings_by_name(coding, wanted):
    coded = targets.encode([2, 0], coding, 3)
    assert coded.tolist() == wanted and coded.dtype == (np.int64 if coding == "index" else np.float32)


@pytest.mark.parametrize("coding", targets.CODINGS)
def test_codings_by_name_there_and_back(coding):
    labels = np.random.default_rng(0).integers(0, 7, 50)
    assert np.array_equal(targets.decode(targets.encode(labels, coding, 7)), labels)


def test_codings_by_name_refused():
    with pytest.raises(cf.DataError, match=r"coding must be one of 0/1, -1/\+1, -0.8/\+0.8, index; got '1/0'"):
        targets.encode([1], "1/0", 2)
    with pytest.raises(cf.DataError, match="labels must be from 0 to 1; got 2 at 0"):
        targets.encode([2], "index", 2)
    for wrong in ([0.5], [-1], np.zeros((2, 2, 2)), [["a"]]):
        with pytest.raises(cf.DataError):
            targets.decode(wrong)


def test_what_is_no_coding():
    assert not targets.is_coding(np.eye(3)[:, :1]) and not targets.is_coding(np.ones((2, 3))) and not targets.is_coding([[0, 1, 1]])
    assert not targets.is_coding([[0.0, 1.0, 0.5]]) and not targets.is_coding(np.ones((0, 3)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"labels must be from 0 to 2; got 3 at 1; 1 of 2 are out of range"),
        ([-1], r"got -1 at 0"),
        ([0.5], r"vector of integers; got float64"),
        ([[0]], r"vector of integers; got int64 of shape \(1, 1\)"),
        (["a"], r"vector of integers"),
    ],
)
def test_labels_refused(labels, message):
    with pytest.raises(cf.DataError, match=message):
        targets.one_hot(labels, 3)


def test_codings_refused():
    with pytest.raises(cf.DataError, match="low must be below high"):
        targets.one_hot([0], 2, 1, 0)
    with pytest.raises(cf.DataError, match=r"axes \(n, classes\); got float64 of shape \(3,\)"):
        targets.labels_of(np.zeros(3))
    with pytest.raises(cf.DTypeError, match="float32 or float64; got int64"):
        targets.one_hot([0], 2, dtype=np.int64)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4)), r"axes \(n, maps, \*map\)"),
        (np.zeros((0, 1, 2)), "at least one image"),
        (np.full((2, 1, 2), np.inf), r"finite; got inf at \(0, 0, 0\); clean or drop image 0"),
        (np.array([[["a"]]]), "real numbers"),
    ],
)
def test_images_refused(images, message):
    for call in (data.double, data.standardise_images, data.Standardiser.fit, lambda x: data.split(x, [0, 1])):
        with pytest.raises(cf.DataError, match=message):
            call(images)


def test_splits_refused():
    images = np.zeros((4, 1, 1))
    with pytest.raises(cf.DataError, match="one for each of 4 examples; got 3"):
        data.split(images, [0, 1, 0])
    with pytest.raises(cf.DataError, match=r"between 0 and 1; got 1.5"):
        data.split(images, [0, 1, 0, 1], test=1.5)
    with pytest.raises(cf.DataError, match="too few to hold out"):
        data.split(images, [0, 1, 0, 1], test=0.01)


def test_standardise_by_feature():
    images = np.random.default_rng(0).normal(3, 2, (20, 1, 2, 2))
    images[:, 0, 1, 1] = 5
    rule = data.Standardiser.fit(images)
    done = rule(images)
    np.testing.assert_allclose(done.mean(0), 0, atol=1e-12)
    assert done.std(0)[0, 0, 0] == pytest.approx(1) and not done[:, 0, 1, 1].any()
    assert rule(images.astype(np.float32)).dtype == np.float32
    with pytest.raises(cf.DataError, match="as those it was fitted to"):
        rule(np.zeros((2, 1, 3, 3)))
    with pytest.raises(cf.DataError, match="per must be one of feature, all; got 'image'"):
        data.Standardiser.fit(images, per="image")


def test_standardise_by_image():
    images = np.stack([np.arange(4.0).reshape(1, 2, 2), np.full((1, 2, 2), 7.0)])
    done = data.standardise_images(images)
    assert done[0].mean() == pytest.approx(0) and done[0].std() == pytest.approx(1) and not done[1].any()


def test_double_is_the_kronecker_product():
    assert data.double(np.array([[[[1, 2]]]])).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    assert data.double(np.array([[[1, 2]]])).tolist() == [[[1, 1, 2, 2]]]
