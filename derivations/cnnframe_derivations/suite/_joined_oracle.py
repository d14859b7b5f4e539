"""The truth about a case of a chain of operations, by composition; see `_joined` and `_carried`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ._carried import Carried
from ._oracle import Oracle
from ._values import widest_within
from ._verdict import Skip


class ChainOracle(Oracle):
    """The truth about a case of a chain, by composition."""

    def _evaluated(self) -> Any:
        return self.case.op.evaluation

    def _deep_ones(self) -> list[str]:
        return [*self.case.op.given, "dy"]

    def _widest(self, start: int, places: int) -> int:
        return widest_within(self.evaluation, self.case.dtype, self.evaluation.binary_places(places), deep=self.deep, start=start)

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
