"""adr mcp"""

from __future__ import annotations

import typer

from adrkit.cli.app import app, workspace
from adrkit.errors import ExtraMissing


@app.command()
def mcp(ctx: typer.Context) -> None:
    """Serve assistants over stdio (Model Context Protocol).

    Tools that only read: list, show, why, check. Tools that show a change: preview_new,
    preview_status, preview_supersede; each gives a diff and a token, and apply writes what a
    token stands for, once, if the files are still as they were. No program that a check names
    is run.

    Example: adr -C /srv/orders mcp
    """
    space = workspace(ctx)
    try:
        from adrkit.mcp_server import make_server
    except ModuleNotFoundError as error:
        raise ExtraMissing("mcp") from error
    make_server(space.start, space.directory).run("stdio")
