"""Compiled kernels on disk: one file a source text, versions and CPU, checked by digest when it is read.

The folder is that of the environment variable CNNFRAME_CACHE, or the user's cache folder. A file is written under
a name of its own and then renamed, so that writers at the same time do not meet; a damaged one is deleted and made
anew. What is kept is code that will run: who can write to the folder can run code, so it is made for its owner alone.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Final

FORMAT: Final = b"cnnframe kernel 1\n"
VARIABLE: Final = "CNNFRAME_CACHE"


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept; they are compiled again in the next process."""


def folder() -> Path:
    """Where compiled kernels are kept."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "cnnframe" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cnnframe"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnnframe"


@cache
def setting() -> str:
    """Versions and CPU that compiled code is for, and what the calls in its source stand for."""
    import llvmlite.binding as llvm

    here = files("cnnframe_plugins.fused")
    own = [hashlib.sha256(here.joinpath(name).read_bytes()).hexdigest() for name in ("_simd.py", "_compiler.py")]
    versions = [f"{name} {_version(name)}" for name in ("numba", "llvmlite", "numpy")]
    return "\n".join([*own, *versions, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def key(source: str) -> str:
    """The name of a source text's compiled code: other versions or another CPU have another one."""
    return hashlib.sha256(f"{setting()}\n{source}".encode()).hexdigest()


def read(name: str) -> bytes | None:
    """The code kept under a name; None if there is none, or if it was damaged, and then it is gone."""
    path = folder() / f"{name}.kernel"
    try:
        found = path.read_bytes()
    except OSError:
        return None
    head = len(FORMAT) + 32
    if found.startswith(FORMAT) and hashlib.sha256(found[head:]).digest() == found[len(FORMAT) : head]:
        return found[head:]
    try:
        path.unlink()
    except OSError as error:
        _warn(error)
    return None


def write(name: str, code: bytes) -> None:
    """Keep code under a name; a folder that cannot be written costs one warning."""
    place = folder()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, prefix=f"{name[:16]}.", suffix=".part", delete=False) as part:
            temporary = Path(part.name)
            try:
                part.write(FORMAT + hashlib.sha256(code).digest() + code)
                part.close()
                temporary.replace(place / f"{name}.kernel")
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        _warn(error)


_warned: set[str] = set()


def _warn(error: OSError) -> None:
    """Say once a folder and process that nothing can be kept there."""
    place = str(folder())
    if place not in _warned:
        _warned.add(place)
        text = f"compiled kernels cannot be kept in {place} ({error.strerror or error}); set {VARIABLE} to a folder that can be written"
        warnings.warn(text, CacheWarning, stacklevel=2)
