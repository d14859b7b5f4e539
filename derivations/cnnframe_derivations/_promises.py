"""The checks as tests, for this repository and for anyone's plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from cnnframe import DeclarationError, Kernel, Op
from cnnframe._errors import nearest

from ._target import operation as check_operation
from .suite import KINDS, Evidence, Settings, gather, target_of
from .suite._chain_bench import GATHER, bench_of_chain, gather_chain
from .suite._chains import chains_of, takes
from .suite._joined import name_of
from .suite._kernels import gather_kernel
from .suite._names import BETWEEN
from .suite._twin import LEFT_OUT

BY_TYPE = ("contract", "exact", "bounded", "extremes", "composed")
"""Kinds of evidence that are gathered for each element type on its own."""
KERNEL = "reference"
"""The operation's own forward and backward."""


@dataclass(frozen=True)
class Judged:
    """What is judged: code for an operation, or for a chain of them.

    Attributes:
        name: of the operation, or the names of a chain's.
        kernel: what computes it.
        target: where the command line finds it.
        kinds: the kinds of evidence that apply.
        gather: one of them, with these settings.
        missing: why it cannot be judged here, such as a library that is not installed; empty if it can.
    """

    name: str
    kernel: str
    target: str
    kinds: tuple[str, ...]
    gather: Callable[[str, Settings], Evidence]
    missing: str = ""


def promises(*classes: type[Op], kernels: Sequence[type[Kernel]] = (), profile: str = "quick", known: Mapping[str, str] | None = None) -> Callable[..., None]:
    """A parametrized test, one item for each operation, kernel, kind of evidence and element type; bind it to a name that begins with `test_`.

    An item fails if its evidence refutes the code, and if it is inconclusive; it is skipped with the reason if its kind of
    evidence does not apply. The ids are stable: `my_layer-reference-exact-float32`, `my_layer-my_kernel-exact-float32`,
    `conv+my_layer-my_kernel-exact-float32`.

    Args:
        classes: operations.
        kernels: kernels, each of which is judged on those of the operations that it serves, one by one and in chains.
        profile: how many cases: quick, ci or thorough.
        known: ids of items that are known to fail, each with the reason; one that passes after all fails.

    Raises:
        DeclarationError: there is no class, one is no operation, a kernel is none or serves none of them, or `known` names no
            item or gives no reason.
    """
    if not classes:
        raise DeclarationError("promises() needs at least one operation class")
    for cls in classes:
        check_operation(getattr(cls, "__qualname__", repr(cls)), cls)
    judged = [*map(_itself, classes), *(one for kernel in kernels for one in _served(kernel, classes))]
    items = {f"{one.name}-{one.kernel}-{kind}{'-' + dtype if dtype else ''}": (one, kind, dtype) for one in judged for kind, dtype in _pairs(one.kinds)}
    reasons = _reasons(known or {}, items)
    marked = [pytest.param(*item, id=name, marks=_marks(reasons.get(name))) for name, item in items.items()]

    @pytest.mark.parametrize(("judged", "kind", "dtype"), marked)
    def test(judged: Judged, kind: str, dtype: str) -> None:
        if judged.missing:
            pytest.skip(f"{judged.kernel}: {judged.missing}")
        evidence = judged.gather(kind, Settings(profile, dtype=dtype))
        if evidence.finding:
            pytest.fail("\n".join(evidence.finding.lines(judged.name, judged.target)), pytrace=False)
        if evidence.doubt:
            pytest.fail(f"{judged.name}: inconclusive, {kind}: {evidence.doubt}", pytrace=False)
        if evidence.absent:
            pytest.skip(f"{judged.name}: {kind}: {evidence.absent}")

    return test


def _reasons(known: Mapping[str, str], items: Mapping[str, Any]) -> dict[str, str]:
    for name, reason in known.items():
        if name not in items:
            raise DeclarationError(f"known: {name!r} is no item; {nearest(name, items)}")
        if not isinstance(reason, str) or not reason.strip():
            raise DeclarationError(f"known: {name!r} needs a reason")
    return dict(known)


def _itself(cls: type[Op]) -> Judged:
    return Judged(cls.name, KERNEL, target_of(cls), tuple(KINDS), lambda kind, run: gather(kind, cls, run))


def _served(kernel: type[Kernel], classes: Sequence[type[Op]]) -> list[Judged]:
    """A kernel on each operation that it serves, and on chains of them."""
    if not (isinstance(kernel, type) and issubclass(kernel, Kernel)):
        raise DeclarationError(f"kernels: a kernel class was wanted; got {kernel!r}")
    missing = kernel.unavailable()
    alone = tuple(kind for kind in KINDS if kind not in LEFT_OUT)
    found = [
        Judged(cls.name, kernel.name, f"{target_of(cls)}{BETWEEN}{kernel.name}", alone, partial(_alone, cls, kernel), missing)
        for cls in classes
        if takes(kernel, [cls])
    ]
    for kinds in () if missing else chains_of(kernel, classes):
        name = name_of(kinds)
        found.append(Judged(name, kernel.name, f"{name}{BETWEEN}{kernel.name}", tuple(GATHER), partial(_chained, kinds, kernel)))
    if not found:
        raise DeclarationError(f"kernels: {kernel.name!r} serves none of {', '.join(cls.name for cls in classes)}; give the operations that it serves as well")
    return found


def _alone(cls: type[Op], kernel: type[Kernel], kind: str, run: Settings) -> Evidence:
    return gather_kernel(kind, cls, kernel, run)


def _chained(kinds: tuple[type[Op], ...], kernel: type[Kernel], kind: str, run: Settings) -> Evidence:
    return gather_chain(kind, bench_of_chain(kinds, kernel, run))


def _pairs(kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    for kind in kinds:
        yield from ((kind, dtype) for dtype in (("float64", "float32") if kind in BY_TYPE else ("",)))


def _marks(reason: str | None) -> Any:
    return () if reason is None else pytest.mark.xfail(reason=reason, strict=True)
