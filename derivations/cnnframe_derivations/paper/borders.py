"""3.2.1: why the full convolution is needed at the borders."""

from cnnframe.algebra import conv2, indices, inside, pad, plane, rot180, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

# One direction is enough to count connections: entry p of the map feeds entry q above by weight a if p = q + A - 1 - a.
s = Setting()
H, A = s.sizes(H=4, A=2)
s.assume(H >= A)
weights = s.array("k", A)
a, q = indices("a q")
inputs = s.same(lambda q: total(weights[a], (a, A), where=inside(q + A - 1 - a, H)), lambda q: total(weights[a], (a, A)), (H - A + 1,))
outputs = s.same(lambda p: total(weights[a], (a, A), where=inside(p - A + 1 + a, H - A + 1)), lambda p: total(weights[a], (a, A)), (H,))

t = Setting()
h, w, B, C = t.sizes(h=2, w=3, B=2, C=3)
delta, k = t.array("delta", h, w), t.array("k", B, C)
padded = t.same(
    conv2(plane(delta), rot180(plane(k)), "full"),
    conv2(pad(plane(delta), (B - 1, C - 1)), rot180(plane(k)), "valid"),
)

FINDING = Finding(
    where="the remark on borders",
    section="3.2.1",
    printed=r"\text{border cases, where the number of inputs to a unit at layer } \ell + 1 \text{ is not the full size of the } n \times n \text{ kernel}",
    words="After a 'valid' convolution every unit above has as many inputs as the kernel has weights. It is the units below, near the border, "
    "that have fewer outputs; what 'full' pads with zeros is the sensitivity map.",
    verdict="wrong",
    condition="Inputs and outputs are exchanged; the formula that it explains is not affected.",
    corrected=r"\text{border cases, where the number of outputs of a unit at layer } \ell \text{ is not the full size of the kernel}",
    proofs={
        "inputs": proved("for every unit above, each weight of the kernel meets a unit below", inputs),
        "padded": proved("'full' is 'valid' after padding the sensitivity map with zeros, as wide as the kernel less 1", padded),
    },
    refusals={"outputs": refuted("for every unit below, each weight of the kernel leads to a unit above", outputs, sizes={"H": 4, "A": 2}, k=[1, 1])},
)
