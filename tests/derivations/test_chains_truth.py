"""The truth about a chain of operations is that of its operations, composed."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from chain_kernels import Both
from suite_parts import OPS

import cnnframe as cf
from cnnframe import BATCH, PLAIN
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import indices, total
from cnnframe_derivations._numbers import Digits, Floats
from cnnframe_derivations._rounding import Rounded
from cnnframe_derivations.suite._cases import Case
from cnnframe_derivations.suite._joined import WANTED, Joined, name_of
from cnnframe_derivations.suite._joined_cases import ChainCase
from cnnframe_derivations.suite._joined_oracle import ChainOracle
from cnnframe_derivations.suite._oracle import Oracle
from cnnframe_derivations.suite._verdict import Skip

DENSE, RELU, SHIFT, LEAKY, TANH, MEAN = (OPS[name] for name in ("dense", "relu", "scale_shift", "leaky_relu", "scaled_tanh", "mean_pool"))


def joined(*ops, wanted="all", dtype="float64", **sizes):
    return Joined(ops, {**ops[0].declaration.known, **sizes}, dtype, wanted)


def case_of(op, lattice="small", seed=2, layout="C"):
    return ChainCase(op, op.known, op.dtype, layout, lattice, seed)


LAYERS = joined(DENSE(units=3), RELU(), DENSE(units=2), n=4, i=5)


def layers(x, W1, b1, W2, b2, f=lambda u: np.maximum(u, 0), df=lambda u: (u > 0) * 1.0):
    """Two layers by hand: the output, and what a cotangent becomes."""
    u = x @ W1.T + b1
    v = f(u)

    def back(dy):
        du = (dy @ W2) * df(u)
        return {"x": du @ W1, "dense1.W": du.T @ x, "dense1.b": du.sum(0), "dense2.W": dy.T @ v, "dense2.b": dy.sum(0)}

    return v @ W2.T + b2, back


def test_outputs_and_gradients_are_those_of_a_composition_by_hand():
    for seed in range(6):
        oracle = ChainOracle(case_of(LAYERS, seed=seed))
        y, back = layers(*oracle.arrays.values())
        assert oracle.exact and np.any(y)
        assert np.array_equal(oracle.forward["y"].value, y) and not oracle.forward["y"].bound.any()
        wanted = back(oracle.cotangents["y"])
        assert oracle.gradients.keys() == wanted.keys()
        for name, value in wanted.items():
            assert np.array_equal(oracle.gradients[name].value, value), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_code_stays_within_bounds_that_are_not_far_above_rounding(dtype):
    op = joined(DENSE(units=3), TANH(), DENSE(units=2), n=4, i=5, dtype=dtype)
    a, b = op.ops[1].a, op.ops[1].b
    unit = np.finfo(dtype).eps
    for seed in range(4):
        rng = np.random.default_rng(seed)
        arrays = {name: rng.uniform(-1, 1, shape).astype(dtype) for name, shape in op.given.items()}
        oracle = ChainOracle.at(case_of(op), arrays, {"y": rng.uniform(-1, 1, (4, 2)).astype(dtype)})
        assert not oracle.exact
        y, back = layers(*oracle.arrays.values(), lambda u: (a * np.tanh(b * u)).astype(dtype), lambda u: (a * b / np.cosh(b * u) ** 2).astype(dtype))
        truths = {"y": oracle.forward["y"], **oracle.gradients}
        for name, value in {"y": y, **back(oracle.cotangents["y"])}.items():
            assert value.dtype == dtype and truths[name].first_miss(value) is None
            size = np.max(np.abs(truths[name].value))
            assert np.all(truths[name].bound > 0) and np.max(truths[name].bound) < 5e3 * unit * max(size, 1)
            assert truths[name].first_miss(value + 5e3 * unit * max(size, 1)) is not None


def test_many_digits_go_through_all_operations():
    oracle = ChainOracle(case_of(joined(TANH(), TANH(), TANH(), **{ELLIPSIS: (1,)}), "real"))
    (x,), (dy,) = oracle.arrays["x"], oracle.cotangents["y"]
    a, b = mpmath.mpf(TANH().a), mpmath.mpf(TANH().b)
    with mpmath.workdps(40):
        y, slope = mpmath.mpf(float(x)), mpmath.mpf(float(dy))
        for _ in range(3):
            slope *= a * b * (1 - mpmath.tanh(b * y) ** 2)
            y = a * mpmath.tanh(b * y)
        outputs, gradients = oracle.many_digits
        assert abs(outputs["y"][0] - y) < 1e-35 and abs(gradients["x"][0] - slope) < 1e-35
    assert float(oracle.forward["y"].value[0]) == float(y) and float(oracle.gradients["x"].value[0]) == float(slope)


SINGLE = {
    "dense": ({"units": 2}, {"n": 3, "i": 2}),
    "conv": ({"maps": 2, "size": 2}, {"n": 2, "g": 2, "h0": 3, "h1": 4}),
    "conv_linked": ({"links": cf.Links(((0, 0), (1, 0), (1, 1)), 2, 2), "size": 2}, {"n": 2, "h0": 3, "h1": 2}),
    "max_pool": ({"size": 2, "stride": 1}, {"n": 2, "i": 1, "h0": 4, "h1": 3}),
    "dropout": ({"rate": 0.5}, {ELLIPSIS: (3, 2)}),
    "batch_norm_given": ({"dims": 1}, {"n": 3, "i": 2, "h0": 2}),
    "batch_norm": ({"dims": 1}, {"n": 3, "i": 2, "h0": 2}),
    "concatenate": ({"dims": 1}, {"n": 2, "i": 1, "j": 2, "h0": 2}),
    "softmax": ({}, {"n": 3, "c": 4}),
    "softmax_cross_entropy": ({"targets": "index"}, {"n": 3, "c": 4}),
    "scaled_tanh": ({}, {ELLIPSIS: (5,)}),
    "squared_error": ({}, {"n": 3, "c": 2}),
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("lattice", ["small", "real"])
def test_a_chain_of_one_is_the_operation(name, lattice):
    hypers, sizes = SINGLE[name]
    op = OPS[name](**hypers)
    alone = Oracle(Case(op, {**op.declaration.known, **sizes}, "float32", "C", lattice, 6))
    chain = ChainOracle(case_of(joined(op, dtype="float32", **sizes), lattice, 6))
    own = chain.case.op.names[0]
    assert chain.exact is alone.exact and set(own) == set(alone.arrays)
    for short, name_ in own.items():
        assert np.array_equal(alone.arrays[short], chain.arrays[name_]) and alone.arrays[short].dtype == chain.arrays[name_].dtype
    assert chain.case.op.single is op.single and chain.case.outputs == alone.case.outputs
    pairs = [(alone.forward[output], chain.forward[output]) for output in alone.forward]
    pairs += [(alone.gradients[short], chain.gradients[own[short]]) for short in alone.gradients]
    assert len(pairs) == len(chain.forward) + len(chain.gradients)
    for first, second in pairs:
        assert np.array_equal(first.value, second.value)
        # Errors of second order are added, and products with 0 are exact.
        assert np.all(second.bound <= first.bound * (1 + 1e-3) + 1e-30)
        assert np.all((second.bound >= first.bound * (1 - 1e-9)) | (np.abs(second.value) < 1e-30) | (lattice == "small"))


def test_arguments_go_by_their_node_and_those_of_the_first_by_their_own_name():
    op = joined(OPS["batch_norm_given"](dims=1), SHIFT(dims=1), SHIFT(dims=1), RELU(), n=2, i=3, h0=4)
    assert op.nodes == ("batch_norm_given1", "scale_shift1", "scale_shift2", "relu1")
    assert op.name == name_of(tuple(map(type, op.ops))) == "batch_norm_given+scale_shift+scale_shift+relu"
    assert op.given == {
        "x": (2, 3, 4),
        "mean": (3,),
        "precision": (3,),
        **{f"scale_shift{k}.{part}": (3,) for k in (1, 2) for part in ("gain", "shift")},
    }
    assert [dict(names) for names in op.names] == [
        {"x": "x", "mean": "mean", "precision": "precision"},
        {"gain": "scale_shift1.gain", "shift": "scale_shift1.shift"},
        {"gain": "scale_shift2.gain", "shift": "scale_shift2.shift"},
        {},
    ]


def test_sizes_follow_from_the_operation_before():
    op = joined(OPS["conv"](maps=2, size=2), MEAN(size=2, stride=2), OPS["flatten"](dims=2), DENSE(units=3), n=2, g=1, h0=6, h1=5)
    assert op.shapes == (
        {"x": (2, 1, 6, 5), "k": (2, 1, 2, 2), "b": (2,)},
        {"x": (2, 2, 5, 4)},
        {"x": (2, 2, 2, 2)},
        {"x": (2, 8), "W": (3, 8), "b": (3,)},
    )
    assert op.outputs == {"y": (2, 3)} == op.output_shapes({})
    assert [known.get("n") for known in op.sizes] == [2, 2, 2, 2]
    with pytest.raises(cf.ShapeError):
        _ = joined(OPS["conv"](maps=2, size=2), MEAN(size=9, stride=1), n=1, g=1, h0=3, h1=3).outputs


@pytest.mark.parametrize("wanted", WANTED)
def test_what_no_gradient_is_asked_for_is_constant(wanted):
    op = joined(OPS["batch_norm_given"](dims=0), SHIFT(dims=0), DENSE(units=1), wanted=wanted, n=2, i=3)
    params = {"scale_shift1.gain": (3,), "scale_shift1.shift": (3,), "dense1.W": (1, 3), "dense1.b": (1,)}
    learns, asked = {"all": ({"x"}, set(params)), "parameters": (set(), set(params)), "nothing": (set(), set())}[wanted]
    declaration = op.declaration
    assert (set(declaration.inputs), set(declaration.params)) == (learns, asked)
    assert set(declaration.constants) == {"x", "mean", "precision", *params} - learns - asked
    assert declaration.values == dict.fromkeys(declaration.constants)
    shapes = {name: tuple(axis({BATCH: 2}) for axis in axes) for name, axes in {**declaration.arguments, **declaration.outputs}.items()}
    assert shapes == {"x": (2, 3), "mean": (3,), "precision": (3,), **params, "y": (2, 1)}
    assert [name for name, axes in declaration.arguments.items() if BATCH in {letter for axis in axes for letter in axis.names()}] == ["x"]
    assert declaration.known == op.ops[0].declaration.known
    chain = op.chain
    assert [set(names) for names in chain.wanted] == [learns, {"gain", "shift"} & {name.partition(".")[2] for name in asked}, {"W", "b"} if asked else set()]
    assert (chain.nodes, chain.ops, chain.given, chain.outputs, chain.dtype) == (op.nodes, op.ops, op.shapes, {"y": (2, 1)}, np.float64)
    oracle = ChainOracle(case_of(op))
    assert set(oracle.gradients) == learns | asked


def test_draws_of_the_first_operation_are_drawn_as_it_says():
    op = joined(OPS["dropout"](rate=0.25), RELU(), **{ELLIPSIS: (4, 4)})
    assert op.declaration.values == {"u": "[0, 1)"} and set(op.declaration.inputs) == {"x"}
    u = ChainOracle(case_of(op)).arrays["u"]
    assert np.all((u >= 0) & (u < 1) & (u * 64 == np.rint(u * 64))) and np.any(u * 2 != np.rint(u * 2))


@dataclass(frozen=True)
class SumOfAll(cf.Layer):
    """The sum over the batch, by someone who does not call it a loss."""

    name = "sum_of_all"
    inputs = {"x": "n c"}
    output = ""

    def forward(self, x):
        return x.sum(), x.shape

    def backward(self, dy, saved):
        return {"x": np.full(saved, dy)}

    def formula(self, at, x):
        n, c = indices("n c")
        return total(x[n, c], (n, x.shape[0]), (c, x.shape[1]))


@dataclass(frozen=True)
class Twice(cf.Layer):
    """A number, twice."""

    name = "twice"
    inputs = {"x": ""}
    output = ""

    def forward(self, x):
        return 2 * x, None

    def backward(self, dy, saved):
        return {"x": 2 * dy}

    def formula(self, at, x):
        return 2 * x


@dataclass(frozen=True)
class Tilted(cf.Layer):
    """The batch times one row."""

    name = "tilted"
    inputs = {"a": "n c", "b": "c"}
    output = "n c"

    def forward(self, a, b):
        return a * b, (a, b)

    def backward(self, dy, saved):
        a, b = saved
        return {"a": dy * b, "b": (dy * a).sum(axis=0)}

    def formula(self, at, a, b):
        n, c = at
        return a[n, c] * b[c]


def test_the_last_operation_may_have_several_outputs():
    op = joined(SHIFT(dims=0), SHIFT(dims=0), Both(), n=3, i=2)
    assert not op.single and LAYERS.single and op.outputs == {"twice": (3, 2), "square": (3, 2)}
    # Twice the places of g2 (g1 x + s1) + s2.
    assert [op.evaluation.binary_places(places) for places in (0, 2)] == [0, 12]
    oracle = ChainOracle(case_of(op))
    x, g1, s1, g2, s2 = oracle.arrays.values()
    u = g1 * x + s1
    v = g2 * u + s2
    dv = 2 * oracle.cotangents["twice"] + 2 * v * oracle.cotangents["square"]
    wanted = {"x": dv * g2 * g1, "scale_shift1.gain": (dv * g2 * x).sum(0), "scale_shift1.shift": (dv * g2).sum(0)}
    wanted |= {"scale_shift2.gain": (dv * u).sum(0), "scale_shift2.shift": dv.sum(0)}
    assert oracle.exact and oracle.gradients.keys() == wanted.keys()
    assert np.array_equal(oracle.forward["twice"].value, 2 * v) and np.array_equal(oracle.forward["square"].value, v * v)
    for name, value in wanted.items():
        assert np.array_equal(oracle.gradients[name].value, value), name


def test_all_inputs_of_the_first_operation_are_inputs_of_the_chain():
    op = joined(OPS["concatenate"](dims=0), DENSE(units=1), n=2, i=1, j=1)
    assert list(op.declaration.inputs) == ["a", "b"] and [set(names) for names in op.chain.wanted] == [{"a", "b"}, {"W", "b"}]
    flat = joined(RELU(), TANH(), **{ELLIPSIS: (2, 3)}).declaration
    assert [axis({}) for axis in flat.inputs["x"]] == [2, 3] and not {letter for axis in flat.inputs["x"] for letter in axis.names()}


@pytest.mark.parametrize(
    ("op", "apart"),
    [
        (joined(DENSE(units=2), TANH(), n=3, i=2), True),
        (joined(DENSE(units=2), OPS["softmax"](), n=3, i=2), True),
        (joined(OPS["concatenate"](dims=0), RELU(), n=2, i=1, j=1), True),
        (joined(OPS["add"](), DENSE(units=2), **{ELLIPSIS: (2, 2)}), False),
        (joined(RELU(), TANH(), **{ELLIPSIS: (2, 2)}), False),
        (joined(SHIFT(dims=0), OPS["batch_norm"](dims=0), n=2, i=2), False),
        (joined(OPS["batch_norm"](dims=0), n=2, i=2), False),
        (joined(DENSE(units=2), SumOfAll(), n=3, i=2), False),
        (joined(DENSE(units=2), OPS["squared_error"](), n=3, i=2), False),
        (joined(Twice(), Twice()), False),
        (joined(Tilted(), RELU(), n=2, c=2), False),
        (joined(DENSE(units=2), Both(), n=2, i=2), True),
    ],
    ids=lambda value: value.name if isinstance(value, Joined) else "",
)
def test_the_entries_of_a_batch_are_apart_where_every_operation_keeps_them_apart(op, apart):
    assert op.evaluation.derivation.batch_apart is apart


def test_a_chain_branches_where_one_of_its_operations_does():
    assert len(joined(RELU(), TANH(), RELU(), **{ELLIPSIS: (2,)}).evaluation.derivation.conditions) == 2
    assert not joined(TANH(), TANH(), **{ELLIPSIS: (2,)}).evaluation.derivation.conditions


def test_numbers_without_axes_go_through_chains():
    oracle = ChainOracle(case_of(joined(Twice(), Twice())))
    assert oracle.forward["y"].value == 4 * oracle.arrays["x"] and oracle.gradients["x"].value == 4 * oracle.cotangents["y"]
    assert ChainOracle(case_of(joined(DENSE(units=2), SumOfAll(), n=3, i=2))).forward["y"].value.shape == ()


ROWS = {"n": 2, "i": 2, "h0": 4}


@pytest.mark.parametrize(
    ("op", "places"),
    [
        # A product has the places of its factors, a sum those of the part with most; a choice those of what is compared, too.
        (joined(SHIFT(dims=1), **ROWS), {0: 0, 1: 2, 12: 24}),
        (joined(SHIFT(dims=1), SHIFT(dims=1), **ROWS), {0: 0, 1: 3, 12: 36}),
        # Back through both: one place of a slope and 12 of what is compared, 24 of the second's, and 12 of the first's gain.
        (joined(SHIFT(dims=1), LEAKY(slope=0.25), SHIFT(dims=1), **ROWS), {0: 2, 1: 5, 12: 48}),
        (joined(RELU(), LEAKY(slope=0.25), **{ELLIPSIS: (2,)}), {0: 2, 1: 3, 12: 24}),
        (joined(MEAN(size=2, stride=2, dims=1), MEAN(size=2, stride=2, dims=1), **ROWS), {0: 2, 5: 7}),
        (joined(OPS["dropout"](rate=0.5), RELU(), **{ELLIPSIS: (2,)}), {0: 12}),
        (joined(MEAN(size=3, stride=1, dims=1), RELU(), **ROWS), {0: None, 12: None}),
        (joined(RELU(), MEAN(size=3, stride=1, dims=1), **{ELLIPSIS: (1, 1, 3)}), {0: None}),
        (joined(RELU(), TANH(), RELU(), **{ELLIPSIS: (2,)}), {0: None}),
    ],
)
def test_binary_places_are_counted_through_the_chain_and_back(op, places):
    assert {given: op.evaluation.binary_places(given) for given in places} == places


def test_chains_are_the_same_by_their_operations_and_sizes_alone():
    shape = {ELLIPSIS: (2, 3)}
    one, again, other = joined(RELU(), OPS["identity"](), **shape), joined(RELU(), OPS["identity"](), **shape), joined(OPS["identity"](), RELU(), **shape)
    assert one.text == other.text and one.evaluation is again.evaluation is not other.evaluation
    assert one.evaluation is not joined(RELU(), OPS["identity"](), **{ELLIPSIS: (6,)}).evaluation
    assert one.evaluation is not joined(RELU(), OPS["identity"](), wanted="nothing", **shape).evaluation
    assert ChainCase.read((RELU, OPS["identity"]), case_of(one).replay).known == {ELLIPSIS: (2, 3)}
    assert '"sizes": {"...": [2, 3]}' in one.text
    assert '"sizes": {"n": 2, "i": 1, "h0": 1}' in joined(SHIFT(dims=1), RELU(), n=2, i=1, h0=1).text
    assert '"sizes": {"n": 4, "i": 5}' in LAYERS.text and '[{"units": 3}, {}, {"units": 2}]' in LAYERS.text


def test_each_array_in_turn_has_far_more_places_than_the_others():
    seen = [ChainOracle(case_of(LAYERS, "deep", seed)) for seed in range(6)]
    assert [oracle.deep for oracle in seen] == ["x", "dense1.W", "dense1.b", "dense2.W", "dense2.b", "dy"]
    for oracle in seen:
        most = {name: np.abs(value).max() for name, value in {**oracle.arrays, "dy": oracle.cotangents["y"]}.items()}
        assert oracle.exact and [name for name, value in most.items() if value > 3] == [oracle.deep]


def test_arithmetic_is_exact_with_what_is_wide():
    for lattice in ("wide", "deep", "apart"):
        oracle = ChainOracle(case_of(LAYERS, lattice))
        assert oracle.exact
        with mpmath.workdps(60):
            held = oracle.evaluation.forward(Digits(), oracle.arrays)
            exact = {**oracle.evaluation.outputs(held), **oracle.evaluation.backward(Digits(), held, oracle.cotangents)}
            for name, truth in {**oracle.forward, **oracle.gradients}.items():
                assert all(float(v) == v for v in exact[name].ravel()) and [float(v) for v in exact[name].ravel()] == truth.value.ravel().tolist()


def oracle_at(x, gain, dtype, dy=1.0):
    op = joined(SHIFT(dims=0), RELU(), dtype=dtype, n=1, i=1)
    arrays = {"x": np.full((1, 1), x), "scale_shift1.gain": np.full(1, gain), "scale_shift1.shift": np.full(1, 0.5)}
    return ChainOracle.at(case_of(op, "real"), arrays, {"y": np.full((1, 1), dy)})


@pytest.mark.parametrize(
    ("x", "gain", "dy", "near"),
    [
        (1.0, 1.0, 1.0, ()),
        (1e9, 1e9, 1.0, ()),
        (1e10, 1e10, 1.0, ("float32",)),
        (-1e10, 1e10, 1.0, ("float32",)),
        (1e20, 1e-20, 1.0, ("float32",)),
        (1e-20, 1e20, 1.0, ("float32",)),
        (1.0, 1e10, 1e10, ("float32",)),
        (1e80, 1e80, 1.0, ("float32", "float64")),
        (1.0, 1.0, 1e200, ("float32", "float64")),
    ],
)
def test_a_number_nears_the_end_of_the_range_from_its_square_root_on(x, gain, dy, near):
    for dtype in ("float32", "float64"):
        assert oracle_at(x, gain, dtype, dy).within_range is (dtype not in near)


def test_errors_beyond_all_bounds_and_doubts_leave_a_case_out():
    oracle = oracle_at(1.0, 2.0, "float32")
    with mpmath.workdps(40):
        digits = {name: Digits().array(np.ones(2)) for name in ("y", "z")}

    def bounded(*errors):
        return oracle._bounded({name: Rounded(np.ones(2), np.array(error)) for name, error in zip(digits, errors, strict=True)}, digits, {"y": (2,), "z": (2,)})

    assert bounded([1.0, 0.0], [3.0, 1.0])["z"].bound[0] == pytest.approx((16 * 3 + 2) * 2.0**-24, rel=1e-6)
    for errors in (([1.0, np.inf], [0.0, 0.0]), ([0.0, 0.0], [np.inf, np.inf]), ([0.0, 0.0], [np.nan, 0.0])):
        with pytest.raises(Skip, match="beyond all bounds"):
            bounded(*errors)
    oracle._rounder.ambiguous = True
    with pytest.raises(Skip, match="a comparison in a derivative"):
        bounded([1.0, 0.0], [3.0, 1.0])


def test_what_one_operation_stores_for_the_next_may_be_rounded():
    shape = {ELLIPSIS: (1,)}
    once, twice = (ChainOracle(case_of(joined(*ops, dtype="float32", **shape), "real")) for ops in ([TANH()], [TANH(), OPS["identity"]()]))
    more = twice.forward["y"].bound - once.forward["y"].bound
    assert more == pytest.approx(16 * 2.0**-24 * np.abs(once.forward["y"].value), rel=1e-3)


class Recorded(cf.Kernel):
    """Answers with numbers that say what they are, and notes how it is asked."""

    name = "recorded"

    @classmethod
    def matches(cls, ops):
        return len(ops)

    def bind(self, arrays):
        def forward():
            arrays.outputs["y"][...] = 7

        def backward():
            for number, gradients in enumerate(arrays.gradients):
                for name in gradients:
                    gradients[name][...] = number + arrays.cotangents["y"].ravel()[0]

        return forward, backward if self.chain.learns else None


@pytest.mark.parametrize("wanted", WANTED)
def test_a_kernel_is_asked_by_the_names_of_each_operation_and_answers_by_those_of_the_chain(wanted):
    op = case_of(joined(DENSE(units=2), RELU(), DENSE(units=1), wanted=wanted, n=2, i=3)).by(Recorded, PLAIN).op
    y, saved = op.forward(**ChainOracle(case_of(op)).arrays)
    assert y.tolist() == [[7.0], [7.0]]
    first, second = {"dense1.W": 5.0, "dense1.b": 5.0}, {"dense2.W": 7.0, "dense2.b": 7.0}
    answers = {name: value.ravel()[0] for name, value in op.backward(np.full((2, 1), 5.0), saved).items()}
    assert answers == {"all": {"x": 5.0, **first, **second}, "parameters": {**first, **second}, "nothing": {}}[wanted]


def test_an_entry_that_is_not_finite_in_floats_stays_one_through_the_chain():
    evaluation = joined(SHIFT(dims=0), SHIFT(dims=0), n=1, i=1).evaluation
    with np.errstate(all="ignore"):
        made = evaluation.outputs(evaluation.forward(Floats(), {name: np.full(shape, 1e200) for name, shape in evaluation.joined.given.items()}))
    assert np.isinf(made["y"]).all()
