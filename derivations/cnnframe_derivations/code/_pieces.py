"""From a term to a piece that can be scheduled: which index names the output, which reads need zeros around them.

A guard goes only if it follows from what else is known, with multipliers that the checker has looked at. What
does not follow is realised by zeros around an array that is read, or by cropping what is scattered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp

from cnnframe import FormulaError

from .. import _terms
from ..proofs import _kernel
from ..proofs._arithmetic import why_at_least_0
from ..proofs._polynomial import ONE, ZERO, Polynomial, atom, symbol
from ..proofs._statement import Box, Refused, Term, Theorem, Theory
from ..proofs._translate import Names, Translator, name_indices

FACTOR = "factor"
INDEX = "index"
"""Stands for the array whose entries are 0, 1, 2, ...: an index that a body uses as a number."""


class CodeError(FormulaError):
    """A gradient that cannot be written as NumPy code; the message names the gradient and the guard."""


@dataclass(frozen=True)
class Read:
    """array[at]."""

    array: str
    at: tuple[Polynomial, ...]


@dataclass(frozen=True)
class Factor:
    """One factor of a body: a scalar expression in which a symbol stands for each entry that is read."""

    template: Any
    reads: tuple[tuple[Any, Read], ...]


@dataclass(frozen=True)
class Piece:
    """A term, ready for code.

    Attributes:
        free: the output's indices with sizes.
        loops: every other index, and those of the output that nothing else names, with sizes.
        named: indices of the output that are sums of others.
        crops: those of them that reach beyond the output.
        scalars: factors without arrays, as expressions.
        counts: factors that are sizes.
        factors: all other factors.
        pads: pairs (array read, axis) that need zeros around them.
    """

    free: Box
    loops: Mapping[str, Polynomial]
    named: Mapping[str, Polynomial]
    crops: frozenset[str]
    scalars: tuple[Any, ...]
    counts: tuple[Polynomial, ...]
    factors: tuple[Factor, ...]
    pads: frozenset[tuple[Read, int]]

    @property
    def scattered(self) -> list[str]:
        """Output indices that several others add up to, with gaps or overlaps."""
        return [v for v, e in self.named.items() if radix(e, self.loops, dict(self.free)[v]) is None]


@dataclass
class Rules:
    """What holds for all sizes, and the shape of every array."""

    theory: Theory
    shapes: Mapping[str, tuple[Polynomial, ...]]
    translate: Translator
    reserved: Collection[str]
    hypers: Collection[str]
    _signs: dict[Polynomial, bool] = field(default_factory=dict)

    def at_least_0(self, c: Polynomial) -> bool:
        """Whether something made of sizes is at least 0."""
        if c not in self._signs:
            self._signs[c] = follows(self.theory.assume, (), c)
        return self._signs[c]

    def affine(self, e: Polynomial, loops: Collection[str]) -> tuple[Polynomial, dict[str, Polynomial]]:
        """Offset and the factor of each index.

        Raises:
            CodeError: it is no such sum.
        """
        offset, factors = e, {}
        for v in sorted(e.symbols() & set(loops)):
            factors[v] = e.substitute({v: symbol(v) + ONE}) - e
            offset = offset.substitute({v: ZERO})
        if any(factor.symbols() & set(loops) for factor in factors.values()):
            raise CodeError(f"the index {e} is no sum of multiples of indices")
        return offset, factors

    def extremes(self, e: Polynomial, loops: Mapping[str, Polynomial]) -> tuple[Polynomial, Polynomial]:
        """The least and the largest value over all loops."""
        low, factors = self.affine(e, loops)
        high = low
        for v, factor in factors.items():
            if self.at_least_0(factor):
                high += factor * (loops[v] - ONE)
            elif self.at_least_0(-factor):
                low += factor * (loops[v] - ONE)
            else:
                raise CodeError(f"the sign of {factor}, by which {v} is multiplied in the index {e}, depends on the sizes")
        return low, high


def follows(ge: Iterable[Polynomial], eq: Iterable[Polynomial], goal: Polynomial) -> bool:
    """Whether goal >= 0 is shown by multipliers, which the checker has looked at."""
    known, equations = tuple(ge), tuple(eq)
    proof = why_at_least_0(known, equations, goal)
    if proof is None:
        return False
    try:
        _kernel.at_least_0(known, equations, goal, proof)
    except Refused:
        return False
    return True


def pieces(rules: Rules, definition: _terms.Definition, schedule: str) -> list[Piece]:
    """The pieces of a definition by one schedule.

    Raises:
        CodeError: a guard can be realised neither by zeros nor by cropping.
    """
    names = name_indices(definition.index, rules.reserved)
    free = rules.translate.box(definition.box, names)
    theorem = Theorem(rules.theory, free, (), ())
    found = []
    for term in definition.terms:
        opaque, factors, scalars = _opaque(rules, term, names)
        whole = _settle(rules, theorem, opaque, schedule, definition.name)
        found.append(_piece(rules, theorem, whole, factors, scalars, definition.name))
    return found


def _opaque(rules: Rules, term: _terms.Term, outer: Names) -> tuple[Term, list[Any], list[Any]]:
    """The term with each factor of its body as an unknown function of entries, then the functions, then factors without arrays."""
    names = {**outer, **name_indices([index for index, _ in term.bound], {*rules.reserved, *outer.values()})}
    read = rules.translate.polynomial
    templates: list[Any] = []
    scalars: list[Any] = []
    body = ONE
    for factor in sp.Mul.make_args(sp.sympify(term.body)):
        entries = sorted(factor.atoms(sp.Indexed), key=str)
        outside = factor.xreplace({entry: sp.Dummy() for entry in entries})
        indices = sorted((s for s in outside.free_symbols if s in names), key=str)
        if not entries and not indices:
            scalars.append(factor)
            continue
        stand_in = {part: sp.Dummy(f"r{k}", real=True) for k, part in enumerate([*entries, *indices])}
        arguments = [atom("entry", str(e.base.label), tuple(read(i, names) for i in e.indices)) for e in entries]
        arguments += [atom("entry", f"{INDEX} {names[i]}", (symbol(names[i]),)) for i in indices]
        body *= atom("call", f"{FACTOR}{len(templates)}", tuple(arguments))
        templates.append((factor.xreplace(stand_in), list(stand_in.values())))
    ge, eq = (tuple(read(sp.sympify(c), names) for c in conditions) for conditions in (term.ge, term.eq))
    return Term(rules.translate.box(term.bound, names), ge, eq, body), templates, scalars


def _unit(c: Polynomial, v: str) -> bool:
    return v in c.symbols() and c.substitute({v: symbol(v) + ONE}) - c in (ONE, -ONE)


def _settle(rules: Rules, theorem: Theorem, t: Term, schedule: str, who: str) -> Term:
    """Solve equations for summation indices: wherever the range that is left behind follows, and, to gather, wherever one can."""
    t = _solve_freely(theorem, t)
    if schedule == "gather":
        while True:
            place = next((k for k, c in enumerate(t.eq) if not _radix_equation(theorem, t, c)), None)
            if place is None:
                break
            bound = [v for v, size in t.bound if _unit(t.eq[place], v)]
            if not bound:
                raise CodeError(f"{who}: {t.eq[place]} = 0 cannot be solved for an index that is summed over")
            # Positions rather than taps, whose number a hyperparameter gives.
            v = min(bound, key=lambda v: dict(t.bound)[v].symbols() <= set(rules.hypers))
            (t,) = _kernel.eliminate(theorem, t, {"symbol": v, "eq": place})
            t = _solve_freely(theorem, t)
    return t


def _solve_freely(theorem: Theorem, t: Term) -> Term:
    while True:
        step = next(_free_steps(theorem, t), None)
        if step is None:
            return t
        t = step


def _free_steps(theorem: Theorem, t: Term) -> Iterator[Term]:
    for place, c in enumerate(t.eq):
        for v, _ in t.bound:
            if _unit(c, v):
                (solved,) = _kernel.eliminate(theorem, t, {"symbol": v, "eq": place})
                *ge, low, high = solved.ge
                rest = replace(solved, ge=tuple(ge))
                known = theorem.known(rest)
                if follows(known, rest.eq, low) and follows(known, rest.eq, high):
                    yield rest
    for v, size in t.bound:
        if size == ONE:
            zero = replace(t, bound=tuple(pair for pair in t.bound if pair[0] != v))
            yield zero.substitute({v: ZERO})


def _radix_equation(theorem: Theorem, t: Term, c: Polynomial) -> bool:
    """Whether an equation lays several indices out along one of the output, without gaps or overlaps."""
    return any(_unit(c, p) and radix(_value(c, p), dict(t.bound), size) is not None for p, size in theorem.free)


def _value(c: Polynomial, v: str) -> Polynomial:
    return symbol(v) - c * (c.substitute({v: symbol(v) + ONE}) - c)


def radix(e: Polynomial, loops: Mapping[str, Polynomial], size: Polynomial) -> list[str] | None:
    """The indices in order, if e counts through them like the digits of a number, from 0 to size - 1."""
    order: list[str] = []
    step, rest = ONE, e
    while rest != ZERO:
        v = next((v for v in sorted(rest.symbols() & set(loops)) if rest.substitute({v: symbol(v) + ONE}) - rest == step and v not in order), None)
        if v is None:
            return None
        rest -= step * symbol(v)
        step *= loops[v]
        order.insert(0, v)
    return order if step == size and len(order) > 1 else None


def _piece(rules: Rules, theorem: Theorem, t: Term, templates: Sequence[Any], scalars: Sequence[Any], who: str) -> Piece:
    named: dict[str, Polynomial] = {}
    t = t.substitute({p: ZERO for p, size in theorem.free if size == ONE})
    t = replace(t, eq=tuple(c for c in t.eq if c != ZERO))
    while t.eq:
        c = t.eq[0]
        p = next((p for p, _ in theorem.free if p not in named and _unit(c, p)), None)
        if p is None:
            raise CodeError(f"{who}: {c} = 0 names no index of the gradient")
        named[p] = _value(c, p)
        rest = Term(t.bound, t.ge, t.eq[1:], t.body).substitute({p: named[p]})
        named = {v: e.substitute({p: named[p]}) for v, e in named.items()}
        t = rest
    if twice := next((p for p, e in named.items() if e.symbols() & {v for v, _ in theorem.free}), None):
        raise CodeError(f"{who}: only the entries where {twice} = {named[twice]} get something, a diagonal, which no schedule writes")
    counts = []
    free = {v: size for v, size in theorem.free if v not in named}
    for v, size in t.bound:
        parts = (*t.ge, *named.values(), t.body, *(n for _, n in t.bound))
        if not any(v in part.symbols() for part in parts):
            counts.append(size)
            t = replace(t, bound=tuple(pair for pair in t.bound if pair[0] != v))
    loops = {**free, **dict(t.bound)}
    box = [c for v, size in loops.items() for c in (symbol(v), size - ONE - symbol(v))]
    known = [*box, *rules.theory.assume]
    factors = _factors(t.body, templates)
    reads = [read for factor in factors for _, read in factor.reads if not read.array.startswith(INDEX)]
    pads = {
        (read, axis)
        for read in reads
        for axis, (e, size) in enumerate(zip(read.at, rules.shapes[read.array], strict=True))
        if not (follows(known, (), e) and follows(known, (), size - ONE - e))
    }
    sizes = dict(theorem.free)
    crops = {v for v, e in named.items() if not (follows(known, (), e) and follows(known, (), sizes[v] - ONE - e))}
    realised = [c for read, axis in pads for c in (read.at[axis], rules.shapes[read.array][axis] - ONE - read.at[axis])]
    realised += [c for v in crops for c in (named[v], sizes[v] - ONE - named[v])]
    for guard in t.ge:
        if guard not in realised and not follows([*known, *realised], (), guard):
            raise CodeError(f"{who}: the guard {guard} >= 0 does not follow, and neither zeros around an array nor cropping realise it")
    plain = {read for factor in factors for _, read in factor.reads if len(factor.reads) == 1 and factor.template.is_Symbol}
    if beyond := next((read for read, _ in pads if read not in plain), None):
        raise CodeError(f"{who}: {beyond.array}[{', '.join(map(str, beyond.at))}] reaches beyond the array within a function")
    return Piece(theorem.free, loops, named, frozenset(crops), tuple(scalars), tuple(counts), factors, frozenset(pads))


def _factors(body: Polynomial, templates: Sequence[Any]) -> tuple[Factor, ...]:
    found = []
    for (_, name, parts), _ in body.items[0][0]:
        template, symbols = templates[int(name.removeprefix(FACTOR))]
        entries = [part.items[0][0][0][0] for part in parts]
        found.append(Factor(template, tuple((s, Read(e[1], e[2])) for s, e in zip(symbols, entries, strict=True))))
    return tuple(found)
