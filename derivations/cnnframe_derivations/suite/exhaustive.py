"""A pointwise function is right on the float32 numbers themselves.

An activation takes one number to one number, so its float32 code can be run on every input there is. The profile
`thorough` does, and keeps the result beside other caches until the code or the formula changes; the others take
a sample of every exponent, with both neighbours of the powers of two, zeros of both signs, the smallest and largest
numbers, infinities and NaN. Values and derivatives are compared with the formula in float64, within rounding bounds
in units of float32.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnframe import Activation, Op

from .._derive import derive
from .._evaluate import Evaluation
from .._numbers import Floats
from .._rounding import ULPS, Rounding
from ._bench import SUITE_VERSION, Bench
from ._calls import Subject
from ._cases import Case
from ._coverage import sample
from ._oracle import ROUTES, TINY, UNIT, Oracle
from ._values import PRECISION
from ._verdict import Drawn, Evidence, Finding, Refutation

KIND = "exhaustive"
MANTISSAS = 200
"""Numbers of each exponent and sign in a sample."""
CHUNK = 2**20
"""Numbers that are judged at once."""
ALL = 2**32
UNIT32, TINY32 = UNIT["float32"], TINY["float32"]


@dataclass
class Worst:
    """The largest error that was met, in units in the last place, and where."""

    ulps: float = 0.0
    at: float = 0.0


def gather(bench: Bench, evidence: Evidence) -> None:
    """Run an activation over its inputs."""
    if not issubclass(bench.cls, Activation):
        evidence.absent = "it is no function of one number"
        return
    if not bench.budget[KIND]:
        evidence.absent = "this profile leaves it out"
        return
    op = sample(bench.cls)
    whole = bench.run.profile == "thorough"
    store = _store(op) if whole else None
    known = _read(store)
    if known is None:
        known = _run(op, _all() if whole else iter([_sample()]))
        _write(store, known)
    evidence.cases = known["inputs"]
    for label in ("output", "gradient of 'x'"):
        evidence.passed(label, known["inputs"])
        worst = known[label]
        evidence.notes.append(f"{label}: largest error {worst['ulps']:.3g} ulp, at x = {worst['at']:.9g}")
    evidence.notes.append("every float32 number" if whole else f"{known['inputs']} float32 numbers of all exponents; --profile thorough takes all")


def _run(op: Op, chunks: Iterator[Any]) -> dict[str, Any]:
    """Judge chunks of inputs; return how many there were, and the largest errors.

    Raises:
        Refutation: at the first chunk with an entry outside its bound, at the entry that is farthest off.
    """
    (name,) = op.inputs
    worst = {"output": Worst(), f"gradient of {name!r}": Worst()}
    count = 0
    for x in chunks:
        count += x.size
        _judge(op, name, x, worst)
    return {"inputs": count, **{label: vars(found) for label, found in zip(("output", "gradient of 'x'"), worst.values(), strict=True)}}


def _judge(op: Op, name: str, x: Any, worst: dict[str, Worst]) -> None:
    # A subject of one entry tells of a mistake; the call itself takes the whole chunk.
    case = Case(op, {**op.declaration.known, "...": x.shape}, "float32", "C", "real", 0)
    subject = Subject(KIND, _Given(case, name, x))
    outputs, saved = subject.forward({name: x})
    gradients = subject.backward({"y": np.ones_like(x)}, saved)
    evaluation = Evaluation(derive(op), op, case.known)
    with np.errstate(all="ignore"):
        rounding = Rounding(PRECISION["float32"])
        held = evaluation.forward(rounding, {name: x})
        wanted = {"output": evaluation.outputs(held)["y"], f"gradient of {name!r}": evaluation.backward(rounding, held, {"y": np.ones(x.shape)})[name]}
        plain = evaluation.outputs(evaluation.forward(Floats(), {name: x}))["y"]
    for (label, truth), got in zip(wanted.items(), (outputs["y"], gradients[name]), strict=True):
        _compare(subject, label, got, truth, x, worst[label])
    _shape(subject, outputs["y"], plain, x)
    _at_the_ends(subject, outputs["y"], plain, x)


class _Given(Oracle):
    """The arrays of a chunk, for the text of a finding."""

    def __init__(self, case: Case, name: str, x: Any) -> None:
        self.case = case
        self.arrays = {name: x}
        self.cotangents = {"y": np.ones_like(x)}


def _compare(subject: Subject, label: str, got: Any, truth: Any, x: Any, worst: Worst) -> None:
    """Compare where value and bound are numbers that float32 can hold."""
    # Code may form a few times the value on its way, as (x + |x|) / 2 does.
    most = float(np.finfo(np.float32).max) / 4
    with np.errstate(all="ignore"):
        bound = UNIT32 * (ROUTES * truth.error + 2 * np.abs(truth.value)) + ROUTES * TINY32
        fits = (np.abs(truth.value) + bound < most) & np.isfinite(x)
        off = np.abs(got.astype(np.float64) - truth.value)
        outside = fits & ~(off <= bound)
        ulps = np.where(fits, off / np.spacing(np.abs(truth.value).astype(np.float32)).astype(np.float64), 0.0)
    if outside.any():
        entry = int(np.argmax(np.where(outside, np.where(np.isnan(off), np.inf, off / bound), -1.0)))
        wanted = float(truth.value[entry])
        raise _wrong(subject, label, float(x[entry]), wanted, float(got[entry]), f"a difference of more than {bound[entry]:.3g} is no rounding")
    largest = int(np.argmax(ulps))
    if ulps[largest] > worst.ulps:
        worst.ulps, worst.at = float(ulps[largest]), float(x[largest])


def _shape(subject: Subject, got: Any, plain: Any, x: Any) -> None:
    """Within the formula's range, and rising or falling where it does, but for what an elementary function may be off by."""
    if not np.isfinite(x).any():
        return
    order = np.argsort(x[np.isfinite(x)], kind="stable")
    came, wanted, at = (array[np.isfinite(x)][order] for array in (got, plain, x))
    with np.errstate(all="ignore"):
        slack = (ULPS * np.spacing(np.maximum(np.abs(came), np.abs(wanted.astype(np.float32))))).astype(np.float64)
        steps = np.diff(wanted)
        for sign, word in ((1, "fall"), (-1, "rise")):
            if not np.all(sign * steps >= 0):
                continue
            reached = np.maximum.accumulate(sign * came.astype(np.float64))
            back = np.flatnonzero(reached - sign * came > slack)
            if len(back):
                entry = int(back[0])
                said = f"the formula does not {word}, and the code has been at {sign * reached[entry]:.9g} before"
                raise _wrong(subject, "output", float(at[entry]), float(wanted[entry]), float(came[entry]), said)
        beyond = np.flatnonzero((came > wanted.max() + slack) | (came < wanted.min() - slack))
    if len(beyond):
        entry = int(beyond[0])
        said = f"the formula stays within {wanted.min():.9g} and {wanted.max():.9g}"
        raise _wrong(subject, "output", float(at[entry]), float(wanted[entry]), float(came[entry]), said)


def _at_the_ends(subject: Subject, got: Any, plain: Any, x: Any) -> None:
    """At infinities the formula's own value, if it has one; NaN stays NaN unless the formula branches."""
    for entry in np.flatnonzero(~np.isfinite(x)):
        wanted, came = float(plain[entry]), float(got[entry])
        if np.isnan(x[entry]):
            if (subject.case.op.full_range or not derive(subject.case.op).conditions) and not np.isnan(came):
                raise _wrong(subject, "output", float(x[entry]), math.nan, came, "what is not a number must not become one")
        elif np.isnan(came) and not np.isnan(wanted) and subject.case.op.full_range:
            raise _wrong(subject, "output", float(x[entry]), wanted, came, "it promises its limits at the infinities")
        elif not np.isnan(wanted) and not np.isnan(came) and came != np.float32(wanted) and not abs(came - wanted) <= ROUTES * UNIT32 * max(abs(wanted), 1.0):
            raise _wrong(subject, "output", float(x[entry]), wanted, came, "the formula has a value at infinity")


def _wrong(subject: Subject, label: str, x: float, wanted: float, came: float, certificate: str) -> Refutation:
    arrays = tuple(Drawn(name, (1,), (value,), (0,)) for name, value in (("x", x), ("expected", wanted), ("got", came)))
    what = f"the {label} at x = {x!r} must be {wanted:.9g}; got {came:.9g} (float32)"
    lines = subject.case.lines({"x": np.array([x], np.float32)}, {})
    return Refutation(Finding(KIND, what, lines, "", certificate, arrays))


def _sample() -> Any:
    """Numbers of every exponent and both signs, and all special ones."""
    mantissas = np.unique(np.concatenate([[0, 1, 2, 2**22, 2**23 - 2, 2**23 - 1], np.linspace(3, 2**23 - 3, MANTISSAS).astype(np.int64)]))
    exponents = np.arange(256)[:, None] << 23
    bits = (exponents + mantissas).ravel().astype(np.uint32)
    return np.concatenate([bits, bits | np.uint32(1 << 31)]).view(np.float32)


def _all() -> Iterator[Any]:
    """Every float32 number."""
    for start in range(0, ALL, CHUNK):
        yield np.arange(start, start + CHUNK, dtype=np.uint64).astype(np.uint32).view(np.float32)


def _store(op: Op) -> Path | None:
    """Where the result of every input is kept: under the hash of code, formula, NumPy and suite."""
    try:
        source = inspect.getsource(inspect.getmodule(type(op)))  # type: ignore[arg-type] # a class without a module has no source
    except (OSError, TypeError):
        return None
    text = "/".join([source, repr(op), str(derive(op).program), np.__version__, str(SUITE_VERSION)])
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnnframe" / KIND
    return folder / f"{op.name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _read(store: Path | None) -> dict[str, Any] | None:
    """A kept result; None if there is none that can be read."""
    if store is None:
        return None
    try:
        known = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and {"inputs", "output", "gradient of 'x'"} <= known.keys() else None


def _write(store: Path | None, known: dict[str, Any]) -> None:
    """Keep a result; a folder that cannot be written to only costs time."""
    if store is None:
        return
    with suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        part = store.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(known), encoding="utf-8")
        part.replace(store)
