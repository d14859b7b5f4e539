"""3.3.1: the gradient of the penalised error."""

from typing import Any

from cnnframe.algebra import absolute, define, exp, indices, total

from ._finding import Finding, proved
from ._speech import Setting

# A small network on top of the weights: a combination of inputs and the squared error.
s = Setting()
N, P = s.sizes(N=3, P=2)
lam = s.real("lambda")
c, x, t = s.array("c", N), s.array("x", N, P), s.array("t", P)
i, k, p, z = indices("i k p z")

e = define("e", (N,), lambda i: exp(c[i]))
Z = define("Z", (1,), lambda _: total(e[k], (k, N)))
alpha = define("alpha", (N,), lambda i: e[i] / Z[0])
y = define("y", (P,), lambda p: total(alpha[i] * x[i, p], (i, N)))
E = total((t[p] - y[p]) ** 2, (p, P)) / 2
penalised = s.error(E + lam * total(absolute(alpha[k]), (k, N)))

G = define("G", (N,), lambda i: total((y[p] - t[p]) * x[i, p], (p, P)))
"""dE/dalpha."""


def both(i: Any) -> Any:
    """(10) plus (14)."""
    return alpha[i] * (G[i] - total(G[k] * alpha[k], (k, N))) + lam * (absolute(alpha[i]) - alpha[i] * total(absolute(alpha[k]), (k, N)))


FINDING = Finding(
    where="the penalised gradient",
    section="3.3.1",
    printed=r"\frac{\partial \tilde{E}^n}{\partial c_i} = \frac{\partial E^n}{\partial c_i} + \frac{\partial \Omega}{\partial c_i}",
    words="A derivative of a sum. The second part is 0, so that the penalised network is trained like the one without penalty.",
    verdict="right",
    proofs={"sum": proved("for a combination under the squared error, it is (10) plus (14)", penalised.gradient(c, both))},
)
