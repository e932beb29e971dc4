"""The dead-letter list: jobs that failed for good, why, and how to try them again.

Replaying raises the job's maximum instead of resetting its counter: attempts count on, so that
the history stays whole and no two attempts of a job ever share a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, null, select

from waybill.errors import ExportNotFound, NotADeadLetter, QueueUnavailable, ValuesForgotten
from waybill.jobs.attempts import Cause, ExportAttempt
from waybill.jobs.forgetting import FORGOTTEN, is_forgotten
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.queue import ExportQueue
from waybill.jobs.reach import Reach
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JOB_COLUMNS, JobListener, change, job_of, move, tell
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger

log = get_logger(__name__)

MAX_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; a field left ``None`` does not narrow."""

    cause: Cause | None = None
    code: str | None = None
    export_type: str | None = None
    tenant: str | None = None
    failed_before: datetime | None = None
    failed_after: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what the rows must meet."""
        found: list[ColumnElement[bool]] = [jobs.c.status == ExportStatus.FAILED.value]
        if self.cause is not None:
            found.append(jobs.c.error_cause == self.cause.value)
        if self.code is not None:
            found.append(jobs.c.error_code == self.code)
        if self.export_type is not None:
            found.append(jobs.c.export_type == self.export_type)
        if self.tenant is not None:
            found.append(jobs.c.tenant == self.tenant)
        if self.failed_before is not None:
            found.append(jobs.c.finished_at < self.failed_before)
        if self.failed_after is not None:
            found.append(jobs.c.finished_at > self.failed_after)
        return found


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A failed job with the history of its attempts, oldest first."""

    job: ExportJob
    attempts: Sequence[ExportAttempt]


class DeadLetters:
    """Lists, shows and replays, within a reach that its caller has to name.

    Args:
        repository: the jobs.
        queue: notified when a job is due again; a broker that does not answer is no failure.
        max_attempts: how many attempts a replayed job gets.
    """

    def __init__(
        self, repository: ExportRepository, queue: ExportQueue, *, max_attempts: int
    ) -> None:
        self._repository = repository
        self._engine = repository.engine
        self._queue = queue
        self._max_attempts = max_attempts

    async def list(
        self, wanted: DeadLetterFilter | None = None, *, within: Reach, limit: int = 100
    ) -> Sequence[ExportJob]:
        """Return dead letters, the newest failure first; at most ``MAX_LISTED``.

        Page with ``failed_before`` of the last one.
        """
        statement = (
            select(*JOB_COLUMNS)
            .where(*(wanted or DeadLetterFilter()).conditions(), within.condition())
            .order_by(jobs.c.finished_at.desc(), jobs.c.id)
            .limit(min(limit, MAX_LISTED))
        )
        async with self._engine.connect() as connection:
            return [job_of(row) for row in (await connection.execute(statement)).mappings()]

    async def count(self, wanted: DeadLetterFilter | None = None, *, within: Reach) -> int:
        """Return how many dead letters there are."""
        conditions = (wanted or DeadLetterFilter()).conditions()
        statement = select(func.count()).select_from(jobs).where(*conditions, within.condition())
        async with self._engine.connect() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def get(self, export_id: UUID, *, within: Reach) -> DeadLetter:
        """Return one with its history.

        Raises:
            ExportNotFound: there is no such job within reach.
            NotADeadLetter: it did not fail, or was replayed.
        """
        job = await self._repository.find(export_id)
        if job is None or not within.includes(job):
            raise ExportNotFound(str(export_id))
        if job.status is not ExportStatus.FAILED:
            raise NotADeadLetter(job.status.value)
        return DeadLetter(job, await self._repository.attempts_of(export_id))

    async def replay(
        self, export_id: UUID, *, within: Reach, audit: Sequence[JobListener] = ()
    ) -> ExportJob:
        """Queue one again, due now. ``audit`` are told in the same transaction.

        Raises:
            ExportNotFound: there is no such job within reach.
            NotADeadLetter: it did not fail, or was replayed in the meantime.
            ValuesForgotten: what its rows are to be compared with is not kept any more.
        """
        statement = (
            move(ExportStatus.QUEUED)
            .where(
                jobs.c.id == export_id,
                jobs.c.status == ExportStatus.FAILED.value,
                ~is_forgotten(),
                within.condition(),
            )
            .values(
                max_attempts=jobs.c.attempt + self._max_attempts,
                next_attempt_at=func.now(),
                published_at=null(),
                finished_at=null(),
                error_code=null(),
                error_message=null(),
                error_cause=null(),
            )
        )
        async with self._engine.begin() as connection:
            job = await change(connection, statement)
            if job is not None:
                await tell(audit, connection, job)
        if job is None:
            letter = await self.get(export_id, within=within)  # says if it is none
            if FORGOTTEN in letter.job.options:
                raise ValuesForgotten
            raise NotADeadLetter(ExportStatus.QUEUED.value)
        log.info("export.replayed", export_id=str(job.id), attempts_before=job.attempt)
        try:
            await self._queue.publish(job.id)
        except QueueUnavailable as exc:
            log.warning("export.publish_deferred", export_id=str(job.id), error=str(exc))
        else:
            await self._repository.mark_published([job.id])
        return job

    async def replay_many(
        self,
        wanted: DeadLetterFilter,
        *,
        within: Reach,
        limit: int = MAX_LISTED,
        audit: Sequence[JobListener] = (),
    ) -> Sequence[ExportJob]:
        """Queue again all that match, oldest failure last; returns those that were."""
        replayed = []
        for job in await self.list(wanted, within=within, limit=limit):
            try:
                replayed.append(await self.replay(job.id, within=within, audit=audit))
            except (ExportNotFound, NotADeadLetter, ValuesForgotten):
                continue  # somebody else was faster, or it is too late
        return replayed
