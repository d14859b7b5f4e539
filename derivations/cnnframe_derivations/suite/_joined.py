"""Operations of which each feeds the next, as one: what the checks ask of an operation, and the truth about it by composition.

The truth is made of what the suite has for each operation. Outputs are carried forward, from one operation's formula into
the next, and cotangents back, through one operation's derived gradient after the other, in the same system of numbers
throughout: floats where arithmetic is exact, many digits for values, rounding errors for bounds (`_carried` says why those
are bounds), magnitudes and binary places for the question whether arithmetic is exact. Nothing is rounded on the way, and
no bound is set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from cnnframe import BATCH, PLAIN, Chain, Kernel, MemoryLayout, Op
from cnnframe._axes import Expr, Shape
from cnnframe._bound import Bound
from cnnframe._declaration import Declaration

from .._derive import COTANGENT, derive
from .._evaluate import Evaluation
from .._numbers import System
from ._carried import Carried
from ._cases import shape_of
from ._names import PLUS
from ._values import add_bits, bits_of_operands

WANTED = ("all", "parameters", "nothing")
"""Which gradients a plan may ask of a chain: all; those of parameters, where nothing before it learns; none, where only the output is asked for."""


def name_of(kinds: tuple[type[Op], ...]) -> str:
    """What a chain of operations is called."""
    return PLUS.join(kind.name for kind in kinds)


@dataclass(frozen=True, eq=False)
class Joined:
    """A chain of operations at given sizes, which a kernel computes; to the checks it looks like one operation.

    Arguments go by the name of their node and their own, as in a network: "conv1.k"; those of the first operation's inputs
    and constants by their own alone.

    Attributes:
        ops: the operations.
        known: settled letters and hyperparameters of the first.
        dtype: element type of all arrays but index constants.
        wanted: which gradients are asked for; see `WANTED`.
        kernel: what computes it; None where only the truth is asked for.
        lies: how the inputs lie when the kernel meets them.
    """

    ops: tuple[Op, ...]
    known: Mapping[str, Any]
    dtype: str
    wanted: str = "all"
    kernel: type[Kernel] | None = None
    lies: MemoryLayout = PLAIN

    batch_apart = False
    keeps_digits = ()
    full_range = False

    @cached_property
    def name(self) -> str:
        """The names of the operations."""
        return name_of(tuple(map(type, self.ops)))

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """A name for each operation, as a chain of a graph numbers them."""
        names = [op.name for op in self.ops]
        return tuple(f"{name}{names[:number].count(name) + 1}" for number, name in enumerate(names))

    @cached_property
    def sizes(self) -> tuple[Mapping[str, Any], ...]:
        """Settled letters and hyperparameters of each operation.

        Raises:
            ShapeError: what one makes does not fit the next.
        """
        found = [self.known]
        for before, op in zip(self.ops, self.ops[1:], strict=False):
            (shape,) = before.output_shapes(found[-1]).values()
            (taken,) = op.inputs
            found.append(op.sizes({taken: shape}))
        return tuple(found)

    @cached_property
    def shapes(self) -> tuple[Mapping[str, Shape], ...]:
        """For each operation the shape of each argument."""
        return tuple({name: shape_of(axes, known) for name, axes in op.declaration.arguments.items()} for op, known in zip(self.ops, self.sizes, strict=True))

    @cached_property
    def outputs(self) -> dict[str, Shape]:
        """The shape of each output of the last."""
        return self.ops[-1].output_shapes(self.sizes[-1])

    @cached_property
    def names(self) -> tuple[Mapping[str, str], ...]:
        """For each operation its own names of what is given, and the names by which the chain takes it."""
        found = []
        for number, (op, node) in enumerate(zip(self.ops, self.nodes, strict=True)):
            outer = () if number else (*op.inputs, *op.constants)
            found.append({name: name if name in outer else f"{node}.{name}" for name in (*outer, *op.params)})
        return tuple(found)

    @cached_property
    def given(self) -> dict[str, Shape]:
        """The shape of every argument of the chain."""
        return {name: self.shapes[number][own] for number, names in enumerate(self.names) for own, name in names.items()}

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of all."""
        return {names[own]: axes for op, names in zip(self.ops, self.names, strict=True) for own, axes in op.params.items()}

    @cached_property
    def declaration(self) -> Declaration:
        """Arrays with their sizes; what no gradient is asked for is constant."""
        first = self.ops[0].declaration
        axes = {name: tuple(Expr("integer", (size,)) for size in shape) for name, shape in self.given.items()}
        axes |= {name: (of[0], *axes[name][1:]) for name, of in first.inputs.items() if of and of[0] == Expr("name", (BATCH,))}
        inputs = dict.fromkeys(first.inputs) if self.wanted == "all" else {}
        params = dict.fromkeys(self.params) if self.wanted != "nothing" else {}
        rest = [name for name in self.given if name not in inputs and name not in params]
        outputs = {name: tuple(Expr("integer", (size,)) for size in shape) for name, shape in self.outputs.items()}
        groups = [{name: axes[name] for name in group} for group in (inputs, params, rest)]
        return Declaration(groups[0], groups[1], groups[2], outputs, {name: first.values.get(name) for name in rest}, dict(first.known))

    @cached_property
    def single(self) -> bool:
        """Whether there is one output, without a name of its own."""
        return self.ops[-1].single

    def output_shapes(self, known: Mapping[str, Any]) -> dict[str, Shape]:
        """The shape of each output."""
        return self.outputs

    def hyperparameters(self) -> list[dict[str, Any]]:
        """Those of each operation as plain data."""
        return [op.hyperparameters() for op in self.ops]

    @cached_property
    def chain(self) -> Chain:
        """What a kernel is asked."""
        wanted = [frozenset(op.params) if self.wanted != "nothing" else frozenset[str]() for op in self.ops]
        if self.wanted == "all":
            wanted[0] |= frozenset(self.ops[0].inputs)
        return Chain(self.nodes, self.ops, self.shapes, self.outputs, np.dtype(self.dtype), tuple(wanted))

    def forward(self, **arrays: Any) -> tuple[Any, Any]:
        """The kernel's."""
        given = [{own: arrays[name] for own, name in names.items()} for names in self.names]
        bound = Bound(self.kernel, self.chain, self.lies, given)
        outputs = bound.forward()
        return outputs["y"] if self.single else outputs, bound

    def backward(self, dy: Any, saved: Any) -> dict[str, Any]:
        """The kernel's."""
        if not self.chain.learns:
            return {}
        found = saved.backward({"y": dy} if self.single else dy)
        return {names[own]: value for names, gradients in zip(self.names, found, strict=True) for own, value in gradients.items()}

    @cached_property
    def text(self) -> str:
        """What does not depend on values, as JSON."""
        sizes = {name: value for name, value in self.known.items() if name not in self.ops[0].declaration.known}
        return json.dumps({"hyperparameters": self.hyperparameters(), "sizes": sizes, "wanted": self.wanted})

    @property
    def evaluation(self) -> Evaluations:
        """Formulas and derived gradients, composed; those of equal chains are the same."""
        return _evaluations(_Key(tuple(map(type, self.ops)), self.text, self))


class Evaluations:
    """Formulas and gradients of a chain, one operation after the other, in any system of numbers; see `Evaluation`."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined
        self.parts = tuple(Evaluation(derive(op), op, known) for op, known in zip(joined.ops, joined.sizes, strict=True))
        self.derivation = _about(self)
        self.shapes = {name: part.shapes[own] for part, names in zip(self.parts, joined.names, strict=True) for own, name in names.items()}
        self.shapes |= {COTANGENT + name: self.parts[-1].shapes[COTANGENT + name] for name in joined.outputs}

    def forward(self, system: System, arrays: Mapping[str, Any]) -> dict[Any, Any]:
        """Every operand and definition, by the number of its operation and its name."""
        found: dict[Any, Any] = {}
        made: Any = None
        for number, (part, names) in enumerate(zip(self.parts, self.joined.names, strict=True)):
            given = {**{own: arrays[name] for own, name in names.items()}, **part.brought}
            held = {name: system.array(np.reshape(value, part.shapes[name])) for name, value in given.items()}
            if number:
                (taken,) = part.op.inputs
                held[taken] = _handed(system, made, part.shapes[taken])
            part.follow(system, held)
            made = next(iter(part.outputs(held).values()))
            found |= {(number, name): value for name, value in held.items()}
        return found

    def backward(self, system: System, held: Mapping[Any, Any], cotangents: Mapping[str, Any]) -> dict[str, Any]:
        """The wanted gradients, given what `forward` returned."""
        wanted = self.joined.declaration.differentiable
        found: dict[str, Any] = {}
        last = self.parts[-1]
        above = {output: system.array(np.reshape(value, last.shapes[COTANGENT + output])) for output, value in cotangents.items()}
        for number in reversed(range(len(self.parts))):
            part, names = self.parts[number], self.joined.names[number]
            gradients = part.pull(system, {name: value for (n, name), value in held.items() if n == number}, above)
            found |= {names[own]: value for own, value in gradients.items() if names.get(own) in wanted}
            if number:
                (taken,), (made,) = part.op.inputs, self.parts[number - 1].op.declaration.outputs
                above = {made: _handed(system, gradients[taken], self.parts[number - 1].shapes[COTANGENT + made])}
        return found

    def outputs(self, held: Mapping[Any, Any]) -> dict[str, Any]:
        """The outputs of the last operation, out of what `forward` returned."""
        number = len(self.parts) - 1
        return self.parts[-1].outputs({name: value for (n, name), value in held.items() if n == number})

    def binary_places(self, places: int) -> int | None:
        """How many the values can have when the arrays' entries have `places`, or None if they are no binary fractions."""
        found: list[dict[str, int]] = []
        for part in self.parts:
            bits = bits_of_operands(part, places)
            if found:
                (taken,) = part.op.inputs
                bits[taken] = _of_output(self.parts[len(found) - 1], found[-1])
            if not add_bits(part, part.derivation.program.definitions, bits):
                return None
            found.append(bits)
        above = 0
        for part, bits in zip(self.parts[::-1], found[::-1], strict=True):
            bits |= {COTANGENT + output: above for output in part.derivation.program.outputs}
            if not add_bits(part, part.derivation.adjoints, bits):
                return None
            above = max((bits[name] for own, name in part.derivation.gradients.items() if own in part.op.inputs), default=0)
        return max(most for bits in found for most in bits.values())


def _of_output(part: Evaluation, bits: Mapping[str, int]) -> int:
    return max(bits[name] for name in part.derivation.program.outputs.values())


def _handed(system: System, part: Any, shape: Shape) -> Any:
    """What one operation hands to another, in the other's shape."""
    return system.reshape(shape, system.stored(part) if isinstance(system, Carried) else part)


def _about(evaluations: Evaluations) -> Any:
    """What the checks ask of a derivation."""
    parts, first = [part.derivation for part in evaluations.parts], evaluations.joined.ops[0].declaration
    # What sums over a batch, as a loss does, splits as well.
    batched = all(of and of[0] == Expr("name", (BATCH,)) for of in first.inputs.values()) and () not in evaluations.joined.outputs.values()
    return SimpleNamespace(
        conditions=tuple(condition for part in parts for condition in part.conditions),
        batch_apart=batched and all(part.splits for part in parts),
        symbolic=SimpleNamespace(shapes=evaluations.joined.given),
        program=SimpleNamespace(outputs=dict.fromkeys(evaluations.joined.outputs)),
    )


@dataclass(frozen=True)
class _Key:
    """A chain, by what its formulas depend on."""

    kinds: tuple[type[Op], ...]
    text: str
    joined: Joined = field(compare=False)


@lru_cache(maxsize=256)
def _evaluations(key: _Key) -> Evaluations:
    return Evaluations(key.joined)
