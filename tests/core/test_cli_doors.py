"""What a person meets at the terminal: what is refused and why, what is not lost, what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe.cli import _run, _watch
from cnnframe.cli._app import make_app

OPS = cf.load()
FULL = Path("/dev/full")
SMALL = ("--set", "data.train=64", "--set", "training.threads=1")


def call(*arguments, columns=200):
    return CliRunner().invoke(make_app(), list(map(str, arguments)), env={"COLUMNS": str(columns)})


def said(found):
    assert found.exit_code == 2 and "Traceback" not in found.output, found.output
    return found.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two epochs with a seed of its own; its folder."""
    path = tmp_path_factory.mktemp("runs") / "run"
    found = call("train", "bouvrie", *SMALL, "--epochs", 2, "--seed", 3, "--run-folder", path)
    assert found.exit_code == 0, found.output
    return path


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run, to be gone on with."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def help_of(command):
    """The help of a command on one line."""
    return " ".join(call(command, "--help").stdout.split())


class TestFiles:
    def test_a_file_that_is_there_is_not_replaced(self, run, tmp_path):
        target = tmp_path / "mine.toml"
        target.write_text("precious")
        for command in (("export", run), ("train", "bouvrie", "--write-recipe")):
            assert "mine.toml is there already; choose another name, or replace it by --overwrite" in said(call(*command, target))
            assert target.read_text() == "precious"
        assert call("train", "bouvrie", "--write-recipe", target, "--overwrite").exit_code == 0 and "precious" not in target.read_text()
        assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]

    def test_folders_and_links_are_not_replaced(self, run, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        assert "is there already" in said(call("export", run, tmp_path / "link"))
        assert "is a folder; name a file in it" in said(call("export", run, tmp_path, "--overwrite"))
        assert "it goes with --write-recipe" in said(call("train", "bouvrie", "--overwrite"))

    def test_an_onnx_file_says_how_its_input_is_prepared(self, run, tmp_path):
        (tmp_path / "net.onnx").write_text("of another network")
        found = call("export", run, tmp_path / "net.onnx", "--overwrite")
        props = {each.key: each.value for each in onnx.load(tmp_path / "net.onnx").metadata_props}
        assert props["network"] == "bouvrie" and props["classes"] == "10" and props["cnnframe"] == cf.__version__
        assert "images of 8x8, from 0 (paper) to 16 (ink), each entry tiled over 2x2, then less" in props["input"] and props["input"] in found.stdout
        told = json.loads(props["preparation"])
        images, _ = cf.data.digits()
        wanted = cf.recipes.TrainedRun.open(run, OPS).learned.preparation(images)
        assert np.array_equal(((np.kron(images, np.ones((1, 1, 2, 2))) - told["mean"]) / told["scale"]).astype(told["dtype"]), wanted)

    def test_metadata_are_texts(self, tmp_path):
        graph = cf.networks.bouvrie(OPS)
        with pytest.raises(cf.ExportError, match="metadata must be texts by name; got 'a': 3"):
            cf.export.onnx(graph, cf.Parameters.initialise(graph), tmp_path / "a.onnx", metadata={"a": 3})

    @pytest.mark.parametrize(
        ("size", "words"), [((8, 8), "each entry tiled over 4x4"), ((28, 28), "padded with 0"), ((64, 64), "bilinear"), ((32, 32), "in their size")]
    )
    def test_sizes_in_words_are_what_is_done(self, size, words):
        from cnnframe.data._resize import bilinear, fit_in_words, fit_to, pad_to

        images = np.random.default_rng(0).uniform(0, 255, (2, 1, *size))
        ways = {"each": lambda: np.kron(images, np.ones((1, 1, 4, 4))), "in t": lambda: images, "brou": lambda: bilinear(images, 32)}
        ways["in the m"] = lambda: pad_to(images, 32)
        text = fit_in_words(*size, 32)
        (way,) = [made for start, made in ways.items() if text.startswith(start) and (start != "in t" or "middle" not in text)]
        assert words in text and np.array_equal(fit_to(images, 32), way())

    def test_help_names_what_has_to_be_installed(self):
        assert "pip install 'cnnframe[onnx]'" in help_of("export")


class TestANetworkOfOnesOwn:
    def test_help_says_how_it_is_written(self):
        assert "--write-recipe mine.toml --spell-out" in help_of("train")

    def test_what_is_spelt_out_trains_the_same_and_can_be_changed(self, tmp_path):
        mine = tmp_path / "mine.toml"
        assert call("train", "bouvrie", *SMALL, "--epochs", 1, "--write-recipe", mine, "--spell-out").exit_code == 0
        for number, recipe in enumerate((mine, "bouvrie")):
            assert call("train", recipe, *SMALL, "--epochs", 1, "--run-folder", tmp_path / str(number)).exit_code == 0
        one, two = (cf.RunFolder(tmp_path / name).load(OPS).history for name in "01")
        assert one.epochs == two.epochs and one.parameters == two.parameters
        mine.write_text(mine.read_text().replace("maps = 24", "maps = 5"))
        assert call("train", mine, *SMALL, "--run-folder", tmp_path / "2").exit_code == 0
        assert cf.RunFolder(tmp_path / "2").load(OPS).history.parameters["conv2.k"].shape == (5, 8, 3, 3)

    @pytest.mark.parametrize(
        ("network", "message"),
        [
            ({"layers": []}, "[network] has no key 'layers'; known: loss, name, options; for a network of one's own, `cnnframe train bouvrie"),
            ({"inputs": {}}, "[network] has inputs and no nodes, a table [network.nodes.NAME] for each; `cnnframe train bouvrie"),
            ({"name": "bouvrie", "nodes": {}}, "[network] name is for a network of the box, and nodes for a graph of one's own; keep one kind"),
            ({"nodes": ["conv"]}, "[network] lacks the key 'inputs', which is a table of names with their axes, such as x = \"n 1 16 16\""),
            ({"inputs": {}, "nodes": ["conv"]}, "[network] key 'nodes' must be a table for each node, such as [network.nodes.conv1]; got ['conv']"),
            ({"inputs": {}, "nodes": {"a": {"op": "relu"}}}, "[network.nodes.a] lacks the key 'inputs', which is a table such as {x = \"conv1\"}"),
            ({"inputs": {}, "nodes": {"a": {"op": "relu", "zzz": 1}}}, "relu has no hyperparameter 'zzz'; known: inputs, op, parameters"),
            ({}, "`cnnframe train bouvrie --write-recipe FILE --spell-out` writes one"),
        ],
    )
    def test_what_is_wrong_is_named(self, network, message):
        with pytest.raises(cf.CnnframeError) as found:
            cf.recipes.Job.make({"network": network}, OPS)
        assert message in str(found.value)


class TestGoingOn:
    def test_what_is_not_given_comes_from_the_run(self, copy, run, tmp_path):
        found = call("train", "bouvrie", "--resume", copy, "--epochs", 3)
        assert found.exit_code == 0 and "after 3 epochs" in found.stdout
        whole = tmp_path / "whole"
        call("train", run / "recipe.toml", "--epochs", 3, "--run-folder", whole)
        assert cf.RunFolder(copy).load(OPS).history.parameters == cf.RunFolder(whole).load(OPS).history.parameters

    def test_a_file_may_say_a_part(self, copy, tmp_path):
        part = tmp_path / "part.toml"
        part.write_text("[training]\nepochs = 3\n")
        assert call("train", part, "--resume", copy).exit_code == 0
        part.write_text("[training]\nepochs = 4\nseed = 4\n")
        assert "trained otherwise: seed: 3 there, 4 here" in said(call("train", part, "--resume", copy))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("lenet5", "--epochs", 3), "is a run of bouvrie, and not of lenet5"),
            (("--epochs", 3, "--loss", "softmax_cross_entropy"), "is trained with the loss squared_error, and not with softmax_cross_entropy"),
            (("--epochs", 1), "has 2 epochs already, and 1 are asked for in all; give a larger number in all, such as --epochs 12"),
            ((), "has all of its 2 epochs; give a larger number in all, such as --epochs 12"),
        ],
    )
    def test_what_cannot_be_gone_on_with(self, run, arguments, message):
        assert message in said(call("train", "--resume", run, *arguments))

    def test_a_folder_of_something_else_is_not_called_a_run(self, tmp_path):
        for name in "abcde":
            (tmp_path / name).touch()
        found = said(call("train", "bouvrie", "--run-folder", tmp_path))
        assert "is not empty, and what is there is no run: a, b, c and 2 more; choose a new name" in found and "--resume" not in found

    def test_two_processes_do_not_train_in_one_folder(self, copy):
        code = f"import cnnframe as cf, sys\nwith cf.RunFolder.open({str(copy)!r}).held(): print('held', flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "held\n"
            (copy / ".checkpoint.safetensors.1.part").write_text("being written")
            assert f"is being trained by process {other.pid} on " in said(call("train", "--resume", copy, "--epochs", 3))
            assert call("evaluate", copy).exit_code == 0 and (copy / ".checkpoint.safetensors.1.part").exists()
            other.kill()
        assert (copy / ".lock").exists()
        assert call("train", "--resume", copy, "--epochs", 3).exit_code == 0
        assert sorted(path.name for path in copy.iterdir()) == ["checkpoint.safetensors", "history.json", "recipe.toml"]

    def test_a_file_system_without_locks_is_trained_on(self, tmp_path, monkeypatch):
        def none(_file):
            raise OSError(38, "no locks")

        monkeypatch.setattr("cnnframe.training._lock._try", none)
        entered = []
        with cf.RunFolder(tmp_path).held(), cf.RunFolder(tmp_path).held():
            entered.append("twice, since nothing is locked")
        assert entered


class TestRates:
    @staticmethod
    def rate(rate, **more):
        return cf.recipes.Job.make({"network": {"name": "bouvrie"}, "training": {"rate": rate, **more}}, OPS).trainer.rate

    def test_layers_that_are_not_named_have_the_recipes_own(self):
        own = cf.recipes.usual("bouvrie")["training"]["rate"]
        layers = ("subsample1", "conv2", "subsample2", "dense1")
        assert self.rate({"conv1": 0.5}) == cf.Decay({"conv1": 0.5, **dict.fromkeys(layers, own["rate"])}, own["factor"])
        assert self.rate({"conv1": 0.5, "others": 0.25}) == {"conv1": 0.5, **dict.fromkeys(layers, 0.25)}
        steps = {"schedule": "steps", "steps": [[2, 0.2], [1, 0.1]]}
        found = self.rate({"conv1": 0.5, "others": steps})
        assert found == cf.StepTable([(2, {"conv1": 0.5, **dict.fromkeys(layers, 0.2)}), (1, {"conv1": 0.5, **dict.fromkeys(layers, 0.1)})])
        assert self.rate({"schedule": "decay", "factor": 0.5, "rate": {"conv1": 1.0, "others": 2.0}}).rate == {"conv1": 1.0, **dict.fromkeys(layers, 2.0)}

    def test_an_array_of_a_layer_may_be_named(self):
        found = self.rate({"conv1.k": 0.5, "others": 0.25})
        assert found == {"conv1.k": 0.5, "conv1.b": 0.25, **dict.fromkeys(("subsample1", "conv2", "subsample2", "dense1"), 0.25)}

    def test_the_whole_recipe_says_them_and_repeats_itself(self, tmp_path):
        path = tmp_path / "mine.toml"
        assert call("train", "bouvrie", "--set", "training.rate={conv1 = 0.5}", "--batch-size", 4, "--write-recipe", path).exit_code == 0
        made = cf.recipes.Job.make(cf.recipes.read(path), OPS)
        assert made.tables == tomllib.loads(path.read_text())
        own = cf.recipes.usual("bouvrie")["training"]
        # A smaller batch takes smaller steps, in all layers.
        assert made.trainer.rate.rate["conv1"] == 0.5 * 4 / own["batch_size"]
        assert made.trainer.rate.rate["dense1"] == own["rate"]["rate"] * 4 / own["batch_size"]

    def test_what_is_no_schedule_is_refused_as_before(self):
        for others in ({"schedule": "steps", "steps": [3]}, {"schedule": "cosine"}, "fast"):
            with pytest.raises(cf.CnnframeError):
                self.rate({"conv1": 0.5, "others": others})


class TestPictures:
    def test_the_option_is_named(self, run, tmp_path):
        picture = np.zeros((40, 30), np.uint8)
        picture[5:35, 12:18] = 255
        Image.fromarray(255 - picture).save(tmp_path / "dark.png")
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "black.png")
        assert "is more ink than paper; is the ink dark? then say so: --ink dark" in said(call("predict", run, tmp_path / "dark.png", "--ink", "light"))
        assert call("predict", run, tmp_path / "dark.png", "--ink", "dark").exit_code == 0
        assert said(call("predict", run, tmp_path / "black.png")).endswith("black.png shows nothing: it is all paper\n")

    def test_the_command_that_gets_mnist_is_named(self, run, tmp_path):
        for folder in (tmp_path, tmp_path / "no"):
            assert "get MNIST by the command `cnnframe download FOLDER`, or by data.download_mnist" in said(call("evaluate", run, "--data", folder))


class TestEvaluate:
    @staticmethod
    def folder(path, change):
        images, labels = cf.data.digits()
        large = np.kron(images[:200, 0], np.ones((2, 2))) / 16
        for name, part in (("train", slice(0, 100)), ("t10k", slice(100, 200))):
            cf.data.write_idx(path / f"{name}-images-idx3-ubyte", np.rint(change(large[part])).astype(np.uint8))
            cf.data.write_idx(path / f"{name}-labels-idx1-ubyte", labels[part].astype(np.uint8))
        return path

    def test_full_ink_stays_full_ink(self, run, tmp_path):
        """The same digits, from 0 to 255: bytes have fewer digits than a sixteenth of them."""
        trained = cf.recipes.TrainedRun.open(run, OPS)
        found = cf.recipes.examples_of(trained, str(self.folder(tmp_path, lambda images: images * 255)))
        images, _ = cf.data.digits()
        wanted = trained.learned.preparation(images[100:200])
        assert np.abs(found.test["x"] - wanted).max() <= 0.5 / 255 * 16 / trained.learned.preparation.scale * 1.001

    @pytest.mark.parametrize(
        ("change", "remarks"),
        [
            (lambda images: images * 255, ["are 16x16, those that the network learned from 8x8; they are brought to its size, but not cut"]),
            (lambda images: images, ["are 16x16", "no entry of the images of the digits of "]),
            (lambda images: 255 - images * 255, ["are 16x16", "are more ink than paper"]),
        ],
    )
    def test_images_of_another_kind_are_remarked(self, run, tmp_path, change, remarks):
        found = call("evaluate", run, "--data", self.folder(tmp_path, change), "--json")
        told = json.loads(found.stdout)["remarks"]
        assert len(told) == len(remarks) and all(part in text for part, text in zip(remarks, told, strict=True))
        assert found.stderr.splitlines() == [f"note: {text}" for text in told]

    def test_its_own_kind_is_not(self, run):
        assert call("evaluate", run, "--data", "digits").stderr == ""
        assert "not cut to their" in help_of("evaluate")


class TestStopping:
    @pytest.fixture
    def stopped(self, monkeypatch):
        """A training that is interrupted at the end of its second epoch, before the row, and again while that is told."""
        told = _watch.Watch.on_epoch

        def on_epoch(watch, history):
            if len(history.epochs) == 2 and watch.shown != 2 and not getattr(watch, "was", False):
                watch.was = True
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT) if getattr(watch, "was", False) else None
            told(watch, history)

        monkeypatch.setattr(_run.Watch, "on_epoch", on_epoch)

    @pytest.mark.usefixtures("stopped")
    def test_the_row_of_the_epoch_is_there(self, tmp_path):
        found = call("train", "bouvrie", *SMALL, "--epochs", 5, "--run-folder", tmp_path / "run")
        assert found.exit_code == 130
        assert [line.split()[0] for line in found.stdout.splitlines() if "/5" in line] == ["1/5", "2/5"]
        assert found.stderr.splitlines()[0] == f"stopped after epoch 2; saved in {tmp_path / 'run'}"

    @pytest.mark.usefixtures("stopped")
    def test_json_says_what_there_is(self, tmp_path):
        found = call("train", "bouvrie", *SMALL, "--epochs", 5, "--run-folder", tmp_path / "run", "--json")
        told = json.loads(found.stdout)
        assert found.exit_code == 130 and told["finished"] is False and [epoch["number"] for epoch in told["epochs"]] == [1, 2]
        assert told["test_error"] == told["epochs"][1]["test_error"] == 1 - told["right"] / told["count"]

    def test_json_before_the_first_epoch(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_run.Watch, "on_step", lambda *_: signal.raise_signal(signal.SIGINT))
        told = json.loads(call("train", "bouvrie", *SMALL, "--run-folder", tmp_path / "run", "--json").stdout)
        assert (told["finished"], told["epochs"], told["right"], told["best_epoch"]) == (False, [], None, None)

    def test_an_interrupt_while_the_command_line_is_loaded_is_silent(self):
        code = (
            # Who runs these tests in the background may have it ignored.
            "import sys, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom cnnframe.cli import main\n"
            "class Finder:\n    def find_spec(self, name, *_):\n        if name == 'typer': signal.raise_signal(signal.SIGINT)\n"
            "sys.meta_path.insert(0, Finder())\nmain()"
        )
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stdout, found.stderr) == (130, "", "")


class TestTheCommandLine:
    def test_version(self):
        assert call("--version").stdout == f"cnnframe {cf.__version__}\n"

    @pytest.mark.parametrize("columns", [80, 120])
    def test_list_cuts_no_name_and_leaves_room_for_the_description(self, columns):
        lines = call("list", columns=columns).stdout.splitlines()
        assert max(map(len, lines)) <= columns and all(any(line.split()[:1] == [name] for line in lines) for name in OPS)
        dense = next(place for place, line in enumerate(lines) if line.split()[:1] == ["dense"])
        assert "layers from cnnframe 0.1.0" in lines and len(lines[dense].partition("Multiply")[2]) > 30

    @pytest.mark.parametrize("arguments", [["train", "--help"], ["--version"]])
    def test_output_that_is_not_read_ends_silently(self, arguments):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            command = [sys.executable, "-m", "cnnframe", *arguments]
            found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        finally:
            os.close(writing)
        assert (found.returncode, found.stderr) == (141, "")

    def test_in_a_pipe_each_operation_has_one_line(self):
        found = CliRunner().invoke(make_app(), ["list"], env={"COLUMNS": None})
        assert len([line for line in found.stdout.splitlines() if line.startswith("  ")]) == len(OPS)

    @pytest.mark.skipif(not FULL.exists(), reason="no full disk at hand")
    def test_a_full_disk_is_one_line(self):
        with FULL.open("w") as full:
            found = subprocess.run([sys.executable, "-m", "cnnframe", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (found.returncode, found.stderr) == (2, "error: [Errno 28] No space left on device\n")
