"""An upgrade while the service is used keeps nobody waiting and loses no job; nor does a backup
that is restored."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.job import ExportStatus
from waybill.local.binaries import postgres_binary
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.migrations import indexes
from waybill.migrations.run import known_revisions, migrate
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.run.runner import Outcome

ANN = Principal("ann", scopes=frozenset({REQUEST, READ}))

BEFORE_TURNS = "0011"
"""The last revision before one that changes the table of jobs, and what is asked of it."""


@pytest.fixture
def empty_database(local_stack: LocalStack) -> Iterator[str]:
    with temporary_database(local_stack) as dsn:
        yield dsn


@pytest.fixture
def earlier(settings: Settings, empty_database: str) -> Settings:
    """Settings of a database that an earlier version made."""
    create_users(empty_database, 2_000)
    made = settings.model_copy(
        update={
            "database_url": type(settings.database_url)(empty_database),
            "source_dsn": type(settings.database_url)(empty_database),
        }
    )
    migrate(made, BEFORE_TURNS)
    return made


def test_migration_gives_way_to_a_long_transaction_and_changes_nothing(
    earlier: Settings, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "LOCK_SECONDS", 0.2)
    with psycopg.connect(empty_database) as reader:
        reader.execute("SELECT count(*) FROM waybill.export_jobs")
        with pytest.raises(ConfigurationError, match="holds one of waybill's tables"):
            migrate(earlier)
        found = reader.execute("SELECT version_num FROM waybill.waybill_migrations")
        assert found.fetchall() == [(BEFORE_TURNS,)]
    assert migrate(earlier) == known_revisions()[-1]


async def test_job_that_waited_through_an_upgrade_runs_after_it(
    earlier: Settings, empty_database: str, catalog: Catalog
) -> None:
    export_id = uuid4()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, status, "
            "attempt, max_attempts) VALUES (%s, 'users', 'csv', 'ann', 'queued', 0, 3)",
            (export_id,),
        )
    migrate(earlier)
    async with Services(earlier, catalog=catalog) as services:
        assert await services.runner.run(export_id) is Outcome.COMPLETED
        job = await services.repository.find(export_id)
    assert job is not None
    assert (job.status, job.rows_done) == (ExportStatus.COMPLETED, 2_000)


async def test_restored_backup_goes_on_where_it_was(
    services: Services,
    settings: Settings,
    database: str,
    empty_database: str,
    catalog: Catalog,
    tmp_path: Path,
) -> None:
    wanted = ExportRequest("users")
    done = (await services.exports.request(ANN, wanted, idempotency_key="first")).job
    assert await services.runner.run(done.id) is Outcome.COMPLETED
    waiting = (await services.exports.request(ANN, wanted, idempotency_key="second")).job
    await asyncio.to_thread(_restore, database, empty_database, tmp_path / "backup")

    secret = type(settings.database_url)(empty_database)
    restored = settings.model_copy(update={"database_url": secret, "source_dsn": secret})
    assert migrate(restored) == known_revisions()[-1]
    async with Services(restored, catalog=catalog) as later:
        # The same request is answered by the same export, and none is made twice.
        again = await later.exports.request(ANN, wanted, idempotency_key="first")
        assert again.job.id == done.id
        file = await later.repository.find(done.id)
        assert file is not None
        assert file.object_key is not None
        stored = later.storages["s3"].find(file.object_key)
        assert stored is not None
        assert stored.bytes == file.object_bytes
        # What was queued then is run.
        assert await later.runner.run(waiting.id) is Outcome.COMPLETED


def _restore(database: str, elsewhere: str, backup: Path) -> None:
    """Make a backup and bring it back in another database, as `docs/deploying.md` has it."""
    for program, *arguments in (
        ["pg_dump", "--format=custom", f"--file={backup}", database],
        ["pg_restore", "--exit-on-error", f"--dbname={elsewhere}", str(backup)],
    ):
        subprocess.run(
            [postgres_binary(program), *arguments], check=True, capture_output=True, timeout=60
        )
