"""Full connections, and the step from maps to features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnframe import PLAIN, ROWS_FIRST, Arrays, Call, Chain, Kernel, MemoryLayout, Op

from ..dense import Dense
from ..joins import Flatten


def product(terms: int) -> np.ufunc:
    """What multiplies two matrices where each entry is a sum of so many terms: of one term a plain product is quicker, with the same bits."""
    return np.multiply if terms == 1 else np.matmul


class DenseKernel(Kernel):
    """Three matrix products."""

    name = "numpy_dense"
    keeps = frozenset({"inputs"})

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A dense layer."""
        return int(type(ops[0]) is Dense)

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        x, W, b, y = arrays.given[0]["x"], arrays.given[0]["W"], arrays.given[0]["b"], arrays.outputs["y"]

        def forward() -> None:
            np.matmul(x, W.T, out=y)
            np.add(y, b, out=y)

        if not self.chain.learns:
            return forward, None
        into, dy = arrays.gradients[0], arrays.cotangents["y"]
        times = product(len(x))

        def backward() -> None:
            if "x" in into:
                np.matmul(dy, W, out=into["x"])
            if "W" in into:
                times(dy.T, x, out=into["W"])
            if "b" in into:
                np.add.reduce(dy, axis=0, out=into["b"])

        return forward, backward


class FlattenKernel(Kernel):
    """A copy, from maps in either layout."""

    name = "numpy_flatten"
    products = False
    keeps = frozenset()

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        """A flatten layer."""
        return int(type(ops[0]) is Flatten)

    @classmethod
    def layouts(cls, chain: Chain, given: MemoryLayout) -> tuple[MemoryLayout, MemoryLayout]:  # noqa: ARG003 # any chain
        """Maps as they come, if it knows the layout."""
        return (given if given == ROWS_FIRST else PLAIN), PLAIN

    def bind(self, arrays: Arrays) -> tuple[Call, Call | None]:
        """Bind to the arrays of a plan."""
        x, plain = arrays.given[0]["x"], self.chain.given[0]["x"]
        known = self.taken == ROWS_FIRST
        maps = ROWS_FIRST.view(x) if known else x
        y = arrays.outputs["y"].reshape(plain)

        def forward() -> None:
            np.copyto(y, maps)

        if not self.chain.learns:
            return forward, None
        dx, dy = arrays.gradients[0]["x"], arrays.cotangents["y"].reshape(plain)
        into = ROWS_FIRST.view(dx) if known else dx

        def backward() -> None:
            np.copyto(into, dy)

        return forward, backward
