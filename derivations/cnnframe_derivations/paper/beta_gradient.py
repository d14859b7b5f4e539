"""3.2.1: the gradient of the factor of a subsampling layer."""

from cnnframe.algebra import plane, sum_all

from ._finding import Finding, proved
from .subsampling_bias import beta, d, delta, layer

FINDING = Finding(
    where="the gradient of beta",
    section="3.2.1",
    printed=r"\frac{\partial E}{\partial \beta_j} = \sum_{u,v} (\delta_j^\ell \circ d_j^\ell)_{uv}",
    words="Each entry of a map has its factor times the entry of d, so the products add up.",
    verdict="right",
    proofs={"sum": proved("the derivative is the sum over the map", layer.gradient(beta, lambda j: sum_all(plane(delta, j) * plane(d, j))))},
)
