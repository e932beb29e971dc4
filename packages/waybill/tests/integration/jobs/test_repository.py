"""Requests, the queue and the end of files on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import event

from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.job import ExportJob, ExportStatus, Progress
from waybill.jobs.job_filter import JobFilter
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.reach import Reach
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JOB_COLUMNS

from ..leased import claimed, result_of

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[object, ...]]]

ANN = Reach((("requested_by", "ann"), ("tenant", None)))
FAILURE = AttemptFailure("source_rejected", Cause.PERMANENT, "No such table.")


async def completed(
    add: Add, leases: LeaseRepository, *, expires_in: timedelta = timedelta(days=7)
) -> ExportJob:
    job = await add()
    lease = await claimed(leases, job)
    result = result_of(lease, expires_at=datetime.now(UTC) + expires_in)
    assert await leases.complete(lease, result)
    return job


async def test_job_is_found_as_it_was_added(add: Add, repository: ExportRepository) -> None:
    job = await add(options={"columns": ["id"]}, tenant="acme")
    assert await repository.find(job.id) == job
    assert (job.status, job.attempt, job.tenant) == (ExportStatus.QUEUED, 0, "acme")
    assert await repository.find(uuid4()) is None


async def test_list_pages_newest_first_and_shows_nobody_elses(
    add: Add, repository: ExportRepository
) -> None:
    mine = [await add() for _ in range(3)]
    await add(requested_by="bob")
    first = await repository.list_within(ANN, limit=2)
    rest = await repository.list_within(
        ANN, limit=2, wanted=JobFilter(before=(first[-1].created_at, first[-1].id))
    )
    assert [job.id for job in (*first, *rest)] == [job.id for job in reversed(mine)]


async def test_cancel_is_done_once_and_never_to_what_is_over(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    job = await add()
    results = await asyncio.gather(*(repository.cancel(job.id) for _ in range(5)))
    assert sum(result is not None for result in results) == 1
    done = await completed(add, leases)
    assert await repository.cancel(done.id) is None
    assert await repository.cancel(uuid4()) is None


async def test_job_never_announced_is_found_until_it_is(
    add: Add, repository: ExportRepository
) -> None:
    job = await add()
    assert list(await repository.unannounced(limit=10)) == [job.id]
    await repository.mark_published([job.id])
    assert list(await repository.unannounced(limit=10)) == []


async def test_late_note_of_a_message_is_of_jobs_that_nobody_has_touched(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    waiting, given_back = await add(), await add()
    lease = await claimed(leases, given_back)
    await leases.give_back(lease, progress=Progress())
    await repository.mark_announced([waiting.id, given_back.id])
    # Its message was answered, by whoever gave it back.
    assert list(await repository.unannounced(limit=10)) == [given_back.id]


async def test_message_that_nobody_answered_is_found_when_it_is_old(
    add: Add, repository: ExportRepository, execute: Execute
) -> None:
    job = await add()
    await repository.mark_published([job.id])
    assert list(await repository.unanswered(older_than_seconds=15, limit=10)) == []
    execute("UPDATE export_jobs SET published_at = now() - interval '16 s'")
    assert list(await repository.unanswered(older_than_seconds=15, limit=10)) == [job.id]


async def test_retry_is_announced_only_when_it_is_due(
    add: Add, repository: ExportRepository, leases: LeaseRepository, execute: Execute
) -> None:
    job = await add()
    await repository.mark_published([job.id])
    lease = await claimed(leases, job)
    await leases.retry(
        lease,
        AttemptFailure("source_unavailable", Cause.TRANSIENT, ""),
        delay_seconds=30,
        progress=Progress(),
    )
    assert list(await repository.unannounced(limit=10)) == []
    execute("UPDATE export_jobs SET next_attempt_at = now() - interval '1 s'")
    assert list(await repository.unannounced(limit=10)) == [job.id]


async def test_only_files_past_their_time_expire_and_each_once(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    old = [await completed(add, leases) for _ in range(6)]
    young = await completed(add, leases, expires_in=timedelta(days=9))
    now = datetime.now(UTC) + timedelta(days=8)
    batches = await asyncio.gather(*(repository.expire(now=now, limit=3) for _ in range(4)))
    expired = [job.id for batch in batches for job in batch]
    expired += [job.id for job in await repository.expire(now=now, limit=10)]
    assert sorted(expired) == sorted(job.id for job in old)
    kept = await repository.find(young.id)
    assert kept is not None
    assert kept.status is ExportStatus.COMPLETED


async def test_expired_object_waits_for_downloads_and_deleted_one_does_not(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    expired = await completed(add, leases)
    deleted = await completed(add, leases)
    assert await repository.mark_deleted(deleted.id) is not None
    now = datetime.now(UTC) + timedelta(days=7, minutes=1)
    await repository.expire(now=now, limit=10)

    async def to_delete(at: datetime) -> set[object]:
        found = await repository.leftovers(expired_before=at - timedelta(hours=1), limit=10)
        return {job.id for job in found}

    assert await to_delete(now) == {deleted.id}
    assert await to_delete(now + timedelta(hours=1)) == {deleted.id, expired.id}
    assert await repository.clear_object(expired.id)
    assert await to_delete(now + timedelta(hours=1)) == {deleted.id}


async def test_object_of_a_completed_job_cannot_be_forgotten(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    job = await completed(add, leases)
    assert not await repository.clear_object(job.id)


async def test_states_tell_live_leases_and_results_apart(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    done = await completed(add, leases)
    running = await add()
    lease = await claimed(leases, running)
    states = await repository.states_of({done.id, running.id, uuid4()})
    assert states.keys() == {done.id, running.id}
    assert states[running.id].lease_token == lease.token
    assert states[done.id].lease_token is None
    assert states[done.id].object_key is not None
    assert await repository.states_of(set()) == {}


async def test_purge_takes_what_is_long_over_and_nothing_that_has_an_object_or_may_run(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    failed = await add()
    await leases.fail(await claimed(leases, failed), FAILURE, progress=Progress())
    cancelled = await add()
    await repository.cancel(cancelled.id)
    queued = await add()
    done = await completed(add, leases)
    deleted_with_object = await completed(add, leases)
    await repository.mark_deleted(deleted_with_object.id)
    before = datetime.now(UTC) - timedelta(minutes=1)
    assert await repository.purge(ended_before=before, limit=100) == 0
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await repository.purge(ended_before=later, limit=100) == 2
    for gone in (failed, cancelled):
        assert await repository.find(gone.id) is None
        assert list(await repository.attempts_of(gone.id)) == []
    for kept in (queued, done, deleted_with_object):
        assert await repository.find(kept.id) is not None


async def test_manifest_is_read_by_itself_and_by_nothing_else(
    add: Add, repository: ExportRepository, leases: LeaseRepository
) -> None:
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    job = await completed(add, leases, expires_in=timedelta(days=-2))
    event.listen(repository.engine.sync_engine, "before_cursor_execute", note)
    try:
        await repository.list_within(ANN, limit=10)
        await repository.find(job.id)
        await repository.find_many([job.id])
        assert await repository.expire(now=datetime.now(UTC), limit=10)
        assert await repository.leftovers(expired_before=datetime.now(UTC), limit=10)
        assert len(said) >= 5
        assert not [statement for statement in said if "manifest" in statement]
        # One of 10,000 parts is a megabyte; a page of a hundred such jobs would be a hundred.
        assert "manifest" not in {column.name for column in JOB_COLUMNS}
        assert await repository.find_manifest(job.id)
        assert "manifest" in said[-1]
    finally:
        event.remove(repository.engine.sync_engine, "before_cursor_execute", note)
    assert await repository.find_manifest(uuid4()) is None
