"""(1): the squared error of one pattern."""

from cnnframe.algebra import define, indices, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
c = s.sizes(c=3)
t, y = s.array("t", c), s.array("y", c)
(k,) = indices("k")

r = define("r", (c,), lambda k: t[k] - y[k])
loss = s.error(total((t[k] - y[k]) ** 2, (k, c)) / 2)

FINDING = Finding(
    where="(1)",
    section="2.1",
    printed=r"E^n = \frac{1}{2} \sum_{k=1}^c (t_k^n - y_k^n)^2 = \frac{1}{2} \|t^n - y^n\|_2^2",
    words="Half the squared length of the difference between target and output.",
    verdict="right",
    proofs={
        "norm": proved(
            "both sides are equal, with $r = t - y$",
            s.same(lambda z: total((t[k] - y[k]) ** 2, (k, c)) / 2, lambda z: total(r[k] * r[k], (k, c)) / 2, (1,)),
        ),
        "gradient": proved("its derivative is $y - t$", loss.gradient(y, lambda k: y[k] - t[k])),
    },
)
