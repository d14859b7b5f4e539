"""Hyperparameters out of their bounds must be refused when the operation is constructed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cnnframe import HyperparameterError, Op
from cnnframe._hyper import Hyperparameter, Interval, OneOf, hyperparameters

from ._coverage import sample
from ._verdict import Evidence


def check_refusals(cls: type[Op], evidence: Evidence) -> None:
    """Try values outside each bound; anything but the project's own error is a doubt."""
    for name, hyper in hyperparameters(cls).items():
        for value in _bad_values(hyper):
            try:
                sample(cls, **{name: value})
            except HyperparameterError:
                evidence.passed("bad hyperparameters refused")
                continue
            except Exception as error:  # noqa: BLE001 # whatever the class raises instead is reported
                evidence.doubt = f"{name}={value!r} must be refused with a HyperparameterError; got {type(error).__name__}"
                return
            evidence.doubt = f"{name}={value!r} is outside its bounds ({hyper}) and was accepted"
            return


def _bad_values(hyper: Hyperparameter) -> Iterator[Any]:
    """A value of no kind, and for each bound some that it does not allow."""
    yield object()
    if hyper.kind is float:
        yield from (math.nan, math.inf)
    for bound in hyper.bounds:
        candidates: list[Any] = []
        if isinstance(bound, Interval):
            ends = [end for end in (bound.low, bound.high) if math.isfinite(end)]
            candidates = [value for end in ends for value in (math.floor(end) - 1, end, math.ceil(end) + 1)]
        elif isinstance(bound, OneOf):
            candidates = ["no such choice"] if hyper.kind is str else [-1, 0, max(bound.values) + 1]
        yield from (value for value in candidates if not bound.allows(value, {}))
