"""2.1: the point of maximum nonlinearity is to be at 1 and -1."""

import mpmath
import sympy as sp

from ._finding import Fact, Finding

DIGITS = 50
x = sp.Symbol("x", real=True)
a, b = sp.symbols("a b", positive=True)
t = sp.tanh(b * x)
y = a * t

with mpmath.workdps(DIGITS):
    BEST_B = mpmath.atanh(1 / mpmath.sqrt(3))
    PEAK = BEST_B * 3 / 2
    """Where |f''| is largest for b = 2/3."""
    RATIO = abs(mpmath.tanh(mpmath.mpf(2) / 3) * (1 - mpmath.tanh(mpmath.mpf(2) / 3) ** 2)) / (2 / (3 * mpmath.sqrt(3)))
    """|f''(1)| as a part of the largest |f''|."""

FINDING = Finding(
    where="maximum nonlinearity",
    section="2.1",
    printed=r"\text{the point of maximum nonlinearity occurs at } f(\pm 1) = \pm 1",
    words=r"Taken as the largest $|f''|$. With $t = \tanh(bx)$ the third derivative is $-2 a b^3 (1 - t^2) (1 - 3 t^2)$, which is 0 at $t = 1 / \sqrt{3}$.",
    verdict="wrong",
    condition=f"Close: for b = 2/3 the maximum is at {mpmath.nstr(PEAK, 5)}, "
    f"and at 1 the second derivative is {mpmath.nstr(100 * (1 - RATIO), 2)} percent smaller.",
    corrected=r"x = \frac{1}{b} \operatorname{artanh} \frac{1}{\sqrt{3}}, \text{ which is 1 for } b = "
    + mpmath.nstr(BEST_B, 6)
    + r"; \text{ then } a = \sqrt{3} \text{ gives } f(1) = 1",
    facts=(
        Fact(
            r"$f''' = -2 a b^3 (1 - t^2) (1 - 3 t^2)$",
            "SymPy diff, expand",
            "difference 0",
            sp.expand(sp.diff(y, x, 3) + 2 * a * b**3 * (1 - t**2) * (1 - 3 * t**2)) == 0,
        ),
        Fact(
            "for b = 2/3 the largest $|f''|$ is at 1",
            "mpmath, 50 digits",
            f"it is at {mpmath.nstr(PEAK, 8)}; |f''(1)| is {mpmath.nstr(RATIO, 8)} of it",
            bool(mpmath.almosteq(PEAK, 1, 1e-6)),
        ),
        Fact(
            r"for $b = \operatorname{artanh}(1 / \sqrt{3})$ and $a = \sqrt{3}$ it is at 1, and f(1) = 1",
            "SymPy",
            f"b = {mpmath.nstr(BEST_B, 8)}",
            sp.expand(sp.sqrt(3) * sp.tanh(sp.atanh(1 / sp.sqrt(3)))) == 1,
        ),
    ),
)
