"""Fused kernels in networks, chosen by the planner; and networks where they cannot be had."""

from __future__ import annotations

import importlib.util
import sys
import weakref

import numpy as np
import pytest

import cnnframe as cf

OPS = cf.load()
make = OPS.make
FUSED = OPS["fused"]
NUMPY = tuple(kernel for kernel in OPS.kernels if kernel is not FUSED)
needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="the extra `fast` is not installed")
TANH = make("scaled_tanh")


def network(*layers, inputs):
    return cf.Graph.chain(*layers, make("flatten"), make("dense", units=3), TANH, inputs=inputs, loss=make("squared_error"))


def forked(*paddings):
    """A convolution that several others read, by their paddings."""
    sizes = [2 * padding + 1 for padding in paddings]
    after = [
        cf.Node(f"after{number}", make("conv", maps=32, size=size, padding=padding), {"x": "before"})
        for number, (size, padding) in enumerate(zip(sizes, paddings, strict=True))
    ]
    nodes = [
        cf.Node("before", make("conv", maps=32, size=3, padding=1), {"x": "x"}),
        *after,
        cf.Node("both", make("add"), {"a": "after0", "b": "after1"}),
        cf.Node("flat", make("flatten"), {"x": "both"}),
        cf.Node("dense", make("dense", units=3), {"x": "flat"}),
        cf.Node("loss", make("squared_error"), {"y": "dense", "t": "t"}),
    ]
    return cf.Graph(nodes, inputs={"x": "n 8 5 6", "t": "n 3"})


NETS = {
    "samples side by side": (network(make("conv", maps=2, size=3), TANH, make("subsample", size=2), TANH, inputs="n 1 8 8"), 43),
    "few samples": (network(make("conv", maps=2, size=3), TANH, make("subsample", size=2), TANH, inputs="n 1 8 8"), 1),
    "a picture, many maps": (network(make("conv", maps=32, size=3), make("conv", maps=32, size=3), make("relu"), inputs="n 1 7 9"), 1),
    "one dimension, many maps": (
        cf.Graph.chain(
            make("conv", maps=32, size=3, dims=1),
            make("relu"),
            make("conv", maps=32, size=2, stride=2, dims=1),
            make("flatten", dims=1),
            make("dense", units=3),
            inputs="n 2 9",
            loss=make("squared_error"),
        ),
        5,
    ),
    "maps side by side, with borders": (
        network(make("conv", maps=32, size=3, padding=1), make("relu"), make("conv", maps=32, size=3, padding=1), make("relu"), inputs="n 8 6 8"),
        5,
    ),
    "borders that differ, and one that nobody wants": (
        network(
            make("conv", maps=32, size=3, padding=1),
            make("relu"),
            make("max_pool", size=2, stride=2),
            make("conv", maps=48, size=5, padding=2),
            make("softplus"),
            make("conv", maps=32, size=3, padding=3),
            TANH,
            make("conv", maps=32, size=3),
            inputs="n 8 8 6",
        ),
        5,
    ),
    "two that want the same border": (forked(1, 1), 5),
    "two that want others": (forked(1, 2), 5),
}


@needs_numba
@pytest.mark.parametrize(
    ("name", "same"), [("maps side by side, with borders", 1), ("borders that differ, and one that nobody wants", 3), ("two that want the same border", 2)]
)
def test_outputs_are_left_between_the_borders_that_their_readers_want(name, same):
    graph, batch = NETS[name]
    params = cf.Parameters.initialise(graph, dtype=np.float64)
    arrays = {key: np.zeros(shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    stages = {stage.steps[-1].outputs[0][1]: stage for stage in cf.Executor(graph, wait=True).plan(params, **arrays).stages}
    wide = [stage for stage in stages.values() if stage.taken.name.startswith("maps") and stage.steps[0].sources[0][1] in stages]
    met = [stages[stage.steps[0].sources[0][1]].left == stage.taken for stage in wide]
    assert met == [True] * same


@needs_numba
@pytest.mark.parametrize("room", [1, 2**22])
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_reference(name, room, monkeypatch):
    monkeypatch.setattr("cnnframe._division.PAYS", 1)
    monkeypatch.setattr("cnnframe._division.LEAST", 9)
    monkeypatch.setattr("cnnframe._placing.LARGE", 0)
    # Parts as small as can be, whose gradients are added up, or as large.
    monkeypatch.setattr("cnnframe._division.ROOM", room)
    monkeypatch.setattr("cnnframe._division.WORTH", 1)
    graph, batch = NETS[name]
    params = cf.Parameters.initialise(graph, seed=1, dtype=np.float64)
    rng = np.random.default_rng(0)
    arrays = {key: rng.normal(size=shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    fused, plain = cf.Executor(graph, threads=2, wait=True), cf.Executor(graph, kernels=(), threads=1)
    text = fused.plan(params, wanted_inputs=["x"], **arrays).describe()
    assert text.count("fused") >= 2, text
    work = fused.work(params, wanted_inputs=["x"], **arrays)
    assert all(program.gives for mine in work._programs for program in mine)
    assert any(len(mine) > 1 for mine in work.parts) == (room == 1 < batch)
    one, other = (run.gradients(params, wanted_inputs=["x"], **arrays) for run in (fused, plain))
    assert one.loss == pytest.approx(other.loss, rel=1e-12)
    assert np.allclose(one.parameters.vector, other.parameters.vector, rtol=1e-9, atol=1e-11)
    assert np.allclose(one.inputs["x"], other.inputs["x"], rtol=1e-9, atol=1e-11)
    again = fused.gradients(params, wanted_inputs=["x"], **arrays)
    assert np.array_equal(again.parameters.vector, one.parameters.vector)
    # Where inputs are read as they are given, the next ones lie elsewhere, perhaps not in a row.
    others = {key: np.stack([-array, array], axis=-1)[..., 0] for key, array in arrays.items()}
    one, other = (run.gradients(params, wanted_inputs=["x"], **others) for run in (fused, plain))
    assert np.allclose(one.parameters.vector, other.parameters.vector, rtol=1e-9, atol=1e-11)
    assert np.allclose(one.inputs["x"], other.inputs["x"], rtol=1e-9, atol=1e-11)
    third = fused.gradients(params, wanted_inputs=["x"], **arrays)
    assert np.array_equal(third.parameters.vector, again.parameters.vector)
    # And so may parameters and their gradients.
    double, twice = params.with_vector(2 * params.vector), fused.gradients(params, wanted_inputs=["x"], **arrays).parameters
    one, other = fused.gradients(double, out=twice, **arrays), plain.gradients(double, **arrays)
    assert one.parameters.vector is twice.vector and np.allclose(one.parameters.vector, other.parameters.vector, rtol=1e-9, atol=1e-11)
    assert np.array_equal(again.parameters.vector, third.parameters.vector)
    fused.gradients(params, out=one.parameters, wanted_inputs=["x"], **arrays)
    assert np.array_equal(one.parameters.vector, third.parameters.vector)


@needs_numba
def test_threads_share_a_single_picture_and_change_no_bit(monkeypatch):
    monkeypatch.setattr("cnnframe._program.PAYS", 1)
    layers = (make("conv", maps=12, size=3), make("relu"), make("max_pool", size=2, stride=2), make("flatten"), make("dense", units=3))
    graph = cf.Graph.chain(*layers, inputs="n 2 14 38", loss=make("squared_error"))
    params = cf.Parameters.initialise(graph, seed=1)
    rng, found = np.random.default_rng(0), []
    for x in rng.standard_normal((2, 1, 2, 14, 38), np.float32):
        for threads in (1, 2, 3):
            run = cf.Executor(graph, wait=True, threads=threads)
            answer = run.gradients(params, x=x, t=np.ones((1, 3), np.float32))
            found.append((answer.loss, answer.parameters.vector.tobytes()))
    assert found[0] == found[1] == found[2] != found[3] == found[4] == found[5]


@needs_numba
def test_a_picture_is_read_where_it_is_given_and_forgotten(monkeypatch):
    monkeypatch.setattr("cnnframe._placing.LARGE", 0)
    graph, batch = NETS["a picture, many maps"]
    params = cf.Parameters.initialise(graph, seed=1, dtype=np.float64)
    run = cf.Executor(graph, wait=True)
    x, t = (np.ones(graph.shapes(batch)[name]) for name in ("x", "t"))
    ((program,),) = run.work(params, x=x, t=t)._programs
    assert "x" in program._placing.lent
    run.gradients(params, x=x, t=t)
    there = weakref.ref(x)
    del x
    assert there() is None


@needs_numba
def test_runs_are_joined_where_both_are_machine_code():
    from cnnframe_plugins.fused import Layout

    layout, array = Layout("lanes", 4), np.arange(30.0).reshape(5, 2, 3)
    packed, back, twice = np.empty(layout.size(array.shape)), np.zeros_like(array), np.zeros_like(array)
    both = layout.bound("pack", array, packed).then(layout.bound("unpack", back, packed))
    three = both.then(layout.bound("unpack", twice, packed))
    three()
    assert np.array_equal(back, array) and np.array_equal(twice, array)
    assert three.then(print) is None


SMALL = cf.Graph.chain(make("dense", units=3), make("relu"), inputs="n 2", loss=make("squared_error"))
ARRAYS = {"x": np.arange(6.0).reshape(3, 2), "t": np.ones((3, 3))}


def answers(run):
    """Loss, gradients and what the plan says."""
    params = cf.Parameters.initialise(SMALL, seed=1, dtype=np.float64)
    found = run.gradients(params, **ARRAYS)
    return found.loss, found.parameters.vector.tolist(), run.plan(params, **ARRAYS).describe()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """No kernels in this process or on disk."""
    from cnnframe_plugins.fused import _compiler, _stage

    def forget():
        _compiler._loaded.clear()
        _compiler._checked.clear()
        for kept in (_stage._code, _stage._compiled):
            kept.cache_clear()

    monkeypatch.setenv("CNNFRAME_CACHE", str(tmp_path / "kernels"))
    forget()
    yield forget
    forget()


@needs_numba
def test_numpy_serves_at_once_and_machine_code_when_it_is_there(fresh):
    run = cf.Executor(SMALL)
    loss, gradients, text = answers(run)
    assert (loss, gradients) == answers(cf.Executor(SMALL, kernels=NUMPY))[:2]
    assert "fused: 1 kernel is being compiled; until then others serve" in text
    run.work(cf.Parameters.initialise(SMALL, dtype=np.float64), **ARRAYS).until.wait()
    after = answers(run)
    assert "fused" in after[2] and "being compiled" not in after[2]
    assert np.allclose(after[1], gradients, rtol=1e-12)
    fresh()
    # Another process finds them on disk, and is served by them from the first answer on.
    assert answers(cf.Executor(SMALL)) == after


@needs_numba
def test_code_that_was_made_is_found_without_its_text(fresh, monkeypatch):
    # It is tens of thousands of characters long, and copies of it would be memory that a step takes.
    from cnnframe_plugins.fused import _compiler

    want = answers(cf.Executor(SMALL, wait=True))
    monkeypatch.setattr(_compiler, "HEAD", None)
    assert answers(cf.Executor(SMALL, wait=True)) == want


@needs_numba
def test_entries_that_are_broken_and_folders_that_cannot_be_written_are_no_obstacle(fresh, tmp_path, monkeypatch):
    want = answers(cf.Executor(SMALL, wait=True))
    for path in (tmp_path / "kernels").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    fresh()
    assert answers(cf.Executor(SMALL, wait=True)) == want
    fresh()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CNNFRAME_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="compiled kernels cannot be kept in .*file") as caught:
        assert answers(cf.Executor(SMALL, wait=True)) == want
    assert len(caught) == 1


@needs_numba
def test_where_no_process_can_be_started_this_one_compiles(fresh, monkeypatch):
    from cnnframe_plugins.fused import _worker

    def refused(*_args, **_options):
        raise OSError("too many processes")

    monkeypatch.setattr(_worker, "_idle", [])
    monkeypatch.setattr(_worker.subprocess, "Popen", refused)
    assert "fused" in answers(cf.Executor(SMALL, wait=True))[2]


@needs_numba
def test_a_compiler_that_dies_leaves_the_work_to_numpy_and_one_line_says_so(fresh, monkeypatch):
    from cnnframe_plugins.fused import _worker

    dies = "import sys; from cnnframe_plugins.fused._worker import _send; _send(sys.stdout.buffer, b''); sys.stdin.buffer.read(1); sys.exit(7)"
    monkeypatch.setattr(_worker, "_idle", [])
    monkeypatch.setattr(_worker, "_START", f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {dies}")
    loss, gradients, text = answers(cf.Executor(SMALL, wait=True))
    assert (loss, gradients) == answers(cf.Executor(SMALL, kernels=NUMPY))[:2]
    (line,) = [line for line in text.splitlines() if "fused" in line]
    assert line.startswith("fused does not serve stage") and line.endswith("the process that compiled it ended with exit code 7")


@needs_numba
def test_an_old_numba_and_none_are_named(fresh, monkeypatch):
    from cnnframe_plugins.fused import _compiler

    _compiler.missing.cache_clear()
    try:
        monkeypatch.setattr(_compiler, "version", lambda _: "0.59.1")
        assert "fused does not serve stage 1: Numba 0.59.1 is older than 0.61; install cnnframe[fast]" in answers(cf.Executor(SMALL))[2]
        _compiler.missing.cache_clear()
        monkeypatch.setitem(sys.modules, "llvmlite", None)
        assert "Numba is not installed" in answers(cf.Executor(SMALL))[2]
    finally:
        monkeypatch.undo()
        _compiler.missing.cache_clear()


@needs_numba
def test_what_is_declined_says_why_and_numpy_serves():
    deep = cf.Graph.chain(make("conv", maps=2, size=2, dims=3), make("flatten", dims=3), inputs="n 1 3 3 3")
    x = np.zeros((2, 1, 3, 3, 3))
    text = cf.Executor(deep, wait=True).plan(cf.Parameters.initialise(deep, dtype=np.float64), x=x).describe()
    assert "numpy_conv" in text and "fused does not serve stage 1: convolutions of 1 and 2 dimensions" in text


def test_where_it_is_unavailable_one_line_says_why(monkeypatch):
    monkeypatch.setattr(FUSED, "unavailable", classmethod(lambda cls: "Numba is not installed"))
    graph, batch = NETS["few samples"]
    arrays = {key: np.zeros(shape) for key, shape in graph.shapes(batch).items() if key in graph.inputs}
    text = cf.Executor(graph).plan(cf.Parameters.initialise(graph, dtype=np.float64), **arrays).describe()
    assert text.count("Numba is not installed") == 1 and "numpy_conv" in text


def test_a_chain_is_taken_as_far_as_its_form_goes():
    conv, dense, flatten, pool = make("conv", maps=2, size=3), make("dense", units=2), make("flatten"), make("subsample", size=2)
    assert FUSED.matches([conv, TANH, pool, TANH, conv]) == 4
    assert FUSED.matches([conv, pool, conv]) == 2
    assert FUSED.matches([flatten, dense, TANH, dense]) == 3
    assert FUSED.matches([flatten, conv]) == 2 and FUSED.matches([TANH, conv]) == 0 and FUSED.matches([flatten]) == 0

    class Other(OPS["conv"]):
        """May compute something else."""

    assert FUSED.matches([object.__new__(Other), TANH]) == 0
    assert [kernel.name for kernel in NUMPY if kernel.matches([conv])] == ["numpy_conv"]
