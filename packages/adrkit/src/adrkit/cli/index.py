"""adr index"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    say,
    warn_unreadable,
    workspace,
)
from adrkit.confine import root_for
from adrkit.document import Document
from adrkit.errors import ConfigError, SeveralDirectories
from adrkit.index import (
    BEGIN,
    DEFAULT_COLUMNS,
    END,
    has_markers,
    index_table,
    new_index,
    with_index,
    with_markers,
)
from adrkit.transaction import FileChange, apply_changes


@app.command(
    help=f"""Keep a table of the records in a README.

The file keeps every byte outside of `{BEGIN}` and `{END}`. It is README.md of the records
directory, `file` in [tool.adrkit.index], or the argument; a file that is not there is written.

With --check nothing is written: exit code 1 says that the table is out of date.

Example: adr index --check
"""
)
def index(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="File that holds the table.", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it is current.")] = False,
    add_markers: Annotated[
        bool, typer.Option("--add-markers", help="Add the markers at the end if they are missing.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="number, title, status, date, format; repeatable."),
    ] = None,
) -> None:
    spaces = workspace(ctx).with_records()
    if file is not None and len(spaces) > 1:
        raise SeveralDirectories([one.config.directory for one in spaces], spaces[0].config.root)
    current = [
        _index(space, file, check=check, add_markers=add_markers, column=column) for space in spaces
    ]
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
    if not all(current):
        raise typer.Exit(EXIT_FINDINGS)


def _index(
    space: Workspace, file: Path | None, *, check: bool, add_markers: bool, column: list[str] | None
) -> bool:
    """Whether the table is current, at the end."""
    path = _file(space, file)
    records = space.repository.require()
    table = index_table(records, path.parent, column or _columns(space))
    exists = path.exists()
    document = Document.read(path) if exists else new_index(path)
    if add_markers and not has_markers(document):
        document = with_markers(document)
    after = with_index(document, table).to_bytes()
    before = path.read_bytes() if exists else None
    if check:
        if before == after:
            say(f"{space.shown(path)} is current: {len(records)} records")
        else:
            say(f"{space.shown(path)} is out of date: run `adr index`")
            return False
    elif before == after:
        say(f"{space.shown(path)} was current: {len(records)} records")
    else:
        root = root_for(path, space.config.boundary)
        apply_changes(space.config.directory, [FileChange(path, before, after)], root)
        say(f"wrote {space.shown(path)}: {len(records)} records")
    return True


def _file(space: Workspace, file: Path | None) -> Path:
    if file is not None:
        return space.path(file)
    named = space.config.table("index").get("file")
    if named is None:
        return space.config.directory / "README.md"
    if len(space.config.directories) > 1:
        raise _config_error(
            space, "index.file is one file for several records directories",
            "leave it out: each directory gets a README.md of its own",
        )  # fmt: skip
    if not isinstance(named, str):
        raise _config_error(space, "index.file must be a string", 'write file = "docs/README.md"')
    return space.config.inside("index.file", space.config.root / named)


def _columns(space: Workspace) -> tuple[str, ...]:
    columns = space.config.table("index").get("columns", DEFAULT_COLUMNS)
    if isinstance(columns, (list, tuple)) and columns and all(isinstance(c, str) for c in columns):
        return tuple(columns)
    raise _config_error(
        space, "index.columns must be a list of strings", 'write columns = ["number", "title"]'
    )


def _config_error(space: Workspace, problem: str, remedy: str) -> ConfigError:
    return ConfigError(space.config.source or space.config.root, problem, remedy=remedy)
