"""The network of Simard et al. 2003 on MNIST with elastic distortions, drawn anew in each epoch."""

from __future__ import annotations

from figures import SIMARD2003
from study import arguments, images_of, mnist_of, study, trainer_of

from cnnframe.data import Distortion

if __name__ == "__main__":
    options = arguments(__doc__)
    train, test = images_of(mnist_of(options), SIMARD2003)
    study(SIMARD2003, options, lambda seed: (trainer_of(SIMARD2003, seed, augment=Distortion()), train, test))
