"""Codings of class labels as targets, and back (Bouvrie 2006, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._errors import DataError
from ._inputs import as_array, float_type, want
from .data import check_labels

CODINGS: Final[Mapping[str, tuple[float, float] | None]] = MappingProxyType({"0/1": (0.0, 1.0), "-1/+1": (-1.0, 1.0), "-0.8/+0.8": (-0.8, 0.8), "index": None})
"""Codings by name: the value elsewhere and the value at the label, or None for the label itself."""


def encode(labels: Any, coding: str, classes: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return targets in a coding by name: (n, classes) with two values, or for "index" the labels (n,) as integers.

    Raises:
        DataError: labels out of range, or no coding of that name.
    """
    if coding not in CODINGS:
        raise DataError(f"encode: coding must be one of {', '.join(CODINGS)}; got {coding!r}")
    pair = CODINGS[coding]
    return check_labels(labels, classes) if pair is None else one_hot(labels, classes, *pair, dtype)


def decode(targets: Any) -> NDArray[np.int64]:
    """Return the labels (n,) behind targets or outputs: class indices (n,) are labels, rows (n, classes) mean their largest entry.

    Raises:
        DataError: the array is neither.
    """
    array = as_array(targets, "decode: targets")
    if array.ndim != 1:
        return labels_of(array)
    return check_labels(array, int(array.max(initial=0)) + 1 if array.dtype.kind in "iu" else 1)


def one_hot(labels: Any, classes: int, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return targets (n, classes): `high` at the label and `low` elsewhere.

    0 and 1 go with the logistic function, softmax and probabilities; -1 and +1 with LeCun's scaled tanh, whose
    f(1) is close to 1; -0.8 and 0.8 with a plain tanh.

    Raises:
        DataError: labels out of range, or `low` is not below `high`.
    """
    found = check_labels(labels, classes)
    for name, value in (("low", low), ("high", high)):
        want(value, (int, float, np.number), f"one_hot: {name}", "a number", DataError)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(f"one_hot: low must be below high; got {low} and {high}")
    coded = np.full((len(found), classes), low, float_type(dtype, "targets"))
    coded[np.arange(len(found)), found] = high
    return coded


def labels_of(outputs: Any) -> NDArray[np.int64]:
    """Return the label (n,) that outputs or targets (n, classes) stand for: the largest entry, the first one of several.

    Raises:
        DataError: the array does not have two axes, or does not hold real numbers.
    """
    array = as_array(outputs, "labels_of: outputs")
    if array.ndim != 2 or array.shape[1] < 1 or array.dtype.kind not in "fiu":
        raise DataError(f"labels_of: outputs must be real numbers with axes (n, classes); got {array.dtype} of shape {array.shape}")
    labels: NDArray[np.int64] = array.argmax(axis=1)
    return labels


def is_coding(targets: Any) -> bool:
    """Whether targets (n, classes) hold two values, the higher one once in each row."""
    array = as_array(targets, "is_coding: targets")
    if array.ndim != 2 or array.shape[1] < 2 or not len(array):
        return False
    low, high = array.min(), array.max()
    marked = array == high
    return bool(low < high and (marked | (array == low)).all() and (marked.sum(axis=1) == 1).all())
