"""Connection tables."""

from __future__ import annotations

import ast
import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnframe as cf
from cnnframe import LENET5_LINKS, HyperparameterError, Links

TABLES = st.integers(1, 5).flatmap(
    lambda inputs: st.lists(st.lists(st.booleans(), min_size=inputs, max_size=inputs).filter(any), min_size=1, max_size=6).map(
        lambda columns: np.array(columns, dtype=bool).T
    )
)


def fan_in(links):
    return [sum(j == output for _, j in links.pairs) for output in range(links.outputs)]


def test_links_are_kept_by_output_map_then_input_map():
    links = Links(((2, 1), (0, 1), (1, 0)), 3, 2)
    assert links.pairs == ((1, 0), (0, 1), (2, 1))
    assert len(links) == links.count == 3
    assert links == Links(((1, 0), (0, 1), (2, 1)), 3, 2) and hash(links) == hash(Links(((1, 0), (0, 1), (2, 1)), 3, 2))
    assert links != Links(((1, 0), (0, 1), (2, 1)), 4, 2)


def test_numbers_of_numpy_become_python_ones():
    (pair,) = Links(((np.int64(0), np.uint8(0)),), 1, 1).pairs
    assert [type(number) for number in pair] == [int, int]


def test_an_input_map_may_have_no_link():
    assert Links(((0, 0),), 3, 1).to_rows() == ["X", "O", "O"]


def test_a_table_is_frozen():
    with pytest.raises(FrozenInstanceError):
        LENET5_LINKS.inputs = 3


def test_one_hot_rows():
    links = Links.from_rows(["XO", "XX", "OO"])
    np.testing.assert_array_equal(links.source, [[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(links.target, [[1, 0], [1, 0], [0, 1]])
    assert links.source.dtype == links.target.dtype == np.int64


@pytest.mark.parametrize("side", ["source", "target"])
def test_one_hot_rows_cannot_be_changed(side):
    """They are kept with a frozen value, so that a change would reach all who share it."""
    with pytest.raises(ValueError, match="read-only"):
        getattr(Links.all(2, 2), side)[0, 0] = 7


@pytest.mark.parametrize(
    ("pairs", "inputs", "outputs", "message"),
    [
        (((0, 0), (1, 0), (0, 0)), 2, 1, r"^links: input map 0 is linked to output map 0 twice; name each link once$"),
        (((2, 0),), 2, 1, r"^links: \(2, 0\) is outside a table of 2 input and 1 output maps$"),
        (((0, 1),), 2, 1, r"^links: \(0, 1\) is outside a table of 2 input and 1 output maps$"),
        (((-1, 0),), 2, 1, r"^links: \(-1, 0\) is outside a table of 2 input and 1 output maps$"),
        (((0, 0), (0, 2)), 2, 3, r"^links: output map 1 has no input map; an output map needs at least one link$"),
        ((), 2, 1, r"^links: output map 0 has no input map; an output map needs at least one link$"),
        ((), 2, 0, r"^links: .*output map"),
        (((0.7, 0),), 1, 1, r"^links: .*0\.7"),
        (((0,),), 1, 1, r"^links: "),
        ((("a", 0),), 1, 1, r"^links: .*'a'"),
    ],
)
def test_refuses_links(pairs, inputs, outputs, message):
    with pytest.raises(HyperparameterError, match=message):
        Links(pairs, inputs, outputs)


def test_from_table():
    assert Links.from_table(np.array([[True, False], [True, True]])).pairs == ((0, 0), (1, 0), (1, 1))
    assert Links.from_table([[True], [True]]).pairs == ((0, 0), (1, 0))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[1, 0]], r"^links: a table is a boolean array \(inputs, outputs\); got int64 of shape \(1, 2\)$"),
        (np.ones((2, 2), np.float32), r"^links: a table is a boolean array \(inputs, outputs\); got float32 of shape \(2, 2\)$"),
        ([True, False], r"^links: a table is a boolean array \(inputs, outputs\); got bool of shape \(2,\)$"),
        (np.ones((1, 1, 1), bool), r"^links: a table is a boolean array \(inputs, outputs\); got bool of shape \(1, 1, 1\)$"),
        (True, r"got bool of shape \(\)$"),
        ([[True, False]], r"^links: output map 1 has no input map; an output map needs at least one link$"),
        (np.ones((3, 0), bool), r"^links: .*output map"),
    ],
)
def test_refuses_a_table(table, message):
    with pytest.raises(HyperparameterError, match=message):
        Links.from_table(table)


def test_from_rows():
    assert Links.from_rows(["XO", "OX"]).pairs == ((0, 0), (1, 1))
    assert Links.from_rows(("XXX",)).pairs == ((0, 0), (0, 1), (0, 2))


@pytest.mark.parametrize("rows", [[], ["X", "XX"], ["x"], ["X "], ["X1"], ["X\n"]])
def test_refuses_rows(rows):
    with pytest.raises(HyperparameterError, match=r"^links: rows must be strings of X and O of one length$"):
        Links.from_rows(rows)


def test_refuses_rows_with_an_output_map_without_links():
    with pytest.raises(HyperparameterError, match=r"^links: output map 1 has no input map"):
        Links.from_rows(["XO", "XO"])
    with pytest.raises(HyperparameterError, match=r"^links: "):
        Links.from_rows([""])


def test_all():
    links = Links.all(3, 2)
    assert links.count == 6 and links.to_rows() == ["XX", "XX", "XX"] and fan_in(links) == [3, 3]


@pytest.mark.parametrize(("inputs", "size"), [(4, 1), (4, 2), (6, 2), (6, 3), (5, 5)])
def test_combinations_are_all_sets_of_a_size(inputs, size):
    links = Links.combinations(inputs, size)
    assert links.outputs == math.comb(inputs, size) and links.inputs == inputs
    assert fan_in(links) == [size] * links.outputs
    sets = {frozenset(i for i, j in links.pairs if j == output) for output in range(links.outputs)}
    assert len(sets) == links.outputs


def test_pairs_and_triplets_of_six():
    assert Links.combinations(6, 2).outputs == 15 and Links.combinations(6, 3).outputs == 20
    assert Links.combinations(3, 2).to_rows() == ["XXO", "XOX", "OXX"]


@pytest.mark.parametrize(("inputs", "size"), [(3, 4), (3, 0), (3, -1), (0, 1)])
def test_refuses_sets_of_a_size_that_there_are_none_of(inputs, size):
    with pytest.raises(HyperparameterError, match=r"^links: "):
        Links.combinations(inputs, size)


def test_random_draws_sets_of_the_size_and_again_from_the_seed():
    links = Links.random(8, 20, 3, seed=5)
    assert (links.inputs, links.outputs, links.count) == (8, 20, 60) and fan_in(links) == [3] * 20
    assert links == Links.random(8, 20, 3, seed=5)
    assert links != Links.random(8, 20, 3, seed=6)
    assert {i for i, _ in links.pairs} == set(range(8))
    assert Links.random(3, 2, 3, seed=0) == Links.all(3, 2)


@pytest.mark.parametrize("size", [0, 4, -1])
def test_refuses_random_sets_of_a_size_that_there_are_none_of(size):
    with pytest.raises(HyperparameterError, match=rf"^links: size must be between 1 and 3, the number of input maps; got {size}$"):
        Links.random(3, 2, size, seed=0)


def test_refuses_a_random_table_without_output_maps():
    with pytest.raises(HyperparameterError, match=r"^links: .*output map"):
        Links.random(3, 0, 2, seed=0)


def test_the_table_of_lenet5():
    """LeCun et al. 1998, table I: six maps see three neighbours, six see four, three see four apart, one sees all."""
    assert (LENET5_LINKS.inputs, LENET5_LINKS.outputs, LENET5_LINKS.count) == (6, 16, 60)
    assert fan_in(LENET5_LINKS) == [3] * 6 + [4] * 9 + [6]
    seen = [sorted(i for i, j in LENET5_LINKS.pairs if j == output) for output in range(16)]
    assert seen[:6] == [sorted((m + d) % 6 for d in range(3)) for m in range(6)]
    assert seen[6:12] == [sorted((m + d) % 6 for d in range(4)) for m in range(6)]
    assert seen[12:15] == [[0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]]
    assert seen[15] == list(range(6))
    assert [sum(i == source for i, _ in LENET5_LINKS.pairs) for source in range(6)] == [10] * 6


@given(TABLES)
def test_rows_lead_back(table):
    links = Links.from_table(table)
    assert Links.from_rows(links.to_rows()) == links
    assert links.count == int(table.sum())
    np.testing.assert_array_equal(links.source.T @ links.target, table)


@given(TABLES)
def test_the_representation_says_how_to_make_it(table):
    links = Links.from_table(table)
    call = ast.parse(repr(links), mode="eval").body
    assert isinstance(call, ast.Call) and ast.unparse(call.func) == "Links.from_rows" and not call.keywords
    (rows,) = map(ast.literal_eval, call.args)
    assert Links.from_rows(rows) == links


def test_a_layer_takes_a_table():
    op = cf.load().make("conv_linked", links=LENET5_LINKS, size=5)
    assert op.links is LENET5_LINKS
    assert cf.Links.from_rows(op.hyperparameters()["links"]) == LENET5_LINKS
