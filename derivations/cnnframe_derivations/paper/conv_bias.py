"""3.1.1: the gradient of the bias of a convolution layer."""

from cnnframe.algebra import conv2, define, indices, plane, sum_all, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
x, k, b = s.array("x", N, H, W), s.array("k", N, M, A, B), s.array("b", M)
delta = s.array("delta", M, H - A + 1, W - B + 1)
(i,) = indices("i")
layer = s.given(define("u", (M, H - A + 1, W - B + 1), lambda j, *p: total(conv2(plane(x, i), plane(k, i, j), "valid")[p], (i, N)) + b[j]), delta)

FINDING = Finding(
    where="the bias of a convolution layer",
    section="3.1.1",
    printed=r"\frac{\partial E}{\partial b_j} = \sum_{u,v} (\delta_j^\ell)_{uv}",
    words="All entries of a map share its bias, so their sensitivities add up.",
    verdict="right",
    proofs={"sum": proved("the derivative is the sum over the map", layer.gradient(b, lambda j: sum_all(plane(delta, j))))},
)
