"""Re-derive every gradient from its formula, and hold the code to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._derive import Derivation as Derivation
from ._derive import derive as derive
from ._latex import latex as latex
from .proofs import Proof as Proof
from .proofs import prove as prove
from .suite import Report as Report
from .suite import Settings as Settings
from .suite import verify as verify

if TYPE_CHECKING:
    from ._promises import promises as promises


def __getattr__(name: str) -> Any:
    """Load `promises` when it is asked for: it brings pytest."""
    if name == "promises":
        from ._promises import promises

        return promises
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
