"""An end that has to wait for somebody who is at the same job ends what they wrote, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from waybill.config import Settings
from waybill.jobs.attempts import AttemptFailure, AttemptOutcome, Cause
from waybill.jobs.job import ExportJob, Progress
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository

from ..leased import claimed, result_of

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[object, ...]]]

_CLAIM = """
    WITH claimed AS (
        UPDATE waybill.export_jobs SET status = 'running', attempt = 1, lease_token = %(token)s,
               lease_expires_at = now() + interval '1 min', started_at = now()
        WHERE id = %(job)s RETURNING id)
    INSERT INTO waybill.export_attempts (export_id, attempt, lease_token, worker)
    SELECT id, 1, %(token)s, 'host/7/f' FROM claimed"""
_CHECKPOINT = """
    WITH held AS (SELECT id FROM waybill.export_jobs WHERE id = %(job)s FOR UPDATE)
    INSERT INTO waybill.export_checkpoints (export_id, object_key, upload_id, fingerprint)
    SELECT id, 'a key', 'an upload', 'a print' FROM held"""


async def _behind(
    settings: Settings,
    execute: Execute,
    statement: str,
    values: dict[str, Any],
    end: Callable[[], Awaitable[object]],
) -> object:
    """Run ``end`` while ``statement`` is not committed, and commit once ``end`` waits for it."""
    dsn = settings.database_dsn
    async with await psycopg.AsyncConnection.connect(dsn) as before:
        await before.execute(statement.encode(), values)
        ending = asyncio.ensure_future(end())
        async with asyncio.timeout(30):
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await before.commit()
        return await ending


async def test_a_job_that_is_cancelled_while_it_is_claimed_has_no_open_attempt(
    settings: Settings, add: Add, repository: ExportRepository, execute: Execute
) -> None:
    job = await add()
    values = {"job": job.id, "token": uuid4()}
    assert await _behind(settings, execute, _CLAIM, values, lambda: repository.cancel(job.id))
    (attempt,) = await repository.attempts_of(job.id)
    assert attempt.outcome is AttemptOutcome.CANCELLED


@pytest.mark.parametrize("end", ["cancel", "fail"])
async def test_a_job_that_ends_while_a_checkpoint_is_written_has_none(
    end: str,
    settings: Settings,
    add: Add,
    repository: ExportRepository,
    leases: LeaseRepository,
    execute: Execute,
) -> None:
    job = await add()
    lease = await claimed(leases, job)
    lost = AttemptFailure("worker_lost", Cause.WORKER_LOST, "Silence.")

    async def ended() -> object:
        if end == "cancel":
            return await repository.cancel(job.id)
        return await leases.fail(lease, lost, progress=Progress())

    assert await _behind(settings, execute, _CHECKPOINT, {"job": job.id}, ended)
    assert execute("SELECT count(*) FROM export_checkpoints") == [(0,)]


async def test_a_completed_job_has_a_closed_attempt_and_no_checkpoint(
    add: Add, repository: ExportRepository, leases: LeaseRepository, execute: Execute
) -> None:
    other = await add()
    held = await claimed(leases, other)
    job = await add()
    lease = await claimed(leases, job)
    for each in (job, other):
        execute(
            "INSERT INTO export_checkpoints (export_id, object_key, upload_id, fingerprint) "
            "VALUES (%s, 'a key', 'an upload', 'a print')",
            each.id,
        )
    result = result_of(lease)
    assert await leases.complete(lease, result)
    (attempt,) = await repository.attempts_of(job.id)
    assert attempt.outcome is AttemptOutcome.COMPLETED
    assert (attempt.rows_done, attempt.bytes_done) == (result.rows, result.object_bytes)
    # Nobody else's.
    (open_still,) = await repository.attempts_of(other.id)
    assert open_still.outcome is None
    assert execute("SELECT export_id FROM export_checkpoints") == [(other.id,)]
    assert not await leases.complete(lease, result)
    assert await leases.renew(held, Progress(), lease_seconds=60)
