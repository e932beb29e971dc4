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

SourceName = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Which source of the catalog; its address is in WAYBILL_SOURCE_DSN_NAME.",
        show_default=False,
    ),
]


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
    source: SourceName = None,
) -> None:
    """Inspect a PostgreSQL database and write a waybill.toml that works.

    Every table and view becomes an export type, keyed by its primary key. Nothing in the database
    is changed. Edit the file afterwards: what it does not list cannot be exported.
    """
    from waybill.catalog.inspect import inspect_database
    from waybill.catalog.render import render_toml
    from waybill.catalog.sources import DEFAULT_SOURCE, NamedSource

    name = NamedSource(source or DEFAULT_SOURCE).name
    Target.checked(output, force=force)
    inspection = inspect_database(_dsn(name, dsn, dsn_file, ask_password), schemas=schema)
    text = render_toml(inspection, source_name=name)
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
    source: SourceName = None,
) -> None:
    """Hold a catalog against its database: tables, columns, rights, keys.

    Of several sources, each type is held against its own; --source takes one of them alone, which
    --dsn then is.
    """
    from waybill.catalog import load
    from waybill.catalog.sources import DEFAULT_SOURCE
    from waybill.formats import missing
    from waybill.requests.check_formats import check_sources
    from waybill.source.named import with_wish

    # What is given here is one's address; others are where the service finds them. What is wrong
    # with it is said before anything else: a password was seen already.
    given = source or DEFAULT_SOURCE
    stated = _dsn(given, dsn, dsn_file, ask_password) if dsn or dsn_file else None
    loaded = load(catalog)
    if source is not None:
        loaded = loaded.of_source(source)
    read = loaded.sources_read() or (given,)
    if given not in read and stated:
        raise ConfigurationError(
            f"No export type is read from the source {given!r}. Say with --source which one the "
            f"database is: {', '.join(read)}."
        )
    dsns = {}
    for name in read:
        declared = loaded.sources[name]
        kept = Path(declared.dsn_file) if declared.dsn_file else None
        here = stated if name == given else None
        address = here or _dsn(name, None, kept, ask_password and name == given)
        dsns[name] = with_wish(address, declared)
    findings = check_sources(loaded, dsns)
    console = Console(highlight=False)
    for finding in findings:
        console.print(str(finding), markup=False, soft_wrap=True)
    if (lacking := missing()) is not None:
        typer.echo(f"Not checked: {lacking}")
    errors = sum(finding.severity == "error" for finding in findings)
    typer.echo(f"{len(loaded)} export types, {errors} errors.")
    if errors:
        raise typer.Exit(1)


def _dsn(
    source: str, dsn: str | None = None, dsn_file: Path | None = None, ask_password: bool = False
) -> str:
    from waybill.catalog.sources import DEFAULT_SOURCE, variable_of

    variable = variable_of(source)
    found = read_dsn("--dsn", dsn, file=dsn_file, ask_password=ask_password, variable=variable)
    if found is None:
        which = "the database" if source == DEFAULT_SOURCE else f"the source {source!r}"
        raise ConfigurationError(f"Give {which} with --dsn or --dsn-file, or set {variable}.")
    return found
