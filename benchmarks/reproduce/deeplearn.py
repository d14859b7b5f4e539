"""The DeepLearnToolbox's network on MNIST, after 1 epoch (five seeds) and after 100."""

from __future__ import annotations

from figures import DEEPLEARN_1, DEEPLEARN_100
from study import arguments, images_of, mnist_of, study, trainer_of

if __name__ == "__main__":
    options = arguments(__doc__)
    train, test = images_of(mnist_of(options), DEEPLEARN_1)
    for figure in (DEEPLEARN_1, DEEPLEARN_100):
        study(figure, options, lambda seed: (trainer_of(DEEPLEARN_1, seed), train, test))
