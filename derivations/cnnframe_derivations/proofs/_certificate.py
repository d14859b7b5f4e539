"""Certificates: statements and proofs as plain JSON, beside the operation that they are about.

A certificate is read by the checker alone: it holds what is claimed in full, and the hash of that, by which it
is compared with what the operation says today.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._claims import CLOSED
from . import _kernel
from ._polynomial import Polynomial, parse
from ._statement import Box, Definition, Refused, Term, Theorem, Theory

FORMAT = 1
FOLDER = "certificates"


@dataclass(frozen=True)
class Certificate:
    """What is proved of one operation with one choice of structure.

    Attributes:
        structure: the hyperparameters that decide the formula.
        theory: assumptions and definitions.
        shapes: shape of every array.
        reads: definitions of which it is proved that they read within range, to those proofs.
        gradients: by input or parameter, derivative on the left and closed form on the right.
        steps: by input or parameter, the proof.
        ranges: by input or parameter, proofs that the closed form reads within range.
        claimed: inputs and parameters whose closed form the author wrote.
        unproved: by input or parameter, why there is no proof.
        witness: sizes that satisfy the assumptions.
        points: by definition and `closed_` gradient, a point of each term at those sizes.
    """

    structure: Mapping[str, Any]
    theory: Theory
    shapes: Mapping[str, tuple[Polynomial, ...]]
    reads: Mapping[str, Sequence[Any]]
    gradients: Mapping[str, Theorem]
    steps: Mapping[str, Sequence[Any]]
    ranges: Mapping[str, Sequence[Any]]
    claimed: tuple[str, ...]
    unproved: Mapping[str, str]
    witness: Mapping[str, int]
    points: Mapping[str, Sequence[Mapping[str, int]]]

    def statement(self) -> dict[str, Any]:
        """What is claimed, as plain data."""
        return {
            "structure": dict(self.structure),
            "theory": theory_data(self.theory),
            "shapes": {name: [str(n) for n in shape] for name, shape in self.shapes.items()},
            "reads": list(self.reads),
            "gradients": {name: theorem_data(theorem) for name, theorem in self.gradients.items()},
            "claimed": list(self.claimed),
            "unproved": dict(self.unproved),
        }

    def digest(self) -> str:
        """The hash of what is claimed."""
        return hashlib.sha256(canonical(self.statement()).encode()).hexdigest()

    def check(self) -> int:
        """Let the checker follow every proof; return how many obligations it met.

        Raises:
            Refused: a proof does not show what it should.
        """
        for name, theorem in self.theorems():
            try:
                if name in self.gradients:
                    _kernel.check(theorem, self.steps[name])
                else:
                    key = name.removeprefix(CLOSED)
                    _kernel.bounded(theorem, self.shapes, self.reads[name] if name in self.reads else self.ranges[key])
                    _kernel.witnessed(theorem, self.witness, self.points[name])
            except Refused as error:
                raise Refused(f"{name}: {error}") from None
            except _kernel.DAMAGE as error:
                raise Refused(f"{name}: {type(error).__name__}: {error}") from error
        return obligations([*self.reads.values(), *self.ranges.values(), *self.steps.values()])

    def theorems(self) -> Iterable[tuple[str, Theorem]]:
        """All that is to be checked: gradients by name, definitions by name, closed forms under `closed_` names."""
        yield from self.gradients.items()
        for name in self.reads:
            definition = self.theory.definitions[name]
            yield name, Theorem(self.theory, definition.index, definition.terms, ())
        for name, theorem in self.gradients.items():
            yield CLOSED + name, Theorem(self.theory, theorem.free, theorem.right, ())

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain data."""
        proofs = {
            "witness": dict(self.witness),
            "points": {name: [dict(p) for p in points] for name, points in self.points.items()},
            "reads": {name: list(proofs) for name, proofs in self.reads.items()},
            "ranges": {name: list(proofs) for name, proofs in self.ranges.items()},
            "steps": {name: list(steps) for name, steps in self.steps.items()},
        }
        return {"sha256": self.digest(), "statement": self.statement(), "proof": proofs}


def obligations(proofs: Any) -> int:
    """How many inequalities and equations are shown in proofs."""
    if isinstance(proofs, Mapping):
        inner = [proofs[key] for key in ("proof", "proofs") if key in proofs]
        return obligations(inner) if "rule" in proofs else 1
    return sum(obligations(part) for part in proofs) if isinstance(proofs, (list, tuple)) else 1


def canonical(data: Any) -> str:
    """The one text of plain data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def text(operation: str, certificates: Sequence[Certificate]) -> str:
    """The file of an operation's certificates: a line for each statement and each proof."""
    lines = [f"{json.dumps(c.to_dict(), sort_keys=True, separators=(', ', ': '))}" for c in certificates]
    inside = ",\n".join(lines)
    return f'{{"format": {FORMAT}, "operation": {json.dumps(operation)}, "certificates": [\n{inside}\n]}}\n'


def read(content: str, operation: str) -> list[Certificate]:
    """Read a file of certificates.

    Raises:
        Refused: it is damaged, of another format, of another operation, or a statement does not have the hash that it names.
    """
    try:
        data = json.loads(content)
        if data["format"] != FORMAT or data["operation"] != operation:
            raise Refused(f"the certificate is of {data['operation']!r} in format {data['format']!r}; wanted {operation!r} in format {FORMAT}")
        found = [_certificate(one) for one in data["certificates"]]
    except _kernel.DAMAGE as error:
        raise Refused(f"the certificate is damaged: {type(error).__name__}: {error}") from error
    for one, certificate in zip(data["certificates"], found, strict=True):
        if certificate.digest() != one["sha256"]:
            raise Refused("the certificate is damaged: a statement does not have the hash that it names")
    if text(operation, found) != content:
        raise Refused("the certificate is damaged: it is not in the form in which it was written")
    return found


def path(cls: Any) -> Path:
    """Where an operation's certificates are: beside its module."""
    return Path(inspect.getfile(cls)).resolve().parent / FOLDER / f"{cls.name}.json"


def theory_data(theory: Theory) -> dict[str, Any]:
    """A theory as plain data."""
    return {
        "integers": sorted(theory.integers),
        "scalars": sorted(theory.scalars),
        "assume": [str(c) for c in theory.assume],
        "definitions": {name: _definition_data(d) for name, d in theory.definitions.items()},
        "facts": {name: _definition_data(d) for name, d in theory.facts.items()},
    }


def read_theory(data: Mapping[str, Any]) -> Theory:
    """A theory from plain data."""
    definitions, facts = ({name: _definition(d) for name, d in data[key].items()} for key in ("definitions", "facts"))
    return Theory(frozenset(data["integers"]), frozenset(data["scalars"]), tuple(parse(c) for c in data["assume"]), definitions, facts)


def theorem_data(theorem: Theorem) -> dict[str, Any]:
    """A theorem as plain data, without its theory."""
    return {"for": _box_data(theorem.free), "left": [_term_data(t) for t in theorem.left], "right": [_term_data(t) for t in theorem.right]}


def read_theorem(data: Mapping[str, Any], theory: Theory) -> Theorem:
    """A theorem from plain data."""
    return Theorem(theory, _box(data["for"]), tuple(_term(t) for t in data["left"]), tuple(_term(t) for t in data["right"]))


def _certificate(data: Mapping[str, Any]) -> Certificate:
    said, proof = data["statement"], data["proof"]
    theory = read_theory(said["theory"])
    return Certificate(
        said["structure"],
        theory,
        {name: tuple(parse(n) for n in shape) for name, shape in said["shapes"].items()},
        {name: proof["reads"][name] for name in said["reads"]},
        {name: read_theorem(d, theory) for name, d in said["gradients"].items()},
        proof["steps"],
        proof["ranges"],
        tuple(said["claimed"]),
        said["unproved"],
        proof["witness"],
        proof["points"],
    )


def _box_data(box: Box) -> list[list[str]]:
    return [[v, str(size)] for v, size in box]


def _box(data: Sequence[Sequence[str]]) -> Box:
    return tuple((v, parse(size)) for v, size in data)


def _term_data(t: Term) -> dict[str, Any]:
    parts = {"sum": _box_data(t.bound), "where": [str(c) for c in t.ge], "equal": [str(c) for c in t.eq]}
    return {**{name: part for name, part in parts.items() if part}, "of": str(t.body)}


def _term(data: Mapping[str, Any]) -> Term:
    where, equal = (tuple(parse(c) for c in data.get(key, ())) for key in ("where", "equal"))
    return Term(_box(data.get("sum", ())), where, equal, parse(data["of"]))


def _definition_data(d: Definition) -> dict[str, Any]:
    return {"for": _box_data(d.index), "terms": [_term_data(t) for t in d.terms]}


def _definition(data: Mapping[str, Any]) -> Definition:
    return Definition(_box(data["for"]), tuple(_term(t) for t in data["terms"]))
