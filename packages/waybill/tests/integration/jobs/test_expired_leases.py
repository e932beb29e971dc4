"""Leases of workers that fell silent, on a real PostgreSQL: found, spared, ended and told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg

from waybill.jobs.attempts import AttemptFailure, Cause, RetryPolicy
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository

from ..leased import claimed

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[object, ...]]]

LOST = AttemptFailure("worker_lost", Cause.WORKER_LOST, "Silence.")
POLICY = RetryPolicy(3, (1.0, 2.0, 4.0))
EXPIRE = (
    "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s' WHERE lease_token IS NOT NULL"
)


async def test_leases_that_ran_out_are_found_longest_over_first(
    add: Add, leases: LeaseRepository, execute: Execute
) -> None:
    assert await leases.find_expired() == []
    live, late, later = [await claimed(leases, await add()) for _ in range(3)]
    for lease, seconds in ((late, 60), (later, 3_600)):
        execute(
            "UPDATE export_jobs SET lease_expires_at = now() - make_interval(secs => %s)"
            " WHERE id = %s",
            seconds,
            lease.export_id,
        )
    execute(
        "INSERT INTO export_checkpoints (export_id, object_key, upload_id, fingerprint)"
        " VALUES (%s, 'key', 'upload', 'f'), (%s, 'another', 'upload', 'f')",
        late.export_id,
        live.export_id,
    )
    found = await leases.find_expired()
    assert [(each.job.id, each.lease) for each in found] == [
        (later.export_id, later),
        (late.export_id, late),
    ]
    assert [each.checkpoint_key for each in found] == [None, "key"]
    assert timedelta(minutes=1) <= found[1].over_for < timedelta(hours=1) <= found[0].over_for
    assert [each.lease for each in await leases.find_expired(limit=1)] == [later]

    # Whose file is being adopted is spared.
    released = await leases.release_expired(LOST, POLICY, sparing=[later.token])
    assert [job.id for job in released] == [late.export_id]
    assert [each.lease for each in await leases.find_expired()] == [later]


async def test_job_that_somebody_is_ending_is_passed_over_and_not_waited_for(
    add: Add, leases: LeaseRepository, execute: Execute, database: str
) -> None:
    held, free = await claimed(leases, await add()), await claimed(leases, await add())
    execute(EXPIRE)
    with psycopg.connect(database) as another_sweeper:
        another_sweeper.execute(
            "SELECT 1 FROM export_jobs WHERE id = %s FOR UPDATE", [held.export_id]
        )
        async with asyncio.timeout(60):  # it would wait for ever
            released = await leases.release_expired(LOST, POLICY)
    assert [job.id for job in released] == [free.export_id]


async def test_listeners_hear_of_a_lost_job_when_it_is_over_and_not_before(
    add: Add, leases: LeaseRepository, repository: ExportRepository, execute: Execute
) -> None:
    told: list[tuple[object, ExportStatus]] = []

    async def note(_connection: object, job: ExportJob) -> None:
        told.append((job.id, job.status))

    listening = LeaseRepository(repository.engine, listeners=[note])
    again, spent = await add(), await add(max_attempts=1)
    for job in (again, spent):
        await claimed(leases, job)
    execute(EXPIRE)
    assert len(await listening.release_expired(LOST, POLICY)) == 2
    assert told == [(spent.id, ExportStatus.FAILED)]
