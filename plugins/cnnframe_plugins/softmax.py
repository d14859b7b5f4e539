"""The softmax as a layer (Bouvrie 2006, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from cnnframe import Layer
from cnnframe.algebra import indices, total

from ._simplex import exponentials, softmax, softmax_pullback


@dataclass(frozen=True)
class Softmax(Layer):
    """exp(x) over its sum, for each pattern of the batch (section 3.3); for a loss take `softmax_cross_entropy` of x.

    Axes: x (n, c), y (n, c).
    """

    name = "softmax"
    batch_apart = True
    inputs = {"x": "n c"}
    output = "n c"

    def forward(self, x):
        """Return y twice, for `backward` needs it too."""
        y = softmax(x, 1)
        return y, y

    def backward(self, dy, saved):
        """Return y (dy - sum of dy y): equations 8 to 10."""
        return {"x": softmax_pullback(saved, dy, 1)}

    def formula(self, at, x):
        """The exponential over the sum of exponentials."""
        n, unit = at
        e, Z = exponentials(x)
        return e[n, unit] / Z[n]

    def onnx(self, build, x):
        """One node."""
        return build.node("Softmax", x, axis=1)

    def claims(self, at, dy, x):
        """y (dy - sum of dy y): equations 8 to 10."""
        (n, i), (k,) = at["x"], indices("k")
        e, Z = exponentials(x)

        def y(i):
            return e[n, i] / Z[n]

        return {"x": y(i) * (dy[n, i] - total(dy[n, k] * y(k), (k, x.shape[1])))}
