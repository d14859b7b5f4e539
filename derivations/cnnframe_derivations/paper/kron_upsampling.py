"""3.4: upsampling in MATLAB."""

from cnnframe.algebra import kron, ones, plane

from ._finding import Finding, proved, refuted
from .up_is_kron import h, n, s, tiles, w, x

other_way = s.same(kron(plane(x), ones((n, n))), lambda p, q: kron(ones((n, n)), plane(x))[p, q], (n * h, n * w))

FINDING = Finding(
    where="kron for up-sampling",
    section="3.4",
    printed=r"\text{kron, with the matrix to be upsampled, and a matrix of ones}",
    words="As up in section 3.1.1. The order of the arguments matters: kron(ones, x) lays copies of the whole map side by side.",
    verdict="right",
    proofs={
        "tiles": proved("kron(x, ones) repeats each pixel", tiles),
    },
    refusals={"order": refuted("kron(ones, x) is the same as kron(x, ones)", other_way, {"n": 2, "h": 2, "w": 1}, x=[[1], [2]])},
)
