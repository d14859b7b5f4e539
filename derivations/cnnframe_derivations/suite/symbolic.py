"""The author's own code, run on symbols: backward equals the derivative of forward, for all values at a shape.

Forward and backward are called with arrays of symbols, and <cotangents, forward> is differentiated. What is left
after subtracting what backward gave must vanish in a normal form. Where the code compares values, the case's decide,
and the answer holds for all values that are compared alike. Nothing is refuted by a normal form alone: interval
arithmetic must find another value than 0 at the case, SymPy's derivative of the same forward must agree with ours,
and the code must do with numbers what it did with symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from cnnframe import _call as core
from cnnframe._declaration import UNIT_INTERVAL

from ._bench import Bench, Check
from ._box import Box
from ._calls import quiet
from ._cases import Case
from ._coverage import features
from ._ring import ONE, ZERO, Domain, Ring, Terms, value_of
from ._scalar import Scalar, symbols
from ._values import fill
from ._verdict import Drawn, Evidence, Finding, OraclesDisagree, Refutation, Skip

KIND = "symbolic"

MOST_SYMBOLS = 64
"""A case with more entries in all is not tried."""

CONFIRMED = 3
"""Terms of one case whose derivative SymPy takes too; it takes longer than all the rest."""

DIGITS = 50


MOST_ENTRIES = 12
"""Arrays of the cases that are chosen have no more."""

CHOICE = 5
"""Out of how many tiny cases each is chosen; while there are fewer, more of the small box is listed."""


def gather(bench: Bench, evidence: Evidence) -> None:
    """Judge a few tiny cases that show as many awkward settings as they can."""
    waiting = [case for case in (*bench.box, *bench.drawn) if _tiny(case)]
    if len(waiting) < CHOICE * bench.budget[KIND]:
        waiting += [case for case in Box(bench.cls).spread(3 * bench.budget["box"]) if _tiny(case)]
    seen: set[str] = set()
    chosen = []
    for _ in range(min(bench.budget[KIND], len(waiting))):
        best = max(range(len(waiting)), key=lambda number: len(set(features(waiting[number])) - seen))
        chosen.append(waiting.pop(best))
        seen |= set(features(chosen[-1]))
    bench.judge(CHECK, chosen, evidence)
    if not evidence.checks:
        evidence.absent = f"the code does not take symbols: {', '.join(evidence.skipped)}" if evidence.skipped else "no case is small enough"


def _tiny(case: Case) -> bool:
    sizes = [math.prod(shape) for shape in (*case.shapes.values(), *case.outputs.values())]
    return max(sizes) <= MOST_ENTRIES and min(sizes) > 0 and sum(sizes) <= MOST_SYMBOLS


def check(case: Case, evidence: Evidence) -> None:
    """Compare the gradients of every input and parameter, entry by entry.

    Raises:
        Refutation: an entry differs from the derivative.
        Skip: the code does not take symbols, or the answer is not decided.
    """
    for positive in (False, True):
        values, cotangents = _values(case, positive=positive)
        try:
            _judge(case, values, cotangents, evidence)
        except Domain:
            if positive:
                raise
        else:
            return


CHECK = Check(lambda oracle, evidence: check(oracle.case, evidence))


def _judge(case: Case, values: Mapping[str, Any], cotangents: Mapping[str, Any], evidence: Evidence) -> None:
    run = _run(case, values, cotangents, Ring())
    run.require_numbers()
    if not any(held.size for held in run.entries.values()):
        raise Skip("there are no entries to differentiate by")
    if not evidence.compared:
        run.confirm_one()
    left = list(run.differences())
    rounded = bool(left) and run.ring.inexact
    if rounded:
        # Python rounds 2 / 3 and a * b before we see them; read once more, each constant stands for all that it may have been.
        run = _run(case, values, cotangents, Ring(near=True))
        left = list(run.differences())
    for name, entry in left:
        run.refute(name, entry)
    if left:
        raise Skip("a difference was neither shown to vanish nor to be other than 0")
    scope = "for all values of the branch" if run.ring.branches else "for all values"
    if run.ring.branches:
        _note(evidence, "comparisons of values went as they do at the case's: the answer holds for all values that compare alike")
    if rounded:
        _note(evidence, "constants with more digits than a short fraction were taken for rounded, and equal within that")
    for name in case.op.declaration.differentiable:
        if values[name].size:
            evidence.passed(f"gradient of {name!r} ({scope})")


def _note(evidence: Evidence, text: str) -> None:
    if text not in evidence.notes:
        evidence.notes.append(text)


def _values(case: Case, *, positive: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers for arguments and cotangents, short binary fractions without ties."""
    arrays = {}
    for position, (name, shape) in enumerate(case.shapes.items()):
        rng = np.random.default_rng([case.seed, position])
        declared = case.op.declaration.values.get(name)
        if declared is not None and not isinstance(declared, str):
            arrays[name] = rng.integers(0, declared(case.known), shape)
        elif declared == UNIT_INTERVAL:
            arrays[name] = (2 * rng.integers(0, 8, shape) + 1) / 16
        else:
            arrays[name] = _apart(rng, shape, position, positive=positive)
    cotangents = {
        name: _apart(np.random.default_rng([case.seed, 1000 + position]), shape, len(arrays) + position, positive=False)
        for position, (name, shape) in enumerate(case.outputs.items())
    }
    count = sum(value.size for value in [*arrays.values(), *cotangents.values()])
    if count > MOST_SYMBOLS:
        raise Skip("the case is too large for symbols")
    return arrays, cotangents


def _apart(rng: np.random.Generator, shape: tuple[int, ...], position: int, *, positive: bool) -> Any:
    """Values within 2 of 0, with gaps between them, and between arrays."""
    values = np.asarray(fill("apart", rng, shape, 0), dtype=np.float64)
    step = 2.0 ** -(values.size + 1).bit_length()
    return np.asarray((np.abs(values) + step * (values < 0) if positive else values) + step * (position + 1) / 16)


@dataclass(frozen=True)
class _Run:
    """What one run of the code on symbols gave.

    Attributes:
        case: the case.
        ring: where the expressions are.
        numbers: values of arguments and cotangents by name, the latter with "d" before it.
        entries: for each input and parameter the symbols of its entries.
        outputs: expressions and values of all outputs' entries.
        gradients: expressions and values of the entries of each gradient.
        loss: <cotangents, forward>.
        slopes: its derivatives by symbol.
    """

    case: Case
    ring: Ring
    numbers: Mapping[str, Any]
    entries: Mapping[str, Any]
    outputs: Mapping[str, Any]
    gradients: Mapping[str, Any]
    loss: Terms
    slopes: Mapping[int, Terms]

    def require_numbers(self) -> None:
        """Refuse a run that did with symbols what the code does not do with numbers."""
        arrays = {name: self.numbers[name].copy() for name in self.case.shapes}
        cotangents = {name: self.numbers[f"d{name}"].copy() for name in self.case.outputs}
        outputs, gradients = _call(self.case, arrays, cotangents)
        for found, wanted in [(self.outputs, outputs), (self.gradients, gradients)]:
            for name, held in found.items():
                values = np.reshape([scalar.value for scalar in held.ravel()], held.shape)
                with np.errstate(all="ignore"):
                    scale = 1.0 + np.max(np.abs(values), initial=0.0)
                    if not np.all(np.abs(values - wanted[name]) <= 1e-6 * scale):
                        raise Skip("the code does other things with symbols than with numbers")

    def derivative(self, name: str, entry: tuple[int, ...]) -> Terms:
        """Of <cotangents, forward> with respect to one entry."""
        return self.slopes.get(self.entries[name][entry], ZERO)

    def differences(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The entries whose gradient was not shown to be the derivative."""
        for name, held in self.gradients.items():
            for entry in np.ndindex(held.shape):
                difference = self.ring.add(self.derivative(name, entry), self.ring.scale(held[entry].terms, -1))
                if not self.ring.vanishes(difference):
                    yield name, entry

    def confirm_one(self) -> None:
        """Compare our derivative of a few terms of forward with SymPy's: that of the rest follows the same rules."""
        places = [(name, entry) for name, held in self.entries.items() for entry in np.ndindex(held.shape)]
        name, entry = places[self.case.seed % len(places)]
        symbol = int(self.entries[name][entry])
        terms = dict(list(self._with(self.loss, symbol).items())[-CONFIRMED:])
        theirs = _Reader(self.ring)(sp.diff(self.sympy(terms), self._symbol(name, entry)))
        ours = self.ring.gradient(terms).get(symbol, ZERO)
        difference = self.ring.add(theirs, self.ring.scale(ours, -1))
        if 0 not in self.ring.interval(difference):
            raise OraclesDisagree(f"SymPy's derivative by {name}{list(entry)} is not ours; case {self.case.replay}")

    def _with(self, terms: Terms, symbol: int) -> Terms:
        """The terms that a symbol occurs in."""
        ring = self.ring
        return {m: c for m, c in terms.items() if any(symbol in ring.atoms[a].symbols for a, _ in ring.monomials[m])}

    def _symbol(self, name: str, entry: tuple[int, ...]) -> Any:
        return _Writer(self.ring).atom(self.entries[name][entry])

    def sympy(self, terms: Terms) -> Any:
        """The expression as SymPy has it."""
        return _Writer(self.ring)(terms)

    def refute(self, name: str, entry: tuple[int, ...]) -> None:
        """Raise a refutation if the gradient is not the derivative at the case's values."""
        ours, theirs = self.derivative(name, entry), self.gradients[name][entry].terms
        difference = self.ring.interval(self.ring.add(ours, self.ring.scale(theirs, -1)))
        if 0 in difference:
            return
        slope = sp.diff(self.sympy(self._with(self.loss, self.entries[name][entry])), self._symbol(name, entry))
        at = {_Writer(self.ring).atom(a): sp.Rational(*float(atom.value).as_integer_ratio()) for a, atom in enumerate(self.ring.atoms) if atom.kind == "symbol"}
        wanted = sp.N(slope.subs(at), DIGITS)
        if abs(float(wanted) - self.ring.value(ours)) > 1e-6 * (1 + abs(float(wanted))):
            raise OraclesDisagree(f"SymPy's derivative by {name}{list(entry)} is not ours; case {self.case.replay}")
        self._raise(name, entry, float(wanted), self.sympy(ours))

    def _raise(self, name: str, entry: tuple[int, ...], wanted: float, slope: Any) -> None:
        got = self.gradients[name]
        place = f"{name}{list(entry)}" if entry else name
        where = f"entry {entry} of the gradient of {name!r}" if entry else f"the gradient of {name!r}"
        came = f"backward gives {_short(self.sympy(got[entry].terms))}"
        more = f"which is more by {_short(self.sympy(self.ring.add(got[entry].terms, self.ring.scale(self.derivative(name, entry), -1))))}"
        arrays = {n: self.numbers[n] for n in self.case.shapes}
        cotangents = {n: self.numbers[f"d{n}"] for n in self.case.outputs}
        expected = [self.ring.value(self.derivative(name, e)) for e in np.ndindex(got.shape)]
        drawn = [
            *(Drawn(n, np.shape(v), tuple(map(float, np.ravel(v))), entry if n == name else None) for n, v in self.numbers.items()),
            Drawn("expected", got.shape, tuple(expected), entry),
            Drawn("got", got.shape, tuple(s.value for s in got.ravel()), entry),
        ]
        lines = (*self.case.lines(arrays, cotangents), f"the derivative of <dy, forward> by {place} is {_short(slope)}", came, more)
        what = f"{where} must be {wanted:.17g}; got {got[entry].value:.17g}"
        scope = "all values that compare alike" if self.ring.branches else "all values"
        certificate = f"forward and backward, run on symbols, give two expressions for {scope}, which differ at these ({DIGITS} digits, SymPy's derivative)"
        raise Refutation(Finding(KIND, what, lines, self.case.replay, certificate, tuple(drawn)))


def _run(case: Case, values: Mapping[str, Any], cotangents: Mapping[str, Any], ring: Ring) -> _Run:
    arrays = {name: symbols(ring, name, value) if value.dtype.kind == "f" else value for name, value in values.items()}
    weights = {name: symbols(ring, f"d{name}", value) for name, value in cotangents.items()}
    outputs, gradients = _call(case, arrays, weights)
    names = case.op.declaration.differentiable
    outputs = {name: _scalars(ring, outputs[name], shape) for name, shape in case.outputs.items()}
    gradients = {name: _scalars(ring, gradients[name], case.shapes[name]) for name in names}
    loss = ZERO
    for name, held in outputs.items():
        for weight, scalar in zip(weights[name].ravel(), held.ravel(), strict=True):
            loss = ring.add(loss, ring.multiply(weight.terms, scalar.terms))
    numbers = {**values, **{f"d{name}": value for name, value in cotangents.items()}}
    entries = {name: np.vectorize(_number_of, otypes=[int])(arrays[name]) if arrays[name].size else np.zeros(arrays[name].shape, int) for name in names}
    return _Run(case, ring, numbers, entries, outputs, gradients, loss, ring.gradient(loss))


def _number_of(scalar: Scalar) -> int:
    return scalar.ring.monomials[next(iter(scalar.terms))][0][0]


def _call(case: Case, arrays: Mapping[str, Any], cotangents: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Outputs and gradients; whatever the code raises is for other kinds of evidence to judge."""
    names = frozenset(case.op.declaration.differentiable)
    try:
        with quiet():
            outputs, saved = core.forward(case.op, arrays)
            return outputs, core.backward(case.op, cotangents, saved, names, {name: case.shapes[name] for name in names})
    except Skip:
        raise
    except (Exception, SystemExit) as error:
        text = str(error).partition("\n")[0]
        raise Skip(f"the code does not take symbols: {type(error).__name__}: {text[:120]}") from error


def _scalars(ring: Ring, answer: Any, shape: tuple[int, ...]) -> Any:
    """What the code returned as an array of scalars; plain numbers in it are constants."""
    given = np.empty((), object)
    if isinstance(answer, Scalar):
        given[()] = answer
    else:
        given = np.asarray(answer, dtype=object)
    if given.shape != shape:
        raise Skip("the code returns another shape with symbols")
    found = np.empty(shape, object)
    for at in np.ndindex(shape):
        value = given[at]
        if not isinstance(value, Scalar):
            try:
                c = ring.constant(value)
            except TypeError as error:
                raise Skip("the code returns what is neither a symbol nor a number") from error
            value = Scalar(ring, ring.scale(ONE, c), float(value))
        found[at] = value
    return found


@dataclass(frozen=True)
class _Writer:
    """Expressions in SymPy's terms."""

    ring: Ring

    def __call__(self, terms: Terms) -> Any:
        return sp.Add(*(sp.Mul(_number(value_of(c)), *(self._power(a, e) for a, e in self.ring.monomials[m])) for m, c in terms.items()))

    def atom(self, a: int) -> Any:
        """One atom."""
        atom = self.ring.atoms[a]
        if atom.kind == "symbol":
            return sp.Symbol(atom.name)
        inside = self(atom.of)
        return sp.exp(inside) if atom.kind == "exp" else sp.log(inside) if atom.kind == "log" else inside

    def _power(self, a: int, e: Any) -> Any:
        if self.ring.atoms[a].kind == "exp":
            return sp.exp(_number(e) * self(self.ring.atoms[a].of))
        return sp.Pow(self.atom(a), _number(e))


def _number(value: Any) -> Any:
    return sp.Integer(value) if isinstance(value, int) else sp.Rational(value.numerator, value.denominator)


@dataclass(frozen=True)
class _Reader:
    """SymPy's expressions in ours."""

    ring: Ring

    def __call__(self, expression: Any) -> Terms:
        ring = self.ring
        if expression.is_Rational:
            c = ring.constant(_fraction(expression))
            return ring.scale(ONE, c)
        if expression.is_Symbol:
            return ring.single(next(a for a, atom in enumerate(ring.atoms) if atom.name == expression.name))
        parts = [self(part) for part in expression.args]
        made: dict[Any, Callable[..., Terms]] = {sp.exp: ring.exp, sp.log: ring.log}
        if expression.func in made:
            return made[expression.func](*parts)
        if expression.is_Pow:
            return ring.power(parts[0], ring.constant(_fraction(expression.exp)))
        found = parts[0]
        for part in parts[1:]:
            found = ring.add(found, part) if expression.is_Add else ring.multiply(found, part)
        return found


def _fraction(number: Any) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _short(expression: Any) -> str:
    """An expression on one line, with decimals for long fractions."""
    long = {r: sp.Float(r, 6) for r in expression.atoms(sp.Rational) if r.q > 10**4}
    text = str(expression.xreplace(long))
    return text if len(text) <= 120 else text[:117] + "..."
