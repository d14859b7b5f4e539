"""How often a training is saved within an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from .. import _inputs
from .._errors import HyperparameterError


@dataclass(frozen=True)
class Every:
    """After so many steps, so many seconds, or whichever comes first.

    Raises:
        HyperparameterError: neither is given, or one is not greater than 0.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Hold the numbers to their bounds."""
        if self.steps is None and self.seconds is None:
            raise HyperparameterError("Every: give steps, seconds or both")
        if self.steps is not None:
            _inputs.integer(self.steps, "Every: steps", 1)
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and 0 < self.seconds < math.inf):
            raise HyperparameterError(f"Every: seconds must be greater than 0 and finite; got {self.seconds!r}")

    @classmethod
    def parse(cls, text: str) -> Every:
        """Read "500" (steps) or "30s" (seconds).

        Raises:
            HyperparameterError: the text is neither.
        """
        try:
            return cls(seconds=float(text[:-1])) if text.endswith("s") else cls(steps=int(text))
        except ValueError:
            raise HyperparameterError(f"how often to save is a number of steps such as 500, or of seconds such as 30s; got {text!r}") from None

    def begin(self) -> Callable[[], bool]:
        """Return what is asked after each step whether it is time."""
        steps, since = 0, time.monotonic()

        def due() -> bool:
            nonlocal steps, since
            steps += 1
            late = self.seconds is not None and time.monotonic() - since >= self.seconds
            if not late and (self.steps is None or steps < self.steps):
                return False
            steps, since = 0, time.monotonic()
            return True

        return due
