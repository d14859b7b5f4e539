"""Rounding errors that are carried from one operation to the next: no bound is below the worst that can happen, and none far above it."""

from __future__ import annotations

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from cnnframe_derivations._rounding import Rounded, Rounding
from cnnframe_derivations.suite._carried import _BENDS, Carried
from cnnframe_derivations.suite._oracle import TINY, UNIT

ALLOWED = Fraction(16, 2**24)
"""What an error of 1 allows code in float32: 16 units of rounding."""

STEEPEST = {"tanh": 4 / 27**0.5, "sin": 1.0, "cos": 1.0, "Logistic": 108**-0.5, "Softplus": 0.25}
"""The largest second derivative of a function that bends only so much, worked out by hand."""

FUNCTIONS = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "tanh": mpmath.tanh,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "Logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "Softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
}


def part(values, errors):
    return Rounded(np.array(values, dtype=np.float64), np.array(errors, dtype=np.float64))


def allowed(found):
    """How far off code may be, entry by entry."""
    return [float(ALLOWED * Fraction(float(e))) for e in np.ravel(found.error)]


def bend(name, x, d):
    """The largest second derivative near x, by hand or at the end where it is largest."""
    with mpmath.workdps(40):
        return STEEPEST.get(name) or float(max(abs(mpmath.diff(FUNCTIONS[name], mpmath.mpf(x) + side * mpmath.mpf(d), 2)) for side in (-1, 1)))


@pytest.mark.parametrize("name", sorted(_BENDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_function_makes_of_an_error_is_within_its_bound(name, dtype):
    x, error = np.meshgrid([0.3, 1.0, 4.0, 9.0, -0.3, -2.0, 0.0][: 4 if name == "log" else 7], [0.0, 3.0, 50.0, 1e4, 1e5])
    system = Carried(dtype)
    found = system.function(name, Rounded(x, error))
    apply = system.floats.functions[name]
    for side in (-1, -0.5, 0.5, 1):
        moved = x + side * system.allowed * error
        off = np.abs(apply(moved) - apply(x))
        assert np.all(off <= system.allowed * found.error + 1e-15 * np.abs(apply(x))), side


@pytest.mark.parametrize("name", sorted(_BENDS))
@pytest.mark.parametrize("x", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("d", [0.01, 0.1, 0.3])
def test_what_a_function_makes_of_an_error_is_what_taylor_says(name, x, d):
    with mpmath.workdps(40):
        slope = float(abs(mpmath.diff(FUNCTIONS[name], x)))
    first, rest = slope * d, bend(name, x, d) * d * d / 2
    # At most five units of the argument, of the value or of 1, and of what is added.
    own = 6 * float(ALLOWED) * (slope * x + 1 + abs(float(FUNCTIONS[name](x))) + first)
    (found,) = allowed(Carried("float32").function(name, part([x], [d / float(ALLOWED)])))
    assert first + 0.999 * rest <= found <= first + 1.01 * rest + own


@pytest.mark.parametrize("name", sorted(STEEPEST))
def test_no_function_bends_more_than_is_said(name):
    points = np.linspace(-6, 6, 241)
    most = max(bend_at(name, x) for x in points)
    assert 0.99 * STEEPEST[name] <= most <= STEEPEST[name] * (1 + 1e-12)
    assert most <= _BENDS[name](0.0, 0.0, 0.0) <= 1.01 * STEEPEST[name]


def bend_at(name, x):
    with mpmath.workdps(30):
        return float(abs(mpmath.diff(FUNCTIONS[name], mpmath.mpf(x), 2)))


@pytest.mark.parametrize("apply", [lambda system, x: system.function("sin", x), lambda system, x: system.power(x, 1)])
def test_an_error_is_rounded_with_the_argument_and_four_times_with_the_value(apply):
    d = ALLOWED / 2**10
    (found,) = allowed(apply(Carried("float32"), part([0.0], [2.0**-10])))
    assert float(d * (1 + ALLOWED) * (1 + 4 * ALLOWED) * (1 - 4 * ALLOWED**2)) <= found <= float(d * (1 + Fraction(11, 2) * ALLOWED))


def test_the_error_of_a_magnitude_is_that_of_the_number():
    found = Carried("float32").function("Abs", part([-2.5, 0.0, 3.0], [0.0, 7.0, 1e4]))
    assert found.error.tolist() == [0.0, 7.0, 1e4]


def worst_product(x, d, y, f):
    """How far off the rounded product of two numbers can be that are off by d and f."""
    corners = itertools.product((-1, 1), (-1, 1), (-1, 1))
    return max(abs((x + s * d) * (y + t * f) * (1 + r * ALLOWED) - x * y) for s, t, r in corners)


NUMBERS = [(Fraction(v), Fraction(e)) for v in ("1.25", "-0.375", "1048576.5", "0.0625") for e in ("0", "3", "100000", "8000000")]


def test_a_product_is_off_as_much_as_both_factors_at_once_and_not_more():
    for (x, e), (y, f) in itertools.product(NUMBERS, repeat=2):
        (found,) = allowed(Carried("float32").multiply([part([x], [e]), part([y], [f])]))
        assert found == pytest.approx(float(worst_product(x, ALLOWED * e, y, ALLOWED * f)), rel=1e-12, abs=0), (x, e, y, f)


def test_a_product_of_four_is_off_as_one_after_the_other():
    parts = NUMBERS[1], NUMBERS[6], NUMBERS[2], NUMBERS[13]
    x, d = parts[0][0], ALLOWED * parts[0][1]
    for y, f in parts[1:]:
        x, d = x * y, worst_product(x, d, y, ALLOWED * f)
    found = Carried("float32").multiply([part([v], [e]) for v, e in parts])
    assert found.value[0] == float(x) and allowed(found) == pytest.approx([float(d)], rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("one", "other", "exact"),
    [
        ((3.0, 0), (-4.0, 0), True),
        ((3.0, 0), (0.5, 0), False),
        ((0.5, 0), (3.0, 0), False),
        ((3.0, 1), (4.0, 0), False),
        ((4.0, 0), (3.0, 1), False),
        ((2.0**12, 0), (2.0**12, 0), False),
        ((2.0**12 - 1, 0), (2.0**12, 0), True),
        ((0.0, 0), (0.3, 9), True),
        ((0.3, 9), (0.0, 0), True),
        ((0.0, 2), (0.3, 9), False),
        ((0.3, 9), (0.0, 2), False),
        ((0.3, 9), (1.0, 0), False),
        ((1.0, 0), (0.3, 9), False),
        ((-1.0, 0), (0.3, 9), False),
        ((0.3, 9), (-1.0, 0), False),
        ((0.0, 1), (0.3, 0), False),
        ((0.3, 0), (0.0, 1), False),
    ],
)
def test_products_are_exact_of_small_integers_and_of_0(one, other, exact):
    found = Carried("float32").multiply([part([one[0]], [one[1]]), part([other[0]], [other[1]])])
    assert bool(found.error[0] == 0) is exact


@pytest.mark.parametrize(("dtype", "exact"), [("float32", False), ("float64", True)])
def test_code_for_an_element_type_is_exact_with_integers_that_it_holds(dtype, exact):
    system, whole = Carried(dtype), part([2.0**13], [0.0])
    assert bool(system.multiply([whole, whole]).error[0] == 0) is exact
    assert not system.add([whole, whole]).error.any() and not system.ambiguous


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_underflows_may_be_0_and_no_more_is_forgiven(dtype):
    system, tiny = Carried(dtype), TINY[dtype]
    small = 0.9 * tiny**0.5
    far = np.log(tiny) - 2
    made = [
        system.multiply([part([small], [0.0]), part([small], [0.0])]),
        system.power(part([small], [0.0]), 2),
        system.function("exp", part([far], [0.0])),
    ]
    for found in made:
        off = 16 * UNIT[dtype] * found.error[0]
        assert 0 < found.value[0] < tiny and found.value[0] <= off <= 17 * tiny
    exact = system.power(part([0.0], [0.0]), 2)
    assert exact.value[0] == 0 and exact.error[0] == 0


POWERS = [-2, -1, -0.5, 0.5, 1, 1.5, 2, 2.5, 3, 5]


@pytest.mark.parametrize("exponent", POWERS)
def test_what_powers_make_of_errors_is_within_their_bounds(exponent):
    x, error = np.meshgrid([0.3, 1.0, 4.0], [3.0, 50.0, 1e4, 1e5])
    system = Carried("float32")
    power = system.power(Rounded(x, error), exponent)
    for one in (-1, 1):
        d = one * system.allowed * error
        assert np.all(np.abs((x + d) ** exponent - x**exponent) <= system.allowed * power.error)


@pytest.mark.parametrize("exponent", POWERS)
@pytest.mark.parametrize("x", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("d", [0.01, 0.1, 0.3])
def test_what_powers_make_of_errors_is_what_taylor_says(exponent, x, d):
    slope, bent = abs(exponent) * x ** (exponent - 1), abs(exponent * (exponent - 1))
    rest = bent * max((x - d) ** (exponent - 2), (x + d) ** (exponent - 2)) * d * d / 2
    (found,) = allowed(Carried("float32").power(part([x], [d / float(ALLOWED)]), exponent))
    own = 5 * float(ALLOWED) * (x**exponent + 2 * slope * d)
    assert slope * d + rest * (1 - 1e-9) <= found <= slope * d + rest * (1 + 1e-9) + own


def test_a_power_between_1_and_2_bends_most_near_0():
    system = Carried("float32")
    far = Rounded(np.array([1.0]), np.array([0.5 / system.allowed]))
    assert 1.5**1.5 - 1 <= system.allowed * system.power(far, 1.5).error[0] < np.inf


def test_nobody_can_tell_how_far_off_a_function_is_whose_argument_may_reach_its_pole():
    system = Carried("float32")
    near = part([0.5, 0.5], [1.0 / system.allowed, 0.1 / system.allowed])
    for found in (system.function("log", near), system.power(near, -1), system.power(near, 0.5)):
        assert found.error[0] == np.inf and np.isfinite(found.error[1])
    assert system.multiply([part([np.inf], [np.inf]), part([2.0], [0.0])]).error[0] == np.inf
    with np.errstate(divide="ignore"):
        assert system.power(part([0.0], [1.0]), -1).error[0] == np.inf


@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_addition_is_rounded_with_what_its_parts_are_off(count):
    parts = [(Fraction(v), Fraction(e)) for v, e in (("0.75", 10**6), ("2.5", 10**5), ("1.125", 0), ("1024.5", 3))][:count]
    off = sum(ALLOWED * e for _, e in parts)
    most = off + (count - 1) * ALLOWED * (sum(v for v, _ in parts) + off)
    (found,) = allowed(Carried("float32").add([part([v], [e]) for v, e in parts]))
    assert found == pytest.approx(float(most), rel=1e-12, abs=0)


def test_a_sum_of_two_is_off_as_much_as_both_at_once_and_not_more():
    for (x, e), (y, f) in itertools.product(NUMBERS, repeat=2):
        if x * y > 0:
            d = ALLOWED * (e + f)
            worst = max(abs((x + y + s * d) * (1 + r * ALLOWED) - x - y) for s in (-1, 1) for r in (-1, 1))
            (found,) = allowed(Carried("float32").add([part([x], [e]), part([y], [f])]))
            assert found == pytest.approx(float(worst), rel=1e-12, abs=0), (x, e, y, f)


def test_sums_into_places_may_be_larger_by_what_is_carried():
    system, plain = Carried("float32"), Rounding(24)
    pieces = [(np.array([0, 0, 1]), part([0.3, 0.7, 0.1], [5.0, 6e5, 7.0])), (np.array([0, 3, 3]), part([0.5, 3.0, 4.0], [1.0, 0.0, 0.0]))]
    first, found = plain.scatter((2, 2), pieces), system.scatter((2, 2), pieces)
    # Three terms, one, none and two that are exact.
    assert np.ravel(found.error) == pytest.approx(np.ravel(first.error) * (1 + np.array([3, 1, 0, 0]) * system.allowed), rel=1e-13, abs=0)
    worst = (5 + 6e5 + 1) + 2 * (1.5 + float(ALLOWED) * (5 + 6e5 + 1))
    assert worst <= found.error[0, 0] <= worst * (1 + 2 * float(ALLOWED))
    assert found.value.tolist() == [[1.5, 0.1], [0.0, 7.0]] and found.error[1, 1] == 0


def test_what_one_operation_hands_on_is_rounded_once_more():
    values, errors = [1.25, -3.5, 7.0, 0.0, 0.3], [1e5, 3.0, 0.0, 2.0, 1.0]
    stored = Carried("float32").stored(part(values, errors))
    for value, error, found in zip(map(Fraction, values), map(Fraction, errors), allowed(stored), strict=True):
        worst = (abs(value) + ALLOWED * error) * (1 + ALLOWED) - abs(value) if error else 0
        assert found == pytest.approx(float(worst), rel=1e-12, abs=0)
    assert stored.value.tolist() == values
    assert Carried("float32").stored(Rounded(np.ones((2, 3)), np.float64(1))).error.shape == (2, 3)


@pytest.mark.parametrize(
    ("left", "right", "doubt"),
    [
        ((1.0, 0.0), (1.0, 0.0), False),
        ((1.0, 10.0), (1.0 + 2.0**-17, 0.0), True),
        ((1.0, 0.0), (1.0 + 2.0**-17, 10.0), True),
        ((1.0, 2.0), (1.0 + 3 * 2.0**-20, 1.0), True),
        ((1.0, 2.0), (1.0 + 4 * 2.0**-20, 1.0), False),
        ((1.0, 1.0), (2.0, 0.0), False),
        ((1.0, 2.0**21), (2.5, 0.0), True),
        ((np.nan, 1.0), (2.0, 0.0), True),
    ],
)
def test_a_comparison_is_ambiguous_where_errors_reach_across(left, right, doubt):
    for some in ([left], [(0.0, 1.0), left], [left, (0.0, 1.0)]):
        system = Carried("float32")
        lefts, rights = part(*zip(*some, strict=True)), part(*zip(*[right if one == left else (9.0, 1.0) for one in some], strict=True))
        answer = system.compare("StrictLessThan", lefts, rights)
        assert system.ambiguous is doubt
        assert answer.tolist() == [a[0] < (right if a == left else (9.0, 1.0))[0] for a in some]


def test_a_doubt_stays():
    system = Carried("float32")
    system.compare("StrictLessThan", part([1.0], [9.0]), part([1.0], [0.0]))
    system.compare("StrictLessThan", part([1.0], [9.0]), part([3.0], [0.0]))
    system.function("sign", part([5.0], [1.0]))
    assert system.ambiguous
    system = Carried("float32")
    system.function("sign", part([0.0], [1.0]))
    system.function("sign", part([5.0], [1.0]))
    system.compare("StrictLessThan", part([1.0], [9.0]), part([3.0], [0.0]))
    assert system.ambiguous


def test_an_entry_is_equal_to_itself_and_to_no_other():
    near = part([1.0, 1.0 + 1e-6, 2.0], [10.0, 10.0, 10.0])
    twin = part([1.0, 1.0 + 1e-6, 2.0], [10.0, 10.0, 10.0])

    def ambiguous(left, right):
        system = Carried("float32")
        of = [system.gather(array, np.array([at])) if at is not None else array for array, at in (left, right)]
        system.compare("StrictLessThan", *of)
        return system.ambiguous

    assert not ambiguous((near, 0), (near, 0)) and not ambiguous((near, 0), (near, 2))
    assert ambiguous((near, 0), (near, 1))
    assert ambiguous((near, 0), (twin, 0)) and not ambiguous((near, 0), (twin, 2))
    assert ambiguous((near, 0), (part([1.0], [3.0]), None)) and ambiguous((part([1.0], [3.0]), None), (near, 0))


@pytest.mark.parametrize(
    ("entries", "doubt"),
    [
        ([(0.0, 0.0)], False),
        ([(0.0, 1e-3)], True),
        ([(2.0**-20, 1.0)], True),
        ([(-(2.0**-20), 1.0)], True),
        ([(2.0**-19, 1.0)], False),
        ([(1.0, 2.0**21)], True),
        ([(3.0, 1.0), (0.0, 1.0)], True),
        ([(3.0, 1.0), (-2.0, 1.0)], False),
        ([(1.0, 0.0)], False),
    ],
)
def test_the_sign_of_what_may_be_0_is_ambiguous(entries, doubt):
    system = Carried("float32")
    found = system.function("sign", part(*zip(*entries, strict=True)))
    assert system.ambiguous is doubt and not found.error.any()
    assert found.value.tolist() == [(v > 0) - (v < 0) for v, _ in entries]
    other = Carried("float32")
    other.function("Abs", part([0.0], [1.0]))
    other.function("exp", part([0.0], [1.0]))
    assert not other.ambiguous
