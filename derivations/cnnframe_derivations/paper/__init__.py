"""J. Bouvrie, Notes on Convolutional Neural Networks (2006), audited: a file for each formula, with verdict and proof."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..proofs._statement import Theorem
    from ._finding import Finding

ORDER = (
    "translation",
    "sum_over_patterns",
    "eq01_squared_error",
    "eq02_forward",
    "logistic_function",
    "tanh_function",
    "tanh_at_one",
    "maximum_nonlinearity",
    "eq03_bias",
    "eq04_recurrence",
    "output_delta",
    "eq05_weight_gradient",
    "eq06_update",
    "conv_forward",
    "one_unit_above",
    "conv_delta",
    "up_is_kron",
    "conv_bias",
    "eq07_kernel_gradient",
    "matlab_kernel_gradient",
    "subsampling_forward",
    "subsampling_delta",
    "borders",
    "pulling_and_pushing",
    "subsampling_bias",
    "downsampled_map",
    "beta_gradient",
    "combination_forward",
    "simplex_constraints",
    "softmax_weights",
    "eq08_softmax_derivative",
    "alpha_gradient",
    "eq09_chain_rule",
    "eq10_free_weights",
    "eq11_penalty",
    "eq12_sign",
    "eq13_penalty_chain",
    "eq14_penalty_gradient",
    "penalised_gradient",
    "kron_upsampling",
    "ones_convolution",
    "four_times",
    "finite_differences",
    "epsilon",
    "cost_of_differences",
)
"""The files, in the order of the paper."""


@cache
def findings() -> tuple[Finding, ...]:
    """All findings, in the order of the paper; this proves and refutes them, which takes a few seconds."""
    found = said()
    for finding in found:
        finding.check()
    return found


@cache
def said() -> tuple[Finding, ...]:
    """All findings, in the order of the paper, as they are written down; nothing is proved yet."""
    return tuple(import_module(f".{name}", __name__).FINDING for name in ORDER)


def proofs() -> dict[str, tuple[Theorem, tuple[Any, ...]]]:
    """Every theorem with its steps, by file and name: `eq07_kernel_gradient/turned`."""
    return {
        f"{file}/{name}": (proof.theorem, tuple(proof.steps)) for file, finding in zip(ORDER, findings(), strict=True) for name, proof in finding.proofs.items()
    }


def table() -> Any:
    """The findings as a table that Rich prints."""
    from ._page import table as drawn

    return drawn(findings())


def page() -> str:
    """The findings as an HTML page that stands alone."""
    from ._page import page as written

    return written(findings())
