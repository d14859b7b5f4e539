"""3.3: the weights of a combination as the softmax of weights that are free."""

from cnnframe.algebra import define, exp, indices, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
N, M = s.sizes(N=3, M=2)
lam = s.real("lambda")
c, g = s.array("c", N, M), s.array("g", N, M)
k, l_ = indices("k l")

e = define("e", (N, M), lambda i, j: exp(c[i, j]))
Z = define("Z", (M,), lambda j: total(e[k, j], (k, N)))
alpha = define("alpha", (N, M), lambda i, j: e[i, j] / Z[j])
layer = s.given(alpha, g)

FINDING = Finding(
    where="softmax",
    section="3.3",
    printed=r"\alpha_{ij} = \frac{\exp(c_{ij})}{\sum_k \exp(c_{kj})}",
    words="The paper adds that the weights of one output map do not depend on those of others, so that the subscript j may be dropped.",
    verdict="right",
    proofs={
        "apart": proved(
            r"with any $g = \partial E / \partial \alpha$, the derivative with respect to $c_{ij}$ contains no other j",
            layer.gradient(c, lambda i, j: alpha[i, j] * (g[i, j] - total(g[k, j] * alpha[k, j], (k, N)))),
        )
    },
)
