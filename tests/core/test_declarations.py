"""What a class must declare, when it is told so, and the errors of the project."""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest

import cnnframe as cf
from cnnframe import Activation, Layer, Loss, Optimizer, Param, Regularizer, _errors, at_least, hookimpl


def forward(self, x, W):
    return x @ W.T, (x, W)


def backward(self, dy, saved):
    x, W = saved
    return {"x": dy @ W, "W": dy.T @ x}


def formula(self, at, x, W):
    return None


RIGHT = {"name": "mine", "inputs": {"x": "n i"}, "params": {"W": "o i"}, "output": "n o", "forward": forward, "backward": backward, "formula": formula}


def make(base=Layer, **changes):
    """A class that differs from a right one in some parts; None leaves the part out."""
    body = {key: value for key, value in {**RIGHT, **changes}.items() if value is not None}
    return dataclass(frozen=True)(type("Mine", (base,), body))


@pytest.mark.parametrize("name", ["backwards", "bakward", "Backward", "backward2"])
def test_a_gradient_by_hand_under_another_name_is_told(name):
    """Else it would be made from the formula, and verified, and the author's own would never be looked at."""
    with pytest.raises(cf.DeclarationError, match=rf"^Mine has '{name}'; a gradient written by hand is called 'backward'$"):
        make(backward=None, **{name: backward})
    make(**{name: backward})
    make(backward=None, forwards=backward, _backwards=backward)
    make(backward=cf.Op.backward)


def test_a_size_is_made_of_integers():
    @dataclass(frozen=True)
    class Narrow(Layer):
        width: Annotated[float, at_least(1)] = 2.0
        name = "narrow"
        inputs: ClassVar = {"x": "n h"}
        output = "n (h - width + 1)"

        def forward(self, x):
            return x, None

        def formula(self, at, x):
            return x[at]

    with pytest.raises(cf.DeclarationError, match=r"'width' is part of a size in the axes, and so must be an int; it is declared float$"):
        _ = Narrow().declaration


def test_a_right_class_is_taken():
    op = make()()
    assert op.declaration.arguments.keys() == {"x", "W"} and op.declaration.differentiable.keys() == {"x", "W"}
    assert op.single and op.sizes({"x": (2, 3), "W": (4, 3)}) == {"n": 2, "i": 3, "o": 4}
    assert op.output_shapes({"n": 2, "o": 4}) == {"y": (2, 4)} and op.parameter_shapes({"i": 3, "o": 4}) == {"W": (4, 3)}


def test_a_class_without_a_name_is_no_final_one():
    class Half(Layer):
        def forward(self, whatever):
            return whatever, None

    assert inspect.isabstract(Half)


DECLARE = r"; inputs, params and constants declare \(x, W\)$"
WRONG = {
    "forward other name": ({"forward": lambda self, x, V: None}, r"^Mine\.forward takes \(x, V\)" + DECLARE),
    "forward order": ({"forward": lambda self, W, x: None}, r"^Mine\.forward takes \(W, x\)" + DECLARE),
    "forward too few": ({"forward": lambda self, x: None}, r"^Mine\.forward takes \(x\)" + DECLARE),
    "forward too many": ({"forward": lambda self, x, W, b: None}, r"^Mine\.forward takes \(x, W, b\)" + DECLARE),
    "forward by position": ({"forward": lambda self, *arrays: None}, r"^Mine\.forward takes \(arrays\)" + DECLARE),
    "formula other name": ({"formula": lambda self, at, x, w: None}, r"^Mine\.formula takes \(x, w\)" + DECLARE),
    "claims other name": ({"claims": lambda self, at, dy, x, w: {}}, r"^Mine\.claims takes \(x, w\)" + DECLARE),
    "claims without dy": ({"claims": lambda self, at, x, W: {}}, r"^Mine\.claims takes \(W\)" + DECLARE),
    "formula without at": ({"formula": lambda self, x, W: None}, r"^Mine\.formula takes \(W\)" + DECLARE),
    "backward without saved": ({"backward": lambda self, dy: None}, r"^Mine\.backward takes \(dy\); wanted \(dy, saved\) or \(dy, saved, wanted\)$"),
    "backward other name": ({"backward": lambda self, g, saved: None}, r"^Mine\.backward takes \(g, saved\); wanted \(dy, saved\)"),
    "backward too many": ({"backward": lambda self, dy, saved, wanted, x: None}, r"^Mine\.backward takes \(dy, saved, wanted, x\); wanted"),
    "backward by name": ({"backward": lambda self, dy, saved, **more: None}, r"^Mine\.backward takes \(dy, saved, more\); wanted"),
    "no inputs": ({"inputs": None}, r"^Mine must declare inputs: a mapping of names to axes$"),
    "inputs text": ({"inputs": "n i"}, r"^Mine\.inputs must be a mapping of names to axes; got 'n i'$"),
    "inputs list": ({"inputs": ["x"]}, r"^Mine\.inputs must be a mapping of names to axes; got \['x'\]$"),
    "params text": ({"params": "o i"}, r"^Mine\.params must be a mapping of names to axes; got 'o i'$"),
    "constants text": ({"constants": ("t",)}, r"^Mine\.constants must be a mapping of names to axes; got \('t',\)$"),
    "bad input axes": ({"inputs": {"x": "n i."}}, r"^Mine\.inputs\['x'\]: axis 'i\.': '\.' is not part of the grammar of axes$"),
    "bad param axes": ({"params": {"W": Param("o (i")}}, r"^Mine\.params\['W'\]: axes 'o \(i': a bracket is not closed$"),
    "bad constant axes": (
        {"constants": {"t": "n -> c d"}, "forward": lambda self, x, W, t: None, "formula": lambda self, at, x, W, t: None},
        r"^Mine\.constants\['t'\]: after -> comes \[0, 1\) or one size that indices stay below; got 'c d'$",
    ),
    "bad output axes": ({"output": "n +"}, r"^Mine\.output: axis '\+': a size or a name is missing"),
    "bad axes of one output": ({"output": {"y": "n", "z": "n )"}}, r"^Mine\.output\['z'\]: axes 'n \)': a bracket is closed that was not opened$"),
    "axes no text": ({"inputs": {"x": 3}}, r"^Mine\.inputs\['x'\]: axes must be a string such as 'n i h w'; got 3$"),
    "output no text": ({"output": ["n"]}, r"^Mine\.output: axes must be a string such as 'n i h w'; got \['n'\]$"),
    "name with a blank": ({"name": "my layer"}, r"^Mine\.name must be an identifier; got 'my layer'$"),
    "name with a hyphen": ({"name": "my-layer"}, r"^Mine\.name must be an identifier; got 'my-layer'$"),
    "empty name": ({"name": ""}, r"^Mine\.name must be an identifier; got ''$"),
    "name no text": ({"name": 3}, r"^Mine\.name must be an identifier; got 3$"),
}


@pytest.mark.parametrize("case", WRONG)
def test_refuses_a_class_when_it_is_made(case):
    changes, message = WRONG[case]
    with pytest.raises(cf.DeclarationError, match=message):
        make(**changes)


def test_keywords_of_any_name_are_left_to_the_author():
    cls = make(forward=lambda self, **arrays: (arrays["x"], None), formula=lambda self, at, **arrays: None)
    assert list(cls().declaration.arguments) == ["x", "W"]


def test_backward_may_ask_what_is_wanted():
    assert make(backward=lambda self, dy, saved, wanted: {})().single


@pytest.mark.parametrize("name", ["my sgd", "", 3, None])
def test_refuses_the_name_of_an_optimizer(name):
    with pytest.raises(cf.DeclarationError, match=rf"^Mine\.name must be an identifier; got {name!r}$"):
        type("Mine", (Optimizer,), {"name": name})


# Parts that are missing are missed when the class is offered: before, it may be a base class.


@pytest.mark.parametrize(
    ("base", "kind", "parts", "missing"),
    [
        (Layer, "layers", {"inputs": {"x": "n"}, "output": "n"}, "formula, forward"),
        (Layer, "layers", {"inputs": {"x": "n"}, "output": "n", "formula": lambda self, at, x: x[at]}, "forward"),
        (Activation, "activations", {"f": lambda self, x: x}, "df, expr"),
        (Loss, "losses", {"inputs": {"z": "n"}, "backward": backward, "forward": lambda self, z: (z, None)}, "formula"),
        (Regularizer, "regularizers", {"inputs": {"w": "..."}, "backward": backward}, "formula, forward"),
        (Optimizer, "optimizers", {"init": lambda self, parameters: ()}, "step"),
    ],
)
def test_missing_parts_are_named_at_admission(base, kind, parts, missing):
    cls = make_bare(base, parts)

    @hookimpl
    def offer():
        return [cls]

    plugin = types.SimpleNamespace(__name__="my_plugin", **{f"cnnframe_{kind}": offer})
    with pytest.raises(cf.DeclarationError, match=rf"^my_plugin: \S+\.Bare lacks {missing}$"):
        cf.load(plugin, entry_points=False)
    with pytest.raises(TypeError, match="abstract"):
        cls()


def make_bare(base, parts):
    return dataclass(frozen=True)(type("Bare", (base,), {"name": "bare", **({} if "inputs" not in parts else {"inputs": parts["inputs"]}), **parts}))


def test_missing_formula_arguments_are_refused_though_abstract():
    """`formula` of the base takes any arrays, so that what is missing is not taken for wrong."""
    assert make_bare(Layer, {"inputs": {"x": "n"}}).__abstractmethods__ == {"forward", "formula"}


# Parameters.


def test_parameters_have_roles():
    op = make(params={"W": Param("o i", "mixing")})()
    assert op.parameters["W"].role == "mixing"
    assert make()().parameters["W"] == Param("o i")
    assert cf.bias("o").role == "bias" and cf.gain("o").role == "gain"


def test_refuses_a_role():
    with pytest.raises(cf.DeclarationError, match=r"parameter 'W' has role 'weigth'; wanted one of weight, bias, gain, mixing$"):
        make(params={"W": Param("o i", "weigth")})().parameters  # noqa: B018 # it is a property


# Several outputs.


@dataclass(frozen=True)
class Halves(Layer):
    """A sum and a difference."""

    name = "halves"
    inputs = {"a": "n h", "b": "n h"}
    output = {"total": "n h", "first": "n"}

    def forward(self, a, b):
        return {"total": a + b, "first": np.copy(a[:, 0])}, a.shape

    def backward(self, dy, saved):
        da = np.copy(dy["total"])
        da[:, 0] += dy["first"]
        return {"a": da, "b": np.copy(dy["total"])}

    def formula(self, at, a, b):
        return {"total": a[at["total"]] + b[at["total"]], "first": a[(*at["first"], 0)]}


def test_several_outputs_have_names_and_shapes():
    op = Halves()
    assert not op.single
    assert op.output_shapes(op.sizes({"a": (2, 3), "b": (2, 3)})) == {"total": (2, 3), "first": (2,)}
    graph = cf.Graph((cf.Node("h", op, {"a": "x", "b": "x"}), cf.Node("r", cf.load().make("relu"), {"x": "h.first"})), {"x": "n 3"}, "r")
    assert graph.axes["h.total"] == "n 3" and graph.axes["r"] == "n"


# Declarations that depend on hyperparameters.


@dataclass(frozen=True)
class Switch(Layer):
    scaled: bool = False
    units: Annotated[int, at_least(1)] = 2

    name = "switch"
    params = {}

    @property
    def inputs(self):
        return {"x": "n width", **({"s": "width"} if self.scaled else {})}

    @property
    def output(self):
        return "n width" if self.scaled else {"y": "n width"}

    @property
    def width(self):
        return 3 * self.units

    def forward(self, **arrays):
        return arrays["x"], None

    def backward(self, dy, saved):
        return {"x": dy}

    def formula(self, at, **arrays):
        return arrays["x"][at]


def test_a_declaration_may_be_a_property():
    assert list(Switch().declaration.inputs) == ["x"] and not Switch().single
    assert list(Switch(scaled=True).declaration.inputs) == ["x", "s"] and Switch(scaled=True).single


def test_a_property_may_give_the_size_of_an_axis():
    assert Switch(units=2).sizes({"x": (5, 6)})["n"] == 5
    with pytest.raises(cf.ShapeError, match=r"^switch input 'x': axis 1 must be width = 6 \(with width=6\); got 7$"):
        Switch(units=2).sizes({"x": (5, 7)})


@pytest.mark.parametrize(
    ("group", "value", "message"),
    [
        ("inputs", {"x": "n i."}, r"^(Mine|mine)\.inputs\['x'\]: axis 'i\.': '\.' is not part of the grammar of axes$"),
        ("params", {"W": 3}, r"^(Mine|mine)\.params\['W'\]: axes must be a string such as 'n i h w'; got 3$"),
        ("output", "n +", r"^(Mine|mine)\.output: axis '\+'"),
        ("inputs", "n i", r"^(Mine|mine)\.inputs must be a mapping of names to axes; got 'n i'$"),
    ],
)
def test_what_a_property_gives_is_held_to_the_same_rules(group, value, message):
    with pytest.raises(cf.DeclarationError, match=message):
        make(**{group: property(lambda self: value)})().declaration  # noqa: B018 # it is a property


def test_the_names_that_a_property_gives_are_held_against_forward():
    with pytest.raises(cf.DeclarationError, match=r"^Mine\.forward takes \(x, W\); inputs, params and constants declare \(z, W\)$"):
        make(inputs=property(lambda self: {"z": "n i"}))().declaration  # noqa: B018 # it is a property


# Sizes.


def test_two_unknown_letters_are_settled_by_another_array():
    op = make(inputs={"x": "n (a*b)"}, params={"W": "a o"}, output="n b o")()
    assert op.sizes({"x": (2, 12), "W": (3, 5)}) == {"n": 2, "a": 3, "b": 4, "o": 5}
    with pytest.raises(cf.ShapeError, match=r"^mine input 'x': axes \(n, a\*b\) cannot be settled from shape \(2, 12\)$"):
        op.sizes({"x": (2, 12)})
    with pytest.raises(cf.ShapeError, match=r"^mine input 'x': axis 1 must be a\*b for an integer b >= 1 \(with a=5\); got 12$"):
        op.sizes({"x": (2, 12), "W": (5, 5)})


def test_a_letter_that_is_a_scalar_hyperparameter_is_not_repeated():
    @dataclass(frozen=True)
    class Window(Layer):
        size: Annotated[cf.PerAxis, at_least(1)] = 2
        groups: Annotated[int, at_least(1)] = 1
        dims: Annotated[int, cf.one_of(1, 2, 3)] = 2

        name: ClassVar[str] = "window"
        inputs: ClassVar[dict[str, str]] = {"x": "n {groups*size*p}"}
        output: ClassVar[str] = "n {p}"

        def forward(self, x):
            return x, None

        def backward(self, dy, saved):
            return {"x": dy}

        def formula(self, at, x):
            return x[at]

    op = Window((2, 3), 5)
    assert op.output_shapes(op.sizes({"x": (1, 20, 45)})) == {"y": (1, 2, 3)}
    assert Window(dims=3).output_shapes(Window(dims=3).sizes({"x": (0, 2, 4, 6)})) == {"y": (0, 1, 2, 3)}


# Errors.


def exceptions(module):
    """The public exceptions of a module, those included that it loads when they are used."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {name: value for name, value in found.items() if isinstance(value, type) and issubclass(value, BaseException)}


def test_there_is_one_tree_of_errors():
    found = exceptions(_errors)
    assert all(issubclass(error, cf.CnnframeError) for error in found.values())
    assert {name for name, error in found.items() if error.__bases__[0] is not cf.CnnframeError} == {"CnnframeError"}


def test_all_errors_are_exported_and_no_other():
    assert exceptions(cf) == exceptions(_errors)
    assert len(exceptions(cf)) >= 12


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        ("DeclarationError", TypeError),
        ("FormulaError", ValueError),
        ("UnknownNameError", LookupError),
        ("HyperparameterError", ValueError),
        ("ShapeError", ValueError),
        ("DTypeError", TypeError),
        ("ContractError", TypeError),
        ("GraphError", ValueError),
        ("NonFiniteError", ArithmeticError),
        ("DataError", ValueError),
        ("RunError", OSError),
    ],
)
def test_errors_are_also_what_python_calls_them(error, builtin):
    assert issubclass(getattr(cf, error), builtin)
    assert str(getattr(cf, error)("who: what")) == "who: what"


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("cnov", ["conv", "dense"], "did you mean 'conv'?"),
        ("CONV", ["conv", "dense"], "did you mean 'conv'?"),
        ("w", ["W", "b"], "did you mean 'W'?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", [], "nothing is known"),
    ],
)
def test_the_nearest_name(name, known, end):
    assert _errors.nearest(name, known) == end
