"""A source that changes its shape while it is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from waybill.bootstrap import Services
from waybill.jobs.job import ExportJob
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSnapshot

Add = Callable[..., Awaitable[ExportJob]]


@pytest.mark.parametrize("moment", ["copy", "count_rows"])
async def test_column_dropped_during_an_export_waits_or_is_named(
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
    (attempt,) = await services.repository.attempts_of(job.id)
    if moment == "copy":
        # The snapshot's lock on the table: whoever wants to change its shape waits for the end.
        assert (dropped, outcome) == ([False], Outcome.COMPLETED)
    else:
        # Between the look at the columns and the reading: PostgreSQL refuses the statement.
        assert (dropped, outcome) == ([True], Outcome.FAILED)
        assert attempt.error_code == "source_rejected"
        assert "42703" in (attempt.message or "")
        assert list(services.storages["s3"].list_keys(services.settings.s3_prefix)) == []
