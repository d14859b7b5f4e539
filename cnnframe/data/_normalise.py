"""Bring images to mean 0 and variance 1, and to twice their size (Bouvrie 2006, sections 2.1 and 3.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from ._checks import check_images

KINDS = ("feature", "all")


@dataclass(frozen=True)
class Standardiser:
    """Mean and scale, taken from training images and put on any others.

    Attributes:
        mean: what is subtracted; a number, or one for each feature (maps, *map).
        scale: what is divided by, likewise.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, images: Any, per: str = "feature") -> Standardiser:
        """Take mean and standard deviation of each feature over the images, or of all entries; what is constant has scale 1.

        Raises:
            DataError: `per` is neither "feature" nor "all", or the images are bad.
        """
        if per not in KINDS:
            raise DataError(f"Standardiser: per must be one of {', '.join(KINDS)}; got {per!r}; for each image by itself use standardise_images")
        array = check_images(images).astype(np.float64)
        axes = None if per == "all" else 0
        deviation = np.asarray(array.std(axis=axes))
        return cls(np.asarray(array.mean(axis=axes)), np.where(deviation > 0, deviation, 1.0))

    def __call__(self, images: Any) -> NDArray[Any]:
        """Return the images less the mean, over the scale; float32 stays float32, all else becomes float64.

        Raises:
            DataError: the images are bad or have other features.
        """
        array = check_images(images)
        if self.mean.shape not in ((), array.shape[1:]):
            raise DataError(f"Standardiser: images must have features {self.mean.shape}, as those it was fitted to; got {array.shape[1:]}")
        return _like(array, (array - self.mean) / self.scale)


def standardise_images(images: Any) -> NDArray[Any]:
    """Return each image with mean 0 and variance 1 of its own; an image of one value becomes 0.

    Raises:
        DataError: the images are bad.
    """
    array = check_images(images)
    axes = tuple(range(1, array.ndim))
    mean, deviation = (np.asarray(rule(array, axis=axes, keepdims=True, dtype=np.float64)) for rule in (np.mean, np.std))
    return _like(array, (array - mean) / np.where(deviation > 0, deviation, 1.0))


def _like(before: NDArray[Any], array: NDArray[Any]) -> NDArray[Any]:
    """Float32 where `before` is, else float64."""
    return array.astype(np.float32 if before.dtype == np.float32 else np.float64)


def double(images: Any) -> NDArray[Any]:
    """Return images (n, maps, *map) at twice the size in each spatial dimension: up(x), the Kronecker product with ones."""
    array = check_images(images)
    ones = np.ones((1, 1, *(2,) * (array.ndim - 2)), array.dtype)
    return np.asarray(np.kron(array, ones))
