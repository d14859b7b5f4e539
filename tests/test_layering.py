"""The arrows between the packages, read off the imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
LINES = 300
OVER_SYMPY = {"cnnframe/algebra.py", "cnnframe/_sums.py"}
NAMES_OF_IMPORTERS = {"import_module", "__import__", "find_spec", "run_module", "importorskip"}


class Rule(NamedTuple):
    """What the modules of a package may import: anywhere, and only within functions."""

    anywhere: frozenset[str]
    in_functions: frozenset[str] = frozenset()


# threadpoolctl is asked for where a batch is computed on several threads: matrix products then keep to one each; tomlkit where a graph is written as TOML.
# safetensors where a training is saved.
CORE = Rule(frozenset({"cnnframe", "numpy", "pluggy"}), frozenset({"threadpoolctl", "tomlkit", "safetensors"}))
RULES = {
    "cnnframe/export/": Rule(CORE.anywhere, frozenset({"onnx", "onnxruntime", "sympy"})),
    "cnnframe/estimators/": Rule(CORE.anywhere | {"sklearn"}),
    "cnnframe/pictures/": Rule(CORE.anywhere, CORE.in_functions | {"matplotlib"}),
    "cnnframe/cli/": Rule(CORE.anywhere | {"typer", "rich"}),
    "cnnframe/data/": Rule(CORE.anywhere, frozenset({"scipy", "PIL"})),
    "cnnframe/algebra.py": Rule(CORE.anywhere, frozenset({"sympy"})),
    "cnnframe/_sums.py": Rule(CORE.anywhere, frozenset({"sympy"})),
    "cnnframe/_symbols.py": Rule(CORE.anywhere | {"sympy"}),
    "cnnframe/": CORE,
    "plugins/cnnframe_plugins/fused/": Rule(frozenset({"cnnframe", "cnnframe_plugins", "numpy"}), frozenset({"sympy", "numba", "llvmlite"})),
    "plugins/cnnframe_plugins/": Rule(frozenset({"cnnframe", "cnnframe_plugins", "numpy", "scipy"})),
    "derivations/cnnframe_derivations/": Rule(
        frozenset({"cnnframe", "cnnframe_derivations", "numpy", "scipy", "sympy", "mpmath", "hypothesis", "pytest", "typer", "rich", "latex2mathml"})
    ),
}
"""By the beginning of the path; the first that fits counts."""


class Import(NamedTuple):
    """One imported module with its full name, and whether the import waits for a call."""

    module: str
    lazy: bool
    line: int


def imports(source: str, module: str) -> Iterator[Import]:
    """Every import of a source text, `import_module("...")` with a literal name and its kin included.

    `module` is the dotted name of the module that the text is of, for relative imports.
    """
    package = module.split(".")

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            start = [*base, *([node.module] if node.module else [])]
            yield from (Import(".".join([*start, alias.name]), lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            literals = [arg.value for arg in [*node.args, *(k.value for k in node.keywords)] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if called in NAMES_OF_IMPORTERS and literals:
                name = literals[0]
                yield Import(f"{package[0]}{name}" if name.startswith(".") else name, lazy, node.lineno)
        inner = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _for_types_alone(node)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inner)

    yield from visit(ast.parse(source), lazy=False)


def _for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def wrong(source: str, path: str) -> list[str]:
    """What a source text at a path imports although it must not."""
    rule = next(rule for start, rule in RULES.items() if path.startswith(start))
    inside = path.removeprefix("plugins/").removeprefix("derivations/").removesuffix(".py")
    found = []
    for module, lazy, line in imports(source, inside.replace("/", ".")):
        top = module.split(".")[0]
        allowed = rule.anywhere | (rule.in_functions if lazy else frozenset())
        # Only `algebra` and its sums may reach the SymPy classes, and only when a formula is read.
        outside = top not in sys.stdlib_module_names and top not in allowed
        too_early = path.startswith("cnnframe/") and module.startswith("cnnframe._symbols") and not (path in OVER_SYMPY and lazy)
        if outside or too_early:
            found.append(f"{path}:{line} imports {module}")
    return found


def sources() -> list[str]:
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in ("cnnframe", "plugins/cnnframe_plugins", "derivations/cnnframe_derivations")
        for path in (ROOT / folder).rglob("*.py")
    )


@pytest.mark.parametrize("path", sources())
def test_imports_follow_the_arrows(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert wrong(source, path) == []


@pytest.mark.parametrize("path", [path for path in sources() if path.startswith("cnnframe/")])
def test_a_module_of_the_core_is_short(path):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= LINES


def test_there_are_sources_to_read():
    assert {"cnnframe/_op.py", "plugins/cnnframe_plugins/dense.py", "derivations/cnnframe_derivations/suite/_run.py"} <= set(sources())


@pytest.mark.parametrize("folder", ["plugins", "derivations"])
def test_the_folders_are_no_packages(folder):
    assert not (ROOT / folder / "__init__.py").exists()


CORE_FILE, PLUGIN, JUDGE = "cnnframe/_graph.py", "plugins/cnnframe_plugins/dense.py", "derivations/cnnframe_derivations/suite/_run.py"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (CORE_FILE, "import sympy"),
        (CORE_FILE, "def f():\n    import sympy"),
        (CORE_FILE, "from scipy.special import expit"),
        (CORE_FILE, "import os, typer"),
        (CORE_FILE, "import cnnframe_plugins"),
        (CORE_FILE, "from cnnframe_plugins.dense import Dense"),
        (CORE_FILE, "from cnnframe_derivations import promises"),
        (CORE_FILE, "import importlib\nimportlib.import_module('cnnframe_plugins')"),
        (CORE_FILE, "from importlib import import_module\ndef f():\n    return import_module('cnnframe_derivations.suite')"),
        (CORE_FILE, "import importlib\nimportlib.import_module(name='cnnframe_plugins')"),
        (CORE_FILE, "numba = __import__('numba')"),
        (CORE_FILE, "try:\n    import numba\nexcept ImportError:\n    numba = None"),
        (CORE_FILE, "from . import _symbols"),
        (CORE_FILE, "def f():\n    from ._symbols import Guarded"),
        (CORE_FILE, "if True:\n    class A:\n        import matplotlib"),
        ("cnnframe/training/_trainer.py", "from .. import _symbols"),
        ("cnnframe/cli/_app.py", "def f():\n    import cnnframe_derivations"),
        ("cnnframe/cli/_app.py", "import sympy"),
        ("cnnframe/algebra.py", "import sympy as sp"),
        ("cnnframe/algebra.py", "from ._symbols import Guarded"),
        ("cnnframe/algebra.py", "def f():\n    import scipy"),
        (PLUGIN, "import sympy"),
        (PLUGIN, "from cnnframe_derivations.suite import verify"),
        (PLUGIN, "def f():\n    import cnnframe_derivations"),
        (PLUGIN, "import importlib\nimportlib.import_module('cnnframe_derivations')"),
        (PLUGIN, "from .. import cnnframe_derivations"),
        (JUDGE, "from cnnframe_plugins import Dense"),
        (JUDGE, "def f():\n    import cnnframe_plugins.conv"),
        (JUDGE, "import importlib\nimportlib.util.find_spec('cnnframe_plugins')"),
        (JUDGE, "import sklearn"),
    ],
)
def test_wrong_imports_are_refused(path, source):
    assert wrong(source, path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (CORE_FILE, "from __future__ import annotations\nimport json\nimport numpy as np\nimport pluggy\nfrom . import _axes\nfrom ._op import Op"),
        ("cnnframe/cli/_app.py", "import typer\ndef f():\n    from rich.table import Table\n    from .._registry import load"),
        ("cnnframe/algebra.py", "def f():\n    import sympy as sp\n    from ._symbols import Guarded"),
        ("cnnframe/_symbols.py", "import sympy as sp"),
        (PLUGIN, "import numpy as np\nfrom scipy.special import expit\nfrom cnnframe import Layer\nfrom ._windows import Geometry"),
        (JUDGE, "import hypothesis, sympy, mpmath, pytest\nfrom cnnframe import Op\nfrom .._read import read\nfrom . import exact"),
    ],
)
def test_right_imports_are_let_through(path, source):
    assert wrong(source, path) == []
