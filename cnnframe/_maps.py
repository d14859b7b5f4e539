"""Maps and what the field does with them: rot180, conv2, kron, in any number of dimensions.

The names and meanings are MATLAB's where MATLAB has them (Bouvrie 2006, sections 3.1 to 3.4). Each operation
gives an entry as a sum with guards, for every size; borders, steps and sizes have one value for each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import FormulaError
from ._sums import equal, fresh, guard, inside, total

Each = Sequence[Any]


@dataclass(frozen=True)
class Map:
    """A finite array, as its shape and a function from indices to the entry."""

    shape: tuple[Any, ...]
    entry: Callable[..., Any]

    # Python would otherwise take indexing for iteration, which would never end.
    __iter__ = None

    def __getitem__(self, at: Any) -> Any:
        """The entry at the indices `at`.

        Raises:
            FormulaError: there are more or fewer indices than axes.
        """
        at = tuple(at) if isinstance(at, Sequence) else (at,)
        if len(at) != len(self.shape):
            raise FormulaError(f"a map of {len(self.shape)} axes was given {len(at)} indices: {', '.join(map(str, at))}")
        return self.entry(*at)

    def __mul__(self, other: Map) -> Map:
        """The product, entry by entry."""
        return Map(self.shape, lambda *p: self[p] * other[p])


def plane(array: Any, *leading: Any) -> Map:
    """The map of an array's last axes where the first ones are at `leading`."""
    return Map(tuple(array.shape[len(leading) :]), lambda *p: array[(*leading, *p)])


def ones(shape: Each) -> Map:
    """The map whose entries are all 1."""
    return Map(tuple(shape), lambda *_: 1)


def sum_all(m: Map) -> Any:
    """The sum of all entries."""
    u = fresh("u", len(m.shape))
    return total(m[u], *zip(u, m.shape, strict=True))


def rot180(m: Map) -> Map:
    """The map with every axis reversed."""
    return Map(m.shape, lambda *p: m[[size - 1 - q for size, q in zip(m.shape, p, strict=True)]])


def conv2(m: Map, k: Map, border: str) -> Map:
    """The convolution with the kernel `k`: "valid" where it lies within the map, "full" wherever it meets it.

    Raises:
        FormulaError: `border` is neither.
    """
    if border not in ("valid", "full"):
        raise FormulaError(f'conv2 is "valid" or "full"; got {border!r}')
    valid = border == "valid"

    def entry(*p: Any) -> Any:
        a = fresh("a", len(p))
        read = [q - b + (size - 1 if valid else 0) for q, size, b in zip(p, k.shape, a, strict=True)]
        return total(m[read] * k[a], *zip(a, k.shape, strict=True), where=[] if valid else inside(read, m.shape))

    grown = [size - 1 for size in k.shape]
    return Map(tuple(h - g if valid else h + g for h, g in zip(m.shape, grown, strict=True)), entry)


def kron(m: Map, block: Map) -> Map:
    """The Kronecker product: a copy of `block` for each entry of the map, times that entry."""

    def entry(*p: Any) -> Any:
        u = fresh("u", len(p))
        within = [q - size * v for q, size, v in zip(p, block.shape, u, strict=True)]
        return total(m[u] * block[within], *zip(u, m.shape, strict=True), where=inside(within, block.shape))

    return Map(tuple(h * size for h, size in zip(m.shape, block.shape, strict=True)), entry)


def down(m: Map, size: Each) -> Map:
    """The sum over each block of `size` entries; what is left over makes no block."""

    def entry(*p: Any) -> Any:
        a = fresh("a", len(p))
        return total(m[[n * q + b for n, q, b in zip(size, p, a, strict=True)]], *zip(a, size, strict=True))

    return Map(tuple(h // n for h, n in zip(m.shape, size, strict=True)), entry)


def spread(m: Map, step: Each) -> Map:
    """The map's entries `step` apart, with zeros between them."""

    def entry(*p: Any) -> Any:
        u = fresh("u", len(p))
        return total(m[u], *zip(u, m.shape, strict=True), where=[equal(q, s * v) for q, s, v in zip(p, step, u, strict=True)])

    return Map(tuple(s * (h - 1) + 1 for h, s in zip(m.shape, step, strict=True)), entry)


def every(m: Map, step: Each, shape: Each) -> Map:
    """`shape` entries of the map, `step` apart from the first: m(1:step:end)."""
    return Map(tuple(shape), lambda *p: m[[s * q for s, q in zip(step, p, strict=True)]])


def pad(m: Map, by: Each) -> Map:
    """The map with `by` zeros before and behind it."""
    return _placed(m, [-b for b in by], tuple(h + 2 * b for h, b in zip(m.shape, by, strict=True)))


def crop(m: Map, by: Each, shape: Each) -> Map:
    """`shape` entries of the map from entry `by` on, and 0 where the map has none."""
    return _placed(m, by, tuple(shape))


def _placed(m: Map, start: Each, shape: tuple[Any, ...]) -> Map:
    def entry(*p: Any) -> Any:
        read = [q + s for q, s in zip(p, start, strict=True)]
        return guard(m[read], inside(read, m.shape))

    return Map(shape, entry)
