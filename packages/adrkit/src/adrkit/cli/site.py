"""adr site"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import EXIT_USAGE, Workspace, app, one_workspace, say, warn
from adrkit.confine import confined, root_for
from adrkit.errors import AdrkitError, ExtraMissing
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
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Serve it to this machine, built anew at each change."),
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of --watch; 0 is any free one.")
    ] = 8100,
) -> None:
    """Write a static web site of all decisions.

    Pages, their graph and a search, light and dark. It needs no server and no network: open
    index.html. A directory that holds anything but an earlier site is left alone. Task lists,
    footnotes and Mermaid diagrams are shown; of the latter the drawing needs JavaScript.

    With --watch nothing is written: the site is at http://127.0.0.1:8100/, pages load themselves
    again when a record changes, and Ctrl-C ends it.

    Example: adr site --output public --title "Decisions of Orders"
    """
    space = one_workspace(ctx)
    if watch:
        _watch(space, title, port)
        return
    directory = space.path(output)
    confined(directory, root_for(directory, space.config.boundary))
    write_site(directory, _built(space, title))
    records = len(space.repository.list())
    say(f"wrote {space.shown(directory / 'index.html')}: {records} records")
    if space.warn_unreadable():
        raise typer.Exit(EXIT_USAGE)


def _built(space: Workspace, title: str | None) -> dict[str, bytes]:
    named = title or space.config.table("site").get("title")
    name = named if isinstance(named, str) else "Architecture decisions"
    renames = Renames(space.config.root, space.git, space.config.directory)
    return build_site(space.repository.require(), space.config.root, name, renames)


def _watch(space: Workspace, title: str | None, port: int) -> None:
    try:
        from adrkit.site.watch import serve
    except ModuleNotFoundError as error:
        raise ExtraMissing("watch") from error

    def build() -> dict[str, bytes] | None:
        now = Workspace(space.start, space.directory)  # records are read again
        try:
            contents = _built(now, title)
        except AdrkitError as error:
            warn(f"{error}; {error.remedy}")
            return None
        now.warn_unreadable()
        return contents

    def said(text: str) -> None:
        typer.echo(text)
        sys.stdout.flush()

    space.repository.require()  # a project without records is told at once
    serve(build, [space.config.directory], port, said)
