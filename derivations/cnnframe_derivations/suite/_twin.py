"""Judge broken copies of an operation by the cases and truths of the operation itself, which are worked out once.

A copy is declared like the original, so the same cases are drawn from it, and the same answers are right.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from cnnframe import Op
from cnnframe import _call as core

from ._bench import Bench, Check, put
from ._calls import quiet
from ._cases import Case
from ._coverage import features
from ._oracle import Oracle
from ._verdict import Evidence, Finding, OraclesDisagree, Refutation, Skip

LEFT_OUT = frozenset({"canaries", "proved", "curvature"})
"""Kinds of evidence that judge the suite, the claims, or what is made of right gradients, and not the gradients."""


class Twin(Bench):
    """The cases of an operation, put to a copy of it; the first refutation ends it, at the case that was at hand."""

    def __init__(self, original: Bench, cls: type[Op]) -> None:
        Bench.__init__(self, cls, original.run)
        self.original = original

    @cached_property
    def box(self) -> tuple[Case, ...]:
        """The original's, of the copy."""
        return tuple(of(case, self.cls) for case in self.original.box)

    @cached_property
    def drawn(self) -> tuple[Case, ...]:
        """The original's, of the copy."""
        return tuple(of(case, self.cls) for case in self.original.drawn)

    @cached_property
    def missing(self) -> list[str]:
        """The original's."""
        return self.original.missing

    @cached_property
    def exact(self) -> bool:
        """The original's."""
        return self.original.exact

    def oracle(self, case: Case) -> Oracle:
        """The original's, asking the copy."""
        known = self.original.oracle(of(case, self.original.cls))
        with suppress(Skip, OraclesDisagree):
            # Worked out here, so that the next copy need not.
            known.forward, known.gradients  # noqa: B018 # both are kept where they are first asked for
        found = copy.copy(known)
        found.case = case
        found.hasty = True
        return found

    def judge(self, check: Check, cases: Iterable[Case], evidence: Evidence) -> Counter[str]:
        """Put cases to a check, and look for no smaller one where it fails.

        Raises:
            Refutation: at the first case that fails.
        """
        judged: Counter[str] = Counter()
        for case in cases:
            if put(check, self.oracle(check.prepare(case)), evidence):
                judged.update(features(case))
        return judged


def of(case: Case, cls: type[Op]) -> Case:
    """The same case of another class with the same declaration."""
    if type(case.op) is cls:
        return case
    op = object.__new__(cls)
    op.__dict__.update(vars(case.op))
    found = copy.copy(case)
    object.__setattr__(found, "op", op)
    return found


def first_refutation(original: Bench, cls: type[Op], kinds: Iterable[str] = ()) -> Finding | None:
    """The first refutation of a copy by some or all kinds of evidence, the cheapest first; None if there is none."""
    from ._run import KINDS

    twin = Twin(original, cls)
    for kind in kinds or [kind for kind in KINDS if kind not in LEFT_OUT]:
        module = KINDS[kind]
        try:
            module.gather(twin, Evidence(kind))
        except Refutation as refutation:
            return refutation.finding
        except (Exception, SystemExit):  # noqa: BLE001, S112 # what cannot be judged by this kind may be by the next
            continue
    return None


def differs(original: Bench, cls: type[Op]) -> tuple[int, int]:
    """In how many cases a copy gives another answer than the original, by a bit at least, or none at all; and how many there are."""
    cases = (*original.box, *original.drawn)
    return sum(_answer(case) != _answer(of(case, cls)) for case in cases), len(cases)


def _answer(case: Case) -> Any:
    """Outputs and gradients, to the bit."""
    arrays, cotangents = (
        {name: np.array(value) for name, value in group.items()} for group in (case.laid_out(case.arrays()), case.laid_out(case.cotangents()))
    )
    try:
        with quiet():
            outputs, saved = core.forward(case.op, arrays)
            kept = {name: np.array(value) for name, value in outputs.items()}
            gradients = core.backward(case.op, cotangents, saved, frozenset(case.op.declaration.differentiable), case.shapes)
    except Exception as error:  # noqa: BLE001 # another answer too
        return type(error).__name__
    return [(name, np.asarray(v).dtype.str, np.shape(v), np.asarray(v).tobytes()) for group in (kept, gradients) for name, v in sorted(group.items())]
