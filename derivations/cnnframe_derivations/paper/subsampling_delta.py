"""3.2.1: the sensitivities of a subsampling layer under a convolution layer."""

from cnnframe.algebra import conv2, define, indices, plane, rot180, total

from ._finding import Finding, proved, refuted
from ._speech import Setting, f, slope

i, j = indices("i j")

# Every output map j of the convolution layer above may use map i: u_j = sum over i of x_i * k_ij, as in section 3.1.
s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
u, k, b = s.array("u", N, H, W), s.array("k", N, M, A, B), s.array("b", M)
delta = s.array("delta", M, H - A + 1, W - B + 1)
links = s.array("L", N, M)
x = define("x", (N, H, W), lambda i, p, q: f(u[i, p, q]))
layer = s.given(define("next", (M, H - A + 1, W - B + 1), lambda j, *p: total(conv2(plane(x, i), plane(k, i, j), "valid")[p], (i, N)) + b[j]), delta)
summed = layer.gradient(u, lambda i, *p: slope(u[(i, *p)]) * total(conv2(plane(delta, j), rot180(plane(k, i, j)), "full")[p], (j, M)))

# A table of links: L_ij is 1 if output map j uses map i, else 0.
linked = s.given(
    define("linked", (M, H - A + 1, W - B + 1), lambda j, *p: total(links[i, j] * conv2(plane(x, i), plane(k, i, j), "valid")[p], (i, N)) + b[j]), delta
)
over_links = linked.gradient(u, lambda i, *p: slope(u[(i, *p)]) * total(links[i, j] * conv2(plane(delta, j), rot180(plane(k, i, j)), "full")[p], (j, M)))

# As printed, map j meets only kernel j and sensitivity j of the layer above.
own = layer.gradient(u, lambda i, *p: slope(u[(i, *p)]) * conv2(plane(delta, i), rot180(plane(k, i, i)), "full")[p])

# The only case that the printed form covers: one output map.
one = Setting()
N, H, W, A, B = one.sizes(N=2, H=3, W=4, A=2, B=3)
one.assume(H >= A, W >= B)
v, k1, delta1 = one.array("u", N, H, W), one.array("k", N, A, B), one.array("delta", H - A + 1, W - B + 1)
x1 = define("x", (N, H, W), lambda i, p, q: f(v[i, p, q]))
single = one.given(define("next", (H - A + 1, W - B + 1), lambda *p: total(conv2(plane(x1, i), plane(k1, i), "valid")[p], (i, N))), delta1)
alone = single.gradient(v, lambda i, *p: slope(v[(i, *p)]) * conv2(plane(delta1), rot180(plane(k1, i)), "full")[p])

FINDING = Finding(
    where="the delta of a subsampling layer",
    section="3.2.1",
    printed=r"\delta_j^\ell = f'(u_j^\ell) \circ \mathrm{conv2}(\delta_j^{\ell+1}, \mathrm{rot180}(k_j^{\ell+1}), \text{'full'})",
    words="The layer above has a kernel for each pair of maps. The printed form has one for each map, and takes the sensitivity of one map.",
    verdict="wrong",
    condition="The sum over the output maps that use the map is missing. Right if there is exactly one.",
    corrected=r"\delta_i^\ell = f'(u_i^\ell) \circ \sum_{j:\, i \in M_j} \mathrm{conv2}(\delta_j^{\ell+1}, \mathrm{rot180}(k_{ij}^{\ell+1}), \text{'full'})",
    proofs={
        "sum": proved("with the sum over all output maps it holds", summed),
        "links": proved("with a table of links the sum is over those that use the map", over_links),
        "one map": proved("as printed it holds under one output map", alone),
    },
    refusals={
        "printed": refuted(
            "as printed it holds under two output maps",
            own,
            sizes={"N": 2, "M": 2, "H": 1, "W": 1, "A": 1, "B": 1},
            u=[[[0]], [[0]]],
            k=[[[[1]], [[2]]], [[[3]], [[4]]]],
            delta=[[[1]], [[10]]],
        )
    },
)
