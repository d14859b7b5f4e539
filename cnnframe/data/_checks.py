"""Refuse data that cannot be trained on, before a network meets them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from .._inputs import as_array, integer


def check_images(images: Any, who: str = "images") -> NDArray[Any]:
    """Return images (n, maps, *map) as an array.

    Raises:
        DataError: they are no numbers, have fewer than three axes, are none, or hold a NaN or an infinity.
    """
    array = as_array(images, who)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{who} must be real numbers; got {array.dtype}")
    if array.ndim < 3:
        raise DataError(f"{who} must have axes (n, maps, *map), such as (n, 1, 8, 8); got shape {array.shape}")
    if not array.size:
        raise DataError(f"{who} must hold at least one image; got shape {array.shape}")
    if not np.isfinite(array).all():
        first = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{who} must be finite; got {array[first]} at {first}; clean or drop image {first[0]}")
    return array


def check_labels(labels: Any, classes: int, count: int | None = None, who: str = "labels") -> NDArray[np.int64]:
    """Return labels (n,) as integers from 0 to `classes` - 1.

    Raises:
        DataError: they are no integers, not one for each of `count` examples, or out of range.
    """
    array, classes = as_array(labels, who), integer(classes, f"{who}: classes", 1)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{who} must be a vector of integers; got {array.dtype} of shape {array.shape}")
    if count is not None and len(array) != count:
        raise DataError(f"{who} must be one for each of {count} examples; got {len(array)}")
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if len(wrong):
        raise DataError(f"{who} must be from 0 to {classes - 1}; got {array[wrong[0]]} at {wrong[0]}; {len(wrong)} of {len(array)} are out of range")
    return array.astype(np.int64)
