"""3.2.1, footnote 2: collecting sensitivities and handing them down are the same with zero padding."""

from typing import Any

from cnnframe.algebra import conv2, equal, indices, plane, rot180, spread, total

from ._finding import Finding, proved, refuted
from ._speech import Entry, Setting

s = Setting()
h, w, A, B, n = s.sizes(h=2, w=3, A=2, B=2, n=2)
delta, k = s.array("delta", h, w), s.array("k", A, B)
u, v, a, b = indices("u v a b")


def pushed(step: Any) -> Entry:
    """Each entry of delta, times each weight, added where it belongs."""
    return lambda p, q: total(delta[u, v] * k[a, b], (u, h), (v, w), (a, A), (b, B), where=[equal(p, step * u + A - 1 - a), equal(q, step * v + B - 1 - b)])


one = s.same(pushed(1), conv2(plane(delta), rot180(plane(k)), "full"))
apart = s.same(pushed(n), conv2(spread(plane(delta), (n, n)), rot180(plane(k)), "full"))
as_one = s.same(pushed(n), lambda p, q: conv2(plane(delta), rot180(plane(k)), "full")[p, q], (n * (h - 1) + A, n * (w - 1) + B))

FINDING = Finding(
    where="footnote 2",
    section="3.2.1",
    printed=r"\text{``pulling'' vs ``pushing'' appears to be unnecessary if you use conv with zero padding}",
    words="Pushing adds each sensitivity, times each weight, where it belongs; pulling is the full convolution.",
    verdict="right under a condition",
    condition="For convolutions that move by one entry, as in the paper. With step n, n - 1 zeros go between the sensitivities first.",
    corrected=r"\mathrm{conv2}(\mathrm{spread}_n(\delta), \mathrm{rot180}(k), \text{'full'})",
    proofs={
        "one": proved("both are equal", one),
        "apart": proved("for step n they are with zeros between the sensitivities", apart),
    },
    refusals={
        "as one": refuted(
            "for step 2 they are equal without such zeros",
            as_one,
            sizes={"h": 2, "w": 1, "A": 1, "B": 1, "n": 2},
            delta=[[1], [2]],
            k=[[1]],
        )
    },
)
