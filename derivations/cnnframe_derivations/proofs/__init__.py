"""Proofs that closed forms of gradients hold for every size: the checker, and the search for what it checks."""
