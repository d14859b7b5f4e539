"""An activation's declared expression as ONNX nodes."""

from __future__ import annotations

from functools import reduce
from typing import Any, Final

from .._errors import ExportError
from ._builder import Builder, Value

FUNCTIONS: Final = {
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "erf": "Erf",
    "sign": "Sign",
    "Abs": "Abs",
    "Logistic": "Sigmoid",
    "Softplus": "Softplus",
    "Not": "Not",
    "StrictGreaterThan": "Greater",
    "GreaterThan": "GreaterOrEqual",
    "StrictLessThan": "Less",
    "LessThan": "LessOrEqual",
    "Equality": "Equal",
}
"""One node for each; arguments in SymPy's order are operands in ONNX's."""

FOLDED: Final = {"Add": "Add", "Max": "Max", "Min": "Min", "And": "And", "Or": "Or"}
"""Functions of any number of arguments, two at a time."""


def said(build: Builder, expr: Any, x: Value) -> Value:
    """The nodes of a function of one scalar, entry by entry.

    Args:
        build: what collects the nodes.
        expr: the function, as an `Activation` declares it.
        x: the operand.

    Raises:
        ExportError: the expression holds something that ONNX has no operator for.
    """
    import sympy as sp

    symbol = sp.Symbol("x", real=True)
    found = _said(build, sp.sympify(expr(symbol)), x, {})
    if isinstance(found, Value):
        return found
    # A constant has no axes; the operand has them.
    constant: Value = build.node("Add", build.node("Mul", x, 0.0), found)
    return constant


def _said(build: Builder, e: Any, x: Value, done: dict[Any, Any]) -> Any:
    """The value of a part, or a number if it does not depend on x; a part that occurs twice is computed once."""
    if e not in done:
        done[e] = _number(e) if not e.free_symbols else x if e.is_Symbol else _node(build, e, x, done)
    return done[e]


def _number(e: Any) -> Any:
    import sympy as sp

    if e in (sp.true, sp.false):
        return bool(e)
    try:
        return float(e)
    except TypeError:
        raise ExportError(f"its expression holds {e}, which is no real number") from None


def _node(build: Builder, e: Any, x: Value, done: dict[Any, Any]) -> Any:
    kind = type(e).__name__
    if kind == "Piecewise":
        *branches, (otherwise, condition) = e.args
        found = _said(build, otherwise, x, done)
        if condition is not True and condition != True:  # noqa: E712 # SymPy's true is not Python's
            raise ExportError(f"its expression has no last branch: {e}")
        for value, condition in reversed(branches):
            found = build.node("Where", _said(build, condition, x, done), _said(build, value, x, done), found)
        return found
    if kind == "Pow":
        return _power(build, e, x, done)
    if kind == "Mul":
        return _product(build, e, x, done)
    if kind == "Unequality":
        return build.node("Not", build.node("Equal", *(_said(build, arg, x, done) for arg in e.args)))
    if kind in FOLDED:
        return reduce(lambda left, right: build.node(FOLDED[kind], left, right), [_said(build, arg, x, done) for arg in e.args])
    if kind in FUNCTIONS:
        return build.node(FUNCTIONS[kind], *(_said(build, arg, x, done) for arg in e.args))
    raise ExportError(f"ONNX has no operator for {kind} in its expression {e}; write an `onnx` method")


def _product(build: Builder, e: Any, x: Value, done: dict[Any, Any]) -> Any:
    """The numerators' product, over the denominators' if there are any: SymPy knows no quotients."""
    below = [arg for arg in e.args if arg.is_Pow and arg.exp == -1 and arg.free_symbols]
    above = [_said(build, arg, x, done) for arg in e.args if arg not in below]
    numbers = [factor for factor in above if not isinstance(factor, Value) and factor != 1]
    values = [factor for factor in above if isinstance(factor, Value)]
    turned = numbers == [-1.0] and bool(values)
    found = build.node("Neg", _multiplied(build, values)) if turned else _multiplied(build, [*numbers, *values])
    if not below:
        return found
    return build.node("Div", found, _multiplied(build, [_said(build, arg.base, x, done) for arg in below]))


def _multiplied(build: Builder, factors: list[Any]) -> Any:
    return reduce(lambda left, right: build.node("Mul", left, right), factors) if factors else 1.0


def _power(build: Builder, e: Any, x: Value, done: dict[Any, Any]) -> Any:
    base = _said(build, e.base, x, done)
    if e.exp == -1:
        return build.node("Reciprocal", base)
    if e.exp == 2:
        return build.node("Mul", base, base)
    if 2 * e.exp == 1:
        return build.node("Sqrt", base)
    return build.node("Pow", base, _said(build, e.exp, x, done))
