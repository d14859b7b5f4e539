"""`cnnframe bench`: how fast the networks of the box train here."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import typer

from .. import _inputs, networks
from .._errors import HyperparameterError
from .._executor import Executor
from .._graph import Graph
from .._parameters import Parameters
from .._preparing import tell
from .._registry import Registry, load
from .._threads import default_threads, products_on

BLOCKS = 5
"""A step is timed in blocks, of which the median counts: other programs disturb some."""
_SIDE = 1024


def bench(
    network: Annotated[list[str] | None, typer.Argument(help=f"Networks: {', '.join(networks.NETWORKS)}; bouvrie and lenet5 if left out.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Size of a batch; may be given several times; 1, 64 and 256 if left out.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; as many as there are processors if left out.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each step is timed.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; what is being compiled goes to stderr.")] = False,
) -> None:
    """Time training steps of the networks of the box.

    A step is loss, gradients and an update in float32, on random numbers, by all kernels and by those that need no compiler.
    Beside it stands its share of what matrix products reach here: 1 is a step that is nothing but them, at full speed.
    """
    registry = load()
    names = network or ["bouvrie", "lenet5"]
    graphs = {name: networks.network(name).build(registry) for name in names}
    sizes = [_inputs.integer(size, "--batch", 1) for size in batch or (1, 64, 256)]
    count = default_threads() if threads is None else _inputs.integer(threads, "--threads", 1)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise HyperparameterError(f"--seconds must be greater than 0; got {seconds}")
    ceiling = _ceiling(count, min(seconds, 0.5))
    ways, absent = _ways(registry)
    rows = [
        _row(registry, name, graph, size, way, kernels, count, seconds, ceiling) for name, graph in graphs.items() for size in sizes for way, kernels in ways
    ]
    if as_json:
        typer.echo(json.dumps({"threads": count, "gemm_gflops": ceiling / 1e9, "absent": absent, "steps": [asdict(row) for row in rows]}, indent=2))
        return
    _print(rows, count, ceiling, absent)


@dataclass(frozen=True)
class _Row:
    """What was measured of one network, batch and choice of kernels."""

    network: str
    batch: int
    kernels: str
    milliseconds: float
    fastest: float
    slowest: float
    examples_per_second: float
    share_of_gemm: float
    mebibytes: float


def _ways(registry: Registry) -> tuple[list[tuple[str, tuple[Any, ...]]], list[str]]:
    """All kernels, where some compile, and those that do not; and why some cannot be had."""
    plain = tuple(kernel for kernel in registry.kernels if not kernel.compiles)
    compiling = [kernel for kernel in registry.kernels if kernel.compiles]
    absent = [f"{kernel.name}: {kernel.unavailable()}" for kernel in compiling if kernel.unavailable()]
    usable = any(not kernel.unavailable() for kernel in compiling)
    return [*([("compiled", registry.kernels)] if usable else []), ("numpy", plain)], absent


def _row(registry: Registry, name: str, graph: Graph, size: int, way: str, kernels: tuple[Any, ...], threads: int, seconds: float, ceiling: float) -> _Row:
    executor = Executor(graph, kernels=kernels, threads=threads, wait=tell)
    parameters, inputs = Parameters.initialise(graph, seed=0), _drawn(graph, size)
    work = executor.work(parameters, **inputs)
    rule = registry.make("sgd", momentum=0.9)
    held: dict[str, Any] = {"now": (parameters, rule.init(parameters)), "earlier": None, "spare": None}

    def step() -> None:
        now, memory = held["now"]
        slopes = executor.gradients(now, reduction="mean", out=held["spare"], **inputs).parameters
        out = None if held["earlier"] is None else (slopes, held["earlier"])
        held["now"] = rule.step_into(out, now, slopes, memory, 1e-6)
        held["spare"], held["earlier"] = slopes if held["now"][0].vector is not slopes.vector else now, memory

    for _ in range(3):
        step()
    blocks = _timed(step, seconds)
    took = statistics.median(blocks)
    share = sum(step.operations for step in work.whole.steps) / took / ceiling
    return _Row(name, size, way, 1e3 * took, 1e3 * min(blocks), 1e3 * max(blocks), size / took, share, work.bytes / 2**20)


def _timed(step: Callable[[], None], seconds: float) -> list[float]:
    """Seconds of a step, in each of some blocks."""
    found = []
    for _ in range(BLOCKS):
        began, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - began < seconds / BLOCKS:
            step()
            steps += 1
        found.append((time.perf_counter() - began) / steps)
    return found


def _drawn(graph: Graph, size: int) -> dict[str, Any]:
    """Random numbers for every input, of the kind that it takes."""
    rng, uses = np.random.default_rng(0), _inputs.uses(graph)
    found: dict[str, Any] = {}
    for name, shape in graph.shapes(size).items():
        if name in graph.inputs:
            use = uses[name]
            found[name] = rng.integers(0, use.below, shape) if use.below is not None else rng.random(shape, np.float32)
    return found


def _ceiling(threads: int, seconds: float) -> float:
    """Operations a second of large matrix products on as many threads."""
    a, b, c = (np.ones((_SIDE, _SIDE), np.float32) for _ in range(3))

    def multiply() -> None:
        np.matmul(a, b, out=c)

    with products_on(threads):
        multiply()
        return 2 * _SIDE**3 / statistics.median(_timed(multiply, seconds))


def _print(rows: list[_Row], threads: int, ceiling: float, absent: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("network", "batch", "kernels", "ms a step", "blocks", "examples/s", "of GEMM", "MiB"):
        table.add_column(column, justify="left" if column in ("network", "kernels") else "right", no_wrap=True)
    for row in rows:
        spread = f"{row.fastest:.3f}..{row.slowest:.3f}"
        numbers = (f"{row.milliseconds:.3f}", spread, f"{row.examples_per_second:,.0f}", f"{row.share_of_gemm:.2f}", f"{row.mebibytes:.1f}")
        table.add_row(row.network, str(row.batch), row.kernels, *numbers)
    console = Console()
    console.print(table)
    console.print(Text(f"{threads} thread{'s' if threads > 1 else ''}; matrix products reach {ceiling / 1e9:.0f} GFLOP/s here"))
    for why in absent:
        console.print(Text(f"without {why}"))
