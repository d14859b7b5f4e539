"""Values far out, what is not a number, and single numbers one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

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

from cnnframe.algebra import tanh, when
from cnnframe_derivations import Settings
from cnnframe_derivations.suite import exhaustive, extremes, gather
from cnnframe_derivations.suite._cases import DTYPES
from cnnframe_derivations.suite._oracle import UNIT, Oracle
from cnnframe_derivations.suite._values import EXTREMES
from cnnframe_derivations.suite._verdict import Evidence, Refutation, Skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_can_be_held_must_come_out_right_far_out(dtype):
    naive = pointwise("naive", lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x)), OPS["softplus"]().expr)
    found = refutation_of(extremes, naive(), lattice="overflowing", dtype=dtype)
    assert "got inf" in found.what and found.certificate == f"the value in 40 digits fits in {dtype}"
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
    assert "exceeds the rounding of the largest entry" in refutation_of(extremes, off(), lattice="constant", dtype=dtype).certificate
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


def swept(f, df, expr, *values):
    """What the exhaustive evidence says at some float32 numbers."""
    numbers = np.array(values, dtype=np.float32)
    return exhaustive._run(pointwise("swept", f, df, expr)(), iter([numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]]))


def test_single_numbers_are_judged_with_the_largest_error_and_where_it_is():
    numbers = [-2.0, -0.5, 0.25, 1.0, 1.5, 3.0]

    def up(x):
        return np.where(x == 1.5, np.nextafter(x, np.float32(9)), x)

    found = swept(up, np.ones_like, lambda x: x, *numbers)
    assert found == {"inputs": 6, "output": {"ulps": 1.0, "at": 1.5}, "gradient of 'x'": {"ulps": 0.0, "at": 0.0}}

    def far(x):
        return np.where(x == 1.5, x + 4 * np.spacing(x), x)

    with pytest.raises(Refutation, match=r"the output at x = 1.5 must be 1.5; got 1.50000048 \(float32\)"):
        swept(far, np.ones_like, lambda x: x, *numbers)
    with pytest.raises(Refutation, match=r"the gradient of 'x' at x = 3.0 must be 1; got nan"):
        swept(np.copy, lambda x: np.where(x == 3, np.nan, np.ones_like(x)), lambda x: x, *numbers)
    with pytest.raises(Refutation, match=r"at x = 1\.5"):
        swept(lambda x: np.where(x == 1.5, 2, np.where(x == 1, np.float32(1.001), x)), np.ones_like, lambda x: x, *numbers)


def test_single_numbers_keep_the_formulas_order_range_and_ends():
    falling = pointwise("late", np.tanh, lambda x: 1 - np.tanh(x) ** 2, tanh)
    grid = np.linspace(2.0, 2.001, 64, dtype=np.float32)
    assert exhaustive._run(falling(), iter([grid]))["inputs"] == 64
    for sign, word in ((1, "fall"), (-1, "rise")):

        def dented(x, sign=sign):
            y = np.tanh(x)
            return (sign * np.where(x == grid[40], y - 40 * np.spacing(y), y)).astype(x.dtype)

        with pytest.raises(Refutation) as caught:
            swept(dented, lambda x, sign=sign: (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype), lambda x, sign=sign: sign * tanh(x), *[*grid, *grid[:0]])
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
    assert exhaustive._read(one) == known and [path.name for path in one.parent.iterdir()] == [one.name]
    one.write_text("{}")
    assert exhaustive._read(one) is None
    one.write_text("[")
    assert exhaustive._read(one) is None
    evidence = gather("exhaustive", OPS["identity"], Settings())
    assert evidence.cases == evidence.of("output") == evidence.of("gradient of 'x'") > 50_000 and len(evidence.notes) == 3


def test_single_numbers_stay_within_the_formulas_range():
    with pytest.raises(Refutation) as caught:
        swept(lambda x: np.tanh(x) * np.float32(1 + 1e-6), lambda x: 1 - np.tanh(x) ** 2, tanh, *np.linspace(10, 20, 8), *np.linspace(-20, -10, 8))
    assert caught.value.finding.certificate.startswith("the formula stays within ")
    assert "at x = -20.0" in caught.value.finding.what or "at x = 10.0" in caught.value.finding.what


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
    grid = np.linspace(2.0, 2.00001, 40, dtype=np.float32)

    def dented(units):
        def f(x):
            y = np.tanh(x)
            return (sign * np.where(x == grid[30], y.max() - units * np.spacing(y), y)).astype(x.dtype)

        return lambda: swept(f, lambda x: (sign * (1 - np.tanh(x) ** 2)).astype(x.dtype), lambda x: sign * tanh(x), *grid)

    assert dented(3)()["inputs"] == 40
    with pytest.raises(Refutation, match="the output at x"):
        dented(8)()


def test_code_may_be_off_by_a_few_units_at_infinity():
    def near_one(units):
        return lambda x: np.where(np.isinf(x), np.sign(x) * np.float32(1 - units * UNIT["float32"]), np.tanh(x)).astype(x.dtype)

    assert swept(near_one(8), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)["inputs"] == 4
    with pytest.raises(Refutation, match="at x = inf"):
        swept(near_one(40), lambda x: 1 - np.tanh(x) ** 2, tanh, math.inf, 1.0, -1.0, -math.inf)
