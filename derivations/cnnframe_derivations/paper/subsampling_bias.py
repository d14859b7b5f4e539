"""3.2.1: the gradient of the bias of a subsampling layer."""

from cnnframe.algebra import define, down, plane, sum_all

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
M, n, h, w, H, W = s.sizes(M=2, n=2, h=2, w=2, H=5, W=4)
s.assume(n * h <= H, n * w <= W)
x, beta, b = s.array("x", M, H, W), s.array("beta", M), s.array("b", M)
delta = s.array("delta", M, h, w)

d = define("d", (M, h, w), lambda j, *p: down(plane(x, j), (n, n))[p])
layer = s.given(define("u", (M, h, w), lambda j, p, q: beta[j] * d[j, p, q] + b[j]), delta)

FINDING = Finding(
    where="the bias of a subsampling layer",
    section="3.2.1",
    printed=r"\frac{\partial E}{\partial b_j} = \sum_{u,v} (\delta_j^\ell)_{uv}",
    words="All entries of a map share its bias, so their sensitivities add up.",
    verdict="right",
    proofs={"sum": proved("the derivative is the sum over the map", layer.gradient(b, lambda j: sum_all(plane(delta, j))))},
)
