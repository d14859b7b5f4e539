"""The networks in the box: the counts of the literature, and recipes that fit them."""

from __future__ import annotations

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import networks

OPS = cf.load()
# Parameters and connections of each layer. LeNet-5: LeCun et al. 1998, II.B; LeCun 1989: section 5; the others by hand, as 6 * (25 + 1) = 156.
COUNTS = {
    "bouvrie": ({"conv1": (208, 29952), "subsample1": (16, 1440), "conv2": (1752, 28032), "subsample2": (48, 480), "dense1": (970, 970)}, 2994, 60874),
    "lenet5": (
        {
            "C1": (156, 122304),
            "S2": (12, 5880),
            "C3": (1516, 151600),
            "S4": (32, 2000),
            "C5": (48120, 48120),
            "F6": (10164, 10164),
            "output": (850, 850),
        },
        # The article has 340,908: its outputs have no bias.
        60850,
        340918,
    ),
    "lecun1989": ({"H1": (1068, 19968), "H2": (2592, 38592), "H3": (5790, 5790), "output": (310, 310)}, 9760, 64660),
    "simard2003": ({"conv1": (130, 21970), "conv2": (6300, 157500), "dense1": (125100, 125100), "dense2": (1010, 1010)}, 132540, 305580),
    "deeplearn": ({"conv1": (156, 89856), "conv2": (1812, 115968), "dense1": (1930, 1930)}, 3898, 207754),
}


def rows(graph):
    """Node, parameters and connections as the summary prints them."""
    lines = [line.split() for line in graph.summary().splitlines()]
    return {line[0]: (int(line[-2].replace(",", "")), int(line[-1].replace(",", ""))) for line in lines if line[0] in {node.name for node in graph.nodes}}


@pytest.mark.parametrize("loss", networks.LOSSES)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_the_summary_prints_the_counts_of_the_literature(name, loss):
    graph = networks.network(name).build(OPS, loss)
    layers, parameters, connections = COUNTS[name]
    found = rows(graph)
    assert {node: counts for node, counts in found.items() if counts != (0, 0)} == layers
    assert f"total parameters: {parameters:,}\n" in graph.summary() + "\n"
    assert f"total connections: {connections:,}\n" in graph.summary() + "\n"


def test_the_toolbox_with_the_papers_subsampling():
    graph = networks.deeplearn(OPS, trained_pooling=True)
    found = rows(graph)
    assert (found["subsample1"][0], found["subsample2"][0]) == (12, 24) and "total parameters: 3,934" in graph.summary()


def test_the_units_of_1989():
    """The article counts 1,256 units, the 256 of the image included."""
    graph = networks.lecun1989(OPS)
    assert sum(np.prod(graph.shapes(1)[name]) for name in ("x", "H1", "H2", "H3", "output")) == 1256
    links = graph["H2"].op.links
    assert [sum(j == output for _, j in links.pairs) for output in range(12)] == [8] * 12


def test_connections_of_other_layers():
    make = OPS.make
    graph = cf.Graph.chain(
        make("conv", maps=4, size=3, groups=2, dims=1), make("scale_shift", dims=1), make("combine", maps=5, size=2, dims=1), inputs="n 6 10"
    )
    # A map of conv sees 3 of 6 maps: 4 * 8 * (3 * 3 + 1). combine: each of 5 * 7 units sees 4 maps through 2 entries, and a bias.
    assert graph.connections() == {"conv1": 320, "scale_shift1": 4 * 8 * 2, "combine1": 5 * 7 * (4 * 2 + 1)}
    shared = make("dense", units=3)
    nodes = (cf.Node("a", shared, {"x": "x"}, {"W": "W"}), cf.Node("b", shared, {"x": "a"}, {"W": "W"}))
    graph = cf.Graph(nodes, {"x": "n 3"})
    assert graph.connections() == {"a": 12, "b": 12} and "total parameters: 15" in graph.summary() and "total connections: 24" in graph.summary()


@pytest.mark.parametrize("loss", networks.LOSSES)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_step_by_the_recipe_lowers_the_loss(name, loss):
    network = networks.network(name)
    recipe, graph = network.recipes[loss], network.build(OPS, loss)
    assert graph.inputs["x"] == f"n 1 {network.side} {network.side}"
    labels = np.arange(10)
    x = np.random.default_rng(0).normal(size=(10, 1, network.side, network.side)).astype(np.float32)
    t = networks.code(labels, loss, coding=recipe.coding)
    trainer = cf.Trainer(graph, OPS.make("sgd", momentum=recipe.momentum), recipe.rate_in(0), 10, initial=recipe.initial)
    first = trainer.evaluate(trainer.start().parameters, {"x": x, "t": t})
    history = trainer.fit({"x": x, "t": t}, epochs=3)
    assert trainer.evaluate(history.parameters, {"x": x, "t": t}).loss < first.loss
    assert np.array_equal(cf.targets.decode(t), labels)


def test_outputs_reach_their_codings():
    """The targets of a recipe lie within what the outputs can be."""
    for name, network in networks.NETWORKS.items():
        graph = network.build(OPS, "squared_error")
        low, high = cf.targets.CODINGS[network.recipes["squared_error"].coding]
        op = graph[graph.output].op
        ends = op.f(np.array([-50.0, 50.0]))
        assert ends[0] <= low + 1e-9 and high <= ends[1] + 1e-9, name


def test_rates_by_a_schedule():
    recipe = networks.Recipe(5, 1, 1.0, schedule=((2, 0.5), (1, 0.25)))
    assert [recipe.rate_in(epoch) for epoch in range(5)] == [0.5, 0.5, 0.25, 0.25, 0.25]
    assert networks.Recipe(3, 1, 1.0, 0.5).rate_in(2) == 0.25
    simard = networks.network("simard2003").recipes["softmax_cross_entropy"]
    assert simard.rate_in(0) == simard.rate_in(99) == 0.005 and simard.rate_in(100) == pytest.approx(0.0015)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_networks_refuse(name):
    build = networks.network(name).build
    with pytest.raises(cf.HyperparameterError, match=rf"{name}: loss must be one of squared_error, softmax_cross_entropy; got 'foo'"):
        build(OPS, "foo")
    with pytest.raises(cf.HyperparameterError, match=rf"{name}: registry must be a Registry"):
        build(None)


def test_how_parameters_start():
    rng = np.random.default_rng(0)
    drawn = cf.FanInUniform(2.4)((4000,), 16, 3, rng)
    assert abs(drawn).max() <= 0.15 and abs(drawn).max() > 0.149 and drawn.std() == pytest.approx(0.15 / np.sqrt(3), rel=0.05)
    drawn = cf.FanInUniform(2.4, 0.5)((4000,), 16, 3, rng)
    assert abs(drawn).max() <= 0.6 and abs(drawn).max() > 0.59
    drawn = cf.Normal(0.05)((4000,), 16, 3, rng)
    assert drawn.std() == pytest.approx(0.05, rel=0.05) and abs(drawn.mean()) < 0.005


def test_the_fans_of_a_table_are_means():
    """60 links into 16 maps: 3.75, rounded down; 60 out of 6 maps: 10."""
    array = networks.lenet5(OPS).arrays["C3.k"]
    assert (array.fan_in, array.fan_out) == (75, 250)
    array = networks.lecun1989(OPS).arrays["H2.k"]
    assert (array.fan_in, array.fan_out) == (200, 200)
