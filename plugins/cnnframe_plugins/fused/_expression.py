"""From an activation's declared expression to vector source for its value and its derivative.

What can be said: sums, products, integer and half-integer powers, exp, tanh, log, the logistic function, softplus,
absolute value, sign, maximum, minimum, and branches on comparisons. Anything else is declined with a reason. A NaN
in gives a NaN out, whichever branch it would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from cnnframe import Activation

from . import _known

_CALLS: Final = {"exp": "v_exp", "tanh": "v_tanh", "log": "v_log", "Logistic": "v_logistic", "Softplus": "v_softplus", "Abs": "absolute"}
_COMPARISONS: Final = {"StrictGreaterThan": "gt", "GreaterThan": "ge", "StrictLessThan": "lt", "LessThan": "le", "Equality": "eq", "Unequality": "ne"}
_HIGHEST: Final = 16


class NotSaid(ValueError):
    """An expression has no vector source; the message says why."""


@dataclass(frozen=True)
class Source:
    """Vector source of an activation.

    Attributes:
        value: statements of a function of `x`, the last of which returns f(x).
        kept: statements of a function of `x`, which return what is kept of it for the derivative: x, or a part of f(x) that says all of it.
        derivative: statements of a function of what is kept, `x`, and of `y` that return f'(x).
        reads: what the derivative reads: "", "x", "y" or "xy".
        calls: the elementary functions that both call.
        identity: whether f(x) = x.
    """

    value: tuple[str, ...]
    kept: tuple[str, ...]
    derivative: tuple[str, ...]
    reads: str
    calls: frozenset[str]
    identity: bool = False

    def functions(self, name: str) -> str:
        """The definitions of `<name>`, `<name>_kept` and `<name>_slope`."""
        lines = ["", "@njit", f"def {name}(x):", *(f"    {line}" for line in self.value)]
        lines += ["", "", "@njit", f"def {name}_kept(x):", *(f"    {line}" for line in self.kept)]
        lines += ["", "", "@njit", f"def {name}_slope(x, y):", *(f"    {line}" for line in self.derivative), ""]
        return "\n".join(lines)


_sources: dict[tuple[Activation, str], Source | NotSaid] = {}


def activation_source(activation: Activation, dtype: str) -> Source:
    """Read an activation's `expr`, and its `derivative` where it states one.

    Raises:
        NotSaid: it holds something that has no vector source.
    """
    found = known_source(activation, dtype)
    if found is None:
        name, _ = _known.recall(activation, dtype)
        try:
            found = _read(activation, dtype)
        except NotSaid as error:
            _sources[activation, dtype] = error
            raise
        _sources[activation, dtype] = found
        if name is not None:
            _known.keep(name, {**asdict(found), "calls": sorted(found.calls)})
    return found


def known_source(activation: Activation, dtype: str) -> Source | None:
    """The same where it has been read before, by this process or another; None where SymPy is needed to read it.

    Raises:
        NotSaid: it holds something that has no vector source.
    """
    found = _sources.get((activation, dtype))
    if found is None:
        _, kept = _known.recall(activation, dtype)
        if kept is None:
            return None
        texts = (tuple(kept[name]) for name in ("value", "kept", "derivative"))
        found = Source(*texts, kept["reads"], frozenset(kept["calls"]), identity=kept["identity"])
        _sources[activation, dtype] = found
    if isinstance(found, NotSaid):
        raise found
    return found


def _read(activation: Activation, dtype: str) -> Source:
    import sympy as sp

    x, y = sp.Symbol("x", real=True), sp.Symbol("y", real=True)
    try:
        value = sp.sympify(activation.expr(x))
        stated = type(activation).derivative is not Activation.derivative
        slope = sp.sympify(activation.derivative(x, y)) if stated else sp.diff(value, x)
    except NotSaid:
        raise
    except Exception as error:
        # A third party's expression may fail in any way, and is declined for it.
        raise NotSaid(f"{activation.name}: its expression cannot be read ({type(error).__name__}: {error})") from error
    slope = _in_terms_of_value(slope, value, x, y)
    part = _in_common(slope, value, x)
    if part != x:
        # By the name of x: it lies where x would.
        slope = slope.subs(part, x)
    reads = "".join(name for name, symbol in (("x", x), ("y", y)) if slope.has(symbol))
    writer = _Writer({x: "x"}, unordered=True)
    result = writer.write(value)
    if not _passes_nan(value, x):
        result = writer.put(f"select(eq(x, x), {result}, x)")
    keeper = _Writer({x: "x"}, unordered=True)
    kept = keeper.write(part)
    back = _Writer({x: "x", y: "y"}, unordered=False)
    square = _difference_of_squares(slope, y, dtype)
    last = back.write(slope) if square is None else back.raw(square)
    calls = frozenset(writer.calls | back.calls)
    texts = ((*written.lines, f"return {name}") for written, name in ((writer, result), (keeper, kept), (back, last)))
    return Source(*texts, reads, calls, identity=bool(value == x))


def _in_common(slope: Any, value: Any, x: Any) -> Any:
    """A function of x that both hold and by which the derivative is said without x, so that it need not be computed again; x if there is none."""
    import sympy as sp

    for part in sorted(slope.atoms(sp.Function), key=sp.default_sort_key):
        if value.has(part) and _passes_nan(part, x) and not slope.subs(part, sp.Dummy("part")).has(x):
            return part
    return x


def _in_terms_of_value(slope: Any, value: Any, x: Any, y: Any) -> Any:
    """The derivative by y = f(x) where it is one, so that x need not be kept."""
    import sympy as sp

    if slope.has(x) and value != x:
        slope = slope.subs(value, y)
        functions = list(value.atoms(sp.Function))
        if slope.has(x) and len(functions) == 1 and slope.has(functions[0]):
            # f = a g(x) gives g(x) = y / a.
            inner = sp.Dummy("g")
            affine = value.subs(functions[0], inner)
            # With c = 0 only: else y - c loses what was rounded away.
            if not affine.has(x) and affine.subs(inner, 0) == 0 and not sp.diff(affine, inner).has(inner):
                factor = sp.diff(affine, inner)
                tried = slope.subs(functions[0], y / factor)
                slope = slope if tried.has(x) else tried
    if slope.has(x) and _keeps_sign(value, x):
        # x > 0 exactly where y > 0.
        found = slope.subs(x > 0, y > 0)
        slope = slope if found.has(x) else found
    return slope


def _keeps_sign(value: Any, x: Any) -> bool:
    """Whether f(x) is x for x > 0 and c x with c >= 0 elsewhere."""
    import sympy as sp

    if not isinstance(value, sp.Piecewise) or len(value.args) != 2:
        return False
    (first, condition), (second, _) = value.args
    ratio = sp.cancel(second / x)
    return bool(first == x and condition == (x > 0) and ratio.is_number and ratio >= 0)


def _passes_nan(value: Any, x: Any) -> bool:
    """Whether a NaN goes through by itself: no branch, or a first branch that computes with x, whose condition a NaN fulfils."""
    import sympy as sp

    if not value.has(sp.Piecewise, sp.Max, sp.Min, sp.sign):
        return True
    if isinstance(value, sp.Piecewise):
        first, condition = value.args[0]
        return type(condition).__name__ in _COMPARISONS and first.has(x) and _passes_nan(first, x)
    return False


def _difference_of_squares(slope: Any, y: Any, dtype: str) -> list[str] | None:
    """Source of p - q y^2 with p, q > 0 as p (1 - t) (1 + t), which is never below 0 where |y| <= sqrt(p / q)."""
    import sympy as sp

    p, rest = slope.as_independent(y, as_Add=True)
    q = -rest.coeff(y, 2)
    if not (p.is_number and q.is_number and p > 0 and q > 0) or sp.expand(rest + q * y**2) != 0:
        return None
    kind = np.dtype(dtype).type
    bound = kind(float(sp.sqrt(p / q)))
    scale = kind(1) / bound
    while bound * scale > 1:
        scale = np.nextafter(scale, kind(0))
    return [f"mul(y, splat({float(scale)!r}))", "mul(sub(splat(1.0), {0}), add(splat(1.0), {0}))", f"mul({{1}}, splat({float(p)!r}))"]


class _Writer:
    """Writes an expression as statements, each part once."""

    def __init__(self, names: Mapping[Any, str], *, unordered: bool) -> None:
        self.names, self.unordered = names, unordered
        self.lines: list[str] = []
        self.calls: set[str] = set()
        self._known: dict[Any, str] = {}

    def put(self, text: str) -> str:
        name = f"t{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name

    def raw(self, texts: list[str]) -> str:
        """Statements in which {n} stands for the n-th one's result."""
        made: list[str] = []
        for text in texts:
            made.append(self.put(text.format(*made)))
        return made[-1]

    def write(self, e: Any) -> str:
        """The name of a variable that holds the expression."""
        if e in self.names:
            return self.names[e]
        if e not in self._known:
            self._known[e] = self.put(self._text(e))
        return self._known[e]

    def _text(self, e: Any) -> str:
        import sympy as sp

        if e.is_number:
            value = complex(e)
            if value.imag or not np.isfinite(value.real):
                raise NotSaid(f"the number {e} is not a finite real one")
            return f"splat({value.real!r})"
        if isinstance(e, sp.Add):
            return self._sum(e)
        if isinstance(e, sp.Mul):
            return self._product(e)
        if isinstance(e, sp.Pow):
            return self._power(*e.as_base_exp())
        if isinstance(e, sp.Piecewise):
            return self._branches(e)
        return self._call(e)

    def _call(self, e: Any) -> str:
        import sympy as sp

        if isinstance(e, (sp.Max, sp.Min)):
            name = "larger" if isinstance(e, sp.Max) else "smaller"
            first, *others = [self.write(part) for part in e.args]
            for other in others[:-1]:
                first = self.put(f"{name}({first}, {other})")
            return f"{name}({first}, {others[-1]})"
        if isinstance(e, sp.sign):
            inner = self.write(e.args[0])
            return f"select(gt({inner}, splat(0.0)), splat(1.0), select(lt({inner}, splat(0.0)), splat(-1.0), splat(0.0)))"
        name = type(e).__name__
        if name in _CALLS and len(e.args) == 1:
            self.calls.add(_CALLS[name])
            return f"{_CALLS[name]}({self.write(e.args[0])})"
        raise NotSaid(f"{name} has no vector source")

    def _sum(self, e: Any) -> str:
        import sympy as sp

        # Numbers first, then products onto them: each `fma` takes one.
        parts = sorted(e.args, key=lambda part: (not part.is_number, isinstance(part, sp.Mul), sp.default_sort_key(part)))
        total = self.write(parts[0])
        for number, part in enumerate(parts[1:], start=2):
            factor, rest = part.as_coeff_Mul()
            if factor == -1:
                text = f"sub({total}, {self.write(rest)})"
            elif isinstance(part, sp.Mul):
                left, right = part.as_two_terms()
                text = f"fma({self.write(left)}, {self.write(right)}, {total})"
            else:
                text = f"add({total}, {self.write(part)})"
            if number == len(parts):
                return text
            total = self.put(text)
        raise NotSaid(f"{e} is no sum")

    def _product(self, e: Any) -> str:
        import sympy as sp

        above, below = sp.fraction(e, exact=True)
        if below != 1 and not below.is_number:
            return f"div({self.write(above)}, {self.write(below)})"
        factor, rest = e.as_coeff_Mul()
        if factor == -1:
            return f"neg({self.write(rest)})"
        first, *others = [self.write(part) for part in e.args]
        for other in others[:-1]:
            first = self.put(f"mul({first}, {other})")
        return f"mul({first}, {others[-1]})"

    def _power(self, base: Any, exponent: Any) -> str:
        import sympy as sp

        if base == sp.E:
            return self._text(sp.exp(exponent, evaluate=False))
        if not exponent.is_Rational or exponent.q not in (1, 2) or abs(exponent) > _HIGHEST:
            raise NotSaid(f"a power {exponent} has no vector source; only whole and half powers up to {_HIGHEST} do")
        if exponent < 0:
            return f"div(splat(1.0), {self.write(base**-exponent)})"
        if exponent.q == 2:
            root = self.put(f"sqrt({self.write(base)})")
            return root if exponent == sp.Rational(1, 2) else f"mul({root}, {self.write(base ** (exponent - sp.Rational(1, 2)))})"
        half = self.write(base ** (exponent // 2))
        square = f"mul({half}, {half})"
        return square if exponent % 2 == 0 else f"mul({self.put(square)}, {self.write(base)})"

    def _branches(self, e: Any) -> str:
        import sympy as sp

        *cases, (last, condition) = e.args
        if condition != sp.true:
            raise NotSaid("branches need a last one that is taken otherwise")
        found = self.write(last)
        for value, when in reversed(cases):
            found = self.put(f"select({self._condition(when)}, {self.write(value)}, {found})")
        return found

    def _condition(self, e: Any) -> str:
        import sympy as sp

        name = type(e).__name__
        if name in _COMPARISONS:
            suffix = "_or_nan" if self.unordered else ""
            return f"{_COMPARISONS[name]}{suffix}({self.write(e.args[0])}, {self.write(e.args[1])})"
        if isinstance(e, (sp.And, sp.Or)):
            first, *others = [self._condition(part) for part in e.args]
            for other in others:
                first = f"{'both' if isinstance(e, sp.And) else 'either'}({first}, {other})"
            return first
        if isinstance(e, sp.Not):
            return f"never({self._condition(e.args[0])})"
        raise NotSaid(f"a condition {e} has no vector source")
