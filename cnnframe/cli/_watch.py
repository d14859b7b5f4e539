"""What a person sees while a network is trained: a row for each epoch, and a bar with speed and remaining time."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..training import Epoch, History

_HEAD = f"{'epoch':>9}  {'train loss':>10}  {'test loss':>10}  {'test error':>10}  {'rate':>8}  {'time':>8}"
_WIDTH = 10
_SMOOTH = 0.98
"""How much of the shown loss is that of the steps before."""


class Watch:
    """Rows for a console, and a bar where it is a terminal; `shown` is the number of the last row."""

    def __init__(self, *, epochs: int, count: int, batch_size: int, start: int, layers: tuple[str, ...], to_stderr: bool) -> None:
        """Take what the bar counts: `epochs` in all, of `count` examples; `start` is the number of examples that are done."""
        self.console = Console(stderr=to_stderr, highlight=False)
        self.epochs, self.count, self.batch_size, self.layers = epochs, count, batch_size, layers
        # On a line of their own where they would not fit.
        self.wide = len(_HEAD) + sum(2 + max(_WIDTH, len(name)) for name in layers) + 7 <= self.console.width
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn())
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.task = self.progress.add_task("", total=epochs * count, completed=start, said="")
        self.loss: float | None = None
        self.warned = False
        self.shown = 0

    def __enter__(self) -> Self:
        norms = "".join(f"  {name:>{max(_WIDTH, len(name))}}" for name in self.layers)
        self.console.print(Text(f"{_HEAD}   |grad|{norms}" if self.wide else _HEAD, style="bold"))
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def on_step(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar."""
        self.loss = loss if self.loss is None else _SMOOTH * self.loss + (1 - _SMOOTH) * loss
        if self.progress.live.is_started and self.console.is_terminal:
            done = (epoch - 1) * self.count + min(step * self.batch_size, self.count)
            speed = self.progress.tasks[0].speed
            said = f"loss {self.loss:.4f}" + (f"  {speed:,.0f} images/s" if speed else "")
            self.progress.update(self.task, completed=done, description=f"epoch {epoch}/{self.epochs}", said=said)

    def on_epoch(self, history: History) -> None:
        """Print the row of the last epoch."""
        epoch = history.epochs[-1]
        self.shown = epoch.number
        self.progress.update(self.task, completed=epoch.number * self.count)
        best = " *" if history.best is not None and history.best.epoch is epoch else "  "
        row = f"{epoch.number:>4}/{self.epochs:<4}  {epoch.train_loss:>10.4f}  {_number(epoch.test_loss, '.4f')}  {_percent(epoch)}"
        row += f"  {_number(epoch.rate, '.3g', 8)}  {_time(epoch.seconds)}{best}"
        if epoch.gradient_norms and not any(epoch.gradient_norms.values()) and not self.warned:
            self.warned = True
            self.console.print(Text("warning: the gradient is 0 in every layer, so that nothing is learned any more; lower the rate", style="bold"))
        norms = [(name, f"{norm:.3g}") for name, norm in epoch.gradient_norms.items()]
        if self.wide:
            self.console.print(Text(row + " " * 7 + "".join(f"  {norm:>{max(_WIDTH, len(name))}}" for name, norm in norms)))
        else:
            self.console.print(Text(row))
            self.console.print(Text(f"           |grad|  {'  '.join(f'{name} {norm}' for name, norm in norms)}", style="dim"), soft_wrap=True)


def _number(value: float | None, form: str, width: int = _WIDTH) -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def _percent(epoch: Epoch) -> str:
    return f"{'-' if epoch.test_error is None else f'{100 * epoch.test_error:.2f} %':>{_WIDTH}}"


def _time(seconds: Any) -> str:
    return f"{seconds:>6.1f} s" if seconds < 600 else f"{seconds / 60:>4.1f} min"
