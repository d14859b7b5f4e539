"""Systems of numbers, rounding errors, and formulas evaluated as they read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from suite_parts import OPS

import cnnframe as cf
from cnnframe import Activation, Layer
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import define, equal, guard, indices, inside, total, when
from cnnframe_derivations import derive
from cnnframe_derivations._evaluate import Evaluation
from cnnframe_derivations._numbers import DIGITS, Digits, Floats, Magnitudes
from cnnframe_derivations._rounding import Rounded, Rounding


def rounded(*values, errors=None):
    return Rounded(np.array(values), np.array(errors or [0.0] * len(values)))


def test_errors_are_counted_in_units_of_what_was_rounded():
    system = Rounding(53)
    a, b, c = rounded(0.25), rounded(-0.5, errors=[3.0]), rounded(0.125)
    assert system.add([a, b, c]).error == 3.0 + 2 * (0.25 + 0.5 + 0.125)
    assert system.add([a, b, c]).value == -0.125
    assert system.multiply([a, b]).error == 0.25 * 3.0 + 0.125
    assert system.multiply([b, b]).error == 2 * 0.5 * 3.0 + 0.25
    assert system.multiply([a, a, c]).error == (0.0625 * 0.125) * 2
    squared = system.power(b, Fraction(2))
    assert (squared.value, squared.error) == (0.25, 2 * 0.5 * 3.0 + 4 * 0.25)
    assert system.power(rounded(2.0, errors=[1.0]), Fraction(6)).error == 6 * 2.0**5 + 6 * 2.0**6
    assert system.power(b, Fraction(1)).error == 3.0 + 4 * 0.5
    assert system.power(rounded(0.25, errors=[1.0]), Fraction(1, 2)).error == 1.0 + 4 * 0.5
    assert system.power(rounded(0.25, errors=[1.0]), Fraction(-1)).error == 16.0 + 4 * 4.0
    assert system.lift(Fraction(1, 4)).error == 0.25 and not system.lift(np.array([2, 3])).error.any()
    assert system.constant(0.5).error == 0 and system.constant(0.1).error == 0.1 and system.constant(-0.1).error == 0.1
    given = system.array(np.array([0.1]))
    assert given.error == 0 and given.value == 0.1


def test_errors_of_functions_are_those_of_argument_and_function():
    system = Rounding(53)
    x = rounded(0.75, errors=[3.0])
    slopes = {"exp": math.exp(0.75), "log": 4 / 3, "sin": math.cos(0.75), "cos": math.sin(0.75), "tanh": 1 - math.tanh(0.75) ** 2}
    slopes |= {"Logistic": math.exp(-0.75) / (1 + math.exp(-0.75)) ** 2, "Softplus": 1 / (1 + math.exp(-0.75))}
    for name, slope in slopes.items():
        found = system.function(name, x)
        size = max(abs(found.value[0]), 1.0) if name in ("tanh", "Logistic", "Softplus") else abs(found.value[0])
        assert found.error == pytest.approx(slope * 3.0 + slope * 0.75 + 4 * size, rel=1e-12)
    assert system.function("Abs", rounded(-0.75, errors=[3.0])).error == 3.0
    assert system.function("sign", x).error == 0


def test_a_sum_is_exact_only_for_whole_numbers_below_the_precision():
    system = Rounding(10)
    where = np.array([0, 0, 1])
    both = [(where, rounded(3.0, 4.0, 0.5)), (where, rounded(1.0, 1.0, 0.25))]
    found = system.scatter((3,), both)
    assert found.value.tolist() == [9.0, 0.75, 0.0] and found.error.tolist() == [0.0, 0.75, 0.0]
    assert system.scatter((1,), [(np.array([0, 0, 0]), rounded(0.5, 0.25, 1.0, errors=[1.0, 2.0, 0.0]))]).error == 3.0 + 2 * 1.75
    assert system.scatter((1,), [(np.array([0]), rounded(1024.0))]).error == 0
    assert system.scatter((1,), [(np.array([0, 0]), rounded(1023.0, 1.0))]).error == 1024
    assert system.scatter((1,), [(np.array([0, 0]), rounded(1022.0, 1.0))]).error == 0
    assert system.add([rounded(1022.0), rounded(1.0)]).error == 0 and system.add([rounded(1023.0), rounded(1.0)]).error == 1024
    assert system.multiply([rounded(32.0), rounded(31.0)]).error == 0 and system.multiply([rounded(32.0), rounded(32.0)]).error == 1024
    assert system.add([rounded(1.0, errors=[1.0]), rounded(1.0)]).error == 3.0
    assert system.gather(rounded(1.0, 2.0, errors=[3.0, 4.0]), np.array([1])).error == 4.0
    shaped = system.reshape((1, 2), rounded(1.0, 2.0, errors=[3.0, 4.0])), system.reshape((1, 2), system.constant(0.1))
    assert [part.error.tolist() for part in shaped] == [[[3.0, 4.0]], [[0.1, 0.1]]] and shaped[1].value.tolist() == [[0.1, 0.1]]
    chosen = system.choose([np.array([False]), True], [rounded(1.0, errors=[5.0]), rounded(2.0, errors=[7.0])])
    assert chosen.value == 2.0 and chosen.error == 7.0


def test_a_comparison_is_in_doubt_only_near_a_tie_of_rounded_sides():
    for gap, doubt in ((0.0, True), (1e-6, True), (1e-3, False)):
        system = Rounding(53)
        holds = system.compare("StrictGreaterThan", rounded(1.0 + gap, errors=[1.0]), rounded(1.0))
        assert bool(holds[0]) is (gap > 0)
        assert system.ambiguous is doubt
    system = Rounding(53)
    system.compare("StrictGreaterThan", rounded(1.0, 3.0), rounded(1.0, 2.0))
    assert not system.ambiguous
    system.compare("LessThan", rounded(1.0, 3.0), rounded(1.0, 3.0, errors=[0.0, 1.0]))
    assert system.ambiguous


RELATIONS = {"Equality": "==", "Unequality": "!=", "GreaterThan": ">=", "LessThan": "<=", "StrictGreaterThan": ">", "StrictLessThan": "<"}


def test_floats_digits_and_magnitudes_agree_on_what_numbers_are():
    x = np.array([-1.5, -0.25, 0.5, 2.0])
    numbers = Digits().array(x)
    with mpmath.workdps(DIGITS):
        for name in ("exp", "tanh", "sin", "cos", "Logistic", "Softplus", "Abs", "sign"):
            np.testing.assert_allclose(Floats().function(name, x), [float(v) for v in Digits().function(name, numbers)], rtol=1e-14)
        for exponent in (2, 3, -1, Fraction(1, 2), Fraction(-3, 2), Fraction(2)):
            base = np.abs(x) if isinstance(exponent, Fraction) else x
            powers = Digits().power(Digits().array(base), exponent)
            np.testing.assert_allclose(Floats().power(base, exponent), [float(v) for v in powers], rtol=1e-14)
            np.testing.assert_allclose(Floats().power(base, exponent), base ** float(exponent), rtol=1e-14)
        third = Digits().lift(Fraction(1, 3))
        assert abs(third * 3 - 1) < 1e-39 and Digits().lift(np.array([2])).dtype == object
        for relation, word in RELATIONS.items():
            for left, right in ((1.0, 2.0), (2.0, 2.0), (3.0, 2.0)):
                holds = {"==": left == right, "!=": left != right, ">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[word]
                assert bool(Floats().compare(relation, left, right)) is holds
        for system, held in ((Floats(), x), (Digits(), numbers)):
            first = np.array([True, False, False, True])
            second = np.array([True, True, False, False])
            found = system.choose([first, second, True], [held, 2 * held, 0 * held])
            assert [float(v) for v in found] == [-1.5, -0.5, 0.0, 2.0]
            where = np.array([0, 2, 2])
            assert [float(v) for v in system.scatter((3,), [(where, held[:3]), (where, held[1:])])] == [-1.75, 0.0, 2.75]
            assert float(system.add([held[0], held[1], held[2]])) == -1.25 and float(system.multiply([held[0], held[1], held[2]])) == 0.1875
            assert [float(v) for v in system.gather(held, np.array([1, 3]))] == [-0.25, 2.0]
            assert system.reshape((2, 2), held).tolist() == [[held[0], held[1]], [held[2], held[3]]]
            assert system.reshape((1, 2), system.lift(3)).tolist() == [[3, 3]] and system.reshape((0, 2), system.lift(3)).shape == (0, 2)
    wide = Magnitudes()
    assert wide.lift(-2).tolist() == 2 and wide.constant(-0.5) == 0.5
    assert wide.array([-3.0]).tolist() == [3.0] and wide.power(np.array([2.0]), 3).tolist() == [8.0]
    assert wide.function("Abs", np.array([4.0])) == 4 and wide.function("sign", np.array([4.0])) == 1
    assert wide.choose([wide.compare("StrictGreaterThan", np.array([5.0]), np.array([7.0])), True], [np.array([2.0]), np.array([3.0])]) == 7
    with pytest.raises(cf.FormulaError, match="the function nothing cannot be evaluated; known: exp"):
        Floats().function("nothing", x)


def formula_of(formula, **declared):
    """An operation that is nothing but a declaration and a formula of x."""
    body = {
        "name": "formula_only",
        "inputs": {"x": "n"},
        "output": "n",
        "forward": lambda self, x: None,
        "backward": lambda self, dy, saved: {},
        "formula": formula,
    }
    return dataclass(frozen=True)(type("FormulaOnly", (Layer,), {**body, **declared}))()


def value_at(op, **arrays):
    """Outputs and gradients of a formula as the evaluation has them, and in many digits."""
    known = op.sizes({name: np.shape(value) for name, value in arrays.items()})
    found = Evaluation(derive(op), op, known)
    held = found.forward(Floats(), arrays)
    ones = {name: np.ones_like(value) for name, value in found.outputs(held).items()}
    with mpmath.workdps(DIGITS):
        digits = found.outputs(found.forward(Digits(), arrays))
    for name, value in found.outputs(held).items():
        np.testing.assert_allclose(value, digits[name].astype(float), rtol=1e-14)
    return found.outputs(held)["y"].tolist(), found.backward(Floats(), held, ones)["x"].tolist()


def test_formulas_are_evaluated_as_they_read():
    x = np.array([-1.0, 0.0, 0.5, 2.0])

    def entry(self, at, x):
        (n,) = at
        both = when(sp.And(x[n] > 0, x[n] < 1), 10 * x[n], 0)
        either = when(sp.Or(x[n] < 0, x[n] > 1), x[n], 0)
        return both + either + when(sp.Not(sp.Eq(x[n], 0)), 0, 100)

    assert value_at(formula_of(entry), x=x) == ([-1, 100, 5, 2], [1, 0, 10, 1])

    def weighed(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total((k + 1) ** 2 * x[k], (k, x.shape[0])) + n * x[n] + sp.Rational(1, 4) * x[n] + sp.Float(0.5)

    whole = sum((k + 1) ** 2 * v for k, v in enumerate(x))
    assert value_at(formula_of(weighed), x=x) == ([whole + (n + 0.25) * v + 0.5 for n, v in enumerate(x)], [4 * (k + 1) ** 2 + k + 0.25 for k in range(4)])

    def picked(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(equal_to(k * k, n) * x[k], (k, x.shape[0]))

    def equal_to(a, b):
        return sp.Piecewise((1, sp.Eq(a, b)), (0, True))

    assert value_at(formula_of(picked), x=x) == ([-1, 0, 0, 0], [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (lambda x, n: x[n] ** x[n], "an exponent must be a number or a hyperparameter"),
        (lambda x, n: sp.gamma(x[n]), "the function gamma cannot be evaluated"),
        (lambda x, n: x[n] * sp.pi, "pi cannot be evaluated in a formula"),
    ],
)
def test_formulas_that_cannot_be_evaluated_say_what(formula, said):
    with pytest.raises(cf.FormulaError, match=said):
        value_at(formula_of(lambda self, at, x: formula(x, at[0])), x=np.array([0.5, 2.0]))


def test_a_formula_that_reads_other_entries_of_the_batch_does_not_keep_it_apart():
    def others(self, at, x):
        (n,) = at
        (k,) = indices("k")
        return total(x[k], (k, x.shape[0])) - x[n]

    assert not derive(formula_of(others)).batch_apart
    assert derive(formula_of(lambda self, at, x: 2 * x[at])).batch_apart
    assert not derive(formula_of(lambda self, at, x: x[(at[0] * 1,)] + x[(x.shape[0] - 1 - at[0],)])).batch_apart

    def through(self, at, x):
        (k,) = indices("k")
        return define("e", x.shape, lambda n: total(x[k], (k, x.shape[0])))[at]

    assert not derive(formula_of(through)).batch_apart
    assert not derive(formula_of(lambda self, at, x: x[at], inputs={}, params={"x": "n"})).batch_apart


def test_arrays_of_one_name_and_choices_that_change_are_refused():
    def twice(self, at, x):
        return define("bar_x", x.shape, lambda n: 2 * x[n])[at]

    with pytest.raises(cf.FormulaError, match="two arrays are called 'bar_x'"):
        derive(formula_of(twice))

    def moving(self, at, x):
        return define("e", x.shape, lambda n: x[n] ** 2, locally_constant=True)[at] * x[at]

    with pytest.raises(cf.FormulaError, match="is marked locally constant, and changes with x"):
        derive(formula_of(moving))

    def moving_behind(self, at, x):
        (k,) = indices("k")
        return define("e", x.shape, lambda n: 3 + total(x[k], (k, x.shape[0])), locally_constant=True)[at]

    with pytest.raises(cf.FormulaError, match="is marked locally constant, and changes with x"):
        derive(formula_of(moving_behind))

    def chosen(self, at, x):
        sign_ = define("e", x.shape, lambda n: when(x[n] > 0, 1, 0), locally_constant=True)
        return define("f", x.shape, lambda n: 3 * sign_[n], locally_constant=True)[at] * x[at]

    assert value_at(formula_of(chosen), x=np.array([2.0, -1.0])) == ([6, 0], [3, 0])


def test_indices_that_are_squares_and_conditions_on_sizes_alone():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])

    def squares(self, at, x):
        (n,) = at
        return guard(x[n**2], inside(n**2, x.shape[0])) + x[n]

    assert value_at(formula_of(squares), x=x) == ([2, 4, 20, 8, 16], [2, 2, 1, 1, 2])

    def far(by):
        def formula(self, at, x):
            return x[at] + guard(3 * x[at], inside(by * x.shape[0] - 5, x.shape[0]))

        return formula

    assert value_at(formula_of(far(1)), x=x)[0] == (4 * x).tolist()
    assert value_at(formula_of(far(2)), x=x) == (x.tolist(), [1.0] * 5)


def test_equations_may_have_any_factor_before_an_index():
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])

    def doubled(self, at, x):
        (k,) = indices("k")
        return total(guard(x[k], [equal(k, 2 * at[0])]), (k, x.shape[0]))

    assert value_at(formula_of(doubled), x=x) == ([1, 4, 16, 0, 0], [1, 0, 1, 0, 1])


def test_equations_may_give_an_index_that_is_no_entry():
    def halved(self, at, x):
        (k,) = indices("k")
        return total(guard(x[k], [equal(2 * k, at[0])]), (k, x.shape[0]))

    assert value_at(formula_of(halved), x=np.array([1.0, 2.0, 4.0])) == ([1, 0, 2], [1, 1, 0])

    def shifted(by):
        def formula(self, at, x):
            (k,) = indices("k")
            return total(guard(x[k], [equal(k + by, at[0])]), (k, x.shape[0]))

        return formula

    assert value_at(formula_of(shifted(-1)), x=np.array([1.0, 2.0, 4.0])) == ([2, 4, 0], [0, 1, 1])
    assert value_at(formula_of(shifted(1)), x=np.array([1.0, 2.0, 4.0])) == ([0, 1, 2], [1, 1, 0])


def test_roots_are_those_of_their_number():
    assert Floats().power(8.0, Fraction(1, 3)) == pytest.approx(2) and Floats().power(9.0, Fraction(1, 2)) == 3
    assert Floats().power(9.0, Fraction(3, 2)) == pytest.approx(27) and Floats().power(4.0, -1) == 0.25


@pytest.mark.parametrize(
    ("step", "said"), [(-1, r"x\[_n - 1\] out of range: index -1 of axis 0, which has size 4"), (1, r"x\[_n \+ 1\] out of range: index 4 of axis 0")]
)
def test_entries_that_are_none_are_refused(step, said):
    with pytest.raises(cf.FormulaError, match=said):
        value_at(formula_of(lambda self, at, x: x[at[0] + step]), x=np.arange(4.0))


@dataclass(frozen=True)
class Powered(Activation):
    """A power, a factor and a whole factor, all of them settings."""

    power: float = 2.0
    factor: float = 0.5
    times: int = 3

    name = "powered"

    def f(self, x):
        return self.times * self.factor * x**self.power

    def df(self, x, y):
        return self.power * y / x

    def expr(self, x):
        return self.times * self.factor * x**self.power


def test_settings_are_numbers_of_the_formula():
    for power in (2.0, 0.5, -1.5):
        for factor, rounded_ in ((0.5, False), (0.1, True)):
            op = Powered(power, factor)
            found = Evaluation(derive(op), op, {**op.declaration.known, ELLIPSIS: (2,)})
            x = np.array([4.0, 2.25])
            held = found.forward(Floats(), {"x": x})
            np.testing.assert_allclose(found.outputs(held)["y"], 3 * factor * x**power, rtol=1e-14)
            np.testing.assert_allclose(found.backward(Floats(), held, {"y": np.ones(2)})["x"], 3 * factor * power * x ** (power - 1), rtol=1e-14)
            assert (Rounding(24).constant(factor).error > 0) is rounded_
    whole, part = (
        found.outputs(found.forward(Rounding(24), {"x": np.array([2.0, 4.0])}))["y"] for found in map(evaluated, (Powered(2.0, 0.5), Powered(2.0, 0.1)))
    )
    assert np.all(part.error / part.value > whole.error / whole.value)


def evaluated(op):
    return Evaluation(derive(op), op, {**op.declaration.known, ELLIPSIS: (2,)})


def whole_of(formula, x="n c", output=""):
    """An operation on rows that is nothing but a formula."""
    return formula_of(formula, inputs={"x": x}, output=output)


def test_which_formulas_may_be_computed_in_parts_of_a_batch():
    n, m, c = indices("n m c")
    rows = whole_of(lambda self, at, x: total(x[at[0], c], (c, x.shape[1])), output="n")
    loss = whole_of(lambda self, at, x: total(x[n, c] ** 2, (n, x.shape[0]), (c, x.shape[1])))
    anywhere = formula_of(lambda self, at, x: 2 * x[at], inputs={"x": "..."}, output="...")
    products = whole_of(lambda self, at, x: total(x[n, c] * x[m, c], (n, x.shape[0]), (m, x.shape[0]), (c, x.shape[1])))
    first = whole_of(lambda self, at, x: total(x[0, c], (c, x.shape[1])))
    columns = whole_of(lambda self, at, x: total(x[n, at[0]], (n, x.shape[0])), output="c")
    other_axis = whole_of(lambda self, at, x: total(x[n, c], (n, x.shape[0]), (c, x.shape[1])), x="c n")
    through = whole_of(lambda self, at, x: total(define("e", (x.shape[0],), lambda k: total(x[k, c], (c, x.shape[1])))[n], (n, x.shape[0])))
    mixed = whole_of(
        lambda self, at, x: total(define("e", (x.shape[0],), lambda k: total(x[m, c], (m, x.shape[0]), (c, x.shape[1])) + 0 * x[k, 0])[n], (n, x.shape[0]))
    )
    across = whole_of(
        lambda self, at, x: total(define("e", x.shape, lambda k, d: total(x[k, m], (m, x.shape[1])) + 0 * d)[n, c], (n, x.shape[0]), (c, x.shape[1]))
    )
    assert [derive(op).splits for op in (rows, loss, anywhere, through, across)] == [True] * 5
    two = formula_of(
        lambda self, at, x: {"y": total(x[n, c], (n, x.shape[0]), (c, x.shape[1])), "z": total(x[n, at["z"][0]], (n, x.shape[0]))},
        inputs={"x": "n c"},
        output={"y": "", "z": "c"},
    )
    assert [derive(op).splits for op in (products, first, columns, other_axis, mixed, two)] == [False] * 6
    few = whole_of(lambda self, at, x: x[at[0], 0] + define("e", (2,), lambda k: x[k, 0])[1], output="n")
    assert [derive(op).batch_apart for op in (rows, loss, anywhere, few)] == [True, False, False, False]


def test_indices_of_derived_arrays_are_whole_numbers():
    for op in (OPS.make("conv", maps=1, size=2), OPS.make("dense", units=1), OPS.make("relu")):
        assert all(index.is_integer for definition in derive(op).adjoints for index in definition.index)


def test_terms_without_any_index_may_have_conditions_on_sizes():
    def entry(self, at, x):
        return x[0] + guard(3 * x[1], inside(2 * x.shape[0] - 5, x.shape[0]))

    for values, there in (([2.0, 5.0, 7.0], 1), ([2.0, 5.0, 7.0, 1.0, 1.0], 0)):
        op = whole_of(entry, x="n")
        found = Evaluation(derive(op), op, op.sizes({"x": (len(values),)}))
        held = found.forward(Floats(), {"x": np.array(values)})
        assert found.outputs(held)["y"].tolist() == [2 + 15 * there]
        assert found.backward(Floats(), held, {"y": np.array(1.0)})["x"].tolist() == [1, 3 * there, *[0] * (len(values) - 2)]


def test_indices_are_sums_products_powers_and_quotients_of_whole_numbers():
    x = np.array([0.5, 2.0, 3.0])
    assert value_at(formula_of(lambda self, at, x: x[sp.floor(at[0] / 2)]), x=x) == ([0.5, 0.5, 2.0], [2, 1, 0])
    assert value_at(formula_of(lambda self, at, x: x[sp.floor(at[0] ** 2 / 3)] * at[0]), x=x) == ([0, 0.5, 4], [1, 2, 0])
    assert value_at(formula_of(lambda self, at, x: x[(x.shape[0] - 1 - at[0]) * at[0]]), x=x) == ([0.5, 2.0, 0.5], [2, 1, 0])
    for formula in (
        lambda self, at, x: x[at[0] / 2],
        lambda self, at, x: x[2 ** at[0]],
        lambda self, at, x: x[at[0] ** -1],
        lambda self, at, x: x[sp.Mod(at[0], 2)],
        lambda self, at, x: x[sp.sqrt(at[0])],
    ):
        with pytest.raises(cf.FormulaError, match="is no integer expression of indices and sizes"):
            value_at(formula_of(formula), x=x)


def test_sums_and_arrays_of_less_than_nothing_are_empty():
    (k,) = indices("k")

    def summed(self, at, x):
        return x[at] + total(10 * x[k], (k, x.shape[0] - 5))

    def held(self, at, x):
        part = define("e", (x.shape[0] - 5,), lambda m: 10 * x[m])
        return x[at] + total(part[k], (k, x.shape[0] - 5))

    for formula in (summed, held):
        assert value_at(formula_of(formula), x=np.arange(3.0)) == ([0, 1, 2], [1, 1, 1])
        assert value_at(formula_of(formula), x=np.arange(7.0)) == ([10 + n for n in range(7)], [71, 71, 1, 1, 1, 1, 1])


def test_an_equation_may_name_one_entry_of_the_result():
    def formula(self, at, x):
        return x[at] + guard(3 * x[0], [equal(at[0], x.shape[0] - 4)])

    assert value_at(formula_of(formula), x=np.array([1.0, 2.0, 4.0])) == ([1, 2, 4], [1, 1, 1])
    assert value_at(formula_of(formula), x=np.array([1.0, 2.0, 4.0, 8.0, 16.0])) == ([1, 5, 4, 8, 16], [4, 1, 1, 1, 1])


def test_indices_of_gradients_have_the_letters_from_p_on():
    six = whole_of(lambda self, at, x: 2 * x[at], x="n a c d e k", output="n a c d e k")
    assert [index.name for index in derive(six).adjoint("x").index] == ["p", "q", "r", "s", "t", "p5"]


def test_what_is_neither_a_sum_nor_a_function_is_refused_by_its_name():
    with pytest.raises(cf.FormulaError, match="UnevaluatedExpr cannot be evaluated in a formula"):
        value_at(formula_of(lambda self, at, x: sp.UnevaluatedExpr(x[at])), x=np.ones(2))
