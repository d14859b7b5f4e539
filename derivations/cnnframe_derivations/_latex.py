"""Write a formula and its derived gradients as LaTeX, in the form in which they are evaluated.

Sizes of axes are capital letters, hyperparameters upright words. A bracket holds the conditions under which
a term counts; what is given of an output is written delta, what is derived of an intermediate carries a bar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter

from cnnframe._hyper import hyperparameters

from ._derive import ADJOINT, COTANGENT, Derivation
from ._terms import Definition, Term


def latex(derivation: Derivation) -> dict[str, str]:
    """The equations: outputs and intermediates by name, then each gradient as `dE/dNAME`.

    An output's size that holds a division rounded down is given first, under a capital letter.
    """
    printer = _printer(derivation)
    found = {printer.doprint(short): f"{printer.doprint(short)} = {printer.doprint(sp.together(size))}" for size, short in printer.short.items()}
    found |= {d.name: _equation(d, printer, derivation) for d in derivation.program.definitions}
    intermediates = {d.name for d in derivation.program.definitions if ADJOINT + d.name in {a.name for a in derivation.adjoints}}
    for adjoint in derivation.adjoints:
        name = adjoint.name.removeprefix(ADJOINT)
        key = f"dE/d{name}" if name not in intermediates else adjoint.name
        found[key] = _equation(adjoint, printer, derivation)
    return found


def simplified(definition: Definition) -> Definition:
    """Use up the equations that only say that a bound index is an index of the result."""
    return Definition(definition.name, definition.index, definition.shape, tuple(_settle(t, dict(definition.box)) for t in definition.terms))


def _settle(term: Term, box: Mapping[Any, Any]) -> Term:
    for eq in term.eq:
        for index, size in term.bound:
            if eq.coeff(index) not in (1, -1):
                continue
            other = sp.expand(index - eq / eq.coeff(index))
            if other in box and sp.expand(box[other] - size) == 0:
                rest = Term(tuple(b for b in term.bound if b[0] != index), term.ge, tuple(e for e in term.eq if e != eq), term.body)
                return _settle(rest.substitute({index: other}), box)
    return term


class _Printer(LatexPrinter):  # type: ignore[misc] # SymPy is untyped
    """LaTeX with this project's names."""

    def __init__(self, hypers: set[str], short: Mapping[Any, Any]) -> None:
        LatexPrinter.__init__(self, {"mul_symbol": None})
        self.hypers = hypers
        self.short = short

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return self.symbol(expr)

    _print_Dummy = _print_Symbol

    def symbol(self, expr: Any) -> str:
        """Capitals for sizes, upright words for hyperparameters, subscripts for numbers."""
        stem, number = re.fullmatch(r"(.*?)_?(\d*)", expr.name).groups()
        if stem in self.hypers or expr.name in self.hypers or "_per_" in expr.name:
            text = rf"\mathrm{{{stem.replace('_', ' ')}}}" if len(stem) > 1 else stem
        elif not isinstance(expr, sp.Dummy) and expr.is_nonnegative:
            text = stem.upper() if len(stem) == 1 else rf"\mathrm{{{stem.replace('_', ' ')}}}"
        else:
            text = LatexPrinter._print_Symbol(self, sp.Symbol(stem.partition("_")[0] or "z"))
        return f"{text}_{{{number}}}" if number else text

    def _print_Indexed(self, expr: Any) -> str:
        return self.entry(str(expr.base.label), expr.indices)

    def entry(self, name: str, indices: Any) -> str:
        """One entry of an array."""
        base = array(name)
        return f"{base}_{{{','.join(self.doprint(i) for i in indices)}}}"


def array(name: str) -> str:
    """An array's name."""
    if name.startswith(COTANGENT):
        return rf"\delta^{{{array(name.removeprefix(COTANGENT))}}}"
    if name.startswith(ADJOINT):
        return rf"\bar{{{array(name.removeprefix(ADJOINT))}}}"
    greek = sp.latex(sp.Symbol(name)) if "_" not in name else rf"\mathrm{{{name.replace('_', ' ')}}}"
    return rf"\mathrm{{{name}}}" if greek == name and len(name) > 1 else greek


def _printer(derivation: Derivation) -> _Printer:
    boxes = [pair for definition in derivation.program.definitions for pair in definition.box]
    short = {size: sp.Symbol(index.name.upper(), integer=True, positive=True) for index, size in boxes if size.has(sp.floor) and "_" not in index.name}
    return _Printer(set(hyperparameters(type(derivation.symbolic.op))), short)


def _equation(definition: Definition, printer: _Printer, derivation: Derivation) -> str:
    definition = _named(simplified(definition))
    name = definition.name
    gradient = name.startswith(ADJOINT) and name.removeprefix(ADJOINT) in derivation.program.operands
    indices = ",".join(printer.doprint(i) for i in definition.index)
    left = rf"\frac{{\partial E}}{{\partial {array(name.removeprefix(ADJOINT))}_{{{indices}}}}}" if gradient else printer.entry(name, definition.index)
    right = " + ".join(_term(term, printer) for term in definition.terms) or "0"
    return f"{left} = {right}".replace("+ -", "- ")


def _named(definition: Definition) -> Definition:
    """Plain letters for the indices of intermediates, other ones than its terms use."""
    taken = {symbol.name for term in definition.terms for symbol in [*term.body.free_symbols, *(i for i, _ in term.bound)]}
    free = iter(letter for letter in "ijklpqrstuvw" if letter not in taken)
    indices = [*definition.index, *(i for term in definition.terms for i, _ in term.bound)]
    names = {index: sp.Dummy(next(free), integer=True) for index in indices if "_" in index.name}
    terms = tuple(term.substitute(names) for term in definition.terms)
    return Definition(definition.name, tuple(names.get(i, i) for i in definition.index), definition.shape, terms)


def _term(term: Term, printer: _Printer) -> str:
    sums = "".join(rf"\sum_{{{printer.doprint(i)}=0}}^{{{printer.doprint(sp.expand(printer.short.get(n, n) - 1))}}} " for i, n in term.bound)
    body = printer.doprint(term.body)
    if term.body.is_Add and (term.bound or term.ge or term.eq):
        body = rf"\left({body}\right)"
    conditions = _ranges(term.ge, printer)
    conditions += [_equality(e, printer) for e in term.eq]
    return sums + body + (r"\,\left[" + r",\; ".join(conditions) + r"\right]" if conditions else "")


def _ranges(guards: tuple[Any, ...], printer: _Printer) -> list[str]:
    """Guards, with the two ends of a range on one line."""
    waiting, found = [sp.expand(g) for g in guards], []
    while waiting:
        low = waiting.pop(0)
        high = next((g for g in waiting if all(not isinstance(s, sp.Dummy) and s.is_nonnegative for s in (low + g).free_symbols)), None)
        if high is None:
            found.append(f"{printer.doprint(low)} \\ge 0")
        else:
            waiting.remove(high)
            found.append(f"0 \\le {printer.doprint(low)} < {printer.doprint(low + high + 1)}")
    return found


def _equality(eq: Any, printer: _Printer) -> str:
    """e = p, with the negative part moved to the right."""
    parts = sp.Add.make_args(sp.expand(eq))
    right = [-part for part in parts if part.could_extract_minus_sign()]
    left = [part for part in parts if not part.could_extract_minus_sign()]
    return f"{printer.doprint(sp.Add(*left))} = {printer.doprint(sp.Add(*right))}"
