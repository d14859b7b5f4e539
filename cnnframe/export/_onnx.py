"""Write a network as an ONNX file, once it is known to compute the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, _inputs, _wiring
from .._errors import CnnframeError, ExportError, MissingPackageError, UnknownNameError, nearest
from .._files import write_whole
from .._graph import Graph
from .._op import Loss, Op, Regularizer
from .._parameters import Parameters
from .._registry import Registry
from . import _check, _model
from ._builder import OPSET

LARGEST = 2**31 - 1
"""Bytes in a file of ONNX; beyond, its parts lie in several."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: where it is.
        opset: the version of ONNX's operators in it.
        size: its bytes.
        inputs: its inputs, with their axes; n is the batch.
        outputs: its outputs, likewise.
        compared: what ran the file, and agreed with the executor.
        difference: the largest difference, in parts of what rounding may do.
    """

    path: Path
    opset: int
    size: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    compared: tuple[str, ...]
    difference: float


def onnx(
    graph: Graph,
    parameters: Parameters,
    path: str | os.PathLike[str],
    *,
    outputs: str | Sequence[str] = (),
    replacements: Mapping[str, Op] | None = None,
    constants: Mapping[str, Any] | None = None,
    examples: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write what a network predicts as an ONNX file of operator set 18, and return what was written.

    The file holds the network as it is evaluated: no loss, no penalty, and dropout lets everything through. Its batch axis takes any
    size. Before it is put in place ONNX's checker reads it, and ONNX's reference evaluator, and ONNX Runtime where it is installed, run
    it: what they compute lies within a computed rounding bound of what the executor does, in the element type of the parameters, and
    the same nodes in float64, where a mistake cannot hide behind rounding, likewise.

    Args:
        graph: the network.
        parameters: its parameters; the file has their element type.
        path: the file; one that exists is replaced once the new one is whole.
        outputs: the nodes whose arrays the file puts out; the graph's output if none are.
        replacements: operations by node for evaluation, as `Graph.for_evaluation` takes them.
        constants: graph inputs without a batch axis that the file will hold, such as {"batch_norm1.mean": mean}; others stay inputs.
        examples: arrays by graph input to compare at; normal random numbers if left out.
        metadata: what the file says about itself besides (ONNX's `metadata_props`), such as how its input is prepared; the version of
            cnnframe is among it.

    Raises:
        MissingPackageError: onnx is not installed.
        ExportError: an operation has no ONNX form, the file would disagree, or the path is none of a file.
        RunError: the file cannot be written; what was there is kept.
        GraphError: a node cannot be evaluated without a replacement.
        UnknownNameError: an output or a constant that the network does not have.
        ShapeError: the parameters or constants are those of another network.
    """
    _require()
    _inputs.want(graph, Graph, "export: graph", "a Graph", ExportError)
    target = _target(path)
    evaluated = graph.for_evaluation(replacements)
    parameters = _fitting(evaluated, parameters)
    held = _constants(evaluated, constants or {}, parameters.dtype)
    asked = (outputs,) if isinstance(outputs, str) else outputs
    names = list(dict.fromkeys(_wiring.key(name, evaluated.wires) for name in asked or (evaluated.output,)))
    data, compared, worst, inputs = _proved(evaluated, parameters, held, names, _given(graph, evaluated, examples), _texts(metadata))
    write_whole(target, data)
    axes = evaluated.axes
    return Exported(target, OPSET, len(data), {name: axes[name] for name in inputs}, {name: axes[name] for name in names}, compared, worst)


def exportable(registry: Registry) -> dict[str, str]:
    """For each operation that a network is made of, the empty string if a file can hold it, else the reason why not."""
    found = {}
    for name, cls in registry.operations().items():
        if issubclass(cls, (Loss, Regularizer)):
            continue
        found[name] = _reason(cls)
    return found


def _reason(cls: type[Op]) -> str:
    if cls.for_evaluation is not Op.for_evaluation:
        try:
            cls.for_evaluation(cls())
        except CnnframeError as error:
            return str(error)
        except TypeError:  # hyperparameters without a default: what stands in is known when they are
            return ""
        return ""
    return "" if cls.onnx is not Op.onnx else "no `onnx` method"


def _proved(
    graph: Graph, parameters: Parameters, held: Mapping[str, Any], names: Sequence[str], given: Mapping[str, Any] | None, metadata: Mapping[str, str]
) -> tuple[bytes, tuple[str, ...], float, list[str]]:
    """The bytes of the file, what ran it, and how far it was off."""
    import onnx as package

    doubles = parameters.dtype == np.float64
    wide_parameters = parameters if doubles else Parameters(parameters.layout, parameters.vector.astype(np.float64))
    builder, inputs = _model.build(graph, parameters, held, names, parameters.dtype)
    wide, _ = _model.build(graph, wide_parameters, held, names, np.dtype(np.float64))
    data, wide_data = (_serialised(each, graph, inputs, names, metadata) for each in (builder, wide))
    drawn = [_check.examples(graph, inputs, batch, parameters.dtype) for batch in _check.BATCHES] if given is None else [given]
    for each in drawn:
        _inputs.check_names(graph, [name for name in each if name in graph.inputs], inputs)
    feeds = [{name: each[name] for name in inputs} for each in drawn]
    compared, worst = [f"onnx.reference {package.__version__}"], 0.0
    answers, limits = [], []
    for feed in feeds:
        broad = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in feed.items()}
        for run, numbers, point in ((wide_data, wide_parameters, broad), *([] if doubles else [(data, parameters, feed)])):
            constants = {name: np.asarray(array, numbers.dtype) for name, array in held.items()}
            wanted = _check.predict(graph, numbers, {**point, **constants}, names, drawn=given is None)
            bound = _check.bounds(wide, point, wanted, _check.UNIT[numbers.dtype.name])
            worst = max(worst, _check.compare(compared[0], _check.run_reference(run, point, names), wanted, bound))
        answers.append(wanted)
        limits.append(bound)
    found = _check.run_onnxruntime(data, feeds, names)
    if found is not None:
        import onnxruntime

        compared.append(f"onnxruntime {onnxruntime.__version__}")
        worst = max(worst, *(_check.compare(compared[1], *each) for each in zip(found, answers, limits, strict=True)))
    return data, tuple(compared), worst, inputs


def _serialised(builder: Any, graph: Graph, inputs: Sequence[str], names: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    import onnx as package

    if sum(array.nbytes for array in builder.stored.values()) > LARGEST:
        raise ExportError(f"the arrays are larger than the {LARGEST} bytes that a file of ONNX holds")
    try:
        model = _model.proto(builder, graph, inputs, names)
        package.helper.set_model_props(model, dict(metadata))
        package.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
    except ExportError:
        raise
    except Exception as failure:
        raise ExportError(f"ONNX's checker refuses what would be written: {failure}; nothing was written") from failure
    return data


def _texts(given: Any) -> dict[str, str]:
    """The metadata, with the version of cnnframe."""
    _inputs.want(given, (Mapping, type(None)), "export: metadata", "a mapping of names to texts", ExportError)
    for name, text in (given or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise ExportError(f"export: metadata must be texts by name; got {name!r}: {text!r:.60}")
    return {"cnnframe": __version__, **(given or {})}


def _require() -> None:
    try:
        import onnx.reference  # noqa: F401 # asked for before anything is computed
    except ImportError as error:
        raise MissingPackageError(f"onnx is not installed ({error}); install it with: pip install 'cnnframe[onnx]'") from error


def _target(path: Any) -> Path:
    try:
        target = Path(path)
    except TypeError:
        raise ExportError(f"export: path must be a path of a file; got {path!r}") from None
    if target.is_dir():
        raise ExportError(f"{target} is a folder; name a file in it, such as {target / 'network.onnx'}")
    if not target.parent.is_dir():
        raise ExportError(f"{target} cannot be written: there is no folder {target.parent}; make it first")
    return target


def _fitting(graph: Graph, parameters: Any) -> Parameters:
    """The parameters in the graph's own order of slots."""
    from .._executor import Executor

    Executor(graph, kernels=(), threads=1).check_parameters(parameters)
    found: Parameters = parameters
    return found


def _constants(graph: Graph, given: Any, dtype: np.dtype[Any]) -> dict[str, Any]:
    _inputs.want(given, Mapping, "export: constants", "a mapping of graph inputs to arrays", ExportError)
    shapes = graph.shapes(1)
    found = {}
    for name, array in given.items():
        if name not in graph.inputs:
            raise UnknownNameError(f"export: constants: the network has no input {name!r}; {nearest(str(name), graph.inputs)}")
        held = _inputs.as_array(array, f"export: constants[{name!r}]")
        if graph.shapes(2)[name] != shapes[name] or held.shape != shapes[name]:
            raise ExportError(f"export: constants[{name!r}] must have the axes ({graph.inputs[name]}), and none for the batch; got shape {held.shape}")
        if held.dtype.kind not in "fiu" or not np.isfinite(held).all():
            raise ExportError(f"export: constants[{name!r}] must be finite real numbers; got {held.dtype}")
        found[name] = held.astype(dtype)
    return found


def _given(graph: Graph, evaluated: Graph, given: Any) -> dict[str, Any] | None:
    """Examples by graph input; what training alone needs may be among them."""
    if given is None:
        return None
    _inputs.want(given, Mapping, "export: examples", "a mapping of graph inputs to arrays", ExportError)
    for name in given:
        if name not in graph.inputs and name not in evaluated.inputs:
            raise UnknownNameError(f"export: examples: the network has no input {name!r}; {nearest(str(name), evaluated.inputs)}")
    return {name: _inputs.as_array(array, f"export: examples[{name!r}]") for name, array in given.items()}
