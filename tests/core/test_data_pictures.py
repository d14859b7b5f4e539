"""One's own pictures: read as MNIST's digits are, and bad files refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import center_of_mass

import cnnframe as cf
from cnnframe import data


@pytest.fixture
def traced():
    """What is allocated in a test is counted."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def drawing(ink=255, paper=0):
    """A one: a bar 40 high and 10 wide, off the middle of a picture of 100x80."""
    picture = np.full((100, 80), paper, np.uint8)
    picture[50:90, 5:15] = ink
    return picture


def saved(folder, picture, name="a.png", **options):
    path = folder / name
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


def test_ink_is_cut_out_and_laid_in_the_middle(tmp_path):
    """As for MNIST: a box of 20x20, its centre of mass in the middle of 28x28."""
    image = data.read_picture(saved(tmp_path, drawing()))
    assert image.shape == (28, 28) and image.dtype == np.uint8
    rows, columns = np.nonzero(image)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 5) and image[rows, columns].min() == 255
    assert np.allclose(center_of_mass(image), 13.5, atol=0.5)
    assert data.read_pictures([tmp_path / "a.png"] * 3, 32).shape == (3, 1, 32, 32)


@pytest.mark.parametrize(
    ("picture", "invert"),
    [
        (Image.fromarray(drawing(0, 255)), True),
        (Image.fromarray(drawing(10, 245)), True),
        (Image.fromarray(drawing()).convert("RGB"), False),
        (Image.fromarray(drawing(1)).convert("P"), False),
        (Image.fromarray(drawing() > 0), False),
        (Image.fromarray(drawing().astype(np.uint16) * 257), False),
        (Image.merge("RGBA", [Image.new("L", (80, 100), 0)] * 3 + [Image.fromarray(drawing())]), True),
        (Image.merge("LA", [Image.new("L", (80, 100), 0), Image.fromarray(drawing())]), True),
    ],
    ids=["dark ink", "grey paper", "colour", "palette", "bits", "16 bits", "transparent", "grey transparent"],
)
def test_the_same_drawing_in_every_form(tmp_path, picture, invert):
    if picture.mode == "P":
        picture.putpalette([0, 0, 0, 255, 255, 255])
    image = data.read_picture(saved(tmp_path, picture), invert=invert)
    assert np.array_equal(image > 127, data.read_picture(saved(tmp_path, drawing(), "b.png")) > 127)


def test_a_photograph_that_lies_on_its_side(tmp_path):
    turned = Image.fromarray(np.rot90(drawing()).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image = data.read_picture(saved(tmp_path, turned, "a.jpg", exif=exif, quality=95))
    rows, columns = np.nonzero(image > 127)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 5)


def test_without_the_centre_the_whole_picture_is_taken(tmp_path):
    image = data.read_picture(saved(tmp_path, drawing()), 10, centre=False)
    assert image.shape == (10, 10) and image[5:9].any() and not image[:4].any() and not image[:, 3:].any()


@pytest.mark.parametrize(
    "array", [drawing(), drawing() > 0, drawing() / 255, drawing() / 16.0, drawing().astype(np.int32)], ids=["bytes", "bits", "unit", "large", "int"]
)
def test_arrays(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(data.read_picture(tmp_path / "a.npy"), data.read_picture(saved(tmp_path, drawing())))


def test_an_mnist_digit_comes_back_nearly_as_it_was(tmp_path):
    """A digit of MNIST is centred already: it may move by a pixel, and grow to its box again."""
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 10:16] = 200
    found = data.read_picture(saved(tmp_path, image))
    assert found.max() == 255 and (np.count_nonzero(found), np.ptp(np.nonzero(found)[0]) + 1) == (120, 20)


def png(width, height, data_=b""):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(data_)) + chunk(b"IEND", b"")
    )


def cut():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()[:900]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", "is no picture that can be read"),
        ("a.png", b"<html>", "is no picture that can be read, or is damaged"),
        ("a.png", cut(), "is no picture that can be read, or is damaged"),
        ("a.png", png(100000, 100000), r"pixels"),
        ("a.png", png(8000, 8000), r"has 8,000 x 8,000 pixels, more than 50,000,000 in all; scale it down"),
        ("a.png", png(2**31 - 1, 2**31 - 1), r"pixels"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that can be read"),
        ("a.npy", b"", "no array that can be mapped"),
        ("a.npy", b"PK\x03\x04", "no array that can be mapped"),
        ("a.npy", b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999), }" + b" " * 46 + b"\n", "no array that can be mapped"),
    ],
    ids=["empty", "html", "cut", "bomb", "large", "huge", "postscript", "no npy", "zip", "a lie"],
)
def test_files_refused_without_room_for_what_they_say(tmp_path, name, content, message, traced):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(cf.DataError, match=message):
        data.read_picture(path)
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 3)), r"one picture, an array \(height, width\) of at most 50,000,000 numbers; got float64 of shape \(2, 3, 3\)"),
        (np.array([["a"]]), "got <U1"),
        (np.array([[np.nan]]), "must be finite"),
        (np.array([[-1.0, 1.0]]), "numbers from 0, paper, upwards, some above 0; got -1.0 to 1.0"),
        (np.zeros((5, 5), np.uint8), "shows nothing: it is all paper; is the ink dark"),
        (drawing(0, 255), "is more ink than paper; is the ink dark\\? then read it with invert=True"),
        (np.array([[{}]], object), "no array that can be mapped"),
    ],
)
def test_arrays_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(cf.DataError, match=message):
        data.read_picture(tmp_path / "a.npy")


def test_refused(tmp_path):
    for name in ("none.png", "."):
        with pytest.raises(cf.DataError, match="is no file; name a picture"):
            data.read_picture(tmp_path / name)
    with pytest.raises(cf.DataError, match="no picture is named"):
        data.read_pictures([])
    with pytest.raises(cf.HyperparameterError, match="side must be an integer of at least 8"):
        data.read_pictures([saved(tmp_path, drawing())], 3)
    with pytest.raises(cf.DataError, match="is more ink than paper; is the ink light\\? then read it with invert=False"):
        data.read_picture(saved(tmp_path, drawing()), invert=True)
