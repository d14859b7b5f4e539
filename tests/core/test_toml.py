"""Graphs as TOML: exact there and back, readable, and refused with table and key."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnframe as cf
from cnnframe import Graph, Layer, Links, Node, PerAxis, at_least, multiple_of


@dataclass(frozen=True)
class Odd(Layer):
    """Hyperparameters that are called like keys of a node's table, that may be None, and whose default may not fit."""

    links: Links | None = None
    op: int = 1
    none: str = "b"
    size: Annotated[PerAxis, at_least(1)] = 1
    rate: float | None = 0.5
    shift: float = 0.0
    flag: bool = False
    groups: Annotated[int, at_least(1)] = 1
    maps: Annotated[int, multiple_of("groups")] = 4

    name = "odd"
    inputs = {"x": "..."}
    output = "..."

    def forward(self, x):
        return x.copy(), None

    def backward(self, dy, saved):
        return {"x": dy.copy()}

    def formula(self, at, x):
        return x[at]


class Plugin:
    @cf.hookimpl
    def cnnframe_layers(self):
        return [Odd]


OPS = cf.load(Plugin())
make = OPS.make


def branching():
    conv = make("conv", maps=3, size=3, padding=1)
    return Graph(
        (
            Node("loss", make("softmax_cross_entropy", targets="index"), {"z": "head", "t": "labels"}),
            Node("head", make("dense", units=4), {"x": "flat"}),
            Node("flat", make("flatten"), {"x": "both"}),
            Node("both", make("concatenate"), {"a": "left", "b": "bn.y"}),
            Node("left", conv, {"x": "x"}, {"k": "shared.k"}),
            Node("right", conv, {"x": "x"}, {"k": "shared.k"}),
            Node("bn", make("batch_norm"), {"x": "right"}),
        ),
        {"x": "n 3 4 4"},
        "head",
        (cf.Penalty(make("l2", strength=1e-4)), cf.Penalty(make("l1", strength=0.1), ("shared.k", "head.b")), cf.Penalty(make("l1", strength=2), ())),
    )


def single(op, axes="n 4"):
    return Graph((Node("a", op, {name: name for name in (*op.inputs, *op.constants)}),), dict.fromkeys(op.inputs, axes))


def linked(links):
    return single(make("conv_linked", links=links, size=2), f"n {links.inputs} 6 6")


GRAPHS = {
    "branching": branching,
    "table of links": lambda: single(make("conv_linked", links=cf.LENET5_LINKS, size=(5, 3)), "n 6 14 14"),
    "boolean array": lambda: linked(Links.from_table(np.random.default_rng(0).random((7, 9)) < 0.6)),
    "one link": lambda: linked(Links.all(1, 1)),
    "random links": lambda: linked(Links.random(5, 8, 2, seed=1)),
    "dropout": lambda: Graph.chain(make("dense", units=3), make("dropout", rate=0.1 + 0.2), inputs="n 4"),
    "one dimension": lambda: Graph.chain(make("conv", maps=2, size=3, dims=1), inputs="n 1 9"),
    "odd names": lambda: single(make("odd", op=7, none="none")),
    "odd absences": lambda: single(make("odd", rate=None, links=Links.all(2, 1))),
    "odd sizes": lambda: single(make("odd", size=(1, 2), shift=-0.0, flag=True)),
    "a default that does not fit": lambda: single(make("odd", groups=3, maps=6)),
    "escapes": lambda: single(make("odd", none='a "b"\n\x00\\ \u2028 é')),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_there_and_back(name):
    graph = GRAPHS[name]()
    text = graph.to_toml()
    again = Graph.from_toml(text, OPS)
    assert again == graph and again.to_dict() == graph.to_dict() and again.to_toml() == text


def test_a_negative_zero_keeps_its_sign():
    op = Graph.from_toml(GRAPHS["odd sizes"]().to_toml(), OPS)["a"].op
    assert np.copysign(1, op.shift) == -1


@pytest.mark.parametrize("name", cf.networks.NETWORKS)
@pytest.mark.parametrize("loss", cf.networks.LOSSES)
def test_networks_of_the_box_there_and_back(name, loss):
    graph = cf.networks.network(name).build(OPS, loss)
    assert Graph.from_toml(graph.to_toml(), OPS) == graph


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=3, unique=True))
def test_inputs_of_any_name(names):
    taken = [name for name in names if name.partition(".")[0] not in {f"n{number}" for number in range(3)} and name not in ("reduction", "wanted_inputs")]
    nodes = tuple(Node(f"n{number}", make("relu"), {"x": name}) for number, name in enumerate(taken))
    if nodes:
        graph = Graph(nodes, dict.fromkeys(taken, "n 2"), "n0")
        again = Graph.from_toml(graph.to_toml(), OPS)
        assert again == graph and list(again.inputs) == list(graph.inputs)


def test_the_text_is_what_a_person_would_write():
    graph = Graph.chain(make("conv", maps=6, size=5), make("subsample", size=(2, 1)), inputs="n 1 8 8", penalties=[make("l2", strength=0.5)])
    assert (
        graph.to_toml()
        == """\
format = 1
output = "subsample1"

[inputs]
x = "n 1 8 8"

[nodes.conv1]
op = "conv"
inputs = {x = "x"}
maps = 6
size = 5

[nodes.subsample1]
op = "subsample"
inputs = {x = "conv1"}
size = [2, 1]

[[penalties]]
op = "l2"
strength = 0.5
"""
    )


def test_a_table_of_links_is_a_row_for_each_map():
    assert 'links = [\n    "XXO",\n    "OXX",\n]\n' in linked(Links.from_rows(["XXO", "OXX"])).to_toml()


def test_links_as_booleans():
    text = 'format = 1\n[inputs]\nx = "n 2 3 3"\n[nodes.a]\nop = "conv_linked"\ninputs = {x = "x"}\nsize = 2\nlinks = [[true, false], [true, true]]\n'
    assert Graph.from_toml(text, OPS)["a"].op.links == Links.from_rows(["XO", "XX"])


def test_from_a_file_and_from_tables(tmp_path):
    graph = branching()
    path = tmp_path / "net.toml"
    path.write_text(graph.to_toml(), encoding="utf-8")
    assert Graph.from_toml(path, OPS) == Graph.from_toml(str(path), OPS) == Graph.from_toml(tomllib.loads(graph.to_toml()), OPS) == graph


GOOD = single(make("conv", maps=2, size=3), "n 1 8 8").to_toml() + '\n[[penalties]]\nop = "l2"\nstrength = 0.5\n'


def swapped(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", r"begins with format = 1; got no key 'format', but nothing"),
        ("<html>\n</html>\n", r"the text is no TOML: Invalid statement \(at line 1, column 1\)"),
        (swapped("format = 1", "format = 2"), r"begins with format = 1; got format = 2"),
        (swapped("format = 1", "format = true"), r"got format = True"),
        (swapped("format = 1", 'format = 1\nimport = "os"'), r"a stored graph has no key 'import'; known: format, inputs"),
        ("format = 1\n[inputs]\n", r"a stored graph lacks the key 'nodes', which is a table"),
        ("format = 1\nnodes = {}\n", r"a stored graph lacks the key 'inputs'"),
        (swapped('[inputs]\nx = "n 1 8 8"', "[inputs]\nx = 3"), r"\[inputs\]: 'x' must be a string; got 3"),
        (swapped('[inputs]\nx = "n 1 8 8"', '[inputs]\nx = "n h w"'), r"graph input 'x': axes must be integers"),
        (swapped('"a"', "[1]"), r"key 'output' must be a string; got \[1\]"),
        (swapped('"a"', '"b"'), r"no node is called 'b'; known: a|did you mean 'a'"),
        (swapped('op = "conv"\n', ""), r"\[nodes.a\] lacks the key 'op', which is a string"),
        (swapped('op = "conv"', 'op = "convo"'), r"\[nodes.a\] key 'op': no operation is registered as 'convo'; did you mean 'conv'"),
        (swapped('op = "conv"', 'op = "sgd"'), r"\[nodes.a\] key 'op': no operation is registered as 'sgd'"),
        (swapped("maps = 2", "map = 2"), r"\[nodes.a\]: conv has no hyperparameter 'map'; did you mean 'maps'"),
        (swapped("maps = 2\n", ""), r"\[nodes.a\]: conv needs maps: an integer at least 1"),
        (swapped("maps = 2", "maps = 2.5"), r"\[nodes.a\]: conv: maps must be an integer"),
        (swapped("maps = 2", "maps = nan"), r"\[nodes.a\]: conv: maps must be an integer"),
        (swapped("maps = 2", "maps = 2\nhyperparameters = {maps = 3}"), r"\[nodes.a\]: hyperparameter 'maps' is given twice"),
        (swapped("maps = 2", "maps = 2\nhyperparameters = {a = 3}"), r"\[nodes.a\]: conv has no hyperparameter 'a'"),
        (swapped("maps = 2", "maps = 2\nhyperparameters = 3"), r"\[nodes.a\] key 'hyperparameters' must be a table; got 3"),
        (swapped("size = 3", "size = 1" + "0" * 5000), r"no TOML: .*4300 digits"),
        (swapped('inputs = {x = "x"}', "inputs = 3"), r"\[nodes.a\] key 'inputs' must be a table such as .*; got 3"),
        (swapped('inputs = {x = "x"}', "inputs = {x = 3}"), r"\[nodes.a\] key 'inputs': 'x' must be a string; got 3"),
        (swapped('inputs = {x = "x"}', 'inputs = {x = "a"}'), r"wait for each other"),
        (swapped('inputs = {x = "x"}', 'inputs = {x = "x"}\nparameters = {q = "k"}'), r"\[nodes.a\]: node 'a': conv has no parameter 'q'"),
        (swapped('op = "l2"\nstrength = 0.5', 'op = "relu"'), r"\[\[penalties\]\] number 1: a penalty needs a regularizer"),
        (swapped("strength = 0.5", 'strength = 0.5\ninputs = {w = "a"}'), r"\[\[penalties\]\] number 1: a penalty has no key 'inputs'"),
        (swapped("strength = 0.5", "strength = 0.5\nparameters = [3]"), r"\[\[penalties\]\] number 1: penalty l2: parameters"),
        (swapped("strength = 0.5", "strength = 0.5\nparameters = {}"), r"\[\[penalties\]\] number 1 key 'parameters' must be a list"),
        (
            'format = 1\npenalties = [3]\n[inputs]\nx = "n 1"\n[nodes]\na = {op = "relu", inputs = {x = "x"}}\n',
            r"number 1 must be a table with the key 'op'; got 3",
        ),
        ("format = 1\ninputs = {}\nnodes = {a = 3}\n", r"\[nodes.a\] must be a table"),
        ('format = 1\ninputs = {}\nnodes = {"a b" = {op = "relu", inputs = {}}}\n', r"\[nodes.a b\]: a node's name must be an identifier"),
        ("format = 1\ninputs = {}\nnodes = {}\n", r"at least one node"),
        ("a = " + "[" * 100000 + "\n", r"nests deeper than can be read"),
        (
            'format = 1\ninputs = {x = "n 2"}\n[nodes.a]\nop = "conv_linked"\ninputs = {x = "x"}\nsize = 1\nlinks = "X"\n',
            r"\[nodes.a\]: conv_linked: links must be a list of rows",
        ),
        ('format = 1\ninputs = {x = "n 2"}\n[nodes.a]\nop = "conv_linked"\ninputs = {x = "x"}\nsize = 1\nlinks = [["X"], []]\n', r"\[nodes.a\]: .*rows"),
    ],
)
def test_refused_with_table_and_key(text, message):
    with pytest.raises(cf.CnnframeError, match=message):
        Graph.from_toml(text, OPS)


def test_files_refused(tmp_path):
    for name, data, message in [
        ("png.toml", b"\x89PNG\r\n", "no TOML: byte 0 is not UTF-8"),
        ("cut.toml", branching().to_toml().encode()[:-5], r"cut.toml is no TOML: .*at end of document"),
        ("wrong.toml", swapped("maps = 2", "maps = 0").encode(), r"wrong.toml: \[nodes.a\]: conv: maps must be an integer at least 1 and .*; got 0"),
        ("big.toml", b"#" * (16 * 2**20 + 1), "no graph: it has more than 16,777,216 bytes"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(cf.GraphError if name != "wrong.toml" else cf.HyperparameterError, match=message):
            Graph.from_toml(tmp_path / name, OPS)
    for path in (tmp_path / "none.toml", tmp_path, "format = 1", "\x00"):
        with pytest.raises(cf.GraphError, match=r"cannot be read: .*; name a file, or give the text itself"):
            Graph.from_toml(path, OPS)
    with pytest.raises(cf.GraphError, match="a text, a path or tables are wanted; got bytes"):
        Graph.from_toml(GOOD.encode(), OPS)
    with pytest.raises(cf.GraphError, match="registry must be a Registry"):
        Graph.from_toml(GOOD, {})


def test_what_is_no_unicode_cannot_be_written():
    with pytest.raises(cf.GraphError, match=r"cannot be written as TOML: '\\udc80' is no Unicode character"):
        single(make("odd", none="\udc80")).to_toml()
