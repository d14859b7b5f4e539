"""The network of LeCun et al. 1989 on the first 7,291 and 2,007 digits of MNIST, shrunk to 16x16."""

from __future__ import annotations

from figures import LECUN1989
from study import arguments, images_of, mnist_of, study, trainer_of

from cnnframe.data import Split

TRAIN, TEST = 7291, 2007

if __name__ == "__main__":
    options = arguments(__doc__)
    all_of_it = mnist_of(options)
    few = Split(all_of_it.train_images[:TRAIN], all_of_it.train_labels[:TRAIN], all_of_it.test_images[:TEST], all_of_it.test_labels[:TEST])
    train, test = images_of(few, LECUN1989)
    study(LECUN1989, options, lambda seed: (trainer_of(LECUN1989, seed), train, test))
