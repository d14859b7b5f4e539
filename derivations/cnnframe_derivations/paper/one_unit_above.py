"""3.1.1: each unit is to connect to only one unit of the subsampling layer above."""

from cnnframe.algebra import indices, inside, kron, ones, plane, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
n, h, w, H = s.sizes(n=2, h=2, w=2, H=5)
s.assume(n * h <= H, n * h + n - 1 >= H)
g, x = s.array("g", h, w), s.array("x", n * h, n * w)
line = s.array("line", h)
(t,) = indices("t")

# Unit p of a column feeds every block t with 0 <= p - n t < n.
blocks = s.same(
    lambda q0, q1, r0, r1: kron(plane(g), ones((n, n)))[n * q0 + r0, n * q1 + r1],
    lambda q0, q1, r0, r1: g[q0, q1],
    (h, w, n, n),
)
received = s.same(
    lambda p: total(line[t], (t, h), where=inside(p - n * t, n)),
    lambda p: total(line[t], (t, h), where=[*inside(p - n * t, n), p <= n * h - 1]),
    (H,),
)
always_one = s.same(lambda p: total(1, (t, h), where=inside(p - n * t, n)), lambda p: 1, (H,))

FINDING = Finding(
    where="one unit above",
    section="3.1.1",
    printed=r"\text{each unit in a map at layer } \ell \text{ connects to only one unit at layer } \ell + 1",
    words="A unit of the convolution layer lies in one block of the subsampling layer above, and all connections have the weight beta.",
    verdict="right under a condition",
    condition="If n divides the size of the map. Otherwise the rows and columns that are left over connect to no unit.",
    corrected=r"\text{unit } nq + r \text{ with } 0 \le r < n \text{ connects to unit } q \text{ if there is one, else to none}",
    proofs={
        "block": proved("what unit $nq + r$ receives is what unit q has", blocks),
        "left over": proved("only units before $n h$ receive anything", received),
    },
    refusals={"always one": refuted("it is so for every unit of a map of any size", always_one, sizes={"n": 2, "h": 1, "w": 1, "H": 3})},
)
