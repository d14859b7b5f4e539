"""Find the operation that a name on the command line means."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import zlib
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from cnnframe import DeclarationError, Op, Registry, UnknownNameError


def target(name: str, registry: Registry) -> type[Op]:
    """The operation class: a registered name, `module:Class`, or `path/to/file.py:Class`.

    Raises:
        UnknownNameError: there is no such name, module, file or class.
        DeclarationError: it is no operation.
    """
    where, separator, attribute = name.rpartition(":")
    if not separator and name.endswith(".py"):
        raise UnknownNameError(f"{name} is a file; write {name}:Class for an operation in it")
    if not separator:
        return operation(name, registry[name])
    try:
        found = getattr(_module(where), attribute)
    except AttributeError:
        raise UnknownNameError(f"{where} has no {attribute!r}") from None
    return operation(name, found)


def operation(name: str, found: Any) -> type[Op]:
    """Return `found` if it is a finished operation class.

    Raises:
        DeclarationError: it is not.
    """
    if not isinstance(found, type) or not issubclass(found, Op):
        raise DeclarationError(f"{name} is no operation; wanted a subclass of Layer, Activation, Loss or Regularizer")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing or not hasattr(found, "name"):
        raise DeclarationError(f"{name} lacks {', '.join(missing) or 'a name'}")
    return found


def _module(where: str) -> Any:
    path = Path(where)
    try:
        if path.suffix == ".py":
            name = f"_cnnframe_file_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise UnknownNameError(f"there is no file {where}")
            module = importlib.util.module_from_spec(spec)
            # Under a name that no import means: a file may be called random.py.
            sys.modules[name] = module
            try:
                with redirect_stdout(sys.stderr):
                    spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            return module
        if "" not in sys.path:
            # As `python -m` does: a module of the folder one stands in needs no installation.
            sys.path.insert(0, "")
        with redirect_stdout(sys.stderr):
            return importlib.import_module(where)
    except UnknownNameError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises is told in one line
        raise UnknownNameError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
