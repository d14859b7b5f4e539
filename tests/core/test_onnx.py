"""Files for other frameworks hold what the executor computes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe.cli._app import make_app
from cnnframe.export import Builder, Value, _check
from cnnframe.training import History, State
from cnnframe_derivations.suite._cases import cases
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._verdict import Skip

OPS = cf.load()
make = OPS.make
EXPORTABLE = sorted(name for name, reason in cf.export.exportable(OPS).items() if not reason)


def runs(path, feeds):
    """The first output of a file by both runtimes; ONNX Runtime is left out where it has no code for the element type."""
    model = onnx.load(path)
    found = [ReferenceEvaluator(model).run(None, feeds)[0]]
    try:
        found.append(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        assert any(array.dtype == np.float64 for array in feeds.values())
    return found


def single(case):
    """A graph of one operation at the sizes of a case, with the batch as n; its parameters, and the arrays of its inputs."""
    op, arrays = case.op, case.arrays()
    axes = {}
    for name in [*op.inputs, *op.constants]:
        shape, declared = case.shapes[name], op.declaration.arguments[name]
        batch = bool(declared) and (declared[0] is None or str(declared[0]) == "n") and bool(shape)
        axes[name] = " ".join(["n", *map(str, shape[1:])] if batch else map(str, shape))
    node = cf.Node("node", op, {name: name for name in axes})
    graph = cf.Graph((node,), axes, output="node")
    held = {f"node.{name}": arrays[name] for name in op.params}
    return graph, cf.Parameters.of_arrays(graph, held) if held else cf.Parameters.initialise(graph, dtype=case.dtype), {n: arrays[n] for n in axes}


@pytest.mark.parametrize("name", EXPORTABLE)
def test_a_file_computes_the_formula(name, tmp_path):
    """At sizes, hyperparameters and values that the suite draws from the declaration: where arithmetic is exact the file is, too.

    Elsewhere it lies within the bound that the suite computes from the formula's terms, around a value of many digits.
    """
    judged = []

    @settings(max_examples=8)
    @given(case=cases(OPS[name]), lattice=st.sampled_from(["small", "real"]))
    def judge(case, lattice):
        case = replace(case, lattice=lattice)
        if any(size == 0 for shape in case.shapes.values() for size in shape):
            reject()
        oracle = Oracle(replace(case, op=case.op.for_evaluation()) if name == "dropout" else case)
        try:
            (truth,) = oracle.forward.values()
        except Skip:
            reject()
        graph, parameters, feeds = single(case)
        path = tmp_path / "node.onnx"
        written = cf.export.onnx(graph, parameters, path, examples=feeds)
        assert set(written.outputs) == {"node"}
        results = runs(path, {input_: feeds[input_] for input_ in written.inputs})
        for result in results:
            assert result.dtype == case.dtype
            assert truth.first_miss(result) is None
        judged.append(len(results))

    judge()
    assert sum(judged) > len(judged) >= 6


def test_what_cannot_be_written_says_why():
    reasons = {name: reason for name, reason in cf.export.exportable(OPS).items() if reason}
    assert set(reasons) == {"batch_norm"}
    assert "statistics of the batch" in reasons["batch_norm"]


def network(**more):
    return cf.Graph.chain(
        make("normalise", mean=0.1, std=1.3),
        make("conv", maps=4, size=3, padding=1),
        make("scaled_tanh"),
        make("dropout", rate=0.5),
        make("subsample", size=2),
        make("flatten"),
        make("dense", units=3),
        inputs="n 2 6 6",
        loss=make("softmax_cross_entropy", targets="index"),
        penalties=[make("l2", strength=0.1)],
        **more,
    )


GRAPH = network()
PARAMETERS = cf.Parameters.initialise(GRAPH, seed=3, initial={"bias": cf.GlorotUniform()})
X = np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype(np.float32)
TERMS = {"conv1": 18 + 1, "flatten1": 18 + 1 + 4 + 1, "dense1": 18 + 1 + 4 + 1 + 36 + 1}
"""Terms of the sums before an array, biases included."""


def assert_agrees(found, wanted, name):
    """Two routes, each off by a unit for each term and a few for functions and factors between, of a sum of magnitudes."""
    weights = {"conv1": "conv1.k", "flatten1": "conv1.k", "dense1": "dense1.W"}[name]
    magnitude = np.abs(PARAMETERS[weights]).reshape(len(PARAMETERS[weights]), -1).sum(axis=1).max() * max(np.abs(X).max(), 4 * 1.7159)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2 * (TERMS[name] + 8) * 2.0**-24 * magnitude)


@dataclass(frozen=True)
class Twice(cf.Layer):
    """Any form of ONNX, to be given by the test."""

    name = "twice"
    inputs = {"x": "n i"}
    output = "n i"

    def forward(self, x):
        return 2 * x, None

    def backward(self, dy, saved):
        return {"x": 2 * dy}

    def formula(self, at, x):
        return 2 * x[at]


@dataclass(frozen=True)
class TwiceSaid(Twice):
    name = "twice_said"

    def onnx(self, build, x):
        return build.node("Mul", x, 2.0)


@dataclass(frozen=True)
class Slightly(Twice):
    """Wrong by a part in a million, which float32 would hardly show."""

    name = "slightly"

    def onnx(self, build, x):
        return build.node("Mul", x, 2.000002)


@dataclass(frozen=True)
class OfOneBatch(Twice):
    name = "of_one_batch"

    def onnx(self, build, x):
        return build.node("Reshape", build.node("Mul", x, 2.0), [3, 4])


@dataclass(frozen=True)
class Misspelt(Twice):
    name = "misspelt"

    def onnx(self, build, x):
        return build.node("Twice", x)


@dataclass(frozen=True)
class Returns(Twice):
    name = "returns"

    def onnx(self, build, x):
        return {"y": build.node("Mul", x, 2.0)}


@dataclass(frozen=True)
class ByTheWay(Twice):
    """Its result is an operand of a node after it, which nothing reads."""

    name = "by_the_way"

    def onnx(self, build, x):
        result = build.node("Add", x, x)
        build.node("Relu", result)
        return result


@dataclass(frozen=True)
class Several(cf.Layer):
    """Two outputs that are one value, and one that is the input."""

    name = "several"
    inputs = {"x": "n i"}
    output = {"a": "n i", "b": "n i", "c": "n i"}

    def forward(self, x):
        return {"a": np.abs(x), "b": np.abs(x), "c": x.copy()}, x

    def backward(self, dy, saved):
        return {"x": np.sign(saved) * (dy["a"] + dy["b"]) + dy["c"]}

    def formula(self, at, x):
        from cnnframe.algebra import absolute

        return {"a": absolute(x[at["a"]]), "b": absolute(x[at["b"]]), "c": x[at["c"]]}

    def onnx(self, build, x):
        size = build.node("Abs", x)
        return {"a": size, "b": size, "c": x}


@dataclass(frozen=True)
class Mish(cf.Activation):
    """An activation with nothing but its declaration."""

    name = "mish"

    def f(self, x):
        return x * np.tanh(np.logaddexp(0, x))

    def df(self, x, y):
        raise NotImplementedError

    def expr(self, x):
        from cnnframe.algebra import softplus, tanh

        return x * tanh(softplus(x))


def chain(op, inputs="n 4"):
    return cf.Graph.chain(op, inputs=inputs)


def export(graph, path, **more):
    return cf.export.onnx(graph, cf.Parameters.initialise(graph, dtype=more.pop("dtype", np.float32)), path, **more)


class TestTheFile:
    def test_it_predicts_what_the_executor_predicts(self, tmp_path):
        written = cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx")
        wanted = cf.Executor(GRAPH.for_evaluation(), kernels=()).predict(PARAMETERS, x=X)
        for found in runs(written.path, {"x": X}):
            assert_agrees(found, wanted, "dense1")
        assert written.difference < 1
        assert [name.split()[0] for name in written.compared] == ["onnx.reference", "onnxruntime"]
        assert written.size == written.path.stat().st_size

    def test_it_has_no_loss_a_batch_of_any_size_and_operator_set_18(self, tmp_path):
        model = onnx.load(cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx").path)
        onnx.checker.check_model(model, full_check=True)
        (x,), (y,) = model.graph.input, model.graph.output
        dimensions = [[each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim] for value in (x, y)]
        assert (x.name, y.name, dimensions) == ("x", "dense1", [["n", 2, 6, 6], ["n", 3]])
        assert [(each.domain, each.version) for each in model.opset_import] == [("", cf.export.OPSET)] == [("", 18)]
        assert {node.op_type for node in model.graph.node} == {"Sub", "Div", "Conv", "Mul", "Tanh", "Identity", "Flatten", "Gemm"}

    def test_parameters_keep_their_names_and_the_paper_s_kernel_is_flipped(self, tmp_path):
        model = onnx.load(cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx").path)
        stored = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        assert np.array_equal(stored["dense1.W"], PARAMETERS["dense1.W"])
        (kernel,) = [array for array in stored.values() if array.shape == (4, 2, 3, 3)]
        assert np.array_equal(kernel, PARAMETERS["conv1.k"][:, :, ::-1, ::-1])

    def test_the_same_network_gives_the_same_bytes(self, tmp_path):
        first, second = (cf.export.onnx(GRAPH, PARAMETERS, tmp_path / name).path.read_bytes() for name in ("a.onnx", "b.onnx"))
        assert first == second

    def test_any_nodes_can_be_its_outputs(self, tmp_path):
        written = cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx", outputs=["flatten1", "conv1"])
        assert dict(written.outputs) == {"flatten1": "n 36", "conv1": "n 4 6 6"}
        model = onnx.load(written.path)
        assert "Gemm" not in {node.op_type for node in model.graph.node}
        found = ReferenceEvaluator(model).run(None, {"x": X})
        wanted = cf.Executor(GRAPH.for_evaluation(), kernels=()).forward(PARAMETERS, ["flatten1", "conv1"], x=X)
        for array, name in zip(found, ("flatten1", "conv1"), strict=True):
            assert_agrees(array, wanted[name], name)

    def test_a_parameter_that_two_nodes_share_is_stored_once(self, tmp_path):
        shared = {"W": "W", "b": "b"}
        nodes = tuple(cf.Node(name, make("dense", units=4), {"x": source}, shared) for name, source in (("first", "x"), ("second", "first")))
        graph = cf.Graph(nodes, {"x": "n 4"})
        written = export(graph, tmp_path / "net.onnx")
        assert sorted(each.name for each in onnx.load(written.path).graph.initializer) == ["W", "b"]

    def test_names_that_a_parameter_and_an_input_share_are_told_apart(self, tmp_path):
        graph = cf.Graph((cf.Node("d", make("dense", units=4), {"x": "x"}, {"W": "x", "b": "d"}),), {"x": "n 4"})
        assert export(graph, tmp_path / "net.onnx").difference < 1

    def test_float64_stays_float64(self, tmp_path):
        written = export(network(), tmp_path / "net.onnx", dtype=np.float64)
        assert runs(written.path, {"x": X.astype(np.float64)})[0].dtype == np.float64

    def test_statistics_of_a_batch_are_given_or_stay_inputs(self, tmp_path):
        graph = cf.Graph.chain(make("conv", maps=3, size=1), make("batch_norm"), make("scale_shift"), inputs="n 2 4 4")
        replacements = {"batch_norm1": make("batch_norm_given")}
        with pytest.raises(cf.GraphError, match="batch_norm1 keeps statistics of the batch"):
            export(graph, tmp_path / "net.onnx")
        mean = {"batch_norm1.mean": [0.0, 1.0, 2.0]}
        open_ = export(graph, tmp_path / "open.onnx", replacements=replacements, constants=mean)
        assert list(open_.inputs) == ["x", "batch_norm1.precision"]
        whole = export(graph, tmp_path / "whole.onnx", replacements=replacements, constants={**mean, "batch_norm1.precision": np.ones(3)})
        assert list(whole.inputs) == ["x"]

    def test_what_training_alone_reads_may_be_among_the_examples(self, tmp_path):
        more = {"t": np.zeros(5, int), "dropout1.u": np.zeros((5, 4, 6, 6), np.float32)}
        assert cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx", examples={"x": X, **more}).difference < 1


@pytest.mark.parametrize("name", list(cf.networks.NETWORKS))
def test_every_network_of_the_box_becomes_a_file(name, tmp_path):
    graph = cf.networks.network(name).build(OPS, "softmax_cross_entropy")
    drawn = cf.Parameters.initialise(graph)
    # Biases start at 0, where a mistake with one would not be seen.
    parameters = drawn.with_vector(drawn.vector + np.random.default_rng(1).uniform(0.01, 0.02, drawn.vector.size).astype(np.float32))
    assert cf.export.onnx(graph, parameters, tmp_path / "net.onnx").difference < 1


class TestOperationsOfOthers:
    def test_a_layer_says_itself(self, tmp_path):
        written = export(chain(TwiceSaid()), tmp_path / "net.onnx")
        assert [node.op_type for node in onnx.load(written.path).graph.node] == ["Mul"]

    def test_an_activation_is_said_by_its_expression(self, tmp_path):
        written = export(chain(Mish()), tmp_path / "net.onnx")
        assert [node.op_type for node in onnx.load(written.path).graph.node] == ["Softplus", "Tanh", "Mul"]

    def test_a_result_may_be_read_by_other_nodes_of_its_operation(self, tmp_path):
        assert export(chain(ByTheWay()), tmp_path / "net.onnx").difference == 0

    def test_one_value_may_be_several_outputs(self, tmp_path):
        nodes = (cf.Node("s", Several(), {"x": "x"}), cf.Node("end", make("add"), {"a": "s.a", "b": "s.b"}))
        graph = cf.Graph(nodes, {"x": "n 4"}, "end")
        assert list(export(graph, tmp_path / "net.onnx", outputs=["s.a", "s.b", "s.c", "end"]).outputs) == ["s.a", "s.b", "s.c", "end"]

    @pytest.mark.parametrize(
        ("op", "message"),
        [
            (Twice(), "node 'twice1' cannot be written as ONNX: twice has no `onnx` method"),
            (Slightly(), "disagree on 'slightly1'.* at .*, where rounding moves at most .*; nothing was written"),
            (OfOneBatch(), "nothing was written"),
            (Misspelt(), "No Op registered for Twice"),
            (Returns(), "node 'returns1': returns.onnx must return what build.node returned"),
        ],
        ids=lambda case: getattr(case, "name", None),
    )
    def test_a_wrong_form_is_refused_and_nothing_is_written(self, op, message, tmp_path):
        target = tmp_path / "net.onnx"
        target.write_bytes(b"what was there")
        with pytest.raises(cf.ExportError, match=message):
            export(chain(op), target)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"net.onnx": b"what was there"}

    def test_arguments_are_held_to_the_declaration(self):
        with pytest.raises(cf.DeclarationError, match=r"onnx takes \(y\)"):

            @dataclass(frozen=True)
            class Other(Twice):
                name = "other"

                def onnx(self, build, y):
                    return y

    def test_the_example_distribution_s_layer_says_itself_and_its_activation_needs_no_line(self, tmp_path):
        code = "import cnnframe as cf; from cnnframe_extras.depthwise import Depthwise; from cnnframe_extras.swish import Swish\n"
        code += "g = cf.Graph.chain(Depthwise(size=3, step=2), Swish(beta=2.0), inputs='n 4 9')\n"
        code += "print(cf.export.onnx(g, cf.Parameters.initialise(g), 'net.onnx').difference < 1)"
        variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "examples" / "cnnframe-extras")}
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.stdout == "True\n", done.stderr
        kinds = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
        assert kinds == ["Conv", "Mul", "Sigmoid", "Mul"]


class TestDoors:
    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda path: cf.export.onnx(None, PARAMETERS, path), cf.ExportError, "graph must be a Graph; got None"),
            (lambda path: cf.export.onnx(GRAPH, None, path), cf.ShapeError, "must be Parameters"),
            (lambda path: cf.export.onnx(GRAPH, cf.Parameters.initialise(chain(TwiceSaid())), path), cf.ShapeError, "the parameters lack 'conv1.k'"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, None), cf.ExportError, "path must be a path of a file; got None"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path.parent), cf.ExportError, "is a folder; name a file in it"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path.parent / "no" / "x.onnx"), cf.ExportError, "there is no folder .*; make it first"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, outputs=["conv2"]), cf.UnknownNameError, "did you mean 'conv1'"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, outputs="loss"), cf.ExportError, "softmax_cross_entropy has no `onnx` method"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, constants={"y": 1}), cf.UnknownNameError, "has no input 'y'"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, constants={"x": X}), cf.ExportError, "none for the batch"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, constants=[1]), cf.ExportError, "must be a mapping"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, examples={"z": X}), cf.UnknownNameError, "has no input 'z'"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, examples={}), cf.UnknownNameError, "needs the input 'x'"),
            (lambda path: cf.export.onnx(GRAPH, PARAMETERS, path, examples={"x": X[:, :1]}), cf.ShapeError, "input 'x'"),
        ],
    )
    def test_what_is_wrong_is_told(self, call, error, message, tmp_path):
        with pytest.raises(error, match=message):
            call(tmp_path / "net.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_is_full_leaves_what_was_there(self, tmp_path, monkeypatch):
        target = tmp_path / "net.onnx"
        target.write_bytes(b"what was there")

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(cf.RunError, match=r"net\.onnx cannot be written: No space left on device; the one before is kept"):
            cf.export.onnx(GRAPH, PARAMETERS, target)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"net.onnx": b"what was there"}

    def test_without_onnx_it_says_what_to_install(self, tmp_path):
        code = "import sys; sys.modules['onnx'] = None; import cnnframe as cf; ops = cf.load(); g = cf.networks.bouvrie(ops)\n"
        code += "try: cf.export.onnx(g, cf.Parameters.initialise(g), 'x.onnx')\nexcept cf.MissingPackageError as error: print(error)"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert re.fullmatch(r"onnx is not installed \(.*\); install it with: pip install 'cnnframe\[onnx\]'\n", done.stdout)

    def test_without_onnx_runtime_the_reference_alone_compares(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        (compared,) = cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx").compared
        assert compared.startswith("onnx.reference")

    def test_a_file_that_onnx_runtime_computes_otherwise_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_check, "run_onnxruntime", lambda *_: [{"dense1": np.full((batch, 3), 1e9, np.float32)} for batch in _check.BATCHES])
        with pytest.raises(cf.ExportError, match=r"onnxruntime .* and the executor disagree on 'dense1'"):
            cf.export.onnx(GRAPH, PARAMETERS, tmp_path / "net.onnx")
        assert list(tmp_path.iterdir()) == []


RUNNER = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run that has only just begun."""
    folder = tmp_path_factory.mktemp("run")
    trainer = cf.Trainer(GRAPH, make("sgd"), 0.1, seed=3, kernels=(), threads=1)
    cf.RunFolder(folder).save(trainer, History((), State(PARAMETERS, trainer.start().optimizer, 0)))
    return folder


class TestTheCommand:
    def test_a_run_becomes_a_file(self, run, tmp_path):
        result = RUNNER.invoke(make_app(), ["export", str(run), str(tmp_path / "net.onnx"), "--json"])
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert (told["opset"], told["inputs"], told["outputs"]) == (18, {"x": "n 2 6 6"}, {"dense1": "n 3"})
        wanted = cf.Executor(GRAPH.for_evaluation(), kernels=()).predict(PARAMETERS, x=X)
        assert_agrees(runs(told["path"], {"x": X})[0], wanted, "dense1")

    def test_it_says_what_was_written(self, run, tmp_path):
        result = RUNNER.invoke(make_app(), ["export", str(run), str(tmp_path / "net.onnx"), "--output", "flatten1"])
        assert "operator set 18\ninput x: (n, 2, 6, 6)\noutput flatten1: (n, 36)\nagrees with the network within rounding: onnx.reference" in result.stdout

    def test_the_list_tells_every_operation(self):
        lines = RUNNER.invoke(make_app(), ["export", "--list"]).stdout.splitlines()
        assert "conv              yes" in lines
        assert any(line.startswith("batch_norm        no: keeps statistics") for line in lines)
        listed = json.loads(RUNNER.invoke(make_app(), ["export", "--list", "--json"]).stdout)
        assert listed["dense"] == {"exportable": True, "reason": None}
        assert set(listed) == {name for name, cls in OPS.operations().items() if not issubclass(cls, (cf.Loss, cf.Regularizer))}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda file: file.unlink(), "is not the folder of a run: there is no checkpoint"),
            (lambda file: file.write_bytes(b"{"), "checkpoint"),
            (lambda file: file.write_bytes(file.read_bytes()[:-4]), "checkpoint"),
            (lambda file: file.write_bytes(file.read_bytes()[:-4] + b"abcd"), "checkpoint"),
        ],
    )
    def test_a_folder_of_something_else_is_refused(self, change, message, run, tmp_path):
        folder = tmp_path / "run"
        folder.mkdir()
        for path in run.iterdir():
            folder.joinpath(path.name).write_bytes(path.read_bytes())
        change(folder / "checkpoint.safetensors")
        result = RUNNER.invoke(make_app(), ["export", str(folder), str(tmp_path / "net.onnx")])
        assert result.exit_code == 2
        assert message in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["run"]

    def test_the_best_parameters_need_an_epoch(self, run, tmp_path):
        result = RUNNER.invoke(make_app(), ["export", str(run), str(tmp_path / "net.onnx"), "--best"])
        assert result.exit_code == 2
        assert "holds no best parameters: no epoch is over" in result.stderr

    def test_the_best_parameters_are_those_of_the_best_epoch(self, tmp_path):
        trainer = cf.Trainer(GRAPH, make("sgd"), 0.1, seed=3, kernels=(), threads=1)
        done = trainer.fit({"x": X, "t": np.arange(5) % 3}, epochs=1)
        other = done.parameters.with_vector(-done.parameters.vector)
        cf.RunFolder(tmp_path).save(trainer, replace(done, state=replace(done.state, parameters=other)))
        found = []
        for options in ([], ["--best"]):
            assert RUNNER.invoke(make_app(), ["export", str(tmp_path), str(tmp_path / "net.onnx"), "--overwrite", *options]).exit_code == 0
            (weights,) = [each for each in onnx.load(tmp_path / "net.onnx").graph.initializer if each.name == "dense1.W"]
            found.append(onnx.numpy_helper.to_array(weights))
        assert np.array_equal(found[0], other["dense1.W"])
        assert np.array_equal(found[1], done.parameters["dense1.W"])

    def test_both_arguments_are_needed(self):
        result = RUNNER.invoke(make_app(), ["export"])
        assert result.exit_code == 2
        assert "give the folder of a run and a file" in result.stderr


class TestTheBound:
    """How far rounding may move a node's result, against float32 runs of the node and operands that are off by what is said."""

    NODES = [
        lambda b, x, w: b.node("Gemm", x, w, np.ones(4)),
        lambda b, x, w: b.node("MatMul", x, w),
        lambda b, x, w: b.node("Add", x, w),
        lambda b, x, w: b.node("Sub", x, w),
        lambda b, x, w: b.node("Mul", x, w),
        lambda b, x, w: b.node("Div", x, np.abs(w) + 1.0),
        lambda b, x, w: b.node("Max", x, w),
        lambda b, x, w: b.node("Where", b.node("Greater", x, 0.1), x, w),
        lambda b, x, w: b.node("Pow", b.node("Add", b.node("Abs", x), 1.0), 2.5),
        lambda b, x, w: b.node("Softmax", x, axis=1),
        lambda b, x, w: b.node("ReduceSum", x, [1], keepdims=1),
        lambda b, x, w: b.node("ReduceMean", x, [1], keepdims=1),
        lambda b, x, w: b.node("Log", b.node("Add", b.node("Exp", x), 1.0)),
        lambda b, x, w: b.node("Sqrt", b.node("Add", b.node("Mul", x, x), 1.0)),
        lambda b, x, w: b.node("Reciprocal", b.node("Add", b.node("Sigmoid", x), 1.0)),
        lambda b, x, w: b.node("Softplus", b.node("Neg", b.node("Tanh", x))),
        lambda b, x, w: b.node("Transpose", b.node("Erf", b.node("Sin", x))),
    ]

    @pytest.mark.parametrize("make_nodes", NODES)
    def test_it_holds_and_says_something(self, make_nodes):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((4, 4)), rng.standard_normal((4, 4)).astype(np.float32)
        builder = Builder(np.dtype(np.float64))
        result = make_nodes(builder, Value("x", (4, 4)), w.astype(np.float64))
        builder.given |= set(builder.stored)
        exact = self.run(builder, x, np.float64)[result.name]
        limit = _check.bounds(builder, {"x": x.astype(np.float32)}, {result.name: exact}, 2.0**-24)[result.name]
        again = self.run(builder, x.astype(np.float32), np.float32)[result.name]
        exact = self.run(builder, x.astype(np.float32).astype(np.float64), np.float64)[result.name]
        assert (np.abs(again - exact) <= limit).all()
        assert limit.max() <= 2.0**-24 * 1000 * max(1.0, np.abs(exact).max())

    @staticmethod
    def run(builder, x, dtype):
        values = {"": None, "x": x, **{name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in builder.stored.items()}}
        for made in builder.nodes:
            values |= dict(zip(made.results, _check._run(made, made.kind, [values[name] for name in made.operands]), strict=True))
        return values

    def test_where_no_rule_is_known_half_of_the_digits_have_to_agree(self):
        builder = Builder(np.dtype(np.float64))
        result = builder.node("Elu", Value("x", (3,)))
        wanted = np.array([1.0, 2.0, 4.0])
        limit = _check.bounds(builder, {"x": wanted}, {result.name: wanted}, 2.0**-24)[result.name]
        assert np.array_equal(np.broadcast_to(limit, 3), [4 * 2.0**-12] * 3)
