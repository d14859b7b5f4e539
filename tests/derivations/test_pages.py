"""Pages: their formulas are those that were proved, and what is written can be read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from io import StringIO
from itertools import islice

import pytest
from plain_maths import Formula as Printed
from rich.console import Console

import cnnframe as cf
from cnnframe.algebra import indices, total
from cnnframe_derivations import derive, latex
from cnnframe_derivations._symbolic import default_structure
from cnnframe_derivations.pages import math, page
from cnnframe_derivations.pages._blocks import Formula, Steps
from cnnframe_derivations.pages._render import aligned
from cnnframe_derivations.pages._story import Story
from cnnframe_derivations.pages._style import LATEX, TEXT
from cnnframe_derivations.proofs._instances import World, complete, differ
from cnnframe_derivations.proofs._polynomial import number, parse, symbol
from cnnframe_derivations.proofs._prove import structures
from cnnframe_derivations.proofs._statement import Term, Theorem, Theory

OPS = cf.load().operations()
# In three dimensions the same is printed once more, at length; convolution stands for the others.
EVERY = [(name, chosen) for name, cls in OPS.items() for chosen in structures(cls) if dict(chosen).get("dims") != 3 or name == "conv"]
LEFTOVERS = re.compile(r"@|#\d|quotient\d|Dummy|is_zero|is_positive|_per_|bar_|closed_|[a-z]''|\bd_[a-z]")


@cache
def made(name, chosen=None):
    return page(OPS[name], default_structure(OPS[name]) if chosen is None else chosen)


def lines(p, width=120):
    console = Console(width=width, file=StringIO(), force_terminal=False)
    console.print(p.terminal(), soft_wrap=True)
    return console.file.getvalue().splitlines()


class Reader(HTMLParser):
    """Checks that tags close in the order in which they open, and collects the LaTeX in annotations."""

    def __init__(self):
        HTMLParser.__init__(self)
        self.open, self.tex = [], []

    def handle_starttag(self, tag, attrs):
        assert not {"src", "srcset"} & {key for key, _ in attrs}
        assert all("//" not in (value or "") for key, value in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "annotation":
            self.tex.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "annotation":
            self.tex[-1] += data


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader.tex


@pytest.mark.parametrize(("name", "chosen"), EVERY, ids=[f"{name}-{'-'.join(str(v) for _, v in chosen)}" for name, chosen in EVERY])
def test_every_operation_has_a_page_without_leftovers(name, chosen):
    p = made(name, chosen)
    html, tex, shown = p.html(), p.latex(), "\n".join(lines(p))
    read(html)
    for text in (html.partition("</style>")[2], tex, shown):
        assert not (found := LEFTOVERS.search(text)), text[found.start() - 60 : found.end() + 60]
        assert "http" not in text
    assert "<script" not in html
    for element in re.findall(r"<math.*?</math>", html, flags=re.DOTALL):
        ET.fromstring(element)  # noqa: S314 # of our own making
    assert tex.replace(r"\{", "").replace(r"\}", "").count("{") == tex.replace(r"\{", "").replace(r"\}", "").count("}")
    assert re.sub(r"\\[a-z]+\{(enumerate|aligned|document)\}", "", tex).count(r"\begin") == 0
    assert tex.count(r"\begin{") == tex.count(r"\end{")


def test_a_sum_within_a_formula_has_a_name_and_indices_of_its_own():
    """Its name ends in a number: a subscript, to which TeX and MathML take the indices only in braces."""

    @dataclass(frozen=True)
    class Share(cf.Layer):
        """Each entry over one more than the sum of squares."""

        name = "share"
        inputs = {"x": "n i h"}
        output = "n i h"

        def forward(self, x):
            return x / (1 + (x * x).sum(axis=2, keepdims=True)), x

        def formula(self, at, x):
            n, i, u = at
            (d,) = indices("d")
            return x[n, i, u] / (1 + total(x[n, i, d] ** 2, (d, x.shape[2])))

    p = page(Share, default_structure(Share))
    assert r"{s_{0}}_{j,n}" in p.latex() and r"\bar{s_{0}}_{" in p.latex()
    assert not re.search(r"(?<!\{\w)_\{\w*\}_", p.latex())
    read(p.html())


@pytest.mark.parametrize("name", OPS)
def test_terminal_lines_are_narrow(name):
    assert [line for line in lines(made(name)) if len(line) > 100] == []


@pytest.mark.parametrize("name", OPS)
def test_the_formulas_of_a_page_are_those_of_the_certificate(name):
    p = made(name)
    tex = read(p.html())
    document = p.latex()
    names = p.names(LATEX)
    for gradient, theorem in p.report.certificate.gradients.items():
        story = Story(names, theorem, p.report.certificate.steps[gradient], gradient)
        formulas = [story.derivative(), story.claim(), *(part for step in story.steps().steps for part in step if isinstance(part, Formula))]
        for formula in formulas:
            assert aligned(formula.rows) in tex
            assert aligned(formula.rows) in document


def test_a_changed_statement_changes_the_page():
    p = made("dense")
    c = p.report.certificate
    theorem = c.gradients["b"]
    doubled = replace(theorem, right=tuple(replace(t, body=t.body * number(2)) for t in theorem.right))
    other = replace(p, report=replace(p.report, certificate=replace(c, gradients={**c.gradients, "b": doubled})))
    assert p.equations()["dE/db"] == r"\frac{\partial E}{\partial b_{p}} = \sum_{i=0}^{N - 1} \delta_{i,p}"
    assert other.equations()["dE/db"] == r"\frac{\partial E}{\partial b_{p}} = \sum_{i=0}^{N - 1} 2 \, \delta_{i,p}"


def small(p):
    """Sizes at which the numbers are compared; stride and dilation 1 and 2, to tell them apart."""
    s = p.subject
    plain = {name: 2 for name in s.theory.integers if name not in s.quotients}
    wanted = plain | {name: 1 for name in plain if name.startswith(("dilation", "padding", "groups"))} | {name: 5 for name in plain if name[:1] == "h"}
    return complete(s.theory, s.quotients, wanted) or complete(s.theory, s.quotients, plain)


def shown_arrays(names, world):
    """Entries by printed name; axes with one entry are put back."""

    def entries(array):
        single = names.single(array)

        def entry(*indices):
            left = iter(indices)
            value = world.entry(array, tuple(0 if one else int(next(left)) for one in single))
            return value if isinstance(value, Fraction) else float(value)

        entry.axes = single.count(False)
        return entry

    return {names.array(array): entries(array) for array in names.arrays}


def symbols(p, names, world, sizes):
    """Values of sizes and hyperparameters by printed name."""
    values = {names.symbol(v): k for v, k in sizes.items()}
    for v in sizes:
        if "_per_" in v:
            whole, _, divisor = v.partition("_per_")
            values[names.symbol(whole)] = sizes[v] * sizes[divisor]
    return values | {names.symbol(v): world.atom(("symbol", v), {}) for v in p.subject.theory.scalars}


@pytest.mark.parametrize("name", OPS)
def test_every_printed_equation_has_the_value_of_what_was_proved(name):
    """Read as plain mathematics, each equation of a derivation gives the derivative, at small sizes."""
    p = made(name)
    sizes = small(p)
    world = World(p.subject.theory, sizes)
    names = p.names(TEXT)
    compared = 0
    for gradient, theorem in p.report.certificate.gradients.items():
        story = Story(names, theorem, p.report.certificate.steps[gradient], gradient)
        (steps,) = (block for block in [story.steps()] if isinstance(block, Steps))
        formulas = [story.claim(), *(part for step in steps.steps for part in step if isinstance(part, Formula))]
        points = list(islice(world.free(theorem), 0, None, 7))[:3]
        for formula in formulas:
            if formula.rows.left not in (story.gradient, "0"):
                continue
            printed = Printed(formula.rows.lines, shown_arrays(story.names, world))
            for at in points:
                wanted = world.sum(theorem, theorem.left, at) if formula.rows.left == story.gradient else Fraction(0)
                found = printed.at({**symbols(p, story.names, world, sizes), **{story.names.symbol(v): k for v, k in at.items()}})
                assert not differ(float(found), float(wanted)), (formula.rows, at)
                compared += 1
    assert compared


@pytest.mark.parametrize("name", OPS)
def test_every_printed_definition_has_the_value_of_what_was_read(name):
    p = made(name)
    sizes = small(p)
    world = World(p.subject.theory, sizes)
    for array in [d.name for d in (*p.subject.derivation.program.definitions, *p.subject.derivation.adjoints)]:
        d = p.subject.theory.definitions[array]
        whole = Theorem(p.subject.theory, d.index, d.terms, ())
        story = Story(p.names(TEXT), whole, [], array)
        printed = Printed(story.derivative().rows.lines, shown_arrays(story.names, world))
        for at in list(islice(world.free(whole), 0, None, 5))[:3]:
            found = printed.at({**symbols(p, story.names, world, sizes), **{story.names.symbol(v): k for v, k in at.items()}})
            assert not differ(float(found), float(world.sum(whole, d.terms, at))), (array, story.derivative().rows)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("δ[p, k] e[p, k]", "δ[p, k] e[p, q]"), ("- Σ", "+ Σ"), ("Z[p]²", "Z[p]"), ("k<C", "k<N"), ("δ[p, q] e[p, q] / Z[p]", "δ[p, q] / Z[p]")],
)
def test_a_misprint_has_another_value(right, wrong):
    """The comparison above is one that can fail."""
    p = made("softmax")
    sizes = {"n": 2, "c": 3}
    world = World(p.subject.theory, sizes)
    theorem = p.report.certificate.gradients["x"]
    story = Story(p.names(TEXT), theorem, [], "x")
    rows = story.claim().rows.lines
    assert any(right in row for row in rows)
    at = {"p": 1, "q": 0}
    arrays, values = shown_arrays(story.names, world), {**symbols(p, story.names, world, sizes), **at}
    wanted = float(world.sum(theorem, theorem.left, at))
    assert not differ(Printed(rows, arrays).at(values), wanted)
    assert differ(Printed([row.replace(right, wrong) for row in rows], arrays).at(values), wanted)


def test_the_page_of_a_convolution_tells_its_proof():
    p = made("combine")
    text = "\n".join(lines(p))
    assert "conv2" not in text.partition("∂E/∂x")[2]
    assert "a₀ ↦ size₀ - a₀ - 1, a₁ ↦ size₁ - a₁ - 1, which is its own inverse." in text
    assert "[0 ≤ ξ₀ < H₀]" in "\n".join(lines(made("conv")))
    assert "Q₀ = ⌊(H₀ - size₀) / stride₀⌋" in "\n".join(lines(made("max_pool")))
    assert "t[p] is one of the classes" in "\n".join(lines(made("softmax_cross_entropy", (("targets", "index"),))))


def test_multipliers_are_folded_away_in_html_alone():
    p = made("dense")
    assert "as the checker takes them, with multipliers" in p.html()
    assert "multipliers" not in p.latex() + "\n".join(lines(p))
    (steps,) = re.findall(r"<pre>(.*?)</pre>", p.html(), flags=re.DOTALL)[:1]
    assert "solve n = p for n" in steps
    assert "known" in steps


@pytest.mark.parametrize(("outcome", "said"), [("unproved", "No closed form is proved"), ("refused", "What is claimed is refused")])
def test_what_is_not_proved_says_why(outcome, said):
    p = made("dense")
    c = p.report.certificate
    rest = {key: t for key, t in c.gradients.items() if key != "b"}
    outcomes = {**p.report.gradients, "b": replace(p.report.gradients["b"], verdict=outcome, reason="nobody has found a way")}
    other = replace(p, report=replace(p.report, gradients=outcomes, certificate=replace(c, gradients=rest)))
    text = " ".join("\n".join(lines(other)).split())
    assert f"∂E/∂b {outcome} {said}: nobody has found a way. By the chain rule: ∂E/∂b[p] = Σ(n<N)" in text
    assert f'<span class="{outcome}">{outcome}</span>' in other.html()
    nothing = replace(p, report=replace(p.report, gradients={}, formula=replace(p.report.formula, verdict="refused", reason="no sizes"), certificate=None))
    assert "refused" in nothing.html()


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{\partial E}{\partial x_{p,q}} = \sum_{j=0}^{\mathrm{units} - 1} W_{j,q} \, \delta_{p,j} \;[0 \le u < H]",
        r"\begin{aligned} a & {} = b \\ & \quad + \left\lfloor \frac{H - 1}{\mathrm{stride}_{0}} \right\rfloor \end{aligned}",
        r"\operatorname{softplus}(x_{n}) \mapsto \bar{Z}^{2}, \quad\text{and } \sqrt{a + \epsilon} \ne \exp(-x)",
    ],
)
def test_mathml_is_well_formed_and_keeps_words_whole(formula):
    for block in (True, False):
        found = math(formula, block=block)
        root = ET.fromstring(found)  # noqa: S314 # of our own making
        assert [e.text for e in root.iter("annotation")] == [formula]
        words = {e.text for e in root.iter() if e.tag in ("mi", "mtext")}
        assert {w.replace("~", "\N{NO-BREAK SPACE}") for w in re.findall(r"\\(?:mathrm|operatorname)\{(\w+)\}", formula)} <= words
        assert "&" not in {e.text for e in root.iter("mi")}


def test_a_notebook_shows_derivations_definitions_and_theorems():
    derivation = derive(OPS["softmax"])
    assert derivation._repr_latex_().count("$$") == 12
    assert set(latex(derivation)) == {"e", "Z", "y", "bar_Z", "bar_e", "dE/dx"}
    definition = derivation.program["Z"]
    assert definition._repr_latex_() == r"$$Z_{i} = \sum_{k=0}^{C - 1} e_{i,k}$$"
    theorem = made("dense").report.certificate.gradients["b"]
    assert r"\delta_{n,j} \;[j = p]" in theorem._repr_latex_()
    assert "<math" in made("dense")._repr_html_()


def test_conditions_on_values_are_told_in_cases():
    """is_zero and is_positive in one sum become brackets that exclude each other."""
    theory = Theory(frozenset({"n"}), frozenset(), (symbol("n"),))
    body = parse("x[i]*is_positive(x[i] - y[i]) + y[i] - y[i]*is_positive(x[i] - y[i])")
    theorem = Theorem(theory, (("i", symbol("n")),), (Term((), (), (), body),), ())
    assert r"[x_{i} > y_{i}] \, x_{i} + [x_{i} \le y_{i}] \, y_{i}" in theorem._repr_latex_()
