"""(8): the derivative of the softmax function."""

from typing import Any

from cnnframe.algebra import equal, guard, total

from ._finding import Finding, proved, refuted
from .softmax_weights import N, alpha, c, g, k, layer


def jacobian(k: Any, i: Any, j: Any) -> Any:
    """(8), for output map j."""
    return guard(alpha[i, j], [equal(k, i)]) - alpha[i, j] * alpha[k, j]


FINDING = Finding(
    where="(8)",
    section="3.3",
    printed=r"\frac{\partial \alpha_k}{\partial c_i} = \delta_{ki} \alpha_i - \alpha_i \alpha_k",
    words="It is checked against any combination of its rows.",
    verdict="right",
    proofs={
        "rows": proved(
            r"for any g, $\sum_k g_k \, \partial \alpha_k / \partial c_i$ is as (8) says",
            layer.gradient(c, lambda i, j: total(g[k, j] * jacobian(k, i, j), (k, N))),
        )
    },
    refusals={
        "diagonal": refuted(
            "the diagonal alone is enough",
            layer.gradient(c, lambda i, j: g[i, j] * (alpha[i, j] - alpha[i, j] * alpha[i, j])),
            sizes={"N": 2, "M": 1},
            c=[[0], [0]],
            g=[[1], [2]],
        )
    },
)
