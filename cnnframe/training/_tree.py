"""The state of an optimizer as named arrays and plain data, and back; no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._errors import ContractError, RunError
from .._op import Array
from .._parameters import Layout, Parameters


def pack(value: Any, arrays: dict[str, Array], who: str) -> Any:
    """Return plain data for JSON; arrays go into `arrays`, and their names into the data.

    Raises:
        ContractError: the state holds something else than arrays, parameters, numbers, strings, None, and dicts, tuples and lists of them.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, Parameters):
        arrays[who] = value.vector
        return {"parameters": who}
    if isinstance(value, np.generic):
        arrays[who] = np.asarray(value)
        return {"scalar": who}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        arrays[who] = value
        return {"array": who}
    if type(value) in (tuple, list):
        return {type(value).__name__: [pack(each, arrays, f"{who}.{place}") for place, each in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {"dict": {name: pack(each, arrays, f"{who}.{name}") for name, each in value.items()}}
    kinds = "arrays, Parameters, numbers, strings, None, and dicts, tuples and lists of these"
    raise ContractError(f"{who}: the state of an optimizer that is to be saved is made of {kinds}; got {type(value).__name__}")


def unpack(stored: Any, arrays: Mapping[str, Array], layout: Layout) -> Any:
    """Return what `pack` was given.

    Raises:
        RunError: the data are nothing that `pack` made.
    """
    if stored is None or isinstance(stored, (bool, int, str)):
        return stored
    if isinstance(stored, dict) and len(stored) == 1:
        ((kind, value),) = stored.items()
        if kind == "float" and isinstance(value, str):
            return float.fromhex(value)
        if kind in ("array", "scalar", "parameters") and value in arrays:
            array = arrays[value]
            if kind == "array":
                return array
            if kind == "scalar" and not array.ndim:
                return array[()]
            if kind == "parameters" and array.shape == (layout.size,):
                return Parameters(layout, array)
        if kind in ("tuple", "list") and isinstance(value, list):
            made = [unpack(each, arrays, layout) for each in value]
            return tuple(made) if kind == "tuple" else made
        if kind == "dict" and isinstance(value, dict):
            return {name: unpack(each, arrays, layout) for name, each in value.items()}
    raise RunError(f"the state of the optimizer cannot be read: {stored!r:.80}")


def check_like(found: Any, fresh: Any, who: str = "the optimizer's state") -> None:
    """Hold a stored state to the form of a fresh one.

    Raises:
        RunError: it has another form, or holds a NaN or an infinity.
    """
    if isinstance(found, Parameters) and isinstance(fresh, Parameters):
        found, fresh = found.vector, fresh.vector
    if isinstance(found, (np.ndarray, np.generic)) and found.dtype.kind == "f" and not np.isfinite(found).all():
        raise RunError(f"{who} holds a NaN or an infinity")
    if fresh is None or found is None:
        # Some hold nothing until the first step.
        return
    if _form(found) != _form(fresh):
        raise RunError(f"{who} must be {_form(fresh)}; got {_form(found)}")
    if isinstance(fresh, (tuple, list)):
        for place, (one, two) in enumerate(zip(found, fresh, strict=True)):
            check_like(one, two, f"{who}[{place}]")
    if isinstance(fresh, Mapping):
        for name, two in fresh.items():
            check_like(found[name], two, f"{who}[{name!r}]")


def _form(value: Any) -> str:
    """What two states have to agree in: kind, shape, parts."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a table of {', '.join(value)}" if isinstance(value, Mapping) else type(value).__name__
