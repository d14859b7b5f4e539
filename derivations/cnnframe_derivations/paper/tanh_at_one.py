"""2.1: the constants of the hyperbolic tangent are to give f(1) = 1."""

from typing import Any

import mpmath
import sympy as sp

from ._finding import Fact, Finding

DIGITS = 50


def enclosed(a: str, b: tuple[int, int]) -> Any:
    """An interval that holds 1 - a tanh(b), with `b` as a fraction."""
    mpmath.iv.dps = DIGITS
    square = mpmath.iv.exp(2 * mpmath.iv.mpf(b[0]) / b[1])
    return 1 - mpmath.iv.mpf(a) * (square - 1) / (square + 1)


SHORT = enclosed("1.7159", (2, 3))
"""By how much f(1) is less than 1."""
with mpmath.workdps(DIGITS):
    EXACT_A = 1 / mpmath.tanh(mpmath.mpf(2) / 3)

half = sp.Rational(2, 3)

FINDING = Finding(
    where="f(±1) = ±1",
    section="2.1",
    printed=r"a = 1.7159, \; b = 2/3: \quad f(\pm 1) = \pm 1",
    words="LeCun's constants make the targets 1 and -1 the outputs at 1 and -1.",
    verdict="right under a condition",
    condition="To five digits; the number 1.7159 is rounded.",
    corrected=rf"a = 1 / \tanh(2/3) = {mpmath.nstr(EXACT_A, 8)}",
    facts=(
        Fact("f(1) = 1", "mpmath, intervals of 50 digits", f"f(1) = 1 - {mpmath.nstr(mpmath.mpf(SHORT.a), 4)}", 0 in SHORT),
        Fact("$|f(1) - 1| < 0.00001$", "mpmath, intervals of 50 digits", "so to five digits", abs(SHORT) < mpmath.mpf("1e-5")),
        Fact(
            r"with $a = 1 / \tanh(2/3)$ it is 1 exactly",
            "SymPy",
            f"a = {mpmath.nstr(EXACT_A, 12)}",
            1 / sp.tanh(half) * sp.tanh(half) == 1,
        ),
    ),
)
