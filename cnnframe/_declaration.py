"""What an operation declares of its arrays, read and held against its methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from . import _axes
from ._axes import Expr
from ._errors import DeclarationError
from ._param import Param

AxesOf = dict[str, tuple[Expr | None, ...]]

VALUES: Final = "->"
"""Separates a constant's axes from the values it may hold: `n -> c` holds indices below c, `... -> [0, 1)` reals."""
UNIT_INTERVAL: Final = "[0, 1)"


@dataclass(frozen=True)
class Declaration:
    """The arrays of one operation with its hyperparameters filled in: name to expanded axes."""

    inputs: AxesOf
    params: AxesOf
    constants: AxesOf
    outputs: AxesOf
    values: Mapping[str, Expr | str | None]
    known: Mapping[str, Any]

    @cached_property
    def arguments(self) -> AxesOf:
        """All that `forward` takes, in order."""
        return {**self.inputs, **self.params, **self.constants}

    @cached_property
    def differentiable(self) -> AxesOf:
        """All that `backward` gives a gradient for, in order."""
        return {**self.inputs, **self.params}


def parse(axes: Any) -> tuple[tuple[_axes.Axis, ...], Expr | str | None]:
    """Read an axes string, or a parameter's, and what values a constant may hold.

    Raises:
        DeclarationError: the string is not in the grammar.
    """
    text = axes.axes if isinstance(axes, Param) else axes
    if not isinstance(text, str):
        raise DeclarationError(f"axes must be a string such as 'n i h w'; got {text!r}")
    text, arrow, values = text.partition(VALUES)
    values = values.strip()
    if not arrow or values == UNIT_INTERVAL:
        return _axes.parse(text), values or None
    bounds = _axes.parse(values)
    if len(bounds) != 1 or bounds[0].expr is None or bounds[0].repeated:
        raise DeclarationError(f"after {VALUES} comes {UNIT_INTERVAL} or one size that indices stay below; got {values!r}")
    return _axes.parse(text), bounds[0].expr


def check(cls: type, owner: Any) -> None:
    """Hold what `owner`, the class or one of its values, declares against the methods; a class's properties wait for a value.

    Raises:
        DeclarationError: a group is no mapping, an axes string is not in the grammar, or an argument has another name.
    """
    groups = {group: getattr(owner, group) for group in ("inputs", "params", "constants")}
    for group, declared in groups.items():
        if not isinstance(declared, (Mapping, property)):
            raise DeclarationError(f"{cls.__qualname__}.{group} must be a mapping of names to axes; got {declared!r}")
    if all(isinstance(declared, Mapping) for declared in groups.values()):
        names = [name for declared in groups.values() for name in declared]
        _check_names(cls, "forward", names, ["self"])
        _check_names(cls, "formula", names, ["self", "at"])
        _check_names(cls, "claims", names, ["self", "at", "dy"])
        _check_names(cls, "onnx", names, ["self", "build"])
    output = owner.output if isinstance(owner.output, (Mapping, property)) else {"": owner.output}
    for group, declared in {**groups, "output": output}.items():
        if isinstance(declared, Mapping):
            for name, axes in declared.items():
                try:
                    parse(axes)
                except DeclarationError as error:
                    where = f"{group}[{name!r}]" if name else group
                    raise DeclarationError(f"{cls.__qualname__}.{where}: {error}") from None


def _check_names(cls: type, method: str, names: list[str], before: list[str]) -> None:
    """Refuse a method whose arguments are not the declared names in their order.

    Raises:
        DeclarationError: they are not.
    """
    taken = _taken(getattr(cls, method))
    if taken is not None and list(taken) != [*before, *names]:
        got = ", ".join(taken[len(before) :])
        raise DeclarationError(f"{cls.__qualname__}.{method} takes ({got}); inputs, params and constants declare ({', '.join(names)})")


@lru_cache(maxsize=1024)
def _taken(method: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names of a method's arguments, or None if it takes any."""
    taken = inspect.signature(method).parameters
    return None if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()) else tuple(taken)
