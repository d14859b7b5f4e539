"""From SymPy's expressions, as formulas and derivatives are written, to the checker's polynomials and terms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import count
from typing import Any

import sympy as sp

from cnnframe import FormulaError
from cnnframe._symbols import Logistic, Softplus

from .. import _terms
from ._polynomial import CONDITION, LARGEST, ONE, ZERO, Polynomial, atom, number, symbol
from ._statement import Definition, Term

Names = Mapping[Any, str]
NAMES = {Logistic: "logistic", Softplus: "softplus", sp.Abs: "abs"}
"""Functions that are written otherwise than their classes; "pow" is x^y where y is no number."""
OURS = ("sympy", "cnnframe", "cnnframe_derivations")
"""The packages whose functions are taken to have the derivatives that they say."""


class Translator:
    """Translates with one set of symbols; quotients that are rounded down become symbols with bounds of their own.

    Attributes:
        sizes: symbols of sizes and hyperparameters; no other may occur, but for indices.
        quotients: name of the symbol for floor(a / b) to the pair of polynomials a, b.
    """

    def __init__(self, sizes: Collection[Any]) -> None:
        self.sizes = sizes
        self.functions: dict[str, Any] = {}
        self.quotients: dict[str, tuple[Polynomial, Polynomial]] = {}

    def polynomial(self, expression: Any, names: Names) -> Polynomial:
        """The polynomial of a scalar expression; `names` are those of its indices.

        Raises:
            FormulaError: something has no meaning in a proof.
        """
        return self._read(sp.sympify(expression), names)

    def _read(self, e: Any, names: Names) -> Polynomial:
        if e in names:
            return symbol(names[e])
        if e.is_Number:
            if not e.is_finite:
                raise FormulaError(f"{e} is no number that a proof can hold")
            return number(sp.Rational(e).p) * number(sp.Rational(e).q) ** -1
        if e.is_Symbol:
            return self._symbol(e)
        if e.is_Add:
            return sum((self._read(part, names) for part in e.args), ZERO)
        if e.is_Mul:
            return reduce(Polynomial.__mul__, (self._read(part, names) for part in e.args), ONE)
        if e.is_Pow:
            base, exponent = (self._read(part, names) for part in e.args)
            return self._power(base, exponent)
        if isinstance(e, sp.Indexed):
            return atom("entry", str(e.base.label), tuple(self._read(i, names) for i in e.indices))
        return self._function(e, names)

    def _power(self, base: Polynomial, exponent: Polynomial) -> Polynomial:
        """base^exponent; x^(p + 2) is x^p x^2."""
        whole = dict(exponent.items).get((), 0)
        rest = exponent - number(whole)
        if abs(whole) > LARGEST:
            raise FormulaError(f"the exponent {exponent} is larger than {LARGEST}")
        return base**whole if not rest.items else atom("call", "pow", (base, rest)) * base**whole

    def _function(self, e: Any, names: Names) -> Polynomial:
        if isinstance(e, sp.Piecewise):
            return self._piecewise(e.args, names)
        if isinstance(e, sp.logic.boolalg.Boolean):
            return self._condition(e, names)
        if isinstance(e, sp.floor):
            return self._quotient(e.args[0], names)
        if isinstance(e, sp.Function) and not type(e).__name__.startswith(CONDITION):
            return atom("call", self._called(type(e)), tuple(self._read(part, names) for part in e.args))
        if e.is_NumberSymbol:
            return atom("call", str(e), ())
        raise FormulaError(f"{e} has no meaning in a proof")

    def _called(self, function: Any) -> str:
        """The name of a function, which no other one has here."""
        name = NAMES.get(function, function.__name__)
        if function.__module__.partition(".")[0] not in OURS:
            raise FormulaError(f"the derivative of {name} is not known to be right; write it with SymPy's functions or those of cnnframe.algebra")
        if self.functions.setdefault(name, function) != function or (name in NAMES.values() and function not in NAMES):
            raise FormulaError(f"two functions are called {name}; give one of them another name")
        return str(name)

    def _symbol(self, e: Any) -> Polynomial:
        if e not in self.sizes:
            raise FormulaError(f"{e} is neither an index that is summed over, nor a size, nor a hyperparameter")
        return symbol(e.name)

    def _quotient(self, e: Any, names: Names) -> Polynomial:
        above, below = (self._read(part, names) for part in sp.fraction(sp.together(e)))
        for name, pair in self.quotients.items():
            if pair == (above, below):
                return symbol(name)
        name = next(free for k in count(len(self.quotients)) if (free := f"quotient{k}") not in {s.name for s in self.sizes})
        self.quotients[name] = (above, below)
        return symbol(name)

    def _piecewise(self, pieces: Iterable[Any], names: Names) -> Polynomial:
        """The sum of value times [condition and none before]: values are taken to be finite where they do not count."""
        pieces = list(pieces)
        if pieces[-1][1] != sp.true:
            raise FormulaError("a value is not said for every case; end the cases with one that holds otherwise")
        total, left = ZERO, ONE
        for value, condition in pieces:
            holds = self._condition(condition, names)
            total += left * holds * self._read(value, names)
            left *= ONE - holds
        return total

    def _condition(self, e: Any, names: Names) -> Polynomial:
        """1 where a condition on values holds and 0 elsewhere."""
        if e in (sp.true, sp.false):
            return ONE if e is sp.true or e == sp.true else ZERO
        if isinstance(e, sp.And):
            product = ONE
            for part in e.args:
                product *= self._condition(part, names)
            return product
        if isinstance(e, sp.Or):
            return ONE - self._condition(sp.And(*(sp.Not(part) for part in e.args)), names)
        if isinstance(e, sp.Not):
            return ONE - self._condition(e.args[0], names)
        difference = self._read(e.lhs - e.rhs, names)
        match e:
            case sp.Equality() | sp.Unequality():
                equal = indicator("zero", difference)
                return equal if isinstance(e, sp.Equality) else ONE - equal
            case sp.StrictGreaterThan() | sp.StrictLessThan():
                return indicator("positive", difference if isinstance(e, sp.StrictGreaterThan) else -difference)
            case sp.GreaterThan() | sp.LessThan():
                return ONE - indicator("positive", -difference if isinstance(e, sp.GreaterThan) else difference)
        raise FormulaError(f"{e} is no condition that a proof can hold")

    def box(self, pairs: Sequence[tuple[Any, Any]], names: Names) -> tuple[tuple[str, Polynomial], ...]:
        """Pairs (index, size)."""
        return tuple((names[index], self._read(sp.sympify(size), names)) for index, size in pairs)

    def term(self, t: _terms.Term, outer: Names, reserved: Iterable[str]) -> Term:
        """One term, within the indices `outer`; `reserved` names are not for its own."""
        names = {**outer, **name_indices([index for index, _ in t.bound], {*reserved, *outer.values()})}
        ge = tuple(self._read(sp.sympify(c), names) for c in t.ge)
        eq = tuple(self._read(sp.sympify(c), names) for c in t.eq)
        return Term(self.box(t.bound, names), ge, eq, self._read(sp.sympify(t.body), names))

    def definition(self, d: _terms.Definition, reserved: Iterable[str]) -> Definition:
        """A named array."""
        names = name_indices(d.index, reserved)
        return Definition(self.box(d.box, names), tuple(self.term(t, names, reserved) for t in d.terms))


def indicator(kind: str, difference: Polynomial) -> Polynomial:
    """1 where a value is "zero" or "positive", and 0 elsewhere; signs of a zero do not count."""
    difference = max(difference, -difference) if kind == "zero" else difference
    value = difference.number
    if value is not None:
        return ONE if (value == 0 if kind == "zero" else value > 0) else ZERO
    return atom("call", CONDITION + kind, (difference,))


def name_indices(indices: Sequence[Any], reserved: Iterable[str]) -> dict[Any, str]:
    """A name for each index: its own, with strokes where that is taken."""
    names: dict[Any, str] = {}
    taken = set(reserved)
    for index in indices:
        name = index.name
        while name in taken:
            name += "'"
        names[index] = name
        taken.add(name)
    return names
