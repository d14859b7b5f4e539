"""Options of the command line, put over a recipe."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from .. import networks, recipes
from .._errors import RecipeError, UnknownNameError, nearest


def base(named: str, loss: str | None) -> dict[str, Any]:
    """The recipe that is named: a file, or a network of the box; with another loss than the file's, what belonged to that loss is as usual again.

    Raises:
        RecipeError: a file cannot be read, or has a graph and no loss to be chosen.
        UnknownNameError: neither a file nor a network.
    """
    path = Path(named)
    if path.suffix != ".toml" and not path.is_file():
        if named not in networks.NETWORKS:
            raise UnknownNameError(f"no network is called {named!r}; {nearest(named, networks.NETWORKS)}; or name a file, such as recipe.toml")
        return {"network": {"name": named, **({"loss": loss} if loss else {})}}
    tables = recipes.read(path)
    network = tables.get("network", {})
    if loss is None or network.get("loss") == loss:
        return tables
    if "nodes" in network:
        raise RecipeError(f"--loss: {path} holds a whole graph, with its loss; change the graph")
    tables["network"] = {**network, "loss": loss}
    tables.pop("initial", None)
    tables.get("data", {}).pop("coding", None)
    return tables


def override(
    tables: Mapping[str, Any],
    *,
    epochs: int | None,
    batch_size: int | None,
    rate: float | None,
    momentum: float | None,
    optimizer: str | None,
    seed: int | None,
    data: str | None,
    settings: list[str],
) -> dict[str, Any]:
    """Put options over a recipe.

    Raises:
        RecipeError: an option is no setting of a recipe.
    """
    made = recipes.merged(tables, _settings(settings))
    training = {name: value for name, value in (("epochs", epochs), ("batch_size", batch_size), ("seed", seed)) if value is not None}
    if rate is not None or batch_size is not None:
        training["rate"] = _rate(made, rate, batch_size)
    above: dict[str, Any] = {"training": {key: value for key, value in training.items() if value is not None}}
    if optimizer is not None or momentum is not None:
        above["optimizer"] = {**({"name": optimizer} if optimizer else {}), **({} if momentum is None else {"momentum": momentum})}
    if data is not None:
        above["data"] = {"source": "digits"} if data == "digits" else {"source": "idx", "folder": data}
    return recipes.merged(made, above)


def _rate(tables: Mapping[str, Any], rate: float | None, batch_size: int | None) -> Any:
    """The recipe's rate with another one at its beginning; without one, shrunk in proportion to a smaller batch."""
    network = tables.get("network", {})
    usual = recipes.usual(network["name"], network.get("loss"))["training"] if "name" in network else {"rate": 0.01, "batch_size": 16}
    training = recipes.merged({"training": usual}, {"training": tables.get("training", {})})["training"]
    before, size = training["rate"], training["batch_size"]
    if rate is not None:
        return {**before, "rate": rate} if isinstance(before, Mapping) and before.get("schedule") == "decay" else rate
    if batch_size is None or batch_size >= size or training.get("reduction") == "sum":
        return None
    return _scaled(before, batch_size / size)


def _scaled(rate: Any, factor: float) -> Any:
    if isinstance(rate, Mapping):
        kept = ("schedule", "factor", "every")
        return {key: value if key in kept else _scaled(value, factor) for key, value in rate.items()}
    if isinstance(rate, list):
        return [[epochs, _scaled(each, factor)] for epochs, each in rate]
    return rate * factor


def _settings(texts: list[str]) -> dict[str, Any]:
    """Tables from texts such as training.order="fixed"; quotes around a plain word may be left out."""
    made: dict[str, Any] = {}
    for text in texts:
        key, found, value = text.partition("=")
        table, dot, name = key.strip().partition(".")
        if not (found and dot and name):
            raise typer.BadParameter(f"{text!r} is not TABLE.KEY=VALUE, such as training.order=fixed", param_hint="--set")
        try:
            parsed = tomllib.loads(f"value = {value.strip()}")["value"]
        except ValueError:
            parsed = value.strip()
        made.setdefault(table, {})[name.strip('"')] = parsed
    return recipes.checked(made, "--set")
