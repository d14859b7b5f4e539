"""Recipes: what they leave out, what they refuse, there and back as TOML, and what is put over them."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

import cnnframe as cf
from cnnframe.cli._overrides import override
from cnnframe.recipes import Job, checked, merged, read, to_toml, usual

OPS = cf.load()
NONE = dict.fromkeys(("epochs", "batch_size", "rate", "momentum", "optimizer", "seed", "data"))


@pytest.mark.parametrize("name", cf.networks.NETWORKS)
def test_a_network_of_the_box_has_a_whole_recipe(name):
    for loss in cf.networks.network(name).recipes:
        job = Job.make({"network": {"name": name, "loss": loss}}, OPS)
        assert tomllib.loads(to_toml(job.tables, "a note\nof two lines")) == job.tables
        assert Job.make(job.tables, OPS).trainer.graph == job.trainer.graph == cf.networks.network(name).build(OPS, loss)


def test_the_recipe_says_how_it_is_trained():
    recipe = cf.networks.network("simard2003").recipes["softmax_cross_entropy"]
    job = Job.make({"network": {"name": "simard2003"}}, OPS)
    assert job.tables["network"]["loss"] == "softmax_cross_entropy" and job.epochs == recipe.epochs
    assert job.trainer.rate == cf.StepTable(recipe.schedule) and job.trainer.initial == dict(recipe.initial)
    fixed = Job.make({"network": {"name": "lecun1989"}}, OPS).trainer
    assert fixed.order == "fixed" and fixed.batch_size == 1


def test_a_graph_of_ones_own():
    graph = cf.networks.bouvrie(OPS, "squared_error")
    job = Job.make(
        {
            "network": tomllib.loads(graph.to_toml()),
            "training": {"epochs": 2, "rate": dict.fromkeys(("conv1", "subsample1", "conv2", "subsample2", "dense1"), 0.1)},
        },
        OPS,
    )
    assert job.name == "network" and job.trainer.graph == graph and job.tables["data"]["coding"] == "-1/+1" and job.trainer.batch_size == 16
    assert tomllib.loads(to_toml(job.tables)) == job.tables and Job.make(tomllib.loads(to_toml(job.tables)), OPS).trainer.graph == graph


@pytest.mark.parametrize(("loss", "wanted"), [("squared_error", "0/1"), ("softmax_cross_entropy", "index")])
def test_the_coding_fits_the_outputs(loss, wanted):
    graph = cf.networks.deeplearn(OPS, loss)
    assert Job.make({"network": tomllib.loads(graph.to_toml())}, OPS).tables["data"]["coding"] == wanted


def test_the_embedded_digits_are_loaded_as_the_recipe_says():
    found = Job.make({"network": {"name": "bouvrie"}, "data": {"train": 100, "test": 50, "seed": 3}}, OPS).examples()
    assert found.train["x"].shape == (100, 1, 16, 16) and found.test["t"].shape == (50, 10) and found.classes == 10 and found.high == 16
    assert set(np.unique(found.train["t"])) == {-1.0, 1.0} and np.array_equal(found.test["t"].argmax(axis=1), found.labels)
    assert abs(Job.make({"network": {"name": "bouvrie"}}, OPS).examples().train["x"].mean()) < 1e-5


def test_distortions_are_part_of_a_recipe():
    job = Job.make({"network": {"name": "bouvrie"}, "distortion": {"elastic": 8.0, "rotation": 5}}, OPS)
    assert job.trainer.augment == cf.data.Distortion(elastic=8.0, rotation=5)


REFUSED = [
    ({}, "needs a network"),
    ({"network": {"name": "lenet"}}, "no network is called 'lenet'; did you mean 'lenet5'"),
    ({"network": {"name": "bouvrie", "loss": "hinge"}}, "not trained with the loss 'hinge'"),
    ({"network": {"name": "bouvrie", "lose": "hinge"}}, r"\[network\] has no key 'lose'; did you mean 'loss'"),
    ({"network": {"name": "bouvrie", "options": {"mapps": [1, 2]}}}, "options do not fit bouvrie.*mapps"),
    ({"netwrok": {"name": "bouvrie"}}, r"no table \[netwrok\]; did you mean 'network'"),
    ({"network": "bouvrie"}, "network must be a table"),
    ({"training": {"epoch": 3}}, r"\[training\] has no key 'epoch'; did you mean 'epochs'"),
    ({"training": {"epochs": 0}}, "epochs must be an integer of at least 1; got 0"),
    ({"training": {"epochs": 2.5}}, "epochs must be an integer"),
    ({"training": {"seed": True}}, "seed must be an integer"),
    ({"training": {"rate": "fast"}}, "rate must be greater than 0 and finite, or a table; got 'fast'"),
    ({"training": {"rate": {"schedule": "cosine"}}}, "schedule must be one of decay, steps; got 'cosine'"),
    ({"training": {"rate": {"schedule": "decay", "rate": 1.0}}}, "the schedule 'decay' needs factor, rate"),
    ({"training": {"rate": {"schedule": "decay", "rate": 1.0, "facter": 1.0}}}, "no key 'facter'; did you mean 'factor'"),
    ({"training": {"rate": {"schedule": "steps", "steps": [[0, 0.1]]}}}, "rate: StepTable: epochs must be an integer of at least 1"),
    ({"training": {"rate": {"schedule": "steps", "steps": 3}}}, "StepTable: steps must be pairs"),
    ({"training": {"rate": {"conv9": 0.1}}}, "no layer with parameters and no array is called 'conv9'"),
    ({"training": {"order": "sorted"}}, "order must be 'shuffled' or 'fixed'"),
    ({"training": {"dtype": "float16"}}, "must be float32 or float64"),
    ({"optimizer": {"name": "sdg"}}, "no optimizer is called 'sdg'; did you mean 'sgd'"),
    ({"optimizer": {"name": "conv"}}, "no optimizer is called 'conv'"),
    ({"optimizer": {"momentun": 0.5}}, "sgd has no 'momentun'; did you mean 'momentum'"),
    ({"optimizer": {"weight_decay": {"conv9": 0.5}}}, "no array is called 'conv9'"),
    ({"initial": {"gain": {"rule": "ones"}}}, r"\[initial\] gain must be a table with a rule, one of constant"),
    ({"initial": {"gain": {"rule": "constant", "valeu": 1}}}, r"\[initial\] gain: .*valeu"),
    ({"initial": {"gain": {"rule": "constant", "value": float("nan")}}}, "must be finite"),
    ({"initial": {"gains": {"rule": "constant"}}}, "'gains' is no parameter array and no role"),
    ({"data": {"scaling": "big"}}, r"\[data\] scaling must be one of none"),
    ({"data": {"coding": "2/3"}}, r"\[data\] coding must be one of"),
    ({"data": {"source": "cifar"}}, "source must be one of digits, idx"),
    ({"data": {"folder": "nowhere"}}, "nowhere is not there"),
    ({"distortion": {"elastics": 1}}, "no key 'elastics'; did you mean 'elastic'"),
]


@pytest.mark.parametrize(("tables", "message"), REFUSED)
def test_what_no_recipe_says_is_refused(tables, message):
    whole = {"network": {"name": "bouvrie"}, **tables} if tables and "netwrok" not in tables else tables

    def ready():
        job = Job.make(whole, OPS)
        return job.trainer.start(), job.examples()

    with pytest.raises(cf.CnnframeError, match=message):
        ready()


def test_networks_for_other_images_ask_for_data(monkeypatch):
    monkeypatch.delenv("CNNFRAME_DATA", raising=False)
    job = Job.make({"network": {"name": "lenet5"}}, OPS)
    with pytest.raises(cf.RecipeError, match=r"lenet5 takes images of 32x32, and no data are named: .* --data FOLDER .*`cnnframe download FOLDER` gets them"):
        job.examples()
    enlarged = Job.make({"network": {"name": "lenet5"}, "data": {"source": "digits"}}, OPS).examples()
    assert enlarged.train["x"].shape[2:] == (32, 32)
    flat = cf.Graph.chain(OPS.make("dense", units=3), inputs="n 4", loss=OPS.make("squared_error"))
    with pytest.raises(cf.RecipeError, match="recipes train networks for square images of one map"):
        Job.make({"network": tomllib.loads(flat.to_toml())}, OPS).examples()
    two = cf.Graph.chain(OPS.make("flatten"), OPS.make("dense", units=3), inputs="n 1 8 8", loss=OPS.make("squared_error"))
    with pytest.raises(cf.DataError, match="labels up to 9, and the network has 3 outputs; it needs 10"):
        Job.make({"network": tomllib.loads(two.to_toml())}, OPS).examples()


def test_files_that_are_no_recipe_are_refused(tmp_path):
    path = tmp_path / "recipe.toml"
    with pytest.raises(cf.RecipeError, match="cannot be read: No such file"):
        read(path)
    for text, message in ((b"\xff", "is no TOML"), (b"[network", "is no TOML"), (b"x = 1", r"no table \[x\]"), (b"a=" + b"[" * 5000, "is no (recipe|TOML)")):
        path.write_bytes(text)
        with pytest.raises(cf.RecipeError, match=message):
            read(path)


def test_options_go_over_the_recipe():
    def made(tables, **options):
        return override(tables, settings=options.pop("settings", []), **{**NONE, **options})

    lenet = {"network": {"name": "lenet5"}}
    assert made(lenet, batch_size=8)["training"]["rate"] == {"schedule": "decay", "rate": 0.005, "factor": 0.85}
    assert made(lenet, batch_size=8, rate=0.1)["training"] == {"batch_size": 8, "rate": {"schedule": "decay", "rate": 0.1, "factor": 0.85}}
    assert made(lenet, batch_size=32)["training"] == {"batch_size": 32}
    steps = {**lenet, "training": {"rate": {"schedule": "steps", "steps": [[2, 0.4], [3, 0.2]]}}}
    assert made(steps, batch_size=8)["training"]["rate"]["steps"] == [[2, 0.2], [3, 0.1]]
    assert made(steps, rate=0.3)["training"]["rate"] == 0.3
    found = made(lenet, settings=["training.order=fixed", "data.test=100", 'initial."conv1.k"={rule="constant"}', "optimizer.momentum=0.5"], data="there")
    assert found["training"] == {"order": "fixed"} and found["data"] == {"test": 100, "source": "idx", "folder": "there"}
    assert found["initial"] == {"conv1.k": {"rule": "constant"}} and found["optimizer"] == {"momentum": 0.5}
    assert made({"data": {"folder": "here"}}, data="digits")["data"] == {"source": "digits"}


def test_another_optimizer_takes_nothing_over():
    below = usual("bouvrie")
    assert merged(below, {"optimizer": {"name": "sdlm"}})["optimizer"] == {"name": "sdlm"}
    assert merged(below, {"optimizer": {"name": "sgd", "weight_decay": 0.1}})["optimizer"] == {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1}
    assert checked(below) == below
