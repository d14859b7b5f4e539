"""(3): the derivative with respect to a bias is the derivative with respect to the unit's total input."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
m, n, N = s.sizes(m=2, n=3, N=2)
W, x, b = s.array("W", m, n), s.array("x", n), s.array("b", m)
delta = s.array("delta", m)
i, p = indices("i p")
one = s.given(define("u", (m,), lambda j: total(W[j, i] * x[i], (i, n)) + b[j]), delta)

xs, deltas = s.array("xs", N, n), s.array("deltas", N, m)
many = s.given(define("v", (N, m), lambda p, j: total(W[j, i] * xs[p, i], (i, n)) + b[j]), deltas)

FINDING = Finding(
    where="(3)",
    section="2.2",
    printed=r"\frac{\partial E}{\partial b} = \frac{\partial E}{\partial u} \frac{\partial u}{\partial b} = \delta",
    words="The sensitivity to a bias is the derivative with respect to the total input, since the input contains the bias with factor 1. "
    "This is for one pattern and a bias of one unit; where units or patterns share a bias, their sensitivities add up.",
    verdict="right",
    proofs={
        "bias": proved(r"$\partial E / \partial b_j = \delta_j$", one.gradient(b, lambda j: delta[j])),
        "shared": proved("for N patterns it is the sum over them", many.gradient(b, lambda j: total(deltas[p, j], (p, N)))),
    },
    refusals={
        "one of many": refuted(
            "for N patterns it is the sensitivity of the first",
            many.gradient(b, lambda j: deltas[0, j]),
            sizes={"m": 1, "n": 1, "N": 2},
            deltas=[[1], [2]],
        )
    },
)
