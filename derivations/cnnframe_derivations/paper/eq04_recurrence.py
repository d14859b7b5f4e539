"""(4): the sensitivities of a layer from those of the next."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved
from ._speech import Setting, f, slope

s = Setting()
m, n = s.sizes(m=2, n=3)
W, b, u = s.array("W", m, n), s.array("b", m), s.array("u", n)
delta = s.array("delta", m)
i, j = indices("i j")

x = define("x", (n,), lambda i: f(u[i]))
layer = s.given(define("next", (m,), lambda j: total(W[j, i] * x[i], (i, n)) + b[j]), delta)

FINDING = Finding(
    where="(4)",
    section="2.2",
    printed=r"\delta^\ell = (W^{\ell+1})^T \delta^{\ell+1} \circ f'(u^\ell)",
    words="Each unit collects the sensitivities of the units that it feeds, by the weights between them.",
    verdict="right",
    proofs={
        "recurrence": proved(
            r"$\partial E / \partial u_i = f'(u_i) \sum_j W_{ji} \delta_j$",
            layer.gradient(u, lambda i: total(W[j, i] * delta[j], (j, m)) * slope(u[i])),
        )
    },
)
