"""LeNet-5 on MNIST by stochastic diagonal Levenberg-Marquardt, and by plain gradient descent beside it."""

from __future__ import annotations

from figures import LENET5_SDLM, LENET5_SGD
from study import arguments, images_of, mnist_of, study, trainer_of

from cnnframe.training import StepTable

# LeCun et al. 1998, section III.C, from secondary sources.
SCHEDULE = StepTable([(2, 5e-4), (3, 2e-4), (3, 1e-4), (4, 5e-5), (8, 1e-5)])

if __name__ == "__main__":
    options = arguments(__doc__)
    train, test = images_of(mnist_of(options), LENET5_SDLM)
    study(LENET5_SDLM, options, lambda seed: (trainer_of(LENET5_SDLM, seed, optimizer="sdlm", rate=SCHEDULE, batch_size=1), train, test))
    study(LENET5_SGD, options, lambda seed: (trainer_of(LENET5_SGD, seed), train, test))
