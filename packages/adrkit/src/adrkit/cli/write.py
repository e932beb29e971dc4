"""adr init, adr new"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from adrkit.authoring import NewRecord, create_record, file_name
from adrkit.cli.app import (
    Workspace,
    app,
    is_interactive,
    print_json,
    say,
    warn,
    warn_of,
    workspace,
)
from adrkit.cli.completing import choices, complete_new_status, complete_record
from adrkit.cli.editor import editor_command, open_editor
from adrkit.errors import InvalidInput
from adrkit.model import Status
from adrkit.record import Record
from adrkit.templates import FORMATS, TemplateValues, render_first_record
from adrkit.transaction import FileChange, apply_changes
from adrkit.vocabulary import status_kind

_FIRST_TITLE = "Record Architecture Decisions"


@app.command()
def init(
    ctx: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Argument(help="Where the records shall live; default: docs/adr."),
    ] = None,
) -> None:
    """Make the records directory with a first record.

    A directory other than one of the usual places is noted in adrkit.toml. Running it again
    changes nothing.
    """
    space = workspace(ctx)
    if directory is not None:
        space = Workspace(space.start, directory)
    target = space.config.directory
    changes: list[FileChange] = []
    if directory is not None and space.config.source is None:
        default = Workspace(space.start, None).config
        if default.directory != target and target.is_relative_to(default.root):
            relative = target.relative_to(default.root).as_posix()
            settings = default.root / "adrkit.toml"
            changes.append(FileChange(settings, None, f'directory = "{relative}"\n'.encode()))
    held = target.is_dir() and space.repository.paths
    if not held:
        changes.append(_first_record(space))
    apply_changes(target, changes, space.config.boundary)
    for change in changes:
        say(f"wrote {space.shown(change.path)}")
    if held:
        say(f"{space.shown(target)} holds {len(space.repository.paths)} records already")


def _first_record(space: Workspace) -> FileChange:
    number = space.ledger.next()
    path = space.config.directory / file_name(number, _FIRST_TITLE)
    values = TemplateValues(number=number, title=_FIRST_TITLE, date=today().isoformat())
    return FileChange(path, None, render_first_record(values).encode())


@app.command()
def new(
    ctx: typer.Context,
    title: Annotated[
        str | None, typer.Argument(help='Title in Title Case, e.g. "Use PostgreSQL for Orders".')
    ] = None,
    status: Annotated[
        str,
        typer.Option(
            "--status",
            "-s",
            autocompletion=complete_new_status,
            help="Proposed, Accepted or Rejected.",
        ),
    ] = Status.PROPOSED.value,
    supersedes: Annotated[
        list[str] | None,
        typer.Option(
            "--supersedes",
            metavar="N",
            autocompletion=complete_record,
            help="Record this one replaces; repeatable.",
        ),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="LINK", help="Ticket, epic or design document."),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--number", min=0, help="A number of your own; default: the next.")
    ] = None,
    draft: Annotated[
        bool,
        typer.Option("--draft", help="A name that cannot collide; `adr number` numbers it later."),
    ] = False,
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Ask the remote which numbers open pull requests take."),
    ] = False,
    template: Annotated[
        Path | None, typer.Option("--template", help="A template file (Jinja2) for this record.")
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            autocompletion=choices("auto", *FORMATS),
            help="house, madr, nygard, or auto: as the records there are.",
        ),
    ] = "auto",
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why the older record is superseded.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let a Proposed record supersede an Accepted one.")
    ] = False,
    edit: Annotated[
        bool | None,
        typer.Option("--edit/--no-edit", help="Open $VISUAL or $EDITOR; default: on a terminal."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write the next record from the template.

    The number is one more than the highest that any branch ever used, deleted records included.
    The file is NNNN-short-kebab-case-title.md. With --supersedes the older record is marked and
    both are linked, in one step.

    Where many branches write records at once, --draft gives draft-title-KEY.md and the citation
    ADR-draft-title-KEY. `adr number` gives the number when it is merged, everywhere.

    Example: adr new "Use Valkey for Queues" --supersedes 2 --status Accepted --context SHRED-21
    """
    space = workspace(ctx)
    if reason is not None and not supersedes:
        raise typer.BadParameter("goes with --supersedes", param_hint="--reason")
    interactive = is_interactive() and not as_json
    if title is None:
        if not interactive:
            raise typer.BadParameter("give a title", param_hint="TITLE")
        title = str(typer.prompt("Title"))
        if context is None:
            context = str(typer.prompt("Context (link, empty for later)", default="")) or None
    kind = status_kind(status)
    if kind is None:
        raise InvalidInput("status", status, remedy="Proposed, Accepted or Rejected")
    repository = space.repository
    older: list[Record] = [space.record(wanted) for wanted in supersedes or ()]
    if remote:
        warn_of(space.ask_remote())
    if not draft and (caveat := space.ledger.caveat):
        warn(caveat)
    written = create_record(
        space.config, repository, space.ledger, title, today=today(), status=kind,
        supersedes=older, context_link=context, number=number, draft=draft,
        template=space.path(template) if template else None, format=format, reason=reason,
        force=force,
    )  # fmt: skip
    _report(space, written, as_json)
    if edit or (edit is None and interactive and editor_command()):
        open_editor(written.path)


def _report(space: Workspace, written: NewRecord, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "number": written.number,
                "label": written.label,
                "path": space.named(written.path),
                "superseded": [space.named(path) for path in written.superseded],
            }
        )
        return
    say(f"wrote {space.shown(written.path)}")
    if written.number is None:
        say(f"cite it as {written.label}; `adr number` replaces that when it is merged")
    for path in written.superseded:
        say(f"superseded {space.shown(path)}")


def today() -> datetime.date:
    """The author's local day: a record's date is for people."""
    return datetime.datetime.now().astimezone().date()
