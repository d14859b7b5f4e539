"""The command line: help, exit codes, JSON, run folders, commands of others."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe.cli import _lazy
from cnnframe.cli._app import make_app


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(make_app(), list(arguments))


def test_help_has_an_example(call):
    for arguments in ([], ["list"], ["train"]):
        found = call(*arguments, "--help")
        assert found.exit_code == 0 and "Example: cnnframe" in found.output


def test_list(call):
    found = call("list", "--strict")
    assert found.exit_code == 0
    for text in ("conv_linked", "squared_error", "sgd", "l2", "cnnframe 0.1.0", "Multiply by a weight matrix"):
        assert text in found.output
    stored = json.loads(call("list", "--json").stdout)
    assert {"kind": "optimizers", "name": "sgd"}.items() <= next(entry for entry in stored["entries"] if entry["name"] == "sgd").items()
    assert stored["skipped"] == []


def test_list_shows_what_was_skipped(call, monkeypatch):
    skipped = cf.Registry({}, (importlib.import_module("cnnframe._registry").Skipped("broken", "their-plugins", "ImportError: [no] module"),))
    monkeypatch.setattr("cnnframe.cli._list.load", lambda strict: skipped)
    assert "plugin 'broken' of their-plugins was skipped: ImportError: [no] module" in call("list").output
    assert json.loads(call("list", "--json").stdout)["skipped"][0]["distribution"] == "their-plugins"


def test_unknown_command_and_option(call):
    found = call("trian")
    assert found.exit_code == 2 and "No such command 'trian'" in found.output and "'train'" in found.output
    assert call("train", "bouvrie", "--epoch", "x").exit_code == 2
    assert call("train").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bouvri"], "error: no network is called 'bouvri'; did you mean 'bouvrie'?"),
        (["bouvrie", "--loss", "squared"], "error: bouvrie is not trained with the loss 'squared'; did you mean 'squared_error'?"),
        (["bouvrie", "--epochs", "0"], "error: the recipe: [training] epochs must be an integer of at least 1; got 0"),
        (["bouvrie", "--rate", "-1"], "error: [training] rate: Decay: rate must be finite and at least 0; got -1.0"),
        (["bouvrie", "--momentum", "1"], "error: sgd: momentum must be"),
        (["bouvrie", "--batch-size", "0"], "error: "),
    ],
)
def test_errors_take_one_line(call, arguments, message):
    found = call("train", *arguments)
    assert found.exit_code == 2 and message in found.stderr and "Traceback" not in found.output


def test_online_and_a_batch_size_do_not_go_together(call):
    found = call("train", "bouvrie", "--online", "--batch-size", "4")
    assert found.exit_code == 2 and "leave one of the two out" in found.stderr


def test_train_writes_its_folder_and_repeats_itself(call, tmp_path):
    first = call("train", "bouvrie", "--epochs", "1", "--batch-size", "64")
    assert first.exit_code == 0 and "% right on 359 held-out digits" in first.stdout and "run folder: runs/bouvrie-1" in first.stdout
    second = call("train", "bouvrie", "--epochs", "1", "--batch-size", "64", "--json")
    result = json.loads(second.stdout)
    assert result["run_folder"] == "runs/bouvrie-2" and result["count"] == 359
    one, two = (json.loads((tmp_path / "runs" / f"bouvrie-{number}" / "history.json").read_text()) for number in (1, 2))
    for epochs in (one["epochs"], two["epochs"]):
        epochs[0].pop("seconds")
    assert one == two and one["epochs"][0]["test_error"] == result["test_error"]
    stored = cf.RunFolder.open(tmp_path / "runs" / "bouvrie-1").load(cf.load())
    assert stored.settings["seed"] == 0 and stored.graph == cf.networks.bouvrie(cf.load())
    taken = call("train", "bouvrie", "--epochs", "1", "--run-folder", "runs/bouvrie-1")
    assert taken.exit_code == 2 and "holds another run already" in taken.stderr


def test_cross_entropy_and_run_folder(call, tmp_path):
    found = call("train", "bouvrie", "--epochs", "1", "--loss", "softmax_cross_entropy", "--run-folder", "here", "--batch-size", "64")
    assert found.exit_code == 0 and (tmp_path / "here" / "history.json").exists()


def _point(tmp_path, monkeypatch, text, attribute="greet"):
    (tmp_path / "their_commands.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("greet", f"their_commands:{attribute}", _lazy.GROUP)
    monkeypatch.setattr("cnnframe.cli._app.points", lambda: {"greet": point})
    monkeypatch.delitem(sys.modules, "their_commands", raising=False)


def test_commands_of_others_are_listed_without_being_imported(call, tmp_path, monkeypatch):
    _point(tmp_path, monkeypatch, 'def greet(name: str = "you"):\n    """Say hello.\n\n    More.\n    """\n    print("hello", name)\n')
    assert "Say hello." in call("--help").output and "their_commands" not in sys.modules
    assert "--name" in call("greet", "--help").output and "their_commands" in sys.modules
    assert call("greet", "--name", "all").output == "hello all\n"
    assert "'greet'" in call("gret").output


def test_a_command_that_cannot_be_loaded_is_one_line(call, tmp_path, monkeypatch):
    _point(tmp_path, monkeypatch, "import nothing_of_that_name\n")
    assert call("--help").exit_code == 0 and "(from their_commands:greet)" in call("--help").output
    found = call("greet")
    assert found.exit_code == 2 and "error: command 'greet' (their_commands:greet) cannot be loaded: ModuleNotFoundError" in found.stderr


def test_a_source_that_cannot_be_read_is_no_reason_to_fail(call, tmp_path, monkeypatch):
    _point(tmp_path, monkeypatch, "def greet(:\n")
    assert "(from their_commands:greet)" in call("--help").output
    _point(tmp_path, monkeypatch, "def greet():\n    pass\n", "other")
    assert "(from their_commands:other)" in call("--help").output


def test_help_loads_no_sympy_and_import_no_rich():
    code = (
        "import sys, cnnframe; assert not {'rich', 'typer', 'sympy', 'cnnframe_plugins'} & set(sys.modules), 'import';"
        "from typer.testing import CliRunner; from cnnframe.cli._app import make_app;"
        "assert CliRunner().invoke(make_app(), ['--help']).exit_code == 0; assert 'sympy' not in sys.modules, 'help'"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
