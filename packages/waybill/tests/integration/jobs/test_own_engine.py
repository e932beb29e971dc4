"""The engine of waybill's own database: what frames a statement, with and without a pooler, and
connections that died while they rested."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.bootstrap.own_engine import create_engine
from waybill.config import Settings
from waybill.jobs.job import ExportStatus
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import alone
from waybill.local.faults.poolers import pgbouncer
from waybill.local.faults.tcp_proxy import TcpProxy

from ..leased import claimed

LOOK = text("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%twice_asked%'")


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(settings)
    yield engine
    await engine.dispose()


def at(settings: Settings, dsn: str) -> AsyncEngine:
    facts = conninfo_to_dict(dsn)
    password = f":{facts['password']}" if facts.get("password") else ""
    url = f"postgresql://{facts['user']}{password}@127.0.0.1:{facts['port']}/{facts['dbname']}"
    return create_engine(settings.model_copy(update={"database_url": SecretStr(url)}))


async def read(engine: AsyncEngine, statement: Any) -> Any:
    async with alone(engine).connect() as connection:
        return (await connection.execute(statement)).one()


async def test_statement_of_a_direct_connection_is_bounded_prepared_and_alone(
    engine: AsyncEngine, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as theirs:
        theirs.execute("CREATE TABLE asked (n int)")
        for n in range(8):
            async with alone(engine).begin() as connection:
                await connection.execute(text("INSERT INTO public.asked VALUES (:n)"), {"n": n})
                # Committed with the statement, no frame to be ended.
                assert theirs.execute("SELECT max(n) FROM asked").fetchone() == (n,)
            await read(engine, text("SELECT 1 AS twice_asked"))
    async with engine.begin() as connection:
        framed = (await connection.execute(LOOK)).one()

    assert tuple(await read(engine, LOOK)) == tuple(framed) == ("15s", "5s")
    assert tuple(await read(engine, PREPARED)) == (1,)


async def test_behind_a_pooler_transactions_bring_their_bounds_and_prepare_nothing(
    settings: Settings, database: str, server_directory: Path
) -> None:
    with pgbouncer(database, server_directory, pool_size=1) as pooled:
        engine = at(settings, pooled)
        repository, leases = ExportRepository(engine), LeaseRepository(engine)
        for _ in range(8):
            assert tuple(await read(engine, LOOK)) == ("15s", "5s")
            await read(engine, text("SELECT 1 AS twice_asked"))
        job = await repository.add(
            export_type="users",
            format="csv",
            options={},
            requested_by="ann",
            tenant=None,
            max_attempts=3,
        )
        await repository.mark_published([job.id])
        lease = await claimed(leases, job)
        prepared = await read(engine, PREPARED)
        with psycopg.connect(database) as theirs:
            found = theirs.execute(
                "SELECT published_at IS NOT NULL, status, lease_token FROM waybill.export_jobs"
            ).fetchone()
        with psycopg.connect(pooled, prepare_threshold=None) as client:
            left = client.execute("SHOW statement_timeout").fetchone()
        await engine.dispose()

    assert tuple(prepared) == (0,)
    assert found == (True, ExportStatus.RUNNING.value, lease.token)
    assert left == ("0",)


@pytest.fixture
def all_ended(database: str) -> Callable[[], None]:
    def end() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    return end


async def test_connections_that_were_ended_while_they_rested_fail_nothing(
    engine: AsyncEngine, all_ended: Callable[[], None]
) -> None:
    async with engine.connect() as one, engine.connect() as other:
        await one.execute(LOOK)
        await other.execute(LOOK)

    all_ended()

    for _ in range(3):
        assert tuple(await read(engine, LOOK)) == ("15s", "5s")


async def test_connection_that_vanished_while_it_rested_long_fails_nothing(
    settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waybill.bootstrap.own_engine._RESTED_SECONDS", 0.0)
    cuts = iter([0, None])
    with TcpProxy(int(str(conninfo_to_dict(database)["port"]))) as proxy:
        engine = at(settings, make_conninfo(database, port=proxy.port))
        await read(engine, LOOK)
        # The answer to what is sent next never comes; whoever comes anew is served.
        proxy.on_client_bytes(lambda _: proxy.cut_after(next(cuts, None)))

        assert tuple(await read(engine, LOOK)) == ("15s", "5s")

        assert next(cuts, "both were used") == "both were used"
        await engine.dispose()


async def test_statement_that_a_migration_made_stale_is_prepared_anew(
    engine: AsyncEngine, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as theirs:
        theirs.execute("CREATE TABLE changing (a int); INSERT INTO changing VALUES (7)")
        asked = text("SELECT a FROM public.changing")
        for _ in range(8):
            assert tuple(await read(engine, asked)) == (7,)
        theirs.execute("ALTER TABLE changing ALTER a TYPE text")

    with pytest.raises(DBAPIError):
        await read(engine, asked)

    assert tuple(await read(engine, asked)) == ("7",)


ODD = (
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = 'sql_standard'",
    "default_transaction_isolation = 'serializable'",
    "client_encoding = 'LATIN1'",
)


@pytest.mark.parametrize("is_pooled", [False, True], ids=["direct", "pooled"])
async def test_database_whose_defaults_are_odd_is_used_as_any(
    settings: Settings,
    database: str,
    server_directory: Path,
    execute: Callable[..., Any],
    is_pooled: bool,
) -> None:
    for each in ODD:
        execute(f'ALTER DATABASE "{conninfo_to_dict(database)["dbname"]}" SET {each}')
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    with contextlib.ExitStack() as stack:
        dsn = stack.enter_context(pgbouncer(database, server_directory)) if is_pooled else database
        engine = at(settings, dsn)
        repository = ExportRepository(engine)
        job = await repository.add(
            export_type="users",
            format="csv",
            options={},
            requested_by="Zo\u0142a \u2014 \u65e5",
            tenant=None,
            max_attempts=3,
        )
        other = stack.enter_context(psycopg.connect(database))
        other.execute("UPDATE waybill.export_jobs SET published_at = now()")

        async def change() -> Any:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT 1 FROM export_jobs"))
                return (
                    await connection.execute(
                        text("UPDATE export_jobs SET attempt = 2 RETURNING requested_by")
                    )
                ).scalar()

        changing = asyncio.create_task(change())
        while not (execute(waiting) or changing.done()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        other.commit()
        changed = await changing
        found = await repository.find(job.id)
        await engine.dispose()

    assert found is not None
    assert changed == found.requested_by == "Zo\u0142a \u2014 \u65e5"
    assert found.created_at.tzinfo is not None
