"""Convolution layers (Bouvrie 2006, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from cnnframe import Array, Layer, Links, Param, PerAxis, at_least, bias, multiple_of, one_of
from cnnframe.algebra import equal, indices, inside, plane, sum_all, total

from ._convolved import kernel_rule, linked_claims, linked_sum, positions, sensitivity
from ._windows import Geometry

OUTPUT = "{(h + 2*padding - dilation*(size - 1) - 1)//stride + 1}"
ORIENTATIONS = ("convolution", "correlation")

Block = tuple[Any, Any]
"""Input maps and output maps, as indices, that one dense piece of the kernel connects."""


@dataclass(frozen=True)
class Conv(Layer):
    """Convolve the input maps with learned kernels and add a bias to each output map (section 3.1).

    The borders are 'valid' unless padded with zeros; leftover rows and columns that a stride does not reach
    are not read. Axes: x (n, maps in, *map), k (maps, maps in / groups, *size), b (maps,), y (n, maps, *output).

    Attributes:
        maps: number of output maps.
        size: kernel size.
        dims: number of spatial dimensions.
        stride: distance between output positions, in entries of the input.
        padding: zeros added on each side.
        dilation: distance between kernel entries, in entries of the input.
        groups: input and output maps are split into this many groups that do not see each other.
        orientation: "convolution" flips the kernel as the paper and MATLAB do, "correlation" does not.

    Raises:
        ShapeError: the window is larger than the padded map, or `groups` does not divide the input maps.
    """

    maps: Annotated[int, at_least(1), multiple_of("groups")]
    size: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2
    stride: Annotated[PerAxis, at_least(1)] = 1
    padding: Annotated[PerAxis, at_least(0)] = 0
    dilation: Annotated[PerAxis, at_least(1)] = 1
    groups: Annotated[int, at_least(1)] = 1
    orientation: Annotated[str, one_of(*ORIENTATIONS)] = "convolution"

    name = "conv"
    batch_apart = True
    inputs = {"x": "n groups*g {h}"}
    params = {"k": Param("maps g {size}", fan_in="g {size}", fan_out="maps {size}"), "b": bias("maps")}
    output = f"n maps {OUTPUT}"

    def forward(self, x, k, b):
        """Return y, and the windows and kernel for `backward`."""
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        windows = geometry.windows(x)
        y = _correlate(windows, _oriented(self, k), self._blocks(k), geometry)
        return y + b.reshape(-1, *(1,) * self.dims), (windows, k, x.shape)

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        """Return the wanted gradients."""
        windows, k, shape = saved
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        blocks = self._blocks(k)
        gradients = {}
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=(0, *geometry.spatial))
        if "k" in wanted:
            gradients["k"] = _oriented(self, _kernel_gradient(dy, windows, blocks, geometry, k))
        if "x" in wanted:
            gradients["x"] = _input_gradient(dy, _oriented(self, k), blocks, geometry, shape)
        return gradients

    def _blocks(self, k: Array) -> list[Block]:
        fan, out = k.shape[1], self.maps // self.groups
        return [(slice(g * fan, (g + 1) * fan), slice(g * out, (g + 1) * out)) for g in range(self.groups)]

    def formula(self, at, x, k, b):
        """Sum over the group's input maps and the kernel's entries (section 3.1)."""
        n, j, *u = at
        group, m, i = indices("group m i")
        a = indices("a", self.dims)
        fan, out = k.shape[1], self.maps // self.groups
        read = positions(self, u, a)
        return b[j] + total(
            x[(n, group * fan + i, *read)] * k[(j, i, *a)],
            (group, self.groups),
            (m, out),
            (i, fan),
            *zip(a, self.size, strict=True),
            where=[equal(j, group * out + m), *inside(read, x.shape[2:])],
        )

    def onnx(self, build, x, k, b):
        """A correlation, as ONNX has it, with the kernel as it lies over the map."""
        return _said(self, build, x, _oriented(self, k), b, self.groups)

    def claims(self, at, dy, x, k, b):
        """conv2(delta, rot180(k), 'full'), rot180(conv2(x, rot180(delta), 'valid')) and the sum of delta, group by group (section 3.1.1)."""
        pattern, group, m, i = indices("pattern group m i")
        batch, fan, out = x.shape[0], k.shape[1], self.maps // self.groups

        def dx(n, c, *p):
            j = group * out + m
            delta = sensitivity(self, plane(dy, n, j), plane(k, j, i), x.shape[2:])
            return total(delta[p], (group, self.groups), (i, fan), (m, out), where=[equal(c, group * fan + i)])

        def dk(j, c, *a):
            gradient = kernel_rule(self, plane(x, pattern, group * fan + c), plane(dy, pattern, j))
            return total(gradient[a], (pattern, batch), (group, self.groups), (m, out), where=[equal(j, group * out + m)])

        def db(j):
            return total(sum_all(plane(dy, pattern, j)), (pattern, batch))

        return {"x": dx(*at["x"]), "k": dk(*at["k"]), "b": db(*at["b"])}


@dataclass(frozen=True)
class ConvLinked(Layer):
    """Convolve along a table of links: output map j sees the input maps M_j, each through its own kernel (section 3.1).

    A link that is absent has no kernel, no gradient and no cost. Axes: x (n, maps in, *map), k (links, *size),
    b (maps out,), y (n, maps out, *output); kernels are in the order of `links.pairs`.

    Attributes:
        links: which input maps each output map sees.
        size: kernel size.
        dims: number of spatial dimensions.
        stride: distance between output positions, in entries of the input.
        padding: zeros added on each side.
        dilation: distance between kernel entries, in entries of the input.
        orientation: "convolution" flips the kernel as the paper and MATLAB do, "correlation" does not.

    Raises:
        ShapeError: the window is larger than the padded map, or the table is for another number of input maps.
    """

    links: Links
    size: Annotated[PerAxis, at_least(1)]
    dims: Annotated[int, one_of(1, 2, 3)] = 2
    stride: Annotated[PerAxis, at_least(1)] = 1
    padding: Annotated[PerAxis, at_least(0)] = 0
    dilation: Annotated[PerAxis, at_least(1)] = 1
    orientation: Annotated[str, one_of(*ORIENTATIONS)] = "convolution"

    name = "conv_linked"
    batch_apart = True
    inputs = {"x": "n maps_in {h}"}
    params = {"k": Param("link_count {size}", fan_in="mean_fan_in {size}", fan_out="mean_fan_out {size}"), "b": bias("maps_out")}
    output = f"n maps_out {OUTPUT}"

    @property
    def maps_in(self):
        """The number of input maps."""
        return self.links.inputs

    @property
    def maps_out(self):
        """The number of output maps."""
        return self.links.outputs

    @property
    def link_count(self):
        """The number of links, and so of kernels."""
        return self.links.count

    @property
    def mean_fan_in(self):
        """The number of links into an output map, the mean over the maps rounded down."""
        return self.links.count // self.links.outputs

    @property
    def mean_fan_out(self):
        """The number of links out of an input map, likewise, and at least 1."""
        return max(1, self.links.count // self.links.inputs)

    def connections(self, known):
        """A kernel for each link, and a bias for each map, at every output position."""
        _, maps, *output = self.output_shapes(known)["y"]
        return (self.links.count * math.prod(self.size) + maps) * math.prod(output)

    def forward(self, x, k, b):
        """Return y, and the windows and kernels for `backward`."""
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        windows = geometry.windows(x)
        kernels = _oriented(self, k)
        y = np.empty((x.shape[0], self.maps_out, *windows.shape[2 : 2 + self.dims]), np.result_type(x, k))
        for j, (links, maps) in enumerate(self._fans()):
            y[:, j] = np.tensordot(windows[:, maps], kernels[links], axes=([1, *_window_axes(geometry)], [0, *range(1, 1 + self.dims)]))
        return y + b.reshape(-1, *(1,) * self.dims), (windows, k, x.shape)

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        """Return the wanted gradients."""
        windows, k, shape = saved
        geometry = Geometry(self.size, self.stride, self.padding, self.dilation)
        outputs = range(1, 1 + self.dims)
        gradients = {}
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=(0, *geometry.spatial))
        if "k" in wanted:
            dk = np.empty_like(k)
            for j, (links, maps) in enumerate(self._fans()):
                dk[links] = np.tensordot(dy[:, j], windows[:, maps], axes=([0, *outputs], [0, *geometry.spatial]))
            gradients["k"] = _oriented(self, dk)
        if "x" in wanted:
            kernels = _oriented(self, k)
            pieces = np.zeros(windows.shape, np.result_type(dy, k))
            for j, (links, maps) in enumerate(self._fans()):
                pieces[:, maps] += np.moveaxis(np.multiply.outer(dy[:, j], kernels[links]), 1 + self.dims, 1)
            gradients["x"] = geometry.scatter(shape, pieces)
        return gradients

    def _fans(self) -> list[tuple[list[int], list[int]]]:
        """For each output map, its links and the input maps at their other ends."""
        found: list[tuple[list[int], list[int]]] = [([], []) for _ in range(self.links.outputs)]
        for link, (i, j) in enumerate(self.links.pairs):
            found[j][0].append(link)
            found[j][1].append(i)
        return found

    def formula(self, at, x, k, b):
        """Sum over the links into the output map, by one-hot ends of each link (section 3.1)."""
        return b[at[1]] + linked_sum(self, at, x, k)

    def onnx(self, build, x, k, b):
        """A correlation with all pairs of maps, in which an absent link is a kernel of zeros."""
        whole = np.zeros((self.maps_out, self.maps_in, *self.size), k.dtype)
        for kernel, (i, j) in zip(_oriented(self, k), self.links.pairs, strict=True):
            whole[j, i] = kernel
        return _said(self, build, x, whole, b)

    def claims(self, at, dy, x, k, b):
        """As for `conv`, summed over the links of a map, and at the two ends of a link."""
        (pattern,), batch = indices("pattern"), x.shape[0]
        db = total(sum_all(plane(dy, pattern, *at["b"])), (pattern, batch))
        return {**linked_claims(self, at, dy, x, k), "b": db}


def _oriented(op: Layer, k: Array) -> Array:
    """The kernel as it lies over the map; its own inverse."""
    return np.flip(k, tuple(range(-op.dims, 0))) if op.orientation == "convolution" else k


def _said(op: Conv | ConvLinked, build: Any, x: Any, k: Array, b: Array, groups: int = 1) -> Any:
    """The ONNX node of a correlation."""
    pads = [*op.padding, *op.padding]
    return build.node("Conv", x, k, b, kernel_shape=op.size, strides=op.stride, pads=pads, dilations=op.dilation, group=groups)


def _window_axes(geometry: Geometry) -> list[int]:
    dims = len(geometry.size)
    return list(range(2 + dims, 2 + 2 * dims))


def _correlate(windows: Array, k: Array, blocks: list[Block], geometry: Geometry) -> Array:
    dims = len(geometry.size)
    y = np.empty((windows.shape[0], k.shape[0], *windows.shape[2 : 2 + dims]), np.result_type(windows, k))
    for maps_in, maps_out in blocks:
        piece = np.tensordot(windows[:, maps_in], k[maps_out], axes=([1, *_window_axes(geometry)], list(range(1, 2 + dims))))
        y[:, maps_out] = np.moveaxis(piece, -1, 1)
    return y


def _kernel_gradient(dy: Array, windows: Array, blocks: list[Block], geometry: Geometry, k: Array) -> Array:
    dk = np.empty_like(k)
    for maps_in, maps_out in blocks:
        dk[maps_out] = np.tensordot(dy[:, maps_out], windows[:, maps_in], axes=([0, *geometry.spatial], [0, *geometry.spatial]))
    return dk


def _input_gradient(dy: Array, k: Array, blocks: list[Block], geometry: Geometry, shape: Sequence[int]) -> Array:
    """Scatter: one matrix product, then one strided addition for each kernel entry."""
    dims = len(geometry.size)
    pieces = []
    for _, maps_out in blocks:
        piece = np.tensordot(dy[:, maps_out], k[maps_out], axes=([1], [0]))
        pieces.append(np.moveaxis(piece, 1 + dims, 1))
    return geometry.scatter(shape, np.concatenate(pieces, axis=1))
