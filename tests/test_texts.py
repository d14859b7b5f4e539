"""What the texts of the project have to say, and what they must not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_TEXTS = {".npz", ".png", ".pdf", ".gz", ".ico", ".so"}
MADE_HERE = {".git", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build", "dist", "runs", "uv.lock"}
# In parts, so that this file does not name them either.
NAMES = ["pypi." + "org", "python" + "hosted", "anaconda." + "org", "index" + "-url", "://local" + "host", "simple" + "/pip"]
HOSTS = re.compile("|".join(map(re.escape, NAMES)))
PLACES = re.compile(r"(?<![\w.~$}/])/(?:home|root|work|tmp|Users|opt|mnt|var)/|\b[A-Z]:\\(?:Users|Windows|Program)")


def texts() -> list[str]:
    """The files of the checkout that git has or would take; without git, those that no tool made."""
    git = shutil.which("git")
    if git and ROOT.joinpath(".git").exists():
        command = [git, "ls-files", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    else:
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]
    return sorted(name for name in names if not MADE_HERE & set(Path(name).parts) and Path(name).suffix not in NO_TEXTS and ROOT.joinpath(name).is_file())


def suspicious(text: str) -> list[str]:
    """Names of package hosts, and absolute paths of one machine."""
    return [match.group() for pattern in (HOSTS, PLACES) for match in pattern.finditer(text)]


def test_no_text_names_a_package_host_or_a_place_on_one_machine():
    found = {name: suspicious(ROOT.joinpath(name).read_text(encoding="utf-8")) for name in texts()}
    assert {name: words for name, words in found.items() if words} == {}


def test_there_are_texts():
    assert {"README.md", "Makefile", "pyproject.toml", ".ci/run", "cnnframe/_op.py", "tests/test_texts.py"} <= set(texts())


@pytest.mark.parametrize("text", ["https://pypi." + "org/x", "--index" + "-url", "cd /ho" + "me/me/x", '"/tm' + 'p/x"', "C:" + "\\Users", "/ro" + "ot/.venv"])
def test_such_names_would_be_seen(text):
    assert suspicious(text)


@pytest.mark.parametrize("text", ["#!/usr/bin/env bash", "cnnframe/training/x.py", "out/tmp/x", "https://example.org/home/x", "a /work day", "x[:\\n]"])
def test_other_texts_pass(text):
    assert suspicious(text) == []


def ignores(text: str) -> list[str]:
    """The lines of ruff's `ignore` and `per-file-ignores` that name a rule."""
    lint = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.format]")]
    return [line for line in lint.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]


def test_every_rule_that_is_ignored_has_its_reason():
    text = ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    lines = ignores(text)
    assert lint["select"] == ["ALL"]
    assert len(lines) == len(lint["ignore"]) + sum(map(len, lint["per-file-ignores"].values()))
    assert [line for line in lines if not re.search(r'", # .{15,}|", # as [A-Z]+\d+', line)] == []


def test_every_suppressed_complaint_in_the_code_has_its_reason():
    """After `noqa` or `type: ignore` and its code comes a second comment, which says why."""
    bare = re.compile(r"# (?:noqa|type: ignore)\b(?!(?:: [A-Z]+\d+(?:, [A-Z]+\d+)*|\[[a-z-]+\]) # \w)")
    found = [
        f"{name}:{number}"
        for name in texts()
        if name.endswith(".py") and name != "tests/test_texts.py"
        for number, line in enumerate(ROOT.joinpath(name).read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_the_readme_mentions_every_command():
    variables = {**os.environ, "TERM": "dumb", "COLUMNS": "100"}
    shown = subprocess.run(
        [sys.executable, "-c", "from cnnframe.cli import main; main()", "--help"], env=variables, capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"^  ([a-z][a-z-]*)  ", shown[shown.index("Commands:") :], re.MULTILINE)
    readme = ROOT.joinpath("README.md").read_text(encoding="utf-8")
    assert {"list", "train", "verify", "derive"} <= set(commands)
    assert [command for command in commands if f"cnnframe {command}" not in readme] == []


def test_the_changelog_knows_the_version():
    version = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.search(rf"^## \[{re.escape(version)}\]", ROOT.joinpath("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_version_is_the_same_everywhere():
    import cnnframe

    assert tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == cnnframe.__version__
