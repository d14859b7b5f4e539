"""3.1.1: the gradient of a kernel in one line of MATLAB."""

from cnnframe.algebra import conv2, plane, rot180

from ._finding import Finding, proved, refuted
from .eq07_kernel_gradient import delta, k, layer, x

line = layer.gradient(k, lambda i, j, *a: rot180(conv2(plane(x, i), rot180(plane(delta, j)), "valid"))[a])
shorter = layer.gradient(k, lambda i, j, *a: conv2(rot180(plane(x, i)), plane(delta, j), "valid")[a])
not_back = layer.gradient(k, lambda i, j, *a: conv2(plane(x, i), rot180(plane(delta, j)), "valid")[a])

FINDING = Finding(
    where="the MATLAB line for a kernel",
    section="3.1.1",
    printed=r"\frac{\partial E}{\partial k_{ij}^\ell} = \mathrm{rot180}(\mathrm{conv2}(x_i^{\ell-1}, \mathrm{rot180}(\delta_j^\ell), \text{'valid'}))",
    words="Both rotations are needed, as the paper explains. Turning the input instead needs only one.",
    verdict="right",
    proofs={
        "line": proved("it is the gradient", line),
        "shorter": proved("so is conv2(rot180(x), delta, 'valid')", shorter),
    },
    refusals={
        "not back": refuted(
            "without the outer rotation it is the gradient",
            not_back,
            sizes={"N": 1, "M": 1, "H": 2, "W": 2, "A": 2, "B": 2},
            x=[[[1, 2], [3, 4]]],
            delta=[[[1]]],
        )
    },
)
