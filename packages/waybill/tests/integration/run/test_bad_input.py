"""A source that changes its shape while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.jobs.job import ExportJob
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSnapshot

Add = Callable[..., Awaitable[ExportJob]]


@pytest.mark.parametrize("moment", ["copy", "count_rows", "resolve"])
async def test_column_dropped_during_an_export_waits(
    services: Services, add: Add, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    dropped: list[bool] = []

    def drop() -> None:
        with psycopg.connect(services.settings.database_dsn, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '300ms'")
            try:
                connection.execute("ALTER TABLE users DROP COLUMN email")
            except psycopg.errors.LockNotAvailable:
                dropped.append(False)
            else:
                dropped.append(True)

    real: Any = getattr(PostgresSnapshot, moment)

    def before(self: PostgresSnapshot, *arguments: Any, **others: Any) -> Any:
        drop()
        return real(self, *arguments, **others)

    def during(self: PostgresSnapshot, *arguments: Any, **others: Any) -> Iterator[Any]:
        for chunk in real(self, *arguments, **others):
            if not dropped:
                drop()
            yield chunk

    monkeypatch.setattr(PostgresSnapshot, moment, during if moment == "copy" else before)
    job = await add()
    outcome = await services.runner.run(job.id)
    # The lock on the table, older than the snapshot: whoever wants to change its shape waits.
    assert (dropped, outcome) == ([False], Outcome.COMPLETED)


async def test_table_that_is_dropped_between_request_and_run_is_named(
    services: Services, add: Add
) -> None:
    job = await add()
    with psycopg.connect(services.settings.database_dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE users")

    assert await services.runner.run(job.id) is Outcome.FAILED

    (attempt,) = await services.repository.attempts_of(job.id)
    assert attempt.error_code == "source_rejected"
    assert "no table or view 'users'" in (attempt.message or "")
    assert list(services.storages["s3"].list_keys(services.settings.s3_prefix)) == []


async def test_job_waits_for_a_table_that_is_being_replaced(services: Services, add: Add) -> None:
    """The producer says what it reads, so that the lock comes before the snapshot."""
    with psycopg.connect(services.settings.database_dsn) as other:
        (rows,) = other.execute("SELECT count(*) FROM users").fetchone() or (0,)
        other.execute("CREATE TEMP TABLE kept AS TABLE users")
        other.execute("TRUNCATE users")
        other.execute("INSERT INTO users SELECT * FROM kept")
        job = await add()
        running = asyncio.create_task(services.runner.run(job.id))
        async with asyncio.timeout(30):
            while not other.execute(  # noqa: ASYNC110 - in another process
                "SELECT 1 FROM pg_locks WHERE NOT granted"
            ).fetchall():
                await asyncio.sleep(0.05)
        other.commit()
        assert await running is Outcome.COMPLETED

    done = await services.repository.find(job.id)
    assert done is not None
    assert done.rows_done == rows > 0
