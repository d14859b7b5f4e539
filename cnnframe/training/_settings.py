"""How a network is trained, as plain data to be written down and compared."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .._hyper import hyperparameters
from ._rates import Decay, StepTable

if TYPE_CHECKING:
    from ._trainer import Trainer


def settings(trainer: Trainer) -> dict[str, Any]:
    """All that decides the steps of a training, besides the graph, the examples and the machine."""
    return {
        "optimizer": {"name": trainer.optimizer.name, **{name: getattr(trainer.optimizer, name) for name in hyperparameters(type(trainer.optimizer))}},
        "rate": _rate(trainer.rate),
        "batch_size": int(trainer.batch_size),
        "reduction": trainer.reduction,
        "order": trainer.order,
        "seed": int(trainer.seed),
        "dtype": np.dtype(trainer.dtype).name,
        "initial": {name: _said(start) for name, start in (trainer.initial or {}).items()},
        "augment": None if trainer.augment is None else _said(trainer.augment),
        "replacements": {name: _said(op) for name, op in (trainer.replacements or {}).items()},
    }


def environment(trainer: Trainer) -> dict[str, str]:
    """What else the last bits of a training may depend on."""
    found = {"python": platform.python_version(), "numpy": np.__version__, "cnnframe": __version__}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["numba"] = importlib.metadata.version("numba")
    return {**found, "machine": f"{platform.system()} {platform.machine()}", "threads": str(trainer.executor.threads)}


def _rate(rate: Any) -> Any:
    if isinstance(rate, Decay):
        return {"schedule": "decay", "rate": _rate(rate.rate), "factor": float(rate.factor), "every": int(rate.every)}
    if isinstance(rate, StepTable):
        return {"schedule": "steps", "steps": [[epochs, _rate(each)] for epochs, each in rate.steps]}
    if isinstance(rate, Mapping):
        return {name: _rate(each) for name, each in rate.items()}
    if callable(rate):
        return _said(rate)
    array = np.asarray(rate)
    return float(array) if not array.ndim else f"{array.dtype} {array.shape}, checksum {zlib.crc32(np.ascontiguousarray(array).data):08x}"


def _said(value: Any) -> str:
    """A value by its text; a function, whose text would name a place in memory, by its name, which is the same in a script and where it is imported."""
    if hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    text = repr(value)
    return text if " object at 0x" not in text else type(value).__qualname__


def differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What two tables do not agree in, as "name: this there, that here"."""
    found = []
    for name in {**there, **here}:
        one, two = there.get(name), here.get(name)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            found += differences(one, two, f"{prefix}{name}.")
        elif one != two:
            found.append(f"{prefix}{name}: {one!r:.60} there, {two!r:.60} here")
    return found
