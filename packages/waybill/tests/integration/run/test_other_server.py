"""A resumable export whose source is another server at its next attempt begins anew.

Servers from the wheels: a primary, a standby that lags when it is promoted, a copy that was taken
before the export and is restored after it.
"""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from sqlalchemy import func, update

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.config import Settings
from waybill.errors import IncompleteExport
from waybill.jobs.job import ExportJob
from waybill.jobs.tables import export_jobs as jobs
from waybill.local.faults.servers import Programs, Server
from waybill.manifest import Manifest
from waybill.run import resumption
from waybill.run.runner import Outcome

Add = Callable[..., Awaitable[ExportJob]]

ROWS = 20_000
NUMBERS = ExportType(
    "numbers", TableSource("public", "numbers"), key=("id",), consistency="resumable"
)


@dataclass
class Sources:
    """A primary, and whoever takes its place at its address."""

    primary: Server
    directory: Path
    others: list[Server] = field(default_factory=list)

    def other(self, name: str) -> Server:
        """Return a server that will listen where the primary does."""
        server = Server(Programs.of_the_wheel(), self.directory / name)
        self.others.append(server)
        return server


@pytest.fixture
def sources(server_directory: Path) -> Iterator[Sources]:
    primary = Server(Programs.of_the_wheel(), server_directory / "primary")
    made = Sources(primary, server_directory)
    try:
        primary.make("--locale=C", "--encoding=UTF8")
        primary.start()
        primary.execute(
            "CREATE TABLE numbers AS SELECT i AS id, 0 AS version, repeat(md5(i::text), 27) AS note"
            f" FROM generate_series(1, {ROWS}) AS i",
            "ALTER TABLE numbers ADD PRIMARY KEY (id)",
        )
        yield made
    finally:
        for server in (primary, *made.others):
            server.stop(signal.SIGQUIT)


@pytest.fixture
def settings(settings: Settings, sources: Sources) -> Settings:
    small = {"part_bytes": 5 * 1024 * 1024, "checkpoint_seconds": 0.0}
    source = SecretStr(sources.primary.dsn())
    return settings.model_copy(update={"source_dsn": source, **small})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([NUMBERS])


async def _resumed(
    services: Services, add: Add, break_off: Any, between: Callable[[], None]
) -> tuple[list[list[str]], Manifest]:
    """Return the rows and the manifest of a job whose first attempt broke off."""
    break_off(13_000)
    job = await add(export_type="numbers")
    assert await services.runner.run(job.id) is Outcome.RETRIED
    break_off(None)
    between()
    due = update(jobs).where(jobs.c.id == job.id).values(next_attempt_at=func.now())
    await services.repository._execute(due)
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await services.repository.find(job.id)
    assert done is not None
    data = b"".join(services.storages["s3"].read(done.object_key or ""))
    _, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return rows, Manifest.load(await services.repository.find_manifest(job.id) or {})


async def test_same_server_is_gone_on_with_and_stands_in_the_segments(
    services: Services, add: Add, break_off: Any, sources: Sources
) -> None:
    rows, manifest = await _resumed(services, add, break_off, lambda: None)
    assert len(rows) == ROWS
    first, second = (segment.snapshot for segment in manifest.segments)
    ((identifier,),) = sources.primary.execute(
        "SELECT system_identifier::text FROM pg_control_system()"
    )
    assert (first.system_identifier, first.timeline) == (identifier, 1)
    assert second.server_started_at == first.server_started_at is not None


async def test_checkpoint_of_another_server_is_not_gone_on_with(
    services: Services, add: Add, break_off: Any, sources: Sources
) -> None:
    """The primary is lost, and a standby promoted that had not received its last changes."""
    primary, standby = sources.primary, sources.other("standby")
    standby.copy_of(primary)
    primary.execute("DELETE FROM numbers WHERE id % 100 = 0", "UPDATE numbers SET version = 1")

    def fail_over() -> None:
        primary.stop(signal.SIGQUIT)
        standby.port = primary.port
        standby.start()
        standby.promote()

    rows, manifest = await _resumed(services, add, break_off, fail_over)
    assert manifest.segments == ()
    # All of one server: never some rows of the one and some of the other.
    assert {row[1] for row in rows} == {"0"}
    assert len(rows) == ROWS
    assert manifest.snapshot.timeline == 2


async def test_server_restored_from_a_copy_with_the_same_identifier_is_another(
    services: Services, add: Add, break_off: Any, sources: Sources
) -> None:
    primary, restored = sources.primary, sources.other("restored")
    primary.stop()
    restored.restore_from(primary)
    primary.start()
    primary.execute("UPDATE numbers SET version = 1")

    def restore() -> None:
        primary.stop(signal.SIGQUIT)
        restored.port = primary.port
        restored.start()
        # It writes more than was written since: its position says nothing any more.
        restored.execute(
            "UPDATE numbers SET version = 2", "UPDATE numbers SET version = 3", "VACUUM numbers",
            "UPDATE numbers SET version = 4",
        )  # fmt: skip

    rows, manifest = await _resumed(services, add, break_off, restore)
    assert manifest.segments == ()
    assert {row[1] for row in rows} == {"4"}
    assert len(rows) == ROWS


async def test_database_that_took_the_name_of_the_one_it_was_copied_from_is_another(
    services: Services, add: Add, break_off: Any, sources: Sources
) -> None:
    def swap() -> None:
        with psycopg.connect(
            make_conninfo(sources.primary.dsn(), dbname="template1"), autocommit=True
        ) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = 'postgres'"
            )
            other.execute("CREATE DATABASE copy TEMPLATE postgres")
            other.execute("ALTER DATABASE postgres RENAME TO retired")
            other.execute("ALTER DATABASE copy RENAME TO postgres")
        sources.primary.execute("UPDATE numbers SET version = 1")

    rows, manifest = await _resumed(services, add, break_off, swap)
    assert manifest.segments == ()
    assert {row[1] for row in rows} == {"1"}
    assert len(rows) == ROWS


async def test_server_that_does_not_say_who_it_is_is_not_gone_on_with(
    services: Services, add: Add, break_off: Any, sources: Sources
) -> None:
    sources.primary.execute(
        "CREATE ROLE export LOGIN",
        "GRANT SELECT ON numbers TO export",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public",
    )
    services.source._dsn = sources.primary.dsn().replace("postgres@", "export@")
    rows, manifest = await _resumed(services, add, break_off, lambda: None)
    assert (len(rows), manifest.segments) == (ROWS, ())
    assert manifest.snapshot.system_identifier is None


async def test_row_in_the_gap_fails_the_attempt_and_the_next_begins_anew(
    services: Services, add: Add, break_off: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resumption.rows_behind
    lost: list[int] = []

    def behind(*arguments: Any, **options: Any) -> Any:
        lost.append(1)
        return sql.SQL("{} AND waybill_source.id <> {}").format(
            real(*arguments, **options), sql.Literal(ROWS - 5)
        )

    monkeypatch.setattr(resumption, "rows_behind", behind)
    break_off(13_000)
    job = await add(export_type="numbers")
    assert await services.runner.run(job.id) is Outcome.RETRIED
    break_off(None)
    due = update(jobs).where(jobs.c.id == job.id).values(next_attempt_at=func.now())
    await services.repository._execute(due)
    assert await services.runner.run(job.id) is Outcome.RETRIED
    assert lost
    attempts = await services.repository.attempts_of(job.id)
    assert attempts[-1].error_code == IncompleteExport.code
    await services.repository._execute(due)
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    manifest = Manifest.load(await services.repository.find_manifest(job.id) or {})
    assert (manifest.rows, manifest.segments) == (ROWS, ())


def test_positions_are_compared_as_numbers() -> None:
    assert resumption._position("10/0") > resumption._position("9/FFFFFFFF")
    assert resumption._position("A/2") > resumption._position("A/1")
