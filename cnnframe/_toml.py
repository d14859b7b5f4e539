"""A graph as a TOML text that people read and edit, and back.

    format = 1
    output = "dense1"

    [inputs]
    x = "n 1 16 16"
    t = "n 10"

    [nodes.conv1]
    op = "conv"
    inputs = {x = "x"}
    maps = 6
    size = 5

A node's table has the operation, where its arrays come from, and the hyperparameters; those that have their default are left
out, and so are parameter arrays under their usual name. `parameters = {k = "shared"}` names a shared one. A table of links is a list of rows,
`["XXO", "OXX"]`, or of rows of booleans. Each table of `[[penalties]]` is a regularizer, with `parameters = ["conv1.k"]` if it is not for all of its role.

Two forms are rare: `none = ["rate"]` lists hyperparameters that are `None` where that is not the default, and `hyperparameters = {op = 1}` holds those
that are called like a key of the table.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import _stored
from ._errors import CnnframeError, GraphError, HyperparameterError, UnknownNameError, nearest
from ._hyper import Hyperparameter, PerAxis, hyperparameters
from ._inputs import want
from ._links import as_plain
from ._op import Op

if TYPE_CHECKING:
    from ._graph import Graph
    from ._registry import Registry

_GRAPH: Final = ("format", "output", "inputs", "nodes", "penalties")
_NODE: Final = ("op", "inputs", "parameters", "hyperparameters", "none")
_USUAL: Final = _NODE[:3]
"""Those keys of a node's table that are not rare."""
_LONGEST: Final = 16 * 2**20
"""Bytes that are read of a file; no network that a person describes comes near."""


def to_tables(graph: Graph) -> dict[str, Any]:
    """The graph as tables of plain values that TOML can hold."""
    nodes = {}
    for node in graph.nodes:
        renamed = {name: array for name, array in node.parameters.items() if array != f"{node.name}.{name}"}
        nodes[node.name] = {"op": node.op.name, "inputs": dict(node.inputs), **({"parameters": renamed} if renamed else {}), **_said(node.op)}
    penalties = []
    for penalty in graph.penalties:
        named = {} if penalty.parameters is None else {"parameters": list(penalty.parameters)}
        penalties.append({"op": penalty.regularizer.name, **named, **_said(penalty.regularizer)})
    tables = {"format": _stored.FORMAT, "output": graph.output, "inputs": dict(graph.inputs), "nodes": nodes}
    return {**tables, "penalties": penalties} if penalties else tables


def _said(op: Op) -> dict[str, Any]:
    """The hyperparameters that differ from their defaults, as keys of the operation's table."""
    said: dict[str, Any] = {}
    for name, hyper in hyperparameters(type(op)).items():
        value = getattr(op, name)
        if _is_default(hyper, value, op):
            continue
        if value is None:
            said.setdefault("none", []).append(name)
        elif name in _NODE:
            said.setdefault("hyperparameters", {})[name] = _short(hyper, value)
        else:
            said[name] = _short(hyper, value)
    return said


def _is_default(hyper: Hyperparameter, value: Any, op: Op) -> bool:
    if hyper.required:
        return False
    try:
        usual = hyper.settle(hyper.default, {name: getattr(op, name) for name in hyperparameters(type(op))}, op.name)
    except HyperparameterError:  # no multiple of what another hyperparameter is here
        return False
    # By their text, because -0.0 equals 0.0.
    return repr(usual) == repr(value)


def _short(hyper: Hyperparameter, value: Any) -> Any:
    """The same number on every axis as one number."""
    return value[0] if hyper.kind is PerAxis and value and len(set(value)) == 1 else as_plain(value)


def to_toml(graph: Graph) -> str:
    """Write the graph, a table for each node.

    Raises:
        GraphError: a name or a string is not Unicode, which TOML is.
    """
    import tomlkit

    document = tomlkit.document()
    _lay_out(document, to_tables(graph))
    text = tomlkit.dumps(document)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise GraphError(f"the graph cannot be written as TOML: {error.object[error.start]!r} is no Unicode character; rename what holds it") from None
    return text


def laid_out_graph(tables: Mapping[str, Any]) -> Any:
    """The tables of a graph as one table of a larger document."""
    import tomlkit

    made = tomlkit.table()
    _lay_out(made, tables)
    return made


def _lay_out(document: Any, tables: Mapping[str, Any]) -> None:
    import tomlkit

    for key in ("format", "output", "inputs"):
        if key in tables:
            document.add(key, tomlkit.item(tables[key]))
    nodes = tomlkit.table(is_super_table=True)
    for name, table in tables["nodes"].items():
        nodes.add(name, _laid_out(table))
    document.add("nodes", nodes)
    if "penalties" in tables:
        penalties = tomlkit.aot()
        for table in tables["penalties"]:
            penalties.append(_laid_out(table))
        document.add("penalties", penalties)


def _laid_out(table: Mapping[str, Any]) -> Any:
    """Tables within a node's on one line, a table of links on a line for each map."""
    import tomlkit

    made = tomlkit.table()
    for key, value in table.items():
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            made.add(key, inline)
        elif isinstance(value, list):
            rows = tomlkit.array()
            rows.extend(value)
            made.add(key, rows.multiline(key not in _NODE and bool(value) and isinstance(value[0], str)))
        else:
            made.add(key, tomlkit.item(value))
    return made


def from_toml(source: str | os.PathLike[str] | Mapping[str, Any], registry: Registry) -> Graph:
    """Rebuild a graph from a text, the file at a path, or tables that were read before.

    Raises:
        GraphError: the file cannot be read, is no TOML, or lacks what a graph needs; the message names table and key.
        UnknownNameError: an operation, key or name that nothing answers to.
    """
    from ._registry import Registry

    want(registry, Registry, "from_toml: registry", "a Registry, such as cnnframe.load()")
    if isinstance(source, Mapping):
        return from_tables(source, registry)
    if isinstance(source, str) and "\n" in source:
        return from_tables(_parsed(source, "the text"), registry)
    if not isinstance(source, (str, os.PathLike)):
        raise GraphError(f"from_toml: a text, a path or tables are wanted; got {type(source).__name__}")
    tables = _parsed(_read(Path(source)), str(source))
    try:
        return from_tables(tables, registry)
    except CnnframeError as error:
        raise type(error)(f"{source}: {error}") from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GraphError(f"{path} cannot be read: {reason}; name a file, or give the text itself, which has more than one line") from None
    if len(data) > _LONGEST:
        raise GraphError(f"{path} is no graph: it has more than {_LONGEST:,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GraphError(f"{path} is no TOML: byte {error.start} is not UTF-8") from None


def _parsed(text: str, who: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise GraphError(f"{who} is no TOML: {error}") from None
    except RecursionError:
        raise GraphError(f"{who} is no graph: it nests deeper than can be read") from None


def from_tables(tables: Mapping[str, Any], registry: Registry, within: str = "") -> Graph:
    """Rebuild a graph from the tables that `to_tables` makes, or that a person wrote; `within` is the table of a larger document that holds them.

    Raises:
        GraphError: something is missing or of the wrong kind; the message names table and key.
        UnknownNameError: an operation, key or name that nothing answers to.
    """
    from ._graph import Graph, Node, Penalty

    where, prefix = (f"[{within}]", f"{within}.") if within else ("a stored graph", "")
    _known(tables, _GRAPH, where)
    if tables.get("format") != _stored.FORMAT or isinstance(tables["format"], bool):
        came = f"format = {tables['format']!r}" if "format" in tables else f"no key 'format', but {', '.join(map(str, tables)) or 'nothing'}"
        raise GraphError(f"{where} begins with format = {_stored.FORMAT}; got {came}")
    inputs = _texts(_entry(tables, "inputs", dict, where, wanted='a table of names with their axes, such as x = "n 1 16 16"'), f"[{prefix}inputs]")
    listed: list[Node] = []
    for name, table in _entry(tables, "nodes", dict, where, wanted=f"a table for each node, such as [{prefix}nodes.conv1]").items():
        at = f"[{prefix}nodes.{name}]"
        op = _made(table, registry, at)
        sources = _texts(_entry(table, "inputs", dict, at, wanted='a table such as {x = "conv1"}'), f"{at} key 'inputs'")
        arrays = _texts(_entry(table, "parameters", dict, at, {}), f"{at} key 'parameters'")
        listed.append(_under(at, Node, name, op, sources, arrays))
    penalties: list[Penalty] = []
    for number, table in enumerate(_entry(tables, "penalties", list, where, []), 1):
        at = f"[[{prefix}penalties]] number {number}"
        regularizer = _made(table, registry, at)
        if "inputs" in table:
            raise GraphError(f"{at}: a penalty has no key 'inputs'; name the arrays that it is for as parameters")
        named = _entry(table, "parameters", list, at, None)
        penalties.append(_under(at, Penalty, regularizer, None if named is None else tuple(named)))
    return Graph(tuple(listed), inputs, _entry(tables, "output", str, where, ""), tuple(penalties))


_MISSING: Final = object()
_KINDS: Final[dict[type, str]] = {dict: "a table", list: "a list", str: "a string"}


def _entry(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any = _MISSING, wanted: str = "") -> Any:
    value = table.get(key, default)
    if value is _MISSING:
        raise GraphError(f"{where} lacks the key {key!r}, which is {wanted or _KINDS[kind]}")
    if value is not default and not isinstance(value, kind):
        raise GraphError(f"{where} key {key!r} must be {wanted or _KINDS[kind]}; got {value!r:.80}")
    return value


def _texts(table: Mapping[str, Any], where: str) -> dict[str, str]:
    for key, value in table.items():
        if not isinstance(value, str):
            raise GraphError(f"{where}: {key!r} must be a string; got {value!r:.80}")
    return dict(table)


def _known(table: Any, keys: Iterable[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise UnknownNameError(f"{where} has no key {key!r}; {nearest(str(key), keys)}")


def _made(table: Any, registry: Registry, where: str) -> Any:
    """The operation that a table describes."""
    if not isinstance(table, Mapping):
        raise GraphError(f"{where} must be a table with the key 'op'; got {table!r:.80}")
    name = _entry(table, "op", str, where)
    if name not in registry.operations():
        raise UnknownNameError(f"{where} key 'op': no operation is registered as {name!r}; {nearest(name, registry.operations())}")
    held = _entry(table, "hyperparameters", dict, where, {})
    flat = {key: value for key, value in table.items() if key not in _NODE}
    unset = dict.fromkeys(map(str, _entry(table, "none", list, where, [])))
    twice = sorted((flat.keys() & held.keys()) | (flat.keys() & unset.keys()) | (held.keys() & unset.keys()))
    if twice:
        raise GraphError(f"{where}: hyperparameter {twice[0]!r} is given twice; keep one")
    given = {**flat, **held, **unset}
    known = hyperparameters(registry[name])
    for key in given:
        if key not in known:
            words = [*known, *(() if key in held else _USUAL)]
            raise UnknownNameError(f"{where}: {name} has no hyperparameter {key!r}; {nearest(key, words)}")
    return _under(where, _stored.make, name, given, registry)


def _under(where: str, make: Any, *arguments: Any) -> Any:
    """What `make` returns; an error says in which table it arose."""
    try:
        return make(*arguments)
    except CnnframeError as error:
        raise type(error)(f"{where}: {error}") from None
