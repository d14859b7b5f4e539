"""Sources of activations on disk, so that a process whose kernels are all compiled need not import SymPy.

A source is found again by the activation's class and hyperparameters, by the code of its expression and of all that this
calls, as it is in memory, and by the numbers that it names. Where that cannot be told, nothing is kept.
"""

from __future__ import annotations

import dataclasses
import dis
import hashlib
import inspect
import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from cnnframe import Activation

from . import _cache

OURS: Final = ("cnnframe.algebra", "cnnframe._symbols", "cnnframe_plugins.fused._expression")

CODE: Final = (FunctionType, BuiltinFunctionType, type, np.ufunc)
"""What is no more than its name in a library says."""

REACHING: Final = frozenset({"__import__", "eval", "exec", "open", "input", "globals", "locals", "vars", "getattr", "compile"})
"""What is built in and may bring in anything."""


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


class _UntoldError(Exception):
    """What an expression is made from cannot be told."""


def _name(activation: Activation, dtype: str) -> str | None:
    kind, told = type(activation), _Told(type(activation))
    ours = [_digest(name) for name in OURS]
    # What it has besides its fields anybody may have put there.
    if None in ours or vars(activation).keys() - told.fields or hasattr(kind, "__getattr__"):
        return None
    try:
        for field in dataclasses.fields(kind):  # type: ignore[arg-type] # a final operation is a dataclass
            told.value(field.name, getattr(activation, field.name))
        for method in (kind.expr, kind.derivative):
            told.function(method)
    except _UntoldError:
        return None
    return hashlib.sha256(repr((kind.__module__, kind.__qualname__, dtype, version("sympy"), ours, told.told)).encode()).hexdigest()


class _Told:
    """Everything that functions of an activation are made from: their code as it is in memory, and what it names."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.fields = {field.name for field in dataclasses.fields(kind)}
        self.told: list[Any] = []
        self._seen: set[FunctionType] = set()

    def function(self, found: Any) -> None:
        """Its code, and, where it is neither ours nor a library's, what that calls."""
        if not isinstance(found, FunctionType) or found.__closure__ or found.__kwdefaults__:
            raise _UntoldError
        if found in self._seen:
            return
        self._seen.add(found)
        self.value("defaults", found.__defaults__)
        self.told.append(_told_code(found.__code__))
        for name in sorted(_names(found.__code__)):
            if name in found.__globals__:
                self.named(name, found.__globals__[name])
            elif name in REACHING:
                raise _UntoldError
            if name not in self.fields and (own := inspect.getattr_static(self.kind, name, self)) is not self:
                self.attribute(name, own)
        if any(not _known_module(name) for name in _imports(found.__code__)):
            raise _UntoldError

    def attribute(self, name: str, found: Any) -> None:
        """What the class has by a name: a method, or something plain."""
        found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
        self.function(found) if callable(found) else self.value(name, found)

    def named(self, name: str, found: Any) -> None:
        """What a module has by a name."""
        if isinstance(found, ModuleType):
            if not _known_module(found.__name__):
                raise _UntoldError
        elif isinstance(found, FunctionType) and not _known_module(found.__module__):
            self.function(found)
        elif not (isinstance(found, CODE) and _known_module(getattr(found, "__module__", None) or type(found).__module__)):
            self.value(name, found)

    def value(self, name: str, found: Any) -> None:
        """Something plain, which its text says."""
        if not _plain(found):
            raise _UntoldError
        self.told.append((name, repr(found)))


def _plain(found: Any) -> bool:
    return all(map(_plain, found)) if type(found) is tuple else found is None or isinstance(found, (int, float, str))


def _known_module(name: str) -> bool:
    return name in OURS or name.split(".", maxsplit=1)[0] in ("sympy", "math", "numpy", "__future__")


def _told_code(code: CodeType) -> tuple[Any, ...]:
    """What code does, without where it was written."""
    return code.co_code, code.co_exceptiontable, [*map(_told_const, code.co_consts)], code.co_names, code.co_varnames, code.co_freevars


def _told_const(const: Any) -> Any:
    if isinstance(const, CodeType):
        return _told_code(const)
    return sorted(map(repr, const)) if isinstance(const, frozenset) else repr(const)


def _names(code: CodeType) -> set[str]:
    """The names in a function's code and in functions within."""
    return set(code.co_names).union(*map(_names, _inner(code)))


def _imports(code: CodeType) -> set[str]:
    """The modules that a function's code, or a function within, imports."""
    return {step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME"}.union(*map(_imports, _inner(code)))


def _inner(code: CodeType) -> list[CodeType]:
    return [part for part in code.co_consts if isinstance(part, CodeType)]


@cache
def _digest(module: str) -> str | None:
    """The digest of the text of one of our modules, which may not have been loaded; None if there is no file."""
    package, _, name = module.rpartition(".")
    try:
        return hashlib.sha256(files(package).joinpath(f"{name}.py").read_bytes()).hexdigest()
    except OSError:
        return None
