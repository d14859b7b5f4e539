"""IDX files and MNIST: what is read, and truncated, mislabelled and malicious files refused without trusting their own word."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnframe as cf
from cnnframe import data
from cnnframe.data import _mnist

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
PLAIN = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + IMAGES.tobytes()


@pytest.fixture
def traced():
    """What is allocated in a test is counted."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def written(folder, content, name="a"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_what_the_form_says(tmp_path, pack):
    found = data.read_idx(written(tmp_path, pack(PLAIN)))
    assert found.dtype == np.uint8 and np.array_equal(found, IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("code", "kind"), [(8, "u1"), (9, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")])
def test_every_element_type_is_big_endian(tmp_path, code, kind, pack):
    values = np.array([1, 0, 100], kind)
    found = data.read_idx(written(tmp_path, pack(bytes([0, 0, code, 1]) + struct.pack(">I", 3) + values.astype(f">{kind}").tobytes())))
    assert found.dtype == np.dtype(kind) and found.tolist() == [1, 0, 100]


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize("array", [IMAGES, np.array([1.5, -2.0]), np.zeros((3, 0), np.int16), np.array([[-1]], np.int8)], ids=str)
def test_what_is_written_is_read(tmp_path, name, array):
    data.write_idx(tmp_path / name, array)
    found = data.read_idx(tmp_path / name)
    assert found.dtype == array.dtype and np.array_equal(found, array) and [path.name for path in tmp_path.iterdir()] == [name]


def test_plain_files_are_mapped(tmp_path, traced):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"\0\0\x08\x01" + struct.pack(">I", 2**30))
        file.truncate(8 + 2**30)  # a file with a hole: it takes no room on the disk
    found = data.read_idx(path)
    assert found[2**30 - 5 :].tolist() == [0] * 5 and tracemalloc.get_traced_memory()[1] < 2**22
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path, pack):
    whole = pack(PLAIN)
    for end in range(len(whole)):
        with pytest.raises(cf.DataError, match=r"is no IDX file|is truncated"):
            data.read_idx(written(tmp_path, whole[:end]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n", r"is no IDX file: it begins with 89 50 4e 47"),
        (b"", r"begins with nothing"),
        (b"\0\0\x07\x01\0\0\0\0", r"is no IDX file"),
        (b"\0\0\x08\0", r"is no IDX file"),
        (b"\0\0\x08\x09" + b"\0" * 36, r"is no IDX file"),
        (PLAIN + b"x", r"its header promises 2 x 3 x 4 entries, 24 bytes; got 25"),
        (gzip.compress(PLAIN + b"x"), r"24 bytes; got more"),
        (gzip.compress(PLAIN) + gzip.compress(PLAIN), r"24 bytes; got more"),
        (gzip.compress(PLAIN) + b"garbage", r"truncated or damaged: Not a gzipped file"),
        (gzip.compress(PLAIN)[:-6] + b"\0\0" + gzip.compress(PLAIN)[-4:], r"truncated or damaged: CRC check failed"),
        (b"\x1f\x8b\x08\0" + b"\xff" * 40, r"truncated or damaged"),
    ],
    ids=["png", "empty", "type", "no axes", "many axes", "long", "long gz", "two members", "garbage", "crc", "no deflate"],
)
def test_refused(tmp_path, content, message):
    with pytest.raises(cf.DataError, match=message):
        data.read_idx(written(tmp_path, content))


HUGE = b"\0\0\x0e\x08" + b"\xff" * 32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HUGE, r"truncated or not what it says"),
        (gzip.compress(HUGE), r"taken for a bomb"),
        (gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 2**26) + b"\0" * 100), r"got 100; get it again"),
        (gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(2**24)), r"10 bytes; got more"),
        (
            gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 2**27) + bytes(2**20)),
            r"promises 134,217,728 bytes, more than 100 times .* taken for a bomb",
        ),
    ],
    ids=["header", "packed header", "modest", "more than promised", "bomb"],
)
def test_nothing_is_allocated_by_the_files_own_word(tmp_path, content, message, traced):
    path = written(tmp_path, content)
    with pytest.raises(cf.DataError, match=message):
        data.read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < 4 * 2**20


@given(st.data())
def test_changed_bytes_are_read_or_refused(tmp_path_factory, draw):
    content = bytearray(draw.draw(st.sampled_from([PLAIN, gzip.compress(PLAIN, mtime=0)])))
    for place in draw.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] = draw.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(content), "changed")
    try:
        found = data.read_idx(path)
    except cf.DataError:
        return
    assert found.nbytes <= 24


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", ".", "pipe"):
        with pytest.raises(cf.DataError, match="is no file; name an IDX file"):
            data.read_idx(tmp_path / name)


def test_arrays_that_cannot_be_written(tmp_path):
    for array in (np.zeros(2, complex), np.zeros(2, np.uint32), np.float64(3), np.zeros((1,) * 9), ["a"]):
        with pytest.raises(cf.DataError, match="IDX holds"):
            data.write_idx(tmp_path / "a", array)
    with pytest.raises(cf.DataError, match="cannot be written"):
        data.write_idx(tmp_path / "no" / "a", IMAGES)
    assert not list(tmp_path.iterdir())


def a_folder(folder, *, ending="", train=(4, 4), test=(2, 2), labels=(0, 1, 2, 1), held=(2, 0)):
    """Four small files; `train` and `test` are the numbers of images and of labels."""
    rng = np.random.default_rng(0)
    data.write_idx(folder / f"train-images-idx3-ubyte{ending}", rng.integers(0, 256, (train[0], 5, 6), np.uint8))
    data.write_idx(folder / f"train-labels-idx1-ubyte{ending}", np.array(labels[: train[1]], np.uint8))
    data.write_idx(folder / f"t10k-images-idx3-ubyte{ending}", rng.integers(0, 256, (test[0], 5, 6), np.uint8))
    data.write_idx(folder / f"t10k-labels-idx1-ubyte{ending}", np.array(held[: test[1]], np.uint8))
    return folder


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_of_look_alikes(tmp_path, ending, monkeypatch):
    parts = data.idx_folder(a_folder(tmp_path, ending=ending))
    assert parts.train_images.shape == (4, 1, 5, 6) and parts.test_images.shape == (2, 1, 5, 6)
    assert parts.train_labels.tolist() == [0, 1, 2, 1] and parts.test_labels.tolist() == [2, 0] and parts.train_labels.dtype == np.int64
    monkeypatch.setenv("CNNFRAME_DATA", str(tmp_path))
    again = data.idx_folder(classes=3)
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))
    with pytest.raises(cf.DataError, match=r"train-images-idx3-ubyte is not MNIST's: its MD5 sum is \w{32}, wanted 6bbc9ace"):
        data.mnist()
    with pytest.raises(cf.DataError, match=r"labels of .* must be from 0 to 1; got 2"):
        data.idx_folder(classes=2)


def test_a_folder_with_dots_in_its_names(tmp_path):
    for path in list(a_folder(tmp_path).iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert len(data.idx_folder(tmp_path).test_labels) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": (4, 3)}, r"the labels of .*train-images-idx3-ubyte must be one for each of 4 examples; got 3"),
        ({"test": (1, 2)}, r"the labels of .*t10k-images-idx3-ubyte must be one for each of 1 examples; got 2"),
        ({"held": (2, 7)}, r"label 7 occurs in t10k-labels-idx1-ubyte and not in train-labels-idx1-ubyte"),
        ({"train": (0, 0)}, r"train-images-idx3-ubyte must hold images"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, given, message):
    with pytest.raises(cf.DataError, match=message):
        data.idx_folder(a_folder(tmp_path, **given))


def test_folders_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("CNNFRAME_DATA", raising=False)
    with pytest.raises(cf.DataError, match="no folder of data is named; give one, or set CNNFRAME_DATA"):
        data.mnist()
    with pytest.raises(cf.DataError, match="nowhere is not there"):
        data.mnist(tmp_path / "nowhere")
    with pytest.raises(cf.DataError, match="has no train-images-idx3-ubyte, gzipped or not"):
        data.mnist(tmp_path)
    a_folder(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(images.read_bytes())
    with pytest.raises(cf.DataError, match=r"must be a vector of bytes; got uint8 of shape .* is it a file of images"):
        data.idx_folder(tmp_path)
    images.write_bytes((tmp_path / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(cf.DataError, match="is it a file of labels"):
        data.idx_folder(tmp_path)
    data.write_idx(images, np.zeros((2, 7, 7), np.uint8))
    data.write_idx(labels, np.zeros(2, np.uint8))
    with pytest.raises(cf.DataError, match=r"images for training have shape \(1, 7, 7\), those for testing \(1, 5, 6\)"):
        data.idx_folder(tmp_path)


def test_a_folder_where_only_some_files_are_mnists(tmp_path, monkeypatch):
    a_folder(tmp_path)
    _, md5 = data._idx.read_with_md5(tmp_path / "train-images-idx3-ubyte", md5=True)
    own = _mnist.TRAIN_IMAGES._replace(md5=md5)
    monkeypatch.setattr(_mnist, "TRAIN_IMAGES", own)
    monkeypatch.setattr(_mnist, "PARTS", (own, *_mnist.PARTS[1:]))
    with pytest.raises(cf.DataError, match=r"train-images-idx3-ubyte is MNIST's, but train-labels-idx1-ubyte is not"):
        data.idx_folder(tmp_path)


@pytest.mark.skipif("CNNFRAME_DATA" not in os.environ, reason="CNNFRAME_DATA names no folder with MNIST")
def test_mnist():
    """Counts of each digit as published with the data."""
    parts = data.mnist()
    assert parts.train_images.shape == (60000, 1, 28, 28) and parts.test_images.shape == (10000, 1, 28, 28)
    assert np.bincount(parts.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(parts.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert all(np.array_equal(one, two) for one, two in zip(parts, data.idx_folder(), strict=True))


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    data.write_idx(tmp_path / "a", IMAGES)
    before = (tmp_path / "a").read_bytes()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(cf.DataError, match="a cannot be written: No space left on device; the one before is kept; make room"):
        data.write_idx(tmp_path / "a", IMAGES[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_bytes() == before
