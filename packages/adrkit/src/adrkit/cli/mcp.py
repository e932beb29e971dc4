"""adr mcp"""

from __future__ import annotations

import typer

from adrkit.cli.app import app, workspace
from adrkit.errors import ExtraMissing


@app.command()
def mcp(ctx: typer.Context) -> None:
    """Serve assistants over stdio (Model Context Protocol).

    Tools: list, show, why, check. They only read, and run no program that a check names.

    Example: adr -C /srv/orders mcp
    """
    space = workspace(ctx)
    try:
        from adrkit.mcp_server import make_server
    except ModuleNotFoundError as error:
        raise ExtraMissing("mcp") from error
    make_server(space.start, space.directory).run("stdio")
