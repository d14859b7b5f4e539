"""Distorted copies of images, drawn anew for each epoch (Simard, Steinkraus and Platt 2003)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError, HyperparameterError
from .._inputs import integer, want
from ._checks import check_images

_PIECE: Final = 1024


@dataclass(frozen=True)
class Distortion:
    """Move the entries of images by random fields: planar affine maps, and elastic fields (Simard et al. 2003, section 2).

    An image is read at its own places plus a displacement, by bilinear interpolation. The affine part turns, scales, shears and shifts about the
    middle, each by an amount drawn uniformly up to a limit. The elastic part is a field of uniform numbers from -1 to 1 for each direction, smoothed by
    a Gaussian, times `elastic`. Labels stay as they are. All maps of an image move alike.

    It is a frozen value that is called with images and a random generator: the same generator, the same images. The trainer hands it the
    generator of the epoch; `at` makes one from a seed and an epoch.

    Attributes:
        elastic: the intensity alpha, in pixels; 34 in the article for MNIST, with `smoothing` 4.
        smoothing: standard deviation of the Gaussian, in pixels.
        rotation: at most this many degrees either way.
        scaling: height and width, each by itself, grow or shrink by at most this part.
        shear: the top moves against the middle by at most this part of the distance.
        shift: at most this many pixels, each way.
        background: what lies beyond the border; the nearest entry, if it is None.

    Raises:
        HyperparameterError: an amount is negative or not finite, the smoothing is 0, or `scaling` is not below 1.
    """

    elastic: float = 34.0
    smoothing: float = 4.0
    rotation: float = 0.0
    scaling: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    background: float | None = None

    def __post_init__(self) -> None:
        """Hold the amounts to their bounds."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.name == "background":
                continue
            want(value, (int, float, np.number), f"Distortion: {each.name}", "a number", HyperparameterError)
            if not math.isfinite(value) or (value < 0 and each.name != "background"):
                raise HyperparameterError(f"Distortion: {each.name} must be finite and at least 0; got {value!r}")
        if not self.smoothing:
            raise HyperparameterError("Distortion: smoothing must be greater than 0; got 0; for no elastic field set elastic to 0")
        if self.scaling >= 1:
            raise HyperparameterError(f"Distortion: scaling must be below 1; got {self.scaling!r}")

    @classmethod
    def affine(cls) -> Distortion:
        """Turns of 15 degrees, 15 % of scale and shear, shifts of a pixel: the article names the kinds, the amounts are our own."""
        return cls(elastic=0.0, rotation=15.0, scaling=0.15, shear=0.15, shift=1.0)

    def __call__(self, images: Any, rng: np.random.Generator) -> NDArray[Any]:
        """Return distorted images (n, maps, height, width) of the same shape and element type; integers are rounded.

        Raises:
            DataError: the images are bad, or `rng` is no generator.
        """
        array = check_images(images)
        if array.ndim != 4:
            raise DataError(f"Distortion: images must have axes (n, maps, height, width); got shape {array.shape}")
        want(rng, np.random.Generator, "Distortion: rng", "a numpy.random.Generator, such as numpy.random.default_rng(0)", DataError)
        made = np.empty_like(array)
        for first in range(0, len(array), _PIECE):
            made[first : first + _PIECE] = self._piece(array[first : first + _PIECE], rng)
        return made

    def at(self, images: Any, seed: int, epoch: int) -> NDArray[Any]:
        """Return the images as they are in an epoch, a pure function of the two numbers.

        Raises:
            DataError: the images are bad.
        """
        entropy, key = integer(seed, "Distortion: seed", 0), integer(epoch, "Distortion: epoch", 0)
        return self(images, np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(key,))))

    def displacements(self, count: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return how far entries are read from their places, (2, n, height, width): downwards and to the right, in pixels."""
        found = np.zeros((2, count, height, width))
        if self.elastic:
            # Smoothing is linear and by axis: two small matrices smooth all fields at once, as gaussian_filter(mode="constant") does one.
            rows, columns = (_smoothing(length, float(self.smoothing)) for length in (height, width))
            field = rng.random((2, count, height, width), np.float32)
            field *= 2
            field -= 1
            found += self.elastic * (rows @ field @ columns.T)
        if self.rotation or self.scaling or self.shear or self.shift:
            found += self._affine(count, height, width, rng)
        return found

    def _affine(self, count: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
        angle, down, right, shear, fall, drift = rng.uniform(-1, 1, (6, count))
        angle = np.deg2rad(self.rotation) * angle
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        grow = np.array([[1 + self.scaling * down, np.zeros(count)], [self.shear * shear, 1 + self.scaling * right]])
        matrices = np.einsum("ikn,kjn->nij", turn, grow) - np.eye(2)
        places = np.stack(np.meshgrid(*(np.arange(length) - (length - 1) / 2 for length in (height, width)), indexing="ij"))
        moved = np.einsum("nij,jhw->inhw", matrices, places)
        return np.asarray(moved + self.shift * np.stack([fall, drift])[:, :, None, None])

    def _piece(self, images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        from scipy.ndimage import map_coordinates

        count, maps, height, width = images.shape
        at = self.displacements(count, height, width, rng)
        border = 0 if self.background is None else 1
        at[0] += np.arange(height)[:, None] + border
        at[1] += np.arange(width) + border
        # With a border of one entry, what lies beyond is at most as far as the border.
        for axis, length in enumerate((height, width)):
            np.clip(at[axis], 0, length - 1 + 2 * border, out=at[axis])
        # All images below one another are one image, which takes one call.
        at[0] += (np.arange(count) * (height + 2 * border))[:, None, None]
        made = np.empty_like(images)
        for number in range(maps):
            plane = images[:, number].astype(np.float64 if images.dtype == np.float64 else np.float32, copy=False)
            if self.background is not None:
                plane = np.pad(plane, ((0, 0), (1, 1), (1, 1)), constant_values=self.background)
            read = map_coordinates(plane.reshape(-1, width + 2 * border), at, order=1, mode="nearest", prefilter=False)
            made[:, number] = read if images.dtype.kind == "f" else np.rint(read)
        return made


@lru_cache(maxsize=16)
def _smoothing(length: int, deviation: float) -> NDArray[np.float32]:
    """The matrix of a Gaussian filter along an axis, with zeros beyond the border."""
    from scipy.ndimage import gaussian_filter1d

    matrix: NDArray[np.float32] = gaussian_filter1d(np.eye(length), deviation, axis=0, mode="constant").astype(np.float32)
    matrix.flags.writeable = False
    return matrix
