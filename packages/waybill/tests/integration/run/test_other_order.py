"""A key whose index is not in the order of today's comparison: whole, or failed with a clear error.

PostgreSQL 15 from Debian, on locales that are compiled for the test and then compiled anew under
the same name, as an upgrade of the system does.
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import func, update

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.catalog.check import check_catalog
from waybill.config import Settings
from waybill.errors import IncompleteExport
from waybill.formats.formula_guard import guard_expression
from waybill.jobs.job import ExportJob
from waybill.jobs.tables import export_jobs as jobs
from waybill.local.faults.servers import Programs, Server, make_locale
from waybill.manifest import Manifest, manifest_key
from waybill.pipeline.readers import ManyReaders, Parallel
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSource

LOCALE = "xx_XX.utf8"
ROWS = 20_000
NAMES = ExportType("names", TableSource("public", "names"), key=("name",), consistency="resumable")


@pytest.fixture(scope="module")
def made(debian_programs: Programs) -> Iterator[Server]:
    """A stopped server whose default collation is libc's, with a table of names of both cases.

    Few of them are capitals: what an index is searched by is then in order in either locale, and
    the capitals between are what ranges of a stale index miss."""
    directory = Path(tempfile.mkdtemp(prefix="waybill-servers-", dir="/var/tmp"))
    directory.chmod(0o755)
    make_locale(directory / "locales", LOCALE, "en_US")
    with _server(debian_programs, directory) as server:
        server.make(f"--locale={LOCALE}", "--encoding=UTF8")
        server.start()
        server.execute(
            "UPDATE pg_database SET datcollversion = pg_database_collation_actual_version(oid)",
            "CREATE TABLE names AS SELECT CASE WHEN i % 50 = 0 THEN upper(md5(i::text))"
            " ELSE md5(i::text) END AS name, i, repeat(md5(i::text), 27) AS note"
            f" FROM generate_series(1, {ROWS}) AS i",
            "ALTER TABLE names ADD PRIMARY KEY (name)",
            "VACUUM ANALYZE names",
        )
        server.stop()
        yield server
    shutil.rmtree(directory, ignore_errors=True)


def _server(programs: Programs, directory: Path) -> Server:
    environment = {"LOCPATH": str(directory / "locales"), "LC_ALL": LOCALE}
    return Server(programs, directory / "pg", environment=environment)


@pytest.fixture
def locales(server_directory: Path) -> Path:
    make_locale(server_directory / "locales", LOCALE, "en_US")
    return server_directory / "locales"


@pytest.fixture
def source(
    debian_programs: Programs, server_directory: Path, locales: Path, made: Server
) -> Iterator[Server]:
    """A running copy of ``made``, on locales of the test's own."""
    with _server(debian_programs, server_directory) as server:
        server.restore_from(made)
        server.start()
        yield server


@pytest.fixture
def upgrade(source: Server, locales: Path) -> Callable[[], None]:
    """Have the server start again on a system that sorts otherwise under the same name."""

    def run() -> None:
        source.stop()
        make_locale(locales, LOCALE, "C")
        source.start()
        assert source.execute("SELECT 'a' > 'B'") == [(True,)]

    return run


@pytest.fixture
def dsn(source: Server) -> str:
    return source.dsn()


@pytest.fixture
def settings(settings: Settings, source: Server) -> Settings:
    small = {"part_bytes": 5 * 1024 * 1024, "checkpoint_seconds": 0.0}
    return settings.model_copy(update={"source_dsn": SecretStr(source.dsn()), **small})


@pytest.fixture
def catalog() -> Catalog:
    return Catalog([NAMES])


@pytest.fixture
def parallel(dsn: str) -> Parallel:
    small = {"smallest_rows": 1, "range_bytes": 1_000_000, "first_rows": 500}
    return Parallel(PostgresSource(dsn), 3, **small)


@pytest.fixture
def ranged(monkeypatch: pytest.MonkeyPatch) -> list[ManyReaders]:
    """The parallel readers that were opened."""
    opened: list[ManyReaders] = []
    enter = ManyReaders.__enter__
    monkeypatch.setattr(
        ManyReaders, "__enter__", lambda self: (opened.append(self), enter(self))[1]
    )
    return opened


def _mark_as_old(source: Server) -> None:
    source.execute("UPDATE pg_database SET datcollversion = '2.28'")


def _codes(dsn: str) -> list[tuple[str, str]]:
    return [(f.severity, f.code) for f in check_catalog(Catalog([NAMES]), dsn)]


def test_libc_key_of_the_recorded_version_is_read_in_ranges(
    export: Any, dsn: str, parallel: Parallel, ranged: list[ManyReaders]
) -> None:
    one = export(NAMES.source, key=("name",))
    several = export(NAMES.source, key=("name",), parallel=parallel)
    assert ranged
    assert several.data == one.data
    assert _codes(dsn) == []


def test_count_finds_what_ranges_of_a_stale_index_miss(
    export: Any, source: Server, parallel: Parallel, upgrade: Any
) -> None:
    upgrade()
    source.execute(
        "ALTER DATABASE postgres SET enable_seqscan = off",
        "ALTER DATABASE postgres SET enable_bitmapscan = off",
    )
    # The version is still glibc's own: nothing says that the order is another.
    with pytest.raises(IncompleteExport, match="REINDEX"):
        export(NAMES.source, key=("name",), parallel=parallel)


def test_collation_of_another_version_is_read_by_one_and_reported_with_the_remedy(
    export: Any, dsn: str, source: Server, parallel: Parallel, ranged: Any, upgrade: Any
) -> None:
    upgrade()
    _mark_as_old(source)
    assert export(NAMES.source, key=("name",), parallel=parallel).manifest.rows == ROWS
    assert ranged == []
    (finding,) = check_catalog(Catalog([NAMES]), dsn)
    assert (finding.severity, finding.code) == ("warning", "collation_changed")
    assert "2.28" in finding.message
    for statement in finding.remedy.rstrip(";").split("; "):
        source.execute(statement)
    assert _codes(dsn) == []
    assert export(NAMES.source, key=("name",), parallel=parallel).manifest.rows == ROWS
    assert ranged


def test_collation_without_a_recorded_version_is_read_by_one(
    export: Any, dsn: str, source: Server, parallel: Parallel, ranged: Any
) -> None:
    source.execute("UPDATE pg_database SET datcollversion = NULL")
    assert export(NAMES.source, key=("name",), parallel=parallel).manifest.rows == ROWS
    assert ranged == []
    assert _codes(dsn) == [("warning", "collation_unknown")]


async def _resumed(
    services: Services, add: Callable[..., Awaitable[ExportJob]], break_off: Any, between: Any
) -> tuple[list[str], int]:
    """Return the names in a job's file whose first attempt broke off, and its segments."""
    break_off(13_000)
    job = await add(export_type="names")
    assert await services.runner.run(job.id) is Outcome.RETRIED
    break_off(None)
    between()
    await services.repository._execute(_due(job))
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    done = await services.repository.find(job.id)
    assert done is not None
    data = b"".join(services.storages["s3"].read(done.object_key or ""))
    _, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    document = b"".join(services.storages["s3"].read(manifest_key(done.object_key or "")))
    manifest = Manifest.from_json(document.decode())
    return [row[0] for row in rows], len(manifest.segments)


def _due(job: ExportJob) -> Any:
    return update(jobs).where(jobs.c.id == job.id).values(next_attempt_at=func.now())


async def test_libc_key_whose_index_is_in_order_is_gone_on_with(
    services: Services, add: Any, break_off: Any
) -> None:
    names, segments = await _resumed(services, add, break_off, lambda: None)
    assert (len(names), len(set(names)), segments) == (ROWS, ROWS, 2)


async def test_index_that_was_stale_all_along_is_not_gone_on_with(
    services: Services, add: Any, break_off: Any, upgrade: Any
) -> None:
    upgrade()
    names, segments = await _resumed(services, add, break_off, lambda: None)
    assert (len(names), len(set(names)), segments) == (ROWS, ROWS, 0)


async def test_index_rebuilt_in_between_is_not_gone_on_with(
    services: Services, add: Any, break_off: Any, source: Server, locales: Path
) -> None:
    def rebuild() -> None:
        # Another order, in a backend that starts later, and an index that fits it.
        make_locale(locales, LOCALE, "C")
        source.execute("REINDEX TABLE names")

    names, segments = await _resumed(services, add, break_off, rebuild)
    assert (len(names), len(set(names)), segments) == (ROWS, ROWS, 0)


async def test_version_that_changed_in_between_is_not_gone_on_with(
    services: Services, add: Any, break_off: Any, source: Server
) -> None:
    names, segments = await _resumed(services, add, break_off, lambda: _mark_as_old(source))
    assert (len(names), len(set(names)), segments) == (ROWS, ROWS, 0)


def test_collation_that_takes_signs_for_nothing_does_not_change_the_formula_guard(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE COLLATION ignoring (provider = icu, locale = 'und-u-ka-shifted', "
            "deterministic = false)"
        )
        connection.execute('CREATE TABLE t (v text COLLATE "ignoring")')
        connection.execute("INSERT INTO t VALUES ('=1'), ('+5'), (' ')")
        statement = sql.SQL("SELECT {} FROM t").format(guard_expression(sql.Identifier("v")))
        assert {row[0] for row in connection.execute(statement)} == {"'=1", "+5", " "}
