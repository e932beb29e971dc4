"""waybill's own database behind a pooler that lends connections per transaction, on one of several
hosts, and with options of the URL's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from sqlalchemy import text

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.doctor.readiness import readiness
from waybill.errors import ConfigurationError
from waybill.jobs.changes import ExportChanges
from waybill.local.faults.poolers import pgbouncer
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.migrations.run import migrate
from waybill.own_database import bounds, read_dsn
from waybill.storage.database.storage import DatabaseOptions, DatabaseStorage

from ..leased import claimed


@pytest.fixture
def pooled(database: str, server_directory: Path) -> Iterator[str]:
    """The test's database behind a pooler with two connections."""
    with pgbouncer(database, server_directory) as dsn:
        yield dsn


def at(settings: Settings, dsn: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(dsn)})


async def test_pooler_by_transaction_is_enough_for_everything(
    settings: Settings, catalog: Catalog, database: str, pooled: str
) -> None:
    there = at(settings, pooled)
    migrate(there)  # there is nothing to do, which takes asking
    async with Services(there, catalog=catalog) as services:
        jobs = [
            await services.repository.add(
                export_type="users",
                format="csv",
                options={},
                requested_by="ann",
                tenant=None,
                max_attempts=3,
            )
            for _ in range(3)
        ]

        # Often enough that psycopg would prepare what it is asked again and again, on more
        # connections than there are.
        async def look() -> None:
            for _ in range(8):
                assert await services.repository.find(jobs[0].id) is not None

        await asyncio.gather(*(look() for _ in range(6)))
        lease = await claimed(services.leases, jobs[1])
        assert lease.attempt == 1
        assert (await readiness(services)).checks["database"] == "ok"
    storage = DatabaseStorage(DatabaseOptions(pooled))
    storage.put("a/b", b"bytes", content_type="text/csv")
    assert b"".join(storage.read("a/b")) == b"bytes"

    with psycopg.connect(database) as connection:
        theirs = connection.execute("SHOW statement_timeout").fetchone()
    with psycopg.connect(pooled, prepare_threshold=None) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == theirs
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_change_is_seen_through_a_pooler(
    settings: Settings,
    catalog: Catalog,
    database: str,
    server_directory: Path,
    mode: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("waybill.jobs.changes._PROBE_SECONDS", 1.0)
    with pgbouncer(database, server_directory, mode=mode, pool_size=10) as pooled:
        async with Services(at(settings, pooled), catalog=catalog) as services:
            job = await services.repository.add(
                export_type="users",
                format="csv",
                options={},
                requested_by="ann",
                tenant=None,
                max_attempts=3,
            )
            # Neither the reading after a connection was made nor the usual one, every 15 s.
            changes = ExportChanges(
                pooled,
                services.repository.find_many,
                max_watchers=1,
                resync_seconds=3600,
                poll_seconds=0.05,
            )
            async with changes, changes.watch(job.id) as watcher:
                first = await watcher.next(20)
                assert first is not None
                await claimed(services.leases, job)
                while True:
                    seen = await watcher.next(20)
                    assert seen is not None
                    if seen.attempt == 1:
                        break


async def test_of_several_hosts_the_one_that_takes_writes_is_found(
    settings: Settings, catalog: Catalog, database: str
) -> None:
    facts = conninfo_to_dict(database)
    several = (
        f"postgresql://{facts['user']}:{facts['password']}@127.0.0.1:1,"
        f"{facts['host']}:{facts['port']}/{facts['dbname']}?target_session_attrs=read-write"
    )
    there = at(settings, several)
    migrate(there)
    async with Services(there, catalog=catalog) as services:
        assert (await readiness(services)).checks["database"] == "ok"


async def test_options_of_the_url_hold_for_service_and_migrations(
    settings: Settings, catalog: Catalog, local_stack: LocalStack
) -> None:
    options = "-c%20search_path%3Dtheirs%20-c%20statement_timeout%3D9s"
    with temporary_database(local_stack) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA theirs")
        there = at(settings, f"{dsn}?options={options}")
        migrate(there)
        async with Services(there, catalog=catalog) as services:
            async with services.engine.connect() as connection:
                shown = {
                    name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
                    for name in ("search_path", "statement_timeout", "lock_timeout")
                }
            assert (await readiness(services)).checks["database"] == "ok"
        with psycopg.connect(dsn) as connection:
            found = connection.execute("SELECT to_regclass('theirs.export_jobs')::text").fetchone()
    assert shown == {"search_path": "theirs", "statement_timeout": "9s", "lock_timeout": "5s"}
    assert found == ("theirs.export_jobs",)


@pytest.mark.parametrize(
    "url", ["mysql://a:secret@h/d", "secret", "postgresql://u:se%zzcret@h/d", ""]
)
def test_address_that_is_none_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a PostgreSQL URL") as caught:
        read_dsn(url)
    assert "secret" not in str(caught.value)
    assert "zzcret" not in str(caught.value)


def test_bounds_leave_alone_what_the_url_sets() -> None:
    dsn = "postgresql://h/d?options=-c%20lock_timeout%3D1s"
    assert (
        bounds(dsn, statement_timeout_ms=1, lock_timeout_ms=2) == "SET LOCAL statement_timeout = 1"
    )
