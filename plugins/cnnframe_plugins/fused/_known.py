"""Sources of activations on disk, so that a process whose kernels are all compiled need not import SymPy.

A source is found again by the activation's class and hyperparameters, and by the text of every module that its
expression can come from: its own and those of what it calls. Where that cannot be told, nothing is kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from cnnframe import Activation

from . import _cache

OURS: Final = ("cnnframe.algebra", "cnnframe._symbols", "cnnframe_plugins.fused._expression")


def recall(activation: Activation, dtype: str) -> tuple[str | None, dict[str, Any] | None]:
    """The name that an activation's source is kept under, and the source as plain data; None where there is none."""
    name = _name(activation, dtype)
    kept = _cache.read(name) if name else None
    if kept is None:
        return name, None
    try:
        found: dict[str, Any] = json.loads(kept)
    except ValueError:
        return name, None
    return name, found


def keep(name: str, source: dict[str, Any]) -> None:
    """Keep a source under the name that `recall` gave."""
    _cache.write(name, json.dumps(source).encode())


def _name(activation: Activation, dtype: str) -> str | None:
    kind = type(activation)
    modules = {base.__module__ for base in kind.__mro__ if base.__module__ not in ("builtins", "abc")}
    for method in (kind.expr, kind.derivative):
        reached = _modules(method)
        if reached is None:
            return None
        modules |= reached
    texts = [_digest(name) for name in sorted({*modules, *OURS})]
    if any(text is None for text in texts):
        return None
    settings = [(field.name, repr(getattr(activation, field.name))) for field in dataclasses.fields(type(activation))]  # type: ignore[arg-type] # a final operation is a dataclass
    told = repr((kind.__module__, kind.__qualname__, settings, dtype, texts, version("sympy")))
    return hashlib.sha256(told.encode()).hexdigest()


def _modules(method: Any) -> set[str] | None:
    """The modules of what a method calls by a global name; None if it reaches values that are no functions of modules."""
    if not isinstance(method, FunctionType) or method.__closure__:
        return None
    found = set()
    for name in _names(method.__code__):
        if name not in method.__globals__:
            continue
        value = method.__globals__[name]
        if isinstance(value, ModuleType):
            if value.__name__.split(".")[0] not in ("sympy", "math", "numpy"):
                return None
        elif isinstance(value, (FunctionType, type)) and value.__module__ in (*OURS, method.__module__):
            found.add(value.__module__)
        elif not isinstance(value, (int, float)):
            return None
    return found


def _names(code: CodeType) -> set[str]:
    """The names in a function's code and in functions within."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*(_names(part) for part in inner))


@cache
def _digest(module: str) -> str | None:
    """The digest of a module's text; None if there is no file."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None and module == "cnnframe._symbols":
        # Not loaded before SymPy is; it lies beside `algebra`.
        beside = getattr(sys.modules.get("cnnframe.algebra"), "__file__", None)
        path = str(Path(beside).with_name("_symbols.py")) if beside else None
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None
    except OSError:
        return None
