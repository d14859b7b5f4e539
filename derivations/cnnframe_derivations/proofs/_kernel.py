"""The checker: whether a proof shows that the two sides of a theorem are equal for every size.

A proof is a list of steps. It starts from the terms of the left side and the negated terms of the right; each
step replaces terms by others of the same sum; it ends when none is left. The checker computes what a step
gives and never looks for one, so that whoever wrote the proof need not be trusted.

Inequalities are shown by multipliers (Farkas): goal = sum of nonnegative numbers times products of things
known to be at least 0, plus polynomials times things known to be 0. All symbols in conditions are integers, so
goal >= 0 may also be shown by refuting goal <= -1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import count
from typing import Any

from ._polynomial import ONE, ZERO, Polynomial, atom, number, parse, symbol
from ._statement import Refused, Term, Theorem, Values, integral, whole

Step = Mapping[str, Any]
DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError)
"""What comes of a proof that is no proof at all."""


def check(theorem: Theorem, proof: Sequence[Step]) -> None:
    """Follow a proof to its end.

    Raises:
        Refused: a step does not hold, or terms are left over.
    """
    theorem.theory.close()
    for t in (*theorem.left, *theorem.right):
        theorem.well_formed(t)
    live = dict(enumerate(theorem.start()))
    numbers = count(len(live))
    for place, step in enumerate(proof):
        try:
            for t in apply(theorem, live, step):
                live[next(numbers)] = t
        except Refused as error:
            raise Refused(f"step {place}, {step['rule']}: {error}") from None
        except DAMAGE as error:
            raise Refused(f"step {place}: {type(error).__name__}: {error}") from error
    if live:
        raise Refused(f"{len(live)} terms are left over")


def apply(theorem: Theorem, live: dict[int, Term], step: Step) -> list[Term]:
    """Take the terms that a step is about out of `live` and return what takes their place."""
    if step["rule"] == "merge":
        return _merge(theorem, live, step)
    found = RULES[step["rule"]](theorem, live[step["term"]], step)
    del live[step["term"]]
    new = [m for t in found for m in t.monomials()]
    for t in new:
        theorem.well_formed(t)
    return new


def unfold(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Put a definition in the place of an entry: everywhere if it is a plain expression, else for one factor of the body.

    x^k = x x^(k - 1) also for k < 0, where x is not 0: else the body had no value.
    """
    ((((entry, _),), _),) = parse(step["entry"]).items
    if entry[0] != "entry" or parse(step["entry"]) != atom(*entry):
        raise Refused(f"{step['entry']} is no entry of an array")
    definition = theorem.theory.definitions[entry[1]]
    new = definition.at(entry[2], theorem.taken(t))
    if len(new) == 1 and not (new[0].bound or new[0].ge or new[0].eq):
        return [replace(t, body=t.body.replace({entry: new[0].body}))]
    if entry not in dict(t.body.items[0][0]):
        raise Refused(f"{step['entry']} is no factor of {t.body}")
    return _product(replace(t, body=t.body * parse(step["entry"]) ** -1), new)


def insert(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Multiply by a sum that is 1, having shown that its indices are in range."""
    fact, at = theorem.theory.facts[step["fact"]], [parse(index) for index in step["at"]]
    proofs = iter(step["proofs"])
    for value in at:
        integral(value, theorem.indices(t))
    for value, (_, size) in zip(at, fact.index, strict=True):
        for goal in (value, size - ONE - value):
            at_least_0(theorem.known(t), t.eq, goal, next(proofs))
    return _product(t, fact.at(at, theorem.taken(t)))


def _product(t: Term, others: Iterable[Term]) -> list[Term]:
    return [Term(t.bound + o.bound, t.ge + o.ge, t.eq + o.eq, t.body * o.body) for o in others]


def eliminate(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Solve an equation for an index; a bound one vanishes and leaves its range behind, a free one is replaced."""
    v, equation = step["symbol"], t.eq[step["eq"]]
    slope = equation.substitute({v: symbol(v) + ONE}) - equation
    if slope not in (ONE, -ONE):
        raise Refused(f"{equation} = 0 cannot be solved for {v}")
    value = symbol(v) - equation * slope
    sizes = dict(t.bound)
    if v not in sizes and v not in dict(theorem.free):
        raise Refused(f"{v} is no index")
    rest = tuple(c for c in t.eq if c is not equation)
    solved = Term(tuple(pair for pair in t.bound if pair[0] != v), t.ge, rest, t.body).substitute({v: value})
    if v in sizes:
        size = sizes[v].substitute({v: value})
        return [replace(solved, ge=(*solved.ge, value, size - ONE - value))]
    return [replace(solved, eq=(*solved.eq, equation))]


def count_out(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Sum over an index that occurs nowhere else: a factor, its size, which is at least 1 unless the body has a value everywhere.

    A sum over nothing is 0 whatever the body, and 0 * (1/0) is not.
    """
    v, size = step["symbol"], dict(t.bound)[step["symbol"]]
    rest = replace(t, bound=tuple(pair for pair in t.bound if pair[0] != v))
    parts = (*rest.ge, *rest.eq, rest.body, size, *(n for _, n in rest.bound))
    if any(v in part.symbols() for part in parts):
        raise Refused(f"{v} occurs in the term")
    at_least_0(theorem.known(rest), rest.eq, counted(rest, size), step["proof"])
    return [replace(rest, body=rest.body * size)]


def counted(t: Term, size: Polynomial) -> Polynomial:
    """What must be at least 0 for a body to be multiplied by a size."""
    plain = all(a[0] in ("symbol", "entry") and isinstance(e, int) and e > 0 for a, e in t.body.items[0][0])
    return size if plain else size - ONE


def know(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Add a condition that holds at every point already."""
    goal = parse(step["condition"])
    integral(goal, theorem.indices(t))
    if step["equal"]:
        equals_0(theorem.known(t), t.eq, goal, step["proof"])
        return [replace(t, eq=(*t.eq, goal))]
    at_least_0(theorem.known(t), t.eq, goal, step["proof"])
    return [replace(t, ge=(*t.ge, goal))]


def split(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Sum apart the points at which an expression is at least 0 and those at which it is at most -1."""
    on = parse(step["condition"])
    integral(on, theorem.indices(t))
    return [replace(t, ge=(*t.ge, on)), replace(t, ge=(*t.ge, -on - ONE))]


def empty(theorem: Theorem, t: Term, step: Step) -> list[Term]:
    """Drop a term without points: its conditions contradict each other."""
    at_least_0(theorem.known(t), t.eq, -ONE, step["proof"])
    return []


RULES = {"unfold": unfold, "insert": insert, "eliminate": eliminate, "count": count_out, "know": know, "split": split, "empty": empty}


def _merge(theorem: Theorem, live: dict[int, Term], step: Step) -> list[Term]:
    """Add two terms that are multiples of each other: maps of integers, inverse to each other, take the points of each to the other's."""
    a, b = live[step["into"]], live[step["term"]]
    if step["into"] == step["term"]:
        raise Refused("a term with itself")
    there, back = ({v: parse(text) for v, text in step[way].items()} for way in ("map", "back"))
    proofs = iter(step["proofs"])
    _maps(theorem, a, b, there, back, proofs)
    _maps(theorem, b, a, back, there, proofs)
    ((left, c),), ((right, d),) = a.body.items, b.body.substitute(there).items
    if left != right:
        raise Refused(f"the bodies are {Polynomial(((left, c),))} and {Polynomial(((right, d),))}")
    del live[step["into"]], live[step["term"]]
    return [replace(a, body=Polynomial(((left, c + d),)))] if c + d else []


def _maps(theorem: Theorem, a: Term, b: Term, there: Values, back: Values, proofs: Iterator[Any]) -> None:
    """Show that `there`, an index of b in those of a, takes points of a to points of b, and that `back` undoes it."""
    if set(there) != {v for v, _ in b.bound}:
        raise Refused("a map must give every bound index")
    for value in there.values():
        integral(value, theorem.indices(a))
    known = theorem.known(a)
    for v, size in b.bound:
        for goal in (there[v], size.substitute(there) - ONE - there[v]):
            at_least_0(known, a.eq, goal, next(proofs))
    for c in b.ge:
        at_least_0(known, a.eq, c.substitute(there), next(proofs))
    for c in b.eq:
        equals_0(known, a.eq, c.substitute(there), next(proofs))
    for v, _ in a.bound:
        equals_0(known, a.eq, back[v].substitute(there) - symbol(v), next(proofs))


def at_least_0(ge: Sequence[Polynomial], eq: Sequence[Polynomial], goal: Polynomial, proof: Any) -> None:
    """Check the multipliers that show goal >= 0; a number stands for the place of the goal itself in `ge`.

    Raises:
        Refused: they do not.
    """
    if isinstance(proof, int):
        if ge[proof] != goal:
            raise Refused(f"{goal} >= 0 is not what is known at {proof}")
        return
    wanted = goal
    if proof.get("refute"):
        ge, wanted = [*ge, -goal - ONE], -ONE
    total = ZERO
    for coefficient, places in proof["ge"]:
        product = number(coefficient)
        if Fraction(coefficient) < 0:
            raise Refused(f"{goal} >= 0: a multiplier is {coefficient}")
        for place in places:
            product *= ge[place]
        total += product
    if total + _combination(eq, proof.get("eq", ())) != wanted:
        raise Refused(f"{goal} >= 0 does not follow from its multipliers")


def equals_0(ge: Sequence[Polynomial], eq: Sequence[Polynomial], goal: Polynomial, proof: Any) -> None:
    """Check what shows goal == 0: multipliers of equations, or that neither it nor its negative is below 0.

    Raises:
        Refused: it does not.
    """
    if isinstance(proof, list):
        for sign, one in zip((ONE, -ONE), proof, strict=True):
            at_least_0(ge, eq, goal * sign, one)
    elif _combination(eq, proof["eq"]) != goal:
        raise Refused(f"{goal} = 0 does not follow from its multipliers")


def _combination(eq: Sequence[Polynomial], multipliers: Any) -> Polynomial:
    factors = [(parse(factor), eq[place]) for factor, place in multipliers]
    if not all(whole(factor) for factor, _ in factors):
        raise Refused("a multiplier of an equation is no polynomial of integers")
    return sum((factor * c for factor, c in factors), ZERO)


def bounded(theorem: Theorem, shapes: Mapping[str, Sequence[Polynomial]], proofs: Sequence[Any]) -> None:
    """Check that every entry that the left side reads lies within its array, at every point and for every size.

    Raises:
        Refused: it does not follow, or a proof is missing.
    """
    try:
        for (t, goal), proof in zip(accesses(theorem, shapes), proofs, strict=True):
            at_least_0(theorem.known(t), t.eq, goal, proof)
    except DAMAGE as error:
        raise Refused(f"{type(error).__name__}: {error}") from error


def accesses(theorem: Theorem, shapes: Mapping[str, Sequence[Polynomial]]) -> Iterator[tuple[Term, Polynomial]]:
    """What must be at least 0 for each term to stay within its arrays: every index, and size - 1 - index."""
    for t in theorem.left:
        theorem.well_formed(t)
        for kind, name, *parts in dict.fromkeys(t.body.atoms()):
            if kind == "entry":
                for index, size in zip(parts[0], shapes[name], strict=True):
                    integral(index, theorem.indices(t))
                    yield from ((t, index), (t, size - ONE - index))


def witnessed(theorem: Theorem, sizes: Mapping[str, int], points: Sequence[Mapping[str, int]]) -> None:
    """Check that the assumptions can hold at all, and that each term has a point: contradictions prove anything.

    Raises:
        Refused: an assumption fails at these sizes, or a condition at a point.
    """
    if set(sizes) != theorem.theory.integers or any(value(c, sizes) < 0 for c in theorem.theory.assume):
        raise Refused(f"{dict(sizes)} are no sizes that satisfy the assumptions")
    terms = (*theorem.left, *theorem.right)
    if len(points) != len(terms):
        raise Refused(f"{len(points)} points for {len(terms)} terms")
    for t, point in zip(terms, points, strict=True):
        at = {**point, **sizes}
        if set(at) != theorem.indices(t) or any(value(c, at) < 0 for c in theorem.known(t)) or any(value(c, at) != 0 for c in t.eq):
            raise Refused(f"{dict(point)} is no point of {t.body} at {dict(sizes)}")


def value(c: Polynomial, at: Mapping[str, int]) -> int:
    """The value of a polynomial of integers."""
    if not all(type(k) is int for k in at.values()):
        raise Refused(f"{dict(at)} are not integers")
    (*rest, last) = c.substitute({name: number(k) for name, k in at.items()}).items or [((), 0)]
    if rest or last[0]:
        raise Refused(f"{c} has no value at {dict(at)}")
    return int(last[1])
