"""(5): the gradient of the weights of a fully connected layer."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
m, n = s.sizes(m=2, n=3)
W, x, b = s.array("W", m, n), s.array("x", n), s.array("b", m)
delta = s.array("delta", m)
i, j = indices("i j")
layer = s.given(define("u", (m,), lambda j: total(W[j, i] * x[i], (i, n)) + b[j]), delta)

# As printed the product has a row for each input. It fits a layer with as many units as inputs, and is wrong there too.
square = Setting()
k = square.sizes(k=2)
V, z = square.array("W", k, k), square.array("x", k)
d = square.array("delta", k)
as_many = square.given(define("u", (k,), lambda j: total(V[j, i] * z[i], (i, k))), d)
printed = as_many.gradient(V, lambda i, j: z[i] * d[j])

FINDING = Finding(
    where="(5)",
    section="2.2",
    printed=r"\frac{\partial E}{\partial W^\ell} = x^{\ell-1} (\delta^\ell)^T",
    words="The outer product of inputs and sensitivities. By (2) the weights have a row for each unit, the printed product has a row for each input: "
    "it does not fit into (6) unless the matrix is square, and is the transpose of the gradient then.",
    verdict="wrong",
    condition="Transposed.",
    corrected=r"\frac{\partial E}{\partial W^\ell} = \delta^\ell (x^{\ell-1})^T",
    proofs={
        "gradient": proved(r"the gradient is $\delta x^T$", layer.gradient(W, lambda j, i: delta[j] * x[i])),
        "downhill": proved(
            r"the printed one, where it fits, is not uphill: with the gradient it makes $(\delta^T x)^2$, so that training by mistake goes on",
            square.same(
                lambda z_: total(d[j] * z[i] * z[j] * d[i], (i, k), (j, k)),
                lambda z_: total(d[i] * z[i], (i, k)) * total(d[j] * z[j], (j, k)),
                (1,),
            ),
        ),
    },
    refusals={"printed": refuted("with a square matrix, $x \\delta^T$ is the gradient", printed, x=[1, 2], delta=[1, 10])},
)
