"""How operations, kernels and chains are told apart in a name: conv, conv@numpy_conv, conv+relu@fused."""

from __future__ import annotations

BETWEEN = "@"
"""Stands between the name of what is computed and that of a kernel."""

PLUS = "+"
"""Stands between the names of operations of which each feeds the next."""
