"""A source of choices for Hypothesis that is the same everywhere.

Hypothesis' own source mixes in constants that it finds in whatever local modules are loaded, so that the same
seed would draw other cases in another project. This one leaves them out.
"""

from __future__ import annotations

from typing import Any

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider

BACKEND = "cnnframe"


class Plain(HypothesisProvider):
    """Hypothesis' source of choices without constants from modules."""

    def _maybe_draw_constant(self, *choice: Any, **options: Any) -> None:
        """Never draw one."""


AVAILABLE_PROVIDERS[BACKEND] = f"{__name__}.{Plain.__name__}"
