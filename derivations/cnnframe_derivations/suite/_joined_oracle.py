"""The truth about a case of a chain of operations, by composition; see `_joined` and `_carried`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ._carried import Carried
from ._joined_cases import ChainCase
from ._oracle import Oracle
from ._values import EXTREMES, FINE, PRECISION, WIDEST, widest_within
from ._verdict import Skip


class ChainOracle(Oracle):
    """The truth about a case of a chain, by composition."""

    def __init__(self, case: ChainCase) -> None:
        self.case = case
        self.evaluation = case.op.evaluation
        self.derivation = self.evaluation.derivation
        names = [*case.op.given, "dy"]
        self.deep = names[case.seed % len(names)] if case.lattice == "deep" else ""
        self.exact = False
        amplitude = 3
        if case.lattice in EXTREMES:
            amplitude = PRECISION[case.dtype]
        elif case.lattice != "real":
            spread = 4 * max(math.prod(shape) for shape in case.shapes.values())
            start = {"wide": WIDEST, "deep": WIDEST, "apart": spread}.get(case.lattice, 3)
            bits = self.evaluation.binary_places(FINE if case.lattice == "fine" else 0)
            found = widest_within(self.evaluation, case.dtype, bits, deep=self.deep, start=start)
            self.exact = found > 0 and start in (WIDEST, found)
            amplitude = found or (0 if case.lattice == "apart" else 3)
            if case.lattice == "apart" and not self.exact:
                amplitude = 0
        self.arrays = case.arrays(amplitude, self.deep)
        self.cotangents = case.cotangents(amplitude if case.lattice in ("wide", "deep") else 3, self.deep)

    @cached_property
    def _rounder(self) -> Carried:
        return Carried(self.case.dtype)

    def _bounded(self, rounded: Mapping[str, Any], digits: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Any]:
        if not all(np.isfinite(part.error).all() for part in rounded.values()):
            raise Skip("errors that are carried on grow beyond all bounds")
        if self._rounder.ambiguous:
            raise Skip("a comparison in a derivative falls within rounding")
        return Oracle._bounded(self, rounded, digits, {name: shapes[name] for name in digits})  # noqa: SLF001 # its own parent's

    @property
    def within_range(self) -> bool:
        """Whether no number on the way, out and back, nears the end of the element type's range."""
        outputs, gradients = self.many_digits
        most = float(np.finfo(self.case.dtype).max) ** 0.5
        return all(abs(v) < most for part in (*self._digits.values(), *outputs.values(), *gradients.values()) for v in part.ravel())
