"""The dead-letter list on the command line: list, show, replay. Talks to the database itself, so
it works while the API is down."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from waybill.cli.exits import UsageMistake
from waybill.cli.operators import PANEL, operate, operator, whole_reach
from waybill.cli.output import moment_text, output_console, print_json
from waybill.clock import instant_text
from waybill.jobs.attempts import Cause, ExportAttempt
from waybill.jobs.job import ExportJob

if TYPE_CHECKING:
    # Imported where it is used: SQLAlchemy would double the start-up of every other verb.
    from waybill.bootstrap.commands import CommandParts
    from waybill.jobs.dead_letters import DeadLetterFilter
    from waybill.jobs.rows import JobListener

app = typer.Typer(
    no_args_is_help=True,
    help="Exports that failed for good: list them, show why, try them again.",
)

CauseOption = Annotated[
    Cause | None,
    typer.Option(
        metavar="CAUSE",
        help=f"Only failures of this class: {', '.join(each.value for each in Cause)}.",
    ),
]
CodeOption = Annotated[str | None, typer.Option(help="Only this error code.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="Only this export type.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one document.")]


def register(parent: typer.Typer) -> None:
    """Add ``dead-letters`` to ``parent``."""
    parent.add_typer(app, name="dead-letters", rich_help_panel=PANEL)


@app.command("list")
def list_(
    cause: CauseOption = None,
    code: CodeOption = None,
    export_type: TypeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest failure first."""
    wanted = _filter(cause, code, export_type)

    async def work(parts: CommandParts) -> tuple[list[ExportJob], int]:
        letters = parts.dead_letters
        return (
            list(await letters.list(wanted, within=whole_reach(), limit=limit)),
            await letters.count(wanted, within=whole_reach()),
        )

    jobs, total = operate(work)
    if as_json:
        print_json({"items": [_job_document(job) for job in jobs], "total": total})
        return
    if not jobs:
        typer.echo("There are no dead letters.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("ID", "TYPE", "FORMAT", "FAILED", "ATTEMPTS", "CAUSE", "CODE"):
        table.add_column(title, no_wrap=True)
    for job in jobs:
        table.add_row(
            str(job.id),
            job.export_type,
            job.format,
            moment_text(job.finished_at),
            f"{job.attempt}/{job.max_attempts}",
            job.error_cause or "",
            job.error_code or "",
        )
    output_console().print(table)
    if total > len(jobs):
        typer.echo(f"{total - len(jobs)} more; raise --limit or narrow with --cause.", err=True)


@app.command()
def show(
    export_id: Annotated[UUID, typer.Argument(metavar="ID", help="The export.")],
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter with the history of its attempts."""
    letter = operate(lambda parts: parts.dead_letters.get(export_id, within=whole_reach()))
    if as_json:
        document = _job_document(letter.job)
        document["attempts"] = [_attempt_document(attempt) for attempt in letter.attempts]
        print_json(document)
        return
    job, console = letter.job, output_console()
    console.print(f"Export {job.id}", style="bold", markup=False)
    for name, value in (
        ("type", f"{job.export_type} ({job.format})"),
        ("requested", moment_text(job.created_at)),
        ("failed", moment_text(job.finished_at)),
        ("cause", f"{job.error_cause}: {job.error_code}"),
        ("the user reads", job.error_message or ""),
    ):
        console.print(f"  {name:<15} {value}", markup=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("ATTEMPT", "STARTED", "SECONDS", "OUTCOME", "CAUSE", "ROWS", "WORKER", "MESSAGE"):
        table.add_column(title, overflow="fold")
    for attempt in letter.attempts:
        seconds = ""
        if attempt.ended_at is not None:
            seconds = f"{(attempt.ended_at - attempt.started_at).total_seconds():.1f}"
        table.add_row(
            str(attempt.attempt),
            moment_text(attempt.started_at),
            seconds,
            attempt.outcome.value if attempt.outcome else "running",
            attempt.cause.value if attempt.cause else "",
            str(attempt.rows_done),
            attempt.worker.rpartition("/")[0] or attempt.worker,
            attempt.message or "",
        )
    console.print(table)


@app.command()
def replay(
    export_ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="The exports.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that match the options instead of IDs.")
    ] = False,
    cause: CauseOption = None,
    code: CodeOption = None,
    export_type: TypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue dead letters again, with as many new attempts as a new export has.

    The history of the earlier attempts is kept. The audit trail names the system's user who runs
    this. Ends with status 1 when an ID is no dead letter;
    those named before it are queued all the same.
    """
    narrowed = cause is not None or code is not None or export_type is not None
    if bool(export_ids) == everything:
        raise UsageMistake("Name the exports to replay, or give --all (and not both).")
    if export_ids and narrowed:
        raise UsageMistake("--cause, --code and --type go with --all, not with IDs.")
    wanted = _filter(cause, code, export_type)

    async def work(parts: CommandParts) -> list[ExportJob]:
        letters, audit = parts.dead_letters, [_audit(parts)]
        if everything:
            return list(await letters.replay_many(wanted, within=whole_reach(), audit=audit))
        return [
            await letters.replay(export_id, within=whole_reach(), audit=audit)
            for export_id in export_ids or ()
        ]

    jobs = operate(work)
    if as_json:
        print_json({"replayed": [str(job.id) for job in jobs]})
        return
    for job in jobs:
        typer.echo(str(job.id))
    typer.echo(f"{len(jobs)} replayed", err=True)


def _filter(cause: Cause | None, code: str | None, export_type: str | None) -> DeadLetterFilter:
    from waybill.jobs.dead_letters import DeadLetterFilter

    return DeadLetterFilter(cause=cause, code=code, export_type=export_type)


def _audit(parts: CommandParts) -> JobListener:
    from waybill.audit.audit import AuditAction

    return parts.audit.listener(operator(), AuditAction.REPLAYED, code="by_command")


def _job_document(job: ExportJob) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "type": job.export_type,
        "format": job.format,
        "status": job.status.value,
        "requested_at": instant_text(job.created_at),
        "failed_at": instant_text(job.finished_at) if job.finished_at else None,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "cause": job.error_cause,
        "code": job.error_code,
        "explanation": job.error_message,
    }


def _attempt_document(attempt: ExportAttempt) -> dict[str, Any]:
    document = dataclasses.asdict(attempt)
    del document["export_id"]
    for name in ("started_at", "ended_at"):
        document[name] = document[name] and instant_text(document[name])
    return document
