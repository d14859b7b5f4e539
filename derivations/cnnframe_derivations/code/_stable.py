"""Intermediates that overflow although the gradient does not, said in another way.

Where a gradient keeps its value when every exp(c) of a column is divided by one number, it may be divided by the
exponential of the column's maximum: then no exponential exceeds 1. Whether it keeps its value is read off the
terms: each factor exp(c), and each sum of such, counts as one power of the column's number, and the powers in every
product must add up to what its own array has, and to none in the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from .._terms import Definition

PEAK = "peak_"
Weight = dict[Any, Any]
"""Column, as (name of the exponentials, indices), to a power."""


class Varies(Exception):
    """A value depends on what the columns are divided by."""


@dataclass(frozen=True)
class Column:
    """Exponentials that are summed along some axes: name of their array, of what is raised, and the axes that are left."""

    name: str
    source: str
    kept: tuple[int, ...]
    rank: int


def columns(definitions: Mapping[str, Definition]) -> list[Column]:
    """Every array exp(c) of which some other definition is a sum."""
    found = []
    for name, d in definitions.items():
        (body,) = [t.body for t in d.terms] if len(d.terms) == 1 and not d.terms[0].bound else (None,)
        if not isinstance(body, sp.exp) or not isinstance(body.args[0], sp.Indexed) or tuple(body.args[0].indices) != d.index:
            continue
        for z in definitions.values():
            if (
                len(z.terms) == 1
                and isinstance(z.terms[0].body, sp.Indexed)
                and str(z.terms[0].body.base.label) == name
                and not (z.terms[0].ge or z.terms[0].eq)
            ):
                at, bound = z.terms[0].body.indices, {v for v, _ in z.terms[0].bound}
                kept = tuple(k for k, v in enumerate(at) if v not in bound)
                if tuple(at[k] for k in kept) == z.index[: len(kept)] and len(kept) < len(at):
                    found.append(Column(name, str(body.args[0].base.label), kept, len(at)))
                    break
    return found


def shifted(definitions: Mapping[str, Definition], roots: Iterable[str]) -> tuple[dict[str, Definition], list[Column]]:
    """The definitions with exponentials that cannot overflow, and what they are shifted by; unchanged if the gradients would not be."""
    known = {name: _named(d, definitions) for name, d in definitions.items()}
    found = []
    for column in columns(known):
        try:
            powers: dict[str, Weight] = {}
            for name, d in known.items():
                powers[name] = _definition(d, column, powers)
            if any(powers[root] for root in roots):
                raise Varies  # as from deeper down
        except Varies:
            continue
        found.append(column)
        known = {name: _logarithms(d, known, column) for name, d in known.items()}
        e = known[column.name]
        own = e.terms[0].body.args[0]
        peak = sp.IndexedBase(PEAK + column.source)[tuple(e.index[k] for k in column.kept) or (sp.Integer(0),)]
        known[column.name] = replace(e, terms=(replace(e.terms[0], body=sp.exp(own - peak)),))
    return known, found


def _named(d: Definition, definitions: Mapping[str, Definition]) -> Definition:
    """With the name of an array of exponentials in the place of exp(c)."""
    terms = []
    for t in d.terms:
        values = {}
        for call in t.body.atoms(sp.exp):
            # SymPy writes a power of exp(c) as exp(2 c).
            power, mine = call.args[0].as_coeff_Mul(rational=True)
            for e in definitions.values():
                if power.is_Integer and e.name != d.name and len(e.terms) == 1 and not e.terms[0].bound and isinstance(e.terms[0].body, sp.exp):
                    its = e.terms[0].body.args[0]
                    if isinstance(mine, sp.Indexed) and isinstance(its, sp.Indexed) and mine.base.label == its.base.label and tuple(its.indices) == e.index:
                        values[call] = sp.IndexedBase(e.name)[mine.indices] ** power
        terms.append(replace(t, body=t.body.xreplace(values)) if values else t)
    return replace(d, terms=tuple(terms))


def _definition(d: Definition, column: Column, powers: Mapping[str, Weight]) -> Weight:
    if d.name == column.name:
        return {tuple(d.index[k] for k in column.kept): 1}
    found: list[Weight] = []
    for t in d.terms:
        weight = _weight(t.body, column, powers)
        own = {}
        for eq in t.eq:
            for v, _ in t.bound:
                if eq.coeff(v, 1) in (1, -1) and v not in own:
                    own[v] = sp.expand(v - eq / eq.coeff(v, 1))
                    break
        weight = _tidy((tuple(i.xreplace(own) for i in at), power) for at, power in weight.items())
        if any(i.free_symbols & {v for v, _ in t.bound} for at in weight for i in at):
            raise Varies
        found.append(weight)
    if any(weight != found[0] for weight in found):
        raise Varies
    # At its own indices: those who read it put theirs in.
    return {tuple(i.xreplace({v: _slot(k) for k, v in enumerate(d.index)}) for i in at): p for at, p in found[0].items()} if found else {}


def _slot(k: int) -> Any:
    return sp.Symbol(f"#{k}", integer=True)


def _tidy(pairs: Iterable[tuple[Any, Any]]) -> Weight:
    total: Weight = {}
    for at, power in pairs:
        total[at] = total.get(at, 0) + power
    return {at: power for at, power in total.items() if power != 0}


def _weight(e: Any, column: Column, powers: Mapping[str, Weight]) -> Weight:
    """The powers of the columns' numbers that an expression is multiplied by."""
    if isinstance(e, sp.Indexed):
        name = str(e.base.label)
        if name == column.name:
            return {tuple(e.indices[k] for k in column.kept): 1}
        slots = {_slot(k): i for k, i in enumerate(e.indices)}
        return _tidy((tuple(i.xreplace(slots) for i in at), power) for at, power in powers.get(name, {}).items())
    if isinstance(e, sp.Piecewise):
        # A branch that is 0 goes with any power.
        found = [_weight(value, column, powers) for value, _ in e.args if value != 0]
        if any(weight != found[0] for weight in found) or any(_weight(condition, column, powers) for _, condition in e.args):
            raise Varies
        return found[0] if found else {}
    parts = [_weight(part, column, powers) for part in e.args]
    if e.is_Mul:
        return _tidy(pair for weight in parts for pair in weight.items())
    if e.is_Pow and not parts[1]:
        return _tidy((at, power * e.exp) for at, power in parts[0].items())
    if e.is_Add and all(weight == parts[0] for weight in parts):
        return parts[0]
    if any(parts) or (isinstance(e, sp.exp) and e.has(sp.IndexedBase(column.source))):
        raise Varies
    return {}


def _logarithms(d: Definition, definitions: Mapping[str, Definition], column: Column) -> Definition:
    """log(e / Z) as c - log Z, which is finite where e / Z underflows; powers of it by that logarithm."""
    terms = []
    for t in d.terms:
        values = {}
        for call in t.body.atoms(sp.log, sp.Pow):
            base, power = (call.args[0], None) if isinstance(call, sp.log) else call.args
            if power is not None and power.is_Rational:
                continue
            logs = _log(base, definitions, column)
            if logs is not None:
                values[call] = logs if power is None else sp.exp(sp.Mul(power, logs, evaluate=False), evaluate=False)
        terms.append(replace(t, body=t.body.xreplace(values)) if values else t)
    return replace(d, terms=tuple(terms))


def _log(base: Any, definitions: Mapping[str, Definition], column: Column) -> Any:
    """The logarithm of an entry that is a ratio of exponentials and their sums."""
    if not isinstance(base, sp.Indexed):
        return None
    d = definitions.get(str(base.base.label))
    if d is None or d.name == column.name or len(d.terms) != 1 or d.terms[0].bound or d.terms[0].eq or d.terms[0].ge:
        return None
    body = d.terms[0].body.xreplace(dict(zip(d.index, base.indices, strict=True)))
    total = sp.Integer(0)
    for factor in sp.Mul.make_args(body):
        entry, power = factor.as_base_exp()
        if not isinstance(entry, sp.Indexed):
            return None
        if str(entry.base.label) == column.name:
            peak = sp.IndexedBase(PEAK + column.source)[tuple(entry.indices[k] for k in column.kept) or (sp.Integer(0),)]
            total += power * (sp.IndexedBase(column.source)[entry.indices] - peak)
        else:
            total += power * sp.log(entry)
    return total if total.has(sp.IndexedBase(PEAK + column.source)) else None


def first_maximum(definitions: Mapping[str, Definition]) -> dict[str, tuple[Any, int]]:
    """Arrays that choose the first largest entry of a window: to the entry at the array's own indices, and how many of them are the window's."""
    found = {}
    for d in definitions.values():
        count = definitions.get(f"{d.name}_beaten")
        if count is None or len(count.terms) != 1 or len(d.terms) != 1 or not d.locally_constant:
            continue
        term = count.terms[0]
        inner = len(term.bound)
        if not isinstance(term.body, sp.Piecewise) or term.ge or term.eq or d.terms[0].bound or not inner:
            continue
        mine_at, its_at = (_position(at, d.shape[-inner:]) for at in (count.index[-inner:], [v for v, _ in term.bound]))
        condition = term.body.args[0][1]
        back = {v: i for (v, _), i in zip(term.bound, count.index[-inner:], strict=True)}
        for mine in getattr(condition, "args", ()):
            its = mine.xreplace({i: v for v, i in back.items()})
            body = sp.Piecewise((1, its > mine), (0, its < mine), (1, its_at < mine_at), (0, True))
            chosen = sp.Piecewise((1, sp.Eq(sp.IndexedBase(count.name)[d.index], 0)), (0, True))
            if body == term.body and d.terms[0].body == chosen and tuple(n for _, n in term.bound) == tuple(d.shape[-inner:]):
                found[d.name] = (mine.xreplace(dict(zip(count.index, d.index, strict=True))), inner)
                break
    return found


def _position(where: Iterable[Any], window: Iterable[Any]) -> Any:
    position = sp.Integer(0)
    for index, size in zip(where, window, strict=True):
        position = position * size + index
    return position
