"""(14): the derivative of the penalty with respect to the free weights, in short form."""

from cnnframe.algebra import absolute, total

from ._finding import Finding, proved
from ._penalties import norm
from .softmax_weights import M, N, alpha, c, k, lam, s

short = norm.gradient(c, lambda i, j: lam * (absolute(alpha[i, j]) - alpha[i, j] * total(absolute(alpha[k, j]), (k, N))))
value = s.same(lambda i, j: lam * (alpha[i, j] - alpha[i, j] * total(alpha[k, j], (k, N))), lambda i, j: 0, (N, M))

FINDING = Finding(
    where="(14)",
    section="3.3.1",
    printed=r"\frac{\partial \Omega}{\partial c_i} = \lambda \left( |\alpha_i| - \alpha_i \sum_k |\alpha_k| \right)",
    words="The algebra is right. Since the weights are positive with sum 1 the bracket is $\\alpha_i - \\alpha_i$.",
    verdict="vacuous",
    condition="Identically 0.",
    corrected=r"\frac{\partial \Omega}{\partial c_i} = 0",
    proofs={
        "short": proved("it is the derivative of the penalty", short),
        "zero": proved(r"with $|\alpha| = \alpha$ its value is 0", value),
    },
)
