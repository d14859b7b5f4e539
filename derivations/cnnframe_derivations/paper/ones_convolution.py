"""3.4: downsampling in MATLAB, by a convolution with ones and every n-th entry."""

from cnnframe.algebra import Map, conv2, down, every, ones, plane

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
n, h, w, H, W = s.sizes(n=2, h=2, w=2, H=5, W=4)
s.assume(n * h <= H, n * h + n - 1 >= H, n * w <= W, n * w + n - 1 >= W)
x = s.array("x", H, W)


def smoothed(border: str) -> Map:
    """The convolution with ones."""
    return conv2(plane(x), ones((n, n)), border)


# y = x(1:n:end, 1:n:end) counts from 1, so that it begins with the first entry.
valid = s.same(lambda p, q: down(plane(x), (n, n))[p, q], lambda p, q: every(smoothed("valid"), (n, n), (h, w))[p, q], (h, w))
full = s.same(lambda p, q: down(plane(x), (n, n))[p, q], lambda p, q: every(smoothed("full"), (n, n), (h, w))[p, q], (h, w))
later = s.same(lambda p, q: down(plane(x), (n, n))[p, q], lambda p, q: smoothed("full")[n * p + n - 1, n * q + n - 1], (h, w))

FINDING = Finding(
    where="ones-convolution for down-sampling",
    section="3.4",
    printed=r"\text{convolve the image with a matrix of ones, then } \texttt{y = x(1:2:end,1:2:end)}",
    words="Every n-th entry of the convolution with ones is to be the sum over a block. The border is not said.",
    verdict="right under a condition",
    condition="With border 'valid'. MATLAB's conv2 takes 'full' if nothing is said, and then the entries that are taken begin at n instead of 1.",
    corrected=r"\texttt{y = conv2(x,ones(n),'valid'); y = y(1:n:end,1:n:end)} \;\text{ or }\; \texttt{y = conv2(x,ones(n)); y = y(n:n:end,n:n:end)}",
    proofs={
        "valid": proved("with 'valid' the entries are the sums over blocks, also where n does not divide the map", valid),
        "later": proved("with 'full' they are from entry n on; where n does not divide the map, one more row or column follows them", later),
    },
    refusals={
        "full": refuted("with 'full' they are from entry 1 on", full, {"n": 2, "h": 1, "w": 1, "H": 2, "W": 2}, x=[[1, 2], [3, 4]]),
    },
)
