"""(7): the gradient of a kernel is a sum over patches."""

from cnnframe.algebra import conv2, define, indices, plane, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
x, k, b = s.array("x", N, H, W), s.array("k", N, M, A, B), s.array("b", M)
delta = s.array("delta", M, H - A + 1, W - B + 1)
i, u, v = indices("i u v")

total_input = define("u", (M, H - A + 1, W - B + 1), lambda j, *p: total(conv2(plane(x, i), plane(k, i, j), "valid")[p], (i, N)) + b[j])
layer = s.given(total_input, delta)

# conv2 turns the kernel round: entry (a, b) of the kernel meets entry (A - 1 - a, B - 1 - b) of the patch of the image.
over = (u, H - A + 1), (v, W - B + 1)
flipped = layer.gradient(k, lambda i, j, a, b: total(delta[j, u, v] * x[i, u + A - 1 - a, v + B - 1 - b], *over))
image = layer.gradient(k, lambda i, j, a, b: total(delta[j, u, v] * x[i, u + a, v + b], *over))

FINDING = Finding(
    where="(7)",
    section="3.1.1",
    printed=r"\frac{\partial E}{\partial k_{ij}^\ell} = \sum_{u,v} (\delta_j^\ell)_{uv} (p_i^{\ell-1})_{uv}",
    words="The gradient of a kernel sums the patches of the input, each times the sensitivity of the entry that it was used for.",
    verdict="right under a condition",
    condition="The patch must be turned round as conv2 turns it. With the patch as it lies in the image the sum is rot180 of the gradient.",
    corrected=r"\left(\frac{\partial E}{\partial k_{ij}}\right)_{ab} = \sum_{u,v} (\delta_j)_{uv}\,(x_i)_{u+A-1-a,\;v+B-1-b}",
    proofs={"turned": proved("with patches turned round it is the gradient", flipped)},
    refusals={
        "image": refuted(
            "with patches as they lie in the image it is the gradient",
            image,
            sizes={"N": 1, "M": 1, "H": 2, "W": 2, "A": 2, "B": 2},
            x=[[[1, 2], [3, 4]]],
            delta=[[[1]]],
        )
    },
)
