"""1: what a convolutional network makes of a translation."""

from typing import Any

from cnnframe.algebra import Map, conv2, down, plane

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
H, W, A, B, n, h, w, r, c = s.sizes(H=5, W=5, A=2, B=3, n=2, h=1, w=1, r=1, c=1)
s.assume(A + r <= H, B + c <= W, n * h + n * r <= H, n * w + n * c <= W)
x, k = s.array("x", H, W), s.array("k", A, B)


def moved(rows: Any, columns: Any) -> Map:
    """The image from an entry on."""
    return Map((H - rows, W - columns), lambda p, q: x[p + rows, q + columns])


convolved = s.same(
    lambda p, q: conv2(moved(r, c), plane(k), "valid")[p, q],
    lambda p, q: conv2(plane(x), plane(k), "valid")[p + r, q + c],
    (H - r - A + 1, W - c - B + 1),
)
whole_blocks = s.same(lambda p, q: down(moved(n * r, n * c), (n, n))[p, q], lambda p, q: down(plane(x), (n, n))[p + r, q + c], (h, w))
within_blocks = s.same(lambda p, q: down(moved(r, c), (n, n))[p, q], lambda p, q: down(plane(x), (n, n))[p, q], (h, w))

FINDING = Finding(
    where="translation",
    section="1",
    printed=r"\text{a convolutional network automatically provides some degree of translation invariance}",
    words="A layer that moves with its input is equivariant: what it makes of an image that has moved has moved as well.",
    verdict="right under a condition",
    condition="Convolution is equivariant, not invariant; subsampling is so for movements by whole blocks and neither for others.",
    corrected=r"(T x) * k = T (x * k)",
    proofs={
        "convolution": proved("the convolution of an image that has moved is the convolution, moved", convolved),
        "blocks": proved("so it is for sums over blocks, if the image moves by whole blocks", whole_blocks),
    },
    refusals={
        "within blocks": refuted(
            "sums over blocks are invariant to a movement by less",
            within_blocks,
            {"H": 3, "W": 3, "A": 1, "B": 1, "n": 2, "h": 1, "w": 1, "r": 1, "c": 1},
            x=[[1, 0, 0], [0, 0, 0], [0, 0, 5]],
        )
    },
)
