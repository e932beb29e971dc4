"""adr export"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adrkit.cli.app import EXIT_USAGE, app, one_workspace, say
from adrkit.cli.output import write_output
from adrkit.export import export_records, export_schema


@app.command()
def export(
    ctx: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="As JSON: the default and only format.")
    ] = True,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the export instead.")
    ] = False,
    source: Annotated[
        bool, typer.Option("--source", help="Add each record's Markdown text.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to a file, not to stdout.")
    ] = None,
) -> None:
    """Print everything known of all records as JSON.

    Example: adr export --json | jq '.records[] | select(.status.kind == "Accepted") | .title'
    """
    space = one_workspace(ctx)
    value: dict[str, Any]
    if schema:
        value = export_schema()
    else:
        records = space.repository.require()
        value = export_records(
            records,
            space.config.root,
            space.config.directory,
            unreadable=space.repository.unreadable,
            source=source,
        )
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        write_output(space.path(output), text + "\n", space.config.boundary)
    if not schema and space.warn_unreadable():
        raise typer.Exit(EXIT_USAGE)
