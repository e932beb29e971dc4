"""adr lsp"""

from __future__ import annotations

import typer

from adrkit.cli.app import app, workspace
from adrkit.errors import ExtraMissing


@app.command()
def lsp(ctx: typer.Context) -> None:
    """Serve editors over stdio (Language Server Protocol).

    Findings and failing checks as you type and save, quick fixes, completion of record numbers,
    statuses and paths; hover and definition for ADR-NNNN in any file. No program is run.

    Example: adr lsp
    """
    space = workspace(ctx)
    try:
        from adrkit.lsp_server import make_server
    except ModuleNotFoundError as error:
        raise ExtraMissing("lsp") from error
    make_server(space.start, space.directory).start_io()
