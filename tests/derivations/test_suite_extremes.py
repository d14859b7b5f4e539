"""Values far out, what is not a number, and single numbers one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from suite_parts import (
    OPS,
    BothCurved,
    Total,
    broken,
    case,
    check,
    pointwise,
    refutation_of,
    second_output,
)

from cnnframe import Layer
from cnnframe._axes import ELLIPSIS
from cnnframe.algebra import absolute, tanh, when
from cnnframe_derivations import Settings
from cnnframe_derivations._rounding import Rounded
from cnnframe_derivations.suite import exhaustive, extremes, gather
from cnnframe_derivations.suite._bench import BUDGETS, Bench
from cnnframe_derivations.suite._calls import Subject
from cnnframe_derivations.suite._cases import DTYPES
from cnnframe_derivations.suite._oracle import UNIT, Oracle
from cnnframe_derivations.suite._values import EXTREMES, LINE
from cnnframe_derivations.suite._verdict import Evidence, Refutation, Skip


def test_an_answer_that_is_the_argument_far_out_alone_is_refused():
    def lent(x):
        return x if x.min() > 100 else np.logaddexp(0, x)

    @dataclass(frozen=True)
    class Back(OPS["softplus"]):
        def backward(self, dy, saved):
            right = super().backward(dy, saved)["x"]
            return {"x": dy if np.array_equal(right, dy) else right}

    # Numbers near 300.
    found = refutation_of(extremes, pointwise("lent", lent, lambda x: 1 / (1 + np.exp(-x)), OPS["softplus"]().expr)(), lattice="offset")
    assert "the output 'y' shares memory with the argument 'x'" in found.what
    assert "the gradient of 'x' shares memory with the argument or cotangent 'y'" in refutation_of(extremes, Back(), lattice="offset").what


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_can_be_held_must_come_out_right_far_out(dtype):
    naive = pointwise("naive", lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x)), OPS["softplus"]().expr)
    found = refutation_of(extremes, naive(), lattice="overflowing", dtype=dtype)
    assert (
        "must be 800; got inf" in found.what
        and found.certificate == f"the value in 40 digits fits in {dtype}; does an intermediate result leave the range of {dtype}?"
    )
    for rule in EXTREMES:
        evidence = check(extremes, OPS.make("softplus"), lattice=rule, dtype=dtype)
        kept = {"small entries keep their digits": 1} if rule == "denormal" else {}
        assert evidence.compared == {"output": 1, "gradient of 'x'": 1} | kept
        assert not evidence.skipped
    squares = pointwise("squares", np.square, lambda x: 2 * x, lambda x: x * x)
    evidence = check(extremes, squares(), lattice="huge", dtype="float64")
    assert evidence.checks == 2 and not evidence.skipped
    cubes = pointwise("cubes", lambda x: x**3 * x**4 * x**4, lambda x: 11 * x**10, lambda x: x**11)
    for rule, counted in (("huge", {"a value does not fit in the element type": 1 if dtype == "float64" else 2}), ("saturated", {})):
        assert check(extremes, cubes(), lattice=rule, dtype=dtype).skipped == counted
    off = pointwise("off", lambda x: x * x.dtype.type(1 + 64 * float(np.finfo(x.dtype).eps)), np.ones_like, lambda x: x)
    # Where no operand is very large or small, no intermediate result is under suspicion.
    assert "exceeds the rounding of the largest entry" in (plain := refutation_of(extremes, off(), lattice="constant", dtype=dtype).certificate)
    assert "intermediate" not in plain
    above = pointwise("above", lambda x: x + 1, np.ones_like, lambda x: x)
    assert "intermediate" not in refutation_of(extremes, above(), lattice="zero", dtype=dtype).certificate
    for rule in ("huge", "tiny"):
        assert "intermediate" in refutation_of(extremes, off(), lattice=rule, dtype=dtype).certificate
    with pytest.raises(Skip, match="not extreme"):
        check(extremes, OPS.make("relu"))


def test_what_is_not_a_number_must_not_vanish():
    sizes = {"n": 2, "c": 3}
    evidence = Evidence("extremes")
    extremes.not_finite(Oracle(case(Total(), sizes, lattice="real")), evidence)
    assert evidence.checks == 2
    without_nan, without_infinity = lambda self, x: (np.nansum(x, axis=1), x), lambda self, x: (np.where(np.isinf(x), 0, x).sum(axis=1), x)
    for forward, said in ((without_nan, "a NaN in entry .* of 'x' vanishes"), (without_infinity, "an infinity in entry .* of 'x' vanishes")):
        cls = dataclass(frozen=True)(type("Lost", (Total,), {"name": "lost", "forward": forward}))
        with pytest.raises(Refutation, match=said):
            extremes.not_finite(Oracle(case(cls(), sizes, lattice="real")), Evidence("extremes"))
    branching = dataclass(frozen=True)(type("Branching", (OPS["relu"],), {"name": "branching", "full_range": False}))
    with pytest.raises(Skip, match="branches on values"):
        extremes.not_finite(Oracle(case(branching(), lattice="real")), Evidence("extremes"))


def swept(f, df, expr, *values, **promises):
    """What the exhaustive evidence says at some float32 numbers."""
    numbers = np.array(values, dtype=np.float32)
    return exhaustive._run(pointwise("swept", f, df, expr, **promises)(), iter([numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]]))


def test_single_numbers_are_judged_with_the_largest_error_and_where_it_is():
    numbers = [-2.0, -0.5, 0.25, 1.0, 1.5, 3.0]

    def up(x):
        return np.where(x == 1.5, np.nextafter(x, np.float32(9)), x)

    found = swept(up, np.ones_like, lambda x: x, *numbers)
    assert found == {"inputs": 6, "output": {"ulps": 1.0, "at": 1.5}, "gradient of 'x'": {"ulps": 0.0, "at": 0.0}}

    def far(x):
        return np.where(x == 1.5, x + 4 * np.spacing(x), x)

    with pytest.raises(Refutation, match=r"the output at x = 1.5 must be 1.5; got 1.50000048 \(float32\)") as caught:
        swept(far, np.ones_like, lambda x: x, *numbers)
    found = caught.value.finding
    assert {array.name: (array.shape, array.entries, array.entry) for array in found.arrays} == {
        "x": ((1,), (1.5,), (0,)),
        "expected": ((1,), (1.5,), (0,)),
        "got": ((1,), (1.5 + 2.0**-21,), (0,)),
    }
    assert found.case == ("with swept() (float32, C layout)", "x (1,) = [1.5]")
    with pytest.raises(Refutation, match=r"the gradient of 'x' at x = 3.0 must be 1; got nan"):
        swept(np.copy, lambda x: np.where(x == 3, np.nan, np.ones_like(x)), lambda x: x, *numbers)
    with pytest.raises(Refutation, match=r"at x = 1\.5"):
        swept(lambda x: np.where(x == 1.5, 2, np.where(x == 1, np.float32(1.001), x)), np.ones_like, lambda x: x, *numbers)


def test_single_numbers_may_be_off_by_two_roundings_of_their_value_and_no_more():
    """Of the identity: at 1.5 one unit in the last place, which is two thirds of two roundings."""
    for x0 in (1.5, -1.5):

        def off(x, units, x0=x0):
            return np.where(x == x0, x + units * np.spacing(x), x)

        for units in (1, -1):
            found = swept(lambda x, units=units: off(x, units), np.ones_like, lambda x: x, 1.0, x0, 2.0, 4.0)
            assert found["output"] == {"ulps": 1.0, "at": x0}
        for units in (2, -2):
            with pytest.raises(Refutation, match=f"the output at x = {x0} must be {x0}"):
                swept(lambda x, units=units: off(x, units), np.ones_like, lambda x: x, 1.0, x0, 2.0, 4.0)


def test_single_numbers_may_be_off_by_sixteen_times_the_running_error():
    """A half whose error is three units: 48 for the routes, and one for the answer's rounding."""
    op = pointwise("half")()
    for value in (0.5, -0.5):
        truth, x = Rounded(np.array([value]), np.array([3.0])), np.array([1.0], np.float32)
        subject = Subject("exhaustive", exhaustive._Given(case(op, {ELLIPSIS: (1,)}), "x", x))
        for sign in (1, -1):
            worst = exhaustive.Worst()
            exhaustive._compare(subject, "output", np.array([value + sign * 49 * UNIT["float32"]], np.float32), truth, x, worst)
            assert (worst.ulps, worst.at) == (49, 1)
            with pytest.raises(Refutation, match=r"the output at x = 1\.0"):
                exhaustive._compare(subject, "output", np.array([value + sign * 50 * UNIT["float32"]], np.float32), truth, x, worst)


def test_nothing_is_asked_where_the_bound_is_beyond_what_float32_holds():
    """Whatever the value: the code may be anything there."""
    x = np.array([1.0], np.float32)
    subject = Subject("exhaustive", exhaustive._Given(case(pointwise("wild")(), {ELLIPSIS: (1,)}), "x", x))
    for error in (1e46, 1e45):
        exhaustive._compare(subject, "output", np.array([np.nan], np.float32), Rounded(np.array([1.0]), np.array([error])), x, exhaustive.Worst())
    with pytest.raises(Refutation, match="got nan"):
        exhaustive._compare(subject, "output", np.array([np.nan], np.float32), Rounded(np.array([1.0]), np.array([1e43])), x, exhaustive.Worst())


def test_the_largest_error_stays_the_largest_of_all_chunks():
    def off(x):
        return np.where(x == 1.5, np.nextafter(x, np.float32(9)), x)

    first_half = (0.25, 1.5, 2.0, 3.0)
    assert swept(off, np.ones_like, lambda x: x, *first_half)["output"] == {"ulps": 1.0, "at": 1.5}
    assert swept(off, np.ones_like, lambda x: x, *first_half[2:], *first_half[:2])["output"] == {"ulps": 1.0, "at": 1.5}


def test_single_numbers_keep_the_formulas_order_range_and_ends():
    falling = pointwise("late", np.tanh, lambda x: 1 - np.tanh(x) ** 2, tanh)
    grid = np.linspace(2.0, 2.001, 64, dtype=np.float32)
    assert exhaustive._run(falling(), iter([grid]))["inputs"] == 64
    for sign, word in ((1, "fall"), (-1, "rise")):

        def dented(x, sign=sign):
            y = np.tanh(x)
            return (sign * np.where(x == grid[40], y - 40 * np.spacing(y), y)).astype(x.dtype)

        def slope(x, sign=sign):
            return (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype)

        with pytest.raises(Refutation) as caught:
            swept(dented, slope, lambda x, sign=sign: sign * tanh(x), *grid)
        assert f"the formula does not {word}, and the code has been at" in caught.value.finding.certificate
        # Numbers beside them that are not finite hide nothing.
        with pytest.raises(Refutation) as caught:
            swept(dented, slope, lambda x, sign=sign: sign * tanh(x), *([math.nan, *grid[1:]] * 2))
        assert f"the formula does not {word}, and the code has been at" in caught.value.finding.certificate
    with pytest.raises(Refutation, match="at x = inf must be 1; got 2"):
        swept(lambda x: np.where(np.isinf(x), np.float32(2), np.tanh(x)), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, math.inf)
    with pytest.raises(Refutation, match="must be nan; got 0"):
        swept(lambda x: np.where(np.isnan(x), np.float32(0), x), np.ones_like, lambda x: x, math.nan, 1.0, 2.0, 3.0)
    assert swept(
        lambda x: np.where(np.isnan(x), np.float32(0), np.maximum(x, 0)),
        lambda x: (x > 0).astype(x.dtype),
        lambda x: when(x > 0, x, 0),
        math.nan,
        1.0,
        2.0,
        3.0,
    )
    assert swept(np.copy, np.ones_like, lambda x: x, math.inf, -1.0, -math.inf, math.nan, 1.0, 3e38)["inputs"] == 6


def test_numbers_of_which_none_is_finite_are_judged_too():
    assert swept(np.copy, np.ones_like, lambda x: x, math.nan, math.inf)["inputs"] == 2


def test_a_sample_of_single_numbers_has_every_exponent_and_the_special_ones():
    found = exhaustive._sample()
    assert found.dtype == np.float32 and found.size > 50_000
    bits = found.view(np.uint32)
    assert np.unique(bits).size == bits.size
    assert set(bits >> 31) == {0, 1} and set((bits >> 23) & 255) == set(range(256))
    for number in (
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        1.0,
        np.finfo(np.float32).max,
        np.finfo(np.float32).smallest_subnormal,
        np.nextafter(np.float32(2), np.float32(0)),
    ):
        assert np.float32(number).view(np.uint32) in bits
    assert np.isnan(found).any() and np.nextafter(np.float32(2), np.float32(3)) in found
    first = next(exhaustive._all())
    assert first.dtype == np.float32 and np.array_equal(first.view(np.uint32), np.arange(exhaustive.CHUNK, dtype=np.uint32))
    starts = [int(chunk.view(np.uint32)[0]) for _, chunk in zip(range(3), exhaustive._all(), strict=False)]
    assert starts == [0, exhaustive.CHUNK, 2 * exhaustive.CHUNK] and exhaustive.ALL == 2**32


def test_a_kept_result_is_found_again_for_the_same_code_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = exhaustive._store(OPS.make("logistic")), exhaustive._store(OPS.make("logistic", beta=2.0))
    assert one != other and one.is_relative_to(tmp_path) and one == exhaustive._store(OPS.make("logistic"))
    known = {"inputs": 1, "output": {"ulps": 0.0, "at": 0.0}, "gradient of 'x'": {"ulps": 0.0, "at": 0.0}}
    assert exhaustive._read(one) is None and exhaustive._read(None) is None
    exhaustive._write(one, known)
    exhaustive._write(None, known)
    exhaustive._write(other, known)
    assert exhaustive._read(other) == known
    other.unlink()
    assert exhaustive._read(one) == known and [path.name for path in one.parent.iterdir()] == [one.name]
    one.write_text("{}")
    assert exhaustive._read(one) is None
    one.write_text("[")
    assert exhaustive._read(one) is None
    evidence = gather("exhaustive", OPS["identity"], Settings())
    assert evidence.cases == evidence.of("output") == evidence.of("gradient of 'x'") > 50_000 and len(evidence.notes) == 3


def test_a_result_that_cannot_be_kept_costs_time_and_no_more(tmp_path):
    (tmp_path / "file").write_text("")
    exhaustive._write(tmp_path / "file" / "known.json", {})
    nowhere = type(pointwise("nowhere")())
    nowhere.__module__ = "no.such.module"
    assert exhaustive._store(nowhere()) is None


def test_every_number_is_run_once_and_the_result_kept(tmp_path, monkeypatch):
    """The profile `thorough`, as if there were a few numbers in two chunks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runs = []

    def few():
        runs.append(1)
        yield from (np.array([0.5, 1.0], np.float32), np.array([2.0], np.float32))

    monkeypatch.setattr(exhaustive, "_all", few)
    op = OPS["identity"]
    for _ in range(2):
        found = gather("exhaustive", op, Settings("thorough"))
        assert found.cases == 3 and found.compared == {"output": 3, "gradient of 'x'": 3} and runs == [1]
        assert found.notes == [*(f"{label}: largest error 0 ulp, at x = 0" for label in ("output", "gradient of 'x'")), "every float32 number"]
    assert gather("exhaustive", OPS["dense"], Settings()).absent == "it is no function of one number"
    assert gather("exhaustive", op, Settings("smoke")).absent == "this profile leaves it out"
    assert gather("exhaustive", op, Settings()).notes[-1].endswith("float32 numbers of all exponents; --profile thorough takes all")


def test_single_numbers_stay_within_the_formulas_range():
    with pytest.raises(Refutation) as caught:
        swept(lambda x: np.tanh(x) * np.float32(1 + 1e-6), lambda x: 1 - np.tanh(x) ** 2, tanh, *np.linspace(10, 20, 8), *np.linspace(-20, -10, 8))
    assert caught.value.finding.certificate.startswith("the formula stays within ")
    assert "at x = -20.0" in caught.value.finding.what or "at x = 10.0" in caught.value.finding.what
    for ends in ((10, 20), (-20, -10)):
        with pytest.raises(Refutation) as caught:
            swept(lambda x: np.tanh(x) * np.float32(1 + 1e-6), lambda x: 1 - np.tanh(x) ** 2, tanh, *np.linspace(*ends, 8))
        assert caught.value.finding.certificate.startswith("the formula stays within ")


def test_a_nan_must_reach_the_second_output_from_the_second_input():
    clean = second_output(BothCurved, np.nan_to_num)
    with pytest.raises(Refutation, match=r"a NaN in entry .* of 'a' vanishes"):
        extremes.not_finite(Oracle(case(clean, {"n": 3}, lattice="real")), Evidence("extremes"))

    def forward(self, a, b):
        return BothCurved.forward(self, a, np.nan_to_num(b))

    with pytest.raises(Refutation, match=r"a NaN in entry .* of 'b' vanishes"):
        extremes.not_finite(Oracle(case(broken("cleaned", BothCurved, forward=forward), {"n": 3}, lattice="real")), Evidence("extremes"))
    evidence = Evidence("extremes")
    extremes.not_finite(Oracle(case(BothCurved(), {"n": 3}, lattice="real")), evidence)
    assert evidence.checks == 8


def test_results_are_kept_in_the_home_folder_if_nothing_else_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert exhaustive._store(OPS.make("logistic")).is_relative_to(tmp_path / ".cache" / "cnnframe" / "exhaustive")


@pytest.mark.parametrize("sign", [1, -1])
def test_single_numbers_may_fall_back_by_what_a_library_is_off_by(sign):
    """Where tanh is 1, four units in the last place are allowed for, and five are not."""
    grid = np.linspace(10.0, 20.0, 40, dtype=np.float32)

    def dented(units):
        def f(x):
            return (sign * np.where(x == grid[30], 1 - units * np.spacing(np.float32(1)), np.tanh(x))).astype(x.dtype)

        op = pointwise("dented", f, lambda x: (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype), lambda x: sign * tanh(x))()
        return exhaustive._run(op, iter([np.concatenate([grid[::2], grid[1::2]])]))

    assert dented(3)["inputs"] == 40 == dented(4)["inputs"]
    with pytest.raises(Refutation) as caught:
        dented(5)
    word = "fall" if sign > 0 else "rise"
    assert caught.value.finding.certificate == f"the formula does not {word}, and the code has been at {sign} before"
    assert f"the output at x = {float(grid[30])!r} must be {sign}; got" in caught.value.finding.what


def test_code_may_overflow_near_the_largest_number_and_nowhere_else():
    """A quarter of the largest is the last of which code may not form four times the value on its way."""
    quarter = float(np.finfo(np.float32).max) / 4

    def beyond(most):
        return lambda x: np.where(np.abs(x) > most, np.copysign(np.inf, x), x).astype(x.dtype)

    values = (-3 * quarter, 1.0, 0.9 * quarter, 1.1 * quarter)
    assert swept(beyond(quarter), np.ones_like, lambda x: x, *values)["inputs"] == 4
    with pytest.raises(Refutation, match=r"must be .* got inf"):
        swept(beyond(quarter / 2), np.ones_like, lambda x: x, *values)


def test_code_may_be_off_by_a_few_units_at_infinity():
    def near_one(units):
        return lambda x: np.where(np.isinf(x), np.sign(x) * np.float32(1 - units * UNIT["float32"]), np.tanh(x)).astype(x.dtype)

    assert swept(near_one(8), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)["inputs"] == 4
    step = lambda x: np.where(np.isinf(x), np.float32(1 - 8 * UNIT["float32"]), 1.0) * (x > 0)  # noqa: E731 # a function of one line
    one_or_none = lambda x: step(x).astype(x.dtype)  # noqa: E731 # as above
    assert swept(one_or_none, np.zeros_like, lambda x: when(x > 0, 1, 0), math.inf, 1.0, -1.0, -math.inf)["inputs"] == 4
    with pytest.raises(Refutation, match="at x = inf"):
        swept(near_one(20), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)
    thousand = {units: lambda x, units=units: (1000 * near_one(units)(x)).astype(x.dtype) for units in (8, 24)}
    slope = lambda x: (1000 * (1 - np.tanh(x) ** 2)).astype(x.dtype)  # noqa: E731 # as above
    assert swept(thousand[8], slope, lambda x: 1000 * tanh(x), math.inf, 1.0, -1.0, -math.inf)["inputs"] == 4
    with pytest.raises(Refutation, match="at x = inf must be 1000"):
        swept(thousand[24], slope, lambda x: 1000 * tanh(x), math.inf, 1.0, -1.0, -math.inf)


def test_where_the_formula_has_no_limit_at_infinity_none_is_promised():
    def value(x):
        return x * np.tanh(x) - x

    def slope(x):
        return np.tanh(x) + x * (1 - np.tanh(x) ** 2) - 1

    assert swept(value, slope, lambda x: x * tanh(x) - x, math.inf, 1.0, -1.0, 0.5, full_range=True)["inputs"] == 4


def test_what_fits_is_judged_where_something_else_does_not():
    eleventh = pointwise("eleventh", lambda x: x**3 * x**4 * x**4, lambda x: 11 * x**10, lambda x: x**11)
    found = check(extremes, eleventh(), {ELLIPSIS: (5,)}, lattice="spike", dtype="float32")
    assert found.compared == {"output": 1, "gradient of 'x'": 1} and found.skipped == {"a value does not fit in the element type": 2}
    lost = pointwise("lost", lambda x: np.where(np.abs(x) < 100, np.inf, x**3 * x**4 * x**4), lambda x: 11 * x**10, lambda x: x**11)
    assert "fits in float32" in refutation_of(extremes, lost(), {ELLIPSIS: (5,)}, lattice="spike", dtype="float32").certificate


# What is promised beyond the formula


def scaled(factor, **promises):
    """An activation that is the identity, but for a factor near 1 in its value."""
    return pointwise("scaled", lambda x: x * x.dtype.type(factor), np.ones_like, lambda x: x, **promises)()


def test_digits_are_kept_up_to_a_few_roundings_and_no_more():
    """The identity may be off by 16 times two units, one of its value and one of its operand: 32 units, or 16 epsilons."""
    kept = {"keeps_digits": ("y",)}
    line = {"sizes": {ELLIPSIS: (LINE,)}, "lattice": "line"}
    for dtype in DTYPES:
        eps = float(np.finfo(dtype).eps)
        assert check(extremes, scaled(1 + 14 * eps, **kept), dtype=dtype, **line).compared == {"small entries keep their digits": 1}
        found = refutation_of(extremes, scaled(1 + 20 * eps, **kept), dtype=dtype, **line)
        assert "of the output 'y' must be" in found.what and "it promises to keep its digits" in found.certificate
    assert not check(extremes, scaled(1 + 2.0**-20), **line).checks
    both = scaled(1, keeps_digits=("x", "y"))
    assert check(extremes, both, **line).compared == {"small entries keep their digits": 2}
    steep = pointwise("steep", df=lambda x: np.full_like(x, 1 + 2.0**-20), keeps_digits=("x",))()
    assert "of the gradient of 'x' must be 1" in refutation_of(extremes, steep, **line).what


def test_the_smallest_numbers_are_kept_where_they_are_looked_at():
    """Numbers that float64 holds with few digits may be off by some of its smallest, and must not be taken for 0."""
    flushed = pointwise("flushed", lambda x: np.where(np.abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x), keeps_digits=("y",))()
    for dtype in DTYPES:
        sizes = {"sizes": {ELLIPSIS: (6,)}, "dtype": dtype}
        assert "must be" in refutation_of(extremes, flushed, lattice="denormal", **sizes).what
        assert check(extremes, flushed, lattice="line", **sizes).checks
    near = pointwise("near", lambda x: x + 8 * x.dtype.type(np.finfo(x.dtype).smallest_subnormal), keeps_digits=("y",))()
    assert check(extremes, near, {ELLIPSIS: (6,)}, lattice="denormal").compared["small entries keep their digits"] == 1
    assert check(extremes, near, {ELLIPSIS: (6,)}, lattice="tiny").compared == {"output": 1, "gradient of 'x'": 1}


@dataclass(frozen=True)
class Shifted(Layer):
    """x + b, which is off by a millionth."""

    name = "shifted"
    keeps_digits = ("y",)
    inputs = {"x": "n"}
    params = {"b": "n"}
    output = "n"

    def forward(self, x, b):
        return (x + b) * x.dtype.type(1 + 2.0**-20), None

    def backward(self, dy, saved):
        return {"x": dy * 1, "b": dy * 1}

    def formula(self, at, x, b):
        return x[at] + b[at]


def test_of_layers_those_with_few_operands_are_moved_one_by_one():
    assert extremes.operands(Oracle(case(Shifted(), {"n": 12}, lattice="line"))) == 24
    assert "must be" in refutation_of(extremes, Shifted(), {"n": 12}, lattice="line", dtype="float64").what
    assert not check(extremes, Shifted(), {"n": 13}, lattice="line").checks
    bench = Bench(Shifted, Settings("smoke"))
    cases = [case(Shifted(), {"n": n}) for n in (12, 13, 1, 2, 3, 4, 5)]
    assert [(c.known["n"], c.lattice) for c in extremes._of_all_sizes(cases, bench)] == [(n, "line") for n in (12, 1, 2, 3)]


def test_every_rule_has_its_cases():
    """Each rule of extreme values, numbers that are none, and what is promised beyond."""
    budget = BUDGETS["smoke"]["extremes"]
    plain = gather("extremes", pointwise("plain"), Settings("smoke"))
    assert plain.cases == len(EXTREMES) + budget and plain.state == "verified"
    full = gather("extremes", pointwise("full", full_range=True), Settings("smoke"))
    assert full.cases == plain.cases + budget
    kept = gather("extremes", pointwise("kept", keeps_digits=("y",)), Settings("smoke"))
    assert kept.cases == plain.cases + 2
    assert gather("extremes", Shifted, Settings("smoke")).finding.kind == "extremes"


def test_numbers_that_are_none_are_put_in_the_entry_of_the_seed():
    cls = dataclass(frozen=True)(type("Lost", (Total,), {"name": "lost", "forward": lambda self, x: (np.nansum(x, axis=1), x)}))
    for seed, entry in ((0, (0, 0)), (4, (1, 1)), (5, (1, 2)), (6, (0, 0))):
        with pytest.raises(Refutation) as caught:
            extremes.not_finite(Oracle(case(cls(), {"n": 2, "c": 3}, lattice="real", seed=seed)), Evidence("extremes"))
        assert caught.value.finding.what.startswith(f"a NaN in entry {entry} of 'x' vanishes: entry ({entry[0]},) of the output is ")
    assert {array.name: array.entry for array in caught.value.finding.arrays}["got"] == (0,)


def test_numbers_that_are_none_reach_what_depends_on_them_and_nothing_else():
    first = broken("first", Total, forward=lambda self, x: (x[:, 0] * 1, x), formula=lambda self, at, x: x[at[0], 0])
    for seed in range(6):
        evidence = Evidence("extremes")
        extremes.not_finite(Oracle(case(first, {"n": 2, "c": 3}, lattice="real", seed=seed)), evidence)
        assert evidence.compared == {"NaN and infinity pass through": 2}
    bell = pointwise("bell", lambda x: 1 / (1 + x * x), lambda x: x, lambda x: 1 / (1 + x * x))
    extremes.not_finite(Oracle(case(bell(), {ELLIPSIS: (3,)}, lattice="real")), evidence)
    assert evidence.checks == 4
    hidden = pointwise("hidden", lambda x: np.where(np.isinf(x), 1, x), lambda x: x, lambda x: x)
    with pytest.raises(Refutation, match="an infinity in entry"):
        extremes.not_finite(Oracle(case(hidden(), {ELLIPSIS: (3,)}, lattice="real")), evidence)


def test_where_a_formula_branches_a_promise_is_looked_at_entry_by_entry():
    full = pointwise("full", lambda x: np.maximum(x, 0), np.ones_like, lambda x: when(x > 0, x, 0), full_range=True)
    for size, tried in ((4, 4), (24, 24), (30, 24)):
        evidence = Evidence("extremes")
        extremes.not_finite(Oracle(case(full(), {ELLIPSIS: (size,)}, lattice="real")), evidence)
        assert evidence.checks == 2 * tried
    lost = pointwise("lost", lambda x: np.where(x > 0, x, 0), np.ones_like, lambda x: when(x > 0, x, 0), full_range=True)
    with pytest.raises(Refutation, match="a NaN in entry"):
        extremes.not_finite(Oracle(case(lost(), {ELLIPSIS: (8,)}, lattice="real")), Evidence("extremes"))


def test_values_that_nearly_overflow_are_promised_by_a_full_range_alone():
    squares = pointwise("root", lambda x: np.sqrt(x * x), np.sign, absolute)
    for dtype in DTYPES:
        assert "got inf" in refutation_of(extremes, squares(), lattice="vast", dtype=dtype).what
        assert check(extremes, OPS.make("relu"), lattice="vast", dtype=dtype).compared == {"output": 1, "gradient of 'x'": 1}


def test_limits_are_kept_where_they_are_promised():
    def forward(x):
        with np.errstate(all="ignore"):
            return np.where(np.isinf(x), np.nan, np.tanh(x)).astype(x.dtype)

    values = (math.inf, 1.0, -1.0, -math.inf)

    def run(f, expr, **promises):
        cls = pointwise("swept", f, lambda x: 1 - np.tanh(x) ** 2 if expr is tanh else (x > 0).astype(x.dtype), expr, **promises)
        return exhaustive._run(cls(), iter([np.array((*values, math.nan), np.float32)]))

    assert run(forward, tanh)["inputs"] == 5
    with pytest.raises(Refutation, match="at x = inf must be 1; got nan"):
        run(forward, tanh, full_range=True)
    positive_part = lambda x: np.where(x > 0, x, 0).astype(x.dtype)  # noqa: E731 # as the formula has it
    assert run(positive_part, lambda x: when(x > 0, x, 0))["inputs"] == 5
    with pytest.raises(Refutation, match="at x = nan must be nan; got 0"):
        run(positive_part, lambda x: when(x > 0, x, 0), full_range=True)


def test_near_zero_float32_may_be_off_by_some_of_its_smallest_normal_numbers():
    tiny = float(np.finfo(np.float32).tiny)

    def off(by):
        return lambda x: np.where(np.abs(x) < 1, x + np.float32(by * tiny), x).astype(x.dtype)

    assert swept(off(8), np.ones_like, lambda x: x, 0.0, 1.0, -1.0, 2.0)["inputs"] == 4
    with pytest.raises(Refutation, match=r"the output at x = 0\.0 must be 0"):
        swept(off(40), np.ones_like, lambda x: x, 0.0, 1.0, -1.0, 2.0)


def test_the_largest_error_is_one_at_a_finite_number():
    def up(x):
        return np.where(x == 1.5, np.nextafter(x, np.float32(9)), x)

    found = swept(up, np.ones_like, lambda x: x, math.inf, 1.5, 1.0, math.nan)
    assert found["output"] == {"ulps": 1.0, "at": 1.5}


def test_rules_of_extreme_values_meet_different_cases():
    """Nine cases with a seed of their own: each of the nine rules takes another, and the next round others."""
    cases = [case(OPS.make("relu"), seed=seed) for seed in range(9)]
    put = []
    bench = SimpleNamespace(
        cls=pointwise("plain"),
        drawn=cases,
        budget={"extremes": 2},
        line=(),
        some=lambda kind: (),
        oracle=Oracle,
        judge=lambda check, found, evidence: put.extend(found),
    )
    extremes.gather(bench, Evidence("extremes"))
    assert [c.lattice for c in put] == list(EXTREMES) and len({c.seed for c in put}) == 9
    bench.budget["extremes"] = 4
    put.clear()
    extremes.gather(bench, Evidence("extremes"))
    assert [c.lattice for c in put] == 2 * list(EXTREMES) and len({(c.lattice, c.seed) for c in put}) == 18


def test_numbers_that_are_none_are_put_into_cases_of_real_numbers():
    lost = pointwise("lost", np.nan_to_num, np.ones_like, lambda x: x)
    assert "a NaN in entry" in refutation_of(extremes, lost(), {ELLIPSIS: (3,)}, lattice="real").what
    assert check(extremes, pointwise("kept")(), {ELLIPSIS: (3,)}, lattice="real").compared == {"NaN and infinity pass through": 2}
