"""(2): a fully connected layer."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved
from ._speech import Setting, f, slope

s = Setting()
m, n = s.sizes(m=2, n=3)
W, x, b = s.array("W", m, n), s.array("x", n), s.array("b", m)
g = s.array("g", m)
i, j = indices("i j")

u = define("u", (m,), lambda j: total(W[j, i] * x[i], (i, n)) + b[j])
y = define("y", (m,), lambda j: f(u[j]))
layer = s.given(y, g)

FINDING = Finding(
    where="(2)",
    section="2.1",
    printed=r"x^\ell = f(u^\ell), \quad u^\ell = W^\ell x^{\ell-1} + b^\ell",
    words="The output of a layer; it has a row of weights for each of its units, which decides how (4) and (5) must be written.",
    verdict="right",
    proofs={
        "input": proved(
            r"with $g = \partial E / \partial x^\ell$ the derivative with respect to its input is $W^T (g \circ f'(u))$",
            layer.gradient(x, lambda i: total(W[j, i] * g[j] * slope(u[j]), (j, m))),
        ),
    },
)
