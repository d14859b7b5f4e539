"""2.2: the sensitivities of the output layer under the squared error."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved
from ._speech import Setting, f, slope

s = Setting()
c = s.sizes(c=3)
t, u = s.array("t", c), s.array("u", c)
(k,) = indices("k")

y = define("y", (c,), lambda k: f(u[k]))
loss = s.error(total((t[k] - y[k]) ** 2, (k, c)) / 2)

FINDING = Finding(
    where="the output delta",
    section="2.2",
    printed=r"\delta^L = f'(u^L) \circ (y^n - t^n)",
    words="The squared error hands down the difference of output and target, times the slope of the activation.",
    verdict="right",
    proofs={"delta": proved(r"$\partial E^n / \partial u_k = f'(u_k) (y_k - t_k)$", loss.gradient(u, lambda k: slope(u[k]) * (y[k] - t[k])))},
)
