"""Proofs that closed forms of gradients hold for every size: the checker, and the search for what it checks."""

from ._prove import Proof as Proof
from ._prove import proof as prove

__all__ = ["Proof", "prove"]
