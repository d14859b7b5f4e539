"""3.1.1: upsampling as a Kronecker product."""

from cnnframe.algebra import define, down, kron, ones, plane

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
n, h, w = s.sizes(n=2, h=2, w=3)
x, big, g = s.array("x", h, w), s.array("big", n * h, n * w), s.array("g", h, w)

tiles = s.same(lambda q0, q1, r0, r1: kron(plane(x), ones((n, n)))[n * q0 + r0, n * q1 + r1], lambda q0, q1, r0, r1: x[q0, q1], (h, w, n, n))
blocks = s.given(define("d", (h, w), lambda p, q: down(plane(big), (n, n))[p, q]), g)

FINDING = Finding(
    where="up",
    section="3.1.1",
    printed=r"\mathrm{up}(x) \equiv x \otimes 1_{n \times n}",
    words="The Kronecker product with ones repeats each pixel n times in both directions, which is what the gradient of a sum over blocks needs.",
    verdict="right",
    proofs={
        "tiles": proved("entry $(n q_0 + r_0, n q_1 + r_1)$ is $x_{q_0 q_1}$, for all $r$ below n", tiles),
        "gradient": proved("up is the derivative of the sum over blocks", blocks.gradient(big, lambda *p: kron(plane(g), ones((n, n)))[p])),
    },
)
