"""Hyperparameters out of their bounds must be refused when the operation is constructed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnframe import HyperparameterError, Links, Op, PerAxis
from cnnframe._hyper import Hyperparameter, Interval, OneOf, hyperparameters

from ._verdict import Evidence


def check_refusals(cls: type[Op], evidence: Evidence) -> None:
    """Try values outside each bound; anything but the project's own error is a doubt."""
    for name, hyper in hyperparameters(cls).items():
        for value in _bad_values(hyper):
            given_values = {other: _good_value(h) for other, h in hyperparameters(cls).items() if h.required} | {name: value}
            try:
                cls(**given_values)
            except HyperparameterError:
                evidence.passed("bad hyperparameters refused")
                continue
            except Exception as error:  # noqa: BLE001 # whatever the class raises instead is reported
                evidence.doubt = f"{name}={value!r} must be refused with a HyperparameterError; got {type(error).__name__}"
                return
            evidence.doubt = f"{name}={value!r} is outside its bounds ({hyper}) and was accepted"
            return


def _bad_values(hyper: Hyperparameter) -> Iterator[Any]:
    yield object()
    for bound in hyper.bounds:
        if isinstance(bound, Interval):
            ends = [bound.low - 1 if bound.include_low else bound.low, bound.high + 1 if bound.include_high else bound.high]
            yield from (int(end) if hyper.kind in (int, PerAxis) else end for end in ends if np.isfinite(end))
        if isinstance(bound, OneOf):
            yield "no such choice" if hyper.kind is str else -1
    if hyper.kind is float:
        yield from (float("nan"), float("inf"))


def _good_value(hyper: Hyperparameter) -> Any:
    if hyper.choices is not None:
        return hyper.choices[0]
    if hyper.kind is Links:
        return Links.all(1, 1)
    candidates = itertools.chain([1, 2, 0.5, 0], range(3, 50)) if hyper.kind is not str else iter([""])
    return next(
        (v for v in candidates if (hyper.kind is float or isinstance(v, (int, str))) and all(b.allows(v, {}) for b in hyper.bounds if isinstance(b, Interval))),
        1,
    )
