"""The digits that come with the package.

`digits.npz` holds the 1,797 images of the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0), as scikit-learn
distributes them (`sklearn.datasets.load_digits`): 8x8 counts of dark pixels, from 0 to 16, and labels, as uint8.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._errors import DataError
from .._inputs import float_type
from ._checks import check_images, check_labels
from ._normalise import Standardiser, double
from ._split import Split, split

CLASSES = 10


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return 1,797 images of handwritten digits (n, 1, 8, 8), from 0 to 16, and their labels (n,).

    Raises:
        DataError: the file of the package is damaged.
    """
    path = resources.files(__package__).joinpath("digits.npz")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            images, labels = stored["images"], stored["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the embedded digits cannot be read ({error}); install cnnframe again") from error
    images = check_images(images[:, np.newaxis], "digits")
    return images, check_labels(labels, CLASSES, len(images), "digits")


def digits16(dtype: DTypeLike = np.float32, test: float = 0.2, seed: int = 0) -> Split:
    """Return the digits for deeper networks: split, doubled to 16x16 by up(), mean 0 and variance 1 over the training pixels.

    Args:
        dtype: float32 or float64.
        test: the part that is held out.
        seed: decides which digits are held out; it has nothing to do with the seed of a training.

    Source: Bouvrie 2006, section 2.1 (normalisation) and 3.1.1 (up).
    """
    found = float_type(dtype, "digits16: dtype")
    images, labels = digits()
    parts = split(images, labels, test=test, seed=seed)
    rule = Standardiser.fit(parts.train_images, per="all")
    doubled = [double(rule(part).astype(found)) for part in (parts.train_images, parts.test_images)]
    return Split(doubled[0], parts.train_labels, doubled[1], parts.test_labels)
