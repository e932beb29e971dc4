"""adr accept, reject, deprecate, supersede"""

from __future__ import annotations

from typing import Annotated

import typer

from adrkit import lifecycle
from adrkit.cli.app import Workspace, app, print_json, say, workspace
from adrkit.cli.completing import complete_record
from adrkit.lifecycle import Move

RecordArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECORD",
        autocompletion=complete_record,
        help="Number (7, ADR-0007), file name or path.",
    ),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", "-r", help="Why; written under the status.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def accept(
    ctx: typer.Context,
    record: RecordArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Proposed to Accepted: the decision is taken."""
    space = workspace(ctx)
    found = space.record(record)
    _report(space, lifecycle.accept(space.repository, found, reason=reason), as_json)


@app.command()
def reject(
    ctx: typer.Context,
    record: RecordArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Proposed to Rejected: considered, but not chosen. Say why with --reason."""
    space = workspace(ctx)
    found = space.record(record)
    _report(space, lifecycle.reject(space.repository, found, reason=reason), as_json)


@app.command()
def deprecate(
    ctx: typer.Context,
    record: RecordArgument,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accepted to Deprecated: no longer recommended.

    Where another record takes its place, `adr supersede` links both.
    """
    space = workspace(ctx)
    found = space.record(record)
    _report(space, lifecycle.deprecate(space.repository, found, reason=reason), as_json)


@app.command()
def supersede(
    ctx: typer.Context,
    record: RecordArgument,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="RECORD",
            autocompletion=complete_record,
            help="The record that replaces it.",
        ),
    ],
    reason: ReasonOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let a Proposed record supersede an Accepted one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace RECORD by another one, linked both ways.

    RECORD is marked as superseded. Both files are written or neither; apart from status and
    links not a byte changes.

    Example: adr supersede 2 --by 7 --reason "Redis changed its licence"
    """
    space = workspace(ctx)
    predecessor = space.record(record)
    successor = space.record(by)
    move = lifecycle.supersede(space.repository, predecessor, successor, reason=reason, force=force)
    _report(space, move, as_json, successor=successor.label)


def _report(space: Workspace, move: Move, as_json: bool, successor: str | None = None) -> None:
    if as_json:
        print_json(
            {
                "number": move.record.number,
                "path": space.named(move.path),
                "before": move.before.value,
                "after": move.after.value,
                "successor": successor,
            }
        )
        return
    after = f"{move.after.value} by {successor}" if successor else move.after.value
    say(f"{move.record.label}: {move.before.value} -> {after}")
