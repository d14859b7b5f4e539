"""(10): the gradient of the free weights, in short form."""

from cnnframe.algebra import total

from ._finding import Finding, proved, refuted
from .eq09_chain_rule import G, N, alpha, c, k, layer

short = layer.gradient(c, lambda i, j: alpha[i, j] * (G[i, j] - total(G[k, j] * alpha[k, j], (k, N))))
unmixed = layer.gradient(c, lambda i, j: alpha[i, j] * G[i, j])

FINDING = Finding(
    where="(10)",
    section="3.3",
    printed=r"\frac{\partial E}{\partial c_i} = "
    r"\alpha_i \left( \frac{\partial E}{\partial \alpha_i} - \sum_k \frac{\partial E}{\partial \alpha_k} \alpha_k \right)",
    words="The derivative with respect to alpha less its mean under alpha, times alpha.",
    verdict="right",
    proofs={"short": proved("it is the derivative with respect to $c_{ij}$", short)},
    refusals={
        "unmixed": refuted(
            "the mean may be left out",
            unmixed,
            sizes={"N": 2, "M": 1, "H": 1, "W": 1, "A": 1, "B": 1},
            x=[[[1]], [[2]]],
            k=[[[1]], [[1]]],
            c=[[0], [0]],
            delta=[[[1]]],
        )
    },
)
