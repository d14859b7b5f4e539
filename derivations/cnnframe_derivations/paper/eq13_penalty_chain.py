"""(13): the derivative of the penalty with respect to the free weights, by the chain rule."""

from typing import Any

from cnnframe.algebra import define, equal, guard, sign, total

from ._finding import Finding, proved
from ._penalties import norm, plain
from .softmax_weights import M, N, alpha, c, k, lam


def jacobian(k: Any, i: Any, j: Any) -> Any:
    """(8), for output map j."""
    return guard(alpha[i, j], [equal(k, i)]) - alpha[i, j] * alpha[k, j]


# What (12) gives, but for lambda.
signs = define("sign", (N, M), lambda i, j: sign(alpha[i, j]))
chain = norm.gradient(c, lambda i, j: total(lam * signs[k, j] * jacobian(k, i, j), (k, N)))

FINDING = Finding(
    where="(13)",
    section="3.3.1",
    printed=r"\frac{\partial \Omega}{\partial c_i} = \sum_k \frac{\partial \Omega}{\partial \alpha_k} \frac{\partial \alpha_k}{\partial c_i}",
    words="The algebra is right, with (8) and (12) put in. Its value is 0, since every sign is 1 and the rows of (8) add up to 0.",
    verdict="vacuous",
    condition="Identically 0.",
    corrected=r"\frac{\partial \Omega}{\partial c_i} = 0",
    proofs={
        "chain": proved("the sum is the derivative of the penalty", chain),
        "zero": proved("with every sign 1 it is 0", plain.gradient(c, lambda i, j: 0)),
    },
)
