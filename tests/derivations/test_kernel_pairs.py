"""Kernels are judged by the cases and truths of the operations that they serve."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from threading import Event, Thread
from typing import ClassVar

import numpy as np
import pytest
from shared_calls import Halves

import cnnframe as cf
from cnnframe import PLAIN, ROWS_FIRST, Kernel, MemoryLayout
from cnnframe._served import chain_of, served
from cnnframe_derivations import verify
from cnnframe_derivations.suite import Settings
from cnnframe_derivations.suite._cases import Case
from cnnframe_derivations.suite._chain_bench import verify_chain
from cnnframe_derivations.suite._jobs import judge
from cnnframe_derivations.suite._kernels import COMPILED, replay_kernel, resolve, serving, verify_kernel, with_kernels

OPS = cf.load()
SUBSAMPLE = OPS["subsample"]
RIGHT = OPS["numpy_subsample"]


class LosesBetaWhenLast(RIGHT):
    """Right where the batch is the first axis."""

    name = "loses_beta"

    def bind(self, arrays):
        forward, backward = super().bind(arrays)

        def wrong():
            backward()
            if self.taken == ROWS_FIRST and arrays.buffers["down"].shape[-1] > 1:
                arrays.gradients[0]["x"][...] /= 2

        return forward, wrong


class ReadsOldScratch(RIGHT):
    """Takes room that belongs to nobody for its own."""

    name = "reads_old_scratch"

    def bind(self, arrays):
        forward, backward = super().bind(arrays)

        def fills():
            forward()
            arrays.buffers["room"].fill(0)

        def wrong():
            left = arrays.buffers["room"].copy()
            backward()
            arrays.gradients[0]["b"][...] += left.sum()

        return fills, wrong


class AddsToGradients(RIGHT):
    """Adds where it should write."""

    name = "adds_to_gradients"

    def bind(self, arrays):
        forward, backward = super().bind(arrays)

        def wrong():
            before = arrays.gradients[0]["b"].copy()
            backward()
            arrays.gradients[0]["b"][...] += before

        return forward, wrong


class Follows(Kernel):
    """Right: a scale and a shift for each map, wherever they lie."""

    name = "follows"
    follows = True
    replaces = True
    heard = (1, 1)

    @classmethod
    def matches(cls, ops):
        return int(ops[0].name == "scale_shift")

    def bind(self, arrays):
        moved = np.zeros(2, np.int64) if arrays.moved is None else arrays.moved
        places = [[(name, *described(own[name])) for name in ("gain", "shift") if name in own] for own in (arrays.given[0], arrays.gradients[0])]

        def now(which):
            lies = int(moved[which]) * self.heard[which]
            return {name: np.frombuffer((ctypes.c_char * size).from_address(at + lies), dtype) for name, at, size, dtype in places[which]}

        x, y = arrays.given[0]["x"], arrays.outputs["y"]
        along = (slice(None), *(None,) * (x.ndim - 2))

        def forward():
            here = now(0)
            y[...] = here["gain"][along] * x + here["shift"][along]

        def backward():
            self.back(arrays, now(0)["gain"][along], now(1), arrays.cotangents["y"])

        return forward, backward

    def back(self, arrays, gain, into, dy):
        self.learn(arrays, into, dy, dy * arrays.given[0]["x"])
        arrays.gradients[0]["x"][...] = dy * gain

    def learn(self, arrays, into, dy, products):
        for name, terms in (("gain", products), ("shift", dy)):
            found = terms.sum(axis=(0, *range(2, dy.ndim)))
            into[name][...] = into[name] + found if arrays.adds else found


def described(array):
    """Where an array begins, how many bytes it has, and of which type."""
    return array.__array_interface__["data"][0], array.nbytes, array.dtype


class LosesTheLast(Halves):
    """Where it is shared the last gradient is nobody's."""

    name = "loses_the_last"
    lost = 1


class StaysBehind(Follows):
    """Hears nothing of it."""

    heard = (0, 0)


class LeavesGradients(Follows):
    """Writes gradients where they were."""

    heard = (1, 0)


class WritesOver(Follows):
    """Writes the gradient of the shift where it should add it."""

    def learn(self, arrays, into, dy, products):
        super().learn(arrays, into, dy, products)
        into["shift"][...] = dy.sum(axis=(0, *range(2, dy.ndim)))


class AddsLess(Follows):
    """Adds nothing of the first entry."""

    def learn(self, arrays, into, dy, products):
        super().learn(arrays, into, dy[1:] if arrays.adds else dy, products)


class ReplacesTooEarly(Follows):
    """Writes the gradient of the input before it reads that once more."""

    def back(self, arrays, gain, into, dy):
        arrays.gradients[0]["x"][...] = dy * gain
        self.learn(arrays, into, dy, dy * arrays.given[0]["x"])


class OneByOne(Follows):
    """Reads an entry, and writes its gradient, before it reads the next."""

    def back(self, arrays, gain, into, dy):
        products = np.empty_like(dy)
        for n, x in enumerate(arrays.given[0]["x"]):
            products[n] = dy[n] * x
            arrays.gradients[0]["x"][n] = dy[n] * gain
        self.learn(arrays, into, dy, products)


class SaysLast(OneByOne):
    """Says that it writes when all is read."""

    writes_last = True


class Late(Kernel):
    """Right: the squared error, whose gradient is written when all is read."""

    name = "late"
    writes_last = True

    @classmethod
    def matches(cls, ops):
        return int(ops[0].name == "squared_error")

    def bind(self, arrays):
        y, t = (arrays.given[0][name] for name in ("y", "t"))
        (error,) = arrays.outputs.values()

        def forward():
            error[...] = ((y - t) ** 2).sum() / 2

        return forward, lambda: self.back(y, t, *arrays.cotangents.values(), arrays.gradients[0]["y"])

    def back(self, y, t, slope, gradient):
        gradient[...] = slope * (y - t)


class ForgetsTargets(Late):
    """Writes before it reads the targets, which it may write over."""

    def back(self, y, t, slope, gradient):
        gradient[...] = y
        gradient[...] = slope * (gradient - t)


class Framed(MemoryLayout):
    """A zero on either side of all numbers."""

    name = "framed"

    def shape(self, plain):
        return (int(np.prod(plain)) + 2,)

    def pack(self, plain, out):
        out[...] = 0
        out[1:-1] = plain.reshape(-1)

    def unpack(self, packed, out):
        out.reshape(-1)[...] = packed[1:-1]


class Hands(Kernel):
    """Right: takes framed numbers, and leaves them so if it is asked to."""

    name = "hands"

    @classmethod
    def matches(cls, ops):
        return int(ops[0].name == "relu")

    @classmethod
    def layouts(cls, chain, given):
        return Framed(), PLAIN

    @classmethod
    def leaves(cls, chain, left, wanted):
        return isinstance(wanted, Framed)

    def bind(self, arrays):
        framed = isinstance(self.left, Framed)
        x, y = arrays.given[0]["x"][1:-1], arrays.outputs["y"]
        inner = y[1:-1] if framed else y.reshape(-1)

        def forward():
            np.maximum(x, 0, out=inner)
            if framed:
                self.frame(y)

        def backward():
            dy = arrays.cotangents["y"]
            arrays.gradients[0]["x"][1:-1] = np.where(x > 0, self.slope(dy) if framed else dy.reshape(-1), 0)

        return forward, backward

    def frame(self, y):
        y[[0, -1]] = 0

    def slope(self, dy):
        return dy[1:-1]


class LeavesNoZeros(Hands):
    """Writes nothing around its output."""

    def frame(self, y):
        pass


class ReadsBeside(Hands):
    """Reads the frame of the cotangent for its first entries."""

    def slope(self, dy):
        return dy[:-2]


class Forgets(RIGHT):
    """Writes no output for an even number of maps."""

    name = "forgets"

    def bind(self, arrays):
        forward, backward = super().bind(arrays)
        return (forward if self.chain.outputs["y"][1] % 2 else lambda: None), backward


@dataclass(frozen=True)
class BatchNormInParts(OPS["batch_norm"]):
    """Says that it may be computed in parts."""

    batch_apart = True


@pytest.mark.parametrize("name", [name for name in with_kernels(OPS) if "@" in name])
def test_every_kernel_in_the_box_is_not_refuted(name):
    cls, kernel = resolve(name, OPS)
    report = verify_kernel(cls, kernel, Settings("smoke"))
    assert report.verdict != "refuted" and report.checks > 50, str(report)
    assert report.kernel == kernel.name and report.name == cls.name


def test_a_kernel_is_verified_by_what_applies_to_it():
    report = verify_kernel(SUBSAMPLE, RIGHT)
    states = {evidence.kind: evidence.state for evidence in report.evidence}
    assert report.verdict == "verified" and states["exact"] == states["bounded"] == states["contract"] == "verified"
    assert states["proved"] == states["canaries"] == "skipped"


@pytest.mark.parametrize("wrong", [LosesBetaWhenLast, ReadsOldScratch, AddsToGradients, Forgets])
def test_a_wrong_kernel_is_refuted_with_a_small_case(wrong):
    report = verify_kernel(SUBSAMPLE, wrong)
    assert report.verdict == "refuted"
    finding = report.finding
    assert max(len(array.entries) for array in finding.arrays) <= 8 and len(str(report).splitlines()) <= 25
    assert replay_kernel(SUBSAMPLE, wrong, finding.replay).verdict == "refuted"


def test_kernels_that_follow_are_told_where_parameters_lie():
    run = Settings("smoke")
    for right in (Follows, OneByOne):
        assert verify_kernel(OPS["scale_shift"], right, run).verdict == "verified"
    for wrong in (StaysBehind, LeavesGradients):
        assert verify_kernel(OPS["scale_shift"], wrong, run).verdict == "refuted"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (WritesOver, "does not add the gradient of 'shift' to what is there where it is asked to"),
        (AddsLess, "does not add the gradient of 'shift' to what is there where it is asked to"),
        (ReplacesTooEarly, "where the gradient of 'x' lies where 'x' lay; as it declares `replaces`"),
        (SaysLast, "where the gradient of 'x' lies where 'x' lay; as it declares `writes_last`"),
    ],
)
def test_what_a_kernel_declares_of_its_gradients_is_tried(wrong, told):
    report = verify_kernel(OPS["scale_shift"], wrong, Settings("smoke"))
    assert report.verdict == "refuted" and told in str(report).replace("\n    ", " ").replace("\n", " ")


def test_a_gradient_that_is_written_last_may_lie_over_whatever_came_in():
    run = Settings("smoke")
    assert verify_kernel(OPS["squared_error"], Late, run).verdict == "verified"
    report = verify_kernel(OPS["squared_error"], ForgetsTargets, run)
    assert report.verdict == "refuted" and "where the gradient of 'y' lies where 't' lay; as it declares `writes_last`" in str(report).replace("\n    ", " ")


def test_an_output_that_is_handed_on_is_what_the_next_kernel_takes():
    run = Settings("smoke")
    assert verify_kernel(OPS["relu"], Hands, run).verdict == "verified"
    for wrong, what in ((LeavesNoZeros, "'y'"), (ReadsBeside, "'x'")):
        report = verify_kernel(OPS["relu"], wrong, run)
        said = f"makes something else of {what} where it leaves its outputs as the next kernel takes them"
        assert report.verdict == "refuted" and said in str(report).replace("\n    ", " ")


class Large(RIGHT):
    """Wrong from 40 maps on, which no small case has; it says so in its examples."""

    name = "large"

    @classmethod
    def examples(cls):
        return [(SUBSAMPLE(size=1), {"x": (1, 40, 1, 2)}), (OPS.make("relu"), {"x": (3,)})]

    def bind(self, arrays):
        forward, backward = super().bind(arrays)

        def wrong():
            backward()
            arrays.gradients[0]["beta"][39:] *= 2

        return forward, wrong


def test_the_examples_of_a_kernel_are_tried():
    report = verify_kernel(SUBSAMPLE, Large, Settings("smoke"))
    assert report.verdict == "refuted" and "x (1, 40, 1, 2)" in str(report)


def test_examples_of_the_box_are_served_and_reach_what_they_are_for():
    served_by = {}
    for kernel in OPS.kernels:
        for op, shapes in kernel.examples():
            chain = chain_of(op, Case(op, {**op.declaration.known, **op.sizes(shapes)}, "float32", "C", "small", 0).shapes, np.dtype(np.float32))
            assert kernel.matches([op]) == 1
            if not kernel.unavailable():
                assert not kernel.declines(chain)
                served_by.setdefault(kernel.name, []).append(kernel(chain, *kernel.layouts(chain, PLAIN)))
    assert [made.whole for made in served_by["numpy_conv"]] == [True, True] and {made.gathers for made in served_by["numpy_conv"]} == {True, False}
    assert all(made.taken.name.startswith("maps") for made in served_by.get("fused", []))


class Unwilling(Large):
    """Declines its own examples."""

    name = "unwilling"

    @classmethod
    def declines(cls, chain):
        return "too many maps" if chain.given[0]["x"][1] > 20 else ""


def test_a_kernel_that_declines_its_examples_is_not_verified_by_them():
    report = verify_kernel(SUBSAMPLE, Unwilling, Settings("smoke"))
    assert report.verdict == "inconclusive" and "does not serve its own example" in str(report) and "too many maps" in str(report).replace("\n", " ")


class StartsThreads(Follows):
    """Prepares itself on a thread that stays."""

    threads: ClassVar[list[Thread]] = []
    go = Event()

    def ready(self):
        return bool(self.threads)

    def prepare(self):
        if not self.threads:
            self.threads.append(Thread(target=self.go.wait, daemon=True))
            self.threads[0].start()
        return ""


def test_what_a_kernel_does_to_be_ready_is_not_held_against_a_case():
    case = '{"hyperparameters": {"dims": 2}, "sizes": {"n": 2, "i": 1, "h0": 1, "h1": 2}, "dtype": "float64", "layout": "C", "values": "small", "seed": 1}'
    report = replay_kernel(OPS["scale_shift"], StartsThreads, case)
    StartsThreads.go.set()
    StartsThreads.threads[0].join()
    assert report.verdict == "verified" and StartsThreads.threads, str(report)


def test_the_shares_of_a_call_are_judged_by_the_call():
    run = Settings("smoke")
    assert verify_kernel(OPS["relu"], Halves, run).verdict == "verified"
    report = verify_kernel(OPS["relu"], LosesTheLast, run)
    assert report.verdict == "refuted" and "makes something else where its work is shared by threads" in str(report)


def test_the_command_line_names_operation_and_kernel():
    assert resolve("subsample@numpy_subsample", OPS) == (SUBSAMPLE, RIGHT)
    assert resolve("subsample", OPS) == (SUBSAMPLE, None)
    assert {"conv", "conv@numpy_conv", "relu@numpy_pointwise"} <= set(with_kernels(OPS))
    with pytest.raises(cf.UnknownNameError, match="no kernel 'numpy_conv' serves subsample"):
        resolve("subsample@numpy_conv", OPS)


def test_a_worker_judges_a_kernel():
    ((_, report),) = judge(["subsample@numpy_subsample"], Settings("smoke"), processes=1, limit=60.0)
    assert (report.name, report.kernel, report.target) == ("subsample", "numpy_subsample", "subsample@numpy_subsample")
    assert not report.finding


def test_a_kernel_serves_what_it_matches_by_itself():
    class Pair(Kernel):
        name = "pair"

        @classmethod
        def matches(cls, ops):
            return 2 if len(ops) > 1 else 0

        def bind(self, arrays):
            raise NotImplementedError

    assert serving(SUBSAMPLE, [Pair, RIGHT]) == [RIGHT]


@pytest.mark.parametrize("what", ["declines", "layouts", "ready", "prepare", "kept", "buffers", "bind"])
def test_a_kernel_that_raises_is_refuted_with_a_case_whatever_it_is_asked(what):
    def raises(*_):
        raise ValueError("not today")

    wrong = {"ready": lambda _: False, what: classmethod(raises) if what in ("declines", "layouts") else raises}
    report = verify_kernel(SUBSAMPLE, type("Raises", (RIGHT,), {"name": "raises", **wrong}), Settings("smoke"))
    assert report.verdict == "refuted" and "forward raised ValueError: not today" in str(report) and report.finding.replay

    class Pair(Halves):
        """A rectifier after a scale."""

        name = "pair"

        @classmethod
        def matches(cls, ops):
            return 2 * ([op.name for op in ops[:2]] == ["scale_shift", "relu"])

    report = verify_chain((OPS["scale_shift"], OPS["relu"]), type("Wrong", (Pair,), wrong), Settings("smoke"))
    assert report.verdict == "refuted" and "forward raised ValueError: not today" in str(report)


def test_what_a_kernel_declines_is_the_operations_own_answer():
    class Shy(RIGHT):
        name = "shy"

        @classmethod
        def declines(cls, chain):
            return "never"

    op = served(SUBSAMPLE, Shy)(size=2)
    x, beta, b = np.ones((1, 1, 2, 2)), np.ones(1), np.zeros(1)
    y, saved = op.forward(x=x, beta=beta, b=b)
    assert y.tolist() == [[[[4.0]]]] and op.backward(np.ones((1, 1, 1, 1)), saved)["beta"].tolist() == [4.0]


class CompilesForEachShape(RIGHT):
    """Takes few shapes, since each takes long; and even sizes alone."""

    name = "compiles"
    compiles = True

    @classmethod
    def declines(cls, chain):
        return "odd" if chain.given[0]["x"][0] % 2 else ""


def test_of_a_kernel_that_compiles_few_structures_are_tried_and_those_that_it_takes():
    made = set()

    class Counts(CompilesForEachShape):
        name = "counts"

        def __init__(self, chain, taken, left):
            super().__init__(chain, taken, left)
            made.add((chain.ops[0].size, *chain.given[0]["x"], chain.dtype))

    report = verify_kernel(SUBSAMPLE, Counts)
    assert report.verdict == "verified" and 4 <= len(made) <= 3 * 2 * COMPILED
    assert {batch % 2 for _, batch, *_ in made} == {0}


def test_a_kernel_that_takes_no_case_is_not_verified():
    class Shy(RIGHT):
        name = "shy"

        @classmethod
        def declines(cls, chain):
            return "never"

    assert verify_kernel(SUBSAMPLE, Shy, Settings("smoke")).verdict == "inconclusive"


def test_a_kernel_that_is_unavailable_is_not_listed_and_does_not_serve():
    class Absent(RIGHT):
        name = "absent"
        rank = 99

        @classmethod
        def unavailable(cls):
            return "no compiler"

    assert serving(SUBSAMPLE, [Absent, RIGHT]) == [RIGHT]
    graph = cf.Graph.chain(OPS.make("subsample", size=2), inputs="n 1 4 4")
    x = np.zeros((1, 1, 4, 4))
    text = cf.Executor(graph, kernels=[Absent, RIGHT]).plan(cf.Parameters.initialise(graph, dtype=np.float64), x=x).describe()
    assert "absent does not serve stage 1: no compiler" in text and "numpy_subsample" in text


def test_a_declaration_that_a_batch_comes_apart_is_held_to_the_formula():
    finding = verify(BatchNormInParts, Settings("smoke")).finding
    assert finding.kind == "contract" and "batch_apart is declared" in finding.what
