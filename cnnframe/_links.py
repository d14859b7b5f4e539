"""Connection tables: which input maps each output map sees (Bouvrie 2006, section 3.1, the sets M_j)."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._errors import HyperparameterError


@dataclass(frozen=True)
class Links:
    """An ordered list of links; link l leads from input map `pairs[l][0]` to output map `pairs[l][1]`.

    Links are kept sorted by output map, then input map. Each output map has at least one link; an input
    map may have none.

    Raises:
        HyperparameterError: a link is named twice, leaves the table, or an output map has none.
    """

    pairs: tuple[tuple[int, int], ...]
    inputs: int
    outputs: int

    operands: ClassVar[dict[str, str]] = {"source": "links inputs", "target": "links outputs"}

    def __post_init__(self) -> None:
        """Check the table and sort it."""
        if self.inputs < 1 or self.outputs < 1:
            raise HyperparameterError(f"links: a table needs an input map and an output map; got {self.inputs} input and {self.outputs} output maps")
        pairs = sorted(map(_pair, self.pairs), key=lambda pair: (pair[1], pair[0]))
        for before, after in itertools.pairwise(pairs):
            if before == after:
                raise HyperparameterError(f"links: input map {after[0]} is linked to output map {after[1]} twice; name each link once")
        for i, j in pairs:
            if not (0 <= i < self.inputs and 0 <= j < self.outputs):
                raise HyperparameterError(f"links: ({i}, {j}) is outside a table of {self.inputs} input and {self.outputs} output maps")
        unlinked = sorted(set(range(self.outputs)) - {j for _, j in pairs})
        if unlinked:
            raise HyperparameterError(f"links: output map {unlinked[0]} has no input map; an output map needs at least one link")
        object.__setattr__(self, "pairs", tuple(pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def count(self) -> int:
        """How many links there are."""
        return len(self.pairs)

    @cached_property
    def source(self) -> NDArray[np.int64]:
        """One-hot rows (links, inputs): the input map of each link."""
        return _one_hot([i for i, _ in self.pairs], self.inputs)

    @cached_property
    def target(self) -> NDArray[np.int64]:
        """One-hot rows (links, outputs): the output map of each link."""
        return _one_hot([j for _, j in self.pairs], self.outputs)

    @classmethod
    def from_table(cls, table: ArrayLike) -> Links:
        """Read a boolean array (inputs, outputs), true where there is a link."""
        array = np.asarray(table)
        if array.ndim != 2 or array.dtype != np.bool_:
            raise HyperparameterError(f"links: a table is a boolean array (inputs, outputs); got {array.dtype} of shape {array.shape}")
        return cls(tuple((int(i), int(j)) for i, j in np.argwhere(array)), *array.shape)

    @classmethod
    def from_rows(cls, rows: Sequence[str]) -> Links:
        """Read a table as papers print it: a row for each input map, `X` where there is a link."""
        if len({len(row) for row in rows}) != 1 or set("".join(rows)) - set("XO"):
            raise HyperparameterError("links: rows must be strings of X and O of one length")
        return cls.from_table(np.array([[mark == "X" for mark in row] for row in rows]))

    @classmethod
    def all(cls, inputs: int, outputs: int) -> Links:
        """Every input map to every output map."""
        return cls.from_table(np.ones((inputs, outputs), dtype=bool))

    @classmethod
    def combinations(cls, inputs: int, size: int) -> Links:
        """One output map for each set of `size` input maps: 2 for all pairs, 3 for all triplets (section 3.1)."""
        cls._check_size(size, inputs)
        return cls._from_sets(itertools.combinations(range(inputs), size), inputs)

    @classmethod
    def random(cls, inputs: int, outputs: int, size: int, seed: int) -> Links:
        """Each output map sees `size` input maps, drawn from `seed`."""
        cls._check_size(size, inputs)
        rng = np.random.default_rng(seed)
        return cls._from_sets([rng.permutation(inputs)[:size].tolist() for _ in range(outputs)], inputs)

    @staticmethod
    def _check_size(size: int, inputs: int) -> None:
        if not 1 <= size <= inputs:
            raise HyperparameterError(f"links: size must be between 1 and {inputs}, the number of input maps; got {size}")

    @classmethod
    def _from_sets(cls, sets: Iterable[Iterable[int]], inputs: int) -> Links:
        listed = [tuple(chosen) for chosen in sets]
        return cls(tuple((i, j) for j, chosen in enumerate(listed) for i in chosen), inputs, len(listed))

    def to_rows(self) -> list[str]:
        """The table as `from_rows` reads it."""
        there = set(self.pairs)
        return ["".join("X" if (i, j) in there else "O" for j in range(self.outputs)) for i in range(self.inputs)]

    def __repr__(self) -> str:
        return f"Links.from_rows({self.to_rows()!r})"


def _pair(link: Any) -> tuple[int, int]:
    try:
        i, j = map(operator.index, link)
    except (TypeError, ValueError):
        raise HyperparameterError(f"links: a link is a pair of integers (input map, output map); got {link!r}") from None
    return i, j


def _one_hot(places: list[int], size: int) -> NDArray[np.int64]:
    rows = np.eye(size, dtype=np.int64)[places]
    rows.flags.writeable = False
    return rows


LENET5_LINKS: Final = Links.from_rows(("XOOOXXXOOXXXXOXX", "XXOOOXXXOOXXXXOX", "XXXOOOXXXOOXOXXX", "OXXXOOXXXXOOXOXX", "OOXXXOOXXXXOXXOX", "OOOXXXOOXXXXOXXX"))
"""LeNet-5's table of 60 links from 6 to 16 maps (LeCun et al. 1998, table I)."""


def as_plain(value: Any) -> Any:
    """A hyperparameter's value as plain data that JSON and TOML can hold."""
    if isinstance(value, Links):
        return value.to_rows()
    return list(value) if isinstance(value, tuple) else value
