"""(6): the step against the gradient."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
m, n = s.sizes(m=2, n=3)
eta = s.real("eta")
W, x, b = s.array("W", m, n), s.array("x", n), s.array("b", m)
delta, step = s.array("delta", m), s.array("s", 1)
rate = s.array("eta_each", m, n)
i, j = indices("i j")

# E along W - s eta G, where G is the gradient: its derivative at any s has the sign of -eta.
G = define("G", (m, n), lambda j, i: delta[j] * x[i])
along = s.given(define("u", (m,), lambda j: total((W[j, i] - step[0] * eta * G[j, i]) * x[i], (i, n)) + b[j]), delta)
each = s.given(define("v", (m,), lambda j: total((W[j, i] - step[0] * rate[j, i] * G[j, i]) * x[i], (i, n)) + b[j]), delta)

FINDING = Finding(
    where="(6)",
    section="2.2",
    printed=r"\Delta W^\ell = -\eta \frac{\partial E}{\partial W^\ell}",
    words=r"A step against the gradient. It fits once (5) is transposed, and goes downhill for small positive $\eta$; so do steps with a rate for each weight.",
    verdict="right",
    proofs={
        "downhill": proved(
            r"along the step E changes at the rate $-\eta \sum (\partial E / \partial W_{ji})^2$",
            along.gradient(step, lambda z: -eta * total(G[j, i] ** 2, (j, m), (i, n))),
        ),
        "each": proved(
            r"with rates $\eta_{ji}$ it changes at the rate $-\sum \eta_{ji} (\partial E / \partial W_{ji})^2$",
            each.gradient(step, lambda z: -total(rate[j, i] * G[j, i] ** 2, (j, m), (i, n))),
        ),
    },
)
