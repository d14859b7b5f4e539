"""Fit a network to examples, keep the history, write it down, and go on from there."""

from __future__ import annotations

from ._checkpoint import Checkpoint as Checkpoint
from ._every import Every as Every
from ._examples import Examples as Examples
from ._history import Best as Best
from ._history import Epoch as Epoch
from ._history import Evaluation as Evaluation
from ._history import History as History
from ._history import Part as Part
from ._history import State as State
from ._rates import Decay as Decay
from ._rates import StepTable as StepTable
from ._run import RunFolder as RunFolder
from ._trainer import Trainer as Trainer
