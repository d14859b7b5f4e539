"""Search for multipliers: why an inequality or an equation follows. Nothing here is trusted; the checker looks again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ._polynomial import ONE, ZERO, Monomial, Polynomial, symbol

Known = tuple[Polynomial, ...]


@lru_cache(maxsize=200_000)
def why_at_least_0(ge: Known, eq: Known, goal: Polynomial) -> Any:
    """Multipliers that show goal >= 0, or None if none were found."""
    if goal in ge:
        return ge.index(goal)
    value = goal.number
    if value is not None and value >= 0:
        return {"ge": [[str(value), []]]}
    for place, known in enumerate(ge):
        rest = (goal - known).number
        if rest is not None and rest >= 0:
            return {"ge": [["1", [place]], [str(rest), []]]}
    for level in (1, 2, 3):
        for refute in (False, True):
            proof = _multipliers(ge, eq, goal, level, refute=refute)
            if proof is not None:
                return proof
    return None


@lru_cache(maxsize=200_000)
def why_0(ge: Known, eq: Known, goal: Polynomial) -> Any:
    """What shows goal == 0, or None if nothing was found."""
    if goal == ZERO:
        return {"eq": []}
    for place, known in enumerate(eq):
        for sign, factor in ((ONE, "1"), (-ONE, "-1")):
            if known * sign == goal:
                return {"eq": [[factor, place]]}
    columns = [(known * factor, [str(factor), place]) for place, known in enumerate(eq) for factor in _factors([goal, *eq])]
    solution = _solve([c for c, _ in columns], goal)
    if solution is not None:
        return {"eq": _equations((label, x) for (_, label), x in zip(columns, solution, strict=True))}
    sides = [why_at_least_0(ge, eq, goal), why_at_least_0(ge, eq, -goal)]
    return None if None in sides else sides


def _factors(polynomials: Iterable[Polynomial]) -> list[Polynomial]:
    names = sorted({name for p in polynomials for name in p.symbols()})
    return [ONE, *(symbol(name) for name in names)]


def _multipliers(ge: Known, eq: Known, goal: Polynomial, level: int, *, refute: bool) -> Any:
    """At level 1 single inequalities, at level 2 times symbols that are at least 0, at level 3 products of any two."""
    wanted = -ONE if refute else goal
    known = [*enumerate(ge), *([(len(ge), -goal - ONE)] if refute else [])]
    near = _near(goal, [p for _, p in known], eq)
    known = [(place, p) for place, p in known if p.symbols() <= near]
    equations = [(place, p) for place, p in enumerate(eq) if p.symbols() <= near]
    columns: list[tuple[Polynomial, Any]] = [(ONE, []), *((p, [place]) for place, p in known)]
    free = [(p, ["1", place]) for place, p in equations]
    if level > 1:
        targets = {m for p in (goal, *(p for _, p in (*known, *equations))) for m, _ in p.items if len(m) > 1 or any(e > 1 for _, e in m)}
        signs = {p.items[0][0][0][0]: place for place, p in known if len(p.items) == 1 and p.items[0][1] == 1 and len(p.items[0][0]) == 1}
        columns += [(p * f, [place, *(signs[a] for a, e in m for _ in range(e))]) for place, p in known for m, f in _cofactors(p, targets, signs)]
        free += [(p * f, [str(f), place]) for place, p in equations for f in _factors([goal, *eq])[1:]]
    if level > 2:
        columns += [(p * q, [i, j]) for (i, p), (j, q) in combinations_with_replacement(known, 2)]
    if len(columns) > 6000:
        return None
    x = _nonnegative([c for c, _ in columns], [c for c, _ in free], wanted)
    if x is None:
        return None
    proof: dict[str, Any] = {"ge": [[str(v), places] for (_, places), v in zip(columns, x, strict=False) if v]}
    used = _equations((label, v) for (_, label), v in zip(free, x[len(columns) :], strict=True))
    if used:
        proof["eq"] = used
    return proof | {"refute": True} if refute else proof


def _cofactors(p: Polynomial, targets: Iterable[Monomial], signs: Mapping[Any, int]) -> Iterator[tuple[Monomial, Polynomial]]:
    """Products of symbols that are at least 0 and bring a monomial of p to one that is wanted."""
    seen = set()
    for m, _ in p.items:
        for target in targets:
            exponents = dict(target)
            for a, e in m:
                exponents[a] = exponents.get(a, 0) - e
            factor = tuple((a, e) for a, e in sorted(exponents.items()) if e)
            if factor and factor not in seen and all(e > 0 and a in signs for a, e in factor):
                seen.add(factor)
                yield factor, Polynomial(((factor, 1),))


def _equations(parts: Iterable[tuple[list[Any], Fraction]]) -> list[list[Any]]:
    return [[factor if x == 1 else f"{x}" if factor == "1" else f"{x}*{factor}", place] for (factor, place), x in parts if x]


def _near(goal: Polynomial, ge: Sequence[Polynomial], eq: Sequence[Polynomial]) -> set[str]:
    """The symbols of the goal and of what is said about them: axes that have nothing to do with it stay out."""
    near = goal.symbols() or {name for p in (*ge, *eq) for name in p.symbols()}
    for _ in range(2):
        near = near.union(*(p.symbols() for p in (*ge, *eq) if len(p.symbols()) > 1 and p.symbols() & near))
    return near


def _nonnegative(columns: list[Polynomial], free: list[Polynomial], wanted: Polynomial) -> list[Fraction] | None:
    """Exact x >= 0 and any y with columns x + free y = wanted: a vertex found in floats, solved again in fractions."""
    from scipy.optimize import linprog

    rows: dict[Monomial, int] = {}
    everything = [*columns, *free]
    entries = [(rows.setdefault(m, len(rows)), j, float(c)) for j, p in enumerate(everything) for m, c in p.items]
    if any(m not in rows for m, _ in wanted.items):
        return None
    matrix, right = np.zeros((len(rows), len(everything))), np.zeros(len(rows))
    for i, j, value in entries:
        matrix[i, j] = value
    for m, c in wanted.items:
        right[rows[m]] = float(c)
    costs = [1.0 + len(p.items) for p in columns] + [0.0] * len(free)
    bounds = [(0, None)] * len(columns) + [(None, None)] * len(free)
    found = linprog(costs, A_eq=matrix, b_eq=right, bounds=bounds, method="highs-ds")
    if found.status != 0:
        return None
    support = [j for j, x in enumerate(found.x) if abs(x) > 1e-9]
    exact = _solve([everything[j] for j in support], wanted)
    if exact is None or any(x < 0 for j, x in zip(support, exact, strict=True) if j < len(columns)):
        return None
    result = [Fraction(0)] * len(everything)
    for j, x in zip(support, exact, strict=True):
        result[j] = x
    return result


def _solve(columns: Sequence[Polynomial], wanted: Polynomial) -> list[Fraction] | None:
    """Exact coefficients with which the columns add up to `wanted`, or None."""
    rows: dict[Monomial, dict[int, Fraction]] = {}
    for j, p in enumerate(columns):
        for m, c in p.items:
            rows.setdefault(m, {})[j] = Fraction(c)
    right = len(columns)
    for m, c in wanted.items:
        rows.setdefault(m, {})[right] = Fraction(c)
    pivots: dict[int, dict[int, Fraction]] = {}
    for row in rows.values():
        for j, pivot in pivots.items():
            _subtract(row, pivot, j)
        lead = min((j for j in row if j < right), default=None)
        if lead is None:
            if row:
                return None
            continue
        scaled = {k: c / row[lead] for k, c in row.items()}
        for pivot in pivots.values():
            _subtract(pivot, scaled, lead)
        pivots[lead] = scaled
    return [pivots[j].get(right, Fraction(0)) if j in pivots else Fraction(0) for j in range(right)]


def _subtract(row: dict[int, Fraction], pivot: Mapping[int, Fraction], j: int) -> None:
    """Take as much of `pivot` from `row` as removes column j."""
    factor = row.get(j, Fraction(0))
    if factor:
        for k, c in pivot.items():
            row[k] = row.get(k, Fraction(0)) - factor * c
            if not row[k]:
                del row[k]
