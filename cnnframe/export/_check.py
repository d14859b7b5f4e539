"""Run a file that is to be written, and hold it to what the executor computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from .. import _inputs
from .._errors import CnnframeError, ExportError
from .._executor import Executor
from .._graph import Graph
from .._op import Array
from .._parameters import Parameters
from ._bound import ROUTES, error
from ._builder import OPSET, Builder, Made

Arrays = Mapping[str, Array]
BATCHES: Final = (3, 1)
"""Two sizes of a batch: the file must take any."""
UNIT: Final = {"float32": 2.0**-24, "float64": 2.0**-53}


def examples(graph: Graph, names: Sequence[str], batch: int, dtype: np.dtype[Any]) -> dict[str, Array]:
    """Inputs to compare at, the same ones every time: normal numbers, and indices in their range."""
    rng = np.random.default_rng(batch)
    uses, shapes = _inputs.uses(graph), graph.shapes(batch)
    found: dict[str, Array] = {}
    for name in names:
        below = uses[name].below
        found[name] = rng.standard_normal(shapes[name]).astype(dtype) if below is None else rng.integers(0, below, shapes[name])
    return found


def run_reference(model: bytes, feeds: Arrays, outputs: Sequence[str]) -> dict[str, Array]:
    """The outputs by ONNX's own evaluator, of the bytes that the file will hold."""
    from onnx.reference import ReferenceEvaluator

    with _running():
        found = ReferenceEvaluator(_parsed(model)).run(list(outputs), dict(feeds))
    return dict(zip(outputs, found, strict=True))


def run_onnxruntime(model: bytes, feeds: Sequence[Arrays], outputs: Sequence[str]) -> list[dict[str, Array]] | None:
    """The outputs by ONNX Runtime for each batch; None where it is not installed or has no code for the element type.

    Raises:
        ExportError: it does not take the file.
    """
    try:
        import onnxruntime
        from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Lacks
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return [dict(zip(outputs, session.run(list(outputs), dict(feed)), strict=True)) for feed in feeds]
    except Lacks:
        return None
    except Exception as failure:  # its errors have no base of their own
        raise ExportError(f"ONNX Runtime does not run what would be written: {failure}; nothing was written") from failure


def compare(who: str, got: Arrays, wanted: Arrays, bounds: Arrays) -> float:
    """The largest difference from the executor, in parts of its bound.

    Raises:
        ExportError: it is beyond the bound; the message names the array and the entry.
    """
    worst = 0.0
    for name, value in wanted.items():
        answer = np.asarray(got[name])
        if answer.shape != value.shape or answer.dtype != value.dtype:
            raise ExportError(
                f"{who} makes {name!r} of shape {answer.shape} and type {answer.dtype}; the executor's has {value.shape} and {value.dtype}; nothing was written"
            )
        with np.errstate(all="ignore"):
            off = np.abs(answer.astype(np.float64) - value) / bounds[name]
        off = np.where(answer == value, 0.0, np.where(np.isnan(off), np.inf, off))
        if off.size and off.max() > 1:
            at = tuple(int(index) for index in np.unravel_index(int(np.argmax(off)), off.shape))
            raise ExportError(
                f"{who} and the executor disagree on {name!r}: {answer[at]!r} and {value[at]!r} at {at}, where rounding moves at most"
                f" {np.broadcast_to(bounds[name], off.shape)[at]:.2g}; nothing was written; the `onnx` method of an operation before it is wrong"
            )
        worst = max(worst, float(off.max(initial=0.0)))
    return worst


def predict(graph: Graph, parameters: Parameters, feeds: Arrays, outputs: Sequence[str], *, drawn: bool) -> dict[str, Array]:
    """The executor's outputs, by each operation's own forward.

    Raises:
        ExportError: the network cannot be run on numbers that were drawn.
    """
    try:
        found = Executor(graph, kernels=(), threads=1).forward(parameters, list(outputs), **feeds)
    except CnnframeError as failure:
        if not drawn:
            raise
        raise ExportError(f"the network cannot be compared with its file on normal random numbers: {failure}; give examples=") from failure
    return {name: np.asarray(array) for name, array in found.items()}


def bounds(builder: Builder, feeds: Arrays, wanted: Arrays, unit: float) -> dict[str, Array]:
    """How far the outputs of the file and of the executor may lie from each other, in an arithmetic of a unit of rounding.

    Args:
        builder: the nodes in float64.
        feeds: the inputs.
        wanted: the executor's outputs.
        unit: the unit of rounding that is asked about.
    """
    values: dict[str, Any] = {"": None, **{name: np.asarray(array, np.float64) if array.dtype.kind == "f" else array for name, array in feeds.items()}}
    values |= builder.stored
    # What is made of parameters beforehand, such as weights that sum to 1, has a few roundings behind it.
    errors: dict[str, Any] = {"": None, **{name: np.zeros(np.shape(array)) for name, array in feeds.items()}}
    errors |= {name: np.zeros(array.shape) if name in builder.given else unit * np.abs(array) for name, array in builder.stored.items()}
    for made in builder.nodes:
        operands = [values[name] for name in made.operands]
        results = _run(made, made.kind, operands)
        values |= dict(zip(made.results, results, strict=True))
        wrong = [errors[name] for name in made.operands]
        for number, (name, result) in enumerate(zip(made.results, results, strict=True)):
            errors[name] = error(made, lambda kind, given, made=made, number=number: _run(made, kind, given)[number], operands, wrong, result, unit)
    found = {}
    for name, value in wanted.items():
        # Where no rule is known half of the digits have to agree, which no mistake in a file leaves and rounding seldom takes.
        unknown = np.sqrt(unit) * np.max(np.abs(value), initial=0.0)
        least = 2 * unit * np.abs(value.astype(np.float64)) + np.finfo(np.float32).tiny
        found[name] = np.where(np.isfinite(errors[name]), ROUTES * errors[name] + least, unknown)
    return found


def _run(made: Made, kind: str, operands: Sequence[Any]) -> list[Any]:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [f"i{number}" if operand is not None else "" for number, operand in enumerate(operands)]
    node = helper.make_node(kind, names, [f"o{number}" for number in range(len(made.results))], **made.attributes)
    with _running():
        found = ReferenceEvaluator(node, opsets={"": OPSET}).run(None, {name: operand for name, operand in zip(names, operands, strict=True) if name})
    return [np.asarray(each) for each in found]


@contextmanager
def _running() -> Iterator[None]:
    """Tell in the project's words what ONNX's evaluator raises, which may be anything."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as failure:
        message = f"ONNX's evaluator does not run what would be written: {type(failure).__name__}: {failure}; nothing was written"
        raise ExportError(message) from failure


def _parsed(model: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(model)
