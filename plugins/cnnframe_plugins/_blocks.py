"""Blocks of a map: the paper's down() and up() (Bouvrie 2006, sections 3.1.1 and 3.2)."""

from __future__ import annotations

import numpy as np

from cnnframe import Array

Size = tuple[int, ...]


def down(x: Array, size: Size) -> Array:
    """Sum each block of x (n, i, *map); `size` divides the map."""
    tail = [tuple(slice(start, None, s) for start, s in zip(tap, size, strict=True)) for tap in np.ndindex(*size)]
    total = x[(..., *tail[0])].copy()
    for part in tail[1:]:
        total += x[(..., *part)]
    return total


def up(x: Array, size: Size) -> Array:
    """Repeat each entry of x (n, i, *map) over a block: the Kronecker product of each map with ones."""
    maps = x.shape[2:]
    blocks = [part for pair in zip(maps, size, strict=True) for part in pair]
    tiled = np.empty((*x.shape[:2], *blocks), x.dtype)
    tiled[...] = x.reshape(*x.shape[:2], *(part for m in maps for part in (m, 1)))
    return tiled.reshape(*x.shape[:2], *(m * s for m, s in zip(maps, size, strict=True)))
