"""How the diagonal of a Gauss-Newton matrix goes back through operations, from their formulas."""

from ._rule import diagonal_source, rule
from ._squares import begins, indices_of, slopes, squares, tidy

__all__ = ["begins", "diagonal_source", "indices_of", "rule", "slopes", "squares", "tidy"]
