"""adr site"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import EXIT_USAGE, app, say, workspace
from adrkit.confine import confined, root_for
from adrkit.renames import Renames
from adrkit.site import build_site, write_site


@app.command()
def site(
    ctx: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the site goes.")
    ] = Path("build/adr-site"),
    title: Annotated[
        str | None, typer.Option("--title", help="Title of the site.", show_default=False)
    ] = None,
) -> None:
    """Write a static web site of all decisions.

    Pages, their graph and a search, light and dark. It needs no server and no network: open
    index.html. A directory that holds anything but an earlier site is left alone.

    Example: adr site --output public --title "Decisions of Orders"
    """
    space = workspace(ctx)
    records = space.repository.require()
    named = title or space.config.table("site").get("title")
    name = named if isinstance(named, str) else "Architecture decisions"
    directory = space.path(output)
    renames = Renames(space.config.root, space.git, space.config.directory)
    confined(directory, root_for(directory, space.config.boundary))
    write_site(directory, build_site(records, space.config.root, name, renames))
    say(f"wrote {space.shown(directory / 'index.html')}: {len(records)} records")
    if space.warn_unreadable():
        raise typer.Exit(EXIT_USAGE)
