"""What an optimizer is: a frozen value with two pure methods."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar

from ._errors import DeclarationError
from ._hyper import hyperparameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._parameters import Parameters


class Optimizer(abc.ABC):
    """A rule for steps; what must last between steps is returned as state.

    Raises:
        HyperparameterError: a hyperparameter is out of its bounds.
    """

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Hold the name to the form that a registry needs."""
        if "name" in cls.__dict__ and not (isinstance(cls.name, str) and cls.name.isidentifier()):
            raise DeclarationError(f"{cls.__qualname__}.name must be an identifier; got {cls.name!r}")

    def __post_init__(self) -> None:
        """Hold the hyperparameters to their bounds."""
        declared = hyperparameters(type(self))
        settled = {name: getattr(self, name) for name in declared}
        for name, hyper in declared.items():
            object.__setattr__(self, name, hyper.settle(settled[name], settled, self.name))

    @abc.abstractmethod
    def init(self, parameters: Parameters) -> Any:
        """Return the state before the first step."""

    def prepare(self, parameters: Parameters, state: Any, curvature: Callable[[int], Parameters]) -> Any:  # noqa: ARG002 # overriding methods use them
        """Return the state with which an epoch begins; the same one, unless overridden.

        It is called before each epoch. `curvature(count)` is the diagonal of the Gauss-Newton matrix of the mean loss over
        `count` examples that are drawn anew (see `Executor.curvature`); it costs about two gradients of them, and nothing if it
        is not called.
        """
        return state

    @abc.abstractmethod
    def step(self, parameters: Parameters, gradients: Parameters, state: Any, rate: Any) -> tuple[Parameters, Any]:
        """Return the parameters after one step, and the state; nothing is changed in place.

        `rate` multiplies the step: a number, a flat vector with one rate for each weight, or what
        `Parameters.spread` makes of one rate for each layer or array.
        """

    def step_into(self, out: tuple[Parameters, Any] | None, parameters: Parameters, gradients: Parameters, state: Any, rate: Any) -> tuple[Parameters, Any]:  # noqa: ARG002 # overriding methods use it
        """Return the same as `step`, bit for bit, in the memory of `out`: parameters and a state that are not needed any more.

        Those are not the ones that go in, but what an earlier step returned; in place of its parameters there may be the gradients
        themselves, which are read before they are written over. An optimizer that does not override it makes new arrays.
        """
        return self.step(parameters, gradients, state, rate)
