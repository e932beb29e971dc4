"""A type is read from the source that it names, by everything that reads.

The default source has tables of the same names and other rows, or none at all: whoever goes to the
wrong one fails or brings the wrong rows. Both are databases of one server, which alone would not
tell them apart.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog, Column, ExportType, NamedSource, TableSource
from waybill.catalog.politeness import Politeness
from waybill.config import Settings
from waybill.errors import UnknownColumn
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.manifest import Manifest
from waybill.pipeline.ranges import Parallel
from waybill.principal import READ, REQUEST, Principal
from waybill.requests.request import ExportRequest
from waybill.requests.row_estimates import RowEstimates
from waybill.run import produce
from waybill.run.runner import Outcome
from waybill.source.source import PostgresSource

from ...unit.cli.test_mistakes import _nothing, end_of

Add = Callable[..., Awaitable[ExportJob]]
Execute = Callable[..., list[tuple[Any, ...]]]

ANN = Principal("ann", scopes=frozenset({REQUEST, READ}))
ROWS = 12_000
# 900 bytes a row: two parts of 5.5 MiB.
TABLES = (
    "CREATE TABLE {table} AS SELECT n AS id, '{word}' AS place, repeat(md5(n::text), 27) AS note"
    " FROM generate_series(1, {rows}) AS n",
    "ALTER TABLE {table} ADD PRIMARY KEY (id)",
)
EVENTS = ExportType(
    "events", TableSource("public", "events"), key=("id",), source_name="reporting",
    consistency="resumable",
)  # fmt: skip


def make(dsn: str, table: str, word: str, rows: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in TABLES:
            connection.execute(statement.format(table=table, word=word, rows=rows).encode())


@pytest.fixture
def reporting(local_stack: LocalStack) -> Iterator[str]:
    """Another database: events that are there alone, orders that both have."""
    with temporary_database(local_stack) as dsn:
        make(dsn, "events", "there", ROWS)
        make(dsn, "orders", "there", 5)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE weather AS SELECT false AS is_busy")
        yield dsn


@pytest.fixture
def settings(settings: Settings, reporting: str) -> Settings:
    small = {"part_bytes": 5 * 1024 * 1024, "checkpoint_seconds": 0.0, "source_readers": 3}
    return settings.model_copy(update={"source_dsns": {"reporting": SecretStr(reporting)}, **small})


@pytest.fixture
def catalog(database: str) -> Catalog:
    make(database, "orders", "here", 3)
    orders = TableSource("public", "orders")
    polite = Politeness(health_query="SELECT NOT is_busy FROM public.weather")
    return Catalog(
        [
            EVENTS,
            ExportType("wide", EVENTS.source, key=("id",), source_name="reporting"),
            ExportType("there", orders, key=("id",), source_name="reporting"),
            ExportType("here", orders, key=("id",)),
        ],
        sources=[NamedSource("reporting", polite)],
    )


async def file_of(services: Services, job: ExportJob) -> tuple[list[dict[str, Any]], Manifest]:
    done = await services.repository.find(job.id)
    assert done is not None
    assert (done.status, done.error_code) == (ExportStatus.COMPLETED, None)
    data = b"".join(services.storage_of(done).read(done.object_key or ""))
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    manifest = Manifest.load(await services.repository.find_manifest(job.id) or {})
    return [json.loads(line) for line in text.splitlines()], manifest


async def test_everything_that_reads_goes_where_the_type_says(services: Services, add: Add) -> None:
    for name, word, rows in (("here", "here", 3), ("there", "there", 5)):
        # One after the other, by kept connections: none is lent to the other source.
        for _ in range(2):
            job = await add(export_type=name, format="ndjson")
            assert await services.runner.run(job.id) is Outcome.COMPLETED
            found, _ = await file_of(services, job)
            assert [each["place"] for each in found] == [word] * rows

        stream = await services.streams.open(ANN, ExportRequest(name, "ndjson"))
        sent = bytearray()
        while (piece := await stream.next()) is not None:
            sent += piece
        await stream.close()
        assert [json.loads(line)["place"] for line in sent.splitlines()] == [word] * rows

        previewed, _ = await services.exports.preview(ANN, ExportRequest(name, "csv"))
        assert (previewed.rows.rows, (previewed.first_rows or [])[0]["place"]) == (rows, word)

    # The columns of a request are asked for where there is such a table.
    await services.exports.check(ANN, ExportRequest("wide", "csv"))
    with pytest.raises(UnknownColumn):
        await services.exports.check(ANN, ExportRequest("wide", "csv", columns=(Column("x"),)))


async def test_number_of_rows_in_the_list_is_that_of_the_types_own_source(
    services: Services, execute: Execute, reporting: str
) -> None:
    execute("ANALYZE orders")
    with psycopg.connect(reporting, autocommit=True) as connection:
        connection.execute("ANALYZE orders, events")
    estimates = RowEstimates(services.source, services.catalog, patience_seconds=60.0)
    assert await estimates.by_type() == {"here": 3, "there": 5, "events": ROWS, "wide": ROWS}
    services.source._others["reporting"]._dsn = "postgresql://nobody@127.0.0.1:9/none"
    estimates = RowEstimates(services.source, services.catalog, patience_seconds=60.0)
    assert await estimates.by_type() == {"here": 3}


async def test_each_of_several_readers_joins_the_snapshot_where_it_is(
    services: Services, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"smallest_rows": 1, "range_bytes": 200_000, "first_rows": 50}
    monkeypatch.setattr(produce, "Parallel", partial(Parallel, **small))
    opened: list[str] = []
    real = PostgresSource.open_snapshot

    def open_snapshot(self: PostgresSource, *arguments: Any, **options: Any) -> Any:
        opened.append(options["application_name"])
        return real(self, *arguments, **options)

    monkeypatch.setattr(PostgresSource, "open_snapshot", open_snapshot)
    job = await add(export_type="wide", format="ndjson")
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    found, _ = await file_of(services, job)
    assert [each["id"] for each in found] == list(range(1, ROWS + 1))
    assert {"waybill reader", "waybill keys"} < set(opened)


async def test_resumed_export_goes_on_where_its_type_is_read_and_nowhere_else(
    services: Services, add: Add, break_off: Callable[[int | None], None], execute: Execute
) -> None:
    async def broken() -> ExportJob:
        break_off(8_000)
        job = await add(export_type="events", format="ndjson")
        assert await services.runner.run(job.id) is Outcome.RETRIED
        break_off(None)
        execute("UPDATE export_jobs SET next_attempt_at = now() WHERE status = 'queued'")
        assert execute("SELECT count(*) FROM export_checkpoint_parts WHERE rows > 0") >= [(1,)]
        return job

    job = await broken()
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    found, manifest = await file_of(services, job)
    assert (len(found), len(manifest.segments)) == (ROWS, 2)

    # The type moves to another database of the same server, which has such a table too.
    job = await broken()
    make(services.settings.source_url, "events", "here", ROWS)
    moved = dataclasses.replace(EVENTS, source_name="default")
    services.catalog._types["events"] = moved
    assert await services.runner.run(job.id) is Outcome.COMPLETED
    found, manifest = await file_of(services, job)
    assert {each["place"] for each in found} == {"here"}
    assert (len(found), manifest.segments) == (ROWS, ())


async def test_source_under_pressure_holds_its_own_types_back_and_no_others(
    services: Services, add: Add, reporting: str
) -> None:
    with psycopg.connect(reporting, autocommit=True) as connection:
        connection.execute("UPDATE weather SET is_busy = true")
    waiting, running = await add(export_type="there"), await add(export_type="here")
    outcomes = {await services.runner.run(waiting.id), await services.runner.run(running.id)}
    assert outcomes == {Outcome.GIVEN_BACK, Outcome.COMPLETED}
    held = await services.repository.find(waiting.id)
    assert held is not None
    assert (held.status, held.error_code) == (ExportStatus.QUEUED, "source_busy")


async def test_a_source_that_is_away_is_told_by_its_own_variable(
    services: Services, add: Add, database: str
) -> None:
    services.source._others["reporting"]._dsn = "postgresql://nobody:s3cret@127.0.0.1:9/none"
    away = await add(export_type="there", max_attempts=1)
    assert await services.runner.run(away.id) is Outcome.FAILED
    (attempt,) = await services.repository.attempts_of(away.id)
    assert attempt.message is not None
    assert "and WAYBILL_SOURCE_DSN_REPORTING." in attempt.message
    assert "s3cret" not in attempt.message
    here = await add(export_type="here")
    assert await services.runner.run(here.id) is Outcome.COMPLETED


CATALOG = """
[sources.reporting]

[exports.there]
table = "orders"
key = "id"
source = "reporting"

[exports.here]
table = "users"
key = "id"
"""


def test_commands_go_there_too(database: str, reporting: str, tmp_path: Path) -> None:
    (tmp_path / "waybill.toml").write_text(CATALOG)
    both = {"WAYBILL_SOURCE_DSN": database, "WAYBILL_SOURCE_DSN_REPORTING": reporting}
    owned = {**both, "WAYBILL_DATABASE_URL": database}

    def run(*arguments: str, given: dict[str, str] = both) -> tuple[int, str, str]:
        return end_of(list(arguments), given, _nothing, tmp_path)

    # Neither has the other's table.
    status, out, err = run("check")
    assert (status, out.splitlines()[-1]) == (0, "2 export types, 0 errors."), out + err
    alone = {"WAYBILL_SOURCE_DSN_REPORTING": reporting}
    assert run("check", "--source", "reporting", given=alone)[0] == 0
    (tmp_path / "dsn").write_text(database)
    assert run("check", "--source", "reporting", "--dsn-file", "dsn", given=both)[0] == 1
    status, _, err = run("check", given={"WAYBILL_SOURCE_DSN": database})
    assert (status, "source 'reporting'" in err, "_REPORTING" in err) == (78, True, True)
    status, _, err = run("check", "--source", "reportin")
    assert (status, "Did you mean 'reporting'?" in err) == (78, True)

    status, out, err = run("doctor", "--only", "source", "--only", "catalog", given=owned)
    assert status == 0, err
    assert "ok  source: The database to export from answers." in out
    assert "ok  source.reporting: The database to export from answers." in out
    assert "ok  catalog: Its 2 export types fit the database." in out
    wrong = {**owned, "WAYBILL_SOURCE_DSN_REPORTING": "postgresql://nobody@127.0.0.1:9/none"}
    status, out, _ = run("doctor", "--only", "source", given=wrong)
    assert (status, "WAYBILL_SOURCE_DSN_REPORTING" in out) == (75, True)
    status, out, _ = run("doctor", "--only", "source", given={**owned, "WAYBILL_SOURCE_DSN_X": "y"})
    assert (status, "no source 'x'" in out) == (78, True)

    found = run("grants", "own", "--source-role", "reader", "--source", "reporting", given=owned)
    assert 'ON "public"."orders" TO "reader"' in found[1]
    assert '"users" TO "reader"' not in found[1]

    status, _, err = run("init", "--source", "reporting", "-o", "new.toml", given=alone)
    assert status == 0, err
    written = (tmp_path / "new.toml").read_text()
    assert "# that role into WAYBILL_SOURCE_DSN_REPORTING:" in written
    assert run("check", "--catalog", "new.toml", given=alone)[0] == 0
    assert written.count('source = "reporting"\n') == 3
    for name in ("Reporting", "re-porting"):
        assert run("init", "--source", name, "-o", "other.toml")[0] == 78
