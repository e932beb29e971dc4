"""How many exports read one source at a time, on a real PostgreSQL: over all its types, whoever
claims, and what those are told that wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, NamedSource, TableSource
from waybill.catalog.politeness import Together
from waybill.config import Settings
from waybill.jobs.attempts import AttemptFailure, Cause, RetryPolicy
from waybill.jobs.job import ExportJob, Lease, Progress
from waybill.local.faults.poolers import pgbouncer

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]
Claim = Callable[..., Awaitable[tuple[ExportJob, Lease] | None]]

USERS = TableSource("public", "users")
LOST = AttemptFailure("worker_lost", Cause.WORKER_LOST, "Gone.")


@pytest.fixture
def settings(settings: Settings, database: str) -> Settings:
    secret = type(settings.database_url)
    return settings.model_copy(update={"source_dsns": {"reporting": secret(database)}})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(
        [
            ExportType("users", USERS, key=("id",)),
            *(
                ExportType(name, USERS, key=("id",), source_name="reporting")
                for name in ("orders", "items")
            ),
        ],
        sources=[NamedSource("reporting", together=Together(max_running=3))],
    )


@pytest.fixture
async def workers(
    settings: Settings, catalog: Catalog, services: Services
) -> AsyncIterator[list[Claim]]:
    """Two workers, each with connections of its own."""
    async with AsyncExitStack() as stack:
        both = [services, await stack.enter_async_context(Services(settings, catalog=catalog))]

        def claims_of(worker: Services) -> Claim:
            async def claim(notified: UUID | None = None) -> tuple[ExportJob, Lease] | None:
                return await worker.leases.claim(
                    notified or uuid4(), lease_seconds=60, worker="w/1/f"
                )

            return claim

        yield [claims_of(each) for each in both]


async def test_limit_of_a_source_holds_over_its_types_and_all_workers(
    workers: list[Claim], add: Add, services: Services
) -> None:
    for n in range(8):
        for name in ("orders", "items", "users"):
            await add(export_type=name, tenant=f"t{n}", requested_by=f"p{n}")
    claims = await asyncio.gather(*(workers[n % 2]() for n in range(24)))
    running = [each for each in claims if each is not None]
    count = Counter(job.export_type for job, _ in running)
    # And whoever reads elsewhere waits for none of them.
    assert (count["orders"] + count["items"], count["users"]) == (3, 8)
    lease = next(lease for job, lease in running if job.export_type != "users")
    assert await services.leases.fail(lease, LOST, progress=Progress())
    again = await asyncio.gather(*(workers[n % 2]() for n in range(6)))
    assert sum(each is not None for each in again) == 1


async def test_job_that_waits_for_its_source_says_so_and_no_more_once_it_runs(
    workers: list[Claim], add: Add, services: Services, execute: Execute
) -> None:
    jobs = [await add(export_type="orders") for _ in range(4)]
    leases = [taken[1] for job in jobs[:3] if (taken := await workers[0](job.id))]
    later = await add(export_type="items")
    execute(
        "UPDATE export_jobs SET next_attempt_at = now() + interval '1 h' WHERE id = %s", later.id
    )
    for job in (jobs[3], later):
        assert await workers[1](job.id) is None
    waiting = await services.repository.find(jobs[3].id)
    assert waiting is not None
    assert (waiting.error_code, waiting.attempt) == ("source_full", 0)
    assert waiting.started_at is None
    assert waiting.error_message is not None
    assert "begins by itself" in waiting.error_message
    # One that is not due waits for something else.
    assert (await services.repository.find(later.id)).error_code is None  # type: ignore[union-attr]

    assert await services.turns.next_due() is None
    assert await services.leases.fail(leases[0], LOST, progress=Progress())
    assert await services.turns.next_due() == jobs[3].id
    taken = await workers[1](jobs[3].id)
    assert taken is not None
    assert (taken[0].id, taken[0].error_code) == (jobs[3].id, None)


async def test_reason_is_taken_off_as_many_as_have_a_place_and_wait_for_a_worker(
    workers: list[Claim], add: Add, services: Services, execute: Execute
) -> None:
    jobs = [await add(export_type="orders") for _ in range(6)]
    leases = [taken[1] for job in jobs[:3] if (taken := await workers[0](job.id))]
    for job in jobs[3:]:
        assert await workers[1](job.id) is None
    waiting = "SELECT count(*) FROM export_jobs WHERE error_code = 'source_full'"
    await services.sweeper.sweep()
    assert execute(waiting) == [(3,)]
    assert await services.leases.fail(leases[0], LOST, progress=Progress())
    await services.sweeper.sweep()
    assert execute(waiting) == [(2,)]
    assert (await services.repository.find(jobs[3].id)).error_message is None  # type: ignore[union-attr]
    # Nor do those that have no limit any more wait for one.
    execute("UPDATE export_jobs SET export_type = 'users' WHERE error_code = 'source_full'")
    await services.sweeper.sweep()
    assert execute(waiting) == [(0,)]


async def test_places_are_counted_through_a_pooler_that_lends_per_transaction(
    settings: Settings,
    catalog: Catalog,
    database: str,
    server_directory: Path,
    add: Add,
    execute: Execute,
) -> None:
    await add(export_type="orders")
    name = urlsplit(database).path.strip("/")
    # As it is where nobody said otherwise: our schema is one among others.
    execute(f'ALTER DATABASE "{name}" SET search_path = public')
    with pgbouncer(database, server_directory) as dsn:
        pooled = settings.model_copy(update={"database_url": type(settings.database_url)(dsn)})
        async with Services(pooled, catalog=catalog) as behind:
            assert await behind.leases.claim(uuid4(), lease_seconds=60, worker="w/1/f")
            assert await behind.source_use.readers_of(catalog["orders"]) == 1
            await behind.turns.correct_reasons()
            place = behind.source_use.place(catalog["orders"])
            assert place is not None
            async with behind.repository.engine.begin() as connection:
                await place(connection)


async def test_reason_is_not_written_past_who_changes_the_job(
    workers: list[Claim], add: Add, services: Services, settings: Settings
) -> None:
    jobs = [await add(export_type="orders") for _ in range(4)]
    for job in jobs[:3]:
        await workers[0](job.id)
    with psycopg.connect(settings.database_dsn) as locking:
        locking.execute(b"SELECT FROM export_jobs WHERE id = %s FOR UPDATE", (jobs[3].id,))
        async with asyncio.timeout(4):  # below the time-out of locks
            assert await workers[1](jobs[3].id) is None
    assert (await services.repository.find(jobs[3].id)).error_code is None  # type: ignore[union-attr]


async def test_place_of_a_dead_worker_comes_free_with_its_lease(
    workers: list[Claim], add: Add, services: Services, execute: Execute
) -> None:
    for _ in range(4):
        await add(export_type="orders")
    for _ in range(3):
        assert await workers[0]() is not None
    assert await workers[1]() is None
    execute(
        "UPDATE export_jobs SET lease_expires_at = now() - interval '1 s'"
        " WHERE id = (SELECT id FROM export_jobs WHERE status = 'running' LIMIT 1)"
    )
    # It may still read until it is taken from it: only then does another.
    assert await workers[1]() is None
    policy = RetryPolicy(3, (600,))
    assert len(await services.leases.release_expired(LOST, policy)) == 1
    assert await workers[1]() is not None
    assert await workers[1]() is None


async def test_stream_counts_as_a_reader_of_its_source(
    workers: list[Claim], add: Add, services: Services, catalog: Catalog, execute: Execute
) -> None:
    for _ in range(3):
        await add(export_type="orders")
    execute(
        "INSERT INTO export_jobs (id, export_type, format, requested_by, max_attempts,"
        " status, attempt, lease_token, lease_expires_at, next_attempt_at, is_stream)"
        " VALUES (gen_random_uuid(), 'items', 'csv', 'ann', 1, 'running', 1,"
        " gen_random_uuid(), now() + interval '1 min', NULL, true)"
    )
    assert [await workers[0]() is not None for _ in range(3)] == [True, True, False]
    assert await services.source_use.readers_of(catalog["orders"]) == 3
    assert not await services.source_use.has_room(catalog["items"])
    assert await services.source_use.readers_of(catalog["users"]) == 0


async def test_worker_of_the_version_before_is_answered_as_before(
    add: Add, execute: Execute
) -> None:
    job = await add(export_type="orders")
    assert execute("SELECT fairest_export(NULL, NULL, '{}')") == [(job.id,)]
    claim = (
        "SELECT id FROM claim_fairest_export(%s, gen_random_uuid(), 'w/1/f', '1 min',"
        " NULL, NULL, '{\"orders\": 1}')"
    )
    assert execute(claim, job.id) == [(job.id,)]
    waiting = await add(export_type="orders")
    assert execute(claim, waiting.id) == []
