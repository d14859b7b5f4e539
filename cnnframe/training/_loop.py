"""The steps of an epoch, from any state to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _inputs
from .._errors import DataError, NonFiniteError
from .._op import Array
from .._parameters import Layout, Parameters
from ._examples import part
from ._history import Part, State
from ._rates import rate_at

if TYPE_CHECKING:
    from ._trainer import Trainer

OnStep = Callable[[int, int, float], None]
_NORMS = 32
"""Steps of an epoch at which gradient norms are taken, about."""


class _Now(NamedTuple):
    """Where a training is between two steps."""

    parameters: Parameters
    memory: Any
    epoch: int
    step: int
    loss: float
    norms: Array
    random: Mapping[str, Any] | None
    seconds: float


class Loop:
    """One call of `fit`: what changes from step to step, exchanged as a whole after each.

    Whenever an interrupt comes, `state` is that before a step or that after it, and what another step is made of is in it.
    """

    def __init__(self, trainer: Trainer, arrays: Mapping[str, Any], count: int, start: State, on_step: OnStep | None) -> None:
        """Begin at a state."""
        if start.part.step and start.part.examples != count:
            raise DataError(f"fit: the epoch to be gone on with has {start.part.examples} examples; got {count}; give the same examples")
        self.trainer, self.arrays, self.count, self.on_step = trainer, arrays, count, on_step
        self.steps = -(-count // trainer.batch_size)
        self.layers = Layers(start.parameters.layout)
        # Within an epoch of fewer than 64 steps each is measured.
        self.stride = max(1, self.steps // _NORMS)
        now = start.part
        norms = np.array(now.norms) if now.norms else np.zeros(len(self.layers.names))
        self.rate: Any = None
        # Parameters that somebody else may hold: the memory of all others is used again.
        self._handed = start.parameters
        self._now = _Now(start.parameters, start.optimizer, start.epoch, now.step, now.loss, norms, now.random, now.seconds)

    @property
    def state(self) -> State:
        """The state after the last step that was finished; its memory is not used again."""
        now = self._now
        self._handed = now.parameters
        norms = tuple(now.norms.tolist()) if now.step else ()
        return State(now.parameters, now.memory, now.epoch, Part(now.step, now.loss, norms, now.random, now.seconds, self.count if now.step else 0))

    def epoch(self) -> tuple[float, dict[str, float]]:
        """Take the steps that the epoch lacks; return its mean loss and the mean gradient norm of each layer."""
        trainer, now = self.trainer, self._now
        # A stream for each epoch: a training that goes on from its end needs nothing but its number.
        rng = np.random.default_rng(np.random.SeedSequence(trainer.seed, spawn_key=(now.epoch,)))
        order = rng.permutation(self.count) if trainer.order == "shuffled" else np.arange(self.count)
        if now.step == 0:
            now = now._replace(memory=trainer.optimizer.prepare(now.parameters, now.memory, lambda count: self._curvature(count, now.parameters, rng)))
        elif now.random is not None:
            rng.bit_generator.state = now.random
        self.rate = rate = rate_at(trainer.rate, now.epoch, now.parameters)
        draws = bool(trainer.drawn) or trainer.augment is not None
        spare: Parameters | None = None
        earlier: Any = None
        while now.step < self.steps:
            began = time.perf_counter()
            chosen = order[now.step * trainer.batch_size : (now.step + 1) * trainer.batch_size]
            try:
                found = trainer.executor.gradients(now.parameters, reduction=trainer.reduction, out=spare, **self._batch(chosen, rng, now.parameters))
                slopes = found.parameters
                norms = now.norms + self.layers.norms(slopes) if now.step % self.stride == 0 else now.norms
                out = None if earlier is None else (slopes, earlier)
                with np.errstate(over="ignore", invalid="ignore"):
                    parameters, memory = trainer.optimizer.step_into(out, now.parameters, slopes, now.memory, rate)
            except NonFiniteError as error:
                raise NonFiniteError(f"epoch {now.epoch + 1}, step {now.step + 1}: {error}; lower the rate") from error
            loss = self._mean(found.loss, len(chosen), now.parameters)
            random = rng.bit_generator.state if draws else None
            spent = now.seconds + time.perf_counter() - began
            # An interrupt finds the step before or this one. The next writes to what was before this one, when that is not needed any more.
            ours = now.parameters is not self._handed
            earlier = now.memory if ours else None
            spare = slopes if parameters.vector is not slopes.vector else now.parameters if ours else None
            self._now = now = _Now(parameters, memory, now.epoch, now.step + 1, now.loss + loss * len(chosen), norms, random, spent)
            if self.on_step is not None:
                self.on_step(now.epoch + 1, now.step, loss)
        means = now.norms / -(-self.steps // self.stride)
        return now.loss / self.count, dict(zip(self.layers.names, means.tolist(), strict=True))

    def closed(self) -> State:
        """The state in which the next epoch begins, once all steps of this one are done."""
        self._handed = self._now.parameters
        return State(self._now.parameters, self._now.memory, self._now.epoch + 1)

    def go_on(self, state: State) -> None:
        """Begin the next epoch at its state."""
        self._now = _Now(state.parameters, state.optimizer, state.epoch, 0, 0.0, np.zeros(len(self.layers.names)), None, 0.0)

    def _batch(self, chosen: Array, rng: np.random.Generator, parameters: Parameters) -> dict[str, Any]:
        batch: dict[str, Any] = part(self.trainer.graph, self.arrays, chosen)
        if self.trainer.augment is not None:
            batch["x"] = _augmented(self.trainer.augment, batch["x"], rng)
        return batch | self._draw(len(chosen), rng, parameters)

    def _draw(self, batch: int, rng: np.random.Generator, parameters: Parameters) -> dict[str, Any]:
        if not self.trainer.drawn:
            return {}
        shapes = self.trainer.graph.shapes(batch)
        kind: Any = parameters.dtype.type
        return {name: rng.random(shapes[name], kind) for name in self.trainer.drawn}

    def _mean(self, loss: float, batch: int, parameters: Parameters) -> float:
        """The mean loss of a batch plus penalties, from what the gradients were taken of."""
        if self.trainer.reduction == "mean":
            return loss
        penalty = self.trainer.executor.penalty(parameters)
        return (loss - penalty) / batch + penalty

    def _curvature(self, count: int, parameters: Parameters, rng: np.random.Generator) -> Parameters:
        """The Gauss-Newton diagonal of the mean loss over examples that are drawn."""
        chosen = rng.choice(self.count, min(_inputs.integer(count, "curvature: count", 1), self.count), replace=False)
        batch: dict[str, Any] = part(self.trainer.graph, self.arrays, chosen) | self._draw(len(chosen), rng, parameters)
        return self.trainer.executor.curvature(parameters, reduction="mean", **batch)


class Layers:
    """The layers with parameters, and where theirs lie; a shared array counts to the first that uses it."""

    def __init__(self, layout: Layout) -> None:
        """Group the slots by their first node."""
        self.slots: dict[str, list[slice]] = {}
        for slot in layout.slots.values():
            self.slots.setdefault(slot.nodes[0], []).append(slice(slot.start, slot.stop))
        self.names = tuple(self.slots)

    def norms(self, gradients: Parameters) -> Array:
        """The 2-norm of the gradient of each layer."""
        vector = gradients.vector.astype(np.float64)
        return np.sqrt([sum(float(np.dot(vector[where], vector[where])) for where in slots) for slots in self.slots.values()])


def _augmented(augment: Any, images: Array, rng: np.random.Generator) -> Array:
    found = np.asarray(augment(images, rng))
    if found.shape != images.shape or found.dtype.kind != "f":
        raise DataError(f"augment must return images of shape {images.shape}, real numbers; got {found.dtype} of shape {found.shape}")
    return found.astype(images.dtype, copy=False)
