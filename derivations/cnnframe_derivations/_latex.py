"""LaTeX of derivations, definitions and theorems: what a notebook shows, and what programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ._derive import Derivation
from ._symbolic import structure
from ._terms import Definition
from .pages import page
from .pages._equation import equation, indices_of, sides
from .pages._formula import Writer
from .pages._names import Names
from .pages._render import aligned
from .pages._story import Story
from .pages._style import LATEX
from .proofs._polynomial import symbol
from .proofs._statement import Definition as Stated
from .proofs._statement import Theorem, Theory
from .proofs._translate import Translator


def latex(derivation: Derivation) -> dict[str, str]:
    """The equations: definitions and adjoints of intermediates by name, then the closed form of each gradient as `dE/dNAME`."""
    op = derivation.symbolic.op
    return page(type(op), structure(op)).equations()


def of_definition(definition: Definition) -> str:
    """One definition; its free symbols are sizes and hyperparameters."""
    terms, own = definition.terms, {index for index, _ in definition.box}
    parts = [part for t in terms for part in (*t.ge, *t.eq, t.body, *(n for _, n in t.bound))]
    indices = own | {index for t in terms for index, _ in t.bound}
    sizes = {s for part in (*parts, *definition.shape) for s in sp.sympify(part).free_symbols if isinstance(s, sp.Symbol) and s.is_commutative} - indices
    read = {str(atom.base.label) for t in terms for atom in t.atoms}
    translate = Translator(sizes := {s for s in sizes if s.name not in read})
    stated = translate.definition(definition, {s.name for s in sizes})
    integers = frozenset({s.name for s in sizes if s.is_integer} | set(translate.quotients))
    theory = Theory(integers, frozenset(s.name for s in sizes) - integers, ())
    return of_stated(definition.name, stated, theory)


def of_stated(name: str, definition: Stated, theory: Theory) -> str:
    """One definition of a theory."""
    names = _names(theory, name).scope([*(v for v, _ in definition.index), *indices_of(definition.terms)])
    w = Writer(names)
    return aligned(equation(w, w.entry(name, [symbol(v) for v, _ in definition.index]), definition.terms))


def of_theorem(theorem: Theorem) -> str:
    """Both sides: the left one, then the right one that it is said to equal."""
    w = Story(_names(theorem.theory), theorem, [], "").writer
    return aligned(sides(w, theorem.left, theorem.right))


def in_notebook(equations: Mapping[str, str]) -> str:
    """Equations as a notebook wants them."""
    return "\n\n".join(f"$${equation}$$" for equation in equations.values())


def _names(theory: Theory, *others: str) -> Names:
    arrays: dict[str, Any] = {name: tuple(size for _, size in d.index) for name, d in theory.definitions.items()}
    return Names(LATEX, theory, arrays | dict.fromkeys(others, ()), ("y",))
