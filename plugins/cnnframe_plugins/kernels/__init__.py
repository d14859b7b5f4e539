"""NumPy kernels of the standard operations: they write where they are told to, and allocate nothing.

Each computes what the operation's own `forward` and `backward` say, which stay the readable reference.
"""

from __future__ import annotations

from ._conv import ConvKernel
from ._dense import DenseKernel, FlattenKernel
from ._losses import SoftmaxCrossEntropyKernel, SquaredErrorKernel
from ._pointwise import PointwiseKernel
from ._windows import MaxPoolKernel, MeanPoolKernel, SubsampleKernel

KERNELS = (
    ConvKernel,
    DenseKernel,
    FlattenKernel,
    MaxPoolKernel,
    MeanPoolKernel,
    PointwiseKernel,
    SoftmaxCrossEntropyKernel,
    SquaredErrorKernel,
    SubsampleKernel,
)
