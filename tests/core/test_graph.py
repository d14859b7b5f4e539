"""Graphs: names, order, shapes, tables, plain data."""

from __future__ import annotations

import json

import pytest

import cnnframe as cf

OPS = cf.load()
make = OPS.make


def lenet_like(**more):
    act = make("scaled_tanh")
    return cf.Graph.chain(
        make("conv", maps=6, size=5),
        act,
        make("subsample", size=2),
        act,
        make("flatten"),
        make("dense", units=10),
        inputs="n 1 16 16",
        loss=make("squared_error"),
        **more,
    )


def branching():
    """A stem read twice, joined again, with a kernel that two nodes share."""
    conv = make("conv", maps=3, size=3, padding=1)
    return cf.Graph(
        (
            cf.Node("loss", make("softmax_cross_entropy", targets="index"), {"z": "head", "t": "labels"}),
            cf.Node("head", make("dense", units=4), {"x": "flat"}),
            cf.Node("flat", make("flatten"), {"x": "both"}),
            cf.Node("both", make("concatenate"), {"a": "sum", "b": "bn"}),
            cf.Node("sum", make("add"), {"a": "left", "b": "stem"}),
            cf.Node("left", conv, {"x": "stem"}, {"k": "shared.k"}),
            cf.Node("right", conv, {"x": "stem"}, {"k": "shared.k"}),
            cf.Node("bn", make("batch_norm"), {"x": "right"}),
            cf.Node("stem", conv, {"x": "x"}),
        ),
        {"x": "n 3 4 4"},
    )


def test_chain_names_nodes_by_operation_and_number():
    graph = lenet_like()
    assert [node.name for node in graph.nodes] == ["conv1", "scaled_tanh1", "subsample1", "scaled_tanh2", "flatten1", "dense1", "loss"]
    assert dict(graph.inputs) == {"x": "n 1 16 16", "t": "n 10"}
    assert graph.output == "dense1" and graph.losses == ("loss",)


def test_constants_of_layers_become_graph_inputs():
    graph = cf.Graph.chain(make("dense", units=3), make("dropout", rate=0.5), inputs="n 4")
    assert dict(graph.inputs) == {"x": "n 4", "dropout1.u": "n 3"}
    assert not graph.losses


def test_nodes_in_any_order():
    graph = branching()
    names = [node.name for node in graph.nodes]
    assert names.index("stem") < names.index("left") < names.index("sum") < names.index("both") < names.index("loss")
    assert graph.output == "head"
    assert graph.inputs["labels"] == "n"
    assert graph.axes["bn.mean"] == "3" and graph.axes["both"] == "n 6 4 4"
    assert graph.arrays["shared.k"].nodes == ("left", "right")
    assert graph.shapes(7)["both"] == (7, 6, 4, 4)


def test_fans_follow_the_declaration():
    array = lenet_like().arrays["conv1.k"]
    assert (array.fan_in, array.fan_out, array.role) == (25, 150, "weight")
    assert (lenet_like().arrays["dense1.W"].fan_in, lenet_like().arrays["dense1.W"].fan_out) == (216, 10)


def test_an_axis_as_long_as_the_batch_is_not_taken_for_it():
    assert cf.Graph.chain(make("dense", units=1), inputs="n 2").axes["dense1"] == "n 1"
    assert cf.Graph.chain(make("dense", units=2), inputs="n 1").axes["dense1"] == "n 2"


def node(name, op, *sources, **parameters):
    op = make(op) if isinstance(op, str) else op
    names = [*op.inputs, *op.constants]
    return cf.Node(name, op, dict(zip(names, sources, strict=True)), parameters)


DENSE = make("dense", units=3)
WRONG = {
    "cycle": (
        lambda: [node("a", "relu", "b"), node("b", "relu", "a")],
        cf.GraphError,
        r"wait for each other: (a -> b -> a|b -> a -> b); a graph has no cycles",
    ),
    "self": (lambda: [node("a", "relu", "a")], cf.GraphError, r"a -> a"),
    "dangling": (
        lambda: [node("conv1", "relu", "x"), node("b", "relu", "conv2")],
        cf.UnknownNameError,
        r"node 'b' input 'x': nothing is called 'conv2'; did you mean 'conv1'\?",
    ),
    "twice": (lambda: [node("a", "relu", "x"), node("a", "relu", "x")], cf.GraphError, r"two nodes are called 'a'"),
    "input and node": (lambda: [node("x", "relu", "x")], cf.GraphError, r"'x' is a graph input and a node"),
    "unknown array": (lambda: [cf.Node("a", make("relu"), {"y": "x"})], cf.UnknownNameError, r"node 'a': relu has no input 'y'; known: x"),
    "unknown parameter": (lambda: [node("a", DENSE, "x", w="k")], cf.UnknownNameError, r"node 'a': dense has no parameter 'w'"),
    "missing": (lambda: [cf.Node("a", make("add"), {"a": "x"})], cf.GraphError, r"node 'a': add needs a source for 'b'"),
    "no nodes": (list, cf.GraphError, r"at least one node"),
    "name": (lambda: [node("a b", "relu", "x")], cf.GraphError, r"identifier; got 'a b'"),
    "no op": (lambda: [cf.Node("a", "relu", {})], cf.GraphError, r"needs an operation"),
    "output of a node": (lambda: [node("a", "relu", "x"), node("b", "relu", "a.mean")], cf.UnknownNameError, r"node 'a' has no output 'mean'"),
    "shape": (
        lambda: [node("a", make("subsample", size=2), "x")],
        cf.ShapeError,
        r"node 'a': subsample input 'x' has axes .*got shape \(1, 5\) \(x = x \(1, 5\)",
    ),
    "join": (lambda: [node("d", DENSE, "x"), node("a", "add", "x", "d")], cf.ShapeError, r"node 'a': add input 'b'.*\(1, 5\).*\(1, 3\)"),
    "shared": (
        lambda: [node("d", DENSE, "x", W="W"), node("e", DENSE, "d", W="W")],
        cf.ShapeError,
        r"node 'e': parameter 'W' is the array 'W', which has shape \(3, 5\) at node 'd'; wanted \(3, 3\)",
    ),
    "shared role": (
        lambda: [node("d", make("dense", units=5), "x", W="v", b="b"), node("e", make("dense", units=5), "d", b="d.b", W="b")],
        (cf.GraphError, cf.ShapeError),
        r"node 'e'",
    ),
    "two ends": (lambda: [node("a", "relu", "x"), node("b", "relu", "x")], cf.GraphError, r"which node is the output\? .*a, b; say output="),
    "loss read": (lambda: [node("l", "squared_error", "x", "t"), node("b", "relu", "l")], cf.GraphError, r"node 'b' input 'x' reads the loss 'l'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refuses(case):
    nodes, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        cf.Graph(tuple(nodes()), {"x": "n 5"})


@pytest.mark.parametrize("axes", ["n h", "...", "n {h}", 5, "n +"])
def test_refuses_axes_of_an_input(axes):
    with pytest.raises(cf.GraphError, match="graph input 'x'"):
        cf.Graph((node("a", "relu", "x"),), {"x": axes})


def test_refuses_a_name_that_the_executor_uses():
    with pytest.raises(cf.GraphError, match="keyword of the executor"):
        cf.Graph((node("a", "relu", "reduction"),), {"reduction": "n 3"})


def test_a_bare_name_of_several_outputs_is_y():
    graph = cf.Graph((node("bn", "batch_norm", "x"), node("a", "relu", "bn"), node("m", "relu", "bn.mean")), {"x": "n 2 3 3"}, "a")
    assert graph.axes["m"] == "2" and graph.axes["a"] == "n 2 3 3"


def test_chain_refuses():
    with pytest.raises(cf.GraphError, match="one input; got Add"):
        cf.Graph.chain(make("add"), inputs="n 3")
    with pytest.raises(cf.GraphError, match="at least one operation"):
        cf.Graph.chain(inputs="n 3")
    with pytest.raises(cf.GraphError, match="a Loss with one input"):
        cf.Graph.chain(make("relu"), inputs="n 3", loss=make("relu"))


def test_penalties_go_by_role_unless_named():
    l2 = make("l2", strength=0.1)
    assert [name for _, name in lenet_like(penalties=[cf.Penalty(l2)]).penalised()] == ["conv1.k", "dense1.W"]
    assert [name for _, name in lenet_like(penalties=[cf.Penalty(l2, ["dense1.b"])]).penalised()] == ["dense1.b"]
    with pytest.raises(cf.UnknownNameError, match=r"penalty l2: no parameter array is called 'dense2.W'; did you mean 'dense1.W'"):
        lenet_like(penalties=[cf.Penalty(l2, ("dense2.W",))])
    with pytest.raises(cf.GraphError, match="penalty alpha_square: no parameter has the role 'mixing'"):
        lenet_like(penalties=[cf.Penalty(make("alpha_square", strength=1.0))])
    with pytest.raises(cf.GraphError, match="a penalty needs a regularizer"):
        cf.Penalty(make("relu"))


def test_summary_counts():
    text = lenet_like().summary()
    assert "conv1" in text and "conv(maps=6, size=5)" in text and "(n, 6, 12, 12)" in text
    assert "total parameters: 2,338" in text  # 6*25+6, 6+6, 216*10+10
    shared = branching().summary()
    assert "shares shared.k" in shared
    assert f"total parameters: {2 * 81 + 3 * 3 + 96 * 4 + 4}" in shared


def test_lenet5_counts_of_the_literature():
    act = make("scaled_tanh")
    graph = cf.Graph.chain(
        make("conv", maps=6, size=5),
        act,
        make("subsample", size=2),
        act,
        make("conv_linked", links=cf.LENET5_LINKS, size=5),
        act,
        make("subsample", size=2),
        act,
        make("conv", maps=120, size=5),
        act,
        make("flatten"),
        make("dense", units=84),
        act,
        make("dense", units=10),
        inputs="n 1 32 32",
    )
    sizes = {
        name: sum(
            a.shape[0] * (1 if len(a.shape) == 1 else a.shape[1] * (a.shape[2] if len(a.shape) > 2 else 1) * (a.shape[3] if len(a.shape) > 3 else 1))
            for key, a in graph.arrays.items()
            if key.startswith(name + ".")
        )
        for name in ("conv1", "subsample1", "conv_linked1", "subsample2", "conv2", "dense1", "dense2")
    }
    assert list(sizes.values()) == [156, 12, 1516, 32, 48120, 10164, 850]
    assert "60,850" in graph.summary()


def test_plain_data_round_trip():
    for graph in (lenet_like(penalties=[cf.Penalty(make("l1", strength=0.5), ("conv1.k",))]), branching()):
        again = cf.Graph.from_dict(json.loads(json.dumps(graph.to_dict())), OPS)
        assert again == graph and again.to_dict() == graph.to_dict()


def test_links_survive_the_round_trip():
    graph = cf.Graph.chain(make("conv_linked", links=cf.Links.combinations(3, 2), size=(2, 3)), inputs="n 3 5 5")
    assert cf.Graph.from_dict(json.loads(json.dumps(graph.to_dict())), OPS)["conv_linked1"].op == graph["conv_linked1"].op


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: {},
        lambda d: [],
        lambda d: {**d, "format": 99},
        lambda d: {k: v for k, v in d.items() if k != "nodes"},
        lambda d: {**d, "nodes": 3},
        lambda d: {**d, "nodes": ["a"]},
        lambda d: {**d, "inputs": 3},
        lambda d: {**d, "penalties": None},
    ],
)
def test_refuses_data_that_are_no_graph(break_it):
    with pytest.raises(cf.GraphError):
        cf.Graph.from_dict(break_it(lenet_like().to_dict()), OPS)


def test_refuses_an_operation_that_is_not_registered():
    stored = lenet_like().to_dict()
    stored["nodes"][0]["op"] = "convo"
    with pytest.raises(cf.UnknownNameError, match="did you mean 'conv'"):
        cf.Graph.from_dict(stored, OPS)


def test_mermaid_and_html():
    text = branching().to_mermaid()
    assert text.startswith("flowchart TD") and 'node_stem -->|"(n, 3, 4, 4)"| node_left' in text and "in1 -.->" in text
    assert "<td>conv1</td>" in lenet_like()._repr_html_()


def test_unknown_node():
    with pytest.raises(cf.UnknownNameError, match="no node 'conv'; did you mean 'conv1'"):
        lenet_like()["conv"]
