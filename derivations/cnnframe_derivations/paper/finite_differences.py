"""4.4: the finite difference estimate of a derivative."""

from typing import Any

import sympy as sp

from ._finding import Fact, Finding

w, eps = sp.symbols("w epsilon", real=True)
coefficients = sp.symbols("c0:6", real=True)


def E(v: Any) -> Any:  # noqa: N802 # the paper writes E
    """Any polynomial of degree 5: what is said of the order holds for its Taylor polynomial."""
    return sum(c * v**n for n, c in enumerate(coefficients))


central = (E(w + eps) - E(w - eps)) / (2 * eps)
one_sided = (E(w + eps) - E(w)) / eps
slope, third = sp.diff(E(w), w), sp.diff(E(w), w, 3)
error = sp.expand(central - slope)

FINDING = Finding(
    where="the finite difference formula",
    section="4.4",
    printed=r"\frac{\partial E}{\partial w_i} \approx \frac{E(w_i + \epsilon) - E(w_i - \epsilon)}{2\epsilon}",
    words="Second order: the error shrinks with the square of epsilon. The difference to one side is of first order.",
    verdict="right",
    facts=(
        Fact(
            r"the error is $\epsilon^2 E''' / 6$ and terms in $\epsilon^4$",
            "SymPy diff, expand",
            "difference of order 4",
            sp.expand(error - eps**2 * third / 6 - eps**4 * sp.diff(E(w), w, 5) / 120) == 0,
        ),
        Fact("it is 0 for polynomials of degree 2", "SymPy expand", "0", error.subs(dict.fromkeys(coefficients[3:], 0)) == 0),
        Fact(
            r"the error of the difference to one side begins with $\epsilon E'' / 2$",
            "SymPy diff, expand",
            "order 1",
            sp.expand(sp.expand(one_sided - slope).coeff(eps, 1) - sp.diff(E(w), w, 2) / 2) == 0,
        ),
    ),
)
