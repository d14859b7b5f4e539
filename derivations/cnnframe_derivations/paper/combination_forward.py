"""3.3: output maps as learned combinations of input maps, whose kernels they share."""

from typing import Any

from cnnframe.algebra import Map, conv2, define, indices, plane, rot180, total

from ._finding import Finding, proved, refuted
from ._speech import Setting

s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
rows, columns = H - A + 1, W - B + 1
x, k, b, alpha = s.array("x", N, H, W), s.array("k", N, A, B), s.array("b", M), s.array("alpha", N, M)
delta = s.array("delta", M, rows, columns)
i, j = indices("i j")

layer = s.given(define("u", (M, rows, columns), lambda j, *p: total(alpha[i, j] * conv2(plane(x, i), plane(k, i), "valid")[p], (i, N)) + b[j]), delta)


def turned(i: Any, j: Any) -> Map:
    """The gradient of a kernel from one output map."""
    return rot180(conv2(plane(x, i), rot180(plane(delta, j)), "valid"))


kernel = layer.gradient(k, lambda i, *a: total(alpha[i, j] * turned(i, j)[a], (j, M)))
below = layer.gradient(x, lambda i, *p: total(alpha[i, j] * conv2(plane(delta, j), rot180(plane(k, i)), "full")[p], (j, M)))
of_one_map = layer.gradient(k, lambda i, *a: alpha[i, 0] * turned(i, 0)[a])
as_in_7 = layer.gradient(k, lambda i, *a: total(turned(i, j)[a], (j, M)))

EXAMPLE = {"N": 1, "M": 2, "H": 1, "W": 1, "A": 1, "B": 1}

FINDING = Finding(
    where="combinations of maps",
    section="3.3",
    printed=r"x_j^\ell = f\left(\sum_{i=1}^{N_{in}} \alpha_{ij} (x_i^{\ell-1} * k_i^\ell) + b_j^\ell\right)",
    words="The formula is a definition and has a meaning for all sizes. But here all output maps share the kernel of an input map, unlike in "
    "section 3.1, so that (7) and the delta of section 3.2.1 do not apply; the paper gives nothing in their place.",
    verdict="right under a condition",
    condition="With gradients for kernels and inputs that sum over the output maps, each with its weight.",
    corrected=r"\frac{\partial E}{\partial k_i} = \sum_j \alpha_{ij}\, \mathrm{rot180}(\mathrm{conv2}(x_i, \mathrm{rot180}(\delta_j), \text{'valid'})), \quad "
    r"\frac{\partial E}{\partial x_i} = \sum_j \alpha_{ij}\, \mathrm{conv2}(\delta_j, \mathrm{rot180}(k_i), \text{'full'})",
    proofs={
        "kernel": proved("the gradient of a kernel is the sum over the output maps", kernel),
        "input": proved("so is the gradient of an input map", below),
    },
    refusals={
        "one map": refuted("one output map is enough", of_one_map, EXAMPLE, x=[[[1]]], alpha=[[2, 3]], delta=[[[1]], [[1]]]),
        "as in (7)": refuted("the weights may be left out, as in (7)", as_in_7, EXAMPLE, x=[[[1]]], alpha=[[2, 3]], delta=[[[1]], [[1]]]),
    },
)
