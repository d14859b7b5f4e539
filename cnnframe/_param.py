"""Parameters of an operation: axes, role, and how they start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

ROLES: Final = ("weight", "bias", "gain", "mixing")
"""What a parameter is for: weights are decayed, biases and gains are not, mixing weights choose maps."""


class Initialiser(Protocol):
    """How the entries of a parameter start."""

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return an array of `shape`; the fans count the connections into and out of one unit."""
        ...


@dataclass(frozen=True)
class GlorotUniform:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)), the toolbox's rule for kernels."""

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the entries."""
        limit = np.sqrt(6.0 / (fan_in + fan_out))
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class LeCunNormal:
    """Normal with mean 0 and standard deviation 1/sqrt(fan_in) (LeCun et al. 1998, "Efficient BackProp", 4.6)."""

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the entries."""
        return rng.normal(0.0, 1.0 / np.sqrt(fan_in), shape)


@dataclass(frozen=True)
class FanInUniform:
    """Uniform in +-limit / fan_in^power; LeCun et al. take 2.4 / fan_in (1989 and 1998), others a power of 1/2."""

    limit: float = 2.4
    power: float = 1.0

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the entries."""
        limit = self.limit / fan_in**self.power
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and the same standard deviation everywhere (Simard et al. 2003 take 0.05)."""

    deviation: float

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the entries."""
        return rng.normal(0.0, self.deviation, shape)


@dataclass(frozen=True)
class Constant:
    """The same value everywhere."""

    value: float = 0.0

    def __call__(self, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Fill the array."""
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Param:
    """One parameter array.

    Attributes:
        axes: its axes.
        role: one of `ROLES`.
        initial: how it starts.
        fan_in: the axes whose product is the number of connections into one unit; all but the first if empty.
        fan_out: likewise out of one unit; the first axis if empty.
    """

    axes: str
    role: str = "weight"
    initial: Initialiser = GlorotUniform()
    fan_in: str = ""
    fan_out: str = ""


def bias(axes: str) -> Param:
    """An additive parameter; it starts at 0 and is not decayed."""
    return Param(axes, "bias", Constant(0.0))


def gain(axes: str) -> Param:
    """A multiplicative parameter; it starts at 1 and is not decayed."""
    return Param(axes, "gain", Constant(1.0))
