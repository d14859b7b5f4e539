"""The logistic function, from SciPy, which takes long to import: only when it is first called."""

from __future__ import annotations

from typing import Any

from cnnframe import Array


def expit(x: Any) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    from scipy.special import expit as function

    y: Array = function(x)
    return y
