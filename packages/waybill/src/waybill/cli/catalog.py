"""The catalog's verbs: init writes one from a database, check holds it against the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from waybill.cli.source_dsn import AskPassword, DsnFile, read_dsn
from waybill.cli.target import Target
from waybill.errors import ConfigurationError

_PANEL = "Declare what can be exported"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(init)
    app.command(rich_help_panel=_PANEL)(check)


def init(
    dsn: Annotated[
        str | None,
        typer.Option(
            help="The database to look at: postgresql://user@host:5432/name; WAYBILL_SOURCE_DSN "
            "if unset. No password here.",
        ),
    ] = None,
    dsn_file: DsnFile = None,
    ask_password: AskPassword = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write.")] = Path(
        "waybill.toml"
    ),
    schema: Annotated[
        list[str] | None, typer.Option(help="Only this schema; may be given again.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Inspect a PostgreSQL database and write a waybill.toml that works.

    Every table and view becomes an export type, keyed by its primary key. Nothing in the database
    is changed. Edit the file afterwards: what it does not list cannot be exported.
    """
    from waybill.catalog.inspect import inspect_database
    from waybill.catalog.render import render_toml

    Target.checked(output, force=force)
    inspection = inspect_database(_source(dsn, dsn_file, ask_password), schemas=schema)
    text = render_toml(inspection)
    # Beside, then over: a full disk leaves the old file as it was.
    beside = output.with_name(f".{output.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(output)
    typer.echo(f"{output}: {len(inspection.catalog)} export types.")
    for note in inspection.notes:
        typer.echo(f"  note: {note}")


def check(
    catalog: Annotated[
        str,
        typer.Option(envvar="WAYBILL_CATALOG", help="waybill.toml, or package.module:catalog."),
    ] = "waybill.toml",
    dsn: Annotated[
        str | None,
        typer.Option(
            help="The database to export from; WAYBILL_SOURCE_DSN if unset. No password here.",
        ),
    ] = None,
    dsn_file: DsnFile = None,
    ask_password: AskPassword = False,
) -> None:
    """Hold a catalog against its database: tables, columns, rights, keys."""
    from waybill.catalog import load
    from waybill.formats import missing
    from waybill.requests.check_formats import check_everything

    source = _source(dsn, dsn_file, ask_password)
    loaded = load(catalog)
    findings = check_everything(loaded, source)
    console = Console(highlight=False)
    for finding in findings:
        console.print(str(finding), markup=False, soft_wrap=True)
    if (lacking := missing()) is not None:
        typer.echo(f"Not checked: {lacking}")
    errors = sum(finding.severity == "error" for finding in findings)
    typer.echo(f"{len(loaded)} export types, {errors} errors.")
    if errors:
        raise typer.Exit(1)


def _source(dsn: str | None, dsn_file: Path | None, ask_password: bool) -> str:
    source = read_dsn("--dsn", dsn, file=dsn_file, ask_password=ask_password)
    if source is None:
        raise ConfigurationError(
            "Give the database with --dsn or --dsn-file, or set WAYBILL_SOURCE_DSN."
        )
    return source
