"""The derivation, checked from outside: SymPy's own scalar derivative, SciPy, Kronecker products, and formulas that must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
import sympy as sp
from scipy.signal import convolve

import cnnframe as cf
from cnnframe import Activation, FormulaError, Layer, at_least, one_of
from cnnframe.algebra import define, equal, guard, indices, inside, log, total, when
from cnnframe_derivations import derive
from cnnframe_derivations._evaluate import Evaluation
from cnnframe_derivations._numbers import Floats

OPS = cf.load()


def formula_only(**declared):
    """An operation that is nothing but a declaration and a formula."""

    def decorate(formula):
        body = {
            "forward": lambda self, **arrays: None,
            "backward": lambda self, dy, saved: {},
            "formula": formula,
            "name": formula.__name__,
            "__annotations__": {},
            **declared,
        }
        return dataclass(frozen=True)(type(formula.__name__, (Layer,), body))

    return decorate


def evaluate(op, arrays, cotangents):
    """Outputs and gradients as the formula and its derivation give them."""
    known = op.sizes({name: np.shape(value) for name, value in arrays.items()})
    evaluation = Evaluation(derive(op), op, known)
    held = evaluation.forward(Floats(), arrays)
    return evaluation.outputs(held), evaluation.backward(Floats(), held, cotangents)


def symbols(name, shape):
    """An object array of scalar SymPy symbols."""
    return np.array([sp.Symbol(f"{name}_{'_'.join(map(str, at))}", real=True) for at in np.ndindex(*shape)], dtype=object).reshape(shape)


def test_conv_gradients_equal_sympys_entry_by_entry():
    """Write the tiny case out as a polynomial, and let SymPy differentiate that."""
    x, k, b = symbols("x", (1, 2, 3, 3)), symbols("k", (2, 2, 2, 2)), symbols("b", (2,))
    dy = symbols("d", (1, 2, 2, 2))
    energy = sum(
        dy[0, j, u, v] * (b[j] + sum(x[0, i, u + 1 - a, v + 1 - c] * k[j, i, a, c] for i in range(2) for a in range(2) for c in range(2)))
        for j in range(2)
        for u in range(2)
        for v in range(2)
    )
    rng = np.random.default_rng(0)
    numbers = {s: int(rng.integers(-5, 6)) for array in (x, k, b, dy) for s in array.ravel()}
    value = np.vectorize(lambda s: float(numbers[s]))
    _, gradients = evaluate(OPS.make("conv", maps=2, size=2), {"x": value(x), "k": value(k), "b": value(b)}, {"y": value(dy)})
    for name, array in (("x", x), ("k", k), ("b", b)):
        wanted = np.vectorize(lambda s: float(sp.diff(energy, s).subs(numbers)))(array)
        np.testing.assert_array_equal(gradients[name], wanted)


def test_softmax_gradient_equals_sympys():
    x, dy = symbols("x", (1, 3)), symbols("d", (1, 3))
    z = sum(sp.exp(s) for s in x[0])
    energy = sum(dy[0, c] * sp.exp(x[0, c]) / z for c in range(3))
    numbers = dict(zip([*x[0], *dy[0]], [0.5, -1.0, 2.0, 3.0, -2.0, 1.0], strict=True))
    _, gradients = evaluate(OPS.make("softmax"), {"x": np.array([[0.5, -1.0, 2.0]])}, {"y": np.array([[3.0, -2.0, 1.0]])})
    for c in range(3):
        assert gradients["x"][0, c] == pytest.approx(float(sp.diff(energy, x[0, c]).subs(numbers)), rel=1e-13)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_conv_formula_is_scipys_valid_convolution(dims):
    rng = np.random.default_rng(dims)
    x = rng.integers(-4, 5, (1, 1, *(5, 4, 3)[:dims])).astype(float)
    k = rng.integers(-4, 5, (1, 1, *(2, 3, 2)[:dims])).astype(float)
    op = OPS.make("conv", maps=1, size=k.shape[2:], dims=dims)
    out = convolve(x[0, 0], k[0, 0], mode="valid", method="direct")
    y, gradients = evaluate(op, {"x": x, "k": k, "b": np.zeros(1)}, {"y": np.ones((1, 1, *out.shape))})
    np.testing.assert_array_equal(y["y"][0, 0], out)
    np.testing.assert_array_equal(gradients["x"][0, 0], convolve(np.ones(out.shape), np.flip(k[0, 0]), mode="full", method="direct"))


def test_subsample_gradient_is_the_kronecker_product():
    dy = np.arange(6.0).reshape(1, 1, 2, 3) - 2
    x, beta = np.ones((1, 1, 4, 9)), np.array([3.0])
    _, gradients = evaluate(OPS.make("subsample", size=(2, 3)), {"x": x, "beta": beta, "b": np.zeros(1)}, {"y": dy})
    np.testing.assert_array_equal(gradients["x"][0, 0], 3 * np.kron(dy[0, 0], np.ones((2, 3))))


def test_strided_sum_that_sympys_own_doit_gets_wrong():
    """sum over u of [p = 2 u] g[u] is g[p/2] for even p and 0 for odd p."""

    @formula_only(inputs={"x": "n"}, output="2*n")
    def spread(self, at, x):
        (p,), (u,) = at, indices("u")
        return total(x[u], (u, x.shape[0]), where=[equal(p, 2 * u)])

    y, gradients = evaluate(spread(), {"x": np.array([1.0, 2.0, 3.0])}, {"y": np.arange(6.0)})
    np.testing.assert_array_equal(y["y"], [1, 0, 2, 0, 3, 0])
    np.testing.assert_array_equal(gradients["x"], [0, 2, 4])


def test_a_sum_within_a_function_becomes_an_intermediate():
    @formula_only(inputs={"x": "n c"}, output="n")
    def log_sum(self, at, x):
        (n,), (c,) = at, indices("c")
        return log(total(x[n, c] ** 2, (c, x.shape[1])))

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    y, gradients = evaluate(log_sum(), {"x": x}, {"y": np.ones(2)})
    np.testing.assert_allclose(y["y"], np.log([5, 25]), rtol=1e-15)
    np.testing.assert_allclose(gradients["x"], 2 * x / np.array([[5.0], [25.0]]), rtol=1e-15)


def test_a_sum_within_a_function_may_hold_another():
    @formula_only(inputs={"x": "n c"}, output="")
    def log_log(self, at, x):
        n, c = indices("n c")
        return log(total(log(total(x[n, c] ** 2, (c, x.shape[1]))), (n, x.shape[0])))

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    y, gradients = evaluate(log_log(), {"x": x}, {"y": np.array(1.0)})
    inner = np.log([5, 25])
    np.testing.assert_allclose(y["y"], np.log([inner.sum()]), rtol=1e-15)
    np.testing.assert_allclose(gradients["x"], 2 * x / np.array([[5.0], [25.0]]) / inner.sum(), rtol=1e-15)


def test_a_repeated_operand_counts_each_time():
    @formula_only(inputs={"x": "n"}, output="")
    def square(self, at, x):
        i, j = indices("i j")
        return total(x[i] * x[j], (i, x.shape[0]), (j, x.shape[0]))

    x = np.array([1.0, -2.0, 5.0])
    _, gradients = evaluate(square(), {"x": x}, {"y": np.array(2.0)})
    np.testing.assert_array_equal(gradients["x"], 2 * 2 * x.sum() * np.ones(3))


def test_intermediates_of_one_name_keep_their_own_bodies():
    """SymPy's caches compare by name and shape; two formulas must not be handed each other's intermediate."""

    def make(factor):
        @formula_only(inputs={"x": "n"}, output="n")
        def scaled(self, at, x):
            alpha = define("alpha", x.shape, lambda i: factor * x[i])
            return alpha[at] ** 2

        return scaled()

    x = np.array([1.0, 2.0])
    for factor in (2, 3):
        y, _ = evaluate(make(factor), {"x": x}, {"y": np.ones(2)})
        np.testing.assert_array_equal(y["y"], (factor * x) ** 2)


def test_the_batch_is_kept_apart_only_where_the_formula_says_so():
    assert derive(OPS["conv"]).batch_apart
    assert derive(OPS["softmax"]).batch_apart
    assert not derive(OPS["batch_norm"]).batch_apart
    assert not derive(OPS["squared_error"]).batch_apart


def test_a_formula_that_reads_out_of_range_is_refused_with_the_entry():
    @formula_only(inputs={"x": "n"}, output="n")
    def ahead(self, at, x):
        return x[at[0] + 1]

    with pytest.raises(FormulaError, match=r"ahead.formula reads x\[.*1\] out of range: index 2 of axis 0, which has size 2"):
        evaluate(ahead(), {"x": np.ones(2)}, {"y": np.ones(2)})


def raises(at, x):
    raise ZeroDivisionError("oops")


WRONG_FORMULAS = {
    "raises": (raises, "formula raised ZeroDivisionError: oops"),
    "maximum": (lambda at, x: sp.Max(x[at], 0), r"uses Max; write when\(a > b, a, b\)"),
    "undeclared": (lambda at, x: sp.IndexedBase("w")[at[0]], "uses an array 'w' that is not declared"),
    "by_value": (lambda at, x: x[x[at[0]]], "indexed by the value of another array"),
    "too_many_indices": (lambda at, x: define("e", x.shape, lambda i: x[i])[at[0], 0], "e has 1 axes; got 2 indices|Rank mismatch"),
    "from_one": (lambda at, x: sp.Sum(x[sp.Symbol("i", integer=True)], (sp.Symbol("i", integer=True), 1, 3)), "a sum must run from 0"),
    "value_as_guard": (lambda at, x: guard(1, [x[at] > 0]), r"condition on values; write it with when"),
    "twice": (
        lambda at, x: define("e", x.shape, lambda i: x[i])[at] + define("e", x.shape, lambda i: 2 * x[i])[at],
        "defines two intermediates named 'e'",
    ),
    "named_as_array": (lambda at, x: define("x", x.shape, lambda i: 2 * x[i])[at], "the intermediate 'x' has the name of an array"),
}


@pytest.mark.parametrize("case", WRONG_FORMULAS)
def test_formulas_without_meaning_are_refused(case):
    formula, message = WRONG_FORMULAS[case]

    @formula_only(inputs={"x": "n"}, output="n")
    def wrong(self, at, x):
        return formula(at, x)

    with pytest.raises(FormulaError, match=message):
        derive(wrong())


def test_choices_decide_the_formula_and_numbers_stay_symbols():
    @dataclass(frozen=True)
    class Shift(Layer):
        by: Annotated[int, at_least(0)]
        way: Annotated[str, one_of("left", "right")] = "left"

        name = "shift"
        inputs = {"x": "n"}
        output = "n"

        def forward(self, x):
            raise NotImplementedError

        def backward(self, dy, saved):
            raise NotImplementedError

        def formula(self, at, x):
            (i,) = at
            read = i + self.by if self.way == "left" else i - self.by
            return guard(x[read], inside(read, x.shape[0]))

    x = np.array([1.0, 2.0, 3.0])
    for way, wanted in (("left", [2, 3, 0]), ("right", [0, 1, 2])):
        y, _ = evaluate(Shift(1, way), {"x": x}, {"y": np.ones(3)})
        np.testing.assert_array_equal(y["y"], wanted)
    assert derive(Shift(1)) is derive(Shift(2))
    assert derive(Shift(1)) is not derive(Shift(1, "right"))


def test_kinks_are_read_off_the_formula():
    @dataclass(frozen=True)
    class Bend(Activation):
        name = "bend"

        def f(self, x):
            return np.maximum(x, 1)

        def df(self, x, y):
            return (x > 1).astype(x.dtype)

        def expr(self, x):
            return when(x > 1, x, 1)

    assert [str(c) for c in derive(Bend).conditions] == ["x[_n] > 1"]
    assert derive(OPS["dense"]).conditions == ()
