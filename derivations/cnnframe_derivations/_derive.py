"""From an operation's formula to its gradients, by algebra alone, once for all sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import sympy as sp

from cnnframe import FormulaError, Op

from ._read import read
from ._symbolic import Structure, Symbolic, default_structure, structure, symbolic
from ._terms import Definition, Program, Term, differentiate, fresh

COTANGENT = "d_"
"""Put before an output's name: the given derivative of the objective with respect to that output."""
ADJOINT = "bar_"
"""Put before an intermediate's name: the derivative of the objective with respect to it."""


@dataclass(frozen=True)
class Derivation:
    """The program of a formula and, behind it, that of its gradients.

    Attributes:
        symbolic: the symbolic instance that it was read from.
        program: the formula.
        adjoints: definitions of the adjoints of intermediates, then of the gradients, in order of evaluation.
        gradients: name of each input and parameter to the name of its definition.
    """

    symbolic: Symbolic
    program: Program
    adjoints: tuple[Definition, ...]
    gradients: Mapping[str, str]

    @property
    def name(self) -> str:
        """The operation's name."""
        return str(self.symbolic.op.name)

    def _repr_latex_(self) -> str:
        from ._latex import in_notebook, latex

        return in_notebook(latex(self))

    def adjoint(self, name: str) -> Definition:
        """The definition of the gradient with respect to input or parameter `name`."""
        wanted = self.gradients[name]
        return next(d for d in self.adjoints if d.name == wanted)

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """The conditions on values that the formula branches on; its kinks lie where they change."""
        return tuple(
            condition
            for definition in self.program.definitions
            for term in definition.terms
            for piecewise in term.body.atoms(sp.Piecewise, sp.Abs, sp.sign)
            for condition in (piecewise.args if not isinstance(piecewise, sp.Piecewise) else [c for _, c in piecewise.args])
            if condition.has(sp.Indexed)
        )

    @cached_property
    def batch_apart(self) -> bool:
        """Whether the formula keeps the entries of a batch apart: nothing is read from another entry than one's own."""
        if not self.symbolic.op.declaration.inputs or any(not _leads_with_batch(shape) for shape in self.symbolic.outputs.values()):
            return False
        batched = {name for name, shape in self.symbolic.shapes.items() if _leads_with_batch(shape)}
        batched |= {d.name for d in self.program.definitions if _leads_with_batch(d.shape)}
        for definition in self.program.definitions:
            for term in definition.terms:
                for atom in term.atoms:
                    if str(atom.base.label) in batched and (definition.name not in batched or atom.indices[0] != definition.index[0]):
                        return False
        return True

    @cached_property
    def splits(self) -> bool:
        """Whether a batch may be computed in parts: entries are kept apart, arrays of any shape are read where they are written, a loss sums over them."""
        if self.batch_apart:
            return True
        declaration = self.symbolic.op.declaration
        if all(None in declaration.outputs[output] for output in self.symbolic.outputs):
            return all(atom.indices == definition.index for definition in self.program.definitions for term in definition.terms for atom in term.atoms)
        if any(shape for shape in self.symbolic.outputs.values()):
            return False
        ends = set(self.program.outputs.values())
        inner = [definition for definition in self.program.definitions if definition.name not in ends]
        apart = all(_leads_with_batch(d.shape) and atom.indices[:1] == d.index[:1] for d in inner for term in d.terms for atom in term.atoms)
        return apart and all(_sums_over_batch(term) for d in self.program.definitions if d.name in ends for term in d.terms)


def _sums_over_batch(term: Term) -> bool:
    """Whether all that a term reads is of one entry of the batch, over which it sums."""
    first = {atom.indices[0] if atom.indices else None for atom in term.atoms}
    sizes = dict(term.bound)
    return len(first) == 1 and all(index in sizes and _leads_with_batch((sizes[index],)) for index in first)


def derive(op: Op | type[Op]) -> Derivation:
    """Differentiate the formula of an operation, or of a class whose defaults settle its structure.

    Raises:
        FormulaError: the formula cannot be read.
    """
    return derive_structure(type(op), structure(op)) if isinstance(op, Op) else derive_structure(op, default_structure(op))


@cache
def derive_structure(cls: type[Op], chosen: Structure) -> Derivation:
    """The derivation of a class with these structural hyperparameters."""
    instance = symbolic(cls, chosen)
    program = read(instance)
    for definition in program.definitions:
        if definition.locally_constant:
            _is_constant(program, definition)
    adjoints, gradients = reverse(program, tuple(instance.op.declaration.differentiable))
    found = Derivation(instance, program, adjoints, gradients)
    distinct(f"{cls.name}.formula", [*program.operands, *(COTANGENT + name for name in program.outputs), *(d.name for d in (*program.definitions, *adjoints))])
    return found


def distinct(who: str, names: Iterable[str]) -> None:
    """Refuse two arrays of one name: given ones, intermediates, and what is derived of them.

    Raises:
        FormulaError: there are two.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise FormulaError(f"{who}: two arrays are called {twice[0]!r} ({COTANGENT}NAME and {ADJOINT}NAME are derivatives); give one another name")


def _is_constant(program: Program, definition: Definition) -> None:
    """Refuse a definition that is marked locally constant and has a derivative.

    Raises:
        FormulaError: it has one.
    """
    constant = {d.name for d in program.definitions if d.locally_constant}
    for term in definition.terms:
        for atom in term.atoms:
            name = str(atom.base.label)
            if name not in constant and differentiate(term, name, atom.indices):
                raise FormulaError(f"the intermediate {definition.name!r} is marked locally constant, and changes with {name}: {term.body}")


def reverse(program: Program, wrt: tuple[str, ...]) -> tuple[tuple[Definition, ...], dict[str, str]]:
    """Reverse mode over the definitions: the adjoint of each intermediate, then of each operand in `wrt`."""
    bars = {definition: COTANGENT + output for output, definition in program.outputs.items()}
    adjoints: list[Definition] = []
    intermediates = [d.name for d in reversed(program.definitions) if d.name not in bars and not d.locally_constant]
    order = [*intermediates, *wrt]
    for name in order:
        shape = program.shape(name)
        at = tuple(sp.Dummy("pqrst"[d] if d < 5 else f"p{d}", integer=True) for d in range(len(shape)))
        terms: list[Term] = []
        for user in program.definitions:
            if user.name in bars and not user.locally_constant:
                terms += _pull(user, bars[user.name], name, at)
        bars[name] = ADJOINT + name
        adjoints.append(Definition(bars[name], at, shape, tuple(terms)))
    return tuple(adjoints), {name: bars[name] for name in wrt}


def _pull(user: Definition, bar: str, name: str, at: tuple[Any, ...]) -> list[Term]:
    """What `user` hands down to entry `at` of operand `name`: its adjoint times its derivative, over all its entries."""
    found = []
    for term in user.terms:
        for slope in differentiate(term, name, at):
            own = {index: fresh(index) for index in user.index}
            moved = slope.substitute(own)
            weight = sp.IndexedBase(bar)[tuple(own.values())]
            box = tuple((own[index], size) for index, size in user.box)
            found.append(Term(box + moved.bound, moved.ge, moved.eq, weight * moved.body))
    return found


def _leads_with_batch(shape: tuple[Any, ...]) -> bool:
    return bool(shape) and shape[0] == sp.Symbol("n", integer=True, nonnegative=True)
