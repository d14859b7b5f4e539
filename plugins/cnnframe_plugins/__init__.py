"""The standard operations, registered the way anyone else's are."""

from __future__ import annotations

from cnnframe import hookimpl

from .activations import Identity, LeakyReLU, Logistic, ReLU, ScaledTanh, Softplus
from .batch_norm import BatchNorm, BatchNormGiven
from .combine import Combine
from .conv import Conv, ConvLinked
from .conv_unit_bias import ConvUnitBias
from .dense import Dense
from .dropout import Dropout
from .fused import FusedKernel
from .joins import Add, Concatenate, Flatten
from .kernels import KERNELS
from .losses import LogisticCrossEntropy, SoftmaxCrossEntropy, SquaredError
from .optimizers import SGD
from .pad import Pad
from .pooling import MaxPool, MeanPool
from .regularizers import L1, L2, AlphaEntropy, AlphaL1, AlphaPower, AlphaSquare
from .scaling import Normalise, ScaleShift
from .sdlm import SDLM
from .softmax import Softmax
from .subsample import Decimate, Subsample, Upsample


@hookimpl
def cnnframe_layers():
    """The layers of the paper and those that usually go with them."""
    return [
        Dense,
        Conv,
        ConvLinked,
        ConvUnitBias,
        Pad,
        Combine,
        Subsample,
        Decimate,
        Upsample,
        MeanPool,
        MaxPool,
        Flatten,
        Concatenate,
        Add,
        ScaleShift,
        Normalise,
        BatchNorm,
        BatchNormGiven,
        Dropout,
        Softmax,
    ]


@hookimpl
def cnnframe_activations():
    """The activation functions."""
    return [ScaledTanh, Logistic, ReLU, LeakyReLU, Softplus, Identity]


@hookimpl
def cnnframe_losses():
    """The losses."""
    return [SquaredError, SoftmaxCrossEntropy, LogisticCrossEntropy]


@hookimpl
def cnnframe_regularizers():
    """Penalties on weights and on combinations of maps."""
    return [L1, L2, AlphaL1, AlphaSquare, AlphaEntropy, AlphaPower]


@hookimpl
def cnnframe_optimizers():
    """Rules that turn gradients into a step."""
    return [SGD, SDLM]


@hookimpl
def cnnframe_kernels():
    """NumPy kernels that allocate nothing, and fused ones, which need Numba."""
    return [*KERNELS, FusedKernel]
