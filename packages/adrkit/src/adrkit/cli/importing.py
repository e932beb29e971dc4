"""adr import"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from adrkit.cli.app import EXIT_USAGE, Workspace, app, print_json, say, warn, workspace
from adrkit.confine import root_for
from adrkit.errors import GitError, InvalidInput, NoRecords
from adrkit.git import Git
from adrkit.importing import ImportPlan, apply_import, plan_import
from adrkit.model import Status
from adrkit.record import Record
from adrkit.repository import RecordRepository, Unreadable
from adrkit.vocabulary import status_kind


@app.command("import")
def import_records(
    ctx: typer.Context,
    sources: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Records, or directories of records.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: the records directory."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be written.")
    ] = False,
    assume_status: Annotated[
        str | None,
        typer.Option(help="Status of records that have none. Default: a placeholder to fill in."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rewrite MADR and adr-tools records in the house template.

    No text is lost: sections are copied, headers and headings are kept in an appendix, and every
    word is counted before anything is written. The sources stay. Files are never overwritten, and
    all of them are written or none.

    Example: adr import doc/architecture/decisions --output docs/adr --dry-run
    """
    space = workspace(ctx)
    assumed = status_kind(assume_status, space.config.reading) if assume_status else None
    if assume_status is not None and assumed in (None, Status.SUPERSEDED):
        raise InvalidInput(
            "status", assume_status, remedy="Proposed, Accepted, Rejected or Deprecated"
        )
    directory = space.path(output) if output else space.config.directory
    records, unreadable = _read(space, sources)
    plan = plan_import(
        records,
        directory,
        taken=_taken(space, directory, records),
        date_of=_first_commit_dates(space.git),
        assumed_status=assumed,
    )
    if not dry_run:
        apply_import(plan, root_for(directory, space.config.boundary))
    if as_json:
        print_json(_as_json(space, plan))
    else:
        _print(space, plan, dry_run=dry_run)
    for failed in unreadable:
        warn(f"{failed.error} (left out; {failed.error.remedy})")
    if unreadable:
        raise typer.Exit(EXIT_USAGE)


def _read(space: Workspace, sources: list[Path]) -> tuple[list[Record], list[Unreadable]]:
    """Raises RecordsDirectoryMissing, NoRecords or the error of reading a named file."""
    records: dict[Path, Record] = {}
    unreadable: list[Unreadable] = []
    for source in sources:
        path = space.path(source)
        if path.is_dir():
            repository = RecordRepository(
                path, exclude=space.config.exclude, reading=space.config.reading
            )
            found = repository.require()
            space.warn_passed_over(repository)
            unreadable += repository.unreadable
        else:
            found = (Record.read(path, space.config.reading),)
        for record in found:
            if record.path is not None:
                records.setdefault(record.path.resolve(), record)
    if not records and not unreadable:
        raise NoRecords(space.path(sources[0]))
    return list(records.values()), unreadable


def _taken(space: Workspace, directory: Path, sources: list[Record]) -> set[int]:
    """Numbers in use in the target directory, and in the history when that is the project's own.

    The sources' own files do not count: an import from the records directory keeps its numbers.
    """
    own = {record.path.resolve() for record in sources if record.path}
    taken: set[int] = set()
    if directory.is_dir():
        repository = RecordRepository(
            directory, exclude=space.config.exclude, reading=space.config.reading
        )
        for record in repository.list():
            if record.number is not None and record.path and record.path.resolve() not in own:
                taken.add(record.number)
    inside = any(path.is_relative_to(space.config.directory.resolve()) for path in own)
    if directory.resolve() == space.config.directory.resolve() and not inside:
        taken.update(space.ledger.uses)
    return taken


def _first_commit_dates(git: Git | None) -> Callable[[Path], str | None]:
    """The day on which a file was first committed, under whatever name; None when unknown.

    Where the history cannot be read (a partial clone whose remote is away), that is said once.
    """
    days: dict[str, str] | None = None

    def date_of(path: Path) -> str | None:
        nonlocal days
        if git is None:
            return None
        if days is None:
            try:
                days = git.first_days()
            except GitError as error:
                warn(f"the history tells no dates: {error}")
                days = {}
        try:
            return days.get(git.relative(path))
        except ValueError:  # outside of the work tree
            return None

    return date_of


def _print(space: Workspace, plan: ImportPlan, *, dry_run: bool) -> None:
    verb = "would write" if dry_run else "wrote"
    for record in plan.records:
        source = space.shown(record.source.path) if record.source.path else record.source.label
        say(f"{verb} {space.shown(record.path)} from {source}")
    noted: dict[str, list[str]] = {}
    for record in plan.records:
        for note in record.notes:
            noted.setdefault(note, []).append(space.shown(record.path))
    for note, paths in noted.items():  # of what most records have in common one line is enough
        more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
        warn(f"{', '.join(paths[:2])}{more}: {note}")
    for skipped in plan.skipped:
        shown = space.shown(skipped.path) if skipped.path else skipped.label
        say(f"left {shown}: it is in the house template already")


def _as_json(space: Workspace, plan: ImportPlan) -> dict[str, object]:
    return {
        "records": [
            {
                "number": record.number,
                "path": space.named(record.path),
                "source": space.named(record.source.path) if record.source.path else None,
                "format": record.source.dialect.name,
                "notes": list(record.notes),
            }
            for record in plan.records
        ],
        "skipped": [space.named(record.path) for record in plan.skipped if record.path],
    }
