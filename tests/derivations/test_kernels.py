"""Every planted bug is refuted by the kind of evidence that should see it, and no right code ever is."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import pytest
from right_but_odd import RIGHT_BUT_ODD
from right_kernels import RIGHT
from wrong_by_kind import WRONG_BY_KIND
from wrong_kernels import WRONG

from cnnframe_derivations import Settings, verify
from cnnframe_derivations.suite import KINDS, exhaustive, refutation, replay
from cnnframe_derivations.suite._bench import Bench
from cnnframe_derivations.suite._coverage import sample
from cnnframe_derivations.suite._jobs import judge
from cnnframe_derivations.suite._twin import first_refutation
from cnnframe_derivations.suite._verdict import Refutation

BY_CONTRACT = {"contract", "ownership"}
APART = [w for w in WRONG_BY_KIND if w.deadly or w.stains]
"""They hang or end the process, or change it for whoever comes next: each is judged in a process of its own."""
TOGETHER = [*WRONG, *(w for w in WRONG_BY_KIND if w not in APART)]


FEW = {"logistic_not_monotone", "leaky_relu_one_pattern"}
"""Wrong at so few float32 numbers that only the profile `thorough`, which takes all, meets them; below they are refuted there."""


SOON = [w for w in TOGETHER if w.cls.name not in FEW]

SAYS = ("formula", "expr", "claims", "derivative", "inputs", "params", "constants", "output")
"""Attributes of a class that decide what is right."""


def base(cls):
    """The operation that a class is made from."""
    return cls.__mro__[1]


def marks(wrong):
    """Those of one operation run in one process, where its cases and their truths are at hand."""
    return [pytest.mark.xdist_group(f"kernels of {base(wrong.cls).__name__}")]


@lru_cache(maxsize=1)
def bench(cls):
    """The cases of an operation."""
    return Bench(cls, Settings())


def refute(cls):
    """The first refutation; from the cases of the operation that it is made from, if it says what that says."""
    if any(getattr(cls, name, None) is not getattr(base(cls), name, None) for name in SAYS):
        return refutation(cls)
    found = first_refutation(bench(base(cls)), cls)
    # Other cases of its own may show what those do not.
    return found or refutation(cls)


@pytest.mark.parametrize("wrong", [pytest.param(w, id=w.cls.name, marks=marks(w)) for w in sorted(SOON, key=lambda w: base(w.cls).__name__)])
def test_wrong_code_is_refuted_in_few_lines(wrong):
    finding = refute(wrong.cls)
    assert finding is not None
    assert wrong.category not in BY_CONTRACT or finding.kind == "contract" or wrong in WRONG_BY_KIND
    assert len(finding.lines(wrong.cls.name, wrong.cls.name)) <= 25


SAMPLE = SOON[::30]


@pytest.mark.parametrize("wrong", [pytest.param(w, id=w.cls.name) for w in SAMPLE])
def test_a_counterexample_is_small_and_its_replay_finds_it_again(wrong):
    finding = refutation(wrong.cls)
    assert len(finding.lines(wrong.cls.name, wrong.cls.name)) <= 25
    assert max((len(array.entries) for array in finding.arrays), default=0) <= 24
    if "different answers" not in finding.certificate and finding.replay:
        assert replay(wrong.cls, finding.replay).verdict == "refuted"


def test_code_that_hangs_exits_or_changes_the_process_is_named_and_never_verified():
    # The limit is waited out by the two that never return; the others have time, however much the machine has to do.
    for deadly, limit in ((True, 3.0), (False, 120.0)):
        apart = [wrong for wrong in APART if wrong.deadly == deadly]
        reports = dict(judge([f"wrong_for_others:{wrong.cls.__name__}" for wrong in apart], Settings("smoke"), processes=2, limit=limit))
        assert sorted(reports) == list(range(len(apart)))
        for report in reports.values():
            assert report.verdict == "refuted" or deadly, report.why
            # The smoke profile never verifies: what stands against the code has to be named.
            assert report.finding or "the last case was" in report.why, report.why


@pytest.mark.parametrize(("name", "low", "high"), [("logistic_not_monotone", 2.9999, 3.0011), ("leaky_relu_one_pattern", 3.1415, 3.1417)])
def test_what_is_wrong_at_few_numbers_is_refuted_where_all_are_taken(name, low, high):
    assert name in FEW
    wrong = next(w.cls for w in WRONG_BY_KIND if w.cls.name == name)
    first, last = (int(np.float32(x).view(np.uint32)) for x in (low, high))
    with pytest.raises(Refutation):
        exhaustive._run(sample(wrong), iter([np.arange(first, last, dtype=np.uint32).view(np.float32)]))


FIRST = {cls.__mro__[1]: cls for cls in reversed(RIGHT)}
"""For each operation the first of the routes."""
VERIFIED = list(FIRST.values())[4::7]


@pytest.mark.parametrize("right", [pytest.param(cls, id=cls.name) for cls in VERIFIED])
def test_right_code_by_another_route_is_verified(right):
    report = verify(right)
    assert report.verdict == "verified", str(report)


@pytest.mark.parametrize("right", [pytest.param(cls, id=cls.name) for cls in (*RIGHT, *RIGHT_BUT_ODD) if cls not in VERIFIED])
def test_right_code_by_a_further_route_is_not_refuted(right):
    # The smoke profile draws too few cases to verify, and any false alarm among them refutes.
    report = verify(right, Settings("smoke"))
    # Code that rounds where the formula is exact does not have its bits; that is all that may be said against it.
    refuted = {evidence.kind for evidence in report.evidence if evidence.finding}
    assert refuted <= ({"exact"} if getattr(right, "rounds", False) else set()), str(report)


def test_the_collections_are_broad():
    wrongs = [*WRONG, *WRONG_BY_KIND]
    operations = Counter(wrong.cls.__mro__[1].name for wrong in wrongs)
    assert len(wrongs) >= 150
    assert len(operations) >= 20
    # What is wrong about curvature are routes, which are the core's and not an operation's: `test_curvature.py` has them.
    assert {wrong.category for wrong in WRONG_BY_KIND} == set(KINDS) - {"canaries", "curvature"}
    assert len({wrong.cls.name for wrong in wrongs}) == len(wrongs)
