"""3.3: the constraints on the weights of a combination."""

import sympy as sp

from cnnframe.algebra import total

from ._finding import Fact, Finding, proved
from .softmax_weights import M, N, Z, alpha, k, s

mine, others = sp.symbols("e_i others", positive=True)
weight = mine / (mine + others)

FINDING = Finding(
    where="the constraints",
    section="3.3",
    printed=r"\sum_i \alpha_{ij} = 1, \quad 0 \leq \alpha_{ij} \leq 1",
    words="The softmax enforces them. With two or more input maps it gives neither 0 nor 1, so no map is ever left out.",
    verdict="right",
    proofs={
        "sum": proved(
            r"$Z_j \sum_i \alpha_{ij} = Z_j$ with $Z_j = \sum_k e^{c_{kj}}$, which is positive",
            s.same(lambda j: Z[j] * total(alpha[k, j], (k, N)), lambda j: Z[j], (M,)),
        )
    },
    facts=(
        Fact(
            r"a weight and 1 less the weight are positive, since exponentials are",
            "SymPy cancel",
            r"0 < alpha < 1",
            bool(weight.is_positive and sp.cancel(1 - weight).is_positive),
        ),
    ),
)
