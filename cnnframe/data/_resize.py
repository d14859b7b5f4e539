"""Bring images to another size: by padding, by bilinear interpolation, or by tiling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from .._inputs import integer
from ._checks import check_images


def pad_to(images: Any, side: int, background: float = 0) -> NDArray[Any]:
    """Return images (n, maps, side, side), each in the middle of `background`; an odd column or row more goes behind.

    Raises:
        DataError: the images are bad, or larger than `side`.
    """
    array, side = _planes(images), integer(side, "pad_to: side", 1)
    height, width = array.shape[2:]
    if max(height, width) > side:
        raise DataError(f"pad_to: images of {height}x{width} are larger than {side}x{side}; use bilinear")
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.full((*array.shape[:2], side, side), background, array.dtype)
    padded[:, :, top : top + height, left : left + width] = array
    return padded


def bilinear(images: Any, side: int) -> NDArray[Any]:
    """Return images (n, maps, side, side) by bilinear interpolation between the centres of pixels, without smoothing before.

    This is what PyTorch's `interpolate(mode="bilinear")` does, by which the re-run of LeCun 1989 shrinks MNIST to 16x16. Integers become float32.

    Raises:
        DataError: the images are bad.
    """
    array, side = _planes(images), integer(side, "bilinear: side", 1)
    kind = np.float64 if array.dtype == np.float64 else np.float32
    rows, columns = (_weights(length, side).astype(kind) for length in array.shape[2:])
    return np.asarray(rows @ array.astype(kind, copy=False) @ columns.T)


def _weights(length: int, side: int) -> NDArray[np.float64]:
    """How much of each of `length` entries goes into each of `side`: at most two, by their distance from its centre."""
    centre = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    lower = np.floor(centre).astype(int)
    weights = np.zeros((side, length))
    np.add.at(weights, (np.arange(side), lower), 1 - (centre - lower))
    np.add.at(weights, (np.arange(side), np.minimum(lower + 1, length - 1)), centre - lower)
    return weights


def fit_to(images: Any, side: int) -> NDArray[Any]:
    """Return images (n, maps, side, side): tiled by up() where `side` is a multiple, padded with 0 where it is less than twice as much, else bilinear.

    So 8x8 becomes 16x16 or 32x32 by tiling, MNIST's 28x28 becomes 29x29 or 32x32 by padding, and 16x16 by shrinking.

    Raises:
        DataError: the images are bad.
    """
    array, side = _planes(images), integer(side, "fit_to: side", 1)
    height, width = array.shape[2:]
    factor = _tiles(height, width, side)
    if factor:
        return array if factor == 1 else np.asarray(np.kron(array, np.ones((1, 1, factor, factor), array.dtype)))
    return pad_to(array, side) if _is_padded(height, width, side) else bilinear(array, side)


def fit_in_words(height: int, width: int, side: int) -> str:
    """What `fit_to` does to images of a size."""
    factor = _tiles(height, width, side)
    if factor == 1:
        return "in their size"
    if factor:
        return f"each entry tiled over {factor}x{factor}"
    return f"in the middle of {side}x{side}, padded with 0" if _is_padded(height, width, side) else f"brought to {side}x{side} by bilinear interpolation"


def _tiles(height: int, width: int, side: int) -> int:
    """On how many rows and columns each entry is tiled; 0 if it is not."""
    return side // height if height == width and side % height == 0 else 0


def _is_padded(height: int, width: int, side: int) -> bool:
    return max(height, width) < side < 2 * max(height, width)


def _planes(images: Any) -> NDArray[Any]:
    array = check_images(images)
    if array.ndim != 4:
        raise DataError(f"images must have axes (n, maps, height, width); got shape {array.shape}")
    return array
