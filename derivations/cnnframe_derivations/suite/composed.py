"""Within a network the operation gives what it gives alone.

Random networks use the operation twice or three times, on the same arrays and on their doubles and negatives, with
shared parameters, and add up what flows back. The executor's loss gradients must be the sums of what the formula
gives for each use; doubling and negation are exact, so only the operation's own rounding is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnframe import BATCH, Activation, CnnframeError, Executor, Graph, Loss, Node, Parameters
from cnnframe.algebra import indices, total

from ._bench import Bench, Check
from ._calls import Subject
from ._cases import Case
from ._oracle import Oracle, Truth
from ._verdict import Evidence, Skip

KIND = "composed"
FACTORS = (1.0, -1.0, 2.0)


@dataclass(frozen=True)
class _Times(Activation):
    """The input times a power of two of either sign."""

    factor: float

    name = "_times"

    def f(self, x: Any) -> Any:
        return x * x.dtype.type(self.factor)

    def df(self, x: Any, y: Any) -> Any:
        return np.full_like(x, self.factor)

    def expr(self, x: Any) -> Any:
        return self.factor * x


@dataclass(frozen=True)
class _Weighted(Loss):
    """The sum of the entries times given weights."""

    name = "_weighted"
    inputs = {"x": "..."}
    constants = {"w": "..."}
    output = ""

    def forward(self, x: Any, w: Any) -> Any:
        return np.sum(x * w, dtype=x.dtype), w

    def backward(self, dy: Any, saved: Any) -> Any:
        return {"x": dy * saved}

    def formula(self, at: Any, x: Any, w: Any) -> Any:
        where = indices("i j k l m"[: 2 * len(x.shape)].strip())
        return total(x[where] * w[where], *zip(where, x.shape, strict=True))


@dataclass(frozen=True)
class _Use:
    """One node of the operation: the factor of each of its inputs, and its outputs' cotangents."""

    node: str
    factors: dict[str, float]
    cotangents: dict[str, Any]


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge some of the drawn cases."""
    if not any(case.op.declaration.differentiable for case in bench.some(KIND)):
        evidence.absent = "it has nothing to differentiate"
        return
    cases = [case for case in bench.drawn if all(v.size for v in bench.oracle(case).arrays.values())]
    bench.judge(CHECK, cases[: bench.budget[KIND]], evidence)
    if not evidence.checks:
        evidence.absent = f"no network could be made of it: {', '.join(evidence.skipped) or 'no case'}"


def prepare(case: Case) -> Case:
    """Real numbers, or small integers, in rows."""
    return replace(case, layout="C", lattice="small" if case.seed % 2 else "real")


def check(oracle: Oracle, evidence: Evidence) -> None:
    """Build a network around the case, and compare the gradients of its parameters and inputs."""
    case, subject = oracle.case, Subject(KIND, oracle)
    rng = np.random.default_rng([case.seed, 5])
    uses = [_use(case, f"use{number}", rng, oracle) for number in range(2 + case.seed % 2)]
    parameters = {name: oracle.arrays[name] for name in case.op.params}
    inputs = {name: oracle.arrays[name] for name in case.op.inputs}
    constants = {name: oracle.arrays[name] for name in case.op.declaration.constants}
    weights = {f"w_{use.node}_{output}": value for use in uses for output, value in use.cotangents.items()}
    if any(not np.shape(value) for value in inputs.values()):
        raise Skip("an input without axes cannot be fed to a network")
    if case.known.get(BATCH) == 0:
        raise Skip("a network takes no empty batch")
    try:
        graph = _graph(case, uses)
        given = Parameters.of_arrays(graph, parameters) if parameters else Parameters.initialise(graph, dtype=case.dtype)
        # The code that is judged, and no kernel in its place.
        executor = Executor(graph, check_finite=False, kernels=(), threads=1)
    except CnnframeError as error:
        raise Skip(f"the graph refuses it: {error}"[:160]) from None
    if isinstance(case.op, Loss):
        weights = {}

    def run() -> Any:
        # A small network answers first, so that what an operation keeps from call to call comes to light.
        executor.loss(given, **inputs, **constants, **weights)
        return executor.gradients(given, wanted_inputs=tuple(inputs), **inputs, **constants, **weights)

    found = subject._call("the executor", run)  # noqa: SLF001 # what the code raises within a network is its finding as well
    truths = [_truths(oracle, use) for use in uses]
    for name in parameters:
        whole = [(1.0, truth[name]) for truth in truths]
        _compare(subject, name, found.parameters[name], whole, evidence)
    for name in inputs:
        _compare(subject, name, found.inputs[name], [(use.factors[name], truth[name]) for use, truth in zip(uses, truths, strict=True)], evidence)


CHECK = Check(check, prepare)


def _use(case: Case, node: str, rng: np.random.Generator, oracle: Oracle) -> _Use:
    factors = {name: float(rng.choice(FACTORS)) for name in case.op.inputs}
    scale = oracle.arrays[next(iter(oracle.arrays))].dtype.type
    made = {output: value * scale(rng.choice(FACTORS)) for output, value in oracle.cotangents.items()}
    if isinstance(case.op, Loss):
        made = {output: np.ones_like(value) for output, value in oracle.cotangents.items()}
    return _Use(node, factors, made)


def _graph(case: Case, uses: list[_Use]) -> Graph:
    """The operation, used several times on shared parameters, with a weighted sum behind each output."""
    nodes = []
    for use in uses:
        wires = {name: name for name in case.op.declaration.constants}
        for name, factor in use.factors.items():
            wires[name] = name
            if factor != 1.0:
                wires[name] = f"{use.node}_{name}"
                nodes.append(Node(wires[name], _Times(factor), {"x": name}))
        nodes.append(Node(use.node, case.op, wires, {name: name for name in case.op.params}))
        if not isinstance(case.op, Loss):
            nodes += [Node(f"e_{use.node}_{output}", _Weighted(), {"x": f"{use.node}.{output}", "w": f"w_{use.node}_{output}"}) for output in use.cotangents]
    axes = {name: " ".join(["n", *map(str, case.shapes[name][1:])]) for name in case.op.inputs}
    return Graph(tuple(nodes), axes, output=f"{uses[0].node}.{next(iter(uses[0].cotangents))}")


def _truths(oracle: Oracle, use: _Use) -> dict[str, Truth]:
    arrays = {name: value * value.dtype.type(use.factors[name]) if name in use.factors else value for name, value in oracle.arrays.items()}
    return Oracle.at(oracle.case, arrays, use.cotangents).gradients


def _compare(subject: Subject, name: str, got: Any, parts: list[tuple[float, Truth]], evidence: Evidence) -> None:
    value = sum(factor * truth.value for factor, truth in parts)
    # Each part's bound holds two units of its value, and so the rounding of the sum of a few.
    bound = sum(abs(factor) * truth.bound for factor, truth in parts)
    whole = Truth(np.asarray(value), np.asarray(bound))
    miss = whole.first_miss(got)
    if miss is not None:
        off = f"is off by more than {whole.bound[miss]:.2g}; other kinds of evidence say whether one use by itself is right"
        certificate = f"the sum over the operation's {len(parts)} uses in one network {off}"
        raise subject.wrong(f"gradient of {name!r} in a network", whole, got, miss, certificate)
    evidence.passed(f"gradient of {name!r} (network)")
