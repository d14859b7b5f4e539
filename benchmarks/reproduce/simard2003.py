"""The network of Simard et al. 2003 on MNIST with elastic distortions, drawn anew in each epoch.

The article's rate falls every 100 epochs, and its network needs hundreds of them. Mini-batches, and rates that fall four times as often, are our own:
with them a training ends within two hours.
"""

from __future__ import annotations

from figures import SIMARD2003
from study import arguments, images_of, mnist_of, study, trainer_of

from cnnframe.data import Distortion
from cnnframe.training import StepTable

SCHEDULE = StepTable([(25, 0.1 * 0.3**number) for number in range(4)])

if __name__ == "__main__":
    options = arguments(__doc__)
    train, test = images_of(mnist_of(options), SIMARD2003)
    study(SIMARD2003, options, lambda seed: (trainer_of(SIMARD2003, seed, rate=SCHEDULE, batch_size=32, augment=Distortion()), train, test))
