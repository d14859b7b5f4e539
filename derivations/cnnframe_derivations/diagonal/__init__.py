"""How the diagonal of a Gauss-Newton matrix goes back through operations, from their formulas."""

from ._rule import diagonal_source, rule

__all__ = ["diagonal_source", "rule"]
