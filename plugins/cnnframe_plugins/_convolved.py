"""What the formulas and claims of the convolution layers share (Bouvrie 2006, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnframe.algebra import conv2, crop, every, indices, inside, pad, plane, rot180, spread, total


def positions(op: Any, u: Sequence[Any], a: Sequence[Any]) -> list[Any]:
    """The entry of the map that kernel entry `a` meets at output position `u`."""
    flip = op.orientation == "convolution"
    return [
        stride * v + dilation * (size - 1 - tap if flip else tap) - padding
        for v, tap, size, stride, padding, dilation in zip(u, a, op.size, op.stride, op.padding, op.dilation, strict=True)
    ]


def sensitivity(op: Any, delta: Any, k: Any, shape: Sequence[Any]) -> Any:
    """conv2(delta, rot180(k), 'full'), with zeros between the entries for stride and dilation, less the padding (section 3.2.1)."""
    kernel = spread(k, op.dilation)
    full = conv2(spread(delta, op.stride), rot180(kernel) if op.orientation == "convolution" else kernel, "full")
    return crop(full, op.padding, shape)


def kernel_rule(op: Any, x: Any, delta: Any) -> Any:
    """rot180(conv2(x, rot180(delta), 'valid')) of the padded map, every dilation-th entry (section 3.1.1)."""
    valid = conv2(pad(x, op.padding), rot180(spread(delta, op.stride)), "valid")
    gradient = every(valid, op.dilation, op.size)
    return rot180(gradient) if op.orientation == "convolution" else gradient


def linked_sum(op: Any, at: Any, x: Any, k: Any) -> Any:
    """The sum over the links into the output map, by one-hot ends of each link."""
    n, j, *u = at
    link, i = indices("link i")
    a = indices("a", op.dims)
    read = positions(op, u, a)
    ends = op.links.target[link, j] * op.links.source[link, i]
    over = ((link, op.links.count), (i, op.links.inputs), *zip(a, op.size, strict=True))
    return total(ends * x[(n, i, *read)] * k[(link, *a)], *over, where=inside(read, x.shape[2:]))


def linked_claims(op: Any, at: Any, dy: Any, x: Any, k: Any) -> dict[str, Any]:
    """The gradients of the input, summed over the links of a map, and of the kernels, at the two ends of a link."""
    pattern, link, i, j = indices("pattern link i j")
    source, target = op.links.source, op.links.target

    def dx(n, i, *p):
        delta = sensitivity(op, plane(dy, n, j), plane(k, link), x.shape[2:])
        return total(source[link, i] * target[link, j] * delta[p], (link, op.links.count), (j, op.links.outputs))

    def dk(link, *a):
        gradient = kernel_rule(op, plane(x, pattern, i), plane(dy, pattern, j))
        return total(source[link, i] * target[link, j] * gradient[a], (pattern, x.shape[0]), (i, op.links.inputs), (j, op.links.outputs))

    return {"x": dx(*at["x"]), "k": dk(*at["k"])}
