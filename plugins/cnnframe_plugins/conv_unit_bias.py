"""Convolution with a bias for every unit (LeCun et al. 1989)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from cnnframe import Layer, Links, Param, PerAxis, at_least, bias, one_of
from cnnframe.algebra import indices, total

from ._convolved import linked_claims, linked_sum
from .conv import ORIENTATIONS, OUTPUT, ConvLinked


@dataclass(frozen=True)
class ConvUnitBias(Layer):
    """Convolve along a table of links, as `conv_linked` does, and add to each unit a bias that it shares with no other.

    Source: LeCun et al. 1989, "Backpropagation applied to handwritten zip code recognition", layers H1 and H2. Axes: x (n, maps
    in, *map), k (links, *size), b (maps out, *output), y (n, maps out, *output); kernels are in the order of `links.pairs`.

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

    name = "conv_unit_bias"
    batch_apart = True
    inputs = {"x": "n maps_in {h}"}
    params = {"k": Param("link_count {size}", fan_in="mean_fan_in {size}", fan_out="mean_fan_out {size}"), "b": bias(f"maps_out {OUTPUT}")}
    output = f"n maps_out {OUTPUT}"

    maps_in = ConvLinked.maps_in
    maps_out = ConvLinked.maps_out
    link_count = ConvLinked.link_count
    mean_fan_in = ConvLinked.mean_fan_in
    mean_fan_out = ConvLinked.mean_fan_out
    connections = ConvLinked.connections

    @property
    def _shared(self):
        """The convolution below the biases."""
        return ConvLinked(self.links, self.size, self.dims, self.stride, self.padding, self.dilation, self.orientation)

    def forward(self, x, k, b):
        """Return y, and what the convolution saves for `backward`."""
        y, saved = self._shared.forward(x, k, np.zeros(self.links.outputs, b.dtype))
        return y + b, saved

    def backward(self, dy, saved, wanted=frozenset({"x", "k", "b"})):
        """Return the wanted gradients; a bias meets one unit of each pattern."""
        gradients = self._shared.backward(dy, saved, wanted - {"b"})
        if "b" in wanted:
            gradients["b"] = dy.sum(axis=0)
        return gradients

    def formula(self, at, x, k, b):
        """The sum over the links into the output map, and the unit's bias."""
        return b[tuple(at[1:])] + linked_sum(self, at, x, k)

    def onnx(self, build, x, k, b):
        """A convolution without biases, and the sum with one for each unit."""
        return build.node("Add", self._shared.onnx(build, x, k, None), b)

    def claims(self, at, dy, x, k, b):
        """As for `conv_linked`, but for a bias: the sum of its unit's delta over the patterns (sections 2.2 and 3.1.1)."""
        (pattern,), batch = indices("pattern"), x.shape[0]
        return {**linked_claims(self, at, dy, x, k), "b": total(dy[(pattern, *at["b"])], (pattern, batch))}
