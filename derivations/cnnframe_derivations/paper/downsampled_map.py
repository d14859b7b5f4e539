"""3.2.1: the downsampled map that is kept for the gradient of beta."""

from cnnframe.algebra import down, indices, plane, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
n, h, w = s.sizes(n=2, h=2, w=2)
x = s.array("x", n * h, n * w)
p, q, a, b = indices("p q a b")

FINDING = Finding(
    where="the downsampled map",
    section="3.2.1",
    printed=r"d_j^\ell = \mathrm{down}(x_j^{\ell-1})",
    words="A name for what the forward pass has computed already.",
    verdict="right",
    proofs={
        "all": proved(
            "where n divides the map, each entry is in one block: both have the same total",
            s.same(
                lambda z: total(down(plane(x), (n, n))[p, q], (p, h), (q, w)),
                lambda z: total(x[n * p + a, n * q + b], (p, h), (q, w), (a, n), (b, n)),
                (1,),
            ),
        )
    },
)
