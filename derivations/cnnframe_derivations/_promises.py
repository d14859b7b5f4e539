"""The checks as tests, for this repository and for anyone's plugin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cnnframe import Op

from .suite import KINDS, Settings, gather


def promises(*classes: type[Op], profile: str = "quick") -> Callable[..., None]:
    """A parametrized test, one item for each operation and kind of evidence; bind it to a name that begins with `test_`.

    An item fails if its evidence refutes the code, and if it is inconclusive.
    """
    pairs = [pytest.param(cls, kind, id=f"{cls.name}-{kind}") for cls in classes for kind in KINDS]

    @pytest.mark.parametrize(("operation", "kind"), pairs)
    def test(operation: type[Op], kind: str) -> None:
        evidence = gather(kind, operation, Settings(profile))
        if evidence.finding:
            pytest.fail("\n".join(evidence.finding.lines(operation.name)), pytrace=False)
        if evidence.doubt:
            pytest.fail(f"{operation.name}: inconclusive, {kind}: {evidence.doubt}", pytrace=False)

    return test
