"""Wrong operations that hang, end or interrupt the process that runs them, or change it for whoever comes next.

They are in a file of their own, which is soon imported: a worker process is lost with each of them.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import random
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnframe import Op
from cnnframe_plugins.activations import LeakyReLU, ScaledTanh, Softplus
from cnnframe_plugins.dense import Dense
from cnnframe_plugins.dropout import Dropout
from cnnframe_plugins.joins import Add, Flatten
from cnnframe_plugins.pooling import MaxPool, MeanPool
from cnnframe_plugins.regularizers import L2, AlphaPower, AlphaSquare
from cnnframe_plugins.scaling import Normalise
from cnnframe_plugins.subsample import Decimate, Subsample, Upsample


@dataclass(frozen=True)
class Wrong:
    """One wrong operation.

    Attributes:
        cls: the operation.
        category: the kind of evidence that should see it first.
        deadly: a call hangs, or ends or interrupts the process.
        stains: a call changes the process for whoever comes next.
    """

    cls: type[Op]
    category: str
    deadly: bool = False
    stains: bool = False


FOUND: list[Wrong] = []
"""All that were made, here and by whoever imports this."""


def wrong(category: str, *, deadly: bool = False, stains: bool = False) -> Any:
    """Make the class an operation and collect it."""

    def collect(cls: Any) -> Any:
        made = dataclass(frozen=True)(cls)
        FOUND.append(Wrong(made, category, deadly, stains))
        return made

    return collect


@wrong("contract", stains=True)
class SoftplusSilences(Softplus):
    """Turns NumPy's warnings of overflow off for good; shows in `np.geterr`."""

    name = "softplus_silences"

    def f(self, x):
        np.seterr(over="ignore", under="ignore")
        return super().f(x)


@wrong("contract", stains=True)
class DropoutSeeds(Dropout):
    """Seeds NumPy's global generator; shows in its state."""

    name = "dropout_seeds"

    def forward(self, x, u):
        np.random.seed(0)  # noqa: NPY002 # the global generator is the mistake
        return super().forward(x, u)


@wrong("contract", stains=True)
class NormaliseDraws(Normalise):
    """Draws from NumPy's global generator and throws the number away; shows in its state."""

    name = "normalise_draws"

    def backward(self, dy, saved):
        np.random.random()  # noqa: NPY002 # the global generator is the mistake
        return super().backward(dy, saved)


@wrong("contract", stains=True)
class LeakyReLUDraws(LeakyReLU):
    """Draws from Python's global generator; shows in its state."""

    name = "leaky_relu_draws"

    def f(self, x):
        random.random()  # noqa: S311 # the global generator is the mistake
        return super().f(x)


@wrong("contract", stains=True)
class L2PrintOptions(L2):
    """Changes how NumPy prints; shows in `np.get_printoptions`."""

    name = "l2_print_options"

    def forward(self, w):
        np.set_printoptions(precision=3, suppress=True)
        return super().forward(w)


@wrong("contract", stains=True)
class TanhFiltersWarnings(ScaledTanh):
    """Ignores all warnings from now on; shows in `warnings.filters`."""

    name = "tanh_filters_warnings"

    def df(self, x, y):
        warnings.simplefilter("ignore")
        return super().df(x, y)


@wrong("contract", stains=True)
class AddEnvironment(Add):
    """Sets a variable of the environment; shows in `os.environ`."""

    name = "add_environment"

    def forward(self, a, b):
        os.environ["ADD_WAS_HERE"] = "1"
        return super().forward(a, b)


@wrong("contract", stains=True)
class FlattenMoves(Flatten):
    """Changes the current folder; shows in `os.getcwd`."""

    name = "flatten_moves"

    def forward(self, x):
        os.chdir(tempfile.gettempdir())
        return super().forward(x)


@wrong("contract", stains=True)
class AlphaSquarePatches(AlphaSquare):
    """Puts a function of its own in the place of `np.square`, to the same effect; shows in the module."""

    name = "alpha_square_patches"

    def forward(self, c):
        def square(x, *args, **kwargs):
            return np.multiply(x, x, *args, **kwargs)

        np.square = square
        return super().forward(c)


@wrong("contract", stains=True)
class UpsampleCapturesOutput(Upsample):
    """Leaves a buffer in the place of `sys.stdout`; shows there."""

    name = "upsample_captures_output"

    def backward(self, dy, saved):
        sys.stdout = io.StringIO()
        return super().backward(dy, saved)


@wrong("contract", stains=True)
class AlphaPowerNoGarbage(AlphaPower):
    """Turns the garbage collector off; shows in `gc.isenabled`."""

    name = "alpha_power_no_garbage"

    def forward(self, c):
        gc.disable()
        return super().forward(c)


@wrong("contract", deadly=True)
class MeanPoolExits(MeanPool):
    """Raises SystemExit if windows overlap; shows there."""

    name = "mean_pool_exits"

    def forward(self, x):
        if any(stride < size for stride, size in zip(self.stride, self.size, strict=True)):
            sys.exit(0)
        return super().forward(x)


@wrong("contract", deadly=True)
class UpsampleEndsProcess(Upsample):
    """Ends the process with status 3, past every handler; shows in every backward."""

    name = "upsample_ends_process"

    def backward(self, dy, saved):
        os._exit(3)


@wrong("contract", deadly=True)
class DenseEndsProcessWell(Dense):
    """Ends the process with status 0, as if all were well; shows from four patterns on."""

    name = "dense_ends_process_well"

    def forward(self, x, W, b):
        if len(x) > 3:
            os._exit(0)
        return super().forward(x, W, b)


@wrong("contract", deadly=True)
class DecimateInterrupts(Decimate):
    """Raises KeyboardInterrupt for a stride of 2; shows there."""

    name = "decimate_interrupts"

    def forward(self, x):
        if 2 in self.stride:
            raise KeyboardInterrupt
        return super().forward(x)


@wrong("contract", deadly=True)
class SubsampleLoops(Subsample):
    """Never ends if a block is no square; shows there."""

    name = "subsample_loops"

    def forward(self, x, beta, b):
        while len(set(self.size)) > 1:
            pass
        return super().forward(x, beta, b)


@wrong("contract", deadly=True)
class MaxPoolSleeps(MaxPool):
    """Sleeps for an hour; shows in every backward."""

    name = "max_pool_sleeps"

    def backward(self, dy, saved):
        time.sleep(3600)
        return super().backward(dy, saved)


@wrong("contract", deadly=True)
class TanhReadsNothing(ScaledTanh):
    """Reads from address 0, which the operating system answers by ending the process; shows in every derivative."""

    name = "tanh_reads_nothing"

    def df(self, x, y):
        ctypes.string_at(0)
        return super().df(x, y)
