"""What `import cnnframe` does not load, so that a script starts at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
{statement}
heavy = {heavy!r}
print(*sorted(name for name in heavy if name in sys.modules))
"""

HEAVY = ["sympy", "hypothesis", "pytest", "numba", "matplotlib", "scipy", "typer", "rich", "tomlkit", "PIL"]
OF_THE_JUDGE = ["sympy", "hypothesis", "pytest", "numba", "matplotlib", "scipy", "cnnframe_derivations"]


def loaded(statement: str, heavy: list[str]) -> str:
    """Which of the modules are loaded after a statement, in a Python of its own."""
    code = CODE.format(statement=statement, heavy=heavy)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import cnnframe", [*HEAVY, "cnnframe_plugins", "cnnframe_derivations"]),
        ("import cnnframe.algebra", HEAVY),
        ("import cnnframe; cnnframe.load()", OF_THE_JUDGE),
        ("import cnnframe; cnnframe.data.digits()", HEAVY),
        ("import cnnframe.cli", HEAVY),
    ],
)
def test_nothing_heavy_is_loaded(statement, heavy):
    assert loaded(statement, heavy) == ""


def test_what_is_loaded_would_be_seen():
    assert loaded("import cnnframe, rich, scipy", HEAVY) == "rich scipy"
