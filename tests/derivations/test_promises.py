"""`promises`: one item for each operation, kernel, kind of evidence and element type."""

from __future__ import annotations

import pytest
from chain_kernels import HalfOfOne, SumAndReLU

import cnnframe as cf
from cnnframe import DeclarationError
from cnnframe_derivations import promises

OPS = cf.load()

# The others are judged by the command line where this project is checked.
test_promises = promises(OPS["relu"], OPS["dense"])

test_promises_of_kernels = promises(OPS["dense"], kernels=[OPS["numpy_dense"]], profile="smoke")


def ids(test):
    (mark,) = test.pytestmark
    return [parameters.id for parameters in mark.args[1]]


def test_kernels_have_items_for_what_they_serve_alone_and_in_chains():
    found = ids(promises(OPS["add"], OPS["relu"], OPS["dense"], kernels=[HalfOfOne, OPS["numpy_dense"]]))
    assert len(set(found)) == len(found) == 3 * 17 + 8 + 14
    for name in ("add-reference-proved", "add+relu-half_of_one-exact-float32", "dense-numpy_dense-symbolic", "dense-numpy_dense-contract-float64"):
        assert name in found
    assert not any(name.startswith(("relu-half_of_one", "dense-numpy_dense-proved", "add+relu-half_of_one-proved")) for name in found)


def test_a_wrong_kernel_fails_by_the_kinds_that_see_it(monkeypatch):
    test = promises(OPS["add"], OPS["relu"], kernels=[HalfOfOne, SumAndReLU], profile="smoke")
    (mark,) = test.pytestmark
    judged = {parameters.id: parameters.values for parameters in mark.args[1]}
    test(*judged["add+relu-sum_and_relu-exact-float32"])
    with pytest.raises(pytest.fail.Exception, match=r"add\+relu: refuted by exact(?s:.*)cnnframe verify add\+relu@half_of_one --case"):
        test(*judged["add+relu-half_of_one-exact-float32"])
    monkeypatch.setattr(SumAndReLU, "unavailable", classmethod(lambda cls: "no library"))
    with pytest.raises(DeclarationError, match="kernels: 'sum_and_relu' serves none of add, relu"):
        promises(OPS["add"], OPS["relu"], kernels=[SumAndReLU])


def test_a_kernel_that_is_unavailable_is_skipped_with_its_reason(monkeypatch):
    kernel = OPS["numpy_dense"]
    monkeypatch.setattr(kernel, "unavailable", classmethod(lambda cls: "no library"))
    (mark,) = (test := promises(OPS["dense"], kernels=[kernel])).pytestmark
    values = next(parameters.values for parameters in mark.args[1] if parameters.id == "dense-numpy_dense-exact-float32")
    with pytest.raises(pytest.skip.Exception, match="numpy_dense: no library"):
        test(*values)


@pytest.mark.parametrize(("kernels", "message"), [((OPS["numpy_conv"],), "'numpy_conv' serves none of relu"), ((OPS["relu"],), "a kernel class was wanted")])
def test_kernels_that_serve_nothing_are_refused(kernels, message):
    with pytest.raises(DeclarationError, match=message):
        promises(OPS["relu"], kernels=kernels)


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
