"""waybill's own database: what whoever administers it is to run."""

from __future__ import annotations

from typing import Annotated

import typer

from waybill.config import load_settings

_PANEL = "Run the service"


def register(app: typer.Typer) -> None:
    """Add the verbs of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(grants)


def grants(
    role: Annotated[str, typer.Argument(help="The role that the processes sign in as.")],
    source_role: Annotated[
        str | None,
        typer.Option(help="The role of WAYBILL_SOURCE_DSN; prints what the catalog needs as well."),
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Of which source of the catalog that role is.")
    ] = "default",
) -> None:
    """Print the SQL that gives a role the least rights waybill can work with.

    The role that migrates owns the tables; run this as it, after each `waybill migrate`.
    """
    from waybill.catalog import load
    from waybill.migrations.grants import own_grants, source_grants

    settings = load_settings()
    statements = own_grants(settings.own_schema, role)
    if source_role is not None:
        statements += source_grants(load(settings.catalog).of_source(source), source_role)
    typer.echo("\n".join(statements))
