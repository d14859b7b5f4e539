"""3.1: the forward pass of a convolution layer."""

from cnnframe.algebra import conv2, define, indices, inside, plane, rot180, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
x, k, b = s.array("x", N, H, W), s.array("k", N, M, A, B), s.array("b", M)
i, a, c = indices("i a c")
rows, columns = H - A + 1, W - B + 1

u = define("u", (M, rows, columns), lambda j, *p: total(conv2(plane(x, i), plane(k, i, j), "valid")[p], (i, N)) + b[j])

written_out = s.same(
    lambda j, p, q: u[j, p, q],
    lambda j, p, q: total(x[i, p + a, q + c] * rot180(plane(k, i, j))[a, c], (i, N), (a, A), (c, B)) + b[j],
    (M, rows, columns),
)
unturned = s.same(
    lambda j, p, q: u[j, p, q],
    lambda j, p, q: total(x[i, p + a, q + c] * k[i, j, a, c], (i, N), (a, A), (c, B)) + b[j],
    (M, rows, columns),
)
within_full = s.same(
    lambda p, q: conv2(plane(x, 0), plane(k, 0, 0), "valid")[p, q],
    lambda p, q: conv2(plane(x, 0), plane(k, 0, 0), "full")[p + A - 1, q + B - 1],
    (rows, columns),
)
one_size = s.same(
    lambda p, q: total(k[0, 0, a, c], (a, A), (c, B), where=inside((p + A - 1 - a, q + B - 1 - c), (H, W))),
    lambda p, q: total(k[0, 0, a, c], (a, A), (c, B)),
    (rows, columns),
)

FINDING = Finding(
    where="the convolution layer",
    section="3.1",
    printed=r"x_j^\ell = f\left(\sum_{i \in M_j} x_i^{\ell-1} * k_{ij}^\ell + b_j^\ell\right)",
    words="A sum of convolutions with border 'valid', a kernel for each pair of maps. Convolution turns the kernel round: the weights that meet a "
    "patch of the image are those of rot180(k), as section 3.2.1 says.",
    verdict="right",
    proofs={
        "written out": proved("entry (p, q) is the patch from (p, q) on, times rot180(k)", written_out),
        "within full": proved("'valid' is the part of 'full' that begins at entry (A - 1, B - 1), where all A B inputs exist", within_full),
        "all inputs": proved("every weight meets an entry of the map, for each entry of the output", one_size),
    },
    refusals={
        "unturned": refuted(
            "entry (p, q) is the patch times k as it stands",
            unturned,
            sizes={"N": 1, "M": 1, "H": 2, "W": 2, "A": 2, "B": 2},
            x=[[[1, 2], [3, 4]]],
            k=[[[[1, 0], [0, 0]]]],
            b=[0],
        )
    },
)
