"""`promises`: one item for each operation, kernel, kind of evidence and element type."""

from __future__ import annotations

import pytest

import cnnframe as cf
from cnnframe import DeclarationError
from cnnframe_derivations import promises

OPS = cf.load()

# The others are judged by the command line where this project is checked.
test_promises = promises(OPS["relu"], OPS["dense"])

HALVED = """
    from dataclasses import dataclass

    import numpy as np
    from cnnframe import Activation
    from cnnframe_derivations import promises


    @dataclass(frozen=True)
    class Halved(Activation):
        name = "halved"

        def f(self, x):
            return x / 2

        def df(self, x, y):
            return np.full_like(x, 2)

        def expr(self, x):
            return x / 2


"""


def test_wrong_code_fails_and_items_can_be_selected(pytester):
    pytester.makepyfile(HALVED + "    test_promises = promises(Halved)")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q", "-k", "exact or contract")
    result.assert_outcomes(passed=2, failed=2, deselected=13)
    result.stdout.fnmatch_lines(["*halved: refuted by exact*", "FAILED *test_promises?halved-reference-exact-float32?*"])
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "halved and contract and float64").assert_outcomes(passed=1, deselected=16)


def test_a_failure_that_is_known_needs_a_reason_and_has_to_happen(pytester):
    pytester.makepyfile(
        HALVED
        + """
    known = {"halved-reference-exact-float64": "factor 4, to be mended", "halved-reference-contract-float64": "it holds, in fact"}
    test_promises = promises(Halved, known=known)
    """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q", "-k", "(exact or contract) and float64")
    result.assert_outcomes(xfailed=1, failed=1, deselected=15)


@pytest.mark.parametrize(
    ("known", "message"),
    [({"relu-reference-exact-float16": "no"}, "is no item; did you mean 'relu-reference-exact-float"), ({"relu-reference-proved": " "}, "needs a reason")],
)
def test_what_is_known_names_an_item_and_a_reason(known, message):
    with pytest.raises(DeclarationError, match=message):
        promises(OPS["relu"], known=known)
