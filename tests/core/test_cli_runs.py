"""Runs on the command line: trained, stopped, gone on with, killed, looked at, used."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe.cli._app import make_app

OPS = cf.load()
ROOT = Path(__file__).parents[2]
QUICK = ("bouvrie", "--batch-size", "64", "--set", "training.threads=1")


def call(*arguments):
    return CliRunner().invoke(make_app(), list(map(str, arguments)), env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two epochs with probabilities; its folder."""
    path = tmp_path_factory.mktemp("runs") / "run"
    found = call("train", *QUICK, "--epochs", 2, "--loss", "softmax_cross_entropy", "--rate", 0.05, "--run-folder", path)
    assert found.exit_code == 0, found.output
    return path


def history(path):
    return cf.RunFolder(path).load(OPS).history


def same(one, two):
    assert one == two and one.parameters == two.parameters and np.array_equal(one.state.optimizer, two.state.optimizer)


def test_rows_show_the_losses_and_the_gradient_norms(run, tmp_path):
    wide = CliRunner().invoke(make_app(), ["train", *QUICK, "--epochs", "1", "--run-folder", str(tmp_path / "a")], env={"COLUMNS": "200"})
    assert "test error" in wide.stdout and "subsample2" in wide.stdout.splitlines()[0] and "1/1" in wide.stdout.splitlines()[1]
    narrow = CliRunner().invoke(make_app(), ["train", *QUICK, "--epochs", "1", "--run-folder", str(tmp_path / "b")], env={"COLUMNS": "80"})
    assert "|grad|  conv1 " in narrow.stdout.splitlines()[2] and max(map(len, narrow.stdout.splitlines()[:2])) <= 80
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["checkpoint.safetensors", "history.json", "recipe.toml"]


def test_the_recipe_of_a_run_repeats_it(run, tmp_path):
    found = call("train", run / "recipe.toml", "--run-folder", tmp_path / "again")
    assert found.exit_code == 0
    same(history(tmp_path / "again"), history(run))


def test_more_epochs_are_as_if_they_had_been_asked_for_at_once(run, tmp_path):
    half = tmp_path / "half"
    call("train", run / "recipe.toml", "--epochs", 1, "--run-folder", half)
    found = call("train", "--resume", half)
    assert found.exit_code == 2 and "has all of its 1 epochs; give a larger number in all, such as --epochs 11" in found.stderr
    found = call("train", "--resume", half, "--epochs", 2)
    assert found.exit_code == 0 and "after 2 epochs" in found.stdout
    same(history(half), history(run))
    assert "epochs = 2" in (half / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0.5"], "the checkpoint was trained otherwise: rate.rate: 0.05 there, 0.5 here"),
        (["lenet5"], "is a run of bouvrie, and not of lenet5; leave the name out"),
        (["--loss", "squared_error"], "is trained with the loss softmax_cross_entropy, and not with squared_error"),
        (["--set", "data.test=100"], "are not the examples that"),
        (["--run-folder", "x"], "leave --run-folder"),
    ],
)
def test_what_a_run_is_not_gone_on_with(run, arguments, message):
    before = (run / "checkpoint.safetensors").read_bytes()
    found = call("train", "--resume", run, "--epochs", 4, *arguments)
    assert found.exit_code == 2 and message in found.stderr
    assert (run / "checkpoint.safetensors").read_bytes() == before


def test_a_run_is_not_overwritten(run):
    before = (run / "checkpoint.safetensors").read_bytes()
    found = call("train", "bouvrie", "--run-folder", run)
    assert found.exit_code == 2 and "holds another run already" in found.stderr and (run / "checkpoint.safetensors").read_bytes() == before


def test_a_recipe_is_written_and_read(tmp_path):
    path = tmp_path / "mine.toml"
    found = call("train", *QUICK, "--set", "training.order=fixed", "--write-recipe", path)
    assert found.exit_code == 0 and f"cnnframe train {path}" in found.stdout and 'order = "fixed"' in path.read_text()
    assert "is there already" in call("train", "bouvrie", "--write-recipe", path).stderr
    changed = call("train", path, "--loss", "softmax_cross_entropy", "--write-recipe", tmp_path / "other.toml")
    assert changed.exit_code == 0 and 'coding = "index"' in (tmp_path / "other.toml").read_text()
    path.write_text(path.read_text().replace("momentum", "momentun"))
    assert "sgd has no 'momentun'; did you mean 'momentum'?" in call("train", path).stderr


def test_a_training_that_diverges_keeps_the_last_good_checkpoint(tmp_path):
    rate = '{schedule = "steps", steps = [[1, 0.01], [1, 1e30]]}'
    found = call("train", *QUICK, "--epochs", 3, "--set", f"training.rate={rate}", "--set", "optimizer.weight_decay=0.1", "--run-folder", tmp_path / "run")
    assert found.exit_code == 1, found.output
    assert "error: the training diverged: epoch 2, step " in found.stderr
    assert "the last good checkpoint, after epoch 1, is kept in" in found.stderr
    assert history(tmp_path / "run").state.epoch == 1


def test_signals_save_and_stop_and_the_rest_is_as_if_they_had_not_come(tmp_path):
    path, whole = tmp_path / "run", tmp_path / "whole"
    begin = ["bouvrie", "--set", "training.threads=1", "--set", "data.train=256", "--epochs", "900", "--run-folder", str(path)]
    for number, code, arguments in ((signal.SIGINT, 130, begin), (signal.SIGTERM, 143, ["--resume", str(path)])):
        with subprocess.Popen([sys.executable, "-m", "cnnframe", "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            # The head, and an epoch: it is in the middle of its work.
            process.stdout.readline(), process.stdout.readline()
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert process.returncode == code and "Traceback" not in said, said
        assert f"go on with: cnnframe train --resume {path}" in said
    epochs = history(path).state.epoch + 1
    assert 3 <= epochs < 900
    assert call("train", "--resume", path, "--epochs", epochs).exit_code == 0
    call("train", path / "recipe.toml", "--epochs", epochs, "--run-folder", whole)
    same(history(path), history(whole))


def test_killed_trainings_end_with_the_same_bits():
    spec = importlib.util.spec_from_file_location("kill_and_resume", ROOT / "benchmarks" / "kill_and_resume.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    kills, finished, wrong = script.run(kills=2, seed=1, epochs=5)
    assert kills == 2 and finished >= 1 and wrong == []


def test_evaluate(run):
    found = call("evaluate", run)
    last = history(run).epochs[-1]
    wrong = round(last.test_error * 359)
    assert found.exit_code == 0 and f"({wrong} wrong), after epoch 2" in found.stdout and f"mean loss {last.test_loss:.4f}" in found.stdout
    stored = json.loads(call("evaluate", run, "--best", "--json").stdout)
    assert np.array(stored["confusion"]).sum() == stored["count"] == 359
    assert stored["wrong"] == stored["count"] - np.trace(stored["confusion"]) == sum(pair["count"] for pair in stored["confused"])
    assert [pair["count"] for pair in stored["confused"]] == sorted((pair["count"] for pair in stored["confused"]), reverse=True)


def test_predict(run, tmp_path):
    picture = np.zeros((40, 30), np.uint8)
    picture[5:35, 12:18] = 255
    Image.fromarray(picture).save(tmp_path / "light.png")
    Image.fromarray(255 - picture).save(tmp_path / "dark.png")
    np.save(tmp_path / "array.npy", picture / 255.0)
    names = ("light.png", "dark.png", "array.npy")
    answers = json.loads(call("predict", run, "--json", *(tmp_path / name for name in names)).stdout)
    assert [Path(answer["picture"]).name for answer in answers] == list(names)
    assert answers[0]["probabilities"] == answers[1]["probabilities"] == answers[2]["probabilities"]
    assert sum(answers[0]["probabilities"]) == pytest.approx(1, abs=1e-4) and answers[0]["label"] == np.argmax(answers[0]["probabilities"])
    shown = call("predict", run, tmp_path / "light.png", tmp_path / "none.png")
    assert shown.exit_code == 2 and f"light.png: {answers[0]['label']}   (probabilities {answers[0]['label']}: " in shown.stdout
    assert "none.png is no file" in shown.stderr and "Traceback" not in shown.output
    assert "ink must be one of auto, dark, light" in call("predict", run, tmp_path / "light.png", "--ink", "red").stderr


def test_plot(run, tmp_path):
    found = call("plot", run)
    assert found.exit_code == 0 and "no alpha: no layer combines maps" in found.stderr
    for name in ("curves", "norms", "kernels", "maps", "confusion"):
        with Image.open(run / "plots" / f"{name}.png") as image:
            assert min(image.size) > 300 and len(image.convert("L").getcolors(10_000)) > 20
    assert call("plot", run, "--what", "curve").stderr.startswith("error: --what: there is no picture 'curve'; did you mean 'curves'?")
    assert "no layer combines maps" in call("plot", run, "--what", "alpha").stderr
    assert "must be from 0 to 358, or a picture; got 999" in call("plot", run, "--what", "maps", "--image", "999").stderr
    taken = tmp_path / "taken"
    taken.touch()
    assert "error: " in call("plot", run, "--what", "curves", "--out", taken).stderr


@pytest.mark.parametrize("command", ["evaluate", "predict", "plot"])
def test_what_is_no_run_is_refused(command, tmp_path):
    arguments = [tmp_path, tmp_path / "x.png"] if command == "predict" else [tmp_path]
    found = call(command, *arguments)
    assert found.exit_code == 2 and "is not the folder of a run: there is no checkpoint.safetensors in it" in found.stderr
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nonsense")
    assert "is damaged or no checkpoint" in call(command, *arguments).stderr


def test_a_run_of_a_script_has_no_recipe(tmp_path):
    graph = cf.Graph.chain(OPS.make("dense", units=2), inputs="n 3", loss=OPS.make("squared_error"))
    job = cf.Trainer(graph, OPS.make("sgd"), 0.1)
    folder = cf.RunFolder.create("net", tmp_path / "run")
    folder.save(job, cf.History((), job.start()))
    assert "was trained by a script, and has no recipe" in call("evaluate", folder.path).stderr


def test_maps_choose_their_inputs_under_the_penalties_that_act():
    spec = importlib.util.spec_from_file_location("sparse_maps", ROOT / "examples" / "sparse_maps.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def largest(name):
        return np.array(script.train(name, 8, 300).epochs[-1].mixtures["combine1"]).max(axis=0)

    with pytest.warns(UserWarning, match="alpha_l1 on 'combine1.c' has no gradient"):
        constant = largest("alpha_l1")
    plain = largest("none")
    np.testing.assert_allclose(constant, plain, atol=1e-4)
    for name in ("alpha_entropy", "alpha_square", "alpha_power"):
        assert (largest(name) > plain + 0.1).all() and largest(name).min() > 0.6, name
