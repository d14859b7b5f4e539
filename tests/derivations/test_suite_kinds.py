"""Each kind of evidence by itself: exact, bounded, composed."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from suite_parts import (
    OPS,
    Both,
    BothCurved,
    Careless,
    broken,
    case,
    check,
    pointwise,
    refutation_of,
    second_gradient,
    second_output,
)

import cnnframe as cf
from cnnframe import Layer
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import tanh, when
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import exact, gather
from cnnframe_derivations.suite._bench import BUDGETS, Bench
from cnnframe_derivations.suite._oracle import Oracle, Truth
from cnnframe_derivations.suite._run import KINDS
from cnnframe_derivations.suite._verdict import Evidence, OraclesDisagree, Refutation, Skip


@pytest.mark.parametrize("kind", ["independent", "exact", "bounded", "symbolic", "composed", "extremes", "kinks"])
def test_what_is_compared_is_counted_for_each_gradient(kind):
    op, sizes = (
        (OPS.make("max_pool", size=2, stride=2, dims=1), {"n": 2, "i": 1, "h0": 4}) if kind == "kinks" else (OPS.make("dense", units=2), {"n": 2, "i": 3})
    )
    lattice = {"bounded": "real", "extremes": "constant"}.get(kind, "small")
    wanted = {f"gradient of {name!r}" for name in op.declaration.differentiable} | ({"output"} if kind in ("exact", "bounded", "extremes") else set())
    found = Counter()
    for seed in range(4):
        evidence = check(KINDS[kind], op, sizes, lattice=lattice, seed=seed)
        found += evidence.compared
        assert evidence.checks == evidence.compared.total()
    assert {label.partition(" (")[0] for label in found} == wanted
    if kind == "independent":
        assert {f"gradient of {name!r}" for name in "xWb"} == evidence.asked
        assert found["gradient of 'W' (exact secant)"] >= 12


def test_the_power_and_the_errors_of_bounded_evidence():
    from cnnframe_derivations.suite import bounded

    evidence = Evidence("bounded")
    values, limits = np.array([1.0, 2.0, 0.0, 1e-9]), np.array([1e-3, 1e-3, 1e-3, 1e-3])
    here = case(OPS.make("relu"))
    bounded._measure(evidence, "output", here, values + np.array([0, 0.5e-3, 0.99e-5, 2e-9]), values, limits)
    assert evidence.errors == {"output": [1, 0, 1, 0, 0, 1, 0, 1]} and evidence.power == {"output, float64": 1e-3}
    bounded._measure(evidence, "output", here, values, values, limits / 100)
    assert evidence.errors == {"output": [5, 0, 1, 0, 0, 1, 0, 1]} and evidence.power == {"output, float64": 1e-5}
    bounded._measure(evidence, "output", here, values, values, limits)
    assert evidence.power == {"output, float64": 1e-5}
    found = check(bounded, OPS.make("softmax"), {"n": 2, "c": 3}, lattice="real")
    assert found.compared == {"output": 1, "gradient of 'x'": 1} and set(found.power) == {"output, float64", "gradient of 'x', float64"}
    assert sum(found.errors["output"]) == 6
    with pytest.raises(Skip, match="arithmetic is exact there"):
        check(bounded, OPS.make("relu"))
    wrong = pointwise("off", lambda x: np.tanh(x) * (1 + 1e-12), lambda x: 1 - np.tanh(x) ** 2, tanh)
    assert "exceeds the rounding bound" in refutation_of(bounded, wrong(), lattice="real").certificate


def test_exact_evidence_goes_back_with_other_values_before():
    calls = []

    def forward(self, x):
        calls.append("forward")
        return 2 * x, None

    def backward(self, dy, saved):
        calls.append("backward")
        # Wrong after a backward and a forward, one each.
        return {"x": (3 if calls[-3:-1] == ["backward", "forward"] else 2) * dy}

    assert "gradient of 'x'" in refutation_of(exact, broken(forward=forward, backward=backward), {"n": 3}).what


def test_what_exact_evidence_confirms_by_differences():
    wrong = pointwise("half", df=lambda x: np.full_like(x, 0.5))
    found = refutation_of(exact, wrong())
    assert "a difference quotient of the formula in 40 digits confirms" in found.certificate
    kinked = pointwise("zero", lambda x: np.maximum(x, 0), lambda x: np.where(x >= 0, 1.0, 0.0), lambda x: when(x > 0, x, 0))
    assert "the entry lies on a kink" in refutation_of(exact, kinked(), {ELLIPSIS: (12,)}).certificate
    shifted = pointwise("shifted", lambda x: x + 1)
    assert refutation_of(exact, shifted()).certificate == "all sums and products are exact here, so the two must be equal"
    found = check(exact, OPS.make("dense", units=2), {"n": 2, "i": 2})
    assert set(found.compared) == {"output", "gradient of 'x'", "gradient of 'W'", "gradient of 'b'"}
    assert found.power == {f"{label}, float64": 2.0**-52 for label in found.compared}
    empty = check(exact, OPS.make("dense", units=2), {"n": 0, "i": 2})
    assert set(empty.compared) == {"gradient of 'W'", "gradient of 'b'"} and not empty.power
    with pytest.raises(Skip, match="are not exact"):
        check(exact, OPS.make("softmax"), {"n": 2, "c": 2})
    evidence = gather("exact", OPS["dense"], Settings("smoke"))
    assert re.match(r"4 structures of the small box, 6 drawn; \d+ cases were exact", evidence.notes[0])


def test_answers_that_are_kept_from_call_to_call_are_seen():
    class Keeps(Careless):
        held = None

        def backward(self, dy, saved):
            if Keeps.held is None:
                Keeps.held = 2 * dy
            return {"x": Keeps.held.copy()}

    stale = dataclass(frozen=True)(Keeps)

    def forward(self, x):
        if Keeps.held is None:
            Keeps.held = 2 * x
        return Keeps.held.copy(), None

    Keeps.backward = Careless.backward
    Keeps.forward = forward
    found = refutation_of(exact, stale(), {"n": 3})
    assert "of the output must be" in found.what


def test_code_that_refuses_what_it_declares_is_refuted():
    def forward(self, x):
        raise cf.ShapeError("not today")

    assert "forward refused arguments that fit its declaration: not today" in refutation_of(exact, broken(forward=forward), {"n": 2}).what


def test_networks_find_what_one_call_does_not():
    from cnnframe_derivations.suite import composed

    def lends(self, x):
        return 2 * x, None

    held = {}

    def remembers(self, dy, saved):
        held["sum"] = held.get("sum", 0) + 1
        return {"x": 2 * dy * (1 if held["sum"] % 3 else 2)}

    for seed in range(4):
        evidence = check(composed, OPS.make("dense", units=2), {"n": 2, "i": 3}, seed=seed)
        assert evidence.compared == {f"gradient of {name!r} (network)": 1 for name in "xWb"}
        losses = check(composed, OPS.make("squared_error"), {"n": 2, "c": 3}, seed=seed)
        assert set(losses.compared) == {f"gradient of {name!r} (network)" for name in OPS["squared_error"].inputs}
    finding = refutation_of(composed, broken(forward=lends, backward=remembers), {"n": 3})
    assert "of the gradient of 'x' in a network must be" in finding.what and "uses in one network" in finding.certificate
    half = broken(backward=lambda self, dy, saved: {"x": dy})
    slight = pointwise("slight", lambda x: x * 3, lambda x: np.full_like(x, 3 * (1 + 2.0**-40)), lambda x: 3 * x)
    for op, sizes in ((half, {"n": 3}), (slight(), {ELLIPSIS: (2, 2)})):
        refuted = []
        for seed in range(12):
            # What flows back through two uses of opposite sign is 0, whatever the code does.
            try:
                check(composed, op, sizes, seed=seed)
            except Refutation as refutation:
                refuted.append((seed % 2, "in a network" in refutation.finding.what))
        assert len(refuted) >= 6 and set(refuted) == {(0, True), (1, True)}
    scalar = dataclass(frozen=True)(type("Alone", (Careless,), {"name": "alone", "inputs": {"x": ""}, "output": "", "formula": lambda self, at, x: 2 * x}))()
    with pytest.raises(Skip, match="without axes"):
        check(composed, scalar, {})
    assert gather("composed", OPS["dense"], Settings("smoke")).cases == 1


@pytest.mark.parametrize("kind", ["exact", "contract"])
def test_what_networks_are_built_of_is_right(kind):
    from cnnframe_derivations.suite import composed

    for cls in (composed._Times, composed._Weighted):
        evidence = gather(kind, cls, Settings("smoke"))
        assert evidence.state == "verified", evidence


PAIRS = [
    ("exact", Both, "small"),
    ("bounded", BothCurved, "real"),
    ("extremes", BothCurved, "constant"),
    ("symbolic", Both, "small"),
    ("composed", Both, "small"),
]


@pytest.mark.parametrize(("kind", "cls", "lattice"), PAIRS)
def test_a_mistake_in_the_second_of_two_is_seen(kind, cls, lattice):
    module, sizes = KINDS[kind], {"n": 3}
    found = check(module, cls(), sizes, lattice=lattice, seed=2)
    whole = {"exact": 4, "bounded": 4, "extremes": 4, "symbolic": 2, "composed": 2}[kind]
    assert len(found.compared) == whole
    assert "of the gradient of 'b'" in refutation_of(module, second_gradient(cls, lambda value: 1.5 * value), sizes, lattice=lattice, seed=2).what
    if whole == 4:
        assert "of the output 'z'" in refutation_of(module, second_output(cls, lambda value: 1.5 * value), sizes, lattice=lattice, seed=2).what


def test_numbers_of_one_name_or_two_outputs_are_told_apart_in_a_network():
    from cnnframe_derivations.suite import composed

    swapped = broken("swapped", Both, backward=lambda self, dy, saved: {"a": dy["z"] + 3 * dy["y"], "b": 2 * dy["y"]})
    seen = []
    for seed in range(6):
        try:
            check(composed, swapped, {"n": 3}, seed=seed)
        except Refutation as refutation:
            seen.append(refutation.finding.what)
    assert len(seen) >= 3 and all("gradient of 'a' in a network" in what for what in seen)


def test_bounded_evidence_judges_every_case_that_is_not_exact():
    budget = BUDGETS["smoke"]
    assert gather("bounded", OPS["softmax"], Settings("smoke")).cases == budget["bounded"] + budget["box"] + budget["drawn"]
    bench = Bench(OPS["dense"], Settings("smoke"))
    real = sum(not bench.oracle(c).exact for c in (*bench.box, *bench.drawn))
    assert gather("bounded", OPS["dense"], Settings("smoke")).cases == budget["bounded"] + real
    assert gather("exact", OPS["dense"], Settings("smoke")).cases == budget["box"] + budget["drawn"]


def test_what_no_graph_takes_is_skipped_in_networks():
    from cnnframe_derivations.suite import composed

    @dataclass(frozen=True)
    class Columns(Layer):
        name = "columns"
        inputs = {"x": "n c", "s": "c"}
        output = "n c"

        def forward(self, x, s):
            return x + s, None

        def backward(self, dy, saved):
            return {"x": 1 * dy, "s": dy.sum(axis=0)}

        def formula(self, at, x, s):
            return x[at] + s[at[1]]

    with pytest.raises(Skip, match="the graph refuses it: "):
        check(composed, Columns(), {"n": 2, "c": 3})


def test_uses_in_a_network_are_of_the_arrays_their_doubles_and_their_negatives():
    from cnnframe_derivations.suite import composed

    oracle = Oracle(case(Both(), {"n": 2}))
    rng = np.random.default_rng(0)
    uses = [composed._use(oracle.case, "use", rng, oracle) for _ in range(20)]
    assert {factor for use in uses for factor in use.factors.values()} == {1.0, -1.0, 2.0}
    ratios = {float(ratio) for use in uses for name, value in use.cotangents.items() for ratio in value / oracle.cotangents[name]}
    assert ratios == {1.0, -1.0, 2.0}
    loss = Oracle(case(OPS.make("squared_error"), {"n": 2, "c": 2}))
    assert all(np.all(value == 1) for value in composed._use(loss.case, "use", rng, loss).cotangents.values())


def test_a_second_opinion_is_as_near_as_the_value_is_large():
    """Difference quotients confirm a large derivative within the rounding of a float, and refuse one that is a millionth off."""
    cube = pointwise("cube", lambda x: x**3, lambda x: 3 * x**2, lambda x: x**3)
    oracle = Oracle(case(cube(), {ELLIPSIS: (1,)}, lattice="real"))
    oracle = Oracle.at(oracle.case, {"x": np.array([1.1e6])}, oracle.cotangents)
    truth = oracle.gradients["x"]
    for off in (0, 1e-12, -1e-12):
        assert "confirms" in exact.confirm(oracle, "x", (0,), Truth(truth.value * (1 + off), truth.bound))
    with pytest.raises(OraclesDisagree):
        exact.confirm(oracle, "x", (0,), Truth(truth.value * (1 + 1e-6), truth.bound))
