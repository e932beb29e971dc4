"""Whose turn it is, on a real PostgreSQL: the order of claims, and the limits that they keep."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.jobs import turn_tables
from waybill.jobs.attempts import AttemptFailure, Cause
from waybill.jobs.job import ExportJob, Lease, Progress
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository
from waybill.jobs.turns import RunningLimits, Turns
from waybill.own_database import SCHEMA

from ..urls import sqlalchemy_url

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]

FAILURE = AttemptFailure("source_unavailable", Cause.TRANSIENT, "Away.")


def add_many(
    execute: Execute, count: int, *, tenant: str = "'acme'", person: str = "'ann'", type: str = ""
) -> None:
    """Queue many jobs at once; ``tenant`` and ``person`` are SQL, with the number as ``n``."""
    execute(
        "INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, max_attempts,"
        " created_at) SELECT gen_random_uuid(), %s, 'csv', "
        f"{person}, {tenant}, 3, now() + n * interval '1 microsecond'"
        " FROM generate_series(1, %s::int) AS n",
        type or "users",
        count,
    )


class Workers:
    """Workers that claim and end jobs, one call at a time."""

    def __init__(self, services: Services, limits: RunningLimits | None = None) -> None:
        self.leases = LeaseRepository(services.engine, turns=Turns(services.engine, limits))

    async def claim(self, notified: UUID | None = None) -> tuple[ExportJob, Lease] | None:
        return await self.leases.claim(notified or uuid4(), lease_seconds=60, worker="w/1/f")

    async def serve(self) -> ExportJob | None:
        """Claim a job and end it: one worker's turn."""
        taken = await self.claim()
        if taken is None:
            return None
        await self.leases.fail(taken[1], FAILURE, progress=Progress())
        return taken[0]


@pytest.fixture
def workers(services: Services) -> Workers:
    return Workers(services)


def test_tables_are_what_the_migrations_make(settings: Any) -> None:
    mine = {turn_tables.tenant_turns.name, turn_tables.person_turns.name}

    def is_mine(item: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else item.table.name) in mine

    engine = create_engine(sqlalchemy_url(settings))
    with engine.connect() as connection:
        connection.dialect.default_schema_name = SCHEMA
        connection.exec_driver_sql(f"SET search_path = {SCHEMA}")
        context = MigrationContext.configure(connection, opts={"include_object": is_mine})
        assert compare_metadata(context, turn_tables.tenant_turns.metadata) == []
    engine.dispose()


# -- the order ------------------------------------------------------------------------------------


async def test_one_job_goes_ahead_of_another_tenants_ten_thousand(
    add: Add, workers: Workers, execute: Execute
) -> None:
    add_many(execute, 10_000)
    assert (await workers.serve()).tenant == "acme"  # type: ignore[union-attr]
    running = await workers.claim()
    assert running is not None
    late = await add(tenant="globex", requested_by="bob")
    # The very next worker that is free takes it, whichever job its message names.
    taken = await workers.claim(running[0].id)
    assert taken is not None
    assert taken[0].id == late.id


async def test_one_job_goes_ahead_of_a_colleagues_ten_thousand(
    add: Add, workers: Workers, execute: Execute
) -> None:
    add_many(execute, 10_000)
    await workers.serve()
    late = await add(tenant="acme", requested_by="bob")
    taken = await workers.claim()
    assert taken is not None
    assert taken[0].id == late.id


async def test_one_job_goes_ahead_of_all_tenants_that_are_being_served(
    add: Add, workers: Workers, execute: Execute
) -> None:
    add_many(execute, 200, tenant="'t' || mod(n, 20)", person="'p' || mod(n, 10)")
    for _ in range(30):
        await workers.serve()
    late = await add(tenant="globex", requested_by="p1")
    taken = await workers.claim()
    assert taken is not None
    assert taken[0].id == late.id


async def test_tenants_take_turns_and_so_do_persons_within_them(
    workers: Workers, execute: Execute
) -> None:
    add_many(execute, 60, tenant="'acme'", person="'p' || mod(n, 3)")
    # The same subjects, elsewhere: nobody of acme's has their turn.
    add_many(execute, 20, tenant="'globex'", person="'p1'")
    add_many(execute, 20, tenant="NULL", person="'p2'")
    served = [await workers.serve() for _ in range(30)]
    tenants = [job.tenant for job in served if job is not None]
    assert all(set(tenants[at : at + 3]) == {"acme", "globex", None} for at in range(0, 30, 3))
    persons = [job.requested_by for job in served if job is not None and job.tenant == "acme"]
    assert all(set(persons[at : at + 3]) == {"p0", "p1", "p2"} for at in range(0, 9, 3))


async def test_who_has_fewest_running_comes_first(
    add: Add, workers: Workers, execute: Execute
) -> None:
    add_many(execute, 10, tenant="'long'")
    for _ in range(3):
        assert await workers.claim() is not None  # and they run on
    add_many(execute, 10, tenant="'short'")
    # Short jobs come and go; the tenant of the long ones has its share, three workers of four.
    for _ in range(5):
        job = await workers.serve()
        assert job is not None
        assert job.tenant == "short"
    # What nobody is before is taken all the same: no worker idles.
    execute("DELETE FROM export_jobs WHERE tenant = 'short'")
    taken = await workers.claim()
    assert taken is not None
    assert taken[0].tenant == "long"


async def test_own_jobs_run_in_the_order_of_their_requests_and_a_retry_keeps_its_place(
    add: Add, workers: Workers
) -> None:
    first, second, third = [await add(format=name) for name in ("csv", "json", "ndjson")]
    taken = await workers.claim()
    assert taken is not None
    assert taken[0].id == first.id
    assert await workers.leases.retry(taken[1], FAILURE, delay_seconds=0, progress=Progress())
    order = [await workers.serve() for _ in range(4)]
    assert [job and job.id for job in order] == [first.id, second.id, third.id, None]


async def test_job_that_waits_for_its_next_attempt_holds_nobody_up(
    add: Add, workers: Workers
) -> None:
    await add()
    later = await add(format="json")
    taken = await workers.claim()
    assert taken is not None
    assert await workers.leases.retry(taken[1], FAILURE, delay_seconds=600, progress=Progress())
    assert (await workers.serve()).id == later.id  # type: ignore[union-attr]
    assert await workers.serve() is None


async def test_one_who_asks_again_and_again_does_not_pass_those_who_wait(
    add: Add, workers: Workers
) -> None:
    for _ in range(5):
        await add(tenant="patient")
    served = []
    for _ in range(8):
        # Never more than one in the queue, and a new one as soon as it is taken.
        await add(tenant="greedy")
        served.append((await workers.serve()).tenant)  # type: ignore[union-attr]
    assert Counter(served)["patient"] >= 4


# Arrivals as (tenant, person, how many), and None for a worker's turn.
_EVENTS = st.lists(
    st.one_of(
        st.none(),
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(1, 3)),
    ),
    min_size=5,
    max_size=40,
)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False
)
@given(events=_EVENTS)
def test_nobody_who_waits_is_passed_twice(settings: Settings, events: list[Any]) -> None:
    async def play() -> list[tuple[str, str] | dict[tuple[str, str], int]]:
        history: list[Any] = []
        async with Services(settings, catalog=None or _no_catalog()) as services:
            with psycopg.connect(settings.database_dsn, autocommit=True) as connection:
                for table in ("export_jobs", "tenant_turns", "person_turns"):
                    connection.execute(f"TRUNCATE {table} CASCADE".encode())
            repository = ExportRepository(services.engine)
            workers = Workers(services)
            waiting: Counter[tuple[str, str]] = Counter()
            for event in [*events, *[None] * 60]:
                if event is not None:
                    tenant, person, count = event
                    waiting[tenant, person] += count
                    for _ in range(count):
                        await repository.add(
                            export_type="users",
                            format="csv",
                            options={},
                            requested_by=person,
                            tenant=tenant,
                            max_attempts=3,
                        )
                    continue
                job = await workers.serve()
                # No worker goes away empty-handed while anything is due.
                assert (job is None) == (not +waiting)
                if job is not None:
                    who = (job.tenant or "", job.requested_by)
                    history.append((who, dict(+waiting)))
                    waiting[who] -= 1
        return history

    history = asyncio.run(play())
    for level in (0, 1):
        for at, ((tenant, person), _) in enumerate(history):
            group = (tenant, person)[: level + 1]
            passed: set[Any] | None = None
            for (other_tenant, other_person), before in history[at + 1 :]:
                other = (other_tenant, other_person)[: level + 1]
                # Who waits all the time from here on, beside the one that was just served.
                now = {key[: level + 1] for key in before if level == 0 or key[0] == tenant}
                passed = now - {group} if passed is None else passed & now
                if level == 1 and other_tenant != tenant:
                    continue
                if other == group:
                    assert not passed, f"{group} was served twice while {passed} waited"
                    break
                passed = passed - {other}


def _no_catalog() -> Any:
    from waybill.catalog import Catalog

    return Catalog()


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (RunningLimits(per_tenant=3), {"tenant": 3}),
        (RunningLimits(per_person=2), {"requested_by": 2}),
        (RunningLimits(per_type={"users": 4, "rare": 1}), {"export_type": 4}),
        (RunningLimits(5, 2, {"users": 9}), {"tenant": 5, "requested_by": 2, "export_type": 9}),
    ],
    ids=["tenant", "person", "type", "all"],
)
async def test_limits_hold_however_many_workers_claim_at_once(
    services: Services, execute: Execute, limits: RunningLimits, most: dict[str, int]
) -> None:
    add_many(execute, 60, tenant="'t' || mod(n, 2)", person="'t' || mod(n, 2) || 'p' || mod(n, 6)")
    workers = Workers(services, limits)
    claims = await asyncio.gather(*(workers.claim() for _ in range(30)))
    running = [claim[0] for claim in claims if claim is not None]
    assert running
    for column, limit in most.items():
        count = Counter(getattr(job, column) for job in running)
        assert max(count.values()) == limit
    # No worker idles below the limits: what was not given could not be.
    assert await workers.claim() is None
    # One that ends makes room for exactly one.
    _, lease = next(claim for claim in claims if claim is not None)
    assert await workers.leases.fail(lease, FAILURE, progress=Progress())
    again = await asyncio.gather(*(workers.claim() for _ in range(5)))
    assert sum(claim is not None for claim in again) == 1


async def test_limit_lowered_while_jobs_run_stops_none_and_admits_none(
    services: Services, execute: Execute
) -> None:
    add_many(execute, 10)
    before = Workers(services)
    leases = [taken[1] for _ in range(4) if (taken := await before.claim())]
    after = Workers(services, RunningLimits(per_tenant=2))
    for lease in leases[:2]:
        assert await after.claim() is None
        assert await after.leases.renew(lease, Progress(1, 1), lease_seconds=60)
        assert await after.leases.fail(lease, FAILURE, progress=Progress())
    assert await after.claim() is None
    assert await after.leases.fail(leases[2], FAILURE, progress=Progress())
    assert await after.claim() is not None
    # And raised again.
    assert await Workers(services, RunningLimits(per_tenant=3)).claim() is not None


async def test_who_is_at_a_limit_holds_nobody_else_up(
    add: Add, services: Services, execute: Execute
) -> None:
    add_many(execute, 500, type="rare", tenant="'t' || mod(n, 7)", person="'p' || mod(n, 50)")
    other = await add(export_type="users", tenant="t1", requested_by="p1")
    workers = Workers(services, RunningLimits(per_type={"rare": 1}))
    taken = [await workers.claim() for _ in range(3)]
    assert Counter(each[0].export_type for each in taken if each) == {"rare": 1, "users": 1}
    assert other.id in {each[0].id for each in taken if each}


async def test_streams_take_no_place_of_a_job(
    add: Add, services: Services, execute: Execute
) -> None:
    execute(
        "INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, max_attempts,"
        " status, attempt, lease_token, lease_expires_at, next_attempt_at, is_stream)"
        " VALUES (gen_random_uuid(), 'users', 'csv', 'ann', 'acme', 1, 'running', 1,"
        " gen_random_uuid(), now() + interval '1 min', NULL, true)"
    )
    add_many(execute, 5, tenant="'globex'")
    mine = await add(tenant="acme", requested_by="ann")
    workers = Workers(services, RunningLimits(per_person=1))
    assert {(await workers.claim())[0].tenant for _ in range(2)} == {"acme", "globex"}  # type: ignore[index]
    assert (await services.repository.find(mine.id)).attempt == 1  # type: ignore[union-attr]


# -- the list -----------------------------------------------------------------------------------


async def test_message_puts_its_job_on_the_list_should_it_be_missing(
    add: Add, workers: Workers, execute: Execute
) -> None:
    job = await add()
    # What a request and a claim at the same moment may leave.
    execute("UPDATE tenant_turns SET is_waiting = false")
    execute("UPDATE person_turns SET is_waiting = false")
    assert await workers.claim() is None
    taken = await workers.claim(job.id)
    assert taken is not None
    assert taken[0].id == job.id


async def test_list_forgets_who_waits_no_more(
    add: Add, services: Services, workers: Workers, execute: Execute
) -> None:
    waits = "SELECT count(*) FROM {}_turns WHERE is_waiting"
    counts = lambda: [execute(waits.format(t))[0][0] for t in ("tenant", "person")]  # noqa: E731
    jobs = [await add(tenant="acme", requested_by=f"p{n}") for n in range(3)]
    assert counts() == [1, 3]
    await services.repository.cancel(jobs[0].id)
    await services.turns.tidy()
    assert counts() == [1, 2]
    await workers.serve()
    await workers.serve()
    assert counts() == [0, 0]
    # And what orders nothing any more is forgotten.
    job = await add(tenant="globex")
    await services.repository.cancel(job.id)
    assert await workers.claim() is None
    assert counts() == [0, 0]
    await add(tenant="initech")
    execute("UPDATE person_turns SET turn_at = turn_at - interval '1 day'")
    execute("UPDATE tenant_turns SET turn_at = turn_at - interval '1 day'")
    await services.turns.tidy()
    assert execute("SELECT tenant FROM tenant_turns") == [("initech",)]
    assert execute("SELECT tenant FROM person_turns") == [("initech",)]
    assert (await workers.serve()).tenant == "initech"  # type: ignore[union-attr]


async def test_job_requested_while_its_owner_cancels_another_is_not_lost_from_the_list(
    add: Add, workers: Workers, settings: Settings
) -> None:
    first = await add(tenant="acme")
    with psycopg.connect(settings.database_dsn) as cancelling:
        cancelling.execute(
            b"UPDATE export_jobs SET status = 'cancelled', next_attempt_at = NULL WHERE id = %s",
            (first.id,),
        )
        # Another job, its message, and a claim that has other work: all before the commit.
        mine, other = await add(tenant="acme"), await add(tenant="globex")
        with psycopg.connect(settings.database_dsn) as locking:
            locking.execute(b"SELECT FROM export_jobs WHERE id = %s FOR UPDATE", (mine.id,))
            taken = await workers.claim(mine.id)
            assert taken is not None
            assert taken[0].id == other.id
        cancelling.commit()
    # The last message there is names the job that is taken.
    last = await workers.claim(other.id)
    assert last is not None
    assert last[0].id == mine.id


async def test_claim_says_whether_what_it_passed_over_may_be_had_at_all(
    add: Add, services: Services, settings: Settings, execute: Execute
) -> None:
    running, waiting = await add(tenant="acme"), await add(tenant="acme")
    limited = Workers(services, RunningLimits(per_tenant=1))
    taken = await limited.claim()
    assert taken is not None
    assert taken[0].id == running.id

    def claimed(per_tenant: int | None) -> list[Any]:
        return execute(
            "SELECT id FROM claim_fairest_export(gen_random_uuid(), gen_random_uuid(), 'w/1/f',"
            " '1 min', %s, NULL, '{}')",
            per_tenant,
        )

    with psycopg.connect(settings.database_dsn) as locking:
        locking.execute(b"SELECT FROM export_jobs WHERE id = %s FOR UPDATE", (waiting.id,))
        # At the limit there is nothing to come back for; below it there is.
        assert claimed(1) == []
        assert claimed(2) == [(None,)]
    assert claimed(1) == []
    assert claimed(2) == [(waiting.id,)]
    assert claimed(3) == []


async def test_stopped_request_in_the_middle_of_its_commit_keeps_no_worker_waiting(
    add: Add, workers: Workers, settings: Settings
) -> None:
    await add(tenant="acme")
    with psycopg.connect(settings.database_dsn) as stopped:
        # A process that is stopped after it requested, and before it commits.
        stopped.execute(
            b"INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, max_attempts)"
            b" VALUES (gen_random_uuid(), 'users', 'csv', 'eve', 'acme', 3)"
        )
        stopped.execute(b"SELECT FROM tenant_turns FOR UPDATE")
        stopped.execute(b"SELECT FROM person_turns FOR UPDATE")
        async with asyncio.timeout(4):  # below the lock's own time-out
            assert await workers.claim() is not None
        stopped.rollback()


# -- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tenant", "person"),
    [("'acme'", "'ann'"), ("'acme'", "'p' || n"), ("'t' || n", "'ann'")],
    ids=["one person", "one tenant", "many tenants"],
)
async def test_claim_reads_a_few_pages_however_long_the_queue(
    execute: Execute, tenant: str, person: str
) -> None:
    def pages() -> int:
        plan = "\n".join(
            str(row[0])
            for row in execute(
                "EXPLAIN (ANALYZE, BUFFERS, TIMING off) SELECT id FROM claim_fairest_export("
                "gen_random_uuid(), gen_random_uuid(), 'w/1/f', '1 min', NULL, 100, '{}')"
            )
        )
        return sum(int(each) for each in re.findall(r"shared hit=(\d+)", plan.partition("Plan")[0]))

    add_many(execute, 100, tenant=tenant, person=person)
    # The first ones read the catalogue too, and keep plans as they are best for short lists.
    short = min(pages() for _ in range(10))
    add_many(execute, 10_000, tenant=tenant, person=person)
    assert min(pages() for _ in range(5)) < 3 * short
