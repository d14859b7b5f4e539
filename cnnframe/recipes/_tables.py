"""The tables of a recipe: which keys there are, reading, writing, putting one over another."""

from __future__ import annotations

import copy
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .. import _toml
from .._errors import RecipeError, nearest
from .._graph import Graph
from .._param import Constant, FanInUniform, GlorotUniform, LeCunNormal, Normal

Tables = dict[str, Any]
RULES: Final[dict[str, Any]] = {
    "constant": Constant,
    "glorot_uniform": GlorotUniform,
    "lecun_normal": LeCunNormal,
    "fan_in_uniform": FanInUniform,
    "normal": Normal,
}
"""Initialisers by the name that recipes have for them."""
_LONGEST: Final = 16 * 2**20
"""Bytes that are read of a file."""

_TEXT: Final = (str, "a string")
_COUNT: Final = (int, "an integer of at least 1")
_INDEX: Final = (int, "an integer of at least 0")
_NUMBER: Final = (float, "a finite number")
_TABLE: Final = (dict, "a table")
KEYS: Final[dict[str, dict[str, tuple[Any, str]]]] = {
    "data": {
        "source": _TEXT,
        "folder": _TEXT,
        "train": _COUNT,
        "test": _COUNT,
        "held_out": _NUMBER,
        "seed": _INDEX,
        "scaling": _TEXT,
        "coding": _TEXT,
    },
    "training": {
        "epochs": _COUNT,
        "batch_size": _COUNT,
        "rate": (object, "a number or a table"),
        "reduction": _TEXT,
        "order": _TEXT,
        "seed": _INDEX,
        "dtype": _TEXT,
        "threads": _COUNT,
    },
    "optimizer": {"name": _TEXT},
    "initial": {},
    "distortion": dict.fromkeys(("elastic", "smoothing", "rotation", "scaling", "shear", "shift", "background"), _NUMBER),
}
"""What each table may hold; the optimizer's hyperparameters, and the arrays and roles of [initial], are theirs to say."""
_OPEN: Final = ("optimizer", "initial")
NETWORK: Final = {"name": _TEXT, "loss": _TEXT, "options": _TABLE}
GRAPH: Final = ("format", "output", "inputs", "nodes", "penalties")
"""The keys of [network] for a network of the box, and for a graph of one's own."""
OTHERS: Final = "others"
"""The key for all other layers in a table of rates."""
SPELL_OUT: Final = "`cnnframe train bouvrie --write-recipe FILE --spell-out` writes one, to be changed"
"""Where a person sees what a graph's tables look like."""


def read(path: str | os.PathLike[str]) -> Tables:
    """Read a recipe from a TOML file.

    Raises:
        RecipeError: it cannot be read, is no TOML, or has a table, key or value that recipes do not have; the message names it.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise RecipeError(f"{path} is no recipe: it has more than {_LONGEST:,} bytes")
        tables = tomllib.loads(data.decode())
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}; name a recipe, or a network of the box") from None
    except RecursionError:
        raise RecipeError(f"{path} is no recipe: it nests deeper than can be read") from None
    except ValueError as error:
        raise RecipeError(f"{path} is no TOML: {error}") from None
    return checked(tables, str(path))


def checked(tables: Mapping[str, Any], who: str = "the recipe") -> Tables:
    """Return tables that have only keys that recipes have, with values of their kinds.

    Raises:
        RecipeError: with the nearest known name, or what was wanted.
    """
    for name, table in tables.items():
        if name not in KEYS and name != "network":
            raise RecipeError(f"{who} has no table [{name}]; {nearest(name, ['network', *KEYS])}")
        if not isinstance(table, Mapping):
            raise RecipeError(f"{who}: {name} must be a table; got {table!r:.60}")
        known = _known(name, table)
        if name == "network":
            _one_kind(table, who)
        for key, value in table.items():
            if key in known:
                kind, wanted = known[key]
                if not _fits(value, kind, wanted):
                    raise RecipeError(f"{who}: [{name}] {key} must be {wanted}; got {value!r:.60}")
            elif name not in _OPEN:
                near = nearest(key, [each for each in known if each != "format"])
                hint = f"; for a network of one's own, {SPELL_OUT}" if name == "network" and not near.startswith("did") else ""
                raise RecipeError(f"{who}: [{name}] has no key {key!r}; {near}{hint}")
    return copy.deepcopy(dict(tables))


def _known(name: str, table: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    if name != "network":
        return KEYS[name]
    anything: tuple[Any, str] = (object, "")
    return dict.fromkeys(GRAPH, anything) if "nodes" in table else NETWORK


def _one_kind(table: Mapping[str, Any], who: str) -> None:
    """Refuse [network] with a part of a network of the box, and a part of a graph.

    Raises:
        RecipeError: it has both.
    """
    box, graph = [key for key in table if key in NETWORK], [key for key in table if key in GRAPH]
    if box and graph:
        raise RecipeError(f"{who}: [network] {box[0]} is for a network of the box, and {graph[0]} for a graph of one's own; keep one kind")
    if graph and "nodes" not in table:
        raise RecipeError(f"{who}: [network] has {graph[0]} and no nodes, a table [network.nodes.NAME] for each; {SPELL_OUT}")


def _fits(value: Any, kind: type, wanted: str) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= int(wanted[-1])
    return isinstance(value, kind)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tables:
    """Put one recipe over another: what the upper one says counts, key by key.

    A network by another name, another optimizer, another source of data, and a rate replace what is below as a whole; the rate below stays that of
    the layers that a table of rates does not name.
    """
    made = copy.deepcopy(dict(below))
    for name, table in above.items():
        old = made.get(name, {})
        if name == "data" and ("source" in table or "folder" in table):
            old = {key: value for key, value in old.items() if key not in ("source", "folder")}
        if name == "training" and _by_layer(table.get("rate")) and "rate" in old:
            below = old["rate"] if _by_layer(old["rate"]) else {OTHERS: old["rate"]}
            table = {**table, "rate": {**below, **table["rate"]}}  # noqa: PLW2901 # the same table, with the rates of the other layers
        replaces = "nodes" in table or "nodes" in old if name == "network" else name == "optimizer" and table.get("name", old.get("name")) != old.get("name")
        made[name] = copy.deepcopy(dict(table)) if replaces else {**old, **copy.deepcopy(dict(table))}
    return made


def _by_layer(rate: Any) -> bool:
    """Whether a rate is a table of rates by layer."""
    return isinstance(rate, Mapping) and "schedule" not in rate


def to_toml(tables: Mapping[str, Any], note: str = "") -> str:
    """Write a recipe as a text that `read` reads.

    Raises:
        GraphError: a name is not Unicode, which TOML is.
    """
    import tomlkit

    document = tomlkit.document()
    for line in note.splitlines():
        document.add(tomlkit.comment(line))
    for name in ["network", *KEYS]:
        if not tables.get(name):
            continue
        if name == "network" and "nodes" in tables[name]:
            document.add(name, _toml.laid_out_graph(tables[name]))
            continue
        table = tomlkit.table()
        for key, value in tables[name].items():
            if value is not None:
                table.add(key, _inline(value) if isinstance(value, Mapping) else tomlkit.item(value))
        document.add(name, table)
    return tomlkit.dumps(document)


def _inline(value: Mapping[str, Any]) -> Any:
    import tomlkit

    made = tomlkit.inline_table()
    for key, each in value.items():
        made.add(key, _inline(each) if isinstance(each, Mapping) else each)
    return made


def graph_tables(graph: Graph) -> Tables:
    """A whole graph as the table [network]."""
    return _toml.to_tables(graph)
