"""The lease protocol: claim, renew, and the fenced ends of an attempt.

Every change is one transaction that begins with one compare-and-set on the job's row; the
attempt's history is written in the same transaction. "0 rows" is an answer (the lease is lost),
never an error. All instants are the database server's own, so that two machines can never
disagree about who owns a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Update, bindparam, case, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.attempts import AttemptFailure, AttemptOutcome, ExportAttempt, RetryPolicy
from waybill.jobs.checkpoint_tables import export_checkpoints as checkpoints
from waybill.jobs.completing import Result, completing
from waybill.jobs.explanations import explain
from waybill.jobs.forgetting import forgetful
from waybill.jobs.job import ExportJob, ExportStatus, Lease, Progress
from waybill.jobs.rows import (
    JOB_COLUMNS,
    JobListener,
    alone,
    attempt_of,
    end,
    hold,
    job_of,
    over,
    seconds,
    tell,
)
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs
from waybill.jobs.turns import Turns

# Built once, as every attempt that is traced needs it.
_TRACE: Final = select(
    jobs.c.traceparent,
    select(attempts.c.lease_token)
    .where(
        attempts.c.export_id == bindparam("of_export"), attempts.c.lease_token != bindparam("this")
    )
    .order_by(attempts.c.started_at.desc())
    .limit(1)
    .scalar_subquery(),
).where(jobs.c.id == bindparam("of_export"))


_OVER: Final = (AttemptOutcome.COMPLETED, AttemptOutcome.FAILED)
"""How an attempt ends that is its job's last."""


@dataclass(frozen=True, slots=True)
class ExpiredLease:
    """A lease that ran out ``over_for`` ago, and the key at which a resumable export continues."""

    job: ExportJob
    lease: Lease
    checkpoint_key: str | None
    over_for: timedelta


class LeaseRepository:
    """Leases on export jobs. Safe to share within one event loop.

    Args:
        engine: waybill's own database.
        listeners: told of every job that ends, in the transaction that ends it.
        turns: chooses the job that is claimed; without limits when left out.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        listeners: Sequence[JobListener] = (),
        turns: Turns | None = None,
    ) -> None:
        self._engine = engine
        self._alone = alone(engine)
        self._listeners = listeners
        self._turns = turns or Turns(engine)

    # -- taking and keeping ---------------------------------------------------------------------

    async def claim(
        self,
        notified: UUID,
        *,
        lease_seconds: float,
        worker: str,
        token: UUID | None = None,
        is_looking: bool = False,
    ) -> tuple[ExportJob, Lease] | None:
        """Take the due job whose turn it is: raise its attempt and give it a fresh lease.

        Args:
            notified: the job that a message names, which need not be the one that is taken.
            lease_seconds: how long the lease lives unless it is renewed.
            worker: who claims, for the history.
            token: the lease's token, fresh for each claim. Choosing it beforehand lets the caller
                find out with ``find_claim`` what became of a claim whose answer was lost.
            is_looking: whether the lease is to say if another job is due.

        Returns:
            ``None`` when no job is due, or those that are must wait for others to end.
        """
        token = token or uuid4()
        claimed = await self._turns.claim(
            notified,
            token=token,
            holder=worker,
            lease_seconds=lease_seconds,
            is_looking=is_looking,
        )
        if claimed is None:
            return None
        job, is_more_due = claimed
        return job, Lease(job.id, job.attempt, token, is_more_due)

    async def find_trace(self, lease: Lease) -> tuple[str | None, UUID | None]:
        """Return the ``traceparent`` that the job came with, and the token of the attempt before.
        For whoever traces."""
        values = {"of_export": lease.export_id, "this": lease.token}
        async with self._alone.connect() as connection:
            found = (await connection.execute(_TRACE, values)).one_or_none()
        return (None, None) if found is None else (found[0], found[1])

    async def find_claim(self, token: UUID) -> tuple[ExportJob, Lease] | None:
        """Return the job that ``token`` holds, and its lease."""
        statement = (
            select(*JOB_COLUMNS)
            .join(attempts, attempts.c.export_id == jobs.c.id)
            .where(
                attempts.c.lease_token == token,
                jobs.c.status == ExportStatus.RUNNING.value,
                jobs.c.lease_token == token,
            )
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        if row is None:
            return None
        job = job_of(row)
        return job, Lease(job.id, job.attempt, token)

    async def holders(self) -> Sequence[tuple[str, ExportJob, Lease]]:
        """Return which worker runs which job, and under which lease."""
        statement = (
            select(attempts.c.worker, *JOB_COLUMNS)
            .join(attempts, attempts.c.lease_token == jobs.c.lease_token)
            .where(attempts.c.ended_at.is_(None), jobs.c.status == ExportStatus.RUNNING.value)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        held = []
        for row in rows:
            job = job_of({column.name: row[column.name] for column in JOB_COLUMNS})
            held.append((row["worker"], job, Lease(job.id, job.attempt, row["lease_token"])))
        return held

    async def renew(self, lease: Lease, progress: Progress, *, lease_seconds: float) -> bool:
        """Prolong the lease and record progress. ``False``: the lease is lost, stop at once."""
        statement = _held(lease).values(
            lease_expires_at=func.now() + seconds(lease_seconds), **_figures(progress)
        )
        async with self._alone.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0

    # -- the ends of an attempt -------------------------------------------------------------------

    async def complete(self, lease: Lease, result: Result) -> bool:
        """Commit the result: from here on the object is the job's one file."""
        statement, values = completing(lease, result)
        return await self._end(lease, statement, AttemptOutcome.COMPLETED, values=values)

    async def deliver(self, lease: Lease, *, rows: int, bytes: int, sha256: str) -> bool:
        """End a job whose file was streamed to its owner and kept nowhere."""
        statement = _held(lease).values(
            # What a completed job is once its file is gone; nobody need be told of either.
            **over(ExportStatus.DELETED),
            **forgetful(),
            rows_expected=rows,
            rows_expected_exact=True,
            rows_done=rows,
            bytes_done=bytes,
            object_bytes=bytes,
            sha256=sha256,
        )
        async with self._alone.begin() as connection:
            job = await end(connection, statement, AttemptOutcome.COMPLETED, is_over=False)
        return job is not None

    async def retry(
        self, lease: Lease, failure: AttemptFailure, *, delay_seconds: float, progress: Progress
    ) -> bool:
        """End the attempt; the job is due again after ``delay_seconds``."""
        return await self._end(
            lease,
            _held(lease).values(
                **_queued_again(func.now() + seconds(delay_seconds)),
                **_error(failure),
                **_figures(progress),
            ),
            AttemptOutcome.RETRIED,
            failure,
        )

    async def fail(self, lease: Lease, failure: AttemptFailure, *, progress: Progress) -> bool:
        """End the job in the dead-letter list."""
        return await self._end(
            lease,
            _held(lease).values(
                **over(ExportStatus.FAILED), **_error(failure), **_figures(progress)
            ),
            AttemptOutcome.FAILED,
            failure,
        )

    async def give_back(self, lease: Lease, *, progress: Progress) -> bool:
        """Return an unharmed job to the queue, due now, without spending the attempt."""
        return await self._end(
            lease,
            _held(lease).values(
                **_queued_again(func.now()), **_figures(progress), attempt=jobs.c.attempt - 1
            ),
            AttemptOutcome.GIVEN_BACK,
        )

    async def postpone(self, lease: Lease, code: str, *, delay_seconds: float) -> bool:
        """Return a job that may not begin now to the queue, with a reason that people read
        (``jobs.explanations``), as if nobody had claimed it."""
        return await self._end(
            lease,
            _held(lease).values(
                **_queued_again(func.now() + seconds(delay_seconds)),
                **_figures(Progress()),
                attempt=jobs.c.attempt - 1,
                # Whoever cancels it before it began gets their quota back.
                started_at=case((jobs.c.attempt <= 1, null()), else_=jobs.c.started_at),
                error_code=code,
                error_message=explain(code),
                error_cause=null(),
            ),
            AttemptOutcome.GIVEN_BACK,
        )

    async def find_attempt(self, lease: Lease) -> ExportAttempt | None:
        """Return the history of the attempt under ``lease``; without an outcome while it runs.

        This is what became of a write whose answer was lost: it was committed together with the
        change of the job, or neither was.
        """
        statement = select(attempts).where(attempts.c.lease_token == lease.token)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else attempt_of(row)

    async def find_expired(self, *, limit: int = 100) -> Sequence[ExpiredLease]:
        """Return the leases that ``release_expired`` would end, longest over first."""
        statement = (
            select(
                checkpoints.c.object_key.label("checkpoint_key"),
                (func.now() - jobs.c.lease_expires_at).label("over_for"),
                *JOB_COLUMNS,
            )
            .outerjoin(checkpoints, checkpoints.c.export_id == jobs.c.id)
            .where(
                jobs.c.status == ExportStatus.RUNNING.value,
                jobs.c.lease_expires_at < func.now(),
            )
            .order_by(jobs.c.lease_expires_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [
            ExpiredLease(
                job_of({column.name: row[column] for column in JOB_COLUMNS}),
                Lease(row[jobs.c.id], row[jobs.c.attempt], row[jobs.c.lease_token]),
                row["checkpoint_key"],
                row["over_for"],
            )
            for row in rows
        ]

    async def release_expired(
        self,
        failure: AttemptFailure,
        policy: RetryPolicy,
        *,
        limit: int = 100,
        sparing: Collection[UUID] = (),
    ) -> Sequence[ExportJob]:
        """End the attempts of workers that stopped renewing: retried, or failed when spent.

        Those under a token of ``sparing`` are left as they are.
        """
        candidates = (
            select(*JOB_COLUMNS)
            .where(
                jobs.c.status == ExportStatus.RUNNING.value,
                jobs.c.lease_expires_at < func.now(),
                jobs.c.lease_token.not_in(sparing),
            )
            .order_by(jobs.c.lease_expires_at)
            .limit(limit)
            # Two sweepers share the work instead of waiting for each other.
            .with_for_update(skip_locked=True)
        )
        released: list[ExportJob] = []
        async with self._engine.begin() as connection:
            for row in (await connection.execute(candidates)).mappings().all():
                lost = job_of(row)
                is_spent = lost.attempt >= lost.max_attempts
                delay = policy.delay_seconds(lost.attempt, lost.max_attempts)
                job = await end(
                    connection,
                    update(jobs)
                    .where(jobs.c.id == lost.id)
                    .values(
                        updated_at=func.now(),
                        **_error(failure),
                        **(
                            over(ExportStatus.FAILED)
                            if is_spent
                            else _queued_again(func.now() + seconds(delay))
                        ),
                    ),
                    AttemptOutcome.FAILED if is_spent else AttemptOutcome.RETRIED,
                    failure,
                    is_over=is_spent,
                )
                if job is None:
                    continue
                if is_spent:
                    await tell(self._listeners, connection, job)
                released.append(job)
        return released

    async def _end(
        self,
        lease: Lease,
        statement: Update,
        outcome: AttemptOutcome,
        failure: AttemptFailure | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        is_over = outcome in _OVER
        is_completed = outcome is AttemptOutcome.COMPLETED
        # The common end, where there is nobody to tell of it, is this one statement.
        engine = self._alone if is_completed and not self._listeners else self._engine
        async with engine.begin() as connection:
            if not is_completed:
                # Another's attempt may be ended, whose server is still at what it was sent.
                await hold(connection, lease.export_id)
            job = await end(connection, statement, outcome, failure, values, is_over=is_over)
            if job is None:
                return False
            if is_over:
                await tell(self._listeners, connection, job)
        return True


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


def _queued_again(due_at: Any) -> dict[str, Any]:
    return {
        "status": ExportStatus.QUEUED.value,
        "lease_token": null(),
        "lease_expires_at": null(),
        "next_attempt_at": due_at,
        "published_at": null(),
    }


def _error(failure: AttemptFailure) -> dict[str, Any]:
    return {
        "error_code": failure.code,
        "error_message": failure.detail or explain(failure.code),
        "error_cause": failure.cause.value,
    }


def _figures(progress: Progress) -> dict[str, Any]:
    return {
        "rows_done": progress.rows,
        "bytes_done": progress.bytes,
        "rows_expected": progress.rows_expected,
        "rows_expected_exact": progress.is_exact,
    }
