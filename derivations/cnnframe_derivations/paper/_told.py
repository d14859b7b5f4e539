"""Proofs and counterexamples as HTML."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..pages._blocks import Block, Formula
from ..pages._equation import equation, indices_of, sides
from ..pages._formula import Writer
from ..pages._html import math
from ..pages._names import Names
from ..pages._render import fragment, inline
from ..pages._story import Story, in_full
from ..pages._style import GREEK, LATEX
from ..proofs._polynomial import ONE, symbol
from ..proofs._statement import Theorem
from ._finding import Proof, Refusal
from ._speech import Claim

MARK = "#c0501d"
"""A colour that can be read on light and on dark paper."""


def proof_html(proof: Proof) -> str:
    """What is proved; the proof is folded away."""
    names, theorem = _names(proof.claim), proof.theorem
    forward = _forward(names, proof.claim)
    steps = in_full(names, theorem, proof.steps)
    blocks: list[Block]
    if proof.claim.of:
        story = Story(names, theorem, proof.steps, proof.claim.of)
        blocks = [story.claim(), story.steps(), steps]
    else:
        scope = names.scope([*(v for v, _ in theorem.free), *indices_of([*theorem.left, *theorem.right])])
        blocks = [Formula(sides(Writer(scope), theorem.left, theorem.right), claim=True), steps]
    summary = f'<summary><span class="right">proved</span> {inline(proof.says)}</summary>'
    given = f"<p>With</p>\n{fragment(forward)}\n" if forward else ""
    return f"<details>{summary}\n{given}<p>For all sizes of at least 1{inline(_assumed(names, theorem))}:</p>\n{fragment(blocks)}</details>"


def _forward(names: Names, claim: Claim) -> list[Block]:
    """The named intermediates of the forward formula and of the closed form."""
    found: list[Block] = []
    for name, definition in claim.theorem.theory.definitions.items():
        if name not in claim.adjoints:
            index = [v for v, _ in definition.index]
            w = Writer(names.scope([*index, *indices_of(definition.terms)]))
            found.append(Formula(equation(w, w.entry(name, [symbol(v) for v in index]), definition.terms)))
    return found


def _assumed(names: Names, theorem: Theorem) -> str:
    least = {symbol(name) - ONE for name in theorem.theory.integers} | {symbol(name) for name in theorem.theory.integers}
    ranges = Writer(names).ranges([c for c in theorem.theory.assume if c not in least])
    return " with $" + "$, $".join(ranges) + "$" if ranges else ""


def _names(claim: Claim) -> Names:
    """The paper's letters: sizes keep the case that they are written in."""
    theory = claim.theorem.theory
    return Names(LATEX, theory, claim.shapes, (), theory.integers)


def refusal_html(refusal: Refusal) -> str:
    """A false statement with its example; entries that differ are coloured."""
    example = refusal.counterexample
    given = [f"{_letter(name)} = {example.numbers[name]}" for name in _scalars(refusal.claim)]
    given += [_matrices(_letter(name), array) for name, array in example.arrays.items()]
    differs = example.derived != example.printed
    both = [_matrices(r"\text{derived}", example.derived, differs), _matrices(r"\text{as claimed}", example.printed, differs)]
    shown = "\n".join(math(r", \quad ".join(parts), block=True) for parts in (given, both))
    return f'<p><span class="wrong">refuted</span> {inline(refusal.says)}. For example:</p>\n{shown}'


def _scalars(claim: Claim) -> list[str]:
    """Scalars, and the sizes that no array shows: those that occur and are not an axis."""
    theorem = claim.theorem
    terms = (*theorem.left, *theorem.right)
    occur = set().union(*(p.symbols() for t in terms for p in (*t.ge, *t.eq, t.body, *(size for _, size in t.bound))))
    axes = {str(size) for shape in (*claim.shapes.values(), [size for _, size in theorem.free]) for size in shape}
    return [name for name in (*claim.example, *sorted(theorem.theory.scalars)) if name in occur and name not in axes]


def _matrices(name: str, array: Any, marked: Any = None) -> str:
    """An array: its last two axes as matrices, those before as a list of them; of more than two axes, those of one entry are left out."""
    marked = np.zeros(array.shape, dtype=bool) if marked is None else np.asarray(marked, dtype=bool)
    shape = [*array.shape] if array.ndim <= 2 else [n for n in array.shape if n > 1]
    while len(shape) < 2:
        shape.append(1)
    cells, marks = array.reshape(-1, *shape[-2:]), marked.reshape(-1, *shape[-2:])
    return f"{name} = " + r",\; ".join(_matrix(m, mark) for m, mark in zip(cells, marks, strict=True))


def _matrix(array: Any, marked: Any) -> str:
    if array.size == 1:
        return _cell(array[0, 0], marked[0, 0])
    rows = (" & ".join(_cell(v, m) for v, m in zip(row, marks, strict=True)) for row, marks in zip(array, marked, strict=True))
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


def _cell(value: Any, marked: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return rf"{{\color{{{MARK}}}{{{text}}}}}" if marked else text


def _letter(name: str) -> str:
    return "\\" + name if name in GREEK else name
