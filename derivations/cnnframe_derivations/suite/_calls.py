"""Call the code under judgement, and turn what goes wrong into findings."""

from __future__ import annotations

import io
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np

from cnnframe import CnnframeError, ContractError, FormulaError
from cnnframe import _call as core
from cnnframe._curvature import propagate

from ._oracle import Oracle, Truth
from ._verdict import Drawn, Finding, Refutation, Skip

BEAT: ContextVar[Callable[[str], None]] = ContextVar("beat", default=lambda text: None)
"""Told what is about to be called, by whoever watches over code that may never return."""

MOST_DRAWN = 64
"""Larger arrays are not part of a finding; their case makes them again."""


class quiet:  # noqa: N801 # a context manager, as those that it enters
    """Keep warnings, and what the code prints, off the report, which may be JSON."""

    def __enter__(self) -> io.StringIO:
        # Warnings are raised and dropped: settings that differ from the silent ones show whether the code changes them.
        self._errors = np.errstate(all="warn")
        self._warnings = warnings.catch_warnings(record=True, action="always")
        self._streams = sys.stdout, sys.stderr
        self._errors.__enter__()
        self._warnings.__enter__()
        sys.stdout = sys.stderr = printed = io.StringIO()
        return printed

    def __exit__(self, *raised: object) -> None:
        sys.stdout, sys.stderr = self._streams
        self._warnings.__exit__(*raised)
        self._errors.__exit__(*raised)


def _watched(call: Callable[[], Any]) -> tuple[Any, str, list[str]]:
    """What a call answers, what it prints, and which settings it changes."""
    with quiet() as printed:
        filters = list(warnings.filters)
        answer = call()
        kept = {
            "NumPy's error settings": set(np.geterr().values()) == {"warn"},
            "the warning filters": warnings.filters == filters,
            "the standard streams": sys.stdout is printed and sys.stderr is printed,
        }
    return answer, printed.getvalue(), [name for name, same in kept.items() if not same]


class Subject:
    """The code of one case, called with checked arguments and answers."""

    def __init__(self, kind: str, oracle: Oracle) -> None:
        self.kind = kind
        self.oracle = oracle
        self.case = oracle.case

    def refuse(self, what: str, certificate: str, **arrays: Any) -> Refutation:
        """A refutation at this case; `arrays` are drawn with it, `entry` marks the one that is wrong in them."""
        entry = arrays.pop("entry", None)
        lines = self.case.lines(self.oracle.arrays, self.oracle.cotangents)
        given = {**self.oracle.arrays, **{f"d{name}": value for name, value in self.oracle.cotangents.items()}}
        shown = [_drawn(name, value, None) for name, value in given.items()] + [_drawn(name, value, entry) for name, value in arrays.items()]
        return Refutation(Finding(self.kind, what, lines, self.case.replay, certificate, tuple(d for d in shown if d is not None)))

    def wrong(self, label: str, truth: Truth, got: Any, entry: tuple[int, ...], certificate: str) -> Refutation:
        """A refutation by one entry of an answer."""
        where = f"entry {entry} of the {label}" if entry else f"the {label}"
        came = np.asarray(got)
        what = f"{where} must be {truth.value[entry]:.17g}; got {float(came[entry]):.17g}"
        return self.refuse(what, certificate, expected=truth.value, got=came, entry=entry)

    def forward(self, arrays: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Outputs by name and what was saved; shapes and element types as declared."""
        outputs, saved = self._call("forward", lambda: core.forward(self.case.op, arrays))
        for name, shape in self.case.outputs.items():
            self._fits(f"output {name!r}", outputs[name], shape)
        return outputs, saved

    def backward(self, cotangents: Mapping[str, Any], saved: Any, wanted: frozenset[str] | None = None) -> dict[str, Any]:
        """Gradients by name; shapes and element types as declared."""
        names = frozenset(self.case.op.declaration.differentiable) if wanted is None else wanted
        shapes = {name: self.case.shapes[name] for name in self.case.op.declaration.differentiable if name in names}
        gradients: dict[str, Any] = self._call("backward", lambda: core.backward(self.case.op, cotangents, saved, names, shapes))
        for name, shape in shapes.items():
            self._fits(f"gradient of {name!r}", gradients[name], shape)
        return gradients

    def curvature(self, arrays: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """The diagonal of a Gauss-Newton matrix for every input and parameter, as the executor propagates it.

        Raises:
            Skip: no route leads back; the executor says so too.
        """
        names = list(self.case.op.declaration.differentiable)

        def call() -> Any:
            try:
                return propagate(self.case.op, arrays, above, frozenset(names))
            except FormulaError as error:
                return error

        answer = self._call("curvature", call)
        if isinstance(answer, FormulaError):
            raise Skip(f"it has no curvature: {answer}")
        for name in names:
            self._fits(f"curvature of {name!r}", answer[name], self.case.shapes[name])
        return {name: answer[name] for name in names}

    def _call(self, method: str, call: Any) -> Any:
        BEAT.get()(f"{self.kind}: {self.case.replay}")
        try:
            answer, printed, changed = _watched(call)
            if changed:
                # A first call may import what it needs, and that may change settings; a second has no excuse.
                answer, printed, changed = _watched(call)
        except ContractError as error:
            raise self.refuse(str(error), "the declaration says otherwise") from error
        except CnnframeError as error:
            raise self.refuse(f"{method} refused arguments that fit its declaration: {error}", "the declaration allows them") from error
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            # In a worker Ctrl-C is the parent's to see: there this is the code's own.
            if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                raise
            text = str(error)[:300]
            hint = "; the arguments are read-only, so an operation that writes to them fails here" if "read-only" in text else ""
            raise self.refuse(f"{method} raised {type(error).__name__}: {text}{hint}", "the arguments fit the declaration") from error
        if changed:
            raise self.refuse(f"{method} changed {', '.join(changed)}", "an operation computes, and does nothing else")
        if printed:
            raise self.refuse(f"{method} printed {printed[:60]!r}", "an operation computes, and does nothing else")
        return answer

    def _fits(self, what: str, value: Any, shape: tuple[int, ...]) -> None:
        if type(value) is not np.ndarray and not isinstance(value, np.generic):
            raise self.refuse(f"{what} must be a NumPy array or number; got {type(value).__name__}", "the declaration asks for a plain array")
        if value.shape != shape:
            raise self.refuse(f"{what} must have shape {shape}; got {value.shape}", "the declaration's axes give its shape")
        if value.dtype != np.dtype(self.case.dtype):
            raise self.refuse(f"{what} must have the element type of the arrays, {self.case.dtype}; got {value.dtype}", "element types are kept")


def _drawn(name: str, value: Any, entry: tuple[int, ...] | None) -> Drawn | None:
    array = np.asarray(value)
    if array.size > MOST_DRAWN:
        return None
    return Drawn(name, array.shape, tuple(float(v) for v in array.ravel()), entry)


def apart(subject: Subject, answers: Mapping[str, Any], given: Mapping[str, Any], what: str, whose: str) -> None:
    """Refuse answers that share memory with what was given.

    Raises:
        Refutation: two do.
    """
    for name, answer in answers.items():
        for other, value in given.items():
            if np.shares_memory(answer, value):
                raise subject.refuse(f"the {what} {name!r} shares memory with the {whose} {other!r}", "whoever changes one would change the other")
