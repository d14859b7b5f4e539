"""`promises`: one item for each operation and kind of evidence, over all that the project ships."""

from __future__ import annotations

import cnnframe as cf
from cnnframe_derivations import promises

test_promises = promises(*cf.load().operations().values())


def test_wrong_code_fails_and_items_can_be_selected(pytester):
    pytester.makepyfile(
        """
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


        test_promises = promises(Halved)
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*halved: refuted by exact*", "FAILED *test_promises?halved-exact?*"])
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "halved and contract").assert_outcomes(passed=1, deselected=2)
