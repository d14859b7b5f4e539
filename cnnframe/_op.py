"""The central abstraction: an operation is a frozen value with pure methods."""

from __future__ import annotations

import abc
import difflib
import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from numpy.typing import NDArray

from . import _axes
from ._axes import Shape
from ._connections import connections
from ._declaration import Declaration, check, parse
from ._errors import DeclarationError, ShapeError
from ._hyper import PerAxis, hyperparameters
from ._links import as_plain
from ._param import ROLES, Param

Array = NDArray[Any]


class Op(abc.ABC):
    """Fields are hyperparameters; arrays go in and come out; nothing is kept.

    A subclass with a `name` is final. It is a frozen dataclass and declares

    - `inputs`, `params`, `constants`: each array's axes (see `cnnframe._axes`); constants get no gradient;
    - `output`: the axes of the output, or a mapping of names to axes if there are several;
    - `forward(self, <arrays by name>)`, which returns the output (a dict if there are several) and what
      `backward` needs;
    - `backward(self, dy, saved)`, which returns a dict of gradients by name; it may take a third argument
      `wanted`, the names whose gradients are asked for, and leave out the others; it may be missing: then it is
      made from the formula, and `forward` returns, beside the output, the tuple of its arguments in declared order;
    - `formula(self, at, <arrays by name>)`, the output entry at the indices `at`, written with
      `cnnframe.algebra` for every size (a dict by output name, with `at` one too, if there are several);
    - `onnx(self, build, <arrays by name>)`, if it likes: the same in ONNX nodes, for files that predict elsewhere;
    - `claims(self, at, dy, <arrays by name>)`, if it likes: the closed form of each gradient, as a textbook
      prints it. It returns a dict from names of inputs and parameters to the gradient's entry at the indices
      `at[name]`, or to `unproved("why")`; `dy` is the cotangent array (a dict by output name if there are several;
      a scalar if the output has no axes). It is mathematics like the formula, and knows nothing of `backward`.

    `inputs`, `params`, `constants` and `output` may be properties where they depend on hyperparameters. `batch_apart = True`
    says that each entry of a batch is treated by itself (of a loss: that it is a sum over them), so that a batch may be
    computed in parts, on several threads; the suite holds it to the formula.

    Two promises go beyond the formula, and the suite holds the code to those that are made. `keeps_digits` names outputs, and
    inputs and parameters for their gradients, whose entries keep their digits however small they are: each is as near as
    rounding of the operands would bring it, and denormal operands are not flushed to 0. (A function that saturates may
    else be off by the rounding of 1.) `full_range = True`: a NaN passes through even where the formula branches, an activation
    has its limits at the infinities, and an output that the element type can hold comes out even if its square does not fit.

    The caller keeps its arrays: neither method changes an argument or the cotangent, and no output or gradient
    shares memory with one, or a gradient with an output. `backward` may be called more than once with the same
    `saved`, and after other calls of `forward`. A batch may be empty. Element types are kept, float32 or float64.

    Raises:
        DeclarationError: when the subclass is created, if these do not fit together.
        HyperparameterError: when it is constructed out of its bounds.
    """

    name: ClassVar[str]
    inputs: Any
    params: Any = {}
    constants: Any = {}
    output: Any = ""
    batch_apart: ClassVar[bool] = False
    keeps_digits: ClassVar[tuple[str, ...]] = ()
    full_range: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Compare the methods with the declaration at the moment a final class is made."""
        if "name" not in cls.__dict__:
            return
        who = cls.__qualname__
        if not isinstance(cls.name, str) or not cls.name.isidentifier():
            raise DeclarationError(f"{who}.name must be an identifier; got {cls.name!r}")
        if not hasattr(cls, "inputs"):
            raise DeclarationError(f"{who} must declare inputs: a mapping of names to axes")
        check(cls, cls)
        taken = list(inspect.signature(cls.backward).parameters)[1:]
        if taken not in (["dy", "saved"], ["dy", "saved", "wanted"]):
            raise DeclarationError(f"{who}.backward takes ({', '.join(taken)}); wanted (dy, saved) or (dy, saved, wanted)")
        meant = difflib.get_close_matches("backward", [own for own in vars(cls) if own != "backward" and not own.startswith("_")], n=1, cutoff=0.85)
        if cls.backward is Op.backward and meant:
            # Else the gradient would be made from the formula, and what the author wrote would never be looked at.
            raise DeclarationError(f"{who} has {meant[0]!r}; a gradient written by hand is called 'backward'")

    def __post_init__(self) -> None:
        """Bring the hyperparameters into their canonical form and hold them to their bounds."""
        declared = hyperparameters(type(self))
        settled = {name: getattr(self, name) for name in declared}
        first = [name for name in declared if name == "dims"]
        related = [name for name, hyper in declared.items() if any(hasattr(bound, "name") for bound in hyper.bounds)]
        order = [*first, *(name for name in declared if name not in (*first, *related)), *related]
        for name in order:
            settled[name] = declared[name].settle(settled[name], settled, self.name)
            object.__setattr__(self, name, settled[name])
        self.check()

    def check(self) -> None:  # noqa: B027 # most operations have nothing to add to their bounds
        """Refuse hyperparameters that do not go together; override where bounds cannot say it."""

    @abc.abstractmethod
    def forward(self, *args: Any, **arrays: Any) -> tuple[Any, Any]:
        """Return the output and what `backward` needs."""

    def backward(self, dy: Any, saved: Any) -> dict[str, Any]:
        """Return the gradient with respect to every input and parameter; unless overridden, by code that is made from the formula.

        Raises:
            PluginError: nothing is installed that makes it.
            FormulaError: it cannot be made; the message says of which gradient, and why.
            ContractError: `saved` is not the tuple of forward's arguments.
        """
        from ._generated import backward_of

        return backward_of(self)(dy, saved, frozenset(self.declaration.differentiable))

    @abc.abstractmethod
    def formula(self, at: Any, *args: Any, **arrays: Any) -> Any:
        """Return the output entry at `at` as an expression of the entries of the arrays."""

    def claims(self, at: Any, dy: Any, /, *args: Any, **arrays: Any) -> Mapping[str, Any]:  # noqa: ARG002 # overriding methods use them
        """Return the closed form of each gradient's entry at `at[name]`; none, unless overridden."""
        return {}

    def for_evaluation(self) -> Op:
        """Return the operation that stands in for this one when a trained network is used; itself, unless overridden.

        The other operation has this one's inputs, parameters and outputs; constants may be missing.

        Raises:
            GraphError: there is none without more being given, as for statistics of a batch.
        """
        return self

    def onnx(self, build: Any, /, *args: Any, **arrays: Any) -> Any:  # noqa: ARG002 # overriding methods use them
        """Return the output as ONNX nodes, added by `build.node`; None, unless overridden: then a file cannot hold this operation.

        Arguments are called as those of `forward`. Parameters come as arrays, which the file will hold as they are or as the method
        makes them; inputs and constants come as values (`cnnframe.export`). With several outputs a dict by name is returned.
        A file is made of operations in the form that `for_evaluation` gives them.

        Raises:
            ExportError: it cannot be said, with the reason.
        """
        return None

    @cached_property
    def declaration(self) -> Declaration:
        """The axes of every array with this operation's hyperparameters in place."""
        check(type(self), self)
        hypers = hyperparameters(type(self))
        per_axis = [name for name, hyper in hypers.items() if hyper.kind is PerAxis]
        known: dict[str, Any] = {}
        for name in hypers:
            value = getattr(self, name)
            if name in per_axis:
                known |= {f"{name}{d}": part for d, part in enumerate(value)}
            elif not isinstance(value, (str, bool)) and value is not None and hypers[name].kind is int:
                known[name] = value
        texts = {**self.inputs, **self.params, **self.constants}
        outputs = self.output if isinstance(self.output, Mapping) else {"y": self.output}
        parsed = {name: parse(axes) for name, axes in texts.items()}
        parsed_out = {name: parse(axes) for name, axes in outputs.items()}
        used: set[str] = set()
        for axes, _ in [*parsed.values(), *parsed_out.values()]:
            used |= {name for axis in axes if axis.expr is not None for name in axis.expr.names()}
        reals = sorted(name for name in used & hypers.keys() if hypers[name].kind is float)
        if reals:
            raise DeclarationError(f"{type(self).__qualname__}: {reals[0]!r} is part of a size in the axes, and so must be an int; it is declared float")
        known |= {name: getattr(self, name) for name in sorted(used) if isinstance(getattr(type(self), name, None), property)}
        dims = getattr(self, "dims", 2)
        scalars = frozenset(known)
        expanded = {name: _axes.expand(axes, dims, scalars) for name, (axes, _) in parsed.items()}
        return Declaration(
            {name: expanded[name] for name in self.inputs},
            {name: expanded[name] for name in self.params},
            {name: expanded[name] for name in self.constants},
            {name: _axes.expand(axes, dims, scalars) for name, (axes, _) in parsed_out.items()},
            {name: parsed[name][1] for name in self.constants},
            known,
        )

    @cached_property
    def single(self) -> bool:
        """Whether there is one output, which then has no name of its own in `forward` and `backward`."""
        return not isinstance(self.output, Mapping)

    @cached_property
    def parameters(self) -> Mapping[str, Param]:
        """The parameters with role and initialiser."""
        found = {name: axes if isinstance(axes, Param) else Param(axes) for name, axes in self.params.items()}
        for name, param in found.items():
            if param.role not in ROLES:
                raise DeclarationError(f"{self.name}: parameter {name!r} has role {param.role!r}; wanted one of {', '.join(ROLES)}")
        return found

    def sizes(self, shapes: Mapping[str, Shape]) -> dict[str, Any]:
        """Settle every letter from the shapes of the inputs, constants and whatever parameters are given.

        Raises:
            ShapeError: a shape does not fit; the message names array and axis.
        """
        declaration = self.declaration
        known = dict(declaration.known)
        kinds = {
            **dict.fromkeys(declaration.inputs, "input"),
            **dict.fromkeys(declaration.params, "parameter"),
            **dict.fromkeys(declaration.constants, "constant"),
        }
        waiting = {name: axes for name, axes in declaration.arguments.items() if name in shapes}
        while waiting:
            left = {name: axes for name, axes in waiting.items() if not _axes.match(axes, tuple(shapes[name]), known, f"{self.name} {kinds[name]} {name!r}")}
            if len(left) == len(waiting):
                name = next(iter(left))
                raise ShapeError(f"{self.name} {kinds[name]} {name!r}: axes {_axes.render(left[name])} cannot be settled from shape {shapes[name]}")
            waiting = left
        return known

    def output_shapes(self, known: Mapping[str, Any]) -> dict[str, Shape]:
        """The shapes of the outputs, given the settled letters.

        Raises:
            ShapeError: an output would be empty.
        """
        return {name: _axes.shape_of(axes, known, f"{self.name} output {name!r}") for name, axes in self.declaration.outputs.items()}

    def parameter_shapes(self, known: Mapping[str, Any]) -> dict[str, Shape]:
        """The shapes of the parameters, given the settled letters."""
        return {name: _axes.shape_of(axes, known, f"{self.name} parameter {name!r}") for name, axes in self.declaration.params.items()}

    def connections(self, known: Mapping[str, Any]) -> int:
        """How many connections with a trainable parameter there are, given the settled letters; override where the axes do not say it.

        A connection leads from an entry of the input to one of the output; a bias has one to each entry that it is added to.
        """
        return connections(self, known)

    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters as plain data."""
        return {name: as_plain(getattr(self, name)) for name in hyperparameters(type(self))}


class Layer(Op):
    """A map with or without parameters."""


class Loss(Op):
    """One number from a prediction and its targets, summed over the batch; targets are `constants`."""


class Regularizer(Op):
    """One number from one parameter array; `role` says which parameters it is for."""

    role: ClassVar[str] = "weight"
