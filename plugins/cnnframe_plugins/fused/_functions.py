"""Elementary functions as vector source: a few roundings of error, relative to the value; NaN and infinity as expected.

Arguments are reduced exactly (a product with a rounded logarithm of 2 goes through one `fma`), and the polynomials'
own errors are below a third of the last place. The coefficients are those of interpolation at Chebyshev nodes; the
rational tanh of float32 is a relative least-squares fit brought near its minimax.
"""

from __future__ import annotations

from typing import Final

_EXP: Final = {
    "float32": (0.5, 0.16666576266288757, 0.04166655242443085, 0.00836323294788599, 0.0013926250394433737),
    "float64": (
        0.5000000000000001,
        0.16666666666666669,
        0.041666666666623824,
        0.008333333333330039,
        0.0013888888917367081,
        0.00019841269863171557,
        2.4801521057868204e-05,
        2.7557268276905696e-06,
        2.7620201591031547e-07,
        2.5100472505694996e-08,
    ),
}
"""(exp(r) - 1 - r) / r^2 for |r| up to log(2) / 2, lowest power first."""

_ATANH: Final = {
    "float32": (0.333333336619875, 0.19999852539504326, 0.14296213037334132, 0.10852713536419283, 0.11615127803448179),
    "float64": (
        0.3333333333333333,
        0.1999999999999976,
        0.14285714285800877,
        0.11111111099014737,
        0.09090909955527261,
        0.07692271746289105,
        0.06667594476950635,
        0.05867070005446695,
        0.05423153071310009,
        0.03743548293126407,
        0.07820074944803705,
    ),
}
"""(atanh(s) / s - 1) / s^2 as a polynomial in s^2 up to 1/9, lowest power first."""

_LN2: Final = {"float32": (0.693147182464599609375, -1.904654323148236e-09), "float64": (0.6931471805599453, 2.3190468138462996e-17)}
"""log(2) in two parts."""

# Below the first, exp is 0; above the second, infinity.
_RANGE: Final = {"float32": (-104.0, 89.0), "float64": (-746.0, 710.0)}
# A power of two that takes the smallest numbers to normal ones.
_LIFT: Final = {"float32": (24, 1.1754943508222875e-38), "float64": (54, 2.2250738585072014e-308)}

_TANH_P: Final = (1.0, 0.13379718363285065, 0.003494034521281719, 2.0583480363711715e-05, 1.3319067626582637e-08)
_TANH_Q: Final = (1.0, 0.4671303331851959, 0.025871073827147484, 0.0003283092810306698, 7.762018299217743e-07)
"""tanh(x) = x P(x^2) / Q(x^2) for |x| up to 9.02, where float32's tanh is 1, lowest power first."""

NEEDS: Final = {
    "v_exp": ("v_reduce", "v_expm1_reduced"),
    "v_exp_negative": ("v_reduce", "v_expm1_reduced"),
    "v_expm1": ("v_reduce", "v_expm1_reduced"),
    "v_tanh": ("v_expm1",),
    "v_logistic": ("v_exp_negative",),
    "v_softplus": ("v_exp_negative", "v_log1p"),
}
"""Which functions call which."""


def _horner(name: str, coefficients: tuple[float, ...], variable: str) -> list[str]:
    """Statements that evaluate a polynomial, lowest power first in `coefficients`."""
    lines = [f"    {name} = splat({coefficients[-1]!r})"]
    return lines + [f"    {name} = fma({name}, {variable}, splat({c!r}))" for c in reversed(coefficients[:-1])]


def _reduce(_dtype: str) -> list[str]:
    return ["    return round_even(mul(x, splat(1.4426950408889634)))"]


def _expm1_reduced(dtype: str) -> list[str]:
    high, low = _LN2[dtype]
    return [
        f"    r = fma(n, splat({-low!r}), fma(n, splat({-high!r}), x))",
        *_horner("q", _EXP[dtype], "r"),
        "    return fma(mul(r, r), q, r)",
    ]


def _exp(dtype: str) -> list[str]:
    low, high = _RANGE[dtype]
    return [
        # In this order a NaN goes through.
        f"    x = smaller(splat({high!r}), larger(splat({low!r}), x))",
        "    n = v_reduce(x)",
        "    e = add(splat(1.0), v_expm1_reduced(x, n))",
        # In two steps, since 2^n alone may be no normal number.
        "    half = floor(mul(n, splat(0.5)))",
        "    return mul(mul(e, power_of_two(half)), power_of_two(sub(n, half)))",
    ]


def _exp_negative(dtype: str) -> list[str]:
    lift, _ = _LIFT[dtype]
    return [
        f"    x = larger(splat({_RANGE[dtype][0]!r}), x)",
        "    n = v_reduce(x)",
        "    e = add(splat(1.0), v_expm1_reduced(x, n))",
        f"    return mul(mul(e, power_of_two(add(n, splat({float(lift)!r})))), splat({2.0**-lift!r}))",
    ]


def _expm1(_dtype: str) -> list[str]:
    return [
        "    n = v_reduce(x)",
        "    p = v_expm1_reduced(x, n)",
        "    scale = power_of_two(n)",
        "    return fma(scale, p, sub(scale, splat(1.0)))",
    ]


def _tanh(dtype: str) -> list[str]:
    if dtype == "float32":
        return [
            "    x = smaller(splat(9.02), larger(splat(-9.02), x))",
            "    s = mul(x, x)",
            *_horner("p", _TANH_P, "s"),
            *_horner("q", _TANH_Q, "s"),
            "    return div(mul(x, p), q)",
        ]
    return [
        "    a = smaller(splat(20.0), absolute(x))",
        "    t = v_expm1(add(a, a))",
        "    return copysign(div(t, add(t, splat(2.0))), x)",
    ]


def _logistic(_dtype: str) -> list[str]:
    return [
        "    e = v_exp_negative(neg(absolute(x)))",
        "    return div(select(lt(x, splat(0.0)), e, splat(1.0)), add(splat(1.0), e))",
    ]


def _log1p(dtype: str) -> list[str]:
    return [
        # With s = x / (2 + x); 2 s comes first, since half of the smallest numbers is none.
        "    t = div(x, fma(x, splat(0.5), splat(1.0)))",
        "    s = mul(t, splat(0.5))",
        "    z = mul(s, s)",
        *_horner("r", _ATANH[dtype], "z"),
        "    return fma(mul(t, z), r, t)",
    ]


def _softplus(_dtype: str) -> list[str]:
    return ["    return add(larger(x, splat(0.0)), v_log1p(v_exp_negative(neg(absolute(x)))))"]


def _log(dtype: str) -> list[str]:
    high, low = _LN2[dtype]
    lift, smallest = _LIFT[dtype]
    return [
        f"    tiny = lt(x, splat({smallest!r}))",
        f"    lifted = select(tiny, mul(x, splat({2.0**lift!r})), x)",
        f"    e = sub(exponent(lifted), select(tiny, splat({float(lift)!r}), splat(0.0)))",
        "    m = fraction(lifted)",
        "    large = gt(m, splat(1.4142135623730951))",
        "    m = select(large, mul(m, splat(0.5)), m)",
        "    e = select(large, add(e, splat(1.0)), e)",
        "    s = div(sub(m, splat(1.0)), add(m, splat(1.0)))",
        "    z = mul(s, s)",
        *_horner("r", _ATANH[dtype], "z"),
        "    t = add(s, s)",
        f"    small = fma(mul(t, z), r, mul(e, splat({low!r})))",
        f"    y = fma(e, splat({high!r}), add(t, small))",
        "    edge = select(eq(x, splat(0.0)), splat(-inf), select(gt(x, splat(0.0)), x, splat(nan)))",
        "    return select(both(gt(x, splat(0.0)), lt(x, splat(inf))), y, edge)",
    ]


_BODIES: Final = {
    "v_reduce": ("x", _reduce),
    "v_expm1_reduced": ("x, n", _expm1_reduced),
    "v_exp": ("x", _exp),
    "v_exp_negative": ("x", _exp_negative),
    "v_expm1": ("x", _expm1),
    "v_tanh": ("x", _tanh),
    "v_logistic": ("x", _logistic),
    "v_log1p": ("x", _log1p),
    "v_softplus": ("x", _softplus),
    "v_log": ("x", _log),
}
_WHAT: Final = {
    "v_reduce": "The multiple of log(2) nearest to x",
    "v_expm1_reduced": "exp(x - n log 2) - 1",
    "v_exp": "exp(x)",
    "v_exp_negative": "exp(x) for x <= 0",
    "v_expm1": "exp(x) - 1 where 2^n is a normal number",
    "v_tanh": "tanh(x)",
    "v_logistic": "1 / (1 + exp(-x))",
    "v_log1p": "log(1 + x) for x from 0 to 1",
    "v_softplus": "log(1 + exp(x))",
    "v_log": "log(x)",
}


def source(names: frozenset[str], dtype: str) -> str:
    """The definitions of those functions, and of what they call, for an element type."""
    wanted = set(names)
    for name in reversed(_BODIES):
        if name in wanted and not (name == "v_tanh" and dtype == "float32"):
            wanted.update(NEEDS.get(name, ()))
    parts = [] if "v_log" not in wanted else ['inf, nan = float("inf"), float("nan")\n']
    for name, (arguments, body) in _BODIES.items():
        if name in wanted:
            parts.append("\n".join([f"\n@njit\ndef {name}({arguments}):", f'    """{_WHAT[name]}."""', *body(dtype), ""]))
    return "\n".join(parts)
