"""adr site"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import (
    EXIT_USAGE,
    Workspace,
    app,
    by_directory,
    say,
    warn,
    warn_unreadable,
    workspace,
)
from adrkit.confine import confined, root_for
from adrkit.errors import AdrkitError, ExtraMissing
from adrkit.renames import Renames
from adrkit.site import build_sites, write_site


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
    """Write a static web site of all decisions; of several directories one site.

    Pages, their graph and a search, light and dark. It needs no server and no network: open
    index.html. A directory that holds anything but an earlier site is left alone. Task lists,
    footnotes and Mermaid diagrams are shown; of the latter the drawing needs JavaScript.

    With --watch nothing is written: the site is at http://127.0.0.1:8100/, pages load themselves
    again when a record changes, and Ctrl-C ends it.

    Example: adr site --output public --title "Decisions of Orders"
    """
    space = workspace(ctx)
    if watch:
        _watch(space, title, port)
        return
    directory = space.path(output)
    confined(directory, root_for(directory, space.config.boundary))
    spaces = space.with_records()
    write_site(directory, _built(spaces, title))
    records = sum(len(each.repository.list()) for each in spaces)
    say(f"wrote {space.shown(directory / 'index.html')}: {records} records")
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)


def _built(spaces: Sequence[Workspace], title: str | None) -> dict[str, bytes]:
    config = spaces[0].config
    named = title or config.table("site").get("title")
    name = named if isinstance(named, str) else "Architecture decisions"
    records = by_directory(spaces)
    if len(spaces) == 1:  # then nobody need be told where
        records = {"": records[spaces[0].place]}
    renames = {
        place: Renames(each.config.root, each.git, each.config.directory)
        for place, each in zip(records, spaces, strict=True)
    }
    return build_sites(records, config.root, name, renames)


def _watch(space: Workspace, title: str | None, port: int) -> None:
    try:
        from adrkit.site.watch import serve
    except ModuleNotFoundError as error:
        raise ExtraMissing("watch") from error

    def build() -> dict[str, bytes] | None:
        now = Workspace(space.start, space.directory)  # records are read again
        try:
            spaces = now.with_records()
            contents = _built(spaces, title)
        except AdrkitError as error:
            warn(f"{error}; {error.remedy}")
            return None
        warn_unreadable(spaces)
        return contents

    def said(text: str) -> None:
        typer.echo(text)
        sys.stdout.flush()

    spaces = space.with_records()  # a project without records is told at once
    serve(build, [each.config.directory for each in spaces], port, said)
