"""Plans: which kernel serves, where arrays lie, and that none of it changes what comes out."""

from __future__ import annotations

import ctypes
import tracemalloc
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from shared_calls import Halves, Shared

import cnnframe as cf
from cnnframe import PLAIN, ROWS_FIRST, Arrays, Buffer, Chain, Kernel, MemoryLayout, Op
from cnnframe._arena import ALIGNMENT, Arena, Request, aligned
from cnnframe._division import divide, held, together
from cnnframe._plan import Plan

OPS = cf.load()
make = OPS.make
TANH = make("scaled_tanh")
NUMPY = tuple(kernel for kernel in OPS.kernels if not kernel.compiles)


class Reversed(MemoryLayout):
    """Every axis backwards."""

    name = "reversed"

    def shape(self, plain):
        return plain

    def pack(self, plain, out):
        out[...] = np.flip(plain)

    def unpack(self, packed, out):
        out[...] = np.flip(packed)


class TanhTwice(Kernel):
    """Two activations in one, in a layout of its own."""

    name = "tanh_twice"
    rank = 99
    keeps = frozenset({"inputs"})

    @classmethod
    def matches(cls, ops: Sequence[Op]) -> int:
        return 2 if [op.name for op in ops[:2]] == ["scaled_tanh"] * 2 else 0

    @classmethod
    def declines(cls, chain: Chain) -> str:
        return "" if chain.dtype == np.float64 else "float64 alone"

    @classmethod
    def layouts(cls, chain, given):
        return Reversed(), Reversed()

    def buffers(self) -> Mapping[str, Buffer]:
        shape = self.chain.outputs["y"]
        return {"between": Buffer(shape, self.chain.dtype, kept=True), "room": Buffer(shape, self.chain.dtype)}

    def bind(self, arrays: Arrays):
        first, second = self.chain.ops
        x, y, between, room = arrays.given[0]["x"], arrays.outputs["y"], arrays.buffers["between"], arrays.buffers["room"]

        def forward():
            between[...] = first.f(x)
            y[...] = second.f(between)

        def backward():
            room[...] = arrays.cotangents["y"] * second.df(between, second.f(between))
            arrays.gradients[0]["x"][...] = room * first.df(x, between)

        return forward, backward


def plugin(*kernels):
    return SimpleNamespace(__name__="mine", cnnframe_kernels=cf.hookimpl(lambda: list(kernels), specname="cnnframe_kernels"))


def small(*layers, inputs="n 2 6 6"):
    return cf.Graph.chain(*layers, make("flatten"), make("dense", units=3), inputs=inputs, loss=make("squared_error"))


def question(graph, batch=5, dtype=np.float64):
    rng = np.random.default_rng(batch)
    return cf.Parameters.initialise(graph, dtype=dtype), {n: rng.normal(size=s).astype(dtype) for n, s in graph.shapes(batch).items() if n in graph.inputs}


CONV = make("conv", maps=4, size=3)
NETS = {
    "conv, padding, groups": small(make("conv", maps=4, size=3, padding=1, groups=2), make("relu")),
    "conv, stride and dilation": small(make("conv", maps=3, size=2, stride=2, dilation=2), TANH),
    "subsampling": small(CONV, TANH, make("subsample", size=2), TANH),
    "max pooling that overlaps": small(CONV, make("max_pool", size=2, stride=1), make("logistic")),
    "mean pooling with rows left over": small(CONV, make("mean_pool", size=3, stride=3)),
    "what has no kernel between what has one": small(CONV, make("softplus"), make("conv", maps=2, size=2), make("identity")),
    "one dimension": cf.Graph.chain(
        make("conv", maps=2, size=3, dims=1), TANH, make("flatten", dims=1), make("dense", units=2), inputs="n 3 7", loss=make("squared_error")
    ),
    "fan-out of maps": cf.Graph(
        (
            cf.Node("a", CONV, {"x": "x"}),
            cf.Node("b", make("conv", maps=4, size=3, padding=1), {"x": "a"}),
            cf.Node("c", make("add"), {"a": "a", "b": "b"}),
            cf.Node("d", make("relu"), {"x": "c"}),
            cf.Node("e", make("flatten"), {"x": "d"}),
            cf.Node("loss", make("squared_error"), {"y": "e", "t": "t"}),
        ),
        {"x": "n 2 6 6"},
    ),
    "shared kernels": cf.Graph(
        (
            cf.Node("a", make("conv", maps=2, size=3, padding=1), {"x": "x"}, {"k": "k"}),
            cf.Node("b", make("conv", maps=2, size=3, padding=1), {"x": "a"}, {"k": "k"}),
            cf.Node("e", make("flatten"), {"x": "b"}),
            cf.Node("loss", make("softmax_cross_entropy"), {"z": "e", "t": "t"}),
        ),
        {"x": "n 2 4 4"},
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 5, 33])
@pytest.mark.parametrize("name", NETS)
def test_kernels_parts_and_threads_change_no_more_than_rounding(name, batch, threads, monkeypatch):
    monkeypatch.setattr("cnnframe._division.CACHE", 20_000)
    graph = NETS[name]
    params, arrays = question(graph, batch)
    plain = cf.Executor(graph, kernels=(), threads=1)
    fast = cf.Executor(graph, kernels=NUMPY, threads=threads)
    wanted = [key for key in arrays if key == "x"]
    one, other = (run.gradients(params, wanted_inputs=wanted, **arrays) for run in (plain, fast))
    assert one.loss == pytest.approx(other.loss, rel=1e-12)
    assert np.allclose(one.parameters.vector, other.parameters.vector, rtol=1e-10, atol=1e-12)
    assert np.allclose(one.inputs["x"], other.inputs["x"], rtol=1e-10, atol=1e-12)
    assert np.allclose(plain.predict(params, **arrays), fast.predict(params, **arrays), rtol=1e-10, atol=1e-12)
    assert plain.loss(params, reduction="mean", **arrays) == pytest.approx(fast.loss(params, reduction="mean", **arrays), rel=1e-12)
    again = fast.gradients(params, wanted_inputs=wanted, **arrays)
    assert np.array_equal(again.parameters.vector, other.parameters.vector) and again.loss == other.loss


def test_a_fusing_kernel_in_a_layout_of_its_own_serves():
    graph = small(CONV, TANH, TANH, make("subsample", size=2), TANH, TANH, make("conv", maps=2, size=2))
    kernels = (*NUMPY, *cf.load(plugin(TanhTwice), entry_points=False).kernels)
    run, plain = cf.Executor(graph, kernels=kernels), cf.Executor(graph, kernels=())
    params, arrays = question(graph)
    text = run.plan(params, **arrays).describe()
    assert text.count("tanh_twice, reversed") == 2 and "scaled_tanh() -> scaled_tanh()" in text
    assert np.allclose(run.gradients(params, **arrays).parameters.vector, plain.gradients(params, **arrays).parameters.vector, rtol=1e-10)


def test_a_plan_says_what_it_works_in():
    graph = cf.Graph.chain(TANH, TANH, make("dense", units=300), inputs="n 5", loss=make("squared_error"))
    params, arrays = question(graph, 7)
    run = cf.Executor(graph, kernels=(*NUMPY, *cf.load(plugin(TanhTwice), entry_points=False).kernels))
    text = run.plan(params, **arrays).describe()
    ((program,),) = run.work(params, **arrays)._programs
    arena = program._placing.arena
    memory = f"memory: {arena.bytes / 1024:.1f} KiB for {len(arena.requests)} arrays, which by themselves would take {arena.apart / 1024:.1f} KiB"
    assert memory in text and "; 16.4 KiB of scratch" in text
    assert text.endswith("rearranged: scaled_tanh2 as plain")
    loss = next(line for line in text.splitlines() if "squared_error" in line)
    # The error of 7 times 300 numbers of 8 bytes, in whole lines of 64.
    assert "error 16.4 KiB" in loss and loss.endswith("16.4 KiB")


def test_a_kernel_that_declines_says_why_and_another_serves():
    graph = small(CONV, TANH, TANH)
    run = cf.Executor(graph, kernels=(*NUMPY, TanhTwice))
    params, arrays = question(graph, dtype=np.float32)
    text = run.plan(params, **arrays).describe()
    assert "tanh_twice does not serve stage 2: float64 alone" in text and "numpy_pointwise" in text


def test_an_array_that_is_asked_for_is_not_fused_away():
    graph = small(CONV, TANH, TANH)
    run = cf.Executor(graph, kernels=(*NUMPY, TanhTwice))
    params, arrays = question(graph)
    found = run.forward(params, ["scaled_tanh1", "scaled_tanh2"], **arrays)
    assert np.allclose(found["scaled_tanh2"], TANH.f(found["scaled_tanh1"]))


def test_without_kernels_everything_is_the_reference():
    graph = NETS["subsampling"]
    params, arrays = question(graph)
    assert {stage.kernel.name for stage in cf.Executor(graph, kernels=()).plan(params, **arrays).stages} == {"reference"}


def test_what_mixes_a_batch_is_computed_whole(monkeypatch):
    monkeypatch.setattr("cnnframe._division.CACHE", 1000)
    monkeypatch.setattr("cnnframe._division.PAYS", 1)
    monkeypatch.setattr("cnnframe._division.WORTH", 1)
    graph = cf.Graph.chain(make("dense", units=4), TANH, inputs="n 3", loss=make("squared_error"))
    params, arrays = question(graph, 40)
    work = cf.Executor(graph, kernels=NUMPY, threads=2).work(params, **arrays)
    assert len(work.parts) == 2 and sum(map(sum, work.parts)) == 40
    nodes = (
        cf.Node("a", CONV, {"x": "x"}),
        cf.Node("n", make("batch_norm"), {"x": "a"}),
        cf.Node("f", make("flatten"), {"x": "n"}),
        cf.Node("loss", make("squared_error"), {"y": "f", "t": "t"}),
    )
    mixed = cf.Graph(nodes, {"x": "n 2 6 6"}, "f")
    params, arrays = question(mixed, 40)
    assert cf.Executor(mixed, kernels=NUMPY, threads=2).work(params, **arrays).parts == ((40,),)


def test_a_step_after_the_first_allocates_nothing_large():
    graph = cf.networks.bouvrie(OPS)
    run = cf.Executor(graph, kernels=NUMPY, threads=1)
    params, arrays = question(graph, 16, np.float32)
    out = run.gradients(params, **arrays).parameters
    out = run.gradients(params, out=out, **arrays).parameters
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        run.gradients(params, out=out, **arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 2**16


def test_gradients_into_memory_that_is_there():
    graph = NETS["subsampling"]
    params, arrays = question(graph)
    run = cf.Executor(graph, kernels=NUMPY)
    first = run.gradients(params, **arrays).parameters
    kept = first.vector.copy()
    again = run.gradients(params, out=first, **arrays).parameters
    assert np.shares_memory(again.vector, first.vector) and np.array_equal(again.vector, kept) and not again.vector.flags.writeable
    with pytest.raises(cf.ShapeError, match="out must have memory of its own"):
        run.gradients(params, out=params, **arrays)
    with pytest.raises(cf.ShapeError, match="out must be parameters that are not needed any more"):
        run.gradients(params, out=kept, **arrays)


def test_little_work_stays_on_one_thread():
    graph = cf.Graph.chain(make("dense", units=64), make("relu"), inputs="n 512", loss=make("squared_error"))
    params = cf.Parameters.initialise(graph)
    # A product with 64 by 512 weights for each entry, forward and for the weights: 2**17 operations; four times that for NumPy's kernels.
    for batch, workers in ((20, 1), (100, 3), (1000, 4)):
        arrays = {"x": np.zeros((batch, 512), np.float32), "t": np.zeros((batch, 64), np.float32)}
        assert len(cf.Executor(graph, kernels=NUMPY, threads=4).work(params, **arrays).parts) == workers


def test_an_error_in_a_thread_is_the_callers(monkeypatch):
    monkeypatch.setattr("cnnframe._division.PAYS", 1)

    class Broken(Kernel):
        name = "broken"
        rank = 99

        @classmethod
        def matches(cls, ops):
            return int(ops[0].name == "relu")

        def bind(self, arrays):
            def call():
                raise ArithmeticError("broken")

            return call, call

    graph = small(CONV, make("relu"))
    params, arrays = question(graph, 64)
    with pytest.raises(ArithmeticError, match="broken"):
        cf.Executor(graph, kernels=(*NUMPY, Broken), threads=2).gradients(params, **arrays)


def test_arrays_that_are_needed_at_one_time_lie_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        spans = [sorted(rng.integers(0, 12, 2)) for _ in range(20)]
        requests = [Request(f"a{k}", (int(rng.integers(0, 50)),), np.dtype(np.float32), int(a), int(b)) for k, (a, b) in enumerate(spans)]
        arena = Arena.of(requests)
        for one, other in combinations(requests, 2):
            if one.first <= other.last and other.first <= one.last and one.bytes and other.bytes:
                a, b = arena.offsets[one.name], arena.offsets[other.name]
                assert a + one.bytes <= b or b + other.bytes <= a
        most = max(sum(r.bytes for r in requests if r.first <= moment <= r.last) for moment in range(12))
        assert most <= arena.bytes <= arena.apart
        made = arena.allocate(aligned(arena.bytes))
        assert all((array.ctypes.data % ALIGNMENT == 0 or not array.size) and array.shape == arena.requests[name].shape for name, array in made.items())


def test_all_memory_of_a_program_begins_with_a_line():
    params, arrays = question(NETS["subsampling"], 20)
    for programs in cf.Executor(NETS["subsampling"], threads=2).work(params, **arrays)._programs:
        for memory in programs[0].memory:
            assert memory.ctypes.data % ALIGNMENT == 0 or not memory.size
    for size in range(1, 400, 7):
        block = aligned(size)
        assert block.nbytes == size and block.ctypes.data % ALIGNMENT == 0 and not block.any()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2, 15, 16, 17, 100, 257])
def test_a_batch_is_divided_without_rest_and_evenly(batch, threads):
    parts = divide(batch, 100_000.0, threads)
    sizes = [size for mine in parts for size in mine]
    assert sum(sizes) == batch and max(sizes) - min(sizes) <= 1 + (max(map(sum, parts)) != min(map(sum, parts))) and len(parts) <= threads


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [16, 31, 50, 64, 257])
@pytest.mark.parametrize("together", [8, 16])
def test_parts_of_a_batch_are_full_blocks_but_for_the_last(batch, threads, together):
    parts = divide(batch, 100_000.0, threads, together)
    sizes = [size for mine in parts for size in mine]
    assert sum(sizes) == batch and not any(size % together for size in sizes[:-1]) and sizes[-1] > 0
    assert len(parts) == min(threads, -(-batch // together))
    blocks = [sum(-(-size // together) for size in mine) for mine in parts]
    assert blocks == sorted(blocks, reverse=True) and blocks[0] - blocks[-1] <= 1


def test_what_would_leave_a_block_almost_empty_is_a_part_of_its_own():
    assert divide(50, 1.0, 2, 16) == ((32,), (16, 2)) and divide(17, 1.0, 1, 16) == ((16, 1),)
    assert divide(51, 1.0, 2, 16) == ((32,), (16, 3)) and divide(52, 1.0, 2, 16) == ((32,), (20,))
    assert divide(3, 1.0, 2, 16) == ((3,),) and divide(35, 1.0, 2, 16) == ((32,), (3,)) and divide(9, 1.0, 2, 4) == ((8,), (1,))


def test_few_entries_are_not_held_together_where_that_costs_a_thread():
    assert divide(2, 1.0, 2, 4) == ((1,), (1,)) and divide(7, 1.0, 2, 4) == ((4,), (3,)) and divide(16, 1.0, 2, 16) == ((16,),)


def test_parts_are_no_smaller_for_a_cache_than_what_is_worth_a_call():
    assert divide(64, 2.0**19, 2) == ((2,) * 16,) * 2
    assert divide(64, 2.0**19, 2, least=10) == ((8,) * 4,) * 2
    assert divide(64, 2.0**19, 2, 8, least=20) == ((16, 16),) * 2


@pytest.mark.parametrize(("maps", "batch", "threads"), [(64, 2, 2), (64, 15, 2), (64, 1, 1), (4, 15, 1), (4, 16, 2)])
def test_a_few_entries_are_divided_where_each_is_much_work(maps, batch, threads, monkeypatch):
    monkeypatch.setattr("cnnframe._division.PAYS", 2.0**19)
    graph = cf.Graph.chain(make("conv", maps=maps, size=3, padding=1), make("flatten"), inputs=f"n {maps} 8 8", loss=make("squared_error"))
    params, arrays = question(graph, batch)
    parts = cf.Executor(graph, kernels=NUMPY, threads=2).work(params, **arrays).parts
    assert len(parts) == threads and sum(map(sum, parts)) == batch


@pytest.mark.parametrize("parts", [((40,),), ((20, 5), (15,))])
def test_a_loss_that_is_asked_for_is_looked_at_too(parts, monkeypatch):
    monkeypatch.setattr("cnnframe._division.divide", lambda *_: parts)
    graph = cf.Graph.chain(make("dense", units=3), inputs="n 2", loss=make("squared_error"))
    params, arrays = question(graph, 40, np.float32)
    run = cf.Executor(graph, kernels=(), threads=2)
    assert run.work(params, **arrays).parts == parts
    arrays["t"][:] = 1e18
    # Squares of these are still finite, and their sum.
    assert np.isfinite(run.forward(params, ["loss"], **arrays)["loss"])
    arrays["t"][:] = 3e19
    with pytest.raises(cf.NonFiniteError, match=r"node 'loss'"):
        run.forward(params, ["loss"], **arrays)


@pytest.mark.parametrize("way", ["two threads", "one thread", "little work", "no further thread", "several parts"])
def test_a_call_that_can_be_shared_is_made_by_threads(way, monkeypatch):
    graph = small(make("conv", maps=4, size=3), make("relu"))
    params, arrays = question(graph, 40 if way == "several parts" else 1)
    wanted = cf.Executor(graph, kernels=NUMPY, threads=1).gradients(params, **arrays)
    monkeypatch.setattr("cnnframe._program.PAYS", 2.0**30 if way == "little work" else 1)
    monkeypatch.setattr("cnnframe._division.PAYS", 1)
    ran: list[tuple[str, slice]] = []
    monkeypatch.setattr(Shared, "ran", ran)
    run = cf.Executor(graph, kernels=(Halves, *NUMPY), threads=1 if way == "one thread" else 2)
    if way == "no further thread":
        monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", lambda *_: (_ for _ in ()).throw(RuntimeError("can't start new thread")))
    found = run.gradients(params, **arrays)
    assert np.allclose(found.parameters.vector, wanted.parameters.vector, rtol=1e-12, atol=1e-13) and np.isclose(found.loss, wanted.loss)
    pieces, threads = [part for _, part in ran], {name for name, _ in ran}
    size = 4 * 4 * 4
    halves = [slice(0, size // 2), slice(size // 2, size)]
    if way in ("two threads", "no further thread"):
        assert sorted(pieces, key=lambda part: part.start) == sorted(2 * halves, key=lambda part: part.start)
    else:
        assert all(part.start == 0 and part.stop in (size, 20 * size) for part in pieces)
    assert len(threads) == (2 if way in ("two threads", "several parts") else 1)


class Eights(Reversed):
    """Of which eight samples lie side by side."""

    name, together = "eights", 8


class DenseByEights(Kernel):
    """Takes dense layers in that layout."""

    name, rank = "by_eights", 99

    @classmethod
    def matches(cls, ops):
        return int(ops[0].name == "dense")

    @classmethod
    def layouts(cls, chain, given):
        return Eights(), Eights()

    def bind(self, arrays):
        raise NotImplementedError


def test_parts_have_the_size_that_suits_those_who_work_most():
    def plan_of(*layers):
        graph = cf.Graph.chain(*layers, inputs="n 3 8 8", loss=make("squared_error"))
        return Plan.make(graph, 20, np.dtype(np.float64), ("loss",), gradients=True, kernels=(DenseByEights, *NUMPY))

    assert together(plan_of(make("flatten"), make("dense", units=9))) == 8
    assert together(plan_of(make("conv", maps=30, size=3), make("flatten"), make("dense", units=1))) == ROWS_FIRST.together == 4


def test_what_a_part_holds_is_what_comes_in_and_what_is_made():
    layers = (make("conv", maps=4, size=3, padding=1), make("relu"), make("max_pool", size=2, stride=2), make("flatten"), make("dense", units=3))
    graph = cf.Graph.chain(*layers, inputs="n 2 8 8", loss=make("squared_error"))

    def plan_of(**how):
        return Plan.make(graph, 20, np.dtype(np.float64), ("loss",), kernels=(), **how)

    # Of each sample two maps come in, and every node by itself makes an array; the loss is one number.
    made = 4 * 64 + 4 * 64 + 4 * 16 + 4 * 16 + 3
    assert held(plan_of()) * 20 == 8 * (20 * (2 * 64 + made) + 1)
    assert held(plan_of(gradients=True)) * 20 == 8 * (20 * (2 * 64 + 2 * made) + 2)
    assert held(plan_of(gradients=True, wanted_inputs=("x",))) * 20 == 8 * (20 * (2 * 2 * 64 + 2 * made) + 2)


def test_parts_hold_no_more_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("cnnframe._division.ROOM", 2**20)
    assert divide(64, 1.0, 2, held_each=2.0**17) == ((8,) * 4,) * 2
    assert divide(64, 1.0, 2, least=16, held_each=2.0**17) == ((16, 16),) * 2
    assert divide(64, 1.0, 2, 16, held_each=2.0**17) == ((16, 16),) * 2


def test_parts_of_different_sizes_share_the_memory_of_their_thread(monkeypatch):
    graph = NETS["subsampling"]
    params, arrays = question(graph, 40)
    whole = cf.Executor(graph, kernels=NUMPY, threads=1)
    wanted = whole.gradients(params, **arrays)
    monkeypatch.setattr("cnnframe._division.CACHE", 1)
    monkeypatch.setattr("cnnframe._division.divide", lambda *_: ((20, 13, 7),))
    run = cf.Executor(graph, kernels=NUMPY, threads=1)
    work = run.work(params, **arrays)
    (programs,) = work._programs
    assert [program.plan.batch for program in programs] == [20, 13, 7]
    assert programs[0].bytes >= 2 * params.vector.nbytes and programs[1].bytes == programs[2].bytes == 0
    assert work.bytes == programs[0].bytes
    found = run.gradients(params, **arrays)
    assert np.allclose(found.parameters.vector, wanted.parameters.vector, rtol=1e-10, atol=1e-12) and np.isclose(found.loss, wanted.loss)


class Doubles(cf.Kernel):
    """A dense layer, whose parameters may lie elsewhere in every run."""

    name = "doubles"
    follows = True
    replaces = True
    keeps = frozenset({"inputs"})

    @classmethod
    def matches(cls, ops):
        return 1 if ops[0].name == "dense" else 0

    def bind(self, arrays):
        x, y = arrays.given[0]["x"], arrays.outputs["y"]

        def at(array, which):
            there = (ctypes.c_char * array.nbytes).from_address(array.__array_interface__["data"][0] + int(arrays.moved[which]))
            return np.frombuffer(there, array.dtype).reshape(array.shape)

        def forward():
            np.matmul(x, at(arrays.given[0]["W"], 0).T, out=y)
            y[...] += at(arrays.given[0]["b"], 0)

        def backward():
            dy = arrays.cotangents["y"]
            for name, made in (("W", dy.T @ x), ("b", dy.sum(axis=0))):
                into = at(arrays.gradients[0][name], 1)
                into[...] = into + made if arrays.adds else made
            if "x" in arrays.gradients[0]:
                arrays.gradients[0]["x"][...] = dy @ at(arrays.given[0]["W"], 0)

        return forward, backward if self.chain.learns else None


@dataclass(frozen=True)
class Sevens(cf.Layer):
    """Passes arrays on, and spoils the gradient of every 7."""

    name = "sevens"
    inputs = {"x": "..."}
    output = "..."
    batch_apart = True

    def forward(self, x):
        """Return x."""
        return x.copy(), x

    def backward(self, dy, saved):
        """Return dy, or what is no number."""
        return {"x": np.where(saved == 7, np.nan, dy)}

    def formula(self, at, x):
        """Return x."""
        return x[at]


@pytest.mark.parametrize("parts", [((40,),), ((20, 13, 7),), ((20, 5), (15,))])
@pytest.mark.parametrize("entry", [0, 19, 20, 24, 25, 32, 33, 39])
def test_a_single_number_is_found_in_whichever_part_it_is(entry, parts, monkeypatch):
    monkeypatch.setattr("cnnframe._division.divide", lambda *_: parts)
    graph = cf.Graph.chain(Sevens(), make("mean_pool", size=1, stride=2), make("flatten"), make("dense", units=4), inputs="n 1 1 6", loss=make("squared_error"))
    params, arrays = question(graph, 40)
    run = cf.Executor(graph, kernels=(), threads=2)
    assert run.work(params, **arrays).parts == parts
    # No window reads the last column, so that all that is computed is finite.
    arrays["x"][entry, 0, 0, 5] = np.inf
    asked = {"predict": lambda: run.predict(params, x=arrays["x"]), "loss": lambda: run.loss(params, **arrays)}
    for call in (*asked.values(), lambda: run.gradients(params, **arrays)):
        with pytest.raises(cf.NonFiniteError, match=rf"input 'x' holds inf at \({entry}, 0, 0, 5\)"):
            call()
    found = cf.Executor(graph, kernels=(), threads=2, check_finite=False).gradients(params, **arrays)
    assert np.isfinite(found.loss) and np.isfinite(found.parameters.vector).all()
    arrays["x"][entry, 0, 0, 5] = 7
    for call in asked.values():
        call()
    with pytest.raises(cf.NonFiniteError, match=r"node 'sevens1' \(sevens\): the gradient of 'x' is the first array to hold nan"):
        run.gradients(params, wanted_inputs="x", **arrays)


@pytest.mark.parametrize("parts", [((40,),), ((20, 13, 7),), ((20, 5), (15,))])
def test_kernels_that_follow_go_to_the_vectors_of_the_caller(parts, monkeypatch):
    monkeypatch.setattr("cnnframe._division.divide", lambda *_: parts)
    graph = cf.Graph.chain(make("dense", units=4), make("dense", units=3), inputs="n 5", loss=make("squared_error"))
    params, arrays = question(graph, 40)
    wanted = cf.Executor(graph, kernels=()).gradients(params, **arrays)
    run = cf.Executor(graph, kernels=[Doubles], threads=2)
    work = run.work(params, **arrays)
    assert [array.nbytes for mine in work._programs for array in mine[0].memory[3:]] == [0, 0] * len(parts)
    assert work.bytes == sum(mine[0].bytes for mine in work._programs) + (len(parts) - 1) * params.vector.nbytes
    out = None
    for times in (1, 2, 1, 3):
        # New vectors at other addresses, and gradients in the memory of those before.
        found = run.gradients(params.with_vector(times * params.vector), out=out, **arrays)
        assert run.predict(params, x=arrays["x"]).shape == (40, 3)
        out = found.parameters
        if times == 1:
            assert np.allclose(out.vector, wanted.parameters.vector, rtol=1e-10, atol=1e-12) and np.isclose(found.loss, wanted.loss)
    other = run.gradients(params, **arrays).parameters
    assert not np.shares_memory(other.vector, out.vector) and np.allclose(other.vector, wanted.parameters.vector, rtol=1e-10, atol=1e-12)
    assert not np.allclose(out.vector, wanted.parameters.vector)


def test_what_operations_read_themselves_is_lent_to_them_for_a_run(monkeypatch):
    monkeypatch.setattr("cnnframe._placing.LARGE", 0)
    graph = NETS["subsampling"]
    params, arrays = question(graph)
    run = cf.Executor(graph, kernels=())
    ((program,),) = run.work(params, **arrays)._programs
    assert program._placing.lent == set(arrays)
    wanted = run.gradients(params, wanted_inputs=["x"], **arrays)
    for array in arrays.values():
        array.flags.writeable = False
    odd = {name: np.stack([array, array], axis=-1)[..., 0] for name, array in arrays.items()}
    assert not odd["x"].flags.c_contiguous
    found = run.gradients(params, wanted_inputs=["x"], **odd)
    assert np.array_equal(found.parameters.vector, wanted.parameters.vector) and np.array_equal(found.inputs["x"], wanted.inputs["x"])
    there = weakref.ref(odd["x"])
    del odd
    assert there() is None


def test_a_gradient_may_lie_where_the_only_input_was():
    graph = cf.Graph.chain(make("dense", units=4), inputs="n 5", loss=make("squared_error"))
    params, arrays = question(graph, 7)
    run = cf.Executor(graph, kernels=[OPS["numpy_dense"]])
    ((program,),) = run.work(params, **arrays)._programs
    offsets = program._placing.arena.offsets
    assert offsets["d dense1"] == offsets["dense1"]
    x, t = arrays["x"], arrays["t"]
    found = run.gradients(params, **arrays).parameters["dense1.b"]
    assert np.allclose(found, (x @ params["dense1.W"].T + params["dense1.b"] - t).sum(axis=0), rtol=1e-12, atol=1e-13)


def over_others(graph):
    """Which gradients lie where another array lay, once they are found to be right."""
    params, arrays = question(graph, 7)
    run = cf.Executor(graph, kernels=[Doubles])
    ((program,),) = run.work(params, wanted_inputs=["x"], **arrays)._programs
    found, wanted = (it.gradients(params, wanted_inputs=["x"], **arrays) for it in (run, cf.Executor(graph, kernels=())))
    assert np.allclose(found.inputs["x"], wanted.inputs["x"], rtol=1e-12, atol=1e-13)
    assert np.allclose(found.parameters.vector, wanted.parameters.vector, rtol=1e-12, atol=1e-13)
    return program._placing.over


def test_a_gradient_lies_where_the_input_was_if_the_kernel_says_that_it_may():
    graph = cf.Graph.chain(make("dense", units=4), make("dense", units=3), inputs="n 5", loss=make("squared_error"))
    assert over_others(graph) == {"d x": "x", "d dense1": "dense1"}


@dataclass(frozen=True)
class Both(cf.Layer):
    """The sum of two arrays."""

    name = "both"
    inputs = {"a": "n i", "b": "n i"}
    output = "n i"
    batch_apart = True

    def forward(self, a, b):
        """Return it."""
        return a + b, None

    def backward(self, dy, saved):
        """Return dy, twice."""
        return {"a": dy.copy(), "b": dy.copy()}

    def formula(self, at, a, b):
        """Return it."""
        return a[at] + b[at]


def test_a_gradient_does_not_lie_where_an_array_is_that_is_read_again():
    """Of the two layers that read h it is the first that runs back last."""
    nodes = [
        cf.Node("h", make("dense", units=4), {"x": "x"}),
        *(cf.Node(name, make("dense", units=3), {"x": "h"}) for name in "ab"),
        cf.Node("c", Both(), {"a": "a", "b": "b"}),
        cf.Node("loss", make("squared_error"), {"y": "c", "t": "t"}),
    ]
    assert over_others(cf.Graph(nodes, {"x": "n 5", "t": "n 3"})) == {"d x": "x", "d x of a": "h"}


def test_layouts_come_back_as_they_went():
    array = np.arange(24.0).reshape(2, 3, 4)
    for layout in (PLAIN, ROWS_FIRST):
        packed, back = np.empty(layout.shape(array.shape)), np.empty_like(array)
        layout.pack(array, packed)
        layout.unpack(packed, back)
        assert np.array_equal(back, array)


def test_a_kernel_needs_a_name_that_is_one():
    with pytest.raises(cf.DeclarationError, match=r"name must be an identifier; got 'two words'"):
        type("Bad", (TanhTwice,), {"name": "two words"})


def test_flags_of_a_kernel_are_flags():
    """A table of one's own that goes by such a name would change how the kernel is run, in silence."""
    with pytest.raises(cf.DeclarationError, match=r"Bad.follows must be True or False; got \('relu',\)"):
        type("Bad", (TanhTwice,), {"name": "bad", "follows": ("relu",)})
