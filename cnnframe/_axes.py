"""Axis expressions: one string says what shapes an array may have.

    axes   := axis*                            separated by blanks
    axis   := "..." | "{" expr "}" | expr
    expr   := term (("+" | "-") term)*
    term   := factor (("*" | "//") factor)*
    factor := integer | name | "(" expr ")" | "-" factor

`"n i size*p"` reads: a batch of n, i maps, and an axis that is a multiple of the hyperparameter
`size`. A name that is no hyperparameter is a *letter*: it stands for any size, the same one wherever it
occurs. `{h}` is repeated for each spatial dimension, with letters `h0`, `h1`, ... and the matching
component of hyperparameters that have one value an axis. `...` is any number of axes of any size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ._errors import DeclarationError, ShapeError

Shape = tuple[int, ...]

BATCH: Final = "n"
"""The letter of the batch axis, the one letter that may be zero."""

ELLIPSIS: Final = "..."
LONGEST: Final = 200
"""Characters in an axes string; more would only nest deeper than Python reads."""
_CLOSING: Final = {"(": ")", "{": "}"}
_TOKEN: Final = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(//|[-+*()]))")


@dataclass(frozen=True, slots=True)
class Expr:
    """A node of an expression: `op` is an operator, "name" or "integer"."""

    op: str
    args: tuple[Any, ...]

    def names(self) -> frozenset[str]:
        """The hyperparameters and letters that occur."""
        if self.op == "name":
            return frozenset(self.args)
        return frozenset().union(*(a.names() for a in self.args if isinstance(a, Expr)))

    def __call__(self, known: Mapping[str, Any]) -> Any:
        """The value, for numbers as for symbols."""
        if self.op == "integer":
            return self.args[0]
        if self.op == "name":
            return known[self.args[0]]
        left, right = (a(known) for a in self.args)
        match self.op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case _:
                return left // right

    def rename(self, suffix: str, keep: frozenset[str]) -> Expr:
        """Put `suffix` behind every name that is not in `keep`."""
        if self.op == "name":
            return self if self.args[0] in keep else Expr("name", (self.args[0] + suffix,))
        return Expr(self.op, tuple(a.rename(suffix, keep) if isinstance(a, Expr) else a for a in self.args))

    def __str__(self) -> str:
        if self.op in ("integer", "name"):
            return str(self.args[0])
        left, right = self.args
        if self.op == "-" and left == Expr("integer", (0,)):
            return f"-{_wrapped(right)}"
        if self.op in ("+", "-"):
            return f"{left} {self.op} {_wrapped(right) if self.op == '-' else right}"
        after = f"({right})" if self.op == "//" and right.op == "*" else _wrapped(right)
        return f"{_wrapped(left)}{self.op}{after}"


def _wrapped(expr: Expr) -> str:
    return f"({expr})" if expr.op in "+-" or expr.op == "//" else str(expr)


@dataclass(frozen=True, slots=True)
class Axis:
    """One item of an axes string; `expr` is None for `...`."""

    expr: Expr | None
    repeated: bool = False


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            found = _TOKEN.match(stripped, position)
            if not found:
                raise DeclarationError(f"axis {text!r}: {stripped[position:].split()[0]!r} is not part of the grammar of axes")
            self.tokens.append(found.group().strip())
            position = found.end()

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def expr(self) -> Expr:
        left = self.term()
        while self.peek() in ("+", "-"):
            left = Expr(self.tokens.pop(0), (left, self.term()))
        return left

    def term(self) -> Expr:
        left = self.factor()
        while self.peek() in ("*", "//"):
            left = Expr(self.tokens.pop(0), (left, self.factor()))
        return left

    def factor(self) -> Expr:
        part = self.tokens.pop(0) if self.tokens else ""
        if part == "-":
            return Expr("-", (Expr("integer", (0,)), self.factor()))
        if part == "(":
            inner = self.expr()
            if not self.tokens or self.tokens.pop(0) != ")":
                raise DeclarationError(f"axis {self.text!r}: a parenthesis is not closed")
            return inner
        if part.isdigit():
            return Expr("integer", (int(part),))
        if part and (part[0].isalpha() or part[0] == "_"):
            return Expr("name", (part,))
        where = f" before {part!r}" if part else " at the end"
        raise DeclarationError(f"axis {self.text!r}: a size or a name is missing{where}; an expression with blanks needs parentheses")


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Axis, ...]:
    """Read an axes string.

    Raises:
        DeclarationError: the string is not in the grammar above.
    """
    if len(text) > LONGEST:
        raise DeclarationError(f"axes {text[:20]!r}...: {len(text)} characters are too many; at most {LONGEST}")
    axes = []
    for item in _split(text):
        repeated = item.startswith("{")
        if item == ELLIPSIS:
            axes.append(Axis(None))
            continue
        parser = _Parser(item[1:-1] if repeated else item)
        axes.append(Axis(parser.expr(), repeated))
        if parser.tokens:
            raise DeclarationError(f"axis {item!r}: {parser.tokens[0]!r} is not expected there")
    if sum(axis.expr is None for axis in axes) > 1:
        raise DeclarationError(f"axes {text!r}: '...' may stand once")
    return tuple(axes)


def _split(text: str) -> list[str]:
    """Split at blanks that are inside no bracket."""
    items: list[str] = []
    expected: list[str] = []
    start = 0
    for position, char in enumerate(text + " "):
        if char in _CLOSING:
            expected.append(_CLOSING[char])
        elif char in _CLOSING.values() and (not expected or expected.pop() != char):
            raise DeclarationError(f"axes {text!r}: a bracket is closed that was not opened")
        if char.isspace() and not expected:
            if text[start:position].strip():
                items.append(text[start:position].strip())
            start = position
    if expected:
        raise DeclarationError(f"axes {text!r}: a bracket is not closed")
    return items


@lru_cache(maxsize=1024)
def expand(axes: tuple[Axis, ...], dims: int, scalars: frozenset[str]) -> tuple[Expr | None, ...]:
    """Repeat each `{...}` for `dims` spatial dimensions; names in `scalars` have one value for all of them."""
    flat: list[Expr | None] = []
    for axis in axes:
        if axis.repeated and axis.expr is not None:
            flat += [axis.expr.rename(str(d), scalars) for d in range(dims)]
        else:
            flat.append(axis.expr)
    return tuple(flat)


def render(axes: Sequence[Expr | None]) -> str:
    """The expanded axes as a person reads them."""
    return "(" + ", ".join(ELLIPSIS if axis is None else str(axis) for axis in axes) + ")"


def match(axes: Sequence[Expr | None], shape: Shape, known: dict[str, Any], who: str) -> bool:
    """Read `shape` against `axes`, adding the letters that it settles to `known`.

    Returns False when an axis holds two unsettled letters, or one that it does not settle (`h//2`, `h*h`): call
    again when others are settled.

    Raises:
        ShapeError: the shape does not fit; the message names the axis.
    """
    positions = list(range(len(shape)))
    if None in axes:
        cut = list(axes).index(None)
        tail = len(axes) - cut - 1
        if len(shape) < len(axes) - 1:
            raise ShapeError(f"{who} has axes {render(axes)}, at least {len(axes) - 1} of them; got shape {shape}")
        middle = shape[cut : len(shape) - tail]
        if known.setdefault(ELLIPSIS, middle) != middle:
            raise ShapeError(f"{who}: '...' must be {known[ELLIPSIS]} as in the arrays before it; got {middle}")
        axes, shape = [*axes[:cut], *axes[cut + 1 :]], shape[:cut] + shape[len(shape) - tail :]
        positions = [*positions[:cut], *positions[len(positions) - tail :]]
    if len(axes) != len(shape):
        raise ShapeError(f"{who} has axes {render(axes)}, that is {len(axes)} of them; got shape {shape}")
    settled = True
    for position, axis, got in zip(positions, axes, shape, strict=True):
        if axis is not None:
            settled &= _match_axis(axis, got, known, f"{who}: axis {position}")
    return settled


def _match_axis(axis: Expr, got: int, known: dict[str, Any], who: str) -> bool:
    names = axis.names()
    free = names - known.keys()
    if len(free) > 1:
        return False
    values = ", ".join(f"{name}={known[name]}" for name in sorted(names & known.keys()))
    where = f" (with {values})" if values else ""
    if not free:
        wanted = axis(known)
        if wanted != got:
            raise ShapeError(f"{who} must be {axis}{f' = {wanted}' if names else ''}{where}; got {got}")
        return True
    (letter,) = free
    low = 0 if letter == BATCH else 1
    try:
        at_zero, at_one, at_two = (axis({**known, letter: value}) for value in (0, 1, 2))
    except ZeroDivisionError:
        return False
    if at_one == at_zero or at_two - at_one != at_one - at_zero:
        return False
    value, rest = divmod(got - at_zero, at_one - at_zero)
    if rest or value < low:
        of = "" if axis.op == "name" else f"{axis} for an integer {letter} "
        raise ShapeError(f"{who} must be {of}>= {low}{where}; got {got}" if of else f"{who} must be at least {low}; got {got}")
    if axis({**known, letter: value}) != got:
        return False
    known[letter] = value
    return True


def shape_of(axes: Sequence[Expr | None], known: Mapping[str, Any], who: str) -> Shape:
    """The shape that `axes` have when every letter is known.

    Raises:
        ShapeError: an axis would be empty, as when a window is larger than its map.
    """
    sizes: list[int] = []
    for axis in axes:
        if axis is None:
            sizes += known[ELLIPSIS]
            continue
        size = axis(known)
        if size < (0 if axis == Expr("name", (BATCH,)) else 1):
            values = ", ".join(f"{name}={known[name]}" for name in sorted(axis.names()))
            raise ShapeError(f"{who}: axis {len(sizes)} would be {axis} = {size} (with {values}); the input is too small for this operation")
        sizes.append(size)
    return tuple(sizes)
