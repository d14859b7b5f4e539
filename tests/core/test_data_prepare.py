"""Sizes and scales by their formulas, and arrays that are never loaded whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cnnframe as cf
from cnnframe import data

RAW = np.array([[[[0, 255], [51, 102]]], [[[0, 0], [255, 0]]]], np.uint8)


@pytest.fixture
def traced():
    """What is allocated in a test is counted."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("scaling", "wanted"),
    [
        ("none", [[0, 255], [51, 102]]),
        ("0/1", [[0, 1], [0.2, 0.4]]),
        ("-1/+1", [[-1, 1], [-0.6, -0.2]]),
        ("lecun", [[-0.1, 1.175], [0.155, 0.41]]),  # -0.1 + 1.275 x / 255
    ],
)
def test_scales_by_their_formulas(scaling, wanted):
    rule = data.Preparation.fit(RAW, 2, scaling)
    done = rule(RAW)
    assert done.dtype == np.float32
    assert_allclose(done[0, 0], wanted, rtol=1e-6, atol=1e-7)
    assert data.Preparation.fit(RAW, 2, scaling, np.float64)(RAW).dtype == np.float64


def test_full_ink_may_be_said():
    assert data.Preparation.fit(RAW // 2, 2, "0/1", high=255)(RAW)[0, 0, 0, 1] == 1.0
    assert data.Preparation.fit(RAW // 2, 2, "0/1")(RAW // 2).max() == 1.0


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_mean_and_variance_of_the_training_images(monkeypatch, pieces):
    monkeypatch.setattr(data._prepare, "_PIECE", pieces)
    images = np.random.default_rng(0).integers(0, 256, (9, 2, 3, 3)).astype(np.float64) + 1e6
    images[:, 1, 2, 2] = 7.0
    exact = {"standardise": (images - images.mean()) / images.std(), "image": data.standardise_images(images)}
    spread = images.std(0)
    exact["feature"] = (images - images.mean(0)) / np.where(spread > 0, spread, 1)
    for scaling, wanted in exact.items():
        done = data.Preparation.fit(images, 3, scaling, np.float64)(images)
        assert_allclose(done, wanted, rtol=1e-9, atol=1e-9, err_msg=scaling)
    assert not done[:, 1, 2, 2].any()


def test_what_was_taken_from_the_training_images_is_put_on_others():
    parts = data.Split(RAW, np.array([0, 1]), RAW[:1] // 3, np.array([0]))
    done = data.prepare(parts, 4, "standardise", np.float64)
    assert done.train_images.shape == (2, 1, 4, 4) and done.test_images.shape == (1, 1, 4, 4)
    assert_allclose(done.test_images[0, 0, ::2, ::2], (np.array([[0, 85], [17, 34]]) - RAW.mean()) / RAW.std())
    assert done.train_labels is parts.train_labels


def test_the_embedded_digits_for_sixteen_pixels_are_the_same_by_both_doors():
    there = data.digits16()
    again = data.prepare(data.split(*data.digits()), 16, "standardise")
    assert np.array_equal(there.train_labels, again.train_labels)
    assert_allclose(again.train_images, there.train_images, atol=1e-6)
    assert_allclose(again.test_images, there.test_images, atol=1e-6)


def test_padding_lays_the_image_in_the_middle():
    assert data.pad_to(RAW[:1], 4)[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 255, 0], [0, 51, 102, 0], [0, 0, 0, 0]]
    assert data.pad_to(RAW[:1], 3, 9)[0, 0].tolist() == [[0, 255, 9], [51, 102, 9], [9, 9, 9]]
    assert data.pad_to(np.zeros((1, 1, 28, 28)), 32, 1)[0, 0].sum() == 32 * 32 - 28 * 28
    assert data.pad_to(np.ones((1, 1, 2, 4)), 5)[0, 0].tolist() == [[0] * 5, [1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [0] * 5, [0] * 5]


def test_bilinear_by_hand():
    """4 entries to 2: centres 0.5 and 2.5. 2 entries to 4: centres -0.25 (the first entry), 0.25, 0.75, 1.25."""
    row = np.array([[[[0.0, 4.0, 8.0, 20.0]] * 4]])
    assert data.bilinear(row, 2)[0, 0].tolist() == [[2, 14], [2, 14]]
    assert_allclose(data.bilinear(np.array([[[[0.0, 4.0], [8.0, 12.0]]]]), 4)[0, 0, 0], [0, 1, 3, 4])
    assert data.bilinear(RAW, 2).dtype == np.float32 and np.array_equal(data.bilinear(RAW, 2), RAW)


def test_bilinear_is_separable_interpolation():
    image = np.random.default_rng(0).normal(size=(1, 1, 28, 28))
    at = (np.arange(16) + 0.5) * 28 / 16 - 0.5
    by_rows = np.stack([np.interp(at, np.arange(28), row) for row in image[0, 0]])
    wanted = np.stack([np.interp(at, np.arange(28), column) for column in by_rows.T]).T
    assert_allclose(data.bilinear(image, 16)[0, 0], wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("height", "side", "how"),
    [(8, 16, data.double), (8, 8, np.asarray), (28, 32, data.pad_to), (28, 29, data.pad_to), (28, 16, data.bilinear), (8, 28, data.bilinear)],
)
def test_how_a_size_is_brought_about(height, side, how):
    images = np.random.default_rng(0).random((2, 1, height, height))
    assert np.array_equal(data.fit_to(images, side), how(images, side) if how in (data.pad_to, data.bilinear) else how(images))


def test_some_of_the_examples():
    parts = data.Split(np.arange(20.0).reshape(20, 1, 1, 1), np.arange(20), np.arange(5.0).reshape(5, 1, 1, 1), np.arange(5))
    few = data.subset(parts, 7, 3, seed=4)
    assert few.train_images.ravel().tolist() == few.train_labels.tolist() and len(set(few.train_labels.tolist())) == 7
    assert few.test_images.ravel().tolist() == few.test_labels.tolist() and len(few.test_labels) == 3
    assert np.array_equal(few.train_labels, data.subset(parts, 7, 3, seed=4).train_labels)
    assert not np.array_equal(few.train_labels, data.subset(parts, 7, 3, seed=5).train_labels)
    with pytest.raises(cf.DataError, match="test must be at most 5, the examples that there are; got 6"):
        data.subset(parts, 7, 6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.Preparation.fit(RAW, 2, "foo"), cf.DataError, r"scaling must be one of none, 0/1, .*; got 'foo'"),
        (lambda: data.Preparation.fit(RAW * 0, 2, "0/1"), cf.DataError, r"high, the entry of full ink, must be greater than 0; got 0"),
        (lambda: data.Preparation.fit(RAW, 2, "0/1", high="a"), cf.DataError, r"high must be a number; got 'a'"),
        (lambda: data.Preparation.fit(RAW, 2, "0/1", "int8"), cf.DTypeError, r"float32 or float64; got int8"),
        (lambda: data.Preparation.fit(RAW, 0, "0/1"), cf.HyperparameterError, r"side must be an integer of at least 1"),
        (lambda: data.Preparation.fit(RAW[:0], 2, "0/1"), cf.DataError, r"at least one image"),
        (lambda: data.Preparation.fit(RAW[0], 2, "0/1")(RAW[0]), cf.DataError, r"axes \(n, maps, height, width\)"),
        (lambda: data.Preparation.fit(RAW, 2, "feature")(np.zeros((1, 3, 2, 2))), cf.DataError, r"must have 1 maps, .*; got 3"),
        (lambda: data.Preparation.fit(RAW * np.nan, 2, "0/1"), cf.DataError, r"must be finite"),
        (lambda: data.pad_to(RAW, 1), cf.DataError, r"images of 2x2 are larger than 1x1; use bilinear"),
        (lambda: data.Lazy(3, np.asarray), cf.DataError, r"Lazy: an array with at least one example and a function"),
        (lambda: data.Lazy(RAW[:0], np.asarray), cf.DataError, r"Lazy"),
        (lambda: data.Lazy(RAW, None), cf.DataError, r"Lazy"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_array_that_is_made_when_it_is_read():
    lazy = data.Lazy(RAW, data.Preparation.fit(RAW, 2, "0/1"))
    whole = RAW.astype(np.float32) / 255
    assert lazy.shape == (2, 1, 2, 2) and lazy.dtype == np.float32 and lazy.ndim == 4 and len(lazy) == 2
    for chosen in (slice(None), slice(1, 2), np.array([1, 0, 1]), np.array([], int), 1, -1, np.array([True, False])):
        assert np.array_equal(lazy[chosen], whole[chosen]) and lazy[chosen].shape == whole[chosen].shape
    assert np.array_equal(np.asarray(lazy), whole) and np.asarray(lazy, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        np.array(lazy, copy=False)
    with pytest.raises(IndexError):
        lazy[2]


def test_images_larger_than_memory(tmp_path, traced):
    """30,000 images: 24 MB of bytes on the disk, 123 MB as a network takes them; a twentieth of that has to be enough."""
    path = tmp_path / "images"
    with path.open("wb") as file:
        file.write(b"\0\0\x08\x03" + b"".join(length.to_bytes(4, "big") for length in (30000, 28, 28)))
        file.write(bytes(28 * 28 * 29999) + bytes(range(196)) * 4)
    tracemalloc.reset_peak()
    images = data.read_idx(path)[:, np.newaxis]
    lazy = data.Lazy(images, data.Preparation.fit(images, 32, "lecun"))
    chosen = np.random.default_rng(0).permutation(30000)
    for first in range(0, 2048, 64):
        assert lazy[chosen[first : first + 64]].shape == (64, 1, 32, 32)
    assert lazy[29999].max() == np.float32(1.175) and lazy[0].max() == np.float32(-0.1)
    peak = tracemalloc.get_traced_memory()[1]
    assert np.prod(lazy.shape) * lazy.dtype.itemsize == 122_880_000 and peak < 6_000_000


def test_a_network_trains_on_arrays_of_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "t.npy", t)
    (tmp_path / "notes.txt").write_text("of no importance")
    arrays = data.open_arrays(tmp_path)
    assert list(arrays) == ["t", "x"] and not arrays["x"].flags.writeable
    ops = cf.load()
    graph = cf.Graph.chain(ops.make("dense", units=2), inputs="n 3", loss=ops.make("softmax_cross_entropy", targets="index"))
    trainer = cf.Trainer(graph, ops.make("sgd"), 0.1, 8)
    from_disk, from_memory = (trainer.fit(examples, epochs=2) for examples in (arrays, {"x": x, "t": t}))
    assert np.array_equal(from_disk.parameters.vector, from_memory.parameters.vector)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"holds no file \*.npy"),
        ({"x.npy": b""}, r"x.npy is no array that can be mapped"),
        ({"x.npy": b"\x93NUMPY\x01\0\x10\0{'descr': 3}      "}, r"x.npy is no array that can be mapped"),
        ({"x.npy": np.zeros(3), "t.npy": np.zeros(2)}, r"same number of examples, at least one; got t 2, x 3"),
        ({"x.npy": np.zeros(())}, r"got x 0"),
        ({"x.npy": np.array([{"a": 1}], object)}, r"x.npy is no array that can be mapped: .*Python objects"),
    ],
)
def test_folders_of_arrays_refused(tmp_path, files, message):
    for name, content in files.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.save(tmp_path / name, content, allow_pickle=True)
    with pytest.raises(cf.DataError, match=message):
        data.open_arrays(tmp_path)


def test_an_array_that_is_cut_or_lies(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(1000))
    whole = (tmp_path / "x.npy").read_bytes()
    for content in (
        whole[:-1],
        whole[:50],
        whole.replace(b"(1000,)", b"(9**9,)"),
        whole.replace(b"(1000,), } ", b"(10000,), }"),
        whole.replace(b"(1000,)", b"(-100,)"),
        whole.replace(b"'<f8'", b"'|O8'"),
    ):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(cf.DataError, match="no array that can be mapped"):
            data.open_arrays(tmp_path)
    with pytest.raises(cf.DataError, match="is no folder"):
        data.open_arrays(tmp_path / "x.npy")
