"""Whether an entry of an argument reaches an entry of an output in one way only, or only one entry of it.

What is answered with yes is so for all sizes. A no says that nothing was found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sympy as sp

from .._derive import Derivation
from .._terms import Term


def one_path(derivation: Derivation, term: Term, ends: Collection[Any]) -> bool:
    """Whether a term has at most one summand that is not 0 once the indices at its ends, of argument and output, are given."""
    return settled(derivation, term, ends, ()) >= {index for index, _ in term.bound}


def settled(derivation: Derivation, term: Term, given: Collection[Any], others: Collection[tuple[Any, Any]]) -> set[Any]:
    """The indices, of those summed over and of `others` with their sizes, that have one value where the given ones have theirs."""
    sizes = {**dict(term.bound), **dict(others)}
    known = set(given) | {index for index, size in sizes.items() if size == 1}
    tables = _tables(derivation, term)
    equations = [sp.expand(equation) for equation in term.eq]
    while True:
        found = {index for equation in equations for index in _from_equation(equation, known, sizes)}
        found |= set(_from_tables(tables, known))
        if not found - known:
            return known
        known |= found


def contradictory(left: Term, right: Term) -> bool:
    """Whether no indices of argument and output fulfil the equations of both terms."""
    indices = {index for term in (left, right) for index, _ in term.bound}
    for one in left.eq:
        for other in right.eq:
            difference = sp.expand(one - other)
            if not difference.has(sp.Dummy) and not difference.free_symbols & indices and difference.is_nonzero:
                return True
    return False


def _from_equation(equation: Any, known: set[Any], sizes: Mapping[Any, Any]) -> Iterator[Any]:
    """Indices that an equation settles: one that is alone, or several that are laid out like the digits of a number."""
    unknown = {index for index in equation.free_symbols if index in sizes and index not in known}
    factors = {index: equation.coeff(index, 1) for index in unknown}
    rest = sp.expand(equation - sum(factor * index for index, factor in factors.items()))
    if not unknown or rest.free_symbols & unknown or any(factor.free_symbols & sizes.keys() for factor in factors.values()):
        return
    # Digits: the factor of each is that of the one before, times its size; only the last need not be bounded.
    step: Any = None
    order = []
    while len(order) < len(unknown):
        digit = next(
            (i for i in unknown if i not in order and (factors[i].is_nonzero if step is None and len(unknown) == 1 else _is_step(factors[i], step))), None
        )
        if digit is None:
            return
        order.append(digit)
        step = sp.expand(factors[digit] * sizes[digit])
    yield from order


def _is_step(factor: Any, step: Any) -> bool:
    return bool(factor in (1, -1) if step is None else sp.expand(factor - step) == 0)


def _tables(derivation: Derivation, term: Term) -> list[tuple[str, str, Any, Any]]:
    """The entries of tables of links that a term is multiplied by: hyperparameter, which end, link, map."""
    found = []
    for factor in sp.Mul.make_args(term.body):
        base = factor.base if factor.is_Pow else factor
        if isinstance(base, sp.Indexed) and str(base.base.label) in derivation.symbolic.operands:
            owner, _, end = str(base.base.label).rpartition("_")
            found.append((owner, end, *base.indices))
    return found


def _from_tables(tables: list[tuple[str, str, Any, Any]], known: set[Any]) -> Iterator[Any]:
    """A link has one map at each end, and no two links have both in common (`cnnframe.Links`)."""
    for owner, end, link, at in tables:
        if link in known and at.is_Symbol:
            yield at
        if at in known and link.is_Symbol:
            yield from (link for other, its, same, there in tables if other == owner and its != end and same == link and there in known)
