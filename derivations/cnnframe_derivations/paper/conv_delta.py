"""3.1.1: the sensitivities of a convolution layer under a subsampling layer."""

from typing import Any

from cnnframe.algebra import crop, define, down, kron, ones, plane

from ._finding import Fact, Finding, proved
from ._speech import Layer, Setting, f, slope


def chain(s: Setting, rows: Any, columns: Any) -> tuple[Layer, Any, Any, Any]:
    """Pre-activations of a convolution layer, its output, and the block sums of the subsampling layer above."""
    u, beta, b = s.array("u", M, rows, columns), s.array("beta", M), s.array("b", M)
    delta = s.array("delta", M, h, w)
    x = define("x", (M, rows, columns), lambda j, p, q: f(u[j, p, q]))
    above = define("next", (M, h, w), lambda j, p, q: beta[j] * down(plane(x, j), (n, n))[p, q] + b[j])
    return s.given(above, delta), u, beta, delta


s = Setting()
M, n, h, w = s.sizes(M=2, n=2, h=2, w=1)
whole, u, beta, delta = chain(s, n * h, n * w)
divides = whole.gradient(u, lambda j, *p: beta[j] * (slope(u[(j, *p)]) * kron(plane(delta, j), ones((n, n)))[p]))

t = Setting()
M, n, h, w, H, W = t.sizes(M=2, n=2, h=2, w=1, H=5, W=3)
t.assume(n * h <= H, n * h + n - 1 >= H, n * w <= W, n * w + n - 1 >= W)
rest, v, beta, delta = chain(t, H, W)
padded = rest.gradient(v, lambda j, *p: beta[j] * (slope(v[(j, *p)]) * crop(kron(plane(delta, j), ones((n, n))), (0, 0), (H, W))[p]))

SIZES = {"n": 2, "H": 5}

FINDING = Finding(
    where="the delta of a convolution layer",
    section="3.1.1",
    printed=r"\delta_j^\ell = \beta_j^{\ell+1} \left( f'(u_j^\ell) \circ \mathrm{up}(\delta_j^{\ell+1}) \right)",
    words="Every unit of a block has the sensitivity of the unit above, by beta and the slope of its own activation.",
    verdict="right under a condition",
    condition="If n divides the map. Otherwise up gives a smaller map than u, and what is left over has sensitivity 0.",
    corrected=r"\delta_j = \beta_j \left( f'(u_j) \circ \mathrm{pad}(\mathrm{up}(\delta_j)) \right), \text{ with zeros up to the size of } u_j",
    proofs={
        "divides": proved("it holds for a map of n h by n w", divides),
        "padded": proved("it holds for a map of any size with up(delta) padded by zeros", padded),
    },
    facts=(
        Fact(
            "up(delta) has as many rows as u for n = 2 and 5 rows",
            "counted",
            f"{SIZES['n'] * (SIZES['H'] // SIZES['n'])} rows and {SIZES['H']}",
            SIZES["n"] * (SIZES["H"] // SIZES["n"]) == SIZES["H"],
        ),
    ),
)
