"""All SQL on ``export_jobs``. Every write is one compare-and-set statement in one transaction.

A method that changes a job returns whether it did, or the row as it is now: "0 rows" is an answer
(somebody else was faster, or the lease is lost), never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Update,
    case,
    func,
    insert,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.exports.job import ExportJob, ExportStatus, Lease, Progress, sources_of
from waybill.exports.tables import export_jobs as jobs

_FIELDS = tuple(field.name for field in fields(ExportJob))
_COLUMNS = [jobs.c[name] for name in _FIELDS]


def _job(row: RowMapping) -> ExportJob:
    values = dict(row)
    values["status"] = ExportStatus(values["status"])
    return ExportJob(**values)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


class ExportRepository:
    """Export jobs in PostgreSQL. Safe to share within one event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    # -- requests -----------------------------------------------------------------------------

    async def add(
        self,
        *,
        export_type: str,
        format: str,
        options: dict[str, Any],
        requested_by: str,
        tenant: str | None,
        max_attempts: int,
    ) -> ExportJob:
        """Insert a queued job, due now, and commit."""
        statement = (
            insert(jobs)
            .values(
                id=uuid4(),
                export_type=export_type,
                format=format,
                options=options,
                requested_by=requested_by,
                tenant=tenant,
                max_attempts=max_attempts,
            )
            .returning(*_COLUMNS)
        )
        async with self._engine.begin() as connection:
            return _job((await connection.execute(statement)).mappings().one())

    async def find(self, export_id: UUID) -> ExportJob | None:
        """Return the job, or ``None``."""
        async with self._engine.connect() as connection:
            result = await connection.execute(select(*_COLUMNS).where(jobs.c.id == export_id))
            row = result.mappings().one_or_none()
            return None if row is None else _job(row)

    async def list_for(
        self, requested_by: str, *, limit: int, before: datetime | None = None
    ) -> Sequence[ExportJob]:
        """Return a person's jobs, newest first; ``before`` pages by ``created_at``."""
        statement = (
            select(*_COLUMNS)
            .where(jobs.c.requested_by == requested_by)
            .order_by(jobs.c.created_at.desc(), jobs.c.id)
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(jobs.c.created_at < before)
        async with self._engine.connect() as connection:
            return [_job(row) for row in (await connection.execute(statement)).mappings()]

    async def cancel(self, export_id: UUID) -> ExportJob | None:
        """Cancel an unfinished job. The lease goes with it: its worker changes nothing more."""
        return await self._change(
            self._move(ExportStatus.CANCELLED)
            .where(jobs.c.id == export_id)
            .values(finished_at=func.now(), next_attempt_at=null())
        )

    async def mark_deleted(self, export_id: UUID) -> ExportJob | None:
        """Take a completed job's file out of reach; ``clear_object`` follows its deletion."""
        return await self._change(self._move(ExportStatus.DELETED).where(jobs.c.id == export_id))

    # -- the queue ----------------------------------------------------------------------------

    async def mark_published(self, export_ids: Sequence[UUID]) -> None:
        """Note that a message for each job went out just now."""
        if not export_ids:
            return
        await self._execute(
            update(jobs)
            .where(jobs.c.id.in_(export_ids), jobs.c.status == ExportStatus.QUEUED.value)
            .values(published_at=func.now())
        )

    async def unannounced(self, *, limit: int) -> Sequence[UUID]:
        """Return due jobs of which the broker was never told since they became due."""
        return await self._due(
            or_(
                jobs.c.published_at.is_(None),
                jobs.c.published_at < jobs.c.next_attempt_at,
            ),
            limit,
        )

    async def unanswered(self, *, older_than_seconds: float, limit: int) -> Sequence[UUID]:
        """Return due jobs whose message is that old and that nobody has claimed."""
        return await self._due(
            jobs.c.published_at < func.now() - _seconds(older_than_seconds), limit
        )

    async def _due(self, condition: ColumnElement[bool], limit: int) -> Sequence[UUID]:
        statement = (
            select(jobs.c.id)
            .where(
                jobs.c.status == ExportStatus.QUEUED.value,
                jobs.c.next_attempt_at <= func.now(),
                condition,
            )
            .order_by(jobs.c.next_attempt_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(statement)).scalars())

    # -- the lease ----------------------------------------------------------------------------

    async def claim(
        self, export_id: UUID, *, lease_seconds: float
    ) -> tuple[ExportJob, Lease] | None:
        """Take a due job: raise its attempt and give it a fresh lease, in one statement.

        Returns ``None`` when the job is not due: running elsewhere, finished, or waiting.
        """
        token = uuid4()
        job = await self._change(
            self._move(ExportStatus.RUNNING)
            .where(
                jobs.c.id == export_id,
                jobs.c.next_attempt_at <= func.now(),
                jobs.c.attempt < jobs.c.max_attempts,
            )
            .values(
                attempt=jobs.c.attempt + 1,
                lease_token=token,
                lease_expires_at=func.now() + _seconds(lease_seconds),
                started_at=func.now(),
                next_attempt_at=null(),
                rows_done=0,
                bytes_done=0,
                rows_expected=null(),
                rows_expected_exact=False,
                error_code=null(),
                error_message=null(),
            )
        )
        return None if job is None else (job, Lease(job.id, job.attempt, token))

    async def renew(self, lease: Lease, progress: Progress, *, lease_seconds: float) -> bool:
        """Prolong the lease and record progress. ``False``: the lease is lost, stop at once."""
        return await self._execute(
            self._held(lease).values(
                lease_expires_at=func.now() + _seconds(lease_seconds),
                rows_done=progress.rows,
                bytes_done=progress.bytes,
                rows_expected=progress.rows_expected,
                rows_expected_exact=progress.is_exact,
            )
        )

    async def complete(
        self,
        lease: Lease,
        *,
        storage: str,
        object_key: str,
        object_bytes: int,
        object_etag: str,
        manifest: dict[str, Any],
        sha256: str,
        rows: int,
        expires_at: datetime,
    ) -> bool:
        """Commit the result: from here on the object is the job's one file."""
        return await self._execute(
            self._held(lease).values(
                status=ExportStatus.COMPLETED.value,
                lease_token=null(),
                lease_expires_at=null(),
                finished_at=func.now(),
                expires_at=expires_at,
                rows_expected=rows,
                rows_expected_exact=True,
                rows_done=rows,
                bytes_done=object_bytes,
                storage=storage,
                object_key=object_key,
                object_bytes=object_bytes,
                object_etag=object_etag,
                manifest=manifest,
                sha256=sha256,
            )
        )

    async def retry(self, lease: Lease, *, delay_seconds: float, code: str, message: str) -> bool:
        """End the attempt; the job is due again after ``delay_seconds``."""
        return await self._execute(
            self._held(lease).values(
                **_queued_again(func.now() + _seconds(delay_seconds)),
                error_code=code,
                error_message=message,
            )
        )

    async def fail(self, lease: Lease, *, code: str, message: str) -> bool:
        """End the job in the dead-letter list."""
        return await self._execute(
            self._held(lease).values(
                status=ExportStatus.FAILED.value,
                lease_token=null(),
                lease_expires_at=null(),
                finished_at=func.now(),
                error_code=code,
                error_message=message,
            )
        )

    async def give_back(self, lease: Lease) -> bool:
        """Return an unharmed job to the queue, due now, without spending the attempt."""
        return await self._execute(
            self._held(lease).values(**_queued_again(func.now()), attempt=jobs.c.attempt - 1)
        )

    async def release_expired_leases(
        self, *, backoff_seconds: Sequence[float], code: str, message: str, limit: int = 100
    ) -> Sequence[ExportJob]:
        """End the attempts of workers that stopped renewing: retried, or failed when spent."""
        candidates = (
            select(jobs.c.id)
            .where(
                jobs.c.status == ExportStatus.RUNNING.value,
                jobs.c.lease_expires_at < func.now(),
            )
            .order_by(jobs.c.lease_expires_at)
            .limit(limit)
            # Two sweepers share the work instead of waiting for each other.
            .with_for_update(skip_locked=True)
        )
        spent = jobs.c.attempt >= jobs.c.max_attempts
        delay = case(
            *((jobs.c.attempt == n, s) for n, s in enumerate(backoff_seconds, start=1)),
            else_=backoff_seconds[-1],
        )
        statement = (
            update(jobs)
            .where(jobs.c.id.in_(candidates.scalar_subquery()))
            .values(
                status=case((spent, ExportStatus.FAILED.value), else_=ExportStatus.QUEUED.value),
                next_attempt_at=case(
                    (spent, null()), else_=func.now() + delay * text("interval '1 second'")
                ),
                finished_at=case((spent, func.now()), else_=null()),
                lease_token=null(),
                lease_expires_at=null(),
                error_code=code,
                error_message=message,
                updated_at=func.now(),
            )
            .returning(*_COLUMNS)
        )
        async with self._engine.begin() as connection:
            return [_job(row) for row in (await connection.execute(statement)).mappings()]

    # -- the end of a file ----------------------------------------------------------------------

    async def expire(self, *, now: datetime, limit: int) -> Sequence[ExportJob]:
        """Take files past their time to live out of reach; their objects are deleted next."""
        candidates = (
            select(jobs.c.id)
            .where(jobs.c.status == ExportStatus.COMPLETED.value, jobs.c.expires_at <= now)
            .order_by(jobs.c.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            self._move(ExportStatus.EXPIRED)
            .where(jobs.c.id.in_(candidates.scalar_subquery()))
            .returning(*_COLUMNS)
        )
        async with self._engine.begin() as connection:
            return [_job(row) for row in (await connection.execute(statement)).mappings()]

    async def leftovers(self, *, limit: int) -> Sequence[ExportJob]:
        """Return jobs whose file is out of reach but whose object is not yet deleted."""
        statement = (
            select(*_COLUMNS)
            .where(
                jobs.c.status.in_([ExportStatus.EXPIRED.value, ExportStatus.DELETED.value]),
                jobs.c.object_key.is_not(None),
            )
            .order_by(jobs.c.updated_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_job(row) for row in (await connection.execute(statement)).mappings()]

    async def clear_object(self, export_id: UUID) -> bool:
        """Forget the object of a job after it was deleted: the object goes before the row."""
        return await self._execute(
            update(jobs)
            .where(
                jobs.c.id == export_id,
                jobs.c.status.in_([ExportStatus.EXPIRED.value, ExportStatus.DELETED.value]),
            )
            .values(object_key=null(), updated_at=func.now())
        )

    # -- plumbing -----------------------------------------------------------------------------

    @staticmethod
    def _move(target: ExportStatus) -> Update:
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

    @staticmethod
    def _held(lease: Lease) -> Update:
        """Begin an update that only the holder of ``lease`` can make."""
        return (
            update(jobs)
            .where(
                jobs.c.id == lease.export_id,
                jobs.c.status == ExportStatus.RUNNING.value,
                jobs.c.lease_token == lease.token,
            )
            .values(updated_at=func.now())
        )

    async def _change(self, statement: Update) -> ExportJob | None:
        async with self._engine.begin() as connection:
            result = await connection.execute(statement.returning(*_COLUMNS))
            row = result.mappings().one_or_none()
            return None if row is None else _job(row)

    async def _execute(self, statement: Update) -> bool:
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0


def _queued_again(due_at: Any) -> dict[str, Any]:
    return {
        "status": ExportStatus.QUEUED.value,
        "lease_token": null(),
        "lease_expires_at": null(),
        "next_attempt_at": due_at,
        "published_at": null(),
    }
