"""The README and the pages beside it are run: Python blocks of each in order as one script, then the lines that call `cnnframe`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

README = Path(__file__).parents[1] / "README.md"
PAGES = [README, *sorted(README.parent.joinpath("docs").glob("*.md"))]
MAKE = re.compile(r"make \w+")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """The lines that are typed, without the prompt and without comments."""
    return [line.removeprefix("$ ").partition("  #")[0].strip() for line in block.splitlines() if line.startswith("$ ")]


TEXT = README.read_text(encoding="utf-8")
SESSIONS = [commands(block) for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "console")]
RUN = [session for session in SESSIONS if not all(MAKE.fullmatch(command) for command in session)]


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that a block names in its first line, and a picture."""
    place = tmp_path
    for block in blocks(TEXT, "python"):
        named = re.match(r"# (\w+\.py)\n", block)
        if named:
            place.joinpath(named.group(1)).write_text(block, encoding="utf-8")
    picture = np.full((28, 28), 255, np.uint8)
    picture[4:24, 13:16] = 0
    Image.fromarray(picture).save(place / "picture.png")
    return place


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # The command of this environment, whatever else the path holds.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(arguments, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_run_in_order(page, folder):
    script = folder / "page.py"
    script.write_text("\n\n".join(blocks(page.read_text(encoding="utf-8"), "python")), encoding="utf-8")
    done = run([sys.executable, str(script)], folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("session", RUN, ids=lambda session: session[0])
def test_the_commands_of_a_block_run_one_after_the_other(session, folder):
    for command in session:
        name, *arguments = shlex.split(command)
        assert name == "cnnframe"
        done = run([sys.executable, "-c", "from cnnframe.cli import main; main()", *arguments], folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_there_is_something_to_run():
    assert len(blocks(TEXT, "python")) >= 4
    assert sum(map(len, RUN)) >= 4
    assert {"make verify", "make test"} <= {command for session in SESSIONS for command in session}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not page.parent.joinpath(target).exists()] == []
    assert targets or page != README


def test_it_says_where_the_words_are_explained():
    assert "It is evidence from cases, not an argument for all sizes." in TEXT
    meaning = README.parent.joinpath("derivations", "README.md").read_text(encoding="utf-8")
    assert "](derivations/README.md)" in TEXT
    assert all(f"## {title}" in meaning for title in ("The statement", "What it rests on", "What it does not cover"))
