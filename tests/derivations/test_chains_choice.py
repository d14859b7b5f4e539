"""Which chains of operations are put before a kernel, and by which names they go."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from suite_parts import OPS, pointwise

import cnnframe as cf
from cnnframe_derivations.suite import _chains
from cnnframe_derivations.suite._chains import chains_of, everything, is_chain, resolve_chain, served, takes

CONV, RELU, TANH, LEAKY, MAX, MEAN, DENSE, SHIFT, NORM = (
    OPS[name] for name in ("conv", "relu", "scaled_tanh", "leaky_relu", "max_pool", "mean_pool", "dense", "scale_shift", "batch_norm")
)
MAPS = (MEAN, MAX, OPS["decimate"], OPS["upsample"])
"""Each takes what any of them makes."""


def kernel(name="some", chains=(), takes=None, declines=lambda chain: "", unavailable=""):
    """A kernel that takes these chains of classes, or what `takes` says of operations."""

    def matches(cls, ops):
        cls.asked.append(tuple(map(type, ops)))
        if takes is not None:
            return len(ops) if takes(ops) else 0
        return max((len(chain) for chain in chains if tuple(map(type, ops))[: len(chain)] == chain), default=0)

    body = {"matches": classmethod(matches), "declines": classmethod(lambda cls, chain: declines(chain)), "unavailable": classmethod(lambda cls: unavailable)}
    return type("Made", (cf.Kernel,), {"name": name, "bind": None, "asked": [], **body})


class Offer(dict):
    """What a registry offers: operations by name, and kernels."""

    def __init__(self, operations, *kernels):
        super().__init__({kind.name: kind for kind in operations})
        self.kernels = kernels

    def operations(self):
        return self


def steps(chains):
    """From each operation to the next, with the ends."""
    return {step for kinds in chains for step in zip(("", *kinds), (*kinds, ""), strict=True)}


def test_a_plus_outside_of_the_name_of_a_file_says_a_chain(tmp_path):
    one, two = tmp_path / "my.py", tmp_path / "my+other.py"
    for file in (one, two):
        file.write_text("")
    for name in ("conv+relu@fused", "conv+relu", f"{one}:Mine+relu@fused", f"relu+{one}:Mine@fused", f"{one}:Mine+{one}:Other", f"{two}:Mine+relu"):
        assert is_chain(name), name
    for name in ("conv@fused", "conv", f"{one}:Mine@fused", f"{two}:Mine", f"{two}:Mine@fused", "@fused", "", "conv@one+two"):
        assert not is_chain(name), name
    assert is_chain(f"{tmp_path}/none+such.py:Mine")


def test_a_name_is_resolved_to_operations_and_a_kernel_that_takes_them_here():
    good, away = kernel("good", [(CONV, RELU), (CONV, RELU, MAX)]), kernel("away", [(CONV, RELU)], unavailable="not here")
    offer = Offer([CONV, RELU, MAX], kernel("other", [(CONV, MAX)]), away, good)
    assert resolve_chain("conv+relu@good", offer) == ((CONV, RELU), good)
    assert resolve_chain("conv+relu+max_pool@good", offer) == ((CONV, RELU, MAX), good)
    for name in ("conv+relu@away", "conv+relu@other", "conv+relu@none", "conv+relu@", "relu+conv@good"):
        with pytest.raises(cf.UnknownNameError, match=r"no kernel .* takes"):
            resolve_chain(name, offer)
    with pytest.raises(cf.UnknownNameError, match=r"a chain of operations is judged with a kernel, as in conv\+relu@KERNEL; .*good"):
        resolve_chain("conv+relu", offer)
    with pytest.raises((KeyError, cf.UnknownNameError)):
        resolve_chain("conv+none@good", offer)


def test_a_kernel_takes_operations_together_or_not():
    some = kernel(chains=[(CONV, RELU)])
    assert takes(some, (CONV, RELU))
    assert not takes(some, (CONV, RELU, MAX)) and not takes(some, (RELU, CONV)) and not takes(some, (CONV,))


def test_everything_is_each_operation_with_its_kernels_and_the_chains_of_kernels_that_are_here():
    alone, good, away = kernel("alone", [(RELU,)]), kernel("good", [(CONV, RELU)]), kernel("away", [(CONV, RELU)], unavailable="not here")
    assert everything(Offer([CONV, RELU], alone, away, good)) == ["conv", "relu", "relu@alone", "conv+relu@good"]


def test_cases_are_served_that_the_kernel_takes_each_once():
    some = kernel(takes=lambda ops: ops[0].units == 2, declines=lambda chain: "no" if chain.given[0]["x"][0] == 2 else "")
    cases = list(served((DENSE, TANH), some, 30, 0))
    assert len(cases) == 30 == len({(case.op.text, case.dtype) for case in cases})
    assert all(case.op.ops[0].units == 2 and case.known["n"] != 2 for case in cases) and max(case.known["n"] for case in cases) > 2
    # Eight shapes, all or nothing wanted, two element types.
    every = list(served((RELU, OPS["identity"]), kernel(takes=lambda ops: True), 100, 0, patience=300))
    assert len(every) == 32 == len({(case.op.text, case.dtype) for case in every})
    small = list(served((DENSE, TANH), kernel(takes=lambda ops: True), 10, 0, small=True))
    assert len(small) == 10 and {case.known["n"] for case in small} == {1, 2}
    assert not list(served((DENSE, TANH), kernel(takes=lambda ops: False), 5, 0, patience=20))


def test_the_longest_chain_comes_first_and_then_every_step():
    assert chains_of(kernel(chains=[(CONV, RELU), (CONV, RELU, MAX)]), [MAX, CONV, RELU, DENSE]) == [(CONV, RELU, MAX), (CONV, RELU)]
    # A chain of which every step is in another adds nothing.
    chains = [(CONV, RELU, MAX), (CONV, RELU), (CONV, RELU, MAX, RELU)]
    assert chains_of(kernel(chains=chains), [CONV, RELU, MAX]) == [(CONV, RELU, MAX, RELU), (CONV, RELU, MAX)]


def test_all_activations_are_one_but_each_is_in_a_chain():
    activations = (RELU, TANH, LEAKY)
    chains = chains_of(kernel(chains=[(CONV, kind, MAX)[:length] for kind in activations for length in (2, 3)]), [CONV, *activations, MAX])
    # With maxima, without, and with or without for the third: the longer is taken.
    assert len(chains) == 3 and {kinds[1] for kinds in chains} == set(activations) and sorted(map(len, chains)) == [2, 3, 3]


def test_steps_are_looked_for_in_so_many_chains_and_no_more(monkeypatch):
    pairs = kernel(takes=lambda ops: len(ops) == 2)
    few = chains_of(pairs, MAPS)
    assert len(few) == 8 == len(set(few)) and {kind for kinds in few for kind in kinds} == set(MAPS)
    monkeypatch.setattr(_chains, "MOST", 100)
    every = chains_of(pairs, MAPS)
    assert len(every) == 16 and steps(every) == steps((one, other) for one in MAPS for other in MAPS)
    # Whatever adds most comes first: two operations and three steps.
    assert all(len(steps(every[: number + 1])) == 3 * (number + 1) for number in range(2))


def test_every_operation_is_in_a_chain_however_many_there_are():
    activations = tuple(pointwise(f"act{number}") for number in range(10))
    chains = chains_of(kernel(takes=lambda ops: len(ops) == 2 and type(ops[0]) is DENSE and type(ops[1]) in activations), [DENSE, *activations])
    assert sorted(kinds[1].name for kinds in chains) == sorted(kind.name for kind in activations)


def test_chains_that_the_kernel_declines_are_left_after_some(monkeypatch):
    monkeypatch.setattr(_chains, "TAKEN", 6)
    monkeypatch.setattr(_chains, "MISSES", 3)
    met = set()
    none = kernel(takes=lambda ops: len(ops) == 2, declines=lambda chain: met.add(tuple(map(type, chain.ops))) or "no")
    assert chains_of(none, MAPS) == [] and len(met) == 3
    # One that is declined does not keep others from being tried.
    some = kernel(chains=[(DENSE, RELU), (DENSE, RELU, RELU)], declines=lambda chain: "no" if len(chain.ops) == 3 else "")
    assert chains_of(some, [DENSE, RELU]) == [(DENSE, RELU)]


def test_operations_that_do_not_fit_each_other_are_no_chain(monkeypatch):
    monkeypatch.setattr(_chains, "TAKEN", 6)
    some = kernel(chains=[(DENSE, MAX), (DENSE, MAX, RELU), (DENSE, RELU)])
    assert chains_of(some, [DENSE, MAX, RELU]) == [(DENSE, RELU)]
    # All that begin with what does not fit are left at once: they are no misses.
    monkeypatch.setattr(_chains, "MISSES", 1)
    assert chains_of(kernel(takes=lambda ops: type(ops[0]) is DENSE and len(ops) == 2), [DENSE, *MAPS, RELU]) == [(DENSE, RELU), (DENSE, DENSE)]


@pytest.mark.parametrize(
    ("kinds", "bad"),
    [
        ((DENSE, RELU), ()),
        ((DENSE, MAX), ("dense", "max_pool")),
        ((DENSE, MAX, RELU), ("dense", "max_pool")),
        ((CONV, TANH, DENSE), ("conv", "activation", "dense")),
        ((CONV, TANH, MAX, DENSE), ("conv", "activation", "max_pool", "dense")),
        ((CONV, TANH, MAX), ()),
    ],
)
def test_the_shortest_beginning_that_does_not_fit_is_told(kinds, bad):
    known = {}
    assert _chains._without_sizes(kinds, known) == bad
    assert known[_chains._roles(kinds)[: len(bad) or len(kinds)]] is (not bad)
    # What is known is not tried again.
    assert _chains._without_sizes(kinds, dict.fromkeys(known, True) | {_chains._roles(kinds)[:2]: False}) == _chains._roles(kinds)[:2]


@dataclass(frozen=True)
class Cost(cf.Loss):
    """A loss without targets."""

    name = "cost"
    inputs = {"x": "n c"}

    def forward(self, x):
        return x.sum(), x.shape

    def backward(self, dy, saved):
        raise NotImplementedError

    def formula(self, at, x):
        raise NotImplementedError


def test_a_kernel_is_asked_for_chains_that_there_can_be():
    every = kernel(takes=lambda ops: True)
    joins = (OPS["add"], OPS["dropout"], OPS["batch_norm_given"])
    _chains._taken(every, (SHIFT, NORM, *joins, OPS["squared_error"], Cost, OPS["l2"]))
    asked = [run for run in every.asked if len(run) > 1]
    behind = {kind for run in asked for kind in run[1:]}
    inner = {kind for run in asked for kind in run[1:-1]}
    assert {run[0] for run in asked} == {SHIFT, *joins} and behind == {SHIFT, NORM, Cost} and inner <= {SHIFT, Cost}
    assert {len(run) for run in asked} == {2, 3, 4, 5, 6}
    assert not any(len(run) > 2 and NORM in run[:-1] for run in asked)


def test_three_may_be_taken_where_two_are_not_and_longer_chains_grow_from_shorter_ones():
    chains = [(DENSE, RELU, DENSE), (DENSE, RELU, DENSE, RELU)]
    assert chains_of(kernel(chains=chains), [DENSE, RELU]) == [chains[1], chains[0]]
    six = (DENSE, RELU) * 3
    grown = [six[:length] for length in range(3, 7)]
    assert chains_of(kernel(chains=grown), [DENSE, RELU])[0] == six


@pytest.mark.parametrize(("count", "taken"), [(0, []), (1, [0]), (3, [0, 1, 2]), (4, [0, 2]), (7, [0, 3, 6]), (9, [0, 3, 6])])
def test_of_too_many_chains_some_are_looked_at_evenly_spread(monkeypatch, count, taken):
    monkeypatch.setattr(_chains, "LEVEL", 3)
    assert list(_chains._spread(list(range(count)))) == taken
