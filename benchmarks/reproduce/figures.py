"""The published figures, and the errors between which ours counts as met."""

from __future__ import annotations

from study import Figure

TOOLBOX = "R. B. Palm, DeepLearnToolbox, comments of its example"
LECUN = "LeCun et al. 1998, figure 9"
EARLY = "LeCun et al. 1989: 5.0 % on other digits; a re-run on these by A. Karpathy 2022: 4.09 %"
SIMARD = "Simard et al. 2003, table 1"
ELASTIC = "Simard 2003, elastic distortions; batches and rates of our own"

DEEPLEARN_1 = Figure("deeplearn-1", "deeplearn", "DeepLearnToolbox's network, 1 epoch", "about 11 %", TOOLBOX, (9.0, 13.0), 1, 5)
DEEPLEARN_100 = Figure("deeplearn-100", "deeplearn", "the same, 100 epochs", "1.2 %", TOOLBOX, (0.0, 1.4), 100)
LENET5_SDLM = Figure("lenet5-sdlm", "lenet5", "LeNet-5, stochastic diagonal Levenberg-Marquardt", "0.95 %", LECUN, (0.0, 1.1), 20, 3)
LENET5_SGD = Figure("lenet5-sgd", "lenet5", "LeNet-5, plain gradient descent with momentum", "none", "for comparison", (0.0, 100.0), 20, 3)
LECUN1989 = Figure("lecun1989", "lecun1989", "LeCun 1989, 7,291 and 2,007 digits of MNIST at 16x16", "4.09 %", EARLY, (3.5, 5.0), 23, 3)
SIMARD2003 = Figure(
    "simard2003-elastic",
    "simard2003",
    ELASTIC,
    "0.4 %",
    SIMARD,
    (0.0, 0.8),
    100,
    loss="softmax_cross_entropy",
)

FIGURES = (DEEPLEARN_1, DEEPLEARN_100, LENET5_SDLM, LENET5_SGD, LECUN1989, SIMARD2003)
