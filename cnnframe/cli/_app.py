"""The commands, our own and those of others, under one roof."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from .._errors import CnnframeError
from ._bench import bench
from ._download import download
from ._evaluate import evaluate
from ._export import export
from ._lazy import Lazy, points
from ._list import list_plugins
from ._new_plugin import new_plugin
from ._pipe import UNREAD, complain, drop, is_unread
from ._plot import plot
from ._predict import predict
from ._train import train


class Commands(TyperGroup):
    """Our own commands, and those of the entry points, which are imported when they are called for."""

    def __init__(self, **attributes: Any) -> None:
        """Add the commands of the entry points; our own keep their names."""
        TyperGroup.__init__(self, **attributes)
        for name, point in points().items():
            self.commands.setdefault(name, Lazy(name, point))

    def invoke(self, ctx: Any) -> Any:
        """Turn an error of this project, or of what the output goes to, into one line and exit code 2; say nothing where nobody reads it."""
        try:
            try:
                return TyperGroup.invoke(self, ctx)
            finally:
                sys.stdout.flush()
        except CnnframeError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if is_unread():
                drop()
                raise typer.Exit(UNREAD) from None
            complain(error)
            raise typer.Exit(2) from None


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cnnframe {__version__}")
        raise typer.Exit


def make_app() -> typer.Typer:
    """Build the command line."""
    app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback(epilog="Example: cnnframe train bouvrie --seed 0")
    def cnnframe(
        version: Annotated[bool, typer.Option("--version", help="Print the version of cnnframe.", is_eager=True, callback=_print_version)] = False,
    ) -> None:
        """Convolutional networks in which every gradient comes with evidence."""

    app.command("bench", epilog="Example: cnnframe bench lenet5 --batch 64 --threads 1")(bench)
    app.command("download", epilog="Example: cnnframe download mnist")(download)
    app.command("export", epilog="Example: cnnframe export runs/bouvrie-1 bouvrie.onnx")(export)
    app.command("list", epilog="Example: cnnframe list --json")(list_plugins)
    app.command("new-plugin", epilog="Example: cnnframe new-plugin my-layers --layer echo")(new_plugin)
    app.command("train", epilog="Example: cnnframe train bouvrie --seed 0 --loss softmax_cross_entropy")(train)
    app.command("evaluate", epilog="Example: cnnframe evaluate runs/bouvrie-1")(evaluate)
    app.command("predict", epilog="Example: cnnframe predict runs/bouvrie-1 three.png seven.jpg")(predict)
    app.command("plot", epilog="Example: cnnframe plot runs/bouvrie-1 --what curves,kernels")(plot)
    return app
