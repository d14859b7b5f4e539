"""(9): the gradient of the free weights, by the chain rule."""

from cnnframe.algebra import conv2, define, equal, exp, guard, indices, plane, sum_all, total

from ._finding import Finding, proved
from ._speech import Setting

s = Setting()
N, M, H, W, A, B = s.sizes(N=2, M=2, H=3, W=4, A=2, B=3)
s.assume(H >= A, W >= B)
rows, columns = H - A + 1, W - B + 1
x, kernels, b, c = s.array("x", N, H, W), s.array("k", N, A, B), s.array("b", M), s.array("c", N, M)
delta = s.array("delta", M, rows, columns)
i, k = indices("i k")

# The whole way from the free weights to the total input of a combination.
e = define("e", (N, M), lambda i, j: exp(c[i, j]))
Z = define("Z", (M,), lambda j: total(e[k, j], (k, N)))
alpha = define("alpha", (N, M), lambda i, j: e[i, j] / Z[j])
convolved = define("conv", (N, rows, columns), lambda i, *p: conv2(plane(x, i), plane(kernels, i), "valid")[p])
layer = s.given(define("u", (M, rows, columns), lambda j, p, q: total(alpha[i, j] * convolved[i, p, q], (i, N)) + b[j]), delta)

G = define("G", (N, M), lambda i, j: sum_all(plane(delta, j) * plane(convolved, i)))
"""dE/dalpha."""

chain = layer.gradient(c, lambda i, j: total(G[k, j] * (guard(alpha[i, j], [equal(k, i)]) - alpha[i, j] * alpha[k, j]), (k, N)))

FINDING = Finding(
    where="(9)",
    section="3.3",
    printed=r"\frac{\partial E}{\partial c_i} = \sum_k \frac{\partial E}{\partial \alpha_k} \frac{\partial \alpha_k}{\partial c_i}",
    words="From the free weights through softmax and combination to the error, with (8) and the derivative with respect to alpha put in.",
    verdict="right",
    proofs={"chain": proved("the sum is the derivative with respect to $c_{ij}$", chain)},
)
