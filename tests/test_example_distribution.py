"""The wheel, and a stranger's distribution beside it, in an environment of their own.

The environment finds third-party packages where the running one has them, so that nothing is downloaded; the
project itself comes from the wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "cnnframe-extras"

pytestmark = pytest.mark.xdist_group("example distribution")


class Environment:
    """A virtual environment with both wheels, and a user's folder to work in."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "work"
        self.bin = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(home / "venv"), "platbase": str(home / "venv")}))

    def run(self, *command: str | Path) -> str:
        """The output of a command in the user's folder, which must succeed."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
        done = subprocess.run([str(part) for part in command], cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, *arguments: str | Path) -> str:
        return self.run(self.bin / "python", *arguments)

    def cnnframe(self, *arguments: str) -> str:
        return self.run(self.bin / "cnnframe", *arguments)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("environment")
    found = Environment(home)
    found.folder.mkdir()
    for source in (ROOT, EXAMPLE):
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home / "wheels")], cwd=source, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
    found.python("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", *sorted((home / "wheels").glob("*.whl")))
    found.packages.joinpath("third_party.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")
    # A user's own folders, under the names of ours.
    for name in ("plugins", "derivations"):
        found.folder.joinpath(name).mkdir()
        found.folder.joinpath(name, "__init__.py").write_text("raise ImportError('a folder of the user, which must not be imported')\n")
    shutil.copytree(EXAMPLE / "tests", found.folder / "tests")
    return found


@pytest.mark.parametrize("package", ["cnnframe", "cnnframe_plugins", "cnnframe_derivations", "cnnframe_extras"])
def test_every_package_comes_from_its_wheel(environment, package):
    where = environment.python("-c", f"import {package}; print({package}.__file__)")
    assert environment.packages in Path(where.strip()).parents


def test_the_operations_are_listed_with_their_distribution(environment):
    listed = json.loads(environment.cnnframe("list", "--json"))
    theirs = {(entry["kind"], entry["name"], entry["version"]) for entry in listed["entries"] if entry["distribution"] == "cnnframe-extras"}
    names = {"layers": ("depthwise", "gated"), "activations": ("swish",), "regularizers": ("elastic_net",)}
    assert theirs == {(kind, name, "1.2.0") for kind, offered in names.items() for name in offered}
    assert any(entry["name"] == "conv" and entry["distribution"] == "cnnframe" for entry in listed["entries"])
    assert listed["skipped"] == []


def test_everything_is_found_beside_folders_of_the_same_names(environment):
    # python -c puts the folder in front of the path, unlike the command.
    code = "import sys; assert sys.path[0] == ''; import cnnframe; print(*cnnframe.load(strict=True))"
    assert {"conv", "subsample", "swish", "sgd"} <= set(environment.python("-c", code).split())


def test_the_command_verifies_an_operation_of_the_example(environment):
    (report,) = json.loads(environment.cnnframe("verify", "swish", "--json"))["reports"]
    assert (report["name"], report["verdict"]) == ("swish", "verified")


def test_the_promises_of_the_example_hold(environment):
    printed = environment.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "passed" in printed
    assert "failed" not in printed


def test_a_network_with_the_example_trains(environment):
    code = """
import numpy as np
import cnnframe as cf

ops = cf.load()
net = cf.Graph.chain(
    ops.make("depthwise", size=3), ops.make("swish"), ops.make("gated", channels=3, size=2), ops.make("flatten", dims=1), ops.make("dense", units=2),
    inputs="n 2 9", loss=ops.make("squared_error"), penalties=[cf.Penalty(ops.make("elastic_net", strength=0.001))],
)
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 2, 9)).astype(np.float32)
t = np.stack([x[:, 0].mean(axis=1), x[:, 1].mean(axis=1)], axis=1)
epochs = cf.Trainer(net, ops.make("sgd"), rate=0.05).fit({"x": x, "t": t}, epochs=5).epochs
print(epochs[0].train_loss > epochs[-1].train_loss)
"""
    assert environment.python("-c", code).strip() == "True"
