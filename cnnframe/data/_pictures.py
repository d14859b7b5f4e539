"""One's own pictures, as the images that a network of digits takes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from .._inputs import integer
from ._arrays import map_array
from ._resize import pad_to

if TYPE_CHECKING:
    from PIL import Image

FORMATS: Final = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""What is read: formats that hold pixels. Others (PostScript) would start programs."""
_MOST: Final = 50_000_000
_INK: Final = 0.1
"""Entries that are darker than this part of the darkest one are ink; the paper around it is not."""


def read_pictures(paths: Iterable[str | os.PathLike[str]], side: int = 28, *, invert: bool = False, centre: bool = True) -> NDArray[np.uint8]:
    """Return pictures as images (n, 1, side, side) from 0, paper, to 255, ink, as MNIST has them.

    Args:
        paths: picture files, or .npy files with an array (height, width).
        side: height and width that come out.
        invert: whether the pictures have dark ink on light paper, as a photograph or a drawing has.
        centre: whether the ink is cut out, brought to a box of 20/28 of the side, and laid with its centre of mass in the middle, as it was done for
            MNIST; if not, the whole picture is brought to the size.

    Raises:
        DataError: a file is no picture, is damaged, has too many pixels, or shows nothing.
    """
    side = integer(side, "read_pictures: side", 8)
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not listed:
        raise DataError("read_pictures: no picture is named")
    return np.stack([read_picture(path, side, invert=invert, centre=centre) for path in listed])[:, np.newaxis]


def read_picture(path: str | os.PathLike[str], side: int = 28, *, invert: bool = False, centre: bool = True) -> NDArray[np.uint8]:
    """Return one picture as an image (side, side), as `read_pictures` does.

    Raises:
        DataError: as for `read_pictures`.
    """
    light = brightness(path)
    ink = 1 - light if invert else light
    wrong = fault(ink) if centre or not (ink > _INK).any() else ""
    if wrong:
        raise DataError(f"{path} {wrong}; is the ink {'light' if invert else 'dark'}? then read it with invert={not invert}")
    return centred(ink, side) if centre else np.rint(_resized(ink, side, side) * 255).astype(np.uint8)


def brightness(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """The brightness of a picture (height, width), from 0 to 1.

    Raises:
        DataError: the file is no picture, is damaged, or has too many pixels.
    """
    place = Path(path)
    if not place.is_file():
        raise DataError(f"{place} is no file; name a picture ({', '.join(FORMATS)}) or an array (.npy)")
    return _array(place) if place.suffix == ".npy" else _grey(place)


def fault(ink: NDArray[np.float64]) -> str:
    """What is wrong with a drawing, from 0, paper, to 1, ink, that one digit is to be cut out of; empty if nothing is."""
    if not (ink > _INK).any():
        return "shows nothing: it is all paper"
    return "is more ink than paper" if mostly(ink) else ""


def mostly(ink: NDArray[np.float64]) -> bool:
    """Whether there is more ink than paper."""
    return bool((ink > 0.5).mean() > 0.5)


def _array(path: Path) -> NDArray[np.float64]:
    array = map_array(path)
    if array.ndim != 2 or not 0 < array.size <= _MOST or array.dtype.kind not in "fiub":
        raise DataError(f"{path} must hold one picture, an array (height, width) of at most {_MOST:,} numbers; got {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{path} must be finite; got a NaN or an infinity")
    if array.dtype == np.uint8:
        return np.asarray(array / 255.0)
    low, high = float(array.min()), float(array.max())
    if low < 0 or high <= 0:
        raise DataError(f"{path} must hold numbers from 0, paper, upwards, some above 0; got {low} to {high}")
    return np.asarray(array / (high if high > 1 else 1.0), np.float64)


def _grey(path: Path) -> NDArray[np.float64]:
    """The brightness of a picture file, from 0 to 1, on white where it is transparent."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, which are looked at here
            with Image.open(path, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > _MOST:
                    raise DataError(f"{path} has {width:,} x {height:,} pixels, more than {_MOST:,} in all; scale it down first")
                return _brightness(ImageOps.exif_transpose(picture))
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(f"{path} has more than {_MOST:,} pixels; scale it down first") from None
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, MemoryError, OverflowError, KeyError, IndexError, NotImplementedError) as error:
        raise DataError(f"{path} is no picture that can be read, or is damaged: {error}; {', '.join(FORMATS)} are read") from None


def _brightness(picture: Image.Image) -> NDArray[np.float64]:
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float64)
        return np.asarray(np.clip(values / max(65535.0 if picture.mode != "F" else 1.0, float(values.max(initial=0))), 0, 1))
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        from PIL import Image

        layered = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return np.asarray(np.asarray(picture.convert("L"), np.float64) / 255)


def _resized(ink: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """The picture in another size, each entry the mean of what it covers where it shrinks."""
    from PIL import Image

    picture = Image.fromarray(ink.astype(np.float32))
    return np.clip(np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float64), 0, 1)


def centred(ink: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """The ink, from 0 to 1, in a box of 20/28 of the side, its centre of mass in the middle."""
    from scipy.ndimage import center_of_mass, shift

    rows, columns = np.nonzero(ink > _INK * ink.max())
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    box = max(1, round(side * 20 / 28))
    factor = box / max(cut.shape)
    small = _resized(cut, *(max(1, round(length * factor)) for length in cut.shape))
    whole = pad_to((small / small.max())[np.newaxis, np.newaxis], side)[0, 0]
    middle = (side - 1) / 2
    moves = [round(middle - float(at)) for at in center_of_mass(whole)]
    moved: NDArray[np.float64] = shift(whole, moves, order=0)
    return np.rint(np.clip(moved, 0, 1) * 255).astype(np.uint8)
