"""(12): the derivative of the penalty with respect to the weights."""

from cnnframe.algebra import absolute, indices, sign, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
N = s.sizes(N=3)
lam = s.real("lambda")
alpha = s.array("alpha", N)
(k,) = indices("k")
penalty = s.error(lam * total(absolute(alpha[k]), (k, N)))

FINDING = Finding(
    where="(12)",
    section="3.3.1",
    printed=r"\frac{\partial \Omega}{\partial \alpha_i} = \lambda \, \mathrm{sign}(\alpha_i)",
    words="Everywhere except at the origin, as the paper says. Under softmax no weight is 0 and every sign is 1.",
    verdict="right",
    proofs={"sign": proved(r"where no $\alpha_i$ is 0 it is the derivative", penalty.gradient(alpha, lambda i: lam * sign(alpha[i])))},
)
