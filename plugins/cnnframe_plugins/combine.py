"""Learned combinations of feature maps (Bouvrie 2006, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Constant, Layer, Param, PerAxis, at_least, bias, one_of
from cnnframe.algebra import conv2, indices, plane, rot180, sum_all, total

from ._simplex import (
    softmax,
    softmax_formula,
    softmax_pullback,
    softmax_rule,
    sparsemax,
    sparsemax_formula,
    sparsemax_pullback,
    sparsemax_rule,
)
from ._windows import Geometry


@dataclass(frozen=True)
class Combine(Layer):
    """Weigh the input maps, each convolved with its kernel, by weights alpha that are learned and sum to 1 (section 3.3).

    Output map j is the sum of alpha_ij (x_i * k_i) over i, plus b_j; the convolution is 'valid' and flips the
    kernel. All output maps share the kernels k_i, so the gradients of k and x sum over j, which the paper leaves out.
    Axes: x (n, maps in, *map), k (maps in, *size), c (maps in, maps), b (maps,), y (n, maps, *map - size + 1).

    Attributes:
        maps: number of output maps.
        size: kernel size.
        dims: number of spatial dimensions.
        weights: how each column of c becomes alpha: "softmax" as in the paper, or "sparsemax", whose weights can
            be exactly 0 (Martins and Astudillo 2016); where an entry is just about to enter, its derivative is 0.

    Raises:
        ShapeError: the kernel is larger than the map.
    """

    maps: Annotated[int, at_least(1)]
    size: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2
    weights: Annotated[str, one_of("softmax", "sparsemax")] = "softmax"

    name = "combine"
    batch_apart = True
    inputs = {"x": "n i {h}"}
    params = {
        "k": Param("i {size}", fan_in="i {size}", fan_out="maps {size}"),
        "c": Param("i maps", role="mixing", initial=Constant(0.0)),
        "b": bias("maps"),
    }
    output = "n maps {h - size + 1}"

    def forward(self, x, k, c, b):
        """Return y, and x, k, alpha and the convolved maps for `backward`."""
        geometry = Geometry.plain(self.size, (1,) * self.dims)
        output = geometry.output(x.shape[2:])
        alpha = self._weights(c)
        convolved = np.zeros((*x.shape[:2], *output), np.result_type(x, k))
        for tap, kernel in self._kernel(k):
            convolved += x[geometry.reads(tap, output)] * kernel
        mixed = np.moveaxis(np.tensordot(convolved, alpha, axes=([1], [0])), -1, 1)
        return mixed + b.reshape(-1, *(1,) * self.dims), (x, k, alpha, convolved)

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "c", "b"})):
        """Return the wanted gradients; that of c is equation 10."""
        x, k, alpha, convolved = saved
        geometry = Geometry.plain(self.size, (1,) * self.dims)
        space = (0, *geometry.spatial)
        gradients = {}
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=space)
        if "c" in wanted:
            dalpha = np.tensordot(convolved, dy, axes=(space, space))
            gradients["c"] = softmax_pullback(alpha, dalpha, 0) if self.weights == "softmax" else sparsemax_pullback(alpha, dalpha)
        if not {"k", "x"} & set(wanted):
            return gradients
        delta = np.moveaxis(np.tensordot(dy, alpha, axes=([1], [1])), -1, 1)
        if "k" in wanted:
            dk = np.empty_like(k)
            for tap in geometry.taps():
                dk[(slice(None), *self._flipped(tap))] = (delta * x[geometry.reads(tap, dy.shape[2:])]).sum(axis=space)
            gradients["k"] = dk
        if "x" in wanted:
            dx = np.zeros(x.shape, delta.dtype)
            for tap, kernel in self._kernel(k):
                dx[geometry.reads(tap, dy.shape[2:])] += delta * kernel
            gradients["x"] = dx
        return gradients

    def mixture(self, k, c, b):
        """Return alpha (maps in, maps), for those who watch it."""
        return self._weights(c)

    def _weights(self, c):
        return softmax(c, 0) if self.weights == "softmax" else sparsemax(c)

    def _flipped(self, tap):
        """The kernel entry that lies over position `tap` of the window."""
        return tuple(size - 1 - t for size, t in zip(self.size, tap, strict=True))

    def _kernel(self, k):
        """Each position of the window with the kernel entries over it, one a map."""
        for tap in np.ndindex(*self.size):
            yield tap, k[(slice(None), *self._flipped(tap))].reshape(-1, *(1,) * self.dims)

    def formula(self, at, x, k, c, b):
        """Sum over the input maps of alpha times the convolution (section 3.3)."""
        n, j, *u = at
        (i,) = indices("i")
        a = indices("a", self.dims)
        alpha = self._alpha(c)
        read = [v + size - 1 - e for v, size, e in zip(u, self.size, a, strict=True)]
        return b[j] + total(alpha[i, j] * x[(n, i, *read)] * k[(i, *a)], (i, x.shape[1]), *zip(a, self.size, strict=True))

    def onnx(self, build, x, k, c, b):
        """Each map with its own kernel, then a convolution of size 1 that weighs them."""
        flipped = np.flip(k, tuple(range(1, 1 + self.dims)))[:, np.newaxis]
        alpha = softmax(c, 0) if self.weights == "softmax" else sparsemax(c)
        convolved = build.node("Conv", x, flipped, kernel_shape=self.size, group=len(k))
        return build.node("Conv", convolved, alpha.T.reshape(self.maps, len(k), *(1,) * self.dims), b, kernel_shape=(1,) * self.dims)

    def claims(self, at, dy, x, k, c, b):
        """The rules of a convolution, weighed by alpha and summed over the output maps, and equation 10 (sections 3.1.1 and 3.3)."""
        (pattern, out), alpha = indices("pattern j"), self._alpha(c)
        batch, maps = x.shape[0], self.maps

        def dx(n, i, *p):
            sensitivity = conv2(plane(dy, n, out), rot180(plane(k, i)), "full")
            return total(alpha[i, out] * sensitivity[p], (out, maps))

        def dk(i, *a):
            gradient = rot180(conv2(plane(x, pattern, i), rot180(plane(dy, pattern, out)), "valid"))
            return total(alpha[i, out] * gradient[a], (pattern, batch), (out, maps))

        def dalpha(i, j):
            convolved = conv2(plane(x, pattern, i), plane(k, i), "valid")
            return total(sum_all(plane(dy, pattern, j) * convolved), (pattern, batch))

        def dc(i, j):
            return softmax_rule(alpha, dalpha, i, j) if self.weights == "softmax" else sparsemax_rule(c, dalpha, i, j)

        def db(j):
            return total(sum_all(plane(dy, pattern, j)), (pattern, batch))

        return {"x": dx(*at["x"]), "k": dk(*at["k"]), "c": dc(*at["c"]), "b": db(*at["b"])}

    def _alpha(self, c):
        """The weights as a formula."""
        return softmax_formula(c) if self.weights == "softmax" else sparsemax_formula(c)
