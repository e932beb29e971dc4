"""adr graph"""

from __future__ import annotations

import os.path
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from adrkit.cli.app import EXIT_USAGE, app, by_directory, say, warn_unreadable, workspace
from adrkit.cli.output import write_output
from adrkit.graph import Node, read_graphs, to_dot, to_mermaid


class GraphFormat(StrEnum):
    MERMAID = "mermaid"
    DOT = "dot"


class Direction(StrEnum):
    LEFT_RIGHT = "LR"
    TOP_DOWN = "TB"


@app.command()
def graph(
    ctx: typer.Context,
    format: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="Language of the graph.")
    ] = GraphFormat.MERMAID,
    mentions: Annotated[
        bool, typer.Option(help="Draw links and citations too, not only what replaces what.")
    ] = True,
    links: Annotated[bool, typer.Option(help="Let nodes link to the record files.")] = False,
    direction: Annotated[
        Direction, typer.Option(help="Left to right or top to bottom (Mermaid).")
    ] = Direction.LEFT_RIGHT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to a file, not to stdout.")
    ] = None,
) -> None:
    """Draw which records supersede and mention each other, each directory in a box of its own.

    Example: adr graph --format dot | dot -Tsvg > decisions.svg
    """
    spaces = workspace(ctx).with_records()
    space = spaces[0]
    found = read_graphs(by_directory(spaces), mentions=mentions)
    target = space.path(output) if output else None
    base = target.parent if target else space.start

    def address(node: Node) -> str | None:
        if not links or node.path is None:
            return None
        return quote(Path(os.path.relpath(node.path.resolve(), base.resolve())).as_posix())

    if format is GraphFormat.DOT:
        text = to_dot(found, link=address)
    else:
        text = to_mermaid(found, direction=direction.value, link=address)
    if target is None:
        say(text.removesuffix("\n"))
    else:
        write_output(target, text, space.config.boundary)
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
