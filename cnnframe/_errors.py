"""Every error a user can meet, under one base.

A message says who, what was wanted, what came, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CnnframeError(Exception):
    """The base of all errors that this project raises on purpose."""


class DeclarationError(CnnframeError, TypeError):
    """A class breaks the contract of its kind: names, axes, hyperparameters or methods."""


class FormulaError(CnnframeError, ValueError):
    """A formula cannot be read, differentiated or evaluated."""


class PluginError(CnnframeError):
    """A plugin cannot be imported, misspells a hook, or offers what another one offers."""


class UnknownNameError(CnnframeError, LookupError):
    """A name that nothing answers to; the nearest known name is in the message."""


class HyperparameterError(CnnframeError, ValueError):
    """A hyperparameter outside its bounds."""


class ShapeError(CnnframeError, ValueError):
    """An array whose shape does not fit."""


class DTypeError(CnnframeError, TypeError):
    """An array whose element type does not fit."""


class ContractError(CnnframeError, TypeError):
    """The code of an operation returned what its declaration does not allow."""


class GraphError(CnnframeError, ValueError):
    """Nodes that do not make a graph: a cycle, a dangling name, a name used twice."""


class NonFiniteError(CnnframeError, ArithmeticError):
    """A NaN or an infinity, with the node that produced it first."""


class DataError(CnnframeError, ValueError):
    """Data that cannot be trained on."""


class MissingPackageError(CnnframeError, ImportError):
    """A package that an optional part of cnnframe needs is not installed; the message says how to install it."""


class ExportError(CnnframeError, ValueError):
    """A network that cannot be written in another format, or that the written file does not agree with."""


class RecipeError(CnnframeError, ValueError):
    """A recipe that cannot be read, or says what no recipe says."""


class RunError(CnnframeError, OSError):
    """A run's folder that cannot be written or is taken."""


MANY = 24
"""More names than that are not listed in a message."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, else all of them, or how many there are."""
    names = sorted(known)
    folded = {known_name.casefold(): known_name for known_name in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    if len(names) > MANY:
        return f"known are {len(names)}, from {names[0]} to {names[-1]}"
    return f"known: {', '.join(names)}" if names else "nothing is known"
