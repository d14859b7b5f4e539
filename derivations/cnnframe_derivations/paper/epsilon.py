"""4.4: how large a step to take in finite differences."""

from typing import Any

import numpy as np
import sympy as sp

from ._finding import Fact, Finding

UNIT = 2.0**-53
"""Half the distance of 1 to the next number in double precision."""

# Model: a computed E is off by u |E|; the central difference adds eps^2 |E'''| / 6, the one-sided one eps |E''| / 2.
eps, u, size, second, third = sp.symbols("epsilon u E E2 E3", positive=True)
central_error = u * size / eps + eps**2 * third / 6
one_sided_error = 2 * u * size / eps + eps * second / 2
BEST_CENTRAL = (3 * u * size / third) ** sp.Rational(1, 3)
BEST_ONE_SIDED = 2 * sp.sqrt(u * size / second)

STEPS = tuple(10.0**e for e in np.arange(-11, -2.9, 0.25))


def network() -> tuple[Any, Any, Any]:
    """Inputs, weights and targets of 6 tanh units under the squared error; fixed, not drawn."""
    x = np.sin(np.arange(1.0, 9.0))
    weights = np.cos(np.arange(1.0, 49.0)).reshape(6, 8) / 2
    return x, weights, np.cos(np.arange(6.0) ** 2)


def error(weights: Any, x: Any, t: Any) -> Any:
    """(1) after (2)."""
    return 0.5 * np.sum((t - 1.7159 * np.tanh(2 / 3 * (weights @ x))) ** 2)


def gradient(weights: Any, x: Any, t: Any) -> Any:
    """(5), with the transposition put right, and the output delta."""
    y = 1.7159 * np.tanh(2 / 3 * (weights @ x))
    return np.outer(2 / 3 / 1.7159 * (1.7159 - y) * (1.7159 + y) * (y - t), x)


def off(step: float, *, one_sided: bool = False) -> float:
    """The root mean square of the errors of the estimates, over all weights, relative to the gradient."""
    x, weights, t = network()
    estimates = np.zeros_like(weights)
    for at in np.ndindex(weights.shape):
        up, down = weights.copy(), weights.copy()
        up[at] += step
        down[at] -= 0.0 if one_sided else step
        estimates[at] = (error(up, x, t) - error(down, x, t)) / (step if one_sided else 2 * step)
    exact = gradient(weights, x, t)
    return float(np.sqrt(np.mean((estimates - exact) ** 2) / np.mean(exact**2)))


CENTRAL = {step: off(step) for step in STEPS}
ONE_SIDED = {step: off(step, one_sided=True) for step in STEPS}
PRINTED = off(1e-8)
BETTER = off(7e-6)
best_one_sided = min(ONE_SIDED, key=ONE_SIDED.__getitem__)

FINDING = Finding(
    where="epsilon",
    section="4.4",
    printed=r"\text{Something like } \epsilon = 10^{-8} \text{ could be ok.}",
    words="Too large a step has an error of the formula, too small a step one of rounding. For the central difference in double precision the best "
    "step is near $7 \\cdot 10^{-6}$; $10^{-8}$ is that of the difference to one side.",
    verdict="wrong",
    condition="The recommended step is the best one for another formula.",
    corrected=r"\epsilon \approx \left(3 u \left|E / E'''\right|\right)^{1/3}, \text{ about } 7 \cdot 10^{-6} \text{ with } u = 2^{-53}",
    facts=(
        Fact(
            r"the error $u |E| / \epsilon + \epsilon^2 |E'''| / 6$ is least at $(3 u |E / E'''|)^{1/3}$",
            "SymPy diff, expand",
            f"{float((3 * UNIT) ** (1 / 3)):.1e} if E and E''' are alike",
            sp.expand(sp.diff(central_error, eps).subs(eps, BEST_CENTRAL)) == 0,
        ),
        Fact(
            r"the error of the difference to one side is least at $2 (u |E / E''|)^{1/2}$",
            "SymPy diff, expand",
            f"{2 * UNIT**0.5:.1e} if E and E'' are alike",
            sp.expand(sp.diff(one_sided_error, eps).subs(eps, BEST_ONE_SIDED)) == 0,
        ),
        Fact(
            r"on a small network $10^{-8}$ is among the better steps of the central difference",
            "measured",
            f"the error is {PRINTED:.0e} of the gradient; at 7e-6 it is {BETTER:.0e}, {PRINTED / BETTER:.0f} times smaller",
            10 * min(CENTRAL.values()) > PRINTED,
        ),
        Fact(
            "for the difference to one side it is",
            "measured",
            f"the best step is {best_one_sided:.0e}, with an error of {ONE_SIDED[best_one_sided]:.0e}",
            1e-9 < best_one_sided < 1e-7,
        ),
    ),
)
