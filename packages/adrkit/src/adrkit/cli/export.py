"""adr export"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adrkit.cli.app import EXIT_USAGE, Workspace, app, say, warn_unreadable, workspace
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
    value: dict[str, Any]
    space = workspace(ctx)
    spaces: tuple[Workspace, ...] = ()
    if schema:
        value = export_schema()
    else:
        spaces = space.with_records()
        value = export_records(
            [record for each in spaces for record in each.repository.require()],
            spaces[0].config.root,
            *(each.config.directory for each in spaces),
            unreadable=[failed for each in spaces for failed in each.repository.unreadable],
            source=source,
        )
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        write_output(space.path(output), text + "\n", space.config.boundary)
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
