"""Call the code under judgement, and turn what goes wrong into findings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np

from cnnframe import CnnframeError, ContractError
from cnnframe import _call as core

from ._cases import Case
from ._oracle import Oracle
from ._verdict import Finding, Refutation


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings, and what the code prints, off the report, which may be JSON."""
    with np.errstate(all="ignore"), warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


class Subject:
    """The code of one case, called with checked arguments and answers."""

    def __init__(self, kind: str, oracle: Oracle) -> None:
        self.kind = kind
        self.oracle = oracle
        self.case: Case = oracle.case

    def refuse(self, what: str, certificate: str) -> Refutation:
        """A refutation at this case."""
        lines = self.case.lines(self.oracle.arrays, self.oracle.cotangents)
        return Refutation(Finding(self.kind, what, lines, self.case.replay, certificate))

    def forward(self, arrays: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Outputs by name and what was saved; shapes and element types as declared."""
        outputs, saved = self._call("forward", lambda: core.forward(self.case.op, arrays))
        for name, shape in self.case.outputs.items():
            self._fits(f"output {name!r}", outputs[name], shape)
        return outputs, saved

    def backward(self, cotangents: Mapping[str, Any], saved: Any, wanted: frozenset[str] | None = None) -> dict[str, Any]:
        """Gradients by name; shapes and element types as declared."""
        names = frozenset(self.case.op.declaration.differentiable) if wanted is None else wanted
        shapes = {name: self.case.shapes[name] for name in names}
        gradients: dict[str, Any] = self._call("backward", lambda: core.backward(self.case.op, cotangents, saved, names, shapes))
        for name in names:
            self._fits(f"gradient of {name!r}", gradients[name], shapes[name])
        return gradients

    def _call(self, method: str, call: Any) -> Any:
        try:
            with quiet():
                return call()
        except ContractError as error:
            raise self.refuse(str(error), "the declaration says otherwise") from error
        except CnnframeError as error:
            raise self.refuse(f"{method} refused arguments that fit its declaration: {error}", "the declaration allows them") from error
        except (Exception, SystemExit) as error:
            where = f"{type(error).__name__}: {error}"
            hint = "; the arguments are read-only, so an operation that writes to them fails here" if "read-only" in str(error) else ""
            raise self.refuse(f"{method} raised {where}{hint}", "the arguments fit the declaration") from error

    def _fits(self, what: str, value: Any, shape: tuple[int, ...]) -> None:
        if not isinstance(value, (np.ndarray, np.generic)):
            raise self.refuse(f"{what} must be a NumPy array or number; got {type(value).__name__}", "the declaration asks for an array")
        if value.shape != shape:
            raise self.refuse(f"{what} must have shape {shape}; got {value.shape}", "the declaration's axes give its shape")
        if value.dtype != np.dtype(self.case.dtype):
            raise self.refuse(f"{what} must have the element type of the arrays, {self.case.dtype}; got {value.dtype}", "element types are kept")
