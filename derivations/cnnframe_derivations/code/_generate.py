"""The source of `backward` from a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp

from cnnframe import ContractError, Op
from cnnframe.algebra import Unproved

from .._claims import ClosedForms, closed_forms
from .._derive import COTANGENT, Derivation
from .._symbolic import ANY, Structure, structure
from .._terms import Definition, Term
from ..proofs._polynomial import ONE
from ..proofs._prove import PROVED, prove
from ..proofs._theorems import subject
from ..proofs._translate import Translator
from ._costs import Costs, usual
from ._emit import Emitter
from ._layout import laid_out, said
from ._pieces import CodeError, Piece, Rules, pieces
from ._stable import PEAK, Column, first_maximum, shifted
from ._views import Views, aligned
from ._writer import Sizes, Statement, Writer, tuple_text

SCHEDULES = ("auto", "gather", "scatter")
DEARER = 3.0
"""A derivative that has functions or quotients in it must cost this many times less than the author's closed form to be taken instead."""


def source(cls: type[Op], chosen: Structure, schedule: str = "auto", instead: Derivation | None = None) -> str:
    """NumPy source of `backward` for an operation class, with the choices that decide its formula.

    With `instead`, a derivation that has other definitions in the place of the gradients, source of those; nothing is claimed of them.

    Raises:
        FormulaError: the formula or a claim cannot be read.
        CodeError: a gradient cannot be scheduled; the message names the guard.
    """
    if schedule not in SCHEDULES:
        raise CodeError(f'schedule is "auto", "gather" or "scatter"; got {schedule!r}')
    return _gradients(cls, chosen, schedule) if instead is None else _Generation(cls, chosen, schedule, instead).source()


@cache
def _gradients(cls: type[Op], chosen: Structure, schedule: str) -> str:
    return _Generation(cls, chosen, schedule).source()


@cache
def _compiled(cls: type[Op], chosen: Structure, schedule: str) -> Callable[..., dict[str, Any]]:
    return loaded(source(cls, chosen, schedule), f"backward of {cls.name}")


def loaded(text: str, what: str) -> Callable[..., dict[str, Any]]:
    """The function `backward` in source that `source` gave."""
    names: dict[str, Any] = {}
    exec(compile(text, f"<{what}>", "exec"), names)  # noqa: S102 # our own source
    found: Callable[..., dict[str, Any]] = names["backward"]
    return found


def backward_function(op: Op, schedule: str = "auto") -> Callable[..., dict[str, Any]]:
    """`backward(dy, saved, wanted)` of an operation, from its formula; `saved` is the tuple of forward's arguments.

    Raises:
        FormulaError: the formula cannot be read, or a gradient cannot be scheduled.
    """
    function = _compiled(type(op), structure(op), schedule)
    names = list(op.declaration.arguments)

    def backward(dy: Any, saved: Any, wanted: Iterable[str] | None = None) -> dict[str, Any]:
        if not isinstance(saved, tuple) or len(saved) != len(names):
            got = f"a tuple of {len(saved)}" if isinstance(saved, tuple) else type(saved).__name__
            raise ContractError(f"{op.name} has no backward of its own, so its forward must save the tuple of its arguments ({', '.join(names)}); got {got}")
        return function(op, dy, saved, frozenset(op.declaration.differentiable) if wanted is None else frozenset(wanted))

    return backward


@dataclass(frozen=True)
class _Root:
    """What a gradient is computed from."""

    name: str
    origin: str


class _Generation:
    """Writes one function."""

    def __init__(self, cls: type[Op], chosen: Structure, schedule: str, instead: Derivation | None = None) -> None:
        """Write the gradients of an operation; or what a derivation gives `instead` of them, of which nothing is claimed."""
        self.cls, self.chosen, self.schedule = cls, chosen, schedule
        self.subject = subject(cls, chosen)
        derivation = instead or self.subject.derivation
        self.derivation, self.symbolic, program = derivation, derivation.symbolic, derivation.program
        claims = ClosedForms({}, ()) if instead else closed_forms(derivation)
        self.claimed = {name: form.name for name, form in claims.forms.items() if not isinstance(form, Unproved)}
        named = [*program.definitions, *derivation.adjoints, *claims.definitions, *(f for f in claims.forms.values() if not isinstance(f, Unproved))]
        self.definitions = {d.name: d for d in named}
        self.cotangents = {COTANGENT + output: "dy" if self.symbolic.op.single else COTANGENT + output for output in program.outputs}
        self.translate = Translator(self.symbolic.symbols)
        self.translate.quotients.update(self.subject.quotients)
        self.shapes = dict(self.subject.shapes)
        self.shapes |= {d.name: tuple(self.translate.polynomial(n, {}) for n in d.shape) for d in named}
        self.arguments = {name: "dy_" if name == "dy" else name for name in self.symbolic.shapes}
        brought = {name: name for name in self.symbolic.operands}
        arrays = {**self.arguments, **self.cotangents}
        self.sizes = Sizes(self.symbolic, self.shapes, self.subject.quotients, arrays)
        taken = {*arrays.values(), *brought.values(), *self.sizes.lines, "self", "saved", "wanted", "np", "real", "expit", "gradients", "sliding_window_view"}
        self.writer = Writer(taken)
        self.rules = Rules(self.subject.theory, self.shapes, self.translate, {s.name for s in self.symbolic.symbols}, self.sizes.hypers)
        one = {name for name, shape in self.shapes.items() if shape == (ONE,) and name in self.definitions}
        scalars = {name for name, shape in self.symbolic.shapes.items() if not shape} | {
            COTANGENT + o for o, shape in self.symbolic.outputs.items() if not shape
        }
        self.bare = one | scalars
        self.chosen_entries = first_maximum(self.definitions)
        symbols = {s.name: s for s in self.symbolic.symbols}
        self.emitter = Emitter(
            self.rules,
            self.sizes,
            self.writer,
            {**arrays, **brought},
            self.bare,
            {*arrays, *brought},
            set(self.chosen_entries),
            usual(symbols, self.subject.quotients),
            symbols,
        )
        self.costs = Costs(self.emitter)
        self._known: dict[str, tuple[Definition, list[Piece]]] = {}

    def source(self) -> str:
        """The whole text."""
        roots = {name: self._root(name) for name in self.derivation.gradients}
        needed = self._closure([root.name for root in roots.values()])
        self.definitions, columns = shifted({name: self.definitions[name] for name in needed}, [root.name for root in roots.values()])
        for column in columns:
            shape = self.shapes[column.name]
            self.shapes[PEAK + column.source] = tuple(shape[k] for k in column.kept) or (ONE,)
            if not column.kept:
                self.bare.add(PEAK + column.source)
        needed = self._closure([root.name for root in roots.values()])
        inner = [name for name in needed if name not in {root.name for root in roots.values()}]
        pieces_of = {name: self._pieces(name) for name in (*inner, *(root.name for root in roots.values())) if name not in self.chosen_entries}
        flat = self._flat([p for found in pieces_of.values() for p in found])
        self._brought()
        for name in inner:
            self._intermediate(name, pieces_of, columns)
        returned: set[str] = set()
        for name, root in roots.items():
            self._gradient(name, root, pieces_of[root.name], returned, flat=flat)
        return laid_out(self.cls.name, self.writer, self.sizes, self.arguments, self.cotangents, list(roots), flat=self._flattened() if flat else [])

    def _flattened(self) -> list[str]:
        """Arrays with any axes, as they are called in the code."""
        arrays = {**self.arguments, **self.cotangents}
        return [own for name, own in arrays.items() if any(ANY in n.symbols() for n in self.shapes[name])]

    def _root(self, name: str) -> _Root:
        """The closed form or the derivative, whichever can be scheduled and is cheaper; a closed form that is proved is the safer one."""
        derived, claimed = self.derivation.gradients[name], self.claimed.get(name)
        costs: dict[str, float] = {}
        errors = []
        for candidate in (claimed, derived):
            if candidate is not None:
                try:
                    # Costs decide between the two; where there is one, it is enough that it can be scheduled.
                    costs[candidate] = self._cost(candidate) if claimed else len(self._all_pieces(candidate))
                except CodeError as error:
                    errors.append(error)
        if claimed in costs and claimed is not None:
            # Where rounding cannot tell them apart the derivative needs no proof.
            factor = DEARER if self._delicate(derived, claimed) else 0.99
            if costs[claimed] <= factor * costs.get(derived, float("inf")):
                outcome = prove(self.cls, self.chosen).gradients.get(name)
                if outcome is not None and outcome.verdict == PROVED:
                    return _Root(claimed, "Closed form")
        if derived not in costs:
            raise CodeError(f"{self.cls.name}, gradient of {name!r}: {errors[-1]}")
        return _Root(derived, "Derived")

    def _delicate(self, name: str, other: str) -> bool:
        """Whether rounding may depend on how it is written: functions, quotients, sums within a product, in what the other does not need."""
        bodies = [t.body for d in self._closure([name]) if d not in self._closure([other]) for t in self.definitions[d].terms]
        return any(not part.is_Symbol and part.has(sp.Indexed) and not isinstance(part, sp.Indexed) for body in bodies for part in sp.Mul.make_args(body))

    def _closure(self, roots: Iterable[str]) -> list[str]:
        """These definitions and all that they read, in an order in which each comes before its use."""
        found: list[str] = []

        def visit(name: str) -> None:
            if name in found or name not in self.definitions:
                return
            if name in self.chosen_entries:
                found.append(name)
                return
            for term in self.definitions[name].terms:
                for atom in sorted({str(entry.base.label) for entry in term.body.atoms(sp.Indexed)}):
                    visit(atom)
            found.append(name)

        for root in roots:
            visit(root)
        return found

    def _pieces(self, name: str) -> list[Piece]:
        definition = self.definitions[name]
        known = self._known.get(name)
        if known is None or known[0] != definition:
            parts = [Definition(definition.name, definition.index, definition.shape, (term,)) for term in definition.terms]
            known = self._known[name] = (definition, [piece for one in parts for piece in self._cheapest(one)])
        return known[1]

    def _cheapest(self, one: Definition) -> list[Piece]:
        options, errors = [], []
        for schedule in ("gather", "scatter") if self.schedule == "auto" else (self.schedule,):
            try:
                options.append(pieces(self.rules, one, schedule))
            except CodeError as error:
                errors.append(error)
        if not options:
            raise errors[-1]
        return min(options, key=lambda found: sum(map(self.costs.piece, found)))

    def _cost(self, root: str) -> float:
        return sum(self.costs.piece(piece) for piece in self._all_pieces(root))

    def _all_pieces(self, root: str) -> list[Piece]:
        return [piece for name in self._closure([root]) if name not in self.chosen_entries for piece in self._pieces(name)]

    def _flat(self, found: Sequence[Piece]) -> bool:
        """Whether arrays of any axes have to be laid out along one: where that axis is summed over."""
        over = [p for p in found for v, size in p.loops.items() if ANY in size.symbols() and (v not in dict(p.free))]
        mixed = [
            name for name in {**self.symbolic.shapes, **self.cotangents} if len(self.shapes[name]) > 1 and any(ANY in n.symbols() for n in self.shapes[name])
        ]
        if mixed:
            raise CodeError(f"{self.cls.name}: {mixed[0]} has axes of its own beside `...`")
        return bool(over)

    def _brought(self) -> None:
        for name in self.symbolic.operands:
            owner, _, part = name.rpartition("_")
            self.emitter.arrays[name] = self.writer.let(name + "_", f"self.{owner}.{part}.astype(real)")

    def _intermediate(self, name: str, pieces_of: Mapping[str, list[Piece]], columns: Sequence[Column]) -> None:
        definition = self.definitions[name]
        for column in columns:
            if column.name == name:
                axes = tuple(k for k in range(column.rank) if k not in column.kept)
                text = f"{self.emitter.arrays[column.source]}.max({'' if len(axes) == column.rank else f'axis={axes[0] if len(axes) == 1 else axes}'})"
                comments = ("# The ratios of exponentials do not change when all of a column are divided by the largest.",)
                peak = PEAK + column.source
                self.emitter.arrays[peak] = self.writer.let(peak, text, comments=comments)
        if name in self.chosen_entries:
            self._choice(name, definition)
            return
        shape = tuple_text(self.sizes.text(n) for n in self.shapes[name])
        found = self.emitter.definition(pieces_of[name], name, shape, bare=name in self.bare)
        text = found.text
        self.emitter.arrays[name] = self.writer.rename(text, name) if text.isidentifier() else self.writer.let(name, text)

    def _choice(self, name: str, definition: Definition) -> None:
        """The one-hot array of the first largest entry of each window."""
        entry, inner = self.chosen_entries[name]
        found = pieces(self.rules, Definition(name, definition.index, definition.shape, (Term((), (), (), entry),)), "scatter")
        views = Views(self.rules, self.sizes, self.writer, self.emitter.arrays, frozenset(self.bare), frozenset(self.emitter.given), found[0])
        order = [v for v, _ in found[0].free]
        if len(found) != 1 or not found[0].factors[0].template.is_Symbol:
            raise CodeError(f"{name} chooses among values that are no entries of one array")
        windows = views.view(found[0].factors[0].reads[0][1])
        laid = aligned(windows, order)
        outer = [self.sizes.text(n) for n in self.shapes[name][:-inner]]
        area = self.sizes.product(self.shapes[name][-inner:])
        first = self.writer.let("first", f"{laid.text}.reshape({', '.join(outer)}, {area}).argmax(axis=-1)")
        sizes = ", ".join([*outer, *(self.sizes.text(n) for n in self.shapes[name][-inner:])])
        self.emitter.arrays[name] = self.writer.let(name, f"({first}[..., None] == np.arange({area})).reshape({sizes})")

    def _gradient(self, name: str, root: _Root, found: list[Piece], returned: set[str], *, flat: bool) -> None:
        own = self.arguments[name]
        flat = flat and own in self._flattened()
        shape = f"saved[{list(self.arguments).index(name)}].shape" if flat else f"{own}.shape"
        bare = name in self.bare
        value = self.emitter.definition(found, f"d{name}", shape, bare=bare, flat=flat)
        text = value.text
        if not value.fresh or text in returned:
            text = f"{text if value.whole else f'({text})'}.copy()"
        returned.add(value.text)
        line = " ".join(said(found, name).split())
        self.writer.statements.append(Statement("", (text,), gradient=name, comments=(f"# {root.origin}: {line}",)))
