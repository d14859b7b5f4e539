"""2.1: the logistic function, its range and its mean."""

import sympy as sp

from ._finding import Fact, Finding

x, beta, E = sp.Symbol("x", real=True), sp.Symbol("beta", positive=True), sp.Symbol("E", positive=True)
y = 1 / (1 + sp.exp(-beta * x))
fraction = y.subs(sp.exp(-beta * x), E)

FINDING = Finding(
    where="the logistic function",
    section="2.1",
    printed=r"f(x) = (1 + e^{-\beta x})^{-1}, \quad [-\infty, +\infty] \rightarrow [0, 1]",
    words=r"The outputs lie between 0 and 1 and are not zero on average. With $E = e^{-\beta x} > 0$ both follow from fractions.",
    verdict="right under a condition",
    condition=r"For $\beta > 0$; 0 and 1 are limits, which no finite x reaches.",
    corrected=r"0 < f(x) < 1, \quad f' = \beta f (1 - f)",
    facts=(
        Fact(
            "$f = 1 / (1 + E)$ and $1 - f = E / (1 + E)$ are positive",
            "SymPy cancel",
            "0 < f < 1",
            bool((1 - fraction).cancel().is_positive and fraction.is_positive),
        ),
        Fact(
            "the limits are 0 and 1",
            "SymPy limit",
            "0 and 1",
            (sp.limit(fraction, E, sp.oo), sp.limit(fraction, E, 0)) == (0, 1),
        ),
        Fact(r"$f' = \beta f (1 - f)$", "SymPy diff, cancel", "difference 0", sp.cancel(sp.diff(y, x) - beta * y * (1 - y)) == 0),
        Fact(
            "$f(x) + f(-x) = 1$, so that inputs symmetric about 0 give outputs with mean one half",
            "SymPy cancel",
            "1",
            sp.cancel(fraction + fraction.subs(E, 1 / E)) == 1,
        ),
    ),
)
