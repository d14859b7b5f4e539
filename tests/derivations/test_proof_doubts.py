"""Doubts about the proofs, from outside: SymPy entry by entry, numbers for changed formulas, and polynomials by points."""

from __future__ import annotations

import importlib.util
import itertools
import random
import sys
from collections import Counter
from fractions import Fraction
from math import prod
from pathlib import Path

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import cnnframe as cf
from cnnframe._axes import ELLIPSIS
from cnnframe._symbols import Logistic, Softplus
from cnnframe_derivations import derive
from cnnframe_derivations._claims import closed_forms
from cnnframe_derivations._derive import COTANGENT
from cnnframe_derivations._symbolic import brought, numbers
from cnnframe_derivations._terms import Definition
from cnnframe_derivations.proofs._polynomial import ONE, ZERO, Polynomial, atom, number, parse, symbol

OPS = cf.load()

# --- every entry against sympy.diff, at sizes that can be written out


class Written:
    """The entries of every array as SymPy expressions of the operands' entries, each of which is one symbol."""

    def __init__(self, definitions, values, given):
        self.definitions, self.values, self.given = {d.name: d for d in definitions}, values, given
        self.found = {}

    def shape(self, definition):
        return tuple(int(self.size(n, {})) for n in definition.shape)

    def size(self, e, at):
        """A condition or a size, which are integers here."""
        e = sp.sympify(e).xreplace(at)
        return e.xreplace({s: sp.Integer(self.values[s.name]) for s in e.free_symbols})

    def entry(self, name, at):
        at = tuple(map(int, at))
        if name in self.given:
            return sp.Integer(int(self.given[name][at]))
        if name not in self.definitions:
            return sp.Symbol("_".join(map(str, (name, *at))), real=True)
        if (name, at) not in self.found:
            definition = self.definitions[name]
            assert all(0 <= i < n for i, n in zip(at, self.shape(definition), strict=True))
            outer = dict(zip(definition.index, map(sp.Integer, at), strict=True))
            self.found[name, at] = sp.Add(*(self.summand(t, outer, point) for t in definition.terms for point in self.points(t, outer)))
        return self.found[name, at]

    def points(self, t, outer):
        ranges = [range(int(self.size(n, outer))) for _, n in t.bound]
        for values in itertools.product(*ranges):
            point = {index: sp.Integer(v) for (index, _), v in zip(t.bound, values, strict=True)}
            at = outer | point
            if all(self.size(c, at) >= 0 for c in t.ge) and all(self.size(c, at) == 0 for c in t.eq):
                yield point

    def summand(self, t, outer, point):
        at = outer | point
        reads = {a: self.entry(str(a.base.label), [self.size(i, at) for i in a.indices]) for a in t.body.atoms(sp.Indexed)}
        body = t.body.xreplace(reads).xreplace(at)
        return body.xreplace({s: sp.Rational(Fraction(self.values[s.name])) for s in body.free_symbols if s.name in self.values})


def plain(e):
    """Written with exp and log alone."""
    return e.replace(Logistic, lambda x: 1 / (1 + sp.exp(-x))).replace(Softplus, lambda x: sp.log(1 + sp.exp(x)))


def is_zero(e):
    """Whether an expression is 0: exactly if it is rational, else at rational points to thirty digits."""
    if e.is_rational_function() and not e.has(sp.Piecewise):
        return sp.cancel(e) == 0
    draw = random.Random(0)  # noqa: S311 # points to try, not secrets
    for _ in range(2):
        point = {s: sp.Rational(draw.randrange(1, 40), draw.choice((7, 11, 13))) for s in sorted(e.free_symbols, key=str)}
        if abs(sp.N(e.xreplace(point), 30)) > 1e-20:
            return False
    return True


LINKS = cf.Links(((0, 0), (1, 0), (1, 1)), 2, 2)
TINY = {
    "dense": ("dense", {"units": 2}, {"n": 2, "i": 2}),
    "conv": ("conv", {"dims": 1, "maps": 2, "size": 2, "stride": 2, "padding": 1, "groups": 2}, {"n": 1, "g": 1, "h0": 4}),
    "conv with gaps": ("conv", {"dims": 1, "maps": 1, "size": 2, "dilation": 2, "stride": 2}, {"n": 2, "g": 1, "h0": 6}),
    "conv in two dimensions": ("conv", {"maps": 1, "size": 2, "orientation": "correlation"}, {"n": 1, "g": 1, "h0": 3, "h1": 2}),
    "conv_linked": ("conv_linked", {"dims": 1, "links": LINKS, "size": 2, "stride": 2}, {"n": 1, "h0": 5}),
    "subsample": ("subsample", {"dims": 1, "size": 2}, {"n": 1, "i": 2, "p0": 2}),
    "mean_pool": ("mean_pool", {"dims": 1, "size": 3, "stride": 2}, {"n": 1, "i": 1, "h0": 6}),
    "max_pool": ("max_pool", {"dims": 1, "size": 2, "stride": 1}, {"n": 1, "i": 1, "h0": 3}),
    "upsample": ("upsample", {"dims": 1, "size": 2}, {"n": 1, "i": 1, "p0": 2}),
    "decimate": ("decimate", {"dims": 1, "stride": 2}, {"n": 1, "i": 1, "h0": 4}),
    "flatten": ("flatten", {"dims": 2}, {"n": 1, "i": 2, "h0": 2, "h1": 1}),
    "softmax": ("softmax", {}, {"n": 1, "i": 3, "c": 3}),
    "batch_norm": ("batch_norm", {"dims": 0}, {"n": 2, "i": 2}),
    "combine": ("combine", {"dims": 1, "maps": 1, "size": 1, "simplex": "softmax"}, {"n": 1, "i": 2, "j": 1, "h0": 2}),
    "softmax_cross_entropy": ("softmax_cross_entropy", {}, {"n": 1, "c": 2, "i": 2}),
    "logistic_cross_entropy": ("logistic_cross_entropy", {}, {"n": 1, "c": 2, "i": 2}),
    "squared_error": ("squared_error", {}, {"n": 2, "c": 2, "i": 2}),
    "alpha_entropy": ("alpha_entropy", {"strength": 0.5}, {"i": 2, "j": 1}),
}


def tiny(name):
    kind, chosen, sizes = TINY[name]
    cls = OPS.operations()[kind]
    op = OPS.make(kind, **{k: v for k, v in chosen.items() if k in cf._hyper.hyperparameters(cls)})
    return op, {**op.declaration.known, **sizes, ELLIPSIS: (2,)}


@pytest.mark.parametrize("name", TINY)
def test_every_entry_is_what_sympy_differentiates(name):
    op, known = tiny(name)
    derivation = derive(op)
    forms = closed_forms(derivation)
    claimed = {of: form for of, form in forms.forms.items() if isinstance(form, Definition)}
    program = derivation.program
    written = Written([*program.definitions, *derivation.adjoints, *forms.definitions, *claimed.values()], numbers(op, known), brought(op))
    objective = 0
    for output, definition in program.outputs.items():
        for at in itertools.product(*map(range, written.shape(program[definition]))):
            objective += written.entry(COTANGENT + output, at) * plain(written.entry(definition, at))
    assert derivation.gradients
    for of in derivation.gradients:
        adjoint = derivation.adjoint(of)
        for at in itertools.product(*map(range, written.shape(adjoint))):
            wanted = sp.diff(objective, written.entry(of, at))
            assert is_zero(wanted - plain(written.entry(adjoint.name, at))), (of, at)
            if of in claimed:
                assert is_zero(wanted - plain(written.entry(claimed[of].name, at))), (of, at)


# --- changed formulas


def benchmark(name, monkeypatch):
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_nothing_false_is_proved_of_changed_formulas(monkeypatch):
    mutated = benchmark("mutated_formulas", monkeypatch)
    counts = Counter()
    for name in ("dense", "conv_linked", "mean_pool", "max_pool", "upsample", "decimate", "softmax", "softmax_cross_entropy", "squared_error", "alpha_square"):
        for outcome in mutated.one_operation(name, 3, 6):
            assert outcome.verdict != "UNSOUND", (outcome.operation, outcome.kinds, *outcome.terms)
            counts[outcome.verdict] += 1
    assert counts["proved & true"] > 10 and counts["refused & false"] > 20, counts


# --- polynomials

NAMES = ("a", "b", "n'")
SYMBOLS = st.sampled_from(NAMES)
NUMBERS = st.fractions(-3, 3, max_denominator=4)


def trees(depth=3):
    """Expressions as tuples, to build in several systems."""
    leaves = st.one_of(
        st.tuples(st.just("symbol"), SYMBOLS), st.tuples(st.just("number"), NUMBERS), st.tuples(st.just("entry"), st.sampled_from("xy"), SYMBOLS)
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(["+", "-", "*"]), inner, inner),
            st.tuples(st.just("^"), inner, st.integers(0, 3)),
            st.tuples(st.just("read"), inner),
        ),
        max_leaves=2**depth,
    )


def build(tree, leaf):
    """The value of a tree where `leaf` gives that of symbols, numbers and entries."""
    kind, *parts = tree
    if kind == "^":
        return build(parts[0], leaf) ** parts[1]
    if kind == "read":
        return leaf("entry", "x", build(parts[0], leaf))
    if kind in "+-*":
        left, right = (build(part, leaf) for part in parts)
        return left + right if kind == "+" else left - right if kind == "-" else left * right
    return leaf(kind, *parts[:-1], leaf("symbol", parts[-1])) if kind == "entry" else leaf(kind, *parts)


def polynomial(kind, *parts):
    return symbol(parts[0]) if kind == "symbol" else number(parts[0]) if kind == "number" else atom("entry", parts[0], (parts[1],))


def of_sympy(kind, *parts):
    if kind == "entry":
        return sp.Function(parts[0])(sp.expand(parts[1]))
    return sp.Symbol(parts[0]) if kind == "symbol" else sp.Rational(parts[0].numerator, parts[0].denominator)


def at_points(seed):
    """Values of symbols by name, and of entries by where they are read."""

    def leaf(kind, *parts):
        if kind == "number":
            return Fraction(parts[0])
        parts = [part if isinstance(part, str) else Fraction(part) for part in parts]
        return Fraction(random.Random(f"{seed} {kind} {parts}").randrange(-9, 9) or 5, 7)  # noqa: S311 # as above

    return leaf


def value(p, leaf):
    """A polynomial at a point."""
    return sum(c * prod((part(a, leaf) ** e for a, e in monomial), start=Fraction(1)) for monomial, c in p.items)


def part(a, leaf):
    return leaf("entry", a[1], value(a[2][0], leaf)) if a[0] == "entry" else leaf("symbol", a[1]) if a[0] == "symbol" else value(a[1], leaf)


def in_sympy(p):
    return sp.Add(*(sp.Rational(c) * sp.Mul(*(in_sympy_atom(a) ** e for a, e in monomial)) for monomial, c in p.items))


def in_sympy_atom(a):
    return of_sympy("entry", a[1], in_sympy(a[2][0])) if a[0] == "entry" else sp.Symbol(a[1])


@given(trees())
def test_a_polynomial_is_what_sympy_expands(tree):
    assert sp.expand(in_sympy(build(tree, polynomial)) - build(tree, of_sympy)) == 0


@given(trees(), trees())
def test_polynomials_are_equal_where_sympy_says_so(left, right):
    p, q = build(left, polynomial), build(right, polynomial)
    assert (p == q) == (sp.expand(in_sympy(p) - in_sympy(q)) == 0)
    assert p + q == q + p and p * q == q * p and (p - q) + q == p and p * (q + p) == p * q + p**2


@given(trees(), st.integers(0, 99))
def test_a_polynomial_has_the_value_of_its_expression(tree, seed):
    leaf = at_points(seed)
    assert value(build(tree, polynomial), leaf) == build(tree, leaf)


@given(trees(), st.dictionaries(SYMBOLS, trees(2)), st.integers(0, 99))
def test_substitution_is_evaluation_elsewhere(tree, values, seed):
    leaf = at_points(seed)
    moved = {name: build(t, polynomial) for name, t in values.items()}

    def there(kind, *parts):
        return value(moved[parts[0]], leaf) if kind == "symbol" and parts[0] in moved else leaf(kind, *parts)

    assert value(build(tree, polynomial).substitute(moved), leaf) == build(tree, there)


@given(trees(), SYMBOLS, trees(2), st.integers(0, 99))
def test_an_entry_is_replaced_wherever_it_is(tree, name, instead, seed):
    leaf, new = at_points(seed), build(instead, polynomial)
    p, old = build(tree, polynomial), ("entry", "x", (symbol(name),))

    def there(p):
        return sum(c * prod((inner(a) ** e for a, e in monomial), start=Fraction(1)) for monomial, c in p.items)

    def inner(a):
        return value(new, leaf) if a == old else leaf("entry", a[1], there(a[2][0])) if a[0] == "entry" else leaf("symbol", a[1])

    assert value(p.replace({old: new}), leaf) == there(p)


def powers(p, exponents, name):
    """A product of powers, roots and functions of a polynomial."""
    return prod((p**e for e in exponents), start=ONE) + atom("call", name, (p, p + ONE)) * p


@given(trees(), st.lists(st.sampled_from([-2, -1, 0, 1, 2, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2)]), max_size=3), st.sampled_from(["exp", "is_zero"]))
def test_what_is_written_is_read_again(tree, exponents, name):
    p = build(tree, polynomial)
    assert parse(str(p)) == p
    if p != ZERO:
        q = powers(p, exponents, name)
        assert parse(str(q)) == q


@given(trees(), st.sampled_from([-3, -2, -1, Fraction(1, 2), Fraction(-1, 2)]), st.integers(0, 99))
def test_powers_are_powers(tree, exponent, seed):
    p = build(tree, polynomial)
    if p == ZERO or (exponent == Fraction(-1, 2) and len(p.items) == 1):
        return
    one = p**exponent
    if isinstance(exponent, int):
        point = value(p, at_points(seed))
        if point:
            assert value(one, at_points(seed)) == point**exponent
    else:
        assert one * one == p ** int(2 * exponent)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_a_condition_is_its_square(power):
    holds = atom("call", "is_zero", (symbol("a"),))
    assert holds**power == holds
    assert (holds + ONE) ** power == holds * number(2**power - 1) + ONE
    assert Polynomial(holds.items) * holds == holds
