"""MNIST and its look-alikes: four IDX files in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from ._checks import check_labels
from ._idx import read_with_md5
from ._split import Split

VARIABLE: Final = "CNNFRAME_DATA"
"""The environment variable that names the folder of the data."""
GET: Final = "get MNIST by the command `cnnframe download FOLDER`, or by data.download_mnist"
"""What to do where it is not there, at a terminal and in a script."""


class Part(NamedTuple):
    """One of the four files: its name, and the MD5 sum of MNIST's own, decompressed."""

    name: str
    md5: str


TRAIN_IMAGES: Final = Part("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb")
TRAIN_LABELS: Final = Part("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624")
TEST_IMAGES: Final = Part("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea")
TEST_LABELS: Final = Part("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637")
PARTS: Final = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def mnist(folder: str | os.PathLike[str] | None = None) -> Split:
    """Return MNIST from its four files: images (60000, 1, 28, 28) and (10000, 1, 28, 28) from 0 to 255, and labels.

    Args:
        folder: where the files are, gzipped or not; the environment variable CNNFRAME_DATA says so if it is left out.

    Raises:
        DataError: a file is missing, damaged or not MNIST's own.
    """
    place = data_folder(folder)
    parts, sums = _read(place, 10)
    for part in PARTS:
        if sums[part] != part.md5:
            raise DataError(
                f"{place / part.name} is not MNIST's: its MD5 sum is {sums[part]}, wanted {part.md5}; get it again, or read a look-alike with data.idx_folder"
            )
    return parts


def idx_folder(folder: str | os.PathLike[str] | None = None, classes: int | None = None) -> Split:
    """Return the images (n, 1, height, width) and labels of a folder that has MNIST's file names, whatever the files show.

    If one of them is MNIST's own, all have to be. Plain files are mapped, not loaded.

    Args:
        folder: as for `mnist`.
        classes: labels are from 0 to below this number; any byte, if it is left out.

    Raises:
        DataError: a file is missing or damaged, images and labels do not fit, or MNIST's files are mixed with others.
    """
    place = data_folder(folder)
    parts, sums = _read(place, classes)
    own = [part for part in PARTS if sums[part] == part.md5]
    others = [part for part in PARTS if sums[part] != part.md5]
    if own and others:
        raise DataError(f"{place}: {own[0].name} is MNIST's, but {others[0].name} is not (MD5 sum {sums[others[0]]}, wanted {others[0].md5}); get it again")
    return parts


def data_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the data: the given one, or that of CNNFRAME_DATA.

    Raises:
        DataError: neither is there.
    """
    named = folder if folder is not None else os.environ.get(VARIABLE)
    if not named:
        raise DataError(f"no folder of data is named; give one, or set {VARIABLE}; {GET}")
    if not Path(named).is_dir():
        raise DataError(f"the folder of data {named} is not there; {GET}")
    return Path(named)


def _read(folder: Path, classes: int | None) -> tuple[Split, dict[Part, str]]:
    found = {part: read_with_md5(_file(folder, part.name), md5=True) for part in PARTS}
    sums = {part: md5 for part, (_, md5) in found.items()}
    both = ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS))
    train, test = (_pair(found[images][0], found[labels][0], folder / images.name, classes) for images, labels in both)
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(f"{folder}: images for training have shape {train[0].shape[1:]}, those for testing {test[0].shape[1:]}; they belong to different data")
    unknown = sorted(set(np.unique(test[1]).tolist()) - set(np.unique(train[1]).tolist()))
    if unknown:
        raise DataError(f"{folder}: label {unknown[0]} occurs in {TEST_LABELS.name} and not in {TRAIN_LABELS.name}; they belong to different data")
    return Split(*train, *test), sums


def _file(folder: Path, name: str) -> Path:
    """The file by its name, with the dot that some distributions put into it, gzipped or not; plain ones first, for they can be mapped."""
    names = [name, name.replace("-idx", ".idx")]
    for candidate in [*names, *(f"{each}.gz" for each in names)]:
        if (folder / candidate).is_file():
            return folder / candidate
    raise DataError(f"{folder} has no {name}, gzipped or not; MNIST has four such files; {GET}")


def _pair(images: NDArray[np.uint8], labels: NDArray[np.uint8], path: Path, classes: int | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
        raise DataError(f"{path} must hold images (n, height, width) of bytes; got {images.dtype} of shape {images.shape}; is it a file of labels?")
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(f"the labels of {path} must be a vector of bytes; got {labels.dtype} of shape {labels.shape}; is it a file of images?")
    count = int(labels.max(initial=0)) + 1 if classes is None else classes
    return images[:, np.newaxis], check_labels(labels, count, len(images), f"the labels of {path}")
