"""The small box: every setting of small hyperparameters with every small size, in order or evenly spread.

A structure is named by digits, one for each choice that is to be made: the hyperparameters', then the sizes'.
The lowest digits make the simplest structure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, product
from typing import Any

import numpy as np

from cnnframe import BATCH, CnnframeError, Links, Op, PerAxis
from cnnframe._axes import ELLIPSIS
from cnnframe._hyper import Hyperparameter, MultipleOf, hyperparameters

from ._cases import DTYPES, LARGEST_KERNEL_AXES, LAYOUTS, SMALL_SHAPES, Case, fits, floats, integers_in, least_sizes, letters_of
from ._coverage import sample
from ._values import LATTICES

TABLES = (
    Links.all(1, 1),
    Links.all(2, 1),
    Links.all(1, 2),
    Links.all(2, 2),
    Links(((0, 0), (1, 1)), 2, 2),
    Links(((0, 0), (1, 0), (1, 1), (2, 1)), 3, 2),
)
TRIES = 30
"""How many names are tried for each structure that is wanted: not every name is that of one."""

Digits = tuple[int, ...]


class Box:
    """The small structures of an operation class."""

    def __init__(self, cls: type[Op]) -> None:
        self.cls = cls
        self.hypers = hyperparameters(cls)
        self.order = sorted(self.hypers, key=lambda name: (name != "dims", any(isinstance(b, MultipleOf) for b in self.hypers[name].bounds)))
        self.radices = [len(small_values(self.hypers[name])) for name in self.order for _ in range(_width(self.hypers[name]))]
        axes, letters = letters_of(sample(cls, **({"dims": max(self.hypers["dims"].choices)} if "dims" in self.hypers else {})))
        self.radices += [3, 3] * (None in axes) + [3 if letter == BATCH else 4 for letter in letters]

    @property
    def size(self) -> int:
        """How many structures the digits can name; some are of no operation, and some name the same one."""
        return int(np.prod([float(radix) for radix in self.radices]))

    def simplest(self, most: int) -> Iterator[Case]:
        """Structures from the simplest on, at most that many."""
        levels = range(sum(self.radices) - len(self.radices) + 1)
        digits = chain.from_iterable(_level(self.radices, level) for level in levels)
        return islice(self._cases(islice(digits, TRIES * most)), most)

    def spread(self, count: int) -> list[Case]:
        """Structures spread evenly over the box: all if it has no more than asked for."""
        if self.size <= 16 * count:
            found = list(islice(self._cases(product(*map(range, self.radices))), count + 1))
            if len(found) <= count:
                return found
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(self.cls.name.encode()).digest()[:8], "big"))
        digits = (tuple(int(d) for d in rng.integers(0, self.radices)) for _ in range(TRIES * count))
        return list(islice(self._cases(digits), count))

    def _cases(self, named: Any) -> Iterator[Case]:
        seen = set()
        for number, digits in enumerate(named):
            case = self.case(digits)
            if case is None or (key := repr((case.op, sorted(case.known.items(), key=str)))) in seen:
                continue
            seen.add(key)
            yield vary(case, number)

    def case(self, digits: Digits) -> Case | None:
        """The structure that digits name, or None if they name none."""
        given: dict[str, Any] = {}
        rest = list(digits)
        try:
            for name in self.order:
                hyper = self.hypers[name]
                own = [rest.pop(0) for _ in range(_width(hyper))]
                choices = small_values(hyper)
                if hyper.kind is PerAxis:
                    given[name] = tuple(choices[d] for d in own[: given.get("dims", 2)])
                    continue
                value = choices[own[0]]
                divisors = [given[b.name] for b in hyper.bounds if isinstance(b, MultipleOf)]
                given[name] = value * divisors[0] if divisors and isinstance(value, int) else value
            op = self.cls(**given)
            known = _sizes(op, rest)
            if known is None:
                return None
            case = Case(op, known, "float64", "C", "small", 0)
            return case if fits(case) else None
        except CnnframeError:
            return None


def vary(case: Case, number: int) -> Case:
    """The structure with values, element type and layout that go round with a number."""
    return Case(case.op, case.known, DTYPES[number % 2], LAYOUTS[number // 2 % len(LAYOUTS)], LATTICES[number % (len(LATTICES) - 1)], number)


def _width(hyper: Hyperparameter) -> int:
    return LARGEST_KERNEL_AXES if hyper.kind is PerAxis else 1


def small_values(hyper: Hyperparameter) -> Sequence[Any]:
    """The small values of a hyperparameter, or of one axis of it, the simplest first."""
    if hyper.optional:
        return (None, *([hyper.default] if hyper.default is not None else []))
    if hyper.choices is not None:
        return hyper.choices
    if hyper.kind is Links:
        return TABLES
    if hyper.kind is float:
        return floats(hyper)
    if any(isinstance(bound, MultipleOf) for bound in hyper.bounds):
        return (1, 2, 3)
    if hyper.kind in (int, PerAxis):
        return integers_in(hyper, (0, 1, 2))
    return (hyper.default,)


def _sizes(op: Op, digits: Sequence[int]) -> Mapping[str, Any] | None:
    """Sizes by digits, counted from the smallest at which no output is empty."""
    declaration = op.declaration
    known = dict(declaration.known)
    rest = list(digits)
    axes, letters = letters_of(op)
    if None in axes:
        # Two digits name one of the nine.
        known[ELLIPSIS] = SMALL_SHAPES[3 * rest.pop(0) + rest.pop(0)]
    least = least_sizes(op, known, letters)
    for letter in letters:
        step = rest.pop(0)
        known[letter] = (1 if letter == BATCH else least[letter]) + step
    return None if any(rest) else known


def _level(radices: Sequence[int], level: int) -> Iterator[Digits]:
    """All digits whose sum is the level."""
    if not radices:
        if level == 0:
            yield ()
        return
    if level > sum(radix - 1 for radix in radices):
        return
    for first in range(min(radices[0] - 1, level) + 1):
        for rest in _level(radices[1:], level - first):
            yield (first, *rest)
