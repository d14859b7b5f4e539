"""A training in one file: parameters, optimizer, best parameters, and all that says how to go on.

The file is in the safetensors format, arrays and a header of text, which anything can read and nothing executes. A
checksum over all of it is in the header.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .._errors import CnnframeError, RunError
from .._files import write_whole
from .._graph import Graph
from .._op import Array
from .._parameters import Layout, Parameters
from ._history import Best, Epoch, History, Part, State
from ._settings import differences, environment, settings
from ._tree import check_like, pack, unpack

if TYPE_CHECKING:
    from .._registry import Registry
    from ._trainer import Trainer

FORMAT: Final = "cnnframe checkpoint 1"
_TEXTS: Final = ("format", "graph", "settings", "environment", "history", "state", "extra")


@dataclass(frozen=True)
class Checkpoint:
    """What a file of a training holds.

    Attributes:
        graph: the network.
        history: the epochs so far, the state to go on from, and the best parameters.
        settings: how it is trained: optimizer, rate, batch size, seed and the like, as plain data.
        environment: the versions and the machine that it was trained with.
        extra: what else was handed to `write`, as plain data.
    """

    graph: Graph
    history: History
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def resume(self, trainer: Trainer) -> History:
        """Return the history, to be handed to `trainer.fit` as `start`.

        Raises:
            RunError: the trainer has another network, other settings, or an optimizer with another kind of state.
        """
        if self.graph != trainer.graph:
            raise RunError(f"the checkpoint belongs to another network: {_first_difference(self.graph, trainer.graph)}")
        found = differences(self.settings, json.loads(_json(settings(trainer))))
        if found:
            raise RunError(f"the checkpoint was trained otherwise: {'; '.join(found)}; use its settings, or begin a new run")
        check_like(self.history.state.optimizer, trainer.start().optimizer)
        return self.history

    def write(self, path: Path) -> None:
        """Put the file in place of what was there.

        Raises:
            RunError: it cannot be written; what was there is untouched.
            ContractError: the optimizer's state holds what cannot be saved.
        """
        from safetensors.numpy import save

        state, best = self.history.state, self.history.best
        arrays: dict[str, Array] = {f"parameters/{name}": array for name, array in state.parameters.items()}
        arrays |= {f"best/{name}": array for name, array in (best.parameters if best else {}).items()}
        memory = pack(state.optimizer, arrays, "optimizer")
        kept = {name: np.array(array, order="C") for name, array in arrays.items()}
        texts = {
            "format": FORMAT,
            "graph": _json(self.graph.to_dict()),
            "settings": _json(self.settings),
            "environment": _json(self.environment),
            "history": _json([dataclasses.asdict(epoch) for epoch in self.history.epochs]),
            "state": _json({"epoch": state.epoch, "part": dataclasses.asdict(state.part), "optimizer": memory, "best": best.epoch.number if best else None}),
            "extra": _json(self.extra),
        }
        write_whole(path, save(kept, {**texts, "checksum": _checksum(texts, kept)}))

    @classmethod
    def of(cls, trainer: Trainer, history: History, extra: Mapping[str, Any] | None = None) -> Checkpoint:
        """The checkpoint of a training at a moment."""
        return cls(trainer.graph, history, settings(trainer), environment(trainer), dict(extra or {}))

    @classmethod
    def read(cls, path: Path, registry: Registry) -> Checkpoint:
        """Read a file, all of it or nothing.

        Raises:
            RunError: it is not there, no checkpoint, damaged, truncated, or made by something else; the message says which.
        """
        texts, arrays = _opened(path)
        try:
            graph = Graph.from_dict(json.loads(texts["graph"]), registry)
            layout = Layout.of(graph)
            state = json.loads(texts["state"])
            parameters = _parameters(graph, layout, arrays, "parameters/")
            part = _part(state["part"])
            epochs = tuple(Epoch.from_dict(each) for each in json.loads(texts["history"]))
            best = None
            if state["best"] is not None:
                chosen = next(epoch for epoch in epochs if epoch.number == state["best"])
                best = Best(_parameters(graph, layout, arrays, "best/"), chosen)
            memory = unpack(state["optimizer"], arrays, layout)
            if not isinstance(state["epoch"], int) or state["epoch"] < 0:
                raise RunError(f"the number of epochs is {state['epoch']!r}")
            history = History(epochs, State(parameters, memory, state["epoch"], part), best)
            return cls(graph, history, *(_table(texts[name]) for name in ("settings", "environment", "extra")))
        except CnnframeError as error:
            raise RunError(f"{path} cannot be used: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, StopIteration, OverflowError) as error:
            raise RunError(f"{path} is no checkpoint that this version wrote, or is damaged ({type(error).__name__}: {error}); choose another one") from error


def _json(data: Any) -> str:
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RunError(f"a checkpoint cannot hold {data!r:.80}: {error}") from error


def _table(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise RunError(f"a table was wanted; got {found!r:.80}")
    return found


def _part(stored: Mapping[str, Any]) -> Part:
    part = Part(**{**stored, "norms": tuple(map(float, stored["norms"]))})
    if not all(isinstance(count, int) and count >= 0 for count in (part.step, part.examples)) or not np.isfinite(float(part.loss)):
        raise RunError(f"the state within the epoch is {part!r:.120}")
    if part.random is not None:
        # What this does not take is no state.
        np.random.default_rng(0).bit_generator.state = part.random
    return part


def _parameters(graph: Graph, layout: Layout, arrays: Mapping[str, Array], prefix: str) -> Parameters:
    found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    for name, slot in layout.slots.items():
        # Before anything of the size that the graph claims is allocated.
        if name in found and found[name].shape != slot.shape:
            raise RunError(f"parameter {name!r} must have shape {slot.shape}; got {found[name].shape}")
    return Parameters.of_arrays(graph, found)


def _opened(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The texts and the arrays of a file, checked against its checksum."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            texts = dict(file.metadata() or {})
            if texts.get("format") != FORMAT:
                held = f"its format is {texts['format']!r:.60}" if "format" in texts else "it is another kind of safetensors file"
                raise RunError(f"{path} is no checkpoint of this version: {held}; wanted {FORMAT!r}")
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 # a file is no mapping
    except FileNotFoundError:
        raise RunError(f"{path} is not there; choose the folder of a run that was saved") from None
    except RunError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
        raise RunError(f"{path} is damaged or no checkpoint: {error}; choose another one") from error
    missing = [name for name in (*_TEXTS, "checksum") if name not in texts]
    if missing:
        raise RunError(f"{path} is damaged: it lacks {', '.join(missing)}")
    if texts.pop("checksum") != _checksum(texts, arrays):
        raise RunError(f"{path} is damaged: its contents do not have its checksum; choose another one")
    return texts, arrays


def _checksum(texts: Mapping[str, str], arrays: Mapping[str, Array]) -> str:
    found = hashlib.sha256()
    for name in sorted(texts):
        found.update(f"{name}={len(texts[name])}:{texts[name]}".encode())
    for name in sorted(arrays):
        found.update(f"{name}:{arrays[name].dtype.str}{arrays[name].shape}".encode())
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def _first_difference(there: Graph, here: Graph) -> str:
    nodes = {node.name: node for node in here.nodes}
    for node in there.nodes:
        if node != nodes.get(node.name):
            return f"node {node.name!r} is {node.op!r} there, {nodes[node.name].op if node.name in nodes else 'missing'!r} here"
    return "inputs, penalties or the order of nodes differ"
