"""Code that is run on symbols."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from suite_parts import (
    ANY,
    OPS,
    Both,
    Total,
    broken,
    case,
    check,
    pointwise,
    refutation_of,
)

import cnnframe as cf
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import indices, total, when
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import gather, symbolic
from cnnframe_derivations.suite._bench import BUDGETS, Bench
from cnnframe_derivations.suite._ring import Ring
from cnnframe_derivations.suite._scalar import symbols
from cnnframe_derivations.suite._verdict import Evidence, OraclesDisagree, Skip


def test_values_for_symbols_have_no_ties_and_stay_small():
    for op, sizes in (
        (OPS.make("dense", units=2), {"n": 2, "i": 3}),
        (OPS.make("softmax_cross_entropy", targets="index"), {"n": 2, "c": 3}),
        (OPS.make("dropout", rate=0.5), ANY),
        (Both(), {"n": 3}),
    ):
        first = case(op, sizes)
        for positive_ in (False, True):
            arrays, cotangents = symbolic._values(first, positive=positive_)
            assert {n: v.shape for n, v in arrays.items()} == first.shapes and {n: v.shape for n, v in cotangents.items()} == first.outputs
            real = [v for n, v in arrays.items() if op.declaration.values.get(n) is None]
            every = np.concatenate([np.ravel(v) for v in (*real, *cotangents.values())])
            assert np.unique(every).size == every.size and np.abs(every).max() < 3 and np.abs(every).min() > 0
            assert not positive_ or all(np.all(v > 0) for v in real)
            assert all(np.unique(np.abs(v)).size == v.size for v in real) or not positive_
        for name, value in arrays.items():
            declared = op.declaration.values.get(name)
            if isinstance(declared, str):
                assert np.all((value > 0) & (value < 1) & (value * 16 % 2 == 1))
            elif declared is not None:
                assert value.dtype.kind == "i" and np.all((value >= 0) & (value < 3))
    with pytest.raises(Skip, match="too large"):
        symbolic._values(case(OPS.make("relu"), {ELLIPSIS: (33,)}), positive=False)
    assert symbolic._values(case(OPS.make("relu"), {ELLIPSIS: (32,)}), positive=False)


def test_small_cases_that_show_much_are_chosen_for_symbols():
    assert symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (12,)})) and not symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (13,)}))
    assert not symbolic._tiny(case(OPS.make("relu"), {ELLIPSIS: (0,)}))
    assert not symbolic._tiny(case(OPS.make("batch_norm", dims=0), {"n": 0, "i": 1}))
    evidence = gather("symbolic", OPS["dense"], Settings("quick"))
    assert evidence.cases == BUDGETS["quick"]["symbolic"] and evidence.checks == 3 * evidence.cases and not evidence.absent
    typed = pointwise("typed", lambda x: x.astype(float), expr=lambda x: x)
    assert gather("symbolic", typed, Settings("smoke")).absent.startswith("the code does not take symbols: the code does not take symbols: ")
    large = dataclass(frozen=True)(type("Large", (Total,), {"name": "large", "inputs": {"x": "n c"}}))
    monkey = Evidence("symbolic")
    bench = Bench(large, Settings("smoke"))
    bench.__dict__["box"] = bench.__dict__["drawn"] = ()
    symbolic.gather(bench, monkey)
    assert monkey.checks


def test_answers_to_symbols_are_looked_at_as_to_numbers():
    ring = Ring()
    x = symbols(ring, "x", np.array([0.75, 1.25]))
    found = symbolic._scalars(ring, np.array([x[0], 0.5], object), (2,))
    assert found[0] is x[0] and found[1].value == 0.5 and found[1].terms == {0: Fraction(1, 2)}
    assert symbolic._scalars(ring, x[0], ())[()] is x[0]
    for answer, shape, said in ((x, (3,), "another shape"), (np.array(["a", x[0]], object), (2,), "neither a symbol nor a number")):
        with pytest.raises(Skip, match=said):
            symbolic._scalars(ring, answer, shape)
    read, write = symbolic._Reader(ring), symbolic._Writer(ring)
    for scalar in (x[0] * x[1] ** 2 - x[0] / 3, np.exp(x[0] - 2 * x[1]) ** 2, np.log(1 + x[0]) / x[1], (2 * x[0] + x[1]) ** -0.5, 3 * np.sqrt(2 * x[0])):
        back = read(write(scalar.terms))
        assert ring.vanishes(ring.add(back, ring.scale(scalar.terms, -1))), scalar
    assert not ring.add(read(sp.Integer(0)), {})


def test_our_derivative_is_held_against_sympys(monkeypatch):
    right = Ring.gradient

    def wrong(self, terms):
        return {s: self.scale(t, 2) for s, t in right(self, terms).items()}

    monkeypatch.setattr(Ring, "gradient", wrong)
    with pytest.raises(OraclesDisagree, match="SymPy's derivative by"):
        check(symbolic, OPS.make("scaled_tanh"), {ELLIPSIS: (2,)})
    later = Evidence("symbolic")
    later.passed("gradient of 'x'")
    with pytest.raises(OraclesDisagree, match="SymPy's derivative by"):
        symbolic.check(case(OPS.make("scaled_tanh"), {ELLIPSIS: (2,)}), later)
    squared = pointwise("squared", lambda x: x * x, lambda x: 2 * x, lambda x: x * x)
    with pytest.raises(OraclesDisagree, match="SymPy's derivative by"):
        symbolic.check(case(squared(), {ELLIPSIS: (2,)}), later)


def test_a_refutation_by_symbols_shows_both_expressions():
    wrong = pointwise("thrice", lambda x: x * x, lambda x: 3 * x, lambda x: x * x)
    found = refutation_of(symbolic, wrong(), {ELLIPSIS: (2,)})
    assert found.case[-2].startswith("backward gives 3*") and found.case[-3].startswith("the derivative of <dy, forward> by x[0] is 2*")
    assert found.case[-1].startswith("which is more by dy[0]*x[0]") or found.case[-1].startswith("which is more by ")
    arrays = {array.name: array for array in found.arrays}
    x, dy = arrays["x"].entries, arrays["dy"].entries
    assert arrays["expected"].entries == pytest.approx([2 * a * b for a, b in zip(x, dy, strict=True)])
    assert arrays["got"].entries == pytest.approx([3 * a * b for a, b in zip(x, dy, strict=True)])
    assert arrays["x"].entry == arrays["got"].entry == arrays["expected"].entry == (0,) and arrays["dy"].entry is None
    assert f"must be {2 * x[0] * dy[0]:.12g}"[:20] in found.what and "for all values," in found.certificate
    scalar = dataclass(frozen=True)(
        type("Scalarly", (Total,), {"name": "scalarly", "inputs": {"x": "c"}, "output": "", "forward": one_total, "backward": one_back, "formula": one_formula})
    )
    assert "entry (0,) of the gradient of 'x' must be" in refutation_of(symbolic, scalar(), {"c": 2}).what


def one_total(self, x):
    return x.sum(), x


def one_back(self, dy, saved):
    return {"x": 2 * dy + 0 * saved}


def one_formula(self, at, x):
    (k,) = indices("k")
    return total(x[k], (k, x.shape[0]))


def test_what_symbols_cannot_decide_is_skipped():
    with pytest.raises(Skip, match="no entries to differentiate by"):
        check(symbolic, OPS.make("relu"), {ELLIPSIS: (0,)})
    with pytest.raises(Skip, match="not positive"):
        check(symbolic, pointwise("never", lambda x: np.sqrt(-1 - x * x))(), {ELLIPSIS: (2,)})
    unclear = pointwise("unclear", df=lambda x: 2 * np.log(x * x) / np.log((x * x) ** 2))
    with pytest.raises(Skip, match="neither shown to vanish nor"):
        check(symbolic, unclear(), {ELLIPSIS: (2,)})
    positive_only = pointwise("positive_only", np.log, lambda x: 1 / x)
    assert check(symbolic, positive_only(), {ELLIPSIS: (3,)}).compared == {"gradient of 'x' (for all values)": 1}


def test_the_unit_interval_is_not_left_by_values_for_symbols():
    for seed in range(12):
        arrays, _ = symbolic._values(case(OPS.make("dropout", rate=0.5), {ELLIPSIS: (12,)}, seed=seed), positive=bool(seed % 2))
        (name,) = (name for name, values in OPS.make("dropout", rate=0.5).declaration.values.items() if isinstance(values, str))
        assert arrays[name].min() > 0 and arrays[name].max() < 1
        index, _ = symbolic._values(case(OPS.make("softmax_cross_entropy", targets="index"), {"n": 8, "c": 3}, seed=seed), positive=False)
        assert set(index["t"]) <= {0, 1, 2}


def test_values_for_symbols_have_both_signs():
    for positive_ in (False, True):
        found = [symbolic._values(case(OPS.make("dense", units=2), {"n": 2, "i": 3}, seed=seed), positive=positive_) for seed in range(4)]
        assert {bool(v < 0) for _, cotangents in found for v in cotangents["y"].ravel()} == {True, False}
        assert {bool(v < 0) for arrays, _ in found for v in arrays["x"].ravel()} == ({False} if positive_ else {True, False})


def test_code_that_does_with_symbols_what_it_does_not_with_numbers_is_skipped():
    def off(by):
        return lambda x: x * 2 if x.dtype == object else x * (2 + by)

    two = {"expr": lambda x: 2 * x, "df": lambda x: np.full_like(x, 2)}
    for by, skipped in ((1e-4, True), (1e-8, False)):
        for op in (pointwise("forwards", off(by), **two)(), pointwise("backwards", lambda x: 2 * x, lambda x, by=by: off(by)(x) / x, two["expr"])()):
            if skipped:
                with pytest.raises(Skip, match="the code does other things with symbols than with numbers"):
                    check(symbolic, op, {ELLIPSIS: (2,)})
            else:
                assert check(symbolic, op, {ELLIPSIS: (2,)}).checks == 1


def test_what_is_undecided_hides_no_mistake_in_another_entry():
    def backward(self, dy, saved):
        first = 2 * np.log(saved[0] * saved[0]) / np.log((saved[0] * saved[0]) ** 2)
        return {"x": np.array([dy[0] * first, 3 * dy[1]], dtype=saved.dtype)}

    two = broken(forward=lambda self, x: (1 * x, x), backward=backward, formula=lambda self, at, x: x[at])
    assert "entry (1,) of the gradient of 'x' must be" in refutation_of(symbolic, two, {"n": 2}).what


def test_large_derivatives_are_confirmed_within_their_own_rounding():
    """SymPy's derivative and ours differ in the last bit of a number near 10^12, and the code's is twice that number."""
    double = pointwise("double", lambda x: 1e12 * np.exp(x), lambda x: 2e12 * np.exp(x), lambda x: 10**12 * sp.exp(x))
    for seed in range(6):
        assert "of the gradient of 'x' must be" in refutation_of(symbolic, double(), {ELLIPSIS: (1,)}, seed=seed).what


def test_derivatives_that_are_0_but_for_rounding_are_confirmed_too():
    """exp(x) - c x, where c is exp at the case's x, rounded: SymPy says 1e-17 or so, and we 0; the code gives one more."""
    at = case(OPS.make("relu"), {ELLIPSIS: (1,)})
    c = float(np.exp(symbolic._values(at, positive=False)[0]["x"][0]))
    flat = pointwise("flat", lambda x: np.exp(x) - c * x, lambda x: np.exp(x) - c + 1, lambda x: sp.exp(x) - c * x)
    assert "must be" in refutation_of(symbolic, flat(), {ELLIPSIS: (1,)}).what


def test_large_numbers_may_be_off_by_more():
    large = pointwise("large", lambda x: x * 1e12 if x.dtype == object else x * 1e12 + 1e-3, lambda x: np.full_like(x, 1e12), lambda x: 10**12 * x)
    assert check(symbolic, large(), {ELLIPSIS: (2,)}).checks == 1


def test_what_an_answer_rests_on_is_said():
    branch = check(symbolic, OPS.make("relu"), {ELLIPSIS: (3,)})
    assert branch.compared == {"gradient of 'x' (for all values of the branch)": 1}
    assert [note[:34] for note in branch.notes] == ["comparisons of values went as they"]
    third = pointwise("third", lambda x: x * 0.1 * 3, lambda x: np.full_like(x, 0.3), lambda x: sp.Rational(3, 10) * x)
    found = check(symbolic, third(), {ELLIPSIS: (2,)})
    assert found.compared == {"gradient of 'x' (for all values)": 1} and [note[:25] for note in found.notes] == ["constants with more digits"[:25]]
    symbolic.check(case(third(), {ELLIPSIS: (2,)}, seed=2), found)
    assert len(found.notes) == 1 and found.checks == 2
    assert not check(symbolic, OPS.make("dense", units=1), {"n": 1, "i": 2}).notes


def test_cases_for_symbols_are_chosen_by_what_no_other_shows(monkeypatch):
    from types import SimpleNamespace

    shown = {1: {"a", "b"}, 2: {"a", "b", "c"}, 3: {"d"}, 4: {"c", "d"}}
    monkeypatch.setattr(symbolic, "features", lambda case: shown[case.seed])
    monkeypatch.setattr(symbolic, "Box", lambda cls: SimpleNamespace(spread=lambda count: []))
    chosen = []

    def judge(check, cases, evidence):
        chosen.extend(c.seed for c in cases)

    cases = [case(OPS.make("relu"), {ELLIPSIS: (2,)}, seed=seed) for seed in shown]
    bench = SimpleNamespace(box=cases[:2], drawn=cases[2:], cls=OPS["relu"], budget={"box": 1, "symbolic": 3}, judge=judge)
    found = Evidence("symbolic")
    symbolic.gather(bench, found)
    assert chosen == [2, 3, 1] and found.absent == "no case is small enough"


def test_only_the_terms_a_symbol_is_in_are_taken_for_its_derivative():
    ring = Ring()
    x = symbols(ring, "x", np.array([0.75, 1.25]))
    whole = x[0] * x[1] + x[1] ** 2 + np.exp(x[0] * 2) + 1 / (x[1] + 3)
    run = symbolic._Run(None, ring, {}, {}, {}, {}, {}, {})
    for symbol, part in ((0, x[0] * x[1] + np.exp(x[0] * 2)), (1, x[0] * x[1] + x[1] ** 2 + 1 / (x[1] + 3))):
        assert run._with(whole.terms, symbol) == part.terms


@pytest.mark.parametrize(("drawn", "listed"), [(9, True), (10, False)])
def test_more_of_the_box_is_listed_where_few_cases_are_tiny(monkeypatch, drawn, listed):
    """Two of ten are chosen; below ten there is too little choice, and what the box adds is chosen from too."""
    from types import SimpleNamespace

    def relu(size, number):
        return case(OPS.make("relu"), {ELLIPSIS: (size,)}, seed=number)

    asked, judged = [], []
    more = [relu(2, 77), relu(13, 88)]
    monkeypatch.setattr(symbolic, "Box", lambda cls: SimpleNamespace(spread=lambda count: asked.append(count) or more))
    monkeypatch.setattr(symbolic, "features", lambda case: {"new"} if case.seed > 50 else set())
    cases = [relu(2, number) for number in range(drawn)]
    bench = SimpleNamespace(
        box=cases[:1],
        drawn=[*cases[1:], relu(13, 99)],
        cls=OPS["relu"],
        budget={"box": 7, "symbolic": 2},
        judge=lambda check, found, evidence: judged.extend(found),
    )
    symbolic.gather(bench, Evidence("symbolic"))
    assert asked == [21] * listed and [c.seed for c in judged] == ([77, 0] if listed else [0, 1])


@dataclass(frozen=True)
class Gained(Total):
    """The sum of each row, times a gain, whose gradient a test spoils."""

    name = "gained"
    params = {"g": cf.gain("")}

    def forward(self, x, g):
        return g * x.sum(axis=1), (x, g)

    def backward(self, dy, saved):
        x, g = saved
        return {"x": g * dy[:, None] + 0 * x, "g": 2 * (dy * x.sum(axis=1)).sum()}

    def formula(self, at, x, g):
        (k,) = indices("k")
        return g * total(x[at[0], k], (k, x.shape[1]))


def test_a_single_number_is_named_without_an_entry():
    found = refutation_of(symbolic, Gained(), {"n": 1, "c": 2})
    assert found.what.startswith("the gradient of 'g' must be ") and found.case[-3].startswith("the derivative of <dy, forward> by g is ")
    arrays = {array.name: array for array in found.arrays}
    x, dy = arrays["x"].entries, arrays["dy"].entries[0]
    assert arrays["expected"].entries == pytest.approx([dy * sum(x)]) and arrays["got"].entries == pytest.approx([2 * dy * sum(x)])
    assert arrays["g"].entry == () and arrays["x"].entry is None and found.replay


def test_where_values_were_compared_a_refutation_says_so():
    wrong = pointwise("twice_relu", lambda x: np.maximum(x, 0), lambda x: 2.0 * (x > 0), lambda x: when(x > 0, x, 0))
    assert "for all values that compare alike, which differ at these (50 digits" in refutation_of(symbolic, wrong(), {ELLIPSIS: (6,)}).certificate


def test_an_array_without_entries_is_not_counted():
    found = check(symbolic, broken("offset", Total, params={"b": "n c-2"}, **OFFSET), {"n": 2, "c": 2})
    assert found.compared == {"gradient of 'x' (for all values)": 1}


OFFSET = {
    "forward": lambda self, x, b: (x.sum(axis=1) + b.sum(axis=1), (x, b)),
    "backward": lambda self, dy, saved: {"x": dy[:, None] + 0 * saved[0], "b": dy[:, None] + 0 * saved[1]},
    "formula": lambda self, at, x, b: Total.formula(self, at, x),
}


def test_the_first_case_alone_is_held_against_sympy(monkeypatch):
    held = []
    monkeypatch.setattr(symbolic._Run, "confirm_one", lambda self: held.append(self.case.seed))
    evidence = Evidence("symbolic")
    for seed in (5, 6, 7):
        symbolic.check(case(OPS.make("scaled_tanh"), {ELLIPSIS: (2,)}, seed=seed), evidence)
    assert held == [5] and evidence.checks == 3
