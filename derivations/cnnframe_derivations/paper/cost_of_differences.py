"""4.4: what finite differences cost."""

from cnnframe.algebra import indices, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
m, n, H, W, A, B, N, M = s.sizes(m=2, n=3, H=3, W=4, A=2, B=3, N=2, M=2)
s.assume(H >= A, W >= B)
a, c, i, j, p, q = indices("a c i j p q")
places = (H - A + 1) * (W - B + 1)

# One multiplication for each point of the sums in (2) and in the convolution layer.
dense = s.same(lambda _: total(1, (j, m), (i, n)), lambda _: m * n, (1,))
conv = s.same(lambda _: total(1, (j, M), (p, H - A + 1), (q, W - B + 1), (i, N), (a, A), (c, B)), lambda _: N * M * A * B * places, (1,))

FINDING = Finding(
    where="the cost of finite differences",
    section="4.4",
    printed=r"\text{finite differences ... } O(W^2) \text{ for } W \text{ weights in the network}",
    words="Two forward passes for each weight, and a forward pass multiplies once for each use of a weight. "
    "Backpropagation costs a fixed number of forward passes, whatever the number of weights.",
    verdict="right under a condition",
    condition="In fully connected networks, which use each weight once. A convolution layer uses each weight at every entry of its output.",
    corrected=r"O(W \cdot \text{multiplications of a forward pass})",
    proofs={
        "dense": proved("a forward pass of a fully connected layer multiplies once for each of its m n weights", dense),
        "conv": proved("one of a convolution layer multiplies (H - A + 1) (W - B + 1) times for each of its N M A B weights", conv),
    },
)
