"""3.2: the forward pass of a subsampling layer."""

from cnnframe.algebra import define, down, every, kron, ones, plane, spread

from ._finding import Fact, Finding, proved, refuted
from ._speech import Setting

s = Setting()
M, n, h, w, H, W = s.sizes(M=2, n=2, h=2, w=2, H=5, W=4)
s.assume(n * h <= H, n * h + n - 1 >= H, n * w <= W, n * w + n - 1 >= W)
x, g = s.array("x", H, W), s.array("g", h, w)

blocks = s.given(define("d", (h, w), lambda *p: down(plane(x), (n, n))[p]), g)
picked = s.given(define("picked", (h, w), lambda *p: every(plane(x), (n, n), (h, w))[p]), g)

FINDING = Finding(
    where="the subsampling layer",
    section="3.2",
    printed=r"x_j^\ell = f\left(\beta_j^\ell \, \mathrm{down}(x_j^{\ell-1}) + b_j^\ell\right)",
    words="A sum over each block, with a factor and a bias for each map. The output is to be n times smaller in both directions. "
    "Throwing away all but every n-th sample is the alternative, for which up must be another operation.",
    verdict="right under a condition",
    condition="If n divides the map; otherwise the output has floor(H / n) rows, and what is left over is not used.",
    corrected=r"h = \lfloor H / n \rfloor, \quad w = \lfloor W / n \rfloor",
    proofs={
        "blocks": proved(
            "each entry reaches the block that it is in, also where entries are left over", blocks.gradient(x, lambda *p: kron(plane(g), ones((n, n)))[p])
        ),
        "picked": proved(
            "where samples are thrown away the derivative has zeros in their places, n - 1 between two entries",
            picked.gradient(x, lambda *p: spread(plane(g), (n, n))[p]),
        ),
    },
    refusals={
        "picked": refuted(
            "where samples are thrown away the derivative is kron",
            picked.gradient(x, lambda *p: kron(plane(g), ones((n, n)))[p]),
            sizes={"M": 1, "n": 2, "h": 1, "w": 1, "H": 2, "W": 2},
            g=[[1]],
        )
    },
    facts=(Fact("the output is n times smaller for n = 2 and 5 rows", "counted", f"{5 // 2} rows", 5 // 2 * 2 == 5),),
)
