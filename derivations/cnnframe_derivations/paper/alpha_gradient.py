"""3.3: the derivative with respect to the weights of a combination."""

from cnnframe.algebra import conv2, plane, sum_all

from ._finding import Finding, proved
from .combination_forward import alpha, delta, k, layer, x

FINDING = Finding(
    where="the gradient of alpha",
    section="3.3",
    printed=r"\frac{\partial E}{\partial \alpha_i} = \frac{\partial E}{\partial u^\ell} \frac{\partial u^\ell}{\partial \alpha_i}"
    r" = \sum_{u,v} (\delta^\ell \circ (x_i^{\ell-1} * k_i^\ell))_{uv}",
    words="The product in the middle is a sum over the entries of u. With the subscript j put back, $\\alpha_{ij}$ takes the sensitivity of map j.",
    verdict="right",
    proofs={
        "sum": proved(
            r"$\partial E / \partial \alpha_{ij}$ sums $\delta_j \circ (x_i * k_i)$ over the map",
            layer.gradient(alpha, lambda i, j: sum_all(plane(delta, j) * conv2(plane(x, i), plane(k, i), "valid"))),
        )
    },
)
