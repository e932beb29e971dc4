"""adr why"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adrkit.checks.citations import live_successor
from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    print_json,
    say,
    say_line,
    warn,
    warn_unreadable,
    workspace,
)
from adrkit.cli.read import summary
from adrkit.errors import PathOutside
from adrkit.governance import Governance, Link, governing
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Renames


@app.command()
def why(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file or directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which decisions govern a file.

    A record governs a file that it names (or whose directory it names), that one of its checks is
    about, or that cites it as ADR-NNNN; also under a name that the file had before git saw it
    renamed. Exit code 1 when no record does.

    Example: adr why src/app/retries.py
    """
    space = workspace(ctx).spaces[0]
    root = space.config.root.resolve()
    path = space.path(file).resolve()
    if not path.is_relative_to(root):
        raise PathOutside(str(file), f"it is not below {root}")
    if not path.exists():
        warn(f"{file} does not exist; records may still name it")
    relative = path.relative_to(root).as_posix()
    spaces = workspace(ctx).everywhere()
    unreadable = warn_unreadable(spaces)
    grouped: dict[int, tuple[Workspace, Record, list[Governance]]] = {}
    for space in spaces:
        renames = Renames(root, space.git, space.config.directory)
        files = ProjectFiles(root, space.git, space.config.owns)
        for item in governing(files, space.repository.require(), relative, renames):
            grouped.setdefault(id(item.record), (space, item.record, []))[2].append(item)
    if as_json:
        print_json(
            [
                summary(space, record)
                | {
                    "links": [
                        {"kind": item.link.value, "line": item.line, "detail": item.detail}
                        for item in links
                    ]
                }
                for space, record, links in grouped.values()
            ]
        )
    else:
        for space, record, links in grouped.values():
            _print(space, record, links)
        if not grouped:
            say_line(f"no record governs {relative}")
    if unreadable:
        raise typer.Exit(EXIT_USAGE)
    if not grouped:
        raise typer.Exit(EXIT_FINDINGS)


def _print(space: Workspace, record: Record, links: list[Governance]) -> None:
    records = {other.number: other for other in space.repository.list() if other.number is not None}
    status = record.status_kind.value if record.status_kind else "no known status"
    if record.status_kind is Status.SUPERSEDED and (heir := live_successor(record, records)):
        status += f", now {heir.label}"
    say(f"{record.label} {record.name} ({status})")
    place = space.shown(record.path) if record.path else record.label
    for item in links:
        if item.link is Link.CITED:
            say_line(f"  cited on line {item.line}: {item.detail}")
        else:
            say_line(f"  {place}:{item.line}: {item.link.value} {item.detail}")
