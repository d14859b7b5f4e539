"""From the tables of a recipe to what trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _toml, networks
from .._errors import CnnframeError, RecipeError, nearest
from .._graph import Graph
from .._hyper import hyperparameters
from .._optimizer import Optimizer
from .._registry import Registry
from ..data import SCALINGS, Distortion
from ..targets import CODINGS
from ..training import Decay, StepTable, Trainer
from ._data import Loaded, load_examples
from ._rates import every_layer
from ._tables import RULES, SPELL_OUT, Tables, checked, graph_tables, merged
from ._usual import usual, usual_for


@dataclass(frozen=True)
class Job:
    """A training that is ready to begin.

    Attributes:
        tables: the whole recipe, with nothing left out.
        trainer: the network and how it is trained.
        epochs: passes over the training examples.
        name: the network's name; "network" for a graph of one's own.
    """

    tables: Tables
    trainer: Trainer
    epochs: int
    name: str

    @classmethod
    def make(cls, tables: Mapping[str, Any], registry: Registry) -> Job:
        """Build what a recipe describes; what it leaves out is as usual.

        Raises:
            RecipeError: a table or key that recipes do not have, or a value of another kind.
            UnknownNameError: a network, loss, operation or optimizer that nothing answers to.
            HyperparameterError: a number out of its bounds.
        """
        given = checked(tables)
        network = given.get("network", {})
        if "nodes" in network:
            graph = _toml.from_tables({"format": 1, **network}, registry, "network")
            if not graph.losses:
                raise RecipeError("[network] has no loss, so that it cannot be trained; add a node with a loss")
            name, whole = "network", merged(usual_for(graph), given)
        elif "name" in network:
            name = network["name"]
            whole = merged(usual(name, network.get("loss")), given)
            build = networks.network(name).build
            try:
                graph = build(registry, whole["network"]["loss"], **whole["network"].get("options", {}))
            except TypeError as error:
                raise RecipeError(f"[network] options do not fit {name}: {error}") from None
        else:
            named = f"[network] with a name, one of {', '.join(networks.NETWORKS)}, or with the tables of a graph"
            raise RecipeError(f"a recipe needs a network: {named}; {SPELL_OUT}")
        whole["training"]["rate"] = every_layer(whole["training"]["rate"], graph)
        return cls(whole, _trainer(whole, graph, registry), whole["training"]["epochs"], name)

    def spelled_out(self) -> Tables:
        """The recipe with the network node by node; it trains the same."""
        return {**self.tables, "network": graph_tables(self.trainer.graph)}

    def examples(self) -> Loaded:
        """Load the examples.

        Raises:
            RecipeError: no data are named.
            DataError: they are damaged, or do not fit the network.
        """
        return load_examples(self.tables["data"], self.trainer.graph, self.trainer.dtype, self.name)


def _trainer(tables: Tables, graph: Graph, registry: Registry) -> Trainer:
    training, data = tables["training"], tables["data"]
    for key, known in (("scaling", SCALINGS), ("coding", tuple(CODINGS))):
        if data[key] not in known:
            raise RecipeError(f"[data] {key} must be one of {', '.join(known)}; got {data[key]!r}")
    names = ("batch_size", "reduction", "order", "seed", "dtype", "threads")
    initial = {name: _initialiser(name, table) for name, table in tables.get("initial", {}).items()}
    augment = Distortion(**tables["distortion"]) if "distortion" in tables else None
    given = {name: training[name] for name in names if name in training}
    return Trainer(graph, _optimizer(tables["optimizer"], registry), _rate(training["rate"]), initial=initial, augment=augment, **given)


def _optimizer(table: Mapping[str, Any], registry: Registry) -> Optimizer:
    given = dict(table)
    name = given.pop("name")
    known = [each for each in registry if registry.entry(each).kind == "optimizers"]
    if name not in known:
        raise RecipeError(f"[optimizer] no optimizer is called {name!r}; {nearest(name, known)}")
    for key in given:
        if key not in hyperparameters(registry[name]):
            raise RecipeError(f"[optimizer] {name} has no {key!r}; {nearest(key, [*hyperparameters(registry[name])])}")
    made: Optimizer = registry.make(name, **given)
    return made


def _rate(value: Any) -> Any:
    """A rate, or a schedule, from a number or a table.

    Raises:
        RecipeError: the table is neither rates by layer nor a schedule.
        HyperparameterError: a rate is negative or not finite.
    """
    where = "[training] rate"
    if not isinstance(value, Mapping):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise RecipeError(f"{where} must be greater than 0 and finite, or a table; got {value!r:.60}")
        return float(value)
    if "schedule" not in value:
        return dict(value)
    given = {key: each for key, each in value.items() if key != "schedule"}
    kinds = {"decay": (Decay, {"rate", "factor", "every"}), "steps": (StepTable, {"steps"})}
    if value["schedule"] not in kinds:
        raise RecipeError(f"{where}: schedule must be one of {', '.join(kinds)}; got {value['schedule']!r}")
    kind, keys = kinds[value["schedule"]]
    for key in given:
        if key not in keys:
            raise RecipeError(f"{where}: the schedule {value['schedule']!r} has no key {key!r}; {nearest(key, keys)}")
    try:
        return kind(**given)
    except TypeError:
        raise RecipeError(
            f"{where}: the schedule {value['schedule']!r} needs {', '.join(sorted(keys - {'every'}))}; got {', '.join(given) or 'nothing'}"
        ) from None
    except CnnframeError as error:
        raise type(error)(f"{where}: {error}") from None


def _initialiser(name: str, table: Any) -> Any:
    where = f"[initial] {name}"
    if not isinstance(table, Mapping) or table.get("rule") not in RULES:
        raise RecipeError(f'{where} must be a table with a rule, one of {", ".join(RULES)}, such as {{rule = "constant", value = 0.25}}; got {table!r:.60}')
    numbers = {key: value for key, value in table.items() if key != "rule"}
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value) for value in numbers.values()):
        raise RecipeError(f"{where}: the numbers of a rule must be finite; got {numbers!r:.60}")
    try:
        return RULES[table["rule"]](**numbers)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from None
