"""What every writer of ``export_jobs`` shares: reading rows, legal moves, and who is told."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import Select, Update, bindparam, delete, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import ReturningUpdate

from waybill.jobs.attempts import AttemptFailure, AttemptOutcome, Cause, ExportAttempt
from waybill.jobs.checkpoint_tables import export_checkpoints as checkpoints
from waybill.jobs.job import ExportJob, ExportStatus, sources_of
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs

COMMITS_ALONE: Final = "waybill_commits_alone"
"""Option of statements that must be over when they are answered, pooler or not: no frame at all."""

JOB_COLUMNS = [jobs.c[field.name] for field in fields(ExportJob)]


class JobListener(Protocol):
    """Told of every job that ended (completed, failed, cancelled, expired or deleted), inside the
    transaction that ended it: what it writes is committed with the end, or not at all."""

    async def __call__(self, connection: AsyncConnection, job: ExportJob) -> object: ...


def job_of(row: Mapping[Any, Any]) -> ExportJob:
    """Return a row as a value."""
    values = dict(row)
    values["status"] = ExportStatus(values["status"])
    return ExportJob(**values)


def attempt_of(row: Mapping[Any, Any]) -> ExportAttempt:
    """Return a row of the history as a value; the lease token stays in the database."""
    values = {field.name: row[field.name] for field in fields(ExportAttempt)}
    values["outcome"] = values["outcome"] and AttemptOutcome(values["outcome"])
    values["cause"] = values["cause"] and Cause(values["cause"])
    return ExportAttempt(**values)


def seconds(value: float) -> timedelta:
    """Return ``value`` seconds as PostgreSQL's interval."""
    return timedelta(seconds=value)


def move(target: ExportStatus) -> Update:
    """Begin an update that only legal sources match; the lease ends with every move."""
    return (
        update(jobs)
        .where(jobs.c.status.in_([source.value for source in sources_of(target)]))
        .values(
            status=target.value,
            lease_token=null(),
            lease_expires_at=null(),
            updated_at=func.now(),
        )
    )


def over(status: ExportStatus) -> dict[str, Any]:
    """Return what an update sets of a job that a worker ends."""
    return {
        "status": status.value,
        "lease_token": null(),
        "lease_expires_at": null(),
        "finished_at": func.now(),
    }


def alone(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine for transactions of one statement, which needs no frame around it.
    ``begin`` one that writes, ``connect`` for one that reads: behind a pooler there is a frame."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


async def change(
    connection: AsyncConnection,
    statement: Update,
    values: Mapping[str, Any] | None = None,
) -> ExportJob | None:
    """Run an update of at most one row; return the row as it is now, or ``None`` for 0 rows.

    ``values`` are those of a statement that was built beforehand.
    """
    result = await connection.execute(_returning(statement), values)
    row = result.mappings().one_or_none()
    return None if row is None else job_of(row)


@functools.lru_cache(maxsize=32)
def _returning(statement: Update) -> ReturningUpdate[Any]:
    # Of a statement that is built beforehand, this is too; the others are soon forgotten.
    return statement.returning(*JOB_COLUMNS)


async def hold(connection: AsyncConnection, export_id: UUID) -> None:
    """Wait for whoever is changing a job, and let nobody else until the transaction's end."""
    await connection.execute(select(jobs.c.id).where(jobs.c.id == export_id).with_for_update())


async def end(
    connection: AsyncConnection,
    statement: Update,
    outcome: AttemptOutcome,
    failure: AttemptFailure | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    is_over: bool,
) -> ExportJob | None:
    """``change`` a job, and in the same statement its history: its open attempt, if any, ends
    with the job's figures.

    A statement sees what was committed before it began. So whoever may come while the job is
    claimed, or while a checkpoint of it is written, ``holds`` its row first; the attempt's own
    worker need not.

    Args:
        connection: in a transaction, or of an engine for statements ``alone``.
        statement: an update of at most one row.
        outcome: of the attempt.
        failure: why it failed.
        values: those of a statement that was built beforehand.
        is_over: the job ends too, and has no checkpoint any more; its upload is swept.
    """
    result = await connection.execute(
        _ending(statement, is_over=is_over),
        {
            **(values or {}),
            "attempt_outcome": outcome.value,
            "attempt_cause": failure.cause.value if failure else None,
            "attempt_code": failure.code if failure else None,
            "attempt_message": failure.message if failure else None,
        },
    )
    row = result.mappings().one_or_none()
    return None if row is None else job_of(row)


@functools.lru_cache(maxsize=32)
def _ending(statement: Update, *, is_over: bool) -> Select[Any]:
    # One statement, as each costs the worker more to send than PostgreSQL to run.
    job = statement.returning(*JOB_COLUMNS).cte("job")
    attempt = (
        update(attempts)
        .where(attempts.c.export_id == job.c.id, attempts.c.ended_at.is_(None))
        .values(
            ended_at=func.now(),
            outcome=bindparam("attempt_outcome"),
            cause=bindparam("attempt_cause"),
            error_code=bindparam("attempt_code"),
            message=bindparam("attempt_message"),
            rows_done=job.c.rows_done,
            bytes_done=job.c.bytes_done,
        )
    )
    ending = select(job).add_cte(attempt.cte("attempt"))
    if is_over:
        forgotten = delete(checkpoints).where(checkpoints.c.export_id == job.c.id)
        ending = ending.add_cte(forgotten.cte("checkpoint"))
    return ending


async def tell(
    listeners: Sequence[JobListener], connection: AsyncConnection, job: ExportJob
) -> None:
    """Tell every listener of a job that ended."""
    for listener in listeners:
        await listener(connection, job)
