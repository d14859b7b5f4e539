"""The checks as tests, for this repository and for anyone's plugin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cnnframe import DeclarationError, Op

from ._target import operation as check_operation
from .suite import KINDS, Settings, gather, target_of


def promises(*classes: type[Op], profile: str = "quick") -> Callable[..., None]:
    """A parametrized test, one item for each operation and kind of evidence; bind it to a name that begins with `test_`.

    An item fails if its evidence refutes the code, and if it is inconclusive.

    Raises:
        DeclarationError: there is no class, or one is no operation.
    """
    if not classes:
        raise DeclarationError("promises() needs at least one operation class")
    for cls in classes:
        check_operation(getattr(cls, "__qualname__", repr(cls)), cls)
    pairs = [pytest.param(cls, kind, id=f"{cls.name}-{kind}") for cls in classes for kind in KINDS]

    @pytest.mark.parametrize(("operation", "kind"), pairs)
    def test(operation: type[Op], kind: str) -> None:
        evidence = gather(kind, operation, Settings(profile))
        if evidence.finding:
            pytest.fail("\n".join(evidence.finding.lines(operation.name, target_of(operation))), pytrace=False)
        if evidence.doubt:
            pytest.fail(f"{operation.name}: inconclusive, {kind}: {evidence.doubt}", pytrace=False)

    return test
