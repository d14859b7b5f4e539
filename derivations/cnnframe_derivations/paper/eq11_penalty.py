"""(11): a penalty that is to make the weights of a combination sparse."""

import numpy as np
import sympy as sp

from cnnframe.algebra import total

from ._finding import Fact, Finding, proved, refuted
from ._penalties import ACTING, anything, descended, penalised, plain
from ._speech import slope
from .softmax_weights import M, N, Z, alpha, c, k, lam, s

# With weights that are positive |alpha| is alpha, and the penalty is lambda times the number of output maps.
times_z = s.same(lambda j: Z[j] * lam * total(alpha[k, j], (k, N)), lambda j: Z[j] * lam, (M,))
nothing = plain.gradient(c, lambda i, j: 0)
start = descended(lambda a: 0 * a, steps=1)


LARGEST = {name: float(descended(derivative).max()) for name, (_, _, derivative) in ACTING.items()}
"""The largest of the weights to which descent on an acting penalty leads."""

FINDING = Finding(
    where="(11)",
    section="3.3.1",
    printed=r"\tilde{E}^n = E^n + \lambda \sum_{i,j} |(\alpha)_{ij}|",
    words="The softmax makes the weights of each output map positive with sum 1, so that the penalty is $\\lambda$ times the number of output maps, "
    "whatever the weights are. A constant enforces nothing.",
    verdict="vacuous",
    condition="The penalty is a constant. Penalties that act have a derivative that is not 0.",
    corrected=r"\Omega = " + r" \;\text{ or }\; ".join(rf"\lambda \left({latex}\right)" for latex, *_ in ACTING.values()),
    proofs={
        "constant": proved(r"$Z_j \lambda \sum_i \alpha_{ij} = Z_j \lambda$ for every output map", times_z),
        "no gradient": proved("its derivative with respect to every free weight is 0", nothing),
        "any": proved(
            r"a penalty $\lambda \sum f(\alpha_i)$ with any f has the derivative $\lambda \alpha_i (f'(\alpha_i) - \sum_k f'(\alpha_k) \alpha_k)$",
            anything.gradient(c, lambda i, j: lam * alpha[i, j] * (slope(alpha[i, j]) - total(slope(alpha[k, j]) * alpha[k, j], (k, N)))),
        ),
    },
    refusals={
        name: refuted(
            f"${ACTING[name][0]}$ has the derivative 0",
            penalised(ACTING[name][1]).gradient(c, lambda i, j: 0),
            {"N": 2, "M": 1},
            {"lambda": 1},
            c=[[0], [1]],
        )
        for name in ACTING
    },
    facts=(
        Fact("weights are positive, so that $|\\alpha_i| = \\alpha_i$", "SymPy", "exponentials are positive", sp.exp(sp.Symbol("c", real=True)).is_positive),
        Fact(
            "descent on the 1-norm alone moves the weights",
            "measured",
            f"by {abs(descended(np.sign) - start).max():.0e}",
            bool(abs(descended(np.sign) - start).max() > 1e-9),
        ),
        *(
            Fact(
                f"descent on ${ACTING[name][0]}$ alone leads to a single weight",
                "measured",
                f"the largest weight becomes {LARGEST[name]:.4f}",
                LARGEST[name] > 0.99,
            )
            for name in ACTING
        ),
    ),
)
