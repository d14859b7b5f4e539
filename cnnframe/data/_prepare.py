"""Bring images to the size and the scale that a network takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._errors import DataError
from .._inputs import as_array, float_type, integer, want
from ._checks import check_images
from ._normalise import standardise_images
from ._resize import fit_to
from ._split import Split

SCALINGS: Final = ("none", "0/1", "-1/+1", "lecun", "standardise", "feature", "image")
"""How images are scaled, by name; see `Preparation`."""
LECUN: Final = (-0.1, 1.175)
"""Background and foreground in LeCun et al. 1998, section III.A; the mean is then about 0 and the variance about 1."""
_PIECE: Final = 256


@dataclass(frozen=True)
class Preparation:
    """A size and a scale, taken from training images and put on any others: a pure function of images.

    Images are (n, maps, height, width), with 0 as their background. The size is brought about by `fit_to`. The scale is

    - "none": as it is.
    - "0/1": x / high. "-1/+1": 2 x / high - 1. "lecun": 0 becomes -0.1 and high 1.175 (LeCun et al. 1998, section III.A).
    - "standardise": less the mean of all training entries, over their standard deviation (Bouvrie 2006, section 2.1).
    - "feature": likewise for each entry of the image by itself; what is constant becomes 0.
    - "image": each image by its own mean and standard deviation.

    Attributes:
        side: height and width that come out.
        scaling: one of `SCALINGS`.
        mean: what is subtracted, a number or (maps, side, side).
        scale: what is divided by, likewise.
        dtype: float32 or float64.
    """

    side: int
    scaling: str
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    dtype: np.dtype[Any]

    @classmethod
    def fit(cls, images: Any, side: int, scaling: str, dtype: DTypeLike = np.float32, high: float | None = None) -> Preparation:
        """Take what the scaling needs from training images, a piece at a time.

        Args:
            images: the training images (n, maps, height, width).
            side: height and width that come out.
            scaling: one of `SCALINGS`.
            dtype: float32 or float64.
            high: the entry of full ink: 255 for MNIST, 16 for the embedded digits; the largest training entry, if it is left out.

        Raises:
            DataError: the images are bad, have no ink, or no scaling has that name.
        """
        if scaling not in SCALINGS:
            raise DataError(f"Preparation: scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
        kind = float_type(dtype, "Preparation: dtype")
        side = integer(side, "Preparation: side", 1)
        zero = np.zeros(())
        plain = cls(side, "none", zero, zero + 1, np.dtype(np.float64))
        if scaling in ("none", "image"):
            return cls(side, scaling, zero, zero + 1, kind)
        if scaling in ("standardise", "feature"):
            return cls(side, scaling, *_moments(plain, images, 0 if scaling == "feature" else None), kind)
        top = float(max(piece.max() for piece in _pieces(images))) if high is None else high
        want(top, (int, float, np.number), "Preparation: high", "a number", DataError)
        if not 0 < top < np.inf:
            raise DataError(f"Preparation: high, the entry of full ink, must be greater than 0; got {top}; are the images empty?")
        low, up = {"0/1": (0.0, 1.0), "-1/+1": (-1.0, 1.0), "lecun": LECUN}[scaling]
        scale = top / (up - low)
        return cls(side, scaling, zero - low * scale, zero + scale, kind)

    def __call__(self, images: Any) -> NDArray[Any]:
        """Return the images (n, maps, side, side) in the size, scale and element type of the preparation.

        Raises:
            DataError: the images are bad, or have other maps than those it was fitted to.
        """
        done, made = 0, np.empty((0,), self.dtype)
        for piece in _pieces(images):
            scaled = self._piece(piece)
            if not done:
                made = np.empty((len(images), *scaled.shape[1:]), self.dtype)
            made[done : done + len(scaled)] = scaled
            done += len(scaled)
        return made

    def _piece(self, images: NDArray[Any]) -> NDArray[Any]:
        sized = fit_to(images, self.side).astype(np.float64)
        if self.mean.shape not in ((), sized.shape[1:]):
            raise DataError(f"Preparation: images must have {self.mean.shape[0]} maps, as those it was fitted to; got {sized.shape[1]}")
        scaled = standardise_images(sized) if self.scaling == "image" else (sized - self.mean) / self.scale
        return scaled.astype(self.dtype)


def _pieces(images: Any) -> Iterator[NDArray[Any]]:
    """The images, some at a time: an array that is mapped is never loaded whole."""
    array = images if hasattr(images, "shape") and hasattr(images, "dtype") else as_array(images, "images")
    if not array.shape or not array.shape[0]:
        check_images(array)
    for first in range(0, array.shape[0], _PIECE):
        yield check_images(array[first : first + _PIECE])


def _moments(plain: Preparation, images: Any, axis: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over all entries, or for each feature; in two passes, so that nothing cancels."""

    def total(pieces: Iterator[NDArray[Any]]) -> tuple[NDArray[np.float64], int]:
        found, count = np.zeros(()), 0
        for piece in pieces:
            found = found + piece.sum(axis=axis)
            count += piece.size if axis is None else len(piece)
        return found, count

    found, count = total(plain._piece(piece) for piece in _pieces(images))  # noqa: SLF001 # a function of this very class
    mean = np.asarray(found / count)
    squares, _ = total((plain._piece(piece) - mean) ** 2 for piece in _pieces(images))  # noqa: SLF001 # as above
    deviation = np.asarray(np.sqrt(squares / count))
    return mean, np.where(deviation > 0, deviation, 1.0)


def prepare(parts: Split, side: int, scaling: str, dtype: DTypeLike = np.float32, high: float | None = None) -> Split:
    """Return a split whose images have the size and scale that a network takes; what the scaling needs is taken from the training images.

    Raises:
        DataError: as for `Preparation`.
    """
    rule = Preparation.fit(parts.train_images, side, scaling, dtype, high)
    return Split(rule(parts.train_images), parts.train_labels, rule(parts.test_images), parts.test_labels)


def subset(parts: Split, train: int, test: int, seed: int = 0) -> Split:
    """Return some of the examples of each part, drawn from `seed` and in the order in which they were drawn.

    The re-run of LeCun 1989 takes 7,291 and 2,007 of MNIST's.

    Raises:
        DataError: there are fewer examples than that.
    """
    rng = np.random.default_rng(integer(seed, "subset: seed", 0))
    chosen = []
    for part, count, there in zip(("train", "test"), (train, test), (len(parts.train_labels), len(parts.test_labels)), strict=True):
        if integer(count, f"subset: {part}", 1) > there:
            raise DataError(f"subset: {part} must be at most {there}, the examples that there are; got {count}")
        chosen.append(rng.permutation(there)[:count])
    images = ((parts.train_images, parts.train_labels, chosen[0]), (parts.test_images, parts.test_labels, chosen[1]))
    return Split(*itertools.chain.from_iterable((array[places], labels[places]) for array, labels, places in images))
