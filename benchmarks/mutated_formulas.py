"""Doubt the proofs: change closed forms at random, and compare what is proved of them with numbers.

    python benchmarks/mutated_formulas.py --count 800 --seed 0

Some changes are meant to make a closed form false (an offset, a lost guard, a swapped index) and some to leave
it true (a reversed sum, a split range). What they do is decided by numbers alone: both sides are summed point by
point, at small sizes with strides, leftovers, padding, gaps and groups, over arrays that have a value at every integer.
The table counts, for each kind of change and each operation, what was proved and true, refused and false,
missed (true and not proved) and unsound (proved and false). An unsound one makes the exit code 1. "True by signs" is
what would be false if conditions on values, such as x > 0, held anywhere: x > 0 and x < 0 never both hold, a softmax is
positive. The checker takes conditions for any functions that are 0 or 1, and these are not counted as missed.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from math import erf, pi, prod

import numpy as np

import cnnframe
from cnnframe._hyper import hyperparameters
from cnnframe_derivations.proofs import _kernel
from cnnframe_derivations.proofs._polynomial import ONE, ZERO, Polynomial, atom, number, symbol
from cnnframe_derivations.proofs._search import search
from cnnframe_derivations.proofs._statement import Term
from cnnframe_derivations.proofs._theorems import subject

SHAPES, MORE = 14, 60
"""At how many shapes each claim is tried, and at how many more when it was refused and looks true."""

FUNCTIONS = {
    "is_zero": lambda x: (x == 0).astype(float),
    "is_positive": lambda x: (x > 0).astype(float),
    "pow": np.power,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "erf": np.vectorize(erf, [float]),
    "pi": lambda: pi,
}
"""Those that are not NumPy's."""

# --- numbers: every point of every sum is listed; nothing here knows what the checker does


class Numbers:
    """The value of terms at one choice of sizes and arrays; arrays have a value at every integer."""

    def __init__(self, theory, sizes, scalars, seed, *, positive, arbitrary=False):
        self.arbitrary = arbitrary
        self.theory, self.values, self.seed, self.positive = theory, {**sizes, **scalars}, seed, positive
        self.found = {name: {} for name in theory.definitions}

    def integers(self, p, points, count):
        """A polynomial of integers at all points."""
        total = np.zeros(count, dtype=np.int64)
        for monomial, c in p.items:
            if not isinstance(c, int):
                raise TypeError(f"{p} need not be an integer")
            total += prod((self._symbol(a, points) ** e for a, e in monomial), start=np.int64(c))
        return total

    def _symbol(self, a, points):
        return points[a[1]] if a[1] in points else self.values[a[1]]

    def total(self, terms, points, count):
        """The sum of terms at each of `count` points."""
        total = np.zeros(count)
        for t in terms:
            inner, n, owner = self._points(t, points, count)
            if n:
                np.add.at(total, owner, self.reals(t.body, inner, n))
        return total

    def _points(self, t, points, count):
        """All points of the term's box at which its conditions hold, and which outer point each belongs to."""
        owner, waiting = np.arange(count), [*((c, False) for c in t.ge), *((c, True) for c in t.eq)]
        boxes = list(t.bound)
        while True:
            bound = {v for v, _ in boxes}
            for c, equal in [pair for pair in waiting if not pair[0].symbols() & bound]:
                waiting.remove((c, equal))
                value = self.integers(c, points, count)
                keep = value == 0 if equal else value >= 0
                points, owner, count = {v: p[keep] for v, p in points.items()}, owner[keep], int(keep.sum())
            if not boxes:
                return points, count, owner
            v, size = boxes.pop(0)
            counts = np.maximum(self.integers(size, points, count), 0)
            starts = np.repeat(np.cumsum(counts) - counts, counts)
            points, owner, count = {w: np.repeat(p, counts) for w, p in points.items()}, np.repeat(owner, counts), int(counts.sum())
            points[v] = np.arange(count) - starts

    def reals(self, p, points, count):
        """A body at all points; a factor that is a condition and fails makes its product 0."""
        total = np.zeros(count)
        for monomial, c in p.items:
            product, off = np.full(count, float(c)), np.zeros(count, dtype=bool)
            for a, e in monomial:
                value = self._atom(a, points, count)
                off |= (value == 0) if a[0] == "call" and a[1].startswith("is_") else False
                product = product * np.power(value, float(e))
            total += np.where(off, 0.0, product)
        return total

    def _atom(self, a, points, count):
        if a[0] == "symbol":
            return np.broadcast_to(np.asarray(self._symbol(a, points), dtype=float), (count,))
        if a[0] == "sum":
            return self.reals(a[1], points, count)
        if a[0] == "entry":
            return self._entry(a[1], np.stack([self.integers(i, points, count) for i in a[2]], axis=1))
        return self._function(a[1], [self.reals(part, points, count) for part in a[2]])

    def _function(self, name, values):
        if self.arbitrary and name == "is_positive":
            return (np.sin(np.round(values[0], 7) * 1234.5 + 1) > 0).astype(float)
        return FUNCTIONS[name](*values) if name in FUNCTIONS else getattr(np, name)(*values)

    def _entry(self, name, at):
        if name not in self.theory.definitions:
            return self._operand(name, at)
        known, definition = self.found[name], self.theory.definitions[name]
        wanted = list(map(tuple, at.tolist()))
        new = np.array(sorted({one for one in wanted if one not in known}), dtype=np.int64)
        if len(new):
            names = [v for v, _ in definition.index]
            values = self.total(definition.terms, dict(zip(names, new.T, strict=True)), len(new))
            known.update(zip(map(tuple, new.tolist()), values.tolist(), strict=True))
        return np.array([known[one] for one in wanted])

    def _operand(self, name, at):
        place = sum((at[:, d] + 40) * (1009, 31, 5003, 271, 7)[d] for d in range(at.shape[1])) % 7919
        if name not in self.theory.facts:
            return _table(f"{self.seed} {name}", self.positive)[place]
        fact = self.theory.facts[name]
        sizes = [self.integers(size, {}, 1)[0] for _, size in fact.index]
        classes = self.integers(fact.terms[0].bound[0][1], {}, 1)[0]
        inside = np.all((at >= 0) & (at < sizes), axis=1)
        return np.where(inside, place % max(classes, 1), -7.0)


@cache
def _table(seed, positive):
    table = np.random.default_rng(list(seed.encode())).normal(size=7919)
    return np.abs(table) + 0.25 if positive else table


RANGES = {"stride": (1, 2, 3), "dilation": (1, 2, 3), "padding": (0, 1, 2), "size": (1, 2, 3), "factor": (1, 2, 3), "n": (0, 1, 2), "groups": (1, 2)}


def sizes_of(claim, quotients, rng):
    """Small sizes that satisfy the assumptions, as awkward as they come."""
    for _ in range(4000):
        found = {}
        for name in sorted(claim.theory.integers - set(quotients)):
            base = name.rstrip("0123456789")
            maps = name != base and base not in RANGES
            found[name] = rng.choice(RANGES.get(base, (1, 2, 3, 4, 5, 6, 7) if maps else (1, 2, 3)))
        for name in sorted(quotients, key=lambda q: int(q.removeprefix("quotient"))):
            above, below = (int(exact(p, found)) for p in quotients[name])
            found[name] = above // below
        if all(exact(c, found) >= 0 for c in claim.theory.assume):
            return found
    raise RuntimeError(f"no sizes satisfy {', '.join(map(str, claim.theory.assume))}")


def exact(p, values):
    """A polynomial of sizes."""
    return sum(Fraction(c) * prod(Fraction(values[a[1]]) ** e for a, e in monomial) for monomial, c in p.items)


class Truth:
    """Whether closed forms agree with one derivative, at many shapes; also where signs of values are `arbitrary`."""

    def __init__(self, claim, quotients, seed, *, arbitrary=False):
        self.claim, self.quotients, self.seed, self.arbitrary = claim, quotients, seed, arbitrary
        self.rng = random.Random(f"{seed} shapes")  # noqa: S311 # cases to try, not secrets
        self.tried = []

    def _shape(self, place):
        while len(self.tried) <= place:
            sizes = sizes_of(self.claim, self.quotients, self.rng)
            scalars = {name: self.rng.uniform(0.3, 0.8) for name in sorted(self.claim.theory.scalars)}
            numbers = Numbers(self.claim.theory, sizes, scalars, f"{self.seed} {len(self.tried)}", positive=len(self.tried) % 2 == 1, arbitrary=self.arbitrary)
            points, count, _ = numbers._points(Term(self.claim.free, (), (), ONE), {}, 1)
            self.tried.append((numbers, points, count, numbers.total(self.claim.left, points, count)))
        return self.tried[place]

    def holds(self, right, count):
        """Whether `right` has the derivative's values at the first `count` shapes, or the sizes at which it has not."""
        for place in range(count):
            numbers, points, n, left = self._shape(place)
            values = numbers.total(right, points, n)
            scale = 1e-8 * max(1.0, *np.abs(left[np.isfinite(left)]), 0.0)
            if np.any(np.isfinite(left) & ~(np.abs(values - left) <= scale)):
                return numbers.values
        return True


# --- changes: each takes one term of the closed form, a source of chance and the theorem, and gives terms or None

CHANGES = {}


def change(kind):
    """Register a way to change a term."""

    def register(function):
        CHANGES.setdefault(kind, []).append(function)
        return function

    return register


def pick(rng, options):
    """One of the options, or None if there is none."""
    options = list(options)
    return rng.choice(options) if options else None


def entries(t):
    """The array entries in a body, as often as they occur at different places."""
    return [a for a in dict.fromkeys(t.body.atoms()) if a[0] == "entry"]


def with_entry(t, old, indices, name=None):
    """The term with one entry read elsewhere."""
    return [replace(t, body=t.body.replace({old: atom("entry", name or old[1], tuple(indices))}))]


def scope(t, claim):
    """Indices that a term may use."""
    return [v for v, _ in (*claim.free, *t.bound)]


def without(t, v):
    """The term's box without one index."""
    return tuple(pair for pair in t.bound if pair[0] != v)


def fresh(t, claim):
    """A name that nothing has."""
    taken = claim.taken(t) | claim.theory.scalars
    return next(name for k in itertools.count() if (name := f"new{k}") not in taken)


@change("index offset")
def _(t, rng, claim):
    if e := pick(rng, entries(t)):
        d = rng.randrange(len(e[2]))
        return with_entry(t, e, [p + number(rng.choice((1, -1))) * (ONE if k == d else ZERO) for k, p in enumerate(e[2])])
    return None


@change("flip")
def _(t, rng, claim):
    e, box = pick(rng, entries(t)), dict((*claim.free, *t.bound))
    v = e and pick(rng, sorted({v for p in e[2] for v in p.symbols()} & box.keys()))
    return with_entry(t, e, [p.substitute({v: box[v] - ONE - symbol(v)}) for p in e[2]]) if v else None


@change("swapped indices")
def _(t, rng, claim):
    e = pick(rng, [e for e in entries(t) if len(e[2]) > 1])
    if e is None:
        return None
    i, j = rng.sample(range(len(e[2])), 2)
    order = list(e[2])
    order[i], order[j] = order[j], order[i]
    return with_entry(t, e, order)


@change("wrong index")
def _(t, rng, claim):
    e, names = pick(rng, entries(t)), scope(t, claim)
    if not e or not names:
        return None
    d = rng.randrange(len(e[2]))
    return with_entry(t, e, [symbol(rng.choice(names)) if k == d else p for k, p in enumerate(e[2])])


@change("wrong operand")
def _(t, rng, claim):
    e = pick(rng, entries(t))
    others = e and sorted({o[1] for side in (*claim.left, *claim.right) for o in entries(side) if len(o[2]) == len(e[2])} - {e[1]})
    return with_entry(t, e, e[2], rng.choice(others)) if others else None


@change("dropped guard")
def _(t, rng, claim):
    places = [(k, kind) for kind in ("ge", "eq") for k in range(len(getattr(t, kind)))]
    if not places:
        return None
    k, kind = rng.choice(places)
    return [replace(t, **{kind: tuple(c for j, c in enumerate(getattr(t, kind)) if j != k)})]


@change("moved guard")
def _(t, rng, claim):
    places = [(k, kind) for kind in ("ge", "eq") for k in range(len(getattr(t, kind)))]
    if not places:
        return None
    (k, kind), by = rng.choice(places), number(rng.choice((1, -1)))
    return [replace(t, **{kind: tuple(c + by if j == k else c for j, c in enumerate(getattr(t, kind)))})]


@change("added guard")
def _(t, rng, claim):
    names = scope(t, claim)
    return [replace(t, ge=(*t.ge, symbol(rng.choice(names)) - ONE))] if names else None


@change("added guard between indices")
def _(t, rng, claim):
    names = scope(t, claim)
    if len(names) < 2:
        return None
    v, w = rng.sample(names, 2)
    return [replace(t, ge=(*t.ge, symbol(v) - symbol(w)))]


@change("range +-1")
def _(t, rng, claim):
    if not t.bound:
        return None
    k, by = rng.randrange(len(t.bound)), number(rng.choice((1, -1)))
    return [replace(t, bound=tuple((v, size + by if j == k else size) for j, (v, size) in enumerate(t.bound)))]


def hyper(t, claim):
    """Integers other than indices that occur in the entries and guards of a term."""
    inner = [p for e in entries(t) for p in e[2]]
    return sorted(set().union(*(p.symbols() for p in (*t.ge, *t.eq, *inner, *(size for _, size in t.bound)))) & claim.theory.integers)


@change("other stride or size")
def _(t, rng, claim):
    name, others = pick(rng, hyper(t, claim)), sorted(claim.theory.integers)
    return [t.substitute({name: rng.choice([ONE, ZERO, symbol(rng.choice(others)), symbol(name) + ONE])})] if name else None


@change("other stride or size in one place")
def _(t, rng, claim):
    places = [("ge", k) for k in range(len(t.ge))] + [("eq", k) for k in range(len(t.eq))] + [("entry", e) for e in entries(t)]
    name, where = pick(rng, hyper(t, claim)), pick(rng, places)
    if not name or not where:
        return None
    to = {name: rng.choice([ONE, symbol(rng.choice(sorted(claim.theory.integers)))])}
    if where[0] == "entry":
        return with_entry(t, where[1], [p.substitute(to) for p in where[1][2]])
    return [replace(t, **{where[0]: tuple(c.substitute(to) if k == where[1] else c for k, c in enumerate(getattr(t, where[0])))})]


@change("lost sum")
def _(t, rng, claim):
    v = pick(rng, [v for v, _ in t.bound])
    return [replace(t, eq=(*t.eq, symbol(v)))] if v else None


@change("cut sum")
def _(t, rng, claim):
    v = pick(rng, [v for v, _ in t.bound])
    return [replace(t, bound=tuple((w, ONE if w == v else size) for w, size in t.bound))] if v else None


@change("idle sum")
def _(t, rng, claim):
    size = pick(rng, [size for _, size in (*claim.free, *t.bound)])
    return [replace(t, bound=(*t.bound, (fresh(t, claim), size)))] if size else None


@change("dropped factor")
def _(t, rng, claim):
    (monomial, c), *_ = t.body.items
    if not monomial:
        return None
    k = rng.randrange(len(monomial))
    return [replace(t, body=Polynomial(((monomial[:k] + monomial[k + 1 :], c),)))]


@change("sign or factor")
def _(t, rng, claim):
    return [replace(t, body=t.body * number(rng.choice((-1, 2, Fraction(1, 2)))))]


@change("duplicated term")
def _(t, rng, claim):
    return [t, t]


@change("dropped term")
def _(t, rng, claim):
    return []


# From here on, what should leave the sum as it is.


@change("= reversed")
def _(t, rng, claim):
    if not t.bound:
        return None
    v, size = rng.choice(t.bound)
    return None if v in size.symbols() else [moved(t, {v: size - ONE - symbol(v)})]


def moved(t, values):
    """Bound indices replaced, the box as it was."""
    return Term(t.bound, tuple(c.substitute(values) for c in t.ge), tuple(c.substitute(values) for c in t.eq), t.body.substitute(values))


@change("= renamed")
def _(t, rng, claim):
    return [replace(t.apart({v for v, _ in t.bound}), bound=t.apart({v for v, _ in t.bound}).bound)] if t.bound else None


@change("= reordered")
def _(t, rng, claim):
    if len(t.bound) < 2 and len(t.ge) < 2:
        return None
    return [replace(t, bound=tuple(rng.sample(t.bound, len(t.bound))), ge=tuple(rng.sample(t.ge, len(t.ge))), eq=tuple(rng.sample(t.eq, len(t.eq))))]


@change("= shifted")
def _(t, rng, claim):
    if not t.bound:
        return None
    v, _ = rng.choice(t.bound)
    by = rng.choice([ONE, number(2), *(symbol(name) for name in hyper(t, claim))])
    shifted = moved(t, {v: symbol(v) - by})
    return [replace(shifted, bound=tuple((w, n + by if w == v else n) for w, n in t.bound), ge=(*shifted.ge, symbol(v) - by))]


@change("= longer range, guarded")
def _(t, rng, claim):
    if not t.bound:
        return None
    v, size = rng.choice(t.bound)
    by = rng.choice([ONE, size, *(symbol(name) for name in hyper(t, claim))])
    return [replace(t, bound=tuple((w, n + by if w == v else n) for w, n in t.bound), ge=(*t.ge, size - ONE - symbol(v)))]


@change("= split range")
def _(t, rng, claim):
    if not t.bound:
        return None
    v, _ = rng.choice(t.bound)
    first = replace(t, bound=tuple((w, ONE if w == v else n) for w, n in t.bound))
    rest = moved(t, {v: symbol(v) + ONE})
    return [first, replace(rest, bound=tuple((w, n - ONE if w == v else n) for w, n in t.bound))]


@change("= split by a guard")
def _(t, rng, claim):
    names = scope(t, claim)
    if not names:
        return None
    on = symbol(rng.choice(names)) - rng.choice([ONE, *(symbol(v) for v in names), *(symbol(v) for v in hyper(t, claim))])
    return [replace(t, ge=(*t.ge, on)), replace(t, ge=(*t.ge, -on - ONE))]


@change("= redundant guard")
def _(t, rng, claim):
    held = [*t.ge, *(c for v, size in (*claim.free, *t.bound) for c in (symbol(v), size - ONE - symbol(v)))]
    return [replace(t, ge=(*t.ge, rng.choice(held) + rng.choice([ZERO, ONE, rng.choice(held)])))] if held else None


@change("= guard by another")
def _(t, rng, claim):
    if not t.ge:
        return None
    k = rng.randrange(len(t.ge))
    by = rng.choice([lambda c: c + c, lambda c: c + c + ONE, *(lambda c, name=name: c * symbol(name) for name in hyper(t, claim))])
    return [replace(t, ge=tuple(by(c) if j == k else c for j, c in enumerate(t.ge)))]


@change("= guard by an equation")
def _(t, rng, claim):
    """c >= 0 is c == w for exactly one w of a range that is long enough."""
    if not t.ge:
        return None
    k, v = rng.randrange(len(t.ge)), fresh(t, claim)
    size = largest(t.ge[k], dict((*claim.free, *t.bound)), claim.theory.integers)
    return [Term((*t.bound, (v, size)), tuple(c for j, c in enumerate(t.ge) if j != k), (*t.eq, t.ge[k] - symbol(v)), t.body)]


def largest(c, box, integers):
    """More than a condition can be: indices with a plus at their sizes, those with a minus at 0."""
    found = ONE
    for monomial, x in c.items:
        m, names = Polynomial(((monomial, x),)), [a[1] for a, _ in monomial]
        if x > 0:
            found += m.substitute({v: box[v] for v in names if v in box})
        elif all(v in integers for v in names):
            found += m
    return found


@change("= solved otherwise")
def _(t, rng, claim):
    """Put the value that an equation gives for an index in place of it, its range in place of the box."""
    choices = [
        (v, c) for c in t.eq for v, size in t.bound if c.substitute({v: symbol(v) + ONE}) - c in (ONE, -ONE) and not any(v in n.symbols() for _, n in t.bound)
    ]
    if not choices:
        return None
    v, c = rng.choice(choices)
    value = symbol(v) - c * (c.substitute({v: symbol(v) + ONE}) - c)
    size = dict(t.bound)[v]
    solved = moved(replace(t, bound=without(t, v), eq=tuple(e for e in t.eq if e != c)), {v: value})
    return [replace(solved, ge=(*solved.ge, value, size - ONE - value))]


@change("= pinned")
def _(t, rng, claim):
    """Read an entry at a new index that an equation pins to where it was read."""
    e = pick(rng, entries(t))
    if not e:
        return None
    d, v = rng.randrange(len(e[2])), fresh(t, claim)
    size = largest(e[2][d], dict((*claim.free, *t.bound)), claim.theory.integers)
    pinned = replace(t, bound=(*t.bound, (v, size)), eq=(*t.eq, e[2][d] - symbol(v)))
    return with_entry(pinned, e, [symbol(v) if k == d else p for k, p in enumerate(e[2])])


@change("= pinned twice")
def _(t, rng, claim):
    if not t.bound:
        return None
    (v, size), w = rng.choice(t.bound), fresh(t, claim)
    return [replace(moved(t, {v: symbol(w)}), bound=(*t.bound, (w, size)), eq=(*moved(t, {v: symbol(w)}).eq, symbol(v) - symbol(w)))]


@change("= mirrored and pinned")
def _(t, rng, claim):
    if not t.bound:
        return None
    (v, size), w = rng.choice(t.bound), fresh(t, claim)
    m = moved(t, {v: size - ONE - symbol(w)})
    return [replace(m, bound=(*t.bound, (w, size)), eq=(*m.eq, symbol(v) + symbol(w) + ONE - size))]


@change("= mean over an idle index")
def _(t, rng, claim):
    names = sorted({name for name in claim.theory.integers if symbol(name) - ONE in claim.theory.assume})
    if not names:
        return None
    m = symbol(rng.choice(names))
    return [replace(t, bound=(*t.bound, (fresh(t, claim), m)), body=t.body * m**-1)]


@change("= twice half")
def _(t, rng, claim):
    return [replace(t, body=t.body * number(Fraction(1, 2)))] * 2


@change("= of a free index")
def _(t, rng, claim):
    """Sum over a copy of a free index that is equal to it."""
    if not claim.free:
        return None
    (v, size), w = rng.choice(claim.free), fresh(t, claim)
    m = Term(t.bound, tuple(c.substitute({v: symbol(w)}) for c in t.ge), tuple(c.substitute({v: symbol(w)}) for c in t.eq), t.body.substitute({v: symbol(w)}))
    return [replace(m, bound=(*m.bound, (w, size)), eq=(*m.eq, symbol(v) - symbol(w)))]


# --- the run


@cache
def operations():
    """The installed operations; the search and the numbers warn of nothing that is not in the table."""
    np.seterr(all="ignore")
    return cnnframe.load().operations()


@dataclass
class Claim:
    """One gradient of one operation."""

    operation: str
    theorem: object
    adjoints: list
    truth: Truth
    form: Truth


@dataclass
class Outcome:
    """What came of one changed closed form."""

    operation: str
    kinds: tuple
    proved: bool
    true: bool
    by_form: bool
    seconds: float
    note: str = ""
    terms: list = field(default_factory=list)

    @property
    def verdict(self):
        if self.proved:
            return "proved & true" if self.true else "UNSOUND"
        return "refused & false" if not self.true else "MISSED" if self.by_form else "true by signs"


def structures(cls):
    """Every choice that decides the formula; three dimensions say nothing that two do not."""
    options = []
    for name, h in hyperparameters(cls).items():
        if h.choices is not None:
            options.append([(name, value) for value in h.choices if (name, value) != ("dims", 3)])
        elif h.optional:
            options.append([(name, None), (name, ...)])
    return list(itertools.product(*options))


def claims_of(name, cls, seed):
    """Every closed form that an operation has, with the numbers to judge changes by."""
    found = []
    for chosen in structures(cls):
        said = subject(cls, chosen)
        label = f"{name}{''.join(f' {value}' for key, value in chosen if key == 'dims')}"
        for gradient, theorem in said.gradients.items():
            if theorem.right:
                at = f"{seed} {name} {chosen} {gradient}"
                truths = (Truth(theorem, said.quotients, at), Truth(theorem, said.quotients, at, arbitrary=True))
                found.append(Claim(label, theorem, [d.name for d in said.derivation.adjoints], *truths))
    return found


def changed(claim, rng):
    """A closed form with one or two changes, and their kinds."""
    right, kinds = list(claim.theorem.right), []
    right = [m for t in right for m in t.monomials()]
    for _ in range(rng.choice((1, 1, 1, 2))):
        for _ in range(20):
            kind = rng.choice(sorted(CHANGES))
            if not right:
                return None, ()
            k = rng.randrange(len(right))
            new = rng.choice(CHANGES[kind])(right[k], rng, claim.theorem)
            if new is not None and new != [right[k]]:
                right[k : k + 1] = [m for t in new for m in t.monomials()]
                kinds.append(kind)
                break
    return tuple(right), tuple(kinds)


def judge(claim, right, kinds):
    """Search for a proof of a changed closed form, and look at numbers."""
    theorem = replace(claim.theorem, right=right)
    start, note = time.perf_counter(), ""
    try:
        found = search(theorem, claim.adjoints)
        proved = not found.live
        if proved:
            _kernel.check(theorem, found.steps)
    except Exception as error:  # noqa: BLE001 # whatever stops the search is something to report
        proved, note = False, f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - start
    if note and not note.startswith("Refused"):
        note = f"search failed: {note}"
    holds = claim.truth.holds(right, SHAPES)
    if holds is True and not proved:
        holds = claim.truth.holds(right, MORE)
    by_form = proved or (holds is True and claim.form.holds(right, SHAPES) is True)
    outcome = Outcome(claim.operation, kinds, proved, holds is True, by_form, seconds, note)
    if outcome.verdict in ("MISSED", "UNSOUND") or note:
        outcome.terms = [written(t) for t in right] + ["  -- derivative:", *(written(t) for t in claim.theorem.left)]
        outcome.note += "" if holds is True else f" at {holds}"
    return outcome


def written(t):
    """A term on one line."""
    box = ", ".join(f"{v} < {size}" for v, size in t.bound)
    return "    sum " + "; ".join([box, *(f"{c} >= 0" for c in t.ge), *(f"{c} == 0" for c in t.eq)]) + f" of {t.body}"


def one_operation(name, seed, count):
    """`count` changed closed forms of one operation."""
    rng, outcomes = random.Random(f"{seed} {name}"), []  # noqa: S311 # as above
    claims = claims_of(name, operations()[name], seed)
    while claims and len(outcomes) < count:
        claim = claims[len(outcomes) % len(claims)]
        right, kinds = changed(claim, rng)
        if kinds:
            outcomes.append(judge(claim, right, kinds))
    return outcomes


def table(title, rows):
    """Counts of verdicts by row."""
    verdicts = ("proved & true", "refused & false", "true by signs", "MISSED", "UNSOUND")
    print(f"{title:34}" + "".join(f"{v:>17}" for v in verdicts))
    for row, counts in sorted(rows.items()):
        print(f"{row:34}" + "".join(f"{counts[v] or '.':>17}" for v in verdicts))
    total = sum(rows.values(), Counter())
    print(f"{'all':34}" + "".join(f"{total[v]:>17}" for v in verdicts) + "\n")


def main():
    """Change closed forms, print the tables, and every one that was missed or is unsound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=800, help="changed closed forms, over all operations")
    parser.add_argument("--seed", type=int, default=0, help="chance")
    parser.add_argument("--only", nargs="*", help="operations")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    names = arguments.only or list(operations())
    weights = {name: 3 if name.startswith(("conv", "subsample", "max_pool", "mean_pool", "combine", "upsample", "batch_norm")) else 1 for name in names}
    each = arguments.count / sum(weights.values())
    start = time.perf_counter()
    by_kind, by_operation = {}, {}
    with ProcessPoolExecutor(arguments.jobs) as pool:
        jobs = [pool.submit(one_operation, name, arguments.seed, round(each * weights[name] + 0.5)) for name in names]
        outcomes = [outcome for job in jobs for outcome in job.result()]
    for o in outcomes:
        by_kind.setdefault(" + ".join(o.kinds) if len(o.kinds) == 1 else "two changes", Counter())[o.verdict] += 1
        by_operation.setdefault(o.operation, Counter())[o.verdict] += 1
        if o.terms:
            print("\n".join([f"{o.verdict}: {o.operation}: {', '.join(o.kinds)} {o.note}", *o.terms]), flush=True)
    table("change", by_kind)
    table("operation", by_operation)
    true = sum(o.true and o.by_form for o in outcomes)
    missed, unsound = (sum(o.verdict == v for o in outcomes) for v in ("MISSED", "UNSOUND"))
    print(f"{len(outcomes)} changed closed forms, {true} true, {missed} missed ({100 * missed / max(true, 1):.1f} %), {unsound} unsound, ", end="")
    print(f"{time.perf_counter() - start:.0f} s, slowest {max(o.seconds for o in outcomes):.1f} s")
    sys.exit(1 if unsound else 0)


if __name__ == "__main__":
    main()
