"""Export jobs in PostgreSQL: requests, the queue, and the end of files. ``leases`` has the rest.

Every change is one transaction that begins with one compare-and-set statement. A method that
changes a job returns whether it did, or the row as it is now: "0 rows" is an answer (somebody
else was faster), never an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.attempts import AttemptOutcome, ExportAttempt
from waybill.jobs.checkpoint_tables import export_checkpoints as checkpoints
from waybill.jobs.forgetting import forgetful, has_values
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.job_filter import JobFilter
from waybill.jobs.reach import Reach
from waybill.jobs.rows import (
    JOB_COLUMNS,
    JobListener,
    alone,
    attempt_of,
    change,
    end,
    hold,
    job_of,
    move,
    seconds,
    tell,
)
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs

_WITHOUT_FILE = [
    ExportStatus.FAILED.value,
    ExportStatus.CANCELLED.value,
    ExportStatus.EXPIRED.value,
    ExportStatus.DELETED.value,
]


# Built once, as every request and every look at a job needs them.
_FIND: Final = select(*JOB_COLUMNS).where(jobs.c.id == bindparam("wanted"))
_PUBLISHED: Final = (
    update(jobs)
    .where(
        jobs.c.id == any_(bindparam("announced", type_=ARRAY(UuidType))),
        jobs.c.status == ExportStatus.QUEUED.value,
    )
    .values(published_at=func.now())
)


# Of jobs that nobody has touched since they were made: one that was claimed and given back in the
# meantime is due again, and of that no message has told.
_ANNOUNCED: Final = _PUBLISHED.where(jobs.c.updated_at == jobs.c.created_at)


@dataclass(frozen=True, slots=True)
class JobState:
    """What tells a job's objects from orphans: the live lease, the result, the checkpoint and the
    folder, if there are any. An upload of ``checkpoint_key`` and ``checkpoint_upload_id`` will be
    gone on with; a checkpoint exists only while its job is not over."""

    status: ExportStatus
    lease_token: UUID | None
    object_key: str | None
    checkpoint_key: str | None = None
    checkpoint_upload_id: str | None = None
    object_folder: str | None = None


class ExportRepository:
    """Reads and changes export jobs. Safe to share within one event loop.

    Args:
        engine: waybill's own database.
        listeners: told of every job that ends, in the transaction that ends it.
    """

    def __init__(self, engine: AsyncEngine, *, listeners: Sequence[JobListener] = ()) -> None:
        self._engine = engine
        self._alone = alone(engine)
        self._listeners = listeners

    @property
    def engine(self) -> AsyncEngine:
        """waybill's own database, for the other readers and writers of its tables."""
        return self._engine

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
            .returning(*JOB_COLUMNS)
        )
        async with self._engine.begin() as connection:
            return job_of((await connection.execute(statement)).mappings().one())

    async def find(self, export_id: UUID) -> ExportJob | None:
        """Return the job, or ``None``."""
        async with self._alone.connect() as connection:
            result = await connection.execute(_FIND, {"wanted": export_id})
            row = result.mappings().one_or_none()
            return None if row is None else job_of(row)

    async def find_manifest(self, export_id: UUID) -> dict[str, Any] | None:
        """Return the manifest of a job that has, or had, a file."""
        async with self._alone.connect() as connection:
            found: dict[str, Any] | None = await connection.scalar(
                select(jobs.c.manifest).where(jobs.c.id == export_id)
            )
            return found

    async def find_traceparent(self, export_id: UUID) -> str | None:
        """Return the ``traceparent`` that a job came with. For whoever traces."""
        statement = select(jobs.c.traceparent).where(jobs.c.id == export_id)
        async with self._engine.connect() as connection:
            found: str | None = await connection.scalar(statement)
        return found

    async def find_many(self, export_ids: Collection[UUID]) -> Mapping[UUID, ExportJob]:
        """Return the jobs by id, in one statement; those that do not exist are missing."""
        statement = select(*JOB_COLUMNS).where(jobs.c.id.in_(export_ids))
        async with self._alone.connect() as connection:
            found = [job_of(row) for row in (await connection.execute(statement)).mappings()]
        return {job.id: job for job in found}

    async def list_within(
        self, reach: Reach, wanted: JobFilter | None = None, *, limit: int
    ) -> Sequence[ExportJob]:
        """Return the wanted jobs within ``reach``, newest first."""
        statement = (
            select(*JOB_COLUMNS)
            .where(reach.condition(), *(wanted or JobFilter()).conditions())
            .order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [job_of(row) for row in (await connection.execute(statement)).mappings()]

    async def attempts_of(self, export_id: UUID) -> Sequence[ExportAttempt]:
        """Return a job's attempts, oldest first."""
        statement = (
            select(attempts)
            .where(attempts.c.export_id == export_id)
            .order_by(attempts.c.started_at, attempts.c.attempt)
        )
        async with self._engine.connect() as connection:
            return [attempt_of(row) for row in (await connection.execute(statement)).mappings()]

    async def cancel(
        self, export_id: UUID, *, audit: Sequence[JobListener] = ()
    ) -> ExportJob | None:
        """Cancel an unfinished job. The lease goes with it: its worker changes nothing more.

        ``audit`` are told like the listeners, of this change alone.
        """
        statement = (
            move(ExportStatus.CANCELLED)
            .where(jobs.c.id == export_id)
            .values(finished_at=func.now(), next_attempt_at=null(), **forgetful())
        )
        async with self._engine.begin() as connection:
            await hold(connection, export_id)
            job = await end(connection, statement, AttemptOutcome.CANCELLED, is_over=True)
            if job is not None:
                await tell((*self._listeners, *audit), connection, job)
            return job

    async def mark_deleted(
        self, export_id: UUID, *, audit: Sequence[JobListener] = ()
    ) -> ExportJob | None:
        """Take a completed job's file out of reach; ``clear_object`` follows its deletion.

        ``audit`` are told like the listeners, of this change alone.
        """
        async with self._engine.begin() as connection:
            job = await change(connection, move(ExportStatus.DELETED).where(jobs.c.id == export_id))
            if job is not None:
                await tell((*self._listeners, *audit), connection, job)
            return job

    async def mark_gone(self, job: ExportJob) -> ExportJob | None:
        """Mark a completed job deleted whose object is gone, if its row still names that object."""
        statement = move(ExportStatus.DELETED).where(
            jobs.c.id == job.id,
            jobs.c.storage == job.storage,
            jobs.c.object_key == job.object_key,
        )
        async with self._engine.begin() as connection:
            changed = await change(connection, statement)
            if changed is not None:
                await tell(self._listeners, connection, changed)
            return changed

    # -- the queue ----------------------------------------------------------------------------

    async def mark_published(self, export_ids: Sequence[UUID]) -> None:
        """Note that a message for each job went out just now."""
        if not export_ids:
            return
        async with self._alone.begin() as connection:
            await connection.execute(_PUBLISHED, {"announced": list(export_ids)})

    async def mark_announced(self, export_ids: Sequence[UUID]) -> None:
        """Note that a message for each new job went out a moment ago."""
        async with self._alone.begin() as connection:
            await connection.execute(_ANNOUNCED, {"announced": list(export_ids)})

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
            jobs.c.published_at < func.now() - seconds(older_than_seconds), limit
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
            move(ExportStatus.EXPIRED)
            .where(jobs.c.id.in_(candidates.scalar_subquery()))
            .returning(*JOB_COLUMNS)
        )
        async with self._engine.begin() as connection:
            expired = [job_of(row) for row in (await connection.execute(statement)).mappings()]
            for job in expired:
                await tell(self._listeners, connection, job)
            return expired

    async def leftovers(self, *, expired_before: datetime, limit: int) -> Sequence[ExportJob]:
        """Return jobs whose file is out of reach and whose object is to be deleted.

        What a person deleted goes at once; what expired only when it did so before
        ``expired_before``, so that a download under way can end.
        """
        statement = (
            select(*JOB_COLUMNS)
            .where(
                or_(
                    jobs.c.status == ExportStatus.DELETED.value,
                    and_(
                        jobs.c.status == ExportStatus.EXPIRED.value,
                        jobs.c.expires_at <= expired_before,
                    ),
                ),
                jobs.c.object_key.is_not(None),
            )
            .order_by(jobs.c.updated_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [job_of(row) for row in (await connection.execute(statement)).mappings()]

    async def clear_object(self, export_id: UUID) -> bool:
        """Forget the object of a job after it was deleted: the object goes before the row. What
        its rows were compared with is forgotten with it."""
        return await self._execute(
            update(jobs)
            .where(
                jobs.c.id == export_id,
                jobs.c.status.in_([ExportStatus.EXPIRED.value, ExportStatus.DELETED.value]),
            )
            .values(object_key=null(), updated_at=func.now(), **forgetful())
        )

    async def states_of(self, export_ids: Collection[UUID]) -> Mapping[UUID, JobState]:
        """Return what the jobs own in storage; those that do not exist are missing."""
        if not export_ids:
            return {}
        statement = (
            select(
                jobs.c.id,
                jobs.c.status,
                jobs.c.lease_token,
                jobs.c.object_key,
                checkpoints.c.object_key.label("checkpoint_key"),
                checkpoints.c.upload_id,
                jobs.c.object_folder,
            )
            .outerjoin(checkpoints, checkpoints.c.export_id == jobs.c.id)
            .where(jobs.c.id.in_(export_ids))
        )
        async with self._engine.connect() as connection:
            return {
                row.id: JobState(
                    ExportStatus(row.status),
                    row.lease_token,
                    row.object_key,
                    row.checkpoint_key,
                    row.upload_id,
                    row.object_folder,
                )
                for row in await connection.execute(statement)
            }

    async def forget_values(self, *, failed_before: datetime, limit: int) -> int:
        """Forget what the rows of jobs without a file were compared with, however they came to
        have none; of a failed job, which can be replayed, only if it failed before then.

        Returns how many jobs had something to forget.
        """
        candidates = with_values_left(failed_before=failed_before, limit=limit)
        statement = (
            update(jobs).where(jobs.c.id.in_(candidates.scalar_subquery())).values(**forgetful())
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def purge(self, *, ended_before: datetime, limit: int) -> int:
        """Delete old jobs that are over and whose object is gone, with their history."""
        candidates = (
            select(jobs.c.id)
            .where(
                jobs.c.status.in_(_WITHOUT_FILE),
                jobs.c.object_key.is_(None),
                jobs.c.updated_at < ended_before,
            )
            .order_by(jobs.c.updated_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = delete(jobs).where(jobs.c.id.in_(candidates.scalar_subquery()))
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def _execute(self, statement: Update) -> bool:
        async with self._alone.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0


def with_values_left(*, failed_before: datetime, limit: int) -> Select[tuple[UUID]]:
    """Return the choice of jobs without a file that still have values to forget, locked."""
    return (
        select(jobs.c.id)
        .where(
            # Literally, as ``ix_export_jobs_values`` has it: else the planner cannot see it.
            jobs.c.status.in_([literal_column(f"'{each}'") for each in _WITHOUT_FILE]),
            jobs.c.object_key.is_(None),
            or_(
                jobs.c.status != ExportStatus.FAILED.value,
                jobs.c.finished_at < failed_before,
            ),
            has_values(),
        )
        # In the index's order: to find a hundred rows anywhere, the planner would read the table.
        .order_by(jobs.c.finished_at)
        .limit(limit)
        # A replay that is faster holds the row, and it is left alone.
        .with_for_update(skip_locked=True)
    )
