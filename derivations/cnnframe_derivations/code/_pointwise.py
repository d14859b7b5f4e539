"""Scalar expressions as NumPy code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from ._pieces import CodeError

CALLS = {
    "exp": "np.exp",
    "log": "np.log",
    "tanh": "np.tanh",
    "sinh": "np.sinh",
    "cosh": "np.cosh",
    "sin": "np.sin",
    "cos": "np.cos",
    "atan": "np.arctan",
    "Logistic": "expit",
    "Abs": "np.abs",
    "sign": "np.sign",
}
RELATIONS = {
    sp.StrictGreaterThan: ">",
    sp.StrictLessThan: "<",
    sp.GreaterThan: ">=",
    sp.LessThan: "<=",
    sp.Equality: "==",
    sp.Unequality: "!=",
}
ADD, MULTIPLY, NEGATE, POWER, WHOLE = range(5)
Written = tuple[str, int]


class Pointwise:
    """Writes expressions in which symbols stand for arrays; what is computed twice gets a name from `let`."""

    def __init__(self, names: Mapping[Any, str], let: Callable[[str], str]) -> None:
        self.names = names
        self.let = let
        self.arrays: set[Any] = set()
        self.repeated: set[Any] = set()

    def text(self, e: Any, arrays: Mapping[Any, str], level: int = ADD) -> str:
        """Code for an expression, in brackets where it binds less than `level`."""
        known = {**self.names, **arrays}
        self.arrays |= set(arrays)
        calls = [part for part in sp.preorder_traversal(e) if isinstance(part, (sp.Function, sp.Piecewise)) and part.free_symbols & self.arrays]
        self.repeated |= {part for part in calls if calls.count(part) > 1}
        return self._at(e, known, level)

    def _at(self, e: Any, known: Mapping[Any, str], level: int) -> str:
        text, binds = self._write(e, known)
        return text if binds >= level else f"({text})"

    def _write(self, e: Any, known: Mapping[Any, str]) -> Written:
        if e in known:
            return known[e], WHOLE
        if e in self.repeated:
            text, _ = self._plain(e, known)
            return self.let(text), WHOLE
        return self._plain(e, known)

    def _plain(self, e: Any, known: Mapping[Any, str]) -> Written:
        if e.is_Number:
            return self._number(e)
        if e.is_Add:
            return self._sum(e, known)
        if e.is_Mul:
            return self._product(e, known)
        if e.is_Pow:
            return self._power(e.base, e.exp, known)
        if isinstance(e, sp.Piecewise):
            return self._choice(e, known)
        if isinstance(e, sp.logic.boolalg.Boolean):
            return self.condition(e, known), WHOLE
        name = type(e).__name__
        if name == "Softplus":
            return f"np.logaddexp(0, {self._at(e.args[0], known, ADD)})", WHOLE
        if name in CALLS:
            call = f"{CALLS[name]}({self._at(e.args[0], known, ADD)})"
            return call if e.free_symbols & self.arrays else f"float({call})", WHOLE
        if e.is_NumberSymbol:
            return repr(float(e)), WHOLE
        raise CodeError(f"{e} has no code")

    def _number(self, e: Any) -> Written:
        if e.is_Integer:
            return str(int(e)), WHOLE if e >= 0 else NEGATE
        value = float(e)
        exact = sp.Rational(value) == e or e.is_Float
        return (repr(value), WHOLE if value >= 0 else NEGATE) if exact else (f"{e.p} / {e.q}", MULTIPLY)

    def _sum(self, e: Any, known: Mapping[Any, str]) -> Written:
        squares = [part for part in e.args if part.is_Mul and len(part.args) == 2 and part.args[0] == -1 and part.args[1].is_Pow and part.args[1].exp == 2]
        if len(e.args) == 2 and sp.S.One in e.args and squares:
            # In factors: 1 - u^2 loses what u close to 1 has.
            u = self._at(squares[0].args[1].base, known, MULTIPLY + 1)
            return f"(1 - {u}) * (1 + {u})", MULTIPLY
        ordered = sorted(e.args, key=lambda part: (part.could_extract_minus_sign(), part.is_Number, sp.default_sort_key(part)))
        text = self._at(ordered[0], known, ADD)
        for part in ordered[1:]:
            minus = part.could_extract_minus_sign()
            text += f" {'-' if minus else '+'} {self._at(-part if minus else part, known, ADD + 1)}"
        return text, ADD

    def _product(self, e: Any, known: Mapping[Any, str]) -> Written:
        above, below, sign = [], [], ""
        for part in e.args:
            if part == -1:
                sign = "-"
            elif part.is_Pow and part.exp.is_Rational and part.exp < 0:
                below.append(self._at(part.base**-part.exp, known, POWER))
            elif part.is_Rational and not part.is_Integer and part.p in (1, -1):
                sign = "-" if part.p < 0 else sign
                below.append(str(part.q))
            else:
                above.append(self._at(part, known, MULTIPLY + 1))
        text = sign + " * ".join(above or ["1"])
        for part in below:
            text += f" / {part}"
        return text, MULTIPLY if not sign or len(above) + len(below) > 1 else NEGATE

    def _power(self, base: Any, exponent: Any, known: Mapping[Any, str]) -> Written:
        if exponent == -1:
            return f"1 / {self._at(base, known, POWER)}", MULTIPLY
        if not base.free_symbols & self.arrays and exponent.is_Rational and exponent > 0:
            # Python's numbers take the type of the arrays that they meet; what NumPy makes of them does not.
            whole = exponent.q == 1
            return f"{self._at(base, known, WHOLE)} ** {exponent if whole else float(exponent)}", POWER
        if exponent == sp.Rational(1, 2):
            return f"np.sqrt({self._at(base, known, ADD)})", WHOLE
        if exponent == 2:
            return f"np.square({self._at(base, known, ADD)})", WHOLE
        if exponent.is_Rational and exponent < 0:
            return f"1 / {self._at(base**-exponent, known, POWER)}", MULTIPLY
        if exponent.is_Rational and exponent.q == 2:
            return f"np.sqrt({self._at(base, known, ADD)}) ** {exponent.p}", POWER
        return f"{self._at(base, known, WHOLE)} ** {self._at(exponent, known, WHOLE)}", POWER

    def _choice(self, e: Any, known: Mapping[Any, str]) -> Written:
        (value, condition), *rest = e.args
        if condition in (True, sp.true):
            return self._branch(value, known), WHOLE
        otherwise = self._choice(sp.Tuple(*rest), known)[0] if rest else "np.nan"
        return f"np.where({self.condition(condition, known)}, {self._branch(value, known)}, {otherwise})", WHOLE

    def _branch(self, value: Any, known: Mapping[Any, str]) -> str:
        """A value without arrays gets the element type, which two such branches would not have."""
        text = self._at(value, known, ADD)
        return text if value.free_symbols & self.arrays else f"real({text})"

    def condition(self, c: Any, known: Mapping[Any, str]) -> str:
        """Code for a condition on values."""
        if isinstance(c, (sp.And, sp.Or)):
            join = " & " if isinstance(c, sp.And) else " | "
            return join.join(f"({self.condition(part, known)})" for part in sorted(c.args, key=sp.default_sort_key))
        if isinstance(c, sp.Not):
            return f"~({self.condition(c.args[0], known)})"
        for kind, sign in RELATIONS.items():
            if isinstance(c, kind):
                left, right = (self._at(sp.sympify(side), known, ADD) for side in c.args)
                return f"{left} {sign} {right}"
        raise CodeError(f"the condition {c} has no code")


def mask(template: Any) -> Any:
    """The condition of a factor that is 1 where it holds and 0 elsewhere, or None."""
    if isinstance(template, sp.Piecewise) and len(template.args) == 2:
        (value, condition), (other, rest) = template.args
        if (value, other) == (1, 0) and rest in (True, sp.true):
            return condition
    return None


def risky(template: Any) -> bool:
    """Whether a branch that is not taken may still warn."""
    branches = [value for part in template.atoms(sp.Piecewise) for value, _ in part.args]
    return any(value.has(sp.Function, sp.Pow) for value in branches)
