"""Find the plugins, check them, and hand back an immutable catalogue."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from . import _hookspecs
from ._activation import Activation
from ._errors import CnnframeError, DeclarationError, HyperparameterError, PluginError, UnknownNameError, nearest
from ._hyper import hyperparameters
from ._kernel import Kernel
from ._op import Layer, Loss, Op, Regularizer
from ._optimizer import Optimizer

KINDS: Mapping[str, Any] = MappingProxyType(
    {"layers": Layer, "activations": Activation, "losses": Loss, "regularizers": Regularizer, "optimizers": Optimizer, "kernels": Kernel}
)


NOTHING = "it implements no hook; is @hookimpl missing on a function such as cnnframe_layers?"


@dataclass(frozen=True)
class Entry:
    """One registered class and the distribution that it came from."""

    cls: Any
    kind: str
    distribution: str
    version: str

    @property
    def source(self) -> str:
        """Distribution and version, or the module of a plugin that was handed to `load`."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Skipped:
    """A plugin that could not be imported, and why."""

    entry_point: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.entry_point!r} of {self.distribution} was skipped: {self.reason}"


class Registry(Mapping[str, Any]):
    """Classes by name, with the plugins that were skipped."""

    __slots__ = ("_entries", "_skipped")

    def __init__(self, entries: Mapping[str, Entry], skipped: tuple[Skipped, ...] = ()) -> None:
        self._entries = MappingProxyType(dict(entries))
        self._skipped = skipped

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The plugins that could not be imported."""
        return self._skipped

    def __getitem__(self, name: str) -> Any:
        return self.entry(name).cls

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str, default: Any = None) -> Any:
        """The class under `name`, or `default`."""
        entry = self._entries.get(name)
        return default if entry is None else entry.cls

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __repr__(self) -> str:
        return f"Registry({', '.join(self._entries)})"

    def entry(self, name: str) -> Entry:
        """The entry under `name`.

        Raises:
            UnknownNameError: nothing has that name; the nearest known one is in the message.
        """
        try:
            return self._entries[name]
        except KeyError:
            skipped = "".join(f"{plugin}; " for plugin in self._skipped)
            raise UnknownNameError(f"nothing is registered as {name!r}; {skipped}{nearest(str(name), self._entries)}; cnnframe list shows all") from None

    def operations(self) -> dict[str, type[Op]]:
        """All but optimizers and kernels."""
        return {name: entry.cls for name, entry in self._entries.items() if entry.kind not in ("optimizers", "kernels")}

    @property
    def kernels(self) -> tuple[type[Kernel], ...]:
        """The kernels, in the order of their plugins."""
        return tuple(entry.cls for entry in self._entries.values() if entry.kind == "kernels")

    def make(self, name: str, **given: Any) -> Any:
        """Build an operation or optimizer by name.

        Raises:
            UnknownNameError: no such name, the name of a kernel, or no such hyperparameter.
            HyperparameterError: a hyperparameter is missing or out of its bounds.
        """
        cls = self[name]
        if cls in self.kernels:
            raise UnknownNameError(f"{name} is a kernel, which is not made by itself; give it to an executor: Executor(graph, kernels=[registry[{name!r}]])")
        known = hyperparameters(cls)
        for key in given:
            if key not in known:
                raise UnknownNameError(f"{name} has no hyperparameter {key!r}; {nearest(key, known)}")
        for key, hyper in known.items():
            if hyper.required and key not in given:
                raise HyperparameterError(f"{name} needs {key}: {hyper}")
        return cls(**given)


def load(*extra: Any, entry_points: bool = True, strict: bool = False) -> Registry:
    """Collect what the installed plugins, and any `extra` plugin objects, offer.

    An installed plugin that raises on import, or implements no hook, is named in `Registry.skipped`; with `strict` it is an error.

    Raises:
        PluginError: a hook is misspelt, two plugins offer one name, an `extra` one implements no hook, or (strict) an
            installed one was skipped.
        DeclarationError: a class breaks the contract of its kind.
    """
    manager = pluggy.PluginManager(_hookspecs.PROJECT)
    manager.add_hookspecs(_hookspecs)
    origins: dict[int, tuple[str, str]] = {}
    skipped: list[Skipped] = []
    if entry_points:
        for distribution, point in _entry_points():
            plugin = _import(distribution, point, skipped)
            if plugin is not None:
                _register(manager, plugin, _source(distribution), origins)
                if not manager.get_hookcallers(plugin):
                    skipped.append(Skipped(point.name, _source(distribution)[0], NOTHING))
    if strict and skipped:
        raise PluginError(str(skipped[0]))
    for plugin in extra:
        source = getattr(plugin, "__name__", type(plugin).__qualname__)
        _register(manager, plugin, (source, ""), origins)
        if not manager.get_hookcallers(plugin):
            raise PluginError(f"{source}: {NOTHING}")
    _check_hooks(manager, origins)
    return Registry(_collect(manager, origins), tuple(skipped))


def _collect(manager: pluggy.PluginManager, origins: Mapping[int, tuple[str, str]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for kind in KINDS:
        for call in getattr(manager.hook, f"cnnframe_{kind}").get_hookimpls():
            distribution_name, version = origins[id(call.plugin)]
            for cls in _offered(call, kind, distribution_name):
                _admit(Entry(cls, kind, distribution_name, version), entries)
    return entries


def _register(manager: pluggy.PluginManager, plugin: Any, source: tuple[str, str], origins: dict[int, tuple[str, str]]) -> None:
    if id(plugin) in origins:
        return
    try:
        manager.register(plugin, name=f"{source[0]}:{len(origins)}")
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{source[0]}: a hook does not fit: {' '.join(str(error).split())}") from error
    origins[id(plugin)] = source


def _source(distribution: Any) -> tuple[str, str]:
    """Name and version; an interrupted installation leaves neither."""
    return distribution.name or "a distribution without metadata", distribution.version or ""


def _entry_points() -> list[tuple[Any, Any]]:
    """Entry points of the group with their distributions, in an order that does not depend on the path."""
    import importlib.metadata

    found: dict[tuple[str, str], tuple[Any, Any]] = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            if point.group == _hookspecs.PROJECT:
                # The first on the path shadows later ones of the same name, as an import would.
                found.setdefault((_source(distribution)[0], point.name), (distribution, point))
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != _hookspecs.PROJECT, key))]


def _import(distribution: Any, point: Any, skipped: list[Skipped]) -> Any:
    try:
        return point.load()
    except DeclarationError as error:
        skipped.append(Skipped(point.name, _source(distribution)[0], str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 # whatever a stranger's module raises, the others still load
        skipped.append(Skipped(point.name, _source(distribution)[0], f"{type(error).__name__}: {error}"))
    return None


def _check_hooks(manager: pluggy.PluginManager, origins: Mapping[int, tuple[str, str]]) -> None:
    hooks = [f"cnnframe_{kind}" for kind in KINDS]
    for name, hook in vars(manager.hook).items():
        if name.startswith("_") or hook.has_spec():
            continue
        for call in hook.get_hookimpls():
            where = origins[id(call.plugin)][0]
            raise PluginError(f"{where} implements the hook {name!r}, which does not exist; {nearest(name, hooks)}")


def _offered(call: Any, kind: str, where: str) -> list[Any]:
    try:
        offered = call.function()
        if not isinstance(offered, Iterable) or isinstance(offered, str):
            got = f"the class {offered.__name__}" if isinstance(offered, type) else type(offered).__name__
            raise PluginError(f"{where}: the hook cnnframe_{kind} must return a list of classes; got {got}")
        return list(offered)
    except CnnframeError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f" ({Path(last.filename).name}, line {last.lineno})"
        raise PluginError(f"{where}: the hook cnnframe_{kind} failed: {type(error).__name__}: {error}{at}") from error


def _admit(entry: Entry, entries: dict[str, Entry]) -> None:
    cls, base = entry.cls, KINDS[entry.kind]
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise DeclarationError(f"{entry.distribution}: cnnframe_{entry.kind} offers {cls!r}, which is no {base.__name__} class")
    here = f"{cls.__module__}.{cls.__qualname__}"
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing or not hasattr(cls, "name"):
        raise DeclarationError(f"{entry.distribution}: {here} lacks {', '.join(missing) or 'a name'}")
    try:
        if base is not Kernel:
            hyperparameters(cls)
    except DeclarationError as error:
        raise DeclarationError(f"{entry.distribution}: {error}") from None
    other = entries.get(cls.name)
    if other is not None:
        theirs = f"{other.cls.__module__}.{other.cls.__qualname__}"
        raise PluginError(
            f"{cls.name!r} is offered twice: by {other.source} ({theirs}) and by {entry.source} ({here}); rename one or uninstall its distribution"
        )
    entries[cls.name] = entry
