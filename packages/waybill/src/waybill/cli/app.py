"""The Typer application and the one place where errors become exit statuses."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from waybill import __version__
from waybill.cli import catalog, dead_letters, export, local, processes, settings
from waybill.client.errors import (
    ConnectionLost,
    ServerUnavailable,
    ServerUnreachable,
    TooManyRequests,
)
from waybill.errors import WaybillError

PASSING = (ConnectionLost, ServerUnavailable, ServerUnreachable, TooManyRequests)

EXIT_FAILED = 1
EXIT_TRY_LATER = 75
"""``EX_TEMPFAIL`` of sysexits.h: schedulers know that it passes."""
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="waybill",
    help="""Export users' data asynchronously: PostgreSQL to S3, with a manifest that proves the
    file whole.

    New here? [bold]waybill local[/bold] runs everything on this machine, [bold]waybill init
    --dsn …[/bold] writes a catalog of your own database.""",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"waybill {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


local.register(app)
processes.register(app)
dead_letters.register(app)
settings.register(app)
catalog.register(app)
export.register(app)


def main() -> None:
    """Run the command line; every expected error is one message and a non-zero status."""
    console = Console(stderr=True, highlight=False)
    try:
        app(prog_name="waybill")
    except WaybillError as exc:
        # markup off: a name with brackets in it must appear as it is.
        console.print("error:", style="bold red", end=" ")
        console.print(str(exc), markup=False, soft_wrap=True)
        sys.exit(EXIT_TRY_LATER if isinstance(exc, PASSING) else EXIT_FAILED)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        sys.exit(EXIT_INTERRUPTED)
