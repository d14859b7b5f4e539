"""2.1: the error of a training set is the sum of the errors of its patterns."""

from typing import Any

from cnnframe.algebra import indices, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
N, c = s.sizes(N=2, c=3)
t, y = s.array("t", N, c), s.array("y", N, c)
m, k = indices("m k")


def error(n: Any) -> Any:
    """E^n, of one pattern."""
    return total((t[n, k] - y[n, k]) ** 2, (k, c)) / 2


whole = s.error(total((t[m, k] - y[m, k]) ** 2, (m, N), (k, c)) / 2)
gradient = whole.gradient(y, lambda n, k: y[n, k] - t[n, k])
parts = s.same(lambda z: total((t[m, k] - y[m, k]) ** 2, (m, N), (k, c)) / 2, lambda z: total(error(m), (m, N)), (1,))

FINDING = Finding(
    where="the error E^N",
    section="2.1",
    printed=r"E^N = \frac{1}{2} \sum_{n=1}^N \sum_{k=1}^c (t_k^n - y_k^n)^2",
    words="The error over the whole dataset is the sum of the errors of its patterns, so that one pattern may be considered at a time.",
    verdict="right",
    proofs={
        "parts": proved("it is the sum over the patterns of $E^n$", parts),
        "gradient": proved("its derivative at pattern n is that of $E^n$ alone: $y^n - t^n$", gradient),
    },
)
