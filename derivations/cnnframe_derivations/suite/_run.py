"""Run every kind of evidence over an operation."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Unsatisfiable

from cnnframe import BATCH, CnnframeError, FormulaError, HyperparameterError, Op, PerAxis
from cnnframe._hyper import Hyperparameter, Interval, OneOf, hyperparameters

from . import contract, exact, independent
from ._cases import Case, cases
from ._verdict import Evidence, OraclesDisagree, Refutation, Report, Skip

SUITE_VERSION = 1
"""Part of every seed: raise it when what is drawn changes."""

KINDS: dict[str, ModuleType] = {"contract": contract, "exact": exact, "independent": independent}

BUDGETS = {
    "smoke": {"contract": 4, "exact": 8, "independent": 2},
    "quick": {"contract": 20, "exact": 40, "independent": 10},
    "ci": {"contract": 40, "exact": 80, "independent": 20},
    "thorough": {"contract": 400, "exact": 1000, "independent": 200},
}
"""Cases for each kind of evidence, by profile; `smoke` is for many differently seeded runs, and covers too little to verify."""

ROUNDS = 6
"""How often a budget is spent again to reach settings that were not drawn yet."""


class Settings(NamedTuple):
    """What may vary from run to run: the profile, and a number that enters every seed."""

    profile: str = "quick"
    seed: int = 0


def verify(cls: type[Op], run: Settings = Settings()) -> Report:  # noqa: B008 # an immutable value
    """Judge one operation by all kinds of evidence; the same settings give the same report."""
    return Report(cls.name, tuple(gather(kind, cls, run) for kind in KINDS))


def gather(kind: str, cls: type[Op], run: Settings = Settings()) -> Evidence:  # noqa: B008 # an immutable value
    """One kind of evidence for one operation."""
    evidence = Evidence(kind)
    seen: set[str] = set()
    budget = BUDGETS[run.profile][kind]
    try:
        if kind == "contract":
            _refuses_bad_hyperparameters(cls, evidence)
        wanted = awkward(cls) if kind == "exact" else set()
        for number in range(1 if run.profile == "smoke" else ROUNDS):
            _explore(KINDS[kind].check, cls, budget, _seed(cls, kind, run.seed, number), evidence, seen)
            if wanted <= seen:
                break
        missing = sorted(wanted - seen)
        if missing:
            evidence.doubt = f"no case was drawn with {', '.join(missing)}"
        elif not evidence.checks:
            evidence.doubt = "no check applied" + (f": {', '.join(evidence.skipped)}" if evidence.skipped else "")
        elif kind == "exact":
            evidence.doubt = _uncovered(cls, evidence)
    except Refutation as refutation:
        evidence.finding = refutation.finding
    except OraclesDisagree as error:
        evidence.doubt = f"our oracles disagree, which is a fault of the suite: {error}"
    except independent.Disagreement as error:
        evidence.doubt = str(error)
    except FormulaError as error:
        evidence.doubt = f"the formula cannot be used: {error}"
    except CnnframeError as error:
        evidence.doubt = f"{type(error).__name__}: {error}"
    except Unsatisfiable:
        evidence.doubt = "no case could be drawn from the declaration"
    return evidence


def replay(cls: type[Op], text: str) -> Report:
    """Judge one case that a report printed, by all kinds of evidence."""
    case = Case.from_replay(cls, text)
    found = []
    for kind, module in KINDS.items():
        evidence = Evidence(kind)
        try:
            _judge(module.check, case, evidence)
        except Refutation as refutation:
            evidence.finding = refutation.finding
        except (OraclesDisagree, independent.Disagreement, CnnframeError) as error:
            evidence.doubt = str(error)
        found.append(evidence)
    return Report(cls.name, tuple(found))


def _explore(check: Callable[[Case, Evidence], None], cls: type[Op], budget: int, number: int, evidence: Evidence, seen: set[str]) -> None:
    @seed(number)
    @settings(
        max_examples=budget,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(cls))
    def explore(case: Case) -> None:
        seen.update(features(case))
        _judge(check, case, evidence)

    explore()


def _judge(check: Callable[[Case, Evidence], None], case: Case, evidence: Evidence) -> None:
    evidence.cases += 1
    try:
        check(case, evidence)
    except Skip as skip:
        evidence.skipped[str(skip)] += 1


def _seed(cls: type[Op], *parts: Any) -> int:
    text = "/".join(map(str, [cls.name, SUITE_VERSION, *parts]))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _uncovered(cls: type[Op], evidence: Evidence) -> str:
    """Outputs and gradients that were never compared on a case with entries."""
    compared: Counter[str] = Counter()
    for label, count in evidence.compared.items():
        compared[label.removesuffix(" (bounded)")] += count
    names = [n for n in cls.inputs] + [n for n in cls.params] if isinstance(cls.inputs, dict) and isinstance(cls.params, dict) else []
    missing = [name for name in names if not compared[f"gradient of {name!r}"]]
    return f"no gradient of {', '.join(map(repr, missing))} was compared" if missing else ""


def features(case: Case) -> Iterator[str]:
    """The settings of a case that are known to bring mistakes to light."""
    known = case.known
    if BATCH in known:
        yield from (["an empty batch"] if known[BATCH] == 0 else ["a batch of one"] if known[BATCH] == 1 else ["a batch above four"] if known[BATCH] > 4 else [])
    if case.layout != "C":
        yield f"{case.layout} layout"
    yield case.dtype
    yield f"{case.lattice} values"
    spatial = [value for name, value in known.items() if name not in case.op.declaration.known and name[-1].isdigit()]
    if len(set(spatial)) > 1:
        yield "a map that is not square"
    for name, hyper in hyperparameters(type(case.op)).items():
        value = getattr(case.op, name)
        if hyper.choices is not None:
            yield f"{name}={value!r}"
        elif hyper.kind is PerAxis:
            yield from ([f"{name} above {_low(hyper)}"] if max(value) > _low(hyper) else []) + ([f"{name} not the same on all axes"] if len(set(value)) > 1 else [])
        elif hyper.kind is int:
            yield from [f"{name} above {_low(hyper)}"] if value > _low(hyper) else []
    stride, size = getattr(case.op, "stride", None), getattr(case.op, "size", None)
    if isinstance(stride, tuple) and isinstance(size, tuple):
        pairs = list(zip(stride, size, strict=True))
        yield from (["stride below size"] if any(s < w for s, w in pairs) else []) + (["stride above size"] if any(s > w for s, w in pairs) else [])


def awkward(cls: type[Op]) -> set[str]:
    """The features that the exact evidence must have met, read off the declaration."""
    hypers = hyperparameters(cls)
    found = {"float64", "float32", *(f"{layout} layout" for layout in ("F", "strided", "reversed"))}
    texts = [str(getattr(axes, "axes", axes)) for group in (cls.inputs, cls.params) if isinstance(group, dict) for axes in group.values()]
    if any(text.split()[:1] == [BATCH] for text in texts):
        found |= {"an empty batch", "a batch of one", "a batch above four"}
    many_dims = "dims" in hypers and max(hypers["dims"].choices or (1,)) > 1
    if many_dims and any("{" in text for text in texts):
        found.add("a map that is not square")
    for name, hyper in hypers.items():
        if hyper.choices is not None:
            found |= {f"{name}={value!r}" for value in hyper.choices}
        elif hyper.kind is PerAxis:
            found |= {f"{name} above {_low(hyper)}"} | ({f"{name} not the same on all axes"} if many_dims else set())
        elif hyper.kind is int:
            found.add(f"{name} above {_low(hyper)}")
    if {"stride", "size"} <= hypers.keys():
        found |= {"stride below size", "stride above size"}
    return found


def _low(hyper: Hyperparameter) -> int:
    return max((int(b.low) for b in hyper.bounds if isinstance(b, Interval) and b.low > -np.inf), default=0)


def _refuses_bad_hyperparameters(cls: type[Op], evidence: Evidence) -> None:
    """Values outside a bound must be refused by the class, with the project's own error."""
    for name, hyper in hyperparameters(cls).items():
        for value in _bad_values(hyper):
            given_values = {other: _good_value(h) for other, h in hyperparameters(cls).items() if h.required} | {name: value}
            try:
                cls(**given_values)
            except HyperparameterError:
                evidence.passed("bad hyperparameters refused")
                continue
            except Exception as error:
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
    from cnnframe import Links

    if hyper.choices is not None:
        return hyper.choices[0]
    if hyper.kind is Links:
        return Links.all(1, 1)
    candidates = itertools.chain([1, 2, 0.5, 0], range(3, 50)) if hyper.kind is not str else iter([""])
    return next((v for v in candidates if (hyper.kind is float or isinstance(v, (int, str))) and all(b.allows(v, {}) for b in hyper.bounds if isinstance(b, Interval))), 1)
