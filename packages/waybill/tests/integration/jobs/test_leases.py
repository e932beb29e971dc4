"""The lease protocol on a real PostgreSQL: who may change what, and what remains of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from waybill.errors import ValueNotRepresentable
from waybill.jobs.attempts import AttemptFailure, AttemptOutcome, Cause, RetryPolicy
from waybill.jobs.explanations import explain
from waybill.jobs.job import ExportJob, ExportStatus, Lease, Progress
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository

from ..leased import LEASE_SECONDS, claimed, result_of

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[object, ...]]]

FAILURE = AttemptFailure("source_unavailable", Cause.TRANSIENT, "No connection to db.internal.")
LOST = AttemptFailure("worker_lost", Cause.WORKER_LOST, "Silence.")
POLICY = RetryPolicy(3, (1.0, 2.0, 4.0))
HALF = Progress(rows=500, bytes=9_000, rows_expected=1_000, is_exact=True)


def expire_leases(execute: Execute) -> None:
    """Let the time of every lease pass."""
    execute(
        "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s' "
        "WHERE lease_token IS NOT NULL"
    )


# -- claim --------------------------------------------------------------------------------------


async def test_claim_of_a_due_job_raises_its_attempt_and_opens_its_history(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    taken = await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="host/7/f")
    assert taken is not None
    running, lease = taken
    assert (running.status, running.attempt) == (ExportStatus.RUNNING, 1)
    (attempt,) = await repository.attempts_of(job.id)
    assert (attempt.attempt, attempt.worker, attempt.outcome) == (1, "host/7/f", None)
    assert await leases.find_claim(lease.token) is not None


async def test_twenty_claimers_of_one_job_yield_one_lease(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    taken = await asyncio.gather(
        *(leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker=f"w{n}") for n in range(20))
    )
    assert sum(claim is not None for claim in taken) == 1
    assert len(await repository.attempts_of(job.id)) == 1


async def test_claim_of_a_running_job_takes_nothing(add: Add, leases: LeaseRepository) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="other") is None
    assert await leases.renew(lease, HALF, lease_seconds=LEASE_SECONDS)


async def test_claim_before_the_retry_is_due_takes_nothing(
    add: Add, leases: LeaseRepository
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert await leases.retry(lease, FAILURE, delay_seconds=60, progress=HALF)
    assert await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="other") is None


async def test_database_itself_refuses_to_queue_a_job_that_can_never_run(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add(max_attempts=1)
    lease = await claimed(leases, job)
    with pytest.raises(IntegrityError):
        await leases.retry(lease, FAILURE, delay_seconds=1, progress=HALF)
    # Nothing was written, so the attempt can still be ended as it should.
    assert await leases.fail(lease, FAILURE, progress=HALF)
    (attempt,) = await repository.attempts_of(job.id)
    assert attempt.outcome is AttemptOutcome.FAILED


async def test_claim_against_cancel_has_one_winner(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    for _ in range(10):
        job = await add()
        claim, cancelled = await asyncio.gather(
            leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="w"),
            repository.cancel(job.id),
        )
        # A running job can be cancelled too, so cancelling wins in either order.
        assert cancelled is not None
        assert cancelled.status is ExportStatus.CANCELLED
        if claim is not None:
            assert not await leases.renew(claim[1], HALF, lease_seconds=LEASE_SECONDS)
            (attempt,) = await repository.attempts_of(job.id)
            assert attempt.outcome is AttemptOutcome.CANCELLED


async def test_lost_answer_to_a_claim_is_found_by_its_token(
    add: Add, leases: LeaseRepository
) -> None:
    job = await add()
    token = uuid4()
    await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="w", token=token)
    again = await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="w", token=token)
    assert again is None
    found = await leases.find_claim(token)
    assert found is not None
    assert found[1] == Lease(job.id, 1, token)
    assert await leases.find_claim(uuid4()) is None


async def test_holders_of_running_jobs_are_known(add: Add, leases: LeaseRepository) -> None:
    job = await add()
    assert await leases.holders() == []
    taken = await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="host/7/f")
    assert taken is not None
    ((holder, held, lease),) = await leases.holders()
    assert (holder, held.id, lease) == ("host/7/f", job.id, taken[1])


# -- the ends of an attempt -----------------------------------------------------------------------


async def test_completed_job_refers_to_its_object_and_tells_its_figures(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    result = result_of(lease)
    assert await leases.complete(lease, result)
    done = await repository.find(job.id)
    assert done is not None
    assert (done.status, done.object_key) == (ExportStatus.COMPLETED, result.object_key)
    assert (done.rows_done, done.rows_expected, done.percent()) == (3, 3, 100.0)
    (attempt,) = await repository.attempts_of(job.id)
    assert (attempt.outcome, attempt.rows_done) == (AttemptOutcome.COMPLETED, 3)
    assert attempt.ended_at is not None


async def test_retry_keeps_the_cause_for_operators_and_a_safe_sentence_for_people(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert await leases.retry(lease, FAILURE, delay_seconds=2, progress=HALF)
    waiting = await repository.find(job.id)
    assert waiting is not None
    assert waiting.status is ExportStatus.QUEUED
    assert waiting.error_message == explain("source_unavailable")
    assert "db.internal" not in (waiting.error_message or "")
    assert waiting.error_cause == "transient"
    (attempt,) = await repository.attempts_of(job.id)
    assert (attempt.outcome, attempt.cause) == (AttemptOutcome.RETRIED, Cause.TRANSIENT)
    assert attempt.message == "No connection to db.internal."
    assert (attempt.rows_done, attempt.bytes_done) == (500, 9_000)


async def test_requester_reads_what_their_own_column_holds(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    refused = AttemptFailure.of(ValueNotRepresentable("born", "infinity", "Use text_columns"))

    assert await leases.fail(lease, refused, progress=HALF)

    failed = await repository.find(job.id)
    assert failed is not None
    assert failed.error_message == "Column 'born' holds infinity. Use text_columns."


async def test_given_back_job_has_not_spent_its_attempt(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert await leases.give_back(lease, progress=HALF)
    waiting = await repository.find(job.id)
    assert waiting is not None
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)
    assert list(await repository.unannounced(limit=10)) == [job.id]
    again = await claimed(leases, job)
    assert again.attempt == 1
    outcomes = [attempt.outcome for attempt in await repository.attempts_of(job.id)]
    assert outcomes == [AttemptOutcome.GIVEN_BACK, None]


async def test_job_that_may_not_begin_now_is_as_if_nobody_had_claimed_it(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    job = await add()
    assert await leases.postpone(await claimed(leases, job), "outside_hours", delay_seconds=0)
    waiting = await repository.find(job.id)
    assert waiting is not None
    assert (waiting.status, waiting.attempt) == (ExportStatus.QUEUED, 0)
    assert (waiting.started_at, waiting.error_code) == (None, "outside_hours")

    # One that had begun before goes on having begun: its quota is spent.
    lease = await claimed(leases, job)
    assert await leases.retry(lease, FAILURE, delay_seconds=0, progress=HALF)
    assert await leases.postpone(await claimed(leases, job), "outside_hours", delay_seconds=3_600)
    waiting = await repository.find(job.id)
    assert waiting is not None
    assert waiting.attempt == 1
    assert waiting.started_at is not None
    assert await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="w") is None


async def test_streamed_job_is_over_with_its_figures_and_no_file(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    told: list[object] = []

    async def note(_connection: object, job: ExportJob) -> None:
        told.append(job)

    job, other = await add(), await add()
    lease, running = await claimed(leases, job), await claimed(leases, other)
    listening = LeaseRepository(repository.engine, listeners=[note])
    assert await listening.deliver(lease, rows=7, bytes=90, sha256="a" * 64)
    done = await repository.find(job.id)
    assert done is not None
    assert (done.status, done.object_key) == (ExportStatus.DELETED, None)
    assert (done.rows_done, done.rows_expected, done.rows_expected_exact) == (7, 7, True)
    assert (done.bytes_done, done.object_bytes, done.sha256) == (90, 90, "a" * 64)
    (attempt,) = await repository.attempts_of(job.id)
    assert (attempt.outcome, attempt.rows_done) == (AttemptOutcome.COMPLETED, 7)
    assert not await listening.deliver(lease, rows=8, bytes=91, sha256="b" * 64)
    assert await repository.find(job.id) == done
    # Its owner has it already: nobody need be told.
    assert told == []
    assert await leases.renew(running, HALF, lease_seconds=LEASE_SECONDS)


async def test_history_under_a_lease_says_what_became_of_it(
    add: Add, leases: LeaseRepository
) -> None:
    first, second = await claimed(leases, await add()), await claimed(leases, await add())
    assert await leases.fail(second, FAILURE, progress=HALF)
    running, ended = await leases.find_attempt(first), await leases.find_attempt(second)
    assert running is not None
    assert ended is not None
    assert (running.export_id, running.outcome) == (first.export_id, None)
    assert (ended.export_id, ended.outcome) == (second.export_id, AttemptOutcome.FAILED)
    assert await leases.find_attempt(replace(first, token=uuid4())) is None


async def test_columns_that_a_manifest_names_are_kept_and_unknown_ones_are_not_none(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    for manifest, columns in (({"columns": [{"name": "id"}]}, ["id"]), ({}, None)):
        lease = await claimed(leases, await add())
        assert await leases.complete(lease, result_of(lease, manifest=manifest))
        done = await repository.find(lease.export_id)
        assert done is not None
        assert (done.file_columns, done.rows_expected_exact) == (columns, True)


async def test_trace_goes_on_from_the_attempt_before(add: Add, leases: LeaseRepository) -> None:
    job = await add()
    before = None
    for _ in range(3):
        lease = await claimed(leases, job)
        assert await leases.find_trace(lease) == (None, before)
        assert await leases.give_back(lease, progress=HALF)
        before = lease.token


@pytest.mark.parametrize("end", ["complete", "retry", "fail", "give_back"])
@pytest.mark.parametrize("write", ["renew", "complete", "retry", "fail", "give_back"])
async def test_write_after_the_end_of_the_attempt_hits_nothing(
    add: Add, leases: LeaseRepository, repository: ExportRepository, end: str, write: str
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert await _write(leases, lease, end)
    before = await repository.find(job.id)
    assert not await _write(leases, lease, write)
    assert await repository.find(job.id) == before
    assert len(await repository.attempts_of(job.id)) == 1


@pytest.mark.parametrize("write", ["renew", "complete", "retry", "fail", "give_back"])
async def test_zombie_of_a_released_lease_hits_nothing_of_its_successor(
    add: Add, leases: LeaseRepository, repository: ExportRepository, execute: Execute, write: str
) -> None:
    job = await add()
    zombie = await claimed(leases, job)
    expire_leases(execute)
    await leases.release_expired(LOST, RetryPolicy(3, (0.0,)))
    successor = await claimed(leases, job)
    before = await repository.find(job.id)
    assert not await _write(leases, zombie, write)
    assert await repository.find(job.id) == before
    assert await leases.complete(successor, result_of(successor))


@pytest.mark.parametrize("write", ["renew", "complete", "retry", "fail", "give_back"])
async def test_guessed_token_hits_nothing(add: Add, leases: LeaseRepository, write: str) -> None:
    job = await add()
    lease = await claimed(leases, job)
    assert not await _write(leases, replace(lease, token=uuid4()), write)
    assert await leases.renew(lease, HALF, lease_seconds=LEASE_SECONDS)


async def _write(leases: LeaseRepository, lease: Lease, name: str) -> bool:
    if name == "renew":
        return await leases.renew(lease, HALF, lease_seconds=LEASE_SECONDS)
    if name == "complete":
        return await leases.complete(lease, result_of(lease))
    if name == "retry":
        return await leases.retry(lease, FAILURE, delay_seconds=1, progress=HALF)
    if name == "fail":
        return await leases.fail(lease, FAILURE, progress=HALF)
    return await leases.give_back(lease, progress=HALF)


async def test_complete_against_cancel_has_one_winner(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    winners = set()
    for _ in range(10):
        job = await add()
        lease = await claimed(leases, job)
        completed, cancelled = await asyncio.gather(
            leases.complete(lease, result_of(lease)), repository.cancel(job.id)
        )
        assert completed != (cancelled is not None)
        after = await repository.find(job.id)
        assert after is not None
        expected = ExportStatus.COMPLETED if completed else ExportStatus.CANCELLED
        assert after.status is expected
        (attempt,) = await repository.attempts_of(job.id)
        assert attempt.outcome is not None
        assert attempt.outcome.value == expected.value
        winners.add(expected)
    assert winners  # either may win; both at once, or neither, never


async def test_end_of_a_job_and_what_listeners_write_are_committed_together_or_not_at_all(
    add: Add, leases: LeaseRepository, repository: ExportRepository
) -> None:
    seen: list[ExportStatus] = []

    async def note(_connection: object, job: ExportJob) -> None:
        seen.append(job.status)

    async def refuse(_connection: object, _job: ExportJob) -> None:
        raise RuntimeError

    job = await add()
    lease = await claimed(leases, job)
    refusing = LeaseRepository(repository.engine, listeners=[refuse])
    with pytest.raises(RuntimeError):
        await refusing.complete(lease, result_of(lease))
    unchanged = await repository.find(job.id)
    assert unchanged is not None
    assert unchanged.status is ExportStatus.RUNNING
    listening = LeaseRepository(repository.engine, listeners=[note])
    assert await listening.complete(lease, result_of(lease))
    assert seen == [ExportStatus.COMPLETED]


# -- leases that ran out --------------------------------------------------------------------------


async def test_live_lease_is_not_released(add: Add, leases: LeaseRepository) -> None:
    lease = await claimed(leases, await add())
    assert list(await leases.release_expired(LOST, POLICY)) == []
    assert await leases.renew(lease, HALF, lease_seconds=LEASE_SECONDS)


async def test_third_lost_worker_makes_a_dead_letter_and_no_fourth_run(
    add: Add, leases: LeaseRepository, repository: ExportRepository, execute: Execute
) -> None:
    job = await add()
    waits = []
    for _ in range(3):
        execute("UPDATE export_jobs SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
        await claimed(leases, job)
        expire_leases(execute)
        (released,) = await leases.release_expired(LOST, POLICY)
        if released.next_attempt_at is not None:
            waits.append(round((released.next_attempt_at - released.updated_at).total_seconds()))
    assert waits == [1, 2]
    assert (released.status, released.error_code) == (ExportStatus.FAILED, "worker_lost")
    execute("UPDATE export_jobs SET next_attempt_at = now()")  # a defect elsewhere, say
    assert await leases.claim(job.id, lease_seconds=LEASE_SECONDS, worker="w") is None
    history = await repository.attempts_of(job.id)
    assert [attempt.attempt for attempt in history] == [1, 2, 3]
    assert [attempt.outcome for attempt in history] == [
        AttemptOutcome.RETRIED,
        AttemptOutcome.RETRIED,
        AttemptOutcome.FAILED,
    ]
    assert {attempt.cause for attempt in history} == {Cause.WORKER_LOST}


async def test_two_sweepers_release_each_job_once(
    add: Add, leases: LeaseRepository, execute: Execute
) -> None:
    jobs = [await add() for _ in range(20)]
    for job in jobs:
        await claimed(leases, job)
    expire_leases(execute)
    released = await asyncio.gather(
        *(leases.release_expired(LOST, POLICY, limit=10) for _ in range(4))
    )
    ids = [job.id for batch in released for job in batch]
    assert len(ids) == len(set(ids))
    rest = await leases.release_expired(LOST, POLICY)
    assert sorted([*ids, *(job.id for job in rest)]) == sorted(job.id for job in jobs)


async def test_lease_renewed_during_the_sweep_is_kept_or_lost_but_never_both(
    add: Add, leases: LeaseRepository, execute: Execute
) -> None:
    for _ in range(10):
        lease = await claimed(leases, await add())
        expire_leases(execute)
        renewed, released = await asyncio.gather(
            leases.renew(lease, HALF, lease_seconds=LEASE_SECONDS),
            leases.release_expired(LOST, POLICY),
        )
        assert renewed == (lease.export_id not in {job.id for job in released})


async def test_database_itself_refuses_a_second_live_lease(
    add: Add, leases: LeaseRepository, execute: Execute
) -> None:
    import psycopg

    lease = await claimed(leases, await add())
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(
            "INSERT INTO export_attempts (lease_token, export_id, attempt, worker) "
            "VALUES (gen_random_uuid(), %s, 2, 'w')",
            lease.export_id,
        )
