"""Search for a proof. Nothing here is trusted: every step goes through the checker as it is found."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from ._attempts import attempts, pins, splits
from ._state import Found, cancel, drop_empty, plain, settle
from ._statement import Theorem

ROUNDS = 12
"""How often something is tried on what does not cancel."""


def search(theorem: Theorem, eager: Iterable[str] = ()) -> Found:
    """Look for a proof; definitions named in `eager` are unfolded wherever they occur."""
    terms = theorem.start()
    state = Found(theorem, dict(enumerate(terms)), next=len(terms))
    eager = {*eager, *(name for name, d in theorem.theory.definitions.items() if plain(d.terms))}
    for number in list(state.live):
        settle(state, number, eager)
    cancel(state)
    for _ in range(ROUNDS):
        if not state.live:
            break
        drop_empty(state)
        better = _better(state, eager)
        if better is None:
            break
        state = better
    return state


def _better(state: Found, eager: set[str]) -> Found | None:
    """A state with fewer terms left; or with as many after a sum was taken apart, since a part of it has cancelled then."""
    once = chain(attempts(state, eager), pins(state, eager))
    twice = (t for s in attempts(state, eager) for t in attempts(s, eager))
    fewer = (s for s in chain(once, twice) if len(s.live) < len(state.live))
    apart = (s for s in splits(state, eager) if len(s.live) <= len(state.live))
    return next(chain(fewer, apart), None)
