"""The Typer application."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from waybill import __version__
from waybill.cli import (
    capacity,
    catalog,
    database,
    dead_letters,
    doctor,
    export,
    exports,
    local,
    notifications,
    processes,
    settings,
    token,
)
from waybill.cli.exits import DEBUG_VARIABLE, run
from waybill.cli.help import fit_help

app = typer.Typer(
    name="waybill",
    help="""Export users' data asynchronously: PostgreSQL to S3, with a manifest that proves the
    file whole.

    New here? `waybill local` runs everything on this machine, `waybill init --dsn …` writes a
    catalog of your own database.""",
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
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error as well.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


local.register(app)
processes.register(app)
doctor.register(app)
capacity.register(app)
database.register(app)
dead_letters.register(app)
notifications.register(app)
settings.register(app)
catalog.register(app)
export.register(app)
exports.register(app)
token.register(app)


def main() -> None:
    """Run the command line."""
    fit_help(app, shutil.get_terminal_size().columns)
    sys.exit(run(app, name="waybill"))
