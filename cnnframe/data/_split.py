"""Hold out a part of the examples of every class."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._errors import DataError
from .._inputs import as_array, integer, want
from ._checks import check_images, check_labels


class Split(NamedTuple):
    """Images and labels to train on, and others to test on."""

    train_images: NDArray[Any]
    train_labels: NDArray[np.int64]
    test_images: NDArray[Any]
    test_labels: NDArray[np.int64]


def split(images: Any, labels: Any, *, test: float = 0.2, seed: int = 0) -> Split:
    """Hold out the part `test` of each class, drawn from `seed`; both parts keep the order of the data.

    Raises:
        DataError: images and labels do not fit, `test` is not between 0 and 1, or a part would be empty.
        HyperparameterError: `seed` is no integer of at least 0.
    """
    array = check_images(images)
    labels = as_array(labels, "labels")
    found = check_labels(labels, max(1, int(np.max(labels, initial=0)) + 1) if labels.dtype.kind in "iu" else 1, len(array))
    want(test, (int, float, np.number), "split: test", "a part between 0 and 1", DataError)
    if not 0 < test < 1:
        raise DataError(f"split: test must be a part between 0 and 1; got {test}")
    rng = np.random.default_rng(integer(seed, "split: seed", 0))
    held = np.zeros(len(array), dtype=bool)
    for label in np.unique(found):
        members = rng.permutation(np.flatnonzero(found == label))
        held[members[: round(test * len(members))]] = True
    if held.all() or not held.any():
        raise DataError(f"split: {len(array)} examples are too few to hold out the part {test} of each class")
    return Split(array[~held], found[~held], array[held], found[held])
