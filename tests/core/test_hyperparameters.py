"""Hyperparameters: kinds, bounds, and what is said when they are not kept."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Activation, Links, Optimizer, PerAxis, at_least, between, multiple_of, one_of, positive
from cnnframe._hyper import hyperparameters

OPS = cf.load()


class Elementwise(Activation):
    def f(self, x):
        return np.copy(x)

    def df(self, x, y):
        return np.ones_like(x)

    def expr(self, x):
        return x


@dataclass(frozen=True)
class Many(Elementwise):
    count: Annotated[int, at_least(1)] = 1
    groups: Annotated[int, at_least(1)] = 1
    maps: Annotated[int, at_least(1), multiple_of("groups")] = 12
    rate: Annotated[float, between(0, 1, include_high=False)] = 0.5
    inner: Annotated[float, between(-1, 1, include_low=False)] = 0.5
    closed: Annotated[float, between(0, 2.5)] = 0.5
    open_: Annotated[float, between(0, 1, include_low=False, include_high=False)] = 0.5
    slope: Annotated[float, positive] = 1.0
    any_number: float = 0.0
    size: Annotated[PerAxis, at_least(1)] = 1
    dims: Annotated[int, one_of(1, 2, 3)] = 2
    mode: Annotated[str, one_of("sum", "mean")] = "sum"
    text: str = ""
    flag: bool = False
    links: Links = cf.LENET5_LINKS
    limit: Annotated[int | None, at_least(2)] = None

    name = "many"


GOOD = [
    ("count", 1, 1),
    ("count", 10**30, 10**30),
    ("count", np.int8(3), 3),
    ("count", np.uint64(2**64 - 1), 2**64 - 1),
    ("maps", 12, 12),
    ("rate", 0, 0.0),
    ("rate", 0.999, 0.999),
    ("rate", np.float32(0.25), 0.25),
    ("rate", Fraction(1, 4), 0.25),
    ("inner", 1, 1.0),
    ("closed", 2.5, 2.5),
    ("closed", 0, 0.0),
    ("open_", 1e-300, 1e-300),
    ("slope", np.int64(2), 2.0),
    ("any_number", -1e308, -1e308),
    ("size", 3, (3, 3)),
    ("size", (3, 4), (3, 4)),
    ("size", [3, 4], (3, 4)),
    ("size", np.int32(2), (2, 2)),
    ("size", (np.int64(2), 1), (2, 1)),
    ("dims", np.int64(3), 3),
    ("mode", "mean", "mean"),
    ("flag", True, True),
    ("limit", None, None),
    ("limit", np.int16(2), 2),
    ("links", Links.all(2, 3), Links.all(2, 3)),
]


@pytest.mark.parametrize(("key", "given", "kept"), GOOD)
def test_keeps_a_value_in_its_canonical_form(key, given, kept):
    found = getattr(Many(**{key: given}), key)
    assert found == kept and type(found) is type(kept)
    if isinstance(found, tuple):
        assert [type(part) for part in found] == [int] * len(found)


NUMBER = r"many: {} must be a number"
BAD = [
    ("count", 0, r"^many: count must be an integer at least 1; got 0$"),
    ("count", -5, r"^many: count must be an integer at least 1; got -5$"),
    ("count", 2.0, r"^many: count must be an integer at least 1; got 2\.0$"),
    ("count", np.float64(2), r"^many: count must be an integer at least 1; got np\.float64\(2\.0\)$"),
    ("count", True, r"^many: count must be an integer at least 1; got True$"),
    ("count", np.True_, r"^many: count must be an integer at least 1; got np\.True_$"),
    ("count", "3", r"^many: count must be an integer at least 1; got '3'$"),
    ("count", None, r"^many: count must be an integer at least 1; got None$"),
    ("count", (1,), r"^many: count must be an integer at least 1; got \(1,\)$"),
    ("rate", 1, r"^many: rate must be a number at least 0 and less than 1; got 1$"),
    ("rate", -1e-9, r"^many: rate must be a number at least 0 and less than 1; got -1e-09$"),
    ("inner", -1, r"^many: inner must be a number greater than -1 and at most 1; got -1$"),
    ("inner", 1.1, r"^many: inner must be a number greater than -1 and at most 1; got 1\.1$"),
    ("closed", 2.51, r"^many: closed must be a number at least 0 and at most 2\.5; got 2\.51$"),
    ("closed", -0.1, r"^many: closed must be a number at least 0 and at most 2\.5; got -0\.1$"),
    ("open_", 0, r"^many: open_ must be a number greater than 0 and less than 1; got 0$"),
    ("open_", 1, r"^many: open_ must be a number greater than 0 and less than 1; got 1$"),
    ("slope", 0, r"^many: slope must be a number greater than 0; got 0$"),
    ("slope", float("nan"), r"^many: slope must be a number greater than 0; got nan$"),
    ("slope", float("inf"), r"^many: slope must be a number greater than 0; got inf$"),
    ("slope", True, r"^many: slope must be a number greater than 0; got True$"),
    ("slope", 1j, r"^many: slope must be a number greater than 0; got 1j$"),
    ("slope", "1", r"^many: slope must be a number greater than 0; got '1'$"),
    ("any_number", float("nan"), r"^many: any_number must be a number; got nan$"),
    ("any_number", float("-inf"), r"^many: any_number must be a number; got -inf$"),
    ("any_number", np.float32("inf"), r"^many: any_number must be a number; got np\.float32\(inf\)$"),
    ("size", 0, r"^many: size must be an integer or one for each axis at least 1; got 0$"),
    ("size", (3, 0), r"^many: size must be an integer or one for each axis at least 1; got \(3, 0\)$"),
    ("size", (3,), r"^many: size must have one integer for each of 2 axes; got \(3,\)$"),
    ("size", [1, 2, 3], r"^many: size must have one integer for each of 2 axes; got \[1, 2, 3\]$"),
    ("size", (), r"^many: size must have one integer for each of 2 axes; got \(\)$"),
    ("size", 2.0, r"^many: size must be an integer or one for each axis at least 1; got 2\.0$"),
    ("size", (2, True), r"^many: size must be an integer or one for each axis at least 1; got \(2, True\)$"),
    ("size", True, r"^many: size must be an integer or one for each axis at least 1; got True$"),
    ("size", "33", r"^many: size must be an integer or one for each axis at least 1; got '33'$"),
    ("dims", 4, r"^many: dims must be one of 1, 2, 3; got 4$"),
    ("dims", "2", r"^many: dims must be one of 1, 2, 3; got '2'$"),
    ("dims", True, r"^many: dims must be one of 1, 2, 3; got True$"),
    ("mode", "max", r"^many: mode must be one of 'sum', 'mean'; got 'max'$"),
    ("mode", 1, r"^many: mode must be one of 'sum', 'mean'; got 1$"),
    ("text", 3, r"^many: text must be a string; got 3$"),
    ("flag", 1, r"^many: flag must be True or False; got 1$"),
    ("flag", "yes", r"^many: flag must be True or False; got 'yes'$"),
    ("links", [(0, 0)], r"^many: links must be a Links table; got \[\(0, 0\)\]$"),
    ("limit", 1, r"^many: limit must be an integer at least 2 or None; got 1$"),
    ("limit", "1", r"^many: limit must be an integer at least 2 or None; got '1'$"),
]


@pytest.mark.parametrize(("key", "given", "message"), BAD)
def test_refuses_a_value(key, given, message):
    with pytest.raises(cf.HyperparameterError, match=message):
        Many(**{key: given})


def test_refuses_a_number_that_no_float_holds():
    with pytest.raises(cf.HyperparameterError, match=r"^many: slope must be a number greater than 0; got 1000"):
        Many(slope=10**400)


@pytest.mark.parametrize(("dims", "kept"), [(1, (3,)), (2, (3, 3)), (3, (3, 3, 3))])
def test_an_integer_counts_for_every_axis(dims, kept):
    assert Many(size=3, dims=dims).size == kept


def test_dims_is_settled_before_what_needs_it():
    with pytest.raises(cf.HyperparameterError, match=r"^many: dims must be one of 1, 2, 3; got 7$"):
        Many(size=(1, 2, 3), dims=7)
    with pytest.raises(cf.HyperparameterError, match=r"^many: size must have one integer for each of 3 axes; got \(1, 2\)$"):
        Many(size=(1, 2), dims=3)


def test_a_multiple_names_the_value_of_the_other():
    assert Many(maps=12, groups=4).maps == 12
    with pytest.raises(cf.HyperparameterError, match=r"^many: maps must be an integer at least 1 and a multiple of 'groups'; got 12 with groups=5$"):
        Many(maps=12, groups=5)
    with pytest.raises(cf.HyperparameterError, match=r"^many: groups must be an integer at least 1; got 0$"):
        Many(maps=12, groups=0)


def test_the_other_of_a_multiple_may_come_later():
    @dataclass(frozen=True)
    class Later(Elementwise):
        maps: Annotated[int, multiple_of("groups")] = 4
        groups: Annotated[int, at_least(1)] = 2

        name = "later"

    assert Later(6, np.int64(3)).groups == 3
    with pytest.raises(cf.HyperparameterError, match=r"^later: groups must be an integer at least 1; got 0$"):
        Later(6, 0)
    with pytest.raises(cf.HyperparameterError, match=r"^later: maps must be an integer a multiple of 'groups'; got 5 with groups=3$"):
        Later(5, 3)


def test_what_does_not_go_together_is_for_the_operation_to_say():
    @dataclass(frozen=True)
    class Ordered(Elementwise):
        low: Annotated[int, at_least(0)] = 0
        high: Annotated[int, at_least(0)] = 1

        name = "ordered"

        def check(self):
            if type(self.low) is not int or self.low >= self.high:
                raise cf.HyperparameterError(f"ordered: low must be below high={self.high}; got {self.low}")

    assert Ordered(np.int64(1), 2).low == 1
    with pytest.raises(cf.HyperparameterError, match=r"^ordered: low must be below high=1; got 3$"):
        Ordered(low=3)


def test_operations_are_equal_by_what_was_kept():
    assert Many(size=3, rate=0) == Many(size=[3, 3], rate=0.0)
    assert hash(Many(size=3)) == hash(Many(size=(3, 3)))
    assert Many().hyperparameters()["size"] == [1, 1]
    assert Many().hyperparameters()["links"] == cf.LENET5_LINKS.to_rows()


def test_optimizers_hold_theirs_too():
    with pytest.raises(cf.HyperparameterError, match=r"^sgd: \w+ must be a number .*; got -1"):
        OPS.make("sgd", **{next(key for key, hyper in hyperparameters(OPS["sgd"]).items() if hyper.kind is float): -1})


def test_make_names_what_is_missing():
    with pytest.raises(cf.HyperparameterError, match=r"^conv needs maps: an integer at least 1 and a multiple of 'groups'$"):
        OPS.make("conv", size=3)
    with pytest.raises(cf.HyperparameterError, match=r"^conv needs size: an integer or one for each axis at least 1$"):
        OPS.make("conv", maps=3)
    with pytest.raises(cf.HyperparameterError, match=r"^conv_linked needs links: a Links table$"):
        OPS.make("conv_linked", size=3)


def test_make_names_the_nearest_hyperparameter():
    with pytest.raises(cf.UnknownNameError, match=r"^conv has no hyperparameter 'siez'; did you mean 'size'\?$"):
        OPS.make("conv", maps=3, siez=3)
    with pytest.raises(cf.UnknownNameError, match=r"^conv has no hyperparameter 'Size'; did you mean 'size'\?$"):
        OPS.make("conv", maps=3, Size=3)
    with pytest.raises(cf.UnknownNameError, match=r"^dense has no hyperparameter 'qqq'; known: .*units"):
        OPS.make("dense", units=3, qqq=1)
    with pytest.raises(cf.UnknownNameError, match=r"^relu has no hyperparameter 'x'; nothing is known$"):
        OPS.make("relu", x=1)


def test_bounds_explain_themselves():
    texts = {key: str(hyper) for key, hyper in hyperparameters(Many).items()}
    assert texts["rate"] == "a number at least 0 and less than 1"
    assert texts["mode"] == "one of 'sum', 'mean'"
    assert texts["limit"] == "an integer at least 2 or None"
    assert texts["flag"] == "True or False"
    assert str(between(float("-inf"), float("inf"))) == "a number"


def test_choices_and_defaults_can_be_asked_for():
    found = hyperparameters(Many)
    assert found["flag"].choices == (False, True) and found["dims"].choices == (1, 2, 3) and found["count"].choices is None
    assert not found["rate"].required and found["rate"].default == 0.5 and found["limit"].optional
    assert hyperparameters(OPS["dense"])["units"].required
    with pytest.raises(TypeError):
        found["rate"] = None


def declared(annotation):
    return dataclass(frozen=True)(type("Mine", (Elementwise,), {"__annotations__": {"size": annotation}, "__module__": __name__, "name": "mine"}))


KINDS = r"^Mine\.size: a hyperparameter is int, float, bool, str, PerAxis or Links; got "
NO_BOUND = r"is not a bound; use at_least, between, positive, one_of or multiple_of$"


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (list[int], KINDS + r"list\[int\]$"),
        (complex, KINDS + r"<class 'complex'>$"),
        (tuple[int, int], KINDS),
        (int | str, KINDS),
        (None, KINDS),
        (np.ndarray, KINDS),
        (Annotated[bytes, at_least(1)], KINDS),
        (int | str | None, KINDS),
        (Annotated[int, "five"], r"^Mine\.size: 'five' " + NO_BOUND),
        (Annotated[int, at_least(1), 7], r"^Mine\.size: 7 " + NO_BOUND),
        (Annotated[int, at_least], r"^Mine\.size: <function at_least .*> " + NO_BOUND),
        ("NoSuchName", r"^Mine: an annotation cannot be read: name 'NoSuchName' is not defined$"),
        ("np.NoSuchName", r"^Mine: an annotation cannot be read: .*NoSuchName"),
        ("1 +", r"^Mine: an annotation cannot be read: "),
        (Annotated[int, multiple_of("gruops")], r"^Mine\.size: .*'gruops'"),
    ],
)
def test_refuses_an_annotation(annotation, message):
    with pytest.raises(cf.DeclarationError, match=message):
        hyperparameters(declared(annotation))


def test_a_size_for_each_axis_may_be_absent():
    @dataclass(frozen=True)
    class Window(Elementwise):
        stride: PerAxis | None = None

        name = "window"

    assert Window().stride is None
    assert Window(2).stride == (2, 2)


def test_a_size_for_each_axis_may_be_written_out():
    cls = declared(int | tuple[int, ...])
    assert cls(2).size == (2, 2) and cls([1, 2]).size == (1, 2)


def test_refuses_what_is_no_frozen_dataclass():
    class Bare(Elementwise):
        name = "bare"

    @dataclass
    class Thawed(Optimizer):
        name = "thawed"

        def init(self, parameters):
            return ()

        def step(self, parameters, gradients, state, rate):
            return parameters, state

    for cls in (Bare, Thawed):
        with pytest.raises(cf.DeclarationError, match=rf"\.{cls.__name__} must be decorated with @dataclass\(frozen=True\)$"):
            hyperparameters(cls)


def test_refuses_a_subclass_whose_own_fields_are_none():
    """A subclass of an operation that is not decorated keeps its parent's fields; its own would be ignored."""

    @dataclass(frozen=True)
    class Parent(Elementwise):
        rate: float = 1.0

        name = "parent"

    class Child(Parent):
        count: Annotated[int, at_least(1)] = 0

        name = "child"

    with pytest.raises(cf.DeclarationError, match=r"\.Child must be decorated with @dataclass\(frozen=True\)$"):
        hyperparameters(Child)
