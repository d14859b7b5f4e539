"""2.1: the hyperbolic tangent, its range and its mean."""

import sympy as sp

from ._finding import Fact, Finding

x = sp.Symbol("x", real=True)
a, b, E = sp.symbols("a b E", positive=True)
y = a * sp.tanh(b * x)
fraction = a * (E - 1) / (E + 1)

FINDING = Finding(
    where="the hyperbolic tangent",
    section="2.1",
    printed=r"f(x) = a \, \tanh(bx), \quad [-\infty, +\infty] \rightarrow [-a, +a]",
    words="The outputs lie between -a and a and are zero on average where the inputs are. With $E = e^{2bx} > 0$ both follow from fractions.",
    verdict="right under a condition",
    condition="For $a, b > 0$; -a and a are limits, which no finite x reaches.",
    corrected=r"-a < f(x) < a, \quad f' = \frac{b}{a} (a - f) (a + f)",
    facts=(
        Fact("$f = a (E - 1) / (E + 1)$", "SymPy cancel", "difference 0", sp.cancel(y.rewrite(sp.exp) - fraction.subs(E, sp.exp(2 * b * x))) == 0),
        Fact(
            "$a - f = 2 a / (E + 1)$ and $a + f = 2 a E / (E + 1)$ are positive",
            "SymPy cancel",
            "-a < f < a",
            bool(sp.cancel(a - fraction).is_positive and sp.cancel(a + fraction).is_positive),
        ),
        Fact("the limits are -a and a", "SymPy limit", "-a and a", (sp.limit(fraction, E, 0), sp.limit(fraction, E, sp.oo)) == (-a, a)),
        Fact("$f' = (b / a) (a - f) (a + f)$", "SymPy diff, expand", "difference 0", sp.expand(sp.diff(y, x) - b / a * (a - y) * (a + y)) == 0),
        Fact("$f(-x) = -f(x)$, so that inputs symmetric about 0 give outputs with mean 0", "SymPy", "odd", y.subs(x, -x) == -y),
    ),
)
