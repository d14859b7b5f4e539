"""What a page is made of, whatever it is written as. In sentences, formulas stand between dollar signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._equation import Rows


@dataclass(frozen=True)
class Heading:
    """A heading; `badge` is a word beside it, such as proved."""

    level: int
    text: str
    badge: str = ""


@dataclass(frozen=True)
class Sentence:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A formula in lines; a claim is set apart."""

    rows: Rows
    claim: bool = False


@dataclass(frozen=True)
class Steps:
    """Numbered steps."""

    steps: Sequence[Sequence[Sentence | Formula]]


@dataclass(frozen=True)
class Details:
    """Lines that are folded away where that can be; they are in the terminal's notation, whatever the page."""

    title: str
    lines: Sequence[str]


Block = Heading | Sentence | Formula | Steps | Details
