"""Fit a network to examples, keep the history, and write it down."""

from __future__ import annotations

from ._history import Epoch as Epoch
from ._history import Evaluation as Evaluation
from ._history import History as History
from ._history import State as State
from ._rates import Decay as Decay
from ._run import RunFolder as RunFolder
from ._trainer import Trainer as Trainer
