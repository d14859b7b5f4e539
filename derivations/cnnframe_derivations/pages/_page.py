"""The page of one operation: its formula, and for each gradient the closed form with the proof."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from cnnframe import Op
from cnnframe._hyper import hyperparameters

from .._derive import ADJOINT, COTANGENT
from .._symbolic import ANY, Structure
from ..proofs._polynomial import ONE, Polynomial, symbol
from ..proofs._statement import Theorem
from ..proofs._theorems import Subject, subject
from . import _render
from ._blocks import Block, Formula, Heading, Sentence
from ._equation import Rows, equation, indices_of
from ._formula import Writer
from ._html import document
from ._names import PER, QUOTIENT, Names
from ._story import Story, in_full
from ._style import LATEX, TEXT, Style

if TYPE_CHECKING:
    from ..proofs._prove import Report

PROVED, REFUSED = "proved", "refused"

MEANING = (
    "For all sizes that satisfy what is assumed above and all real arrays of those shapes, where nothing is divided by 0, the scalar functions are "
    "differentiable, maximisers unique, and no condition on values is about to change, the closed form equals the derivative of the formula. "
    "It rests on the checker, on SymPy's derivatives of scalar expressions, on the chain rule and on reindexing finite sums. It does not cover rounding, "
    "overflow, or the Python that runs; for those there is `cnnframe verify`. The number of dimensions is fixed in each proof."
)


@dataclass(frozen=True)
class Page:
    """The derivation of one operation with one choice of structure.

    Attributes:
        cls: the operation.
        subject: what is to be proved.
        report: what became of it.
    """

    cls: type[Op]
    subject: Subject
    report: Report

    @property
    def title(self) -> str:
        """The operation and its choices."""
        choices = ", ".join(f"{name} = {value}" for name, value in self.report.structure.items())
        return self.cls.name + (f" ({choices})" if choices else "")

    def html(self, *, home: str = "") -> str:
        """One HTML file that stands alone."""
        return _render.html(self.title, list(self.blocks(LATEX)), home=home)

    def latex(self) -> str:
        """A LaTeX document."""
        return _render.latex(list(self.blocks(LATEX)))

    def terminal(self) -> Any:
        """Something that Rich prints."""
        return _render.terminal(self.blocks(TEXT))

    def equations(self) -> dict[str, str]:
        """LaTeX of definitions and adjoints of intermediates by name, and of each gradient as `dE/dNAME`: proved closed form, or derivative."""
        names = self.names(LATEX)
        found = {name: _render.aligned(self._define(names, name).rows) for name in [*self._intermediate, *self._bars]}
        for name in self.subject.derivation.gradients:
            story = self.story(name, names)
            shown = story.claim() if self._proved(name) else story.derivative()
            found[f"dE/d{name}"] = _render.aligned(shown.rows)
        return found

    def _repr_html_(self) -> str:
        return _render.fragment(self.blocks(LATEX))

    def _proved(self, name: str) -> bool:
        c = self.report.certificate
        return c is not None and name in c.gradients

    def names(self, style: Style) -> Names:
        """The names on this page."""
        derivation = self.subject.derivation
        return Names(style, self.subject.theory, self.subject.shapes, tuple(derivation.program.outputs), frozenset(hyperparameters(self.cls)))

    def story(self, name: str, names: Names) -> Story:
        """The proof of one gradient, or its statement without steps."""
        c, s = self.report.certificate, self.subject
        if c is not None and self._proved(name):
            return Story(names, c.gradients[name], c.steps[name], name)
        d = s.theory.definitions[ADJOINT + name]
        return Story(names, s.gradients.get(name, Theorem(s.theory, d.index, d.terms, ())), [], name)

    @property
    def _intermediate(self) -> list[str]:
        return [d.name for d in self.subject.derivation.program.definitions]

    @property
    def _bars(self) -> list[str]:
        operands = self.subject.derivation.program.operands
        return [d.name for d in self.subject.derivation.adjoints if d.name.removeprefix(ADJOINT) not in operands]

    def blocks(self, style: Style) -> Iterator[Block]:
        """The page."""
        names = self.names(style)
        yield Heading(1, self.title)
        if said := _said(self.cls):
            yield Sentence(said)
        yield Heading(2, "The formula")
        for name in self._intermediate:
            yield self._define(names, name)
        yield from self._sizes(names)
        yield Heading(2, "What is to be differentiated")
        yield from self._chain(names)
        # A class of the core that claims for all that inherit from it speaks of its own code, not of this formula.
        if self.subject.claimed and not self.cls.claims.__module__.startswith("cnnframe.") and (said := _said(self.cls.claims)):
            yield Sentence(f"The operation claims: {said}")
        for name in self.subject.derivation.gradients:
            yield from self._gradient(names, name)
        yield Heading(2, "What is assumed")
        yield from self._assumptions(names)
        if any(o.verdict == PROVED for o in self.report.gradients.values()):
            yield Heading(2, "What proved means")
            yield Sentence(MEANING)

    def _define(self, names: Names, name: str) -> Formula:
        d = self.subject.theory.definitions[name]
        scope = names.scope([*(v for v, _ in d.index), *indices_of(d.terms)])
        w = Writer(scope)
        return Formula(equation(w, w.entry(name, [symbol(v) for v, _ in d.index]), d.terms))

    def _sizes(self, names: Names) -> Iterator[Sentence]:
        w, s = Writer(names), self.subject
        operands = [name for name in s.derivation.program.operands if names.arrays.get(name)]
        shapes = "; ".join(f"${names.array(name)}$: ${_times(names, [w.index(n) for n in s.shapes[name]])}$" for name in operands)
        yield Sentence(f"Indices begin at 0. A bracket is 1 where what is in it holds, and 0 elsewhere. Shapes: {shapes}.")

    def _chain(self, names: Names) -> Iterator[Block]:
        s, w = self.subject, Writer(names)
        deltas = []
        for output, name in s.derivation.program.outputs.items():
            d = s.theory.definitions[name]
            scoped = Writer(names.scope(v for v, _ in d.index))
            at = [symbol(v) for v, _ in d.index]
            deltas.append(f"${scoped.entry(COTANGENT + output, at)} = {names.style.partial(scoped.entry(output, at))}$")
        yield Sentence(f"$E$ is the objective. Given is its derivative with respect to the output, {' and '.join(deltas)}.")
        if self._bars:
            yield Sentence("The chain rule gives that with respect to each intermediate, from the last to the first:")
            for name in self._bars:
                yield self._define(names, name)
        constant = [d.name for d in s.derivation.program.definitions if d.locally_constant]
        if constant:
            listed = ", ".join(f"${w.names.array(name)}$" for name in constant)
            yield Sentence(f"Constant near every point at which the derivative exists, and so without a derivative of their own: {listed}.")

    def _gradient(self, names: Names, name: str) -> Iterator[Block]:
        outcome = self.report.gradients.get(name, self.report.formula)
        story = self.story(name, names)
        yield Heading(2, f"${names.style.partial(names.array(name))}$", outcome.verdict)
        c = self.report.certificate
        if outcome.verdict != PROVED or c is None:
            yield Sentence(f"{self._against(name)} By the chain rule:")
            yield story.derivative()
            return
        claimed = name in c.claimed
        yield Sentence("The closed form that is claimed:" if claimed else "Nothing is claimed; this closed form was found by the steps below:")
        yield story.claim()
        for other in self._claimed_definitions(story):
            yield self._define(names, other)
        yield story.steps()
        yield in_full(names, c.gradients[name], c.steps[name])

    def _against(self, name: str) -> str:
        """Why no proof of a gradient is shown; of a long reason the first line, for the others are in the checker's notation."""
        outcome = self.report.gradients.get(name, self.report.formula)
        if outcome.verdict == PROVED:
            return "The proof is not shown as long as another claim is refused."
        refused = "What is claimed is refused" if name in self.report.gradients else "The formula is refused"
        reason = outcome.reason.partition("\n")[0].rstrip(".").replace("$", "")
        return f"{refused if outcome.verdict == REFUSED else 'No closed form is proved'}: {reason}."

    def _claimed_definitions(self, story: Story) -> list[str]:
        """Intermediates of a closed form that the formula does not have."""
        shown = {*self._intermediate, *(d.name for d in self.subject.derivation.adjoints)}
        read = {a[1] for t in story.theorem.right for a in t.body.atoms() if a[0] == "entry"}
        return [name for name in self.subject.theory.definitions if name in read and name not in shown]

    def _assumptions(self, names: Names) -> Iterator[Block]:
        w, theory, s = Writer(names), self.subject.theory, self.subject
        plain = sorted(x for x in theory.integers if not x.startswith(QUOTIENT))
        ones = sorted((x for x in plain if symbol(x) - ONE in theory.assume), key=names.symbol)
        zeros = sorted((x for x in plain if symbol(x) in theory.assume and x not in ones), key=names.symbol)
        for who, bound in ((ones, 1), (zeros, 0)):
            if who:
                yield Sentence(f"At least {bound}: {', '.join(f'${names.symbol(x)}$' for x in who)}.")
        yield from self._meanings(names)
        for x, (above, below) in s.quotients.items():
            yield Formula(Rows(names.symbol(x), [names.style.floor(w.index(above), w.index(below))]))
        rest = [c for c in theory.assume if not self._plain(c, ones)]
        if rest:
            yield Sentence(f"And {', '.join(f'${text}$' for text in w.ranges(rest))}.")
        c = self.report.certificate
        if c is not None and c.witness:
            such = ", ".join(f"${names.symbol(x)} = {n}$" for x, n in sorted(c.witness.items()) if x not in s.quotients)
            yield Sentence(f"That can be met, with points in every sum: {such}.")

    def _meanings(self, names: Names) -> Iterator[Sentence]:
        """What symbols are that are no plain sizes."""
        theory = self.subject.theory
        for x in sorted(theory.integers):
            if PER in x:
                whole, _, divisor = x.partition(PER)
                yield Sentence(f"${names.symbol(divisor)}$ divides ${names.symbol(whole)}$, and ${names.symbol(x)}$ is the quotient.")
            if x == ANY:
                yield Sentence(f"${names.symbol(x)}$ is the number of all entries: the axes do not matter.")
        if theory.scalars:
            yield Sentence(f"Real numbers: {', '.join(f'${names.symbol(x)}$' for x in sorted(theory.scalars))}.")
        for name, fact in theory.facts.items():
            ((_, classes),) = fact.terms[0].bound
            yield Sentence(f"Each entry of ${names.array(name)}$ is one of the ${Writer(names).index(classes)}$ classes, which are counted from 0.")

    def _plain(self, c: Polynomial, ones: list[str]) -> bool:
        """Whether an assumption is said with the sizes or the quotients, or follows at once from sizes being at least 1."""
        rests = {x: above - below * symbol(x) for x, (above, below) in self.subject.quotients.items()}
        rounded = [r for x, rest in rests.items() for r in (rest, self.subject.quotients[x][1] - ONE - rest)]
        product = (c + ONE).items
        whole = len(product) == 1 and product[0][1] == 1 and all(a[0] == "symbol" and a[1] in ones for a, _ in product[0][0])
        return c in rounded or whole or any(c == symbol(x) for x in self.subject.theory.integers - set(rests))


def page(cls: type[Op], chosen: Structure) -> Page:
    """State, prove and lay out.

    Raises:
        FormulaError: the formula or a claim cannot be read.
    """
    # The search brings SciPy's linear programming, for which nobody should wait who only imports the package.
    from ..proofs._prove import prove

    return Page(cls, subject(cls, chosen), prove(cls, chosen))


def index(pages: Iterable[Page]) -> str:
    """A page that lists others, which lie beside it under the names of their operations."""
    rows = []
    for made in pages:
        verdicts = " ".join(f'<span class="{o.verdict}">{escape(name)} {o.verdict}</span>' for name, o in made.report.gradients.items())
        link = f'<a href="{escape(made.cls.name)}.html">{escape(made.cls.name)}</a>'
        rows.append(f"<tr><td>{link}</td><td>{_render.inline(_said(made.cls))}</td><td>{verdicts}</td></tr>")
    table = "<table>\n<tr><th>operation</th><th></th><th>gradients</th></tr>\n" + "\n".join(rows) + "\n</table>"
    return document("Derivations", f"<h1>Derivations</h1>\n{table}")


def _times(names: Names, sizes: list[str]) -> str:
    return f" {names.style.times} ".join(sizes)


def _said(documented: Any) -> str:
    """The first paragraph of a docstring."""
    text = inspect.cleandoc(documented.__doc__ or "")
    if text.startswith(f"{documented.__name__}("):
        # A dataclass without a docstring gets its signature for one.
        return ""
    return text.split("\n\n")[0].replace("\n", " ").replace("$", "")
