"""Checkpoints: as if it had not stopped, from any moment; whole or not at all; what is refused, and why."""

from __future__ import annotations

import errno
import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import load, save

import cnnframe as cf
from cnnframe.training import Every, State

OPS = cf.load()
make = OPS.make
RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 4)).astype(np.float32)
T = cf.targets.one_hot((X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0), 3, -1, 1)
DATA = {"x": X, "t": T}


def net(units=5):
    return cf.Graph.chain(
        make("dense", units=units), make("scaled_tanh"), make("dropout", rate=0.25), make("dense", units=3), inputs="n 4", loss=make("squared_error")
    )


def noisy(images, rng):
    return images + rng.normal(0, 0.01, images.shape)


def trainer(graph=None, momentum=0.9, **more):
    settings = {"rate": cf.Decay(0.05, 0.9), "batch_size": 3, "augment": noisy, **more}
    return cf.Trainer(graph or net(), make("sgd", momentum=momentum), **settings)


def same(one, two):
    assert one == two and one.parameters == two.parameters and one.best.parameters == two.best.parameters and one.best.epoch == two.best.epoch
    assert np.array_equal(one.state.optimizer, two.state.optimizer)


@pytest.fixture(scope="module")
def whole():
    return trainer().fit(DATA, DATA, epochs=3)


@pytest.fixture
def folder(tmp_path):
    return cf.RunFolder.create("net", tmp_path / "run")


class Stop(Exception):
    """What a test ends a training with."""


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("order", ["shuffled", "fixed"])
def test_any_step_can_be_gone_on_from_bit_for_bit(folder, at, order):
    job = trainer(order=order)
    taken = []

    def on_step(epoch, step, loss):
        taken.append(step)
        if len(taken) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.fit(DATA, DATA, epochs=3, on_step=on_step, save=folder.saver(job))
    again = trainer(order=order)
    found = folder.load(OPS).resume(again)
    assert found.state.epoch * 4 + found.state.part.step == at
    rest = again.fit(DATA, DATA, epochs=3 - found.state.epoch, start=found)
    same(rest, trainer(order=order).fit(DATA, DATA, epochs=3))


def test_saving_every_few_steps_changes_nothing(folder, whole):
    saved = []
    job = trainer()
    found = job.fit(DATA, DATA, epochs=3, save=lambda history: saved.append((history.state.epoch, history.state.part.step)), every=Every(steps=3))
    same(found, whole)
    assert saved == [(0, 3), (1, 0), (1, 2), (2, 0), (2, 1), (2, 4), (3, 0)]


def test_a_state_that_was_handed_out_stays_as_it_was(whole):
    kept = []
    trainer().fit(DATA, DATA, epochs=3, save=lambda history: kept.append((history, history.parameters.vector.copy())), every=Every(steps=1))
    assert all(np.array_equal(history.parameters.vector, copy) for history, copy in kept)
    assert len({copy.tobytes() for _, copy in kept}) == 12


def test_the_best_epoch_is_kept(whole):
    job = trainer(rate=lambda epoch: 0.05 if epoch < 2 else 0.5, momentum=0.0)
    history = job.fit(DATA, DATA, epochs=4)
    errors = [(epoch.test_error, epoch.test_loss) for epoch in history.epochs]
    assert history.best.epoch.number == errors.index(min(errors)) + 1
    assert job.evaluate(history.best.parameters, DATA).loss == pytest.approx(history.best.epoch.test_loss)


def test_what_is_written_is_read(folder, whole):
    job = trainer()
    folder.save(job, whole, {"data": {"source": "here"}})
    found = folder.load(OPS)
    same(found.history, whole)
    assert found.graph == job.graph and found.extra == {"data": {"source": "here"}}
    assert found.settings["optimizer"] == {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0} and found.settings["rate"]["factor"] == 0.9
    assert {"numpy", "python", "cnnframe", "threads"} <= set(found.environment)
    assert json.loads(folder.path.joinpath("history.json").read_text())["epochs"][2]["number"] == 3
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoint.safetensors", "history.json"]


class Nested(cf.Optimizer):
    """A state of many kinds."""

    name = "nested"

    def init(self, parameters):
        return {"seen": 0, "scale": 0.1, "of": (parameters, [np.zeros(2), None]), "last": np.float32(0.5)}

    def step(self, parameters, gradients, state, rate):
        now = {**state, "seen": state["seen"] + 1, "scale": state["scale"] / 3, "of": (parameters, [state["of"][1][0] + 1, None])}
        return parameters.with_vector(parameters.vector - np.float32(rate * state["scale"]) * gradients.vector), now


def nested():
    import dataclasses

    return cf.Trainer(net(), dataclasses.dataclass(frozen=True)(Nested)(), 0.1, batch_size=3)


def test_states_of_many_kinds_come_back(folder):
    job = nested()
    half = job.fit(DATA, epochs=1, save=folder.saver(job))
    found = folder.load(OPS).resume(job)
    assert found.state.optimizer["seen"] == 4 and found.state.optimizer["scale"] == half.state.optimizer["scale"]
    assert isinstance(found.state.optimizer["of"], tuple) and found.state.optimizer["of"][0] == half.state.optimizer["of"][0]
    assert type(found.state.optimizer["last"]) is np.float32
    assert job.fit(DATA, epochs=1, start=found).parameters == job.fit(DATA, epochs=2).parameters


def test_a_state_that_cannot_be_saved_is_refused_by_name(folder, whole):
    history = cf.History((), State(whole.parameters, {"rule": object()}, 0))
    with pytest.raises(cf.ContractError, match=r"optimizer.rule: the state of an optimizer .* got object"):
        folder.save(trainer(), history)
    assert not list(folder.path.iterdir())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: trainer(net(6)), r"another network: node 'dense1' is .*units=5.* there, .*units=6.* here"),
        (lambda: trainer(momentum=0.5), r"trained otherwise: optimizer.momentum: 0.9 there, 0.5 here"),
        (lambda: trainer(seed=1, batch_size=4), "batch_size: 3 there, 4 here; seed: 0 there, 1 here"),
        (lambda: trainer(rate=cf.Decay(0.05, 0.8)), "rate.factor: 0.9 there, 0.8 here"),
        (lambda: trainer(augment=None), "augment: 'noisy' there, None here"),
    ],
)
def test_other_networks_and_recipes_are_refused(folder, whole, other, message):
    folder.save(trainer(), whole)
    with pytest.raises(cf.RunError, match=message):
        folder.load(OPS).resume(other())


def test_other_examples_within_an_epoch_are_refused(folder):
    job = trainer()
    kept = []
    job.fit(DATA, epochs=1, save=kept.append, every=Every(steps=2))
    fewer = {name: array[:9] for name, array in DATA.items()}
    with pytest.raises(cf.DataError, match="has 10 examples; got 9"):
        job.fit(fewer, epochs=1, start=kept[0])


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_checkpoint(folder, whole, monkeypatch, fails):
    job = trainer()
    folder.save(job, whole)
    before = folder.checkpoint.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    opened = type(folder.path).open
    with monkeypatch.context() as patch:
        if fails == "fsync":
            patch.setattr(os, "fsync", full)
        elif fails == "replace":
            patch.setattr(type(folder.path), "replace", full)
        else:

            def failing(path, mode="r", *more, **named):
                file = opened(path, mode, *more, **named)
                return file if "x" not in mode else Failing(file)

            class Failing:
                def __init__(self, file):
                    self.file = file

                def __enter__(self):
                    return self

                def __exit__(self, *_):
                    self.file.close()

                def write(self, data):
                    self.file.write(data[:100])
                    full()

            patch.setattr(type(folder.path), "open", failing)
        with pytest.raises(cf.RunError, match=r"checkpoint.safetensors cannot be written: No space left on device; the one before is kept; make room"):
            job.fit(DATA, DATA, epochs=1, start=whole, save=folder.saver(job))
    assert folder.checkpoint.read_bytes() == before
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoint.safetensors", "history.json"]


def test_what_a_killed_process_left_is_removed(folder, whole):
    folder.save(trainer(), whole)
    folder.path.joinpath(".checkpoint.safetensors.abc.part").write_bytes(b"half")
    cf.RunFolder.open(folder.path)
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoint.safetensors", "history.json"]


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(cf.RunError, match="there is no such folder"):
        cf.RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(cf.RunError, match=r"there is no checkpoint.safetensors in it"):
        cf.RunFolder.open(tmp_path)


def rewritten(data, change):
    """The bytes of a checkpoint whose texts or arrays were changed by someone who knows the checksum."""
    from cnnframe.training._checkpoint import _checksum

    size = struct.unpack("<Q", data[:8])[0]
    texts = json.loads(data[8 : 8 + size])["__metadata__"]
    texts.pop("checksum")
    arrays = {name: np.array(array) for name, array in load(data).items()}
    change(texts, arrays)
    return save(arrays, {**texts, "checksum": _checksum(texts, arrays)})


def state(**changes):
    return lambda texts, arrays: texts.update(state=json.dumps({**json.loads(texts["state"]), **changes}))


def array(name, value):
    return lambda texts, arrays: arrays.update({name: value})


def text(**changes):
    return lambda texts, arrays: texts.update(changes)


DAMAGE = {
    "empty": (lambda data: b"", "damaged or no checkpoint"),
    "cut": (lambda data: data[:-1], "damaged or no checkpoint"),
    "cut in the header": (lambda data: data[:100], "damaged or no checkpoint"),
    "header of 2^60 bytes": (lambda data: struct.pack("<Q", 2**60) + data[8:], "damaged or no checkpoint"),
    "a bit in an array": (lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "do not have its checksum"),
    "a digit in the texts": (lambda data: data.replace(b'\\"batch_size\\": 3', b'\\"batch_size\\": 4'), "do not have its checksum"),
    "a pickle": (lambda data: b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.", "damaged or no checkpoint"),
    "other safetensors": (lambda data: save({"w": np.zeros(3)}), "another kind of safetensors file"),
    "other version": (lambda data: save({"w": np.zeros(3)}, {"format": "cnnframe checkpoint 9"}), "its format is 'cnnframe checkpoint 9'"),
    "no texts": (lambda data: save({"w": np.zeros(3)}, {"format": "cnnframe checkpoint 1"}), "lacks graph, settings"),
    "nan": (lambda data: rewritten(data, array("parameters/dense1.b", np.full(5, np.nan, np.float32))), "must be finite"),
    "shape": (lambda data: rewritten(data, array("parameters/dense1.b", np.zeros(6, np.float32))), r"'dense1.b' must have shape \(5,\); got \(6,\)"),
    "element type": (lambda data: rewritten(data, array("parameters/dense1.b", np.zeros(5))), "must be float32"),
    "unknown array": (lambda data: rewritten(data, array("parameters/dense9.b", np.zeros(5, np.float32))), "'dense9.b' is not one of the graph's"),
    "epoch": (lambda data: rewritten(data, state(epoch=-1)), "number of epochs is -1"),
    "epoch of text": (lambda data: rewritten(data, state(epoch="many")), "number of epochs is 'many'"),
    "state": (lambda data: rewritten(data, text(state="[]")), "no checkpoint that this version wrote"),
    "deep": (lambda data: rewritten(data, text(state="[" * 100_000)), "no checkpoint that this version wrote"),
    "graph": (lambda data: rewritten(data, text(graph="{}")), "a stored graph of format"),
    "optimizer": (lambda data: rewritten(data, state(optimizer={"array": "nowhere"})), "state of the optimizer cannot be read"),
    "best": (lambda data: rewritten(data, state(best=77)), "no checkpoint that this version wrote"),
    "random": (lambda data: rewritten(data, state(part={"step": 1, "norms": [], "random": {"bit_generator": "MT"}})), "no checkpoint that this version wrote"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_foreign_or_hostile_file_is_refused(folder, whole, kind):
    folder.save(trainer(), whole)
    change, message = DAMAGE[kind]
    data = folder.checkpoint.read_bytes()
    changed = change(data)
    assert changed != data
    folder.checkpoint.write_bytes(changed)
    with pytest.raises(cf.RunError, match=message):
        folder.load(OPS)


@pytest.mark.parametrize(
    ("value", "message"), [(np.zeros(3, np.float32), r"must be float32 of shape \(43,\)"), (np.full(43, np.nan, np.float32), "holds a NaN or an infinity")]
)
def test_an_optimizer_state_of_another_form_is_refused(folder, whole, value, message):
    job = trainer()
    folder.save(job, whole)
    folder.checkpoint.write_bytes(rewritten(folder.checkpoint.read_bytes(), array("optimizer", value)))
    with pytest.raises(cf.RunError, match=message):
        folder.load(OPS).resume(job)


def test_every_is_read_from_text():
    assert Every.parse("500") == Every(steps=500) and Every.parse("2.5s") == Every(seconds=2.5)
    for bad in ("0", "often", "-3s", "nans", ""):
        with pytest.raises(cf.HyperparameterError):
            Every.parse(bad)
    with pytest.raises(cf.HyperparameterError, match="give steps, seconds or both"):
        Every()
