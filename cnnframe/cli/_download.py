"""`cnnframe download`: get MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def download(
    folder: Annotated[Path, typer.Argument(help="Where the four files are put; made if it is not there.")],
    mirror: Annotated[list[str] | None, typer.Option(help="An address that the files' names are put behind; may be given more than once.")] = None,
) -> None:
    """Get MNIST, checked by its MD5 sums.

    What is there and right stays; an interrupted download goes on where it broke off. Name the folder in CNNFRAME_DATA, or by --data, to train on it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from ..data import MIRRORS, download_mnist

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            tasks: dict[str, TaskID] = {}

            def on_progress(name: str, done: int, whole: int | None) -> None:
                if name not in tasks:
                    tasks[name] = progress.add_task(name, total=whole)
                progress.update(tasks[name], completed=done, total=whole)

            place = download_mnist(folder, mirror or MIRRORS, on_progress)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; the same command goes on from here: cnnframe download {folder}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"MNIST is in {place}: export CNNFRAME_DATA={place.resolve()}")
