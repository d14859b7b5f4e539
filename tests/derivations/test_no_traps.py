"""SymPy's own sums and folds are wrong in places that matter here; no code of ours calls them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAPS = {"doit", "piecewise_fold", "simplify", "nsimplify", "convert_indexed_to_array", "array_derive", "summation", "Heaviside"}
"""`Sum.doit` gives g[p/2] for odd p; folding moves conditions out of their index's scope; the array module drops offsets."""

SOURCES = [path for folder in ("cnnframe", "plugins", "derivations") for path in sorted((ROOT / folder).rglob("*.py"))]


def traps(source: str) -> list[str]:
    """The forbidden names that a source calls or imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
            found += [name] if name in TRAPS else []
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [alias.name for alias in node.names if alias.name in TRAPS or "tensor.array" in (getattr(node, "module", None) or alias.name)]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_calls_a_trap(path):
    assert traps(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source", ["s.doit()", "sp.simplify(x)", "from sympy import piecewise_fold", "import sympy.tensor.array.expressions", "piecewise_fold(e)"]
)
def test_the_lint_sees_each_trap(source):
    assert traps(source)
