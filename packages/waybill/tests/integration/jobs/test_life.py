"""Hypothesis plays with jobs on a real PostgreSQL: any order of calls, any moment, and after each
call no illegal status, never two live leases, never more attempts than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.bootstrap.core import create_engine
from waybill.config import Settings
from waybill.errors import LeaseLost, NotADeadLetter, QueueUnavailable
from waybill.jobs.attempts import AttemptFailure, Cause, RetryPolicy
from waybill.jobs.checkpoints import (
    Checkpoint,
    CheckpointLog,
    CheckpointPart,
    ResumePoint,
)
from waybill.jobs.dead_letters import DeadLetters
from waybill.jobs.job import LEGAL_MOVES, ExportStatus, Lease, Progress
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.reach import EVERYTHING
from waybill.jobs.repository import ExportRepository
from waybill.manifest import ManifestSnapshot
from waybill.storage.base import PartReceipt

from ..leased import result_of

T = TypeVar("T")

LOST = AttemptFailure("worker_lost", Cause.WORKER_LOST, "Silence.")
FAILURE = AttemptFailure("storage_unavailable", Cause.TRANSIENT, "Away.")
AT_ONCE = RetryPolicy(3, (0.0,))
CHECKPOINT = Checkpoint("exports/key", "upload", "fingerprint")
PART = CheckpointPart(
    PartReceipt(1, 10, "0" * 64, "etag"),
    ManifestSnapshot(id="1:1:", taken_at=datetime(2026, 1, 1, tzinfo=UTC)),
    ResumePoint(5, ("5",)),
)


class UnavailableQueue:
    """A broker that is down throughout: a job's life must not need one."""

    async def publish(self, _export_id: UUID) -> None:
        raise QueueUnavailable


class Workbench:
    """The repositories on a loop of their own, and a second connection to look and to age."""

    def __init__(self, settings: Settings) -> None:
        self.runner = asyncio.Runner()
        self.engine: AsyncEngine = create_engine(settings)
        self.repository = ExportRepository(self.engine)
        self.leases = LeaseRepository(self.engine)
        self.dsn = settings.database_dsn
        self.dead_letters = DeadLetters(
            self.repository,
            UnavailableQueue(),  # type: ignore[arg-type]
            max_attempts=3,
        )
        self.look = psycopg.connect(settings.database_url.get_secret_value(), autocommit=True)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def main() -> T:
            return await work()

        return self.runner.run(main())

    def close(self) -> None:
        self.runner.run(self.engine.dispose())
        self.runner.close()
        self.look.close()


class JobLife(RuleBasedStateMachine):
    bench: ClassVar[Workbench]
    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.statuses: dict[UUID, ExportStatus] = {}

    # -- people ---------------------------------------------------------------------------------

    # Few jobs, so that their leases meet.
    @precondition(lambda self: len(self.statuses) < 2)
    @rule(target=jobs)
    def request(self) -> UUID:
        job = self.bench.run(
            lambda: self.bench.repository.add(
                export_type="users",
                format="csv",
                options={},
                requested_by="ann",
                tenant=None,
                max_attempts=3,
            )
        )
        self.statuses[job.id] = job.status
        return job.id

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        self.bench.run(lambda: self.bench.repository.cancel(job))

    @rule(job=jobs)
    def delete(self, job: UUID) -> None:
        self.bench.run(lambda: self.bench.repository.mark_deleted(job))

    @rule(job=jobs)
    def replay(self, job: UUID) -> None:
        was_failed = self.statuses[job] is ExportStatus.FAILED
        try:
            self.bench.run(lambda: self.bench.dead_letters.replay(job, within=EVERYTHING))
        except NotADeadLetter:
            assert not was_failed
        else:
            assert was_failed

    # -- workers --------------------------------------------------------------------------------

    @rule(target=leases, job=jobs)
    def claim(self, job: UUID) -> Any:
        # The job is what a message names; the one whose turn it is may be another.
        may = ExportStatus.QUEUED in self.statuses.values()
        taken = self.bench.run(
            lambda: self.bench.leases.claim(job, lease_seconds=60, worker="w/1/f")
        )
        assert (taken is not None) == may
        return multiple() if taken is None else taken[1]

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        self._write(lease, lambda: self.bench.leases.renew(lease, Progress(1, 1), lease_seconds=60))

    @rule(lease=leases)
    def checkpoint(self, lease: Lease) -> None:
        # Synchronous, as the pipeline writes it; fenced like everything else.
        holds = bool(self._rows("SELECT 1 FROM export_jobs WHERE lease_token = %s", lease.token))
        with CheckpointLog(self.bench.dsn, lease) as log:
            try:
                assert log.record(CHECKPOINT, [PART])
            except LeaseLost:
                assert not holds
            else:
                assert holds

    @rule(lease=leases)
    def complete(self, lease: Lease) -> None:
        self._write(lease, lambda: self.bench.leases.complete(lease, result_of(lease)))

    @rule(lease=leases)
    def retry(self, lease: Lease) -> None:
        # As the runner does: there is no retry of the last attempt.
        self._write(
            lease,
            lambda: self._retry_or_fail(lease),
        )

    async def _retry_or_fail(self, lease: Lease) -> bool:
        job = await self.bench.repository.find(lease.export_id)
        assert job is not None
        if lease.attempt >= job.max_attempts:
            return await self.bench.leases.fail(lease, FAILURE, progress=Progress())
        return await self.bench.leases.retry(lease, FAILURE, delay_seconds=0, progress=Progress())

    @rule(lease=leases)
    def fail(self, lease: Lease) -> None:
        self._write(lease, lambda: self.bench.leases.fail(lease, FAILURE, progress=Progress()))

    @rule(lease=leases)
    def give_back(self, lease: Lease) -> None:
        self._write(lease, lambda: self.bench.leases.give_back(lease, progress=Progress()))

    def _write(self, lease: Lease, write: Callable[[], Awaitable[bool]]) -> None:
        """A write takes effect exactly when its token is the one in the row."""
        holds = bool(self._rows("SELECT 1 FROM export_jobs WHERE lease_token = %s", lease.token))
        assert self.bench.run(write) == holds

    # -- the scheduler, and time ------------------------------------------------------------------

    @rule(lease=leases)
    def worker_falls_silent(self, lease: Lease) -> None:
        self.bench.look.execute(
            "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s' "
            "WHERE lease_token = %s",
            (lease.token,),
        )

    @rule(job=jobs, target=leases)
    def worker_is_lost_and_another_takes_over(self, job: UUID) -> Any:
        self.bench.look.execute(
            "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s' "
            "WHERE id = %s AND status = 'running'",
            (job,),
        )
        self.sweep()
        self.every_change_was_a_legal_move()
        return self.claim(job)

    @rule()
    def sweep(self) -> None:
        self.bench.run(lambda: self.bench.leases.release_expired(LOST, AT_ONCE))

    @rule(days=st.sampled_from([1, 8]))
    def expire(self, days: int) -> None:
        now = datetime.now(UTC) + timedelta(days=days)
        self.bench.run(lambda: self.bench.repository.expire(now=now, limit=100))

    @rule(job=jobs)
    def clear_object(self, job: UUID) -> None:
        self.bench.run(lambda: self.bench.repository.clear_object(job))

    # -- what must hold after every step ----------------------------------------------------------

    @invariant()
    def every_change_was_a_legal_move(self) -> None:
        rows = self.bench.look.execute("SELECT id, status FROM export_jobs").fetchall()
        for job, text in rows:
            before, after = self.statuses.get(job), ExportStatus(text)
            if before is not None and before is not after:
                assert after in LEGAL_MOVES[before]
            if job in self.statuses:
                self.statuses[job] = after

    @invariant()
    def a_job_has_one_live_lease_when_it_runs_and_none_otherwise(self) -> None:
        assert not self._rows(
            "SELECT j.id FROM export_jobs j LEFT JOIN export_attempts a "
            "ON a.export_id = j.id AND a.ended_at IS NULL GROUP BY j.id "
            "HAVING count(a.*) <> (CASE WHEN j.status = 'running' THEN 1 ELSE 0 END) "
            "OR bool_or(a.lease_token <> j.lease_token)"
        )

    @invariant()
    def only_a_job_that_is_not_over_has_a_checkpoint(self) -> None:
        assert not self._rows(
            "SELECT id FROM export_jobs JOIN export_checkpoints ON export_id = id "
            "WHERE status NOT IN ('queued', 'running')"
        )

    @invariant()
    def attempts_stay_within_their_bound_and_are_all_in_the_history(self) -> None:
        assert not self._rows(
            "SELECT j.id FROM export_jobs j LEFT JOIN export_attempts a ON a.export_id = j.id "
            "GROUP BY j.id HAVING j.attempt > j.max_attempts OR j.attempt <> count(a.*) "
            "FILTER (WHERE a.outcome IS DISTINCT FROM 'given_back')"
        )

    @invariant()
    def every_unfinished_job_is_due_or_held(self) -> None:
        assert not self._rows(
            "SELECT id FROM export_jobs WHERE (status = 'queued' AND next_attempt_at IS NULL) "
            "OR (status = 'running' AND lease_expires_at IS NULL)"
        )

    @invariant()
    def a_result_belongs_to_the_one_attempt_that_completed(self) -> None:
        assert not self._rows(
            "SELECT j.id FROM export_jobs j LEFT JOIN export_attempts a "
            "ON a.export_id = j.id AND a.outcome = 'completed' GROUP BY j.id "
            "HAVING count(a.*) > 1 OR (j.status = 'completed' AND (count(a.*) <> 1 "
            "OR j.object_key NOT LIKE '%-' || min(a.lease_token::text)))"
        )

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self.bench.look.execute(query.encode(), values or None).fetchall()

    def teardown(self) -> None:
        self.bench.look.execute("TRUNCATE export_jobs CASCADE")


@pytest.fixture
def bench(settings: Settings) -> Iterator[Workbench]:
    bench = Workbench(settings)
    yield bench
    bench.close()


def test_any_order_of_calls_keeps_the_life_of_a_job_legal(bench: Workbench) -> None:
    class OnThisDatabase(JobLife):
        pass

    OnThisDatabase.bench = bench
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,  # a database answers when it answers
            suppress_health_check=list(HealthCheck),
        ),
    )
