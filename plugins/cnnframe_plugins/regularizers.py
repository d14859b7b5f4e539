"""Penalties on parameters: weight decay, and sparse combinations of maps (Bouvrie 2006, section 3.3.1).

The penalties on combinations take the underlying weights c and see them through alpha, the softmax of each
column of c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Regularizer, at_least, between
from cnnframe.algebra import absolute, indices, log, sign, total

from ._simplex import log_softmax, softmax, softmax_formula, softmax_pullback, softmax_rule


@dataclass(frozen=True)
class L1(Regularizer):
    """strength times the sum of |w|; the derivative at 0 is taken to be 0 (equation 12).

    Axes: w has any axes.

    Attributes:
        strength: weight of the penalty, the paper's lambda.
    """

    strength: Annotated[float, at_least(0)]

    name = "l1"
    inputs = {"w": "..."}

    def forward(self, w):
        """Return the penalty, and w for `backward`."""
        return self.strength * np.abs(w).sum(), w

    def backward(self, dy, saved):
        """Return dy strength sign(w)."""
        return {"w": dy * self.strength * np.sign(saved)}

    def formula(self, at, w):
        """The 1-norm."""
        (p,) = indices("p")
        return self.strength * total(absolute(w[p]), (p, w.shape[0]))

    def claims(self, at, dy, w):
        """strength sign(w): equation 12."""
        return {"w": dy * self.strength * sign(w[at["w"]])}


@dataclass(frozen=True)
class L2(Regularizer):
    """strength / 2 times the sum of w^2: weight decay.

    Axes: w has any axes.

    Attributes:
        strength: weight of the penalty.
    """

    strength: Annotated[float, at_least(0)]

    name = "l2"
    inputs = {"w": "..."}

    def forward(self, w):
        """Return the penalty, and w for `backward`."""
        return self.strength * np.square(w).sum() / 2, w

    def backward(self, dy, saved):
        """Return dy strength w."""
        return {"w": dy * self.strength * saved}

    def formula(self, at, w):
        """Half the squared 2-norm."""
        (p,) = indices("p")
        return self.strength * total(w[p] ** 2, (p, w.shape[0])) / 2

    def claims(self, at, dy, w):
        """strength w."""
        return {"w": dy * self.strength * w[at["w"]]}


@dataclass(frozen=True)
class AlphaL1(Regularizer):
    """strength times the sum of |alpha|: the paper's penalty, which is a constant (equations 11 to 14).

    Each column of alpha is positive and sums to 1, so the value is strength times the number of output maps and
    the gradient of equation 14 is identically 0: it enforces no sparsity. `alpha_square`, `alpha_entropy` and
    `alpha_power` do. Axes: c (maps in, maps).

    Attributes:
        strength: weight of the penalty, the paper's lambda.
    """

    strength: Annotated[float, at_least(0)]

    name = "alpha_l1"
    role = "mixing"
    inputs = {"c": "i j"}

    def forward(self, c):
        """Return the penalty, and alpha for `backward`."""
        alpha = softmax(c, 0)
        return self.strength * np.abs(alpha).sum(), alpha

    def backward(self, dy, saved):
        """Return dy strength (|alpha| - alpha sum of |alpha|): equation 14."""
        size = np.abs(saved)
        return {"c": dy * self.strength * (size - saved * size.sum(axis=0))}

    def formula(self, at, c):
        """The 1-norm of alpha (equation 11)."""
        alpha, i, j, over = _columns(c)
        return self.strength * total(absolute(alpha[i, j]), *over)

    def claims(self, at, dy, c):
        """strength (|alpha| - alpha sum of |alpha|): equation 14."""
        (i, j), (k,), alpha = at["c"], indices("k"), softmax_formula(c)
        return {"c": dy * self.strength * (absolute(alpha[i, j]) - alpha[i, j] * total(absolute(alpha[k, j]), (k, c.shape[0])))}


@dataclass(frozen=True)
class AlphaSquare(Regularizer):
    """-strength times the sum of alpha^2, least where each output map sees one input map alone.

    Axes: c (maps in, maps).

    Attributes:
        strength: weight of the penalty.
    """

    strength: Annotated[float, at_least(0)]

    name = "alpha_square"
    role = "mixing"
    inputs = {"c": "i j"}

    def forward(self, c):
        """Return the penalty, and alpha for `backward`."""
        alpha = softmax(c, 0)
        return -self.strength * np.square(alpha).sum(), alpha

    def backward(self, dy, saved):
        """Return -2 dy strength alpha (alpha - sum of alpha^2)."""
        return {"c": dy * -2 * self.strength * softmax_pullback(saved, saved, 0)}

    def formula(self, at, c):
        """Minus the squared 2-norm of alpha."""
        alpha, i, j, over = _columns(c)
        return -self.strength * total(alpha[i, j] ** 2, *over)

    def claims(self, at, dy, c):
        """Equation 10 with the derivative -2 strength alpha."""
        alpha = softmax_formula(c)
        return {"c": dy * -2 * self.strength * softmax_rule(alpha, lambda i, j: alpha[i, j], *at["c"])}


@dataclass(frozen=True)
class AlphaEntropy(Regularizer):
    """-strength times the sum of alpha log alpha, the entropy of each column, with 0 log 0 = 0.

    Axes: c (maps in, maps).

    Attributes:
        strength: weight of the penalty.
    """

    strength: Annotated[float, at_least(0)]

    name = "alpha_entropy"
    role = "mixing"
    inputs = {"c": "i j"}

    def forward(self, c):
        """Return the penalty, and log alpha for `backward`."""
        logs = log_softmax(c, 0)
        return self.strength * (np.exp(logs) * -logs).sum(), logs

    def backward(self, dy, saved):
        """Return -dy strength alpha (log alpha - sum of alpha log alpha)."""
        return {"c": dy * -self.strength * softmax_pullback(np.exp(saved), saved, 0)}

    def formula(self, at, c):
        """The entropy of alpha."""
        alpha, i, j, over = _columns(c)
        return -self.strength * total(alpha[i, j] * log(alpha[i, j]), *over)

    def claims(self, at, dy, c):
        """Equation 10 with the derivative -strength (log alpha + 1)."""
        alpha = softmax_formula(c)
        return {"c": dy * -self.strength * softmax_rule(alpha, lambda i, j: log(alpha[i, j]) + 1, *at["c"])}


@dataclass(frozen=True)
class AlphaPower(Regularizer):
    """strength times the sum of alpha^power, for a power below 1.

    Axes: c (maps in, maps).

    Attributes:
        strength: weight of the penalty.
        power: the exponent; the smaller, the closer to counting the weights that are not 0.
    """

    strength: Annotated[float, at_least(0)]
    power: Annotated[float, between(0, 1, include_low=False, include_high=False)] = 0.5

    name = "alpha_power"
    role = "mixing"
    inputs = {"c": "i j"}

    def forward(self, c):
        """Return the penalty, and log alpha for `backward`."""
        logs = log_softmax(c, 0)
        return self.strength * np.exp(self.power * logs).sum(), logs

    def backward(self, dy, saved):
        """Return dy strength power (alpha^power - alpha sum of alpha^power)."""
        # By logarithms: alpha^(power - 1) is infinite where alpha underflows.
        powers = np.exp(self.power * saved)
        return {"c": dy * self.strength * self.power * (powers - np.exp(saved) * powers.sum(axis=0))}

    def formula(self, at, c):
        """The sum of powers of alpha."""
        alpha, i, j, over = _columns(c)
        return self.strength * total(alpha[i, j] ** self.power, *over)

    def claims(self, at, dy, c):
        """strength power (alpha^power - alpha sum of alpha^power)."""
        (i, j), (k,), alpha = at["c"], indices("k"), softmax_formula(c)
        powers = total(alpha[k, j] ** self.power, (k, c.shape[0]))
        return {"c": dy * self.strength * self.power * (alpha[i, j] ** self.power - alpha[i, j] * powers)}


def _columns(c):
    """The formula of alpha, its indices, and the ranges that they run over."""
    i, j = indices("i j")
    return softmax_formula(c), i, j, ((i, c.shape[0]), (j, c.shape[1]))
