"""Operations that would have something false proved of them if one thing were not looked at: none comes out proved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import sympy as sp

from cnnframe import Layer, PerAxis, at_least, between, multiple_of, one_of, positive
from cnnframe.algebra import define, equal, exp, guard, indices, inside, sqrt, total, when
from cnnframe_derivations import prove

DOORS = {}


def door(message, verdict="refused", **declared):
    """An operation with hyperparameters, a formula and claims, and what is said of it."""

    def make(body):
        annotations = {name: kind for name, (kind, _) in declared.get("hypers", {}).items()}
        fields = {name: default for name, (_, default) in declared.get("hypers", {}).items() if default is not ...}
        arrays = {"inputs": declared.get("inputs", {"x": "n i"}), "constants": declared.get("constants", {}), "output": declared.get("output", "n i")}
        methods = {name: method for name, method in vars(body).items() if name in ("formula", "claims")}
        names = ", ".join([*arrays["inputs"], *arrays["constants"]])
        scope = {}
        exec(f"def forward(self, {names}): raise NotImplementedError", scope)  # noqa: S102 # a signature that fits the declaration
        cls = type(
            body.__name__,
            (Layer,),
            {"name": body.__name__.lower(), **arrays, **fields, **methods, "__annotations__": annotations, "forward": scope["forward"], "__module__": __name__},
        )
        DOORS[body.__name__] = (dataclass(frozen=True)(cls), verdict, message)
        return body

    return make


@door("says something else at k = 2", hypers={"k": (Annotated[int, at_least(1)], 1)})
class BranchOnANumber:
    def formula(self, at, x):
        return x[at] * (3 if self.k == 2 else 1)

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("says something else at pad = 0", hypers={"pad": (Annotated[int, at_least(0)], 0)})
class BranchOnTruth:
    def formula(self, at, x):
        return x[at] * (3 if self.pad else 1)

    def claims(self, at, dy, x):
        return {"x": 3 * dy[at["x"]]}


@door("one_of", hypers={"mode": (str, "triple")})
class AnyString:
    def formula(self, at, x):
        return x[at] * (3 if self.mode == "triple" else 1)


@door("of derivative - claim", hypers={"mode": (Annotated[str | None, one_of("a", "b")], None)})
class ChoiceOrNone:
    def formula(self, at, x):
        return x[at] * (3 if self.mode is None else 1)

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("two arrays are called 'bar_e'")
class NameOfAnAdjoint:
    def formula(self, at, x):
        return exp(define("e", x.shape, lambda n, i: x[n, i] ** 2)[at])

    def claims(self, at, dy, x):
        return {"x": 2 * x[at["x"]] * define("bar_e", x.shape, lambda n, i: sp.Integer(7) * x[n, i] ** 0)[at["x"]]}


@door("two arrays are called 'd_y'", inputs={"x": "n i", "d_y": "n i"})
class NameOfTheCotangent:
    def formula(self, at, x, d_y):
        return x[at] * d_y[at]

    def claims(self, at, dy, x, d_y):
        return {"x": d_y[at["x"]] ** 2}


@door("two arrays are called 'closed_x'")
class NameOfAClosedForm:
    def formula(self, at, x):
        return define("closed_x", x.shape, lambda n, i: x[n, i + 5])[at]

    def claims(self, at, dy, x):
        n, i = at["x"]
        return {"x": guard(dy[n, i - 5], [i >= 5])}


@door(
    "two sizes or hyperparameters are called a0",
    hypers={"dims": (Annotated[int, one_of(1)], 1), "a": (Annotated[PerAxis, at_least(1)], 2), "a0": (Annotated[float, at_least(0)], 0.5)},
)
class OneNameForTwoSymbols:
    def formula(self, at, x):
        return self.a0 * x[at]

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * self.a[0]}


@door("is wrong at", inputs={"x": "n h"}, output="n h//2", hypers={"quotient0": (Annotated[int, at_least(1)], 2)})
class NameOfAQuotient:
    def formula(self, at, x):
        return self.quotient0 * x[at]

    def claims(self, at, dy, x):
        n, p = at["x"]
        half = x.shape[1] // 2
        return {"x": guard(dy[n, p], inside(p, half)) * total(1, (indices("a")[0], half))}


@door("marked locally constant")
class NotLocallyConstant:
    def formula(self, at, x):
        return define("e", x.shape, lambda n, i: x[n, i] ** 2, locally_constant=True)[at] * x[at]

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * x[at["x"]] ** 2}


@door("of derivative - claim", hypers={"k": (Annotated[int, between(0, 1.5, include_high=False)], 1)})
class HighBoundOfAHalf:
    def formula(self, at, x):
        return guard(x[at], [self.k <= 0])

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("of derivative - claim", hypers={"k": (Annotated[int, between(-1.5, 3, include_low=False)], 1)})
class LowBoundOfAHalf:
    def formula(self, at, x):
        return guard(x[at], [self.k >= 0])

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("of derivative - claim", hypers={"g": (Annotated[int, at_least(1)], 1), "k": (Annotated[int, multiple_of("g")], 0)})
class MultipleThatMayBe0:
    def formula(self, at, x):
        return guard(x[at], [self.k >= 1])

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("sums over k, which is a hyperparameter", inputs={"x": "n h"}, output="n", hypers={"k": (int, 1)})
class SumOverAHyperparameter:
    def formula(self, at, x):
        (k,) = indices("k")
        return self.k * total(x[at[0], k], (k, x.shape[1]))

    def claims(self, at, dy, x):
        n, p = at["x"]
        return {"x": dy[n] * p}


@door("is wrong at", inputs={"x": "n h c"}, constants={"t": "n -> c//2"}, output="n h//2")
class ClassesBelowAQuotient:
    def formula(self, at, x, t):
        n, u = at
        (a,) = indices("a")
        return total(when(equal(t[n], a), x[n, u, 0], 0), (a, x.shape[1] // 2))

    def claims(self, at, dy, x, t):
        n, p, r = at["x"]
        return {"x": guard(dy[n, p], [equal(r, 0), p <= x.shape[1] // 2 - 1])}


class Seven(sp.Function):
    def fdiff(self, argindex=1):
        return sp.Integer(7)


@door("the derivative of Seven is not known to be right")
class AFunctionOfItsOwn:
    def formula(self, at, x):
        return Seven(x[at])

    def claims(self, at, dy, x):
        return {"x": 7 * dy[at["x"]]}


@door("not said for every case")
class NoElse:
    def formula(self, at, x):
        return when(x[at] > 0, x[at], 0)

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * sp.Piecewise((1, x[at["x"]] > 0))}


@door("is not bound to be at least 1", inputs={"x": "n h"}, output="n h//s", hypers={"s": (Annotated[int, at_least(-3)], 2)})
class DivisorThatMayBe0:
    def formula(self, at, x):
        return x[at]


@door("is wrong at")
class WrongRoot:
    def formula(self, at, x):
        return sqrt(x[at])

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]]}


@door("must be an expression; got None")
class Nothing:
    def formula(self, at, x):
        return None


@door("must be named by an identifier")
class NoIdentifier:
    def formula(self, at, x):
        return exp(define("a b", x.shape, lambda n, i: x[n, i] ** 2)[at])


@door("is larger than 99")
class HugeExponent:
    def formula(self, at, x):
        return x[at] ** 1e17


@door("of derivative - claim", hypers={"p": (Annotated[float, positive], 0.5)})
class WrongPower:
    def formula(self, at, x):
        return x[at] ** self.p

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * x[at["x"]] ** (self.p - 1)}


@door("", verdict="proved", hypers={"p": (Annotated[float, positive], 0.5)})
class RightPower:
    def formula(self, at, x):
        return x[at] ** self.p

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * self.p * x[at["x"]] ** (self.p - 1)}


@door(
    "", verdict="proved", hypers={"a": (Annotated[int, multiple_of("b")], 4), "b": (Annotated[int, multiple_of("c")], 2), "c": (Annotated[int, at_least(1)], 1)}
)
class AChainOfMultiples:
    def formula(self, at, x):
        return x[at] * self.a

    def claims(self, at, dy, x):
        return {"x": dy[at["x"]] * self.a}


STRIDED = {
    "inputs": {"x": "n i h"},
    "output": "n i (h-taps)//hop+1",
    "hypers": {"taps": (Annotated[int, at_least(1)], 2), "hop": (Annotated[int, at_least(1)], 2)},
}


def strided(self, at, x):
    n, i, u = at
    (a,) = indices("a")
    return total(x[n, i, u * self.hop + a], (a, self.taps))


@door("is wrong at h = 3, hop = 2", **STRIDED)
class StrideForgotten:
    formula = strided

    def claims(self, at, dy, x):
        n, i, p = at["x"]
        (u,) = indices("u")
        return {"x": total(dy[n, i, u], (u, dy.shape[2]), where=inside(p - u, self.taps))}


@door("whose axis 2 has size quotient0 + 1", **STRIDED)
class RangeOfAnotherQuotient:
    formula = strided

    def claims(self, at, dy, x):
        n, i, p = at["x"]
        (u,) = indices("u")
        return {"x": total(dy[n, i, u], (u, x.shape[2] // self.hop), where=inside(p - u * self.hop, self.taps))}


@pytest.mark.parametrize("case", DOORS)
def test_what_is_said(case):
    cls, verdict, message = DOORS[case]
    found = prove(cls)
    assert found.verdict == verdict, found
    assert message in str(found)
