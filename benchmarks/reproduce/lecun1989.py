"""The network of LeCun et al. 1989 on 7,291 and 2,007 digits of MNIST, drawn as in the re-run and shrunk to 16x16."""

from __future__ import annotations

import numpy as np
from figures import LECUN1989
from study import arguments, images_of, mnist_of, study, trainer_of

from cnnframe.data import Split

TRAIN, TEST = 7291, 2007
SEED = 1337
"""Of the re-run, which draws with NumPy's older generator; it may have drawn the digits for tests first."""

if __name__ == "__main__":
    options = arguments(__doc__)
    all_of_it = mnist_of(options)
    drawn = np.random.RandomState(SEED)
    train_at, test_at = drawn.permutation(len(all_of_it.train_labels))[:TRAIN], drawn.permutation(len(all_of_it.test_labels))[:TEST]
    few = Split(all_of_it.train_images[train_at], all_of_it.train_labels[train_at], all_of_it.test_images[test_at], all_of_it.test_labels[test_at])
    train, test = images_of(few, LECUN1989)
    study(LECUN1989, options, lambda seed: (trainer_of(LECUN1989, seed), train, test))
